/* Preloaded into the service by tests of power cuts: keeps each file as it was at its last sync, in the folder of
   SYNCED_FILES. That is what a disk has after a power cut that loses everything which was not synced. With SYNCED_HISTORY,
   a folder, what a power cut after each of the syncs would leave is kept as well, in folders named 0, 1, 2, …

   Nothing is really synced, which takes time and proves nothing here. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(void) {
    errno = EIO;
    return -1;
}

static int copy(int from, const char *to) {
    char part[65536];
    off_t at = 0;
    int file = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0)
        return failed();
    for (;;) {
        ssize_t read = pread(from, part, sizeof part, at);
        if (read < 0 || write(file, part, (size_t)read) != read) {
            close(file);
            return failed();
        }
        if (read == 0)
            return close(file);
        at += read;
    }
}

/* Hard links do: a file that is kept is replaced, never changed. */
static int remember(const char *synced, const char *history) {
    static atomic_int cuts;
    char folder[PATH_MAX], from[PATH_MAX * 2], to[PATH_MAX * 2];
    struct dirent *entry;
    DIR *listing = opendir(synced);
    if (!listing)
        return failed();
    do
        snprintf(folder, sizeof folder, "%s/%d", history, atomic_fetch_add(&cuts, 1));
    while (mkdir(folder, 0700) != 0 && errno == EEXIST);
    while ((entry = readdir(listing))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(from, sizeof from, "%s/%s", synced, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", folder, entry->d_name);
        if (link(from, to) != 0 && errno != ENOENT) {
            closedir(listing);
            return failed();
        }
    }
    return closedir(listing);
}

static int keep(int fd) {
    const char *synced = getenv("SYNCED_FILES"), *history = getenv("SYNCED_HISTORY");
    char link[64], path[PATH_MAX], unfinished[PATH_MAX * 2], kept[PATH_MAX * 2];
    struct stat status;
    ssize_t length;
    if (!synced || fstat(fd, &status) != 0)
        return failed();
    /* Of a folder, what counts is the names in it; those of files that are kept are there. */
    if (!S_ISREG(status.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return failed();
    path[length] = 0;
    snprintf(kept, sizeof kept, "%s/%s", synced, strrchr(path, '/') + 1);
    snprintf(unfinished, sizeof unfinished, "%s/.%d-%d", synced, (int)getpid(), (int)gettid());
    if (copy(fd, unfinished) != 0 || rename(unfinished, kept) != 0)
        return failed();
    return history ? remember(synced, history) : 0;
}

int fsync(int fd) {
    return keep(fd);
}

int fdatasync(int fd) {
    return keep(fd);
}
