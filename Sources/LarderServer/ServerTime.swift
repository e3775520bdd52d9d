// The time that entries are judged by: the wall clock as it stood at the start, moved on by a clock that never jumps.
//
// So a step of the wall clock neither expires keys nor revives them while the process lives (docs/durability.md).

import LarderPlatform
import Synchronization

/// Unix milliseconds that only move forward.
package final class ServerTime: Sendable {
    private let clock: any Clock
    private let anchorWall: Atomic<Milliseconds>
    private let anchorElapsed: Int64

    package init(clock: any Clock) {
        self.clock = clock
        anchorWall = Atomic(clock.wall())
        anchorElapsed = clock.elapsed()
    }

    /// Now, in Unix milliseconds.
    package func now() -> Milliseconds { now(at: elapsed()) }

    /// The same at a reading of `elapsed()`.
    func now(at elapsed: Int64) -> Milliseconds {
        anchorWall.load(ordering: .relaxed) + (elapsed - anchorElapsed) / 1_000_000
    }

    /// Nanoseconds that never go back, for differences.
    func elapsed() -> Int64 { clock.elapsed() }

    /// Makes `now()` at least `time`: what was seen before a restart does not come back because a clock went back.
    package func advance(toAtLeast time: Milliseconds) {
        let behind = time - now()
        if behind > 0 { anchorWall.add(behind, ordering: .relaxed) }
    }

    /// How far the wall clock has moved away from the time served, in milliseconds.
    package var wallDrift: Milliseconds { clock.wall() - now() }
}
