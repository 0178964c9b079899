
/*
 * Copyright (C) The ngx_im authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "live/im_room.h"
#include "live/im_room_node.h"
#include "live/im_room_zone.h"


#define IM_ROOM_MARK_WALK  4096      /* users that are looked at */


/*
 * Keys: "k" marks of a room's users, as text "1000,1001", and "j", the users,
 * see im_room_node_user.c.
 *
 * beats, buses, "1": to be set, how many different ones, how many users with
 * one, record, lines of marks and user: a digit for each line, 0: done, 1: the
 * user is not there, 2: too many.  The nodes of users whose marks have changed
 * are told of them.  Marks of those who are gone end here.
 */

static im_redis_script_t  im_room_mark_script = im_redis_script(
    im_room_lua
    "local max, users = tonumber(ARGV[4]), tonumber(ARGV[5])\n"
    "local marks, count, different = {}, {}, 0\n"
    "local all = redis.call('HGETALL', KEYS[2])\n"
    "for i = 1, #all, 2 do\n"
    "  local v = redis.call('HGET', KEYS[1], all[i])\n"
    "  if v and alive(v) then\n"
    "    marks[all[i]] = all[i + 1]\n"
    "    for m in string.gmatch(all[i + 1], '%d+') do\n"
    "      if not count[m] then different = different + 1 end\n"
    "      count[m] = (count[m] or 0) + 1\n"
    "    end\n"
    "  else\n"
    "    redis.call('HDEL', KEYS[2], all[i])\n"
    "  end\n"
    "end\n"
    "local result, lines = '', {}\n"
    "for list, user in string.gmatch(ARGV[7], '([%d,]+) ([^\\n]*)\\n') do\n"
    "  local v = redis.call('HGET', KEYS[1], user)\n"
    "  local node = v and alive(v)\n"
    "  local code, has, order = node and 0 or 1, {}, {}\n"
    "  local old = marks[user] or ''\n"
    "  for m in string.gmatch(old, '%d+') do\n"
    "    has[m] = true\n"
    "    order[#order + 1] = m\n"
    "  end\n"
    "  for m in string.gmatch(node and list or '', '%d+') do\n"
    "    if ARGV[3] ~= '1' then\n"
    "      if has[m] then\n"
    "        has[m] = nil\n"
    "        count[m] = count[m] - 1\n"
    "        if count[m] == 0 then\n"
    "          count[m] = nil\n"
    "          different = different - 1\n"
    "        end\n"
    "      end\n"
    "    elseif not has[m] then\n"
    "      local n = count[m] or 0\n"
    "      if n == users or n == 0 and different == max then\n"
    "        code = 2\n"
    "        break\n"
    "      end\n"
    "      if n == 0 then different = different + 1 end\n"
    "      count[m] = n + 1\n"
    "      has[m] = true\n"
    "      order[#order + 1] = m\n"
    "    end\n"
    "  end\n"
    "  local now = {}\n"
    "  for _, m in ipairs(order) do\n"
    "    if has[m] then now[#now + 1] = m end\n"
    "  end\n"
    "  now = table.concat(now, ',')\n"
    "  if now ~= old then\n"
    "    marks[user] = now\n"
    "    if now == '' then\n"
    "      redis.call('HDEL', KEYS[2], user)\n"
    "    else\n"
    "      redis.call('HSET', KEYS[2], user, now)\n"
    "    end\n"
    "    lines[node] = (lines[node] or '') .. now .. ' ' .. user .. '\\n'\n"
    "  end\n"
    "  result = result .. code\n"
    "end\n"
    "redis.call('EXPIRE', KEYS[2], 604800)\n"
    "for node, text in pairs(lines) do\n"
    "  redis.call('PUBLISH', ARGV[2] .. node, ARGV[6] .. text)\n"
    "end\n"
    "return result\n");


/* beats, mark: names, instances, seconds, marks */

