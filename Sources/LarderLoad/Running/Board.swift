// Where threads hang up what they measured in each interval, and the rest of the program reads it.

import Histogram
import Synchronization

/// One interval of all threads.
package struct TimePoint: Equatable, Sendable {
    /// Seconds since the load began, at the interval's end.
    package var seconds: Double
    /// Replies a second.
    package var rate: Double
    package var errors: Int
    /// Nanoseconds.
    package var median: UInt64
    package var p99: UInt64
    package var p999: UInt64
    package var maximum: UInt64
}

extension TimePoint {
    init(seconds: Double, rate: Double, errors: Int, _ latencies: Latencies) {
        self.init(
            seconds: seconds, rate: rate, errors: errors, median: latencies.valueAtPercentile(50), p99: latencies.valueAtPercentile(99),
            p999: latencies.valueAtPercentile(99.9), maximum: latencies.maxRecorded)
    }
}

/// The intervals of a run.
package final class Board: Sendable {
    private struct Interval {
        var latencies = LatencyLimits.coarse()
        var errors = 0
        var waited: UInt64 = 0
        /// Some thread ended within it: its rate would say less than was done.
        var isPartial = false
    }

    private struct State {
        var open: [Int: Interval] = [:]
        /// The interval that each thread is in; `.max`: it has ended.
        var current: [Int]
        var points: [TimePoint] = []
        var replies = 0
        var errors = 0
    }

    package let intervalNanoseconds: Int64
    private let state: Mutex<State>

    package init(threads: Int, intervalNanoseconds: Int64) {
        self.intervalNanoseconds = intervalNanoseconds
        state = Mutex(State(current: [Int](repeating: 0, count: threads)))
    }

    /// One thread's share of interval `number`. Each thread brings its intervals in order, and with the last the end of its work.
    ///
    /// - Parameters:
    ///   - latencies: Of the kind `LatencyLimits.coarse`.
    ///   - waited: Where there are none, how long the oldest request has waited.
    package func deposit(
        _ number: Int, thread: Int, _ latencies: Latencies, errors: Int, waited: UInt64 = 0, isLast: Bool = false
    ) {
        state.withLock { state in
            var interval = state.open.removeValue(forKey: number) ?? Interval()
            interval.latencies.add(latencies)
            interval.errors += errors
            interval.waited = max(interval.waited, waited)
            interval.isPartial = interval.isPartial || isLast
            state.open[number] = interval
            state.replies += Int(latencies.totalCount)
            state.errors += errors
            state.current[thread] = isLast ? .max : number + 1
            // What every thread has left behind is complete.
            let complete = state.current.reduce(Int.max) { min($0, $1) }
            for number in state.open.keys.sorted() where number < complete {
                guard let interval = state.open.removeValue(forKey: number) else { continue }
                if !interval.isPartial { state.points.append(point(number, interval)) }
            }
        }
    }

    private func point(_ number: Int, _ interval: Interval) -> TimePoint {
        let length = Double(intervalNanoseconds) / 1e9
        let replies = interval.latencies.totalCount
        var latencies = interval.latencies
        // Nothing was answered: no answer took less than what has been waited.
        if replies == 0 { latencies.record(interval.waited) }
        return TimePoint(
            seconds: Double(number + 1) * length, rate: Double(replies) / length, errors: interval.errors, latencies)
    }

    /// The complete intervals in order. A last one that was cut short is left out.
    package var points: [TimePoint] { state.withLock { $0.points } }

    /// The newest complete interval, and how many replies and errors there are in all.
    package var latest: (point: TimePoint?, replies: Int, errors: Int) {
        state.withLock { ($0.points.last, $0.replies, $0.errors) }
    }
}
