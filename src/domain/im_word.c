
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_str.h"
#include "core/im_worker.h"
#include "domain/im_cache.h"
#include "domain/im_word.h"


#define IM_WORD_TRIES  8
#define IM_WORD_ROWS   1000          /* of one scan */
#define IM_WORD_SLICE  256           /* words, before others may run */
#define IM_WORD_WAIT   5             /* milliseconds */


/* A node of the automaton of Aho and Corasick; the root is number 0. */

typedef struct {
    uint32_t           child;        /* the first, 0: none */
    uint32_t           next;         /* of the same parent, 0: none */
    uint32_t           fail;
    u_char             byte;
    u_char             end;          /* a word ends here */
} im_word_node_t;


typedef struct {
    ngx_uint_t         n;
    uint32_t           root[256];    /* children of the root */
    im_word_node_t     nodes[1];
} im_word_tree_t;


/* What the worker has of an app. */

typedef struct {
    im_word_tree_t    *tree;         /* NULL: no words */
    im_cache_mark_t    mark;         /* of the head of which it was made */
    int64_t            version;      /* of the list that it was made of */
    ngx_msec_t         made;
    unsigned           ready:1;
    unsigned           making:1;
} im_word_app_t;


/* The app's list as a whole: row "words" of the table "app". */

typedef struct {
    int64_t            n;
    int64_t            added;        /* number of the last word */
    int64_t            version;
} im_word_head_t;


static ngx_uint_t im_word_dirty_json(im_ctx_t *ctx, im_json_t *node);
static ngx_int_t im_word_head(im_ctx_t *ctx, im_cache_mark_t *mark,
    im_word_head_t *head);
static void im_word_head_key(im_ctx_t *ctx, im_key_t *key);
static void im_word_key(im_ctx_t *ctx, ngx_str_t *word, im_key_t *key);
static im_word_tree_t *im_word_tree(im_ctx_t *ctx);
static ngx_int_t im_word_make(im_ctx_t *ctx, im_word_app_t *wa,
    int64_t version);
static ngx_int_t im_word_read(im_ctx_t *ctx, ngx_array_t *words);
static ngx_int_t im_word_row(im_row_t *row, void *data);
static ngx_int_t im_word_build(im_ctx_t *ctx, ngx_array_t *words,
    im_word_tree_t **tree);
static void im_word_insert(im_word_tree_t *tree, ngx_str_t *word);
static void im_word_links(im_word_tree_t *tree, uint32_t *queue);
static uint32_t im_word_child(im_word_tree_t *tree, uint32_t node, u_char c);
static u_char *im_word_fold(u_char *p, u_char *last, u_char *c);
static ngx_uint_t im_word_match(im_word_tree_t *tree, ngx_str_t *text);
static ngx_int_t im_word_change(im_ctx_t *ctx, ngx_str_t *words,
    ngx_uint_t n, ngx_uint_t add);
