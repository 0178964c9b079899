
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_limit.h"
#include "live/im_marker.h"
#include "live/im_redis.h"


#define IM_MARKER_TAKEN  1
#define IM_MARKER_DONE   2


static ngx_int_t im_marker_put_locked(im_zone_sh_t *sh, im_zone_entry_t *e,
    u_char *key, ngx_str_t *result, ngx_msec_t ttl);
static int64_t im_marker_int(u_char *p, size_t len);


ngx_int_t
im_marker_take(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ttl, ngx_str_t *left,
    ngx_pool_t *pool, ngx_str_t *result)
{
    size_t            len;
    u_char            buf[IM_MARKER_RESULT_MAX];
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    /* a: when the time of who has taken it is over */

    len = 0;
    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_MARKER, key, left ? left->len : 0);

        if (e) {
            e->state = IM_MARKER_TAKEN;
            e->a = ngx_current_msec + ttl;
            e->expires = ngx_current_msec + ttl;

            if (left) {
                e->expires += IM_MARKER_LEFT;
                ngx_memcpy(e->data, left->data, left->len);
            }
        }

    } else if (e->state == IM_MARKER_DONE
               || (ngx_msec_int_t) ((ngx_msec_t) e->a - ngx_current_msec)
                  <= 0)
    {
        len = e->len;
        ngx_memcpy(buf, e->data, len);
        rc = NGX_DONE;

    } else {
        rc = NGX_BUSY;
    }

    im_zone_unlock(sh);

    if (rc == NGX_DONE && result) {
        result->len = len;
        result->data = ngx_pnalloc(pool, len + 1);

        if (result->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(result->data, buf, len);
    }

    return rc;
}


void
im_marker_release(u_char key[IM_ZONE_KEY_LEN])
{
    im_marker_drop(key);

    if (im_redis_configured()) {
        im_limit_marker_release(key);
    }
}


void
im_marker_drop(u_char key[IM_ZONE_KEY_LEN])
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_TAKEN) {
        im_zone_remove_locked(sh, e);
    }

    im_zone_unlock(sh);
}


ngx_int_t
im_marker_done(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl)
{
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);
    rc = im_marker_put_locked(sh, e, key, result, ttl);

    im_zone_unlock(sh);

    if (im_redis_configured()) {

        if (result->len <= IM_MARKER_RESULT_MAX) {
            im_limit_marker_done(key, result, ttl);

        } else {
            im_limit_marker_release(key);
        }
    }

    return rc;
}


ngx_int_t
im_marker_heard(u_char key[IM_ZONE_KEY_LEN], ngx_str_t *result,
    ngx_msec_t ttl)
{
    int64_t           n;
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_DONE) {

        n = im_marker_int(e->data, e->len);

        if (n && n != im_marker_int(result->data, result->len)) {
            rc = NGX_DECLINED;
        }

    } else if (result->len <= IM_MARKER_RESULT_MAX) {
        (void) im_marker_put_locked(sh, e, key, result, ttl);
    }

    im_zone_unlock(sh);

    return rc;
}


/* In place of the entry that the key has, or NULL. */

static ngx_int_t
im_marker_put_locked(im_zone_sh_t *sh, im_zone_entry_t *e, u_char *key,
    ngx_str_t *result, ngx_msec_t ttl)
{
    if (e && offsetof(im_zone_entry_t, data) + result->len > e->size) {
        im_zone_remove_locked(sh, e);
        e = NULL;
    }

    if (result->len > IM_MARKER_RESULT_MAX) {
        return NGX_DECLINED;
    }

    if (e == NULL) {
        e = im_zone_new_locked(sh, IM_LRU_MARKER, key, result->len);
        if (e == NULL) {
            return NGX_DECLINED;
        }
    }

    e->state = IM_MARKER_DONE;
    e->len = result->len;
    e->expires = ngx_current_msec + ttl;
    ngx_memcpy(e->data, result->data, result->len);

    return NGX_OK;
}


int64_t
im_marker_number(u_char key[IM_ZONE_KEY_LEN])
{
    int64_t           n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    n = 0;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_MARKER, key);

    if (e && e->state == IM_MARKER_DONE) {
        n = im_marker_int(e->data, e->len);
    }

    im_zone_unlock(sh);

    return n;
}


/* The number that a result begins with. */

static int64_t
im_marker_int(u_char *p, size_t len)
{
    size_t   i;
    int64_t  n;

    n = 0;

    for (i = 0; i < len && i < NGX_INT64_LEN - 2; i++) {

        if (p[i] < '0' || p[i] > '9') {
            break;
        }

        n = n * 10 + (p[i] - '0');
    }

    return n;
}
