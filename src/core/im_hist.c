
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_hist.h"
#include "core/im_shm.h"
#include "core/im_worker.h"


#define IM_HIST_PROBES  32
#define IM_HIST_FLAGS   256          /* apps */
#define IM_HIST_SLOTS   128          /* workers of two generations */


typedef struct {
    ngx_atomic_t       app;
    u_char             on[IM_HIST_SLOTS];
} im_hist_flag_t;


typedef struct {
    im_hist_t          other[IM_HIST_KINDS];
    im_hist_t          hist[IM_HIST_KINDS][IM_HIST_MAX];
    im_hist_flag_t     flags[IM_HIST_FLAGS];
} im_hist_shared_t;


static im_hist_t *im_hist_find(im_hist_e kind, uint32_t app, uint32_t name);
static ngx_uint_t im_hist_own(ngx_atomic_t *key, ngx_atomic_uint_t value);
static im_hist_flag_t *im_hist_flag(uint32_t app);
static void im_hist_flags_clear(void);
static ngx_int_t im_hist_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_hist_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_hist_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_hist_exit_process(ngx_cycle_t *cycle);


/* upper bounds, us */

static uint64_t  im_hist_bounds[IM_HIST_BUCKETS - 1] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
    1000000, 2500000, 10000000
};


static im_hist_shared_t  *im_hist_shared;


static im_shm_t  im_hist_shm = {
    ngx_string("im_hist"), sizeof(im_hist_shared_t), NULL
};


im_worker_hook_t  im_hist_hook = {
    ngx_string("histograms"),
    im_hist_init_conf,
    im_hist_init_module,
    im_hist_init_process,
    im_hist_exit_process
};


uint64_t
im_hist_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
im_hist_add(im_hist_e kind, uint32_t app, uint32_t name, uint64_t us)
{
    im_hist_t   *h;
    ngx_uint_t   i;

    h = im_hist_find(kind, app, name);
    if (h == NULL) {
        return;
    }

    for (i = 0; i < IM_HIST_BUCKETS - 1; i++) {
        if (us <= im_hist_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&h->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&h->us, us);
}


void
im_hist_count(im_hist_e kind, uint32_t app, uint32_t name, ngx_uint_t result)
{
    im_hist_t  *h;

    h = im_hist_find(kind, app, name);

    if (h) {
        (void) ngx_atomic_fetch_add(&h->result[result], 1);
    }
}


static im_hist_t *
im_hist_find(im_hist_e kind, uint32_t app, uint32_t name)
{
    im_hist_t          *h;
    ngx_uint_t          i, k;
    ngx_atomic_uint_t   key;

    if (im_hist_shared == NULL) {
        return NULL;
    }

    key = (ngx_atomic_uint_t) app << 32 | name;
    k = (app * 2654435761U) ^ name;

    for (i = 0; i < IM_HIST_PROBES; i++) {
        h = &im_hist_shared->hist[kind][(k + i) % IM_HIST_MAX];

        if (im_hist_own(&h->key, key)) {
            return h;
        }
    }

    return &im_hist_shared->other[kind];
}


/* A key is set once and stays. */

static ngx_uint_t
im_hist_own(ngx_atomic_t *key, ngx_atomic_uint_t value)
{
    return *key == value
           || (*key == 0 && ngx_atomic_cmp_set(key, 0, value))
           || *key == value;
}


im_hist_t *
im_hist_get(im_hist_e kind, ngx_uint_t i, uint32_t *app, uint32_t *name)
{
    im_hist_t  *h;

    if (im_hist_shared == NULL || i > IM_HIST_MAX) {
        return NULL;
    }

    h = (i == IM_HIST_MAX) ? &im_hist_shared->other[kind]
                           : &im_hist_shared->hist[kind][i];

    if (i < IM_HIST_MAX && h->key == 0) {
        return NULL;
    }

    *app = h->key >> 32;
    *name = h->key & 0xffffffff;

    return h;
}


u_char *
im_hist_text(u_char *p, im_hist_t *h, char *metric, u_char *labels)
{
    uint64_t    sum, us;
    ngx_uint_t  i;

    sum = 0;

    for (i = 0; i < IM_HIST_BUCKETS; i++) {
        sum += h->bucket[i];

        if (i < IM_HIST_BUCKETS - 1) {
            us = im_hist_bounds[i];

            p = ngx_sprintf(p, "%s_bucket{%s,le=\"%uL.%06uL\"} %uL\n", metric,
                            labels, us / 1000000, us % 1000000, sum);
        }
    }

    us = h->us;

    return ngx_sprintf(p, "%s_bucket{%s,le=\"+Inf\"} %uL\n"
                       "%s_sum{%s} %uL.%06uL\n%s_count{%s} %uL\n",
                       metric, labels, sum, metric, labels,
                       us / 1000000, us % 1000000, metric, labels, sum);
}


void
im_hist_flag_set(uint32_t app, ngx_uint_t on)
{
    im_hist_flag_t  *flag;

    flag = im_hist_flag(app);

    if (flag && ngx_process_slot >= 0 && ngx_process_slot < IM_HIST_SLOTS) {
        flag->on[ngx_process_slot] = (on != 0);
    }
}


ngx_uint_t
im_hist_flag_get(uint32_t app)
{
    ngx_uint_t       i, n;
    im_hist_flag_t  *flag;

    flag = im_hist_flag(app);
    n = 0;

    for (i = 0; flag && i < IM_HIST_SLOTS; i++) {
        n += flag->on[i];
    }

    return n;
}


static im_hist_flag_t *
im_hist_flag(uint32_t app)
{
    ngx_uint_t       i;
    im_hist_flag_t  *flag;

    for (i = 0; im_hist_shared && i < IM_HIST_PROBES; i++) {
        flag = &im_hist_shared->flags[(app + i) % IM_HIST_FLAGS];

        if (im_hist_own(&flag->app, app)) {
            return flag;
        }
    }

    return NULL;
}


/* Those of this worker, or of a predecessor that was killed. */

static void
im_hist_flags_clear(void)
{
    ngx_uint_t  i;

    if (ngx_process_slot < 0 || ngx_process_slot >= IM_HIST_SLOTS) {
        return;
    }

    for (i = 0; i < IM_HIST_FLAGS; i++) {
        im_hist_shared->flags[i].on[ngx_process_slot] = 0;
    }
}


static ngx_int_t
im_hist_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    return im_shm_add(cf, &im_hist_shm);
}


static ngx_int_t
im_hist_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_hist_shared = im_shm_data(&im_hist_shm);

    return NGX_OK;
}


static ngx_int_t
im_hist_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_hist_flags_clear();

    return NGX_OK;
}


static void
im_hist_exit_process(ngx_cycle_t *cycle)
{
    im_hist_flags_clear();
}
