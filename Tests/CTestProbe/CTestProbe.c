#define _GNU_SOURCE
#include "CTestProbe.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

// The allocator's own functions, under the names that glibc gives them for wrappers such as these. A program's definitions
// come before a library's, so everything in the process that asks for memory comes by here.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread long allocations;

// Swift ends a process that gets no memory, and tells how much was asked for; this tells by whom.
static void *had(void *memory, size_t bytes) {
    if (memory || bytes == 0) return memory;
    void *callers[12];
    dprintf(STDERR_FILENO, "no memory for %zu bytes, asked for by:\n", bytes);
    backtrace_symbols_fd(callers, backtrace(callers, 12), STDERR_FILENO);
    return memory;
}

void *malloc(size_t bytes) {
    allocations++;
    return had(__libc_malloc(bytes), bytes);
}

void *calloc(size_t count, size_t bytes) {
    allocations++;
    return had(__libc_calloc(count, bytes), bytes);
}

void *realloc(void *memory, size_t bytes) {
    allocations++;
    return had(__libc_realloc(memory, bytes), bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    allocations++;
    return had(__libc_memalign(alignment, bytes), bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    *memory = memalign(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

long probe_allocations(void) { return allocations; }

// Stops a thread, and lets it run from stop to stop; what a stop is, `request` says. Counts those that `counts` says yes to.
static long probe(pid_t thread, const volatile int *stop, volatile int *started, int request, int (*counts)(int)) {
    int status;
    if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD)) return -1;
    if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) || waitpid(thread, &status, __WALL) != thread) return -1;
    long count = 0;
    *started = 1;
    while (!*stop) {
        if (ptrace(request, thread, 0, 0) || waitpid(thread, &status, __WALL) != thread) return -1;
        if (!WIFSTOPPED(status)) return -1;
        count += counts(WSTOPSIG(status));
    }
    ptrace(PTRACE_DETACH, thread, 0, 0);
    return count;
}

static int is_system_call(int signal) { return signal == (SIGTRAP | 0x80); }
static int is_step(int signal) { return signal == SIGTRAP; }

long probe_system_calls(pid_t thread, const volatile int *stop, volatile int *started) {
    long stops = probe(thread, stop, started, PTRACE_SYSCALL, is_system_call);
    // A stop at each end of a call.
    return stops < 0 ? stops : (stops + 1) / 2;
}

long probe_instructions(pid_t thread, const volatile int *stop, volatile int *started) {
    return probe(thread, stop, started, PTRACE_SINGLESTEP, is_step);
}

uid_t probe_become_user(uid_t user) {
    // Of the thread alone, and its capabilities for files go and come with it.
    return (uid_t)setfsuid(user);
}
