
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * What a message costs LMDB alone: the rows that one makes, with lengths as
 * they are in a store that our server has written, so many messages in each
 * transaction, each transaction synced.  A second run adds to the first.
 *
 *   lmdb_rows DIR MESSAGES GROUP USERS STORE
 *
 * Prints messages a second, microseconds of CPU time per message, GROUP.
 */


#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <lmdb.h>


#define TABLES  4
#define SAMPLE  1000


typedef struct {
    const char  *name;
    int          rows;               /* of a message */
    size_t       key;
    size_t       value;
    MDB_dbi      dbi;
} table_t;


static void check(int rc, const char *what);
static MDB_env *open_env(const char *path, unsigned flags);
static void measure(const char *path);
static void put(MDB_txn *txn, table_t *table, uint64_t a, uint64_t b);
static uint64_t rnd(void);
static double now(void);
static double cpu(void);


/* the order in which our server writes them */

static table_t  tables[TABLES] = {
    { "c2c", 1, 0, 0, 0 },
    { "inbox", 2, 0, 0, 0 },
    { "inbox.hist", 2, 0, 0, 0 },
    { "inbox.dk", 2, 0, 0, 0 }
};


int
main(int argc, char **argv)
{
    int        i;
    char       path[4096];
    long       n, group, users, done, last;
    double     start, used;
    MDB_env   *env;
    MDB_txn   *txn;
    MDB_stat   stat;

    if (argc != 6) {
        fprintf(stderr, "lmdb_rows DIR MESSAGES GROUP USERS STORE\n");
        return 2;
    }

    n = atol(argv[2]);
    group = atol(argv[3]);
    users = atol(argv[4]);

    if (n < 1 || group < 1 || users < 1) {
        fprintf(stderr, "numbers are to be positive\n");
        return 2;
    }

    measure(argv[5]);

    if (mkdir(argv[1], 0700) == -1 && errno != EEXIST) {
        perror(argv[1]);
        return 1;
    }

    (void) snprintf(path, sizeof(path), "%s/rows.mdb", argv[1]);

    env = open_env(path, 0);

    check(mdb_txn_begin(env, NULL, 0, &txn), "begin");

    for (i = 0; i < TABLES; i++) {
        check(mdb_dbi_open(txn, tables[i].name, MDB_CREATE, &tables[i].dbi),
              tables[i].name);
    }

    /* goes on behind the last run, as a server does */

    check(mdb_stat(txn, tables[0].dbi, &stat), "stat");
    check(mdb_txn_commit(txn), "commit");

    done = stat.ms_entries;
    last = done + n;

    start = now();
    used = cpu();

    while (done < last) {

        check(mdb_txn_begin(env, NULL, 0, &txn), "begin");

        for (i = 0; i < group && done < last; i++, done++) {

            put(txn, &tables[0], 0, done);

            /* the mailboxes of the receiver, and of one sender */

            put(txn, &tables[1], done % users, done / users);
            put(txn, &tables[2], done % users, done);
            put(txn, &tables[3], done % users, rnd());

            put(txn, &tables[1], users, done);
            put(txn, &tables[2], users, ((done % users) << 32) + done);
            put(txn, &tables[3], users, rnd());
        }

        check(mdb_txn_commit(txn), "commit");
    }

    printf("%.0f %.2f %ld\n", n / (now() - start), (cpu() - used) / n * 1e6,
           group);

    mdb_env_close(env);

    return 0;
}


static void
check(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
        exit(1);
    }
}


static MDB_env *
open_env(const char *path, unsigned flags)
{
    MDB_env  *env;

    check(mdb_env_create(&env), "create");
    check(mdb_env_set_maxdbs(env, 64), "maxdbs");
    check(mdb_env_set_mapsize(env, (size_t) 16 << 30), "mapsize");
    check(mdb_env_open(env, path, MDB_NOSUBDIR|MDB_NOTLS|flags, 0600), path);

    return env;
}


/* Mean lengths of the first rows. */

static void
measure(const char *path)
{
    int          i, rc;
    size_t       n, keys, values;
    MDB_env     *env;
    MDB_txn     *txn;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    env = open_env(path, MDB_RDONLY);
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");

    for (i = 0; i < TABLES; i++) {

        check(mdb_dbi_open(txn, tables[i].name, 0, &tables[i].dbi),
              tables[i].name);
        check(mdb_cursor_open(txn, tables[i].dbi, &cursor), "cursor");

        keys = 0;
        values = 0;

        for (n = 0; n < SAMPLE; n++) {

            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            if (rc == MDB_NOTFOUND) {
                break;
            }

            check(rc, tables[i].name);

            keys += key.mv_size;
            values += value.mv_size;
        }

        if (n == 0) {
            fprintf(stderr, "no rows in \"%s\"\n", tables[i].name);
            exit(1);
        }

        tables[i].key = keys / n;
        tables[i].value = values / n;

        fprintf(stderr, "%s: key %zu, value %zu\n", tables[i].name,
                tables[i].key, tables[i].value);

        mdb_cursor_close(cursor);
    }

    mdb_txn_abort(txn);
    mdb_env_close(env);
}


static void
put(MDB_txn *txn, table_t *table, uint64_t a, uint64_t b)
{
    int       i;
    char      k[512];
    size_t    len;
    MDB_val   key, value;

    len = table->key < 16 ? 16 : table->key;

    memset(k, 0, len);

    for (i = 0; i < 8; i++) {
        k[i] = (char) (a >> (56 - 8 * i));
        k[8 + i] = (char) (b >> (56 - 8 * i));
    }

    key.mv_data = k;
    key.mv_size = len;
    value.mv_size = table->value;

    check(mdb_put(txn, table->dbi, &key, &value, MDB_RESERVE), "put");

    memset(value.mv_data, 'x', value.mv_size);
}


/* splitmix64, of a seed that differs in each run */

static uint64_t
rnd(void)
{
    uint64_t         z;

    static uint64_t  state;

    if (state == 0) {
        state = (uint64_t) time(NULL) * 1000003 + getpid();
    }

    z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;

    return z ^ (z >> 31);
}


static double
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


static double
cpu(void)
{
    struct rusage  ru;

    (void) getrusage(RUSAGE_SELF, &ru);

    return ru.ru_utime.tv_sec + ru.ru_stime.tv_sec
           + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}
