
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_fault.h"
#include "live/im_bus.h"


/*
 * Positions count bytes since the log was made and never repeat; position
 * modulo size is the place in the ring.  A record does not wrap: what is left
 * at the end of the ring is skipped, and has the head of a record of kind
 * IM_BUS_PAD if one fits.
 *
 * What lies between tail and head is valid.  A writer first moves the tail,
 * then writes, then moves the head.  A reader first copies, then looks
 * whether the tail has passed its position.  So a writer that was killed
 * halfway leaves nothing but some lost records at the tail.
 */

#define IM_BUS_LAYOUT    4
#define IM_BUS_ALIGN     16
#define IM_BUS_LOSTS     8
#define IM_BUS_SLICE     256         /* records */
#define IM_BUS_SLICE_US  2000
#define IM_BUS_CLEAR     4096        /* interests under one lock */


typedef struct {
    uint64_t           number;
    uint64_t           chain;
    uint64_t           seq;
    uint64_t           except;
    uint64_t           prev;         /* position in the chain, 0: none */
    im_slots_t         to;
    uint32_t           len;          /* to the next record */
    uint32_t           size;         /* of the payload */
    uint32_t           app;
    uint32_t           flags;
    uint16_t           kind;
    uint16_t           from;
    uint32_t           unused[3];
} im_bus_record_t;                   /* size: n * IM_BUS_ALIGN */


typedef struct {
    ngx_uint_t         layout;
    uint64_t           size;
    uint64_t           head;
    uint64_t           tail;
    uint64_t           records;
    uint64_t           bytes;
    ngx_atomic_t       wakeups;
    ngx_atomic_t       laps;

    im_bus_mark_t      mark;
    im_bus_slot_t      slots[IM_SLOTS];
    im_bus_node_t      node;
    uint32_t           stamps[65536];
    im_slots_t         interests[IM_BUS_INTERESTS];

    u_char             data[1];
} im_bus_sh_t;


static ngx_int_t im_bus_write(im_slots_t *to, ngx_uint_t kind,
    im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n, uint64_t *chain);
static u_char *im_bus_place(uint64_t pos);
static ngx_int_t im_bus_head(uint64_t pos, im_bus_record_t *rec);
static im_bus_buf_t *im_bus_payload(uint64_t pos, im_bus_record_t *rec);
static ngx_uint_t im_bus_take(void);
static ngx_int_t im_bus_next(void);
static void im_bus_lapped(void);
static void im_bus_read_handler(ngx_event_t *ev);
static uint64_t im_bus_usec(void);


static im_bus_sh_t        *im_bus_sh;
static ngx_slab_pool_t    *im_bus_pool;

static im_bus_handler_pt   im_bus_handlers[IM_BUS_KINDS];
static im_bus_lost_pt      im_bus_losts[IM_BUS_LOSTS];
static ngx_uint_t          im_bus_nlosts;

static uint64_t            im_bus_pos;
static uint64_t            im_bus_end;
static ngx_uint_t          im_bus_reading;
static ngx_event_t         im_bus_event;

static uint32_t            im_bus_counts[IM_BUS_INTERESTS];


ngx_int_t
im_bus_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t            size;
    im_bus_sh_t      *sh;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    sh = data;

    if (sh == NULL && shm_zone->shm.exists) {
        sh = shpool->data;
    }

    if (sh) {
        if (sh->layout != IM_BUS_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "zone \"%V\" has another layout: this version "
                          "needs a restart", &shm_zone->shm.name);
            return NGX_ERROR;
        }

        goto done;
    }

    /* all of the zone at once */

    shpool->log_nomem = 0;
    size = shpool->pfree * ngx_pagesize;

    if (size < sizeof(im_bus_sh_t) + 4 * ngx_pagesize) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "zone \"%V\" is too small", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    sh = ngx_slab_alloc(shpool, size);
    if (sh == NULL) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "could not allocate zone \"%V\"", &shm_zone->shm.name);
        return NGX_ERROR;
    }

    ngx_memzero(sh, sizeof(im_bus_sh_t));

    sh->layout = IM_BUS_LAYOUT;
    sh->size = size - ngx_align(offsetof(im_bus_sh_t, data), IM_BUS_ALIGN);
    sh->size &= ~((uint64_t) IM_BUS_ALIGN - 1);

    /* 0 is no position */

    sh->head = sh->size;
    sh->tail = sh->size;

    shpool->data = sh;

