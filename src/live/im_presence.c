
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_presence.h"


/* of a user's hash, if nobody enters it again: im_session does each hour */

#define IM_PRESENCE_LIFE   "10800"

#define IM_PRESENCE_TEXT   128
#define IM_PRESENCE_EACH   500           /* users in a call */
#define IM_PRESENCE_SWEEP  500           /* users of a dead node in a second */
#define IM_PRESENCE_VALUE  (4 * NGX_INT64_LEN + 4)


/*
 * Fields are "node|epoch|inst", values "platform transport serial since".
 * An entry is valid while its node beats with the same epoch; what belongs to
 * an older epoch is removed.
 */

#define im_presence_lua                                                       \
    "local function beat(node)\n"                                             \
    "  local b = beats[node]\n"                                               \
    "  if b == nil then\n"                                                    \
    "    b = redis.call('GET', ARGV[1] .. node) or '0'\n"                     \
    "    beats[node] = b\n"                                                   \
    "  end\n"                                                                 \
    "  return b\n"                                                            \
    "end\n"

#define im_presence_field  "'^(.-)|(%d+)|(%d+)$'"
#define im_presence_value  "'^(%d+) (%d+) (%d+) (%d+)$'"


/* user, users of the node; beats, buses, node, epoch, inst, value, serial,
 * since, again, record, app and user */

static im_redis_script_t  im_presence_enter_script = im_redis_script(
    "local beats = {}\n"
    im_presence_lua
    "local mine = ARGV[3] .. '|' .. ARGV[4] .. '|' .. ARGV[5]\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  local f = all[i]\n"
    "  local _, _, serial, since = string.match(all[i + 1], "
                                                im_presence_value ")\n"
    "  local node, epoch, inst = string.match(f, " im_presence_field ")\n"
    "  if not node or not since then\n"
    "    redis.call('HDEL', KEYS[1], f)\n"
    "  elseif f == mine then\n"
    "    if tonumber(serial) > tonumber(ARGV[7]) then return 0 end\n"
    "  else\n"
    "    local b = beat(node)\n"
    "    if tonumber(b) > tonumber(epoch) then\n"
    "      redis.call('HDEL', KEYS[1], f)\n"
    "    elseif inst == ARGV[5] then\n"
    "      if ARGV[9] == '1' and b == epoch\n"
    "         and tonumber(since) > tonumber(ARGV[8])\n"
    "      then return 0 end\n"
    "      redis.call('HDEL', KEYS[1], f)\n"
    "      local r = ARGV[10]\n"
    "      redis.call('PUBLISH', ARGV[2] .. node, string.sub(r, 1, 48)\n"
    "                 .. struct.pack('<I8', tonumber(serial))\n"
    "                 .. string.sub(r, 57))\n"
    "    end\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], mine, ARGV[6])\n"
    "redis.call('EXPIRE', KEYS[1], " IM_PRESENCE_LIFE ")\n"
    "redis.call('SADD', KEYS[2], ARGV[11])\n"
    "redis.call('EXPIRE', KEYS[2], " IM_PRESENCE_LIFE ")\n"
    "return 1\n");


/* user, users of the node; field, value, node and epoch, app and user */

static im_redis_script_t  im_presence_leave_script = im_redis_script(
    "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then\n"
    "  redis.call('HDEL', KEYS[1], ARGV[1])\n"
    "end\n"
    "local mine = ARGV[3] .. '|'\n"
    "for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
    "  if string.sub(f, 1, #mine) == mine then return 0 end\n"
    "end\n"
    "return redis.call('SREM', KEYS[2], ARGV[4])\n");


/* nodes; beats, this node and epoch, users of a node, how many: some of the
 * users of a node that has died */

static im_redis_script_t  im_presence_sweep_script = im_redis_script(
    "local beats = {}\n"
    im_presence_lua
    "redis.call('SADD', KEYS[1], ARGV[2])\n"
    "for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  local node, epoch = string.match(id, '^(.-)|(%d+)$')\n"
    "  if id ~= ARGV[2] and (not node or beat(node) ~= epoch) then\n"
    "    local users = redis.call('SPOP', ARGV[3] .. ':' .. id, ARGV[4])\n"
    "    if #users > 0 then return users end\n"
    "    redis.call('SREM', KEYS[1], id)\n"
    "  end\n"
    "end\n"
    "return {}\n");


/* beats, buses, node, inst, record */

