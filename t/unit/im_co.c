
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include <sys/mman.h>
#include <sys/wait.h>
#include "core/im_co.h"


#define MANY  10000

#if (defined __SANITIZE_ADDRESS__)
#define STACK_SIZE  262144
#else
#define STACK_SIZE  65536
#endif


static char        trace[256];
static ngx_uint_t  warnings, counter, depth;
static ngx_int_t   result;
static u_char      alternate[65536];
static u_char     *stack_top;
static size_t     *fault_depth;
static im_co_t    *target;


static void
count_log(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    if (level <= NGX_LOG_WARN) {
        warnings++;
    }
}


static void
note(const char *s)
{
    strcat(trace, s);
}


/* One turn of nginx's event loop, ms after the last one. */

static void
turn(ngx_msec_t ms)
{
    ngx_current_msec += ms;
    nginx_turn();
}


static void
run(void)
{
    ngx_uint_t  i;

    for (i = 0; i < 10; i++) {
        turn(0);
    }
}


static void
add_one(void *data)
{
    counter++;
}


static void
say(void *data)
{
    note(data);
    im_co_yield();
    note(data);
}


static void
test_order(void)
{
    trace[0] = '\0';

    (void) im_co_spawn(say, "a", &logger);
    (void) im_co_spawn(say, "b", &logger);
    (void) im_co_spawn(say, "c", &logger);

    ok(trace[0] == '\0', "nothing runs inside spawn");
    ok(im_co_running() == 3, "three coroutines");
    ok(ngx_event_no_timers_left() == NGX_AGAIN, "the worker is held");

    turn(0);
    ok(strcmp(trace, "abc") == 0, "they start in order");

    turn(0);
    ok(strcmp(trace, "abcabc") == 0, "yield waits for the next turn");
    ok(im_co_running() == 0, "all have ended");
    ok(im_co_peak() == 3, "peak");
    ok(ngx_event_no_timers_left() == NGX_OK, "no timer is left");
    ok(im_co_self() == NULL, "the loop is no coroutine");
}


static void
wait_forever(void *data)
{
    target = im_co_self();
    result = im_co_wait(IM_CO_FOREVER);
    target = NULL;
}


static void
wait_100(void *data)
{
    target = im_co_self();
    result = im_co_wait(100);
    note("w");

    if (data) {
        result = im_co_wait(100);
        note("w");
    }

    target = NULL;
}


static void
test_wake(void)
{
    result = NGX_AGAIN;
    (void) im_co_spawn(wait_forever, NULL, &logger);

    turn(0);
    turn(100000);
    ok(result == NGX_AGAIN, "waits");

    im_co_wake(target, NGX_DECLINED);
    ok(result == NGX_AGAIN, "wake does not switch");

    im_co_wake(target, NGX_ERROR);
    turn(0);
    ok(result == NGX_DECLINED, "rc of the first wake");
    ok(im_co_running() == 0, "ended after the wake");

    trace[0] = '\0';
    (void) im_co_spawn(wait_100, "twice", &logger);
    turn(0);
    im_co_wake(target, 7);
    im_co_wake(target, 8);
    turn(0);
    ok(strcmp(trace, "w") == 0 && result == 7, "second wake is ignored");

    im_co_wake(target, 9);
    turn(0);
    ok(result == 9, "next wait has its own wake");
    ok(ngx_event_no_timers_left() == NGX_OK, "timers of waits are removed");

    result = NGX_AGAIN;
    im_co_wake(im_co_spawn(wait_forever, NULL, &logger), 5);
    run();
    ok(result == NGX_AGAIN, "wake before the start is ignored");
    im_co_wake(target, 6);
    run();
    ok(result == 6, "then it is woken");
}


static void
wake_self(void *data)
{
    im_co_t  *co;

    co = im_co_self();

    im_co_wake(co, 3);
    im_co_wake(co, 4);

    result = im_co_wait(IM_CO_FOREVER);
    counter = (result == 3);

    result = im_co_wait(10);
}


static void
sleep_and_wait(void *data)
{
    target = im_co_self();

    im_co_sleep(50);
    note("s");

    result = im_co_wait(10);
    note("w");
}


