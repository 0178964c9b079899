
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_callback.h"
#include "domain/im_platform.h"


static im_json_t *im_callback_c2c_body(im_ctx_t *ctx, im_callback_e event,
    im_message_t *msg);
static void im_callback_pair(im_ctx_t *ctx, im_callback_e event,
    im_json_t *body, ngx_str_t *a, ngx_str_t *b, ngx_str_t *unread);
static im_json_t *im_callback_group_send_body(im_ctx_t *ctx,
    im_callback_e event, im_group_t *group, im_group_send_t *send);
static im_json_t *im_callback_group_create_body(im_ctx_t *ctx,
    im_callback_e event, im_group_t *group, im_json_t *members);
static void im_callback_members(im_json_t *body, const char *name,
    ngx_str_t *users, ngx_uint_t n);


ngx_uint_t
im_callback_forbid(im_json_t *list)
{
    im_json_t   *item;
    ngx_uint_t   bits;

    bits = 0;

    im_json_each(item, list) {

        if (item->type != IM_JSON_STR) {
            continue;
        }

        if (im_str_eq_c(&item->u.text, "ForbidBeforeSendMsgCallback")) {
            bits |= IM_FORBID_BEFORE;

        } else if (im_str_eq_c(&item->u.text, "ForbidAfterSendMsgCallback")) {
            bits |= IM_FORBID_AFTER;
        }
    }

    return bits;
}


im_code_t
im_callback_c2c_before(im_ctx_t *ctx, im_message_t *msg, ngx_uint_t *waited)
{
    im_code_t      code;
    im_verdict_t   verdict;

    *waited = 0;

    if (!im_callback_wants(ctx->app, IM_CB_C2C_BEFORE)) {
        return IM_OK;
    }

    code = im_callback_ask(ctx, IM_CB_C2C_BEFORE,
                           im_callback_c2c_body(ctx, IM_CB_C2C_BEFORE, msg),
                           &verdict);

    *waited = verdict.waited;

    if (code != IM_OK) {
        return code;
    }

    return im_callback_rewrite(ctx, IM_CB_C2C_BEFORE, &verdict, 0,
                               &msg->body, &msg->cloud);
}


void
im_callback_c2c_after(im_ctx_t *ctx, im_message_t *msg, im_code_t code)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_C2C_AFTER)) {
        return;
    }

    body = im_callback_c2c_body(ctx, IM_CB_C2C_AFTER, msg);

    im_json_add_int(body, "SendMsgResult", code);

    if (code == IM_OK) {
        im_json_add_cstr(body, "ErrorInfo", "send msg succeed");

    } else {
        im_json_add_str(body, "ErrorInfo", im_error_text(code));
        im_json_add_int(body, "UnreadMsgNum", -1);
    }

    im_callback_pair(ctx, IM_CB_C2C_AFTER, body, &msg->from, &msg->to,
                     (code == IM_OK) ? &msg->to : NULL);
}


static im_json_t *
im_callback_c2c_body(im_ctx_t *ctx, im_callback_e event, im_message_t *msg)
{
    ngx_str_t   key;
    im_json_t  *body;

    if (im_message_key_text(ctx, msg->mseq, msg->rand, msg->time, &key)
        != NGX_OK)
    {
        return NULL;
    }

    body = im_callback_body(ctx, event);

    im_json_add_str(body, "From_Account", &msg->from);
    im_json_add_str(body, "To_Account", &msg->to);
    im_json_add_int(body, "MsgSeq", msg->mseq);
    im_json_add_int(body, "MsgRandom", msg->rand);
    im_json_add_int(body, "MsgTime", msg->time);
    im_json_add_str(body, "MsgKey", &key);
    im_json_add_int(body, "OnlineOnlyFlag",
                    (msg->opts & IM_MSG_ONLINE) ? 1 : 0);
    im_json_add_raw(body, "MsgBody", &msg->body);
    im_json_add_str(body, "CloudCustomData", &msg->cloud);

    return body;
}


