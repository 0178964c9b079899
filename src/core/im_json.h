
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_JSON_H_INCLUDED_
#define _IM_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define IM_JSON_DEPTH  32        /* the usual max_depth of im_json_parse() */
#define IM_JSON_NODES  65536     /* a longer text is not parsed */
#define IM_JSON_BATCH  8         /* nodes are allocated together */


typedef enum {
    IM_JSON_NULL = 0,
    IM_JSON_BOOL,
    IM_JSON_NUM,
    IM_JSON_STR,
    IM_JSON_LIST,
    IM_JSON_OBJ,
    IM_JSON_RAW
} im_json_type_e;


typedef struct im_json_s       im_json_t;
typedef struct im_json_root_s  im_json_root_t;


struct im_json_s {
    u_char                type;          /* im_json_type_e */
    u_char                is_int;        /* NUM: an int64 in num */
    u_char                shared;        /* children are another node's */
    uint32_t              n;             /* LIST, OBJ: number of children */

    ngx_str_t             key;           /* in an object */
    im_json_t            *next;

    union {
        ngx_str_t         text;          /* STR: decoded value; RAW: JSON;
                                            NUM: digits as on the wire,
                                            data is NULL if made by add_int */
        ngx_uint_t        flag;          /* BOOL */

        struct {                         /* LIST, OBJ */
            im_json_t    *first;
            im_json_t    *last;
        } list;
    } u;

    union {
        int64_t           num;           /* NUM, if is_int */
        im_json_root_t   *root;          /* LIST, OBJ */
    };
};


struct im_json_root_s {
    ngx_pool_t           *pool;
    ngx_uint_t            failed;        /* an addition has failed */

    ngx_uint_t            nfree;         /* nodes for the next ones */
    im_json_t            *free;
    im_json_t             nodes[IM_JSON_BATCH];
};


/*
 * Parses one JSON value as RFC 8259 has it, nothing more.  NGX_OK;
 * NGX_DECLINED if the text is not JSON, not UTF-8, empty, followed by more
 * than blanks, nested deeper than max_depth or has over IM_JSON_NODES values;
 * NGX_ERROR without memory.  Everything is copied to the pool, the text may
 * go.  A half of a surrogate pair becomes "?", a zero byte may be in values
 * but not in member names.
 */
ngx_int_t im_json_parse(ngx_pool_t *pool, ngx_str_t *text,
    ngx_uint_t max_depth, im_json_t **root);


/*
 * Reading.  obj may be NULL or no object: it has no members then.  Of
 * several members of one name the last one is meant.
 */

#define im_json_each(item, list)                                              \
    for (item = im_json_first(list); item; item = item->next)

static ngx_inline im_json_t *
im_json_first(im_json_t *list)
{
    if (list == NULL
        || (list->type != IM_JSON_LIST && list->type != IM_JSON_OBJ))
    {
        return NULL;
    }

    return list->u.list.first;
}

/* The member (of type null, too), or NULL. */
im_json_t *im_json_get(im_json_t *obj, const char *name);
im_json_t *im_json_get_key(im_json_t *obj, ngx_str_t *name);

/* 1 if the object has more than one member of this name. */
ngx_uint_t im_json_has_dup(im_json_t *obj, const char *name);

/*
 * NGX_OK; NGX_DECLINED if absent or null; NGX_ERROR if of another type or,
 * for an integer, with fraction, exponent or out of range.  The value is
 * left alone unless NGX_OK.  Strings are not copied.
 */
ngx_int_t im_json_get_str(im_json_t *obj, const char *name, ngx_str_t *value);
ngx_int_t im_json_get_int(im_json_t *obj, const char *name, int64_t *value);
ngx_int_t im_json_get_bool(im_json_t *obj, const char *name,
    ngx_uint_t *value);
ngx_int_t im_json_get_list(im_json_t *obj, const char *name,
    im_json_t **value);
ngx_int_t im_json_get_obj(im_json_t *obj, const char *name,
    im_json_t **value);

/* NGX_OK if the node is an integer of 0 to 2^64-1, or NGX_DECLINED. */
ngx_int_t im_json_uint64(im_json_t *node, uint64_t *value);


/*
 * Building.  Each function returns the new node or NULL; a NULL parent is
 * accepted, and the failure is remembered, so that only rendering needs a
 * check.  Names and bytes are kept by pointer: they must live as long as
 * the nodes (names are mostly literals, whose length the compiler knows; a
 * name is evaluated twice).  add_* is for objects, push_* for lists.
 */

#define im_json_new_obj(pool)   im_json_new_tree(pool, IM_JSON_OBJ)
#define im_json_new_list(pool)  im_json_new_tree(pool, IM_JSON_LIST)

#define im_json_add_str(obj, name, value)                                     \
    im_json_put_str(obj, name, strlen(name), value)
