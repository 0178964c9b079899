
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room_node.h"


#define IM_ROOM_NODE_SORT   1000         /* users that are put in order */
#define IM_ROOM_VALUE       160


/*
 * Keys: "j" users of a room and "u" rooms of a user, both with values "node|
 * epoch|instance|second"; "k" marks of a room's users.  What a node wrote is
 * valid while it beats.
 */


/* beats, buses, id, user, gno, value, record, marks, "1": better ones than
 * those that are there, "1": only if he is not on another node; the marks that
 * the user has from now on */

static im_redis_script_t  im_room_join_script = im_redis_script(
    im_room_lua
    "local fresh = 1\n"
    "local marks = ARGV[8]\n"
    "local old = redis.call('HGET', KEYS[1], ARGV[4])\n"
    "local node = old and alive(old)\n"
    "if node then\n"
    "  fresh = 0\n"
    "  if ARGV[10] == '1'\n"
    "     and string.sub(old, 1, #ARGV[3] + 1) ~= ARGV[3] .. '|'\n"
    "  then\n"
    "    return { fresh, marks }\n"
    "  end\n"
    "  if ARGV[9] ~= '1' then\n"
    "    marks = redis.call('HGET', KEYS[3], ARGV[4]) or ''\n"
    "  end\n"
    "  if string.sub(old, 1, #ARGV[3] + 1) ~= ARGV[3] .. '|' then\n"
    "    redis.call('PUBLISH', ARGV[2] .. node, ARGV[7])\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], ARGV[4], ARGV[6])\n"
    "redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])\n"
    "redis.call('EXPIRE', KEYS[1], 604800)\n"
    "redis.call('EXPIRE', KEYS[2], 604800)\n"
    "if marks == '' then\n"
    "  redis.call('HDEL', KEYS[3], ARGV[4])\n"
    "else\n"
    "  redis.call('HSET', KEYS[3], ARGV[4], marks)\n"
    "  redis.call('EXPIRE', KEYS[3], 604800)\n"
    "end\n"
    "return { fresh, marks }\n");


/* beats, buses, id, user, gno, record; record "": only if it is ours */

static im_redis_script_t  im_room_leave_script = im_redis_script(
    im_room_lua
    "local old = redis.call('HGET', KEYS[1], ARGV[4])\n"
    "if not old then return 0 end\n"
    "local node = alive(old)\n"
    "if string.sub(old, 1, #ARGV[3] + 1) ~= ARGV[3] .. '|' then\n"
    "  if ARGV[6] == '' then return 0 end\n"
    "  if node then redis.call('PUBLISH', ARGV[2] .. node, ARGV[6]) end\n"
    "end\n"
    "redis.call('HDEL', KEYS[1], ARGV[4])\n"
    "redis.call('HDEL', KEYS[2], ARGV[5])\n"
    "redis.call('HDEL', KEYS[3], ARGV[4])\n"
    "return node and 1 or 0\n");


/* beats, field */

static im_redis_script_t  im_room_joined_script = im_redis_script(
    im_room_lua
    "local v = redis.call('HGET', KEYS[1], ARGV[2])\n"
    "if not v or not alive(v) then return {} end\n"
    "local inst, joined = string.match(v, '|(%d+)|(%d+)$')\n"
    "return { inst, joined }\n");


/* beats, id, limit, hidden: fields and values that are not ours; a part of
 * what is large.  Users with the mark that hides them are left out; "": no
 * marks are asked for */

static im_redis_script_t  im_room_list_script = im_redis_script(
    im_room_lua
    "local list, all = {}, {}\n"
    "if redis.call('HLEN', KEYS[1]) <= 1000 then\n"
    "  all = redis.call('HGETALL', KEYS[1])\n"
    "else\n"
    "  all = redis.call('HSCAN', KEYS[1], 0, 'COUNT', 1000)[2]\n"
    "end\n"
    "for i = 1, #all, 2 do\n"
    "  if #list / 4 >= tonumber(ARGV[3]) then break end\n"
    "  local v = all[i + 1]\n"
    "  if string.sub(v, 1, #ARGV[2] + 1) ~= ARGV[2] .. '|' and alive(v) then\n"
    "    local inst, joined = string.match(v, '|(%d+)|(%d+)$')\n"
    "    local marks = ARGV[4] ~= '' and\n"
    "                  redis.call('HGET', KEYS[2], all[i]) or ''\n"
    "    if not string.find(',' .. marks .. ',', ',' .. ARGV[4] .. ',', 1,\n"
    "                       true)\n"
    "       or ARGV[4] == ''\n"
    "    then\n"
    "      list[#list + 1] = all[i]\n"
    "      list[#list + 1] = inst\n"
    "      list[#list + 1] = joined\n"
    "      list[#list + 1] = marks\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return list\n");


