
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_node.h"
#include "live/im_presence.h"
#include "live/im_session.h"
#include "live/im_session_entry.h"
#include "live/im_session_event.h"


#define IM_SESSION_TOO_LONG  1


/* heads of records; the name of the user and the rest follow */

typedef struct {
    uint32_t                 except;
    uint32_t                 only;
    uint32_t                 flags;
    uint32_t                 len;
} im_session_event_t;


typedef struct {
    uint64_t                 serial;
    uint32_t                 inst;
    uint32_t                 type;
    uint32_t                 len;
    uint32_t                 unused;
} im_session_kick_t;


static void im_session_kick_parts(ngx_str_t *parts, im_session_kick_t *kick,
    im_bus_meta_t *meta, ngx_uint_t app, ngx_str_t *user, uint32_t hash,
    uint32_t inst);
static void im_session_node_publish(im_node_record_t *rec,
    ngx_str_t *payload);
static ngx_int_t im_session_parts(ngx_uint_t kind, ngx_str_t *payload,
    ngx_str_t *user, ngx_str_t *rest);
static void im_session_handler(im_bus_buf_t *buf);
static void im_session_deliver(im_session_t *s, im_bus_buf_t *buf,
    ngx_str_t *json);
static void im_session_kick(im_session_t *s, im_bus_buf_t *buf,
    ngx_str_t *info);


void
im_session_event_init(void)
{
    im_bus_handler(IM_BUS_EVENT, im_session_handler);
    im_bus_handler(IM_BUS_KICK, im_session_handler);
    im_bus_handler(IM_BUS_REPLACED, im_session_handler);

    im_node_handler(IM_BUS_EVENT, im_session_node_publish);
    im_node_handler(IM_BUS_KICK, im_session_node_publish);
    im_node_handler(IM_BUS_REPLACED, im_session_node_publish);
}


void
im_session_replace(im_session_t *s, ngx_uint_t slot, uint64_t serial)
{
    ngx_str_t          parts[2];
    im_slots_t         to;
    im_bus_meta_t      meta;
    im_session_kick_t  kick;

    im_session_kick_parts(parts, &kick, &meta, s->app, &s->user, s->hash,
                          s->inst);
    kick.serial = serial;

    im_slots_zero(&to);
    im_slots_set(&to, slot);

    (void) im_bus_publish(&to, IM_BUS_REPLACED, &meta, parts, 2);
}


static void
im_session_kick_parts(ngx_str_t *parts, im_session_kick_t *kick,
    im_bus_meta_t *meta, ngx_uint_t app, ngx_str_t *user, uint32_t hash,
    uint32_t inst)
{
    ngx_memzero(meta, sizeof(im_bus_meta_t));
    meta->app = app;
    meta->chain = hash;

    ngx_memzero(kick, sizeof(im_session_kick_t));
    kick->inst = inst;
    kick->len = user->len;

    parts[0].len = sizeof(im_session_kick_t);
    parts[0].data = (u_char *) kick;
    parts[1] = *user;
}


ngx_int_t
im_session_replaced_record(im_session_t *s, ngx_str_t *rec)
{
    ngx_str_t          parts[2];
    im_bus_meta_t      meta;
    im_session_kick_t  kick;

    im_session_kick_parts(parts, &kick, &meta, s->app, &s->user, s->hash,
                          s->inst);

    return im_node_record(rec, IM_BUS_REPLACED, &meta, parts, 2);
}


ngx_int_t
im_session_publish(ngx_uint_t app, ngx_str_t *user, int64_t seq,
    uint32_t except, uint32_t only, ngx_uint_t flags, ngx_str_t *json)
{
    uint32_t            hash;
    ngx_str_t           parts[3];
    im_slots_t          to;
    im_bus_meta_t       meta;
    im_session_event_t  head;

    hash = im_session_hash(app, user);

    im_session_slots(app, hash, user, 0, &to);

    if (im_slots_empty(&to) && !im_redis_up()) {
        return NGX_DECLINED;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.flags = flags;
    meta.chain = hash;
    meta.seq = seq;

    head.except = except;
    head.only = only;
    head.flags = 0;
    head.len = user->len;

    parts[0].len = sizeof(im_session_event_t);
    parts[0].data = (u_char *) &head;
    parts[1] = *user;
    parts[2] = *json;

    if (parts[0].len + user->len + json->len > im_bus_payload_max()) {

        if (seq == 0) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "event of %uz bytes is too long for the bus",
                          json->len);
            return NGX_OK;
        }

        head.flags = IM_SESSION_TOO_LONG;
        parts[2].len = 0;
    }

    if (im_redis_up()) {
        im_presence_publish(app, user, 0, IM_BUS_EVENT, &meta, parts, 3);
    }

    if (im_slots_empty(&to)) {
        return NGX_DECLINED;
    }

    return im_bus_publish(&to, IM_BUS_EVENT, &meta, parts, 3);
}


