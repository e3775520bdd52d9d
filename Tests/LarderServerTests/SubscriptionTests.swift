import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization
import Testing

@testable import LarderServer

/// Keyspace notifications (SUBSCRIBE), beyond what docs/resp.md shows.
@Suite("RESP subscriptions") struct SubscriptionTests {
    let bench: WorkerRig

    init() throws { bench = try WorkerRig.withTwoDatabases() }

    private func subscriber(_ line: String) throws -> Peer {
        let peer = bench.connect()
        #expect(try peer.say(line).allSatisfy { !$0.isError })
        return peer
    }

    private static func message(_ channel: String, _ payload: String) -> RESPValue { .list(["message", channel, payload]) }

    @Test func `every event is told under its key and under its name`() throws {
        let (peer, writer) = (try subscriber("PSUBSCRIBE __key*@0__:*"), bench.connect())
        func told(_ line: String) throws -> [String] {
            _ = try writer.say(line)
            return try peer.values().map { value in
                #expect(value.items[0] == .text("pmessage") && value.items[1] == .text("__key*@0__:*"))
                return "\(value.items[2].string ?? "") \(value.items[3].string ?? "")"
            }
        }
        #expect(try told("SET k 1") == ["__keyspace@0__:k set", "__keyevent@0__:set k"])
        #expect(try told("INCR k") == ["__keyspace@0__:k incrby", "__keyevent@0__:incrby k"])
        #expect(try told("APPEND k 1") == ["__keyspace@0__:k append", "__keyevent@0__:append k"])
        #expect(try told("INCRBYFLOAT k 0.5") == ["__keyspace@0__:k incrbyfloat", "__keyevent@0__:incrbyfloat k"])
        #expect(try told("SETRANGE k 0 2") == ["__keyspace@0__:k setrange", "__keyevent@0__:setrange k"])
        #expect(try told("COPY k c") == ["__keyspace@0__:c copy_to", "__keyevent@0__:copy_to c"])
        #expect(try told("EXPIRE k 100") == ["__keyspace@0__:k expire", "__keyevent@0__:expire k"])
        #expect(try told("PERSIST k") == ["__keyspace@0__:k persist", "__keyevent@0__:persist k"])
        #expect(try told("RENAME k l") == ["__keyspace@0__:l set", "__keyevent@0__:set l", "__keyspace@0__:k del", "__keyevent@0__:del k"])
        #expect(try told("DEL l") == ["__keyspace@0__:l del", "__keyevent@0__:del l"])
        #expect(try told("DEL l") == [])
        #expect(try told("SET k v PX 50").suffix(2) == ["__keyspace@0__:k expire", "__keyevent@0__:expire k"])
        bench.pass(milliseconds: 100)
        #expect(peer.receive().isEmpty, "not before it is freed")
        _ = bench.rig.store.maintain(now: bench.rig.server.time.now(), budget: 10_000)
        #expect(try told("GET k") == ["__keyspace@0__:k expired", "__keyevent@0__:expired k"])
    }

