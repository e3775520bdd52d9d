// One run: its threads from the first connection to the last reply, and what came of it.

import Histogram
import LarderBytes
import LarderPlatform
import Synchronization

/// What a run measured.
package struct LoadOutcome: Sendable {
    package var tally = Tally()
    /// From the moment a request was due (open loop) or sent (closed loop), by `LoadOperation.rawValue`. Those that were never
    /// answered are in it with how long they waited: a lower bound.
    package var latencies: [Latencies] = LoadOperation.allCases.map { _ in LatencyLimits.empty() }
    /// From the moment a request was sent; empty in a closed loop, where it is the same.
    package var service = LatencyLimits.empty()
    package var points: [TimePoint] = []
    /// When the measurement began, in Unix milliseconds; 0: it did not.
    package var began: Int64 = 0
    /// How long requests were sent and measured, without warming up and without waiting for the last replies.
    package var seconds = 0.0
    /// Processor time of the generator's threads while they sent and measured, and how long that was for all of them together.
    package var ownNanoseconds: Int64 = 0
    package var ownWallNanoseconds: Int64 = 0
    package var faults: FaultCount?
    /// Requests were lost, at the end no connection was left that answered, and a new one was not answered either.
    package var serverIsGone = false

    package init() {}

    /// All operations together.
    package var latency: Latencies {
        latencies.reduce(into: LatencyLimits.empty()) { $0.add($1) }
    }

    package var rate: Double { seconds > 0 ? Double(tally.repliesTotal) / seconds : 0 }
}

/// A run that is under way.
package final class LoadRun: Sendable {
    package let plan: LoadPlan
    package let board: Board
    private let clock: any Clock
    private let control: RunControl
    private let ledgers: [ThreadLedger]

    /// - Parameter ledgers: One for each thread, where replies are to be judged; else none. They may come from an earlier run
    ///   that has ended: what was filled is what is read.
    package init(
        _ plan: LoadPlan, clock: any Clock = SystemClock(), ledgers: [ThreadLedger] = [], stop: StopSwitch = StopSwitch()
    ) {
        precondition(ledgers.isEmpty || ledgers.count == plan.threads, "a ledger for each thread")
        self.plan = plan
        self.clock = clock
        self.ledgers = ledgers
        control = RunControl(stop: stop)
        board = Board(threads: plan.threads, intervalNanoseconds: plan.intervalNanoseconds)
    }

    /// Runs to the end.
    ///
    /// - Parameter tick: Called every 50 ms with the time since the measurement began, in nanoseconds; negative while it warms up.
    package func run(tick: (Int64) -> Void = { _ in }) throws(LoadFailure) -> LoadOutcome {
        try Probe.check(plan)
        var workers: [LoadWorker] = []
        var threads: [Thread] = []
        do throws(SystemError) {
            var shares: [[UInt32]] = []
            if case .trace(let trace) = plan.content {
                shares = trace.shares(threads: plan.threads, connections: plan.connections / plan.threads)
            }
            for number in 0..<plan.threads {
                workers.append(
                    try LoadWorker(
                        plan, thread: number, control: control, board: board, clock: clock,
                        ledger: ledgers.isEmpty ? nil : ledgers[number], shares: shares))
            }
            for worker in workers {
                threads.append(try Thread(name: "load-\(worker.thread)") { worker.run() })
            }
        } catch {
            control.fail(.system(error))
        }
        if threads.count == plan.threads { watch(tick) }
        for thread in threads { thread.join() }
        if let failure = control.failure { throw failure }
        return outcome(workers)
    }

    /// One request, and nothing that is changed by it.
    ///
    /// - Throws: What is in the way of a load.
    package static func probe(_ plan: LoadPlan) throws(LoadFailure) { try Probe.check(plan) }

    private static let tickMilliseconds: Int64 = 50

    /// Gives the signal when all connections stand, and waits for the end.
    private func watch(_ tick: (Int64) -> Void) {
        while control.threadsReady.load(ordering: .acquiring) < plan.threads {
            if control.isStopped { return }
            Thread.sleep(milliseconds: 1)
        }
        let start = clock.elapsed() + 1_000_000
        control.startAt.store(start, ordering: .releasing)
        let measureFrom = start + plan.warmupNanoseconds
        let end = measureFrom + plan.durationNanoseconds
        while control.threadsDone.load(ordering: .acquiring) < plan.threads {
            let now = clock.elapsed()
            tick(now - measureFrom)
            // No sleep goes past a moment that is known.
            let next = now < measureFrom ? measureFrom : end
            Thread.sleep(milliseconds: now < next ? min(Self.tickMilliseconds, (next - now) / 1_000_000 + 1) : 1)
        }
    }

    /// Whether the server answers a new connection, if only with a refusal.
    private func answers() -> Bool {
        do throws(LoadFailure) { try Probe.check(plan) } catch {
            switch error {
            case .refused, .foreign: return true
            default: return false
            }
        }
        return true
    }

    private func outcome(_ workers: [LoadWorker]) -> LoadOutcome {
        var outcome = LoadOutcome()
        for worker in workers {
            outcome.tally.add(worker.measurement.tally)
            for index in outcome.latencies.indices { outcome.latencies[index].add(worker.measurement.latencies[index]) }
            outcome.service.add(worker.measurement.service)
            outcome.seconds = max(outcome.seconds, worker.measuredSeconds)
            outcome.ownNanoseconds += worker.ownTime.processor
            outcome.ownWallNanoseconds += worker.ownTime.wall
        }
        if let first = workers.first, first.start != .max { outcome.began = first.wall(first.measureFrom) }
        if workers.allSatisfy({ $0.isForsaken }) {
            outcome.serverIsGone = workers.contains { $0.gaveUp } || outcome.tally.lost > 0 && !answers()
        }
        outcome.points = board.points
        if outcome.points.isEmpty, outcome.seconds > 0 {
            outcome.points = [TimePoint(seconds: outcome.seconds, rate: outcome.rate, errors: outcome.tally.errors, outcome.latency)]
        }
        if !ledgers.isEmpty { outcome.faults = ledgers.reduce(into: FaultCount()) { $0.add($1.faults) } }
        return outcome
    }
}
