
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_OK_H_INCLUDED_
#define _IM_OK_H_INCLUDED_


/*
 * What all programs share: TAP, and an nginx without connections.  A main()
 * ends with "return done();".
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


static ngx_uint_t   ok_tests, ok_failed;
static ngx_log_t    logger;
static ngx_cycle_t  cycle;


static ngx_inline void
ok(ngx_uint_t good, const char *name)
{
    ok_tests++;
    ok_failed += !good;

    printf("%sok %u - %s\n", good ? "" : "not ", (unsigned) ok_tests, name);
    fflush(stdout);
}


/* the plan; returns the exit status */

static ngx_inline int
done(void)
{
    printf("1..%u\n", (unsigned) ok_tests);

    return ok_failed != 0;
}


/* instead of all tests; returns the exit status */

static ngx_inline int
skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);

    return 0;
}


static ngx_inline void
log_nothing(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
}


/*
 * What nginx's main() and its events set up.  What is logged up to level goes
 * to writer; if that is NULL it is made and dropped.
 */

static ngx_inline void
nginx_init(ngx_uint_t level, ngx_log_writer_pt writer)
{
    ngx_use_stderr = 0;
    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;
    ngx_pid = getpid();

    ngx_time_init();

    logger.log_level = level;
    logger.writer = writer ? writer : log_nothing;

    cycle.log = &logger;
    ngx_cycle = &cycle;

    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);
    (void) ngx_event_timer_init(&logger);
}


/* one turn of the event loop, without waiting */

static ngx_inline void
nginx_turn(void)
{
    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_event_move_posted_next(&cycle);
    }

    ngx_event_expire_timers();
    ngx_event_process_posted(&cycle, &ngx_posted_events);
}


#endif /* _IM_OK_H_INCLUDED_ */
