
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
 * each start or reload.  im_fault_error() is such a point at which nobody is
 * killed: it is true in the Nth pass, and the caller fails.  No-op without
 * --with-debug.
 */

#if (NGX_DEBUG)

#define im_fault(name)        (void) im_fault_pass(name, 1)
#define im_fault_error(name)  im_fault_pass(name, 0)

ngx_uint_t im_fault_pass(const char *name, ngx_uint_t deadly);

/* Returns NGX_DECLINED if there is no point of that name. */
ngx_int_t im_fault_known(ngx_str_t *name);

#else

#define im_fault(name)
#define im_fault_error(name)  0

#endif


#endif /* _IM_FAULT_H_INCLUDED_ */
