
/*
 * Copyright (C) The ngx_im authors
 */


#include "live.h"
#include "live/im_marker.h"
#include "live/im_rate.h"
#include "live/im_sigcache.h"
#include "live/im_stamp.h"


#define key_of(key, text)  make_key(key, text, sizeof(text) - 1)


static void
make_key(u_char *key, const char *text, size_t len)
{
    ngx_str_t  part;

    part.data = (u_char *) text;
    part.len = len;

    im_zone_key(key, 1400000001, IM_KEY_MESSAGE, &part, 1);
}


static void
test_markers(void)
{
    u_char       key[IM_ZONE_KEY_LEN], other[IM_ZONE_KEY_LEN];
    u_char       text[IM_MARKER_RESULT_MAX + 1];
    ngx_str_t    result, out;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, &logger);

    key_of(key, "a");
    key_of(other, "b");

    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK,
       "a marker is taken");
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_BUSY, "once");
    ok(im_marker_take(other, 1000, NULL, pool, &out) == NGX_OK,
       "others are free");

    im_marker_release(key);
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK,
       "free when released");

    ngx_current_msec += 1000;
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK,
       "free after its time");

    ngx_str_set(&result, "{\"MsgSeq\":7}");
    ok(im_marker_done(key, &result, 60000) == NGX_OK, "a result is kept");

    ngx_current_msec += 59000;
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_DONE, "for its time");
    ok(out.len == result.len
       && ngx_memcmp(out.data, result.data, out.len) == 0,
       "and given to whoever asks");

    im_marker_release(key);
    ok(im_marker_take(key, 1000, NULL, pool, NULL) == NGX_DONE,
       "what was done is not released");

    ngx_current_msec += 1000;
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK, "no longer");

    ngx_memset(text, 'x', sizeof(text));
    result.data = text;
    result.len = sizeof(text);

    ok(im_marker_done(key, &result, 60000) == NGX_DECLINED,
       "a long result is not kept");
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK, "but released");

    result.len--;
    ok(im_marker_done(key, &result, 60000) == NGX_OK, "the longest is kept");
    ok(im_marker_take(key, 1, NULL, pool, &out) == NGX_DONE
       && out.len == IM_MARKER_RESULT_MAX, "whole");

    /* who has taken it says nothing */

    key_of(key, "c");
    ngx_str_set(&result, "1700000000");

    ok(im_marker_take(key, 1000, &result, pool, &out) == NGX_OK
       && im_marker_take(key, 1000, &result, pool, &out) == NGX_BUSY,
       "one that leaves something is taken");

    ngx_current_msec += 1000;
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_DONE
       && out.len == result.len
       && ngx_memcmp(out.data, result.data, out.len) == 0,
       "it is found after its time");
    ok(im_marker_number(key) == 0, "it is not what was done");

    ngx_current_msec += IM_MARKER_LEFT - 1;
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_DONE,
       "for a while");

    ngx_current_msec += 1;
    ok(im_marker_take(key, 1000, &result, pool, &out) == NGX_OK,
       "and then no longer");

    ngx_current_msec += 1000;
    im_marker_release(key);
    ok(im_marker_take(key, 1000, NULL, pool, &out) == NGX_OK,
       "nothing is left of one that was released");

    ngx_destroy_pool(pool);
}


static void
test_sigs(void)
{
    time_t  sig, expires;
    u_char  digest[32];

    ngx_memset(digest, 1, 32);

    ok(im_sigcache_get(digest, &sig, &expires) == NGX_DECLINED, "no UserSig");

    im_sigcache_put(digest, 1000, ngx_time() + 100);
    ok(im_sigcache_get(digest, &sig, &expires) == NGX_OK
       && sig == 1000 && expires == ngx_time() + 100, "a UserSig is found");

    digest[31] = 2;
    ok(im_sigcache_get(digest, &sig, &expires) == NGX_DECLINED,
       "all of the digest counts");
    digest[31] = 1;

    ngx_current_msec += 100000;
    ok(im_sigcache_get(digest, &sig, &expires) == NGX_DECLINED,
       "it dies at expiry");

    im_sigcache_put(digest, 1000, ngx_time());
    ok(im_sigcache_get(digest, &sig, &expires) == NGX_DECLINED,
       "an expired one is not kept");
}


