
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GUEST_H_INCLUDED_
#define _IM_GUEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "live/im_room_member.h"
#include "web/im_frame.h"


/*
 * Somebody who is not logged in and reads a live room over a connection that
 * goes one way (Server-Sent Events).
 */

typedef struct im_guest_s       im_guest_t;
typedef struct im_guest_room_s  im_guest_room_t;


/* What the transport does; none of it frees the guest at once. */

typedef struct {
    /* Queues the frame in IM_FORM_SSE (takes a reference); frame->seq is the
     * message's number, by which the client resumes.  NGX_OK; NGX_BUSY: the
     * reader is slow, not queued; NGX_ERROR: it is gone. */
    ngx_int_t        (*send)(im_guest_t *guest, im_frame_t *frame);

    /* The room has ended. */
    void             (*close)(im_guest_t *guest);
} im_guest_ops_t;


/* Memory of the transport; zeroed, the first block is set by it. */

struct im_guest_s {
    im_guest_ops_t    *ops;
    void              *data;
    im_app_t          *app;
    int64_t            last;         /* number of the last message that the
                                        client has, 0: begins now */

    im_room_member_t   member;
    uint64_t           gno;
    im_guest_room_t   *room;         /* in this worker, while it is open */
    ngx_queue_t        queue;        /* guests of the room */
    ngx_uint_t         told;         /* the change of the audience that it
                                        knows of */
    unsigned           open:1;
};


/*
 * Finds the room and subscribes; what came after guest->last and is still
 * there is sent at once, then the audience: at first, and when it has
 * changed, an event "audience" with {"OnlineMemberNum":n}.  May suspend: the
 * transport keeps the guest until it returns.  IM_OK; IM_E_GROUP_ID,
 * IM_E_GROUP_NONE: no such room; IM_E_GROUP_RIGHT: guests do not read groups
 * of this type; others: failed.
 */
im_code_t im_guest_open(im_ctx_t *ctx, im_guest_t *guest, ngx_str_t *gid);

/* The connection has ended; may be called for one that is not open. */
void im_guest_close(im_guest_t *guest);


#endif /* _IM_GUEST_H_INCLUDED_ */
