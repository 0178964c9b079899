
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * What all drivers of the store have to do.  A program that includes this
 * gives turn() and consistent(), and what the driver needs of nginx.
 */


#include "ok.h"
#include "core/im_co.h"
#include "core/im_worker.h"
#include "store/im_store.h"


#define APP    1400000001
#define USERS  4
#define PEERS  5
#define ROWS   800

#ifndef CROWD
#define CROWD  64                    /* coroutines that commit at once */
#endif

#define LIMIT  (CROWD * 5 / 8)       /* of a count */


typedef void (*test_pt)(im_ctx_t *ctx);

typedef struct {
    im_ctx_t           ctx;
    test_pt            fn;
    ngx_uint_t         done;
} test_run_t;

typedef struct {
    ngx_uint_t         n;
    ngx_uint_t         stop;         /* after so many */
    im_row_t          *rows[1200];
} found_t;

typedef struct {
    ngx_uint_t         user;
    ngx_uint_t         peer;
    int64_t            seq;
    int64_t            time;
    int64_t            dir;
    int64_t            kept;
    int64_t            flags;
    int64_t            expire;
    ngx_uint_t         dk;
    unsigned           dead:1;
} model_t;


static char                 folder[] = "/tmp/im_store.XXXXXX";
static int                  quiet;
static u_char               names[64][16];
static im_conf_t            conf;
static ngx_uint_t           errors, holds;
static model_t              model[ROWS];
static const char          *fault_name;
static ngx_uint_t           fault_pass;
static ngx_uint_t           nmodel;
static uint64_t             seed;

extern im_worker_hook_t     im_store_hook;


/* one turn of the event loop */
static void turn(void);

/* every row has its entries in every index, and there are no others */
static ngx_uint_t consistent(im_table_e t);


/* what belongs to nginx's event loop and to the module */

im_conf_t *
im_conf(void)
{
    return &conf;
}


void
im_worker_hold(ngx_uint_t n)
{
    holds += n;
}


void
im_worker_release(ngx_uint_t n)
{
    holds -= n;
}


ngx_uint_t
im_fault_pass(const char *name, ngx_uint_t deadly)
{
    if (fault_name && strcmp(name, fault_name) == 0 && --fault_pass == 0) {
        (void) kill(getpid(), SIGKILL);
        (void) pause();
    }

    return 0;
}


static void
log_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    if (level <= NGX_LOG_ERR) {
        errors++;

        if (!quiet) {
            fprintf(stderr, "# %.*s", (int) len, buf);
        }
    }
}


static void
coroutine(void *data)
{
    test_run_t  *r = data;

    r->fn(&r->ctx);
    r->done = 1;
}


static void
start(test_run_t *r, test_pt fn)
{
    memset(r, 0, sizeof(test_run_t));

    r->fn = fn;
    r->ctx.log = &logger;
    r->ctx.pool = ngx_create_pool(4096, &logger);

    (void) im_co_spawn(coroutine, r, &logger);
}


static void
finish(test_run_t *r)
{
    while (!r->done) {
        turn();
    }

    turn();
    ngx_destroy_pool(r->ctx.pool);
}


static void
run(test_pt fn)
{
    test_run_t  r;

    start(&r, fn);
    finish(&r);
}


