
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * What the tests of live/ share: zones in anonymous shared memory, workers
 * made by fork() that read the bus when poll() says so, faults.  It takes in
 * im_slot.c for its eventfds.
 */


#include "ok.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "live/im_slot.c"
#include "live/im_zone.h"


#define LIVE_SOON  20                /* milliseconds */


static ngx_shm_zone_t  live_bus_zone, live_zone;
static ngx_uint_t      live_holds;

/* a fault point that kills at its nth pass in this process */
static const char     *live_fault;
static ngx_uint_t      live_fault_n;

/* seen by all processes */
static volatile struct {
    ngx_uint_t         ready;
    ngx_uint_t         stop;
    ngx_uint_t         n[64];
} *live_sh;


ngx_uint_t
im_fault_pass(const char *name, ngx_uint_t deadly)
{
    if (live_fault
        && ngx_strcmp(live_fault, name) == 0
        && --live_fault_n == 0)
    {
        (void) kill(getpid(), SIGKILL);
    }

    return 0;
}


void
im_worker_hold(ngx_uint_t n)
{
    live_holds += n;
}


void
im_worker_release(ngx_uint_t n)
{
    live_holds -= n;
}


static ngx_inline void
live_shm(ngx_shm_zone_t *zone, const char *name, size_t size,
    ngx_int_t (*init)(ngx_shm_zone_t *zone, void *data))
{
    ngx_slab_pool_t  *sp;

    zone->shm.addr = mmap(NULL, size, PROT_READ|PROT_WRITE,
                          MAP_ANON|MAP_SHARED, -1, 0);
    zone->shm.size = size;
    zone->shm.log = &logger;
    zone->shm.name.data = (u_char *) name;
    zone->shm.name.len = ngx_strlen(name);

    sp = (ngx_slab_pool_t *) zone->shm.addr;
    sp->end = zone->shm.addr + size;
    sp->min_shift = 3;
    sp->addr = zone->shm.addr;

    (void) ngx_shmtx_create(&sp->mutex, &sp->lock, NULL);
    ngx_slab_init(sp);

    if (init(zone, NULL) != NGX_OK) {
        printf("Bail out! zone %s\n", name);
        exit(1);
    }
}


/* as the master does when a worker has died */

static ngx_inline void
live_unlock(ngx_pid_t pid)
{
    (void) ngx_shmtx_force_unlock(
               &((ngx_slab_pool_t *) live_zone.shm.addr)->mutex, pid);
    (void) ngx_shmtx_force_unlock(
               &((ngx_slab_pool_t *) live_bus_zone.shm.addr)->mutex, pid);
}


static ngx_inline void
live_init(size_t zone, size_t bus)
{
    ngx_uint_t  i;

    nginx_init(NGX_LOG_NOTICE, NULL);

    ngx_use_stderr = 1;                  /* shows warnings */

    for (i = ngx_pagesize; i >>= 1; ngx_pagesize_shift++) { /* void */ }

    ngx_ncpu = sysconf(_SC_NPROCESSORS_ONLN);
    ngx_slab_sizes_init();

    live_shm(&live_bus_zone, "im_bus", bus, im_bus_init_zone);
    live_shm(&live_zone, "im", zone, im_zone_init_zone);

    live_sh = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1,
                   0);

    while (im_slot_nfds < IM_SLOTS) {
        im_slot_fds[im_slot_nfds++] = eventfd(0, EFD_NONBLOCK);
    }
}


/* what im_slot_init_process() does, without an event loop */

static ngx_inline void
live_claim(ngx_uint_t slot)
{
    uint64_t  value;

    ngx_pid = getpid();
    ngx_process_slot = slot;

    im_bus_slot_claim(slot);
    im_slot_clear(slot, ngx_pid);

    (void) read(im_slot_fds[slot], &value, sizeof(uint64_t));
}


/* one turn of an event loop, waiting at most ms */

static ngx_inline void
live_turn(int ms)
{
    uint64_t       value;
    ngx_int_t      n;
    ngx_queue_t   *q;
    ngx_event_t   *ev;
    struct pollfd  pfd;

    pfd.fd = im_slot_fds[im_slot_self()];
    pfd.events = POLLIN;

    n = poll(&pfd, 1, ngx_queue_empty(&ngx_posted_next_events) ? ms : 0);

    ngx_time_update();
    ngx_event_expire_timers();

    /* posted before this turn, as nginx does it */

    while (!ngx_queue_empty(&ngx_posted_next_events)) {
        q = ngx_queue_head(&ngx_posted_next_events);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_posted_events, q);
    }

    if (n > 0) {
        (void) read(pfd.fd, &value, sizeof(uint64_t));

        __atomic_store_n(&im_bus_slot(im_slot_self())->signaled, 0,
                         __ATOMIC_SEQ_CST);
        im_bus_read();
    }

    while (!ngx_queue_empty(&ngx_posted_events)) {
        q = ngx_queue_head(&ngx_posted_events);
        ev = ngx_queue_data(q, ngx_event_t, queue);
        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }
}


/* turns until nothing happens any more, as the rest of a room ends soon */

static ngx_inline void
live_settle(void)
{
    ngx_msec_t  timer;
    ngx_uint_t  idle, turns;

    idle = 0;

    for (turns = 0; idle < 20 && turns < 1000; turns++) {

        timer = ngx_event_find_timer();

        if (timer <= LIVE_SOON || !ngx_queue_empty(&ngx_posted_next_events)) {
            idle = 0;

        } else {
            idle++;
        }

        live_turn(timer <= LIVE_SOON ? (int) timer : 0);
    }
}


/* what the tick calls */

static ngx_inline void
live_tick(void)
{
    ngx_uint_t  i;

    for (i = 0; i < im_slot_hooks.nticks; i++) {
        im_slot_hooks.ticks[i]();
    }
}


static ngx_inline ngx_pid_t
live_fork(void)
{
    ngx_pid_t  pid;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        ngx_pid = getpid();
        (void) alarm(60);
    }

    return pid;
}


/* the wait status */

static ngx_inline int
live_wait(ngx_pid_t pid)
{
    int  status;

    (void) waitpid(pid, &status, 0);
    live_unlock(pid);

    return status;
}
