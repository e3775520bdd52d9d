import Histogram
import LarderBytes
import LarderPlatform
import Synchronization
import Testing

@testable import LarderLoad

/// Runs against a server in this process that does what the test tells it to.
@Suite("Load over loopback", .serialized) struct LoopbackTests {
    private func plan(
        _ server: ScriptedServer, _ workload: Workload, dialect: LoadDialect = .resp, order: OperationStream.Order = .mixed(owned: false),
        connections: Int = 2, threads: Int = 1, depth: Int = 4, requests: Int? = 200
    ) -> LoadPlan {
        LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: server.port), manner: Manner(dialect: dialect, host: "test"),
            content: .workload(workload, order), connections: connections, threads: threads, depth: depth,
            durationNanoseconds: 20_000_000_000, requests: requests)
    }

    private func ledgers(_ workload: Workload, threads: Int = 1) -> [ThreadLedger] {
        (0..<threads).map {
            ThreadLedger(run: 5, keys: workload.keys, keyCount: workload.keyCount, thread: $0, threads: threads, slack: 10, record: nil)
        }
    }

    @Test(arguments: [LoadDialect.resp, .memcached], [1, 16])
    func `a server that keeps its word has no fault`(dialect: LoadDialect, depth: Int) throws {
        let server = try ScriptedServer(dialect)
        let workload = Samples.workload(keys: 50)
        let ledgers = ledgers(workload, threads: 2)
        let fill = try LoadRun(plan(server, workload, dialect: dialect, order: .filling, connections: 4, threads: 2, requests: nil), ledgers: ledgers).run()
        #expect(fill.tally.replies == [0, 50, 0])
        let outcome = try LoadRun(
            plan(server, workload, dialect: dialect, order: .mixed(owned: true), connections: 4, threads: 2, depth: depth, requests: 2_000),
            ledgers: ledgers
        ).run()
        #expect(outcome.tally.repliesTotal == 2_000)
        #expect(outcome.tally.errors == 0)
        #expect(outcome.faults?.total == 0)
        #expect(try #require(outcome.faults).judged > 500)
        #expect(outcome.latency.totalCount == 2_000)
        #expect(outcome.points.reduce(0) { $0 + $1.rate } > 0)
        #expect(outcome.seconds >= 0.5 || outcome.points[0].rate == outcome.rate, "a run shorter than an interval")
    }

    @Test func `the same seed sends the same bytes`() throws {
        func received(seed: UInt64) throws -> [UInt8] {
            let server = try ScriptedServer(.resp)
            _ = try LoadRun(plan(server, Samples.workload(seed: seed), connections: 1, depth: 1)).run()
            return server.received
        }
        let first = try received(seed: 4)
        #expect(first.count > 1_000)
        #expect(try received(seed: 4) == first)
        #expect(try received(seed: 5) != first)
    }

    @Test func `values that are wrong are found`() throws {
        let server = try ScriptedServer(.resp, fault: .forgetsWrites)
        let workload = Samples.workload(mix: "get:50,set:50", keys: 10)
        let outcome = try LoadRun(plan(server, workload, order: .mixed(owned: true)), ledgers: ledgers(workload)).run()
        #expect(try #require(outcome.faults)[.lost] > 0)
        #expect(try #require(outcome.faults).named.first?.contains("was acknowledged, nothing is there") == true)

        let damaged = try ScriptedServer(.resp, fault: .flipsBits)
        let second = try LoadRun(plan(damaged, workload, order: .mixed(owned: true)), ledgers: ledgers(workload)).run()
        #expect(try #require(second.faults)[.wrong] > 0)
    }

    @Test func `refusals are counted by kind`() throws {
        let server = try ScriptedServer(.resp, fault: .refusesWrites)
        let outcome = try LoadRun(plan(server, Samples.workload())).run()
        let named = outcome.tally.refusals.named(.resp)
        #expect(named.count == 1)
        #expect(named[0].name == "OOM")
        #expect(named[0].sentence == "OOM no room")
        #expect(named[0].count == outcome.tally.refused && outcome.tally.refused > 0)
        #expect(outcome.tally.repliesTotal == 200)
    }

    @Test func `a connection that is lost is counted and made anew`() throws {
        let server = try ScriptedServer(.resp, fault: .closesAfter(20))
        let outcome = try LoadRun(plan(server, Samples.workload(), connections: 1, depth: 1)).run()
        #expect(outcome.tally.connectionsLost > 0)
        #expect(outcome.tally.unanswered == outcome.tally.connectionsLost)
        #expect(outcome.tally.repliesTotal + outcome.tally.unanswered == 200)
        #expect(outcome.tally.sent == 200)
        #expect(!outcome.serverIsGone, "it is there, however short its connections are")
    }

    @Test func `a run without new connections ends when the last is lost`() throws {
        let server = try ScriptedServer(.resp, fault: .closesAfter(20))
        var plan = plan(server, Samples.workload(), connections: 1, depth: 1)
        plan.reconnects = false
        let outcome = try LoadRun(plan).run()
        #expect(outcome.tally.connectionsLost == 1)
        #expect(!outcome.serverIsGone, "it cut every connection, and answers a new one")
        #expect(outcome.tally.repliesTotal < 200)
    }

    @Test func `in an open loop a stall is in the latency of every request that was due`() throws {
        let server = try ScriptedServer(.resp, fault: .stallsOnce(nanoseconds: 300_000_000))
        var open = plan(server, Samples.workload(mix: "get"), connections: 1, depth: 1, requests: nil)
        open.pace = .rate(1_000)
        open.durationNanoseconds = 600_000_000
        let outcome = try LoadRun(open).run()
        // 200 requests were due in the first 200 ms of the stall, and waited 100 ms at least.
        #expect(outcome.latency.count(within: 99_000_000...60_000_000_000) >= 190)
        // From sending, only the one that was under way waited.
        #expect(Int(outcome.service.totalCount) == outcome.tally.repliesTotal + outcome.tally.unanswered)
        #expect(outcome.service.valueAtPercentile(50) < outcome.latency.valueAtPercentile(50))
        #expect(outcome.latency.valueAtPercentile(99.9) >= 290_000_000)
    }

    @Test func `a run counts what was never sent`() throws {
        let server = try ScriptedServer(.resp, fault: .stallsOnce(nanoseconds: 400_000_000))
        var open = plan(server, Samples.workload(mix: "get"), connections: 1, depth: 1, requests: nil)
        open.pace = .rate(1_000)
        open.durationNanoseconds = 200_000_000
        let outcome = try LoadRun(open).run()
        #expect(outcome.tally.repliesTotal + outcome.tally.unanswered + outcome.tally.unsent == 200)
        #expect(outcome.tally.unsent >= 190)
        #expect(outcome.tally.errors == outcome.tally.unanswered, "a ramp's step may leave some behind")
    }

    @Test func `a stall that lasts to the end of the run is in the percentiles`() throws {
        let server = try ScriptedServer(.resp, fault: .stallsOnce(nanoseconds: 500_000_000))
        var open = plan(server, Samples.workload(mix: "get"), connections: 1, depth: 1, requests: nil)
        open.pace = .rate(1_000)
        open.durationNanoseconds = 300_000_000
        let outcome = try LoadRun(open).run()
        #expect(outcome.tally.unsent >= 290)
        #expect(outcome.latency.totalCount == 300)
        // Never sent, and due 100 ms before the end at the latest.
        #expect(outcome.latency.count(within: 99_000_000...60_000_000_000) >= 190)
        #expect(!outcome.serverIsGone, "it answered in the end")
    }

    @Test func `requests that a dead server never answered are in the percentiles, and the run says that it is gone`() throws {
        let server = try ScriptedServer(.resp, fault: .fallsSilent(after: 50))
        var open = plan(server, Samples.workload(), connections: 4, depth: 2, requests: nil)
        open.pace = .rate(1_000)
        open.durationNanoseconds = 300_000_000
        open.drainNanoseconds = 1_000_000
        open.greetingNanoseconds = 50_000_000
        let outcome = try LoadRun(open).run()
        // The first of the 50 was the probe.
        #expect(outcome.tally.repliesTotal == 49)
        #expect(outcome.tally.unanswered == 8)
        #expect(outcome.tally.lost == 251)
        #expect(outcome.latency.totalCount == 300)
        #expect(outcome.service.totalCount == 57)
        // What was due from 50 to 200 ms waited 100 ms at least.
        #expect(outcome.latency.count(within: 99_000_000...60_000_000_000) >= 140)
        #expect(outcome.serverIsGone)
    }

    @Test func `a greeting that is refused when a connection is made anew is tried again, and does not end the load`() throws {
        let server = try ScriptedServer(.resp, fault: .restarts)
        var plan = plan(server, Samples.workload(), connections: 1, depth: 1, requests: 100)
        plan.manner.credentials = Array("secret".utf8)
        let outcome = try LoadRun(plan).run()
        #expect(outcome.tally.repliesTotal + outcome.tally.unanswered == 100)
        #expect(outcome.tally.repliesTotal > 80)
        #expect(outcome.tally.connectionsLost == 1)
        #expect(outcome.tally.connectsFailed == 1)
    }

    @Test func `a trace is replayed whole`() throws {
        let server = try ScriptedServer(.resp)
        var trace = Trace(recordsMax: 100, valueLimit: 200)
        trace.read(Array(TraceTests.text.utf8).rawSpan)
        trace.finish()
        var plan = LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: server.port), manner: Manner(dialect: .resp, host: "test"),
            content: .trace(trace), connections: 2, durationNanoseconds: 20_000_000_000)
        #expect(try LoadRun(plan).run().tally.replies == [2, 3, 1])
        plan.pace = .recorded(speed: 100)
        #expect(try LoadRun(plan).run().tally.replies == [2, 3, 1])
        #expect(String(decoding: server.received, as: UTF8.self).contains("=short0000"))
    }

    @Test func `a trace at a rate is sent in its order, whatever connection has a request`() throws {
        // One key has nearly all requests, so one connection has.
        var trace = Trace(recordsMax: 100, valueLimit: 200)
        for index in 0..<60 { trace.read(Array("0,\(index % 10 == 0 ? "other\(index)" : "hot"),5,10,1,get,0\n".utf8).rawSpan) }
        trace.finish()
        let server = try ScriptedServer(.resp)
        let plan = LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: server.port), manner: Manner(dialect: .resp, host: "test"),
            content: .trace(trace), pace: .rate(1_000), connections: 4, durationNanoseconds: 20_000_000_000)
        let worker = try LoadWorker(
            plan, thread: 0, control: RunControl(stop: StopSwitch()), board: Board(threads: 1, intervalNanoseconds: 1), clock: SystemClock(),
            ledger: nil, shares: trace.shares(threads: 1, connections: 4))
        #expect(worker.traceOrder.map(\.time) == (0..<60).map { $0 * 1_000_000 })
        let outcome = try LoadRun(plan).run()
        #expect(outcome.tally.replies == [60, 0, 0])
        #expect(outcome.tally.unsent == 0)
        #expect(outcome.latency.totalCount == 60)
    }

    @Test func `a wish to end is heard while the load warms up`() throws {
        let server = try ScriptedServer(.resp)
        var plan = plan(server, Samples.workload(), requests: nil)
        plan.warmupNanoseconds = 3_600_000_000_000
        let stop = StopSwitch()
        var first: Int64?
        let outcome = try LoadRun(plan, stop: stop).run {
            first = first ?? $0
            stop.turnOn()
        }
        #expect(try #require(first) < 0)
        #expect(outcome.seconds == 0)
        #expect(outcome.tally.repliesTotal == 0)
    }

    @Test func `a thread that waits for the start or the last replies does not spin`() throws {
        let server = try ScriptedServer(.resp)
        let worker = try LoadWorker(
            plan(server, Samples.workload()), thread: 0, control: RunControl(stop: StopSwitch()),
            board: Board(threads: 1, intervalNanoseconds: 1_000_000_000), clock: SystemClock(), ledger: nil, shares: [])
        worker.markReady(0)
        #expect(worker.wakeAt(5_000_000) == 6_000_000)
        worker.begin(7_500_000)
        #expect(worker.wakeAt(7_000_000) == 7_500_000)
        #expect(worker.wakeAt(8_000_000) == 8_000_000)
        worker.drainUntil = 90_000_000
        #expect(worker.wakeAt(20_000_000) == 90_000_000)
    }

    @Test func `the time that a rate is of ends with the last request, not when somebody looks`() throws {
        let server = try ScriptedServer(.resp)
        let worker = try LoadWorker(
            plan(server, Samples.workload()), thread: 0, control: RunControl(stop: StopSwitch()),
            board: Board(threads: 1, intervalNanoseconds: 1), clock: SystemClock(), ledger: nil, shares: [])
        #expect(worker.measuredSeconds == 0)
        worker.begin(1_000)
        worker.sendingEnded = 500_001_000
        #expect(worker.measuredSeconds == 0.5)
        worker.sendingEnded = 60_000_000_000
        #expect(worker.measuredSeconds == 20)
    }

    @Test func `a server that is not there, or is another, is named`() throws {
        let workload = Samples.workload()
        let listener = try Listener(SocketAddress(host: "127.0.0.1", port: 0))
        var absent = LoadPlan(
            address: listener.address, manner: Manner(dialect: .resp, host: "test"), content: .workload(workload, .mixed(owned: false)),
            connections: 1, durationNanoseconds: 1_000_000_000)
        // It listens and says nothing.
        absent.greetingNanoseconds = 50_000_000
        #expect(throws: LoadFailure.silent) { try LoadRun(absent).run() }
        absent.address = SocketAddress(host: "127.0.0.1", port: 1)
        #expect(throws: LoadFailure.self) { try LoadRun(absent).run() }

        let server = try ScriptedServer(.resp)
        #expect(throws: LoadFailure.foreign(.foreign, said: "-ERR unknown command..")) {
            try LoadRun(plan(server, workload, dialect: .memcached)).run()
        }
    }
}