static void
test_kept(void)
{
    counter = 0;
    (void) im_co_spawn(wake_self, NULL, &logger);

    turn(0);
    ok(counter == 1, "a wake before the wait ends it at once");
    ok(im_co_running() == 1, "only one wait");

    turn(10);
    ok(result == NGX_BUSY, "the next one ends by timeout");

    trace[0] = '\0';
    (void) im_co_spawn(sleep_and_wait, NULL, &logger);

    turn(0);
    im_co_wake(target, 11);
    turn(49);
    ok(trace[0] == '\0', "a wake does not cut a sleep short");

    turn(1);
    ok(strcmp(trace, "sw") == 0 && result == 11, "it is kept for the wait");
}


static void
test_timeout(void)
{
    ngx_event_t  *ev;

    trace[0] = '\0';
    result = NGX_OK;
    (void) im_co_spawn(wait_100, NULL, &logger);

    turn(0);
    ev = ngx_rbtree_data(ngx_rbtree_min(ngx_event_timer_rbtree.root,
                                        ngx_event_timer_rbtree.sentinel),
                         ngx_event_t, timer);
    ok(ev->timer.key == ngx_current_msec + 100 && !ev->cancelable,
       "the timer of a wait is not cancelable");

    turn(99);
    ok(trace[0] == '\0', "not yet");

    turn(1);
    ok(result == NGX_BUSY, "timeout");

    /* the reply comes in the turn of the timeout */

    trace[0] = '\0';
    (void) im_co_spawn(wait_100, "twice", &logger);
    turn(0);

    ngx_current_msec += 100;
    ngx_event_expire_timers();
    im_co_wake(target, 12);
    ngx_event_process_posted(&cycle, &ngx_posted_events);

    ok(strcmp(trace, "w") == 0 && result == 12,
       "a wake after the timer, before the run, replaces the timeout");

    turn(99);
    ok(strcmp(trace, "w") == 0, "it is not kept for the next wait");

    turn(1);
    ok(result == NGX_BUSY, "which times out");
    ok(im_co_running() == 0, "ended");
}


static void
sleep_ms(void *data)
{
    im_co_sleep(*(ngx_msec_t *) data);
    counter++;
}


static void
test_limit(void)
{
    ngx_uint_t  i, n;
    ngx_msec_t  ms;

    ms = 10;
    n = 0;
    counter = 0;
    warnings = 0;

    im_co_limits(100);

    for (i = 0; i < 150; i++) {
        if (im_co_spawn(sleep_ms, &ms, &logger)) {
            n++;
        }
    }

    ok(n == 100, "the limit");
    ok(warnings == 1, "is logged once");
    ok(im_co_stacks() <= 64, "they need no stacks yet");

    turn(0);
    ok(im_co_stacks() == 100, "a stack for each that waits");

    turn(10);
    ok(counter == 100 && im_co_running() == 0, "all have run");
    ok(im_co_peak() == 100, "peak is the limit");
    ok(im_co_stacks() == 64, "64 stacks are kept");

    im_co_limits(4096);
}


static void
test_many(void)
{
    ngx_uint_t  i;

    counter = 0;

    for (i = 0; i < MANY; i++) {
        if (im_co_spawn(add_one, NULL, &logger) == NULL) {
            break;
        }

        turn(0);
    }

    ok(counter == MANY, "10000 in sequence");
    ok(im_co_stacks() == 64, "reuse the stacks");

    counter = 0;

    for (i = 0; i < 4096; i++) {
        (void) im_co_spawn(add_one, NULL, &logger);
    }

    turn(0);
    ok(counter == 4096, "4096 at once");
    ok(im_co_stacks() == 64, "share a stack");
}


static void
chain(void *data)
{
    if (counter++ < 1000) {
        (void) im_co_spawn(chain, NULL, &logger);
    }
}


static void
test_chain(void)
{
    counter = 0;
    (void) im_co_spawn(chain, NULL, &logger);

    turn(0);
    ok(counter == 1, "a chain of spawns lets the loop turn");

    while (im_co_running()) {
        turn(0);
    }

    ok(counter == 1001, "and goes on");
}


