
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_STAT_H_INCLUDED_
#define _IM_STAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Numbers of the metrics page.  Each worker counts in a row of its own in
 * shared memory; the page shows the sums, which reloads and crashes do not
 * reset.  A gauge is what a worker has now; it ends with the worker.
 */

#define IM_STATS(C, G)                                                        \
    C(REST,           "im_requests_total{transport=\"rest\"}")                \
    C(REQUEST_WS,     "im_requests_total{transport=\"ws\"}")                  \
    C(REQUEST_TCP,    "im_requests_total{transport=\"tcp\"}")                 \
    C(IN_C2C,         "im_messages_in_total{kind=\"c2c\"}")                   \
    C(IN_ROOM,        "im_messages_in_total{kind=\"room\"}")                  \
    C(REFUSED,        "im_messages_refused_total{priority=\"high\"}")         \
    C(REFUSED_NORMAL, "im_messages_refused_total{priority=\"normal\"}")       \
    C(REFUSED_LOW,    "im_messages_refused_total{priority=\"low\"}")          \
    C(REFUSED_LOWEST, "im_messages_refused_total{priority=\"lowest\"}")       \
    C(OUT_EVENT,      "im_messages_out_total{kind=\"event\"}")                \
    C(OUT_ROOM,       "im_messages_out_total{kind=\"room\"}")                 \
    C(FRAMES,         "im_frames_sent_total")                                 \
    C(BYTES,          "im_bytes_sent_total")                                  \
    C(DROPPED,        "im_frames_dropped_total")                              \
    C(STUCK,          "im_connections_stuck_total")                           \
    C(RESYNC,         "im_resyncs_total")                                     \
    C(COMMITS,        "im_store_transactions_total")                          \
    C(BATCHES,        "im_store_batches_total")                               \
    C(DECLINED,       "im_store_declined_total")                              \
    C(STORE_BUSY,     "im_store_busy_total")                                  \
    C(STORE_ERRORS,   "im_store_errors_total")                                \
    C(SWEPT,          "im_store_swept_total")                                 \
    C(STORE_OPENED,   "im_store_breaker_opened_total")                        \
    C(CB_OK,          "im_callbacks_total{result=\"ok\"}")                     \
    C(CB_FAILED,      "im_callbacks_total{result=\"failed\"}")                 \
    C(CB_SKIPPED,     "im_callbacks_total{result=\"skipped\"}")                \
    C(CB_DROPPED,     "im_callbacks_total{result=\"dropped\"}")                \
    C(CB_REFUSED,     "im_callback_refusals_total")                           \
    C(CB_TIME,        "im_callback_milliseconds_total")                       \
    C(CB_OPENED,      "im_callback_breaker_opened_total")                     \
    C(REDIS_CALLS,    "im_redis_calls_total")                                 \
    C(REDIS_DROPPED,  "im_redis_dropped_total")                               \
    C(REDIS_ERRORS,   "im_redis_errors_total")                                \
    C(REDIS_DOWN,     "im_redis_down_total")                                  \
    C(REDIS_REFUSED,  "im_redis_refused_total")                               \
    C(NODE_IN,        "im_node_records_in_total")                             \
    C(NODE_OUT,       "im_node_records_out_total")                            \
    G(REDIS_UP,       "im_redis_connections")                                 \
    G(REDIS_QUEUE,    "im_redis_calls_waiting")                               \
    C(OUTBOX_IN,      "im_outbox_events_total{result=\"stored\"}")            \
    C(OUTBOX_OUT,     "im_outbox_events_total{result=\"delivered\"}")         \
    C(OUTBOX_DROPPED, "im_outbox_events_total{result=\"dropped\"}")           \
    C(OUTBOX_EXPIRED, "im_outbox_events_total{result=\"expired\"}")           \
    C(OUTBOX_TRIES,   "im_outbox_tries_total")                                \
    G(CB_FLYING,      "im_callbacks_in_flight")                               \
    G(CB_QUEUE,       "im_callbacks_queued")                                  \
    G(CB_OPEN,        "im_callback_breakers_open")                            \
    G(OUTBOX_WAITING, "im_outbox_waiting")                                    \
    G(CONN_WS,        "im_connections{transport=\"ws\"}")                     \
    G(CONN_TCP,       "im_connections{transport=\"tcp\"}")                    \
    G(CONN_SSE,       "im_connections{transport=\"sse\"}")                    \
    G(POLLS,          "im_polls_held")                                        \
    G(COROUTINES,     "im_coroutines")                                        \
    G(STACKS,         "im_coroutine_stacks")                                  \
    G(BODIES,         "im_body_bytes")                                        \
    G(SHARED,         "im_shared_bytes")                                      \
    G(SHARED_REFS,    "im_shared_references")                                 \
    G(STORE_QUEUE,    "im_store_queue")                                       \
    G(STORE_OPEN,     "im_store_breaker_open")                                \
    G(STORE_BYTES,    "im_store_queue_bytes")


#define IM_STAT_ENUM(name, text)  IM_STAT_##name,

enum {
    IM_STATS(IM_STAT_ENUM, IM_STAT_ENUM)
    IM_STAT_LATENCY_SUM,             /* of commits, microseconds */
    IM_STAT_LATENCY,                 /* IM_STAT_BUCKETS of them */
    IM_STAT_BUCKETS = 20,
    IM_STAT_MAX = IM_STAT_LATENCY + IM_STAT_BUCKETS
};


#define im_stat_add(stat, n)  (im_stat_row[stat] += (n))
#define im_stat_set(stat, n)  (im_stat_row[stat] = (n))


/* The sum of all workers. */
uint64_t im_stat_get(ngx_uint_t stat);

/* Of one worker, by its slot. */
uint64_t im_stat_of(ngx_uint_t slot, ngx_uint_t stat);

/* The name on the page; *counter: 1 counter, 0 gauge; NULL: has none. */
char *im_stat_name(ngx_uint_t stat, ngx_uint_t *counter);


/*
 * Counters with labels that are not known beforehand: pairs of two numbers,
 * the first not 0.  At most IM_STAT_PAIRS of them; what does not fit is not
 * counted.
 */

#define IM_STAT_PAIRS  4096

void im_stat_pair_add(uint32_t first, uint32_t second);

/* Pair i of the table; NGX_DECLINED: there is none in this place. */
ngx_int_t im_stat_pair(ngx_uint_t i, uint32_t *first, uint32_t *second,
    uint64_t *n);


/* of this worker */
extern uint64_t  *im_stat_row;


#endif /* _IM_STAT_H_INCLUDED_ */
