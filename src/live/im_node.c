
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_co.h"
#include "core/im_stat.h"
#include "core/im_worker.h"
#include "live/im_node.h"
#include "live/im_node_publish.h"
#include "live/im_stamp.h"


#define IM_NODE_BEAT     3               /* ticks */
#define IM_NODE_PROBES   2
#define IM_NODE_LIFE     10000
#define IM_NODE_SILENT   7000            /* without our own word: two beats */
#define IM_NODE_TIDY     60              /* ticks */
#define IM_NODE_BATCH    100             /* channels in a command */
#define IM_NODE_EVENTS   8
#define IM_NODE_STEP     5
#define IM_NODE_STEPS    100
#define IM_NODE_LOST     500             /* ms: others are back then, too */

#define IM_NODE_ASKED    1
#define IM_NODE_HEARD    2
#define IM_NODE_IDLE     3               /* nobody there at the last look */


static void im_node_tick(void);
static void im_node_drain(void);
static void im_node_take(void);
static void im_node_rebuild(void);
static void im_node_beat(void);
static void im_node_beat_handler(void *data, ngx_int_t rc, redisReply *reply);
static void im_node_up(im_redis_conn_t *conn);
static void im_node_ask(void);
static void im_node_down(im_redis_conn_t *conn);
static void im_node_subscribe(ngx_str_t *names, ngx_uint_t n);
static void im_node_reply(redisAsyncContext *ac, void *reply, void *data);
static void im_node_subscribed(ngx_str_t *name);
static void im_node_message(ngx_str_t *text);
static void im_node_tidy(void);
static void im_node_tell(ngx_uint_t event, ngx_uint_t channel,
    im_slots_t *to);
static void im_node_bus_handler(im_bus_buf_t *buf);
static void im_node_command_up(void);
static void im_node_announce(void);
static void im_node_lost(im_node_record_t *rec, ngx_str_t *payload);
static void im_node_lost_handler(ngx_event_t *ev);
static void im_node_event(im_node_event_e event, ngx_uint_t channel);
static ngx_int_t im_node_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_node_exit_process(ngx_cycle_t *cycle);