/* Arguments of what concerns a user in a room, and their memory. */

typedef struct {
    ngx_str_t            args[13];
    u_char               keys[3][IM_REDIS_KEY_MAX];
    u_char               gno[NGX_INT64_LEN];
    u_char               value[IM_ROOM_VALUE];
    u_char               marks[IM_ROOM_MARKS_LEN];
} im_room_args_t;


/* one who joins, and what came back of it */

typedef struct {
    ngx_uint_t           app;
    uint64_t             gno;
    ngx_str_t            user;
    ngx_uint_t           fresh;
} im_room_joins_t;


typedef struct {
    uint64_t            *rooms;
    time_t              *joined;
    uint32_t             inst;
    ngx_uint_t           n;
    ngx_uint_t           max;
} im_room_found_t;


static ngx_int_t im_room_take_join(void *data, redisReply *reply);
static void im_room_join_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static ngx_uint_t im_room_add_others(ngx_uint_t app, uint64_t gno,
    ngx_uint_t newest, uint32_t hidden, ngx_uint_t skip, im_room_user_t *all,
    ngx_uint_t n, im_room_user_t *users, ngx_uint_t max);
static ngx_int_t im_room_take_user(void *data, redisReply *reply);
static ngx_int_t im_room_take_rooms(void *data, redisReply *reply);
static ngx_int_t im_room_join_args(im_room_args_t *a, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user, uint32_t inst, time_t joined,
    ngx_uint_t waits);
static ngx_int_t im_room_leave_args(im_room_args_t *a, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user, ngx_uint_t anywhere);
static void im_room_user_args(im_room_args_t *a, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user);
static ngx_int_t im_room_user_record(ngx_str_t *rec, ngx_uint_t app,
    uint64_t gno, ngx_str_t *user, ngx_uint_t joins);
static void im_room_node_left(im_node_record_t *rec, ngx_str_t *payload);
static int ngx_libc_cdecl im_room_oldest(const void *one, const void *two);
static int ngx_libc_cdecl im_room_newest(const void *one, const void *two);


ngx_int_t
im_room_join_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, time_t joined, ngx_msec_t ttl)
{
    ngx_int_t         rc;
    im_room_args_t    a;
    im_room_joins_t   join;

    rc = im_room_join(app, gno, user, inst, joined, ttl);

    if (rc == NGX_BUSY || !im_room_shared()) {
        return rc;
    }

    im_room_tell();

    if (im_room_join_args(&a, app, gno, user, inst, joined, 0) != NGX_OK) {
        return rc;
    }

    join.app = app;
    join.gno = gno;
    join.user = *user;
    join.fresh = 1;

    (void) im_redis_wait(&im_room_join_script, 3, a.args, 13,
                         im_room_take_join, &join);

    ngx_free(a.args[9].data);

    return (rc == NGX_OK && join.fresh) ? NGX_OK : NGX_DECLINED;
}


/* He brings the marks that he had on another node. */

static ngx_int_t
im_room_take_join(void *data, redisReply *reply)
{
    im_room_joins_t  *join = data;

    ngx_str_t  marks;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return NGX_ERROR;
    }

    join->fresh = im_redis_reply_int(reply, 0);
    im_redis_reply_str(reply, 1, &marks);

    im_room_marks_set(join->app, join->gno, &join->user, &marks);

    return NGX_OK;
}


