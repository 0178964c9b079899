
/*
 * Copyright (C) The ngx_im authors
 */


#include "live.h"
#include "live/im_session.c"


#define APP  1400000001


static void event(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *json);
static void resync(im_session_t *s);
static void kick(im_session_t *s, ngx_uint_t type, ngx_str_t *info);
static void closed(im_session_t *s, ngx_uint_t code);
static void empty_zone(void);


typedef struct {
    im_session_t  s;
    char          log[1024];
} session_t;


static im_session_ops_t  ops = { event, resync, kick, closed };

static ngx_str_t  ann = ngx_string("ann");
static ngx_str_t  bob = ngx_string("bob");


/* each call adds a word to the log of the session */

static void
event(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *json)
{
    session_t *t = s->data;

    ngx_sprintf((u_char *) t->log + ngx_strlen(t->log), "%uL:%V ", buf->seq,
                json);
}


static void
resync(im_session_t *s)
{
    session_t *t = s->data;

    ngx_sprintf((u_char *) t->log + ngx_strlen(t->log), "resync ");
}


static void
kick(im_session_t *s, ngx_uint_t type, ngx_str_t *info)
{
    session_t *t = s->data;

    ngx_sprintf((u_char *) t->log + ngx_strlen(t->log), "kick%ui:%V ", type,
                info);
    im_session_detach(s);
}


static void
closed(im_session_t *s, ngx_uint_t code)
{
    session_t *t = s->data;

    ngx_sprintf((u_char *) t->log + ngx_strlen(t->log), "close%ui ", code);
    im_session_detach(s);
}


static session_t *
attach(session_t *t, ngx_str_t *user, uint32_t inst, int64_t cursor)
{
    ngx_memzero(t, sizeof(session_t));

    t->s.app = APP;
    t->s.user = *user;
    t->s.inst = inst;
    t->s.platform = 7;
    t->s.timeout = 120000;
    t->s.ops = &ops;
    t->s.data = t;

    if (im_session_attach(&t->s) != NGX_OK) {
        return NULL;
    }

    (void) im_session_caught_up(&t->s, cursor);

    return t;
}


static void
publish(int64_t seq, uint32_t except, uint32_t only)
{
    ngx_str_t  json = ngx_string("{}");

    (void) im_session_publish(APP, &ann, seq, except, only, 0, &json);
}


/* the log since the last time */

static void
is(session_t *t, const char *expected, const char *name)
{
    live_settle();

    ok(ngx_strcmp(t->log, expected) == 0, name);

    if (ngx_strcmp(t->log, expected) != 0) {
        printf("# got \"%s\", expected \"%s\"\n", t->log, expected);
    }

    ngx_memzero(t->log, sizeof(t->log));
}


static void
test_cursor(void)
{
    u_char     *text;
    session_t   a, b, c;
    ngx_str_t   json;

    ok(im_session_publish(APP, &ann, 1, 0, 0, 0, &ann) == NGX_DECLINED,
       "nobody is there");

    attach(&a, &ann, 1, 10);
    attach(&b, &ann, 2, 10);
    attach(&c, &bob, 3, 0);

    publish(11, 0, 0);
    is(&a, "11:{} ", "the next event is sent");
    is(&b, "11:{} ", "to all sessions of the user");
    is(&c, "", "and to nobody else");

    publish(12, 1, 0);
    is(&a, "", "the excepted instance hears nothing");
    is(&b, "12:{} ", "others do");

    publish(13, 0, 1);
    is(&a, "13:{} ", "its cursor has moved");
    is(&b, "", "an event for one instance");

    publish(13, 0, 0);
    is(&a, "", "what was sent is not sent again");

    publish(0, 0, 0);
    is(&a, "0:{} ", "a hint is always sent");
    is(&b, "0:{} ", "to all");

    publish(15, 0, 0);
    is(&a, "resync ", "a gap");

    publish(16, 0, 0);
    is(&a, "", "nothing is sent while behind");
    ok(im_session_caught_up(&a.s, 15) == NGX_AGAIN, "there is more to read");
    ok(im_session_caught_up(&a.s, 16) == NGX_OK, "all was read");

    publish(17, 0, 0);
    is(&a, "17:{} ", "events flow again");

    im_session_behind(&a.s);
    im_session_behind(&a.s);
    is(&a, "resync ", "a full queue, once");
    (void) im_session_caught_up(&a.s, 17);

    text = ngx_alloc(2 * 1024 * 1024, &logger);
    ngx_memset(text, 'x', 2 * 1024 * 1024);
    json.data = text;
    json.len = 2 * 1024 * 1024;
    ok(im_session_publish(APP, &ann, 18, 0, 0, 0, &json) == NGX_OK,
       "an event that is too long for the bus");
    ngx_free(text);

    is(&a, "resync ", "is read from the stream");
    ok(im_session_caught_up(&a.s, 18) == NGX_OK, "up to it");

    im_session_lost();
    is(&a, "resync ", "a lapped worker resyncs");
    is(&c, "resync ", "all its sessions");

    im_session_lost();
    is(&a, "", "one that reads the stream already");
    ok(im_session_caught_up(&a.s, 18) == NGX_AGAIN, "reads it once more");
    ok(im_session_caught_up(&a.s, 18) == NGX_OK, "and no more");

    im_session_detach(&a.s);
    im_session_detach(&b.s);
    im_session_detach(&c.s);
    im_session_detach(&c.s);

    ok(live_holds == 0, "nothing holds the worker");
    ok(!im_session_online(APP, &ann), "the user is offline");
}


