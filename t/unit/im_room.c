
/*
 * Copyright (C) The ngx_im authors
 */


#include "live.h"
#include "live/im_room.c"
#include "live/im_room_member.h"


#define APP       1400000001
#define WRITERS   4
#define MESSAGES  500
#define MANY      2000


typedef struct {
    im_room_member_t   m;
    int64_t            last;
    ngx_uint_t         n;
    ngx_uint_t         bad;
    ngx_uint_t         lost;
    ngx_uint_t         closed;
    ngx_uint_t         leaves;       /* at its first record */
    char               text[64];
} member_t;


static ngx_str_t  ann = ngx_string("ann");
static ngx_str_t  bob = ngx_string("bob");


static void
deliver(im_room_member_t *m, im_bus_buf_t *buf)
{
    member_t *t = m->data;

    t->bad += t->last && (int64_t) buf->seq != t->last + 1;
    t->last = buf->seq;
    t->n++;

    ngx_cpystrn((u_char *) t->text, buf->payload.data,
                ngx_min(buf->payload.len + 1, sizeof(t->text)));

    if (t->leaves) {
        im_room_unsubscribe(m);
    }
}


static void
lost(im_room_member_t *m)
{
    member_t *t = m->data;

    t->lost++;
}


static void
closed(im_room_member_t *m)
{
    member_t *t = m->data;

    t->closed++;
}


static void
subscribe(member_t *t, uint64_t gno, ngx_uint_t guest, uint64_t peer)
{
    ngx_memzero(t, sizeof(member_t));

    t->m.deliver = deliver;
    t->m.closed = closed;
    t->m.lost = lost;
    t->m.data = t;
    t->m.guest = guest;
    t->m.peer = peer;

    (void) im_room_subscribe(APP, gno, &t->m);
}


static ngx_int_t
publish(uint64_t gno, ngx_uint_t prio, uint64_t except, int64_t *seq)
{
    u_char     text[] = "{\"MsgSeq\":0000000000}";
    ngx_str_t  parts[2];

    parts[0].data = (u_char *) "seq ";
    parts[0].len = 4;
    parts[1].data = text;
    parts[1].len = sizeof(text) - 1;

    return im_room_publish(APP, gno, prio, parts, 2, 4 + 10, except, seq);
}


static void
test_numbers(void)
{
    int64_t   seq;
    member_t  a, b;

    ok(publish(1, 0, 0, &seq) == NGX_AGAIN, "no room, no number");
    ok(im_room_open(APP, 1) == NGX_OK, "a room is opened");
    ok(publish(1, 0, 0, &seq) == NGX_AGAIN, "it has no numbers yet");

    (void) im_room_block(APP, 1, 1, 3);

    subscribe(&a, 1, 0, 100);
    subscribe(&b, 1, 1, 200);

    ok(publish(1, 0, 100, &seq) == NGX_OK && seq == 1, "the first number");
    live_settle();
    ok(a.n == 0 && b.n == 1, "who is excepted gets no copy");
    ok(ngx_strcmp(b.text, "seq {\"MsgSeq\":         1}") == 0,
       "the number is in the text");

    (void) im_room_block(APP, 1, 101, 103);
    (void) im_room_block(APP, 1, 51, 53);

    (void) publish(1, 0, 0, &seq);
    (void) publish(1, 0, 0, &seq);
    ok(seq == 3, "a block is used up");
    ok(publish(1, 0, 0, &seq) == NGX_OK && seq == 101, "then the other one");
    ok(im_room_last(APP, 1) == 101, "the last number");

    (void) im_room_block(APP, 1, 51, 53);
    (void) im_room_block(APP, 1, 104, 110);
    (void) publish(1, 0, 0, &seq);
    (void) publish(1, 0, 0, &seq);
    ok(publish(1, 0, 0, &seq) == NGX_OK && seq == 104,
       "blocks that follow are joined, old ones dropped");

    im_room_unsubscribe(&a.m);
    im_room_unsubscribe(&b.m);
    im_room_unsubscribe(&b.m);

    live_settle();
    ok(a.n == 0 && b.n == 1, "who has left hears nothing");
}


