
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/ngx_im_module.h"


#define IM_REDIS_PREFIX_MAX  32


static char *ngx_im_redis_address(ngx_conf_t *cf, im_redis_conf_t *redis,
    ngx_str_t *value);
static ngx_int_t ngx_im_redis_server(ngx_conf_t *cf, ngx_url_t *u,
    ngx_uint_t i, ngx_str_t *value, im_redis_addr_t *addr);
static ngx_int_t ngx_im_redis_parameter(im_redis_conf_t *redis,
    ngx_str_t *value);
static ngx_uint_t ngx_im_redis_name(ngx_str_t *name, size_t max, char *more);


/* redis HOST:PORT ... [user=...] [password=...] [db=N] [prefix=...]
 * [timeout=500ms]; */

char *
ngx_im_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    char             *rv;
    ngx_str_t        *value;
    ngx_uint_t        i;
    im_redis_conf_t  *redis;

    redis = &imcf->redis;

    if (redis->name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    redis->name = value[1];
    redis->timeout = 500;
    ngx_str_set(&redis->prefix, "im:");

    if (ngx_array_init(&redis->addrs, cf->pool, 2, sizeof(im_redis_addr_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (i == 1 || ngx_strlchr(value[i].data,
                                  value[i].data + value[i].len, '=')
                      == NULL)
        {
            rv = ngx_im_redis_address(cf, redis, &value[i]);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_im_redis_parameter(redis, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (redis->user.len && redis->password.len == 0) {
        return "has \"user\" without \"password\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_im_redis_address(ngx_conf_t *cf, im_redis_conf_t *redis,
    ngx_str_t *value)
{
    ngx_url_t         u;
    ngx_uint_t        i;
    im_redis_addr_t  *addr;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = 6379;

    /* there is a password before it, which is not for the log */

    if (ngx_strncmp(u.url.data, "unix:", 5) != 0
        && ngx_strlchr(u.url.data, u.url.data + u.url.len, '@'))
    {
        return "has \"@\" in the address, write: "
               "redis HOST:PORT user=... password=...;";
    }

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"redis %V\"",
                           u.err ? u.err : "no address", value);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {

        addr = ngx_array_push(&redis->addrs);
        if (addr == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_im_redis_server(cf, &u, i, value, addr) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_im_redis_server(ngx_conf_t *cf, ngx_url_t *u, ngx_uint_t i,
    ngx_str_t *value, im_redis_addr_t *addr)
{
    ngx_memzero(addr, sizeof(im_redis_addr_t));

    addr->name = (u->naddrs == 1) ? *value : u->addrs[i].name;

    if (u->addrs[i].sockaddr->sa_family == AF_UNIX) {
        addr->host = u->host;            /* terminated: part of an argument */
        addr->port = 0;

        return NGX_OK;
    }

    addr->host.data = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN + 1);
    if (addr->host.data == NULL) {
        return NGX_ERROR;
    }

    addr->host.len = ngx_sock_ntop(u->addrs[i].sockaddr, u->addrs[i].socklen,
                                   addr->host.data, NGX_SOCKADDR_STRLEN, 0);
    addr->port = ngx_inet_get_port(u->addrs[i].sockaddr);

    if (addr->host.len && addr->host.data[0] == '[') {
        addr->host.data++;
        addr->host.len -= 2;
    }

    addr->host.data[addr->host.len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_im_redis_parameter(im_redis_conf_t *redis, ngx_str_t *value)
{
    ngx_str_t  s;
    ngx_int_t  n;

    s = *value;

    if (ngx_strncmp(s.data, "password=", 9) == 0 && s.len > 9) {
        redis->password.data = s.data + 9;
        redis->password.len = s.len - 9;

        return NGX_OK;
    }

    if (ngx_strncmp(s.data, "user=", 5) == 0 && s.len > 5) {
        redis->user.data = s.data + 5;
        redis->user.len = s.len - 5;

        return NGX_OK;
    }

    if (ngx_strncmp(s.data, "db=", 3) == 0) {
        n = ngx_atoi(s.data + 3, s.len - 3);

        if (n == NGX_ERROR || n > 65535) {
            return NGX_ERROR;
        }

        redis->db = n;

        return NGX_OK;
    }

    if (ngx_strncmp(s.data, "prefix=", 7) == 0) {
        redis->prefix.data = s.data + 7;
        redis->prefix.len = s.len - 7;

        return ngx_im_redis_name(&redis->prefix, IM_REDIS_PREFIX_MAX, ":/")
               ? NGX_OK : NGX_ERROR;
    }

    if (ngx_strncmp(s.data, "timeout=", 8) == 0) {
        s.data += 8;
        s.len -= 8;

        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR || n == 0) {
            return NGX_ERROR;
        }

        redis->timeout = n;

        return NGX_OK;
    }

    return NGX_ERROR;
}


char *
ngx_im_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    im_conf_t  *imcf = conf;

    ngx_str_t  *value;

    if (imcf->node.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_im_redis_name(&value[1], IM_NODE_NAME_MAX, "")) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid node \"%V\", write 1 to %d letters, "
                           "digits, \".\", \"_\" or \"-\"",
                           &value[1], IM_NODE_NAME_MAX);
        return NGX_CONF_ERROR;
    }

    imcf->node = value[1];

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_im_redis_name(ngx_str_t *name, size_t max, char *more)
{
    u_char      c;
    ngx_uint_t  i;

    if (name->len == 0 || name->len > max) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z')
            && !(c >= '0' && c <= '9') && ngx_strchr("._-", c) == NULL
            && ngx_strchr(more, c) == NULL)
        {
            return 0;
        }
    }

    return 1;
}


char *
ngx_im_redis_check(ngx_conf_t *cf, im_conf_t *imcf)
{
    if (imcf->redis.name.len && imcf->node.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"redis\" needs the name of this machine, other "
                           "on each one, write: node NAME;");
        return NGX_CONF_ERROR;
    }

    if (imcf->node.len && imcf->redis.name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"node\" is for several machines, which need "
                           "\"redis\", write: redis 127.0.0.1:6379;");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
