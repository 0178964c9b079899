
/*
 * Copyright (C) The ngx_im authors
 */


#include "live.h"


#define WRITERS  4
#define READERS  3
#define RECORDS  6000
#define WINDOW   150


typedef struct {
    uint32_t    writer;
    uint32_t    count[READERS];
} head_t;


static uint32_t    next_of[WRITERS];
static ngx_uint_t  bad, seen, lost;
static u_char      text[1024 * 1024];


/* every record for this reader, in the order of each writer */

static void
count_handler(im_bus_buf_t *buf)
{
    size_t      i;
    u_char     *p;
    head_t     *head;
    ngx_uint_t  reader;

    head = (head_t *) buf->payload.data;
    reader = im_slot_self() - 10;

    if (head->count[reader] != next_of[head->writer]++) {
        bad++;
    }

    p = (u_char *) (head + 1);

    for (i = sizeof(head_t); i < buf->payload.len; i++) {
        bad += *p++ != (u_char) head->writer;
    }

    seen++;
    live_sh->n[reader]++;
}


static void
seen_handler(im_bus_buf_t *buf)
{
    seen++;
}


static void
lost_handler(void)
{
    lost++;
}


static int
reader(ngx_uint_t n)
{
    live_claim(10 + n);
    im_bus_handler(IM_BUS_OTHER, count_handler);
    im_bus_lost_handler(lost_handler);

    (void) __sync_fetch_and_add(&live_sh->ready, 1);

    while (live_sh->stop != WRITERS
           || live_sh->n[n] != live_sh->n[32 + n])
    {
        live_turn(200);
    }

    return bad != 0 || lost != 0;
}


static int
writer(ngx_uint_t n)
{
    head_t      head;
    ngx_str_t   parts[2];
    ngx_uint_t  i, r, random;
    im_slots_t  to;

    live_claim(20 + n);
    ngx_memzero(&head, sizeof(head_t));
    ngx_memset(text, n, sizeof(text));
    random = n + 1;

    while (live_sh->ready != READERS) {
        ngx_msleep(1);
    }

    for (i = 0; i < RECORDS; i++) {

        random = random * 1103515245 + 12345;

        head.writer = n;
        im_slots_zero(&to);

        parts[0].data = (u_char *) &head;
        parts[0].len = sizeof(head_t);
        parts[1].data = text;
        parts[1].len = (random >> 16) % 8192;

        for (r = 0; r < READERS; r++) {
            if ((random >> 8 >> r) & 1) {
                im_slots_set(&to, 10 + r);
                (void) __sync_fetch_and_add(&live_sh->n[32 + r], 1);
            }
        }

        if (im_bus_publish(&to, IM_BUS_OTHER, NULL, parts, 2) != NGX_OK) {
            return 1;
        }

        for (r = 0; r < READERS; r++) {
            if (im_slots_has(&to, 10 + r)) {
                head.count[r]++;
            }

            while (live_sh->n[32 + r] > live_sh->n[r] + WINDOW) {
                ngx_msleep(1);
            }
        }
    }

    (void) __sync_fetch_and_add(&live_sh->stop, 1);

    return 0;
}


static ngx_uint_t
publish(ngx_uint_t slot, size_t len)
{
    ngx_str_t   part;
    im_slots_t  to;

    im_slots_zero(&to);
    im_slots_set(&to, slot);

    part.data = text;
    part.len = len;

    return im_bus_publish(&to, IM_BUS_OTHER, NULL, &part, 1) == NGX_OK;
}


static void
test_many(void)
{
    ngx_uint_t     i, failed, total;
    ngx_pid_t      pids[READERS + WRITERS];
    im_bus_stat_t  stat;

    for (i = 0; i < READERS; i++) {
        pids[i] = live_fork();

        if (pids[i] == 0) {
            _exit(reader(i));
        }
    }

    for (i = 0; i < WRITERS; i++) {
        pids[READERS + i] = live_fork();

        if (pids[READERS + i] == 0) {
            _exit(writer(i));
        }
    }

    failed = 0;

    for (i = 0; i < READERS + WRITERS; i++) {
        failed += live_wait(pids[i]) != 0;
    }

    total = 0;

    for (i = 0; i < READERS; i++) {
        total += live_sh->n[i];
        failed += live_sh->n[i] != live_sh->n[32 + i];
    }

    im_bus_stat(&stat);

    ok(failed == 0, "each reader saw each of its records once, in order");
    ok(total > WRITERS * RECORDS, "there were many of them");
    ok(stat.bytes > 10 * stat.size, "the log was lapped many times");
    ok(stat.laps == 0, "but no reader was");
    ok(stat.used <= stat.size, "the log is not fuller than full");
}