void
im_callback_c2c_recall(im_ctx_t *ctx, ngx_str_t *from, ngx_str_t *to,
    im_msg_key_t *key)
{
    ngx_str_t   text;
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_C2C_RECALL)
        || im_message_key_text(ctx, key->mseq, key->rand, key->time, &text)
           != NGX_OK)
    {
        return;
    }

    body = im_callback_body(ctx, IM_CB_C2C_RECALL);

    im_json_add_str(body, "From_Account", from);
    im_json_add_str(body, "To_Account", to);
    im_json_add_str(body, "MsgKey", &text);

    im_callback_pair(ctx, IM_CB_C2C_RECALL, body, from, to, to);
}


void
im_callback_c2c_read(im_ctx_t *ctx, ngx_str_t *user, ngx_str_t *peer,
    int64_t time, int64_t unread)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_C2C_READ)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_C2C_READ);

    im_json_add_str(body, "Report_Account", user);
    im_json_add_str(body, "Peer_Account", peer);
    im_json_add_int(body, "LastReadTime", time);

    if (unread != -1) {
        im_json_add_int(body, "UnreadMsgNum", unread);
    }

    im_callback_pair(ctx, IM_CB_C2C_READ, body, user, peer,
                     (unread == -1) ? user : NULL);
}


/* What concerns two accounts keeps its order, whoever is the sender.  The
 * messages that are unread for one of them are counted when it is sent. */

static void
im_callback_pair(im_ctx_t *ctx, im_callback_e event, im_json_t *body,
    ngx_str_t *a, ngx_str_t *b, ngx_str_t *unread)
{
    u_char              *p;
    ngx_str_t           *swap, lane;
    im_callback_late_t   late;

    if (ngx_memn2cmp(a->data, b->data, a->len, b->len) > 0) {
        swap = a;
        a = b;
        b = swap;
    }

    lane.len = a->len + 1 + b->len;
    lane.data = ngx_pnalloc(ctx->pool, lane.len);

    if (lane.data == NULL) {
        return;
    }

    p = ngx_cpymem(lane.data, a->data, a->len);
    *p++ = LF;
    ngx_memcpy(p, b->data, b->len);

    ngx_memzero(&late, sizeof(im_callback_late_t));

    if (unread) {
        late.unread = *unread;
    }

    im_callback_tell_late(ctx, event, body, &lane, &late);
}


im_code_t
im_callback_group_before_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_verdict_t *verdict)
{
    im_code_t   code;
    im_json_t  *body;

    ngx_memzero(verdict, sizeof(im_verdict_t));

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_BEFORE_SEND)
        || (send->forbid & IM_FORBID_BEFORE))
    {
        return IM_OK;
    }

    body = im_callback_group_send_body(ctx, IM_CB_GROUP_BEFORE_SEND, group,
                                       send);

    code = im_callback_ask(ctx, IM_CB_GROUP_BEFORE_SEND, body, verdict);

    if (code != IM_OK) {
        return code;
    }

    return im_callback_rewrite(ctx, IM_CB_GROUP_BEFORE_SEND, verdict, 1,
                               &send->body, &send->cloud);
}


void
im_callback_group_after_send(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send)
{
    im_json_t  *body;

    if (send->told
        || !im_callback_wants(ctx->app, IM_CB_GROUP_AFTER_SEND)
        || (send->forbid & IM_FORBID_AFTER))
    {
        return;
    }

    body = im_callback_group_send_body(ctx, IM_CB_GROUP_AFTER_SEND, group,
                                       send);

    im_json_add_int(body, "MsgSeq", send->seq);
    im_json_add_int(body, "MsgTime", send->time);

    im_callback_tell(ctx, IM_CB_GROUP_AFTER_SEND, body, &group->gid);
}


void
im_callback_group_refused(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, im_code_t code)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_REFUSED)) {
        return;
    }

    body = im_callback_group_send_body(ctx, IM_CB_GROUP_REFUSED, group, send);

    im_json_add_int(body, "ErrorCode", code);
    im_json_add_str(body, "ErrorInfo", im_error_text(code));

    im_callback_tell(ctx, IM_CB_GROUP_REFUSED, body, &group->gid);
}