#define im_json_add_cstr(obj, name, value)                                    \
    im_json_put_cstr(obj, name, strlen(name), value)
#define im_json_add_int(obj, name, value)                                     \
    im_json_put_int(obj, name, strlen(name), value)
#define im_json_add_bool(obj, name, value)                                    \
    im_json_put_bool(obj, name, strlen(name), value)
#define im_json_add_null(obj, name)                                           \
    im_json_put(obj, name, strlen(name), IM_JSON_NULL)
#define im_json_add_obj(obj, name)                                            \
    im_json_put(obj, name, strlen(name), IM_JSON_OBJ)
#define im_json_add_list(obj, name)                                           \
    im_json_put(obj, name, strlen(name), IM_JSON_LIST)

/* JSON that is rendered already; empty text stands for null. */
#define im_json_add_raw(obj, name, value)                                     \
    im_json_put_raw(obj, name, strlen(name), value)

/*
 * A node of another tree; the node itself remains where it is.  It must be
 * complete and live as long, and nothing can be added to what is returned.
 * A node of NULL counts as a failure.
 */
#define im_json_add_node(obj, name, node)                                     \
    im_json_put_node(obj, name, strlen(name), node)

#define im_json_push_str(list, value)   im_json_put_str(list, NULL, 0, value)
#define im_json_push_cstr(list, value)  im_json_put_cstr(list, NULL, 0, value)
#define im_json_push_int(list, value)   im_json_put_int(list, NULL, 0, value)
#define im_json_push_bool(list, value)  im_json_put_bool(list, NULL, 0, value)
#define im_json_push_null(list)         im_json_put(list, NULL, 0, IM_JSON_NULL)
#define im_json_push_obj(list)          im_json_put(list, NULL, 0, IM_JSON_OBJ)
#define im_json_push_list(list)         im_json_put(list, NULL, 0, IM_JSON_LIST)
#define im_json_push_raw(list, value)   im_json_put_raw(list, NULL, 0, value)
#define im_json_push_node(list, node)   im_json_put_node(list, NULL, 0, node)

/* What these are made of; name is NULL for lists. */
im_json_t *im_json_put(im_json_t *parent, const char *name, size_t len,
    im_json_type_e type);
im_json_t *im_json_put_str(im_json_t *parent, const char *name, size_t len,
    ngx_str_t *value);
im_json_t *im_json_put_cstr(im_json_t *parent, const char *name, size_t len,
    const char *value);
im_json_t *im_json_put_int(im_json_t *parent, const char *name, size_t len,
    int64_t value);
im_json_t *im_json_put_bool(im_json_t *parent, const char *name, size_t len,
    ngx_uint_t value);
im_json_t *im_json_put_raw(im_json_t *parent, const char *name, size_t len,
    ngx_str_t *value);
im_json_t *im_json_put_node(im_json_t *parent, const char *name, size_t len,
    im_json_t *node);

/* 1 if the node is NULL or something could not be added to its tree. */
ngx_uint_t im_json_failed(im_json_t *node);


/*
 * Rendering: compact, members in their order, numbers parsed with their
 * digits, all but control characters, quotes and backslashes as is.
 * NGX_OK or NGX_ERROR: no memory now, or an addition has failed before.
 */
ngx_int_t im_json_render(ngx_pool_t *pool, im_json_t *node, ngx_str_t *out);

/* The same; the text is there until the worker renders the next one. */
ngx_int_t im_json_text(im_json_t *node, ngx_str_t *text);

/* Its length, 0 in the case of an error. */
size_t im_json_len(im_json_t *node);


/*
 * What parsing, building and rendering have in common.
 */

im_json_t *im_json_new_tree(ngx_pool_t *pool, im_json_type_e type);

/* The last one in parent now, or NULL without memory. */
im_json_t *im_json_new(im_json_t *parent, im_json_type_e type,
    const char *name, size_t len);

#define IM_JSON_ONES  0x0101010101010101ULL
#define IM_JSON_HIGH  0x8080808080808080ULL

static ngx_inline uint64_t
im_json_load(u_char *p)
{
    uint64_t  w;

    ngx_memcpy(&w, p, 8);

    return w;
}

/*
 * Not 0 if one of eight bytes cannot be in a string as it is.  Of the bits
 * that are set the one which is lowest in memory order on a little-endian
 * machine belongs to the first such byte.  With its bit 2 changed a quote is
 * a blank, and only control characters and quotes are below "!".
 */
static ngx_inline uint64_t
im_json_special(uint64_t w)
{
    uint64_t  low, slash;

    low = (w ^ (IM_JSON_ONES * 2)) - IM_JSON_ONES * '!';
    slash = (w ^ (IM_JSON_ONES * '\\')) - IM_JSON_ONES;

    return (low | slash) & ~w & IM_JSON_HIGH;
}


#endif /* _IM_JSON_H_INCLUDED_ */