static im_redis_script_t  im_room_marked_script = im_redis_script(
    im_room_lua
    "local list = {}\n"
    "local all = redis.call('HGETALL', KEYS[2])\n"
    "for i = 1, #all, 2 do\n"
    "  local v = string.find(',' .. all[i + 1] .. ',',\n"
    "                        ',' .. ARGV[2] .. ',', 1, true)\n"
    "            and redis.call('HGET', KEYS[1], all[i])\n"
    "  if v and alive(v) then\n"
    "    local inst, joined = string.match(v, '|(%d+)|(%d+)$')\n"
    "    list[#list + 1] = all[i]\n"
    "    list[#list + 1] = inst\n"
    "    list[#list + 1] = joined\n"
    "    list[#list + 1] = all[i + 1]\n"
    "  end\n"
    "end\n"
    "return list\n");


typedef struct {
    im_room_mark_t    *list;
    ngx_uint_t         n;
} im_room_marking_t;


static ngx_int_t im_room_mark_locked(im_room_joined_t *j, uint32_t mark,
    ngx_uint_t set);
static ngx_uint_t im_room_mark_find(im_room_t *room, uint32_t mark);
static void im_room_mark_drop(im_room_joined_t *j, ngx_uint_t i);
static ngx_int_t im_room_mark_text(ngx_str_t *text, im_room_mark_t *list,
    ngx_uint_t n);
static ngx_int_t im_room_take_marks(void *data, redisReply *reply);
static void im_room_node_mark(im_node_record_t *rec, ngx_str_t *payload);


void
im_room_mark(ngx_uint_t app, uint64_t gno, im_room_mark_t *list,
    ngx_uint_t n, ngx_uint_t set)
{
    ngx_uint_t         i, k;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    for (i = 0; i < n; i++) {

        list[i].rc = NGX_DECLINED;

        sh = im_zone_lock();

        j = im_room_user(sh, app, gno, &list[i].user);

        if (j) {
            list[i].rc = NGX_OK;
            j->unsaved = 1;

            for (k = 0; k < list[i].n && list[i].rc == NGX_OK; k++) {
                list[i].rc = im_room_mark_locked(j, list[i].marks[k], set);
            }
        }

        im_zone_unlock(sh);
    }
}


static ngx_int_t
im_room_mark_locked(im_room_joined_t *j, uint32_t mark, ngx_uint_t set)
{
    ngx_uint_t   i;
    im_room_t   *room;

    room = j->room;
    i = im_room_mark_find(room, mark);

    if (i < IM_ROOM_MARKS && (j->marks & 1 << i)) {

        if (!set) {
            im_room_mark_drop(j, i);
        }

        return NGX_OK;
    }

    if (!set) {
        return NGX_OK;
    }

    if (i == IM_ROOM_MARKS) {
        i = im_room_mark_find(room, 0);
    }

    if (i == IM_ROOM_MARKS || room->nmarked[i] == IM_ROOM_MARKED) {
        return NGX_BUSY;
    }

    room->marks[i] = mark;
    room->nmarked[i]++;
    j->marks |= 1 << i;

    return NGX_OK;
}


static ngx_uint_t
im_room_mark_find(im_room_t *room, uint32_t mark)
{
    ngx_uint_t  i;

    for (i = 0; i < IM_ROOM_MARKS; i++) {
        if (room->marks[i] == mark) {
            break;
        }
    }

    return i;
}


static void
im_room_mark_drop(im_room_joined_t *j, ngx_uint_t i)
{
    j->marks &= ~(1 << i);

    if (--j->room->nmarked[i] == 0) {
        j->room->marks[i] = 0;
    }
}


void
im_room_unmark(im_room_joined_t *j)
{
    ngx_uint_t  i;

    for (i = 0; j->marks && i < IM_ROOM_MARKS; i++) {

        if (j->marks & 1 << i) {
            im_room_mark_drop(j, i);
        }
    }
}


