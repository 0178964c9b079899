
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_memory.h"
#include "core/im_poll.h"
#include "core/im_shared.h"
#include "core/im_stat.h"
#include "store/im_store.h"
#include "web/im_conn.h"
#include "web/im_metrics.h"


static void im_metrics_store(void);


static im_store_stat_t  im_metrics_last;    /* as published before */


void
im_metrics_publish(void)
{
    im_stat_set(IM_STAT_CONN_WS, im_conn_count(IM_FORM_TEXT)
                                 + im_conn_count(IM_FORM_BINARY)
                                 + im_conn_count(IM_FORM_COMP));
    im_stat_set(IM_STAT_CONN_TCP, im_conn_count(IM_FORM_LENGTH));
    im_stat_set(IM_STAT_POLLS, im_poll_count());
    im_stat_set(IM_STAT_COROUTINES, im_co_running());
    im_stat_set(IM_STAT_STACKS, im_co_stacks());
    im_stat_set(IM_STAT_BODIES, im_memory_taken());
    im_stat_set(IM_STAT_SHARED, im_shared_bytes());
    im_stat_set(IM_STAT_SHARED_REFS, im_shared_refs());

    im_metrics_store();
}


static void
im_metrics_store(void)
{
    ngx_uint_t        i;
    im_store_stat_t   store, *last;

    last = &im_metrics_last;

    im_store_stat(&store);

    im_stat_set(IM_STAT_STORE_QUEUE, store.queue);
    im_stat_set(IM_STAT_STORE_BYTES, store.queue_bytes);
    im_stat_set(IM_STAT_STORE_OPEN, store.open);

    im_stat_add(IM_STAT_COMMITS, store.commits - last->commits);
    im_stat_add(IM_STAT_BATCHES, store.batches - last->batches);
    im_stat_add(IM_STAT_DECLINED, store.declined - last->declined);
    im_stat_add(IM_STAT_STORE_BUSY, store.busy - last->busy);
    im_stat_add(IM_STAT_STORE_ERRORS, store.errors - last->errors);
    im_stat_add(IM_STAT_SWEPT, store.swept - last->swept);
    im_stat_add(IM_STAT_STORE_OPENED, store.opened - last->opened);
    im_stat_add(IM_STAT_LATENCY_SUM, store.latency_us - last->latency_us);

    for (i = 0; i < IM_STAT_BUCKETS; i++) {
        im_stat_add(IM_STAT_LATENCY + i, store.bucket[i] - last->bucket[i]);
    }

    *last = store;
}
