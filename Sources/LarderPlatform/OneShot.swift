// A thing that may happen once, whichever thread comes first.

import Synchronization

/// True for the first caller, false for every other.
package final class OneShot: Sendable {
    private let isTaken = Atomic<Bool>(false)

    package init() {}

    /// Whether the caller is the first.
    package func take() -> Bool {
        !isTaken.exchange(true, ordering: .acquiringAndReleasing)
    }
}
