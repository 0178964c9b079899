
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_WS_H_INCLUDED_
#define _IM_WS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* RFC 6455 without input or output: bytes to pieces of frames and back. */

#define IM_WS_CONT        0
#define IM_WS_TEXT        1
#define IM_WS_BINARY      2
#define IM_WS_CLOSE       8
#define IM_WS_PING        9
#define IM_WS_PONG        10

#define IM_WS_RSV1        0x40

#define IM_WS_NORMAL      1000
#define IM_WS_GOING_AWAY  1001
#define IM_WS_PROTOCOL    1002
#define IM_WS_NO_STATUS   1005
#define IM_WS_DATA        1007
#define IM_WS_POLICY      1008
#define IM_WS_TOO_BIG     1009
#define IM_WS_INTERNAL    1011
#define IM_WS_RESTART     1012
#define IM_WS_TRY_LATER   1013

#define IM_WS_HEAD_MAX    10         /* of a frame that is not masked */
#define IM_WS_ACCEPT_LEN  28


typedef struct {
    uint64_t       left;             /* of the frame's payload */
    uint32_t       total;            /* of the message, up to this frame */
    uint32_t       max;              /* longest message */
    u_char         head[14];
    u_char         have;             /* bytes in head */
    u_char         key;              /* which byte of the mask is next */

    unsigned       opcode:4;         /* of the frame */
    unsigned       message:4;        /* IM_WS_TEXT or BINARY, kept until the
                                        call after its last piece */
    unsigned       fin:1;
    unsigned       deflate:1;        /* permessage-deflate is agreed upon */
    unsigned       compressed:1;     /* the message is */
    unsigned       payload:1;        /* the head is complete */

    /* of the piece that im_ws_parse() has returned */
    unsigned       end:1;            /* the frame's last one */
    unsigned       done:1;           /* the message's last one */
} im_ws_t;


void im_ws_init(im_ws_t *ws, uint32_t max);

/*
 * Takes bytes that a client has sent.  NGX_OK: *piece is a part of the
 * payload, unmasked in place (maybe empty); it belongs to a control frame if
 * ws->opcode has IM_WS_CLOSE's bit, else to the open message.  NGX_AGAIN: all
 * is taken.  Above, the status to close with: IM_WS_PROTOCOL, IM_WS_TOO_BIG.
 */
ngx_int_t im_ws_parse(im_ws_t *ws, u_char **pos, u_char *last,
    ngx_str_t *piece);

/* The status to answer a Close frame of that payload with. */
ngx_uint_t im_ws_close_status(ngx_str_t *payload);

/* Writes the head of a final frame that is not masked; opcode may have
 * IM_WS_RSV1 (compressed). */
u_char *im_ws_head(u_char *p, ngx_uint_t opcode, size_t len);

/* 1 if Sec-WebSocket-Key is what it has to be. */
ngx_uint_t im_ws_key_valid(ngx_str_t *key);

/* Writes IM_WS_ACCEPT_LEN bytes, Sec-WebSocket-Accept. */
u_char *im_ws_accept(u_char *p, ngx_str_t *key);


#endif /* _IM_WS_H_INCLUDED_ */