im_worker_hook_t  im_node_hook = {
    ngx_string("node"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_node_init_process,                  /* init process */
    im_node_exit_process                   /* exit process */
};


/*
 * Beat, what was entered; epoch, life: 2: a newer node has the same name; 0:
 * the node is to enter what it has, until it says that it did.
 */

static im_redis_script_t  im_node_beat_script = im_redis_script(
    "local v = redis.call('GET', KEYS[1])\n"
    "if v and tonumber(v) > tonumber(ARGV[1]) then return 2 end\n"
    "if v ~= ARGV[1] then redis.call('DEL', KEYS[2]) end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
    "return redis.call('GET', KEYS[2]) == ARGV[1] and 1 or 0\n");


static im_redis_conn_t    im_node_conn;
static im_node_pt         im_node_fns[IM_BUS_KINDS];
static im_node_event_pt   im_node_events[IM_NODE_EVENTS];
static ngx_uint_t         im_node_nevents;
static uint32_t           im_node_counts[IM_BUS_CHANNELS];

static ngx_uint_t         im_node_owns;
static ngx_uint_t         im_node_ticks;
static ngx_uint_t         im_node_rebuilds;
static ngx_uint_t         im_node_probes;
static ngx_msec_t         im_node_heard;
static ngx_uint_t         im_node_missed;
static ngx_event_t        im_node_lost_event;


static void
im_node_tick(void)
{
    im_node_take();
    im_node_rebuild();

    if (++im_node_probes % IM_NODE_PROBES == 0) {
        im_redis_probe();
    }

    if (!im_node_owns || !im_node_conn.is_up || !im_redis_up()) {
        return;
    }

    if (im_node_conn.server != im_redis_server()) {
        im_redis_break(&im_node_conn, "commands go to another server");
        return;
    }

    if (ngx_current_msec - im_node_heard > IM_NODE_SILENT) {
        im_redis_break(&im_node_conn, "it does not forward");
        return;
    }

    if (im_node_ticks++ % IM_NODE_BEAT == 0) {
        im_node_beat();
    }

    im_node_ask();

    if (im_node_ticks % IM_NODE_TIDY == 0) {
        im_node_tidy();
    }
}


/* A number, not a record, tells the workers of it: none of them misses it. */

static void
im_node_rebuild(void)
{
    ngx_uint_t  rebuilds;

    rebuilds = im_bus_node()->rebuilds;

    if (im_node_rebuilds != rebuilds) {
        im_node_rebuilds = rebuilds;
        im_node_event(IM_NODE_REBUILD, 0);
    }
}


/* Another worker listens from now on; until it does, this one goes on. */

static void
im_node_drain(void)
{
    if (im_node_owns) {
        im_node_owns = 0;
        im_bus_node()->up = 0;
        im_bus_node()->owner = 0;
    }
}


static void
im_node_take(void)
{
    ngx_pid_t           pid;
    ngx_uint_t          i;
    im_bus_node_t      *node;
    ngx_atomic_uint_t   owner, self;

    node = im_bus_node();
    owner = node->owner;
    self = (ngx_atomic_uint_t) ngx_pid << 8 | im_slot_self();

    if (owner) {
        pid = owner >> 8;

        if (owner == self || im_bus_slot(owner & 0xff)->pid == pid) {
            return;
        }
    }

    if (im_slot_draining()
        || !ngx_atomic_cmp_set(&node->owner, owner, self))
    {
        return;
    }

    node->up = 0;

    for (i = 0; i < IM_BUS_CHANNELS; i++) {
        node->channels[i] = 0;
    }

    im_node_owns = 1;
    im_node_ticks = 0;

    im_redis_connect(&im_node_conn);
}


/* In Redis the node lives, and we hear ourselves. */

static void
im_node_beat(void)
{
    u_char     epoch[NGX_INT64_LEN], life[NGX_INT64_LEN];
    ngx_str_t  args[4];

    args[0] = im_node_names.key;
    args[1] = im_node_names.entered;
    im_redis_int(&args[2], epoch, im_bus_node()->epoch);
    im_redis_int(&args[3], life, IM_NODE_LIFE);

    (void) im_redis_call(&im_node_beat_script, 2, args, 4,
                         im_node_beat_handler, NULL);

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = im_node_names.bus;
    ngx_str_set(&args[2], ".");

    (void) im_redis_call(NULL, 0, args, 3, NULL, NULL);
}


static void
im_node_beat_handler(void *data, ngx_int_t rc, redisReply *reply)
{
    u_char      epoch[NGX_INT64_LEN];
    ngx_str_t   args[3];

    if (rc != NGX_OK || reply->type != REDIS_REPLY_INTEGER) {
        return;
    }

    if (reply->integer == 2) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "another machine beats as node \"%V\"",
                      &im_node_names.name);
        return;
    }

    if (reply->integer == 0) {

        /* the node is new there: Redis was emptied, or this is the start;
         * what is said afterwards may be lost, then all of it comes again */

        (void) ngx_atomic_fetch_add(&im_bus_node()->rebuilds, 1);
        im_node_rebuild();

        ngx_str_set(&args[0], "SET");
        args[1] = im_node_names.entered;
        im_redis_int(&args[2], epoch, im_bus_node()->epoch);

        (void) im_redis_call(NULL, 0, args, 3, NULL, NULL);
    }
}


static void
im_node_up(im_redis_conn_t *conn)
{
    ngx_str_t   names[2];
    ngx_uint_t  i;

    for (i = 0; i < IM_BUS_CHANNELS; i++) {
        im_bus_node()->channels[i] = 0;
    }

    im_node_ask();

    /* with the last one the node is up */

    names[0] = im_node_names.all;
    names[1] = im_node_names.bus;

    im_node_subscribe(names, 2);

    im_node_heard = ngx_current_msec;
}


/* for all that is wanted: who has said so may not have been heard */

static void
im_node_ask(void)
{
    u_char          buf[IM_NODE_BATCH][IM_REDIS_KEY_MAX];
    ngx_str_t       names[IM_NODE_BATCH];
    ngx_uint_t      i, n;
    im_bus_node_t  *node;

    node = im_bus_node();
    n = 0;

    for (i = 0; i < IM_BUS_CHANNELS; i++) {

        if (node->channels[i] || im_slots_empty(&node->interests[i])) {
            continue;
        }

        node->channels[i] = IM_NODE_ASKED;
        im_node_channel(&names[n], buf[n], i);

        if (++n == IM_NODE_BATCH) {
            im_node_subscribe(names, n);
            n = 0;
        }
    }

    if (n) {
        im_node_subscribe(names, n);
    }
}


