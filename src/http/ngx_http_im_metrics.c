
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "api/im_api.h"
#include "core/im_stat.h"
#include "domain/im_callback_stat.h"
#include "http/ngx_http_im_module.h"
#include "live/im_bus.h"
#include "live/im_room_member.h"
#include "live/im_session.h"
#include "live/im_zone.h"
#include "store/im_store.h"
#include "api/im_api_metrics.h"


#define NGX_HTTP_IM_METRICS_SIZE  16384
#define NGX_HTTP_IM_METRICS_LINE  160


static u_char *ngx_http_im_metrics_stats(u_char *p);
static u_char *ngx_http_im_metrics_latency(u_char *p);
static u_char *ngx_http_im_metrics_live(u_char *p);
static u_char *ngx_http_im_metrics_one(u_char *p, char *type, char *name,
    uint64_t value);


static char  *ngx_http_im_metrics_transports[] = { "ws", "poll", "tcp" };


ngx_int_t
ngx_http_im_metrics_handler(ngx_http_request_t *r)
{
    u_char     *p;
    size_t      size;
    ngx_int_t   rc;
    ngx_str_t   text, commands, times, callbacks;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (im_api_metrics(r->pool, &commands) != NGX_OK
        || im_api_times(r->pool, &times) != NGX_OK
        || im_callback_metrics(r->pool, &callbacks) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = NGX_HTTP_IM_METRICS_SIZE + commands.len + times.len + callbacks.len
           + IM_STAT_MAX * 2 * NGX_HTTP_IM_METRICS_LINE;

    text.data = ngx_pnalloc(r->pool, size);
    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_http_im_metrics_one(text.data, "gauge", "im_up", 1);
    p = ngx_http_im_metrics_stats(p);
    p = ngx_http_im_metrics_latency(p);
    p = ngx_http_im_metrics_live(p);
    p = ngx_cpymem(p, commands.data, commands.len);
    p = ngx_cpymem(p, times.data, times.len);
    p = ngx_cpymem(p, callbacks.data, callbacks.len);

    text.len = p - text.data;

    return ngx_http_im_send(r, NGX_HTTP_OK, "text/plain; version=0.0.4",
                            &text);
}


/* Names that differ in their labels only follow each other in the table. */

static u_char *
ngx_http_im_metrics_stats(u_char *p)
{
    char        *name, *last;
    size_t       len;
    ngx_uint_t   i, counter;

    last = "";

    for (i = 0; /* void */ ; i++) {
        name = im_stat_name(i, &counter);

        if (name == NULL) {
            return p;
        }

        len = strcspn(name, "{");

        if (strcspn(last, "{") != len || ngx_strncmp(name, last, len) != 0) {
            p = ngx_sprintf(p, "# TYPE %*s %s\n", len, name,
                            counter ? "counter" : "gauge");
        }

        p = ngx_sprintf(p, "%s %uL\n", name, im_stat_get(i));
        last = name;
    }
}


/* Seconds from a commit's call to its end. */

static u_char *
ngx_http_im_metrics_latency(u_char *p)
{
    uint64_t    sum, us;
    ngx_uint_t  i;

    p = ngx_sprintf(p, "# TYPE im_store_commit_seconds histogram\n");

    sum = 0;
    us = 64;

    for (i = 0; i < IM_STAT_BUCKETS; i++) {
        sum += im_stat_get(IM_STAT_LATENCY + i);

        if (i < IM_STAT_BUCKETS - 1) {
            p = ngx_sprintf(p, "im_store_commit_seconds_bucket"
                            "{le=\"%uL.%06uL\"} %uL\n",
                            us / 1000000, us % 1000000, sum);
        }

        us *= 2;
    }

    us = im_stat_get(IM_STAT_LATENCY_SUM);

    return ngx_sprintf(p, "im_store_commit_seconds_bucket{le=\"+Inf\"} %uL\n"
                       "im_store_commit_seconds_sum %uL.%06uL\n"
                       "im_store_commit_seconds_count %uL\n",
                       sum, us / 1000000, us % 1000000, sum);
}


/* What is in shared memory is the same from every worker. */

static u_char *
ngx_http_im_metrics_live(u_char *p)
{
    ngx_uint_t         i, j, n;
    im_bus_stat_t      bus;
    im_room_stat_t     room;
    im_zone_stat_t     zone;
    im_store_stat_t    store;
    im_session_stat_t  session;

    im_bus_stat(&bus);
    im_room_stat(&room);
    im_zone_stat(&zone);
    im_store_stat(&store);
    im_session_stat(&session);

    p = ngx_sprintf(p, "# TYPE im_sessions gauge\n");

    for (i = 0; i < IM_SESSION_TRANSPORTS; i++) {
        n = 0;

        for (j = 0; j < IM_SESSION_PLATFORMS; j++) {
            n += session.n[i][j];
        }

        p = ngx_sprintf(p, "im_sessions{transport=\"%s\"} %ui\n",
                        ngx_http_im_metrics_transports[i], n);
    }

    p = ngx_http_im_metrics_one(p, "gauge", "im_store_map_bytes",
                                store.map_size);
    p = ngx_http_im_metrics_one(p, "gauge", "im_store_map_used_bytes",
                                store.map_used);

    p = ngx_http_im_metrics_one(p, "counter", "im_bus_records_total",
                                bus.records);
    p = ngx_http_im_metrics_one(p, "counter", "im_bus_bytes_total",
                                bus.bytes);
    p = ngx_http_im_metrics_one(p, "counter", "im_bus_wakeups_total",
                                bus.wakeups);
    p = ngx_http_im_metrics_one(p, "counter", "im_bus_laps_total", bus.laps);
    p = ngx_http_im_metrics_one(p, "gauge", "im_bus_size_bytes", bus.size);
    p = ngx_http_im_metrics_one(p, "gauge", "im_bus_used_bytes", bus.used);

    p = ngx_http_im_metrics_one(p, "gauge", "im_zone_size_bytes", zone.size);
    p = ngx_http_im_metrics_one(p, "gauge", "im_zone_used_bytes", zone.used);
    p = ngx_http_im_metrics_one(p, "gauge", "im_zone_entries", zone.entries);
    p = ngx_http_im_metrics_one(p, "gauge", "im_users_online", zone.users);
    p = ngx_http_im_metrics_one(p, "gauge", "im_rooms", zone.rooms);
    p = ngx_http_im_metrics_one(p, "gauge", "im_room_users", zone.joined);
    p = ngx_http_im_metrics_one(p, "gauge", "im_room_walks", room.jobs);
    p = ngx_http_im_metrics_one(p, "gauge", "im_room_walk_bytes", room.bytes);
    p = ngx_http_im_metrics_one(p, "counter", "im_room_deliveries_total",
                                room.delivered);
    p = ngx_http_im_metrics_one(p, "counter", "im_room_dropped_total",
                                room.dropped);
    p = ngx_http_im_metrics_one(p, "counter", "im_zone_evicted_total",
                                zone.evicted);

    return ngx_http_im_metrics_one(p, "counter", "im_zone_full_total",
                                   zone.full);
}


static u_char *
ngx_http_im_metrics_one(u_char *p, char *type, char *name, uint64_t value)
{
    return ngx_sprintf(p, "# TYPE %s %s\n%s %uL\n", name, type, name, value);
}
