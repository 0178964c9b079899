
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_OUTBOX_QUEUE_H_INCLUDED_
#define _IM_OUTBOX_QUEUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Events that have no commit as their cause: they wait in the worker until
 * they are written, see im_outbox_add().
 */

void im_outbox_queue_init_process(void);
void im_outbox_queue_exit_process(void);

/* Each second: there may have been no coroutine. */
void im_outbox_queue_tick(void);


#endif /* _IM_OUTBOX_QUEUE_H_INCLUDED_ */
