
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "api/im_sns.h"


/* Commands that read relations. */

#define IM_SNS_LIST       100        /* accounts of friend_get_list */
#define IM_SNS_PAGE       100
#define IM_SNS_TAGS       64
#define IM_SNS_OWN_TAGS   30         /* of friends */


typedef struct {
    ngx_str_t          from;
    im_json_t         *to;
    im_strs_t          tags;
    ngx_str_t          type;
    im_int_t           start;
    im_int_t           std;
    im_int_t           custom;
    im_int_t           time;
    im_int_t           count;
} im_sns_list_req_t;


static im_code_t im_cmd_friend_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_get_all(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_get_list(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_friend_get_specified(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_pendency_get(im_ctx_t *ctx, void *data);
static im_code_t im_cmd_black_list_get(im_ctx_t *ctx, void *data);
static im_code_t im_sns_chosen(im_ctx_t *ctx, im_sns_list_req_t *req,
    ngx_uint_t all);
static im_code_t im_sns_tags(im_ctx_t *ctx, im_sns_e cmd, im_strs_t *tags,
    ngx_uint_t *profile);
static im_code_t im_sns_friends(im_ctx_t *ctx, ngx_str_t *user,
    ngx_uint_t start, ngx_uint_t limit, ngx_array_t *friends,
    im_friend_group_t **groups, ngx_uint_t *n);


static im_field_t  im_friend_get_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("StartIndex"), IM_INT, IM_REQUIRED,
      offsetof(im_sns_list_req_t, start), 0, 4294967295, IM_E_SNS_PARAM, 0 },

    { ngx_string("StandardSequence"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, std), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("CustomSequence"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, custom), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_get_all_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("TimeStamp"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, time), 0, 4294967295, IM_E_SNS_PARAM, 0 },

    { ngx_string("StartIndex"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, start), 0, 4294967295, IM_E_SNS_PARAM, 0 },

    { ngx_string("TagList"), IM_STRS, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, tags), 0, IM_SNS_TAGS, IM_E_SNS_PARAM, 0 },

    { ngx_string("LastStandardSequence"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, std), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("GetCount"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, count), 0, 1000, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_friend_get_list_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("To_Account"), IM_LIST, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, to), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("TagList"), IM_STRS, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, tags), 0, IM_SNS_TAGS, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_pendency_get_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("PendencyType"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, type), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("StartTime"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, start), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("MaxLimited"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, count), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


static im_field_t  im_black_list_get_fields[] = {

    { ngx_string("From_Account"), IM_STR, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, from), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("StartIndex"), IM_INT, IM_REQUIRED,
      offsetof(im_sns_list_req_t, start), 0, 4294967295, IM_E_SNS_PARAM, 0 },

    { ngx_string("MaxLimited"), IM_INT, IM_REQUIRED,
      offsetof(im_sns_list_req_t, count), 0, 0, IM_E_SNS_PARAM, 0 },

    { ngx_string("LastSequence"), IM_INT, IM_OPTIONAL,
      offsetof(im_sns_list_req_t, std), 0, 0, IM_E_SNS_PARAM, 0 },

      im_null_field
};


