
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "store/im_table.h"


/* Columns, keys and indexes; the application comes before each of them. */

static im_column_t  im_col_added[] = {
    { "added", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_dk[] = {
    { "user", IM_COL_STR }, { "dk", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_gid[] = {
    { "gid", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_gno[] = {
    { "gno", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_gno_joined[] = {
    { "gno", IM_COL_INT }, { "joined", IM_COL_INT }, { "user", IM_COL_STR },
    { NULL, 0 }
};

static im_column_t  im_col_gno_dk[] = {
    { "gno", IM_COL_INT }, { "dk", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_gno_id[] = {
    { "gno", IM_COL_INT }, { "id", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_gno_name[] = {
    { "gno", IM_COL_INT }, { "name", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_gno_modified[] = {
    { "gno", IM_COL_INT }, { "modified", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_gno_recalled[] = {
    { "gno", IM_COL_INT }, { "recalled", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_gno_seq[] = {
    { "gno", IM_COL_INT }, { "seq", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_gno_seq_nocount[] = {
    { "gno", IM_COL_INT }, { "seq", IM_COL_INT }, { "nocount", IM_COL_INT },
    { NULL, 0 }
};

static im_column_t  im_col_gno_seq_user[] = {
    { "gno", IM_COL_INT }, { "seq", IM_COL_INT }, { "user", IM_COL_STR },
    { NULL, 0 }
};

static im_column_t  im_col_gno_until[] = {
    { "gno", IM_COL_INT }, { "until", IM_COL_INT }, { "user", IM_COL_STR },
    { NULL, 0 }
};

static im_column_t  im_col_gno_user[] = {
    { "gno", IM_COL_INT }, { "user", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_hist[] = {
    { "user", IM_COL_STR }, { "peer", IM_COL_STR }, { "time", IM_COL_INT },
    { "ord", IM_COL_INT }, { "cid", IM_COL_INT }, { "dir", IM_COL_INT },
    { NULL, 0 }
};

static im_column_t  im_col_id[] = {
    { "id", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_id_int[] = {
    { "id", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_kept[] = {
    { "user", IM_COL_STR }, { "kept", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_kind_id[] = {
    { "kind", IM_COL_STR }, { "id", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_login[] = {
    { "a2", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_msg_key[] = {
    { "msg", IM_COL_STR }, { "key", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_name[] = {
    { "name", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_nkey[] = {
    { "nkey", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_peer[] = {
    { "peer", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_pinned[] = {
    { "user", IM_COL_STR }, { "pinned", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_shard_seq[] = {
    { "shard", IM_COL_INT }, { "seq", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_state[] = {
    { "state", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_tinyid[] = {
    { "tinyid", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_user[] = {
    { "user", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_user_added[] = {
    { "user", IM_COL_STR }, { "added", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_user_dir_peer[] = {
    { "user", IM_COL_STR }, { "dir", IM_COL_INT }, { "peer", IM_COL_STR },
    { NULL, 0 }
};

static im_column_t  im_col_user_gno[] = {
    { "user", IM_COL_STR }, { "gno", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_user_gno_seq[] = {
    { "user", IM_COL_STR }, { "gno", IM_COL_INT }, { "seq", IM_COL_INT },
    { NULL, 0 }
};

static im_column_t  im_col_user_name[] = {
    { "user", IM_COL_STR }, { "name", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_user_peer[] = {
    { "user", IM_COL_STR }, { "peer", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_user_seq[] = {
    { "user", IM_COL_STR }, { "seq", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_user_type_peer[] = {
    { "user", IM_COL_STR }, { "type", IM_COL_INT }, { "peer", IM_COL_STR },
    { NULL, 0 }
};

static im_column_t  im_col_user_watcher[] = {
    { "user", IM_COL_STR }, { "watcher", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_watcher_added[] = {
    { "watcher", IM_COL_STR }, { "added", IM_COL_INT }, { NULL, 0 }
};

static im_column_t  im_col_to[] = {
    { "to", IM_COL_STR }, { NULL, 0 }
};

static im_column_t  im_col_word[] = {
    { "word", IM_COL_STR }, { NULL, 0 }
};


static im_index_t  im_no_index[] = {
    { NULL, 0, NULL }
};

static im_index_t  im_login_index[] = {
    { "user", 0, im_col_user },
    { NULL, 0, NULL }
};

static im_index_t  im_inbox_index[] = {
    { "hist", IM_INDEX_FLAGS|IM_INDEX_SPARSE, im_col_hist },
    { "dk", IM_INDEX_UNIQUE|IM_INDEX_SPARSE, im_col_dk },
    { "kept", IM_INDEX_SPARSE, im_col_kept },
    { NULL, 0, NULL }
};

static im_index_t  im_conv_index[] = {
    { "pinned", IM_INDEX_SPARSE, im_col_pinned },
    { NULL, 0, NULL }
};

static im_index_t  im_group_msg_index[] = {
    { "dk", IM_INDEX_UNIQUE|IM_INDEX_SPARSE, im_col_gno_dk },
    { "recall", IM_INDEX_SPARSE, im_col_gno_recalled },
    { "nocount", IM_INDEX_SPARSE|IM_INDEX_FLAGS, im_col_gno_seq_nocount },
    { "modified", IM_INDEX_SPARSE, im_col_gno_modified },
    { NULL, 0, NULL }
};

static im_index_t  im_member_index[] = {
    { "user", 0, im_col_user_gno },
    { "joined", 0, im_col_gno_joined },
    { NULL, 0, NULL }
};

static im_index_t  im_mute_index[] = {
    { "until", 0, im_col_gno_until },
    { NULL, 0, NULL }
};

static im_index_t  im_pend_index[] = {
    { "to", IM_INDEX_SPARSE, im_col_to },
    { NULL, 0, NULL }
};

static im_index_t  im_profile_index[] = {
    { "nick", IM_INDEX_SPARSE, im_col_nkey },
    { NULL, 0, NULL }
};

static im_index_t  im_friend_index[] = {
    { "peer", 0, im_col_peer },
    { "added", 0, im_col_user_added },
    { NULL, 0, NULL }
};

static im_index_t  im_friend_req_index[] = {
    { "added", 0, im_col_user_added },
    { NULL, 0, NULL }
};

static im_index_t  im_status_sub_index[] = {
    { "watcher", 0, im_col_watcher_added },
    { NULL, 0, NULL }
};

static im_index_t  im_job_index[] = {
    { "state", 0, im_col_state },
    { NULL, 0, NULL }
};

static im_index_t  im_word_index[] = {
    { "added", 0, im_col_added },
    { NULL, 0, NULL }
};


im_table_t  im_tables[IM_T_MAX] = {

    { IM_T_ACCOUNT, "account", IM_VERSIONED, IM_TTL_NONE,
      im_col_user, im_no_index },

    { IM_T_TINYID, "tinyid", IM_VERSIONED, IM_TTL_NONE,
      im_col_tinyid, im_no_index },

    { IM_T_PASSWORD, "password", IM_VERSIONED, IM_TTL_NONE,
      im_col_user, im_no_index },

    { IM_T_PROFILE, "profile", IM_VERSIONED, IM_TTL_NONE,
      im_col_user, im_profile_index },

    { IM_T_DEVICE, "device", IM_VERSIONED, IM_TTL_NONE,
      im_col_user, im_no_index },

    { IM_T_LOGIN, "login", IM_VERSIONED, IM_TTL_ROW,
      im_col_login, im_login_index },

    { IM_T_C2C, "c2c", IM_VERSIONED, IM_TTL_EDGE,
      im_col_id_int, im_no_index },

    { IM_T_INBOX, "inbox", IM_STREAM, IM_TTL_STREAM,
      im_col_user_seq, im_inbox_index },

    { IM_T_CONV, "conv", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_type_peer, im_conv_index },

    { IM_T_READ, "read", IM_COUNTED, IM_TTL_NONE,
      im_col_user_type_peer, im_no_index },

    { IM_T_GROUP, "group", IM_VERSIONED, IM_TTL_NONE,
      im_col_gid, im_no_index },

    { IM_T_GNO, "gno", IM_VERSIONED, IM_TTL_NONE,
      im_col_gno, im_no_index },

    { IM_T_GROUP_MSG, "group_msg", IM_STREAM, IM_TTL_STREAM,
      im_col_gno_seq, im_group_msg_index },

    { IM_T_MEMBER, "member", IM_VERSIONED, IM_TTL_NONE,
      im_col_gno_user, im_member_index },

    { IM_T_MUTE, "mute", IM_VERSIONED, IM_TTL_ROW,
      im_col_gno_user, im_mute_index },

    { IM_T_HIDDEN, "hidden", IM_VERSIONED, IM_TTL_ROW,
      im_col_user_gno_seq, im_no_index },

    { IM_T_RECEIPT, "receipt", IM_VERSIONED, IM_TTL_ROW,
      im_col_gno_seq_user, im_no_index },

    { IM_T_PEND, "pend", IM_VERSIONED, IM_TTL_ROW,
      im_col_gno_id, im_pend_index },

    { IM_T_GROUP_ATTR, "group_attr", IM_VERSIONED, IM_TTL_NONE,
      im_col_gno_name, im_no_index },

    { IM_T_EXT, "ext", IM_VERSIONED, IM_TTL_ROW,
      im_col_msg_key, im_no_index },

    { IM_T_RELAY, "relay", IM_VERSIONED, IM_TTL_ROW,
      im_col_id, im_no_index },

    { IM_T_CONTACT_GROUP, "contact_group", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_name, im_no_index },

    { IM_T_FRIEND, "friend", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_peer, im_friend_index },

    { IM_T_FRIEND_REQ, "friend_req", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_dir_peer, im_friend_req_index },

    { IM_T_BLACK, "black", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_peer, im_friend_index },

    { IM_T_FRIEND_GROUP, "friend_group", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_name, im_no_index },

    { IM_T_RECOMMEND, "recommend", IM_VERSIONED, IM_TTL_NONE,
      im_col_user_peer, im_friend_index },

    { IM_T_STATUS, "status", IM_VERSIONED, IM_TTL_NONE,
      im_col_user, im_no_index },

    { IM_T_STATUS_SUB, "status_sub", IM_VERSIONED, IM_TTL_ROW,
      im_col_user_watcher, im_status_sub_index },

    { IM_T_COUNT, "count", IM_COUNTED, IM_TTL_NONE,
      im_col_kind_id, im_no_index },

    { IM_T_JOB, "job", IM_VERSIONED, IM_TTL_NONE,
      im_col_id, im_job_index },

    { IM_T_APP, "app", IM_VERSIONED, IM_TTL_NONE,
      im_col_name, im_no_index },

    { IM_T_WORD, "word", IM_VERSIONED, IM_TTL_NONE,
      im_col_word, im_word_index },

    { IM_T_LEASE, "lease", IM_VERSIONED, IM_TTL_NONE,
      im_col_name, im_no_index },

    /* rows never expire, but what MongoDB keeps of removed ones does */

    { IM_T_OUTBOX, "outbox", IM_STREAM, IM_TTL_STREAM,
      im_col_shard_seq, im_no_index }
};
