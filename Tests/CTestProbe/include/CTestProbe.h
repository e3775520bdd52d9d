// What tests cannot see from Swift: memory that a thread takes, and what another process's thread does.
#ifndef LARDER_TEST_PROBE_H
#define LARDER_TEST_PROBE_H

#include <sys/types.h>

/// How often the calling thread has asked the allocator for memory.
long probe_allocations(void);

/// Counts the system calls of a thread of a process that the caller's process has started, until `*stop` is set and the thread
/// makes one more. `*started` is set when counting has begun. Blocks; the thread runs on undisturbed afterwards.
///
/// Returns the count, or -1 when the thread cannot be traced.
long probe_system_calls(pid_t thread, const volatile int *stop, volatile int *started);

/// The same for the instructions that the thread executes outside of the kernel.
long probe_instructions(pid_t thread, const volatile int *stop, volatile int *started);

/// Makes the calling thread somebody else where files are concerned, without the rights of root; needs those of root.
///
/// Returns who it was.
uid_t probe_become_user(uid_t user);

#endif
