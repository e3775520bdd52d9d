// What is counted beside the replies: intervals, what was never sent, and what the generator itself cost.

import Histogram
import LarderBytes
import LarderPlatform

/// Processor time of a thread beside the time that passed: never more than that.
struct OwnTime {
    private var wallFrom: Int64 = 0
    private var processorFrom: Int64 = 0
    private(set) var isRunning = false
    /// Nanoseconds.
    private(set) var processor: Int64 = 0
    private(set) var wall: Int64 = 0

    // The time that passed is read outside, the processor time inside: one cannot come out above the other.
    mutating func begin(_ clock: any Clock) {
        isRunning = true
        wallFrom = clock.elapsed()
        processorFrom = Thread.nanoseconds()
    }

    mutating func end(_ clock: any Clock) {
        guard isRunning else { return }
        processor = Thread.nanoseconds() - processorFrom
        wall = clock.elapsed() - wallFrom
    }
}

extension LoadWorker {
    func closeInterval(isLast: Bool = false) {
        let waited = measurement.interval.totalCount == 0 ? longestWait(until: intervalEnd) : 0
        board.deposit(
            interval, thread: thread, measurement.interval, errors: measurement.intervalErrors, waited: waited, isLast: isLast)
        measurement.beginInterval()
        interval += 1
        ledger?.flush()
    }

    /// How long the oldest request has waited at `moment` that is under way or due, in nanoseconds; 0 when there is none.
    func longestWait(until moment: Int64) -> UInt64 {
        var oldest = moment
        for connection in connections {
            if connection.inFlight > 0 {
                oldest = min(oldest, connection.oldest.intended)
            } else if !connection.isExhausted {
                oldest = min(oldest, due(connection, moment))
            }
        }
        return LatencyLimits.bounded(moment - oldest)
    }

    /// So many operations of what was never sent are drawn at most; when there is more, each stands for several.
    static let unsentSteps = 100_000

    /// What came due and was never sent has waited until sending ended: hiding it would hide a stall at the end.
    func countUnsent() {
        let ended = min(end, sendingEnded)
        for connection in connections {
            let count = unsent(connection, before: ended)
            measurement.tally.unsent += count
            let steps = min(count, max(1, Self.unsentSteps / connections.count))
            for step in 0..<steps {
                let share = count * (step + 1) / steps - count * step / steps
                // The last of them, which has waited least.
                connection.skip(share - 1)
                let intended = due(connection, ended)
                guard let operation = connection.next() else { break }
                if intended >= measureFrom {
                    measurement.countWait(operation.kind, intended: intended, until: ended, count: share)
                }
            }
        }
    }

    /// How many requests of the connection came due before `moment` and have not been taken; in a closed loop nothing is due.
    private func unsent(_ connection: LoadConnection, before moment: Int64) -> Int {
        guard plan.pace != .closed else { return 0 }
        let count: Int
        if let schedule {
            // Its own are every so many of the thread's, as there are connections.
            let others = connections.count - 1 - Int(connection.token)
            count = (schedule.count(until: moment - 1) + others) / connections.count - connection.taken
        } else {
            count = connection.records { start + time(ofRecord: $0) < moment }
        }
        return max(0, min(count, connection.remaining))
    }
}
