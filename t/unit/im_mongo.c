
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * The MongoDB driver against a server that this program starts: IM_TEST_MONGO
 * is the program "secantusd-py".  Threads are made as they are needed.
 */


#include "ok.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "core/im_shm.h"
#include "store/im_mongo.h"
#include "store/im_mongo_append.c"

#define CROWD  32

#include "store.h"


#define WRITERS  3                   /* processes */
#define APPENDS  60                  /* of each */


typedef struct task_s  task_t;

struct task_s {
    im_task_pt   fn;
    im_task_pt   done;
    void        *data;
    task_t      *next;
};


static int              wakeups[2];
static u_char           uri[128];
static pid_t            server;
static task_t          *ended;
static ngx_uint_t       running;
static ngx_uint_t       port;
static pthread_mutex_t  mutex = PTHREAD_MUTEX_INITIALIZER;


ngx_int_t
im_task_conf(ngx_conf_t *cf)
{
    return NGX_OK;
}


/* also for the processes that are forked */

void *
im_shm_data(im_shm_t *shm)
{
    return mmap(NULL, shm->size, PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);
}


static void *
thread(void *data)
{
    task_t  *task = data;

    task->fn(task->data);

    (void) pthread_mutex_lock(&mutex);
    task->next = ended;
    ended = task;
    (void) pthread_mutex_unlock(&mutex);

    return (void *) (intptr_t) (write(wakeups[1], "n", 1) == 1);
}


ngx_int_t
im_task_post(im_task_pt fn, im_task_pt done, void *data)
{
    task_t     *task;
    pthread_t   tid;

    task = malloc(sizeof(task_t));
    task->fn = fn;
    task->done = done;
    task->data = data;

    if (pthread_create(&tid, NULL, thread, task) != 0) {
        return NGX_ERROR;
    }

    (void) pthread_detach(tid);
    running++;

    return NGX_OK;
}


static void
turn(void)
{
    char           buf[64];
    task_t        *task, *next;
    struct pollfd  fds;

    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_event_move_posted_next(&cycle);
    }

    fds.fd = wakeups[0];
    fds.events = POLLIN;

    if (poll(&fds, 1, ngx_queue_empty(&ngx_posted_events) ? 5 : 0) > 0
        && read(wakeups[0], buf, sizeof(buf)) > 0)
    {
        (void) pthread_mutex_lock(&mutex);
        task = ended;
        ended = NULL;
        (void) pthread_mutex_unlock(&mutex);

        for ( /* void */ ; task; task = next) {
            next = task->next;
            task->done(task->data);
            free(task);
            running--;
        }
    }

    ngx_time_update();
    ngx_event_expire_timers();
    ngx_event_process_posted(&cycle, &ngx_posted_events);
}


/* as nginx does: the threads end first */

static void
close_all(void)
{
    while (running) {
        turn();
    }

    store_close();
}


/* the server keeps its indexes itself */

static ngx_uint_t
consistent(im_table_e t)
{
    return 1;
}


static void
server_start(const char *program, const char *option)
{
    int                 fd, i;
    char                dir[64], number[16];
    socklen_t           len;
    struct sockaddr_in  sin;

    ngx_memzero(&sin, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((in_port_t) port);
    len = sizeof(sin);

    if (port == 0) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        (void) bind(fd, (struct sockaddr *) &sin, len);
        (void) getsockname(fd, (struct sockaddr *) &sin, &len);
        (void) close(fd);

        port = ntohs(sin.sin_port);
    }

    (void) snprintf(dir, sizeof(dir), "%s/db", folder);
    (void) snprintf(number, sizeof(number), "%d", (int) port);

    server = fork();

    if (server == 0) {
        (void) close(STDOUT_FILENO);
        (void) dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);

        execl(program, program, "--host", "127.0.0.1", "--port", number,
              "--storage-path", dir, "--sync-on-commit", "--log-level",
              "ERROR", option, NULL);
        _exit(127);
    }

    for (i = 0; i < 600; i++) {
        fd = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(fd, (struct sockaddr *) &sin, len) == 0) {
            (void) close(fd);
            return;
        }

        (void) close(fd);
        (void) usleep(50000);
    }
}


