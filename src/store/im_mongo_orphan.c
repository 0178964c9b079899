
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <signal.h>
#include "core/im_shm.h"
#include "store/im_mongo.h"


/*
 * Transactions of workers that have died.  The server does not know of the
 * death, and would keep the rows that they have written from all others for a
 * minute.  So each worker notes the sessions of its transactions in shared
 * memory, and the one that begins in its place ends them.
 */


#define IM_MONGO_NOTES  2048         /* transactions of all workers at once */
#define IM_MONGO_LSID   16           /* of a session's UUID */


struct im_mongo_note_s {
    ngx_atomic_t       pid;          /* 0: the note is free */
    u_char             lsid[IM_MONGO_LSID];
};


typedef struct {
    im_mongo_note_t    note[IM_MONGO_NOTES];
} im_mongo_notes_t;


static ngx_uint_t im_mongo_orphan_kill(mongoc_client_t *client,
    im_mongo_note_t *note);


static im_mongo_notes_t  *im_mongo_notes;


static im_shm_t  im_mongo_orphan_shm = {
    ngx_string("im_mongo"), sizeof(im_mongo_notes_t), NULL
};


ngx_int_t
im_mongo_orphan_conf(ngx_conf_t *cf)
{
    return im_shm_add(cf, &im_mongo_orphan_shm);
}


void
im_mongo_orphan_init(void)
{
    im_mongo_notes = im_shm_data(&im_mongo_orphan_shm);
}


im_mongo_note_t *
im_mongo_note(mongoc_client_session_t *session)
{
    uint32_t          len;
    ngx_uint_t        i, n;
    bson_iter_t       iter;
    const bson_t     *lsid;
    const uint8_t    *data;
    bson_subtype_t    type;
    im_mongo_note_t  *note;

    if (im_mongo_notes == NULL) {            /* no worker */
        return NULL;
    }

    lsid = mongoc_client_session_get_lsid(session);

    if (!bson_iter_init_find(&iter, lsid, "id")
        || !BSON_ITER_HOLDS_BINARY(&iter))
    {
        return NULL;
    }

    bson_iter_binary(&iter, &type, &len, &data);

    if (len != IM_MONGO_LSID) {
        return NULL;
    }

    n = (ngx_uint_t) ngx_process_slot * 32;

    for (i = 0; i < IM_MONGO_NOTES; i++) {
        note = &im_mongo_notes->note[(n + i) % IM_MONGO_NOTES];

        if (note->pid == 0 && ngx_atomic_cmp_set(&note->pid, 0, ngx_pid)) {
            ngx_memcpy(note->lsid, data, IM_MONGO_LSID);
            return note;
        }
    }

    return NULL;
}


void
im_mongo_note_end(im_mongo_note_t *note)
{
    if (note == NULL) {
        return;
    }

    ngx_memzero(note->lsid, IM_MONGO_LSID);
    ngx_memory_barrier();
    note->pid = 0;
}


void
im_mongo_orphan_end(mongoc_client_t *client)
{
    ngx_uint_t        i, n;
    ngx_atomic_t      pid;
    im_mongo_note_t  *note;

    if (im_mongo_notes == NULL) {
        return;
    }

    n = 0;

    for (i = 0; i < IM_MONGO_NOTES; i++) {
        note = &im_mongo_notes->note[i];
        pid = note->pid;

        if (pid == 0
            || pid == (ngx_atomic_t) ngx_pid
            || kill((pid_t) pid, 0) == 0
            || errno != ESRCH
            || !ngx_atomic_cmp_set(&note->pid, pid, ngx_pid))
        {
            continue;
        }

        n += im_mongo_orphan_kill(client, note);

        im_mongo_note_end(note);
    }

    if (n) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "%ui transactions of a worker that has died were ended",
                      n);
    }
}


static ngx_uint_t
im_mongo_orphan_kill(mongoc_client_t *client, im_mongo_note_t *note)
{
    bool          ok;
    bson_t        command, array, id;
    bson_error_t  error;

    bson_init(&command);
    (void) bson_append_array_begin(&command, "killSessions", -1, &array);
    (void) bson_append_document_begin(&array, "0", -1, &id);
    (void) bson_append_binary(&id, "id", -1, BSON_SUBTYPE_UUID, note->lsid,
                              IM_MONGO_LSID);
    (void) bson_append_document_end(&array, &id);
    (void) bson_append_array_end(&command, &array);

    ok = mongoc_client_command_simple(client, "admin", &command, NULL, NULL,
                                      &error);
    bson_destroy(&command);

    if (!ok) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mongo killSessions failed: %s", error.message);
        return 0;
    }

    return 1;
}