void
im_callback_group_sent(im_ctx_t *ctx, im_group_t *group,
    im_group_send_t *send, ngx_str_t *dk)
{
    im_json_t           *body;
    im_callback_late_t   late;

    if (!im_callback_kept(ctx->app)
        || !im_callback_wants(ctx->app, IM_CB_GROUP_AFTER_SEND)
        || (send->forbid & IM_FORBID_AFTER))
    {
        return;
    }

    ngx_memzero(&late, sizeof(im_callback_late_t));
    late.gno = group->gno;
    late.dk = *dk;

    body = im_callback_group_send_body(ctx, IM_CB_GROUP_AFTER_SEND, group,
                                       send);

    im_callback_tell_late(ctx, IM_CB_GROUP_AFTER_SEND, body, &group->gid,
                          &late);

    send->told = 1;
}


static im_json_t *
im_callback_group_send_body(im_ctx_t *ctx, im_callback_e event,
    im_group_t *group, im_group_send_t *send)
{
    im_json_t  *body;

    body = im_callback_body(ctx, event);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "From_Account", &send->from);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_int(body, "Random", send->random);
    im_json_add_int(body, "OnlineOnlyFlag",
                    !group->type->live && (send->opts & IM_MSG_ONLINE));
    im_json_add_raw(body, "MsgBody", &send->body);
    im_json_add_str(body, "CloudCustomData", &send->cloud);

    return body;
}


im_code_t
im_callback_group_before_create(im_ctx_t *ctx, im_group_t *group,
    im_json_t *members)
{
    im_json_t     *body;
    im_verdict_t   verdict;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_BEFORE_CREATE)) {
        return IM_OK;
    }

    body = im_callback_group_create_body(ctx, IM_CB_GROUP_BEFORE_CREATE,
                                         group, members);

    return im_callback_ask(ctx, IM_CB_GROUP_BEFORE_CREATE, body, &verdict);
}


void
im_callback_group_after_create(im_ctx_t *ctx, im_group_t *group,
    im_json_t *members, im_json_t *custom)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_AFTER_CREATE)) {
        return;
    }

    body = im_callback_group_create_body(ctx, IM_CB_GROUP_AFTER_CREATE,
                                         group, members);

    if (ctx->app->group_fields) {

        if (custom) {
            (void) im_json_add_node(body, "UserDefinedDataList", custom);

        } else {
            (void) im_json_add_list(body, "UserDefinedDataList");
        }
    }

    im_callback_tell(ctx, IM_CB_GROUP_AFTER_CREATE, body, &group->gid);
}


static im_json_t *
im_callback_group_create_body(im_ctx_t *ctx, im_callback_e event,
    im_group_t *group, im_json_t *members)
{
    int64_t      created;
    ngx_str_t   *user;
    im_json_t   *body, *item;
    ngx_uint_t   i, n;

    body = im_callback_body(ctx, event);

    if (event == IM_CB_GROUP_AFTER_CREATE) {
        im_json_add_str(body, "GroupId", &group->gid);
    }

    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_str(body, "Owner_Account", &group->owner);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Name", &group->name);

    if (event == IM_CB_GROUP_BEFORE_CREATE) {
        created = im_group_created(ctx, group);
        im_json_add_int(body, "CreatedNum", created);
        im_json_add_int(body, "CreateGroupNum", created);
    }

    user = ngx_palloc(ctx->pool, ((members ? members->n : 0) + 1)
                                 * sizeof(ngx_str_t));
    if (user == NULL) {
        return NULL;
    }

    n = 0;

    im_json_each(item, members) {

        if (im_json_get_str(item, "Member_Account", &user[n]) != NGX_OK) {
            continue;
        }

        for (i = 0; i < n; i++) {
            if (im_str_eq(&user[i], &user[n])) {
                break;
            }
        }

        if (i == n) {
            n++;
        }
    }

    im_callback_members(body, "MemberList", user, n);

    return body;
}


