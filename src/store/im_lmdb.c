
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "store/im_lmdb.h"


/*
 * The LMDB driver: the environment of a worker.  It does not survive a fork,
 * so the master never opens it.
 */


static ngx_int_t im_lmdb_init_module(ngx_cycle_t *cycle, im_conf_t *conf);
static ngx_int_t im_lmdb_init_process(ngx_cycle_t *cycle, im_conf_t *conf);
static int im_lmdb_open(ngx_cycle_t *cycle, im_conf_t *conf);
static int im_lmdb_open_dbs(ngx_cycle_t *cycle, MDB_txn *txn);
static int im_lmdb_open_table(MDB_txn *txn, im_table_t *table);
static int im_lmdb_schema(ngx_cycle_t *cycle, MDB_txn *txn);
static void im_lmdb_exit_process(ngx_cycle_t *cycle);
static void im_lmdb_check_handler(ngx_event_t *ev);
static void im_lmdb_stat(im_store_stat_t *stat);


im_store_driver_t  im_lmdb_driver = {
    ngx_string("lmdb"),
    NULL,                                  /* init conf */
    im_lmdb_init_module,
    im_lmdb_init_process,
    im_lmdb_exit_process,
    im_lmdb_get_many,
    im_lmdb_scan,
    im_lmdb_count,
    im_lmdb_last_each,
    im_lmdb_head,
    im_lmdb_commit,
    im_lmdb_stat
};


im_lmdb_t  im_lmdb;

static ngx_event_t   im_lmdb_check_event;
static ngx_event_t  *im_lmdb_check_timer;


/* Runs in the master, under -t too: only makes the directory. */

static ngx_int_t
im_lmdb_init_module(ngx_cycle_t *cycle, im_conf_t *conf)
{
    u_char           *dir;
    ngx_err_t         err;
    ngx_file_info_t   fi;
    ngx_core_conf_t  *ccf;

    dir = ngx_pnalloc(cycle->pool, conf->store.path.len + 1);
    if (dir == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(dir, conf->store.path.data, conf->store.path.len + 1);

    if (ngx_create_dir(dir, 0700) == NGX_FILE_ERROR) {
        err = ngx_errno;

        if (err != NGX_EEXIST) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, err,
                          ngx_create_dir_n " \"%s\" failed", dir);
            return NGX_ERROR;
        }
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (geteuid() != 0 || ccf->user == (ngx_uid_t) NGX_CONF_UNSET_UINT) {
        return NGX_OK;
    }

    if (ngx_file_info(dir, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      ngx_file_info_n " \"%s\" failed", dir);
        return NGX_ERROR;
    }

    if (fi.st_uid != ccf->user && chown((char *) dir, ccf->user, -1) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "chown(\"%s\", %d) failed", dir, ccf->user);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
im_lmdb_init_process(ngx_cycle_t *cycle, im_conf_t *conf)
{
    int  err;

    im_lmdb.txn = NULL;
    im_lmdb.sync = conf->store.sync;

    im_lmdb.name.len = conf->store.path.len + sizeof("/" IM_LMDB_FILE) - 1;
    im_lmdb.name.data = ngx_pnalloc(cycle->pool, im_lmdb.name.len + 1);
    if (im_lmdb.name.data == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(im_lmdb.name.data, "%V/" IM_LMDB_FILE "%Z",
                &conf->store.path);

    if (im_lmdb.sync == IM_SYNC_NONE) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "\"%V\" is not synced, a power failure may corrupt it",
                      &im_lmdb.name);
    }

    err = im_lmdb_open(cycle, conf);

    if (err != 0) {
        if (err != IM_LMDB_DECLINED) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "opening \"%V\" failed: %s", &im_lmdb.name,
                          mdb_strerror(err));
        }

        goto failed;
    }

    if (im_lmdb_commit_init(cycle, conf) != NGX_OK) {
        goto failed;
    }

    if (im_lmdb_sweep_init(cycle, conf) != NGX_OK) {
        im_lmdb_commit_exit(cycle);
        goto failed;
    }

    im_lmdb_check_timer = &im_lmdb_check_event;

    im_worker_timer(im_lmdb_check_timer, im_lmdb_check_handler, cycle->log);

    ngx_add_timer(im_lmdb_check_timer, 5000);

    return NGX_OK;