static void
server_kill(void)
{
    (void) kill(server, SIGKILL);
    (void) waitpid(server, NULL, 0);
}


/* A number that a worker takes for the next one is not free again. */

static void
test_number(im_ctx_t *ctx)
{
    model_t      m;
    ngx_uint_t   i;
    im_batch_t  *batch;

    memset(&m, 0, sizeof(model_t));
    m.dir = 1;

    for (i = 0; i < 2; i++) {

        /* the tail is known */

        batch = im_store_batch(ctx, IM_ORDERED);
        im_store_append(batch, IM_T_INBOX, key_str("tad"),
                        doc_message(ctx, &m));
        ok(im_store_commit(ctx, batch) == NGX_OK
           && batch->ops[0].result == (int64_t) (3 * i + 1), "a row");

        /* others go on */

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_append(batch, IM_T_INBOX, key_str("tad"),
                        doc_message(ctx, &m));
        im_store_append(batch, IM_T_INBOX, key_str("tad"),
                        doc_message(ctx, &m));
        ok(im_store_commit(ctx, batch) == NGX_OK, "two more");

        batch = im_store_batch(ctx, i ? IM_ATOMIC : IM_ORDERED);
        im_store_delete(batch, IM_T_INBOX, key_seq("tad", 3 * i + 1));
        im_store_delete(batch, IM_T_INBOX, key_seq("tad", 3 * i + 2));
        ok(im_store_commit(ctx, batch) == NGX_OK
           && get_int(ctx, IM_T_INBOX, key_seq("tad", 3 * i + 2), "dir")
              == -1
           && get_int(ctx, IM_T_INBOX, key_seq("tad", 3 * i + 3), "dir")
              == 1,
           "those before the last one are removed");
    }

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_append(batch, IM_T_INBOX, key_str("tad"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[0].result == 7,
       "the next row is the last one");
}


static void
test_sweep(im_ctx_t *ctx)
{
    int64_t      now, seq;
    model_t      m;
    im_row_t     row;
    im_doc_t    *doc;
    ngx_uint_t   i, before;
    im_batch_t  *batch;

    now = ngx_time();
    im_mongo.grace = 0;
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

    batch = im_store_batch(ctx, IM_ATOMIC);
    doc = doc_int(ctx, "n", 3);
    im_doc_int(doc, "expire", now - 5);
    im_store_insert(batch, IM_T_LOGIN, key_str("aa"), doc);
    im_store_expect(batch, IM_T_LOGIN, key_str("cc"), 0);
    ok(im_store_commit(ctx, batch) == NGX_OK, "its key can be inserted");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_insert(batch, IM_T_LOGIN, key_str("aa"), doc);
    ok(im_store_commit(ctx, batch) == NGX_OK, "also alone");

    m.dir = 1;
    m.dk = 5;
    m.flags = 1;
    m.expire = now - 7200;

    for (i = 0; i < 3; i++) {
        batch = im_store_batch(ctx, i ? IM_ORDERED : IM_ATOMIC);
        im_store_append(batch, IM_T_INBOX, key_str("tim"),
                        doc_message(ctx, &m));
        ok(im_store_commit(ctx, batch) == NGX_OK
           && batch->ops[0].result == (int64_t) i + 1,
           "an expired row has no unique key");
    }

    m.dk = 0;
    m.expire = 0;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("ted"), doc_message(ctx, &m));
    im_store_append(batch, IM_T_INBOX, key_str("ted"), doc_message(ctx, &m));
    ok(im_store_commit(ctx, batch) == NGX_OK, "rows to delete");

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_delete(batch, IM_T_INBOX, key_seq("ted", 1));
    im_store_delete(batch, IM_T_INBOX, key_seq("ted", 2));
    ok(im_store_commit(ctx, batch) == NGX_OK
       && get_int(ctx, IM_T_INBOX, key_seq("ted", 2), "dir") == -1,
       "are gone");

    before = im_mongo.stat.swept;

    while (im_mongo_sweep() == NGX_BUSY || im_mongo.stat.swept == before) {
        im_co_sleep(10);
    }

    ok(im_mongo.stat.swept - before >= 3, "the sweeper removes them");

    ok(im_store_head(ctx, IM_T_INBOX, key_str("ted"), &seq) == NGX_OK
       && seq == 2
       && im_store_head(ctx, IM_T_INBOX, key_str("tim"), &seq) == NGX_OK
       && seq == 3, "swept streams keep their last numbers");

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_append(batch, IM_T_INBOX, key_str("ted"), doc_message(ctx, &m));
    im_store_add(batch, IM_T_COUNT, key_two("k", "sweep"), "value", 1, 0, 9);
    ok(im_store_commit(ctx, batch) == NGX_OK && batch->ops[0].result == 3,
       "and go on above them");
}