static ngx_int_t im_word_list_row(im_row_t *row, void *data);
static void im_word_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_word_hook = {
    ngx_string("words"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    im_word_exit_process                   /* exit process */
};


static im_record_t  im_word_head_record[] = {
    { ngx_string("n"), IM_COL_INT, offsetof(im_word_head_t, n) },
    { ngx_string("added"), IM_COL_INT, offsetof(im_word_head_t, added) },
      im_null_record
};


ngx_uint_t
im_word_dirty(im_ctx_t *ctx, ngx_str_t *text)
{
    im_word_tree_t  *tree;

    if (text->len == 0) {
        return 0;
    }

    tree = im_word_tree(ctx);

    return tree && im_word_match(tree, text);
}


/* A string, or the strings of a list; others are clean. */

static ngx_uint_t
im_word_dirty_json(im_ctx_t *ctx, im_json_t *node)
{
    im_json_t  *item;

    if (node == NULL) {
        return 0;
    }

    if (node->type == IM_JSON_STR) {
        return im_word_dirty(ctx, &node->u.text);
    }

    if (node->type == IM_JSON_LIST) {
        im_json_each(item, node) {
            if (item->type == IM_JSON_STR
                && im_word_dirty(ctx, &item->u.text))
            {
                return 1;
            }
        }
    }

    return 0;
}


ngx_uint_t
im_word_dirty_message(im_ctx_t *ctx, ngx_str_t *body)
{
    ngx_str_t   type;
    im_json_t  *list, *elem, *content;

    if (im_word_tree(ctx) == NULL
        || im_json_parse(ctx->pool, body, IM_JSON_DEPTH, &list) != NGX_OK
        || list->type != IM_JSON_LIST)
    {
        return 0;
    }

    im_json_each(elem, list) {

        if (im_json_get_str(elem, "MsgType", &type) == NGX_OK
            && im_str_eq_c(&type, "TIMTextElem")
            && im_json_get_obj(elem, "MsgContent", &content) == NGX_OK
            && im_word_dirty_json(ctx, im_json_get(content, "Text")))
        {
            return 1;
        }
    }

    return 0;
}


/* The automaton is valid until the caller is suspended. */

static im_word_tree_t *
im_word_tree(im_ctx_t *ctx)
{
    ngx_int_t         rc;
    ngx_msec_t        start;
    im_word_app_t    *wa;
    im_word_head_t    head;
    im_cache_mark_t   mark;

    wa = ctx->app->words;

    if (wa == NULL) {
        wa = ngx_calloc(sizeof(im_word_app_t), ctx->log);
        if (wa == NULL) {
            return NULL;
        }

        ctx->app->words = wa;
    }

    if (im_cache_same(&wa->mark)) {
        return wa->tree;
    }

    rc = im_word_head(ctx, &mark, &head);

    if (!wa->ready
        && !wa->making
        && rc == NGX_OK
        && head.n == 0
        && ctx->app->dirty_words == NULL)
    {
        wa->mark = mark;
        return NULL;
    }

    start = ngx_current_msec;

    while (!wa->ready && wa->making
           && ngx_current_msec - start < IM_WORD_WAIT * 1000)
    {
        im_co_sleep(IM_WORD_WAIT);
    }

    if (rc == NGX_OK
        && !wa->making
        && (!wa->ready
            || (wa->version != head.version
                && ngx_current_msec - wa->made
                   >= ctx->app->dirty_word_delay)))
    {
        wa->making = 1;
        rc = im_word_make(ctx, wa, head.version);
        wa->making = 0;

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                          "dirty words could not be read");
        }
    }

    if (wa->ready && wa->version == head.version) {
        wa->mark = mark;
    }

    return wa->tree;
}


