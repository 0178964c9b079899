
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_SPEAK_H_INCLUDED_
#define _IM_GROUP_SPEAK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group_message.h"


/*
 * Who may speak in a group: what is checked of an ordinary message before it
 * is sent, in this order.  All of it holds for stored groups and live rooms.
 */

/*
 * Member, mutes (README of the specification, steps 5 and 6).  *card: his
 * NameCard; *exempt: the limits of the group do not hold for him.  10007:
 * not a member, or the type lets only the app speak; 10017: muted; 10002.
 */
im_code_t im_group_speak_check(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt);

/* Takes one from sender_rate, the sender's own limit.  10023: none is left. */
im_code_t im_group_speak_sender(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send);

/*
 * Dirty words (80001), and the app's own verdict, its code.  It may change
 * the body and say that nobody gets the message (send->dropped).  Then waits
 * until what the connection sent to the group before has its numbers.  After
 * either wait the group and the rights are read and checked again.
 */
im_code_t im_group_speak_ask(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt);

/* NGX_DECLINED: over the limits of the group, send has the answer. */
ngx_int_t im_group_speak_rate(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_uint_t exempt);


#endif /* _IM_GROUP_SPEAK_H_INCLUDED_ */
