
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_limit.h"
#include "live/im_rate.h"
#include "live/im_redis.h"
#include "live/im_zone.h"


ngx_int_t
im_rate_take(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t rate, ngx_uint_t burst,
    ngx_msec_t now)
{
    int64_t           max;
    ngx_int_t         rc;
    ngx_msec_int_t    ms;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    /* a: thousandths of tokens, b: when they were counted */

    if (rate == 0) {
        return NGX_OK;
    }

    max = (int64_t) ngx_max(burst, 1) * 1000;
    rc = NGX_OK;

    sh = im_zone_lock();

    e = im_zone_get_locked(sh, IM_LRU_RATE, key, 0);

    if (e) {

        if (e->expires == 0) {
            e->a = max;
            e->b = now;
        }

        ms = (ngx_msec_int_t) (now - (ngx_msec_t) e->b);

        if (ms > 0) {
            ms = ngx_min(ms, 3600000);
            e->a = ngx_min(e->a + ms * (int64_t) rate, max);
            e->b = now;
        }

        if (e->a >= 1000) {
            e->a -= 1000;

        } else {
            rc = NGX_DECLINED;
        }

        /* full again by then */

        e->expires = ngx_current_msec + max / rate + 1000;
    }

    im_zone_unlock(sh);

    if (rc == NGX_OK && im_redis_configured()) {
        im_limit_rate(key, ngx_max(burst, 1));
    }

    return rc;
}


void
im_rate_drain(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t ms)
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_RATE, key);

    if (e) {
        e->a = 0;
        e->b = ngx_current_msec + ms;
    }

    im_zone_unlock(sh);
}


ngx_uint_t
im_failures_add(u_char key[IM_ZONE_KEY_LEN], ngx_msec_t window)
{
    ngx_uint_t        n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    n = 1;

    sh = im_zone_lock();

    e = im_zone_get_locked(sh, IM_LRU_FAILURES, key, 0);

    if (e) {

        if (e->expires == 0) {
            e->expires = ngx_current_msec + window;
        }

        n = ++e->a;
    }

    im_zone_unlock(sh);

    if (im_redis_configured()) {
        im_limit_failures(key, window);
    }

    return n;
}


void
im_failures_heard(u_char key[IM_ZONE_KEY_LEN], ngx_uint_t n)
{
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_FAILURES, key);

    if (e) {
        e->a = ngx_max(e->a, (int64_t) n);
    }

    im_zone_unlock(sh);
}


ngx_uint_t
im_failures_get(u_char key[IM_ZONE_KEY_LEN])
{
    ngx_uint_t        n;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_FAILURES, key);
    n = e ? e->a : 0;

    im_zone_unlock(sh);

    return n;
}
