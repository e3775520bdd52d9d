// The time that entries are judged by: the wall clock as it stood at the start, moved on by a clock that never jumps.
//
// So a step of the wall clock neither expires keys nor revives them while the process lives. When the two have come apart, the time
// served goes a hundredth faster or slower until they meet again; it never stands still, and never goes back.

import Synchronization

/// Unix milliseconds that only move forward.
package final class ServerTime: Clock {
    private let clock: any Clock

    /// Since `elapsed` the time was `wall` and has gone at this pace. Read and written as a whole, by a sequence lock.
    private struct Course {
        var wall: Milliseconds
        /// Nanoseconds of the clock that never jumps.
        var elapsed: Int64
        /// Hundredths by which time goes faster; -1, 0 or 1.
        var pace: Int64

        func time(at now: Int64) -> Milliseconds {
            let passed = now - elapsed
            return wall + (passed + passed / 100 * pace) / 1_000_000
        }
    }

    private let version = Atomic<UInt64>(0)
    private let wallWord: Atomic<Milliseconds>
    private let elapsedWord: Atomic<Int64>
    private let pace = Atomic<Int64>(0)
    /// Who changes the course, and when the clocks were last compared.
    private let compared: Mutex<Int64>

    package init(clock: any Clock) {
        self.clock = clock
        let elapsed = clock.elapsed()
        wallWord = Atomic(clock.wall())
        elapsedWord = Atomic(elapsed)
        compared = Mutex(elapsed)
    }

    /// Now, in Unix milliseconds.
    package func now() -> Milliseconds { now(at: elapsed()) }

    /// The same at a reading of `elapsed()`.
    package func now(at elapsed: Int64) -> Milliseconds { course.time(at: elapsed) }

    /// So that whoever is given this as the clock agrees with everyone about what time it is.
    package func wall() -> Milliseconds { now() }

    /// Nanoseconds that never go back, for differences.
    package func elapsed() -> Int64 { clock.elapsed() }

    private var course: Course {
        while true {
            let before = version.load(ordering: .acquiring)
            let course = Course(
                wall: wallWord.load(ordering: .relaxed), elapsed: elapsedWord.load(ordering: .relaxed),
                pace: pace.load(ordering: .relaxed))
            atomicMemoryFence(ordering: .acquiring)
            if before & 1 == 0, version.load(ordering: .relaxed) == before { return course }
        }
    }

    /// From now on; the caller holds `compared`.
    private func set(_ course: Course) {
        version.add(1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        wallWord.store(course.wall, ordering: .relaxed)
        elapsedWord.store(course.elapsed, ordering: .relaxed)
        pace.store(course.pace, ordering: .relaxed)
        version.add(1, ordering: .releasing)
    }

    /// Makes `now()` at least `time`: what was seen before a restart does not come back because a clock went back.
    package func advance(toAtLeast time: Milliseconds) {
        compared.withLock { _ in
            var course = course
            let elapsed = elapsed()
            let behind = time - course.time(at: elapsed)
            if behind > 0 {
                course.wall += behind
                set(course)
            }
        }
    }

    // MARK: Two clocks

    /// How far the wall clock is ahead of the time served, in milliseconds.
    package var wallDrift: Milliseconds { clock.wall() - now() }

    /// Compares the clocks when that is due, every 10 s, and sets the pace: beyond 2 s apart the time served follows until they are
    /// within a tenth of a second.
    ///
    /// - Returns: The drift, when following begins; 0, when it ends; else nil.
    package func compareClocks() -> Milliseconds? {
        compared.withLock { last in
            let elapsed = elapsed()
            guard elapsed - last >= Self.comparedEvery else { return nil }
            last = elapsed
            let course = course
            let wall = clock.wall()
            let drift = wall - course.time(at: elapsed)
            let isFollowing = wall < Self.wallEnd && drift.magnitude > (course.pace == 0 ? Self.driftMax : Self.driftMin)
            let pace = isFollowing ? drift.signum() : 0
            guard pace != course.pace else { return nil }
            set(Course(wall: course.time(at: elapsed), elapsed: elapsed, pace: pace))
            if course.pace == 0 { return drift }
            return pace == 0 ? 0 : nil
        }
    }

    /// 2150-01-01 UTC. A clock that says this or later is not believed: times of writes end nine years later.
    package static let wallEnd: Milliseconds = 5_680_281_600_000

    private static let comparedEvery: Int64 = 10_000_000_000
    private static let driftMax: UInt64 = 2_000
    private static let driftMin: UInt64 = 100
}