static ngx_int_t
store_open(void)
{
    cycle.pool = ngx_create_pool(4096, &logger);

    if (im_store_hook.init_process(&cycle, &conf) != NGX_OK) {
        ngx_destroy_pool(cycle.pool);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
store_close(void)
{
    im_store_hook.exit_process(&cycle);
    ngx_destroy_pool(cycle.pool);
}


static uint64_t
rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


static ngx_str_t *
str(const char *s)
{
    static ngx_uint_t  n;
    static ngx_str_t   strs[16];

    n = (n + 1) % 16;
    strs[n].data = (u_char *) s;
    strs[n].len = strlen(s);

    return &strs[n];
}


static const char *
name(const char *prefix, ngx_uint_t i)
{
    static ngx_uint_t  n;

    n = (n + 1) % 64;
    (void) snprintf((char *) names[n], 16, "%s%d", prefix, (int) i);

    return (char *) names[n];
}


static im_key_t *
key_str(const char *s)
{
    static ngx_uint_t  n;
    static im_key_t    keys[16];

    n = (n + 1) % 16;
    im_key_init(&keys[n], APP);

    if (s) {
        im_key_str(&keys[n], str(s));
    }

    return &keys[n];
}


static im_key_t *
key_seq(const char *s, int64_t seq)
{
    im_key_t  *key;

    key = key_str(s);
    im_key_int(key, seq);

    return key;
}


static im_key_t *
key_two(const char *s, const char *t)
{
    im_key_t  *key;

    key = key_str(s);
    im_key_str(key, str(t));

    return key;
}


static im_doc_t *
doc_int(im_ctx_t *ctx, const char *column, int64_t value)
{
    im_doc_t  *doc;

    doc = im_doc(ctx->pool);
    im_doc_int(doc, column, value);

    return doc;
}


static int64_t
row_int(im_row_t *row, const char *column)
{
    int64_t  n;

    (void) im_row_int(row, column, &n);

    return n;
}


static ngx_uint_t
row_is(im_row_t *row, const char *column, const char *value)
{
    ngx_str_t  s;

    (void) im_row_str(row, column, &s);

    return s.len == strlen(value) && memcmp(s.data, value, s.len) == 0;
}


static ngx_int_t
collect(im_row_t *row, void *data)
{
    found_t  *found = data;

    found->rows[found->n++] = row;

    return (found->n == found->stop) ? NGX_DONE : NGX_OK;
}


/* the number of a column in the table, in a way that does not wait */

static int64_t
get_int(im_ctx_t *ctx, im_table_e table, im_key_t *key, const char *column)
{
    im_row_t   row;

    if (im_store_get(ctx, table, key, &row) != NGX_OK) {
        return -1;
    }

    return row_int(&row, column);
}


static void
test_keys(im_ctx_t *ctx)
{
    u_char      *p;
    int64_t      n;
    im_key_t     a, b;
    im_row_t     row;
    ngx_str_t    s;
    im_doc_t    *doc;

    struct {
        ngx_str_t   nick;
        int64_t     age;
        ngx_str_t   user;
        int64_t     none;
    } rec;

    static im_record_t  columns[] = {
        { ngx_string("nick"), IM_COL_STR, 0 },
        { ngx_string("age"), IM_COL_INT, sizeof(ngx_str_t) },
        { ngx_string("user"), IM_COL_STR,
          sizeof(ngx_str_t) + sizeof(int64_t) },
        { ngx_string("none"), IM_COL_INT,
          2 * sizeof(ngx_str_t) + sizeof(int64_t) },
        im_null_record
    };

    im_key_init(&a, APP);
    im_key_str(&a, str("ann"));
    im_key_int(&a, -5);

    p = a.data;
    ok(im_key_get_int(&p, a.data + a.len, &n) == NGX_OK && n == APP,
       "application of a key");
    ok(im_key_get_str(&p, a.data + a.len, &s) == NGX_OK
       && s.len == 3 && memcmp(s.data, "ann", 3) == 0, "string of a key");
    ok(im_key_get_int(&p, a.data + a.len, &n) == NGX_OK && n == -5
       && p == a.data + a.len, "negative number of a key");
    ok(im_key_get_int(&p, a.data + a.len, &n) == NGX_ERROR, "end of a key");

    im_key_init(&b, APP);
    im_key_str(&b, str("ann"));
    im_key_int(&b, 3);
    ok(memcmp(a.data, b.data, a.len) < 0, "numbers compare");

    s.data = (u_char *) "a\0b";
    s.len = 3;
    im_key_init(&a, APP);
    im_key_str(&a, &s);
    ok(a.invalid, "no zero byte in a key");

    im_key_init(&a, APP);
    s.data = ngx_pcalloc(ctx->pool, 600);
    memset(s.data, 'x', 600);
    s.len = 502;
    im_key_str(&a, &s);
    ok(!a.invalid && a.len == 511, "the longest key");
    im_key_init(&a, APP);
    s.len = 503;
    im_key_str(&a, &s);
    ok(a.invalid, "a key that is too long");

    errors = 0;
    quiet = 1;
    ok(im_store_get(ctx, IM_T_PROFILE, &a, &row) == NGX_DECLINED
       && errors == 0,
       "no row has it");
    quiet = 0;

    ngx_memzero(&rec, sizeof(rec));
    rec.nick.data = (u_char *) "a\0b";
    rec.nick.len = 3;
    rec.age = -7;
    doc = im_record_doc(ctx->pool, columns, &rec);

    row.table = &im_tables[IM_T_PROFILE];
    row.key.data = b.data;
    row.key.len = 12;
    (void) im_doc_data(doc, &row.data);

    ngx_memset(&rec, 0xff, sizeof(rec));
    im_record_load(&row, columns, &rec);
    ok(rec.nick.len == 3 && memcmp(rec.nick.data, "a\0b", 3) == 0
       && rec.age == -7 && rec.none == 0
       && rec.user.len == 3 && memcmp(rec.user.data, "ann", 3) == 0,
       "record into a document and back");

    ok(im_row_int(&row, "none", &n) == NGX_DECLINED && n == 0
       && im_row_str(&row, "age", &s) == NGX_DECLINED && s.len == 0
       && im_row_int(&row, "user", &n) == NGX_DECLINED,
       "columns that are not there, or of another type");

    doc = im_doc(ctx->pool);
    s.data = ngx_pcalloc(ctx->pool, 100000);
    s.len = 100000;
    im_doc_str(doc, "big", &s);
    im_doc_int(doc, "n", 3);
    (void) im_doc_data(doc, &row.data);
    ok(im_row_str(&row, "big", &s) == NGX_OK && s.len == 100000
       && row_int(&row, "n") == 3, "a large document");

    s.len = 20000000;
    im_doc_str(doc, "big", &s);
    ok(im_doc_data(doc, &s) == NGX_ERROR, "a document that is too large");
}


/* first, first + 1 and so on to six rows, and to a new one if it is not 0 */

static im_batch_t *
add_many(im_ctx_t *ctx, int64_t first, int64_t other)
{
    int64_t      i;
    im_batch_t  *batch;

    static const char  *rows[] = { "a", "b", "c", "d", "e", "f" };

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < 6; i++) {
        im_store_add(batch, IM_T_COUNT, key_two("m", rows[i]), "value",
                     first + i, 0, 100);
    }

    if (other) {
        im_store_add(batch, IM_T_COUNT, key_two("other", "m"), "value", other,
                     0, 100);
    }

    return batch;
}


static void
test_operations(im_ctx_t *ctx)
{
    im_row_t     row, rows[3];
    im_key_t     keys[3];
    int64_t      version, seq;
    ngx_uint_t   a, b, i, j, n;
    im_batch_t  *batch;

    /* versioned */

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_insert(batch, IM_T_PROFILE, key_str("ann"),
                    doc_int(ctx, "age", 1));
    ok(im_store_commit(ctx, batch) == NGX_OK, "insert");
    ok(holds == 0, "no hold is left");

    ok(im_store_get(ctx, IM_T_PROFILE, key_str("ann"), &row) == NGX_OK
       && row_int(&row, "age") == 1 && row.version > 0, "get");
    ok(row_is(&row, "user", "ann"), "column of the key");
    version = row.version;

    ok(im_store_get(ctx, IM_T_PROFILE, key_str("bob"), &row) == NGX_DECLINED,
       "get of nothing");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_insert(batch, IM_T_PROFILE, key_str("bob"),
                    doc_int(ctx, "age", 2));
    im_store_insert(batch, IM_T_PROFILE, key_str("ann"),
                    doc_int(ctx, "age", 2));
    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 1
       && batch->taken == NULL, "insert of a taken key");
    ok(im_store_get(ctx, IM_T_PROFILE, key_str("bob"), &row) == NGX_DECLINED,
       "the batch left no trace");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_replace(batch, IM_T_PROFILE, key_str("ann"), version,
                     doc_int(ctx, "age", 3));
    ok(im_store_commit(ctx, batch) == NGX_OK
       && get_int(ctx, IM_T_PROFILE, key_str("ann"), "age") == 3, "replace");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_replace(batch, IM_T_PROFILE, key_str("ann"), version,
                     doc_int(ctx, "age", 4));
    ok(im_store_commit(ctx, batch) == NGX_DECLINED
       && get_int(ctx, IM_T_PROFILE, key_str("ann"), "age") == 3,
       "replace of another version");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_replace(batch, IM_T_PROFILE, key_str("ann"), 0,
                     doc_int(ctx, "age", 4));
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "replace of nothing");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_upsert(batch, IM_T_PROFILE, key_str("ann"),
                    doc_int(ctx, "age", 5));
    im_store_upsert(batch, IM_T_PROFILE, key_str("cid"),
                    doc_int(ctx, "age", 6));
    ok(im_store_commit(ctx, batch) == NGX_OK, "upsert");

    keys[0] = *key_str("cid");
    keys[1] = *key_str("bob");
    keys[2] = *key_str("ann");
    ok(im_store_get_many(ctx, IM_T_PROFILE, keys, 3, rows) == NGX_OK
       && row_int(&rows[0], "age") == 6 && rows[1].data.data == NULL
       && row_int(&rows[2], "age") == 5, "get many");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_expect(batch, IM_T_PROFILE, key_str("ann"), -1);
    im_store_expect(batch, IM_T_PROFILE, key_str("bob"), 0);
    im_store_expect(batch, IM_T_PROFILE, key_str("ann"), rows[2].version);
    ok(im_store_commit(ctx, batch) == NGX_OK, "expect");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_expect(batch, IM_T_PROFILE, key_str("bob"), -1);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "expect of a row");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_PROFILE, key_str("ann"));
    im_store_delete(batch, IM_T_PROFILE, key_str("bob"));
    im_store_insert(batch, IM_T_PROFILE, key_str("ann"),
                    doc_int(ctx, "age", 7));
    im_store_expect(batch, IM_T_PROFILE, key_str("ann"), -1);
    im_store_upsert(batch, IM_T_PROFILE, key_str("ann"),
                    doc_int(ctx, "age", 8));
    ok(im_store_commit(ctx, batch) == NGX_OK
       && get_int(ctx, IM_T_PROFILE, key_str("ann"), "age") == 8,
       "operations of a batch see each other");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_PROFILE, key_str("ann"));
    im_store_insert(batch, IM_T_PROFILE, key_str("dan"),
                    doc_int(ctx, "age", 1));
    im_store_expect(batch, IM_T_PROFILE, key_str("ann"), -1);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 2
       && get_int(ctx, IM_T_PROFILE, key_str("ann"), "age") == 8
       && get_int(ctx, IM_T_PROFILE, key_str("dan"), "age") == -1,
       "and leave no trace together");

    /* counted */

    batch = im_store_batch(ctx, IM_ATOMIC);
    a = im_store_add(batch, IM_T_COUNT, key_two("k", "a"), "value", 5, 0, 10);
    b = im_store_add(batch, IM_T_COUNT, key_two("k", "a"), "value", 5, 0, 10);
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[a].result == 5
       && batch->ops[b].result == 10, "add");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("k", "a"), "value", 1, 0, 10);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "add over its bound");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("k", "a"), "value", -11, 0, 10);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "add below its bound");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("k", "a"), "value", INT64_MAX, 0,
                 INT64_MAX);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "add that overflows");

    /* several rows, those that are new among them */

    for (i = 0, n = 0; i < 2; i++) {
        batch = add_many(ctx, 5, 0);
        n += im_store_commit(ctx, batch) == NGX_OK;

        for (j = 0; j < 6; j++) {
            n += batch->ops[j].result == (int64_t) (5 + j) * (int64_t) (i + 1);
        }
    }

    ok(n == 14, "add to several");

    batch = add_many(ctx, -9, 0);
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[0].result == 1
       && batch->ops[5].result == 16, "and less");

    batch = add_many(ctx, -5, 0);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 0
       && get_int(ctx, IM_T_COUNT, key_two("m", "f"), "value") == 16,
       "one of them over its bound");

    batch = add_many(ctx, 0, -1);
    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 6
       && get_int(ctx, IM_T_COUNT, key_two("m", "f"), "value") == 16,
       "or a new one");

    batch = im_store_batch(ctx, IM_ATOMIC);
    a = im_store_max(batch, IM_T_COUNT, key_two("k", "a"), "value", 3);
    b = im_store_max(batch, IM_T_COUNT, key_two("k", "b"), "value", 3);
    im_store_set(batch, IM_T_COUNT, key_two("k", "a"),
                 doc_int(ctx, "other", 9));
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[a].result == 10
       && batch->ops[b].result == 3, "max");
    ok(get_int(ctx, IM_T_COUNT, key_two("k", "a"), "other") == 9
       && get_int(ctx, IM_T_COUNT, key_two("k", "a"), "value") == 10
       && get_int(ctx, IM_T_COUNT, key_two("k", "b"), "value") == 3,
       "set of one field");

    /* streams */

    ok(im_store_head(ctx, IM_T_INBOX, key_str("zoe"), &seq) == NGX_OK
       && seq == 0, "head of an empty stream");

    batch = im_store_batch(ctx, IM_ORDERED);
    a = im_store_append(batch, IM_T_INBOX, key_str("zoe"),
                        doc_int(ctx, "flags", 1));
    im_store_append(batch, IM_T_INBOX, key_str("yan"),
                    doc_int(ctx, "flags", 2));
    b = im_store_append(batch, IM_T_INBOX, key_str("zoe"),
                        doc_int(ctx, "flags", 3));
    im_store_point(batch, a);
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[a].result == 1
       && batch->ops[b].result == 2, "append");

    ok(im_store_head(ctx, IM_T_INBOX, key_str("zoe"), &seq) == NGX_OK
       && seq == 2, "head of a stream");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_set(batch, IM_T_INBOX, key_seq("zoe", 3),
                 doc_int(ctx, "flags", 1));
    ok(im_store_commit(ctx, batch) == NGX_DECLINED, "set of nothing");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_INBOX, key_seq("zoe", 1));
    im_store_delete(batch, IM_T_INBOX, key_seq("zoe", 2));
    ok(im_store_commit(ctx, batch) == NGX_OK
       && im_store_head(ctx, IM_T_INBOX, key_str("zoe"), &seq) == NGX_OK
       && seq == 2, "head of an emptied stream");

    batch = im_store_batch(ctx, IM_ATOMIC);
    a = im_store_append(batch, IM_T_INBOX, key_str("zoe"),
                        doc_int(ctx, "flags", 1));
    im_store_delete(batch, IM_T_INBOX, key_seq("zoe", 3));
    b = im_store_append(batch, IM_T_INBOX, key_str("zoe"),
                        doc_int(ctx, "flags", 1));
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[a].result == 3
       && batch->ops[b].result == 4, "goes on above it");

    /* what is wrong with the call */

    quiet = 1;
    errors = 0;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_set(batch, IM_T_PROFILE, key_str("ann"), doc_int(ctx, "a", 1));
    ok(im_store_commit(ctx, batch) == NGX_ERROR, "set on a versioned table");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_insert(batch, IM_T_COUNT, key_str("k"), doc_int(ctx, "a", 1));
    ok(im_store_commit(ctx, batch) == NGX_ERROR, "half a key");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_insert(batch, IM_T_PROFILE, key_str("x"), NULL);
    ok(im_store_commit(ctx, batch) == NGX_ERROR, "no document");

    ok(im_store_commit(ctx, NULL) == NGX_ERROR && errors == 4, "no batch");

    quiet = 0;

    batch = im_store_batch(ctx, IM_ATOMIC);
    ok(im_store_commit(ctx, batch) == NGX_OK, "nothing to do");
}