im_code_t
im_callback_group_before_join(im_ctx_t *ctx, im_group_t *group,
    ngx_uint_t *waited)
{
    im_code_t      code;
    im_json_t     *body;
    im_verdict_t   verdict;

    *waited = 0;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_BEFORE_JOIN)) {
        return IM_OK;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_BEFORE_JOIN);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Requestor_Account", &ctx->user);

    code = im_callback_ask(ctx, IM_CB_GROUP_BEFORE_JOIN, body, &verdict);

    *waited = verdict.waited;

    return code;
}


im_code_t
im_callback_group_before_invite(im_ctx_t *ctx, im_group_t *group,
    im_group_new_t *fresh, ngx_uint_t n, ngx_uint_t *waited)
{
    im_code_t      code;
    im_json_t     *body, *list, *item;
    ngx_uint_t     i, k;
    im_verdict_t   verdict;

    *waited = 0;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_BEFORE_INVITE)) {
        return IM_OK;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_BEFORE_INVITE);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    list = im_json_add_list(body, "DestinationMembers");

    k = 0;

    for (i = 0; i < n; i++) {
        if (fresh[i].result == IM_JOIN_ADDED) {
            im_json_add_str(im_json_push_obj(list), "Member_Account",
                            &fresh[i].user);
            k++;
        }
    }

    if (k == 0) {
        return IM_OK;
    }

    code = im_callback_ask(ctx, IM_CB_GROUP_BEFORE_INVITE, body, &verdict);

    *waited = verdict.waited;

    if (code != IM_OK) {
        return code;
    }

    list = im_json_get(verdict.answer, "RefusedMembers_Account");

    im_json_each(item, list) {

        for (i = 0; i < n && item->type == IM_JSON_STR; i++) {
            if (im_str_eq(&fresh[i].user, &item->u.text)) {
                fresh[i].result = IM_JOIN_FAILED;
            }
        }
    }

    return IM_OK;
}


void
im_callback_group_full(im_ctx_t *ctx, im_group_t *group)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_FULL)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_FULL);

    im_json_add_str(body, "GroupId", &group->gid);

    im_callback_tell(ctx, IM_CB_GROUP_FULL, body, &group->gid);
}


void
im_callback_group_joined(im_ctx_t *ctx, im_group_t *group, const char *how,
    ngx_str_t *users, ngx_uint_t n)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_JOINED)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_JOINED);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_cstr(body, "JoinType", how);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_callback_members(body, "NewMemberList", users, n);

    im_callback_tell(ctx, IM_CB_GROUP_JOINED, body, &group->gid);
}


void
im_callback_group_exited(im_ctx_t *ctx, im_group_t *group, const char *how,
    ngx_str_t *users, ngx_uint_t n)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_EXITED)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_EXITED);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_cstr(body, "ExitType", how);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_callback_members(body, "ExitMemberList", users, n);

    im_callback_tell(ctx, IM_CB_GROUP_EXITED, body, &group->gid);
}


void
im_callback_group_destroyed(im_ctx_t *ctx, im_group_t *group,
    ngx_str_t *users, ngx_uint_t n)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_DESTROYED)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_DESTROYED);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Owner_Account", &group->owner);
    im_json_add_str(body, "Name", &group->name);
    im_callback_members(body, "MemberList", users, n);

    im_callback_tell(ctx, IM_CB_GROUP_DESTROYED, body, &group->gid);
}


void
im_callback_group_info(im_ctx_t *ctx, im_group_t *group, im_json_t *info,
    im_json_t *custom)
{
    im_json_t   *body;
    ngx_str_t    value;
    ngx_uint_t   i, n;

    static char  *names[][2] = {
        { "GroupName", "Name" },
        { "GroupIntroduction", "Introduction" },
        { "GroupNotification", "Notification" },
        { "GroupFaceUrl", "FaceUrl" }
    };

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_INFO)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_INFO);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Operator_Account", &ctx->user);

    n = 0;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (im_json_get_str(info, names[i][0], &value) == NGX_OK) {
            im_json_add_str(body, names[i][1], &value);
            n++;
        }
    }

    if (custom && custom->n) {
        (void) im_json_add_node(body, "UserDefinedDataList", custom);
        n++;
    }

    if (n) {
        im_callback_tell(ctx, IM_CB_GROUP_INFO, body, &group->gid);
    }
}


