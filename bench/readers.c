
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * Readers of a live room, very many if need be, from several loopback
 * addresses, and one publisher:
 *
 *   ws       WebSocket, each logged in as a user of its own ("u0", "u1" ..)
 *   deflate  the same with permessage-deflate
 *   sse      guests by EventSource
 *   poll     guests by long polling
 *
 * Another process makes a REST call every 20 ms meanwhile.  The last line of
 * the output tells what was measured; see usage().
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <openssl/evp.h>


struct buf {
    char      *p;
    size_t     n;
    size_t     cap;
};


static void die(const char *fmt, ...);

static void
buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->p = realloc(b->p, b->cap);

        if (b->p == NULL) {
            die("out of memory");
        }
    }

    memcpy(b->p + b->n, p, n);
    b->n += n;
}


static void
base64(struct buf *b, const void *p, size_t n)
{
    char  text[2048];

    n = EVP_EncodeBlock((unsigned char *) text, p, n);
    buf_add(b, text, n);
}


#include "usersig.h"


#define SIZE      (1 << 20)
#define MESSAGES  4096
#define BUCKETS   2048
#define CHILDREN  64
#define PROBE_NS  20000000

#define PUBLISHER 0xffffffff


enum { WS, DEFLATE, SSE, POLL };
enum { CONNECTING, ANSWER, LOGIN, JOIN, READY, GONE };


typedef struct {
    int        fd;
    int        state;
    struct buf part;                 /* of what is incomplete */
    char       tail[10];             /* of a marker that was cut */
    int        ntail;
} conn_t;


typedef struct {
    uint64_t   n;
    uint64_t   max;
    uint64_t   bucket[BUCKETS];
} hist_t;


typedef struct {
    int        ready;
    int        gone;
    int        errors;
    uint64_t   deliveries;
    uint64_t   bytes;
    uint64_t   last;                 /* when something has come */
    hist_t     latency;
} child_t;


typedef struct {
    int        measure;
    uint64_t   due[MESSAGES];
    uint32_t   got[MESSAGES];
    hist_t     rest;
    child_t    child[CHILDREN + 1];  /* the last is the publisher */
} shared_t;


static int        port = 18900, n = 1000, mode, sources = 1, messages = 20;
static int        window, size = 300, idle = 1;
static double     rate = 10, limit = 20;
static char      *group = "room", *app = "", *pids = "", *path = "";
static char      *label = "im", *probe_path, *probe_body, *command;

static conn_t    *conns;
static int        ep, opening, next, children = 1, number;
static char       buffer[SIZE], plain[SIZE];
static z_stream   z;

static volatile shared_t  *shared;
static volatile child_t   *self;

static uint64_t   first_due;
static int        sent, answered, done;

static conn_t     pub;


static void
die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
    exit(2);
}


static uint64_t
now_ns(void)
{
    struct timespec  t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}


/* 32 buckets for each doubling, of microseconds */

static void
hist_add(volatile hist_t *h, uint64_t ns)
{
    int       shift;
    uint64_t  us;

    us = ns / 1000 + 32;
    shift = 58 - __builtin_clzll(us);

    h->bucket[shift * 32 + (us >> shift) - 32]++;
    h->n++;

    if (ns > h->max) {
        h->max = ns;
    }
}


static double
hist_ms(volatile hist_t *h, double part)
{
    int       i, shift;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < BUCKETS; i++) {
        sum += h->bucket[i];

        if (sum && sum >= h->n * part) {
            shift = i / 32;
            return ((((uint64_t) (i % 32) + 32) << shift) - 32) / 1000.0;
        }
    }

    return 0;
}


static void
hist_join(volatile hist_t *h, volatile hist_t *other)
{
    int  i;

    for (i = 0; i < BUCKETS; i++) {
        h->bucket[i] += other->bucket[i];
    }

    h->n += other->n;

    if (other->max > h->max) {
        h->max = other->max;
    }
}


/* seconds that the server's processes have used */

static double
cpu(void)
{
    int                 i;
    char                name[64], text[1024], *p;
    FILE               *f;
    unsigned long long  v;
    double              sum;

    sum = 0;

    for (p = pids; *p; p += strcspn(p, ","), p += (*p == ',')) {
        snprintf(name, sizeof(name), "/proc/%d/stat", atoi(p));
        f = fopen(name, "r");

        if (f == NULL) {
            continue;
        }

        if (fgets(text, sizeof(text), f)) {
            char *q = strrchr(text, ')');

            for (i = 0; q && i < 12; i++) {
                q = strchr(q + 1, ' ');
            }

            if (q) {
                v = strtoull(q, &q, 10);
                v += strtoull(q, &q, 10);
                sum += (double) v / sysconf(_SC_CLK_TCK);
            }
        }

        fclose(f);
    }

    return sum;
}


