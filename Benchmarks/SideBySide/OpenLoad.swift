// Reads at a fixed rate whatever the replies do, and how long each took from when it was to be sent: `larder load` in this process.

import Glibc
import Histogram
import LarderLoad
import LarderPlatform
import Synchronization

struct OpenLoad {
    /// Of a connection in flight: more than fall due while a server stalls.
    private static let depth = 1_000

    private let plan: LoadPlan

    /// - Parameter seconds: How long, or how long at most.
    init(_ server: Server, connections: Int, rate: Double, keys: Int, seconds: Double, seed: UInt64 = 1) {
        let workload = Workload(
            keys: EntryForm.keys, keyCount: UInt64(keys), mix: .only(.get), valueBytes: .constant(100), seed: seed)
        var plan = LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: server.port), manner: server.contender.manner,
            content: .workload(workload, .mixed(owned: false)), pace: .rate(rate), connections: connections, depth: Self.depth,
            durationNanoseconds: Int64(seconds * 1e9))
        plan.reconnects = false
        self.plan = plan
    }

    /// - Parameter work: Begins when the load has begun, and ends it.
    /// - Throws: At a refusal, a miss or a silence too.
    func run(during work: (@Sendable () -> Void)? = nil) throws -> Latencies {
        let stop = StopSwitch()
        var worker: Thread?
        let outcome: LoadOutcome
        do {
            outcome = try LoadRun(plan, stop: stop).run { _ in
                guard worker == nil, let work else { return }
                worker = try? Thread(name: "work") {
                    // The first call is a millisecond before the first request.
                    usleep(5_000)
                    work()
                    stop.turnOn()
                }
            }
        } catch {
            worker?.join()
            throw BenchError("the server \(error.sentence(plan.manner.dialect))")
        }
        worker?.join()
        if work != nil, worker == nil { throw BenchError("a thread cannot be started") }
        let tally = outcome.tally
        guard tally.misses == 0, tally.errors == 0, tally.repliesTotal > 0 else {
            throw BenchError("a fixed rate: \(tally.misses) misses, \(tally.errors) errors, \(tally.repliesTotal) replies")
        }
        return outcome.latency
    }
}

extension Histogram where Count == UInt64 {
    /// In microseconds.
    func microseconds(_ percent: Double) -> Double { Double(valueAtPercentile(percent)) / 1_000 }
}