static im_doc_t *
doc_message(im_ctx_t *ctx, model_t *m)
{
    im_doc_t  *doc;

    doc = im_doc(ctx->pool);
    im_doc_str(doc, "peer", str(name("p", m->peer)));
    im_doc_int(doc, "time", m->time);

    if (m->dir) {
        im_doc_int(doc, "dir", m->dir);
    }

    if (m->kept) {
        im_doc_int(doc, "kept", m->kept);
    }

    if (m->dk) {
        im_doc_str(doc, "dk", str(name("dk", m->dk)));
    }

    im_doc_int(doc, "flags", m->flags);

    if (m->expire) {
        im_doc_int(doc, "expire", m->expire);
    }

    return doc;
}


/* the order of the index "hist" */

static int
compare(const void *one, const void *two)
{
    const model_t  *a = *(model_t **) one;
    const model_t  *b = *(model_t **) two;

    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }

    if (a->dir != b->dir) {
        return a->dir < b->dir ? -1 : 1;
    }

    return a->seq < b->seq ? -1 : 1;
}


static ngx_uint_t
model_history(ngx_uint_t user, ngx_uint_t peer, model_t **list)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < nmodel; i++) {
        if (!model[i].dead && model[i].dir && model[i].user == user
            && model[i].peer == peer)
        {
            list[n++] = &model[i];
        }
    }

    qsort(list, n, sizeof(model_t *), compare);

    return n;
}