static int
dial(uint32_t id)
{
    int                 fd, one;
    struct sockaddr_in  a;

    one = 1;
    memset(&a, 0, sizeof(a));
    a.sin_family = AF_INET;

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);

    if (fd < 0) {
        die("socket: %s", strerror(errno));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (id != PUBLISHER && sources > 1) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
                   sizeof(one));
        a.sin_addr.s_addr = htonl(0x7f000101 + id % sources);

        if (bind(fd, (struct sockaddr *) &a, sizeof(a)) != 0) {
            die("bind: %s", strerror(errno));
        }
    }

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(port);

    if (connect(fd, (struct sockaddr *) &a, sizeof(a)) != 0
        && errno != EINPROGRESS)
    {
        die("connect: %s", strerror(errno));
    }

    return fd;
}


/* of the connection among those of all processes */

static int
user_id(conn_t *c)
{
    return (int) (c - conns) * children + number;
}


static void
watch(int op, int fd, uint32_t events, uint32_t id)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.u32 = id;

    epoll_ctl(ep, op, fd, &ev);
}


static void
hang_up(conn_t *c, const char *why)
{
    if (self->gone++ < 3) {
        fprintf(stderr, "%s: connection %d: %s\n", label, user_id(c), why);
    }

    if (c->state == READY) {
        self->ready--;

    } else {
        opening--;
    }

    close(c->fd);
    c->state = GONE;
}


static void
put(conn_t *c, const char *p, size_t len)
{
    if (send(c->fd, p, len, MSG_NOSIGNAL) != (ssize_t) len) {
        hang_up(c, "cannot send");
    }
}


/* a text frame; the mask is zero */

static void
put_ws(conn_t *c, struct buf *text)
{
    char        head[8];
    struct buf  b = { 0 };

    head[0] = (char) 0x81;
    memset(head + 1, 0, 7);

    if (text->n < 126) {
        head[1] = (char) (0x80 | text->n);
        buf_add(&b, head, 6);

    } else {
        head[1] = (char) 0xfe;
        head[2] = (char) (text->n >> 8);
        head[3] = (char) text->n;
        buf_add(&b, head, 8);
    }

    buf_add(&b, text->p, text->n);
    put(c, b.p, b.n);

    free(b.p);
    text->n = 0;
}


static void
add(struct buf *b, const char *fmt, ...)
{
    int      len;
    char     text[4096];
    va_list  args;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    buf_add(b, text, len);
}


static void
put_http(conn_t *c, const char *method, const char *where, const char *body)
{
    struct buf  b = { 0 };

    add(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, where);

    if (body) {
        add(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n",
            (int) strlen(body));
        buf_add(&b, body, strlen(body));

    } else {
        add(&b, "\r\n");
    }

    put(c, b.p, b.n);
    free(b.p);
}


static void
put_poll(conn_t *c, const char *key, int len, long long start)
{
    char  where[128], body[1024];

    snprintf(where, sizeof(where), "/v1/group_open_long_polling_http_noauth_svc"
             "/get_msg?sdkappid=%s", app);
    snprintf(body, sizeof(body), "{\"Key\":\"%.*s\",\"StartSeq\":%lld,"
             "\"HoldTime\":90}", len, key, start);

    put_http(c, "POST", where, body);
}


static void
open_done(conn_t *c)
{
    c->state = READY;
    self->ready++;
    self->last = now_ns();
    opening--;
}