static im_redis_script_t  im_presence_publish_script = im_redis_script(
    "local beats, told, n = {}, {}, 0\n"
    im_presence_lua
    "for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
    "  local node, epoch, inst = string.match(f, " im_presence_field ")\n"
    "  if node and node ~= ARGV[3] and not told[node]\n"
    "     and (ARGV[4] == '0' or ARGV[4] == inst) and beat(node) == epoch\n"
    "  then\n"
    "    told[node] = 1\n"
    "    n = n + 1\n"
    "    redis.call('PUBLISH', ARGV[2] .. node, ARGV[5])\n"
    "  end\n"
    "end\n"
    "return n\n");


/* beats, node */

static im_redis_script_t  im_presence_list_script = im_redis_script(
    "local beats, list = {}, {}\n"
    im_presence_lua
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  local node, epoch, inst = string.match(all[i], "
                                               im_presence_field ")\n"
    "  local p, t = string.match(all[i + 1], " im_presence_value ")\n"
    "  if node and p and node ~= ARGV[2] and beat(node) == epoch then\n"
    "    list[#list + 1] = inst\n"
    "    list[#list + 1] = p\n"
    "    list[#list + 1] = t\n"
    "  end\n"
    "end\n"
    "return list\n");


/* beats, node, keys, one a line: place of the key, instance, platform,
 * transport */

static im_redis_script_t  im_presence_each_script = im_redis_script(
    "local beats, list, n = {}, {}, 0\n"
    im_presence_lua
    "for key in string.gmatch(ARGV[3], '[^\\n]+') do\n"
    "  local all = redis.call('HGETALL', key)\n"
    "  for i = 1, #all, 2 do\n"
    "    local node, epoch, inst = string.match(all[i], "
                                                 im_presence_field ")\n"
    "    local p, t = string.match(all[i + 1], " im_presence_value ")\n"
    "    if node and p and node ~= ARGV[2] and beat(node) == epoch then\n"
    "      list[#list + 1] = n\n"
    "      list[#list + 1] = inst\n"
    "      list[#list + 1] = p\n"
    "      list[#list + 1] = t\n"
    "    end\n"
    "  end\n"
    "  n = n + 1\n"
    "end\n"
    "return list\n");


/* Arguments of the first script, and the memory that they are in. */

typedef struct {
    ngx_str_t            args[13];
    u_char               key[IM_REDIS_KEY_MAX];
    u_char               users[IM_REDIS_KEY_MAX];
    u_char               member[IM_REDIS_KEY_MAX];
    u_char               num[5][NGX_INT64_LEN];
    u_char               value[IM_PRESENCE_VALUE];
} im_presence_args_t;


typedef struct {
    ngx_uint_t           app;
    uint32_t             inst;
    uint64_t             serial;
    ngx_str_t            user;
} im_presence_again_t;


typedef struct {
    im_session_entry_t  *entries;
    ngx_uint_t           max;
    ngx_uint_t           n;
} im_presence_list_t;


typedef struct {
    im_session_each_pt   fn;
    void                *data;
    ngx_uint_t           first;
    ngx_uint_t           n;
} im_presence_each_t;


static ngx_int_t im_presence_args(im_session_t *s, ngx_uint_t again,
    im_presence_args_t *a);
static void im_presence_member(im_session_t *s, ngx_str_t *member,
    u_char *buf);
static void im_presence_sweep_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static void im_presence_value_text(im_session_t *s, ngx_str_t *value,
    u_char *buf);
static void im_presence_again_handler(void *data, ngx_int_t rc,
    redisReply *reply);
static ngx_int_t im_presence_take(void *data, redisReply *reply);
static void im_presence_entry(im_session_entry_t *entry, redisReply *reply,
    ngx_uint_t i);
static ngx_int_t im_presence_each_take(void *data, redisReply *reply);


static im_presence_gone_pt  im_presence_gone;


void
im_presence_enter(im_session_t *s)
{
    im_presence_args_t  a;

    if (!im_redis_up() || im_presence_args(s, 0, &a) != NGX_OK) {
        return;
    }

    (void) im_redis_wait(&im_presence_enter_script, 2, a.args, 13, NULL,
                         NULL);

    ngx_free(a.args[11].data);
}


void
im_presence_again(im_session_t *s)
{
    im_presence_args_t    a;
    im_presence_again_t  *again;

    if (!im_redis_up()) {
        return;
    }

    again = ngx_alloc(sizeof(im_presence_again_t) + s->user.len,
                      ngx_cycle->log);
    if (again == NULL) {
        return;
    }

    again->app = s->app;
    again->inst = s->inst;
    again->serial = s->serial;
    again->user.len = s->user.len;
    again->user.data = (u_char *) again + sizeof(im_presence_again_t);
    ngx_memcpy(again->user.data, s->user.data, s->user.len);

    if (im_presence_args(s, 1, &a) != NGX_OK) {
        ngx_free(again);
        return;
    }

    if (im_redis_call(&im_presence_enter_script, 2, a.args, 13,
                      im_presence_again_handler, again)
        != NGX_OK)
    {
        ngx_free(again);
    }

    ngx_free(a.args[11].data);
}


static void
im_presence_again_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    im_presence_again_t  *again = data;

    im_session_t  *s;

    if (rc == NGX_OK
        && reply->type == REDIS_REPLY_INTEGER
        && reply->integer == 0)
    {
        s = im_session_find(again->app, &again->user, again->inst);

        if (s && s->serial == again->serial) {
            im_session_replaced(s);
        }
    }

    ngx_free(again);
}