static void
test_rates(void)
{
    u_char      key[IM_ZONE_KEY_LEN];
    ngx_msec_t  now;
    ngx_uint_t  i, n;

    key_of(key, "rate");
    now = 5000;

    for (n = 0, i = 0; i < 50; i++) {
        n += im_rate_take(key, 10, 20, now) == NGX_OK;
    }

    ok(n == 20, "the burst");

    for (n = 0, i = 0; i < 50; i++) {
        n += im_rate_take(key, 10, 20, now + 500) == NGX_OK;
    }

    ok(n == 5, "then the rate");

    for (n = 0, i = 0; i < 50; i++) {
        n += im_rate_take(key, 10, 20, now + 600000) == NGX_OK;
    }

    ok(n == 20, "never more than the burst");

    for (n = 0, i = 0; i < 50; i++) {
        n += im_rate_take(key, 0, 0, now) == NGX_OK;
    }

    ok(n == 50, "no rate, no limit");

    key_of(key, "failures");

    ok(im_failures_get(key) == 0, "no failures");
    (void) im_failures_add(key, 60000);
    ngx_current_msec += 30000;
    ok(im_failures_add(key, 60000) == 2, "failures are counted");
    ok(im_failures_get(key) == 2, "and answered");
    ngx_current_msec += 30000;
    ok(im_failures_get(key) == 0, "in a window that began with the first");
}


static void
test_stamps(void)
{
    uint32_t    stamp;
    ngx_uint_t  i;
    ngx_pid_t   pids[4];

    stamp = im_stamp_get(4711);

    for (i = 0; i < 4; i++) {
        pids[i] = live_fork();

        if (pids[i] == 0) {
            for (i = 0; i < 1000; i++) {
                im_stamp_bump(4711);
            }

            _exit(0);
        }
    }

    for (i = 0; i < 4; i++) {
        (void) live_wait(pids[i]);
    }

    ok(im_stamp_get(4711) == stamp + 4000, "all processes see stamps");
    ok(im_stamp_get(4712) == 0, "each has its own");
}


/* Whoever can make entries of one table without any login. */

static void
test_flood(void)
{
    u_char      key[IM_ZONE_KEY_LEN], mark[8][IM_ZONE_KEY_LEN];
    ngx_str_t   part;
    ngx_uint_t  i, n;

    for (i = 0; i < 8; i++) {
        part.data = (u_char *) &i;
        part.len = sizeof(i);

        im_zone_key(mark[i], 1400000001, IM_KEY_ONCE, &part, 1);
        (void) im_marker_take(mark[i], 1000000, NULL, NULL, NULL);
    }

    for (i = 0; i < 20000; i++) {
        part.data = (u_char *) &i;
        part.len = sizeof(i);

        im_zone_key(key, 1400000001, IM_KEY_FAILURES, &part, 1);
        (void) im_failures_add(key, 1000000);

        if (i % 50 == 0) {
            im_zone_key(key, 1400000001, IM_KEY_OTHER, &part, 1);
            (void) im_marker_take(key, 1000000, NULL, NULL, NULL);
        }
    }

    for (n = 0, i = 0; i < 8; i++) {
        n += im_marker_take(mark[i], 1000, NULL, NULL, NULL) == NGX_BUSY;
    }

    ok(n == 8, "a flood of failures leaves the markers alone");

    ngx_current_msec += 2000000;
}


static void
test_full(void)
{
    u_char          key[IM_ZONE_KEY_LEN], last[IM_ZONE_KEY_LEN];
    ngx_uint_t      i;
    im_zone_stat_t  stat;

    for (i = 0; i < 20000; i++) {
        make_key(key, (char *) &i, sizeof(i));

        if (im_marker_take(key, 1000000, NULL, NULL, NULL) != NGX_OK) {
            break;
        }

        ngx_memcpy(last, key, IM_ZONE_KEY_LEN);
    }

    im_zone_stat(&stat);

    ok(i == 20000, "a full zone goes on");
    ok(stat.evicted > 0, "older entries made way");
    ok(stat.used <= stat.size && stat.entries > 100, "many remain");
    ok(im_marker_take(last, 1000, NULL, NULL, NULL) == NGX_BUSY,
       "the newest is there");
}


static void
test_fault(void)
{
    int             status;
    u_char          key[IM_ZONE_KEY_LEN];
    ngx_pid_t       pid;
    ngx_uint_t      generation;
    im_zone_stat_t  stat;

    generation = im_zone_generation();

    pid = live_fork();

    if (pid == 0) {
        live_fault = "in_zone_lock";
        live_fault_n = 3;

        for ( ;; ) {
            key_of(key, "fault");
            (void) im_marker_take(key, 1000, NULL, NULL, NULL);
        }
    }

    status = live_wait(pid);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "in_zone_lock");

    key_of(key, "fault");
    ok(im_marker_take(key, 1000, NULL, NULL, NULL) == NGX_OK,
       "the zone was emptied");
    ok(im_zone_generation() == generation + 1, "which its generation tells");

    im_zone_stat(&stat);
    ok(stat.entries == 1 && stat.resets == generation + 1, "and its numbers");
}


int
main(void)
{
    live_init(512 * 1024, 4 * 1024 * 1024);
    live_claim(1);

    test_markers();
    test_sigs();
    test_rates();
    test_stamps();
    test_flood();
    test_full();
    test_fault();

    return done();
}
