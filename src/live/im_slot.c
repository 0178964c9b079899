
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>
#include <sys/eventfd.h>
#include "core/im_worker.h"
#include "live/im_bus.h"
#include "live/im_slot.h"


#define IM_SLOT_TICK    1000
#define IM_SLOT_SILENT  3000         /* then somebody looks for the pid */
#define IM_SLOT_HOOKS   16


typedef struct {
    im_slot_tick_pt     ticks[IM_SLOT_HOOKS];
    ngx_uint_t          nticks;
    im_slot_tick_pt     drains[IM_SLOT_HOOKS];
    ngx_uint_t          ndrains;
    im_slot_clear_pt    clears[IM_SLOT_HOOKS];
    ngx_uint_t          nclears;
} im_slot_hooks_t;


static ngx_int_t im_slot_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_slot_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_slot_event_handler(ngx_event_t *ev);
static void im_slot_self_handler(ngx_event_t *ev);
static void im_slot_read(void);
static void im_slot_tick_handler(ngx_event_t *ev);
static void im_slot_reap(void);
static void im_slot_clear(ngx_uint_t slot, ngx_pid_t pid);


im_worker_hook_t  im_slot_hook = {
    ngx_string("slot"),
    NULL,                                  /* init conf */
    im_slot_module,                        /* init module */
    im_slot_process,                       /* init process */
    im_slot_exit_process                   /* exit process */
};


/* made by the master, both generations of workers own all of them */

static ngx_fd_t         im_slot_fds[IM_SLOTS];
static ngx_uint_t       im_slot_nfds;

static im_slot_hooks_t  im_slot_hooks;
static ngx_event_t      im_slot_tick;
static ngx_event_t      im_slot_self_event;
static ngx_uint_t       im_slot_drains;


static ngx_int_t
im_slot_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_slot_init_module(cycle);
}


static ngx_int_t
im_slot_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    return im_slot_init_process(cycle);
}


ngx_int_t
im_slot_init_module(ngx_cycle_t *cycle)
{
    ngx_fd_t  fd;

    if (ngx_test_config) {
        return NGX_OK;
    }

    while (im_slot_nfds < IM_SLOTS) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

        im_slot_fds[im_slot_nfds++] = fd;
    }

    return NGX_OK;
}


ngx_int_t
im_slot_init_process(ngx_cycle_t *cycle)
{
    ngx_fd_t    fd;
    uint64_t    value;
    ngx_uint_t  slot;

    slot = im_slot_self();

    if (slot >= im_slot_nfds) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "worker in slot %ui, there are %ui", slot,
                      im_slot_nfds);
        return NGX_ERROR;
    }

    im_slot_drains = 0;

    im_bus_slot_claim(slot);
    im_slot_clear(slot, ngx_pid);

    fd = im_slot_fds[slot];

    (void) read(fd, &value, sizeof(uint64_t));

    if (ngx_add_channel_event(cycle, fd, NGX_READ_EVENT,
                              im_slot_event_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&im_slot_self_event, sizeof(ngx_event_t));

    im_slot_self_event.handler = im_slot_self_handler;
    im_slot_self_event.data = &im_slot_self_event;
    im_slot_self_event.log = cycle->log;

    im_worker_timer(&im_slot_tick, im_slot_tick_handler, cycle->log);

    ngx_add_timer(&im_slot_tick, IM_SLOT_TICK);

    return NGX_OK;
}


void
im_slot_exit_process(ngx_cycle_t *cycle)
{
    if (im_bus_slot(im_slot_self())->pid != ngx_pid) {
        return;
    }

    im_slot_clear(im_slot_self(), ngx_pid);
    im_bus_slot_free(im_slot_self(), ngx_pid);
}