static ngx_int_t
im_presence_args(im_session_t *s, ngx_uint_t again, im_presence_args_t *a)
{
    u_char        *p;
    ngx_str_t     *id, *args;

    args = a->args;
    id = im_node_id();

    im_redis_key(&args[0], a->key, "s", s->app, 0, &s->user);
    im_redis_key(&args[1], a->users, "p", 0, 0, id);

    args[2] = *im_node_beats();
    args[3] = *im_node_buses();

    p = ngx_strlchr(id->data, id->data + id->len, '|');

    args[4].data = id->data;
    args[4].len = p - id->data;
    args[5].data = p + 1;
    args[5].len = id->data + id->len - args[5].data;

    im_redis_int(&args[6], a->num[0], s->inst);
    im_presence_value_text(s, &args[7], a->value);
    im_redis_int(&args[8], a->num[1], s->serial);
    im_redis_int(&args[9], a->num[2], s->since);
    im_redis_int(&args[10], a->num[3], again);
    im_presence_member(s, &args[12], a->member);

    return im_session_replaced_record(s, &args[11]);
}


/* a user among those of a node */

static void
im_presence_member(im_session_t *s, ngx_str_t *member, u_char *buf)
{
    member->data = buf;
    member->len = ngx_snprintf(buf, IM_REDIS_KEY_MAX, "%ui:%V", s->app,
                               &s->user)
                  - buf;
}


static void
im_presence_value_text(im_session_t *s, ngx_str_t *value, u_char *buf)
{
    value->data = buf;
    value->len = ngx_sprintf(buf, "%ui %ui %uL %L", s->platform, s->transport,
                             s->serial, s->since)
                 - buf;
}


void
im_presence_leave(im_session_t *s)
{
    u_char      key[IM_REDIS_KEY_MAX], users[IM_REDIS_KEY_MAX];
    u_char      field[IM_PRESENCE_TEXT], value[IM_PRESENCE_VALUE];
    u_char      member[IM_REDIS_KEY_MAX];
    ngx_str_t   args[6];

    if (!im_redis_up()) {
        return;
    }

    im_redis_key(&args[0], key, "s", s->app, 0, &s->user);
    im_redis_key(&args[1], users, "p", 0, 0, im_node_id());

    args[2].data = field;
    args[2].len = ngx_snprintf(field, IM_PRESENCE_TEXT, "%V|%uD",
                               im_node_id(), s->inst)
                  - field;

    im_presence_value_text(s, &args[3], value);
    args[4] = *im_node_id();
    im_presence_member(s, &args[5], member);

    (void) im_redis_call(&im_presence_leave_script, 2, args, 6, NULL, NULL);
}


void
im_presence_gone_handler(im_presence_gone_pt fn)
{
    im_presence_gone = fn;
}


/* Each second the worker that listens looks for nodes that have died; of
 * several survivors one gets a user. */

void
im_presence_tick(void)
{
    u_char      nodes[IM_REDIS_KEY_MAX], num[NGX_INT64_LEN];
    ngx_str_t   args[5];

    if (!im_redis_up()
        || !im_bus_node()->up
        || im_presence_gone == NULL
        || (im_bus_node()->owner & 0xff) != im_slot_self()
        || im_slot_draining())
    {
        return;
    }

    im_redis_key(&args[0], nodes, "p", 0, 0, NULL);

    args[1] = *im_node_beats();
    args[2] = *im_node_id();
    args[3] = args[0];
    im_redis_int(&args[4], num, IM_PRESENCE_SWEEP);

    (void) im_redis_call(&im_presence_sweep_script, 1, args, 5,
                         im_presence_sweep_handler, NULL);
}


static void
im_presence_sweep_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    u_char      *p;
    ngx_int_t    app;
    ngx_str_t    user;
    ngx_uint_t   i;

    if (rc != NGX_OK || reply->type != REDIS_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i < reply->elements; i++) {

        im_redis_reply_str(reply, i, &user);

        p = ngx_strlchr(user.data, user.data + user.len, ':');

        if (p == NULL) {
            continue;
        }

        app = ngx_atoi(user.data, p - user.data);

        user.len -= p + 1 - user.data;
        user.data = p + 1;

        if (app > 0 && user.len) {
            im_presence_gone(app, &user);
        }
    }
}


