
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_FAULT_H_INCLUDED_
#define _IM_FAULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A named point at which a test may kill the worker: "fault NAME N;" kills
 * the one that makes the Nth pass, all workers counted together, once after
 * each start or reload.  No-op without --with-debug.
 */

#if (NGX_DEBUG)

#define im_fault(name)  im_fault_pass(name)

void im_fault_pass(const char *name);

/* Returns NGX_DECLINED if there is no point of that name. */
ngx_int_t im_fault_known(ngx_str_t *name);

#else

#define im_fault(name)

#endif


#endif /* _IM_FAULT_H_INCLUDED_ */
