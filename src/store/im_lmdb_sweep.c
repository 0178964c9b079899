
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "store/im_lmdb.h"


/*
 * Removes expired rows, in slices of one transaction each.  Readers do not
 * see such rows, so it may be late.  One worker sweeps at a time: the lease is
 * a row of the environment.
 */


#define IM_LMDB_PAUSE  20            /* ms at least between two slices */


typedef struct {
    int64_t            pid;
    int64_t            time;
} im_lmdb_lease_t;


typedef struct {
    im_lmdb_write_t   *w;
    im_table_t        *table;
    ngx_uint_t         removed;
    ngx_uint_t         examined;
} im_lmdb_slice_t;


static void im_lmdb_sweep_handler(ngx_event_t *ev);
static int im_lmdb_sweep_tables(im_lmdb_write_t *w, im_lmdb_sweep_t *sweep);
static int im_lmdb_lease(im_lmdb_write_t *w);
static ngx_uint_t im_lmdb_sweep_full(im_lmdb_slice_t *s);
static int im_lmdb_sweep_rows(im_lmdb_slice_t *s);
static int im_lmdb_sweep_edge(im_lmdb_slice_t *s);
static int im_lmdb_sweep_hours(im_lmdb_slice_t *s);
static int im_lmdb_sweep_stream(im_lmdb_slice_t *s, im_key_t *entry,
    int64_t *first, int64_t last);
static int im_lmdb_sweep_expired(im_lmdb_slice_t *s, im_key_t *key,
    ngx_uint_t *expired);


static ngx_event_t   im_lmdb_sweep_event;
static ngx_msec_t    im_lmdb_sweep_interval;
static ngx_msec_t    im_lmdb_sweep_start;
static ngx_uint_t    im_lmdb_sweep_removed;


ngx_int_t
im_lmdb_sweep_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    ngx_event_t  *ev;

    ev = &im_lmdb_sweep_event;

    im_worker_timer(ev, im_lmdb_sweep_handler, cycle->log);

    im_lmdb_sweep_removed = 0;
    im_lmdb_sweep_interval = ngx_max(conf->sweep_interval, 100);

    ngx_add_timer(ev, im_lmdb_sweep_interval);

    return NGX_OK;
}


void
im_lmdb_sweep_exit(ngx_cycle_t *cycle)
{
    if (im_lmdb_sweep_event.timer_set) {
        ngx_del_timer(&im_lmdb_sweep_event);
    }
}


static void
im_lmdb_sweep_handler(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    im_lmdb_sweep_start = ngx_current_msec;

    if (im_lmdb_commit_sweep() != NGX_OK) {
        ngx_add_timer(ev, im_lmdb_sweep_interval);
    }
}


/* A slice is followed by a pause, so that most of the time is for commits. */

void
im_lmdb_sweep_done(im_lmdb_sweep_t *sweep)
{
    ngx_msec_t  next;

    if (sweep->err != 0) {
        im_lmdb_error(im_lmdb_sweep_event.log, sweep->err, "sweeping");
    }

    im_lmdb_sweep_removed += sweep->removed;

    if (ngx_exiting) {
        return;
    }

    next = im_lmdb_sweep_interval;

    if (sweep->more) {
        next = 4 * (ngx_current_msec - im_lmdb_sweep_start) + IM_LMDB_PAUSE;
        next = ngx_min(next, im_lmdb_sweep_interval);
    }

    ngx_add_timer(&im_lmdb_sweep_event, next);
}


ngx_uint_t
im_lmdb_swept(void)
{
    return im_lmdb_sweep_removed;
}


void
im_lmdb_sweep_slice(im_lmdb_write_t *w, im_lmdb_sweep_t *sweep)
{
    ngx_memzero(sweep, sizeof(im_lmdb_sweep_t));

    w->now = time(NULL);
    w->taken = NULL;

    sweep->err = mdb_txn_begin(im_lmdb.env, NULL, 0, &w->txn);
    if (sweep->err != 0) {
        return;
    }

    sweep->err = im_lmdb_sweep_tables(w, sweep);

    if (sweep->err == 0) {
        sweep->err = mdb_txn_commit(w->txn);

    } else {
        mdb_txn_abort(w->txn);
    }

    if (sweep->err == IM_LMDB_DECLINED) {
        sweep->err = 0;
        sweep->lease = 1;
    }

    if (sweep->err != 0) {
        sweep->removed = 0;
        sweep->more = 0;
    }
}


