
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_account.h"
#include "domain/im_relation.h"


/* Rows of relations: what they hold, how they are read. */

static ngx_int_t im_rel_load_table(im_ctx_t *ctx, ngx_str_t *user,
    im_pair_t *pairs, ngx_uint_t n, im_table_e table, im_key_t *keys,
    im_row_t *rows);
static void im_rel_name(im_ctx_t *ctx, ngx_str_t *peer, ngx_str_t *name);


im_record_t  im_friend_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_friend_t, user) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_friend_t, peer) },
    { ngx_string("remark"), IM_COL_STR, offsetof(im_friend_t, remark) },
    { ngx_string("source"), IM_COL_STR, offsetof(im_friend_t, source) },
    { ngx_string("wording"), IM_COL_STR, offsetof(im_friend_t, wording) },
    { ngx_string("groups"), IM_COL_STR, offsetof(im_friend_t, groups) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_friend_t, custom) },
    { ngx_string("added"), IM_COL_INT, offsetof(im_friend_t, added) },
    { ngx_string("retime"), IM_COL_INT, offsetof(im_friend_t, retime) },
    { ngx_string("made"), IM_COL_INT, offsetof(im_friend_t, made) },
      im_null_record
};


im_record_t  im_request_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_request_t, user) },
    { ngx_string("dir"), IM_COL_INT, offsetof(im_request_t, dir) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_request_t, peer) },
    { ngx_string("source"), IM_COL_STR, offsetof(im_request_t, source) },
    { ngx_string("wording"), IM_COL_STR, offsetof(im_request_t, wording) },
    { ngx_string("remark"), IM_COL_STR, offsetof(im_request_t, remark) },
    { ngx_string("added"), IM_COL_INT, offsetof(im_request_t, added) },
    { ngx_string("made"), IM_COL_INT, offsetof(im_request_t, made) },
      im_null_record
};


im_record_t  im_black_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_black_t, user) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_black_t, peer) },
    { ngx_string("added"), IM_COL_INT, offsetof(im_black_t, added) },
    { ngx_string("made"), IM_COL_INT, offsetof(im_black_t, made) },
      im_null_record
};


im_record_t  im_recommend_record[] = {
    { ngx_string("user"), IM_COL_STR, offsetof(im_recommend_t, user) },
    { ngx_string("peer"), IM_COL_STR, offsetof(im_recommend_t, peer) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_recommend_t, custom) },
    { ngx_string("added"), IM_COL_INT, offsetof(im_recommend_t, added) },
    { ngx_string("made"), IM_COL_INT, offsetof(im_recommend_t, made) },
      im_null_record
};


im_record_t  im_rel_count_record[] = {
    { ngx_string("friends"), IM_COL_INT, offsetof(im_rel_count_t, friends) },
    { ngx_string("groups"), IM_COL_INT, offsetof(im_rel_count_t, groups) },
    { ngx_string("blacks"), IM_COL_INT, offsetof(im_rel_count_t, blacks) },
    { ngx_string("requests"), IM_COL_INT,
      offsetof(im_rel_count_t, requests) },
    { ngx_string("std"), IM_COL_INT, offsetof(im_rel_count_t, std) },
    { ngx_string("custom"), IM_COL_INT, offsetof(im_rel_count_t, custom) },
    { ngx_string("group"), IM_COL_INT, offsetof(im_rel_count_t, group) },
    { ngx_string("pendency"), IM_COL_INT,
      offsetof(im_rel_count_t, pendency) },
    { ngx_string("black"), IM_COL_INT, offsetof(im_rel_count_t, black) },
    { ngx_string("recommends"), IM_COL_INT,
      offsetof(im_rel_count_t, recommends) },
    { ngx_string("recommend"), IM_COL_INT,
      offsetof(im_rel_count_t, recommend) },
    { ngx_string("reported"), IM_COL_INT,
      offsetof(im_rel_count_t, reported) },
    { ngx_string("recreported"), IM_COL_INT,
      offsetof(im_rel_count_t, recreported) },
      im_null_record
};


ngx_int_t
im_rel_count(im_ctx_t *ctx, ngx_str_t *user, im_rel_count_t *count)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    ngx_memzero(count, sizeof(im_rel_count_t));

    im_rel_count_key(ctx, user, &key);

    rc = im_store_get(ctx, IM_T_COUNT, &key, &row);

    if (rc == NGX_OK) {
        im_record_load(&row, im_rel_count_record, count);
    }

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


