import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization
import Testing

@testable import LarderServer

/// Client-side caching (CLIENT TRACKING), beyond what docs/resp.md shows.
@Suite("RESP tracking") struct TrackingTests {
    let bench: WorkerRig

    init() throws { bench = try WorkerRig.withTwoDatabases() }

    static func invalidate(_ key: String) -> RESPValue { .push([.text("invalidate"), .list([key])]) }
    static let invalidateAll = RESPValue.push([.text("invalidate"), .null])

    /// A connection that has said HELLO 3 and CLIENT TRACKING ON.
    static func tracker(_ bench: WorkerRig, _ options: String = "", to index: Int = 0) throws -> Peer {
        let peer = bench.connect(to: index)
        peer.send(Say.words("HELLO 3"))
        bench.turn()
        _ = peer.receive()
        #expect(try peer.say("CLIENT TRACKING ON \(options)") == [.simple("OK")])
        return peer
    }

    // MARK: Who is told what

    @Test func `who has read a key is told once when it changes, whoever changes it`() throws {
        let (reader, writer) = (try Self.tracker(bench), bench.connect())
        #expect(try reader.say("GET k") == [.null])
        #expect(try writer.say("SET k 1") == [.simple("OK")])
        #expect(try reader.values() == [Self.invalidate("k")])
        #expect(try writer.say("SET k 2") == [.simple("OK")])
        #expect(reader.receive().isEmpty, "it has not read it again")
        #expect(try reader.say("GET k") == [.text("2")])
        #expect(try reader.say("SET k 3") == [.simple("OK"), Self.invalidate("k")], "its own write, behind the reply")
        #expect(writer.receive().isEmpty)
    }

    @Test(arguments: ["GET k", "MGET j k", "EXISTS k", "TTL k", "STRLEN k", "GETRANGE k 0 1", "TYPE k", "PEXPIRETIME k", "OBJECT ENCODING k"])
    func `every command that reads is remembered`(_ line: String) throws {
        let (reader, writer) = (try Self.tracker(bench), bench.connect())
        _ = try writer.say("SET k hello")
        #expect(try reader.say(line).count == 1)
        _ = try writer.say("APPEND k !")
        #expect(try reader.values() == [Self.invalidate("k")])
    }

    @Test func `what is written is not remembered`() throws {
        let (reader, writer) = (try Self.tracker(bench), bench.connect())
        for line in ["SET k 1", "GETSET k 2", "GETEX k EX 5", "INCR k"] { _ = try reader.say(line) }
        _ = try writer.say("SET k 2")
        #expect(reader.receive().isEmpty)
        #expect(bench.rig.server.resp.watching.trackedKeys.load(ordering: .relaxed) == 0)
    }

    @Test func `writes of every dialect are told`() throws {
        let reader = try Self.tracker(bench)
        let (binary, web, memcached) = (bench.connect(), bench.connect(), bench.connect())
        _ = binary.ask(Ask.hello())
        func isTold(_ write: () -> [UInt8]) throws {
            _ = try reader.say("GET k")
            #expect(!write().isEmpty)
            #expect(try reader.values() == [Self.invalidate("k")])
        }
        try isTold { binary.ask(Ask.put("k", "1")) }
        try isTold { binary.ask(Ask.increment("k", by: 1)) }
        try isTold { binary.ask(Ask.setLifetime("k", .milliseconds(60_000))) }
        try isTold { binary.ask(Ask.delete("k")) }
        try isTold { web.ask(Web.request("PUT /kv/default/k", body: "v")) }
        try isTold { web.ask(Web.request("DELETE /kv/default/k")) }
        try isTold { memcached.ask("set k 0 0 1\r\nv\r\n") }
        try isTold { memcached.ask("append k 0 0 1\r\nv\r\n") }
        try isTold { memcached.ask("touch k 100\r\n") }
    }

    @Test func `a key of another namespace is another key`() throws {
        let (reader, writer) = (try Self.tracker(bench), bench.connect())
        _ = try reader.say("GET k")
        _ = try writer.say("SELECT 1")
        _ = try writer.say("SET k 1")
        #expect(reader.receive().isEmpty)
        _ = try reader.say("SELECT 1")
        _ = try reader.say("GET k")
        _ = try writer.say("SET k 2")
        #expect(try reader.values() == [Self.invalidate("k")])
    }