/* Everything that can be read of the inboxes is as the model has it. */

static ngx_uint_t
model_same(im_ctx_t *ctx)
{
    found_t      found;
    im_key_t    *prefix, from, to;
    int64_t      seq, last;
    model_t     *list[ROWS];
    ngx_uint_t   u, p, i, j, n, count, peers, wrong, limit;

    wrong = 0;

    for (u = 0; u < USERS; u++) {

        peers = 0;

        for (p = 0; p < PEERS; p++) {
            n = model_history(u, p, list);
            peers += n > 0;

            prefix = key_two(name("u", u), name("p", p));

            found.n = 0;
            found.stop = 0;
            wrong += im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, prefix,
                                   NULL, NULL, IM_ASC, 1000, collect, &found)
                     != NGX_OK;
            wrong += found.n != n;

            for (i = 0; i < n && i < found.n; i++) {
                wrong += row_int(found.rows[i], "seq") != list[i]->seq
                         || row_int(found.rows[i], "flags") != list[i]->flags;
            }

            /* a part of it, backwards */

            from = *prefix;
            im_key_int(&from, 20);
            to = *prefix;
            im_key_int(&to, 60);
            limit = 1 + rnd(20);

            found.n = 0;
            (void) im_store_scan(ctx, IM_T_INBOX, IM_INBOX_HIST, prefix, &from,
                                 &to, IM_DESC, limit, collect, &found);

            for (i = n, j = 0; i-- > 0 && j < limit; /* void */ ) {
                if (list[i]->time >= 20 && list[i]->time <= 60) {
                    wrong += j >= found.n
                             || row_int(found.rows[j], "seq") != list[i]->seq;
                    j++;
                }
            }

            wrong += j != found.n;

            /* flags */

            for (i = 0, j = 0; i < n; i++) {
                j += (list[i]->flags & 1) && !(list[i]->flags & 2);
            }

            limit = 1 + rnd(20);
            wrong += im_store_count(ctx, IM_T_INBOX, IM_INBOX_HIST, prefix,
                                    NULL, NULL, 1, 2, limit, &count)
                     != NGX_OK
                     || count != ngx_min(j, limit);
        }

        /* the last one of each */

        found.n = 0;
        wrong += im_store_last_each(ctx, IM_T_INBOX, IM_INBOX_HIST,
                                    key_str(name("u", u)), NULL, 0, 100,
                                    collect, &found)
                 != NGX_OK
                 || found.n != peers;

        for (p = 0, j = 0; p < PEERS; p++) {
            n = model_history(u, p, list);

            if (n) {
                wrong += j >= found.n
                         || row_int(found.rows[j], "seq") != list[n - 1]->seq;
                j++;
            }
        }

        /* kept, and the stream itself */

        for (i = 0, j = 0, n = 0, last = 0; i < nmodel; i++) {
            if (model[i].user == u) {
                j += !model[i].dead && model[i].kept;
                n += !model[i].dead;
                last = ngx_max(last, model[i].seq);
            }
        }

        found.n = 0;
        (void) im_store_scan(ctx, IM_T_INBOX, IM_INBOX_KEPT,
                             key_str(name("u", u)), NULL, NULL, IM_ASC, 1000,
                             collect, &found);
        wrong += found.n != j;

        found.n = 0;
        (void) im_store_scan(ctx, IM_T_INBOX, 0, key_str(name("u", u)), NULL,
                             NULL, IM_ASC, 1000, collect, &found);
        wrong += found.n != n;

        wrong += im_store_head(ctx, IM_T_INBOX, key_str(name("u", u)), &seq)
                 != NGX_OK
                 || seq != last;
    }

    return wrong == 0;
}


