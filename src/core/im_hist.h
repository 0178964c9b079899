
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_HIST_H_INCLUDED_
#define _IM_HIST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Histograms of times per app and name, of all workers together, in a zone
 * of a fixed size: IM_HIST_MAX of a kind; what comes later is counted as app
 * 0 and name 0.
 */

#define IM_HIST_MAX      1024
#define IM_HIST_BUCKETS  14          /* the last one has no bound */
#define IM_HIST_RESULTS  4

typedef enum {
    IM_HIST_COMMAND = 0,
    IM_HIST_CALLBACK,
    IM_HIST_KINDS
} im_hist_e;


typedef struct {
    ngx_atomic_t       key;          /* app, name; 0: free */
    ngx_atomic_t       us;           /* sum */
    ngx_atomic_t       bucket[IM_HIST_BUCKETS];
    ngx_atomic_t       result[IM_HIST_RESULTS];
} im_hist_t;


/* Microseconds of a clock that never goes back. */
uint64_t im_hist_now(void);

/* name: a number that stands for it, not 0. */
void im_hist_add(im_hist_e kind, uint32_t app, uint32_t name, uint64_t us);
/* Counts without a time; result: 0 .. IM_HIST_RESULTS - 1. */
void im_hist_count(im_hist_e kind, uint32_t app, uint32_t name,
    ngx_uint_t result);

/* Histogram i of a kind, or NULL: there is none in this place. */
im_hist_t *im_hist_get(im_hist_e kind, ngx_uint_t i, uint32_t *app,
    uint32_t *name);

/* Writes its lines: name{labels,le="..."} and so on, IM_HIST_LINES of at most
 * 128 bytes more than metric and labels have. */
u_char *im_hist_text(u_char *p, im_hist_t *h, char *metric, u_char *labels);

#define IM_HIST_LINES  (IM_HIST_BUCKETS + 2)


/* A switch of each app, which the worker has set or not. */
void im_hist_flag_set(uint32_t app, ngx_uint_t on);
/* How many workers have set it. */
ngx_uint_t im_hist_flag_get(uint32_t app);


#endif /* _IM_HIST_H_INCLUDED_ */