static void
im_node_down(im_redis_conn_t *conn)
{
    ngx_uint_t  i;

    if (!im_node_owns) {
        im_redis_close(conn);
        return;
    }

    im_bus_node()->up = 0;

    for (i = 0; i < IM_BUS_CHANNELS; i++) {
        im_bus_node()->channels[i] = 0;
    }
}


static void
im_node_subscribe(ngx_str_t *names, ngx_uint_t n)
{
    size_t       len[IM_NODE_BATCH + 1];
    const char  *arg[IM_NODE_BATCH + 1];
    ngx_uint_t   i;

    arg[0] = "SUBSCRIBE";
    len[0] = 9;

    for (i = 0; i < n; i++) {
        arg[i + 1] = (char *) names[i].data;
        len[i + 1] = names[i].len;
    }

    (void) redisAsyncCommandArgv(im_node_conn.ac, im_node_reply, NULL, n + 1,
                                 arg, len);
}


static void
im_node_reply(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_str_t    what, name, text;
    redisReply  *r = reply;

    if (r == NULL || ac->data == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ERROR) {

        if (im_redis_refuses(&im_node_conn, r)) {
            im_redis_break(&im_node_conn, im_node_conn.why);
            return;
        }

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "redis answered: %*s",
                      (size_t) r->len, r->str);
        return;
    }

    im_redis_reply_str(r, 0, &what);
    im_redis_reply_str(r, 1, &name);
    im_redis_reply_str(r, 2, &text);

    if (!im_node_owns) {

        /* draining: until the next one listens */

        if (im_bus_node()->up) {
            im_redis_close(&im_node_conn);
            return;
        }
    }

    if (what.len == 7 && ngx_strncmp(what.data, "message", 7) == 0) {
        im_node_message(&text);

    } else if (what.len == 9
               && ngx_strncmp(what.data, "subscribe", 9) == 0)
    {
        im_node_subscribed(&name);
    }
}


static void
im_node_subscribed(ngx_str_t *name)
{
    ngx_int_t       channel;
    im_slots_t      to;
    im_bus_node_t  *node;

    if (!im_node_owns) {
        return;
    }

    node = im_bus_node();

    if (name->len == im_node_names.bus.len
        && ngx_strncmp(name->data, im_node_names.bus.data, name->len) == 0)
    {
        node->up = 1;
        im_node_heard = ngx_current_msec;
        im_node_ticks = 0;

        im_slots_alive(&to);
        im_node_tell(IM_NODE_RESYNC, 0, &to);

        im_node_tick();
        return;
    }

    if (name->len <= im_node_names.prefix.len) {
        return;
    }

    channel = ngx_atoi(name->data + im_node_names.prefix.len,
                       name->len - im_node_names.prefix.len);

    if (channel < 0 || channel >= IM_BUS_CHANNELS
        || node->channels[channel] != IM_NODE_ASKED)
    {
        return;
    }

    node->channels[channel] = IM_NODE_HEARD;

    if (node->up) {
        to = node->interests[channel];
        im_node_tell(IM_NODE_CHANNEL, channel, &to);
    }
}


static void
im_node_message(ngx_str_t *text)
{
    ngx_str_t         payload;
    im_node_record_t  rec;

    im_node_heard = ngx_current_msec;

    if (text->len < sizeof(im_node_record_t)) {
        return;
    }

    ngx_memcpy(&rec, text->data, sizeof(im_node_record_t));

    if (rec.magic != IM_NODE_MAGIC
        || rec.kind >= IM_BUS_KINDS
        || im_node_fns[rec.kind] == NULL)
    {
        return;
    }

    if (rec.origin == im_node_names.self) {

        if (rec.kind != IM_BUS_ROOM
            && rec.kind != IM_BUS_ROOM_CLOSE
            && rec.kind != IM_BUS_MARKS)
        {
            return;                      /* was heard of at once */
        }

    } else {
        rec.except = 0;                  /* a connection over there */
    }

    im_stat_add(IM_STAT_NODE_IN, 1);

    payload.data = text->data + sizeof(im_node_record_t);
    payload.len = text->len - sizeof(im_node_record_t);

    im_node_fns[rec.kind](&rec, &payload);
}


