
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CMD_H_INCLUDED_
#define _IM_CMD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "api/im_api.h"


/* Every feature of the SDK is on, bit 0 is the last. */
#define IM_PURCHASE_BITS  "1111111111111111"


/* Tables of commands, one per file; im_api_table.c lists them. */

extern im_command_t  im_cmd_im_open_login_svc[];
extern im_command_t  im_cmd_status[];
extern im_command_t  im_cmd_config[];
extern im_command_t  im_cmd_callback[];
extern im_command_t  im_cmd_profile[];
extern im_command_t  im_cmd_sns[];
extern im_command_t  im_cmd_sns_group[];
extern im_command_t  im_cmd_sns_list[];
extern im_command_t  im_cmd_sns_check[];
extern im_command_t  im_cmd_sns_recommend[];
extern im_command_t  im_cmd_user_status[];
extern im_command_t  im_cmd_custom_field[];
extern im_command_t  im_cmd_dirty_words[];
extern im_command_t  im_cmd_openim[];
extern im_command_t  im_cmd_openim_history[];
extern im_command_t  im_cmd_web_openim[];
extern im_command_t  im_cmd_web_message[];
extern im_command_t  im_cmd_web_status[];
extern im_command_t  im_cmd_group[];
extern im_command_t  im_cmd_group_info[];
extern im_command_t  im_cmd_group_member[];
extern im_command_t  im_cmd_group_join[];
extern im_command_t  im_cmd_group_invite[];
extern im_command_t  im_cmd_group_msg[];
extern im_command_t  im_cmd_group_history[];
extern im_command_t  im_cmd_group_receipt[];
extern im_command_t  im_cmd_group_notify[];
extern im_command_t  im_cmd_group_import[];
extern im_command_t  im_cmd_group_attr[];
extern im_command_t  im_cmd_group_room[];
extern im_command_t  im_cmd_web_room[];
extern im_command_t  im_cmd_recentcontact[];
extern im_command_t  im_cmd_contact_group[];
extern im_command_t  im_cmd_contact_mark[];
extern im_command_t  im_cmd_msg_ext[];
extern im_command_t  im_cmd_media[];


#endif /* _IM_CMD_H_INCLUDED_ */
