
/*
 * Copyright (C) The ngx_im authors
 */


#include "ok.h"
#include "core/im_lane.h"


#define TIMEOUT  1000


/* A command: it waits for its turn when it is told to, passes or not, and
 * ends when it is told to. */

typedef struct {
    char           name;
    im_lane_t      lane;
    im_co_t       *co;
    ngx_uint_t     ended;            /* waits until those ahead have left */
    ngx_uint_t     keep;             /* does not pass */
    ngx_int_t      rc;
} cmd_t;


static char  trace[64];


static void
traced(const char *want, const char *name)
{
    ok(strcmp(trace, want) == 0, name);

    if (strcmp(trace, want) != 0) {
        printf("# \"%s\", not \"%s\"\n", trace, want);
    }
}


/* Turns of nginx's event loop, ms after the last one. */

static void
turns(ngx_msec_t ms)
{
    ngx_uint_t  i;

    ngx_current_msec += ms;

    for (i = 0; i < 10; i++) {
        nginx_turn();
    }
}


static void
note(char c)
{
    size_t  n;

    n = strlen(trace);
    trace[n] = c;
    trace[n + 1] = '\0';
}


static void
serve(void *data)
{
    cmd_t  *cmd = data;

    (void) im_co_wait(IM_CO_FOREVER);

    cmd->rc = im_lane_wait(&cmd->lane, cmd->ended, TIMEOUT);

    if (cmd->rc != NGX_BUSY) {
        note(cmd->name);

        if (!cmd->keep) {
            im_lane_pass(&cmd->lane);
        }

        (void) im_co_wait(IM_CO_FOREVER);
    }

    im_lane_leave(&cmd->lane);
    cmd->co = NULL;
}


static void
enter(cmd_t *cmd, char name, uint64_t peer, uint32_t conversation)
{
    memset(cmd, 0, sizeof(cmd_t));

    cmd->name = name;

    im_lane_enter(&cmd->lane, peer, conversation);
    cmd->co = im_co_spawn(serve, cmd, &logger);
}


static void
go(cmd_t *cmd)
{
    im_co_wake(cmd->co, NGX_OK);
    turns(0);
}


static void
begin(cmd_t *cmds, const char *names)
{
    ngx_uint_t  i;

    trace[0] = '\0';

    for (i = 0; names[i]; i++) {
        enter(&cmds[i], names[i], 7, 9);
    }

    turns(0);
}


static void
test_order(void)
{
    cmd_t  c[3];

    begin(c, "abc");

    go(&c[2]);
    go(&c[1]);
    traced("", "nobody goes before the first one");

    go(&c[0]);
    traced("abc", "then all at once, as they came");
    ok(c[0].rc == NGX_OK, "the first one has not waited");
    ok(c[1].rc == NGX_DONE && c[2].rc == NGX_DONE, "the others have");

    go(&c[0]);
    go(&c[2]);
    go(&c[1]);
    ok(im_co_running() == 0, "all have left");

    begin(c, "abc");
    go(&c[0]);
    go(&c[1]);
    go(&c[2]);
    traced("abc", "in order anyway");
    ok(c[0].rc == NGX_OK && c[1].rc == NGX_OK && c[2].rc == NGX_OK,
       "then nobody waits");

    go(&c[1]);
    go(&c[0]);
    go(&c[2]);
    ok(im_co_running() == 0, "all have left");
}


static void
test_others(void)
{
    cmd_t  c[3];

    trace[0] = '\0';

    /* b has a bucket with a, but is of another connection */

    enter(&c[0], 'a', 7, 9);
    enter(&c[1], 'b', 7 ^ 1, 9 ^ 1);
    enter(&c[2], 'c', 7, 10);
    turns(0);

    go(&c[1]);
    go(&c[2]);
    traced("bc", "other connections and conversations do not wait");

    go(&c[0]);
    go(&c[0]);
    go(&c[1]);
    go(&c[2]);
    ok(im_co_running() == 0, "all have left");
}


static void
test_keep(void)
{
    cmd_t  c[3];

    begin(c, "abc");
    c[0].keep = 1;
    c[1].keep = 1;

    go(&c[2]);
    go(&c[1]);
    go(&c[0]);
    traced("a", "who does not pass");

    go(&c[0]);
    traced("ab", "holds the others until he leaves");

    go(&c[1]);
    traced("abc", "one after another");

    go(&c[2]);
    ok(im_co_running() == 0, "all have left");
}


static void
test_ended(void)
{
    cmd_t  c[4];

    begin(c, "abcd");
    c[2].ended = 1;
    c[2].keep = 1;

    go(&c[0]);
    go(&c[1]);
    go(&c[2]);
    go(&c[3]);
    traced("ab", "all ahead have passed, not left");

    go(&c[1]);
    traced("ab", "one has left");

    go(&c[0]);
    traced("abc", "all have left");

    go(&c[2]);
    traced("abcd", "and so the last one");

    go(&c[3]);
    ok(im_co_running() == 0, "all have left");
}


static void
test_timeout(void)
{
    cmd_t  c[3];

    begin(c, "abc");

    go(&c[1]);
    turns(TIMEOUT / 2);
    go(&c[2]);
    turns(TIMEOUT / 2);
    ok(c[1].rc == NGX_BUSY, "it takes too long");
    ok(c[2].rc == 0, "not for the next one yet");
    traced("", "who does not go either");

    go(&c[0]);
    traced("ac", "but then");

    go(&c[0]);
    go(&c[2]);
    ok(im_co_running() == 0, "all have left");
}


static void
test_none(void)
{
    ok(im_lane_wait(NULL, 1, TIMEOUT) == NGX_OK, "no lane, nobody ahead");
    im_lane_pass(NULL);
}


int
main(void)
{
    nginx_init(NGX_LOG_DEBUG_ALL, NULL);

    test_order();
    test_others();
    test_keep();
    test_ended();
    test_timeout();
    test_none();

    im_co_exit();

    return done();
}
