
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_METRICS_H_INCLUDED_
#define _IM_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Shows all workers what this one has; called once a second. */
void im_metrics_publish(void);


#endif /* _IM_METRICS_H_INCLUDED_ */
