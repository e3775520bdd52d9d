#define _GNU_SOURCE
#include "CTestProbe.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

// The allocator's own functions, under the names that glibc gives them for wrappers such as these. A program's definitions
// come before a library's, so everything in the process that asks for memory comes by here.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static __thread long allocations;

void *malloc(size_t bytes) {
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
    allocations++;
    return __libc_realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    allocations++;
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    *memory = memalign(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

long probe_allocations(void) { return allocations; }

long probe_system_calls(pid_t thread, const volatile int *stop, volatile int *started) {
    int status;
    if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD)) return -1;
    if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) || waitpid(thread, &status, __WALL) != thread) return -1;
    long count = 0;
    int is_inside = 0;
    *started = 1;
    for (;;) {
        if (*stop) break;
        if (ptrace(PTRACE_SYSCALL, thread, 0, 0) || waitpid(thread, &status, __WALL) != thread) return -1;
        if (!WIFSTOPPED(status)) return -1;
        // A stop at each end of a call.
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            is_inside = !is_inside;
            count += is_inside;
        }
    }
    ptrace(PTRACE_DETACH, thread, 0, 0);
    return count;
}