static void
connected(conn_t *c)
{
    int         err;
    char        where[256], body[128];
    socklen_t   len;

    len = sizeof(err);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);

    if (err) {
        hang_up(c, strerror(err));
        return;
    }

    c->state = ANSWER;
    watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c - conns);

    switch (mode) {

    case SSE:
        snprintf(where, sizeof(where), "/rooms/%s/%s/events", app, group);
        put_http(c, "GET", where, NULL);
        break;

    case POLL:
        snprintf(where, sizeof(where), "/v1/group_open_http_noauth_svc"
                 "/apply_join_group?sdkappid=%s", app);
        snprintf(body, sizeof(body), "{\"GroupId\":\"%s\"}", group);
        put_http(c, "POST", where, body);
        break;

    default:
        snprintf(where, sizeof(where),
                 "/info?sdkappid=%s&platform=7 HTTP/1.1\r\n"
                 "Connection: Upgrade\r\nUpgrade: websocket\r\n%s"
                 "Sec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX:", app,
                 mode == DEFLATE ? "Sec-WebSocket-Extensions: "
                                   "permessage-deflate\r\n" : "");
        put_http(c, "GET", where, NULL);
    }
}


/* markers in a text: "~#" and the number as eight hex digits */

static void
count(const char *p, size_t len)
{
    const char     *last;
    uint64_t        now;
    unsigned        m;

    last = p + len;
    now = 0;

    while (last - p >= 10 && (p = memmem(p, last - p, "~#", 2)) != NULL) {
        p += 2;

        if (last - p < 8 || sscanf(p, "%8x", &m) != 1 || m >= MESSAGES
            || shared->due[m] == 0)
        {
            continue;
        }

        if (now == 0) {
            now = now_ns();
            self->last = now;
        }

        self->deliveries++;
        hist_add(&self->latency, now - shared->due[m]);
        __sync_fetch_and_add(&shared->got[m], 1);
    }
}


/* the same in a stream that cuts them anywhere */

static void
count_stream(conn_t *c, char *p, size_t len)
{
    p -= c->ntail;
    memcpy(p, c->tail, c->ntail);
    len += c->ntail;

    count(p, len);

    c->ntail = 0;

    while (c->ntail < 9 && c->ntail < (int) len
           && (c->ntail == 0 || p[len - c->ntail] != '~'))
    {
        c->ntail++;
    }

    if (c->ntail && p[len - c->ntail] != '~') {
        c->ntail = 0;
    }

    memcpy(c->tail, p + len - c->ntail, c->ntail);
}


static void
login(conn_t *c)
{
    struct buf  b = { 0 };

    add(&b, "{\"head\":{\"ver\":\"v4\",\"platform\":7,\"sdkappid\":%s,"
        "\"identifier\":\"u%d\",\"usersig\":\"", app, user_id(c));
    usersig(&b, user_id(c));
    add(&b, "\",\"status_instid\":0,\"contenttype\":\"json\",\"servcmd\":"
        "\"im_open_status.wslogin\",\"seq\":1},\"body\":{\"State\":\"Online\","
        "\"InstType\":0}}");

    c->state = LOGIN;
    put_ws(c, &b);
    free(b.p);
}


static void
join(conn_t *c)
{
    struct buf  b = { 0 };

    add(&b, "{\"head\":{\"ver\":\"v4\",\"platform\":7,\"sdkappid\":%s,"
        "\"status_instid\":0,\"contenttype\":\"json\",\"servcmd\":"
        "\"group_open_http_svc.apply_join_group\",\"seq\":2},"
        "\"body\":{\"GroupId\":\"%s\"}}", app, group);

    c->state = JOIN;
    put_ws(c, &b);
    free(b.p);
}


static void
message(conn_t *c, int compressed, char *p, size_t len)
{
    char  save[4];

    if (compressed) {
        memcpy(save, p + len, 4);
        memcpy(p + len, "\x00\x00\xff\xff", 4);

        inflateReset(&z);
        z.next_in = (Bytef *) p;
        z.avail_in = len + 4;
        z.next_out = (Bytef *) plain;
        z.avail_out = SIZE;

        if (inflate(&z, Z_SYNC_FLUSH) != Z_OK) {
            self->errors++;
        }

        memcpy(p + len, save, 4);

        p = plain;
        len = SIZE - z.avail_out;
    }

    switch (c->state) {

    case LOGIN:
        if (memmem(p, len, "\"A2Key\"", 7)) {
            join(c);
        }

        break;

    case JOIN:
        if (memmem(p, len, "\"JoinedStatus\"", 14)) {
            open_done(c);
        }

        break;

    default:
        count(p, len);
    }
}


/* answers how many bytes are used, 0: more is needed */