/* Of two that expect what the other one writes, one has to lose. */

static void
skew(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    static ngx_uint_t  n;

    n++;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_expect(batch, IM_T_PROFILE, key_str(n % 2 ? "x" : "y"), 0);
    im_store_insert(batch, IM_T_PROFILE, key_str(n % 2 ? "y" : "x"),
                    doc_int(ctx, "age", 1));
    ctx->inst = 100 - im_store_commit(ctx, batch);
}


static void
clear_skew(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_delete(batch, IM_T_PROFILE, key_str("x"));
    im_store_delete(batch, IM_T_PROFILE, key_str("y"));
    ctx->inst = 100 - im_store_commit(ctx, batch);
}


static void
test_skew(void)
{
    test_run_t  a, b;
    ngx_uint_t  i, good, both;

    good = 0;
    both = 0;

    for (i = 0; i < 10; i++) {
        start(&a, skew);
        start(&b, skew);
        finish(&a);
        finish(&b);

        good += a.ctx.inst == 100 - NGX_OK;
        good += b.ctx.inst == 100 - NGX_OK;
        both += a.ctx.inst == b.ctx.inst;

        run(clear_skew);
    }

    ok(good == 10 && both == 0, "what is expected not to be there");
}


/* Many have read one version: those that wait for the first need no server. */

static void
write_hot(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_replace(batch, IM_T_PROFILE, key_str("hot"), 0,
                     doc_int(ctx, "age", 1));
    im_store_add(batch, IM_T_COUNT, key_two("k", "hot"), "value", 1, 0, 100);
    ctx->inst = 100 - im_store_commit(ctx, batch);
}


static void
add_hot(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("k", "hot"), "value", 1, 0, 100);
    im_store_add(batch, IM_T_COUNT, key_two("k", "two"), "value", 1, 0, 100);
    ctx->inst = 100 - im_store_commit(ctx, batch);
}


static ngx_uint_t
all_hot(test_pt fn, ngx_uint_t *declined)
{
    ngx_uint_t   i, good;
    test_run_t  *r;

    static test_run_t  runs[20];

    good = 0;
    *declined = 0;

    for (i = 0; i < 20; i++) {
        start(&runs[i], fn);
    }

    for (i = 0; i < 20; i++) {
        r = &runs[i];
        finish(r);
        good += (r->ctx.inst == 100 - NGX_OK);
        *declined += (r->ctx.inst == 100 - NGX_DECLINED);
    }

    return good;
}


static void
test_turns(void)
{
    ngx_uint_t  good, declined, commits;

    commits = im_mongo.stat.commits;
    good = all_hot(write_hot, &declined);

    ok(good == 1 && declined == 19, "of many that write one row one wins");
    ok(im_mongo.stat.commits - commits == 1, "only it asks the server");

    good = all_hot(add_hot, &declined);

    ok(good == 20, "all that add take turns");
}