ngx_int_t
im_session_kick_publish(ngx_uint_t app, ngx_str_t *user, uint32_t inst,
    ngx_uint_t type, ngx_str_t *info)
{
    uint32_t           hash;
    ngx_str_t          parts[3];
    im_slots_t         to;
    im_bus_meta_t      meta;
    im_session_kick_t  kick;

    hash = im_session_hash(app, user);

    im_session_slots(app, hash, user, inst, &to);

    if (im_slots_empty(&to) && !im_redis_up()) {
        return NGX_DECLINED;
    }

    im_session_kick_parts(parts, &kick, &meta, app, user, hash, inst);
    kick.type = type;
    parts[2] = *info;

    if (im_redis_up()) {
        im_presence_publish(app, user, inst, IM_BUS_KICK, &meta, parts, 3);
    }

    if (im_slots_empty(&to)) {
        return NGX_DECLINED;
    }

    return im_bus_publish(&to, IM_BUS_KICK, &meta, parts, 3);
}


/* What another node has published. */

static void
im_session_node_publish(im_node_record_t *rec, ngx_str_t *payload)
{
    uint32_t            inst;
    ngx_int_t           rc;
    ngx_str_t           user, rest, part;
    im_slots_t          to;
    im_bus_meta_t       meta;
    im_session_kick_t   kick;
    im_session_event_t  event;

    if (im_session_parts(rec->kind, payload, &user, &rest) != NGX_OK) {
        return;
    }

    inst = 0;

    if (rec->kind != IM_BUS_EVENT) {
        ngx_memcpy(&kick, payload->data, sizeof(im_session_kick_t));
        inst = kick.inst;
    }

    im_session_slots(rec->app, rec->chain, &user, inst, &to);

    if (im_slots_empty(&to)) {
        return;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));

    meta.app = rec->app;
    meta.flags = rec->flags;
    meta.chain = rec->chain;
    meta.seq = rec->seq;

    rc = im_bus_publish(&to, rec->kind, &meta, payload, 1);

    if (rc == NGX_DECLINED && rec->kind == IM_BUS_EVENT && rec->seq) {

        /* a larger bus over there */

        ngx_memcpy(&event, payload->data, sizeof(im_session_event_t));
        event.flags = IM_SESSION_TOO_LONG;
        ngx_memcpy(payload->data, &event, sizeof(im_session_event_t));

        part.data = payload->data;
        part.len = rest.data - payload->data;

        (void) im_bus_publish(&to, rec->kind, &meta, &part, 1);
    }
}


/* The name of the user and the rest, or NGX_ERROR: it is no such record. */

static ngx_int_t
im_session_parts(ngx_uint_t kind, ngx_str_t *payload, ngx_str_t *user,
    ngx_str_t *rest)
{
    size_t    head, offset;
    uint32_t  len;

    if (kind == IM_BUS_EVENT) {
        head = sizeof(im_session_event_t);
        offset = offsetof(im_session_event_t, len);

    } else {
        head = sizeof(im_session_kick_t);
        offset = offsetof(im_session_kick_t, len);
    }

    if (payload->len < head) {
        return NGX_ERROR;
    }

    ngx_memcpy(&len, payload->data + offset, sizeof(uint32_t));

    if (len > payload->len - head) {
        return NGX_ERROR;
    }

    user->data = payload->data + head;
    user->len = len;

    rest->data = user->data + len;
    rest->len = payload->len - head - len;

    return NGX_OK;
}


static void
im_session_handler(im_bus_buf_t *buf)
{
    ngx_str_t      user, rest;
    im_session_t  *s;

    if (im_session_parts(buf->kind, &buf->payload, &user, &rest) != NGX_OK) {
        return;
    }

    for (s = im_session_first(buf->app, buf->chain, &user);
         s;
         s = im_session_another(buf->app, buf->chain, &user))
    {
        if (buf->kind == IM_BUS_EVENT) {
            im_session_deliver(s, buf, &rest);

        } else {
            im_session_kick(s, buf, &rest);
        }
    }
}


static void
im_session_deliver(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *json)
{
    int64_t              seq;
    ngx_uint_t           skip;
    im_session_event_t  *head;

    head = (im_session_event_t *) buf->payload.data;

    seq = buf->seq;
    skip = (head->except && head->except == s->inst)
           || (head->only && head->only != s->inst);

    if (seq == 0) {
        if (!skip) {
            s->ops->event(s, buf, json);
        }

        return;
    }

    if (s->behind) {
        s->seen = ngx_max(s->seen, seq);
        return;
    }

    if (seq <= s->cursor) {
        return;
    }

    if (seq > s->cursor + 1
        || (!skip && (head->flags & IM_SESSION_TOO_LONG)))
    {
        s->seen = seq;
        im_session_behind(s);
        return;
    }

    s->cursor = seq;

    if (!skip) {
        s->ops->event(s, buf, json);
    }
}


static void
im_session_kick(im_session_t *s, im_bus_buf_t *buf, ngx_str_t *info)
{
    im_session_kick_t  *kick;

    kick = (im_session_kick_t *) buf->payload.data;

    if (buf->kind == IM_BUS_KICK) {

        if (kick->inst == 0 || kick->inst == s->inst) {
            s->ops->kick(s, kick->type, info);
        }

        return;
    }

    /* the instance has connected elsewhere */

    if (s->serial == kick->serial) {
        im_session_replaced(s);
    }
}