static size_t
frame(conn_t *c, char *p, size_t len)
{
    size_t    head, size;
    uint8_t  *h;

    h = (uint8_t *) p;

    if (len < 2) {
        return 0;
    }

    head = 2;
    size = h[1];

    if (size == 126) {
        head = 4;

        if (len < 4) {
            return 0;
        }

        size = h[2] << 8 | h[3];

    } else if (size == 127) {
        head = 10;

        if (len < 10) {
            return 0;
        }

        size = (size_t) h[6] << 24 | h[7] << 16 | h[8] << 8 | h[9];
    }

    if (len < head + size) {
        return 0;
    }

    if ((h[0] & 15) == 1) {
        message(c, h[0] & 0x40, p + head, size);

    } else if ((h[0] & 15) == 8) {
        hang_up(c, "closed by a frame");
    }

    return head + size;
}


static const char *
field(const char *p, const char *name)
{
    p = strstr(p, name);

    return p ? p + strlen(name) : NULL;
}


/* an answer with a length */

static size_t
response(conn_t *c, char *p, size_t len)
{
    char        *body, save;
    size_t       size;
    const char  *key, *seq, *h;

    body = memmem(p, len, "\r\n\r\n", 4);

    if (body == NULL) {
        return 0;
    }

    *body = '\0';
    h = strcasestr(p, "\r\nContent-Length:");
    *body = '\r';
    body += 4;

    size = h ? strtoul(h + 17, NULL, 10) : 0;

    if (len - (body - p) < size) {
        return 0;
    }

    if (strncmp(p, "HTTP/1.1 200", 12) != 0) {
        p[12] = '\0';
        hang_up(c, p);
        return body - p + size;
    }

    save = body[size];
    body[size] = '\0';

    if (c == &pub) {
        answered++;
        self->errors += (strstr(body, "\"OK\"") == NULL);

    } else {
        key = field(body, c->state == ANSWER ? "\"LongPollingKey\":\""
                                             : "\"Key\":\"");
        seq = field(body, "\"NextSeq\":");

        if (key == NULL) {
            hang_up(c, body);

        } else {
            count(body, size);

            if (c->state == ANSWER) {
                open_done(c);
            }

            put_poll(c, key, strcspn(key, "\""), seq ? atoll(seq) : 0);
        }
    }

    body[size] = save;

    return body - p + size;
}


static void
readable(conn_t *c)
{
    char     *p, *end;
    size_t    len, used;
    ssize_t   k;

    /* room for a marker in front, and behind for what inflate() needs */

    p = buffer + 16;
    len = c->part.n;
    memcpy(p, c->part.p ? c->part.p : "", len);

    k = recv(c->fd, p + len, SIZE - 64 - len, 0);

    if (k <= 0) {
        if (k == 0 || errno != EAGAIN) {
            hang_up(c, k == 0 ? "closed" : strerror(errno));
        }

        return;
    }

    if (c->state == READY && shared->measure) {
        self->bytes += k;
    }

    len += k;

    if (mode == SSE && c->state == READY && c != &pub) {
        count_stream(c, p, len);
        return;
    }

    while (len && c->state != GONE) {

        if (mode == POLL || c == &pub) {
            used = response(c, p, len);

        } else if (c->state == ANSWER) {
            end = memmem(p, len, "\r\n\r\n", 4);
            used = end ? end + 4 - p : 0;

            if (used && strncmp(p, mode == SSE ? "HTTP/1.1 200"
                                               : "HTTP/1.1 101", 12) != 0)
            {
                p[12] = '\0';
                hang_up(c, p);
                break;
            }

            if (used && mode == SSE) {
                open_done(c);
                len = 0;
                break;
            }

            if (used) {
                login(c);
            }

        } else {
            used = frame(c, p, len);
        }

        if (used == 0) {
            break;
        }

        p += used;
        len -= used;
    }

    c->part.n = 0;

    if (len && c->state != GONE) {
        buf_add(&c->part, p, len);

    } else if (c->part.p) {
        free(c->part.p);
        memset(&c->part, 0, sizeof(struct buf));
    }
}


static void
publish(uint64_t now)
{
    int          i;
    char        *p, body[8192];
    static char  filler[4096];
    static int   base;

    if (base == 0) {
        base = 1 + getpid() % 20000;
        memset(filler, 'x', sizeof(filler) - 1);
    }

    if (sent == messages || sent > answered) {
        return;
    }

    if (window) {

        if (sent - done >= window) {
            return;
        }

        shared->due[sent] = now;

    } else {
        shared->due[sent] = first_due + (uint64_t) (sent * 1e9 / rate);

        if (shared->due[sent] > now) {
            shared->due[sent] = 0;
            return;
        }
    }

    i = size > 10 ? size - 10 : 0;

    p = body;
    p += sprintf(p, "{\"GroupId\":\"%s\",\"From_Account\":\"ann\",\"Random\":"
                 "%d%04d,\"MsgBody\":[{\"MsgType\":\"TIMTextElem\","
                 "\"MsgContent\":{\"Text\":\"~#%08x%.*s\"}}]}", group, base,
                 sent, sent, i, filler);

    put_http(&pub, "POST", path, body);
    sent++;
}


