
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_lane.h"
#include "core/im_stat.h"
#include "core/im_str.h"
#include "live/im_rate.h"
#include "live/im_zone.h"
#include "domain/im_account.h"
#include "domain/im_callback.h"
#include "domain/im_group_member.h"
#include "domain/im_group_message.h"
#include "domain/im_group_mute.h"
#include "domain/im_group_speak.h"
#include "domain/im_message.h"
#include "domain/im_word.h"


#define IM_KEY_SENDER_RATE  (IM_KEY_OTHER + 10)


im_code_t
im_group_speak_check(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *card, ngx_uint_t *exempt)
{
    ngx_int_t           rc;
    im_code_t           code;
    im_group_role_e     role;
    im_group_mute_t     mute;
    im_group_member_t   m;

    ngx_str_set(card, "");

    if (!group->type->live) {

        rc = im_group_member_get(ctx, group, &send->from, &m);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return im_group_code(rc);
        }

        *card = m.card;

    } else if (im_str_eq(&send->from, &group->owner)) {
        *card = group->owner_card;
    }

    code = send->forged ? im_group_role_of(ctx, group, &send->from, &role)
                        : im_group_role(ctx, group, &role);
    if (code != IM_OK) {
        return code;
    }

    if (send->forged && im_account_is_admin(ctx->app, &send->from)) {
        role = IM_GROUP_APP;
    }

    *exempt = (role >= IM_GROUP_ADMIN);

    if (role == IM_GROUP_NOBODY && !send->forged) {
        ngx_str_set(&ctx->info, "the sender is not a member");
        return IM_E_GROUP_RIGHT;
    }

    if (!group->type->members_speak && role != IM_GROUP_APP) {
        ngx_str_set(&ctx->info, "only administrators of the app speak here");
        return IM_E_GROUP_RIGHT;
    }

    if (ctx->role == IM_ROLE_ADMIN && !send->forged) {
        return IM_OK;
    }

    if (group->shut && role < IM_GROUP_ADMIN) {
        ngx_str_set(&ctx->info, "the whole group is muted");
        return IM_E_GROUP_MUTED;
    }

    rc = im_group_mute_get(ctx, group, &send->from, &mute);
    if (rc != NGX_OK) {
        return im_group_code(rc);
    }

    return (mute.until > ngx_time()) ? IM_E_GROUP_MUTED : IM_OK;
}


im_code_t
im_group_speak_sender(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send)
{
    u_char     key[IM_ZONE_KEY_LEN];
    ngx_str_t  parts[2];

    if (ctx->app->sender_rate == 0
        || (ctx->role == IM_ROLE_ADMIN && !send->forged))
    {
        return IM_OK;
    }

    parts[0].data = (u_char *) &group->gno;
    parts[0].len = sizeof(int64_t);
    parts[1] = send->from;

    im_zone_key(key, ctx->app->id, IM_KEY_SENDER_RATE, parts, 2);

    if (im_rate_take(key, ctx->app->sender_rate, ctx->app->sender_rate,
                     ngx_current_msec)
        != NGX_OK)
    {
        return IM_E_GROUP_SENDER_FREQ;
    }

    return IM_OK;
}


im_code_t
im_group_speak_ask(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_str_t *card, ngx_uint_t *exempt)
{
    int64_t        gno;
    im_code_t      code;
    ngx_int_t      rc;
    ngx_str_t      gid;
    im_verdict_t   verdict;

    if (!(send->opts & IM_MSG_NO_CHECK)
        && im_word_dirty_message(ctx, &send->body))
    {
        return IM_E_DIRTY;
    }

    code = im_callback_group_before_send(ctx, group, send, &verdict);

    if (code != IM_OK) {
        send->refused = 1;
        return code;
    }

    rc = im_lane_wait(ctx->lane, send->opts & IM_MSG_ONLINE,
                      IM_SEND_LANE + im_callback_time(ctx->app,
                                                    IM_CB_GROUP_BEFORE_SEND));
    if (rc == NGX_BUSY) {
        return im_group_code(rc);
    }

    if (!verdict.waited && rc == NGX_OK) {
        return IM_OK;
    }

    gid = group->gid;
    gno = group->gno;

    code = im_group_load(ctx, &gid, group);

    if (code == IM_OK && group->gno != gno) {
        code = IM_E_GROUP_NONE;
    }

    if (code == IM_OK) {
        code = im_group_speak_check(ctx, group, send, card, exempt);
    }

    if (verdict.drop) {
        send->seq = 0;
        send->dropped = IM_DROPPED_APP;
    }

    return code;
}


ngx_int_t
im_group_speak_rate(im_ctx_t *ctx, im_group_t *group, im_group_send_t *send,
    ngx_uint_t exempt)
{
    im_room_limits_t  limits;

    ngx_memzero(&limits, sizeof(im_room_limits_t));
    limits.total = group->type->rates[IM_ROOM_HIGH];
    limits.prio[IM_ROOM_NORMAL] = group->type->rates[IM_ROOM_NORMAL];
    limits.prio[IM_ROOM_LOW] = group->type->rates[IM_ROOM_LOW];
    limits.prio[IM_ROOM_LOWEST] = group->type->rates[IM_ROOM_LOWEST];

    if (im_room_rate(ctx->app->id, group->gno, send->prio, exempt, &limits)
        == NGX_OK)
    {
        return NGX_OK;
    }

    send->seq = 0;
    send->dropped = IM_DROPPED_RATE;

    im_stat_add(IM_STAT_REFUSED + send->prio, 1);

    return NGX_DECLINED;
}
