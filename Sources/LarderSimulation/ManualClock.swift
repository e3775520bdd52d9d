// A clock that stands still until a test moves it.

import LarderPlatform
import Synchronization

/// Wall clock and elapsed time, moved by hand.
package final class ManualClock: Clock {
    private let times: Mutex<(wall: Milliseconds, elapsed: Int64)>

    /// - Parameter wall: Unix milliseconds.
    package init(wall: Milliseconds = 1_767_225_600_000, elapsed: Int64 = 1_000_000_000) {
        times = Mutex((wall, elapsed))
    }

    package func wall() -> Milliseconds { times.withLock { $0.wall } }
    package func elapsed() -> Int64 { times.withLock { $0.elapsed } }

    /// Lets time pass.
    package func advance(milliseconds: Milliseconds) {
        times.withLock {
            $0.wall += milliseconds
            $0.elapsed += milliseconds * 1_000_000
        }
    }

    /// Somebody sets the wall clock; elapsed time does not notice.
    package func setWall(_ wall: Milliseconds) {
        times.withLock { $0.wall = wall }
    }
}
