
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_TYPE_H_INCLUDED_
#define _IM_GROUP_TYPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_error.h"
#include "core/ngx_im_module.h"


#define IM_GROUP_RATES  4            /* im_room_prio_e; of High: the total */


typedef enum {
    IM_APPLY_DISABLE = 0,
    IM_APPLY_PERMISSION,
    IM_APPLY_FREE
} im_group_apply_e;


/* InviteJoinOption of a group. */

typedef enum {
    IM_INVITE_TYPE = 0,              /* not set: what the type says */
    IM_INVITE_DISABLE,
    IM_INVITE_PERMISSION,            /* owner or an admin approves */
    IM_INVITE_FREE
} im_group_invite_option_e;


typedef enum {
    IM_INVITE_NOBODY = 0,            /* an administrator by REST may */
    IM_INVITE_PULL,                  /* any member, without consent */
    IM_INVITE_CONSENT,
    IM_INVITE_NEVER                  /* not even an administrator */
} im_group_invite_e;


typedef enum {
    IM_KICK_ADMINS = 0,
    IM_KICK_MEMBERS,
    IM_KICK_NOBODY
} im_group_kick_e;


typedef enum {
    IM_NOTICE_NONE = 0,
    IM_NOTICE_STORED,
    IM_NOTICE_ONLINE
} im_group_notice_e;


typedef enum {
    IM_MSG_NOTIFY = 0,               /* AcceptAndNotify */
    IM_MSG_DISCARD,
    IM_MSG_QUIET                     /* AcceptNotNotify */
} im_group_msg_flag_e;


/* Who may change name, introduction, notification, face. */

typedef enum {
    IM_PROFILE_OWNER = 0,            /* owner and administrators */
    IM_PROFILE_MEMBER,               /* any member */
    IM_PROFILE_APP                   /* administrators of the app only */
} im_group_profile_e;


/* The switches of a type (specification, groups.md 2.1). */

typedef struct {
    ngx_str_t          name;         /* on the wire */
    ngx_str_t          alias;        /* accepted in requests, too */

    ngx_uint_t         profile;      /* im_group_profile_e */
    ngx_uint_t         apply;        /* default, im_group_apply_e */
    ngx_uint_t         invite;       /* im_group_invite_e */
    ngx_uint_t         kick;         /* im_group_kick_e */
    ngx_uint_t         notice;       /* of changes of members */
    ngx_uint_t         msg_flag;     /* default, im_group_msg_flag_e */
    int64_t            max_member;   /* 0: none */
    int64_t            recycle;      /* seconds without activity, 0: never */
    ngx_uint_t         listed;       /* members that are listed, 0: all */
    ngx_int_t          rates[IM_GROUP_RATES];  /* messages a second */
    ngx_int_t          tip_rate;

    unsigned           live:1;       /* no store: members and messages are in
                                        the zone and on the bus */
    unsigned           public:1;     /* public profile */
    unsigned           apply_allowed:1;
    unsigned           has_owner:1;
    unsigned           owner_may_quit:1;
    unsigned           owner_may_destroy:1;
    unsigned           has_admins:1;
    unsigned           history_all:1;
    unsigned           activated:1;  /* by the first message */
    unsigned           mute:1;
    unsigned           unread:1;
    unsigned           guest_read:1;
    unsigned           members_speak:1;
    unsigned           kick_offline:1;   /* ordinary members */
    unsigned           offered:1;    /* groups of it can be made */
    unsigned           daily:1;      /* new ones count by day */

    size_t             quota;        /* setting of the app: how many there may
                                        be, 0: no such setting */
    im_code_t          quota_code;
} im_group_type_t;


/* A type of the app by name or alias; NULL: no such type. */
im_group_type_t *im_group_type(im_app_t *app, ngx_str_t *name);

/* ApplyJoinOption; NGX_ERROR: no such word. */
ngx_int_t im_group_apply_option(ngx_str_t *word);
ngx_str_t *im_group_apply_word(ngx_uint_t option);

/* InviteJoinOption; NGX_ERROR: no such word. */
ngx_int_t im_group_invite_option(ngx_str_t *word);
ngx_str_t *im_group_invite_word(ngx_uint_t option);

/* MsgFlag; NGX_ERROR: no such word. */
ngx_int_t im_group_msg_flag(ngx_str_t *word);
ngx_str_t *im_group_msg_flag_word(ngx_uint_t flag);


#endif /* _IM_GROUP_TYPE_H_INCLUDED_ */