/* Another process has its turn until it is told, or dies. */

static int  neighbour[2];


static void
take_hot(im_ctx_t *ctx)
{
    char             c;
    im_batch_t      *batch;
    im_mongo_turn_t  turn;

    batch = im_store_batch(ctx, IM_ATOMIC);
    im_store_add(batch, IM_T_COUNT, key_two("k", "hot"), "value", 1, 0, 100);
    im_store_add(batch, IM_T_COUNT, key_two("k", "six"), "value", 1, 0, 100);

    if (im_mongo_turn_begin(&turn, batch) != NGX_OK
        || write(neighbour[1], "t", 1) != 1
        || read(neighbour[1], &c, 1) != 1)
    {
        _exit(1);
    }

    im_mongo_turn_end(&turn, 0);
}


static pid_t
neighbour_start(void)
{
    char   c;
    pid_t  pid;

    fflush(stdout);
    (void) socketpair(AF_UNIX, SOCK_STREAM, 0, neighbour);

    pid = fork();

    if (pid == 0) {
        ngx_pid = getpid();
        run(take_hot);
        _exit(0);
    }

    (void) read(neighbour[0], &c, 1);

    return pid;
}


static void
neighbour_end(pid_t pid)
{
    (void) waitpid(pid, NULL, 0);
    (void) close(neighbour[0]);
    (void) close(neighbour[1]);
}


static void
test_neighbours(void)
{
    pid_t       pid;
    test_run_t  r;
    ngx_uint_t  i;

    pid = neighbour_start();
    start(&r, add_hot);

    for (i = 0; i < 40; i++) {
        turn();
    }

    ok(!r.done, "a transaction waits for that of another process");

    (void) write(neighbour[0], "e", 1);
    finish(&r);
    ok(r.ctx.inst == 100 - NGX_OK, "and has its turn then");

    neighbour_end(pid);

    pid = neighbour_start();
    start(&r, add_hot);

    for (i = 0; i < 10; i++) {
        turn();
    }

    (void) kill(pid, SIGKILL);
    neighbour_end(pid);
    finish(&r);
    ok(r.ctx.inst == 100 - NGX_OK, "also after the death of the other one");

    pid = neighbour_start();
    start(&r, add_hot);
    finish(&r);
    ok(r.ctx.inst == 100 - NGX_BUSY, "not for ever");

    (void) write(neighbour[0], "e", 1);
    neighbour_end(pid);

    start(&r, add_hot);
    finish(&r);
    ok(r.ctx.inst == 100 - NGX_OK, "who did not wait on gets no turn");
}


/* An error that names no document says nothing about any of them. */

static void
test_refused(im_ctx_t *ctx)
{
    bson_t             *reply;
    ngx_uint_t          i;
    im_batch_t         *batch;
    im_mongo_entry_t   *list[2];
    im_mongo_flush_t    flush;

    memset(&flush, 0, sizeof(im_mongo_flush_t));
    flush.table = &im_tables[IM_T_COUNT];
    flush.call.client = mongoc_client_pool_pop(im_mongo.pool);
    flush.call.deadline = im_mongo_now() + 3000000;

    batch = im_store_batch(ctx, IM_ORDERED);

    for (i = 0; i < 2; i++) {
        im_store_insert(batch, IM_T_COUNT, key_two("refused", i ? "b" : "a"),
                        doc_int(ctx, "value", 1));
        list[i] = im_mongo_entry(ctx, &batch->ops[i]);
    }

    (void) im_mongo_flush_keys(&flush, list, 2);

    reply = BCON_NEW("ok", BCON_DOUBLE(0), "code", BCON_INT32(11000));
    im_mongo_flush_results(&flush, list, 2, reply, 0);

    ok(list[0]->rc == NGX_AGAIN && list[1]->rc == NGX_AGAIN,
       "rows of a call that has failed are not taken for written");

    bson_destroy(reply);
    ngx_free(list[0]);
    ngx_free(list[1]);
    mongoc_client_pool_push(im_mongo.pool, flush.call.client);
}


