
/*
 * Copyright (C) The ngx_im authors
 */


#ifndef _IM_CURL_H_INCLUDED_
#define _IM_CURL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The HTTP client: POST by libcurl, which this worker's event loop drives.
 * Connections are kept and used again; names are resolved by threads of
 * libcurl; redirects are not followed; environment variables for proxies
 * are not used.
 */


typedef struct {
    ngx_str_t          url;          /* http or https */
    ngx_str_t          body;
    ngx_str_t         *headers;      /* "Name: value", n_headers of them */
    ngx_uint_t         n_headers;

    ngx_msec_t         timeout;      /* of all from the call to the answer */
    size_t             max;          /* bytes of the answer's body */

    /* PEM texts, which live as long as the configuration */
    ngx_str_t          ca;           /* empty: those of the system */
    ngx_str_t          cert;         /* of ourselves, empty: none */
    ngx_str_t          key;

    unsigned           verify:1;     /* the certificate of the server */
    unsigned           foreign:1;    /* only to public addresses */
} im_curl_request_t;


typedef struct {
    ngx_uint_t         status;       /* of HTTP, 0: no answer */
    ngx_str_t          body;         /* gone after the handler */
    const char        *error;        /* why there is none */
    ngx_msec_t         time;         /* that it took */
} im_curl_answer_t;


/*
 * Called once, by the event loop.  NGX_OK: an answer of any status; NGX_BUSY:
 * not in time; NGX_ERROR: refused, reset, garbage, too long and the like.
 */
typedef void (*im_curl_pt)(void *data, ngx_int_t rc,
    im_curl_answer_t *answer);


/*
 * Starts a request from the next turn of the event loop; everything is
 * copied but the PEM texts.  The worker stays until its end.  NGX_OK: the
 * handler will be called; NGX_BUSY: too many run already, NGX_ERROR.
 */
ngx_int_t im_curl_start(im_curl_request_t *request, im_curl_pt handler,
    void *data);

/*
 * The same for a coroutine, which is suspended until the answer is there and
 * copied to the pool.  Results as both above; NGX_BUSY with no answer->error:
 * not started.
 */
ngx_int_t im_curl_post(ngx_pool_t *pool, im_curl_request_t *request,
    im_curl_answer_t *answer);


#endif /* _IM_CURL_H_INCLUDED_ */
