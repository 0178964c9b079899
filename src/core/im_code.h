
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CODE_H_INCLUDED_
#define _IM_CODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* What rules answer: IM_OK or the code for the wire. */

typedef ngx_int_t  im_code_t;

#define IM_OK  0


#endif /* _IM_CODE_H_INCLUDED_ */