static void
test_instances(void)
{
    ngx_str_t           info = ngx_string("info");
    session_t           a, b;
    ngx_uint_t          n;
    im_session_stat_t   stat;
    im_session_entry_t  entries[4];

    attach(&a, &ann, 1, 0);
    attach(&b, &ann, 2, 0);

    n = im_session_list(APP, &ann, entries, 4);
    ok(n == 2 && entries[0].inst == 1 && entries[1].inst == 2
       && entries[1].slot == 1 && entries[1].platform == 7,
       "instances are listed");
    ok(im_session_list(APP, &ann, entries, 1) == 1, "as many as wanted");
    ok(im_session_find(APP, &ann, 2) == &b.s, "a local one is found");

    im_session_stat(&stat);
    ok(stat.total == 2 && stat.n[IM_SESSION_WS][7] == 2, "and counted");

    (void) im_session_kick_publish(APP, &ann, 2, 5, &info);
    is(&a, "", "a kick");
    is(&b, "kick5:info ", "is for one instance");
    ok(im_session_list(APP, &ann, entries, 4) == 1, "which is gone");

    attach(&b, &ann, 1, 0);
    is(&a, "close1000 ", "an instance that comes again replaces the old one");
    ok(im_session_list(APP, &ann, entries, 4) == 1, "there is one of it");

    publish(1, 0, 0);
    is(&b, "1:{} ", "which hears");

    (void) im_session_kick_publish(APP, &ann, 0, 6, &info);
    is(&b, "kick6:info ", "a kick of all instances");
    ok(im_session_kick_publish(APP, &ann, 0, 6, &info) == NGX_DECLINED,
       "nobody is left");
}


static void
test_silence(void)
{
    session_t  a, b;

    attach(&a, &ann, 1, 0);
    attach(&b, &ann, 2, 0);

    ngx_current_msec += 100000;
    im_session_touch(&a.s);
    ngx_current_msec += 30000;

    im_session_tick();

    ok(ngx_strcmp(a.log, "") == 0, "who says something stays");
    ok(ngx_strcmp(b.log, "close1001 ") == 0, "who is silent is closed");

    im_session_detach(&a.s);
}


static void
test_workers(void)
{
    session_t           a;
    ngx_pid_t           pid;
    im_session_entry_t  entry;

    live_sh->ready = 0;

    pid = live_fork();

    if (pid == 0) {
        live_claim(2);
        attach(&a, &ann, 1, 0);
        live_sh->ready = 1;

        while (ngx_strstr(a.log, "close") == NULL) {
            live_turn(1000);
        }

        _exit(ngx_strcmp(a.log, "1:{} close1000 ") != 0);
    }

    while (live_sh->ready == 0) {
        ngx_msleep(1);
    }

    ok(im_session_list(APP, &ann, &entry, 1) == 1 && entry.slot == 2,
       "an instance in another worker");

    publish(1, 0, 0);
    attach(&a, &ann, 1, 1);

    ok(live_wait(pid) == 0, "hears, and is replaced by one of this worker");

    publish(2, 0, 0);
    is(&a, "2:{} ", "which hears from then on");

    im_session_detach(&a.s);

    pid = live_fork();

    if (pid == 0) {
        live_claim(2);
        attach(&a, &ann, 1, 0);
        _exit(0);
    }

    (void) live_wait(pid);

    ok(im_session_online(APP, &ann), "a worker dies with a session");

    im_bus_slot(2)->beat = ngx_current_msec - 4000;
    im_slot_reap();

    ok(!im_session_online(APP, &ann), "which is removed");
}


