// Where one thread waits until another has something for it.
//
// A wake-up that comes before the wait is not lost. Audited for `unsafe`: the word lives in memory of its own from
// `init` to `deinit`, so its address is stable for the kernel.

import CLarderSystem
import Synchronization

/// One thread parks, any thread wakes it.
@safe
package final class Parker: @unchecked Sendable {
    private static let idle: UInt32 = 0
    private static let woken: UInt32 = 1
    private static let parked: UInt32 = 2

    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    package init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(Self.idle))
    }

    deinit {
        unsafe word.deinitialize(count: 1)
        unsafe word.deallocate()
    }

    /// Ends the wait of the parked thread, or its next one. Costs one load when it was woken already.
    package func wake() {
        if unsafe word.pointee.load(ordering: .acquiring) == Self.woken { return }
        let before = unsafe word.pointee.exchange(Self.woken, ordering: .acquiringAndReleasing)
        if before == Self.parked { _ = unsafe larder_futex_wake(word, 1) }
    }

    /// Waits for a wake-up, at most `nanoseconds` (negative: for ever).
    package func park(nanoseconds: Int64) {
        let (mayPark, _) = unsafe word.pointee.compareExchange(
            expected: Self.idle, desired: Self.parked, ordering: .acquiringAndReleasing)
        if mayPark { _ = unsafe larder_futex_wait(word, Self.parked, nanoseconds) }
        // Woken, timed out or interrupted: whoever waits looks at its work again in any case.
        unsafe word.pointee.store(Self.idle, ordering: .sequentiallyConsistent)
    }
}
