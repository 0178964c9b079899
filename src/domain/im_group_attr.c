
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "live/im_rate.h"
#include "live/im_zone.h"
#include "domain/im_callback.h"
#include "domain/im_group_attr.h"
#include "domain/im_group_message.h"
#include "domain/im_group_tip.h"


#define IM_ATTR_TRIES      8
#define IM_ATTR_MAX        16
#define IM_ATTR_KEY_MAX    32
#define IM_ATTR_VALUE_MAX  4000
#define IM_ATTR_SUM_MAX    16000
#define IM_ATTR_RATE       5         /* writes a second */

#define IM_COUNTER_MAX     20
#define IM_COUNTER_KEY_MAX 128

#define IM_KEY_ATTR_RATE   (IM_KEY_OTHER + 8)


typedef struct {
    ngx_str_t          key;
    ngx_str_t          value;        /* attributes */
    int64_t            seq;
    int64_t            num;          /* counters */
    unsigned           changed:1;
    unsigned           gone:1;
} im_attr_item_t;


typedef struct {
    ngx_uint_t         n;
    int64_t            seq;          /* of the whole set */
    int64_t            version;
    im_attr_item_t     items[IM_ATTR_MAX + IM_COUNTER_MAX];
} im_attr_set_t;


static im_code_t im_group_attr_check(im_ctx_t *ctx, im_attr_op_e op,
    im_json_t *list);
static im_code_t im_group_attr_apply(im_attr_set_t *set, im_attr_op_e op,
    im_json_t *list, ngx_uint_t race, int64_t main_seq);
static im_code_t im_group_attr_limits(im_attr_set_t *set);
static void im_group_attr_tell(im_ctx_t *ctx, im_group_t *group,
    im_attr_set_t *set, im_attr_op_e op);
static im_code_t im_group_counter_apply(im_ctx_t *ctx, im_attr_set_t *set,
    im_counter_op_e op, im_json_t *list);
static void im_group_counter_tell(im_ctx_t *ctx, im_group_t *group,
    im_attr_set_t *set, im_counter_op_e op);
static ngx_int_t im_group_set_rate(im_ctx_t *ctx, im_group_t *group);
static im_attr_item_t *im_group_set_find(im_attr_set_t *set, ngx_str_t *key);
static im_attr_set_t *im_group_set_load(im_ctx_t *ctx, im_group_t *group,
    const char *name, im_code_t *code);
static ngx_int_t im_group_set_store(im_ctx_t *ctx, im_group_t *group,
    const char *name, im_attr_set_t *set, const char *option,
    im_json_t *given);
static void im_group_set_key(im_ctx_t *ctx, im_group_t *group,
    const char *name, im_key_t *key);


/* OptionType of the callback, by im_attr_op_e. */

static const char  *im_attr_options[] = {
    NULL, "set", "modify", "clear", "delete"
};


