
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include <ngx_channel.h>
#include <poll.h>
#include <sys/wait.h>
#include "store/im_lmdb.h"
#include "store.h"


static int               channel_fd;
static ngx_connection_t  channel;
static ngx_event_t       channel_event;


ngx_int_t
ngx_add_channel_event(ngx_cycle_t *cycle, ngx_fd_t fd, ngx_int_t event,
    ngx_event_handler_pt handler)
{
    channel_fd = fd;
    channel_event.handler = handler;
    channel_event.data = &channel;
    channel_event.log = &logger;

    return NGX_OK;
}


static void
turn(void)
{
    struct pollfd  fds;

    fds.fd = channel_fd;
    fds.events = POLLIN;

    if (poll(&fds, 1, ngx_queue_empty(&ngx_posted_events) ? 5 : 0) > 0) {
        channel_event.handler(&channel_event);
    }

    ngx_time_update();
    nginx_turn();
}


static ngx_uint_t
consistent(im_table_e t)
{
    int           rc;
    size_t        rows, skip;
    int64_t       flags;
    MDB_txn      *txn;
    MDB_val       key, val, ik, iv;
    MDB_stat      st;
    im_row_t      row;
    im_key_t      k;
    ngx_uint_t    i, n[IM_LMDB_INDEXES], wrong;
    im_table_t   *table;
    MDB_cursor   *cursor;

    table = &im_tables[t];
    wrong = 0;
    rows = 0;
    memset(n, 0, sizeof(n));

    (void) mdb_txn_begin(im_lmdb.env, NULL, MDB_RDONLY, &txn);
    (void) mdb_cursor_open(txn, im_lmdb.tables[t].rows, &cursor);

    while (mdb_cursor_get(cursor, &key, &val, MDB_NEXT) == 0) {
        rows++;
        wrong += im_lmdb_row(table, &key, &val, &row) != 0;
        flags = row_int(&row, "flags");

        for (i = 0; table->index[i].name; i++) {
            rc = im_lmdb_index_key(table, &table->index[i], &row, &k);

            if (rc == IM_LMDB_DECLINED) {
                continue;
            }

            n[i]++;
            ik.mv_data = k.data;
            ik.mv_size = k.len;
            skip = (table->index[i].flags & IM_INDEX_FLAGS) ? 16 : 0;

            if (rc != 0
                || mdb_get(txn, im_lmdb.tables[t].index[i], &ik, &iv) != 0
                || iv.mv_size != key.mv_size + skip
                || memcmp((u_char *) iv.mv_data + skip, key.mv_data,
                          key.mv_size)
                   != 0
                || (skip && memcmp(iv.mv_data, &flags, 8) != 0))
            {
                wrong++;
            }
        }
    }

    for (i = 0; table->index[i].name; i++) {
        (void) mdb_stat(txn, im_lmdb.tables[t].index[i], &st);
        wrong += st.ms_entries != n[i];
    }

    if (table->ttl == IM_TTL_ROW) {
        (void) mdb_stat(txn, im_lmdb.tables[t].ttl, &st);
        wrong += st.ms_entries > rows;
    }

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    return wrong == 0;
}


static ngx_uint_t
sweep(void)
{
    ngx_uint_t  before;

    before = im_lmdb_swept();

    while (im_lmdb_commit_sweep() == NGX_BUSY) {
        im_co_sleep(1);
    }

    /* a second one begins when the first has ended */

    while (im_lmdb_commit_sweep() == NGX_BUSY) {
        im_co_sleep(1);
    }

    im_co_sleep(100);

    return im_lmdb_swept() - before;
}


