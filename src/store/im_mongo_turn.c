
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_mongo.h"


/*
 * Transactions of one worker that write the same row take turns.  If they ran
 * at once, the server would refuse all of them but one, and the others would
 * try again and again, each in a thread, until no thread was left for the
 * rest.  Who waits for a row that has another version then is told at once.
 * Those of other workers are met by the server only.
 */


#define IM_MONGO_TURNS  16384        /* rows share them, by their hash */


typedef struct {
    ngx_queue_t        waiting;      /* the next one first; while taken */
    ngx_uint_t         taken;
} im_mongo_place_t;


typedef struct {
    ngx_queue_t        queue;
    im_co_t           *co;
    im_mongo_turn_t   *turn;
    ngx_int_t          rc;           /* NGX_AGAIN: it waits */
} im_mongo_waiter_t;


static void im_mongo_turn_places(im_mongo_turn_t *turn);
static ngx_int_t im_mongo_turn_wait(im_mongo_turn_t *turn,
    im_mongo_place_t *place, uint64_t deadline);
static void im_mongo_turn_next(im_mongo_place_t *place);
static void im_mongo_turn_changed(im_mongo_place_t *place,
    im_mongo_turn_t *done);
static ngx_uint_t im_mongo_turn_stale(im_mongo_turn_t *turn,
    im_mongo_turn_t *done);
static ngx_uint_t im_mongo_turn_op_stale(im_op_t *op, im_op_t *done);
static void im_mongo_turn_wake(im_mongo_waiter_t *waiter, ngx_int_t rc);


static im_mongo_place_t  im_mongo_places[IM_MONGO_TURNS];


ngx_int_t
im_mongo_turn_begin(im_mongo_turn_t *turn, im_batch_t *batch)
{
    uint64_t    deadline;
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    turn->batch = batch;
    turn->n = 0;

    if (batch->mode != IM_ATOMIC || batch->n < 2
        || batch->n > IM_MONGO_TURN_OPS)
    {
        return NGX_OK;
    }

    im_mongo_turn_places(turn);

    n = turn->n;
    deadline = im_mongo_now() + im_conf()->commit_time * 1000;

    /* all take them in the same order, so nobody waits for himself */

    for (i = 0; i < n; i++) {
        rc = im_mongo_turn_wait(turn, &im_mongo_places[turn->place[i]],
                                deadline);

        if (rc != NGX_OK) {
            turn->n = i;
            im_mongo_turn_end(turn, 0);
            return rc;
        }
    }

    return NGX_OK;
}


/* The places of all keys in ascending order, each once. */

static void
im_mongo_turn_places(im_mongo_turn_t *turn)
{
    uint32_t     hash;
    im_op_t     *op;
    ngx_uint_t   i, j, k, place;

    for (i = 0; i < turn->batch->n; i++) {
        op = &turn->batch->ops[i];

        hash = ngx_crc32_long(op->key->data, op->key->len);
        place = (hash + op->table->id * 97) % IM_MONGO_TURNS;

        for (j = 0; j < turn->n && turn->place[j] < place; j++) { /* void */ }

        if (j < turn->n && turn->place[j] == place) {
            continue;
        }

        for (k = turn->n++; k > j; k--) {
            turn->place[k] = turn->place[k - 1];
            turn->op[k] = turn->op[k - 1];
        }

        turn->place[j] = (uint16_t) place;
        turn->op[j] = (uint16_t) i;
    }
}


static ngx_int_t
im_mongo_turn_wait(im_mongo_turn_t *turn, im_mongo_place_t *place,
    uint64_t deadline)
{
    uint64_t           now;
    im_mongo_waiter_t  waiter;

    if (!place->taken) {
        ngx_queue_init(&place->waiting);
        place->taken = 1;
        return NGX_OK;
    }

    waiter.co = im_co_self();
    waiter.turn = turn;
    waiter.rc = NGX_AGAIN;

    ngx_queue_insert_tail(&place->waiting, &waiter.queue);

    im_worker_hold(1);

    while (waiter.rc == NGX_AGAIN) {
        now = im_mongo_now();

        if (now >= deadline
            || im_co_wait((deadline - now) / 1000 + 1) == NGX_BUSY)
        {
            if (waiter.rc == NGX_AGAIN) {
                ngx_queue_remove(&waiter.queue);
                waiter.rc = NGX_BUSY;
            }
        }
    }

    im_worker_release(1);

    return waiter.rc;
}


void
im_mongo_turn_end(im_mongo_turn_t *turn, ngx_uint_t done)
{
    ngx_uint_t         i;
    im_mongo_place_t  *place;

    for (i = 0; i < turn->n; i++) {
        place = &im_mongo_places[turn->place[i]];

        if (done) {
            im_mongo_turn_changed(place, turn);
        }

        im_mongo_turn_next(place);
    }

    turn->n = 0;
}


static void
im_mongo_turn_next(im_mongo_place_t *place)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&place->waiting)) {
        place->taken = 0;
        return;
    }

    q = ngx_queue_head(&place->waiting);

    im_mongo_turn_wake(ngx_queue_data(q, im_mongo_waiter_t, queue), NGX_OK);
}


/* Those who have read the row before read it again. */

static void
im_mongo_turn_changed(im_mongo_place_t *place, im_mongo_turn_t *done)
{
    ngx_queue_t        *q, *next;
    im_mongo_waiter_t  *waiter;

    for (q = ngx_queue_head(&place->waiting);
         q != ngx_queue_sentinel(&place->waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        waiter = ngx_queue_data(q, im_mongo_waiter_t, queue);

        if (im_mongo_turn_stale(waiter->turn, done)) {
            im_mongo_turn_wake(waiter, NGX_DECLINED);
        }
    }
}


static ngx_uint_t
im_mongo_turn_stale(im_mongo_turn_t *turn, im_mongo_turn_t *done)
{
    ngx_uint_t  i, j;

    for (i = 0, j = 0; i < turn->n && j < done->n; /* void */ ) {

        if (turn->place[i] < done->place[j]) {
            i++;

        } else if (turn->place[i] > done->place[j]) {
            j++;

        } else {
            if (im_mongo_turn_op_stale(&turn->batch->ops[turn->op[i]],
                                       &done->batch->ops[done->op[j]]))
            {
                turn->batch->failed = turn->op[i];
                return 1;
            }

            i++;
            j++;
        }
    }

    return 0;
}


static ngx_uint_t
im_mongo_turn_op_stale(im_op_t *op, im_op_t *done)
{
    if (op->table != done->table
        || op->table->kind != IM_VERSIONED
        || op->key->len != done->key->len
        || ngx_memcmp(op->key->data, done->key->data, op->key->len) != 0)
    {
        return 0;
    }

    switch (done->type) {

    case IM_OP_INSERT:
    case IM_OP_REPLACE:
    case IM_OP_UPSERT:
        break;

    case IM_OP_DELETE:
        if (op->version == 0) {              /* it may be free now */
            return 0;
        }

        break;

    default:
        return 0;
    }

    return op->type == IM_OP_REPLACE
           || (op->type == IM_OP_EXPECT && op->version != -1);
}


static void
im_mongo_turn_wake(im_mongo_waiter_t *waiter, ngx_int_t rc)
{
    ngx_queue_remove(&waiter->queue);

    waiter->rc = rc;

    im_co_wake(waiter->co, NGX_OK);
}
