
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_fault.h"
#include "core/im_str.h"
#include "domain/im_cache.h"
#include "domain/im_callback.h"
#include "domain/im_group_custom.h"
#include "domain/im_group_member_edit.h"
#include "domain/im_group_notice.h"
#include "domain/im_group_tip.h"


#define IM_MEMBER_TRIES  16


im_code_t
im_group_member_modify(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user,
    im_member_changes_t *ch)
{
    im_key_t             key;
    ngx_int_t            rc;
    im_code_t            code;
    im_json_t           *custom;
    ngx_uint_t           tries, role, flag, card;
    im_batch_t          *batch;
    im_group_member_t    m;
    im_group_notice_t    notice;
    im_group_tip_t       tip;
    im_group_noticed_t   noticed;

    for (tries = 0; tries < IM_MEMBER_TRIES; tries++) {

        rc = im_group_member_get_many(ctx, group, user, 1, &m);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (m.version == 0) {
            ngx_str_set(&ctx->info, "not a member");
            return IM_E_GROUP_RIGHT;
        }

        if (ch->role != -1 && m.role == IM_GROUP_OWNER) {
            ngx_str_set(&ctx->info, "\"Role\" of the owner");
            return IM_E_GROUP_PARAM;
        }

        role = (ch->role != -1 && ch->role != m.role);
        flag = (ch->flag != -1 && ch->flag != m.flag);
        card = (ch->card.data != NULL && !im_str_eq(&ch->card, &m.card));

        if (im_group_custom_put(ctx, &m.custom, ch->custom, &custom)
            != NGX_OK)
        {
            return IM_E_GROUP_INTERNAL;
        }

        if (!role && !flag && !card && custom->n == 0) {
            return IM_OK;
        }

        if (role) {
            m.role = ch->role;
        }

        if (flag) {
            m.flag = ch->flag;
        }

        if (card) {
            m.card = ch->card;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_member_put(ctx, batch, group, &m);

        ngx_memzero(&notice, sizeof(im_group_notice_t));

        if (role) {

            /* who is the owner is in the group's row */

            im_group_key(ctx, &group->gid, &key);
            im_store_expect(batch, IM_T_GROUP, &key, group->version);

            notice.report = (m.role == IM_GROUP_ADMIN) ? IM_REPORT_ADMIN
                                                       : IM_REPORT_NO_ADMIN;

            if (im_group_notice_add(ctx, batch, group, user, &notice,
                                    &noticed)
                != NGX_OK)
            {
                return IM_E_GROUP_INTERNAL;
            }

            im_group_tip_users(ctx, group, (m.role == IM_GROUP_ADMIN)
                                           ? IM_TIP_ADMIN : IM_TIP_NO_ADMIN,
                               user, 1, 0, &tip);

            if (im_group_tip_add(ctx, batch, group, &tip) != NGX_OK) {
                return IM_E_GROUP_INTERNAL;
            }
        }

        im_callback_stage(ctx, batch);
        im_callback_group_member(ctx, group, user,
                                 role ? im_group_role_word(m.role) : NULL,
                                 card ? &m.card : NULL);

        rc = im_cache_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (role) {
                im_group_notice_tell(ctx, batch, &noticed, 1);
                im_group_tip_tell(ctx, group, &tip);
            }

            if (flag) {
                notice.report = IM_REPORT_FLAG;
                notice.flag = *im_group_msg_flag_word(m.flag);

                im_group_notice_hint(ctx, group, user, &notice,
                                     im_str_eq(user, &ctx->user) ? ctx->inst
                                                                 : 0);
                im_group_joined_hint(ctx, group->gno, user, 1);
            }

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        code = im_group_load_fresh(ctx, &group->gid, group);
        if (code != IM_OK) {
            return code;
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_owner_modify(im_ctx_t *ctx, im_group_t *group,
    im_member_changes_t *ch)
{
    ngx_int_t           rc;
    im_code_t           code;
    ngx_str_t           gid;
    ngx_uint_t          tries, flag, card;
    im_batch_t         *batch;
    im_group_notice_t   notice;

    gid = group->gid;

    for (tries = 0; tries < IM_MEMBER_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        flag = (ch->flag != -1 && ch->flag + 1 != group->owner_flag);
        card = (ch->card.data != NULL
                && !im_str_eq(&ch->card, &group->owner_card));

        if (!flag && !card) {
            return IM_OK;
        }

        if (flag) {
            group->owner_flag = ch->flag + 1;
        }

        if (card) {
            group->owner_card = ch->card;
        }

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_put(ctx, batch, group);

        im_callback_stage(ctx, batch);
        im_callback_group_member(ctx, group, &group->owner, NULL,
                                 card ? &group->owner_card : NULL);

        rc = im_cache_commit(ctx, batch);

        im_callback_committed(ctx, rc);

        if (rc == NGX_OK) {
            im_fault("before_publish");

            if (flag) {
                ngx_memzero(&notice, sizeof(im_group_notice_t));

                notice.report = IM_REPORT_FLAG;
                notice.flag = *im_group_msg_flag_word(ch->flag);

                im_group_notice_hint(ctx, group, &group->owner, &notice,
                                     im_str_eq(&group->owner, &ctx->user)
                                     ? ctx->inst : 0);
            }

            return IM_OK;
        }

        if (rc != NGX_DECLINED) {
            return im_group_code(rc);
        }
    }

    return IM_E_GROUP_INTERNAL;
}


im_code_t
im_group_owner_set(im_ctx_t *ctx, im_group_t *group, ngx_str_t *user)
{
    ngx_int_t            rc;
    im_code_t            code;
    ngx_str_t            gid, old;
    im_json_t           *info;
    ngx_uint_t           tries;
    im_batch_t          *batch;
    im_group_tip_t       tip;
    im_group_member_t    m;

    gid = group->gid;

    for (tries = 0; tries < IM_MEMBER_TRIES; tries++) {

        code = im_group_load_fresh(ctx, &gid, group);
        if (code != IM_OK) {
            return code;
        }

        rc = im_group_member_get_many(ctx, group, user, 1, &m);
        if (rc != NGX_OK) {
            return im_group_code(rc);
        }

        if (m.version == 0) {
            ngx_str_set(&ctx->info, "the new owner is not a member");
            return IM_E_GROUP_RIGHT;
        }

        if (im_str_eq(&group->owner, user)) {
            return IM_OK;
        }

        /* the owner's row says member: what he is, once he is the owner no
         * longer */

        m.role = IM_GROUP_MEMBER;

        old = group->owner;

        group->owner = *user;
        group->info_seq++;
        group->info_time = ngx_time();

        batch = im_store_batch(ctx, IM_ATOMIC);

        im_group_put(ctx, batch, group);
        im_group_member_put(ctx, batch, group, &m);

        info = im_json_new_obj(ctx->pool);
        im_json_add_str(info, "Owner_Account", user);
        im_group_tip_info(ctx, group, info, &tip);

        if (im_group_tip_add(ctx, batch, group, &tip) != NGX_OK) {
            return IM_E_GROUP_INTERNAL;
        }

        im_callback_stage(ctx, batch);
        im_callback_group_owner(ctx, group, &old, user);

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
