
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_SLOT_H_INCLUDED_
#define _IM_SLOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A slot is a worker as the others see it: its number is ngx_process_slot,
 * its row lies in the zone of the bus.  A respawned worker gets the slot of
 * its dead predecessor.
 */

#define IM_SLOTS            128


typedef struct {
    uint64_t                w[2];
} im_slots_t;


#define im_slots_zero(s)     ((s)->w[0] = 0, (s)->w[1] = 0)
#define im_slots_set(s, n)   ((s)->w[(n) >> 6] |= 1ULL << ((n) & 63))
#define im_slots_clear(s, n) ((s)->w[(n) >> 6] &= ~(1ULL << ((n) & 63)))
#define im_slots_has(s, n)   (((s)->w[(n) >> 6] >> ((n) & 63)) & 1)
#define im_slots_empty(s)    (((s)->w[0] | (s)->w[1]) == 0)


typedef void (*im_slot_tick_pt)(void);
typedef void (*im_slot_clear_pt)(ngx_uint_t slot, ngx_pid_t pid);


/* The number of this worker. */
#define im_slot_self()      ((ngx_uint_t) ngx_process_slot)

/* Makes the eventfds, once; they live through reloads.  Not under -t. */
ngx_int_t im_slot_init_module(ngx_cycle_t *cycle);

/*
 * Claims the slot, clears what a dead predecessor left in it, listens to its
 * eventfd and starts the tick.  A worker reads nothing from the bus before.
 */
ngx_int_t im_slot_init_process(ngx_cycle_t *cycle);

/* Gives the slot back; what this worker left in the zones is removed. */
void im_slot_exit_process(ngx_cycle_t *cycle);

/* fn is called once a second in every worker, in order of addition; at most
 * 16 of them, added before or in init process. */
ngx_int_t im_slot_tick_add(im_slot_tick_pt fn);

/* fn is called once, when the worker was told to exit and begins to drain:
 * held polls are answered, listeners of the bus find another home. */
ngx_int_t im_slot_drain_add(im_slot_tick_pt fn);

/* fn removes what dead worker pid left in a zone, unless the slot has got
 * another owner meanwhile; it may be called again. */
ngx_int_t im_slot_clear_add(im_slot_clear_pt fn);

/* The worker drains: no new sessions, no new frames. */
ngx_uint_t im_slot_draining(void);

/* Slots with a living worker. */
void im_slots_alive(im_slots_t *slots);
ngx_uint_t im_slot_alive(ngx_uint_t slot);

/* Wakes the worker of a slot, unless somebody has already. */
void im_slot_wake(ngx_uint_t slot);


#endif /* _IM_SLOT_H_INCLUDED_ */