static ngx_int_t
read_handler(im_bus_buf_t *buf, void *data)
{
    member_t *t = data;

    deliver(&t->m, buf);

    return NGX_OK;
}


static void
test_concurrent(void)
{
    int64_t     seq, oldest, previous;
    member_t    a, r;
    ngx_int_t   rc;
    ngx_uint_t  i, failed;
    ngx_pid_t   pids[WRITERS], pid;

    (void) im_room_open(APP, 2);
    (void) im_room_block(APP, 2, 1, 1000000);

    live_sh->ready = 0;

    pid = live_fork();

    if (pid == 0) {
        live_claim(2);
        subscribe(&a, 2, 1, 1);
        live_sh->ready = 1;

        while (a.n < WRITERS * MESSAGES) {
            live_turn(1000);
        }

        im_room_unsubscribe(&a.m);
        _exit(a.bad != 0 || a.last != WRITERS * MESSAGES);
    }

    while (live_sh->ready == 0) {
        ngx_msleep(1);
    }

    for (i = 0; i < WRITERS; i++) {
        pids[i] = live_fork();

        if (pids[i] == 0) {
            live_claim(10 + i);
            previous = 0;

            for (i = 0; i < MESSAGES; i++) {
                rc = publish(2, 0, 0, &seq);

                if (rc != NGX_OK || seq <= previous) {
                    _exit(1);
                }

                previous = seq;
            }

            _exit(0);
        }
    }

    for (failed = 0, i = 0; i < WRITERS; i++) {
        failed += live_wait(pids[i]) != 0;
    }

    ok(failed == 0, "four workers publish in one room");
    ok(live_wait(pid) == 0, "its numbers come without gap, in order");
    ok(im_room_last(APP, 2) == WRITERS * MESSAGES, "none was left out");

    ngx_memzero(&r, sizeof(member_t));
    r.m.data = &r;

    rc = im_room_read(APP, 2, WRITERS * MESSAGES - 9, 50, 1 << 20, &oldest,
                      read_handler, &r);
    ok(rc == NGX_OK && r.n == 10 && !r.bad && r.last == WRITERS * MESSAGES,
       "a poll reads what is new");

    ngx_memzero(&r, sizeof(member_t));
    r.m.data = &r;

    (void) im_room_read(APP, 2, 100, 20, 1 << 20, &oldest, read_handler, &r);
    ok(r.n == 20 && !r.bad && r.last == 119, "at most so many, oldest first");

    ngx_memzero(&r, sizeof(member_t));
    r.m.data = &r;

    (void) im_room_read(APP, 2, 100, 20, 60, &oldest, read_handler, &r);
    ok(r.n == 2 && r.last == 101, "at most so many bytes");

    ngx_memzero(&r, sizeof(member_t));
    r.m.data = &r;

    (void) im_room_read(APP, 2, WRITERS * MESSAGES + 1, 20, 60, &oldest,
                        read_handler, &r);
    ok(r.n == 0, "nothing is new");

    (void) im_room_read(APP, 1, 1, 20, 1 << 20, &oldest, read_handler, &r);
    ok(oldest == 1 && r.n == 7, "another room has its own chain");

    ok(im_room_read(APP, 99, 1, 20, 60, &oldest, read_handler, &r)
       == NGX_DECLINED, "no such room");
}


