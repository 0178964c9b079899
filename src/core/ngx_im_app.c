
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "core/im_usersig.h"
#include "core/ngx_im_module.h"


#define IM_KEY_FILE_SIZE    8192
#define IM_WORDS_FILE_SIZE  1048576


static void ngx_im_app_free_key(void *data);
static ngx_uint_t ngx_im_app_rights(u_char *name);


char *
ngx_im_app_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    char        *rv;
    void       **ctx;
    im_app_t    *app;
    ngx_int_t    id;
    ngx_str_t   *value, *admin;
    ngx_conf_t   save;

    value = cf->args->elts;

    id = ngx_atoi(value[1].data, value[1].len);

    if (id == NGX_ERROR || id == 0 || id > IM_APP_ID_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid app \"%V\", it must be a number such as "
                           "1400000001", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (im_conf_app(imcf, id)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate app \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    app = ngx_array_push(&imcf->apps);
    if (app == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(app, sizeof(im_app_t));

    ngx_im_app_init(app);
    app->id = id;

    if (ngx_array_init(&app->admins, cf->pool, 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ctx = ngx_pcalloc(cf->temp_pool, ngx_max_module * sizeof(void *));
    if (ctx == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx[ngx_im_module.index] = app;

    save = *cf;

    cf->ctx = ctx;
    cf->cmd_type = NGX_IM_APP_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (app->key.len == 0 && app->public_key.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"key\" in \"app %ui\", write: "
                           "key \"64 secret characters\"; or "
                           "key file:PATH; or public_key PATH;", app->id);
        return NGX_CONF_ERROR;
    }

    if (app->admins.nelts == 0) {
        admin = ngx_array_push(&app->admins);
        if (admin == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_set(admin, "administrator");
    }

    return NGX_CONF_OK;
}


char *
ngx_im_app_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_app_t  *app = conf;

    u_char     *p;
    ngx_str_t  *value, name;

    if (app->key.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "file:", 5) != 0) {
        app->key = value[1];

    } else {
        name.data = value[1].data + 5;
        name.len = value[1].len - 5;

        if (ngx_im_app_read_file(cf, &name, &app->key, IM_KEY_FILE_SIZE,
                                 "with a secret of 64 random characters")
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        p = ngx_strlchr(app->key.data, app->key.data + app->key.len, LF);

        if (p) {
            app->key.len = p - app->key.data;
        }

        if (app->key.len && app->key.data[app->key.len - 1] == CR) {
            app->key.len--;
        }
    }

    if (app->key.len == 0) {
        return "is empty, it must be a secret of 64 random characters";
    }

    return NGX_CONF_OK;
}


char *
ngx_im_app_public_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_app_t  *app = conf;

    ngx_str_t           *value;
    ngx_pool_cleanup_t  *cln;

    if (app->public_key.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_im_app_read_file(cf, &value[1], &app->public_key,
                             IM_KEY_FILE_SIZE,
                             "with the public key in PEM form")
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    app->pkey = im_usersig_load_public(&app->public_key);

    if (app->pkey == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no EC public key in \"%V\", it must begin with "
                           "\"-----BEGIN PUBLIC KEY-----\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_im_app_free_key;
    cln->data = app->pkey;

    return NGX_CONF_OK;
}


static void
ngx_im_app_free_key(void *data)
{
    EVP_PKEY_free(data);
}


char *
ngx_im_app_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_app_t  *app = conf;

    ngx_str_t   *value, *admin;
    ngx_uint_t   i, n;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || value[i].len > 32) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid admin \"%V\", it must have 1 to 32 "
                               "bytes", &value[i]);
            return NGX_CONF_ERROR;
        }

        admin = app->admins.elts;

        for (n = 0; n < app->admins.nelts; n++) {
            if (admin[n].len == value[i].len
                && ngx_strcmp(admin[n].data, value[i].data) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "duplicate admin \"%V\"", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        if (app->admins.nelts == IM_APP_ADMINS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "too many admins, \"%V\" is one more than %d",
                               &value[i], IM_APP_ADMINS);
            return NGX_CONF_ERROR;
        }

        admin = ngx_array_push(&app->admins);
        if (admin == NULL) {
            return NGX_CONF_ERROR;
        }

        *admin = value[i];
    }

    return NGX_CONF_OK;
}


/* profile_field Team type=string read=user,admin write=admin; */

char *
ngx_im_app_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t       *value;
    ngx_uint_t       i, k;
    ngx_array_t    **fields;
    im_app_field_t  *field, *f;

    fields = (ngx_array_t **) ((u_char *) conf + cmd->offset);

    if (*fields == NGX_CONF_UNSET_PTR) {
        *fields = ngx_array_create(cf->pool, 4, sizeof(im_app_field_t));
        if (*fields == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (k = 0; k < value[1].len; k++) {
        if ((u_char) ((value[1].data[k] | 0x20) - 'a') > 'z' - 'a') {
            break;
        }
    }

    if (value[1].len == 0 || value[1].len > 8 || k < value[1].len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\", it must be 1 to 8 letters",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    f = (*fields)->elts;

    for (i = 0; i < (*fields)->nelts; i++) {
        if (f[i].name.len == value[1].len
            && ngx_strcmp(f[i].name.data, value[1].data) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate name \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    if ((*fields)->nelts == IM_APP_FIELDS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many fields, \"%V\" is one more than %d",
                           &value[1], IM_APP_FIELDS);
        return NGX_CONF_ERROR;
    }

    field = ngx_array_push(*fields);
    if (field == NULL) {
        return NGX_CONF_ERROR;
    }

    field->name = value[1];
    field->type = IM_FIELD_STR;
    field->read = IM_FIELD_USER|IM_FIELD_ADMIN;
    field->write = IM_FIELD_USER|IM_FIELD_ADMIN;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "type=string") == 0
            || ngx_strcmp(value[i].data, "type=bytes") == 0)
        {
            field->type = IM_FIELD_STR;

        } else if (ngx_strcmp(value[i].data, "type=int") == 0) {
            field->type = IM_FIELD_INT;

        } else if (ngx_strncmp(value[i].data, "read=", 5) == 0) {
            field->read = ngx_im_app_rights(value[i].data + 5);

        } else if (ngx_strncmp(value[i].data, "write=", 6) == 0) {
            field->write = ngx_im_app_rights(value[i].data + 6);

        } else {
            field->read = 0;
        }

        if (field->read == 0 || field->write == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* 0: no such rights */

static ngx_uint_t
ngx_im_app_rights(u_char *name)
{
    if (ngx_strcmp(name, "user") == 0) {
        return IM_FIELD_USER;
    }

    if (ngx_strcmp(name, "admin") == 0) {
        return IM_FIELD_ADMIN;
    }

    if (ngx_strcmp(name, "user,admin") == 0
        || ngx_strcmp(name, "admin,user") == 0)
    {
        return IM_FIELD_USER|IM_FIELD_ADMIN;
    }

    return 0;
}


/* A file with a word in each line; lines that begin with "#" are comments. */

char *
ngx_im_app_dirty_words(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char        *p, *end, *last;
    ngx_str_t     *value, *word, text;
    ngx_array_t  **words;

    words = (ngx_array_t **) ((u_char *) conf + cmd->offset);

    if (*words != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_im_app_read_file(cf, &value[1], &text, IM_WORDS_FILE_SIZE,
                             "with a word in each line")
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    *words = ngx_array_create(cf->pool, 64, sizeof(ngx_str_t));
    if (*words == NULL) {
        return NGX_CONF_ERROR;
    }

    last = text.data + text.len;

    for (p = text.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        text.data = p;
        text.len = end - p;

        im_str_trim(&text);

        if (text.len == 0 || text.data[0] == '#') {
            continue;
        }

        if (text.len > IM_WORD_LEN || !im_str_utf8(text.data, text.len)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid word \"%V\" in \"%V\", it must "
                               "have 1 to %d bytes of UTF-8", &text,
                               &value[1], IM_WORD_LEN);
            return NGX_CONF_ERROR;
        }

        word = ngx_array_push(*words);
        if (word == NULL) {
            return NGX_CONF_ERROR;
        }

        *word = text;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_im_app_read_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text,
    size_t max, char *what)
{
    u_char    *p;
    ssize_t    n;
    ngx_fd_t   fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed, make this file "
                           "%s", name, what);
        return NGX_ERROR;
    }

    p = ngx_pnalloc(cf->pool, max + 1);

    if (p == NULL) {
        n = NGX_ERROR;

    } else {
        n = ngx_read_fd(fd, p, max + 1);

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", name);

        } else if ((size_t) n > max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is longer than %uz bytes, it is not "
                               "a file %s", name, max, what);
            n = NGX_ERROR;
        }
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n < 0) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = n;

    return NGX_OK;
}


void
ngx_im_app_init(im_app_t *app)
{
    app->allow_account_delete = NGX_CONF_UNSET;
    app->rest_rich_media = NGX_CONF_UNSET;
    app->allow_utf8_userid = NGX_CONF_UNSET;
    app->blacklist_report = NGX_CONF_UNSET;
    app->check_friend = NGX_CONF_UNSET;
    app->login_creates_account = NGX_CONF_UNSET;
    app->hosted_accounts = NGX_CONF_UNSET;

    app->message_size = NGX_CONF_UNSET_SIZE;
    app->web_instances = NGX_CONF_UNSET;
    app->multi_device = NGX_CONF_UNSET_UINT;

    app->rate = NGX_CONF_UNSET;
    app->rate_app = NGX_CONF_UNSET;
    app->group_rate = NGX_CONF_UNSET;
    app->group_rate_normal = NGX_CONF_UNSET;
    app->group_rate_low = NGX_CONF_UNSET;
    app->group_rate_lowest = NGX_CONF_UNSET;
    app->tip_rate = NGX_CONF_UNSET;
    app->sender_rate = NGX_CONF_UNSET;
    app->group_recall = NGX_CONF_UNSET;

    app->groups_day_max = NGX_CONF_UNSET;
    app->groups_joined_max = NGX_CONF_UNSET;
    app->avchatrooms_max = NGX_CONF_UNSET;
    app->bchatrooms_max = NGX_CONF_UNSET;

    app->dedup_c2c = NGX_CONF_UNSET;
    app->dedup_group = NGX_CONF_UNSET;
    app->history = NGX_CONF_UNSET;
    app->recall_time = NGX_CONF_UNSET;

    app->hello_interval = NGX_CONF_UNSET_MSEC;
    app->ws_timeout = NGX_CONF_UNSET_MSEC;
    app->poll_hold = NGX_CONF_UNSET_MSEC;
    app->poll_announce = NGX_CONF_UNSET_MSEC;

    app->sig_failures = NGX_CONF_UNSET;
    app->sig_block = NGX_CONF_UNSET_MSEC;

    app->notices_max = NGX_CONF_UNSET;
    app->notices_life = NGX_CONF_UNSET;
    app->contacts_max = NGX_CONF_UNSET;
    app->outbox_max = NGX_CONF_UNSET;
    app->outbox_life = NGX_CONF_UNSET;
    app->unread_max = NGX_CONF_UNSET;
    app->history_page = NGX_CONF_UNSET;

    app->friends_max = NGX_CONF_UNSET;
    app->friend_groups_max = NGX_CONF_UNSET;
    app->blacklist_max = NGX_CONF_UNSET;
    app->pendency_max = NGX_CONF_UNSET;
    app->recommend_max = NGX_CONF_UNSET;
    app->friend_page = NGX_CONF_UNSET;
    app->friend_rate = NGX_CONF_UNSET;
    app->status_subs_max = NGX_CONF_UNSET;
    app->allow_type = NGX_CONF_UNSET_UINT;
    app->nick_search = NGX_CONF_UNSET;
    app->b_codes = NGX_CONF_UNSET;
    app->callback_private = NGX_CONF_UNSET;
    app->state_callback_style = NGX_CONF_UNSET_UINT;
    app->dirty_words = NGX_CONF_UNSET_PTR;
    app->dirty_words_max = NGX_CONF_UNSET;
    app->dirty_word_delay = NGX_CONF_UNSET_MSEC;
    app->profile_fields = NGX_CONF_UNSET_PTR;
    app->friend_fields = NGX_CONF_UNSET_PTR;

    app->group_types = NGX_CONF_UNSET_PTR;
    app->group_fields = NGX_CONF_UNSET_PTR;
    app->member_fields = NGX_CONF_UNSET_PTR;
}


void
ngx_im_app_merge(im_app_t *prev, im_app_t *app)
{
    ngx_conf_merge_value(app->allow_account_delete,
                         prev->allow_account_delete, 1);
    ngx_conf_merge_value(app->rest_rich_media, prev->rest_rich_media, 1);
    ngx_conf_merge_value(app->allow_utf8_userid,
                         prev->allow_utf8_userid, 0);
    ngx_conf_merge_value(app->blacklist_report, prev->blacklist_report, 0);
    ngx_conf_merge_value(app->check_friend, prev->check_friend, 0);
    ngx_conf_merge_value(app->login_creates_account,
                         prev->login_creates_account, 1);
    ngx_conf_merge_value(app->hosted_accounts, prev->hosted_accounts, 0);

    ngx_conf_merge_str_value(app->files_url, prev->files_url, "");

    ngx_conf_merge_size_value(app->message_size, prev->message_size, 12288);
    ngx_conf_merge_value(app->web_instances, prev->web_instances, 1);
    ngx_conf_merge_uint_value(app->multi_device, prev->multi_device,
                              IM_MULTI_MULTI);

    ngx_conf_merge_value(app->rate, prev->rate, 200);
    ngx_conf_merge_value(app->rate_app, prev->rate_app, 0);
    ngx_conf_merge_value(app->group_rate, prev->group_rate, 40);
    ngx_conf_merge_value(app->group_rate_normal,
                         prev->group_rate_normal, 40);
    ngx_conf_merge_value(app->group_rate_low, prev->group_rate_low, 40);
    ngx_conf_merge_value(app->group_rate_lowest,
                         prev->group_rate_lowest, 40);
    ngx_conf_merge_value(app->tip_rate, prev->tip_rate, 40);
    ngx_conf_merge_value(app->sender_rate, prev->sender_rate, 0);
    ngx_conf_merge_value(app->group_recall, prev->group_recall, 1);

    ngx_conf_merge_value(app->groups_day_max, prev->groups_day_max, 10000);
    ngx_conf_merge_value(app->groups_joined_max,
                         prev->groups_joined_max, 0);
    ngx_conf_merge_value(app->avchatrooms_max, prev->avchatrooms_max, 0);
    ngx_conf_merge_value(app->bchatrooms_max, prev->bchatrooms_max, 5);

    ngx_conf_merge_sec_value(app->dedup_c2c, prev->dedup_c2c, 120);
    ngx_conf_merge_sec_value(app->dedup_group, prev->dedup_group, 300);
    ngx_conf_merge_sec_value(app->history, prev->history, 7 * 86400);
    ngx_conf_merge_sec_value(app->recall_time, prev->recall_time, 120);

    ngx_conf_merge_msec_value(app->hello_interval,
                              prev->hello_interval, 30000);
    ngx_conf_merge_msec_value(app->ws_timeout, prev->ws_timeout, 150000);
    ngx_conf_merge_msec_value(app->poll_hold, prev->poll_hold, 50000);
    ngx_conf_merge_msec_value(app->poll_announce,
                              prev->poll_announce, 60000);

    ngx_conf_merge_value(app->sig_failures, prev->sig_failures, 20);
    ngx_conf_merge_msec_value(app->sig_block, prev->sig_block, 60000);

    ngx_conf_merge_value(app->notices_max, prev->notices_max, 100);
    ngx_conf_merge_sec_value(app->notices_life, prev->notices_life,
                             7 * 86400);
    ngx_conf_merge_value(app->contacts_max, prev->contacts_max, 100);
    ngx_conf_merge_value(app->outbox_max, prev->outbox_max, 10000);
    ngx_conf_merge_sec_value(app->outbox_life, prev->outbox_life, 86400);
    ngx_conf_merge_value(app->unread_max, prev->unread_max, 100);
    ngx_conf_merge_value(app->history_page, prev->history_page, 100);

    ngx_conf_merge_value(app->friends_max, prev->friends_max, 3000);
    ngx_conf_merge_value(app->friend_groups_max,
                         prev->friend_groups_max, 32);
    ngx_conf_merge_value(app->blacklist_max, prev->blacklist_max, 1000);
    ngx_conf_merge_value(app->pendency_max, prev->pendency_max, 100);
    ngx_conf_merge_value(app->recommend_max, prev->recommend_max, 100);
    ngx_conf_merge_value(app->friend_page, prev->friend_page, 1000);
    ngx_conf_merge_value(app->friend_rate, prev->friend_rate, 0);
    ngx_conf_merge_value(app->status_subs_max, prev->status_subs_max, 200);
    ngx_conf_merge_uint_value(app->allow_type, prev->allow_type, 0);
    ngx_conf_merge_value(app->nick_search, prev->nick_search, 0);
    ngx_conf_merge_value(app->b_codes, prev->b_codes, 0);
    ngx_conf_merge_value(app->callback_private, prev->callback_private, 0);
    ngx_conf_merge_uint_value(app->state_callback_style,
                              prev->state_callback_style,
                              IM_STATE_STYLE_2020);
    ngx_conf_merge_ptr_value(app->dirty_words, prev->dirty_words, NULL);
    ngx_conf_merge_value(app->dirty_words_max, prev->dirty_words_max, 5000);
    ngx_conf_merge_msec_value(app->dirty_word_delay,
                              prev->dirty_word_delay, 5000);
    ngx_conf_merge_ptr_value(app->profile_fields, prev->profile_fields, NULL);
    ngx_conf_merge_ptr_value(app->friend_fields, prev->friend_fields, NULL);

    ngx_conf_merge_ptr_value(app->group_types, prev->group_types, NULL);
    ngx_conf_merge_ptr_value(app->group_fields, prev->group_fields, NULL);
    ngx_conf_merge_ptr_value(app->member_fields, prev->member_fields, NULL);
}
