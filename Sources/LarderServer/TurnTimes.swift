// How long the workers' turns take, which is how late a request can be that became ready meanwhile.
//
// Each worker counts its turns by length; whoever does chores looks at the counts now and then and publishes what the slowest
// of a hundred took. So nobody writes what another worker reads but itself, and asking is one load.

import LarderPlatform
import Synchronization

/// Turns counted by their length. One writer, any reader.
package struct TurnCounts: ~Copyable, Sendable {
    /// Class 0 is below 62.5 microseconds, each further one twice as long; the last has no end.
    package static let classCount = 16
    static let finest: Int64 = 62_500
    /// Turns of this class and those above take 2 ms or longer.
    static let slowClass = 6

    private let counts = InlineArray<16, Counter>(first: Counter()) { _ in Counter() }

    init() {}

    /// Only the owning thread calls this.
    @inline(__always)
    package func note(_ nanoseconds: Int64) {
        let steps = UInt64(max(nanoseconds, 0) / Self.finest)
        counts[min(UInt64.bitWidth - steps.leadingZeroBitCount, Self.classCount - 1)].add(1)
    }

    subscript(index: Int) -> UInt64 { counts[index].total }

    var total: UInt64 { sum(from: 0) }
    /// Turns that took 2 ms or longer.
    var slow: UInt64 { sum(from: Self.slowClass) }

    private func sum(from first: Int) -> UInt64 { (first..<Self.classCount).reduce(0) { $0 &+ self[$1] } }

    /// Where a class ends, nanoseconds.
    static func end(of index: Int) -> Int64 { finest << Int64(index) }
}

/// What the turns of all workers took lately.
package final class TurnTimes: Sendable {
    private let slowest = Atomic<Int64>(0)
    private let seen = Mutex(Seen())

    private struct Seen {
        var counts = InlineArray<16, UInt64>(repeating: 0)
        var time: Int64?
    }

    /// Turns are judged together for so long.
    package static let windowNanoseconds: Int64 = 250_000_000

    package init() {}

    /// The length that 99 of 100 turns did not exceed in the last window, rounded up to twice; nanoseconds. 0 when there were
    /// none. One load.
    package var p99: Int64 { slowest.load(ordering: .relaxed) }

    /// Judges the turns since the last window, if that has ended.
    ///
    /// - Parameter now: Elapsed nanoseconds.
    package func look(at workers: [WorkerMetrics], now: Int64) {
        seen.withLock { seen in
            if let time = seen.time, now - time < Self.windowNanoseconds { return }
            var turns = InlineArray<16, UInt64>(repeating: 0)
            var total: UInt64 = 0
            for index in 0..<TurnCounts.classCount {
                let count = workers.reduce(0) { $0 &+ $1.turns[index] }
                turns[index] = count &- seen.counts[index]
                total &+= turns[index]
                seen.counts[index] = count
            }
            // What was counted before the first look is of no window.
            let isFirst = seen.time == nil
            seen.time = now
            slowest.store(isFirst || total == 0 ? 0 : Self.p99(turns, total), ordering: .relaxed)
        }
    }

    private static func p99(_ turns: InlineArray<16, UInt64>, _ total: UInt64) -> Int64 {
        var above = total / 100
        for index in stride(from: TurnCounts.classCount - 1, to: 0, by: -1) {
            if turns[index] > above { return TurnCounts.end(of: index) }
            above -= turns[index]
        }
        return TurnCounts.end(of: 0)
    }
}