    @Test func `what expires is told when it is freed`() throws {
        let reader = try Self.tracker(bench)
        _ = try reader.say("SET k v PX 100")
        _ = reader.receive()
        _ = try reader.say("GET k")
        bench.pass(milliseconds: 200)
        #expect(try reader.say("EXISTS k") == [.integer(0)])
        _ = bench.rig.store.maintain(now: bench.rig.server.time.now(), budget: 10_000)
        bench.turn()
        #expect(try reader.values() == [Self.invalidate("k")])
    }

    @Test(arguments: ["FLUSHDB", "FLUSHALL"]) func `a flush empties every cache`(_ line: String) throws {
        let (reader, broadcast, writer) = (try Self.tracker(bench), try Self.tracker(bench, "BCAST"), bench.connect())
        _ = try reader.say("GET k")
        _ = try writer.say(line)
        let count = line == "FLUSHALL" ? 2 : 1
        #expect(try reader.values() == [RESPValue](repeating: Self.invalidateAll, count: count))
        #expect(try broadcast.values() == [RESPValue](repeating: Self.invalidateAll, count: count))
        _ = try writer.say("SET k 1")
        #expect(reader.receive().isEmpty, "nothing is remembered any more")
    }

    @Test func `a namespace that clients of RESP cannot read is none of their business`() throws {
        bench.rig.createNamespace("private", .always, .bytes)
        let (broadcast, web) = (try Self.tracker(bench, "BCAST"), bench.connect())
        _ = web.ask(Web.request("PUT /kv/private/k", body: "v"))
        _ = web.ask(Web.request("DELETE /kv/private"))
        #expect(broadcast.receive().isEmpty)
        _ = web.ask(Web.request("PUT /kv/carts/k", body: "v"))
        #expect(try broadcast.values() == [Self.invalidate("k")])
        _ = web.ask(Web.request("DELETE /kv/carts"))
        #expect(try broadcast.values() == [Self.invalidateAll], "dropping is flushing")
    }

    // MARK: Modes

    @Test func `with BCAST prefixes decide, and not what was read`() throws {
        let (reader, writer) = (try Self.tracker(bench, "BCAST PREFIX user: PREFIX cart:"), bench.connect())
        _ = try reader.say("GET other")
        for key in ["user:1", "other", "cart:1", "user", "user:1"] { _ = try writer.say("SET \(key) v") }
        #expect(try reader.values() == ["user:1", "cart:1", "user:1"].map(Self.invalidate))
        #expect(try reader.say("CLIENT TRACKING ON BCAST PREFIX use")[0].isError, "it would be told twice")
        #expect(try reader.say("CLIENT TRACKING ON BCAST PREFIX item:") == [.simple("OK")])
        _ = try writer.say("MSET item:1 v user:2 v")
        #expect(try reader.values() == ["item:1", "user:2"].map(Self.invalidate))
    }

    @Test(arguments: ["", "BCAST"]) func `with NOLOOP own writes are not told, and those of others still are`(_ mode: String) throws {
        let (reader, writer) = (try Self.tracker(bench, "\(mode) NOLOOP"), bench.connect())
        _ = try reader.say("GET k")
        #expect(try reader.say("SET k 1") == [.simple("OK")])
        #expect(try reader.say("MSET k 2 j 3") == [.simple("OK")])
        _ = try writer.say("SET k 4")
        #expect(try reader.values() == [Self.invalidate("k")])
    }

    @Test func `with OPTIN only what follows CLIENT CACHING YES is remembered, with OPTOUT all but what follows NO`() throws {
        let writer = bench.connect()
        for (mode, word) in [("OPTIN", "YES"), ("OPTOUT", "NO")] {
            let reader = try Self.tracker(bench, mode)
            #expect(try reader.say("CLIENT CACHING \(word)") == [.simple("OK")])
            _ = try reader.say("GET a")
            _ = try reader.say("GET b")
            _ = try writer.say("MSET a 1 b 2")
            #expect(try reader.values() == [Self.invalidate(mode == "OPTIN" ? "a" : "b")])
            #expect(try reader.say("CLIENT CACHING \(word == "YES" ? "NO" : "YES")")[0].isError)
        }
        #expect(try Self.tracker(bench).say("CLIENT CACHING YES")[0].isError)
    }

    @Test(arguments: [
        "CLIENT TRACKING", "CLIENT TRACKING MAYBE", "CLIENT TRACKING ON WHAT", "CLIENT TRACKING ON PREFIX", "CLIENT TRACKING ON PREFIX a",
        "CLIENT TRACKING ON BCAST OPTIN", "CLIENT TRACKING ON OPTIN OPTOUT", "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
        "CLIENT TRACKING ON REDIRECT 7", "CLIENT CACHING YES",
    ])
    func `what is at fault is refused, and nothing is tracked`(_ line: String) throws {
        let peer = bench.connect()
        _ = peer.ask(Say.words("HELLO 3"))
        #expect(try peer.say(line)[0].isError)
        #expect(try peer.say("CLIENT GETREDIR") == [.integer(-1)])
    }

