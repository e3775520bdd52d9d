// A lock that counts the changes made under it, so that readers can do without it: they look, and look again whether
// anything has changed meanwhile.
//
// What they saw in between may be half of one change and half of another, so they follow nothing that could lead them astray,
// and believe none of it before the second look. A reader so writes to no memory that others use.
// Source: H.-J. Boehm, "Can Seqlocks Get Along with Programming Language Memory Models?", MSPC 2012; for reads of a hash
// table, B. Fan, D. Andersen, M. Kaminsky, "MemC3", NSDI 2013, section 4.2.

import Synchronization

/// 16 bytes: a lock, and how often it was taken and given back for changes. It must not move while anybody uses it.
@frozen @usableFromInline
package struct VersionedLock: ~Copyable, Sendable {
    @usableFromInline let word = Lock()
    /// Odd while something is being changed.
    @usableFromInline let changes = Atomic<UInt64>(0)

    @inlinable package init() {}

    /// Waits until the lock is free, and holds it for changes.
    @inlinable package borrowing func lock() {
        word.lock()
        changes.store(changes.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        // What is changed from now on is not seen before that.
        atomicMemoryFence(ordering: .releasing)
    }

    @inlinable package borrowing func unlock() {
        changes.store(changes.load(ordering: .relaxed) &+ 1, ordering: .releasing)
        word.unlock()
    }

    /// Holds the lock without a change, which disturbs no reader who does without.
    @inlinable package borrowing func lockUnchanged() { word.lock() }

    @inlinable package borrowing func unlockUnchanged() { word.unlock() }

    /// What `isUnchanged` wants; nil while something is being changed.
    @inlinable package var version: UInt64? {
        let version = changes.load(ordering: .acquiring)
        return version & 1 == 0 ? version : nil
    }

    /// Whether nothing has been changed since `version` was asked: what was read in between is true.
    @inlinable package borrowing func isUnchanged(since version: UInt64) -> Bool {
        // What was read comes before this look.
        atomicMemoryFence(ordering: .acquiring)
        return changes.load(ordering: .relaxed) == version
    }
}