ngx_int_t
im_slot_tick_add(im_slot_tick_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_slot_hooks.nticks; i++) {
        if (im_slot_hooks.ticks[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_slot_hooks.nticks == IM_SLOT_HOOKS) {
        return NGX_ERROR;
    }

    im_slot_hooks.ticks[im_slot_hooks.nticks++] = fn;

    return NGX_OK;
}


ngx_int_t
im_slot_drain_add(im_slot_tick_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_slot_hooks.ndrains; i++) {
        if (im_slot_hooks.drains[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_slot_hooks.ndrains == IM_SLOT_HOOKS) {
        return NGX_ERROR;
    }

    im_slot_hooks.drains[im_slot_hooks.ndrains++] = fn;

    return NGX_OK;
}


ngx_int_t
im_slot_clear_add(im_slot_clear_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_slot_hooks.nclears; i++) {
        if (im_slot_hooks.clears[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_slot_hooks.nclears == IM_SLOT_HOOKS) {
        return NGX_ERROR;
    }

    im_slot_hooks.clears[im_slot_hooks.nclears++] = fn;

    return NGX_OK;
}


ngx_uint_t
im_slot_draining(void)
{
    return im_slot_drains || ngx_exiting || ngx_terminate;
}


void
im_slots_alive(im_slots_t *slots)
{
    ngx_uint_t  i;

    im_slots_zero(slots);

    for (i = 0; i < IM_SLOTS; i++) {
        if (im_slot_alive(i)) {
            im_slots_set(slots, i);
        }
    }
}


ngx_uint_t
im_slot_alive(ngx_uint_t slot)
{
    return slot < IM_SLOTS && im_bus_slot(slot)->pid != 0;
}


void
im_slot_wake(ngx_uint_t slot)
{
    ssize_t   n;
    uint64_t  value;

    if (slot >= im_slot_nfds) {
        return;
    }

    /* we are awake: no detour through the kernel */

    if (slot == im_slot_self() && im_slot_self_event.handler) {
        ngx_post_event(&im_slot_self_event, &ngx_posted_events);
        return;
    }

    value = 1;
    n = write(im_slot_fds[slot], &value, sizeof(uint64_t));

    /* EAGAIN: the counter is full, so the worker is awake */

    if (n == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "write() to eventfd of slot %ui failed", slot);
    }
}


static void
im_slot_event_handler(ngx_event_t *ev)
{
    uint64_t           value;
    ngx_connection_t  *c;

    c = ev->data;

    (void) read(c->fd, &value, sizeof(uint64_t));

    im_slot_read();
}


static void
im_slot_self_handler(ngx_event_t *ev)
{
    im_slot_read();
}


static void
im_slot_read(void)
{
    im_bus_slot_t  *slot;

    slot = im_bus_slot(im_slot_self());

    /* whoever publishes from now on wakes us again */

    __atomic_store_n(&slot->signaled, 0, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    im_bus_read();
}


static void
im_slot_tick_handler(ngx_event_t *ev)
{
    ngx_uint_t  i;

    im_bus_slot(im_slot_self())->beat = ngx_current_msec;

    /* a publisher may have died before it could wake us */

    im_bus_read();

    im_slot_reap();

    for (i = 0; i < im_slot_hooks.nticks; i++) {
        im_slot_hooks.ticks[i]();
    }

    if (ngx_exiting && !im_slot_drains) {
        im_slot_drains = 1;

        for (i = 0; i < im_slot_hooks.ndrains; i++) {
            im_slot_hooks.drains[i]();
        }
    }

    ngx_add_timer(ev, IM_SLOT_TICK);
}


static void
im_slot_reap(void)
{
    ngx_pid_t       pid;
    ngx_uint_t      i;
    im_bus_slot_t  *slot;

    for (i = 0; i < IM_SLOTS; i++) {
        slot = im_bus_slot(i);
        pid = slot->pid;

        if (pid == 0
            || i == im_slot_self()
            || (ngx_msec_int_t) (ngx_current_msec - slot->beat)
               <= IM_SLOT_SILENT)
        {
            continue;
        }

        if (kill(pid, 0) == 0 || ngx_errno != ESRCH) {
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "worker %P in slot %ui is gone", pid, i);

        im_slot_clear(i, pid);
        im_bus_slot_free(i, pid);
    }
}


static void
im_slot_clear(ngx_uint_t slot, ngx_pid_t pid)
{
    ngx_uint_t  i;

    if (im_bus_slot_clear(slot, pid) != NGX_OK) {
        return;
    }

    for (i = 0; i < im_slot_hooks.nclears; i++) {
        im_slot_hooks.clears[i](slot, pid);
    }
}