static ngx_int_t
im_word_make(im_ctx_t *ctx, im_word_app_t *wa, int64_t version)
{
    ngx_int_t        rc;
    ngx_str_t       *word, *dst;
    ngx_uint_t       i;
    ngx_array_t      words;
    im_word_tree_t  *tree;

    if (ngx_array_init(&words, ctx->pool, 64, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (version) {
        rc = im_word_read(ctx, &words);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->app->dirty_words) {
        word = ctx->app->dirty_words->elts;

        for (i = 0; i < ctx->app->dirty_words->nelts; i++) {
            dst = ngx_array_push(&words);
            if (dst == NULL) {
                return NGX_ERROR;
            }

            *dst = word[i];
        }
    }

    tree = NULL;

    if (words.nelts && im_word_build(ctx, &words, &tree) != NGX_OK) {
        return NGX_ERROR;
    }

    if (wa->tree) {
        ngx_free(wa->tree);
    }

    wa->tree = tree;
    wa->version = version;
    wa->made = ngx_current_msec;
    wa->ready = 1;

    return NGX_OK;
}


/* All words of the app, in no order. */

static ngx_int_t
im_word_read(im_ctx_t *ctx, ngx_array_t *words)
{
    im_key_t     prefix, from;
    ngx_int_t    rc;
    ngx_str_t   *word, last;
    ngx_uint_t   n;

    im_key_init(&prefix, ctx->app->id);

    ngx_str_null(&last);

    for ( ;; ) {
        n = words->nelts;

        if (last.len) {
            im_word_key(ctx, &last, &from);
            words->nelts--;                  /* it is read again */
        }

        rc = im_store_scan(ctx, IM_T_WORD, 0, &prefix,
                           last.len ? &from : NULL, NULL, IM_ASC,
                           IM_WORD_ROWS, im_word_row, words);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (words->nelts <= n) {
            break;
        }

        word = words->elts;
        last = word[words->nelts - 1];

        im_co_yield();
    }

    return NGX_OK;
}


static ngx_int_t
im_word_row(im_row_t *row, void *data)
{
    ngx_array_t  *words = data;

    ngx_str_t  *word;

    word = ngx_array_push(words);
    if (word == NULL) {
        return NGX_ERROR;
    }

    return im_row_str(row, "word", word);
}


static ngx_int_t
im_word_build(im_ctx_t *ctx, ngx_array_t *words, im_word_tree_t **tree)
{
    uint32_t    *queue;
    ngx_str_t   *word;
    ngx_uint_t   i, n;

    n = 1;
    word = words->elts;

    for (i = 0; i < words->nelts; i++) {
        n += word[i].len;
    }

    *tree = ngx_calloc(sizeof(im_word_tree_t)
                       + n * sizeof(im_word_node_t), ctx->log);
    if (*tree == NULL) {
        return NGX_ERROR;
    }

    (*tree)->n = 1;

    for (i = 0; i < words->nelts; i++) {

        im_word_insert(*tree, &word[i]);

        if (i % IM_WORD_SLICE == IM_WORD_SLICE - 1) {
            im_co_yield();
        }
    }

    queue = ngx_alloc((*tree)->n * sizeof(uint32_t), ctx->log);

    if (queue == NULL) {
        ngx_free(*tree);
        return NGX_ERROR;
    }

    im_word_links(*tree, queue);

    ngx_free(queue);

    return NGX_OK;
}


static void
im_word_insert(im_word_tree_t *tree, ngx_str_t *word)
{
    u_char           c, *p, *last;
    uint32_t         node, child;
    im_word_node_t  *n;

    node = 0;
    p = word->data;
    last = p + word->len;

    while (p < last) {
        p = im_word_fold(p, last, &c);

        child = im_word_child(tree, node, c);

        if (child == 0) {
            child = tree->n++;

            n = &tree->nodes[child];
            n->byte = c;

            if (node == 0) {
                tree->root[c] = child;
            }

            n->next = tree->nodes[node].child;
            tree->nodes[node].child = child;
        }

        node = child;
    }

    if (node) {
        tree->nodes[node].end = 1;
    }
}


/* Where to go on when no child fits: the longest end of what was read that
 * is the beginning of a word.  Shorter ones first. */

static void
im_word_links(im_word_tree_t *tree, uint32_t *queue)
{
    uint32_t         head, tail, node, child, fail;
    im_word_node_t  *nodes;

    nodes = tree->nodes;
    head = 0;
    tail = 0;

    for (child = nodes[0].child; child; child = nodes[child].next) {
        queue[tail++] = child;
    }

    while (head < tail) {
        node = queue[head++];

        for (child = nodes[node].child; child; child = nodes[child].next) {

            fail = nodes[node].fail;

            for ( ;; ) {
                nodes[child].fail = im_word_child(tree, fail,
                                                  nodes[child].byte);

                if (nodes[child].fail || fail == 0) {
                    break;
                }

                fail = nodes[fail].fail;
            }

            nodes[child].end |= nodes[nodes[child].fail].end;

            queue[tail++] = child;
        }
    }
}


static uint32_t
im_word_child(im_word_tree_t *tree, uint32_t node, u_char c)
{
    uint32_t  child;

    if (node == 0) {
        return tree->root[c];
    }

    for (child = tree->nodes[node].child;
         child;
         child = tree->nodes[child].next)
    {
        if (tree->nodes[child].byte == c) {
            break;
        }
    }

    return child;
}


static ngx_uint_t
im_word_match(im_word_tree_t *tree, ngx_str_t *text)
{
    u_char    c, *p, *last;
    uint32_t  node, child;

    node = 0;
    p = text->data;
    last = p + text->len;

    while (p < last) {
        p = im_word_fold(p, last, &c);

        for ( ;; ) {
            child = im_word_child(tree, node, c);

            if (child || node == 0) {
                break;
            }

            node = tree->nodes[node].fail;
        }

        node = child;

        if (tree->nodes[node].end) {
            return 1;
        }
    }

    return 0;
}


/*
 * The next byte of a text in the form in which texts are compared: letters of
 * ASCII are lower case, and full-width forms of it (U+FF01 to U+FF5E) are
 * ASCII.  In UTF-8 bytes that compare begin where characters do.
 */

static u_char *
im_word_fold(u_char *p, u_char *last, u_char *c)
{
    *c = *p;

    if (*p == 0xef && last - p >= 3) {

        if (p[1] == 0xbc && p[2] >= 0x81 && p[2] <= 0xbf) {
            *c = p[2] - 0x81 + 0x21;

        } else if (p[1] == 0xbd && p[2] >= 0x80 && p[2] <= 0x9e) {
            *c = p[2] - 0x80 + 0x60;
        }
    }

    p += (*c == *p) ? 1 : 3;

    *c = ngx_tolower(*c);

    return p;
}


ngx_int_t
im_word_add(im_ctx_t *ctx, ngx_str_t *words, ngx_uint_t n)
{
    return im_word_change(ctx, words, n, 1);
}


ngx_int_t
im_word_delete(im_ctx_t *ctx, ngx_str_t *words, ngx_uint_t n)
{
    return im_word_change(ctx, words, n, 0);
}


static ngx_int_t
im_word_change(im_ctx_t *ctx, ngx_str_t *words, ngx_uint_t n, ngx_uint_t add)
{
    im_key_t        *keys, key;
    im_row_t        *rows;
    im_doc_t        *doc;
    ngx_int_t        rc;
    ngx_uint_t       i, tries;
    im_batch_t      *batch;
    im_word_head_t   head;

    keys = ngx_palloc(ctx->pool, n * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, n * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        im_word_key(ctx, &words[i], &keys[i]);
    }

    for (tries = 0; tries < IM_WORD_TRIES; tries++) {

        rc = im_word_head(ctx, NULL, &head);

        if (rc == NGX_OK) {
            rc = im_store_get_many(ctx, IM_T_WORD, keys, n, rows);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        for (i = 0; i < n; i++) {

            if (add && rows[i].data.data == NULL) {
                head.n++;
                head.added++;

                doc = im_doc(ctx->pool);
                im_doc_int(doc, "added", head.added);
                im_store_insert(batch, IM_T_WORD, &keys[i], doc);

            } else if (!add && rows[i].data.data) {
                head.n--;
                im_store_delete(batch, IM_T_WORD, &keys[i]);
            }
        }

        if (batch && batch->n == 0) {
            return NGX_OK;
        }

        if (add && head.n > ctx->app->dirty_words_max) {
            return NGX_DECLINED;
        }

        im_word_head_key(ctx, &key);
        im_store_replace(batch, IM_T_APP, &key, head.version,
                         im_record_doc(ctx->pool, im_word_head_record,
                                       &head));

        rc = im_cache_commit(ctx, batch);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_BUSY;
}


ngx_int_t
im_word_list(im_ctx_t *ctx, ngx_uint_t skip, ngx_uint_t limit,
    ngx_array_t *words)
{
    int64_t      last;
    im_key_t     prefix, from;
    im_row_t    *row;
    ngx_int_t    rc;
    ngx_str_t   *word;
    ngx_uint_t   n, wanted;
    ngx_array_t  rows;

    im_key_init(&prefix, ctx->app->id);

    last = 0;
    wanted = limit ? limit : NGX_MAX_INT_T_VALUE;

    while (words->nelts < wanted) {

        if (ngx_array_init(&rows, ctx->pool, IM_WORD_PAGE, sizeof(im_row_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        im_key_init(&from, ctx->app->id);
        im_key_int(&from, last + 1);

        rc = im_store_scan(ctx, IM_T_WORD, IM_WORD_ORDER, &prefix, &from,
                           NULL, IM_ASC, IM_WORD_ROWS, im_word_list_row,
                           &rows);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        row = rows.elts;

        for (n = 0; n < rows.nelts; n++) {

            (void) im_row_int(&row[n], "added", &last);

            if (skip) {
                skip--;
                continue;
            }

            if (words->nelts == wanted) {
                break;
            }

            word = ngx_array_push(words);

            if (word == NULL
                || im_row_str(&row[n], "word", word) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        if (rows.nelts < IM_WORD_ROWS) {
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
im_word_list_row(im_row_t *row, void *data)
{
    ngx_array_t  *rows = data;

    im_row_t  *dst;

    dst = ngx_array_push(rows);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    *dst = *row;

    return NGX_OK;
}


/* An app without a list has an empty one of version 0.  mark: NULL, or that of
 * a row which may come from the cache. */

static ngx_int_t
im_word_head(im_ctx_t *ctx, im_cache_mark_t *mark, im_word_head_t *head)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    ngx_memzero(head, sizeof(im_word_head_t));

    im_word_head_key(ctx, &key);

    if (mark) {
        rc = im_cache_get(ctx, IM_T_APP, &key, &row);
        im_cache_mark(IM_T_APP, &key, mark);

    } else {
        rc = im_store_get(ctx, IM_T_APP, &key, &row);
    }

    if (rc == NGX_OK) {
        im_record_load(&row, im_word_head_record, head);
        head->version = row.version;
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


static void
im_word_head_key(im_ctx_t *ctx, im_key_t *key)
{
    static ngx_str_t  name = ngx_string("words");

    im_word_key(ctx, &name, key);
}


static void
im_word_key(im_ctx_t *ctx, ngx_str_t *word, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, word);
}


static void
im_word_exit_process(ngx_cycle_t *cycle)
{
    im_app_t       *app;
    im_conf_t      *conf;
    ngx_uint_t      i;
    im_word_app_t  *wa;

    conf = ngx_im_get_conf(cycle);
    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {
        wa = app[i].words;

        if (wa == NULL) {
            continue;
        }

        if (wa->tree) {
            ngx_free(wa->tree);
        }

        ngx_free(wa);
        app[i].words = NULL;
    }
}