ngx_uint_t
im_room_marked(ngx_uint_t app, uint64_t gno, uint32_t mark, uint32_t hidden,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max)
{
    uint16_t           has, not;
    ngx_uint_t         i, n, walk;
    im_room_t         *room;
    ngx_queue_t       *q;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    n = 0;

    sh = im_zone_lock();

    room = im_room_get(sh, app, gno, 0);

    if (room == NULL) {
        goto done;
    }

    has = 0;
    not = 0;

    if (mark) {
        i = im_room_mark_find(room, mark);

        if (i == IM_ROOM_MARKS) {
            goto done;
        }

        has = 1 << i;

    } else {
        i = im_room_mark_find(room, hidden);

        if (i < IM_ROOM_MARKS) {
            not = 1 << i;
        }
    }

    walk = 0;

    for (q = ngx_queue_last(&room->joined);
         q != ngx_queue_sentinel(&room->joined)
         && n < max
         && walk < IM_ROOM_MARK_WALK;
         q = ngx_queue_prev(q))
    {
        walk++;
        j = ngx_queue_data(q, im_room_joined_t, queue);

        if ((j->marks & has) != has || (j->marks & not)) {
            continue;
        }

        if (skip) {
            skip--;
            continue;
        }

        im_room_user_copy(&users[n++], j);
    }

done:

    im_zone_unlock(sh);

    return n;
}


