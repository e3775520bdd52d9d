// Mutual exclusion in four bytes: spin for a moment, then sleep in the kernel.
//
// Not recursive, not fair, not for work that blocks. The standard library's `Mutex` inherits priorities, which costs a
// system call as soon as two threads meet; the locks here are held for a microsecond, so waiting a little usually wins.
// Source: U. Drepper, "Futexes Are Tricky", 2011, section 5, mutex3.

import CLarderIntrinsics
import CLarderSystem
import Synchronization

/// A lock that is one 32-bit word. A stored property of a class, or initialised in raw memory; it must not move while
/// anybody uses it, which a noncopyable value in such a place does not.
@frozen @usableFromInline
package struct Lock: ~Copyable, Sendable {
    /// 0 free, 1 held, 2 held and somebody may sleep.
    @usableFromInline let word: Atomic<UInt32>

    @inlinable package init() { word = Atomic(0) }

    /// Waits until the lock is free, and holds it.
    @inlinable package borrowing func lock() {
        if !word.weakCompareExchange(expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed).exchanged {
            lockSlowly()
        }
    }

    /// Holds the lock if it is free.
    @inlinable package borrowing func tryLock() -> Bool {
        word.compareExchange(expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed).exchanged
    }

    @inlinable package borrowing func unlock() {
        if word.exchange(0, ordering: .releasing) == 2 { wakeOne() }
    }

    /// How often to look before sleeping: about a microsecond. More would burn the time of a holder who was preempted.
    private static var spinsMax: Int { 100 }

    /// How often any lock of the process was found held by one who wanted it.
    package static var waits: Int { waitCount.load(ordering: .relaxed) }
    private static let waitCount = Atomic<Int>(0)

    @inline(never) @usableFromInline borrowing func lockSlowly() {
        Self.waitCount.wrappingAdd(1, ordering: .relaxed)
        for _ in 0..<Self.spinsMax {
            if word.load(ordering: .relaxed) == 0, tryLock() { return }
            larder_pause()
        }
        // Taken with 2, since whether others sleep is not known: at worst one wake-up too many.
        while word.exchange(2, ordering: .acquiring) != 0 {
            // Interrupted, woken for nothing or too late to sleep: the loop looks again in any case.
            unsafe withUnsafePointer(to: self) { address in _ = unsafe larder_futex_wait(address, 2, -1) }
        }
    }

    @inline(never) @usableFromInline borrowing func wakeOne() {
        // `Atomic` lives in memory, so this is the address of the word itself and never of a copy.
        unsafe withUnsafePointer(to: self) { address in _ = unsafe larder_futex_wake(address, 1) }
    }
}
