
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_co.h"
#include "core/im_task.h"


#if (NGX_THREADS)

#include <poll.h>


typedef struct {
    ngx_uint_t   n;
    ngx_uint_t   square;
    pthread_t    thread;
} job_t;


extern ngx_module_t  ngx_thread_pool_module;


static int                   wakeups[2];
static ngx_uint_t            ended, busy, refused;
static ngx_atomic_t          gate, started;
static ngx_conf_t            conf;
static ngx_conf_file_t       conf_file;
static ngx_event_handler_pt  notified;


static ngx_int_t
notify(ngx_event_handler_pt handler)
{
    notified = handler;

    return write(wakeups[1], "n", 1) == 1 ? NGX_OK : NGX_ERROR;
}


/* One turn of the event loop, which waits up to ms for a thread. */

static void
turn(int ms)
{
    u_char         buf[64];
    ngx_event_t    ev;
    struct pollfd  pfd;

    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_event_move_posted_next(&cycle);
        ms = 0;
    }

    pfd.fd = wakeups[0];
    pfd.events = POLLIN;

    if (poll(&pfd, 1, ms) == 1 && read(wakeups[0], buf, sizeof(buf)) > 0) {
        ngx_memzero(&ev, sizeof(ngx_event_t));
        ev.log = &logger;
        notified(&ev);
    }

    ngx_event_process_posted(&cycle, &ngx_posted_events);
}


static void
run(void)
{
    ngx_uint_t  i;

    for (i = 0; i < 1000 && im_co_running(); i++) {
        turn(10);
    }
}


static void
square(void *data)
{
    job_t  *job = data;

    job->square = job->n * job->n;
    job->thread = pthread_self();
}


static void
squares(void *data)
{
    job_t       job;
    ngx_uint_t  i;

    for (i = 1; i <= 10; i++) {
        ngx_memzero(&job, sizeof(job_t));
        job.n = i;

        if (im_task_run(square, &job) == NGX_OK
            && job.square == i * i
            && !pthread_equal(job.thread, pthread_self()))
        {
            ended++;
        }
    }
}


static void
pass_gate(void *data)
{
    (void) ngx_atomic_fetch_add(&started, 1);

    while (gate == 0) {
        ngx_msleep(1);
    }
}


static void
wait_gate(void *data)
{
    switch (im_task_run(pass_gate, NULL)) {

    case NGX_OK:
        ended++;
        break;

    case NGX_BUSY:
        busy++;
        break;

    default:
        refused++;
    }
}


static void
wake_early(void *data)
{
    im_co_wake(im_co_self(), NGX_ABORT);

    wait_gate(NULL);
}


static void
spawn_started(im_co_pt fn, ngx_atomic_uint_t n)
{
    ngx_uint_t  i;

    (void) im_co_spawn(fn, NULL, &logger);

    turn(0);

    for (i = 0; i < 1000 && started < n; i++) {
        ngx_msleep(1);
    }
}


static void
test_default(void)
{
    ngx_uint_t  i;

    ended = 0;

    for (i = 0; i < 100; i++) {
        (void) im_co_spawn(squares, NULL, &logger);
    }

    run();
    ok(ended == 1000, "1000 tasks of 100 coroutines have run in threads");

    ended = 0;
    gate = 0;
    started = 0;
    spawn_started(wake_early, 1);

    ok(started == 1, "a task has started");

    for (i = 0; i < 10; i++) {
        turn(1);
    }

    ok(im_co_running() == 1 && ended == 0,
       "the loop turns, and a wake does not end the wait");

    gate = 1;
    run();
    ok(ended == 1, "the end of the task does");
}


static void
test_queue(void)
{
    ngx_uint_t  i;

    ended = 0;
    gate = 0;
    started = 0;

    spawn_started(wait_gate, 1);
    ok(started == 1, "the only thread is busy");

    for (i = 0; i < 5; i++) {
        (void) im_co_spawn(wait_gate, NULL, &logger);
    }

    turn(0);
    ok(busy == 4 && refused == 0, "NGX_BUSY over the queue");
    ok(im_co_running() == 2, "one task is queued");

    gate = 1;
    run();
    ok(ended == 2 && started == 2, "the others have run");
}


static void
add_pool(void)
{
    ngx_str_t      *value;
    ngx_array_t    *args;
    ngx_command_t  *cmd;

    args = ngx_array_create(cycle.pool, 4, sizeof(ngx_str_t));
    value = ngx_array_push_n(args, 4);

    ngx_str_set(&value[0], "thread_pool");
    ngx_str_set(&value[1], "im");
    ngx_str_set(&value[2], "threads=1");
    ngx_str_set(&value[3], "max_queue=1");

    conf.args = args;
    cmd = ngx_thread_pool_module.commands;

    ok(cmd->set(&conf, cmd, NULL) == NGX_CONF_OK, "thread_pool im");
}


static void
no_pool(void *data)
{
    refused += (im_task_run(square, data) == NGX_ERROR);
}


int
main(void)
{
    job_t               job;
    ngx_core_module_t  *module;

    nginx_init(NGX_LOG_DEBUG_ALL, NULL);

    ngx_ncpu = 1;

    if (pipe(wakeups) == -1 || ngx_preinit_modules() != NGX_OK) {
        return 1;
    }

    ngx_event_actions.notify = notify;

    cycle.pool = ngx_create_pool(4096, &logger);
    cycle.conf_ctx = ngx_pcalloc(cycle.pool,
                                 ngx_max_module * sizeof(void *));

    ngx_str_set(&conf_file.file.name, "nginx.conf");

    conf.cycle = &cycle;
    conf.pool = cycle.pool;
    conf.log = &logger;
    conf.conf_file = &conf_file;

    module = ngx_thread_pool_module.ctx;
    cycle.conf_ctx[ngx_thread_pool_module.index] =
                                       (void ***) module->create_conf(&cycle);

    (void) im_co_spawn(no_pool, &job, &logger);
    run();
    ok(refused == 1, "NGX_ERROR without a pool");
    refused = 0;

    ok(im_task_conf(&conf) == NGX_OK, "default pool");
    ok(module->init_conf(&cycle,
                         cycle.conf_ctx[ngx_thread_pool_module.index])
       == NGX_CONF_OK,
       "needs no directive");

    ok(ngx_thread_pool_module.init_process(&cycle) == NGX_OK, "threads");
    test_default();
    ngx_thread_pool_module.exit_process(&cycle);

    add_pool();
    ok(ngx_thread_pool_module.init_process(&cycle) == NGX_OK, "threads");
    test_queue();
    ngx_thread_pool_module.exit_process(&cycle);

    ok(ngx_event_no_timers_left() == NGX_OK, "no timer is left");

    im_co_exit();
    ngx_destroy_pool(cycle.pool);

    return done();
}

#else

int
main(void)
{
    return skip_all("nginx is built without threads");
}

#endif
