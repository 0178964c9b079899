
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_presence.h"
#include "live/im_session.h"
#include "live/im_session_entry.h"
#include "live/im_zone.h"


#define IM_SESSION_EACH       32     /* instances of a user looked at */
#define IM_SESSION_CLEAR     256     /* entries removed under one lock */


/* in the zone: a user, and the user's instances */

typedef struct {
    im_map_node_t            node;
    ngx_queue_t              entries;
    uint32_t                 app;
    uint32_t                 len;
    u_char                   name[1];
} im_session_user_t;


typedef struct {
    ngx_queue_t              queue;
    ngx_queue_t              slot_queue;
    im_session_user_t       *user;
    uint64_t                 serial;
    uint32_t                 inst;
    uint16_t                 slot;
    uint8_t                  platform;
    uint8_t                  transport;
} im_session_node_t;


static im_session_user_t *im_session_user_find(im_zone_sh_t *sh,
    ngx_uint_t app, uint32_t hash, ngx_str_t *user);
static void im_session_unlink(im_zone_sh_t *sh, im_session_node_t *node);


ngx_int_t
im_session_enter(im_session_t *s, ngx_uint_t again, ngx_uint_t *slot,
    uint64_t *serial)
{
    ngx_int_t           rc;
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;
    im_session_user_t  *user;

    *slot = IM_SLOTS;
    *serial = 0;

    sh = im_zone_lock();

    node = NULL;
    user = im_session_user_find(sh, s->app, s->hash, &s->user);

    if (user == NULL) {
        user = im_zone_alloc_locked(sh, sizeof(im_session_user_t)
                                        + s->user.len);
        if (user == NULL) {
            goto full;
        }

        user->node.hash = s->hash;
        user->app = s->app;
        user->len = s->user.len;
        ngx_memcpy(user->name, s->user.data, s->user.len);
        ngx_queue_init(&user->entries);

        node = im_zone_alloc_locked(sh, sizeof(im_session_node_t));
        if (node == NULL) {
            im_zone_free_locked(sh, user);
            goto full;
        }

        im_map_insert(&sh->users, &user->node);
        sh->nusers++;

    } else {

        for (q = ngx_queue_head(&user->entries);
             q != ngx_queue_sentinel(&user->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (node->inst == s->inst) {
                break;
            }

            node = NULL;
        }

        if (node && again && node->serial >= s->serial) {
            rc = (node->serial == s->serial) ? NGX_OK : NGX_DECLINED;

            im_zone_unlock(sh);

            return rc;
        }

        if (node) {
            *slot = node->slot;
            *serial = node->serial;

            ngx_queue_remove(&node->queue);
            ngx_queue_remove(&node->slot_queue);

        } else {
            node = im_zone_alloc_locked(sh, sizeof(im_session_node_t));
            if (node == NULL) {
                goto full;
            }
        }
    }

    if (*slot == IM_SLOTS) {
        sh->nsessions++;
    }

    if (!again) {
        s->serial = ++sh->serial;
    }

    node->user = user;
    node->serial = s->serial;
    node->inst = s->inst;
    node->slot = im_slot_self();
    node->platform = s->platform;
    node->transport = s->transport;

    ngx_queue_insert_tail(&user->entries, &node->queue);
    ngx_queue_insert_tail(&sh->slots[node->slot].sessions, &node->slot_queue);

    im_zone_unlock(sh);

    return NGX_OK;

full:

    im_zone_unlock(sh);

    return NGX_BUSY;
}


static im_session_user_t *
im_session_user_find(im_zone_sh_t *sh, ngx_uint_t app, uint32_t hash,
    ngx_str_t *user)
{
    im_map_node_t      *node;
    im_session_user_t  *u;

    for (node = im_map_find(&sh->users, hash);
         node;
         node = im_map_next(node))
    {
        u = (im_session_user_t *) node;

        if (u->app == app
            && u->len == user->len
            && ngx_memcmp(u->name, user->data, user->len) == 0)
        {
            return u;
        }
    }

    return NULL;
}


uint32_t
im_session_hash(ngx_uint_t app, ngx_str_t *user)
{
    im_zone_node_t  key;

    im_zone_node_init(&key, app, 0, 0, user);

    return key.node.key >> 32;
}


static void
im_session_unlink(im_zone_sh_t *sh, im_session_node_t *node)
{
    im_session_user_t  *user;

    user = node->user;

    ngx_queue_remove(&node->queue);
    ngx_queue_remove(&node->slot_queue);
    im_zone_free_locked(sh, node);
    sh->nsessions--;

    if (ngx_queue_empty(&user->entries)) {
        im_map_delete(&sh->users, &user->node);
        im_zone_free_locked(sh, user);
        sh->nusers--;
    }
}


void
im_session_leave(im_session_t *s)
{
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;
    im_session_user_t  *user;

    sh = im_zone_lock();

    user = im_session_user_find(sh, s->app, s->hash, &s->user);

    if (user) {
        for (q = ngx_queue_head(&user->entries);
             q != ngx_queue_sentinel(&user->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (node->serial == s->serial) {
                im_session_unlink(sh, node);
                break;
            }
        }
    }

    im_zone_unlock(sh);
}


void
im_session_slots(ngx_uint_t app, uint32_t hash, ngx_str_t *user,
    uint32_t inst, im_slots_t *slots)
{
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;
    im_session_user_t  *u;

    im_slots_zero(slots);

    sh = im_zone_lock();

    u = im_session_user_find(sh, app, hash, user);

    if (u) {
        for (q = ngx_queue_head(&u->entries);
             q != ngx_queue_sentinel(&u->entries);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            if (inst == 0 || node->inst == inst) {
                im_slots_set(slots, node->slot);
            }
        }
    }

    im_zone_unlock(sh);
}


ngx_uint_t
im_session_list_all(ngx_uint_t app, ngx_str_t *user,
    im_session_entry_t *entries, ngx_uint_t max)
{
    ngx_uint_t  n;

    n = im_session_list(app, user, entries, max);

    if (im_redis_up() && n < max) {
        n += im_presence_list(app, user, entries + n, max - n);
    }

    return n;
}


ngx_uint_t
im_session_online_all(ngx_uint_t app, ngx_str_t *user)
{
    im_session_entry_t  entry;

    return im_session_list_all(app, user, &entry, 1);
}


void
im_session_each_all(ngx_uint_t app, ngx_str_t *users, ngx_uint_t n,
    im_session_each_pt fn, void *data)
{
    ngx_uint_t          i, k, found;
    im_session_entry_t  entries[IM_SESSION_EACH];

    for (i = 0; i < n; i++) {

        found = im_session_list(app, &users[i], entries, IM_SESSION_EACH);

        for (k = 0; k < found; k++) {
            fn(data, i, &entries[k]);
        }
    }

    if (im_redis_up()) {
        im_presence_each(app, users, n, fn, data);
    }
}


ngx_uint_t
im_session_reachable(ngx_uint_t app, ngx_str_t *user, uint32_t except)
{
    ngx_uint_t          n;
    im_session_entry_t  entries[2];

    if (im_redis_up()) {
        return 1;
    }

    n = im_session_list(app, user, entries, 2);

    return n == 2 || (n == 1 && (except == 0 || entries[0].inst != except));
}


ngx_uint_t
im_session_list(ngx_uint_t app, ngx_str_t *user, im_session_entry_t *entries,
    ngx_uint_t max)
{
    uint32_t            hash;
    ngx_uint_t          n;
    ngx_queue_t        *q;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;
    im_session_user_t  *u;

    n = 0;
    hash = im_session_hash(app, user);

    sh = im_zone_lock();

    u = im_session_user_find(sh, app, hash, user);

    if (u) {
        for (q = ngx_queue_head(&u->entries);
             q != ngx_queue_sentinel(&u->entries) && n < max;
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, im_session_node_t, queue);

            entries[n].inst = node->inst;
            entries[n].platform = node->platform;
            entries[n].transport = node->transport;
            entries[n].slot = node->slot;
            entries[n].serial = node->serial;
            n++;
        }
    }

    im_zone_unlock(sh);

    return n;
}


ngx_uint_t
im_session_online(ngx_uint_t app, ngx_str_t *user)
{
    im_session_entry_t  entry;

    return im_session_list(app, user, &entry, 1);
}


void
im_session_clear(ngx_uint_t slot, ngx_pid_t pid)
{
    ngx_uint_t          n;
    ngx_queue_t        *q, *sessions;
    im_zone_sh_t       *sh;
    im_session_node_t  *node;

    do {
        sh = im_zone_lock();

        sessions = &sh->slots[slot].sessions;

        for (n = 0; n < IM_SESSION_CLEAR; n++) {

            if (ngx_queue_empty(sessions)
                || im_bus_slot(slot)->pid != pid)
            {
                break;
            }

            q = ngx_queue_head(sessions);
            node = ngx_queue_data(q, im_session_node_t, slot_queue);

            im_session_unlink(sh, node);
        }

        im_zone_unlock(sh);

    } while (n == IM_SESSION_CLEAR);
}
