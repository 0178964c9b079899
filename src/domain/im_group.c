
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_co.h"
#include "core/im_fault.h"
#include "core/im_str.h"
#include "live/im_room.h"
#include "domain/im_account.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group.h"
#include "domain/im_group_attr.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_gone.h"
#include "domain/im_group_invite.h"
#include "domain/im_group_join.h"
#include "domain/im_group_list.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_pend.h"
#include "domain/im_group_quota.h"
#include "domain/im_group_room.h"
#include "domain/im_group_tip.h"
#include "domain/im_word.h"


#define IM_GROUP_TRIES      8
#define IM_GROUP_GNO_BLOCK  1000
#define IM_GROUP_PAGE       500      /* members read at once */
#define IM_GROUP_GONE       5        /* slices before the answer */


/* Numbers reserved for this worker, by app. */

typedef struct im_gno_block_s  im_gno_block_t;

struct im_gno_block_s {
    ngx_uint_t          app;
    int64_t             next;
    int64_t             last;
    im_gno_block_t     *link;
};


static im_code_t im_group_end(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t report);
static ngx_int_t im_group_end_users(im_ctx_t *ctx, im_group_t *group,
    ngx_array_t *users);
static im_code_t im_group_load_row(im_ctx_t *ctx, ngx_str_t *gid,
    ngx_uint_t cached, im_group_t *group);
static im_code_t im_group_gno_row(im_ctx_t *ctx, int64_t gno, im_row_t *row);
static ngx_int_t im_group_gno(im_ctx_t *ctx, int64_t *gno);
static ngx_int_t im_group_assign(im_ctx_t *ctx, im_group_t *group);
static im_code_t im_group_taken(im_ctx_t *ctx, im_group_t *group);
static void im_group_created_key(im_ctx_t *ctx, im_group_t *group,
    im_key_t *key);
static void im_group_apply_text(ngx_str_t *dst, ngx_str_t *src,
    const char *name, im_json_t *info);
static im_doc_t *im_group_doc(im_ctx_t *ctx, im_group_t *group);


static im_gno_block_t  *im_gno_blocks;


static im_record_t  im_group_record[] = {
    { ngx_string("gid"), IM_COL_STR, offsetof(im_group_t, gid) },
    { ngx_string("gno"), IM_COL_INT, offsetof(im_group_t, gno) },
    { ngx_string("type"), IM_COL_STR, offsetof(im_group_t, type_name) },
    { ngx_string("name"), IM_COL_STR, offsetof(im_group_t, name) },
    { ngx_string("intro"), IM_COL_STR, offsetof(im_group_t, intro) },
    { ngx_string("notice"), IM_COL_STR, offsetof(im_group_t, notice) },
    { ngx_string("face"), IM_COL_STR, offsetof(im_group_t, face) },
    { ngx_string("owner"), IM_COL_STR, offsetof(im_group_t, owner) },
    { ngx_string("created"), IM_COL_INT, offsetof(im_group_t, created) },
    { ngx_string("info_seq"), IM_COL_INT, offsetof(im_group_t, info_seq) },
    { ngx_string("info_time"), IM_COL_INT, offsetof(im_group_t, info_time) },
    { ngx_string("apply"), IM_COL_INT, offsetof(im_group_t, apply) },
    { ngx_string("invite"), IM_COL_INT, offsetof(im_group_t, invite) },
    { ngx_string("shut"), IM_COL_INT, offsetof(im_group_t, shut) },
    { ngx_string("max_member"), IM_COL_INT,
      offsetof(im_group_t, max_member) },
    { ngx_string("idle"), IM_COL_INT, offsetof(im_group_t, idle) },
    { ngx_string("custom"), IM_COL_STR, offsetof(im_group_t, custom) },
    { ngx_string("owner_card"), IM_COL_STR,
      offsetof(im_group_t, owner_card) },
    { ngx_string("owner_flag"), IM_COL_INT,
      offsetof(im_group_t, owner_flag) },
      im_null_record
};


ngx_uint_t
im_group_syntax(ngx_str_t *gid)
{
    return gid->len != 0 && gid->len <= IM_GROUP_ID_MAX
           && im_str_printable(gid);
}


im_code_t
im_group_load(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    return im_group_load_row(ctx, gid, 1, group);
}


im_code_t
im_group_load_fresh(im_ctx_t *ctx, ngx_str_t *gid, im_group_t *group)
{
    return im_group_load_row(ctx, gid, 0, group);
}


