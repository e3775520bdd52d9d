// System calls and constants that the Glibc module does not show to Swift. Header-only.
#ifndef LARDER_SYSTEM_H
#define LARDER_SYSTEM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// Declared here because glibc shows them only under _GNU_SOURCE, which would change the layout of types that
// the Glibc module has already imported.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int fallocate(int, int, off_t, off_t);

static inline int larder_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int larder_epoll_control(int poller, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = token;
    return epoll_ctl(poller, operation, descriptor, &event);
}

/// Raises the number of descriptors that this process may have to `wanted`, or as near as it may go. Returns what is in force.
static inline long larder_allow_descriptors(long wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
    if (limit.rlim_cur < (rlim_t)wanted) {
        struct rlimit raised = limit;
        raised.rlim_cur = limit.rlim_max < (rlim_t)wanted ? limit.rlim_max : (rlim_t)wanted;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > (rlim_t)wanted ? wanted : (long)limit.rlim_cur;
}

/// One readiness report, laid out without the packing that `struct epoll_event` has on x86-64.
struct larder_event {
    uint64_t token;
    uint32_t events;
};

static inline int larder_epoll_wait(int poller, struct larder_event *out, int capacity, int timeout_milliseconds) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    int count = epoll_wait(poller, events, capacity, timeout_milliseconds);
    for (int i = 0; i < count; i++) {
        out[i].token = events[i].data.u64;
        out[i].events = events[i].events;
    }
    return count;
}

/// The same with a limit in nanoseconds (negative: for ever). A kernel before 5.11 waits whole milliseconds, rounded up.
static inline int larder_epoll_wait_nanoseconds(int poller, struct larder_event *out, int capacity, int64_t nanoseconds) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    int count = -1;
#ifdef SYS_epoll_pwait2
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    count = (int)syscall(SYS_epoll_pwait2, poller, events, capacity, nanoseconds < 0 ? NULL : &limit, NULL, 0);
    if (count < 0 && errno == ENOSYS)
#endif
    {
        int64_t milliseconds = nanoseconds < 0 ? -1 : nanoseconds > 2000000000000000 ? 2000000000 : (nanoseconds + 999999) / 1000000;
        count = epoll_wait(poller, events, capacity, (int)milliseconds);
    }
    for (int i = 0; i < count; i++) {
        out[i].token = events[i].data.u64;
        out[i].events = events[i].events;
    }
    return count;
}

static inline int larder_accept(int listener) {
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline int larder_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Sleeps while `*word == expected`, at most `nanoseconds` (negative: for ever). Returns 0, or -1 with errno.
static inline long larder_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? NULL : &limit, NULL, 0);
}

static inline long larder_futex_wake(const void *word, int count) {
    return syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline int larder_fallocate(int descriptor, int64_t offset, int64_t count) {
    return fallocate(descriptor, 0, offset, count);
}

// What malloc keeps of what was freed: blocks from `mapped` bytes on are the kernel's again at once, and of the end of an arena all but
// `kept` bytes. Without glibc it keeps what it likes.
static inline void larder_bound_heap(int mapped, int kept) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, mapped);
    mallopt(M_TRIM_THRESHOLD, kept);
#endif
}

/// Names the calling thread (at most 15 bytes) for `top -H` and debuggers.
static inline void larder_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/// Lets the calling thread's timed waits end when they are due instead of up to 50 microseconds later.
static inline void larder_precise_timers(void) { prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); }

/// Raises the calling thread's nice value: on Linux the process form of setpriority acts on one thread.
static inline int larder_nice_thread(int amount) { return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), amount); }

/// `openat`, which is variadic and so hidden from Swift.
static inline int larder_open_at(int directory, const char *name, int flags, uint32_t mode) {
    return openat(directory, name, flags, (mode_t)mode);
}

/// Writes two runs of bytes with one call; may write fewer than both hold.
static inline int64_t larder_write_two(int descriptor, const void *first, size_t first_count, const void *second,
                                       size_t second_count, int64_t offset) {
    struct iovec parts[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    return pwritev(descriptor, parts, 2, offset);
}

/// Reads all of `text` as a number: as Redis does, util.c `string2ld`.
static inline int larder_read_real(const char *text, long double *value) {
    char *end;
    if (*text == 0 || strchr(" \t\n\v\f\r", *text)) return 0;
    errno = 0;
    *value = strtold(text, &end);
    return *end == 0 && !isnan(*value) && !(errno == ERANGE && (isinf(*value) || *value == 0));
}

/// Writes the sum of two numbers, without an exponent. Returns its length; 0 when there is none, -1 when one of them is no number.
static inline long larder_add_reals(const char *first, const char *second, void *out, size_t capacity) {
    long double left, right;
    if (!larder_read_real(first, &left) || !larder_read_real(second, &right)) return -1;
    if (!isfinite(left + right)) return 0;
    char *text = (char *)out;
    int length = snprintf(text, capacity, "%.17Lf", left + right);
    if (length <= 0 || (size_t)length >= capacity) return 0;
    while (text[length - 1] == '0') length--;
    if (text[length - 1] == '.') length--;
    if (length == 2 && memcmp(text, "-0", 2) == 0) {
        text[0] = '0';
        length = 1;
    }
    return length;
}

#endif
