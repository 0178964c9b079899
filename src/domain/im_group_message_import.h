
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_GROUP_MESSAGE_IMPORT_H_INCLUDED_
#define _IM_GROUP_MESSAGE_IMPORT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "domain/im_group.h"
#include "domain/im_group_row.h"


/*
 * Appends old messages: from, time (seconds), random and body of n rows are
 * set; those whose code is not IM_OK are left out.  seq comes back, of
 * messages that were imported before, too, and the code 10004 of those whose
 * time is not after the group's creation and its last message, and before
 * now.  Nothing of them is unread for members.  10002: the store failed.
 */
im_code_t im_group_message_import(im_ctx_t *ctx, im_group_t *group,
    im_group_row_t *rows, im_code_t *codes, ngx_uint_t n);


#endif /* _IM_GROUP_MESSAGE_IMPORT_H_INCLUDED_ */
