
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <sys/mman.h>
#include "core/im_co.h"
#include "core/im_worker.h"


#if (defined __has_feature)
#if __has_feature(address_sanitizer)
#define IM_CO_ASAN  1
#endif
#endif

#if (defined __SANITIZE_ADDRESS__)
#define IM_CO_ASAN  1
#endif

#if (IM_CO_ASAN)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

#define IM_CO_STACK_SIZE  262144

#else

#define IM_CO_STACK_SIZE  65536

#endif

#define IM_CO_MAX         4096
#define IM_CO_MAX_FREE    64
#define IM_CO_HOLD        3600000
#define IM_CO_AGAIN       20         /* ms, then one without a stack starts */


typedef enum {
    IM_CO_NEW = 0,                   /* not started yet */
    IM_CO_RUNNING,
    IM_CO_WAITING,
    IM_CO_SLEEPING,                  /* in sleep, yield or join */
    IM_CO_WOKEN,                     /* the wait has ended, wake is posted */
    IM_CO_LATE                       /* the same by timeout */
} im_co_state_e;


/* the C entry points of Boost.Context, which has no header for them */

typedef struct {
    void           *fctx;
    void           *data;
} im_co_transfer_t;


extern void *make_fcontext(void *sp, size_t size,
    void (*fn)(im_co_transfer_t transfer));
extern im_co_transfer_t jump_fcontext(void *fctx, void *data);


typedef struct {
    void           *fctx;            /* valid while it is suspended */
#if (IM_CO_ASAN)
    void           *fake;
    const void     *bottom;
    size_t          size;
#endif
} im_co_context_t;


/* Has a stack from its start on: of many that wait for their turn, and then
 * do not wait for anything, each has the one of the last. */

struct im_co_s {
    im_co_pt          fn;
    void             *data;
    im_co_group_t    *group;
    ngx_int_t         ident;         /* stands for fd in debug logs */
    im_co_context_t   context;
    u_char           *stack;         /* above the guard page; NULL: not
                                        started yet */
    ngx_event_t       wake;
    ngx_event_t       timer;
    ngx_int_t         rc;            /* of the wake that is kept or posted */
    im_co_state_e     state;
    unsigned          kept:1;        /* a wake that came before the wait */
    unsigned          done:1;
};


static ngx_int_t im_co_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_co_exit_process(ngx_cycle_t *cycle);
static ngx_int_t im_co_enter(im_co_t *co);
static void im_co_main(im_co_transfer_t transfer);
static void im_co_resume(ngx_event_t *ev);
static void im_co_suspend(im_co_t *co, im_co_state_e state);
static void im_co_switch(im_co_context_t *from, im_co_context_t *to,
    im_co_t *co);
static void im_co_timeout(ngx_event_t *ev);
static void im_co_hold(ngx_event_t *ev);
static ngx_uint_t im_co_log_limit(void);
static im_co_t *im_co_new(im_co_pt fn, void *data, ngx_log_t *log);
static im_co_t *im_co_alloc(ngx_log_t *log);
static void im_co_free(im_co_t *co);
static u_char *im_co_stack(ngx_log_t *log);
static void im_co_stack_free(u_char *stack);
static void im_co_unmap(u_char *stack);


im_worker_hook_t  im_co_hook = {
    ngx_string("coroutines"),
    NULL,                                  /* init conf */
    NULL,                                  /* init module */
    im_co_init_process,                    /* init process */
    im_co_exit_process                     /* exit process */
};


static im_co_t          *im_co_current;
static im_co_context_t   im_co_loop;

static ngx_uint_t        im_co_max = IM_CO_MAX;
static ngx_uint_t        im_co_nrunning;
static ngx_uint_t        im_co_npeak;
static ngx_uint_t        im_co_nstacks;
static ngx_int_t         im_co_last_ident;

static u_char           *im_co_free_stacks[IM_CO_MAX_FREE];
static ngx_uint_t        im_co_nfree;