static void
parent(void *data)
{
    ngx_uint_t     i;
    ngx_msec_t     ms[10];
    im_co_group_t  group;

    ngx_memzero(&group, sizeof(im_co_group_t));

    im_co_group_join(&group);
    note("e");

    target = im_co_self();

    for (i = 0; i < 10; i++) {
        ms[i] = 10 * (i + 1);
        (void) im_co_group_spawn(&group, sleep_ms, &ms[i], &logger);
    }

    im_co_group_join(&group);
    note("j");

    result = im_co_wait(10);

    /* an event handler takes part */

    group.running++;
    *(im_co_group_t **) data = &group;

    im_co_group_join(&group);
    note("d");
}


static void
test_group(void)
{
    im_co_group_t  *group;

    trace[0] = '\0';
    counter = 0;
    group = NULL;

    (void) im_co_spawn(parent, &group, &logger);

    turn(0);
    ok(strcmp(trace, "e") == 0, "join of an empty group returns at once");

    turn(0);
    im_co_wake(target, 13);
    turn(50);
    turn(49);
    ok(counter == 9 && strcmp(trace, "e") == 0, "join waits for the last");

    turn(1);
    ok(counter == 10 && strcmp(trace, "ej") == 0, "all have ended");
    ok(result == 13, "a wake during the join is kept for the wait");

    ok(group != NULL && im_co_running() == 1, "joins again");
    im_co_group_done(group);
    turn(0);
    ok(strcmp(trace, "ejd") == 0, "an event handler ends it");

    im_co_limits(0);
    group = ngx_calloc(sizeof(im_co_group_t), &logger);

    ok(im_co_group_spawn(group, add_one, NULL, &logger) == NULL
       && group->running == 0,
       "what could not be spawned is not waited for");

    ngx_free(group);
    im_co_limits(4096);
}


static void
hold_memory(void *data)
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, &logger);

    (void) im_co_wait(IM_CO_FOREVER);

    ngx_destroy_pool(pool);
}


#if (defined __GNUC__ && !defined __clang__)
__attribute__((optimize("O0")))
#endif
static ngx_uint_t
recurse(ngx_uint_t n)
{
    volatile u_char  buf[512];

    buf[n % 512] = (u_char) n;
    depth++;

    return (depth ? recurse(n + 1) : 0) + buf[n % 512];
}


static void
segv_handler(int signo, siginfo_t *info, void *ctx)
{
    *fault_depth = stack_top - (u_char *) info->si_addr;

    (void) signal(SIGSEGV, SIG_DFL);
}


static void
overflow(void *data)
{
    u_char  top;

    stack_top = &top;
    counter = recurse(0);
}


static void
test_guard(void)
{
    int               status;
    pid_t             pid;
    stack_t           ss;
    struct sigaction  sa;

    fault_depth = mmap(NULL, ngx_pagesize, PROT_READ|PROT_WRITE,
                       MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    if (fault_depth == MAP_FAILED) {
        ok(0, "mmap");
        return;
    }

    pid = fork();

    if (pid == 0) {
        ngx_memzero(&ss, sizeof(stack_t));
        ss.ss_sp = alternate;
        ss.ss_size = sizeof(alternate);
        (void) sigaltstack(&ss, NULL);

        ngx_memzero(&sa, sizeof(struct sigaction));
        sa.sa_sigaction = segv_handler;
        sa.sa_flags = SA_SIGINFO|SA_ONSTACK;
        (void) sigaction(SIGSEGV, &sa, NULL);

        (void) im_co_spawn(overflow, NULL, &logger);
        turn(0);

        _exit(0);
    }

    (void) waitpid(pid, &status, 0);

    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
       "an overflow is a crash");
    ok(*fault_depth > 0 && *fault_depth <= STACK_SIZE + ngx_pagesize,
       "in the guard page");

    (void) munmap(fault_depth, ngx_pagesize);
}


int
main(void)
{
    nginx_init(NGX_LOG_DEBUG_ALL, count_log);

    test_order();
    test_wake();
    test_kept();
    test_timeout();
    test_limit();
    test_many();
    test_chain();
    test_group();
    test_guard();

    im_co_exit();
    ok(im_co_stacks() == 0, "exit unmaps the free stacks");

    /* what a suspended coroutine holds at exit is not lost */

    (void) im_co_spawn(hold_memory, NULL, &logger);
    turn(0);
    im_co_exit();
    ok(im_co_stacks() == 1, "but not those in use");

    return done();
}