    @Test func `a mode is changed only through OFF`() throws {
        let reader = try Self.tracker(bench, "OPTIN")
        #expect(try reader.say("CLIENT TRACKING ON OPTOUT")[0].isError)
        #expect(try reader.say("CLIENT TRACKING ON BCAST")[0].isError)
        #expect(try reader.say("CLIENT TRACKING OFF") == [.simple("OK")])
        #expect(try reader.say("CLIENT TRACKING ON BCAST") == [.simple("OK")])
    }

    @Test func `version 2 has no words for it`() throws {
        let peer = bench.connect()
        #expect(try peer.say("CLIENT TRACKING ON")[0].isError)
        _ = peer.ask(Say.words("HELLO 3"))
        #expect(try peer.say("CLIENT TRACKING ON") == [.simple("OK")])
        _ = peer.ask(Say.words("HELLO 2"))
        #expect(try peer.say("CLIENT GETREDIR") == [.integer(-1)])
        _ = try peer.say("GET k")
        #expect(try peer.say("SET k v") == [.simple("OK")])
    }

    // MARK: Order

    @Test func `a push does not come before a reply that shows the value before`() throws {
        let bench = try WorkerRig(waits: true)
        let writer = bench.connect()
        #expect(writer.ask(Say.words("SET k old")).isEmpty, "waits for the medium")
        let reader = try Self.tracker(bench)
        #expect(reader.ask(Say.words("GET k")).isEmpty, "waits for the value that it shows")
        _ = writer.ask(Say.words("SET k new"))
        #expect(reader.receive().isEmpty)
        bench.rig.sync()
        bench.worker.logMoved()
        bench.turn()
        #expect(try reader.values() == [.text("old"), Self.invalidate("k")])
    }

    @Test func `neither does it while a reply is being made in several turns`() throws {
        let keys = (0..<6_000).map { "key/\($0)" }
        let (writer, reader) = (bench.connect(), try Self.tracker(bench))
        reader.send(Say.command(["MGET"] + keys))
        bench.turn()
        #expect(reader.receive().isEmpty)
        #expect(try writer.say("SET key/1 new") == [.simple("OK")])
        var values: [RESPValue] = []
        for _ in 0..<6 {
            bench.turn()
            values += try reader.values()
        }
        #expect(values.count == 2)
        #expect(values.first?.items.count == 6_000 && values.first?.items[1] == .null)
        #expect(values.last == Self.invalidate("key/1"))
    }

    // MARK: Bounds

    @Test func `a key beyond the most that are tracked costs the one that came first, which is declared changed`() throws {
        let (first, second) = (try Self.tracker(bench), try Self.tracker(bench))
        _ = try first.say("CONFIG SET tracking-table-max-keys 3")
        for key in ["a", "b", "c"] { _ = try first.say("GET \(key)") }
        #expect(try first.say("GET d") == [.null, Self.invalidate("a")])
        #expect(try second.say("GET c") == [.null])
        #expect(try first.values() == [Self.invalidate("b")], "a key counts for each that holds it")
        let info = try #require(try first.say("INFO stats")[0].string)
        #expect(info.contains("tracking_total_keys:2\r\n") && info.contains("tracking_total_items:3\r\n"))
        #expect(try first.say("CONFIG SET tracking-table-max-keys 0")[0].isError)
        #expect(try first.say("CONFIG GET tracking-table-max-keys")[0].items.last == .text("3"))
    }