ngx_int_t
im_rel_pairs(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers, ngx_uint_t n,
    im_pair_t *pairs)
{
    im_key_t    *keys;
    im_row_t    *rows;
    ngx_int_t    rc;
    ngx_uint_t   i, m;

    keys = ngx_palloc(ctx->pool, 2 * IM_REL_CHUNK * sizeof(im_key_t));
    rows = ngx_palloc(ctx->pool, 2 * IM_REL_CHUNK * sizeof(im_row_t));

    if (keys == NULL || rows == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i += m) {
        m = ngx_min(n - i, IM_REL_CHUNK);

        rc = im_rel_load(ctx, user, &peers[i], m, &pairs[i], keys, rows);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
im_rel_load(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peers, ngx_uint_t n,
    im_pair_t *pairs, im_key_t *keys, im_row_t *rows)
{
    ngx_int_t   rc;
    ngx_str_t   name;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_memzero(&pairs[i], sizeof(im_pair_t));
        pairs[i].peer = peers[i];

        im_rel_name(ctx, &peers[i], &name);
        im_rel_key(ctx, &name, &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_ACCOUNT, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        pairs[i].exists = (rows[i].data.data != NULL);

        im_rel_name(ctx, &peers[i], &name);
        im_rel_count_key(ctx, &name, &keys[i]);
    }

    rc = im_store_get_many(ctx, IM_T_COUNT, keys, n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[i].data.data) {
            im_record_load(&rows[i], im_rel_count_record, &pairs[i].count);
        }
    }

    rc = im_rel_load_table(ctx, user, pairs, n, IM_T_FRIEND, keys, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[2 * i].data.data) {
            im_record_load(&rows[2 * i], im_friend_record, &pairs[i].mine);
        }

        if (rows[2 * i + 1].data.data) {
            im_record_load(&rows[2 * i + 1], im_friend_record,
                           &pairs[i].his);
        }

        pairs[i].mine.user = *user;
        pairs[i].mine.peer = peers[i];
        pairs[i].mine.version = rows[2 * i].version;

        pairs[i].his.user = peers[i];
        pairs[i].his.peer = *user;
        pairs[i].his.version = rows[2 * i + 1].version;
    }

    rc = im_rel_load_table(ctx, user, pairs, n, IM_T_BLACK, keys, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[2 * i].data.data) {
            im_record_load(&rows[2 * i], im_black_record, &pairs[i].black);
        }

        if (rows[2 * i + 1].data.data) {
            im_record_load(&rows[2 * i + 1], im_black_record,
                           &pairs[i].black_his);
        }

        pairs[i].black.user = *user;
        pairs[i].black.peer = peers[i];
        pairs[i].black.version = rows[2 * i].version;

        pairs[i].black_his.user = peers[i];
        pairs[i].black_his.peer = *user;
        pairs[i].black_his.version = rows[2 * i + 1].version;
    }

    rc = im_rel_load_table(ctx, user, pairs, n, IM_T_RECOMMEND, keys, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[2 * i].data.data) {
            im_record_load(&rows[2 * i], im_recommend_record, &pairs[i].rec);
        }

        if (rows[2 * i + 1].data.data) {
            im_record_load(&rows[2 * i + 1], im_recommend_record,
                           &pairs[i].rec_his);
        }

        pairs[i].rec.user = *user;
        pairs[i].rec.peer = peers[i];
        pairs[i].rec.version = rows[2 * i].version;

        pairs[i].rec_his.user = peers[i];
        pairs[i].rec_his.peer = *user;
        pairs[i].rec_his.version = rows[2 * i + 1].version;
    }

    rc = im_rel_load_table(ctx, user, pairs, n, IM_T_FRIEND_REQ, keys, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (rows[2 * i].data.data) {
            im_record_load(&rows[2 * i], im_request_record, &pairs[i].out);
        }

        if (rows[2 * i + 1].data.data) {
            im_record_load(&rows[2 * i + 1], im_request_record,
                           &pairs[i].in);
        }

        pairs[i].out.version = rows[2 * i].version;
        pairs[i].in.version = rows[2 * i + 1].version;
    }

    return NGX_OK;
}


ngx_int_t
im_rel_profiles(im_ctx_t *ctx, im_pair_t *pairs, ngx_uint_t n)
{
    ngx_int_t      rc;
    ngx_str_t     *names;
    ngx_uint_t     i;
    im_profile_t  *profiles;

    names = ngx_palloc(ctx->pool, n * sizeof(ngx_str_t));
    profiles = ngx_palloc(ctx->pool, n * sizeof(im_profile_t));

    if (names == NULL || profiles == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        names[i] = pairs[i].peer;
    }

    rc = im_profile_get_many(ctx, names, n, profiles);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        pairs[i].profile = profiles[i];
    }

    return NGX_OK;
}


/* Two rows for each pair; version is 0 where there is none. */

static ngx_int_t
im_rel_load_table(im_ctx_t *ctx, ngx_str_t *user, im_pair_t *pairs,
    ngx_uint_t n, im_table_e table, im_key_t *keys, im_row_t *rows)
{
    ngx_int_t   rc;
    ngx_str_t   name;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        im_rel_name(ctx, &pairs[i].peer, &name);

        if (table == IM_T_FRIEND_REQ) {
            im_rel_request_key(ctx, user, IM_REQ_OUT, &name, &keys[2 * i]);
            im_rel_request_key(ctx, user, IM_REQ_IN, &name,
                               &keys[2 * i + 1]);
            continue;
        }

        im_rel_pair_key(ctx, user, &name, &keys[2 * i]);
        im_rel_pair_key(ctx, &name, user, &keys[2 * i + 1]);
    }

    rc = im_store_get_many(ctx, table, keys, 2 * n, rows);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < 2 * n; i++) {
        if (rows[i].data.data == NULL) {
            rows[i].version = 0;
        }
    }

    return NGX_OK;
}


/* What cannot be an account is looked for by a name that none can have. */

static void
im_rel_name(im_ctx_t *ctx, ngx_str_t *peer, ngx_str_t *name)
{
    if (im_account_syntax(ctx->app, peer)) {
        *name = *peer;

    } else {
        ngx_str_set(name, "\x01");
    }
}


void
im_rel_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, user);
}


void
im_rel_count_key(im_ctx_t *ctx, ngx_str_t *user, im_key_t *key)
{
    static ngx_str_t  kind = ngx_string("relation");

    im_rel_key(ctx, &kind, key);
    im_key_str(key, user);
}


void
im_rel_request_key(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t dir,
    ngx_str_t *peer, im_key_t *key)
{
    im_rel_key(ctx, user, key);
    im_key_int(key, dir);
    im_key_str(key, peer);
}


void
im_rel_pair_key(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    im_key_t *key)
{
    im_rel_key(ctx, user, key);
    im_key_str(key, peer);
}
