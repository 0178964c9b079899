
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_zone.h"


/*
 * Users of live rooms who have lost their connection and keep their place:
 * after a while they are silent, and when they come back no longer.
 */


typedef struct {
    ngx_uint_t         app;
    uint64_t           gno;
    ngx_uint_t         online;
    size_t             len;
    u_char             name[IM_ROOM_NAME_MAX];
} im_room_silence_t;


static void im_room_silent_add(im_room_joined_t *j, ngx_uint_t online);


static im_room_silence_t  im_room_silences[IM_ROOM_BATCH];
static ngx_uint_t         im_room_nsilences;

static im_room_silent_pt  im_room_silent_fn;
static ngx_msec_t         im_room_silent_time;


void
im_room_silent_handler(ngx_msec_t time, im_room_silent_pt fn)
{
    im_room_silent_time = time;
    im_room_silent_fn = fn;
    im_room_nsilences = 0;
}


void
im_room_silent_begin_locked(im_zone_sh_t *sh, im_room_joined_t *j)
{
    if (j->waits || j->silent) {
        return;
    }

    j->waits = 1;
    j->since = ngx_current_msec;

    ngx_queue_insert_tail(&sh->silent, &j->silence);
}


void
im_room_silent_end_locked(im_room_joined_t *j)
{
    if (j->waits) {
        j->waits = 0;
        ngx_queue_remove(&j->silence);
    }
}


void
im_room_back_locked(im_room_joined_t *j, ngx_uint_t tell)
{
    im_room_silent_end_locked(j);

    if (j->silent) {
        j->silent = 0;

        if (tell) {
            im_room_silent_add(j, 1);
        }
    }
}


ngx_uint_t
im_room_silent_due_locked(im_zone_sh_t *sh)
{
    ngx_uint_t         n;
    ngx_queue_t       *q;
    im_room_joined_t  *j;

    for (n = 0; n < IM_ROOM_BATCH && !ngx_queue_empty(&sh->silent); n++) {

        q = ngx_queue_head(&sh->silent);
        j = ngx_queue_data(q, im_room_joined_t, silence);

        if (ngx_current_msec - j->since < im_room_silent_time) {
            break;
        }

        im_room_silent_end_locked(j);

        j->silent = 1;
        im_room_silent_add(j, 0);
    }

    return n;
}


static void
im_room_silent_add(im_room_joined_t *j, ngx_uint_t online)
{
    im_room_silence_t  *s;

    if (im_room_silent_fn == NULL
        || j->room->closing
        || im_room_nsilences == IM_ROOM_BATCH)
    {
        return;
    }

    s = &im_room_silences[im_room_nsilences++];

    s->app = j->node.app;
    s->gno = j->node.gno;
    s->online = online;
    s->len = ngx_min(j->node.len, IM_ROOM_NAME_MAX);
    ngx_memcpy(s->name, j->name, s->len);
}


void
im_room_silent_tell(void)
{
    ngx_str_t           user;
    ngx_uint_t          i;
    im_room_silence_t  *s;

    for (i = 0; i < im_room_nsilences; i++) {
        s = &im_room_silences[i];

        user.data = s->name;
        user.len = s->len;

        im_room_silent_fn(s->app, s->gno, &user, s->online);
    }

    im_room_nsilences = 0;
}


void
im_room_back(ngx_uint_t app, uint64_t gno, ngx_str_t *user, ngx_uint_t tell)
{
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j) {
        im_room_back_locked(j, tell);
    }

    im_zone_unlock(sh);

    im_room_silent_tell();
}