static im_co_t          *im_co_ended[IM_CO_MAX_FREE];
static ngx_uint_t        im_co_nended;

static ngx_event_t       im_co_hold_event;
static ngx_connection_t  im_co_hold_dumb;


void
im_co_limits(ngx_uint_t max)
{
    im_co_max = max;
}


im_co_t *
im_co_spawn(im_co_pt fn, void *data, ngx_log_t *log)
{
    im_co_t  *co;

    co = im_co_new(fn, data, log);

    /*
     * Unlike the queue of posted events, this one is seen before the loop
     * goes to sleep, even if nothing else has happened, and a chain of
     * coroutines that start each other does not keep the loop from polling.
     */

    if (co) {
        ngx_post_event(&co->wake, &ngx_posted_next_events);
    }

    return co;
}


im_co_t *
im_co_start(im_co_pt fn, void *data, ngx_log_t *log)
{
    im_co_t  *co;

    co = im_co_new(fn, data, log);

    if (co) {
        ngx_post_event(&co->wake, &ngx_posted_events);
    }

    return co;
}


static im_co_t *
im_co_new(im_co_pt fn, void *data, ngx_log_t *log)
{
    im_co_t  *co;

    if (im_co_nrunning >= im_co_max) {

        if (im_co_log_limit()) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "%ui coroutines are running, the limit is reached",
                          im_co_nrunning);
        }

        return NULL;
    }

    co = im_co_alloc(log);
    if (co == NULL) {
        return NULL;
    }

    ngx_memzero(co, sizeof(im_co_t));

    co->fn = fn;
    co->data = data;
    co->ident = ++im_co_last_ident;

    co->wake.handler = im_co_resume;
    co->wake.data = co;
    co->wake.log = log;

    co->timer.handler = im_co_timeout;
    co->timer.data = co;
    co->timer.log = log;

    if (!im_co_hold_event.timer_set) {

        /* a timer that is not cancelable keeps nginx from a graceful exit */

        im_co_hold_dumb.fd = (ngx_socket_t) -1;

        im_co_hold_event.handler = im_co_hold;
        im_co_hold_event.data = &im_co_hold_dumb;
        im_co_hold_event.log = ngx_cycle->log;

        ngx_add_timer(&im_co_hold_event, IM_CO_HOLD);
    }

    im_co_hold_event.cancelable = 0;
    im_co_nrunning++;

    if (im_co_nrunning > im_co_npeak) {
        im_co_npeak = im_co_nrunning;
    }

    return co;
}


im_co_t *
im_co_self(void)
{
    return im_co_current;
}


ngx_int_t
im_co_wait(ngx_msec_t timeout)
{
    im_co_t  *co;

    co = im_co_current;

    if (co->kept) {
        co->kept = 0;
        return co->rc;
    }

    if (timeout != IM_CO_FOREVER) {
        ngx_add_timer(&co->timer, timeout);
    }

    im_co_suspend(co, IM_CO_WAITING);

    return co->rc;
}


void
im_co_wake(im_co_t *co, ngx_int_t rc)
{
    switch (co->state) {

    case IM_CO_WAITING:

        if (co->timer.timer_set) {
            ngx_del_timer(&co->timer);
        }

        ngx_post_event(&co->wake, &ngx_posted_events);

        /* fall through */

    case IM_CO_LATE:

        co->state = IM_CO_WOKEN;
        co->rc = rc;
        break;

    case IM_CO_RUNNING:
    case IM_CO_SLEEPING:

        if (!co->kept) {
            co->kept = 1;
            co->rc = rc;
        }

        break;

    case IM_CO_NEW:
    case IM_CO_WOKEN:
        break;
    }
}


void
im_co_sleep(ngx_msec_t ms)
{
    im_co_t  *co;

    co = im_co_current;

    ngx_add_timer(&co->timer, ms);

    im_co_suspend(co, IM_CO_SLEEPING);
}