/* leaves channels that nobody listens to any more */

static void
im_node_tidy(void)
{
    u_char          buf[IM_REDIS_KEY_MAX];
    ngx_str_t       name;
    ngx_uint_t      i, n;
    im_bus_node_t  *node;

    node = im_bus_node();
    n = 0;

    for (i = 0; i < IM_BUS_CHANNELS && n < IM_NODE_BATCH; i++) {

        if (node->channels[i] < IM_NODE_HEARD
            || !im_slots_empty(&node->interests[i]))
        {
            continue;
        }

        if (node->channels[i] == IM_NODE_HEARD) {
            node->channels[i] = IM_NODE_IDLE;
            continue;
        }

        node->channels[i] = 0;
        n++;

        im_node_channel(&name, buf, i);

        (void) redisAsyncCommand(im_node_conn.ac, NULL, NULL,
                                 "UNSUBSCRIBE %b", name.data, name.len);
    }
}


void
im_node_listen(ngx_uint_t channel)
{
    ngx_uint_t          slot;
    im_slots_t          to;
    im_bus_node_t      *node;
    ngx_atomic_uint_t   owner;

    if (!im_redis_on || im_node_counts[channel]++) {
        return;
    }

    node = im_bus_node();
    slot = im_slot_self();

    (void) __sync_fetch_and_or(&node->interests[channel].w[slot >> 6],
                               1ULL << (slot & 63));

    (void) ngx_atomic_cmp_set(&node->channels[channel], IM_NODE_IDLE,
                              IM_NODE_HEARD);

    owner = node->owner;

    if (node->channels[channel] == 0 && owner) {
        im_slots_zero(&to);
        im_slots_set(&to, owner & 0xff);

        im_node_tell(IM_NODE_WANT, channel, &to);
    }
}


void
im_node_unlisten(ngx_uint_t channel)
{
    ngx_uint_t      slot;
    im_bus_node_t  *node;

    if (!im_redis_on || --im_node_counts[channel]) {
        return;
    }

    node = im_bus_node();
    slot = im_slot_self();

    (void) __sync_fetch_and_and(&node->interests[channel].w[slot >> 6],
                                ~(1ULL << (slot & 63)));
}


void
im_node_wait(ngx_uint_t channel)
{
    ngx_uint_t      i;
    im_bus_node_t  *node;

    if (!im_redis_on) {
        return;
    }

    node = im_bus_node();

    for (i = 0; i < IM_NODE_STEPS; i++) {

        if (node->channels[channel] >= IM_NODE_HEARD
            || !node->up
            || !im_redis_up())
        {
            return;
        }

        im_co_sleep(IM_NODE_STEP);
    }
}


static void
im_node_tell(ngx_uint_t event, ngx_uint_t channel, im_slots_t *to)
{
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.flags = event;
    meta.seq = channel;

    (void) im_bus_publish(to, IM_BUS_NODE, &meta, NULL, 0);
}


static void
im_node_bus_handler(im_bus_buf_t *buf)
{
    u_char          name[IM_REDIS_KEY_MAX];
    ngx_str_t       channel;
    im_bus_node_t  *node;

    if (buf->flags == IM_NODE_PROBE) {
        im_redis_probe();
        return;
    }

    if (buf->flags != IM_NODE_WANT) {
        im_node_event(buf->flags, buf->seq);
        return;
    }

    node = im_bus_node();

    if (im_node_owns && im_node_conn.is_up && node->channels[buf->seq] == 0) {
        node->channels[buf->seq] = IM_NODE_ASKED;

        im_node_channel(&channel, name, buf->seq);
        im_node_subscribe(&channel, 1);
    }
}


/*
 * Commands and what is heard go to one server: other workers, which may still
 * be at the last one, look for themselves, and the bus does not wait.
 */