void
im_callback_group_recall(im_ctx_t *ctx, im_group_t *group, int64_t *seqs,
    ngx_uint_t n)
{
    im_json_t   *body, *list;
    ngx_uint_t   i;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_RECALL)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_RECALL);

    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "GroupId", &group->gid);

    list = im_json_add_list(body, "MsgSeqList");

    for (i = 0; i < n; i++) {
        im_json_add_int(im_json_push_obj(list), "MsgSeq", seqs[i]);
    }

    im_callback_tell(ctx, IM_CB_GROUP_RECALL, body, &group->gid);
}


void
im_callback_group_owner(im_ctx_t *ctx, im_group_t *group, ngx_str_t *old,
    ngx_str_t *user)
{
    im_json_t  *body;

    if (!im_callback_wants(ctx->app, IM_CB_GROUP_OWNER)) {
        return;
    }

    body = im_callback_body(ctx, IM_CB_GROUP_OWNER);

    im_json_add_str(body, "GroupId", &group->gid);
    im_json_add_str(body, "Type", &group->type->name);
    im_json_add_str(body, "Operator_Account", &ctx->user);
    im_json_add_str(body, "OldOwner_Account", old);
    im_json_add_str(body, "NewOwner_Account", user);

    im_callback_tell(ctx, IM_CB_GROUP_OWNER, body, &group->gid);
}


static void
im_callback_members(im_json_t *body, const char *name, ngx_str_t *users,
    ngx_uint_t n)
{
    im_json_t   *list;
    ngx_uint_t   i;

    list = im_json_add_list(body, name);

    for (i = 0; i < ngx_min(n, IM_CALLBACK_MEMBERS); i++) {
        im_json_add_str(im_json_push_obj(list), "Member_Account", &users[i]);
    }
}


void
im_callback_state(im_app_t *app, ngx_str_t *user, ngx_uint_t platform,
    ngx_str_t *ip, im_state_e state, ngx_uint_t *kicked, ngx_uint_t n)
{
    im_ctx_t     ctx;
    im_json_t   *body, *info, *list;
    ngx_uint_t   i, style;
    ngx_pool_t  *pool;

    /* in the order of im_class_e */

    static char  *devices[] = {
        "Web", "Android", "iOS", "iPad", "Windows", "Mac"
    };

    /* Action, Reason; the same in the style of 2018 */

    static char  *words[][4] = {
        { "Login", "Register", "Login", "Register" },
        { "Logout", "Unregister", "Logout", "Unregister" },
        { "Disconnect", "LinkClose", "Logout", "LinkClose" },
        { "Disconnect", "TimeOut", "Logout", "Timeout" }
    };

    if (!im_callback_wants(app, IM_CB_STATE)) {
        return;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_memzero(&ctx, sizeof(im_ctx_t));

    ctx.pool = pool;
    ctx.log = ngx_cycle->log;
    ctx.app = app;
    ctx.via = IM_VIA_WEB;
    ctx.platform = platform;
    ctx.ip = *ip;

    body = im_callback_body(&ctx, IM_CB_STATE);
    info = im_json_add_obj(body, "Info");

    style = (app->state_callback_style == IM_STATE_STYLE_2018) ? 2 : 0;

    im_json_add_cstr(info, "Action", words[state][style]);
    im_json_add_str(info, "To_Account", user);
    im_json_add_cstr(info, "Reason", words[state][style + 1]);

    if (n) {
        list = im_json_add_list(body, "KickedDevice");

        for (i = 0; i < n; i++) {
            im_json_add_cstr(im_json_push_obj(list), "Platform",
                             devices[im_platform_class(kicked[i])]);
        }
    }

    im_callback_tell(&ctx, IM_CB_STATE, body, user);

    ngx_destroy_pool(pool);
}
