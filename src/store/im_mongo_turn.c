
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <signal.h>
#include "core/im_shm.h"
#include "store/im_mongo.h"


/*
 * Transactions of one node that write the same row take turns.  If they ran
 * at once, the server would refuse all of them but one, and the others would
 * try again and again, each in a thread, until no thread was left for the
 * rest.  In a worker they queue; who waits for a row that has another version
 * then is told at once.  The first one of the queue then waits for the other
 * workers, by looking at shared memory.  Those of other nodes are met by the
 * server only, which also decides in any case that the turns do not know of.
 */


#define IM_MONGO_TURNS  65536        /* rows share them, by their hash */
#define IM_MONGO_LOOK   2            /* ms, until the next look */
#define IM_MONGO_ALIVE  16           /* looks, until the next one whether the
                                        owner is alive */


typedef struct {
    ngx_queue_t        waiting;      /* the next one first; while taken */
    ngx_uint_t         taken;
} im_mongo_place_t;


/* A place among workers: numbers of processes, 0: nobody. */

typedef struct {
    ngx_atomic_t       owner;
    ngx_atomic_t       next;         /* gets it from the owner */
} im_mongo_common_t;


typedef struct {
    im_mongo_common_t  place[IM_MONGO_TURNS];
} im_mongo_turns_t;


typedef struct {
    ngx_queue_t        queue;
    im_co_t           *co;
    im_mongo_turn_t   *turn;
    ngx_int_t          rc;           /* NGX_AGAIN: it waits */
} im_mongo_waiter_t;


static void im_mongo_turn_places(im_mongo_turn_t *turn);
static ngx_int_t im_mongo_turn_wait(im_mongo_turn_t *turn,
    im_mongo_place_t *place, uint64_t deadline);
static ngx_int_t im_mongo_turn_common(im_mongo_common_t *common,
    uint64_t deadline);
static ngx_uint_t im_mongo_turn_take(im_mongo_common_t *common,
    ngx_uint_t look, ngx_uint_t *listed);
static ngx_uint_t im_mongo_turn_free(ngx_atomic_uint_t owner,
    ngx_uint_t look);
static void im_mongo_turn_give(im_mongo_common_t *common);
static void im_mongo_turn_next(im_mongo_place_t *place);
static void im_mongo_turn_changed(im_mongo_place_t *place,
    im_mongo_turn_t *done);
static ngx_uint_t im_mongo_turn_stale(im_mongo_turn_t *turn,
    im_mongo_turn_t *done);
static ngx_uint_t im_mongo_turn_op_stale(im_op_t *op, im_op_t *done);
static void im_mongo_turn_wake(im_mongo_waiter_t *waiter, ngx_int_t rc);


static im_mongo_place_t   im_mongo_places[IM_MONGO_TURNS];
static im_mongo_turns_t  *im_mongo_turns;        /* of all workers */


static im_shm_t  im_mongo_turn_shm = {
    ngx_string("im_mongo_turns"), sizeof(im_mongo_turns_t), NULL
};


ngx_int_t
im_mongo_turn_conf(ngx_conf_t *cf)
{
    return im_shm_add(cf, &im_mongo_turn_shm);
}


void
im_mongo_turn_init(void)
{
    im_mongo_turns = im_shm_data(&im_mongo_turn_shm);
}


/* A process that has died may have had the same number. */

void
im_mongo_turn_start(void)
{
    ngx_uint_t          i;
    im_mongo_common_t  *common;

    for (i = 0; im_mongo_turns && i < IM_MONGO_TURNS; i++) {
        common = &im_mongo_turns->place[i];

        if (common->owner == (ngx_atomic_uint_t) ngx_pid) {
            common->owner = 0;
        }

        (void) ngx_atomic_cmp_set(&common->next, ngx_pid, 0);
    }
}


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

        if (rc == NGX_OK && im_mongo_turns) {
            rc = im_mongo_turn_common(&im_mongo_turns->place[turn->place[i]],
                                      deadline);
            if (rc != NGX_OK) {
                im_mongo_turn_next(&im_mongo_places[turn->place[i]]);
            }
        }

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


/* Of one place at most one batch of this worker is here. */

static ngx_int_t
im_mongo_turn_common(im_mongo_common_t *common, uint64_t deadline)
{
    ngx_int_t   rc;
    ngx_uint_t  look, listed;

    listed = 0;

    if (im_mongo_turn_take(common, 0, &listed)) {
        return NGX_OK;
    }

    rc = NGX_OK;

    im_worker_hold(1);

    for (look = 1; !im_mongo_turn_take(common, look, &listed); look++) {

        /* if it is not the next one any more it gets the place just now */

        if (im_mongo_now() >= deadline
            && (!listed
                || ngx_atomic_cmp_set(&common->next, ngx_pid, 0)))
        {
            rc = NGX_BUSY;
            break;
        }

        im_co_sleep(IM_MONGO_LOOK);
    }

    im_worker_release(1);

    return rc;
}


static ngx_uint_t
im_mongo_turn_take(im_mongo_common_t *common, ngx_uint_t look,
    ngx_uint_t *listed)
{
    ngx_atomic_uint_t  owner;

    owner = common->owner;

    if (owner == (ngx_atomic_uint_t) ngx_pid         /* it was given */
        || (im_mongo_turn_free(owner, look)
            && ngx_atomic_cmp_set(&common->owner, owner, ngx_pid)))
    {
        (void) ngx_atomic_cmp_set(&common->next, ngx_pid, 0);
        return 1;
    }

    if (!*listed && ngx_atomic_cmp_set(&common->next, 0, ngx_pid)) {
        *listed = 1;
    }

    return 0;
}


static ngx_uint_t
im_mongo_turn_free(ngx_atomic_uint_t owner, ngx_uint_t look)
{
    if (owner == 0) {
        return 1;
    }

    return look % IM_MONGO_ALIVE == IM_MONGO_ALIVE - 1
           && kill((pid_t) owner, 0) == -1
           && errno == ESRCH;
}


/* Not to the next one of this worker, if another worker waits. */

static void
im_mongo_turn_give(im_mongo_common_t *common)
{
    ngx_atomic_uint_t  next;

    next = common->next;

    if (!ngx_atomic_cmp_set(&common->next, next, 0)) {
        next = 0;
    }

    common->owner = next;
}


void
im_mongo_turn_end(im_mongo_turn_t *turn, ngx_uint_t done)
{
    ngx_uint_t         i;
    im_mongo_place_t  *place;

    for (i = 0; i < turn->n; i++) {
        place = &im_mongo_places[turn->place[i]];

        if (im_mongo_turns) {
            im_mongo_turn_give(&im_mongo_turns->place[turn->place[i]]);
        }

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