static void
test_reset(void)
{
    uint64_t   serial;
    ngx_pid_t  pid;
    session_t  a, b;

    attach(&a, &ann, 1, 0);
    serial = a.s.serial;

    empty_zone();
    ok(!im_session_online(APP, &ann), "the zone was emptied");

    attach(&b, &bob, 1, 0);

    im_session_tick();
    is(&a, "resync ", "sessions enter it again, and resync");
    is(&b, "resync ", "one that is there already resyncs only");
    ok(im_session_online(APP, &ann), "they are there");
    ok(a.s.serial == serial, "under the number that who reads knows");

    im_session_detach(&b.s);
    ok(!im_session_online(APP, &bob), "and can be removed");

    empty_zone();

    pid = live_fork();

    if (pid == 0) {
        live_claim(2);
        attach(&b, &ann, 1, 0);
        _exit(0);
    }

    (void) live_wait(pid);

    im_session_tick();
    is(&a, "close1000 ", "an instance that has connected elsewhere ends");
    ok(im_session_online(APP, &ann), "its younger session is there");

    im_bus_slot(2)->beat = ngx_current_msec - 4000;
    im_slot_reap();

    ok(!im_session_online(APP, &ann), "until it goes");
}


/* a worker dies in the lock */

static void
empty_zone(void)
{
    ngx_pid_t  pid;

    pid = live_fork();

    if (pid == 0) {
        live_fault = "in_zone_lock";
        live_fault_n = 1;
        (void) im_session_online(APP, &bob);
        _exit(0);
    }

    (void) live_wait(pid);
    (void) im_session_online(APP, &bob);
}


static void
test_drain(void)
{
    session_t    a[20];
    ngx_uint_t   i, n;

    for (i = 0; i < 20; i++) {
        attach(&a[i], &ann, i + 1, 0);
    }

    ngx_exiting = 1;
    im_session_drain();

    for (n = 0, i = 0; i < 20; i++) {
        n += ngx_strcmp(a[i].log, "close1012 ") == 0;
    }

    ok(n > 0 && n < 20, "a worker that exits closes some sessions");
    ok(im_session_drain_event.timer_set, "then waits");
    ok(attach(&a[0], &bob, 1, 0) == NULL, "takes no new ones");

    while (im_session_drain_event.timer_set) {
        ngx_del_timer(&im_session_drain_event);
        im_session_drain_handler(&im_session_drain_event);
    }

    ok(live_holds == 0, "and closes all in the end");
    ngx_exiting = 0;
}


static void
test_full(void)
{
    ngx_str_t   user;
    session_t  *t;
    ngx_uint_t  i, n;

    t = calloc(10000, sizeof(session_t));

    for (n = 0; n < 10000; n++) {
        user.data = ngx_alloc(32, &logger);
        user.len = ngx_sprintf(user.data, "u%ui", n) - user.data;

        if (attach(&t[n], &user, 1, 0) == NULL) {
            ngx_free(user.data);
            break;
        }
    }

    ok(n > 100 && n < 10000, "a full zone refuses sessions");

    for (i = 0; i < n; i++) {
        im_session_detach(&t[i].s);
        ngx_free(t[i].s.user.data);
    }

    ok(attach(&t[0], &ann, 1, 0) != NULL, "but not for ever");
    im_session_detach(&t[0].s);

    free(t);
}


int
main(void)
{
    live_init(512 * 1024, 4 * 1024 * 1024);

    if (im_session_init_process(&cycle, 500) != NGX_OK) {
        return 1;
    }

    live_claim(1);

    test_cursor();
    test_instances();
    test_silence();
    test_workers();
    test_reset();
    test_drain();
    test_full();

    return done();
}
