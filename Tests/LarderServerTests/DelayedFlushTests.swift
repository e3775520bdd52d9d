import LarderBytes
import LarderEngine
import LarderPlatform
import LarderSimulation
import LarderWire
import Synchronization
import Testing

@testable import LarderServer

/// `flush_all` with a delay. Time is moved, and nobody sleeps.
@Suite("Delayed flushes") struct DelayedFlushTests {
    let bench: WorkerRig
    let peer: Peer

    init() throws {
        bench = try WorkerRig.withTwoDatabases()
        peer = bench.connect()
    }

    private var keys: Int { bench.rig.store.usage(of: bench.rig.store.namespaces.default).keys }
    private var maintenance: Maintenance { Maintenance(server: bench.rig.server) { _ in } }

    private func put(_ names: String...) {
        for name in names { #expect(peer.ask("set \(name) 0 0 1\r\nx\r\n").text == "STORED\r\n") }
    }

    @Test func `what is there when the time has come goes, and nothing before`() {
        put("a")
        #expect(peer.ask("flush_all 10\r\n").text == "OK\r\n")
        bench.rig.clock.advance(milliseconds: 9_999)
        #expect(peer.ask("get a\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
        put("b")
        bench.rig.clock.advance(milliseconds: 1)
        #expect(peer.ask("get a b\r\n").text == "END\r\n")
        put("c")
        bench.pass(seconds: 20)
        #expect(peer.ask("get c\r\n").text == "VALUE c 0 1\r\nx\r\nEND\r\n", "it is over")
    }

    @Test func `a time of day is one, and one that has passed is now`() {
        put("a")
        let seconds = Rig.start / 1_000
        #expect(peer.ask("flush_all \(seconds + 5) noreply\r\nget a\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
        bench.rig.clock.advance(milliseconds: 5_000)
        #expect(peer.ask("get a\r\n").text == "END\r\n")
        put("a")
        #expect(peer.ask("flush_all \(seconds)\r\nget a\r\n").text == "OK\r\nEND\r\n")
        put("a")
        #expect(peer.ask("flush_all -1 noreply\r\nget a\r\n").text == "END\r\n")
        #expect(peer.ask("flush_all 9223372036854775807\r\n").text == "OK\r\n")
        bench.pass(seconds: 1)
    }

    @Test func `without a request the upkeep flushes, has the log write it, and tells who watches`() throws {
        put("a")
        let reader = bench.connect()
        _ = reader.ask(Say.words("HELLO 3"))
        for line in ["CLIENT TRACKING ON", "GET a"] { _ = try reader.say(line) }
        _ = peer.ask("flush_all 1\r\n")
        bench.rig.clock.advance(milliseconds: 960)
        #expect(maintenance.step() == 40, "it sleeps no longer than until then")
        #expect(keys == 1)
        let asked = Mutex(false)
        bench.rig.fake.onEndTurn = { wantsSync in asked.withLock { $0 = $0 || wantsSync } }
        bench.rig.clock.advance(milliseconds: 40)
        _ = maintenance.step()
        #expect(keys == 0)
        #expect(asked.withLock { $0 })
        bench.turn()
        #expect(try reader.values() == [.push([.text("invalidate"), .null])])
        while maintenance.step() == nil {}
        #expect(maintenance.step() == Maintenance.idleMilliseconds)
    }

    @Test func `the last word counts, whether it is a time or now`() {
        _ = peer.ask("flush_all 5\r\nflush_all 20 noreply\r\n")
        put("a")
        bench.pass(seconds: 10)
        #expect(keys == 1)
        #expect(peer.ask("flush_all\r\n").text == "OK\r\n")
        put("a")
        bench.pass(seconds: 20)
        #expect(keys == 1, "the one that waited was replaced")
    }

    @Test func `each namespace has a flush of its own`() throws {
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("sesame".utf8))
        let bench = try WorkerRig(configuration)
        let carts = bench.rig.createNamespace("carts", .off)
        let (first, second) = (bench.connect(), bench.connect())
        _ = first.ask("set x 0 0 14\r\ndefault sesame\r\nset a 0 0 1\r\nx\r\nflush_all 10\r\n")
        _ = second.ask("set x 0 0 12\r\ncarts sesame\r\nset a 0 0 1\r\nx\r\nflush_all 5\r\n")
        bench.pass(seconds: 5)
        #expect(first.ask("get a\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
        #expect(second.ask("get a\r\n").text.suffix(5) == "END\r\n")
        #expect(bench.rig.store.usage(of: carts).keys == 0)
        bench.pass(seconds: 5)
        #expect(first.ask("get a\r\n").text == "END\r\n")
    }

    @Test func `what the log refuses is tried again until it takes it`() {
        put("a")
        _ = peer.ask("flush_all 1\r\n")
        bench.rig.buffer.refuse()
        for _ in 0..<20 {
            bench.pass(milliseconds: 1_000)
            _ = maintenance.step()
            #expect(keys == 1)
        }
        #expect(peer.ask("get a\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
        bench.rig.buffer.accept()
        bench.rig.clock.advance(milliseconds: DelayedFlushes.retryMilliseconds)
        #expect(peer.ask("get a\r\n").text == "END\r\n")
        put("a")
        bench.pass(seconds: 10)
        #expect(keys == 1, "once")
    }

    @Test func `a namespace that is dropped takes its flush along`() throws {
        let rig = bench.rig
        let flushes = rig.server.flushes
        let found = rig.store.namespaces.find(name: Array("carts".utf8).rawSpan)
        let carts = try #require(found)
        flushes.set(carts, due: rig.now + 1_000)
        #expect(flushes.next == rig.now + 1_000)
        #expect(bench.connect().ask(Web.request("DELETE /kv/carts")).text.hasPrefix("HTTP/1.1 200"))
        #expect(flushes.next == .max)
        // And when somebody has asked for it in the same moment.
        flushes.set(carts, due: rig.now + 1_000)
        #expect(!flushes.carryOut(in: rig.store, now: rig.now + 1_000))
        #expect(flushes.next == .max)
    }
}