void
im_co_yield(void)
{
    im_co_t  *co;

    co = im_co_current;

    ngx_post_event(&co->wake, &ngx_posted_next_events);

    im_co_suspend(co, IM_CO_SLEEPING);
}


im_co_t *
im_co_group_spawn(im_co_group_t *group, im_co_pt fn, void *data,
    ngx_log_t *log)
{
    im_co_t  *co;

    co = im_co_spawn(fn, data, log);

    if (co) {
        co->group = group;
        group->running++;
    }

    return co;
}


void
im_co_group_done(im_co_group_t *group)
{
    im_co_t  *waiter;

    group->running--;

    if (group->running || group->waiter == NULL) {
        return;
    }

    waiter = group->waiter;
    group->waiter = NULL;

    ngx_post_event(&waiter->wake, &ngx_posted_events);
}


void
im_co_group_join(im_co_group_t *group)
{
    while (group->running) {
        group->waiter = im_co_current;
        im_co_suspend(im_co_current, IM_CO_SLEEPING);
    }
}


ngx_uint_t
im_co_running(void)
{
    return im_co_nrunning;
}


ngx_uint_t
im_co_peak(void)
{
    return im_co_npeak;
}


ngx_uint_t
im_co_stacks(void)
{
    return im_co_nstacks;
}


void
im_co_exit(void)
{
    while (im_co_nfree) {
        im_co_unmap(im_co_free_stacks[--im_co_nfree]);
    }

    while (im_co_nended) {
        ngx_free(im_co_alloc(ngx_cycle->log));
    }
}


static ngx_int_t
im_co_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_co_limits(conf->coroutines);

    return NGX_OK;
}


static void
im_co_exit_process(ngx_cycle_t *cycle)
{
    im_co_exit();
}


static ngx_int_t
im_co_enter(im_co_t *co)
{
    co->stack = im_co_stack(co->wake.log);
    if (co->stack == NULL) {
        return NGX_ERROR;
    }

    co->context.fctx = make_fcontext(co->stack + IM_CO_STACK_SIZE,
                                     IM_CO_STACK_SIZE, im_co_main);

#if (IM_CO_ASAN)
    co->context.bottom = co->stack;
    co->context.size = IM_CO_STACK_SIZE;
#endif

    return NGX_OK;
}


static void
im_co_main(im_co_transfer_t transfer)
{
    im_co_t  *co = transfer.data;

    im_co_loop.fctx = transfer.fctx;

#if (IM_CO_ASAN)
    __sanitizer_finish_switch_fiber(NULL, &im_co_loop.bottom,
                                    &im_co_loop.size);
#endif

    co->fn(co->data);

    co->done = 1;

    im_co_switch(&co->context, &im_co_loop, co);
}


static void
im_co_resume(ngx_event_t *ev)
{
    im_co_t        *co;
    im_co_group_t  *group;

    co = ev->data;

    if (co->stack == NULL && im_co_enter(co) != NGX_OK) {
        ngx_add_timer(&co->timer, IM_CO_AGAIN);
        return;
    }

    co->state = IM_CO_RUNNING;

    im_co_current = co;

    im_co_switch(&im_co_loop, &co->context, co);

    im_co_current = NULL;

    if (!co->done) {
        return;
    }

    group = co->group;

    im_co_stack_free(co->stack);
    im_co_free(co);

    if (--im_co_nrunning == 0) {
        im_co_hold_event.cancelable = 1;
    }

    if (group) {
        im_co_group_done(group);
    }
}


static void
im_co_suspend(im_co_t *co, im_co_state_e state)
{
    co->state = state;

    im_co_switch(&co->context, &im_co_loop, co);
}