static void
loop(int ms)
{
    int                  i, k;
    conn_t              *c;
    struct epoll_event   ev[512];

    k = epoll_wait(ep, ev, 512, ms);

    for (i = 0; i < k; i++) {
        c = (ev[i].data.u32 == PUBLISHER) ? &pub : &conns[ev[i].data.u32];

        if (c->state == GONE) {
            continue;
        }

        if (c->state == CONNECTING) {
            connected(c);

        } else {
            readable(c);
        }
    }
}


/* a process that reads */

static void
reader(int mine)
{
    conns = calloc(mine, sizeof(conn_t));
    ep = epoll_create1(0);

    if (conns == NULL || ep < 0) {
        die("out of memory");
    }

    for ( ;; ) {

        /* at most 100 of them at a time are not open yet */

        while (next < mine && opening < 100) {
            conns[next].fd = dial(user_id(&conns[next]));
            watch(EPOLL_CTL_ADD, conns[next].fd, EPOLLOUT, next);
            opening++;
            next++;
        }

        loop(100);
    }
}


static void
sum(child_t *all)
{
    int                i;
    volatile child_t  *c;

    memset(all, 0, sizeof(child_t));

    for (i = 0; i <= CHILDREN; i++) {
        c = &shared->child[i];

        all->ready += c->ready;
        all->gone += c->gone;
        all->errors += c->errors;
        all->deliveries += c->deliveries;
        all->bytes += c->bytes;

        if (c->last > all->last) {
            all->last = c->last;
        }

        if (c->latency.n) {
            hist_join(&all->latency, &c->latency);
        }
    }
}


/* another process: this one may be late */

static void
probe(volatile hist_t *h)
{
    int                 fd, one;
    char                text[8192], in[16384], *p;
    size_t              have;
    ssize_t             k;
    uint64_t            t, now;
    struct timespec     ts;
    struct sockaddr_in  a;

    one = 1;
    memset(&a, 0, sizeof(a));
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(port);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (connect(fd, (struct sockaddr *) &a, sizeof(a)) != 0) {
        die("connect: %s", strerror(errno));
    }

    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: localhost\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
             probe_path, (int) strlen(probe_body), probe_body);

    for (t = now_ns(); /* void */ ; t += PROBE_NS) {
        now = now_ns();

        if (t > now) {
            ts.tv_sec = (t - now) / 1000000000;
            ts.tv_nsec = (t - now) % 1000000000;
            nanosleep(&ts, NULL);

        } else {
            t = now;
        }

        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
            die("probe: %s", strerror(errno));
        }

        for (have = 0; /* void */ ; have += k) {
            k = recv(fd, in + have, sizeof(in) - 1 - have, 0);

            if (k <= 0) {
                die("probe: closed");
            }

            in[have + k] = '\0';
            p = strstr(in, "\r\n\r\n");

            if (p && strstr(p, "\"ErrorCode\"")) {
                break;
            }
        }

        hist_add(h, now_ns() - t);
    }
}


static void
usage(void)
{
    die("usage: readers -p PORT -M ws|deflate|sse|poll -a APP -U PATH ...\n"
        "  -n READERS (1000)  -s source addresses (1)  -j processes (1)\n"
        "  -g GROUP (room)\n"
        "  -m MESSAGES (20)   -r a second (10), or -w under way at once\n"
        "  -S bytes of a text (300)   -i seconds of rest first (1)\n"
        "  -T seconds to give up after (20)  -L LABEL\n"
        "  -U request that publishes  -P processes of the server\n"
        "  -Q request and -q body of the calls meanwhile\n"
        "  -X command to run when all are connected");
}