static void
im_node_command_up(void)
{
    im_slots_t  to;

    if (im_node_owns) {

        if (im_node_conn.server != im_redis_server()) {
            im_redis_break(&im_node_conn, "commands go to another server");
        }

        im_redis_hurry(&im_node_conn);
    }

    im_node_event(IM_NODE_REBUILD, 0);

    if (im_node_missed) {
        im_slots_alive(&to);
        im_slots_clear(&to, im_slot_self());
        im_node_tell(IM_NODE_PROBE, 0, &to);

        im_node_announce();
    }

    im_node_missed = 1;                  /* the next time it was down before */
}


/* Others were back earlier, and have read what was there then. */

static void
im_node_announce(void)
{
    im_bus_meta_t  meta;

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.flags = IM_NODE_RESYNC;

    (void) im_node_publish_all(IM_BUS_NODE, &meta, NULL, 0);
}


static void
im_node_lost(im_node_record_t *rec, ngx_str_t *payload)
{
    if (rec->flags == IM_NODE_RESYNC && !im_node_lost_event.timer_set) {
        ngx_add_timer(&im_node_lost_event, IM_NODE_LOST);
    }
}


static void
im_node_lost_handler(ngx_event_t *ev)
{
    im_slots_t  to;

    if (im_node_owns) {
        im_slots_alive(&to);
        im_node_tell(IM_NODE_RESYNC, 0, &to);
    }
}


void
im_node_miss(void)
{
    im_node_missed = 1;
}


static void
im_node_event(im_node_event_e event, ngx_uint_t channel)
{
    ngx_uint_t  i;

    for (i = 0; i < im_node_nevents; i++) {
        im_node_events[i](event, channel);
    }
}


ngx_int_t
im_node_event_add(im_node_event_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_node_nevents; i++) {
        if (im_node_events[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_node_nevents == IM_NODE_EVENTS) {
        return NGX_ERROR;
    }

    im_node_events[im_node_nevents++] = fn;

    return NGX_OK;
}


void
im_node_handler(ngx_uint_t kind, im_node_pt fn)
{
    im_node_fns[kind] = fn;
}


ngx_uint_t
im_node_hears(ngx_uint_t channel)
{
    im_bus_node_t  *node;

    node = im_bus_node();

    (void) ngx_atomic_cmp_set(&node->channels[channel], IM_NODE_IDLE,
                              IM_NODE_HEARD);

    return node->up && node->channels[channel] == IM_NODE_HEARD;
}


ngx_uint_t
im_node_listens(void)
{
    return im_node_owns;
}


static ngx_int_t
im_node_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_time_t     *tp;
    im_bus_node_t  *shared;

    if (!im_redis_on) {
        return NGX_OK;
    }

    shared = im_bus_node();

    if (shared->epoch == 0) {
        tp = ngx_timeofday();
        (void) ngx_atomic_cmp_set(&shared->epoch, 0,
                                  (ngx_atomic_uint_t) tp->sec * 1000
                                  + tp->msec);
    }

    if (im_node_names_init(cycle, conf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(im_node_counts, sizeof(im_node_counts));
    ngx_memzero(&im_node_conn, sizeof(im_redis_conn_t));

    im_node_owns = 0;
    im_node_missed = 0;
    im_node_rebuilds = shared->rebuilds;

    im_node_conn.name = "bus";
    im_node_conn.up = im_node_up;
    im_node_conn.down = im_node_down;

    im_worker_timer(&im_node_lost_event, im_node_lost_handler, cycle->log);

    im_stamp_init(cycle);

    im_bus_handler(IM_BUS_NODE, im_node_bus_handler);
    im_node_handler(IM_BUS_NODE, im_node_lost);

    if (im_slot_tick_add(im_node_tick) != NGX_OK
        || im_slot_drain_add(im_node_drain) != NGX_OK
        || im_redis_up_add(im_node_command_up) != NGX_OK)
    {
        return NGX_ERROR;
    }

    im_node_take();

    return NGX_OK;
}


static void
im_node_exit_process(ngx_cycle_t *cycle)
{
    if (!im_redis_on) {
        return;
    }

    im_node_drain();
    im_redis_close(&im_node_conn);

    im_stamp_exit();

    if (im_node_lost_event.timer_set) {
        ngx_del_timer(&im_node_lost_event);
    }
}