    @Test func `of what memcached counted, appended and touched a set was told, or nothing`() throws {
        let (peer, writer) = (try subscriber("PSUBSCRIBE __keyevent@0__:*"), bench.connect())
        func told(_ request: String) throws -> [String] {
            _ = writer.ask(request + "\r\n")
            return try peer.values().map { "\($0.items[2].string?.dropFirst(15) ?? "") \($0.items[3].string ?? "")" }
        }
        #expect(try told("set n 0 0 1\r\n1") == ["set n"])
        for request in ["incr n 1", "decr n 1", "ma n", "ma n MD", "ma new N0"] {
            #expect(try told(request) == ["incrby \(request.contains("new") ? "new" : "n")"], "\(request)")
        }
        #expect(try told("ma n T60") == ["incrby n", "expire n"])
        for request in ["append n 0 0 1\r\n1", "prepend n 0 0 1\r\n1", "ms n 1 MA\r\n1", "ms n 1 MP\r\n1"] {
            #expect(try told(request) == ["append n"], "\(request)")
        }
        #expect(try told("ms other 1 MA N0\r\n1") == ["append other"])
        for request in ["touch n 60", "gat 60 n", "gats 60 n", "mg n T60"] { #expect(try told(request) == ["expire n"], "\(request)") }
        for request in ["touch n 0", "gat 0 n", "mg n T0"] { #expect(try told(request) == ["persist n"], "\(request)") }
        #expect(try told("touch n -1") == ["del n"])
        for request in ["touch n 1", "incr n 1", "append n 0 0 1\r\n1", "ma n"] { #expect(try told(request) == [], "\(request)") }
        #expect(try told("ms n 1 T60\r\n1") == ["set n", "expire n"])
        #expect(try told("md n I") == ["set n"])
        #expect(try told("md n") == ["del n"])
    }

    @Test func `a cache tells what it evicts`() throws {
        var configuration = ServerConfiguration()
        configuration.databases = ["cache"]
        let bench = try WorkerRig(configuration)
        let cache = bench.rig.createNamespace("cache", .off, eviction: .s3fifo, bytesMax: 1 << 20)
        let (peer, writer) = (bench.connect(), bench.connect())
        _ = try peer.say("SUBSCRIBE __keyevent@1__:evicted")
        _ = try writer.say("SELECT 1")
        var told = 0
        for number in 0..<300 {
            _ = writer.ask(Say.command(["SET", "k\(number)", String(repeating: "v", count: 10_000)]))
            told += try peer.values().count
        }
        #expect(told > 100)
        #expect(bench.rig.store.usage(of: cache).keys == 300 - told)
    }

    @Test func `channels are of one namespace, and events of others are not told`() throws {
        let (first, both) = (try subscriber("SUBSCRIBE __keyevent@0__:set"), try subscriber("PSUBSCRIBE __keyevent@*__:set"))
        let writer = bench.connect()
        _ = try writer.say("SELECT 1")
        _ = try writer.say("SET k 1")
        #expect(first.receive().isEmpty)
        #expect(try both.values() == [.list(["pmessage", "__keyevent@*__:set", "__keyevent@1__:set", "k"])])
        bench.rig.createNamespace("private", .always, .bytes)
        _ = bench.connect().ask(Web.request("PUT /kv/private/k", body: "v"))
        #expect(both.receive().isEmpty)
    }

    @Test func `version 3 gets pushes, and goes on with everything`() throws {
        let peer = bench.connect()
        _ = peer.ask(Say.words("HELLO 3"))
        #expect(try peer.say("SUBSCRIBE __keyspace@0__:k") == [.push([.text("subscribe"), .text("__keyspace@0__:k"), .integer(1)])])
        #expect(try peer.say("SET k v") == [
            .simple("OK"), .push([.text("message"), .text("__keyspace@0__:k"), .text("set")]),
        ])
        #expect(try peer.say("PING") == [.simple("PONG")])
        #expect(try peer.say("CLIENT TRACKING ON") == [.simple("OK")], "both at once")
        _ = try peer.say("GET k")
        #expect(try peer.say("DEL k").count == 3)
    }

    @Test func `version 2 is then spoken to in messages only`() throws {
        let peer = try subscriber("SUBSCRIBE __keyevent@0__:set")
        #expect(try peer.say("GET k") == [.error(
            "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")])
        #expect(try peer.say("HELLO 3")[0].isError)
        #expect(try peer.say("NOTHING x") == [.error("ERR unknown command 'NOTHING', with args beginning with: 'x' ")])
        #expect(try peer.say("GET") == [.error("ERR wrong number of arguments for 'get' command")])
        #expect(try peer.say("PING") == [.list(["pong", ""])])
        #expect(try peer.say("PING hello") == [.list(["pong", "hello"])])
        #expect(try peer.say("PING a b") == [.error("ERR wrong number of arguments for 'ping' command")])
        #expect(try peer.say("PSUBSCRIBE __keyspace@0__:a*") == [.array([.text("psubscribe"), .text("__keyspace@0__:a*"), .integer(2)])])
        #expect(try peer.say("UNSUBSCRIBE") == [.array([.text("unsubscribe"), .text("__keyevent@0__:set"), .integer(1)])])
        #expect(try peer.say("GET k")[0].isError)
        #expect(try peer.say("PUNSUBSCRIBE") == [.array([.text("punsubscribe"), .text("__keyspace@0__:a*"), .integer(0)])])
        #expect(try peer.say("UNSUBSCRIBE") == [.array([.text("unsubscribe"), .null, .integer(0)])])
        #expect(try peer.say("GET k") == [.null])
        #expect(try peer.say("UNSUBSCRIBE x y").count == 2)
    }

    @Test(arguments: [
        "SUBSCRIBE news", "SUBSCRIBE __keyspace@0__:k news", "PSUBSCRIBE news.*", "PSUBSCRIBE __keyevents*", "SUBSCRIBE __key*", "SUBSCRIBE",
        "PUBLISH __keyspace@0__:k set", "PUBLISH a b",
    ])
    func `other channels and messages of others are refused, and nothing is subscribed to`(_ line: String) throws {
        let peer = bench.connect()
        #expect(try peer.say(line)[0].isError)
        #expect(try peer.say("GET k") == [.null])
        #expect(!bench.rig.store.events.isWatched)
    }

    @Test func `notify-keyspace-events says what is told`() throws {
        let (peer, writer) = (try subscriber("PSUBSCRIBE *"), bench.connect())
        func told(_ events: String) throws -> [String] {
            #expect(try writer.say("CONFIG SET notify-keyspace-events \(events)") == [.simple("OK")])
            for line in ["SET k v", "DEL k"] { _ = try writer.say(line) }
            return try peer.values().compactMap { $0.items[2].string }
        }
        #expect(try writer.say("CONFIG GET notify-keyspace-events")[0].items.last == .text("AKE"))
        #expect(try told("AKE").count == 4)
        #expect(try told("E$") == ["__keyevent@0__:set"])
        #expect(try told("Kg") == ["__keyspace@0__:k"])
        _ = try writer.say("SET k 1")
        for line in ["INCRBYFLOAT k 1", "SETRANGE k 0 1"] { #expect(try writer.say(line).count == 1) }
        #expect(try peer.values().isEmpty, "they are of $")
        #expect(try told("Ex") == [])
        #expect(try writer.say("CONFIG GET notify-keyspace-events")[0].items.last == .text("xE"))
        #expect(try writer.say("CONFIG SET notify-keyspace-events Em")[0].isError)
        #expect(peer.ask(Say.command(["CONFIG", "SET", "notify-keyspace-events", ""])).text.contains("Can't execute"))
        #expect(try writer.say("CONFIG SET notify-keyspace-events AKE") == [.simple("OK")])
    }

    @Test func `a name is subscribed to once, and left once`() throws {
        let peer = try subscriber("SUBSCRIBE __keyspace@0__:a __keyspace@0__:a __keyspace@0__:b")
        let other = bench.connect()
        #expect(try other.say("PUBSUB NUMSUB __keyspace@0__:a __keyspace@0__:c") == [
            .array([.text("__keyspace@0__:a"), .integer(1), .text("__keyspace@0__:c"), .integer(0)]),
        ])
        #expect(try other.say("PUBSUB CHANNELS *b") == [.list(["__keyspace@0__:b"])])
        #expect(try other.say("PUBSUB NUMPAT") == [.integer(0)])
        _ = try other.say("SET a 1")
        #expect(try peer.values() == [Self.message("__keyspace@0__:a", "set")])
        _ = try peer.say("UNSUBSCRIBE __keyspace@0__:a")
        _ = try other.say("SET a 1")
        #expect(peer.receive().isEmpty)
    }

    @Test func `others see who has subscribed`() throws {
        let (peer, other) = (try subscriber("SUBSCRIBE __keyspace@0__:a"), bench.connect())
        _ = try peer.say("PSUBSCRIBE __keyevent@0__:* __keyspace@0__:*")
        let line = try #require(try other.say("CLIENT LIST TYPE pubsub")[0].string)
        #expect(line.contains(" flags=P ") && line.contains(" sub=1 psub=2 "))
        #expect(try other.say("CLIENT LIST TYPE normal")[0].string?.contains("sub=1 ") == false)
        let info = try #require(try other.say("INFO")[0].string)
        #expect(info.contains("pubsub_channels:1\r\n") && info.contains("pubsub_patterns:2\r\n") && info.contains("pubsub_clients:1\r\n"))
        #expect(try other.say("CLIENT KILL TYPE pubsub") == [.integer(1)])
        bench.turn()
        _ = peer.receive()
        #expect(peer.sawEnd)
        #expect(try other.say("INFO")[0].string?.contains("pubsub_patterns:0\r\n") == true)
    }

    @Test(arguments: ["RESET", "QUIT"]) func `who goes leaves nothing behind`(_ line: String) throws {
        let peer = try subscriber("SUBSCRIBE __keyspace@0__:a")
        _ = try peer.say("PSUBSCRIBE *")
        _ = try peer.say(line)
        bench.pass(seconds: 4)
        #expect(bench.rig.server.resp.watching.channels.isEmpty)
        #expect(bench.rig.server.resp.watching.patternCount == 0)
        #expect(bench.rig.server.resp.watching.subscribers.load(ordering: .relaxed) == 0)
        #expect(!bench.rig.store.events.isWatched)
    }

    @Test func `without a login nobody subscribes, and RESET ends what a login began`() throws {
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("sesame".utf8))
        let bench = try WorkerRig(configuration)
        let (peer, writer) = (bench.connect(), bench.connect())
        #expect(try peer.say("SUBSCRIBE __keyspace@0__:k") == [.error("NOAUTH Authentication required.")])
        _ = try peer.say("AUTH sesame")
        _ = try peer.say("SUBSCRIBE __keyspace@0__:k")
        _ = try writer.say("AUTH sesame")
        _ = try writer.say("SET k 1")
        #expect(try peer.values().count == 1)
        _ = try peer.say("RESET")
        _ = try writer.say("SET k 2")
        #expect(peer.receive().isEmpty)
    }

    @Test func `a subscriber that missed events is disconnected, so that it knows`() throws {
        let bench = try WorkerRig(workers: 2, eventBytesMax: 1 << 14)
        let (peer, writer) = (bench.connect(to: 1), bench.connect())
        peer.send(Say.words("SUBSCRIBE __keyevent@0__:set"))
        _ = bench.workers[1].step(waitMilliseconds: 0)
        writer.send((0..<1_000).flatMap { Say.words("SET key/\($0) v") })
        for _ in 0..<20 { _ = bench.workers[0].step(waitMilliseconds: 0) }
        _ = bench.workers[1].step(waitMilliseconds: 0)
        _ = peer.receive()
        #expect(peer.sawEnd)
        #expect(bench.connections == 1)
    }

    @Test func `a worker that sleeps is woken for events, and not for its own requests`() throws {
        let bench = try WorkerRig(workers: 2)
        let (peer, writer) = (bench.connect(to: 1), bench.connect())
        peer.send(Say.words("SUBSCRIBE __keyevent@0__:set"))
        for _ in 0..<2 { _ = bench.workers[1].step(waitMilliseconds: 0) }
        _ = peer.receive()
        writer.send(Say.words("SET k v"))
        _ = bench.workers[0].step(waitMilliseconds: 0)
        // Would wait for ever if nothing woke it.
        _ = bench.workers[1].step(waitMilliseconds: -1)
        #expect(try peer.values() == [Self.message("__keyevent@0__:set", "k")])
    }

    @Test func `idle subscribers stay, although a timeout closes idle connections`() throws {
        let (peer, other) = (try subscriber("SUBSCRIBE __keyevent@0__:set"), bench.connect())
        _ = try other.say("CONFIG SET timeout 10")
        bench.pass(seconds: 20)
        #expect(bench.connections == 1)
        #expect(try peer.say("PING") == [.list(["pong", ""])])
    }
}
