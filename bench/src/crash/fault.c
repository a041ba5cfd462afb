// Makes one write of a program fail as on a full disk: the one with the number FAULT_AT, from 0, among
// the calls that need space in the folder FAULT_FOLDER. Every such call is a line in FAULT_LOG; the
// one that failed begins with `!`.
//
//     cc -shared -fPIC -o fault.so fault.c -ldl; LD_PRELOAD=./fault.so FAULT_… program
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long n_calls;

static void note(const char *mark, const char *call, const char *path) {
    const char *log = getenv("FAULT_LOG");
    if (!log) return;
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s%s %s\n", mark, call, path);
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    syscall(SYS_write, fd, line, length);
    syscall(SYS_close, fd);
}

// Whether this call is the one that fails.
static int fails(const char *call, const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    if (!folder || strncmp(path, folder, strlen(folder)) != 0) return 0;
    const char *at = getenv("FAULT_AT");
    long number = atomic_fetch_add(&n_calls, 1);
    int is_due = at && number == atol(at);
    int before = errno;
    note(is_due ? "!" : "", call, path + strlen(folder));
    errno = is_due ? ENOSPC : before;
    return is_due;
}

static int fails_on(const char *call, int fd) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

// A file that is there needs no space to be opened.
static int fails_to_create(const char *path, int flags) {
    if (!(flags & O_CREAT)) return 0;
    int before = errno;
    int is_there = access(path, F_OK) == 0;
    errno = before;
    return !is_there && fails("create", path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n) {
    return fails_on("write", fd) ? -1 : REAL(write)(fd, bytes, n);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
    return fails_on("write", fd) ? -1 : REAL(writev)(fd, parts, n);
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    return fails_on("write", fd) ? -1 : REAL(pwrite)(fd, bytes, n, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    return fails_on("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, n, at);
}
int fsync(int fd) { return fails_on("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails_on("sync", fd) ? -1 : REAL(fdatasync)(fd); }
int rename(const char *from, const char *to) {
    return fails("rename", to) ? -1 : REAL(rename)(from, to);
}
int mkdir(const char *path, mode_t mode) {
    return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode);
}

static int grows(int fd, off_t length) {
    struct stat now;
    return fstat(fd, &now) == 0 && length > now.st_size;
}
int ftruncate(int fd, off_t length) {
    return grows(fd, length) && fails_on("grow", fd) ? -1 : REAL(ftruncate)(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    return grows(fd, length) && fails_on("grow", fd) ? -1 : REAL(ftruncate64)(fd, length);
}
int posix_fallocate(int fd, off_t at, off_t n) {
    return fails_on("grow", fd) ? ENOSPC : REAL(posix_fallocate)(fd, at, n);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
int open(const char *path, int flags, ...) {
    MODE(flags)
    return fails_to_create(path, flags) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return fails_to_create(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return fails_to_create(path, flags) ? -1 : REAL(openat)(folder, path, flags, mode);
}