static void
append_one(im_ctx_t *ctx)
{
    im_batch_t  *batch;

    batch = im_store_batch(ctx, IM_ORDERED);
    im_store_append(batch, IM_T_INBOX, key_str("hot"),
                    doc_int(ctx, "flags", 1));

    ctx->inst = (im_store_commit(ctx, batch) == NGX_OK)
                ? batch->ops[0].result : 0;
}


/* many of one stream in one turn of the event loop */

static void
test_many(void)
{
    static test_run_t  r[100];

    ngx_uint_t       i, wrong;
    im_store_stat_t  before, after;

    im_store_stat(&before);

    for (i = 0; i < 100; i++) {
        start(&r[i], append_one);
    }

    for (i = 0, wrong = 0; i < 100; i++) {
        finish(&r[i]);
        wrong += r[i].ctx.inst != i + 1;
    }

    im_store_stat(&after);

    ok(wrong == 0, "numbers in the order of the calls");
    ok(after.commits - before.commits < 20 && after.queue == 0
       && after.queue_bytes == 0, "together");
}


static void
append_ever(im_ctx_t *ctx)
{
    ngx_uint_t   i;
    im_doc_t    *doc;
    im_batch_t  *batch;

    for (i = 0; i < APPENDS; i++) {
        doc = doc_int(ctx, "pid", ngx_pid);
        im_doc_int(doc, "n", i);

        batch = im_store_batch(ctx, (i % 5) ? IM_ORDERED : IM_ATOMIC);
        im_store_append(batch, IM_T_INBOX, key_str("ever"), doc);

        if (i % 5 == 0) {
            im_store_add(batch, IM_T_COUNT, key_two("n", "ever"), "value", 1,
                         0, INT64_MAX);
        }

        if (im_store_commit(ctx, batch) != NGX_OK) {
            _exit(2);
        }
    }
}


static int64_t  ever_rows, ever_count, ever_wrong;


static void
read_ever(im_ctx_t *ctx)
{
    int64_t     n, i, pid, last[8], pids[8];
    im_row_t    row;

    memset(pids, 0, sizeof(pids));
    ever_wrong = 0;

    for (n = 1; /* void */ ; n++) {
        if (im_store_get(ctx, IM_T_INBOX, key_seq("ever", n), &row)
            != NGX_OK)
        {
            break;
        }

        pid = row_int(&row, "pid");

        for (i = 0; i < 7 && pids[i] && pids[i] != pid; i++) { /* void */ }

        ever_wrong += row_int(&row, "n") != (pids[i] ? last[i] + 1 : 0);

        pids[i] = pid;
        last[i] = row_int(&row, "n");
    }

    ever_rows = n - 1;
    ever_count = get_int(ctx, IM_T_COUNT, key_two("n", "ever"), "value");
}


static void
test_writers(void)
{
    int         status;
    pid_t       pid[WRITERS];
    ngx_uint_t  i, good;

    fflush(stdout);

    for (i = 0; i < WRITERS; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            ngx_pid = getpid();

            if (pipe(wakeups) == -1 || store_open() != NGX_OK) {
                _exit(1);
            }

            run(append_ever);
            close_all();
            _exit(0);
        }
    }

    for (i = 0, good = 1; i < WRITERS; i++) {
        (void) waitpid(pid[i], &status, 0);
        good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }

    ok(good, "several processes append to one stream");

    (void) store_open();
    run(read_ever);
    close_all();

    ok(ever_rows == WRITERS * APPENDS && ever_wrong == 0
       && ever_count == WRITERS * APPENDS / 5,
       "no number is left out or given twice, each one's order is kept");
}