/* Rows of four users, of two types, for three peers; others are not there. */

static ngx_uint_t
many(im_ctx_t *ctx, ngx_uint_t (*pick)[3], ngx_uint_t n)
{
    ngx_uint_t  i, right;

    static im_row_t  rows[40];
    static im_key_t  keys[40];

    for (i = 0; i < n; i++) {
        keys[i] = *key_seq(name("many", pick[i][0]), pick[i][1]);
        im_key_str(&keys[i], str(name("p", pick[i][2])));
    }

    if (im_store_get_many(ctx, IM_T_READ, keys, n, rows) != NGX_OK) {
        return 0;
    }

    for (i = 0, right = 0; i < n; i++) {

        if (pick[i][0] < 4 && pick[i][1] < 2 && pick[i][2] < 3) {
            right += row_int(&rows[i], "seq")
                     == (int64_t) (1 + pick[i][0] * 100 + pick[i][1] * 10
                                   + pick[i][2]);
        } else {
            right += rows[i].data.data == NULL;
        }
    }

    return right == n;
}


static void
test_get_many(im_ctx_t *ctx)
{
    im_row_t     rows[3];
    im_key_t     key, keys[3];
    ngx_uint_t   i, j, k, pick[40][3];
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < 24; i++) {
        key = *key_seq(name("many", i / 6), i / 3 % 2);
        im_key_str(&key, str(name("p", i % 3)));
        im_store_max(batch, IM_T_READ, &key, "seq",
                     1 + i / 6 * 100 + i / 3 % 2 * 10 + i % 3);
    }

    ok(im_store_commit(ctx, batch) == NGX_OK, "rows with keys of three");

    for (j = 0; j < 3; j++) {

        memset(pick, 0, sizeof(pick));

        for (i = 0; i < 6; i++) {
            pick[i][j] = (i + 1) % 5;        /* one of them twice */
        }

        ok(many(ctx, pick, 6), "keys that differ in one column");
    }

    /* as both sides of relations */

    memset(pick, 0, sizeof(pick));

    for (i = 0; i < 10; i++) {
        pick[i][i % 2 ? 0 : 2] = i / 2;
        pick[i][1] = i % 2;
    }

    ok(many(ctx, pick, 10), "in one of two");

    for (i = 0, k = 0; i < 40; i++, k += 7) {
        pick[i][0] = k % 5;
        pick[i][1] = k / 5 % 3;
        pick[i][2] = k / 15 % 4;
    }

    ok(many(ctx, pick, 40), "in all of them");

    pick[1][0] = pick[0][0];
    pick[1][1] = pick[0][1];
    pick[1][2] = pick[0][2];

    ok(many(ctx, pick, 2), "in none");

    /* as of a name that no row can have */

    for (i = 0; i < 3; i++) {
        keys[i] = *key_str(i < 2 ? "many3" : NULL);
    }

    im_key_int(&keys[1], 1);
    im_key_str(&keys[1], str("p2"));

    ok(im_store_get_many(ctx, IM_T_READ, keys, 3, rows) == NGX_OK
       && rows[0].data.data == NULL && rows[2].data.data == NULL
       && row_int(&rows[1], "seq") == 313, "beginnings of keys");

    ok(im_store_get_many(ctx, IM_T_READ, &keys[2], 1, rows) == NGX_OK
       && rows[0].data.data == NULL, "one beginning alone");

    /* together in one transaction, some of them twice */

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < 12; i++) {
        im_store_add(batch, IM_T_COUNT, key_two("sum", name("s", i / 4)),
                     i % 2 ? "value" : "other", i + 1, 0,
                     i == 11 ? 22 : 100);
    }

    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[2].result == 4
       && batch->ops[10].result == 20 && batch->ops[11].result == 22
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s0"), "value") == 6
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s2"), "other") == 20,
       "many additions");

    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 11
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s0"), "value") == 6
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s2"), "other") == 20,
       "one of them over its bound");

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < 12; i++) {
        im_store_add(batch, IM_T_COUNT, key_two("sum", name("s", i / 4)),
                     i % 2 ? "value" : "third", 1, 0, 100);
    }

    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[11].result == 24
       && batch->ops[8].result == 1
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s1"), "value") == 16
       && get_int(ctx, IM_T_COUNT, key_two("sum", "s1"), "third") == 2,
       "many more");

    for (k = 0; k < 2; k++) {
        batch = im_store_batch(ctx, IM_ATOMIC);

        for (i = 0; i < 9; i++) {
            key = *key_str(name("none", i));

            if (i % 4 == 3) {
                im_store_insert(batch, IM_T_PROFILE, &key,
                                doc_int(ctx, "age", i));
            } else {
                im_store_expect(batch, IM_T_PROFILE, &key, 0);
            }
        }

        if (k == 0) {
            ok(im_store_commit(ctx, batch) == NGX_OK
               && get_int(ctx, IM_T_PROFILE, key_str("none7"), "age") == 7
               && get_int(ctx, IM_T_PROFILE, key_str("none6"), "age") == -1,
               "many rows are not there");

        } else {
            ok(im_store_commit(ctx, batch) == NGX_DECLINED
               && batch->failed == 3
               && get_int(ctx, IM_T_PROFILE, key_str("none8"), "age") == -1,
               "one of them is");
        }
    }
}


