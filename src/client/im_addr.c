
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "client/im_addr.h"


typedef struct {
    uint32_t           net;
    ngx_uint_t         bits;
} im_addr_net_t;


/* Where IPv4 addresses are in IPv6 ones. */

typedef struct {
    u_char             prefix[12];
    ngx_uint_t         len;          /* of the prefix */
    ngx_uint_t         at;
} im_addr_map_t;


static ngx_uint_t im_addr_private4(uint32_t addr);
static ngx_uint_t im_addr_private6(u_char *p);


static im_addr_net_t  im_addr_nets[] = {
    { 0x00000000, 8 },               /* this network */
    { 0x0a000000, 8 },               /* private */
    { 0x64400000, 10 },              /* of providers */
    { 0x7f000000, 8 },               /* loopback */
    { 0xa9fe0000, 16 },              /* link-local */
    { 0xac100000, 12 },              /* private */
    { 0xc0000000, 24 },              /* of protocols */
    { 0xc0a80000, 16 },              /* private */
    { 0xc6120000, 15 },              /* benchmarks */
    { 0xe0000000, 4 },               /* multicast */
    { 0xf0000000, 4 },               /* reserved, broadcast */
    { 0, 0 }
};


static im_addr_map_t  im_addr_maps[] = {
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 12 },
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 12, 12 },
    { { 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0 }, 12, 12 },
    { { 0x20, 0x02 }, 2, 2 },        /* 6to4 */
    { { 0 }, 0, 0 }
};


ngx_uint_t
im_addr_private(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        return im_addr_private4(ntohl(sin->sin_addr.s_addr));

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        return im_addr_private6(sin6->sin6_addr.s6_addr);

    default:
        return 1;
    }
}


ngx_uint_t
im_addr_private_text(const char *text)
{
    struct in_addr   in;
    struct in6_addr  in6;

    if (inet_pton(AF_INET, text, &in) == 1) {
        return im_addr_private4(ntohl(in.s_addr));
    }

    if (inet_pton(AF_INET6, text, &in6) == 1) {
        return im_addr_private6(in6.s6_addr);
    }

    return 1;
}


static ngx_uint_t
im_addr_private4(uint32_t addr)
{
    im_addr_net_t  *net;

    for (net = im_addr_nets; net->bits; net++) {
        if ((addr ^ net->net) >> (32 - net->bits) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
im_addr_private6(u_char *p)
{
    u_char         *q;
    im_addr_map_t  *map;

    for (map = im_addr_maps; map->len; map++) {

        if (ngx_memcmp(p, map->prefix, map->len) == 0) {
            q = p + map->at;

            return im_addr_private4((uint32_t) q[0] << 24 | q[1] << 16
                                    | q[2] << 8 | q[3]);
        }
    }

    /* 2000::/3 is all that is public, but for Teredo and documentation */

    if ((p[0] & 0xe0) != 0x20) {
        return 1;
    }

    return p[0] == 0x20 && p[1] == 0x01
           && ((p[2] == 0 && p[3] == 0) || (p[2] == 0x0d && p[3] == 0xb8));
}