static void
get_one(im_ctx_t *ctx)
{
    im_row_t  row;

    ctx->inst = 100 - im_store_get(ctx, IM_T_COUNT, key_two("group", "n"),
                                   &row);
}


/* A server that is gone costs an answer in time, and one that is back none. */

static void
test_gone(const char *program)
{
    uint64_t         start_us, slow;
    test_run_t       r;
    ngx_uint_t       i, wrong;
    im_store_stat_t  stat;

    server_kill();

    quiet = 1;
    slow = 0;
    wrong = 0;

    for (i = 0; i < 6; i++) {
        start_us = im_mongo_now();
        start(&r, (i % 2) ? add_one : get_one);
        finish(&r);
        slow = ngx_max(slow, im_mongo_now() - start_us);
        wrong += r.ctx.inst == 100 - NGX_OK;
    }

    ok(wrong == 0 && slow < 3500000, "a server that is gone: errors in time");

    im_store_stat(&stat);
    ok(stat.open && stat.opened == 1, "the breaker is open");

    start_us = im_mongo_now();

    for (i = 0; i < 50; i++) {
        start(&r, add_one);
        finish(&r);
    }

    ok(im_mongo_now() - start_us < 3500000, "and then answers at once");

    close_all();
    start_us = im_mongo_now();
    ok(store_open() == NGX_OK && im_mongo_now() - start_us < 5000000,
       "a worker starts without a server");

    server_start(program, NULL);

    for (i = 0, wrong = 1; i < 200 && wrong; i++) {
        start(&r, get_one);
        finish(&r);
        wrong = r.ctx.inst != 100 - NGX_OK;
        (void) usleep(wrong ? 50000 : 0);
    }

    quiet = 0;

    im_store_stat(&stat);
    ok(wrong == 0 && !stat.open, "a server that is back is used");
}


static void
test_standalone(const char *program)
{
    server_kill();
    server_start(program, "--standalone");

    quiet = 1;
    errors = 0;
    ok(store_open() == NGX_ERROR && errors == 1,
       "a server that is in no replica set is refused");

    (void) snprintf((char *) uri, sizeof(uri), "mongodb://127.0.0.1:%d/im",
                    (int) port);
    conf.store.path = *str((char *) uri);

    errors = 0;
    ok(store_open() == NGX_ERROR && errors == 1,
       "also if the address names no replica set");
    quiet = 0;
}


int
main(void)
{
    char         command[64];
    const char  *program;

    program = getenv("IM_TEST_MONGO");

    if (program == NULL || access(program, X_OK) != 0) {
        return skip_all("no IM_TEST_MONGO");
    }

    setup("mongodb");

    if (pipe(wakeups) == -1) {
        return 1;
    }

    server_start(program, NULL);

    (void) snprintf((char *) uri, sizeof(uri),
                    "mongodb://127.0.0.1:%d/im?replicaSet=secantus",
                    (int) port);

    conf.store.path = *str((char *) uri);
    conf.store.name = *str("mongodb://127.0.0.1/im");

    im_mongo_turn_init();

    ok(store_open() == NGX_OK, "open");

    run(test_keys);
    run(test_operations);
    run(test_get_many);
    run(test_model);
    run(test_unique);
    run(test_drop);
    run(test_versioned_indexes);
    run(test_number);
    run(test_sweep);
    test_group();
    test_skew();
    test_turns();
    test_neighbours();
    run(test_refused);
    test_many();

    close_all();

    ok(store_open() == NGX_OK, "open again");
    run(test_again);
    close_all();

    test_writers();

    (void) store_open();
    test_gone(program);
    close_all();

    test_standalone(program);
    server_kill();

    (void) snprintf(command, sizeof(command), "rm -rf %s", folder);
    ok(system(command) == 0, "the folder is removed");

    ok(ngx_event_no_timers_left() == NGX_OK, "no timer is left");
    ok(holds == 0, "no hold is left");

    im_co_exit();

    return done();
}
