
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_ROOM_NODE_H_INCLUDED_
#define _IM_ROOM_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_node.h"
#include "live/im_room.h"
#include "live/im_zone.h"


/*
 * Live rooms of several nodes.  Functions whose names end with "_all" suspend
 * the coroutine when there is a Redis; without one, or when it is down, they
 * are those of im_room.h.
 */

/* Messages of other nodes reach this one when it returns. */
void im_room_ready(ngx_uint_t app, uint64_t gno);

ngx_int_t im_room_block_all(ngx_uint_t app, uint64_t gno, int64_t first,
    int64_t last);
/*
 * A message that its sender repeats when nobody knows whether it was
 * published: its marker, which the sender has taken, says then "number time
 * 0" for ttl milliseconds, on all nodes that have heard of it.  They hand it
 * out once.
 */
typedef struct {
    u_char               key[IM_ZONE_KEY_LEN];
    int64_t              time;
    ngx_msec_t           ttl;
} im_room_once_t;

/* As im_room_publish(); once may be NULL. */
ngx_int_t im_room_publish_all(ngx_uint_t app, uint64_t gno, ngx_uint_t prio,
    ngx_str_t *parts, ngx_uint_t n, size_t offset, uint64_t except,
    im_room_once_t *once, int64_t *seq);
int64_t im_room_last_all(ngx_uint_t app, uint64_t gno);

void im_room_audience_all(ngx_uint_t app, uint64_t gno,
    im_room_audience_t *a);

/* As im_room_each(), rooms that have an audience on other nodes and are not
 * open on this one. */
ngx_uint_t im_room_each_other(ngx_uint_t app, uint64_t *after,
    uint64_t *gnos, ngx_uint_t max);

ngx_int_t im_room_join_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, time_t joined, ngx_msec_t ttl);
ngx_int_t im_room_leave_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user);
ngx_int_t im_room_joined_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    im_room_user_t *u);
ngx_uint_t im_room_of_user_all(ngx_uint_t app, ngx_str_t *user,
    uint32_t inst, uint64_t *rooms, time_t *joined, ngx_uint_t max);
ngx_uint_t im_room_list_all(ngx_uint_t app, uint64_t gno, ngx_uint_t newest,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max);

/* NGX_OK; NGX_BUSY: Redis went away, rc of the list is not set. */
ngx_int_t im_room_mark_all(ngx_uint_t app, uint64_t gno,
    im_room_mark_t *list, ngx_uint_t n, ngx_uint_t set);
ngx_uint_t im_room_marked_all(ngx_uint_t app, uint64_t gno, uint32_t mark,
    uint32_t hidden, ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max);


/* For im_room and im_room_member only. */

/* Tells the other nodes who is in, and who no longer is.  waits: he has no
 * socket here, so if he is on another node he stays there. */
void im_room_node_join(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, time_t joined, ngx_uint_t waits);
void im_room_node_leave(ngx_uint_t app, uint64_t gno, ngx_str_t *user);

/* Tells the other nodes of the audience here, and asks for theirs. */
void im_room_node_tell(ngx_uint_t app, uint64_t gno, im_room_audience_t *a);

ngx_int_t im_room_node_init_process(void);


/* For im_room_node, im_room_node_user and im_room_mark only. */

#define im_room_shared()  (im_redis_up() && im_bus_node()->up)

/* Lua: the node of a text that begins with "node|epoch", nil if it does not
 * beat any more; the first argument is the prefix of what beats. */

#define im_room_lua                                                           \
    "local beats = {}\n"                                                      \
    "local function alive(s)\n"                                               \
    "  local node, epoch = string.match(s, '^(.-)|(%d+)')\n"                  \
    "  if not node then return nil end\n"                                     \
    "  local b = beats[node]\n"                                               \
    "  if b == nil then\n"                                                    \
    "    b = redis.call('GET', ARGV[1] .. node) or '0'\n"                     \
    "    beats[node] = b\n"                                                   \
    "  end\n"                                                                 \
    "  return b == epoch and node or nil\n"                                   \
    "end\n"

/* data: int64_t * */
ngx_int_t im_room_take_int(void *data, redisReply *reply);

/* Users that others know of. */
typedef struct {
    im_room_user_t      *users;
    ngx_uint_t           n;
    ngx_uint_t           max;
} im_room_users_t;

/* A reply of names, instances, seconds, marks; data: im_room_users_t *. */
ngx_int_t im_room_take_users(void *data, redisReply *reply);
void im_room_sort(im_room_user_t *users, ngx_uint_t n, ngx_uint_t newest);

/*
 * Marks as text, "1000,1001"; buf has IM_ROOM_MARKS_LEN bytes.  unsaved: they
 * were changed while there was no Redis.
 */
#define IM_ROOM_MARKS_LEN  (IM_ROOM_MARKS * (NGX_INT32_LEN + 1))

void im_room_marks_get(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_str_t *text, u_char *buf, ngx_uint_t *unsaved);
void im_room_marks_set(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_str_t *text);
/* Users with a mark, of all nodes, the newest first. */
ngx_uint_t im_room_marked_list(ngx_uint_t app, uint64_t gno, uint32_t mark,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max);
/* The next mark of a text; 0: none. */
uint32_t im_room_marks_next(ngx_str_t *text);

void im_room_node_user_init(void);
void im_room_mark_init(void);


#endif /* _IM_ROOM_NODE_H_INCLUDED_ */