void
im_presence_publish(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    ngx_uint_t kind, im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n)
{
    u_char      key[IM_REDIS_KEY_MAX], num[NGX_INT64_LEN];
    u_char     *p;
    ngx_str_t   args[6], *id;

    if (!im_redis_up()) {
        im_node_miss();
        return;
    }

    if (im_node_record(&args[5], kind, meta, parts, n) != NGX_OK) {
        return;
    }

    id = im_node_id();
    p = ngx_strlchr(id->data, id->data + id->len, '|');

    im_redis_key(&args[0], key, "s", app, 0, user);

    args[1] = *im_node_beats();
    args[2] = *im_node_buses();
    args[3].data = id->data;
    args[3].len = p - id->data;

    im_redis_int(&args[4], num, inst);

    (void) im_redis_call(&im_presence_publish_script, 1, args, 6, NULL, NULL);

    ngx_free(args[5].data);
}


ngx_uint_t
im_presence_list(ngx_uint_t app, ngx_str_t *user, im_session_entry_t *entries,
    ngx_uint_t max)
{
    u_char               key[IM_REDIS_KEY_MAX];
    u_char              *p;
    ngx_str_t            args[3], *id;
    im_presence_list_t   list;

    list.entries = entries;
    list.max = max;
    list.n = 0;

    id = im_node_id();
    p = ngx_strlchr(id->data, id->data + id->len, '|');

    im_redis_key(&args[0], key, "s", app, 0, user);

    args[1] = *im_node_beats();
    args[2].data = id->data;
    args[2].len = p - id->data;

    (void) im_redis_wait(&im_presence_list_script, 1, args, 3,
                         im_presence_take, &list);

    return list.n;
}


static ngx_int_t
im_presence_take(void *data, redisReply *reply)
{
    im_presence_list_t  *list = data;

    ngx_uint_t           i;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i + 2 < reply->elements && list->n < list->max; i += 3) {
        im_presence_entry(&list->entries[list->n++], reply, i);
    }

    return NGX_OK;
}


static void
im_presence_entry(im_session_entry_t *entry, redisReply *reply, ngx_uint_t i)
{
    ngx_memzero(entry, sizeof(im_session_entry_t));

    entry->inst = im_redis_reply_int(reply, i);
    entry->platform = im_redis_reply_int(reply, i + 1);
    entry->transport = im_redis_reply_int(reply, i + 2);
    entry->slot = IM_SLOTS;

    entry->platform = ngx_min(entry->platform, IM_SESSION_PLATFORMS - 1);
}


void
im_presence_each(ngx_uint_t app, ngx_str_t *users, ngx_uint_t n,
    im_session_each_pt fn, void *data)
{
    u_char              *p, *text;
    ngx_str_t            args[3], key, *id;
    ngx_uint_t           i, end;
    im_presence_each_t   each;

    text = ngx_alloc(ngx_min(n, IM_PRESENCE_EACH) * (IM_REDIS_KEY_MAX + 1),
                     ngx_cycle->log);
    if (text == NULL) {
        return;
    }

    id = im_node_id();
    p = ngx_strlchr(id->data, id->data + id->len, '|');

    args[0] = *im_node_beats();
    args[1].data = id->data;
    args[1].len = p - id->data;
    args[2].data = text;

    each.fn = fn;
    each.data = data;

    for (i = 0; i < n; i = end) {

        each.first = i;
        each.n = ngx_min(n - i, IM_PRESENCE_EACH);
        end = i + each.n;
        p = text;

        for ( /* void */ ; i < end; i++) {
            im_redis_key(&key, p, "s", app, 0, &users[i]);

            if (ngx_strlchr(p, p + key.len, LF)) {
                key.len = 1;             /* no account has such a name */
            }

            p += key.len;
            *p++ = LF;
        }

        args[2].len = p - text;

        (void) im_redis_wait(&im_presence_each_script, 0, args, 3,
                             im_presence_each_take, &each);
    }

    ngx_free(text);
}


static ngx_int_t
im_presence_each_take(void *data, redisReply *reply)
{
    im_presence_each_t  *each = data;

    ngx_uint_t          i, k;
    im_session_entry_t  entry;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i + 3 < reply->elements; i += 4) {

        k = im_redis_reply_int(reply, i);

        if (k < each->n) {
            im_presence_entry(&entry, reply, i + 1);
            each->fn(each->data, each->first + k, &entry);
        }
    }

    return NGX_OK;
}
