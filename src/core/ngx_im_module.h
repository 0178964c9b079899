
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _NGX_IM_MODULE_H_INCLUDED_
#define _NGX_IM_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>


/* contexts of directives: im {}, and app {} within it */

#define NGX_IM_CONF        0x02000000
#define NGX_IM_APP_CONF    0x04000000

/* two generations have a slot each */
#define IM_WORKERS_MAX     60

#define IM_NODE_NAME_MAX   64

#define IM_APP_ADMINS      10
#define IM_APP_FIELDS      20
#define IM_APP_MEMBER_FIELDS  5
#define IM_APP_GROUP_TYPES    50
#define IM_WORD_LEN        200             /* bytes of a dirty word */
#define IM_APP_ID_MAX      4294967295


typedef enum {
    IM_SYNC_ALWAYS = 0,
    IM_SYNC_EVERYSEC,
    IM_SYNC_NONE
} im_sync_e;


typedef enum {
    IM_MULTI_NONE = 0,               /* one login, a new one kicks it */
    IM_MULTI_MOBILE_PC,
    IM_MULTI_DIFFERENT_PLATFORMS,
    IM_MULTI_SINGLE,
    IM_MULTI_DOUBLE,
    IM_MULTI_TRIPLE,
    IM_MULTI_MULTI
} im_multi_e;


typedef enum {
    IM_STATE_STYLE_2020 = 0,
    IM_STATE_STYLE_2018              /* who is lost has logged out */
} im_state_style_e;


/* What a field of a profile or friend holds, and who may read and write it. */

#define IM_FIELD_STR    0
#define IM_FIELD_INT    1

#define IM_FIELD_USER   1            /* the user and other users */
#define IM_FIELD_ADMIN  2

typedef struct {
    ngx_str_t        name;                 /* 1 to 8 letters */
    ngx_uint_t       type;
    ngx_uint_t       read;                 /* bits */
    ngx_uint_t       write;
} im_app_field_t;


/* Who may read or write a custom field of a group: this role or a higher
 * one.  In the order of im_group_role_e. */

typedef enum {
    IM_LEVEL_ANY = 0,                /* not even a member */
    IM_LEVEL_MEMBER,
    IM_LEVEL_ADMIN,
    IM_LEVEL_OWNER,
    IM_LEVEL_APP,
    IM_LEVEL_NOBODY
} im_app_level_e;

typedef struct {
    ngx_str_t        name;                 /* the key */
    ngx_array_t     *types;                /* of ngx_str_t, NULL: all */
    ngx_uint_t       read;                 /* im_app_level_e */
    ngx_uint_t       write;
    unsigned         self_read:1;          /* the member whose field it is */
    unsigned         self_write:1;
} im_app_group_field_t;


/* A type of groups that the app adds, or switches that it changes. */

typedef struct {
    ngx_str_t        name;
    ngx_str_t        base;                 /* "": a type that there is */
    ngx_array_t      switches;             /* of ngx_keyval_t */
} im_app_group_type_t;


/* Third-party callbacks of an application. */

typedef struct {
    ngx_str_t        url;
    ngx_array_t      commands;             /* of ngx_str_t */
    uint64_t         events;               /* the same, a bit each */
    ngx_msec_t       timeout;
    ngx_str_t        token;                /* "": not signed */
    ngx_str_t        ca;                   /* PEM text, "": the system's */
    ngx_str_t        cert;                 /* the client's, PEM, or "" */
    ngx_str_t        key;

    unsigned         retry:1;              /* after-callbacks, by the outbox */
    unsigned         refuse:1;             /* what could not be asked */
    unsigned         verify:1;             /* the receiver's certificate */
    unsigned         foreign:1;            /* no private addresses */
} im_callback_conf_t;


/*
 * An application of the configuration.  The settings may also be given in
 * im {} and are inherited from there.  Types: time_t seconds, ngx_msec_t
 * milliseconds.
 */
