
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "core/im_fault.h"
#include "core/im_worker.h"
#include "core/ngx_im_module.h"


#define IM_ZONE_MIN  (1024 * 1024)


typedef struct {
    ngx_conf_post_handler_pt  handler;
    size_t                    low;
    char                     *what;
} ngx_im_size_bounds_t;


static char *ngx_im_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_im_fault(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_im_check_size(ngx_conf_t *cf, void *post, void *data);
static char *ngx_im_check_msec(ngx_conf_t *cf, void *post, void *data);
static char *ngx_im_check_sec(ngx_conf_t *cf, void *post, void *data);
static char *ngx_im_check_url(ngx_conf_t *cf, void *post, void *data);
static void *ngx_im_create_conf(ngx_cycle_t *cycle);
static char *ngx_im_init_conf(ngx_cycle_t *cycle, void *conf);
static char *ngx_im_block_end(ngx_conf_t *cf, im_conf_t *imcf);
static char *ngx_im_compare(ngx_conf_t *cf, im_conf_t *old, im_conf_t *imcf);
static ngx_int_t ngx_im_init_module(ngx_cycle_t *cycle);
static void ngx_im_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_im_multi_device[] = {
    { ngx_string("none"), IM_MULTI_NONE },
    { ngx_string("mobile_pc"), IM_MULTI_MOBILE_PC },
    { ngx_string("different_platforms"), IM_MULTI_DIFFERENT_PLATFORMS },
    { ngx_string("single"), IM_MULTI_SINGLE },
    { ngx_string("double"), IM_MULTI_DOUBLE },
    { ngx_string("triple"), IM_MULTI_TRIPLE },
    { ngx_string("multi"), IM_MULTI_MULTI },
    { ngx_null_string, 0 }
};


/* in the order of the values of Tag_Profile_IM_AllowType */

static ngx_conf_enum_t  ngx_im_allow_type[] = {
    { ngx_string("any"), 0 },
    { ngx_string("confirm"), 1 },
    { ngx_string("deny"), 2 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_im_state_style[] = {
    { ngx_string("2020"), IM_STATE_STYLE_2020 },
    { ngx_string("2018"), IM_STATE_STYLE_2018 },
    { ngx_null_string, 0 }
};


static ngx_im_size_bounds_t  ngx_im_zone_size = {
    ngx_im_check_size, IM_ZONE_MIN, "1m"
};

static ngx_im_size_bounds_t  ngx_im_body_memory = {
    ngx_im_check_size, 1024 * 1024, "1m"
};

static ngx_im_size_bounds_t  ngx_im_message_size = {
    ngx_im_check_size, 1024, "1k"
};


static ngx_conf_post_t  ngx_im_positive_msec = { ngx_im_check_msec };
static ngx_conf_post_t  ngx_im_positive_sec = { ngx_im_check_sec };
static ngx_conf_post_t  ngx_im_url = { ngx_im_check_url };

static ngx_conf_num_bounds_t  ngx_im_coroutines = {
    ngx_conf_check_num_bounds, 16, 65536
};

static ngx_conf_num_bounds_t  ngx_im_rate = {
    ngx_conf_check_num_bounds, 0, 10000000
};

static ngx_conf_num_bounds_t  ngx_im_web_instances = {
    ngx_conf_check_num_bounds, 1, 10
};

static ngx_conf_num_bounds_t  ngx_im_sig_failures = {
    ngx_conf_check_num_bounds, 0, 1000000
};

static ngx_conf_num_bounds_t  ngx_im_dirty_words = {
    ngx_conf_check_num_bounds, 1, 10000
};

static ngx_conf_num_bounds_t  ngx_im_count = {
    ngx_conf_check_num_bounds, 1, 10000
};

static ngx_conf_num_bounds_t  ngx_im_friend_groups = {
    ngx_conf_check_num_bounds, 1, 100
};

static ngx_conf_num_bounds_t  ngx_im_friend_page = {
    ngx_conf_check_num_bounds, 1, 1000
};

static ngx_conf_num_bounds_t  ngx_im_status_subs = {
    ngx_conf_check_num_bounds, 1, 1000
};


/* for settings of an application, which im {} may give too */

#define NGX_IM_SETTING  NGX_IM_CONF|NGX_IM_APP_CONF|NGX_DIRECT_CONF

#define ngx_im_setting(name, slot, post)                                      \
                                                                              \
    { ngx_string(#name),                                                      \
      NGX_IM_SETTING|NGX_CONF_TAKE1,                                          \
      slot,                                                                   \
      0,                                                                      \
      offsetof(im_app_t, name),                                               \
      post }

#define ngx_im_setting_flag(name)                                             \
                                                                              \
    { ngx_string(#name),                                                      \
      NGX_IM_SETTING|NGX_CONF_FLAG,                                           \
      ngx_conf_set_flag_slot,                                                 \
      0,                                                                      \
      offsetof(im_app_t, name),                                               \
      NULL }


static ngx_command_t  ngx_im_commands[] = {

    { ngx_string("im"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_im_block,
      0,
      0,
      NULL },

    { ngx_string("zone"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(im_conf_t, zone),
      &ngx_im_zone_size },

    { ngx_string("bus"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(im_conf_t, bus),
      &ngx_im_zone_size },

    { ngx_string("store"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_1MORE,
      ngx_im_store,
      0,
      offsetof(im_conf_t, store),
      NULL },

    { ngx_string("redis"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_1MORE,
      ngx_im_redis,
      0,
      0,
      NULL },

    { ngx_string("node"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_im_node,
      0,
      0,
      NULL },

    { ngx_string("coroutines"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(im_conf_t, coroutines),
      &ngx_im_coroutines },

    { ngx_string("body_memory"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(im_conf_t, body_memory),
      &ngx_im_body_memory },

    { ngx_string("drain_time"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(im_conf_t, drain_time),
      NULL },

    { ngx_string("websocket_deflate"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(im_conf_t, deflate),
      NULL },

    { ngx_string("websocket_deflate_min"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(im_conf_t, deflate_min),
      NULL },

    { ngx_string("commit_queue"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE3,
      ngx_im_commit_queue,
      0,
      0,
      NULL },

    { ngx_string("sweep_interval"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(im_conf_t, sweep_interval),
      &ngx_im_positive_msec },

    { ngx_string("group_sweep_interval"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(im_conf_t, group_sweep_interval),
      &ngx_im_positive_msec },

    { ngx_string("room_silence"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(im_conf_t, room_silence),
      &ngx_im_positive_msec },

    { ngx_string("fault"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE2,
      ngx_im_fault,
      0,
      0,
      NULL },

    { ngx_string("app"),
      NGX_IM_CONF|NGX_DIRECT_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_im_app_block,
      0,
      0,
      NULL },

    { ngx_string("key"),
      NGX_IM_APP_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_im_app_key,
      0,
      0,
      NULL },

    { ngx_string("public_key"),
      NGX_IM_APP_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_im_app_public_key,
      0,
      0,
      NULL },

    { ngx_string("admin"),
      NGX_IM_APP_CONF|NGX_DIRECT_CONF|NGX_CONF_1MORE,
      ngx_im_app_admin,
      0,
      0,
      NULL },

    { ngx_string("callback"),
      NGX_IM_APP_CONF|NGX_DIRECT_CONF|NGX_CONF_2MORE,
      ngx_im_app_callback,
      0,
      0,
      NULL },

    ngx_im_setting_flag(allow_account_delete),
    ngx_im_setting_flag(rest_rich_media),
    ngx_im_setting_flag(allow_utf8_userid),
    ngx_im_setting_flag(blacklist_report),
    ngx_im_setting_flag(check_friend),
    ngx_im_setting_flag(login_creates_account),
    ngx_im_setting_flag(hosted_accounts),

    ngx_im_setting(files_url, ngx_conf_set_str_slot, &ngx_im_url),

    ngx_im_setting(message_size, ngx_conf_set_size_slot,
                   &ngx_im_message_size),
    ngx_im_setting(web_instances, ngx_conf_set_num_slot,
                   &ngx_im_web_instances),
    ngx_im_setting(multi_device, ngx_conf_set_enum_slot,
                   ngx_im_multi_device),

    ngx_im_setting(rate, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(rate_app, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(group_rate, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(group_rate_normal, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(group_rate_low, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(group_rate_lowest, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(tip_rate, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(sender_rate, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting_flag(group_recall),

    ngx_im_setting(groups_day_max, ngx_conf_set_num_slot, NULL),
    ngx_im_setting(groups_joined_max, ngx_conf_set_num_slot, NULL),
    ngx_im_setting(avchatrooms_max, ngx_conf_set_num_slot, NULL),
    ngx_im_setting(bchatrooms_max, ngx_conf_set_num_slot, NULL),

    ngx_im_setting(dedup_c2c, ngx_conf_set_sec_slot, &ngx_im_positive_sec),
    ngx_im_setting(dedup_group, ngx_conf_set_sec_slot, &ngx_im_positive_sec),
    ngx_im_setting(history, ngx_conf_set_sec_slot, &ngx_im_positive_sec),
    ngx_im_setting(recall_time, ngx_conf_set_sec_slot, NULL),

    ngx_im_setting(hello_interval, ngx_conf_set_msec_slot,
                   &ngx_im_positive_msec),
    ngx_im_setting(ws_timeout, ngx_conf_set_msec_slot,
                   &ngx_im_positive_msec),
    ngx_im_setting(poll_hold, ngx_conf_set_msec_slot,
                   &ngx_im_positive_msec),
    ngx_im_setting(poll_announce, ngx_conf_set_msec_slot,
                   &ngx_im_positive_msec),

    ngx_im_setting(sig_failures, ngx_conf_set_num_slot,
                   &ngx_im_sig_failures),
    ngx_im_setting(sig_block, ngx_conf_set_msec_slot,
                   &ngx_im_positive_msec),

    ngx_im_setting(notices_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(notices_life, ngx_conf_set_sec_slot,
                   &ngx_im_positive_sec),
    ngx_im_setting(outbox_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(outbox_life, ngx_conf_set_sec_slot,
                   &ngx_im_positive_sec),
    ngx_im_setting(contacts_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(unread_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(history_page, ngx_conf_set_num_slot, &ngx_im_count),

    ngx_im_setting(friends_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(friend_groups_max, ngx_conf_set_num_slot,
                   &ngx_im_friend_groups),
    ngx_im_setting(blacklist_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(pendency_max, ngx_conf_set_num_slot, &ngx_im_count),
    ngx_im_setting(recommend_max, ngx_conf_set_num_slot,
                   &ngx_im_friend_page),
    ngx_im_setting(friend_page, ngx_conf_set_num_slot, &ngx_im_friend_page),
    ngx_im_setting(friend_rate, ngx_conf_set_num_slot, &ngx_im_rate),
    ngx_im_setting(status_subs_max, ngx_conf_set_num_slot,
                   &ngx_im_status_subs),
    ngx_im_setting(allow_type, ngx_conf_set_enum_slot, ngx_im_allow_type),
    ngx_im_setting_flag(nick_search),
    ngx_im_setting_flag(b_codes),
    ngx_im_setting_flag(callback_private),
    ngx_im_setting(state_callback_style, ngx_conf_set_enum_slot,
                   ngx_im_state_style),

    { ngx_string("dirty_words"),
      NGX_IM_SETTING|NGX_CONF_TAKE1,
      ngx_im_app_dirty_words,
      0,
      offsetof(im_app_t, dirty_words),
      NULL },

    ngx_im_setting(dirty_words_max, ngx_conf_set_num_slot,
                   &ngx_im_dirty_words),
    ngx_im_setting(dirty_word_delay, ngx_conf_set_msec_slot, NULL),

    { ngx_string("profile_field"),
      NGX_IM_SETTING|NGX_CONF_1MORE,
      ngx_im_app_field,
      0,
      offsetof(im_app_t, profile_fields),
      NULL },

    { ngx_string("friend_field"),
      NGX_IM_SETTING|NGX_CONF_1MORE,
      ngx_im_app_field,
      0,
      offsetof(im_app_t, friend_fields),
      NULL },

    { ngx_string("group_type"),
      NGX_IM_SETTING|NGX_CONF_1MORE,
      ngx_im_app_group_type,
      0,
      offsetof(im_app_t, group_types),
      NULL },

    { ngx_string("group_field"),
      NGX_IM_SETTING|NGX_CONF_1MORE,
      ngx_im_app_group_field,
      0,
      offsetof(im_app_t, group_fields),
      NULL },

    { ngx_string("member_field"),
      NGX_IM_SETTING|NGX_CONF_1MORE,
      ngx_im_app_group_field,
      0,
      offsetof(im_app_t, member_fields),
      NULL },

      ngx_null_command
};


static ngx_core_module_t  ngx_im_module_ctx = {
    ngx_string("im"),
    ngx_im_create_conf,
    ngx_im_init_conf
};


ngx_module_t  ngx_im_module = {
    NGX_MODULE_V1,
    &ngx_im_module_ctx,                    /* module context */
    ngx_im_commands,                       /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_im_init_module,                    /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_im_exit_process,                   /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


im_conf_t *
im_conf(void)
{
    im_conf_t  *imcf;

    if (ngx_cycle->conf_ctx == NULL) {
        return NULL;
    }

    imcf = ngx_im_get_conf(ngx_cycle);

    return (imcf && imcf->block) ? imcf : NULL;
}


im_app_t *
im_conf_app(im_conf_t *conf, ngx_uint_t id)
{
    im_app_t    *app;
    ngx_uint_t   i;

    app = conf->apps.elts;

    for (i = 0; i < conf->apps.nelts; i++) {
        if (app[i].id == id) {
            return &app[i];
        }
    }

    return NULL;
}


void
ngx_im_conf_needed(ngx_conf_t *cf)
{
    im_conf_t  *imcf;

    imcf = ngx_im_get_conf(cf->cycle);
    imcf->needed = 1;
}


static ngx_int_t
ngx_im_init_module(ngx_cycle_t *cycle)
{
    im_conf_t         *imcf;
    ngx_uint_t         i;
    im_worker_hook_t  *hook;

    imcf = ngx_im_get_conf(cycle);

    if (!imcf->block) {
        return NGX_OK;
    }

    for (i = 0; im_worker_hooks[i]; i++) {
        hook = im_worker_hooks[i];

        if (hook->init_module && hook->init_module(cycle, imcf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_im_exit_process(ngx_cycle_t *cycle)
{
    im_worker_stop(cycle);
}


static void *
ngx_im_create_conf(ngx_cycle_t *cycle)
{
    im_conf_t  *imcf;

    imcf = ngx_pcalloc(cycle->pool, sizeof(im_conf_t));
    if (imcf == NULL) {
        return NULL;
    }

    ngx_im_app_init(&imcf->settings);

    imcf->zone = NGX_CONF_UNSET_SIZE;
    imcf->bus = NGX_CONF_UNSET_SIZE;
    imcf->coroutines = NGX_CONF_UNSET;
    imcf->body_memory = NGX_CONF_UNSET_SIZE;
    imcf->drain_time = NGX_CONF_UNSET_MSEC;
    imcf->sweep_interval = NGX_CONF_UNSET_MSEC;
    imcf->group_sweep_interval = NGX_CONF_UNSET_MSEC;
    imcf->room_silence = NGX_CONF_UNSET_MSEC;
    imcf->deflate = NGX_CONF_UNSET;
    imcf->deflate_min = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&imcf->apps, cycle->pool, 4, sizeof(im_app_t))
        != NGX_OK
        || ngx_array_init(&imcf->faults, cycle->pool, 4,
                          sizeof(im_fault_conf_t))
           != NGX_OK)
    {
        return NULL;
    }

    return imcf;
}


static char *
ngx_im_init_conf(ngx_cycle_t *cycle, void *conf)
{
    im_conf_t  *imcf = conf;

    ngx_core_conf_t  *ccf;

    if (imcf->needed && !imcf->block) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "no \"im\" section in configuration, write at its top "
                      "level: im { store lmdb:/var/lib/nginx-im; "
                      "app 1400000001 { key \"64 secret characters\"; } }");
        return NGX_CONF_ERROR;
    }

    /* here and not in init module, whose failure ends the master */

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (imcf->block && ccf->worker_processes > IM_WORKERS_MAX) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"im\" works with at most %d worker_processes, "
                      "%i are configured",
                      IM_WORKERS_MAX, ccf->worker_processes);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_im_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    char        *rv;
    ngx_conf_t   save;

    if (imcf->block) {
        return "is duplicate";
    }

    imcf->block = 1;

    save = *cf;

    cf->cmd_type = NGX_IM_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_im_block_end(cf, imcf);
}


static char *
ngx_im_block_end(ngx_conf_t *cf, im_conf_t *imcf)
{
    char              *rv;
    im_app_t          *app;
    im_conf_t         *old;
    ngx_uint_t         i;
    im_worker_hook_t  *hook;

    if (imcf->apps.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"app\" in \"im\", write: "
                           "app 1400000001 { key \"64 secret characters\"; }");
        return NGX_CONF_ERROR;
    }

    if (imcf->store.driver.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"store\" in \"im\", write: "
                           "store lmdb:/var/lib/nginx-im;");
        return NGX_CONF_ERROR;
    }

    rv = ngx_im_redis_check(cf, imcf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_conf_init_size_value(imcf->zone, 64 * 1024 * 1024);
    ngx_conf_init_size_value(imcf->bus, 32 * 1024 * 1024);
    ngx_conf_init_value(imcf->coroutines, 4096);
    ngx_conf_init_size_value(imcf->body_memory, 256 * 1024 * 1024);
    ngx_conf_init_msec_value(imcf->drain_time, 3000);
    ngx_conf_init_msec_value(imcf->sweep_interval, 60000);
    ngx_conf_init_msec_value(imcf->group_sweep_interval, 300000);
    ngx_conf_init_msec_value(imcf->room_silence, 20000);
    ngx_conf_init_value(imcf->deflate, 1);
    ngx_conf_init_size_value(imcf->deflate_min, 512);

    if (imcf->commit_queue == 0) {
        imcf->commit_queue = 10000;
        imcf->commit_size = 64 * 1024 * 1024;
        imcf->commit_time = 2000;
    }

    app = imcf->apps.elts;

    for (i = 0; i < imcf->apps.nelts; i++) {
        ngx_im_app_merge(&imcf->settings, &app[i]);
    }

    if (cf->cycle->old_cycle->conf_ctx) {
        old = ngx_im_get_conf(cf->cycle->old_cycle);

        if (old && old->block) {
            rv = ngx_im_compare(cf, old, imcf);

            if (rv != NGX_CONF_OK) {
                return rv;
            }
        }
    }

    for (i = 0; im_worker_hooks[i]; i++) {
        hook = im_worker_hooks[i];

        if (hook->init_conf && hook->init_conf(cf, imcf) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* nginx would silently give the new workers a new zone */

static char *
ngx_im_compare(ngx_conf_t *cf, im_conf_t *old, im_conf_t *imcf)
{
    if (imcf->zone != old->zone) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"zone\" was changed from %uz to %uz bytes, "
                           "this needs a restart", old->zone, imcf->zone);
        return NGX_CONF_ERROR;
    }

    if (imcf->bus != old->bus) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"bus\" was changed from %uz to %uz bytes, "
                           "this needs a restart", old->bus, imcf->bus);
        return NGX_CONF_ERROR;
    }

    if (imcf->node.len && old->node.len
        && (imcf->node.len != old->node.len
            || ngx_strcmp(imcf->node.data, old->node.data) != 0))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"node\" was changed from \"%V\" to \"%V\", "
                           "this needs a restart", &old->node, &imcf->node);
        return NGX_CONF_ERROR;
    }

    if (imcf->store.driver.len != old->store.driver.len
        || ngx_strcmp(imcf->store.driver.data, old->store.driver.data) != 0
        || imcf->store.path.len != old->store.path.len
        || ngx_strcmp(imcf->store.path.data, old->store.path.data) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"store\" was changed from \"%V\" to "
                           "\"%V\", this needs a restart",
                           &old->store.name, &imcf->store.name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_im_fault(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
#if (NGX_DEBUG)

    im_conf_t  *imcf = conf;

    ngx_int_t         n;
    ngx_str_t        *value;
    im_fault_conf_t  *fault;

    value = cf->args->elts;

    if (im_fault_known(&value[1]) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown fault point \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    n = ngx_atoi(value[2].data, value[2].len);

    if (n == NGX_ERROR || n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of passes \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    fault = ngx_array_push(&imcf->faults);
    if (fault == NULL) {
        return NGX_CONF_ERROR;
    }

    fault->name = value[1];
    fault->n = n;
    fault->passes = NULL;

    return NGX_CONF_OK;

#else

    return "needs nginx built --with-debug";

#endif
}


static char *
ngx_im_check_size(ngx_conf_t *cf, void *post, void *data)
{
    ngx_im_size_bounds_t  *bounds = post;
    size_t                *sp = data;

    if (*sp >= bounds->low) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "value must be equal to or greater than %s",
                       bounds->what);

    return NGX_CONF_ERROR;
}


static char *
ngx_im_check_msec(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t  *msec = data;

    return *msec ? NGX_CONF_OK : "must not be zero";
}


static char *
ngx_im_check_sec(ngx_conf_t *cf, void *post, void *data)
{
    time_t  *sec = data;

    return *sec ? NGX_CONF_OK : "must not be zero";
}


static char *
ngx_im_check_url(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *url = data;

    size_t  scheme;

    scheme = 0;

    if (url->len > 7 && ngx_strncmp(url->data, "http://", 7) == 0) {
        scheme = 7;

    } else if (url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0) {
        scheme = 8;
    }

    if (scheme == 0 || url->data[scheme] == '/'
        || ngx_strlchr(url->data, url->data + url->len, '?'))
    {
        return "must be http://... or https://... without arguments";
    }

    while (url->data[url->len - 1] == '/') {
        url->len--;
    }

    return NGX_CONF_OK;
}