failed:

    if (im_lmdb.txn) {
        mdb_txn_abort(im_lmdb.txn);
        im_lmdb.txn = NULL;
    }

    if (im_lmdb.env) {
        mdb_env_close(im_lmdb.env);
        im_lmdb.env = NULL;
    }

    return NGX_ERROR;
}


static int
im_lmdb_open(ngx_cycle_t *cycle, im_conf_t *conf)
{
    int       err, dead;
    MDB_txn  *txn;
    unsigned  flags;

    err = mdb_env_create(&im_lmdb.env);
    if (err != 0) {
        im_lmdb.env = NULL;
        return err;
    }

    flags = MDB_NOSUBDIR|MDB_NOTLS;

    if (im_lmdb.sync == IM_SYNC_EVERYSEC) {
        flags |= MDB_NOMETASYNC;

    } else if (im_lmdb.sync == IM_SYNC_NONE) {
        flags |= MDB_NOSYNC;
    }

    (void) mdb_env_set_maxdbs(im_lmdb.env, IM_LMDB_DBS);
    (void) mdb_env_set_maxreaders(im_lmdb.env, IM_LMDB_READERS);

    err = mdb_env_set_mapsize(im_lmdb.env, conf->store.size);
    if (err != 0) {
        return err;
    }

    err = mdb_env_open(im_lmdb.env, (char *) im_lmdb.name.data, flags, 0600);
    if (err != 0) {
        return err;
    }

    (void) mdb_reader_check(im_lmdb.env, &dead);

    /* the first worker makes everything, the others wait for the lock */

    err = mdb_txn_begin(im_lmdb.env, NULL, 0, &txn);
    if (err != 0) {
        return err;
    }

    err = im_lmdb_open_dbs(cycle, txn);
    if (err != 0) {
        mdb_txn_abort(txn);
        return err;
    }

    err = mdb_txn_commit(txn);
    if (err != 0) {
        return err;
    }

    err = mdb_txn_begin(im_lmdb.env, NULL, MDB_RDONLY, &im_lmdb.txn);
    if (err != 0) {
        im_lmdb.txn = NULL;
        return err;
    }

    mdb_txn_reset(im_lmdb.txn);

    return 0;
}


static int
im_lmdb_open_dbs(ngx_cycle_t *cycle, MDB_txn *txn)
{
    int         err;
    ngx_uint_t  i;

    err = mdb_dbi_open(txn, "im", MDB_CREATE, &im_lmdb.sys);
    if (err != 0) {
        return err;
    }

    err = im_lmdb_schema(cycle, txn);
    if (err != 0) {
        return err;
    }

    for (i = 0; i < IM_T_MAX; i++) {

        if (im_tables[i].name == NULL || im_tables[i].id != i) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                          "table %ui is not in its place", i);
            return EINVAL;
        }

        err = im_lmdb_open_table(txn, &im_tables[i]);
        if (err != 0) {
            return err;
        }
    }

    return 0;
}


static int
im_lmdb_open_table(MDB_txn *txn, im_table_t *table)
{
    int               err;
    ngx_uint_t        i;
    im_lmdb_table_t  *t;

    t = &im_lmdb.tables[table->id];

    err = im_lmdb_open_db(txn, table, NULL, MDB_CREATE, &t->rows);
    if (err != 0) {
        return err;
    }

    if (table->ttl == IM_TTL_ROW || table->ttl == IM_TTL_STREAM) {
        err = im_lmdb_open_db(txn, table, "ttl", MDB_CREATE, &t->ttl);
        if (err != 0) {
            return err;
        }
    }

    if (table->kind == IM_STREAM) {
        err = im_lmdb_open_db(txn, table, "head", MDB_CREATE, &t->head);
        if (err != 0) {
            return err;
        }
    }

    for (i = 0; table->index[i].name; i++) {

        if (i == IM_LMDB_INDEXES) {
            return MDB_DBS_FULL;
        }

        err = im_lmdb_open_db(txn, table, table->index[i].name, MDB_CREATE,
                              &t->index[i]);
        if (err != 0) {
            return err;
        }
    }

    return 0;
}


