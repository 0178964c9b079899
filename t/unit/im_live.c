
/*
 * Copyright (C) The ngx_im authors
 */


#include "live.h"
#include "live/im_marker.h"
#include "live/im_rate.h"
#include "live/im_session.h"
#include "live/im_room.h"
#include "live/im_room_member.h"


#define APP       1400000001
#define WORKERS   4
#define KILLS     60
#define SESSIONS  16


/* Workers that do everything at random are killed at random. */


typedef struct {
    im_session_t      s;
    im_room_member_t  m;
    u_char            name[16];
} session_t;


static session_t   sessions[SESSIONS];
static uint32_t    seed;


static uint32_t
random_to(uint32_t n)
{
    seed = seed * 1103515245 + 12345;

    return (seed >> 8) % n;
}


static void
event(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *json)
{
    if (random_to(50) == 0) {
        im_session_behind(s);
    }
}


static void
resync(im_session_t *s)
{
    while (im_session_caught_up(s, s->seen) == NGX_AGAIN) { /* void */ }
}


static void
kick(im_session_t *s, ngx_uint_t type, ngx_str_t *info)
{
    session_t *t = s->data;

    if (t) {
        im_room_unsubscribe(&t->m);
        im_session_detach(s);
    }
}


static void
closed(im_session_t *s, ngx_uint_t code)
{
    kick(s, 0, NULL);
}


static void
deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    session_t *t = m->data;

    if (random_to(100) == 0) {
        kick(&t->s, 0, NULL);
    }
}


static im_session_ops_t  ops = { event, resync, kick, closed };


static void
attach(session_t *t)
{
    kick(&t->s, 0, NULL);

    ngx_memzero(t, sizeof(session_t));

    t->s.app = APP;
    t->s.user.data = t->name;
    t->s.user.len = ngx_sprintf(t->name, "u%uD", random_to(20)) - t->name;
    t->s.inst = random_to(4) + 1;
    t->s.timeout = 60000;
    t->s.ops = &ops;
    t->s.data = t;

    if (im_session_attach(&t->s) == NGX_OK) {
        resync(&t->s);
    }

    t->m.deliver = deliver;
    t->m.data = t;
    t->m.guest = random_to(2);

    if (!t->m.guest) {
        t->m.user = t->s.user;
        t->m.inst = t->s.inst;
        t->m.ttl = 500;
    }
}


static void
act(void)
{
    u_char      key[IM_ZONE_KEY_LEN];
    int64_t     seq;
    uint64_t    gno;
    ngx_str_t   text = ngx_string("some text of a message");
    session_t  *t;

    t = &sessions[random_to(SESSIONS)];
    gno = random_to(5) + 1;

    switch (random_to(10)) {

    case 0:
        attach(t);
        break;

    case 1:
        kick(&t->s, 0, NULL);
        break;

    case 2:
    case 3:
        if (t->s.user.len) {
            (void) im_session_publish(APP, &t->s.user, random_to(1000), 0, 0,
                                      0, &text);
        }

        break;

    case 4:
        if (t->s.attached && t->m.room == NULL) {

            if (t->m.guest) {
                (void) im_room_open(APP, gno);

            } else {
                (void) im_room_join(APP, gno, &t->m.user, t->m.inst, 1000,
                                    500);
            }

            (void) im_room_subscribe(APP, gno, &t->m);
        }

        break;

    case 5:
        if (t->s.user.len) {
            (void) im_room_leave(APP, gno, &t->s.user, 0);
        }

        break;

    case 6:
    case 7:
        if (im_room_publish(APP, gno, 1, &text, 1, IM_ROOM_NO_SEQ, 0, &seq)
            == NGX_AGAIN)
        {
            seq = __sync_fetch_and_add(&live_sh->n[gno], 100);
            (void) im_room_block(APP, gno, seq + 1, seq + 100);
        }

        break;

    case 8:
        im_room_guest_touch(APP, gno, random_to(50), 500);

        if (random_to(100) == 0) {
            im_room_close(APP, gno);
        }

        break;

    case 9:
        im_zone_key(key, APP, random_to(100), &text, 1);
        (void) im_marker_take(key, 10, NULL, NULL, NULL);
        (void) im_rate_take(key, 10, 10, ngx_current_msec);
        break;
    }
}


static void
start(void)
{
    (void) im_session_init_process(&cycle, 500);
    (void) im_room_init_process(&cycle);
    (void) im_room_member_init_process(&cycle);
}


static void
worker(ngx_uint_t slot)
{
    ngx_uint_t  i;

    start();
    live_claim(slot);
    seed = getpid();

    for (i = 1; live_sh->stop == 0; i++) {
        act();
        live_turn(0);

        if (i % 100 == 0) {
            live_tick();
        }
    }

    for (i = 0; i < SESSIONS; i++) {
        kick(&sessions[i].s, 0, NULL);
    }

    live_settle();
    im_slot_exit_process(&cycle);
    exit(0);
}


int
main(void)
{
    int             status;
    ngx_uint_t      i, slot, bad;
    ngx_pid_t       pids[WORKERS];
    im_bus_stat_t   bus;
    im_zone_stat_t  stat;

    live_init(1024 * 1024, 3 * 1024 * 1024);

    for (i = 0; i < WORKERS; i++) {
        pids[i] = live_fork();

        if (pids[i] == 0) {
            worker(i);
        }
    }

    bad = 0;
    seed = 1;

    for (i = 0; i < KILLS; i++) {

        ngx_msleep(20 + random_to(20));

        slot = random_to(WORKERS);
        (void) kill(pids[slot], SIGKILL);

        status = live_wait(pids[slot]);
        bad += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;

        pids[slot] = live_fork();

        if (pids[slot] == 0) {
            worker(slot);
        }
    }

    live_sh->stop = 1;

    for (i = 0; i < WORKERS; i++) {
        bad += live_wait(pids[i]) != 0;
    }

    ok(bad == 0, "nobody has died but of a kill");

    im_zone_stat(&stat);
    im_bus_stat(&bus);

    printf("# %lu records, %lu resets\n", (unsigned long) bus.records,
           (unsigned long) stat.resets);

    ok(bus.records > KILLS, "they have worked");
    ok(stat.sessions == 0 && stat.users == 0, "no session is left");

    start();
    live_claim(100);

    for (i = 1; i <= 5; i++) {
        im_room_close(APP, i);
    }

    ngx_current_msec += 1000;
    live_tick();

    im_zone_stat(&stat);
    ok(stat.rooms == 0 && stat.joined == 0, "no room, no user in one");

    return done();
}
