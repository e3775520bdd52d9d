// How long each kind of chore has held a lock at most, in processor time of the holder.
//
// Of the holder, not of the wall's clock: a thread that is put aside while it holds a lock says something about the machine, and
// nothing about the chore. Two system calls a hold, so it is for chores and not for requests.

import Synchronization

/// What holds locks without a request that waits for it.
package enum Chore: CaseIterable, Sendable {
    /// Expiry, sweeping, tables on the move.
    case upkeep
    /// The walk of a snapshot.
    case walk
    /// Keys put in order for listings.
    case listing
}

package struct HoldTimes: ~Copyable, Sendable {
    private let upkeep = Atomic<Int64>(0)
    private let walk = Atomic<Int64>(0)
    private let listing = Atomic<Int64>(0)

    package init() {}

    /// Nanoseconds.
    package func longest(_ chore: Chore) -> Int64 {
        switch chore {
        case .upkeep: upkeep.load(ordering: .relaxed)
        case .walk: walk.load(ordering: .relaxed)
        case .listing: listing.load(ordering: .relaxed)
        }
    }

    /// Calls `body`, whose caller holds the lock.
    package func measure<Result>(_ chore: Chore, _ body: () -> Result) -> Result {
        let began = Thread.nanoseconds()
        let result = body()
        note(chore, Thread.nanoseconds() - began)
        return result
    }

    private func note(_ chore: Chore, _ nanoseconds: Int64) {
        switch chore {
        case .upkeep: _ = upkeep.max(nanoseconds, ordering: .relaxed)
        case .walk: _ = walk.max(nanoseconds, ordering: .relaxed)
        case .listing: _ = listing.max(nanoseconds, ordering: .relaxed)
        }
    }
}