void
im_room_node_join(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    uint32_t inst, time_t joined, ngx_uint_t waits)
{
    im_room_args_t    a;
    im_room_joins_t  *join;

    if (!im_redis_up()
        || im_room_join_args(&a, app, gno, user, inst, joined, waits)
           != NGX_OK)
    {
        return;
    }

    join = ngx_alloc(sizeof(im_room_joins_t) + user->len, ngx_cycle->log);

    if (join) {
        join->app = app;
        join->gno = gno;
        join->user.len = user->len;
        join->user.data = (u_char *) join + sizeof(im_room_joins_t);
        ngx_memcpy(join->user.data, user->data, user->len);

        if (im_redis_call(&im_room_join_script, 3, a.args, 13,
                          im_room_join_handler, join)
            != NGX_OK)
        {
            ngx_free(join);
        }
    }

    ngx_free(a.args[9].data);
}


static void
im_room_join_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    im_room_joins_t  *join = data;

    if (rc == NGX_OK) {
        (void) im_room_take_join(join, reply);

        /* another worker may have said so before */

        if (im_room_joined(join->app, join->gno, &join->user, NULL)
            != NGX_OK)
        {
            im_room_node_leave(join->app, join->gno, &join->user);
        }
    }

    ngx_free(join);
}


static ngx_int_t
im_room_join_args(im_room_args_t *a, ngx_uint_t app, uint64_t gno,
    ngx_str_t *user, uint32_t inst, time_t joined, ngx_uint_t waits)
{
    ngx_uint_t  unsaved;

    im_room_user_args(a, app, gno, user);

    a->args[8].data = a->value;
    a->args[8].len = ngx_snprintf(a->value, IM_ROOM_VALUE, "%V|%uD|%T",
                                  im_node_id(), inst, joined)
                     - a->value;

    im_room_marks_get(app, gno, user, &a->args[10], a->marks, &unsaved);

    a->args[11].data = (u_char *) (unsaved ? "1" : "0");
    a->args[11].len = 1;

    a->args[12].data = (u_char *) (waits ? "1" : "0");
    a->args[12].len = 1;

    return im_room_user_record(&a->args[9], app, gno, user, 1);
}


static void
im_room_user_args(im_room_args_t *a, ngx_uint_t app, uint64_t gno,
    ngx_str_t *user)
{
    im_redis_key(&a->args[0], a->keys[0], "j", app, gno, NULL);
    im_redis_key(&a->args[1], a->keys[1], "u", app, 0, user);
    im_redis_key(&a->args[2], a->keys[2], "k", app, gno, NULL);

    a->args[3] = *im_node_beats();
    a->args[4] = *im_node_buses();
    a->args[5] = *im_node_id();
    a->args[6] = *user;

    im_redis_int(&a->args[7], a->gno, gno);
}


/* for the node that the user was on */

static ngx_int_t
im_room_user_record(ngx_str_t *rec, ngx_uint_t app, uint64_t gno,
    ngx_str_t *user, ngx_uint_t joins)
{
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = gno;
    meta.flags = joins;

    return im_node_record(rec, IM_BUS_LEFT, &meta, user, 1);
}


