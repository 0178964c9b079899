
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_worker.h"


#if (NGX_DEBUG)
static ngx_int_t im_fault_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static void im_fault_cleanup(void *data);
#endif


im_worker_hook_t  im_fault_hook = {
    ngx_string("fault"),
    NULL,                                  /* init conf */
#if (NGX_DEBUG)
    im_fault_init_module,                  /* init module */
#else
    NULL,                                  /* init module */
#endif
    NULL,                                  /* init process */
    NULL                                   /* exit process */
};


#if (NGX_DEBUG)

static ngx_str_t  im_fault_names[] = {
    ngx_string("before_commit"),
    ngx_string("mid_batch"),
    ngx_string("after_commit"),
    ngx_string("before_publish"),
    ngx_string("in_zone_lock"),
    ngx_string("in_bus_lock"),
    ngx_string("after_publish"),
    ngx_string("before_tip"),
    ngx_string("after_purge"),
    ngx_string("job_slice"),
    ngx_string("outbox_put"),
    ngx_string("outbox_sent"),
    ngx_string("member_read"),
    ngx_string("peer_groups"),
    ngx_string("message_commit"),
    ngx_null_string
};


ngx_int_t
im_fault_known(ngx_str_t *name)
{
    ngx_str_t  *known;

    for (known = im_fault_names; known->len; known++) {

        if (known->len == name->len
            && ngx_strncmp(known->data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
im_fault_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_shm_t           *shm;
    ngx_uint_t           i;
    im_fault_conf_t     *fault;
    ngx_pool_cleanup_t  *cln;

    if (conf->faults.nelts == 0) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, sizeof(ngx_shm_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    shm = cln->data;

    shm->size = ngx_align(conf->faults.nelts * sizeof(ngx_atomic_t),
                          ngx_pagesize);
    shm->log = cycle->log;
    ngx_str_set(&shm->name, "im_fault");

    if (ngx_shm_alloc(shm) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = im_fault_cleanup;

    fault = conf->faults.elts;

    for (i = 0; i < conf->faults.nelts; i++) {
        fault[i].passes = (ngx_atomic_t *) shm->addr + i;
    }

    return NGX_OK;
}


static void
im_fault_cleanup(void *data)
{
    ngx_shm_t  *shm = data;

    shm->log = ngx_cycle->log;

    ngx_shm_free(shm);
}


ngx_uint_t
im_fault_pass(const char *name, ngx_uint_t deadly)
{
    im_conf_t        *conf;
    ngx_uint_t        i, now;
    im_fault_conf_t  *fault;

    conf = im_conf();
    if (conf == NULL) {
        return 0;
    }

    fault = conf->faults.elts;
    now = 0;

    for (i = 0; i < conf->faults.nelts; i++) {

        if (fault[i].passes
            && ngx_strcmp(fault[i].name.data, name) == 0
            && (ngx_uint_t) ngx_atomic_fetch_add(fault[i].passes, 1) + 1
               == fault[i].n)
        {
            now = 1;
        }
    }

    if (now && deadly) {
        (void) kill(ngx_pid, SIGKILL);
        (void) pause();
    }

    return now;
}

#endif