static im_code_t
im_group_load_row(im_ctx_t *ctx, ngx_str_t *gid, ngx_uint_t cached,
    im_group_t *group)
{
    im_key_t   key;
    im_row_t   row;
    ngx_int_t  rc;

    if (!im_group_syntax(gid)) {
        return IM_E_GROUP_ID;
    }

    im_group_key(ctx, gid, &key);

    rc = cached ? im_cache_get(ctx, IM_T_GROUP, &key, &row)
                : im_store_get(ctx, IM_T_GROUP, &key, &row);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_NONE;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    ngx_memzero(group, sizeof(im_group_t));
    im_record_load(&row, im_group_record, group);

    group->version = row.version;
    group->type = im_group_type(ctx->app, &group->type_name);

    if (group->type == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->log, 0,
                      "group \"%V\" is of unknown type \"%V\"",
                      &group->gid, &group->type_name);
        return IM_E_GROUP_INTERNAL;
    }

    return IM_OK;
}


im_code_t
im_group_load_gno(im_ctx_t *ctx, int64_t gno, im_group_t *group)
{
    im_row_t   row;
    im_code_t  code;
    ngx_str_t  gid;

    code = im_group_gno_row(ctx, gno, &row);
    if (code != IM_OK) {
        return code;
    }

    if (im_row_str(&row, "gid", &gid) != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    code = im_group_load(ctx, &gid, group);

    if (code == IM_OK && group->gno != gno) {
        return IM_E_GROUP_NONE;
    }

    return code;
}


im_code_t
im_group_exists(im_ctx_t *ctx, int64_t gno)
{
    im_row_t  row;

    return im_group_gno_row(ctx, gno, &row);
}


static im_code_t
im_group_gno_row(im_ctx_t *ctx, int64_t gno, im_row_t *row)
{
    im_key_t   key;
    ngx_int_t  rc;

    im_key_init(&key, ctx->app->id);
    im_key_int(&key, gno);

    rc = im_cache_get(ctx, IM_T_GNO, &key, row);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_NONE;
    }

    return (rc == NGX_OK) ? IM_OK : im_group_code(rc);
}


void
im_group_expect(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group)
{
    im_key_t  key;

    im_key_init(&key, ctx->app->id);
    im_key_int(&key, group->gno);

    im_store_expect(batch, IM_T_GNO, &key, -1);
}


void
im_group_key(im_ctx_t *ctx, ngx_str_t *gid, im_key_t *key)
{
    im_key_init(key, ctx->app->id);
    im_key_str(key, gid);
}


void
im_group_put(im_ctx_t *ctx, im_batch_t *batch, im_group_t *group)
{
    im_key_t  key;

    im_group_key(ctx, &group->gid, &key);

    im_store_replace(batch, IM_T_GROUP, &key, group->version,
                     im_group_doc(ctx, group));
}