ngx_int_t
im_room_leave_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user)
{
    int64_t          was;
    im_room_args_t   a;

    if (im_room_leave(app, gno, user, 0) == NGX_OK) {

        if (im_redis_configured()) {
            im_room_tell();
        }

        return NGX_OK;
    }

    if (!im_room_shared()
        || im_room_leave_args(&a, app, gno, user, 1) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    was = 0;

    (void) im_redis_wait(&im_room_leave_script, 3, a.args, 9,
                         im_room_take_int, &was);

    ngx_free(a.args[8].data);

    return was ? NGX_OK : NGX_DECLINED;
}


void
im_room_node_leave(ngx_uint_t app, uint64_t gno, ngx_str_t *user)
{
    im_room_args_t  a;

    if (im_redis_up()
        && im_room_leave_args(&a, app, gno, user, 0) == NGX_OK)
    {
        (void) im_redis_call(&im_room_leave_script, 3, a.args, 9, NULL,
                             NULL);
    }
}


static ngx_int_t
im_room_leave_args(im_room_args_t *a, ngx_uint_t app, uint64_t gno,
    ngx_str_t *user, ngx_uint_t anywhere)
{
    im_room_user_args(a, app, gno, user);

    if (anywhere) {
        return im_room_user_record(&a->args[8], app, gno, user, 0);
    }

    ngx_str_null(&a->args[8]);

    return NGX_OK;
}


ngx_int_t
im_room_joined_all(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    im_room_user_t *u)
{
    u_char           key[IM_REDIS_KEY_MAX];
    ngx_str_t        args[3];
    im_room_user_t   found;

    if (im_room_joined(app, gno, user, u) == NGX_OK) {
        return NGX_OK;
    }

    if (!im_room_shared() || user->len > IM_ROOM_NAME_MAX) {
        return NGX_DECLINED;
    }

    im_redis_key(&args[0], key, "j", app, gno, NULL);
    args[1] = *im_node_beats();
    args[2] = *user;

    if (im_redis_wait(&im_room_joined_script, 1, args, 3, im_room_take_user,
                      &found)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (u) {
        found.len = user->len;
        ngx_memcpy(found.name, user->data, user->len);
        *u = found;
    }

    return NGX_OK;
}


static ngx_int_t
im_room_take_user(void *data, redisReply *reply)
{
    im_room_user_t  *u = data;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return NGX_DECLINED;
    }

    u->inst = im_redis_reply_int(reply, 0);
    u->joined = im_redis_reply_int(reply, 1);
    u->nmarks = 0;

    return NGX_OK;
}


ngx_uint_t
im_room_list_all(ngx_uint_t app, uint64_t gno, ngx_uint_t newest,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max)
{
    ngx_uint_t       n;
    im_room_user_t  *all;

    if (!im_room_shared() || skip > IM_ROOM_NODE_SORT || max == 0) {
        return im_room_list(app, gno, newest, skip, users, max);
    }

    all = ngx_alloc(2 * (skip + max) * sizeof(im_room_user_t),
                    ngx_cycle->log);
    if (all == NULL) {
        return 0;
    }

    n = im_room_list(app, gno, newest, 0, all, skip + max);

    n = im_room_add_others(app, gno, newest, 0, skip, all, n, users, max);

    ngx_free(all);

    return n;
}


ngx_uint_t
im_room_marked_all(ngx_uint_t app, uint64_t gno, uint32_t mark,
    uint32_t hidden, ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max)
{
    ngx_uint_t       n;
    im_room_user_t  *all;

    if (!im_room_shared() || skip > IM_ROOM_NODE_SORT || max == 0) {
        return im_room_marked(app, gno, mark, hidden, skip, users, max);
    }

    if (mark) {
        return im_room_marked_list(app, gno, mark, skip, users, max);
    }

    all = ngx_alloc(2 * (skip + max) * sizeof(im_room_user_t),
                    ngx_cycle->log);
    if (all == NULL) {
        return 0;
    }

    n = im_room_marked(app, gno, 0, hidden, 0, all, skip + max);

    n = im_room_add_others(app, gno, 1, hidden, skip, all, n, users, max);

    ngx_free(all);

    return n;
}


/* all: n users of this node, and room for as many as are wanted */

static ngx_uint_t
im_room_add_others(ngx_uint_t app, uint64_t gno, ngx_uint_t newest,
    uint32_t hidden, ngx_uint_t skip, im_room_user_t *all, ngx_uint_t n,
    im_room_user_t *users, ngx_uint_t max)
{
    u_char            keys[2][IM_REDIS_KEY_MAX], num[2][NGX_INT64_LEN];
    ngx_str_t         args[6];
    im_room_users_t   others;

    others.users = all + n;
    others.n = 0;
    others.max = skip + max;

    im_redis_key(&args[0], keys[0], "j", app, gno, NULL);
    im_redis_key(&args[1], keys[1], "k", app, gno, NULL);
    args[2] = *im_node_beats();
    args[3] = *im_node_id();
    im_redis_int(&args[4], num[0], skip + max);
    im_redis_int(&args[5], num[1], hidden);

    (void) im_redis_wait(&im_room_list_script, 2, args, 6,
                         im_room_take_users, &others);

    n += others.n;

    if (others.n) {
        im_room_sort(all, n, newest);
    }

    n = (n > skip) ? ngx_min(n - skip, max) : 0;

    if (n) {
        ngx_memcpy(users, all + skip, n * sizeof(im_room_user_t));
    }

    return n;
}


ngx_int_t
im_room_take_users(void *data, redisReply *reply)
{
    im_room_users_t  *others = data;

    uint32_t         mark;
    ngx_str_t        name, marks;
    ngx_uint_t       i;
    im_room_user_t  *u;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i + 3 < reply->elements && others->n < others->max; i += 4) {

        im_redis_reply_str(reply, i, &name);

        if (name.len == 0 || name.len > IM_ROOM_NAME_MAX) {
            continue;
        }

        u = &others->users[others->n++];

        u->len = name.len;
        ngx_memcpy(u->name, name.data, name.len);
        u->inst = im_redis_reply_int(reply, i + 1);
        u->joined = im_redis_reply_int(reply, i + 2);
        u->nmarks = 0;

        im_redis_reply_str(reply, i + 3, &marks);

        while (u->nmarks < IM_ROOM_MARKS) {
            mark = im_room_marks_next(&marks);

            if (mark == 0) {
                break;
            }

            u->marks[u->nmarks++] = mark;
        }
    }

    return NGX_OK;
}


