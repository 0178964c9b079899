
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_KEY_H_INCLUDED_
#define _IM_ROOM_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"


/*
 * LongPollingKey: who polls which room, signed with a secret of the app that
 * is in the store.  No worker remembers keys, and they outlive restarts.
 */

#define IM_ROOM_KEY_LIFE   600       /* seconds; polls renew it */
#define IM_ROOM_KEY_TEXT   320       /* bytes of a key at most */


typedef struct {
    int64_t            gno;
    int64_t            start;        /* first number wanted at joining */
    int64_t            expire;       /* second */
    uint64_t           id;           /* of a guest */
    uint32_t           inst;
    ngx_str_t          gid;
    ngx_str_t          user;         /* empty: a guest */
    ngx_str_t          secret;       /* of the app, empty: not read yet */
    unsigned           closed:1;     /* knows that the room was dissolved */
} im_room_key_t;


/* Signs; NGX_OK or NGX_ERROR. */
ngx_int_t im_room_key_make(im_ctx_t *ctx, im_room_key_t *key,
    ngx_str_t *text);

/* NGX_OK; NGX_DECLINED: not one of ours, or expired; NGX_ERROR. */
ngx_int_t im_room_key_read(im_ctx_t *ctx, ngx_str_t *text,
    im_room_key_t *key);


#endif /* _IM_ROOM_KEY_H_INCLUDED_ */