static void
test_model(im_ctx_t *ctx)
{
    model_t      m, *row;
    im_doc_t    *doc;
    ngx_int_t    rc;
    ngx_uint_t   i, j, op, wrong, taken, same, declined;
    im_batch_t  *batch;
    ngx_pool_t  *pool;

    wrong = 0;
    declined = 0;
    same = 1;
    pool = ctx->pool;

    for (i = 0; i < 1000 && nmodel < ROWS; i++) {

        ctx->pool = ngx_create_pool(4096, &logger);

        op = rnd(10);
        row = nmodel ? &model[rnd(nmodel)] : NULL;
        batch = im_store_batch(ctx, rnd(2) ? IM_ATOMIC : IM_ORDERED);

        if (op < 7 || row == NULL || row->dead) {
            memset(&m, 0, sizeof(model_t));
            m.user = rnd(USERS);
            m.peer = rnd(PEERS);
            m.time = rnd(100);
            m.dir = rnd(3);
            m.flags = rnd(4);
            m.kept = rnd(5) ? 0 : 1 + rnd(1000);
            m.dk = rnd(3) ? 1 + rnd(300) : 0;

            for (j = 0, taken = 0; j < nmodel; j++) {
                taken |= m.dk && !model[j].dead && model[j].user == m.user
                         && model[j].dk == m.dk;
            }

            im_store_append(batch, IM_T_INBOX, key_str(name("u", m.user)),
                            doc_message(ctx, &m));
            rc = im_store_commit(ctx, batch);

            if (taken) {
                declined++;
                wrong += rc != NGX_DECLINED || batch->taken == NULL;

            } else {
                wrong += rc != NGX_OK;
                m.seq = batch->ops[0].result;
                model[nmodel++] = m;
            }

        } else if (op < 9) {
            doc = im_doc(ctx->pool);
            row->flags = rnd(4);
            row->time = rnd(100);
            im_doc_int(doc, "flags", row->flags);
            im_doc_int(doc, "time", row->time);

            if (row->kept) {
                row->kept = rnd(2);
                im_doc_int(doc, "kept", row->kept);
            }

            im_store_set(batch, IM_T_INBOX,
                         key_seq(name("u", row->user), row->seq), doc);
            wrong += im_store_commit(ctx, batch) != NGX_OK;

        } else {
            row->dead = 1;
            im_store_delete(batch, IM_T_INBOX,
                            key_seq(name("u", row->user), row->seq));
            wrong += im_store_commit(ctx, batch) != NGX_OK;
        }

        if (i % 100 == 99) {
            same &= model_same(ctx) && consistent(IM_T_INBOX);
        }

        ngx_destroy_pool(ctx->pool);
        ctx->pool = pool;
    }

    ok(wrong == 0 && declined > 10, "random operations end as in the model");
    ok(same, "and everything that is read is the same");
}