static void
test_chain_lapped(void)
{
    u_char     *text;
    int64_t     seq, oldest;
    member_t    r;
    ngx_str_t   part;
    ngx_uint_t  i;

    (void) im_room_open(APP, 3);
    (void) im_room_block(APP, 3, 1, 1000000);

    text = ngx_alloc(100000, &logger);
    ngx_memset(text, 'x', 100000);
    part.data = text;
    part.len = 100000;

    for (i = 0; i < 200; i++) {
        (void) im_room_publish(APP, 3, 0, &part, 1, IM_ROOM_NO_SEQ, 0, &seq);
    }

    ngx_memzero(&r, sizeof(member_t));
    r.m.data = &r;

    (void) im_room_read(APP, 3, 1, 5, 1 << 20, &oldest, read_handler, &r);
    ok(oldest > 120 && oldest < 190, "old messages are overwritten");
    ok(r.n == 5 && r.last == oldest + 4 && !r.bad, "the rest is there");

    ngx_free(text);
}


static void
test_fanout(void)
{
    int64_t          seq;
    member_t        *m, late, quits;
    ngx_str_t        part;
    ngx_uint_t       i, n, bad;
    im_room_stat_t   stat;

    m = calloc(MANY, sizeof(member_t));

    (void) im_room_open(APP, 4);
    (void) im_room_block(APP, 4, 1, 1000000);

    for (i = 0; i < MANY; i++) {
        subscribe(&m[i], 4, i % 2, i + 1);
    }

    subscribe(&quits, 4, 1, MANY + 1);
    quits.leaves = 1;

    (void) publish(4, 0, 0, &seq);
    (void) publish(4, 0, 0, &seq);

    live_turn(100);
    subscribe(&late, 4, 1, 1);
    live_turn(0);

    im_room_stat(&stat);
    ok(stat.delivered > 0 && stat.jobs > 0, "a big room takes several slices");

    for (bad = 0, i = 0; i < MANY; i++) {
        bad += m[i].n == 1;
    }

    ok(bad == 0, "records that wait come together");
    ok(quits.n == 1, "who leaves at the first gets no other");

    for (i = 0; i < MANY; i += 3) {
        im_room_unsubscribe(&m[i].m);
    }

    live_settle();

    for (bad = 0, n = 0, i = 0; i < MANY; i++) {
        bad += m[i].bad != 0;
        bad += i % 3 && m[i].n != 2;
        n += m[i].n;
    }

    ok(bad == 0, "all that stay get all of it, in order");
    ok(n < 2 * MANY, "those that leave do not");
    ok(late.n == 0, "those that come late neither");

    im_room_stat(&stat);
    ok(stat.jobs == 0 && stat.bytes == 0, "nothing remains");

    ngx_str_set(&part, "group");
    (void) im_room_notify(APP, 4, 77, 0, &part, 1, 0);
    live_settle();
    ok(late.n == 1 && late.last == 77 && m[1].n == 3, "a stored message");

    part.len = 4 * 1024 * 1024;
    ok(im_room_notify(APP, 4, 78, 0, &part, 1, 0) == NGX_OK, "a long one");
    live_settle();
    ok(late.n == 1 && late.lost == 1 && m[1].lost == 1,
       "is read from the stream");

    im_room_close(APP, 4);
    live_settle();

    for (bad = 0, i = 0; i < MANY; i++) {
        bad += i % 3 && (m[i].closed != 1 || m[i].m.room);
    }

    im_room_stat(&stat);
    ok(bad == 0 && stat.members == 0 && stat.rooms == 0,
       "a room that is closed tells all");
    ok(publish(4, 0, 0, &seq) == NGX_AGAIN, "it is gone");

    free(m);
}


