import Histogram
import LarderPlatform
import Synchronization
import Testing

@testable import LarderLoad

/// The loop of one thread, its time given by the test.
@Suite("Load worker") struct LoadWorkerTests {
    private func worker(
        _ server: ScriptedServer, pace: Pace = .closed, connections: Int = 1, requests: Int? = nil, board: Board? = nil
    ) throws -> LoadWorker {
        let plan = LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: server.port), manner: Manner(dialect: .resp, host: "test"),
            content: .workload(Samples.workload(mix: "get"), .mixed(owned: false)), pace: pace, connections: connections, depth: 4,
            durationNanoseconds: 20_000_000_000, requests: requests)
        return try LoadWorker(
            plan, thread: 0, control: RunControl(stop: StopSwitch()), board: board ?? Board(threads: 1, intervalNanoseconds: 1_000_000_000),
            clock: SystemClock(), ledger: nil, shares: [])
    }

    @Test func `a rate that nobody can keep does not starve the generator`() throws {
        let worker = try worker(try ScriptedServer(.resp), pace: .rate(100_000_000), connections: 3)
        worker.begin(1_000)
        worker.release(10_000_001_000)
        #expect(worker.cursor == 1_000_000_001)
        #expect(worker.ready == [0, 1, 2], "each connection once")
        worker.sendingEnded = 10_000_001_000
        worker.countUnsent()
        #expect(worker.measurement.tally.unsent == 1_000_000_000)
        let waits = worker.measurement.latencies[0]
        #expect(waits.totalCount == 1_000_000_000)
        #expect(abs(Double(waits.valueAtPercentile(50)) / 5e9 - 1) < 0.002)
        #expect(waits.max >= 9_990_000_000)
    }

    @Test func `what was never sent is counted one by one where it is little`() throws {
        let worker = try worker(try ScriptedServer(.resp), pace: .rate(10), connections: 3, requests: 8)
        worker.begin(0)
        worker.sendingEnded = 500_000_001
        worker.countUnsent()
        #expect(worker.measurement.tally.unsent == 6)
        #expect(worker.measurement.latencies[0].count(within: 0...10) == 1)
        #expect(worker.measurement.latencies[0].count(within: 99_000_000...501_000_000) == 5)
        // No more than was asked for.
        let late = try self.worker(try ScriptedServer(.resp), pace: .rate(10), connections: 3, requests: 8)
        late.begin(0)
        late.sendingEnded = 15_000_000_000
        late.countUnsent()
        #expect(late.measurement.tally.unsent == 8)
    }

    @Test func `a stall shows in the intervals as the age of the oldest request, due or under way`() throws {
        let board = Board(threads: 1, intervalNanoseconds: 1_000_000_000)
        let worker = try worker(try ScriptedServer(.resp), pace: .rate(10), connections: 2, board: board)
        worker.begin(0)
        worker.connections[0].push(InFlight(intended: 400_000_000, sent: 400_000_000))
        // The other connection took its requests until 1.9 s.
        worker.connections[1].skip(10)
        worker.closeInterval()
        worker.closeInterval()
        #expect(board.points.map { Double($0.maximum) / 1e9 }.map { Figures.fixed($0, 1) } == ["0.6", "1.6"])
        worker.connections[0].pop()
        worker.connections[0].skip(10)
        worker.closeInterval()
        #expect(Figures.fixed(Double(board.points[2].p99) / 1e9, 1) == "1.0", "due at 2 s, and never sent")
    }

    @Test func `a run that no clock ends is over when no connection could be made for long`() throws {
        let server = try ScriptedServer(.resp)
        let worker = try worker(server, requests: 1_000)
        worker.begin(1_000_000_000)
        // Somebody will try again, but not now.
        worker.connections[0].reconnectAt = .max - 1
        #expect(worker.turn(10_999_999_999))
        #expect(!worker.gaveUp)
        #expect(!worker.turn(11_000_000_000))
        #expect(worker.gaveUp)
        let timed = try self.worker(server)
        timed.begin(1_000_000_000)
        timed.connections[0].reconnectAt = .max - 1
        #expect(timed.turn(19_000_000_000), "its duration ends it")
    }

    @Test func `the generator is never said to have used more than its threads`() throws {
        let server = try ScriptedServer(.resp)
        for requests in [1, 2_000] {
            let plan = LoadPlan(
                address: SocketAddress(host: "127.0.0.1", port: server.port), manner: Manner(dialect: .resp, host: "test"),
                content: .workload(Samples.workload(), .mixed(owned: false)), connections: 2, threads: 2, depth: 4,
                durationNanoseconds: 20_000_000_000, requests: requests)
            let outcome = try LoadRun(plan).run()
            #expect(outcome.ownNanoseconds > 0)
            #expect(outcome.ownNanoseconds <= outcome.ownWallNanoseconds)
        }
    }
}
