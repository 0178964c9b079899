
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"


/*
 * As in ngx_modules.c, the names are all that this file knows of the others:
 * a declaration here, a row below, lower folders first.
 */

extern im_worker_hook_t  im_co_hook;
extern im_worker_hook_t  im_pool_hook;
extern im_worker_hook_t  im_fault_hook;
extern im_worker_hook_t  im_task_hook;
extern im_worker_hook_t  im_stat_hook;
extern im_worker_hook_t  im_hist_hook;
extern im_worker_hook_t  im_poll_hook;
extern im_worker_hook_t  im_store_hook;
extern im_worker_hook_t  im_zone_hook;
extern im_worker_hook_t  im_redis_hook;
extern im_worker_hook_t  im_session_hook;
extern im_worker_hook_t  im_room_hook;
extern im_worker_hook_t  im_room_member_hook;
extern im_worker_hook_t  im_slot_hook;
extern im_worker_hook_t  im_node_hook;
extern im_worker_hook_t  im_cache_hook;
extern im_worker_hook_t  im_login_sig_hook;
extern im_worker_hook_t  im_group_type_hook;
extern im_worker_hook_t  im_word_hook;
extern im_worker_hook_t  im_group_member_hook;
extern im_worker_hook_t  im_group_row_hook;
extern im_worker_hook_t  im_group_silent_hook;
extern im_worker_hook_t  im_group_sweep_hook;
extern im_worker_hook_t  im_job_hook;
extern im_worker_hook_t  im_callback_hook;
extern im_worker_hook_t  im_callback_conf_hook;
extern im_worker_hook_t  im_curl_hook;
extern im_worker_hook_t  im_callback_client_hook;
extern im_worker_hook_t  im_callback_late_hook;
extern im_worker_hook_t  im_outbox_hook;
extern im_worker_hook_t  im_status_hook;
extern im_worker_hook_t  im_api_hook;
extern im_worker_hook_t  im_conn_hook;
extern im_worker_hook_t  im_room_place_hook;
extern im_worker_hook_t  im_guest_hook;
extern im_worker_hook_t  im_room_body_hook;


im_worker_hook_t  *im_worker_hooks[] = {
    &im_co_hook,
    &im_pool_hook,
    &im_fault_hook,
    &im_task_hook,
    &im_stat_hook,
    &im_hist_hook,
    &im_poll_hook,
    &im_store_hook,
    &im_zone_hook,
    &im_redis_hook,
    &im_session_hook,
    &im_room_hook,
    &im_room_member_hook,
    &im_slot_hook,                         /* from here on the bus is read */
    &im_node_hook,
    &im_cache_hook,
    &im_login_sig_hook,
    &im_group_type_hook,
    &im_word_hook,
    &im_group_member_hook,
    &im_group_row_hook,
    &im_job_hook,
    &im_group_silent_hook,
    &im_group_sweep_hook,
    &im_callback_hook,
    &im_callback_conf_hook,
    &im_curl_hook,
    &im_callback_client_hook,
    &im_callback_late_hook,
    &im_outbox_hook,
    &im_status_hook,
    &im_api_hook,
    &im_conn_hook,
    &im_room_place_hook,
    &im_guest_hook,
    &im_room_body_hook,
    NULL
};