static void
test_users(void)
{
    ngx_uint_t          n;
    im_room_user_t      u[4];
    im_room_audience_t  a;

    ok(im_room_join(APP, 5, &ann, 1, 1000, 60000) == NGX_OK, "a user joins");
    ok(im_room_join(APP, 5, &bob, 2, 1001, 60000) == NGX_OK, "another one");
    ok(im_room_join(APP, 5, &ann, 3, 1002, 60000) == NGX_DECLINED,
       "one comes again");

    n = im_room_list(APP, 5, 0, 0, u, 4);
    ok(n == 2 && u[0].len == 3 && ngx_memcmp(u[0].name, "ann", 3) == 0
       && u[0].inst == 3 && u[0].joined == 1000 && u[1].inst == 2,
       "in order of joining");

    n = im_room_list(APP, 5, 1, 1, u, 4);
    ok(n == 1 && u[0].inst == 3, "newest first, without the first");

    ok(im_room_joined(APP, 5, &bob, u) == NGX_OK && u[0].inst == 2,
       "bob is in");
    ok(im_room_leave(APP, 5, &bob, 9) == NGX_DECLINED,
       "another instance of bob does not leave");
    ok(im_room_leave(APP, 5, &bob, 2) == NGX_OK, "bob leaves");
    ok(im_room_joined(APP, 5, &bob, NULL) == NGX_DECLINED, "bob is out");

    im_room_leaving(APP, 5, &ann, 3);
    ngx_current_msec += 59000;
    im_room_tick();
    ok(im_room_joined(APP, 5, &ann, NULL) == NGX_OK,
       "who loses the socket stays");

    (void) im_room_join(APP, 5, &ann, 3, 1003, 60000);
    ngx_current_msec += 2000;
    im_room_tick();
    ok(im_room_joined(APP, 5, &ann, NULL) == NGX_OK, "when it comes back");

    im_room_leaving(APP, 5, &ann, 3);
    ngx_current_msec += 60000;
    im_room_tick();
    ok(im_room_joined(APP, 5, &ann, NULL) == NGX_DECLINED, "else it goes");

    im_room_guest_touch(APP, 5, 4711, 60000);
    im_room_guest_touch(APP, 5, 4711, 60000);
    im_room_guest_touch(APP, 5, 4712, 60000);
    im_room_audience(APP, 5, &a);
    ok(a.guests == 2 && a.joined == 0, "guests that poll");

    ngx_current_msec += 30000;
    im_room_guest_touch(APP, 5, 4711, 60000);
    ngx_current_msec += 30000;
    im_room_tick();
    im_room_audience(APP, 5, &a);
    ok(a.guests == 1, "are gone when they do not");
}


static void
test_audience(void)
{
    member_t            a[3];
    ngx_pid_t           pid;
    im_room_audience_t  sum;

    (void) im_room_open(APP, 6);

    subscribe(&a[0], 6, 1, 1);
    subscribe(&a[1], 6, 0, 2);

    pid = live_fork();

    if (pid == 0) {
        live_claim(7);
        im_room_contribute(APP, 6, 10, 20);
        (void) im_room_join(APP, 6, &bob, 1, 1000, 5000);
        _exit(0);
    }

    (void) live_wait(pid);

    im_room_audience(APP, 6, &sum);
    ok(sum.guests == 21 && sum.sockets == 11 && sum.joined == 1,
       "the audience of two workers");

    im_bus_slot(7)->beat = ngx_current_msec - 4000;
    im_slot_reap();

    im_room_audience(APP, 6, &sum);
    ok(sum.guests == 1 && sum.sockets == 1, "a dead one has none");
    ok(sum.joined == 1, "its users may come back");

    ngx_current_msec += 5000;
    im_room_tick();

    im_room_audience(APP, 6, &sum);
    ok(sum.joined == 0, "but not for ever");

    im_room_unsubscribe(&a[0].m);
    im_room_unsubscribe(&a[1].m);

    im_room_audience(APP, 6, &sum);
    ok(sum.guests == 0 && sum.sockets == 0, "nobody is left");
}


