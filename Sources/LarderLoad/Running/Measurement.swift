// What a thread measures: one value, so that a reply is counted in one place.

import Histogram
import LarderBytes

/// Counts and latencies of one thread.
struct Measurement {
    var tally = Tally()
    /// From the moment a request was due (open loop) or sent (closed loop), by `LoadOperation.rawValue`.
    var latencies = LoadOperation.allCases.map { _ in LatencyLimits.empty() }
    /// From the moment a request was sent, in an open loop.
    var service = LatencyLimits.empty()
    /// Of the interval that is going on.
    var interval = LatencyLimits.coarse()
    var intervalErrors = 0
    private let isOpenLoop: Bool
    private let noLatencies = LatencyLimits.coarse()

    init(isOpenLoop: Bool) { self.isOpenLoop = isOpenLoop }

    /// Counts `reply`, which came at `now` and lies in `input`.
    mutating func count(_ reply: LoadReply, to request: InFlight, in input: RawSpan, now: Int64) {
        let kind = Int(request.operation.rawValue)
        tally.replies[kind] += 1
        let latency = LatencyLimits.bounded(now - request.intended)
        latencies[kind].record(latency)
        interval.record(latency)
        if isOpenLoop { service.record(LatencyLimits.bounded(now - request.sent)) }
        switch reply.outcome {
        case .refused:
            tally.refused += 1
            intervalErrors += 1
            tally.refusals.count(input, kind: reply.kind, sentence: reply.content)
        case .hit: if request.operation == .get { tally.hits += 1 }
        case .miss: if request.operation == .get { tally.misses += 1 }
        case .done: break
        }
    }

    /// Requests that waited from `intended` until `end` and were given up then: their latency is at least that.
    mutating func countWait(_ operation: LoadOperation, intended: Int64, until end: Int64, count: Int = 1) {
        latencies[Int(operation.rawValue)].record(LatencyLimits.bounded(end - intended), count: UInt64(count))
    }

    /// The same of one request that was sent.
    mutating func countWait(_ request: InFlight, until end: Int64) {
        countWait(request.operation, intended: request.intended, until: end)
        if isOpenLoop { service.record(LatencyLimits.bounded(end - request.sent)) }
    }

    /// The next interval begins.
    mutating func beginInterval() {
        // A copy of what is empty costs less than clearing what is not.
        interval = noLatencies
        intervalErrors = 0
    }
}