    @Test func `a worker whose clients came late gets its share of the table`() throws {
        let bench = try WorkerRig(workers: 2)
        let (first, second) = (try Self.tracker(bench), try Self.tracker(bench, to: 1))
        _ = try first.say("CONFIG SET tracking-table-max-keys 10")
        for number in 0..<10 { _ = try first.say("GET a\(number)") }
        for number in 0..<5 { #expect(try second.say("GET b\(number)") == [.null], "it keeps what it reads") }
        bench.turn()
        #expect(try first.values() == (0..<5).map { Self.invalidate("a\($0)") })
        #expect(try second.say("GET b5") == [.null, Self.invalidate("b0")], "no more than its share")
    }

    @Test func `a key in the caches of very many is told in several turns`() throws {
        let writer = bench.connect()
        let readers = try (0..<300).map { _ in try Self.tracker(bench) }
        for reader in readers { reader.send(Say.words("GET k")) }
        for _ in 0..<3 { bench.turn() }
        for reader in readers { #expect(try reader.values() == [.null]) }
        _ = try writer.say("SET k v")
        let told = try readers.filter { try $0.values() == [Self.invalidate("k")] }
        #expect(told.count == 256)
        bench.turn()
        #expect(try readers.filter { try $0.values() == [Self.invalidate("k")] }.count == 44)
    }

    @Test func `when events are lost every cache is emptied`() throws {
        let bench = try WorkerRig(workers: 2, eventBytesMax: 1 << 14)
        let (reader, idle) = (try Self.tracker(bench, to: 1), bench.connect(to: 1))
        bench.workers.forEach { _ = $0.step(waitMilliseconds: 0) }
        let writer = bench.connect()
        reader.send(Say.words("GET key/1"))
        _ = bench.workers[1].step(waitMilliseconds: 0)
        #expect(try reader.values() == [.null])
        writer.send((0..<1_000).flatMap { Say.words("SET key/\($0) v") })
        for _ in 0..<20 { _ = bench.workers[0].step(waitMilliseconds: 0) }
        _ = bench.workers[1].step(waitMilliseconds: 0)
        #expect(try reader.values() == [Self.invalidateAll])
        #expect(bench.rig.server.resp.watching.overruns.load(ordering: .relaxed) == 1)
        _ = idle
    }

    @Test func `who does not take its pushes is disconnected when there are too many`() throws {
        var configuration = ServerConfiguration()
        configuration.outputBytesMax = 1 << 20
        let bench = try WorkerRig(configuration)
        let (reader, writer) = (try Self.tracker(bench, "BCAST"), bench.connect())
        var rounds = 0
        while bench.connections == 2, rounds < 1_000 {
            for number in 0..<100 { writer.send(Say.words("SET \(String(repeating: "k", count: 200))/\(number) v")) }
            bench.turn()
            _ = writer.receive()
            rounds += 1
        }
        #expect(bench.connections == 1)
        while !reader.receive(upTo: 65_536).isEmpty {}
        #expect(reader.sawEnd)
        #expect(bench.rig.server.resp.watching.trackingClients.load(ordering: .relaxed) == 0)
    }

    // MARK: Coming and going

    @Test(arguments: ["RESET", "QUIT", "CLIENT TRACKING OFF"]) func `who goes leaves nothing behind`(_ line: String) throws {
        let (reader, other) = (try Self.tracker(bench), try Self.tracker(bench))
        let watching = bench.rig.server.resp.watching
        _ = try reader.say("MGET a b c")
        _ = try other.say("GET a")
        #expect(watching.trackedItems.load(ordering: .relaxed) == 4)
        _ = try reader.say(line)
        bench.pass(seconds: 4)
        #expect(watching.trackingClients.load(ordering: .relaxed) == 1)
        #expect(watching.trackedKeys.load(ordering: .relaxed) == 1)
        #expect(watching.trackedItems.load(ordering: .relaxed) == 1)
        _ = try other.say("CLIENT TRACKING OFF")
        #expect(watching.trackedItems.load(ordering: .relaxed) == 0 && watching.trackedBytes.load(ordering: .relaxed) == 0)
        #expect(!bench.rig.store.events.isWatched)
    }

    @Test func `others see who tracks`() throws {
        let (reader, other) = (try Self.tracker(bench, "BCAST PREFIX a"), bench.connect())
        #expect(try reader.say("CLIENT TRACKINGINFO") == [.map([
            .text("flags"), .set([.text("on"), .text("bcast")]), .text("redirect"), .integer(0), .text("prefixes"), .list(["a"]),
        ])])
        #expect(try other.say("CLIENT TRACKINGINFO") == [.array([
            .text("flags"), .list(["off"]), .text("redirect"), .integer(-1), .text("prefixes"), .array([]),
        ])])
        #expect(try other.say("CLIENT LIST")[0].string?.contains(" flags=tB ") == true)
        #expect(try other.say("INFO clients")[0].string?.contains("tracking_clients:1\r\n") == true)
        #expect(try other.say("INFO stats")[0].string?.contains("tracking_total_prefixes:1\r\n") == true)
        #expect(try reader.say("CLIENT GETREDIR") == [.integer(0)])
    }
}

extension Peer {
    /// Sends a command, and takes what comes back of it and besides.
    func say(_ line: String) throws -> [RESPValue] { try RESPReader.all(ask(Say.words(line))) }

    /// What has come back.
    func values() throws -> [RESPValue] { try RESPReader.all(receive()) }
}