static void
test_unique(im_ctx_t *ctx)
{
    model_t      m;
    found_t      found;
    im_key_t     after;
    im_doc_t    *doc;
    u_char       big[600];
    ngx_str_t    s;
    ngx_int_t    rc;
    ngx_uint_t   count;
    im_batch_t  *batch;

    memset(&m, 0, sizeof(model_t));
    m.dir = 1;
    m.dk = 7;

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_append(batch, IM_T_INBOX, key_str("una"), doc_message(ctx, &m));
    im_store_append(batch, IM_T_INBOX, key_str("uno"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK, "a unique key per user");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("new"), doc_message(ctx, &m));
    im_store_append(batch, IM_T_INBOX, key_str("uno"), doc_message(ctx, &m));
    rc = im_store_commit(ctx, batch);
    ok(rc == NGX_DECLINED && batch->failed == 1 && batch->taken
       && batch->taken->len == key_seq("uno", 1)->len
       && memcmp(batch->taken->data, key_seq("uno", 1)->data,
                 batch->taken->len) == 0,
       "a taken one names the row");
    ok(get_int(ctx, IM_T_INBOX, key_seq("new", 1), "flags") == -1,
       "and nothing is written");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("new"), doc_message(ctx, &m));
    im_store_append(batch, IM_T_INBOX, key_str("new"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_DECLINED && batch->failed == 1,
       "one that the batch itself has taken");

    /* two inserts of the same key: only the second pass can tell */

    m.dk = 8;
    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_INBOX, key_seq("uno", 1));
    m.dk = 7;
    im_store_append(batch, IM_T_INBOX, key_str("uno"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[1].result == 2,
       "one that the batch itself has freed");

    memset(big, 'x', sizeof(big));
    s.data = big;
    s.len = 505;
    doc = im_doc(ctx->pool);
    im_doc_str(doc, "dk", &s);

    quiet = 1;
    errors = 0;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("una"), doc_message(ctx, &m));
    batch->ops[0].doc = doc;
    ok(im_store_commit(ctx, batch) == NGX_ERROR && errors == 1,
       "an index key that is too long");

    s.data = (u_char *) "a\0b";
    s.len = 3;
    doc = im_doc(ctx->pool);
    im_doc_str(doc, "dk", &s);

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_INBOX, key_seq("una", 1));
    im_store_append(batch, IM_T_INBOX, key_str("una"), doc);
    ok(im_store_commit(ctx, batch) == NGX_ERROR && errors == 2
       && get_int(ctx, IM_T_INBOX, key_seq("una", 1), "dir") == 1,
       "one with a zero byte");

    quiet = 0;

    ok(consistent(IM_T_INBOX), "indexes are in step");

    /* pages of last_each, and its flags */

    found.n = 0;
    found.stop = 0;
    after = *key_two("u0", "p1");
    (void) im_store_last_each(ctx, IM_T_INBOX, IM_INBOX_HIST, key_str("u0"),
                              &after, 0, 2, collect, &found);
    ok(found.n == 2 && row_is(found.rows[0], "peer", "p2")
       && row_is(found.rows[1], "peer", "p3"), "last_each goes on");

    found.n = 0;
    (void) im_store_last_each(ctx, IM_T_INBOX, IM_INBOX_HIST, key_str("u0"),
                              NULL, 1, 2, collect, &found);
    ok(found.n == 2 && !(row_int(found.rows[0], "flags") & 1),
       "last_each passes over flags");

    found.n = 0;
    found.stop = 3;
    (void) im_store_scan(ctx, IM_T_INBOX, 0, key_str("u0"), NULL, NULL,
                         IM_ASC, 100, collect, &found);
    ok(found.n == 3, "NGX_DONE ends a scan");

    ok(im_store_count(ctx, IM_T_INBOX, 0, key_str("una"), NULL, NULL, 0, 0,
                      10, &count) == NGX_OK && count == 1,
       "count without an index");

    quiet = 1;
    ok(im_store_scan(ctx, IM_T_INBOX, 9, key_str("u0"), NULL, NULL, IM_ASC,
                     100, collect, &found) == NGX_ERROR,
       "scan of no index");
    quiet = 0;
}


static int64_t
drop(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_drop(batch, IM_T_INBOX, key_str("drop"));

    return (im_store_commit(ctx, batch) == NGX_OK) ? batch->ops[0].result
                                                   : -1;
}