static void
test_ttl(im_ctx_t *ctx)
{
    int64_t      now, seq;
    found_t      found;
    model_t      m;
    im_row_t     row;
    im_key_t    *key;
    im_doc_t    *doc;
    MDB_stat     st;
    MDB_txn     *txn;
    ngx_uint_t   i, wrong, count;
    im_batch_t  *batch;

    now = ngx_time();
    memset(&m, 0, sizeof(model_t));

    batch = im_store_batch(ctx, IM_ATOMIC);
    doc = doc_int(ctx, "n", 1);
    im_doc_int(doc, "expire", now - 5);
    im_doc_str(doc, "user", str("tom"));
    im_store_insert(batch, IM_T_LOGIN, key_str("aa"), doc);
    doc = doc_int(ctx, "n", 2);
    im_doc_int(doc, "expire", now + 5000);
    im_doc_str(doc, "user", str("tom"));
    im_store_insert(batch, IM_T_LOGIN, key_str("bb"), doc);
    ok(im_store_commit(ctx, batch) == NGX_OK, "rows that expire");

    ok(im_store_get(ctx, IM_T_LOGIN, key_str("aa"), &row) == NGX_DECLINED,
       "an expired row is not there");

    found.n = 0;
    found.stop = 0;
    (void) im_store_scan(ctx, IM_T_LOGIN, IM_LOGIN_USER, key_str("tom"), NULL,
                         NULL, IM_ASC, 1, collect, &found);
    ok(found.n == 1 && row_int(found.rows[0], "n") == 2,
       "and does not count in a scan");

    batch = im_store_batch(ctx, IM_ATOMIC);
    doc = doc_int(ctx, "n", 3);
    im_doc_int(doc, "expire", now - 5);
    im_store_insert(batch, IM_T_LOGIN, key_str("aa"), doc);
    ok(im_store_commit(ctx, batch) == NGX_OK && consistent(IM_T_LOGIN),
       "its key can be inserted");

    /* a stream */

    m.dir = 1;
    m.dk = 5;
    m.flags = 1;
    m.expire = now - 7200;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("tim"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK, "row of a stream that expires");

    ok(im_store_count(ctx, IM_T_INBOX, IM_INBOX_HIST, key_str("tim"), NULL,
                      NULL, 1, 0, 10, &count) == NGX_OK && count == 0,
       "it is not counted");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("tim"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[0].result == 2
       && consistent(IM_T_INBOX), "its unique key is free");

    m.dk = 0;
    wrong = 0;

    for (i = 0; i < 100; i++) {
        m.expire = (i % 10 == 5) ? now + 10000 : now - 7200;
        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_append(batch, IM_T_INBOX, key_str("tim"),
                        doc_message(ctx, &m));
        wrong += im_store_commit(ctx, batch) != NGX_OK;
    }

    m.expire = now - 7200;
    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("ted"), doc_message(ctx, &m));
    im_store_append(batch, IM_T_INBOX, key_str("ted"), doc_message(ctx, &m));
    wrong += im_store_commit(ctx, batch) != NGX_OK;

    for (i = 0; i < 20; i++) {
        key = key_str(NULL);
        im_key_int(key, i);

        doc = im_doc(ctx->pool);
        im_doc_int(doc, "expire", (i < 12) ? now - 1 : now + 1000);

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_insert(batch, IM_T_C2C, key, doc);
        wrong += im_store_commit(ctx, batch) != NGX_OK;
    }

    ok(wrong == 0, "more of them");

    /* one row of "login", 91 and 2 of "inbox", 12 of "c2c" */

    count = sweep();
    ok(count == 1 + 91 + 2 + 12, "the sweeper removes them");
    ok(sweep() == 0, "once");

    found.n = 0;
    (void) im_store_scan(ctx, IM_T_INBOX, 0, key_str("tim"), NULL, NULL,
                         IM_ASC, 1000, collect, &found);
    ok(found.n == 10, "the others stay");

    ok(im_store_head(ctx, IM_T_INBOX, key_str("ted"), &seq) == NGX_OK
       && seq == 2, "a swept stream keeps its last number");

    (void) mdb_txn_begin(im_lmdb.env, NULL, MDB_RDONLY, &txn);
    (void) mdb_stat(txn, im_lmdb.tables[IM_T_LOGIN].ttl, &st);
    mdb_txn_abort(txn);

    ok(st.ms_entries == 1 && consistent(IM_T_LOGIN) && consistent(IM_T_INBOX),
       "no entry is left behind");
}


static void
test_stat(void)
{
    im_store_stat_t  stat;

    im_store_stat(&stat);

    ok(stat.commits < stat.batches && stat.map_used > 0
       && stat.map_size == conf.store.size, "statistics of the file");
}


static void
test_full(im_ctx_t *ctx)
{
    ngx_str_t    s;
    ngx_int_t    rc;
    im_doc_t    *doc;
    ngx_uint_t   i;
    im_batch_t  *batch;

    s.len = 60000;
    s.data = ngx_pcalloc(ctx->pool, s.len);
    rc = NGX_OK;
    quiet = 1;

    for (i = 0; i < 200 && rc == NGX_OK; i++) {
        doc = im_doc(ctx->pool);
        im_doc_str(doc, "text", &s);
        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_insert(batch, IM_T_RELAY, key_str(name("r", i)), doc);
        rc = im_store_commit(ctx, batch);
    }

    quiet = 0;

    ok(rc == NGX_ERROR && i > 10, "a full map is an error");
    ok(get_int(ctx, IM_T_COUNT, key_two("k", "z"), "value") == -1
       && im_store_get(ctx, IM_T_RELAY, key_str("r0"),
                       &(im_row_t) { NULL }) == NGX_OK,
       "reading goes on");

    batch = im_store_batch(ctx, IM_ATOMIC);

    for (i = 0; i < 5; i++) {
        im_store_delete(batch, IM_T_RELAY, key_str(name("r", i)));
    }

    ok(im_store_commit(ctx, batch) == NGX_OK, "so does deleting");

    add_one(ctx);
    add_one(ctx);
    ok(ctx->inst == 100 - NGX_OK, "and then writing");
}


/* Appends until the process is killed; tells each acknowledged number. */

static int  report[2];


