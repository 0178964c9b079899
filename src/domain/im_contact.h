
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CONTACT_H_INCLUDED_
#define _IM_CONTACT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_ctx.h"
#include "core/im_error.h"
#include "domain/im_conv.h"
#include "domain/im_group_row.h"
#include "domain/im_message.h"
#include "domain/im_read.h"


/*
 * Recent contacts: the conversations of an account.  The list is not stored:
 * it is the last rows of the history, overlaid with what the user has set.
 */

#define IM_CONTACT_PAGE    100
#define IM_CONTACT_ITEMS   100       /* conversations of one request */
#define IM_CONTACT_MARKS   64        /* number of marks */
#define IM_CONTACT_CUSTOM  256       /* bytes of CustomMark */


typedef struct {
    im_conv_t          conv;
    int64_t            time;         /* of the last message, or the pin */
    int64_t            cid;          /* the last message, 0: none to show */

    /* set by im_contact_fill() */
    im_message_t       msg;          /* id 0: none */
    im_profile_t       profile;      /* of the peer */
    im_read_t          peer_read;    /* until when the peer has read */
    ngx_uint_t         unread;

    /* of groups, set by im_contact_list(); conv.peer is the GroupId */
    im_group_t        *group;
    im_group_row_t    *row;          /* the last message, seq 0: none */
    int64_t            head;
    int64_t            read;         /* set by im_contact_fill() */
} im_contact_t;


/* How im_contact_list() works. */

#define IM_CONTACT_EMPTY   1         /* also those without a message */
#define IM_CONTACT_PINNED  2         /* pinned ones come first */

/* Pushes the newest conversations, im_contact_t, newest first, at most
 * app->contacts_max; pinned ones are kept before others. */
ngx_int_t im_contact_list(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t flags,
    ngx_array_t *contacts);

/* What is shown of n conversations. */
ngx_int_t im_contact_fill(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_t *contacts, ngx_uint_t n);


/*
 * Pushes conversations that have marks, custom data or groups, im_conv_t, to
 * the array: at most max, after skip others.  Sets *more if there are more.
 */
ngx_int_t im_contact_marked(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t skip,
    ngx_uint_t max, ngx_array_t *convs, ngx_uint_t *more);


/* A conversation that a request names. */

typedef struct {
    int64_t            type;
    ngx_str_t          peer;
    im_code_t          code;         /* why it is left out, or IM_OK */
} im_contact_id_t;

/* Sets the codes: who or what is not there has no conversation. */
im_code_t im_contact_check(im_ctx_t *ctx, im_contact_id_t *ids,
    ngx_uint_t n);

/* For what may be done with a deleted account, too: NGX_DECLINED instead of a
 * code where there is nothing to change. */
im_code_t im_contact_check_old(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *ids, ngx_uint_t n);


/*
 * Changes: each is one commit, and the other instances of the user are told.
 * Conversations whose code is not IM_OK are left out.
 */

/* clear: hides the messages, too. */
im_code_t im_contact_delete(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *ids, ngx_uint_t n, ngx_uint_t clear);

im_code_t im_contact_pin(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *ids, ngx_uint_t n, ngx_uint_t pin);

/* Hides all messages from this one user; tells nobody. */
im_code_t im_contact_clear(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *id);


typedef struct {
    uint64_t           set;          /* bits */
    uint64_t           clear;
    ngx_str_t          custom;       /* data is NULL: leave it */
} im_contact_mark_t;

/* marks[i] for ids[i] */
im_code_t im_contact_mark(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *ids, im_contact_mark_t *marks, ngx_uint_t n);


/* For what else changes rows of conversations. */

#define IM_CONTACT_TRIES  8

typedef struct {
    ngx_uint_t         n;            /* different conversations */
    im_conv_t         *convs;
    im_conv_t        **of;           /* of each id, NULL: left out */
} im_contact_rows_t;

ngx_int_t im_contact_rows(im_ctx_t *ctx, ngx_str_t *user,
    im_contact_id_t *ids, ngx_uint_t n, im_contact_rows_t *rows);

/* Commits with the rows (or NULL) and the event.  NGX_DECLINED: something was
 * changed since it was read. */
ngx_int_t im_contact_commit(im_ctx_t *ctx, ngx_str_t *user, im_batch_t *batch,
    im_contact_rows_t *rows, im_json_t *event);

/* An item of EventArray; *mod is its only RecentContactMod. */
im_json_t *im_contact_event(im_ctx_t *ctx, int64_t type, im_json_t **mod);

im_code_t im_contact_code(ngx_int_t rc);


/* Adds Type, and the peer under the name of its type. */
void im_contact_json(im_json_t *item, int64_t type, ngx_str_t *peer,
    const char *account, const char *group);

/* StandardMark: digits 0 and 1, the last one is mark 0. */
void im_contact_mark_json(im_ctx_t *ctx, im_json_t *item, int64_t marks);


#endif /* _IM_CONTACT_H_INCLUDED_ */