typedef struct {
    ngx_uint_t       id;                   /* SDKAppID */
    ngx_str_t        key;                  /* HMAC key of UserSig, or empty */
    ngx_str_t        public_key;           /* PEM text, or empty */
    EVP_PKEY        *pkey;                 /* the same, read, or NULL */
    ngx_array_t      admins;               /* of ngx_str_t, at least one */
    im_callback_conf_t
                    *callback;             /* NULL: none */
    im_callback_conf_t
                    *callback_conf;        /* that of the directive */

    /* of this worker, as is callback */
    void            *callback_state;
    void            *outbox;
    void            *words;
    uint32_t         callback_hash;        /* of the row, and its stamp */
    uint32_t         callback_stamp;
    unsigned         callback_loaded:1;
    unsigned         callback_stored:1;    /* callback is from the store */

    ngx_flag_t       callback_private;
    ngx_uint_t       state_callback_style; /* im_state_style_e */

    ngx_flag_t       allow_account_delete;
    ngx_flag_t       rest_rich_media;
    ngx_flag_t       allow_utf8_userid;
    ngx_flag_t       blacklist_report;     /* 20007 is told to the sender */
    ngx_flag_t       check_friend;
    ngx_flag_t       login_creates_account;
    ngx_flag_t       hosted_accounts;

    ngx_str_t        files_url;            /* "" or without a slash behind */

    size_t           message_size;
    ngx_int_t        web_instances;
    ngx_uint_t       multi_device;         /* im_multi_e */

    ngx_int_t        rate;                 /* per command and second, 0: off */
    ngx_int_t        rate_app;             /* the same, of all commands */
    ngx_int_t        group_rate;           /* High */
    ngx_int_t        group_rate_normal;
    ngx_int_t        group_rate_low;
    ngx_int_t        group_rate_lowest;
    ngx_int_t        tip_rate;
    ngx_int_t        sender_rate;          /* of one in a group */
    ngx_flag_t       group_recall;

    ngx_int_t        groups_day_max;       /* new ones, 0: no limit */
    ngx_int_t        groups_joined_max;    /* of an account, 0: no limit */
    ngx_int_t        avchatrooms_max;      /* 0: no limit */
    ngx_int_t        bchatrooms_max;       /* 0: no limit */

    time_t           dedup_c2c;
    time_t           dedup_group;
    time_t           history;
    time_t           recall_time;

    ngx_msec_t       hello_interval;
    ngx_msec_t       ws_timeout;
    ngx_msec_t       poll_hold;
    ngx_msec_t       poll_announce;        /* hold time told to the client */

    ngx_int_t        sig_failures;
    ngx_msec_t       sig_block;

    ngx_int_t        notices_max;
    time_t           notices_life;
    ngx_int_t        contacts_max;
    ngx_int_t        outbox_max;           /* events of each of its streams */
    time_t           outbox_life;          /* of an event that fails */
    ngx_int_t        unread_max;
    ngx_int_t        history_page;

    ngx_int_t        friends_max;
    ngx_int_t        friend_groups_max;
    ngx_int_t        blacklist_max;
    ngx_int_t        pendency_max;
    ngx_int_t        recommend_max;
    ngx_int_t        friend_page;
    ngx_int_t        friend_rate;          /* requests of a user per minute */
    ngx_int_t        status_subs_max;
    ngx_uint_t       allow_type;           /* default AllowType */
    ngx_flag_t       nick_search;
    ngx_flag_t       b_codes;
    ngx_array_t     *dirty_words;          /* of ngx_str_t, or NULL */
    ngx_int_t        dirty_words_max;      /* of the app's own list */
    ngx_msec_t       dirty_word_delay;
    ngx_array_t     *profile_fields;       /* of im_app_field_t, or NULL */
    ngx_array_t     *friend_fields;

    ngx_array_t     *group_types;          /* of im_app_group_type_t, or NULL */
    ngx_array_t     *group_fields;         /* of im_app_group_field_t */
    ngx_array_t     *member_fields;
    ngx_array_t     *types;                /* all types, by im_group_type.c */
} im_app_t;