static void
test_reset(const char *fault)
{
    int64_t             seq;
    member_t            a;
    ngx_pid_t           pid;
    im_room_audience_t  sum;

    (void) im_room_open(APP, 8);
    (void) im_room_block(APP, 8, 1, 1000);
    (void) im_room_join(APP, 8, &ann, 5, 1000, 60000);

    subscribe(&a, 8, 0, 1);
    a.m.user = ann;
    a.m.inst = 5;
    a.m.joined = 1000;
    a.m.ttl = 60000;

    pid = live_fork();

    if (pid == 0) {
        live_fault = fault;
        live_fault_n = 1;
        (void) publish(8, 0, 0, &seq);
        _exit(0);
    }

    ok(WIFSIGNALED(live_wait(pid)), fault);
    ok(publish(8, 0, 0, &seq) == NGX_AGAIN, "the room has lost its block");

    live_tick();

    im_room_audience(APP, 8, &sum);
    ok(sum.sockets == 1 && sum.joined == 1, "its members are entered again");

    (void) im_room_block(APP, 8, 16385, 32768);
    ok(publish(8, 0, 0, &seq) == NGX_OK && seq == 16385, "it goes on above");

    live_settle();
    ok(a.last == 16385, "for the old members, too");

    im_room_unsubscribe(&a.m);
    im_room_close(APP, 8);
    live_settle();
    im_room_tick();
}


static ngx_uint_t
passed(ngx_uint_t n, ngx_uint_t prio, ngx_uint_t exempt)
{
    ngx_uint_t        i, ok;
    im_room_limits_t  limits = { 40, { 0, 40, 20, 10 } };

    for (ok = 0, i = 0; i < n; i++) {
        ok += im_room_rate(APP, 9, prio, exempt, &limits) == NGX_OK;
    }

    return ok;
}


static void
test_rate(void)
{
    ngx_current_msec = 1000000;

    ok(passed(100, IM_ROOM_NORMAL, 0) == 40, "an idle group: all for one");
    ok(passed(10, IM_ROOM_HIGH, 0) == 0, "no exemption from the total");

    ngx_current_msec += 1000;
    ok(passed(100, IM_ROOM_LOWEST, 1) == 20, "a busy group: half for Lowest");
    ok(passed(100, IM_ROOM_LOW, 1) == 10, "three quarters for Low");
    ok(passed(100, IM_ROOM_NORMAL, 0) == 5, "seven eighths for Normal");
    ok(passed(100, IM_ROOM_HIGH, 0) == 5, "the rest is for High");

    ngx_current_msec += 2000;
    ok(passed(30, IM_ROOM_LOW, 0) == 20, "the limit of a priority");
    ok(passed(5, IM_ROOM_LOW, 1) == 5, "some are exempt from it");
    ok(passed(30, IM_ROOM_NORMAL, 0) == 15, "but not from the total");
}


/* Guests need no login: the rest of the zone is not theirs. */

static void
test_guests(void)
{
    uint64_t             i;
    ngx_uint_t           n;
    im_zone_stat_t       stat;
    im_room_audience_t   a;

    (void) im_room_open(APP, 77);

    for (i = 0; i < 20000; i++) {
        im_room_guest_touch(APP, 77, i + 1, 60000);
    }

    im_zone_stat(&stat);
    im_room_audience(APP, 77, &a);

    ok(a.guests > 100, "guests are counted");
    ok(stat.used < stat.size * 3 / 4, "and do not fill the zone");

    n = a.guests;
    im_room_guest_touch(APP, 77, 30000, 60000);
    im_room_audience(APP, 77, &a);
    ok(a.guests == n, "one more has no place");

    ngx_current_msec += 60000;
    im_room_guest_touch(APP, 77, 1, 60000);

    for (i = 0; i < 8; i++) {
        im_room_tick();
    }

    im_room_guest_touch(APP, 77, 30000, 60000);
    im_room_audience(APP, 77, &a);
    ok(a.guests == 2, "but has when others are gone");
}


int
main(void)
{
    live_init(1024 * 1024, 8 * 1024 * 1024);

    if (im_room_init_process(&cycle) != NGX_OK
        || im_room_member_init_process(&cycle) != NGX_OK)
    {
        return 1;
    }

    live_claim(1);

    test_numbers();
    test_concurrent();
    test_chain_lapped();
    test_fanout();
    test_users();
    test_audience();
    test_reset("in_zone_lock");
    test_reset("in_bus_lock");
    test_rate();
    test_guests();

    return done();
}
