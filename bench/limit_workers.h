
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * For limit.c of the load tools: -w PROCESSES.  All accept on one port; who
 * gets a message tells the others.
 */


#include <sys/prctl.h>


#define LIMIT_WORKERS  16


struct limit_head {
    int  id;
    int  group;
};


static int  limit_workers = 1;
static int  limit_self;
static int  limit_in[LIMIT_WORKERS];
static int  limit_out[LIMIT_WORKERS];


static void
limit_fork(void)
{
    int  i, pair[2];

    if (limit_workers < 1 || limit_workers > LIMIT_WORKERS) {
        die("bad number of processes");
    }

    for (i = 0; i < limit_workers; i++) {

        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)) {
            die("socketpair: %s", strerror(errno));
        }

        limit_in[i] = pair[0];
        limit_out[i] = pair[1];
    }

    for (i = 1; i < limit_workers; i++) {

        switch (fork()) {

        case -1:
            die("fork: %s", strerror(errno));
            break;

        case 0:
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            limit_self = i;
            return;
        }
    }
}


static void
limit_reuseport(int fd)
{
    int  one = 1;

    if (limit_workers > 1
        && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)))
    {
        die("SO_REUSEPORT: %s", strerror(errno));
    }
}


static void
limit_listen(int ep)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN;
    ev.data.ptr = limit_in;

    epoll_ctl(ep, EPOLL_CTL_ADD, limit_in[limit_self], &ev);
}


static void
limit_tell(char *data, size_t n, int id, int group)
{
    int                i;
    struct iovec       iov[2];
    struct msghdr      msg;
    struct limit_head  head;

    head.id = id;
    head.group = group;

    iov[0].iov_base = &head;
    iov[0].iov_len = sizeof(head);
    iov[1].iov_base = data;
    iov[1].iov_len = n;

    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;
    msg.msg_iovlen = 2;

    for (i = 0; i < limit_workers; i++) {

        if (i != limit_self
            && sendmsg(limit_out[i], &msg, MSG_DONTWAIT) < 0)
        {
            die("sendmsg: %s", strerror(errno));
        }
    }
}


static void
limit_heard(void)
{
    ssize_t            n;
    static char        buf[65536];
    struct limit_head  head;

    for ( ;; ) {

        n = recv(limit_in[limit_self], buf, sizeof(buf), MSG_DONTWAIT);

        if (n < (ssize_t) sizeof(head)) {
            return;
        }

        memcpy(&head, buf, sizeof(head));

        publish(buf + sizeof(head), n - sizeof(head), head.id, head.group);
    }
}