typedef struct {
    ngx_str_t        driver;               /* "lmdb", "mongodb" */
    ngx_str_t        path;                 /* or address, with a password */
    ngx_str_t        name;                 /* for logs, without it */
    ngx_uint_t       sync;                 /* im_sync_e */
    size_t           size;
} im_store_conf_t;


typedef struct {
    ngx_str_t        name;                 /* for logs */
    ngx_str_t        host;                 /* terminated; a path if port 0 */
    ngx_uint_t       port;
    uint32_t         reason;               /* why it is down, as was told */
} im_redis_addr_t;


typedef struct {
    ngx_str_t        name;                 /* as written, "": none */
    ngx_array_t      addrs;                /* im_redis_addr_t */
    ngx_str_t        user;
    ngx_str_t        password;
    ngx_uint_t       db;
    ngx_str_t        prefix;               /* of all keys and channels */
    ngx_msec_t       timeout;
} im_redis_conf_t;


typedef struct {
    ngx_str_t        name;
    ngx_uint_t       n;
    ngx_atomic_t    *passes;               /* so far, shared by all workers */
} im_fault_conf_t;


typedef struct {
    im_app_t         settings;             /* first: one slot serves both */

    ngx_array_t      apps;                 /* of im_app_t, at least one */
    im_store_conf_t  store;
    im_redis_conf_t  redis;
    ngx_str_t        node;

    size_t           zone;
    size_t           bus;
    ngx_int_t        coroutines;           /* of a worker */
    size_t           body_memory;          /* of a worker */
    ngx_msec_t       drain_time;
    ngx_msec_t       sweep_interval;
    ngx_msec_t       group_sweep_interval;
    ngx_msec_t       room_silence;

    ngx_flag_t       deflate;              /* of WebSocket messages */
    size_t           deflate_min;          /* bytes */

    ngx_uint_t       commit_queue;         /* entries of a worker */
    size_t           commit_size;          /* bytes of them */
    ngx_msec_t       commit_time;          /* age of the oldest */

    ngx_array_t      faults;               /* of im_fault_conf_t */

    unsigned         block:1;              /* there is an im {} */
    unsigned         needed:1;             /* a location or server uses it */
} im_conf_t;


#define ngx_im_get_conf(cycle)                                                \
    ((im_conf_t *) ngx_get_conf((cycle)->conf_ctx, ngx_im_module))


/* The configuration of the running cycle; only valid once it runs. */
im_conf_t *im_conf(void);

/* The application with the id, or NULL.  It lives as long as the cycle. */
im_app_t *im_conf_app(im_conf_t *conf, ngx_uint_t id);

/* Told by every directive that cannot work without an im {} block. */
void ngx_im_conf_needed(ngx_conf_t *cf);

/*
 * Setters of directives, in the file of their noun.  NGX_CONF_OK, or what is
 * wrong: a text for nginx, or NGX_CONF_ERROR, and it is logged.
 */
char *ngx_im_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_commit_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_public_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_admin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_group_type(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_group_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_dirty_words(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_im_app_callback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* At the end of im {}: redis and node are given both, or neither. */
char *ngx_im_redis_check(ngx_conf_t *cf, im_conf_t *imcf);

/* NULL, or what is wrong with the address of a receiver of callbacks. */
char *ngx_im_callback_url_check(ngx_str_t *url);

/* Reads a file of at most max bytes into text, on cf->pool; what: the text of
 * a refusal.  NGX_OK, NGX_ERROR: logged. */
ngx_int_t ngx_im_app_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text, size_t max, char *what);

/* Settings of an app or of im {}: none was given; what an app has not given
 * it takes from im {}, or it is the default. */
void ngx_im_app_init(im_app_t *app);
void ngx_im_app_merge(im_app_t *prev, im_app_t *app);


extern ngx_module_t  ngx_im_module;


#endif /* _NGX_IM_MODULE_H_INCLUDED_ */