ngx_int_t
im_room_mark_all(ngx_uint_t app, uint64_t gno, im_room_mark_t *list,
    ngx_uint_t n, ngx_uint_t set)
{
    u_char              keys[2][IM_REDIS_KEY_MAX], num[2][NGX_INT64_LEN];
    ngx_int_t           rc;
    ngx_str_t           args[9];
    im_bus_meta_t       meta;
    im_room_marking_t   marking;

    if (!im_room_shared()) {
        im_room_mark(app, gno, list, n, set);
        return NGX_OK;
    }

    if (im_room_mark_text(&args[8], list, n) != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_memzero(&meta, sizeof(im_bus_meta_t));
    meta.app = app;
    meta.chain = gno;

    if (im_node_record(&args[7], IM_BUS_MARKS, &meta, NULL, 0) != NGX_OK) {
        ngx_free(args[8].data);
        return NGX_BUSY;
    }

    im_redis_key(&args[0], keys[0], "j", app, gno, NULL);
    im_redis_key(&args[1], keys[1], "k", app, gno, NULL);
    args[2] = *im_node_beats();
    args[3] = *im_node_buses();
    args[4].data = (u_char *) (set ? "1" : "0");
    args[4].len = 1;
    im_redis_int(&args[5], num[0], IM_ROOM_MARKS);
    im_redis_int(&args[6], num[1], IM_ROOM_MARKED);

    marking.list = list;
    marking.n = n;

    rc = im_redis_wait(&im_room_mark_script, 2, args, 9, im_room_take_marks,
                       &marking);

    ngx_free(args[7].data);
    ngx_free(args[8].data);

    if (rc == NGX_DECLINED) {
        im_room_mark(app, gno, list, n, set);
        rc = NGX_OK;
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_BUSY;
}


/* A name with a line feed nobody has. */

static ngx_int_t
im_room_mark_text(ngx_str_t *text, im_room_mark_t *list, ngx_uint_t n)
{
    size_t       size;
    u_char      *p, *lf;
    ngx_uint_t   i, k;

    size = 0;

    for (i = 0; i < n; i++) {
        size += list[i].n * (NGX_INT32_LEN + 1) + list[i].user.len + 2;
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < n; i++) {

        for (k = 0; k < list[i].n; k++) {
            p = ngx_sprintf(p, "%uD,", list[i].marks[k]);
        }

        *p++ = ' ';

        lf = ngx_strlchr(list[i].user.data,
                         list[i].user.data + list[i].user.len, LF);
        if (lf == NULL) {
            p = ngx_cpymem(p, list[i].user.data, list[i].user.len);
        }

        *p++ = LF;
    }

    text->len = p - text->data;

    return NGX_OK;
}


static ngx_int_t
im_room_take_marks(void *data, redisReply *reply)
{
    im_room_marking_t  *marking = data;

    ngx_uint_t  i;

    if (reply->type != REDIS_REPLY_STRING
        || (size_t) reply->len != marking->n)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < marking->n; i++) {

        switch (reply->str[i]) {

        case '0':
            marking->list[i].rc = NGX_OK;
            break;

        case '2':
            marking->list[i].rc = NGX_BUSY;
            break;

        default:
            marking->list[i].rc = NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* Marks of users of this node: lines of marks and user. */

static void
im_room_node_mark(im_node_record_t *rec, ngx_str_t *payload)
{
    u_char     *p, *last, *lf, *sp;
    ngx_str_t   user, text;

    last = payload->data + payload->len;

    for (p = payload->data; p < last; p = lf + 1) {

        lf = ngx_strlchr(p, last, LF);
        sp = ngx_strlchr(p, last, ' ');

        if (lf == NULL || sp == NULL || sp > lf) {
            return;
        }

        text.data = p;
        text.len = sp - p;
        user.data = sp + 1;
        user.len = lf - user.data;

        im_room_marks_set(rec->app, rec->chain, &user, &text);
    }
}


void
im_room_marks_get(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_str_t *text, u_char *buf, ngx_uint_t *unsaved)
{
    u_char            *p;
    ngx_uint_t         i;
    im_zone_sh_t      *sh;
    im_room_user_t     u;
    im_room_joined_t  *j;

    p = buf;
    u.nmarks = 0;
    *unsaved = 0;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j) {
        im_room_user_copy(&u, j);
        *unsaved = j->unsaved;
    }

    im_zone_unlock(sh);

    for (i = 0; i < u.nmarks; i++) {
        p = ngx_sprintf(p, "%s%uD", i ? "," : "", u.marks[i]);
    }

    text->data = buf;
    text->len = p - buf;
}


void
im_room_marks_set(ngx_uint_t app, uint64_t gno, ngx_str_t *user,
    ngx_str_t *text)
{
    uint32_t           mark;
    ngx_str_t          rest;
    im_zone_sh_t      *sh;
    im_room_joined_t  *j;

    rest = *text;

    sh = im_zone_lock();

    j = im_room_user(sh, app, gno, user);

    if (j) {
        im_room_unmark(j);
        j->unsaved = 0;

        for ( ;; ) {
            mark = im_room_marks_next(&rest);

            if (mark == 0 || im_room_mark_locked(j, mark, 1) != NGX_OK) {
                break;
            }
        }
    }

    im_zone_unlock(sh);
}


uint32_t
im_room_marks_next(ngx_str_t *text)
{
    u_char     *p, *last, *comma;
    ngx_int_t   n;

    if (text->len == 0) {
        return 0;
    }

    p = text->data;
    last = p + text->len;

    comma = ngx_strlchr(p, last, ',');

    if (comma == NULL) {
        comma = last;
    }

    n = ngx_atoi(p, comma - p);

    text->data = ngx_min(comma + 1, last);
    text->len = last - text->data;

    return (n > 0) ? n : 0;
}


ngx_uint_t
im_room_marked_list(ngx_uint_t app, uint64_t gno, uint32_t mark,
    ngx_uint_t skip, im_room_user_t *users, ngx_uint_t max)
{
    u_char            keys[2][IM_REDIS_KEY_MAX], num[NGX_INT64_LEN];
    ngx_str_t         args[4];
    ngx_uint_t        n;
    im_room_users_t   found;

    found.n = 0;
    found.max = IM_ROOM_MARKED;
    found.users = ngx_alloc(found.max * sizeof(im_room_user_t),
                            ngx_cycle->log);

    if (found.users == NULL) {
        return 0;
    }

    im_redis_key(&args[0], keys[0], "j", app, gno, NULL);
    im_redis_key(&args[1], keys[1], "k", app, gno, NULL);
    args[2] = *im_node_beats();
    im_redis_int(&args[3], num, mark);

    (void) im_redis_wait(&im_room_marked_script, 2, args, 4,
                         im_room_take_users, &found);

    im_room_sort(found.users, found.n, 1);

    n = (found.n > skip) ? ngx_min(found.n - skip, max) : 0;

    if (n) {
        ngx_memcpy(users, found.users + skip, n * sizeof(im_room_user_t));
    }

    ngx_free(found.users);

    return n;
}


void
im_room_mark_init(void)
{
    im_node_handler(IM_BUS_MARKS, im_room_node_mark);
}
