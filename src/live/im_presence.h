
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_PRESENCE_H_INCLUDED_
#define _IM_PRESENCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_node.h"
#include "live/im_session.h"


/*
 * Sessions as all nodes see them: a hash in Redis for each user, an entry for
 * each instance, which names its node; a set for each node of the users that
 * it has.  For im_session only, but im_presence_gone_handler().
 */

/* Enters a session, and ends those of the same instance on other nodes; by a
 * coroutine: waits until it is there.  The session may be gone then. */
void im_presence_enter(im_session_t *s);
/* The same again, without waiting: a younger one elsewhere ends this one. */
void im_presence_again(im_session_t *s);
void im_presence_leave(im_session_t *s);

/* Publishes to the other nodes where the user, or the instance, has
 * sessions. */
void im_presence_publish(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    ngx_uint_t kind, im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n);

/* Instances on other nodes; suspends. */
ngx_uint_t im_presence_list(ngx_uint_t app, ngx_str_t *user,
    im_session_entry_t *entries, ngx_uint_t max);

/* Instances of n users on other nodes; suspends.  fn is called for each. */
void im_presence_each(ngx_uint_t app, ngx_str_t *users, ngx_uint_t n,
    im_session_each_pt fn, void *data);

/* fn is called in one worker of one node for users of a node that has died,
 * who may be on another one meanwhile. */
typedef void (*im_presence_gone_pt)(ngx_uint_t app, ngx_str_t *user);

void im_presence_gone_handler(im_presence_gone_pt fn);

/* Each second. */
void im_presence_tick(void);


#endif /* _IM_PRESENCE_H_INCLUDED_ */