done:

    shm_zone->data = sh;
    im_bus_sh = sh;
    im_bus_pool = shpool;

    return NGX_OK;
}


void
im_bus_handler(ngx_uint_t kind, im_bus_handler_pt fn)
{
    im_bus_handlers[kind] = fn;
}


ngx_int_t
im_bus_lost_handler(im_bus_lost_pt fn)
{
    ngx_uint_t  i;

    for (i = 0; i < im_bus_nlosts; i++) {
        if (im_bus_losts[i] == fn) {
            return NGX_OK;
        }
    }

    if (im_bus_nlosts == IM_BUS_LOSTS) {
        return NGX_ERROR;
    }

    im_bus_losts[im_bus_nlosts++] = fn;

    return NGX_OK;
}


size_t
im_bus_payload_max(void)
{
    return ngx_min(im_bus_sh->size / 8, IM_BUS_RECORD_MAX)
           - sizeof(im_bus_record_t);
}


ngx_int_t
im_bus_publish(im_slots_t *to, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n)
{
    ngx_int_t  rc;

    if (im_slots_empty(to)) {
        return NGX_OK;
    }

    im_fault("before_publish");

    rc = im_bus_append(to, kind, meta, parts, n, NULL);

    if (rc == NGX_OK) {
        im_bus_signal(to);
    }

    im_fault("after_publish");

    return rc;
}


ngx_int_t
im_bus_append(im_slots_t *to, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n, uint64_t *chain)
{
    ngx_int_t  rc;

    ngx_shmtx_lock(&im_bus_pool->mutex);

    rc = im_bus_write(to, kind, meta, parts, n, chain);

    ngx_shmtx_unlock(&im_bus_pool->mutex);

    return rc;
}


static ngx_int_t
im_bus_write(im_slots_t *to, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n, uint64_t *chain)
{
    u_char           *p;
    size_t            size, len, rest;
    uint64_t          pos, head, bits;
    ngx_uint_t        i, w;
    im_bus_sh_t      *sh;
    im_bus_slot_t    *slot;
    im_bus_record_t  *rec;

    sh = im_bus_sh;
    size = 0;

    for (i = 0; i < n; i++) {
        size += parts[i].len;
    }

    if (size > im_bus_payload_max()) {
        return NGX_DECLINED;
    }

    len = ngx_align(sizeof(im_bus_record_t) + size, IM_BUS_ALIGN);

    pos = sh->head;
    rest = sh->size - pos % sh->size;

    if (rest < len) {
        pos += rest;

    } else {
        rest = 0;
    }

    head = pos + len;

    if (head - sh->tail > sh->size) {
        __atomic_store_n(&sh->tail, head - sh->size, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }

    if (rest >= sizeof(im_bus_record_t)) {
        rec = (im_bus_record_t *) im_bus_place(sh->head);
        ngx_memzero(rec, sizeof(im_bus_record_t));
        rec->kind = IM_BUS_PAD;
        rec->len = rest;
    }

    rec = (im_bus_record_t *) im_bus_place(pos);

    ngx_memzero(rec, sizeof(im_bus_record_t));

    rec->number = sh->records + 1;
    rec->kind = kind;
    rec->from = im_slot_self();
    rec->to = *to;
    rec->len = len;
    rec->size = size;

    if (meta) {
        rec->app = meta->app;
        rec->flags = meta->flags;
        rec->chain = meta->chain;
        rec->seq = meta->seq;
        rec->except = meta->except;
    }

    if (chain) {
        rec->prev = *chain;
    }

    p = (u_char *) (rec + 1);

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, parts[i].data, parts[i].len);
    }

    im_fault("in_bus_lock");

    sh->records++;
    sh->bytes += len;

    __atomic_store_n(&sh->head, head, __ATOMIC_RELEASE);

    for (w = 0; w < 2; w++) {
        for (bits = to->w[w]; bits; bits &= bits - 1) {
            slot = &sh->slots[w * 64 + __builtin_ctzll(bits)];

            if (slot->first == 0) {
                slot->first = pos;
            }
        }
    }

    if (chain) {
        *chain = pos;
    }

    return NGX_OK;
}