void
im_room_sort(im_room_user_t *users, ngx_uint_t n, ngx_uint_t newest)
{
    if (n > 1) {
        ngx_qsort(users, n, sizeof(im_room_user_t),
                  newest ? im_room_newest : im_room_oldest);
    }
}


static int ngx_libc_cdecl
im_room_oldest(const void *one, const void *two)
{
    const im_room_user_t  *a = one;
    const im_room_user_t  *b = two;

    if (a->joined != b->joined) {
        return (a->joined < b->joined) ? -1 : 1;
    }

    return ngx_memn2cmp((u_char *) a->name, (u_char *) b->name, a->len,
                        b->len);
}


static int ngx_libc_cdecl
im_room_newest(const void *one, const void *two)
{
    return im_room_oldest(two, one);
}


ngx_uint_t
im_room_of_user_all(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    uint64_t *rooms, time_t *joined, ngx_uint_t max)
{
    u_char            key[IM_REDIS_KEY_MAX];
    ngx_str_t         args[6];
    ngx_uint_t        i, n;
    im_room_user_t    u;
    im_room_found_t   found;

    n = im_room_of_user(app, user, inst, rooms, max);

    for (i = 0; i < n; i++) {
        joined[i] = (im_room_joined(app, rooms[i], user, &u) == NGX_OK)
                    ? u.joined : ngx_time();
    }

    if (!im_room_shared() || n == max) {
        return n;
    }

    found.rooms = rooms + n;
    found.joined = joined + n;
    found.inst = inst;
    found.n = 0;
    found.max = max - n;

    im_redis_key(&args[0], key, "u", app, 0, user);
    args[1] = args[0];
    args[2] = *im_node_beats();
    args[3] = *im_node_id();
    ngx_str_set(&args[4], "100");
    ngx_str_null(&args[5]);

    (void) im_redis_wait(&im_room_list_script, 2, args, 6,
                         im_room_take_rooms, &found);

    return n + found.n;
}


static ngx_int_t
im_room_take_rooms(void *data, redisReply *reply)
{
    im_room_found_t  *found = data;

    ngx_uint_t  i;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i + 3 < reply->elements && found->n < found->max; i += 4) {

        if (im_redis_reply_int(reply, i + 1) == found->inst) {
            found->rooms[found->n] = im_redis_reply_int(reply, i);
            found->joined[found->n++] = im_redis_reply_int(reply, i + 2);
        }
    }

    return NGX_OK;
}


/* The user is on another node now, or has left there. */

static void
im_room_node_left(im_node_record_t *rec, ngx_str_t *payload)
{
    if (rec->flags) {
        im_room_back(rec->app, rec->chain, payload, 1);
    }

    (void) im_room_leave(rec->app, rec->chain, payload, 0);

    im_room_tell();
}


void
im_room_node_user_init(void)
{
    im_node_handler(IM_BUS_LEFT, im_room_node_left);
}
