
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_NODE_PUBLISH_H_INCLUDED_
#define _IM_NODE_PUBLISH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_worker.h"
#include "live/im_node.h"


/* Names in Redis. */

typedef struct {
    ngx_str_t              key;      /* that beats */
    ngx_str_t              entered;  /* key: our epoch is known */
    ngx_str_t              bus;      /* channel of this node */
    ngx_str_t              all;      /* channel of all nodes */
    ngx_str_t              prefix;   /* of the others' channels */
    ngx_str_t              name;
    ngx_str_t              beat_prefix;
    ngx_str_t              bus_prefix;
    uint64_t               self;
} im_node_names_t;


ngx_int_t im_node_names_init(ngx_cycle_t *cycle, im_conf_t *conf);


extern im_node_names_t  im_node_names;


#endif /* _IM_NODE_PUBLISH_H_INCLUDED_ */