void
im_bus_signal(im_slots_t *to)
{
    uint64_t    bits;
    ngx_uint_t  w, n;

    for (w = 0; w < 2; w++) {
        for (bits = to->w[w]; bits; bits &= bits - 1) {
            n = w * 64 + __builtin_ctzll(bits);

            if (__atomic_exchange_n(&im_bus_sh->slots[n].signaled, 1,
                                    __ATOMIC_SEQ_CST)
                == 0)
            {
                (void) ngx_atomic_fetch_add(&im_bus_sh->wakeups, 1);
                im_slot_wake(n);
            }
        }
    }
}


static u_char *
im_bus_place(uint64_t pos)
{
    u_char  *data;

    data = (u_char *) im_bus_sh
           + ngx_align(offsetof(im_bus_sh_t, data), IM_BUS_ALIGN);

    return data + pos % im_bus_sh->size;
}


/* the head of a record; NGX_DECLINED: overwritten */

static ngx_int_t
im_bus_head(uint64_t pos, im_bus_record_t *rec)
{
    if (im_bus_sh->size - pos % im_bus_sh->size < sizeof(im_bus_record_t)) {
        ngx_memzero(rec, sizeof(im_bus_record_t));
        rec->kind = IM_BUS_PAD;
        rec->len = im_bus_sh->size - pos % im_bus_sh->size;

    } else {
        *rec = *(im_bus_record_t *) im_bus_place(pos);
    }

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (__atomic_load_n(&im_bus_sh->tail, __ATOMIC_RELAXED) > pos) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* a copy of a record; NULL and rec->kind set to IM_BUS_PAD: overwritten */

static im_bus_buf_t *
im_bus_payload(uint64_t pos, im_bus_record_t *rec)
{
    im_bus_buf_t  *buf;

    buf = ngx_alloc(sizeof(im_bus_buf_t) + rec->size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    ngx_memzero(buf, sizeof(im_bus_buf_t));

    buf->refs = 1;
    buf->kind = rec->kind;
    buf->from = rec->from;
    buf->number = rec->number;
    buf->app = rec->app;
    buf->flags = rec->flags;
    buf->chain = rec->chain;
    buf->seq = rec->seq;
    buf->except = rec->except;
    buf->payload.len = rec->size;
    buf->payload.data = (u_char *) (buf + 1);

    ngx_memcpy(buf->payload.data, im_bus_place(pos) + sizeof(im_bus_record_t),
               rec->size);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (__atomic_load_n(&im_bus_sh->tail, __ATOMIC_RELAXED) > pos) {
        ngx_free(buf);
        rec->kind = IM_BUS_PAD;
        return NULL;
    }

    return buf;
}


ngx_int_t
im_bus_peek(uint64_t pos, im_bus_meta_t *meta, uint64_t *prev, size_t *size)
{
    im_bus_record_t  rec;

    if (pos == 0 || im_bus_head(pos, &rec) != NGX_OK) {
        return NGX_DECLINED;
    }

    meta->app = rec.app;
    meta->flags = rec.flags;
    meta->chain = rec.chain;
    meta->seq = rec.seq;
    meta->except = rec.except;

    *prev = rec.prev;
    *size = rec.size;

    return NGX_OK;
}


im_bus_buf_t *
im_bus_copy(uint64_t pos)
{
    im_bus_record_t  rec;

    if (im_bus_head(pos, &rec) != NGX_OK) {
        return NULL;
    }

    return im_bus_payload(pos, &rec);
}


im_bus_buf_t *
im_bus_buf_ref(im_bus_buf_t *buf)
{
    buf->refs++;

    return buf;
}


im_bus_buf_t *
im_bus_buf_new(ngx_str_t *text)
{
    im_bus_buf_t  *buf;

    buf = ngx_alloc(sizeof(im_bus_buf_t) + text->len, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    ngx_memzero(buf, sizeof(im_bus_buf_t));

    buf->refs = 1;
    buf->payload.len = text->len;
    buf->payload.data = (u_char *) (buf + 1);

    ngx_memcpy(buf->payload.data, text->data, text->len);

    return buf;
}


void
im_bus_buf_unref(im_bus_buf_t *buf)
{
    if (--buf->refs) {
        return;
    }

    if (buf->encoded_free) {
        buf->encoded_free(buf);
    }

    ngx_free(buf);
}


void
im_bus_read(void)
{
    uint64_t    start;
    ngx_int_t   rc;
    ngx_uint_t  n;

    if (im_bus_reading) {
        return;
    }

    im_bus_reading = 1;
    start = im_bus_usec();

    for (n = 1; im_bus_pos != im_bus_end || im_bus_take(); n++) {

        rc = im_bus_next();

        if (rc == NGX_DECLINED) {
            im_bus_lapped();
        }

        if (n % IM_BUS_SLICE == 0
            || (n % 16 == 0 && im_bus_usec() - start > IM_BUS_SLICE_US))
        {
            im_bus_event.handler = im_bus_read_handler;
            im_bus_event.log = ngx_cycle->log;

            ngx_post_event(&im_bus_event, &ngx_posted_next_events);
            break;
        }
    }

    im_bus_reading = 0;
}


static void
im_bus_read_handler(ngx_event_t *ev)
{
    im_bus_read();
}


static ngx_uint_t
im_bus_take(void)
{
    uint64_t        first, tail;
    im_bus_slot_t  *slot;

    slot = &im_bus_sh->slots[im_slot_self()];

    if (__atomic_load_n(&slot->first, __ATOMIC_RELAXED) == 0) {
        return 0;
    }

    ngx_shmtx_lock(&im_bus_pool->mutex);

    first = slot->first;
    slot->first = 0;

    im_bus_end = im_bus_sh->head;
    tail = im_bus_sh->tail;

    ngx_shmtx_unlock(&im_bus_pool->mutex);

    im_bus_pos = first;

    if (first == 0) {
        im_bus_pos = im_bus_end;
        return 0;
    }

    if (first < tail) {
        im_bus_lapped();
        return 0;
    }

    return 1;
}


/* one record; NGX_DECLINED: overwritten */

static ngx_int_t
im_bus_next(void)
{
    uint64_t         pos;
    im_bus_buf_t    *buf;
    im_bus_record_t  rec;

    pos = im_bus_pos;

    if (im_bus_head(pos, &rec) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (rec.len == 0 || rec.len > im_bus_end - pos) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "record of %uD bytes in the bus", rec.len);
        return NGX_DECLINED;
    }

    if (rec.kind == IM_BUS_PAD
        || rec.kind >= IM_BUS_KINDS
        || im_bus_handlers[rec.kind] == NULL
        || !im_slots_has(&rec.to, im_slot_self()))
    {
        im_bus_pos = pos + rec.len;
        return NGX_OK;
    }

    buf = im_bus_payload(pos, &rec);
    if (buf == NULL) {
        return NGX_DECLINED;
    }

    /* a handler may end up here again: no state but the position */

    im_bus_pos = pos + rec.len;

    im_bus_handlers[buf->kind](buf);

    im_bus_buf_unref(buf);

    return NGX_OK;
}


static void
im_bus_lapped(void)
{
    ngx_uint_t  i;

    im_bus_pos = im_bus_end;

    (void) ngx_atomic_fetch_add(&im_bus_sh->laps, 1);
    (void) ngx_atomic_fetch_add(&im_bus_sh->slots[im_slot_self()].lost, 1);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "the bus has lapped slot %ui", im_slot_self());

    for (i = 0; i < im_bus_nlosts; i++) {
        im_bus_losts[i]();
    }
}


void
im_bus_interest_add(ngx_uint_t hash)
{
    ngx_uint_t  slot;

    if (im_bus_counts[hash]++ == 0) {
        slot = im_slot_self();

        (void) __sync_fetch_and_or(
                   &im_bus_sh->interests[hash].w[slot >> 6],
                   1ULL << (slot & 63));
    }
}


void
im_bus_interest_del(ngx_uint_t hash)
{
    ngx_uint_t  slot;

    if (--im_bus_counts[hash] == 0) {
        slot = im_slot_self();

        (void) __sync_fetch_and_and(
                   &im_bus_sh->interests[hash].w[slot >> 6],
                   ~(1ULL << (slot & 63)));
    }
}


void
im_bus_interested(ngx_uint_t hash, im_slots_t *slots)
{
    im_slots_t  *p;

    p = &im_bus_sh->interests[hash];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    slots->w[0] = __atomic_load_n(&p->w[0], __ATOMIC_SEQ_CST);
    slots->w[1] = __atomic_load_n(&p->w[1], __ATOMIC_SEQ_CST);
}


ngx_uint_t
im_bus_hash(ngx_uint_t app, uint64_t gno)
{
    uint64_t  h;

    h = (gno ^ ((uint64_t) app << 32)) * 0x9e3779b97f4a7c15ULL;

    return (h >> 40) % IM_BUS_INTERESTS;
}


void
im_bus_stat(im_bus_stat_t *stat)
{
    stat->records = im_bus_sh->records;
    stat->bytes = im_bus_sh->bytes;
    stat->wakeups = im_bus_sh->wakeups;
    stat->laps = im_bus_sh->laps;
    stat->size = im_bus_sh->size;
    stat->used = im_bus_sh->head - im_bus_sh->tail;
}


im_bus_slot_t *
im_bus_slot(ngx_uint_t slot)
{
    return &im_bus_sh->slots[slot];
}


im_bus_mark_t *
im_bus_mark(void)
{
    return &im_bus_sh->mark;
}


im_bus_node_t *
im_bus_node(void)
{
    return &im_bus_sh->node;
}


uint32_t *
im_bus_stamp(ngx_uint_t hash)
{
    return &im_bus_sh->stamps[hash % 65536];
}


void
im_bus_slot_claim(ngx_uint_t slot)
{
    im_bus_slot_t  *sl;

    sl = &im_bus_sh->slots[slot];

    ngx_shmtx_lock(&im_bus_pool->mutex);

    sl->beat = ngx_current_msec;
    sl->pid = ngx_pid;
    sl->starts++;

    ngx_shmtx_unlock(&im_bus_pool->mutex);

    im_bus_pos = 0;
    im_bus_end = 0;
    im_bus_reading = 0;

    ngx_memzero(&im_bus_event, sizeof(ngx_event_t));
    ngx_memzero(im_bus_counts, sizeof(im_bus_counts));
}


ngx_int_t
im_bus_slot_clear(ngx_uint_t slot, ngx_pid_t pid)
{
    uint64_t        bit, *w;
    ngx_uint_t      i, end;
    im_bus_slot_t  *sl;

    sl = &im_bus_sh->slots[slot];
    bit = 1ULL << (slot & 63);

    for (i = 0; i < IM_BUS_INTERESTS; /* void */ ) {

        ngx_shmtx_lock(&im_bus_pool->mutex);

        if (sl->pid != pid) {
            ngx_shmtx_unlock(&im_bus_pool->mutex);
            return NGX_DECLINED;
        }

        sl->first = 0;
        sl->signaled = 0;
        ngx_memzero((void *) sl->sessions, sizeof(sl->sessions));
        ngx_memzero(sl->rooms, sizeof(sl->rooms));

        for (end = i + IM_BUS_CLEAR; i < end; i++) {
            w = &im_bus_sh->interests[i].w[slot >> 6];

            if (*w & bit) {
                (void) __sync_fetch_and_and(w, ~bit);
            }
        }

        ngx_shmtx_unlock(&im_bus_pool->mutex);
    }

    for (i = 0; i < IM_BUS_CHANNELS; i++) {
        w = &im_bus_sh->node.interests[i].w[slot >> 6];

        if (*w & bit) {
            (void) __sync_fetch_and_and(w, ~bit);
        }
    }

    return NGX_OK;
}


void
im_bus_slot_free(ngx_uint_t slot, ngx_pid_t pid)
{
    ngx_shmtx_lock(&im_bus_pool->mutex);

    if (im_bus_sh->slots[slot].pid == pid) {
        im_bus_sh->slots[slot].pid = 0;
    }

    ngx_shmtx_unlock(&im_bus_pool->mutex);
}


static uint64_t
im_bus_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
