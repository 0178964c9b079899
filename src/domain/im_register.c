
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "core/im_str.h"
#include "core/im_task.h"
#include "domain/im_account.h"
#include "domain/im_register.h"


#define IM_REGISTER_SALT  16
#define IM_REGISTER_HASH  32


typedef struct {
    ngx_str_t          password;
    u_char             salt[IM_REGISTER_SALT];
    u_char             hash[IM_REGISTER_HASH];
    int                ok;
} im_register_task_t;


static ngx_uint_t im_register_syntax(ngx_str_t *user, ngx_uint_t type);
static void im_register_hash(void *data);


im_code_t
im_register(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t type,
    ngx_str_t *password)
{
    im_key_t             key;
    im_doc_t            *doc;
    ngx_int_t            rc;
    ngx_str_t            name, salt, hash, text;
    im_batch_t          *batch;
    im_account_t         account;
    im_register_task_t  *task;

    if (!im_register_syntax(user, type)) {
        return IM_E_REGISTER_TYPE;
    }

    name.len = user->len;
    name.data = ngx_pnalloc(ctx->pool, name.len);

    task = ngx_pcalloc(ctx->pool, sizeof(im_register_task_t));

    if (name.data == NULL || task == NULL) {
        return IM_E_REGISTER_RETRY;
    }

    ngx_strlow(name.data, user->data, user->len);

    rc = im_account_get(ctx, &name, &account);

    if (rc == NGX_OK) {
        ngx_str_set(&ctx->info, "the account exists already");
        return IM_E_LOGIN_PARAM;
    }

    if (rc != NGX_DECLINED) {
        return IM_E_REGISTER_RETRY;
    }

    task->password = *password;

    if (RAND_bytes(task->salt, IM_REGISTER_SALT) != 1
        || im_task_run(im_register_hash, task) != NGX_OK
        || !task->ok)
    {
        return IM_E_REGISTER_RETRY;
    }

    salt.data = task->salt;
    salt.len = IM_REGISTER_SALT;
    hash.data = task->hash;
    hash.len = IM_REGISTER_HASH;

    if (im_str_hex(ctx->pool, &text, &salt) != NGX_OK) {
        return IM_E_REGISTER_RETRY;
    }

    doc = im_doc(ctx->pool);

    im_doc_str(doc, "salt", &text);

    if (im_str_hex(ctx->pool, &text, &hash) != NGX_OK) {
        return IM_E_REGISTER_RETRY;
    }

    im_doc_str(doc, "hash", &text);

    /* the password first: an account without one could be taken over */

    im_key_init(&key, ctx->app->id);
    im_key_str(&key, &name);

    batch = im_store_batch(ctx, IM_ATOMIC);

    im_store_insert(batch, IM_T_PASSWORD, &key, doc);

    rc = im_store_commit(ctx, batch);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&ctx->info, "the account exists already");
        return IM_E_LOGIN_PARAM;
    }

    if (rc != NGX_OK || im_account_create(ctx, &name, 0, &account) != NGX_OK) {
        return IM_E_REGISTER_RETRY;
    }

    return IM_OK;
}


static ngx_uint_t
im_register_syntax(ngx_str_t *user, ngx_uint_t type)
{
    u_char      *p, *last, *at;
    ngx_uint_t   digits;

    p = user->data;
    last = p + user->len;

    switch (type) {

    case IM_REGISTER_PHONE:

        if (user->len < 4 || ngx_strncmp(p, "86-", 3) != 0) {
            return 0;
        }

        for (p += 3; p < last; p++) {
            if (*p < '0' || *p > '9') {
                return 0;
            }
        }

        return 1;

    case IM_REGISTER_EMAIL:

        at = ngx_strlchr(p, last, '@');

        return at != NULL && at > p && ngx_strlchr(at, last, '.') != NULL
               && im_str_printable(user);

    default:
        digits = 1;

        for ( /* void */ ; p < last; p++) {

            if (*p >= '0' && *p <= '9') {
                continue;
            }

            digits = 0;

            if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') {
                continue;
            }

            if (*p != '.' && *p != '_') {
                return 0;
            }
        }

        return !digits;
    }
}


static void
im_register_hash(void *data)
{
    im_register_task_t  *task = data;

    task->ok = EVP_PBE_scrypt((char *) task->password.data,
                              task->password.len, task->salt,
                              IM_REGISTER_SALT, 16384, 8, 1, 64 << 20,
                              task->hash, IM_REGISTER_HASH)
               == 1;

    /* else the end of this thread meets OpenSSL's own clean-up at exit */

    OPENSSL_thread_stop();
}