im_code_t
im_group_create(im_ctx_t *ctx, im_group_t *group, im_group_new_t *members,
    ngx_uint_t n, im_group_given_t *given)
{
    im_key_t             key, gno, count, created;
    im_doc_t            *doc;
    ngx_int_t            rc;
    im_code_t            code;
    ngx_uint_t           i, k, m, tries, assign, row, block;
    im_batch_t          *batch;
    im_group_quota_t     quota;
    im_group_notice_t    notice;
    im_group_noticed_t  *noticed;

    assign = (group->gid.len == 0);

    noticed = ngx_palloc(ctx->pool, (n + 1) * sizeof(im_group_noticed_t));
    if (noticed == NULL) {
        return IM_E_GROUP_INTERNAL;
    }

    if (im_word_dirty(ctx, &group->name)
        || im_word_dirty(ctx, &group->intro)
        || im_word_dirty(ctx, &group->notice))
    {
        return IM_E_DIRTY;
    }

    if (group->created == 0) {
        group->created = ngx_time();
    }

    group->type_name = group->type->name;
    group->info_time = group->created;
    group->info_seq = 1;

    rc = im_group_gno(ctx, &group->gno);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_key_init(&gno, ctx->app->id);
    im_key_int(&gno, group->gno);

    im_group_created_key(ctx, group, &created);

    for (tries = 0; tries < IM_GROUP_TRIES; tries++) {

        if (assign && im_group_assign(ctx, group) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        im_group_key(ctx, &group->gid, &key);

        doc = im_doc(ctx->pool);
        im_doc_str(doc, "gid", &group->gid);
        im_doc_str(doc, "type", &group->type_name);

        batch = im_store_batch(ctx, IM_ATOMIC);

        row = im_store_insert(batch, IM_T_GROUP, &key,
                              im_group_doc(ctx, group));
        im_store_insert(batch, IM_T_GNO, &gno, doc);
        im_store_add(batch, IM_T_COUNT, &created, "value", 1, 0,
                     NGX_MAX_INT_T_VALUE);
        im_group_quota_add(ctx, batch, group, &quota);

        block = group->type->live
                ? im_group_room_block_add(ctx, batch, group) : 0;

        m = 0;

        for (i = 0; i < n; i++) {
            m += (members[i].result == IM_JOIN_ADDED);
        }

        if (m) {
            im_group_count_key(ctx, group, &count);
            im_store_add(batch, IM_T_COUNT, &count, "value", m, 0,
                         NGX_MAX_INT32_VALUE);
        }

        im_group_join_add(ctx, batch, group, members, n, 0);

        ngx_memzero(&notice, sizeof(im_group_notice_t));
        notice.report = IM_REPORT_INVITED;
        notice.from = group->owner;

        k = 0;

        for (i = 0; i < n && !group->idle; i++) {
            if (members[i].result == IM_JOIN_ADDED
                && !im_str_eq(&members[i].user, &group->owner)
                && im_group_notice_add(ctx, batch, group, &members[i].user,
                                       &notice, &noticed[k++])
                   != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }
        }

        im_callback_stage(ctx, batch);

        if (given) {
            im_callback_group_after_create(ctx, group, given->members,
                                           given->custom);
        }

        rc = im_cache_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            im_fault("after_commit");

            if (group->type->live) {
                im_group_room_block_take(ctx, group, batch->ops[block].result);
            }

            im_group_notice_tell(ctx, batch, noticed, k);

            for (i = 0; i < n; i++) {
                if (members[i].result == IM_JOIN_ADDED) {
                    im_group_joined_hint(ctx, group->gno, &members[i].user,
                                         1);
                }
            }

            group->version = 1;

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        code = im_group_quota_code(ctx, batch, group, &quota);
        if (code != IM_OK) {
            return code;
        }

        i = im_group_join_over(batch, members, n);

        if (i < n) {

            /* he was not in too many a moment ago */

            if (im_str_eq(&members[i].user, &group->owner)) {
                return IM_E_GROUP_JOINED_QUOTA;
            }

            members[i].result = IM_JOIN_OVER;
            continue;
        }

        if (batch->failed != row) {
            return IM_E_GROUP_INTERNAL;
        }

        if (!assign) {
            return im_group_taken(ctx, group);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


static im_code_t
im_group_taken(im_ctx_t *ctx, im_group_t *group)
{
    im_group_t  other;

    if (im_group_load_fresh(ctx, &group->gid, &other) == IM_OK
        && other.owner.len && im_str_eq(&other.owner, &group->owner))
    {
        return IM_E_GROUP_TAKEN_OWN;
    }

    return IM_E_GROUP_TAKEN;
}


/* "@TGS#" and letters and digits; live rooms begin with "a". */

static ngx_int_t
im_group_assign(im_ctx_t *ctx, im_group_t *group)
{
    u_char      *p;
    uint64_t     n;
    ngx_uint_t   i;

    static u_char  digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    p = ngx_pnalloc(ctx->pool, sizeof("@TGS#a") + 12);
    if (p == NULL) {
        return NGX_ERROR;
    }

    group->gid.data = p;

    p = ngx_cpymem(p, "@TGS#", 5);

    if (group->type->live) {
        *p++ = 'a';
    }

    n = ((uint64_t) ngx_random() << 32) ^ ((uint64_t) ngx_random() << 16)
        ^ (uint64_t) ngx_random() ^ ((uint64_t) ngx_pid << 40)
        ^ ((uint64_t) group->gno << 20);

    for (i = 0; i < 11; i++) {
        *p++ = digits[n % 36];
        n /= 36;
    }

    group->gid.len = p - group->gid.data;

    return NGX_OK;
}


static ngx_int_t
im_group_gno(im_ctx_t *ctx, int64_t *gno)
{
    im_key_t         key;
    ngx_int_t        rc;
    ngx_str_t        kind;
    ngx_uint_t       op;
    im_batch_t      *batch;
    im_gno_block_t  *block;

    for (block = im_gno_blocks; block; block = block->link) {
        if (block->app == ctx->app->id) {
            break;
        }
    }

    if (block == NULL) {
        block = ngx_calloc(sizeof(im_gno_block_t), ctx->log);
        if (block == NULL) {
            return NGX_ERROR;
        }

        block->app = ctx->app->id;
        block->next = 1;
        block->link = im_gno_blocks;
        im_gno_blocks = block;
    }

    if (block->next > block->last) {

        ngx_str_set(&kind, "gno");

        im_key_init(&key, ctx->app->id);
        im_key_str(&key, &kind);
        im_key_str(&key, &kind);

        batch = im_store_batch(ctx, IM_ATOMIC);
        op = im_store_add(batch, IM_T_COUNT, &key, "value",
                          IM_GROUP_GNO_BLOCK, 0, NGX_MAX_INT_T_VALUE);

        rc = im_store_commit(ctx, batch);
        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_ERROR : rc;
        }

        /* whoever waited at the same time has reserved a block, too: the
         * last one is used */

        block->last = batch->ops[op].result;
        block->next = block->last - IM_GROUP_GNO_BLOCK + 1;
    }

    *gno = block->next++;

    return NGX_OK;
}


static void
im_group_created_key(im_ctx_t *ctx, im_group_t *group, im_key_t *key)
{
    ngx_str_t  kind, id, *user;
    u_char     buf[IM_KEY_LEN];

    ngx_str_set(&kind, "created");

    user = group->owner.len ? &group->owner : &ctx->user;

    id.data = buf;
    id.len = ngx_snprintf(buf, sizeof(buf), "%V\n%V", &group->type->name,
                          user)
             - buf;

    im_key_init(key, ctx->app->id);
    im_key_str(key, &kind);
    im_key_str(key, &id);
}


int64_t
im_group_created(im_ctx_t *ctx, im_group_t *group)
{
    int64_t   n;
    im_key_t  key;
    im_row_t  row;

    n = 0;
    im_group_created_key(ctx, group, &key);

    if (im_store_get(ctx, IM_T_COUNT, &key, &row) == NGX_OK) {
        (void) im_row_int(&row, "value", &n);
    }

    return n;
}


im_code_t
im_group_modify(im_ctx_t *ctx, im_group_t *group, im_group_changes_t *ch)
{
    im_key_t         key;
    im_code_t        code;
    ngx_int_t        rc;
    ngx_str_t        gid;
    im_json_t       *info, *custom, *shown;
    ngx_uint_t       tries, changed;
    im_batch_t      *batch;
    im_group_tip_t   tip;

    if (im_word_dirty(ctx, &ch->name)
        || im_word_dirty(ctx, &ch->intro)
        || im_word_dirty(ctx, &ch->notice))
    {
        return IM_E_DIRTY;
    }

    gid = group->gid;

    for (tries = 0; tries < IM_GROUP_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        info = im_json_new_obj(ctx->pool);
        changed = 0;

        im_group_apply_text(&group->name, &ch->name, "GroupName", info);
        im_group_apply_text(&group->intro, &ch->intro, "GroupIntroduction",
                            info);
        im_group_apply_text(&group->notice, &ch->notice, "GroupNotification",
                            info);
        im_group_apply_text(&group->face, &ch->face, "GroupFaceUrl", info);

        if (ch->apply >= 0 && ch->apply != group->apply
            && group->type->apply_allowed)
        {
            group->apply = ch->apply;
            im_json_add_str(info, "GroupApplyJoinOption",
                            im_group_apply_word(ch->apply));
        }

        if (ch->invite >= 0 && !group->type->live
            && (ngx_uint_t) ch->invite != im_group_invite(group))
        {
            group->invite = ch->invite;
            im_json_add_str(info, "InviteJoinOption",
                            im_group_invite_word(ch->invite));
        }

        if (ch->shut >= 0 && ch->shut != group->shut) {
            group->shut = ch->shut;
            im_json_add_int(info, "ShutupAll", ch->shut);
        }

        if (ch->max_member >= 0 && group->type->max_member
            && ch->max_member != group->max_member)
        {
            group->max_member = ch->max_member;
            changed = 1;
        }

        if (im_group_custom_put(ctx, &group->custom, ch->custom, &custom)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        changed |= (custom->n != 0);

        shown = im_group_custom_readable(ctx, group, IM_CUSTOM_GROUP, custom,
                                         NULL, group->type->guest_read
                                               ? IM_GROUP_NOBODY
                                               : IM_GROUP_MEMBER, 0);

        if (shown == NULL || shown->n) {
            (void) im_json_add_node(info, "MsgAppDefinedData", shown);
        }

        if (im_json_failed(info)) {
            return IM_E_GROUP_INTERNAL;
        }

        if (info->n == 0 && !changed) {
            return IM_OK;
        }

        group->info_seq++;
        group->info_time = ngx_time();

        im_group_key(ctx, &gid, &key);

        batch = im_store_batch(ctx, IM_ATOMIC);
        im_store_replace(batch, IM_T_GROUP, &key, group->version,
                         im_group_doc(ctx, group));

        tip.body = NULL;

        if (info->n) {
            im_group_tip_info(ctx, group, info, &tip);

            if (im_group_tip_add(ctx, batch, group, &tip) != NGX_OK) {
                return IM_E_GROUP_INTERNAL;
            }
        }

        im_callback_stage(ctx, batch);
        im_callback_group_info(ctx, group, info, custom);

        rc = im_cache_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            im_group_tip_tell(ctx, group, &tip);

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


static void
im_group_apply_text(ngx_str_t *dst, ngx_str_t *src, const char *name,
    im_json_t *info)
{
    if (src->data == NULL || im_str_eq(dst, src)) {
        return;
    }

    *dst = *src;
    im_json_add_str(info, name, src);
}


im_code_t
im_group_destroy(im_ctx_t *ctx, im_group_t *group)
{
    return im_group_end(ctx, group, IM_REPORT_DESTROY);
}


im_code_t
im_group_recycle(im_ctx_t *ctx, im_group_t *group)
{
    return im_group_end(ctx, group, IM_REPORT_RECYCLED);
}


static im_code_t
im_group_end(im_ctx_t *ctx, im_group_t *group, ngx_uint_t report)
{
    im_key_t      key, gno;
    im_job_t      job;
    ngx_int_t     rc;
    ngx_uint_t    i;
    im_batch_t   *batch;
    ngx_array_t   users;

    rc = im_group_end_users(ctx, group, &users);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_group_key(ctx, &group->gid, &key);

    im_key_init(&gno, ctx->app->id);
    im_key_int(&gno, group->gno);

    batch = im_store_batch(ctx, IM_ATOMIC);

    /* the group's number is in no other row: the GroupId may be in use by
     * another group already */

    im_store_expect(batch, IM_T_GNO, &gno, -1);
    im_store_delete(batch, IM_T_GROUP, &key);
    im_store_delete(batch, IM_T_GNO, &gno);
    im_group_quota_delete(ctx, batch, group);

    if (group->type->live) {
        im_group_room_block_delete(ctx, batch, group);

    } else if (im_group_gone_add(ctx, batch, group, report, &job)
               != NGX_OK) {
        return IM_E_GROUP_INTERNAL;
    }

    im_group_attr_delete_all(ctx, batch, group);

    im_callback_stage(ctx, batch);
    im_callback_group_destroyed(ctx, group, users.elts, users.nelts);

    rc = im_cache_commit(ctx, batch);

    im_callback_committed(ctx, rc);

    if (rc == NGX_DECLINED) {
        return IM_E_GROUP_NONE;
    }

    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    im_fault("before_publish");

    if (!group->type->live) {

        for (i = 0; i < IM_GROUP_GONE; i++) {
            if (im_group_gone_step(ctx, &job) != NGX_AGAIN) {
                break;
            }
        }

        im_job_start(ctx, &job.id);

        return IM_OK;
    }

    im_group_notice_room(ctx, group, report, NULL);
    im_room_close(ctx->app->id, group->gno);

    /* nobody asks for them any more, and they expire */

    im_group_mute_delete_all(ctx, group);
    im_group_pend_delete_all(ctx, group);

    return IM_OK;
}


/* Those that the app is told of. */

static ngx_int_t
im_group_end_users(im_ctx_t *ctx, im_group_t *group, ngx_array_t *users)
{
    im_key_t           last;
    ngx_int_t          rc;
    im_members_walk_t  walk;

    if (ngx_array_init(users, ctx->pool, 16, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (group->type->live
        || !im_callback_wants(ctx->app, IM_CB_GROUP_DESTROYED))
    {
        return NGX_OK;
    }

    last.len = 0;

    walk.users = users;
    walk.last = &last;
    walk.admins = 0;

    do {
        rc = im_group_members(ctx, group->gno, &walk, IM_GROUP_PAGE);

    } while (rc == NGX_OK && walk.n == IM_GROUP_PAGE
             && users->nelts < IM_CALLBACK_MEMBERS);

    return rc;
}


static im_doc_t *
im_group_doc(im_ctx_t *ctx, im_group_t *group)
{
    return im_record_doc(ctx->pool, im_group_record, group);
}


im_code_t
im_group_code(ngx_int_t rc)
{
    return (rc == NGX_OK) ? IM_OK : IM_E_GROUP_INTERNAL;
}
