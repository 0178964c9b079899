
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * To be preloaded: a name that ends in ".slow" is resolved, to 127.0.0.1, as
 * soon as there is the file $IM_RESOLVE.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static char  *resolve_file;

static int (*real_getaddrinfo)(const char *, const char *,
    const struct addrinfo *, struct addrinfo **);


/* nginx takes the environment away */

__attribute__((constructor))
static void
resolve_init(void)
{
    char  *name;

    name = getenv("IM_RESOLVE");

    if (name) {
        resolve_file = strdup(name);
    }

    real_getaddrinfo = dlsym(RTLD_NEXT, "getaddrinfo");
}


int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    size_t  len;

    len = node ? strlen(node) : 0;

    if (resolve_file && len > 5 && strcmp(node + len - 5, ".slow") == 0) {

        while (access(resolve_file, F_OK) != 0) {
            usleep(10000);
        }

        node = "127.0.0.1";
    }

    return real_getaddrinfo(node, service, hints, res);
}