static int
im_lmdb_sweep_tables(im_lmdb_write_t *w, im_lmdb_sweep_t *sweep)
{
    int              err;
    ngx_uint_t       i;
    im_lmdb_slice_t  s;

    err = im_lmdb_lease(w);
    if (err != 0) {
        return err;
    }

    s.w = w;
    s.removed = 0;

    for (i = 0; i < IM_T_MAX && s.removed < IM_LMDB_SLICE; i++) {

        s.table = &im_tables[i];
        s.examined = 0;

        switch (s.table->ttl) {

        case IM_TTL_ROW:
            err = im_lmdb_sweep_rows(&s);
            break;

        case IM_TTL_STREAM:
            err = im_lmdb_sweep_hours(&s);
            break;

        case IM_TTL_EDGE:
            err = im_lmdb_sweep_edge(&s);
            break;

        default:
            continue;
        }

        if (err != 0) {
            return err;
        }

        if (s.examined >= IM_LMDB_EXAMINED) {
            sweep->more = (s.removed > 0);
        }
    }

    sweep->removed = s.removed;

    if (s.removed >= IM_LMDB_SLICE) {
        sweep->more = 1;
    }

    return 0;
}


/* IM_LMDB_DECLINED: another worker has it, and has renewed it of late. */

static int
im_lmdb_lease(im_lmdb_write_t *w)
{
    int              err;
    int64_t          age;
    MDB_val          key, val;
    im_lmdb_lease_t  lease;

    key.mv_data = "sweep";
    key.mv_size = sizeof("sweep") - 1;

    err = mdb_get(w->txn, im_lmdb.sys, &key, &val);

    if (err == 0 && val.mv_size == sizeof(im_lmdb_lease_t)) {
        ngx_memcpy(&lease, val.mv_data, sizeof(im_lmdb_lease_t));

        age = (int64_t) w->now - lease.time;

        if (lease.pid != ngx_pid
            && age >= 0
            && age <= (int64_t) (2 * im_lmdb_sweep_interval / 1000 + 1))
        {
            return IM_LMDB_DECLINED;
        }

        if (lease.pid == ngx_pid && age == 0) {
            return 0;
        }

    } else if (err != 0 && err != MDB_NOTFOUND) {
        return err;
    }

    lease.pid = ngx_pid;
    lease.time = w->now;

    val.mv_data = &lease;
    val.mv_size = sizeof(im_lmdb_lease_t);

    return mdb_put(w->txn, im_lmdb.sys, &key, &val, 0);
}


static ngx_uint_t
im_lmdb_sweep_full(im_lmdb_slice_t *s)
{
    return s->removed >= IM_LMDB_SLICE || s->examined++ >= IM_LMDB_EXAMINED;
}


/* Entries (expire, key), oldest first. */

static int
im_lmdb_sweep_rows(im_lmdb_slice_t *s)
{
    int         err;
    u_char     *p;
    int64_t     expire;
    MDB_dbi     dbi;
    MDB_val     key, val;
    im_key_t    low, found;
    ngx_uint_t  expired;

    dbi = im_lmdb.tables[s->table->id].ttl;

    low.len = 1;
    low.data[0] = 0;

    while (!im_lmdb_sweep_full(s)) {

        err = im_lmdb_seek(s->w->txn, dbi, &low, &found, &val);

        if (err != 0) {
            return (err == MDB_NOTFOUND) ? 0 : err;
        }

        p = found.data;

        if (im_key_get_int(&p, found.data + found.len, &expire) == NGX_OK
            && expire > (int64_t) s->w->now)
        {
            return 0;
        }

        low.len = found.data + found.len - p;
        ngx_memcpy(low.data, p, low.len);

        err = im_lmdb_sweep_expired(s, &low, &expired);
        if (err != 0) {
            return err;
        }

        /* the row took its entry with it, unless it was not its own */

        key.mv_data = found.data;
        key.mv_size = found.len;

        err = mdb_del(s->w->txn, dbi, &key, NULL);
        if (err != 0 && err != MDB_NOTFOUND) {
            return err;
        }

        low.len = 1;
        low.data[0] = 0;
    }

    return 0;
}


/* Each application's rows are in the order of time. */

