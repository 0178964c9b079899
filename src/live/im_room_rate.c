
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_limit.h"
#include "live/im_redis.h"
#include "live/im_room.h"
#include "live/im_room_zone.h"


/* data of an entry of IM_LRU_ROOM_RATE */

typedef struct {
    uint64_t           second;
    uint32_t           demand;
    uint32_t           before;       /* demand of the second before */
    uint32_t           used;
    uint32_t           prio[4];
} im_room_window_t;


ngx_int_t
im_room_rate(ngx_uint_t app, uint64_t gno, ngx_uint_t prio, ngx_uint_t exempt,
    im_room_limits_t *limits)
{
    u_char             key[IM_ZONE_KEY_LEN];
    uint64_t           second;
    ngx_int_t          rc;
    ngx_str_t          part;
    ngx_uint_t         total, limit;
    im_zone_sh_t      *sh;
    im_zone_entry_t   *e;
    im_room_window_t  *w;

    part.len = sizeof(uint64_t);
    part.data = (u_char *) &gno;

    im_zone_key(key, app, IM_KEY_ROOM_RATE, &part, 1);

    prio = ngx_min(prio, IM_ROOM_LOWEST);

    /* seconds of the clock are the same ones on all nodes */

    second = im_redis_configured() ? (uint64_t) ngx_time()
                                   : ngx_current_msec / 1000;
    rc = NGX_DECLINED;

    sh = im_zone_lock();

    e = im_zone_get_locked(sh, IM_LRU_ROOM_RATE, key,
                           sizeof(im_room_window_t));
    if (e == NULL) {
        rc = NGX_OK;
        goto done;
    }

    e->expires = ngx_current_msec + 3000;

    w = (im_room_window_t *) e->data;

    if (w->second != second) {
        limit = (w->second + 1 == second) ? w->demand : 0;

        ngx_memzero(w, sizeof(im_room_window_t));
        w->second = second;
        w->before = limit;
    }

    w->demand++;

    total = limits->total;

    if (total) {
        limit = total;

        /* a busy group keeps a part for what matters more */

        if (w->before > total) {
            switch (prio) {

            case IM_ROOM_NORMAL:
                limit = total - total / 8;
                break;

            case IM_ROOM_LOW:
                limit = total - total / 4;
                break;

            case IM_ROOM_LOWEST:
                limit = total / 2;
                break;
            }
        }

        if (w->used >= limit) {
            goto done;
        }
    }

    if (prio != IM_ROOM_HIGH
        && !exempt
        && limits->prio[prio]
        && w->prio[prio] >= limits->prio[prio])
    {
        goto done;
    }

    w->used++;

    if (!exempt) {
        w->prio[prio]++;
    }

    rc = NGX_OK;

done:

    im_zone_unlock(sh);

    if (rc == NGX_OK && im_redis_configured()) {
        im_limit_room(key, second);
    }

    return rc;
}


void
im_room_used(u_char *key, uint64_t second, ngx_uint_t n)
{
    im_zone_sh_t      *sh;
    im_zone_entry_t   *e;
    im_room_window_t  *w;

    sh = im_zone_lock();

    e = im_zone_find_locked(sh, IM_LRU_ROOM_RATE, key);

    if (e) {
        w = (im_room_window_t *) e->data;

        if (w->second == second) {
            w->used = ngx_max(w->used, n);
        }
    }

    im_zone_unlock(sh);
}