im_command_t  im_cmd_sns_list[] = {

    { ngx_string("sns"), ngx_string("friend_get"),
      im_cmd_friend_get, IM_SNS_BY,
      im_friend_get_fields, sizeof(im_sns_list_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_get_all"),
      im_cmd_friend_get_all, IM_SNS_BY,
      im_friend_get_all_fields, sizeof(im_sns_list_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_get_list"),
      im_cmd_friend_get_list, IM_SNS_BY,
      im_friend_get_list_fields, sizeof(im_sns_list_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("friend_get_specified"),
      im_cmd_friend_get_specified, IM_SNS_BY,
      im_friend_get_list_fields, sizeof(im_sns_list_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("pendency_get"),
      im_cmd_pendency_get, IM_SNS_BY,
      im_pendency_get_fields, sizeof(im_sns_list_req_t), 0, 0 },

    { ngx_string("sns"), ngx_string("black_list_get"),
      im_cmd_black_list_get, IM_SNS_BY,
      im_black_list_get_fields, sizeof(im_sns_list_req_t), 0, 0 },

      im_null_command
};


static im_code_t
im_cmd_friend_get(im_ctx_t *ctx, void *data)
{
    im_sns_list_req_t  *req = data;

    ngx_str_t           user;
    im_code_t           code;
    im_json_t          *list, *item;
    ngx_uint_t          i, n, what, more;
    ngx_array_t         friends;
    im_friend_t        *row;
    im_rel_count_t      count;
    im_friend_group_t  *groups;

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (im_rel_count(ctx, &user, &count) != NGX_OK) {
        return IM_E_SNS_INTERNAL;
    }

    what = IM_FRIEND_STD|IM_FRIEND_CUSTOM;

    /* the SDK sends the sequences of the first page with the second */

    if (req->start.value == 0) {

        if (req->std.set && req->std.value == count.std) {
            what &= ~IM_FRIEND_STD;
        }

        if (req->custom.set && req->custom.value == count.custom) {
            what &= ~IM_FRIEND_CUSTOM;
        }

        if (what == IM_FRIEND_CUSTOM && count.custom == 0) {
            what = 0;
        }
    }

    list = im_json_add_list(ctx->reply, "UserDataItem");
    more = 0;

    if (what) {
        code = im_sns_friends(ctx, &user, req->start.value,
                              ctx->app->friend_page + 1, &friends, &groups,
                              &n);
        if (code != IM_OK) {
            return code;
        }

        if (friends.nelts > (ngx_uint_t) ctx->app->friend_page) {
            friends.nelts--;
            more = 1;
        }

        row = friends.elts;

        for (i = 0; i < friends.nelts; i++) {
            item = im_json_push_obj(list);

            im_json_add_str(item, "To_Account", &row[i].peer);
            im_friend_json(ctx, im_json_add_list(item, "ValueItem"), &row[i],
                           groups, n, what);
        }
    }

    im_json_add_int(ctx->reply, "StandardSequence", count.std);
    im_json_add_int(ctx->reply, "CustomSequence", count.custom);
    im_json_add_int(ctx->reply, "FriendNum", count.friends);
    im_json_add_int(ctx->reply, "CompleteFlag", !more);
    im_json_add_int(ctx->reply, "NextStartIndex",
                    more ? req->start.value + ctx->app->friend_page : 0);

    return IM_OK;
}


static im_code_t
im_cmd_friend_get_all(im_ctx_t *ctx, void *data)
{
    im_sns_list_req_t  *req = data;

    ngx_str_t           user, *peers;
    im_code_t           code;
    im_json_t          *list, *item, *values;
    ngx_uint_t          i, n, limit, more, profile;
    ngx_array_t         friends;
    im_friend_t        *row;
    im_profile_t       *profiles;
    im_rel_count_t      count;
    im_friend_group_t  *groups;

    code = im_sns_tags(ctx, IM_SNS_FRIEND_GET_ALL, &req->tags, &profile);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (im_rel_count(ctx, &user, &count) != NGX_OK) {
        return IM_E_SNS_INTERNAL;
    }

    limit = req->count.value ? req->count.value : IM_SNS_PAGE;
    more = 0;

    list = im_json_add_list(ctx->reply, "InfoItem");

    if (req->time.value == 0
        || profile
        || !req->std.set
        || req->std.value != count.std)
    {
        code = im_sns_friends(ctx, &user, req->start.value, limit + 1,
                              &friends, &groups, &n);
        if (code != IM_OK) {
            return code;
        }

        if (friends.nelts > limit) {
            friends.nelts = limit;
            more = 1;
        }

        row = friends.elts;

        peers = ngx_palloc(ctx->pool,
                           (friends.nelts + 1) * sizeof(ngx_str_t));
        profiles = ngx_pcalloc(ctx->pool,
                               (friends.nelts + 1) * sizeof(im_profile_t));

        if (peers == NULL || profiles == NULL) {
            return IM_E_SNS_INTERNAL;
        }

        for (i = 0; i < friends.nelts; i++) {
            peers[i] = row[i].peer;
        }

        if (profile
            && im_profile_get_many(ctx, peers, friends.nelts, profiles)
               != NGX_OK)
        {
            return IM_E_SNS_INTERNAL;
        }

        for (i = 0; i < friends.nelts; i++) {
            item = im_json_push_obj(list);

            im_json_add_str(item, "Info_Account", &row[i].peer);
            values = im_json_add_list(item, "SnsProfileItem");

            if (req->tags.n) {
                im_friend_tags_json(ctx, values, &row[i], groups, n,
                                    &profiles[i], req->tags.elts,
                                    req->tags.n);

            } else {
                im_friend_json(ctx, values, &row[i], groups, n,
                               IM_FRIEND_STD|IM_FRIEND_CUSTOM);
            }
        }
    }

    im_json_add_cstr(ctx->reply, "NeedUpdateAll", "GetAll_Type_YES");
    im_json_add_int(ctx->reply, "TimeStampNow", ngx_time());
    im_json_add_int(ctx->reply, "StartIndex",
                    more ? req->start.value + (int64_t) limit : 0);
    im_json_add_int(ctx->reply, "CurrentStandardSequence", count.std);
    im_json_add_int(ctx->reply, "FriendNum", count.friends);

    return IM_OK;
}


static im_code_t
im_cmd_friend_get_list(im_ctx_t *ctx, void *data)
{
    return im_sns_chosen(ctx, data, 0);
}


static im_code_t
im_cmd_friend_get_specified(im_ctx_t *ctx, void *data)
{
    return im_sns_chosen(ctx, data, 1);
}


/* all: every field of friend and profile, and more accounts. */

static im_code_t
im_sns_chosen(im_ctx_t *ctx, im_sns_list_req_t *req, ngx_uint_t all)
{
    ngx_str_t           user, *peers, nick;
    im_code_t           code;
    im_pair_t          *pairs;
    im_json_t          *list, *item, *values;
    ngx_uint_t          i, k, m, n, ngroups, profile;
    im_friend_group_t  *groups;

    code = im_sns_tags(ctx, IM_SNS_FRIEND_GET_LIST, &req->tags, &profile);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_accounts(ctx, IM_SNS_FRIEND_GET_LIST, req->to,
                           all ? IM_SNS_ACCOUNTS : IM_SNS_LIST, &peers,
                           NULL, &n);
    if (code != IM_OK) {
        return code;
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    pairs = ngx_palloc(ctx->pool, IM_REL_CHUNK * sizeof(im_pair_t));

    if (pairs == NULL
        || im_rel_read_groups(ctx, &user, &groups, &ngroups) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    ngx_str_set(&nick, "Tag_Profile_IM_Nick");

    list = im_json_add_list(ctx->reply, "InfoItem");

    for (i = 0; i < n; i += m) {
        m = ngx_min(n - i, IM_REL_CHUNK);

        if (im_rel_pairs(ctx, &user, &peers[i], m, pairs) != NGX_OK
            || im_rel_profiles(ctx, pairs, m) != NGX_OK)
        {
            return IM_E_SNS_INTERNAL;
        }

        for (k = 0; k < m; k++) {

            if (pairs[k].mine.version == 0) {
                im_sns_result(ctx, IM_SNS_FRIEND_GET_LIST, list,
                              &peers[i + k],
                              pairs[k].exists ? IM_REL_NO_FRIEND
                                              : IM_REL_ACCOUNT);
                continue;
            }

            item = im_json_push_obj(list);

            im_json_add_str(item, "To_Account", &peers[i + k]);
            values = im_json_add_list(item, "SnsProfileItem");

            if (req->tags.n && !all) {
                im_friend_tags_json(ctx, values, &pairs[k].mine, groups,
                                    ngroups, &pairs[k].profile,
                                    req->tags.elts, req->tags.n);

            } else {
                im_friend_json(ctx, values, &pairs[k].mine, groups, ngroups,
                               IM_FRIEND_STD|IM_FRIEND_CUSTOM);

                if (all) {
                    im_profile_json(ctx, values, &pairs[k].profile);

                } else {
                    im_profile_tags_json(ctx, values, &pairs[k].profile,
                                         &nick, 1);
                }
            }

            im_json_add_int(item, "ResultCode", 0);
            im_json_add_cstr(item, "ResultInfo", "");
        }
    }

    return IM_OK;
}


static im_code_t
im_cmd_pendency_get(im_ctx_t *ctx, void *data)
{
    im_sns_list_req_t  *req = data;

    int64_t          next;
    ngx_str_t        user;
    im_code_t        code;
    im_json_t       *list, *item;
    ngx_uint_t       i, n, dirs, unread, limit;
    ngx_array_t      requests;
    im_profile_t     profile;
    im_request_t    *row;
    im_rel_count_t   count;

    if (im_str_eq_c(&req->type, "Pendency_Type_ComeIn")) {
        dirs = IM_REQ_IN;

    } else if (im_str_eq_c(&req->type, "Pendency_Type_SendOut")) {
        dirs = IM_REQ_OUT;

    } else if (im_str_eq_c(&req->type, "Pendency_Type_Both")) {
        dirs = IM_REQ_IN|IM_REQ_OUT;

    } else {
        ngx_str_set(&ctx->info, "\"PendencyType\" is illegal");
        return im_sns_code(ctx, IM_SNS_PENDENCY_GET, IM_REL_TYPE);
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&requests, ctx->pool, 16, sizeof(im_request_t))
        != NGX_OK
        || im_rel_count(ctx, &user, &count) != NGX_OK
        || im_pendency_list(ctx, &user, 0, &requests) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    /* the SDK replaces its list by each answer, and asks for "Both" once */

    limit = req->count.value > 0 ? (ngx_uint_t) req->count.value
                                 : IM_SNS_PAGE;

    if (dirs == (IM_REQ_IN|IM_REQ_OUT)) {
        limit = NGX_MAX_INT_T_VALUE;
    }

    row = requests.elts;
    list = im_json_add_list(ctx->reply, "PendencyItem");
    unread = 0;
    next = 0;
    n = 0;

    for (i = 0; i < requests.nelts; i++) {

        if (row[i].dir == IM_REQ_IN && row[i].added > count.reported) {
            unread++;
        }

        if (!(row[i].dir & dirs) || row[i].added < req->start.value || next) {
            continue;
        }

        /* a page ends with the last of a second, where the next begins */

        if (n >= limit && row[i].added != row[i - 1].added) {
            next = row[i].added;
            continue;
        }

        n++;

        if (im_profile_get(ctx, &row[i].peer, &profile) != NGX_OK) {
            return IM_E_SNS_INTERNAL;
        }

        item = im_json_push_obj(list);

        im_json_add_str(item, "To_Account", &row[i].peer);
        im_json_add_int(item, "AddTime", row[i].added);
        im_json_add_str(item, "AddSource", &row[i].source);
        im_json_add_str(item, "AddWording", &row[i].wording);
        im_json_add_str(item, "Nick", &profile.nick);
        im_json_add_str(item, "Image", &profile.face);
        im_json_add_cstr(item, "PendencyType", row[i].dir == IM_REQ_IN
                                               ? "Pendency_Type_ComeIn"
                                               : "Pendency_Type_SendOut");
    }

    im_json_add_int(ctx->reply, "StartTime", next);
    im_json_add_int(ctx->reply, "UnreadPendencyCount", unread);
    im_json_add_int(ctx->reply, "CurrentSequence", count.pendency);

    return IM_OK;
}


static im_code_t
im_cmd_black_list_get(im_ctx_t *ctx, void *data)
{
    im_sns_list_req_t  *req = data;

    ngx_str_t        user;
    im_code_t        code;
    im_json_t       *list, *item;
    ngx_uint_t       i, limit, more;
    im_black_t      *row;
    ngx_array_t      blacks;
    im_rel_count_t   count;

    if (req->count.value < 1 || req->count.value > IM_SNS_ACCOUNTS) {
        ngx_str_set(&ctx->info, "\"MaxLimited\" is not 1 to 1000");
        return im_sns_code(ctx, IM_SNS_BLACK_GET, IM_REL_COUNT);
    }

    code = im_sns_from(ctx, &req->from, &user);
    if (code != IM_OK) {
        return code;
    }

    if (ngx_array_init(&blacks, ctx->pool, 16, sizeof(im_black_t)) != NGX_OK
        || im_rel_count(ctx, &user, &count) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    list = im_json_add_list(ctx->reply, "BlackListItem");
    more = 0;

    if (req->start.value
        || req->std.value == 0
        || req->std.value != count.black)
    {
        /* web SDK 2.x asks for one page only */

        limit = (ctx->via == IM_VIA_WEB)
                ? (ngx_uint_t) ctx->app->blacklist_max
                : (ngx_uint_t) req->count.value;

        if (im_black_list(ctx, &user, req->start.value, limit + 1, &blacks)
            != NGX_OK)
        {
            return IM_E_SNS_INTERNAL;
        }

        if (blacks.nelts > limit) {
            blacks.nelts = limit;
            more = req->start.value + limit;
        }

        row = blacks.elts;

        for (i = 0; i < blacks.nelts; i++) {
            item = im_json_push_obj(list);

            im_json_add_str(item, "To_Account", &row[i].peer);
            im_json_add_int(item, "AddBlackTimeStamp", row[i].added);
            im_json_add_str(item, "Black_Account", &row[i].peer);
            im_json_add_int(item, "BlackTimeStamp", row[i].added);
        }
    }

    im_json_add_int(ctx->reply, "StartIndex", more);
    im_json_add_int(ctx->reply, "CurruentSequence", count.black);
    im_json_add_int(ctx->reply, "CurrentSequence", count.black);

    return IM_OK;
}


/* Whether the caller may ask for them; *profile: some are of the profile. */

static im_code_t
im_sns_tags(im_ctx_t *ctx, im_sns_e cmd, im_strs_t *tags,
    ngx_uint_t *profile)
{
    ngx_uint_t  i, own;

    *profile = 0;
    own = 0;

    for (i = 0; i < tags->n; i++) {

        if (im_profile_is_tag(&tags->elts[i])) {

            if (im_profile_may_read(ctx, &tags->elts[i]) != IM_OK) {
                ngx_str_set(&ctx->info, "a Tag is unknown or not readable");
                return im_sns_code(ctx, cmd, IM_REL_PARAM);
            }

            *profile = 1;
            continue;
        }

        if (!im_friend_may_read(ctx, &tags->elts[i])) {
            ngx_str_set(&ctx->info, "a Tag is unknown or not readable");
            return im_sns_code(ctx, cmd, IM_REL_PARAM);
        }

        own++;
    }

    if (own > IM_SNS_OWN_TAGS) {
        ngx_str_set(&ctx->info, "more than 30 Tags of friends");
        return im_sns_code(ctx, cmd, IM_REL_TAGS);
    }

    return IM_OK;
}


static im_code_t
im_sns_friends(im_ctx_t *ctx, ngx_str_t *user, ngx_uint_t start,
    ngx_uint_t limit, ngx_array_t *friends, im_friend_group_t **groups,
    ngx_uint_t *n)
{
    if (ngx_array_init(friends, ctx->pool, 64, sizeof(im_friend_t)) != NGX_OK
        || im_rel_read_groups(ctx, user, groups, n) != NGX_OK
        || im_friend_list(ctx, user, start, limit, friends) != NGX_OK)
    {
        return IM_E_SNS_INTERNAL;
    }

    return IM_OK;
}