static void
im_co_switch(im_co_context_t *from, im_co_context_t *to, im_co_t *co)
{
    im_co_transfer_t  transfer;

#if (IM_CO_ASAN)

    /* a coroutine that has ended leaves for good, as does its fake stack */

    __sanitizer_start_switch_fiber(co->done ? NULL : &from->fake,
                                   to->bottom, to->size);
#endif

    transfer = jump_fcontext(to->fctx, co);

#if (IM_CO_ASAN)
    __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif

    to->fctx = transfer.fctx;
}


static void
im_co_timeout(ngx_event_t *ev)
{
    im_co_t  *co;

    co = ev->data;

    if (co->state == IM_CO_WAITING) {
        co->state = IM_CO_LATE;
        co->rc = NGX_BUSY;
    }

    ngx_post_event(&co->wake, &ngx_posted_events);
}


static void
im_co_hold(ngx_event_t *ev)
{
    ngx_add_timer(ev, IM_CO_HOLD);
}


static ngx_uint_t
im_co_log_limit(void)
{
    time_t         now;
    static time_t  last;

    now = ngx_time();

    if (now == last) {
        return 0;
    }

    last = now;

    return 1;
}


static im_co_t *
im_co_alloc(ngx_log_t *log)
{
    im_co_t  *co;

    if (im_co_nended == 0) {
        return ngx_alloc(sizeof(im_co_t), log);
    }

    co = im_co_ended[--im_co_nended];

#if (IM_CO_ASAN)
    __asan_unpoison_memory_region(co, sizeof(im_co_t));
#endif

    return co;
}


static void
im_co_free(im_co_t *co)
{
    if (im_co_nended == IM_CO_MAX_FREE) {
        ngx_free(co);
        return;
    }

#if (IM_CO_ASAN)
    __asan_poison_memory_region(co, sizeof(im_co_t));
#endif

    im_co_ended[im_co_nended++] = co;
}


static u_char *
im_co_stack(ngx_log_t *log)
{
    u_char  *stack;

    if (im_co_nfree) {
        stack = im_co_free_stacks[--im_co_nfree];

#if (IM_CO_ASAN)
        __asan_unpoison_memory_region(stack, IM_CO_STACK_SIZE);
#endif

    } else {
        stack = mmap(NULL, ngx_pagesize + IM_CO_STACK_SIZE,
                     PROT_READ|PROT_WRITE,
                     MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK|MAP_NORESERVE,
                     -1, 0);

        if (stack == MAP_FAILED) {
            if (im_co_log_limit()) {
                ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                              "mmap() of a coroutine's stack failed");
            }

            return NULL;
        }

        /* the lowest page turns an overflow into a crash at the culprit */

        if (mprotect(stack, ngx_pagesize, PROT_NONE) == -1) {
            if (im_co_log_limit()) {
                ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                              "mprotect() of a coroutine's stack failed");
            }

            (void) munmap(stack, ngx_pagesize + IM_CO_STACK_SIZE);

            return NULL;
        }

        stack += ngx_pagesize;

        im_co_nstacks++;

#if (IM_CO_ASAN)
        __lsan_register_root_region(stack, IM_CO_STACK_SIZE);
#endif
    }

    return stack;
}


static void
im_co_stack_free(u_char *stack)
{
    if (im_co_nfree == IM_CO_MAX_FREE) {
        im_co_unmap(stack);
        return;
    }

#if (IM_CO_ASAN)
    __asan_poison_memory_region(stack, IM_CO_STACK_SIZE);
#endif

    im_co_free_stacks[im_co_nfree++] = stack;
}


static void
im_co_unmap(u_char *stack)
{
#if (IM_CO_ASAN)
    __lsan_unregister_root_region(stack, IM_CO_STACK_SIZE);
    __asan_unpoison_memory_region(stack, IM_CO_STACK_SIZE);
#endif

    if (munmap(stack - ngx_pagesize, ngx_pagesize + IM_CO_STACK_SIZE) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "munmap() of a coroutine's stack failed");
        return;
    }

    im_co_nstacks--;
}