im_code_t
im_group_attr_change(im_ctx_t *ctx, im_group_t *group, im_attr_op_e op,
    im_json_t *list, ngx_uint_t race, int64_t main_seq)
{
    im_code_t       code;
    ngx_int_t       rc;
    im_json_t      *ary, *item;
    ngx_uint_t      i, tries;
    im_attr_set_t  *set;

    code = im_group_attr_check(ctx, op, list);
    if (code != IM_OK) {
        return code;
    }

    if (im_group_set_rate(ctx, group) != NGX_OK) {
        return IM_E_ATTR_RATE;
    }

    for (tries = 0; tries < IM_ATTR_TRIES; tries++) {

        set = im_group_set_load(ctx, group, "attr", &code);
        if (set == NULL) {
            return code;
        }

        code = im_group_attr_apply(set, op, list, race, main_seq);
        if (code != IM_OK) {
            return code;
        }

        rc = im_group_set_store(ctx, group, "attr", set, im_attr_options[op],
                                (op == IM_ATTR_CLEAR) ? NULL : list);

        if (rc == NGX_OK) {
            im_group_attr_tell(ctx, group, set, op);

            im_json_add_int(ctx->reply, "AttrMainSeq", set->seq);
            ary = im_json_add_list(ctx->reply, "GroupAttrAry");

            for (i = 0; i < set->n; i++) {
                if (!set->items[i].changed || set->items[i].gone) {
                    continue;
                }

                item = im_json_push_obj(ary);
                im_json_add_str(item, "key", &set->items[i].key);
                im_json_add_int(item, "seq", set->items[i].seq);
            }

            return IM_OK;
        }

        if (rc == NGX_ABORT) {
            return IM_E_GROUP_NONE;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_ATTR_CONFLICT;
}


static im_code_t
im_group_attr_check(im_ctx_t *ctx, im_attr_op_e op, im_json_t *list)
{
    int64_t      seq;
    ngx_str_t    key, value;
    im_json_t   *item;
    ngx_uint_t   n;

    n = 0;

    im_json_each(item, list) {

        if (im_json_get_str(item, "key", &key) != NGX_OK || key.len == 0) {
            ngx_str_set(&ctx->info, "\"key\" must be a string, not empty");
            return IM_E_GROUP_PARAM;
        }

        if (key.len > IM_ATTR_KEY_MAX) {
            return IM_E_ATTR_KEY;
        }

        if (im_json_get_int(item, "seq", &seq) == NGX_ERROR) {
            ngx_str_set(&ctx->info, "\"seq\" must be an integer");
            return IM_E_GROUP_PARAM;
        }

        if (op != IM_ATTR_DELETE) {

            if (im_json_get_str(item, "value", &value) != NGX_OK) {
                ngx_str_set(&ctx->info, "\"value\" must be a string");
                return IM_E_GROUP_PARAM;
            }

            if (value.len > IM_ATTR_VALUE_MAX) {
                return IM_E_ATTR_VALUE;
            }
        }

        if (++n > IM_ATTR_MAX) {
            return IM_E_ATTR_COUNT;
        }
    }

    return IM_OK;
}


static im_code_t
im_group_attr_apply(im_attr_set_t *set, im_attr_op_e op, im_json_t *list,
    ngx_uint_t race, int64_t main_seq)
{
    int64_t          seq;
    ngx_str_t        key;
    im_json_t       *item;
    ngx_uint_t       i;
    im_attr_item_t  *a;

    if (race && (op == IM_ATTR_INIT || op == IM_ATTR_CLEAR)
        && main_seq != set->seq)
    {
        return IM_E_ATTR_CONFLICT;
    }

    set->seq++;

    if (op == IM_ATTR_INIT || op == IM_ATTR_CLEAR) {
        for (i = 0; i < set->n; i++) {
            set->items[i].gone = 1;
        }
    }

    if (op == IM_ATTR_CLEAR) {
        return IM_OK;
    }

    im_json_each(item, list) {

        (void) im_json_get_str(item, "key", &key);

        a = im_group_set_find(set, &key);

        if (op == IM_ATTR_DELETE) {
            if (a == NULL || a->gone) {
                return IM_E_ATTR_NONE;
            }

            if (race && im_json_get_int(item, "seq", &seq) == NGX_OK
                && seq != a->seq)
            {
                return IM_E_ATTR_CONFLICT;
            }

            a->gone = 1;
            a->changed = 1;
            continue;
        }

        if (op == IM_ATTR_SET && race
            && im_json_get_int(item, "seq", &seq) == NGX_OK
            && seq != (a ? a->seq : 0))
        {
            return IM_E_ATTR_CONFLICT;
        }

        if (a == NULL) {
            if (set->n == IM_ATTR_MAX * 2) {
                return IM_E_ATTR_COUNT;
            }

            a = &set->items[set->n++];
            ngx_memzero(a, sizeof(im_attr_item_t));
            a->key = key;
        }

        (void) im_json_get_str(item, "value", &a->value);

        a->seq++;
        a->changed = 1;
        a->gone = 0;
    }

    return im_group_attr_limits(set);
}


static im_code_t
im_group_attr_limits(im_attr_set_t *set)
{
    size_t      sum;
    ngx_uint_t  i, n;

    n = 0;
    sum = 0;

    for (i = 0; i < set->n; i++) {
        if (!set->items[i].gone) {
            n++;
            sum += set->items[i].value.len;
        }
    }

    if (n > IM_ATTR_MAX) {
        return IM_E_ATTR_COUNT;
    }

    return (sum > IM_ATTR_SUM_MAX) ? IM_E_ATTR_SUM : IM_OK;
}


static void
im_group_attr_tell(im_ctx_t *ctx, im_group_t *group, im_attr_set_t *set,
    im_attr_op_e op)
{
    ngx_uint_t       i;
    im_json_t       *body, *info, *option, *list, *item;
    im_attr_item_t  *a;

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "OpType", IM_TIP_INFO);
    im_json_add_str(body, "Operator_Account", &ctx->user);

    info = im_json_add_obj(body, "MsgGroupNewInfo");
    option = im_json_add_obj(info, "GroupAttrOption");

    im_json_add_int(option, "AttrMainSeq", set->seq);
    im_json_add_int(option, "OpType", op);
    im_json_add_int(option, "PushChangedAttrValFlag", 1);

    list = im_json_add_list(option, "GroupAttrInfo");

    for (i = 0; i < set->n; i++) {
        a = &set->items[i];

        if (!a->changed) {
            continue;
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "Key", &a->key);
        im_json_add_str(item, "Val", &a->value);
        im_json_add_int(item, "SubKeySeq", a->seq);
    }

    im_group_signal(ctx, group, body);
}


im_code_t
im_group_attr_get(im_ctx_t *ctx, im_group_t *group, im_json_t *reply)
{
    im_code_t       code;
    im_json_t      *list, *item;
    ngx_uint_t      i;
    im_attr_set_t  *set;

    set = im_group_set_load(ctx, group, "attr", &code);
    if (set == NULL) {
        return code;
    }

    im_json_add_int(reply, "AttrMainSeq", set->seq);
    list = im_json_add_list(reply, "GroupAttrAry");

    for (i = 0; i < set->n; i++) {
        item = im_json_push_obj(list);
        im_json_add_str(item, "key", &set->items[i].key);
        im_json_add_str(item, "value", &set->items[i].value);
        im_json_add_int(item, "seq", set->items[i].seq);
    }

    return IM_OK;
}


im_code_t
im_group_counter_change(im_ctx_t *ctx, im_group_t *group, im_counter_op_e op,
    im_json_t *list)
{
    im_code_t       code;
    ngx_int_t       rc;
    im_json_t      *reply, *item;
    ngx_uint_t      i, tries;
    im_attr_set_t  *set;

    for (tries = 0; tries < IM_ATTR_TRIES; tries++) {

        set = im_group_set_load(ctx, group, "counter", &code);
        if (set == NULL) {
            return code;
        }

        code = im_group_counter_apply(ctx, set, op, list);
        if (code != IM_OK) {
            return code;
        }

        rc = im_group_set_store(ctx, group, "counter", set, NULL, NULL);

        if (rc == NGX_OK) {
            im_group_counter_tell(ctx, group, set, op);

            if (op == IM_COUNTER_DELETE) {
                return IM_OK;
            }

            im_json_add_int(ctx->reply, "GroupCounterSeq", set->seq);
            reply = im_json_add_list(ctx->reply, "GroupCounter");

            for (i = 0; i < set->n; i++) {
                if (!set->items[i].changed) {
                    continue;
                }

                item = im_json_push_obj(reply);
                im_json_add_str(item, "Key", &set->items[i].key);
                im_json_add_int(item, "Value", set->items[i].num);
            }

            return IM_OK;
        }

        if (rc == NGX_ABORT) {
            return IM_E_GROUP_NONE;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


static im_code_t
im_group_counter_apply(im_ctx_t *ctx, im_attr_set_t *set, im_counter_op_e op,
    im_json_t *list)
{
    int64_t          num;
    ngx_str_t        key;
    im_json_t       *item;
    ngx_uint_t       i, n, over;
    im_attr_item_t  *a;

    set->seq++;

    if (op == IM_COUNTER_DELETE && (list == NULL || list->n == 0)) {
        for (i = 0; i < set->n; i++) {
            set->items[i].gone = 1;
            set->items[i].changed = 1;
        }

        return IM_OK;
    }

    im_json_each(item, list) {

        num = 0;

        if (op == IM_COUNTER_DELETE) {
            if (item->type != IM_JSON_STR) {
                ngx_str_set(&ctx->info, "\"GroupCounterKeys\" must be a list "
                                        "of strings");
                return IM_E_GROUP_PARAM;
            }

            key = item->u.text;

        } else if (im_json_get_str(item, "Key", &key) != NGX_OK
                   || im_json_get_int(item, "Value", &num) != NGX_OK)
        {
            ngx_str_set(&ctx->info, "\"Key\" must be a string, \"Value\" an "
                                    "integer of 64 bits");
            return IM_E_GROUP_PARAM;
        }

        if (key.len == 0 || key.len > IM_COUNTER_KEY_MAX) {
            ngx_str_set(&ctx->info, "\"Key\" is not of 1 to 128 bytes");
            return IM_E_GROUP_PARAM;
        }

        a = im_group_set_find(set, &key);

        if (op == IM_COUNTER_DELETE) {
            if (a) {
                a->gone = 1;
                a->changed = 1;
            }

            continue;
        }

        if (a == NULL) {
            if (set->n == IM_COUNTER_MAX) {
                return IM_E_COUNTER_MANY;
            }

            a = &set->items[set->n++];
            ngx_memzero(a, sizeof(im_attr_item_t));
            a->key = key;
        }

        over = 0;

        switch (op) {

        case IM_COUNTER_INCREASE:
            over = __builtin_add_overflow(a->num, num, &a->num);
            break;

        case IM_COUNTER_DECREASE:
            over = __builtin_sub_overflow(a->num, num, &a->num);
            break;

        default: /* IM_COUNTER_SET */
            a->num = num;
            break;
        }

        if (over) {
            ngx_str_set(&ctx->info, "a counter would not fit into 64 bits");
            return IM_E_GROUP_PARAM;
        }

        a->changed = 1;
    }

    n = 0;

    for (i = 0; i < set->n; i++) {
        n += !set->items[i].gone;
    }

    return (n > IM_COUNTER_MAX) ? IM_E_COUNTER_MANY : IM_OK;
}


static void
im_group_counter_tell(im_ctx_t *ctx, im_group_t *group, im_attr_set_t *set,
    im_counter_op_e op)
{
    ngx_uint_t       i;
    im_json_t       *body, *info, *list, *item;
    im_attr_item_t  *a;

    body = im_json_new_obj(ctx->pool);

    im_json_add_int(body, "OpType", IM_TIP_INFO);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    (void) im_json_add_obj(body, "MsgGroupNewInfo");

    info = im_json_push_obj(im_json_add_list(body, "GroupCounterInfo"));

    im_json_add_int(info, "Type", (op == IM_COUNTER_SET) ? 0
                                  : (op == IM_COUNTER_DELETE) ? 1 : 2);
    im_json_add_int(info, "GroupCounterSeq", set->seq);

    list = im_json_add_list(info, "GroupCounter");

    for (i = 0; i < set->n; i++) {
        a = &set->items[i];

        if (!a->changed) {
            continue;
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "Key", &a->key);
        im_json_add_int(item, "Value", a->num);
    }

    im_group_signal(ctx, group, body);
}


im_code_t
im_group_counter_get(im_ctx_t *ctx, im_group_t *group, im_json_t *keys,
    im_json_t *reply)
{
    im_code_t       code;
    im_json_t      *list, *item, *key;
    ngx_uint_t      i;
    im_attr_set_t  *set;

    set = im_group_set_load(ctx, group, "counter", &code);
    if (set == NULL) {
        return code;
    }

    im_json_add_int(reply, "GroupCounterSeq", set->seq);
    list = im_json_add_list(reply, "GroupCounter");

    for (i = 0; i < set->n; i++) {

        if (keys && keys->n) {
            im_json_each(key, keys) {
                if (key->type == IM_JSON_STR
                    && im_str_eq(&key->u.text, &set->items[i].key))
                {
                    break;
                }
            }

            if (key == NULL) {
                continue;
            }
        }

        item = im_json_push_obj(list);
        im_json_add_str(item, "Key", &set->items[i].key);
        im_json_add_int(item, "Value", set->items[i].num);
    }

    return IM_OK;
}


void
im_group_attr_delete_all(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group)
{
    im_key_t  key;

    im_group_set_key(ctx, group, "attr", &key);
    im_store_delete(batch, IM_T_GROUP_ATTR, &key);

    im_group_set_key(ctx, group, "counter", &key);
    im_store_delete(batch, IM_T_GROUP_ATTR, &key);
}


static ngx_int_t
im_group_set_rate(im_ctx_t *ctx, im_group_t *group)
{
    u_char     key[IM_ZONE_KEY_LEN];
    ngx_str_t  part;

    part.data = (u_char *) &group->gno;
    part.len = sizeof(int64_t);

    im_zone_key(key, ctx->app->id, IM_KEY_ATTR_RATE, &part, 1);

    return im_rate_take(key, IM_ATTR_RATE, IM_ATTR_RATE, ngx_current_msec);
}


static im_attr_item_t *
im_group_set_find(im_attr_set_t *set, ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < set->n; i++) {
        if (im_str_eq(&set->items[i].key, key)) {
            return &set->items[i];
        }
    }

    return NULL;
}


/* The row holds the items as the JSON text [[key, value, seq], ...]. */

static im_attr_set_t *
im_group_set_load(im_ctx_t *ctx, im_group_t *group, const char *name,
    im_code_t *code)
{
    im_key_t         key;
    im_row_t         row;
    ngx_int_t        rc;
    ngx_str_t        text;
    im_json_t       *list, *item, *node;
    im_attr_set_t   *set;
    im_attr_item_t  *a;

    *code = IM_E_GROUP_INTERNAL;

    set = ngx_pcalloc(ctx->pool, sizeof(im_attr_set_t));
    if (set == NULL) {
        return NULL;
    }

    im_group_set_key(ctx, group, name, &key);

    rc = im_store_get(ctx, IM_T_GROUP_ATTR, &key, &row);

    if (rc == NGX_DECLINED) {
        return set;
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    set->version = row.version;
    (void) im_row_int(&row, "seq", &set->seq);

    if (im_row_str(&row, "items", &text) != NGX_OK) {
        return set;
    }

    if (im_json_parse(ctx->pool, &text, 4, &list) != NGX_OK) {
        return NULL;
    }

    im_json_each(item, list) {

        node = im_json_first(item);

        if (set->n == IM_ATTR_MAX + IM_COUNTER_MAX || node == NULL
            || node->next == NULL || node->next->next == NULL)
        {
            return NULL;
        }

        a = &set->items[set->n++];

        a->key = node->u.text;
        a->seq = node->next->next->num;

        if (node->next->type == IM_JSON_STR) {
            a->value = node->next->u.text;

        } else {
            a->num = node->next->num;
        }
    }

    return set;
}


/* NGX_DECLINED: changed meanwhile; NGX_ABORT: the group is gone. */

static ngx_int_t
im_group_set_store(im_ctx_t *ctx, im_group_t *group, const char *name,
    im_attr_set_t *set, const char *option, im_json_t *given)
{
    im_key_t         key;
    im_doc_t        *doc;
    ngx_int_t        rc;
    ngx_str_t        text;
    im_json_t       *list, *item;
    ngx_uint_t       i;
    im_batch_t      *batch;
    im_attr_item_t  *a;

    list = im_json_new_list(ctx->pool);

    for (i = 0; i < set->n; i++) {
        a = &set->items[i];

        if (a->gone) {
            continue;
        }

        item = im_json_push_list(list);
        im_json_push_str(item, &a->key);

        if (name[0] == 'a') {
            im_json_push_str(item, &a->value);

        } else {
            im_json_push_int(item, a->num);
        }

        im_json_push_int(item, a->seq);
    }

    if (im_json_render(ctx->pool, list, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    doc = im_doc(ctx->pool);
    im_doc_int(doc, "seq", set->seq);
    im_doc_str(doc, "items", &text);

    im_group_set_key(ctx, group, name, &key);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_group_expect(ctx, batch, group);
    im_store_replace(batch, IM_T_GROUP_ATTR, &key, set->version, doc);

    im_callback_stage(ctx, batch);

    if (option) {
        im_callback_group_attr(ctx, group, option, given);
    }

    rc = im_store_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    return (rc == NGX_DECLINED && batch->failed == 0) ? NGX_ABORT : rc;
}


static void
im_group_set_key(im_ctx_t *ctx, im_group_t *group, const char *name,
    im_key_t *key)
{
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    im_key_init(key, ctx->app->id);
    im_key_int(key, group->gno);
    im_key_str(key, &s);
}
