
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_shm.h"
#include "core/im_stat.h"
#include "core/im_worker.h"


/* A row for each worker, of two generations. */

#define IM_STAT_ROWS    128

#define IM_STAT_PROBES  64


/* All workers count in the same cell; its key is set once. */

typedef struct {
    ngx_atomic_t     key;
    ngx_atomic_t     n;
} im_stat_pair_t;


typedef struct {
    uint64_t         rows[IM_STAT_ROWS][IM_STAT_MAX];
    im_stat_pair_t   pairs[IM_STAT_PAIRS];
} im_stat_shared_t;


typedef struct {
    char        *name;
    ngx_uint_t   counter;
} im_stat_name_t;


#define IM_STAT_COUNTER(name, text)  { text, 1 },
#define IM_STAT_GAUGE(name, text)    { text, 0 },

static im_stat_name_t  im_stat_names[] = {
    IM_STATS(IM_STAT_COUNTER, IM_STAT_GAUGE)
};


static ngx_int_t im_stat_init_conf(ngx_conf_t *cf, im_conf_t *conf);
static ngx_int_t im_stat_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_stat_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_stat_exit_process(ngx_cycle_t *cycle);
static void im_stat_clear_gauges(uint64_t *row);


static im_stat_shared_t  *im_stat_shared;
static uint64_t           im_stat_none[IM_STAT_MAX];

uint64_t  *im_stat_row = im_stat_none;


static im_shm_t  im_stat_shm = {
    ngx_string("im_stat"), sizeof(im_stat_shared_t), NULL
};


im_worker_hook_t  im_stat_hook = {
    ngx_string("statistics"),
    im_stat_init_conf,
    im_stat_init_module,
    im_stat_init_process,
    im_stat_exit_process
};


uint64_t
im_stat_get(ngx_uint_t stat)
{
    uint64_t    sum;
    ngx_uint_t  i;

    if (im_stat_shared == NULL) {
        return im_stat_row[stat];
    }

    sum = 0;

    for (i = 0; i < IM_STAT_ROWS; i++) {
        sum += im_stat_shared->rows[i][stat];
    }

    return sum;
}


uint64_t
im_stat_of(ngx_uint_t slot, ngx_uint_t stat)
{
    if (im_stat_shared == NULL || slot >= IM_STAT_ROWS) {
        return 0;
    }

    return im_stat_shared->rows[slot][stat];
}


char *
im_stat_name(ngx_uint_t stat, ngx_uint_t *counter)
{
    if (stat >= sizeof(im_stat_names) / sizeof(im_stat_name_t)) {
        return NULL;
    }

    *counter = im_stat_names[stat].counter;

    return im_stat_names[stat].name;
}


void
im_stat_pair_add(uint32_t first, uint32_t second)
{
    ngx_uint_t         i, k;
    ngx_atomic_uint_t  key;
    im_stat_pair_t    *pair;

    if (im_stat_shared == NULL) {
        return;
    }

    key = (ngx_atomic_uint_t) first << 32 | second;
    k = first ^ second * 2654435761U;

    for (i = 0; i < IM_STAT_PROBES; i++) {
        pair = &im_stat_shared->pairs[(k + i) % IM_STAT_PAIRS];

        if (pair->key == key
            || (pair->key == 0 && ngx_atomic_cmp_set(&pair->key, 0, key))
            || pair->key == key)
        {
            (void) ngx_atomic_fetch_add(&pair->n, 1);
            return;
        }
    }
}


ngx_int_t
im_stat_pair(ngx_uint_t i, uint32_t *first, uint32_t *second, uint64_t *n)
{
    im_stat_pair_t  *pair;

    if (im_stat_shared == NULL || im_stat_shared->pairs[i].key == 0) {
        return NGX_DECLINED;
    }

    pair = &im_stat_shared->pairs[i];

    *first = pair->key >> 32;
    *second = pair->key & 0xffffffff;
    *n = pair->n;

    return NGX_OK;
}


static ngx_int_t
im_stat_init_conf(ngx_conf_t *cf, im_conf_t *conf)
{
    return im_shm_add(cf, &im_stat_shm);
}


static ngx_int_t
im_stat_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    im_stat_shared = im_shm_data(&im_stat_shm);

    return NGX_OK;
}


static ngx_int_t
im_stat_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    if (ngx_process_slot < 0 || ngx_process_slot >= IM_STAT_ROWS) {
        return NGX_OK;
    }

    im_stat_row = im_stat_shared->rows[ngx_process_slot];

    /* of a predecessor that was killed */

    im_stat_clear_gauges(im_stat_row);

    return NGX_OK;
}


static void
im_stat_exit_process(ngx_cycle_t *cycle)
{
    im_stat_clear_gauges(im_stat_row);

    im_stat_row = im_stat_none;
}


static void
im_stat_clear_gauges(uint64_t *row)
{
    ngx_uint_t  i, counter;

    for (i = 0; im_stat_name(i, &counter); i++) {
        if (!counter) {
            row[i] = 0;
        }
    }
}