static void
test_lap(void)
{
    ngx_uint_t     i;
    im_bus_stat_t  stat;

    live_claim(1);
    im_bus_handler(IM_BUS_OTHER, seen_handler);
    im_bus_lost_handler(lost_handler);

    seen = 0;
    lost = 0;

    ok(publish(1, 100), "a record");
    live_settle();
    ok(seen == 1 && lost == 0, "was seen");

    im_bus_stat(&stat);

    for (i = 0; i <= stat.size / 8192; i++) {
        (void) publish(1, 8192);
    }

    live_settle();
    ok(seen == 1 && lost == 1, "a lapped reader is told once, sees nothing");
    ok(im_bus_slot(1)->lost == 1, "and is counted");

    ok(publish(1, 100), "the next record");
    live_settle();
    ok(seen == 2 && lost == 1, "is seen again");

    ok(publish(1, im_bus_payload_max()), "the longest record");
    live_settle();
    ok(seen == 3, "is seen");
}


static void
test_long(void)
{
    ngx_str_t   part;
    im_slots_t  to;

    im_slots_zero(&to);
    part.data = text;
    part.len = im_bus_payload_max() + 1;

    ok(im_bus_publish(&to, IM_BUS_OTHER, NULL, &part, 1) == NGX_OK,
       "a record for nobody is none");

    im_slots_set(&to, 1);

    ok(im_bus_publish(&to, IM_BUS_OTHER, NULL, &part, 1) == NGX_DECLINED,
       "a record that is too long is declined");
}


static void
test_fault(const char *name, ngx_uint_t expected)
{
    int         status;
    ngx_pid_t   pid;

    seen = 0;
    lost = 0;

    pid = live_fork();

    if (pid == 0) {
        live_claim(5);
        live_fault = name;
        live_fault_n = 2;
        (void) publish(1, 1000);
        (void) publish(1, 1000);
        _exit(0);
    }

    status = live_wait(pid);

    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, name);

    (void) publish(1, 500);
    live_settle();

    ok(seen == expected + 1 && lost == 0, "the log goes on after it");
}


static void
test_interest(void)
{
    ngx_pid_t   pid;
    im_slots_t  slots;

    im_bus_interest_add(77);
    im_bus_interest_add(77);
    im_bus_interest_del(77);

    im_bus_interested(77, &slots);
    ok(im_slots_has(&slots, 1), "an interest lasts while anybody has it");

    im_bus_interest_del(77);
    im_bus_interested(77, &slots);
    ok(im_slots_empty(&slots), "and no longer");

    pid = live_fork();

    if (pid == 0) {
        live_claim(99);
        im_bus_interest_add(78);
        _exit(0);
    }

    (void) live_wait(pid);

    im_bus_interested(78, &slots);
    ok(im_slots_has(&slots, 99), "a dead worker leaves its interest");
    ok(im_slot_alive(99), "and its slot");

    im_slot_reap();
    ok(im_slot_alive(99), "for a while");

    im_bus_slot(99)->beat = ngx_current_msec - 4000;
    im_slot_reap();

    im_bus_interested(78, &slots);
    ok(im_slots_empty(&slots) && !im_slot_alive(99), "others clear it");

    pid = live_fork();

    if (pid == 0) {
        live_claim(99);
        im_bus_interest_add(78);
        (void) publish(99, 10);
        _exit(0);
    }

    (void) live_wait(pid);

    pid = live_fork();

    if (pid == 0) {
        live_claim(99);
        im_bus_interest_add(79);
        im_bus_handler(IM_BUS_OTHER, seen_handler);
        seen = 0;
        live_settle();
        _exit(seen);
    }

    ok(live_wait(pid) == 0, "a successor reads nothing of the dead one");

    im_bus_interested(78, &slots);
    ok(im_slots_empty(&slots), "has none of its interests");

    im_bus_interested(79, &slots);
    ok(im_slots_has(&slots, 99), "but its own");
    ok(im_bus_slot(99)->starts == 3, "starts are counted");
}


int
main(void)
{
    live_init(1024 * 1024, 4 * 1024 * 1024);

    test_many();
    test_lap();
    test_long();
    test_fault("before_publish", 1);
    test_fault("in_bus_lock", 1);
    test_fault("after_publish", 2);
    test_interest();

    return done();
}