static void
append_ever(im_ctx_t *ctx)
{
    int64_t      n;
    ngx_pool_t  *pool;
    im_batch_t  *batch;

    pool = ctx->pool;

    for (n = 0; n < 300; n++) {
        ctx->pool = ngx_create_pool(4096, &logger);

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_append(batch, IM_T_INBOX, key_str("ever"),
                        doc_int(ctx, "pid", ngx_pid));
        im_store_add(batch, IM_T_COUNT, key_two("n", "ever"), "value", 1, 0,
                     INT64_MAX);

        if (im_store_commit(ctx, batch) != NGX_OK) {
            _exit(2);
        }

        if (write(report[1], &batch->ops[0].result, 8) != 8) {
            _exit(3);
        }

        ngx_destroy_pool(ctx->pool);
        ctx->pool = pool;
    }
}


static pid_t
writer(const char *fault, ngx_uint_t pass)
{
    pid_t  pid;

    fflush(stdout);

    pid = fork();

    if (pid != 0) {
        return pid;
    }

    ngx_pid = getpid();
    fault_name = fault;
    fault_pass = pass;

    if (store_open() != NGX_OK) {
        _exit(1);
    }

    run(append_ever);
    store_close();

    _exit(0);
}


static int64_t  ever_rows, ever_count;


static void
read_ever(im_ctx_t *ctx)
{
    int64_t     n;
    im_row_t    row;

    for (n = 1; /* void */ ; n++) {
        if (im_store_get(ctx, IM_T_INBOX, key_seq("ever", n), &row)
            != NGX_OK)
        {
            break;
        }
    }

    ever_rows = n - 1;
    ever_count = get_int(ctx, IM_T_COUNT, key_two("n", "ever"), "value");
}


/*
 * Writers that are killed at a point while another one waits: the other one
 * goes on, what was acknowledged is there, and a batch is whole or absent.
 */

static void
test_killed(void)
{
    int          status;
    pid_t        a, b;
    int64_t      seq, top, told;
    u_char       seen[4096];
    ngx_uint_t   i, good, twice;

    static struct {
        const char  *fault;
        ngx_uint_t   pass;
        const char  *name;
    } cases[] = {
        { NULL, 0, "two writers" },
        { "mid_batch", 40, "a writer killed in a transaction" },
        { "before_commit", 60, "a writer killed before it commits" },
        { "after_commit", 50, "a writer killed before it answers" }
    };

    top = 0;
    told = 0;
    memset(seen, 0, sizeof(seen));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        if (pipe(report) == -1) {
            return;
        }

        a = writer(cases[i].fault, cases[i].pass);
        b = writer(NULL, 0);

        (void) close(report[1]);

        twice = 0;

        while (read(report[0], &seq, 8) == 8) {
            twice += seen[seq % 4096]++;
            top = ngx_max(top, seq);
            told++;
        }

        (void) close(report[0]);

        good = 1;
        (void) waitpid(b, &status, 0);
        good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;

        (void) waitpid(a, &status, 0);
        good &= cases[i].fault
                ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                : WIFEXITED(status) && WEXITSTATUS(status) == 0;

        ok(good, cases[i].name);

        good = (store_open() == NGX_OK);
        run(read_ever);
        good &= consistent(IM_T_INBOX);
        store_close();

        ok(good && twice == 0 && ever_rows >= top && ever_rows >= told
           && ever_rows <= told + (int64_t) i && ever_rows == ever_count,
           "nothing is lost, doubled or half written");
    }
}


static void
test_schema(void)
{
    MDB_txn  *txn;
    MDB_val   key, val;
    int64_t   n;

    (void) store_open();

    n = 99;
    key.mv_data = "schema";
    key.mv_size = 6;
    val.mv_data = &n;
    val.mv_size = 8;

    (void) mdb_txn_begin(im_lmdb.env, NULL, 0, &txn);
    (void) mdb_put(txn, im_lmdb.sys, &key, &val, 0);
    (void) mdb_txn_commit(txn);

    store_close();

    quiet = 1;
    errors = 0;
    ok(store_open() == NGX_ERROR && errors == 1, "another schema is refused");
    quiet = 0;
}


static void
new_folder(void)
{
    char  path[64];

    (void) snprintf(path, sizeof(path), "%s/im.mdb", folder);
    (void) unlink(path);
    (void) snprintf(path, sizeof(path), "%s/im.mdb-lock", folder);
    (void) unlink(path);
}


int
main(void)
{
    setup("lmdb");

    ok(store_open() == NGX_OK, "open");

    run(test_keys);
    run(test_operations);
    run(test_get_many);
    run(test_model);
    run(test_unique);
    run(test_drop);
    run(test_versioned_indexes);
    run(test_ttl);
    test_group();
    test_stat();

    store_close();

    ok(store_open() == NGX_OK, "open again");
    run(test_again);
    store_close();

    new_folder();
    conf.store.size = 4 * 1024 * 1024;
    (void) store_open();
    run(test_full);
    store_close();

    new_folder();
    conf.store.size = 64 * 1024 * 1024;
    test_killed();
    test_schema();

    new_folder();
    conf.store.sync = IM_SYNC_EVERYSEC;
    ok(store_open() == NGX_OK, "open with sync=everysec");
    run(add_one);
    store_close();

    new_folder();
    (void) rmdir(folder);

    ok(ngx_event_no_timers_left() == NGX_OK, "no timer is left");
    ok(holds == 0, "no hold is left");

    im_co_exit();

    return done();
}
