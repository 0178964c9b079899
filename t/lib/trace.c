
/*
 * Copyright (C) The ngx_im authors
 */


/*
 * To be preloaded: writes to the file $IM_TRACE what is written to files of
 * the name im.mdb, and when it was safe.  Records: kind, position and length
 * (8 bytes each), then the bytes.
 *
 *   W  is going to be written
 *   D  was written and is safe (O_DSYNC)
 *   S  all that was written before is safe
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>


#define TRACE_FDS   1024
#define TRACE_FILE  1
#define TRACE_SAFE  2


static int            trace_fd = -1;
static unsigned char  trace_fds[TRACE_FDS];

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);


__attribute__((constructor))
static void
trace_init(void)
{
    char  *name;

    real_open = dlsym(RTLD_NEXT, "open");
    real_close = dlsym(RTLD_NEXT, "close");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");

    name = getenv("IM_TRACE");

    if (name) {
        trace_fd = real_open(name, O_WRONLY|O_APPEND|O_CREAT, 0666);
    }
}


static int
trace_is(int fd, int what)
{
    return trace_fd != -1 && fd >= 0 && fd < TRACE_FDS
           && (trace_fds[fd] & what);
}


/* in one piece, so that records of several processes do not mix */

static void
trace_write(uint64_t kind, uint64_t pos, const struct iovec *iov, int n)
{
    int           i, err;
    uint64_t      head[3];
    struct iovec  all[1 + 64];

    err = errno;

    head[0] = kind;
    head[1] = pos;
    head[2] = 0;

    all[0].iov_base = head;
    all[0].iov_len = sizeof(head);

    if (n > 64) {
        abort();
    }

    for (i = 0; i < n; i++) {
        all[1 + i] = iov[i];
        head[2] += iov[i].iov_len;
    }

    if (real_writev(trace_fd, all, 1 + n)
        != (ssize_t) (sizeof(head) + head[2]))
    {
        abort();
    }

    errno = err;
}


int
open(const char *path, int flags, ...)
{
    int      fd;
    char    *name;
    mode_t   mode;
    va_list  args;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);

    if (real_open == NULL) {
        real_open = dlsym(RTLD_NEXT, "open");
    }

    fd = real_open(path, flags, mode);

    if (fd >= 0 && fd < TRACE_FDS) {
        name = strrchr(path, '/');

        trace_fds[fd] = (name == NULL || strcmp(name, "/im.mdb") != 0) ? 0
                        : (flags & O_DSYNC) ? TRACE_FILE|TRACE_SAFE
                        : TRACE_FILE;
    }

    return fd;
}


int
open64(const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);

    return open(path, flags, mode);
}


int
close(int fd)
{
    if (fd >= 0 && fd < TRACE_FDS) {
        trace_fds[fd] = 0;
    }

    if (real_close == NULL) {
        real_close = dlsym(RTLD_NEXT, "close");
    }

    return real_close(fd);
}


/* LMDB seeks before */

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    off_t    pos;
    ssize_t  rc;

    if (real_writev == NULL) {
        real_writev = dlsym(RTLD_NEXT, "writev");
    }

    if (!trace_is(fd, TRACE_FILE)) {
        return real_writev(fd, iov, n);
    }

    pos = lseek(fd, 0, SEEK_CUR);

    trace_write('W', pos, iov, n);

    rc = real_writev(fd, iov, n);

    if (rc > 0 && trace_is(fd, TRACE_SAFE)) {
        trace_write('D', pos, iov, n);
    }

    return rc;
}


ssize_t
pwrite(int fd, const void *p, size_t len, off_t pos)
{
    ssize_t       rc;
    struct iovec  iov;

    iov.iov_base = (void *) p;
    iov.iov_len = len;

    if (trace_is(fd, TRACE_FILE)) {
        trace_write('W', pos, &iov, 1);
    }

    rc = real_pwrite(fd, p, len, pos);

    if (rc > 0 && trace_is(fd, TRACE_SAFE)) {
        trace_write('D', pos, &iov, 1);
    }

    return rc;
}


ssize_t
pwrite64(int fd, const void *p, size_t len, off64_t pos)
{
    return pwrite(fd, p, len, pos);
}


int
fdatasync(int fd)
{
    int  rc;

    rc = real_fdatasync(fd);

    if (rc == 0 && trace_is(fd, TRACE_FILE)) {
        trace_write('S', 0, NULL, 0);
    }

    return rc;
}


int
fsync(int fd)
{
    int  rc;

    rc = real_fsync(fd);

    if (rc == 0 && trace_is(fd, TRACE_FILE)) {
        trace_write('S', 0, NULL, 0);
    }

    return rc;
}