static void
test_drop(im_ctx_t *ctx)
{
    model_t      m;
    int64_t      seq;
    ngx_uint_t   i, j, wrong;
    im_batch_t  *batch;

    memset(&m, 0, sizeof(model_t));
    m.dir = 1;
    wrong = 0;

    for (i = 0; i < 12; i++) {
        batch = im_store_batch(ctx, IM_ATOMIC);

        for (j = 0; j < IM_STORE_DROP / 5; j++) {
            m.dk = 1 + i * 1000 + j;
            im_store_append(batch, IM_T_INBOX,
                            key_str(i == 11 ? "dropped" : "drop"),
                            doc_message(ctx, &m));
        }

        wrong += im_store_commit(ctx, batch) != NGX_OK;
    }

    ok(wrong == 0 && drop(ctx) == 1
       && get_int(ctx, IM_T_INBOX, key_seq("drop", IM_STORE_DROP), "dir")
          == -1
       && get_int(ctx, IM_T_INBOX, key_seq("drop", IM_STORE_DROP + 1), "dir")
          == 1
       && im_store_head(ctx, IM_T_INBOX, key_str("drop"), &seq) == NGX_OK
       && seq == 11 * IM_STORE_DROP / 5,
       "the first rows of a stream are dropped");

    ok(drop(ctx) == 1 && drop(ctx) == 0
       && im_store_head(ctx, IM_T_INBOX, key_str("drop"), &seq) == NGX_OK
       && seq == 0, "then all of it, with its last number");

    ok(drop(ctx) == 0, "one that is not there, too");

    ok(get_int(ctx, IM_T_INBOX, key_seq("dropped", 1), "dir") == 1
       && consistent(IM_T_INBOX), "another one stays");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_drop(batch, IM_T_INBOX, key_str("dropped"));

    quiet = 1;
    errors = 0;
    ok(im_store_commit(ctx, batch) == NGX_ERROR && errors == 1,
       "not in a transaction");
    quiet = 0;
}


static void
test_versioned_indexes(im_ctx_t *ctx)
{
    found_t      found;
    im_key_t    *key;
    im_doc_t    *doc;
    ngx_uint_t   i, wrong;
    im_batch_t  *batch;

    wrong = 0;

    for (i = 0; i < 200; i++) {
        key = key_str(NULL);
        im_key_int(key, 1 + rnd(3));
        im_key_str(key, str(name("m", rnd(10))));

        doc = doc_int(ctx, "joined", rnd(5));

        if (rnd(3) == 0) {
            im_doc_int(doc, "until", rnd(9));
            im_doc_int(doc, "expire", (int64_t) ngx_time() + 1000 + rnd(5));
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        if (rnd(4)) {
            im_store_upsert(batch, IM_T_MEMBER, key, doc);
            im_store_upsert(batch, IM_T_MUTE, key, doc);

        } else {
            im_store_delete(batch, IM_T_MEMBER, key);
            im_store_delete(batch, IM_T_MUTE, key);
        }

        wrong += im_store_commit(ctx, batch) != NGX_OK;
    }

    ok(wrong == 0 && consistent(IM_T_MEMBER) && consistent(IM_T_MUTE),
       "indexes follow each replacement");

    found.n = 0;
    found.stop = 0;
    (void) im_store_scan(ctx, IM_T_MEMBER, IM_MEMBER_JOIN, key_seq(NULL, 2),
                         NULL, NULL, IM_ASC, 100, collect, &found);

    for (i = 1; i < found.n; i++) {
        wrong += row_int(found.rows[i - 1], "joined")
                 > row_int(found.rows[i], "joined");
    }

    ok(found.n > 3 && wrong == 0, "members in order of joining");
}


static void
add_one(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("group", "n"), "value", 1, 0,
                 LIMIT);
    ctx->inst = 100 - im_store_commit(ctx, batch);
}


/* commits of many coroutines, each decided for itself */

static void
test_group(void)
{
    static test_run_t  r[CROWD];

    ngx_uint_t       i, good, declined, busy;
    im_store_stat_t  before, after;

    im_store_stat(&before);

    for (i = 0; i < CROWD; i++) {
        start(&r[i], add_one);
    }

    for (i = 0, good = 0, declined = 0; i < CROWD; i++) {
        finish(&r[i]);
        good += r[i].ctx.inst == 100 - NGX_OK;
        declined += r[i].ctx.inst == 100 - NGX_DECLINED;
    }

    im_store_stat(&after);

    ok(good == LIMIT && declined == CROWD - LIMIT,
       "one that is declined disturbs no other");
    ok(after.batches - before.batches == CROWD
       && after.declined - before.declined == CROWD - LIMIT
       && after.queue == 0 && after.queue_bytes == 0,
       "statistics");

    conf.commit_queue = 10;

    for (i = 0; i < CROWD; i++) {
        start(&r[i], add_one);
    }

    for (i = 0, busy = 0; i < CROWD; i++) {
        finish(&r[i]);
        busy += r[i].ctx.inst == 100 - NGX_BUSY;
    }

    conf.commit_queue = 10000;

    im_store_stat(&before);
    ok(busy > 0 && busy < CROWD && before.busy - after.busy == busy,
       "NGX_BUSY over the limit");
}


static void
test_again(im_ctx_t *ctx)
{
    ok(model_same(ctx) && consistent(IM_T_INBOX), "everything is there");
    ok(get_int(ctx, IM_T_COUNT, key_two("group", "n"), "value") == LIMIT,
       "and the count");
}


static void
setup(const char *driver)
{
    nginx_init(NGX_LOG_WARN, log_writer);

    seed = 88172645463325252;

    if (mkdtemp(folder) == NULL) {
        exit(1);
    }

    conf.store.driver = *str(driver);
    conf.store.path.data = (u_char *) folder;
    conf.store.path.len = strlen(folder);
    conf.store.sync = IM_SYNC_ALWAYS;
    conf.store.size = 64 * 1024 * 1024;
    conf.commit_queue = 10000;
    conf.commit_size = 64 * 1024 * 1024;
    conf.commit_time = 2000;
    conf.sweep_interval = 60000;
}
