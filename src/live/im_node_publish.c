
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_stat.h"
#include "live/im_node.h"
#include "live/im_node_publish.h"


static ngx_int_t im_node_publish_to(ngx_str_t *name, ngx_uint_t kind,
    im_bus_meta_t *meta, ngx_str_t *parts, ngx_uint_t n);


im_node_names_t  im_node_names;


ngx_int_t
im_node_names_init(ngx_cycle_t *cycle, im_conf_t *conf)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *prefix, *node;

    prefix = &conf->redis.prefix;
    node = &conf->node;

    len = prefix->len + node->len + sizeof("all:") + NGX_INT64_LEN;

    p = ngx_pnalloc(cycle->pool, 8 * len);
    if (p == NULL) {
        return NGX_ERROR;
    }

#define im_node_text(s, format, ...)                                          \
    (s)->data = p;                                                            \
    (s)->len = ngx_sprintf(p, format, __VA_ARGS__) - p;                       \
    p += len

    im_node_text(&im_node_names.key, "%Vn:%V", prefix, node);
    im_node_text(&im_node_names.entered, "%Ve:%V", prefix, node);
    im_node_text(&im_node_names.bus, "%Vb:%V", prefix, node);
    im_node_text(&im_node_names.all, "%Vall", prefix);
    im_node_text(&im_node_names.prefix, "%Vc:", prefix);
    im_node_text(&im_node_names.beat_prefix, "%Vn:", prefix);
    im_node_text(&im_node_names.bus_prefix, "%Vb:", prefix);
    im_node_text(&im_node_names.name, "%V|%uA", node, im_bus_node()->epoch);

    im_node_names.self = (uint64_t) ngx_murmur_hash2(node->data, node->len)
                         << 32
                         | ngx_crc32_long(node->data, node->len);

    return NGX_OK;
}


ngx_int_t
im_node_record(ngx_str_t *rec, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n)
{
    size_t             len;
    u_char            *p;
    ngx_uint_t         i;
    im_node_record_t   head;

    len = sizeof(im_node_record_t);

    for (i = 0; i < n; i++) {
        len += parts[i].len;
    }

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rec->data = p;
    rec->len = len;

    ngx_memzero(&head, sizeof(im_node_record_t));

    head.magic = IM_NODE_MAGIC;
    head.kind = kind;
    head.origin = im_node_names.self;
    head.seq = meta->seq;
    head.chain = meta->chain;
    head.except = meta->except;
    head.app = meta->app;
    head.flags = meta->flags;

    p = ngx_cpymem(p, &head, sizeof(im_node_record_t));

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, parts[i].data, parts[i].len);
    }

    im_stat_add(IM_STAT_NODE_OUT, 1);

    return NGX_OK;
}


ngx_int_t
im_node_publish_all(ngx_uint_t kind, im_bus_meta_t *meta, ngx_str_t *parts,
    ngx_uint_t n)
{
    return im_node_publish_to(&im_node_names.all, kind, meta, parts, n);
}


ngx_int_t
im_node_publish(ngx_uint_t channel, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n)
{
    u_char     buf[IM_REDIS_KEY_MAX];
    ngx_str_t  name;

    im_node_channel(&name, buf, channel);

    return im_node_publish_to(&name, kind, meta, parts, n);
}


ngx_int_t
im_node_send(ngx_str_t *node, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n)
{
    u_char     buf[IM_REDIS_KEY_MAX];
    ngx_str_t  name;

    name.data = buf;
    name.len = ngx_snprintf(buf, IM_REDIS_KEY_MAX, "%V%V",
                            &im_node_names.bus_prefix, node)
               - buf;

    return im_node_publish_to(&name, kind, meta, parts, n);
}


static ngx_int_t
im_node_publish_to(ngx_str_t *name, ngx_uint_t kind, im_bus_meta_t *meta,
    ngx_str_t *parts, ngx_uint_t n)
{
    ngx_int_t  rc;
    ngx_str_t  args[3];

    if (!im_redis_up()) {
        im_node_miss();
        return NGX_DECLINED;
    }

    if (im_node_record(&args[2], kind, meta, parts, n) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = *name;

    rc = im_redis_call(NULL, 0, args, 3, NULL, NULL);

    ngx_free(args[2].data);

    return rc;
}


void
im_node_channel(ngx_str_t *name, u_char *buf, ngx_uint_t channel)
{
    u_char  *p;

    p = ngx_cpymem(buf, im_node_names.prefix.data, im_node_names.prefix.len);

    name->data = buf;
    name->len = ngx_sprintf(p, "%ui", channel) - buf;
}


ngx_str_t *
im_node_id(void)
{
    return &im_node_names.name;
}


ngx_str_t *
im_node_beats(void)
{
    return &im_node_names.beat_prefix;
}


ngx_str_t *
im_node_buses(void)
{
    return &im_node_names.bus_prefix;
}