int
main(int argc, char **argv)
{
    int             i, o, ready, missing, extra;
    pid_t           pid[CHILDREN + 1];
    double          c0, c1;
    uint64_t        start, took;
    static child_t  all;

    while ((o = getopt(argc, argv, "p:M:a:U:n:s:j:g:m:r:w:S:i:T:L:P:Q:q:X:"))
           != -1)
    {
        switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'M': mode = !strcmp(optarg, "ws") ? WS
                         : !strcmp(optarg, "deflate") ? DEFLATE
                         : !strcmp(optarg, "sse") ? SSE : POLL; break;
        case 'a': app = optarg; break;
        case 'U': path = optarg; break;
        case 'n': n = atoi(optarg); break;
        case 's': sources = atoi(optarg); break;
        case 'j': children = atoi(optarg); break;
        case 'g': group = optarg; break;
        case 'm': messages = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 'S': size = atoi(optarg); break;
        case 'i': idle = atoi(optarg); break;
        case 'T': limit = atof(optarg); break;
        case 'L': label = optarg; break;
        case 'P': pids = optarg; break;
        case 'Q': probe_path = optarg; break;
        case 'q': probe_body = optarg; break;
        case 'X': command = optarg; break;
        default: usage();
        }
    }

    if (messages > MESSAGES || n < 1 || children < 1 || children > CHILDREN
        || size > 4000 || rate <= 0) {
        usage();
    }

    if (inflateInit2(&z, -15) != Z_OK) {
        die("inflateInit2() failed");
    }

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        die("out of memory");
    }

    fflush(stdout);
    start = now_ns();
    c0 = cpu();

    for (i = 0; i < children; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            number = i;
            self = &shared->child[i];
            reader((n - i + children - 1) / children);
        }
    }

    self = &shared->child[CHILDREN];
    all.last = start;

    do {
        usleep(10000);
        sum(&all);

        if (all.last < start) {
            all.last = start;
        }

    } while (all.ready + all.gone < n
             && now_ns() - all.last < limit * 1e9);

    ready = all.ready;

    printf("CONNECT label=%s n=%d ready=%d sec=%.2f cpu_us=%.1f\n", label, n,
           ready, (now_ns() - start) / 1e9, (cpu() - c0) * 1e6 / n);
    fflush(stdout);

    usleep(idle * 1000000);

    if (command && system(command) != 0) {
        self->errors++;
    }

    ep = epoll_create1(0);
    pub.fd = dial(PUBLISHER);
    usleep(10000);
    pub.state = READY;
    watch(EPOLL_CTL_ADD, pub.fd, EPOLLIN, PUBLISHER);

    if (probe_path) {
        pid[children] = fork();

        if (pid[children] == 0) {
            probe(&shared->rest);
        }
    }

    shared->measure = 1;
    c0 = cpu();
    first_due = now_ns();

    do {
        publish(now_ns());
        loop(1);

        while (done < sent && shared->got[done] >= (uint32_t) ready) {
            done++;
        }

        sum(&all);

        if (all.last < first_due) {
            all.last = first_due;
        }

    } while (done < messages && now_ns() - all.last < limit * 1e9);

    took = all.last - first_due;
    c1 = cpu();

    for (i = 0; i < children + (probe_path != NULL); i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }

    missing = 0;
    extra = 0;

    for (i = 0; i < sent; i++) {
        if (shared->got[i] < (uint32_t) ready) {
            missing += ready - shared->got[i];

        } else {
            extra += shared->got[i] - ready;
        }
    }

    printf("RESULT label=%s n=%d ready=%d gone=%d m=%d sec=%.3f ok=%llu "
           "lost=%d extra=%d errors=%d per_s=%.0f cpu_s=%.2f cpu_per_m=%.3f "
           "p50=%.2f p99=%.2f max=%.2f bytes=%.1f rest_n=%llu rest_p50=%.2f "
           "rest_p99=%.2f rest_max=%.2f\n", label, n, ready, all.gone, sent,
           took / 1e9, (unsigned long long) all.deliveries, missing, extra,
           all.errors, all.deliveries / (took / 1e9), c1 - c0,
           (c1 - c0) * 1e6 / (all.deliveries ? all.deliveries : 1),
           hist_ms(&all.latency, 0.5), hist_ms(&all.latency, 0.99),
           all.latency.max / 1e6,
           all.bytes / (double) (all.deliveries ? all.deliveries : 1),
           (unsigned long long) shared->rest.n, hist_ms(&shared->rest, 0.5),
           hist_ms(&shared->rest, 0.99), shared->rest.max / 1e6);

    return missing || all.errors || all.gone;
}
