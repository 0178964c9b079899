
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "core/im_str.h"
#include "domain/im_profile.h"


static void im_profile_page_key(im_profile_t *profile, im_key_t *prefix,
    im_key_t *key, ngx_str_t *text);
static ngx_int_t im_profile_search_row(im_row_t *row, void *data);


ngx_int_t
im_profile_search(im_ctx_t *ctx, ngx_str_t *keyword, ngx_uint_t limit,
    ngx_str_t *next, ngx_array_t *profiles)
{
    im_key_t       prefix, from, to;
    ngx_int_t      rc;
    ngx_str_t      nkey, key;
    im_profile_t  *profile;

    if (im_profile_nkey(ctx, keyword, &nkey) != NGX_OK) {
        return NGX_ERROR;
    }

    im_key_init(&prefix, ctx->app->id);

    to = prefix;
    im_key_str(&to, &nkey);
    to.len--;                                /* of a string, its beginning */

    from = to;

    if (next->len) {

        if (prefix.len + next->len > IM_KEY_LEN
            || next->len < nkey.len
            || ngx_memcmp(next->data, nkey.data, nkey.len) != 0)
        {
            return NGX_DECLINED;
        }

        from = prefix;
        ngx_memcpy(from.data + from.len, next->data, next->len);
        from.len += next->len;
    }

    rc = im_store_scan(ctx, IM_T_PROFILE, IM_PROFILE_NICK, &prefix, &from,
                       &to, IM_ASC, limit + 2, im_profile_search_row,
                       profiles);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    profile = profiles->elts;

    if (next->len && profiles->nelts) {

        im_profile_page_key(&profile[0], &prefix, &from, &key);

        if (im_str_eq(&key, next)) {         /* the last one of that page */
            profiles->nelts--;
            ngx_memmove(profile, profile + 1,
                        profiles->nelts * sizeof(im_profile_t));
        }
    }

    ngx_str_null(next);

    if (profiles->nelts > limit) {
        profiles->nelts = limit;

        im_profile_page_key(&profile[limit - 1], &prefix, &from, &key);

        return im_str_dup(ctx->pool, next, &key);
    }

    return NGX_OK;
}


static void
im_profile_page_key(im_profile_t *profile, im_key_t *prefix, im_key_t *key,
    ngx_str_t *text)
{
    *key = *prefix;

    im_key_str(key, &profile->nkey);
    im_key_str(key, &profile->user);

    text->data = key->data + prefix->len;
    text->len = key->len - prefix->len;
}


static ngx_int_t
im_profile_search_row(im_row_t *row, void *data)
{
    ngx_array_t  *profiles = data;

    im_profile_t  *profile;

    profile = ngx_array_push(profiles);
    if (profile == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(profile, sizeof(im_profile_t));
    im_record_load(row, im_profile_record, profile);

    return NGX_OK;
}


ngx_int_t
im_profile_nkey(im_ctx_t *ctx, ngx_str_t *nick, ngx_str_t *nkey)
{
    size_t  len;

    ngx_str_null(nkey);

    len = ngx_min(nick->len, IM_PROFILE_NKEY);

    while (len < nick->len && len && (nick->data[len] & 0xc0) == 0x80) {
        len--;
    }

    if (len == 0) {
        return NGX_OK;
    }

    nkey->data = ngx_pnalloc(ctx->pool, len);
    if (nkey->data == NULL) {
        return NGX_ERROR;
    }

    nkey->len = len;
    ngx_strlow(nkey->data, nick->data, len);

    return NGX_OK;
}