static int
im_lmdb_sweep_edge(im_lmdb_slice_t *s)
{
    int         err;
    MDB_dbi     dbi;
    MDB_val     val;
    im_key_t    low, found;
    ngx_uint_t  expired;

    dbi = im_lmdb.tables[s->table->id].rows;

    low.len = 1;
    low.data[0] = 0;

    while (!im_lmdb_sweep_full(s)) {

        err = im_lmdb_seek(s->w->txn, dbi, &low, &found, &val);

        if (err != 0) {
            return (err == MDB_NOTFOUND) ? 0 : err;
        }

        err = im_lmdb_sweep_expired(s, &found, &expired);
        if (err != 0) {
            return err;
        }

        low = found;

        if (!expired) {
            low.len = 8;                 /* the next application */
        }

        im_lmdb_after(&low);
    }

    return 0;
}


/* Entries (hour, stream), which name a range of numbers. */

static int
im_lmdb_sweep_hours(im_lmdb_slice_t *s)
{
    int       err;
    u_char   *p;
    int64_t   hour, range[2];
    MDB_dbi   dbi;
    MDB_val   key, val;
    im_key_t  low, found;

    dbi = im_lmdb.tables[s->table->id].ttl;

    low.len = 1;
    low.data[0] = 0;

    while (!im_lmdb_sweep_full(s)) {

        err = im_lmdb_seek(s->w->txn, dbi, &low, &found, &val);

        if (err != 0) {
            return (err == MDB_NOTFOUND) ? 0 : err;
        }

        p = found.data;

        if (im_key_get_int(&p, found.data + found.len, &hour) != NGX_OK
            || val.mv_size != sizeof(range))
        {
            return MDB_CORRUPTED;
        }

        if (hour > (int64_t) s->w->now / 3600) {
            return 0;
        }

        ngx_memcpy(range, val.mv_data, sizeof(range));

        err = im_lmdb_sweep_stream(s, &found, &range[0], range[1]);
        if (err != 0) {
            return err;
        }

        key.mv_data = found.data;
        key.mv_size = found.len;

        if (range[0] < range[1]) {       /* goes on with the next slice */
            val.mv_data = range;
            val.mv_size = sizeof(range);

            return mdb_put(s->w->txn, dbi, &key, &val, 0);
        }

        err = mdb_del(s->w->txn, dbi, &key, NULL);
        if (err != 0) {
            return err;
        }
    }

    return 0;
}


static int
im_lmdb_sweep_stream(im_lmdb_slice_t *s, im_key_t *entry, int64_t *first,
    int64_t last)
{
    int         err;
    u_char     *p;
    size_t      len;
    MDB_dbi     dbi;
    MDB_val     val;
    im_key_t    low, found;
    ngx_uint_t  expired;

    dbi = im_lmdb.tables[s->table->id].rows;
    len = entry->len - 8;

    while (*first < last) {

        if (im_lmdb_sweep_full(s)) {
            return 0;
        }

        low.len = len;
        low.invalid = 0;
        ngx_memcpy(low.data, entry->data + 8, len);
        im_key_int(&low, *first);

        err = im_lmdb_seek(s->w->txn, dbi, &low, &found, &val);

        if (err == MDB_NOTFOUND
            || (err == 0
                && (found.len != len + 8
                    || ngx_memcmp(found.data, low.data, len) != 0)))
        {
            break;
        }

        if (err != 0) {
            return err;
        }

        p = found.data + len;
        (void) im_key_get_int(&p, p + 8, first);

        if (*first >= last) {
            break;
        }

        (*first)++;

        err = im_lmdb_sweep_expired(s, &found, &expired);
        if (err != 0) {
            return err;
        }
    }

    *first = last;

    return 0;
}


/* Removes the row if it is expired. */

static int
im_lmdb_sweep_expired(im_lmdb_slice_t *s, im_key_t *key, ngx_uint_t *expired)
{
    int       err;
    MDB_val   k, val;
    im_row_t  row;

    *expired = 0;

    k.mv_data = key->data;
    k.mv_size = key->len;

    err = mdb_get(s->w->txn, im_lmdb.tables[s->table->id].rows, &k, &val);

    if (err != 0) {
        return (err == MDB_NOTFOUND) ? 0 : err;
    }

    err = im_lmdb_row(s->table, &k, &val, &row);
    if (err != 0) {
        return err;
    }

    if (!im_row_expired(&row, s->w->now)) {
        return 0;
    }

    *expired = 1;
    s->removed++;

    return im_lmdb_delete(s->w, s->table, &k, &s->w->old);
}
