
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_member.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "web/im_guest.h"
#include "web/im_web_session.h"


#define IM_GUEST_MISSED        IM_ROOM_READ_MAX
#define IM_GUEST_MISSED_BYTES  (48 * 1024)


static ngx_int_t im_guest_missed(im_bus_buf_t *buf, void *data);
static void im_guest_deliver(im_room_member_t *m, im_bus_buf_t *buf);
static void im_guest_closed(im_room_member_t *m);
static ngx_int_t im_guest_send(im_guest_t *guest, im_bus_buf_t *buf);
static im_frame_t *im_guest_frame(im_bus_buf_t *buf);


im_code_t
im_guest_open(im_ctx_t *ctx, im_guest_t *guest, ngx_str_t *gid)
{
    int64_t     last, oldest;
    ngx_int_t   rc;
    im_code_t   code;
    im_group_t  group;

    ctx->role = IM_ROLE_GUEST;

    code = im_group_load(ctx, gid, &group);
    if (code != IM_OK) {
        return code;
    }

    code = im_group_member_may_join(ctx, &group);
    if (code != IM_OK) {
        return code;
    }

    if (im_room_open(ctx->app->id, group.gno) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    guest->gno = group.gno;

    guest->member.deliver = im_guest_deliver;
    guest->member.closed = im_guest_closed;
    guest->member.data = guest;
    guest->member.guest = 1;

    if (im_room_subscribe(ctx->app->id, group.gno, &guest->member)
        != NGX_OK)
    {
        return IM_E_GROUP_INTERNAL;
    }

    guest->open = 1;

    /* what was published before comes from the log, what comes later by
     * deliver(), which looks at guest->last */

    last = im_room_last(ctx->app->id, group.gno);

    if (guest->last == 0) {
        guest->last = last;
        return IM_OK;
    }

    if (guest->last > last) {

        /* the zone is younger: all is new in it */

        guest->last = 0;
    }

    rc = im_room_read(ctx->app->id, group.gno, guest->last + 1,
                      IM_GUEST_MISSED, IM_GUEST_MISSED_BYTES, &oldest,
                      im_guest_missed, guest);

    if (rc == NGX_ERROR) {
        im_guest_close(guest);
        return IM_E_GROUP_INTERNAL;
    }

    return IM_OK;
}


void
im_guest_close(im_guest_t *guest)
{
    if (guest->open) {
        im_room_unsubscribe(&guest->member);
        guest->open = 0;
    }
}


static ngx_int_t
im_guest_missed(im_bus_buf_t *buf, void *data)
{
    im_guest_t  *guest = data;

    return (im_guest_send(guest, buf) == NGX_OK) ? NGX_OK : NGX_DONE;
}


static void
im_guest_deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    im_guest_t  *guest = m->data;

    if ((int64_t) buf->seq > guest->last) {
        (void) im_guest_send(guest, buf);
    }
}


static void
im_guest_closed(im_room_member_t *m)
{
    im_guest_t  *guest = m->data;

    guest->open = 0;
    guest->ops->close(guest);
}


/* A slow reader loses it. */

static ngx_int_t
im_guest_send(im_guest_t *guest, im_bus_buf_t *buf)
{
    im_frame_t       *frame;
    im_group_item_t   item;

    guest->last = buf->seq;

    if (im_group_item(&buf->payload, &item) != NGX_OK || item.signal) {
        return NGX_OK;
    }

    frame = im_guest_frame(buf);

    return frame ? guest->ops->send(guest, frame) : NGX_ERROR;
}


static im_frame_t *
im_guest_frame(im_bus_buf_t *buf)
{
    u_char           *p;
    im_frame_t       *frame;
    im_group_item_t   item;

    frame = buf->encoded[IM_GUEST_ENCODING];

    if (frame) {
        return frame;
    }

    if (im_group_item(&buf->payload, &item) != NGX_OK) {
        return NULL;
    }

    frame = im_frame_alloc(item.text.len, ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    p = ngx_cpymem(frame->text.data, item.text.data, item.text.len);

    frame->text.len = p - frame->text.data;
    frame->seq = buf->seq;
    frame->priority = buf->flags + 1;

    buf->encoded[IM_GUEST_ENCODING] = frame;
    buf->encoded_free = im_web_encoded_free;

    return frame;
}
