/* Makes a process's disk fail and its clock jump, through LD_PRELOAD.
 *
 * TROUBLE_FLAG   a file; while it exists, calls of TROUBLE_CALL (pwrite or fdatasync) on a file whose path ends with
 * TROUBLE_FILE   fail with EIO.
 * TROUBLE_CLOCK  a file with a number of seconds, added to the wall clock; the monotonic clock goes on as it did.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    const char *flag = getenv("TROUBLE_FLAG"), *end = getenv("TROUBLE_FILE"), *chosen = getenv("TROUBLE_CALL");
    char link[64], path[4096];
    if (!flag || !end || !chosen || strcmp(call, chosen) || access(flag, F_OK)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)strlen(end)) return 0;
    path[length] = 0;
    if (strcmp(path + length - strlen(end), end)) return 0;
    errno = EIO;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return fails("pwrite", fd) ? -1 : NEXT(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails("pwrite", fd) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}

int fdatasync(int fd) { return fails("fdatasync", fd) ? -1 : NEXT(fdatasync)(fd); }

int fsync(int fd) { return fails("fdatasync", fd) ? -1 : NEXT(fsync)(fd); }

int clock_gettime(clockid_t id, struct timespec *told) {
    int result = (int)syscall(SYS_clock_gettime, id, told);
    const char *file = getenv("TROUBLE_CLOCK");
    if (result || id != CLOCK_REALTIME || !file) return result;
    char text[32] = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0) told->tv_sec += atol(text);
        close(fd);
    }
    return 0;
}