int
im_lmdb_open_db(MDB_txn *txn, im_table_t *table, const char *name,
    unsigned flags, MDB_dbi *dbi)
{
    char  buf[64];

    if (name) {
        (void) ngx_snprintf((u_char *) buf, sizeof(buf), "%s.%s%Z",
                            table->name, name);

    } else {
        (void) ngx_snprintf((u_char *) buf, sizeof(buf), "%s%Z", table->name);
    }

    return mdb_dbi_open(txn, buf, flags, dbi);
}


static int
im_lmdb_schema(ngx_cycle_t *cycle, MDB_txn *txn)
{
    int       err;
    int64_t   n;
    MDB_val   key, val;

    err = im_lmdb_version(txn, &n);

    if (err == 0) {
        if (n != IM_LMDB_SCHEMA) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "\"%V\" needs migration: its schema has version %L, "
                          "this nginx knows version %d",
                          &im_lmdb.name, n, IM_LMDB_SCHEMA);
            return IM_LMDB_DECLINED;
        }

        return 0;
    }

    if (err != MDB_NOTFOUND) {
        return err;
    }

    n = IM_LMDB_SCHEMA;

    key.mv_data = "schema";
    key.mv_size = sizeof("schema") - 1;
    val.mv_data = &n;
    val.mv_size = sizeof(int64_t);

    return mdb_put(txn, im_lmdb.sys, &key, &val, 0);
}


int
im_lmdb_version(MDB_txn *txn, int64_t *n)
{
    int      err;
    MDB_val  key, val;

    *n = 0;

    key.mv_data = "schema";
    key.mv_size = sizeof("schema") - 1;

    err = mdb_get(txn, im_lmdb.sys, &key, &val);

    if (err == 0 && val.mv_size == sizeof(int64_t)) {
        ngx_memcpy(n, val.mv_data, sizeof(int64_t));
    }

    return err;
}


static void
im_lmdb_exit_process(ngx_cycle_t *cycle)
{
    if (im_lmdb.env == NULL) {
        return;
    }

    if (im_lmdb_check_timer && im_lmdb_check_timer->timer_set) {
        ngx_del_timer(im_lmdb_check_timer);
    }

    im_lmdb_sweep_exit(cycle);
    im_lmdb_commit_exit(cycle);

    mdb_txn_abort(im_lmdb.txn);
    im_lmdb.txn = NULL;

    mdb_env_close(im_lmdb.env);
    im_lmdb.env = NULL;
}


/* A killed worker's reader would keep old pages from being used again. */

static void
im_lmdb_check_handler(ngx_event_t *ev)
{
    int  dead;

    (void) mdb_reader_check(im_lmdb.env, &dead);

    ngx_add_timer(ev, 5000);
}


void
im_lmdb_error(ngx_log_t *log, int err, const char *call)
{
    static time_t  last;

    if (last == ngx_time()) {
        return;
    }

    last = ngx_time();

    ngx_log_error(NGX_LOG_CRIT, log, 0, "%s of \"%V\" failed: %s",
                  call, &im_lmdb.name, mdb_strerror(err));
}


static void
im_lmdb_stat(im_store_stat_t *stat)
{
    MDB_stat     st;
    MDB_envinfo  info;

    if (im_lmdb.env == NULL) {
        return;
    }

    im_lmdb_commit_stat(stat);
    stat->swept = im_lmdb_swept();

    if (mdb_env_info(im_lmdb.env, &info) == 0
        && mdb_env_stat(im_lmdb.env, &st) == 0)
    {
        stat->map_size = info.me_mapsize;
        stat->map_used = (uint64_t) (info.me_last_pgno + 1) * st.ms_psize;
    }
}
