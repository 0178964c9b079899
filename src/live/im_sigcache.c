
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_sigcache.h"
#include "live/im_zone.h"


ngx_int_t
im_sigcache_get(u_char digest[32], time_t *sig_time, time_t *expires)
{
    ngx_int_t         rc;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    rc = NGX_DECLINED;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_SIG, digest);

    if (e && ngx_memcmp(e->data, digest, 32) == 0) {

        if (e->b > ngx_time()) {
            *sig_time = e->a;
            *expires = e->b;
            rc = NGX_OK;

        } else {
            im_zone_remove_locked(sh, e);
        }
    }

    im_zone_unlock(sh);

    return rc;
}


void
im_sigcache_put(u_char digest[32], time_t sig_time, time_t expires)
{
    time_t            now;
    im_zone_sh_t     *sh;
    im_zone_entry_t  *e;

    now = ngx_time();

    if (expires <= now) {
        return;
    }

    sh = im_zone_lock();

    e = im_zone_get_locked(sh, IM_LRU_SIG, digest, 32);

    if (e) {
        ngx_memcpy(e->data, digest, 32);
        e->a = sig_time;
        e->b = expires;

        /* an hour is long enough for what is not used */

        e->expires = ngx_current_msec
                     + (ngx_msec_t) ngx_min(expires - now, 3600) * 1000;
    }

    im_zone_unlock(sh);
}
