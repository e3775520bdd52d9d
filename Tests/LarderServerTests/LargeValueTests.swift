import LarderEngine
import LarderSimulation
import LarderWire
import Testing

@testable import LarderServer

/// Values that are read and written in slices, some in each turn.
@Suite("Large values") struct LargeValueTests {
    private static let slice = Store.sliceBytes

    private static func text(_ seed: UInt64, _ count: Int = 3 * slice + 1_234) -> String {
        var random = SeededGenerator(seed: seed)
        return String(decoding: (0..<count).map { _ in UInt8(97 + random.next() % 26) }, as: UTF8.self)
    }

    /// A client that may read one slice in a turn, and one that writes.
    private static func clients() -> (rig: Rig, reader: Client, writer: Client) {
        var configuration = ServerConfiguration()
        // Nobody takes what would be staged for a log.
        configuration.durability = .off
        let rig = Rig(configuration)
        let (reader, writer) = (Client(rig), Client(rig))
        reader.copyWork = 1
        reader.send(Ask.hello())
        writer.send(Ask.hello())
        return (rig, reader, writer)
    }

    @Test(arguments: [false, true]) func `a large value comes whole, in slices, before what was asked behind it`(_ isHTTP: Bool) throws {
        let (rig, reader, writer) = Self.clients()
        let value = Self.text(1)
        writer.send(Ask.put("k", value) + Ask.put("small", "v"))
        let slow = isHTTP ? Client(rig) : reader
        slow.copyWork = 1
        let requests =
            isHTTP
            ? Web.request("GET /kv/default/k") + Web.request("HEAD /kv/default/k") + Web.request("GET /kv/default/small")
            : Ask.get("k", [.wantVersion], id: 1) + Ask.get("small", id: 2)
        let whole = Client(rig)
        if !isHTTP { whole.send(Ask.hello()) }
        let (hits, gets) = (rig.metrics.hits.total, rig.metrics.gets.total)
        whole.copyWork = 1 << 30
        let expected = whole.sendOnce(requests)
        let (hitsOfOne, getsOfOne) = (rig.metrics.hits.total - hits, rig.metrics.gets.total - gets)
        for turn in 0..<4 {
            let replies = turn == 0 ? slow.sendOnce(requests) : slow.proceedOnce()
            #expect(replies.isEmpty == (turn < 3), "turn \(turn)")
            #expect(slow.isUnfinished == (turn < 3), "turn \(turn)")
            if turn == 3 { #expect(replies == expected) }
        }
        #expect(rig.metrics.hits.total - hits == 2 * hitsOfOne)
        #expect(rig.metrics.gets.total - gets == 2 * getsOfOne)
        if !isHTTP { #expect(try Answer.all(expected)[0].text == value) }
    }

    @Test func `a large value is read by the classic commands of memcached after a longer line of a meta command`() {
        var configuration = ServerConfiguration()
        configuration.durability = .off
        let client = Client(Rig(configuration))
        let value = String(repeating: "v", count: 300 << 10)
        #expect(client.send("set a 0 0 \(value.utf8.count)\r\n\(value)\r\n").text == "STORED\r\n")
        let missed = client.send("mg nothing-with-a-long-name v t f s c k O1234567890123\r\n").text
        #expect(missed == "EN knothing-with-a-long-name O1234567890123\r\n")
        let reply = "VALUE a 0 \(value.utf8.count)\r\n\(value)\r\nEND\r\n"
        for word in ["get", "gat 0"] { #expect(client.send("\(word) a\r\n").text == reply) }
        #expect(client.send("gets a\r\n").text.hasPrefix("VALUE a 0 \(value.utf8.count) "))
    }

    @Test(arguments: ["SETRANGE", "APPEND"])
    func `one client that has large values made anew does not keep the others waiting for all of them`(word: String) {
        var configuration = ServerConfiguration()
        configuration.durability = .off
        let rig = Rig(configuration)
        let client = Client(rig)
        func request(_ words: String...) -> [UInt8] {
            Array("*\(words.count)\r\n".utf8) + words.flatMap { Array("$\($0.utf8.count)\r\n\($0)\r\n".utf8) }
        }
        let value = String(repeating: "v", count: 900 << 10)
        #expect(client.send(request("SET", "k", value)).text == "+OK\r\n")
        let isAppend = word == "APPEND"
        let change = isAppend ? request(word, "k", "x") : request(word, "k", "7", "x")
        var replies = client.sendOnce((0..<40).flatMap { _ in change } + request("STRLEN", "k")).text
        var turns = 1
        while client.isUnfinished {
            // What is appended to is copied once, the other is read and written.
            #expect(replies.split(separator: "\r\n").count <= (isAppend ? 2 : 1) * turns)
            replies += client.proceedOnce().text
            turns += 1
        }
        #expect(turns > 20)
        let sizes = (1...40).map { value.utf8.count + (isAppend ? $0 : 0) }
        #expect(replies == (sizes + [sizes[39]]).map { ":\($0)\r\n" }.joined())
    }

    @Test func `a large value that is overwritten while it is read is all of one version`() throws {
        let (_, reader, writer) = Self.clients()
        let (first, second) = (Self.text(1), Self.text(2))
        writer.send(Ask.put("k", first))
        #expect(reader.sendOnce(Ask.get("k", [.wantVersion])).isEmpty)
        #expect(reader.proceedOnce().isEmpty)
        let version = try Answer.only(writer.send(Ask.put("k", second, .unlimited, .none, [.wantVersion]))).version
        let answer = try Answer.only(reader.proceed())
        #expect(answer.text == second)
        #expect(answer.version == version)
    }

    @Test func `who writes a large value all the time does not keep its readers waiting for ever`() throws {
        let (_, reader, writer) = Self.clients()
        writer.send(Ask.put("k", Self.text(0)))
        var replies = reader.sendOnce(Ask.get("k"))
        var rounds: UInt64 = 0
        while replies.isEmpty, rounds < 100 {
            rounds += 1
            writer.send(Ask.put("k", Self.text(rounds)))
            replies = reader.proceedOnce()
        }
        #expect(try Answer.only(replies).text == Self.text(rounds))
        #expect(rounds == LargeRead.restartsMax + 1)
    }

    @Test func `a large value that is gone, or small, before it is read is answered as that`() throws {
        let (_, reader, writer) = Self.clients()
        writer.send(Ask.put("k", Self.text(1)))
        #expect(reader.sendOnce(Ask.get("k")).isEmpty)
        writer.send(Ask.put("k", "small"))
        #expect(try Answer.only(reader.proceed()).text == "small")
        writer.send(Ask.put("k", Self.text(1)))
        #expect(reader.sendOnce(Ask.get("k")).isEmpty)
        writer.send(Ask.delete("k"))
        #expect(try Answer.only(reader.proceed()).status == .notFound)
        // Nothing is left of either.
        writer.send(Ask.put("k", Self.text(3)))
        #expect(try Answer.only(reader.send(Ask.get("k"))).text == Self.text(3))
    }
    // MARK: Writing

    @Test(arguments: [false, true]) func `a large value is written in slices, and nobody sees it before it is whole`(_ isHTTP: Bool) throws {
        let (rig, slow, other) = Self.clients()
        let writer = isHTTP ? Client(rig) : slow
        writer.copyWork = 1
        other.send(Ask.put("k", "before"))
        let value = Self.text(1)
        let requests =
            isHTTP
            ? Web.request("PUT /kv/default/k", body: value) + Web.request("PUT /kv/default/small", body: "v")
            : Ask.put("k", value, id: 1) + Ask.put("small", "v", id: 2)
        let puts = rig.metrics.puts.total
        for turn in 0..<4 {
            let replies = turn == 0 ? writer.sendOnce(requests) : writer.proceedOnce()
            #expect(replies.isEmpty == (turn < 3), "turn \(turn)")
            #expect(writer.isUnfinished == (turn < 3), "turn \(turn)")
            let seen = try Answer.only(other.send(Ask.get("k"))).text
            #expect(seen == (turn < 3 ? "before" : value), "turn \(turn)")
        }
        #expect(try Answer.only(other.send(Ask.get("small"))).text == "v")
        #expect(rig.metrics.puts.total - puts == 2)
        rig.store.checkInvariants()
    }

    @Test func `a connection that closes while its large value is written leaves nothing behind`() throws {
        let (rig, _, other) = Self.clients()
        other.send(Ask.put("k", "before"))
        let before = rig.store.statistics().arenaBytes
        do {
            let writer = Client(rig)
            writer.copyWork = 1
            writer.send(Ask.hello())
            #expect(writer.sendOnce(Ask.put("k", Self.text(1))).isEmpty)
            #expect(rig.store.statistics().arenaBytes > before)
        }
        #expect(rig.store.statistics().arenaBytes == before)
        #expect(try Answer.only(other.send(Ask.get("k"))).text == "before")
    }

    /// The draft was for a key of the former namespace, whose number and hash were others.
    @Test func `a large value goes to the namespace that has the name when it is whole`() throws {
        let (rig, _, _) = Self.clients()
        let (name, key) = (Array("other".utf8), Array("k".utf8))
        func create() throws -> Namespace {
            let settings = NamespaceSettings(durability: .off)
            let id = NamespaceID(high: UInt64(rig.store.namespaces.count), low: 1)
            _ = rig.store.createNamespace(name: name.span.bytes, id: id, settings: settings, now: rig.now)
            let found = rig.store.namespaces.find(name: name.span.bytes)
            return try #require(found)
        }
        let former = try create()
        let writer = Client(rig)
        writer.copyWork = 1
        let value = Self.text(1)
        #expect(writer.sendOnce(Web.request("PUT /kv/other/k", body: value)).isEmpty)
        _ = rig.store.dropNamespace(former, now: rig.now)
        let present = try create()
        writer.proceed()
        var found = 0
        _ = rig.store.read(present, key: key.span.bytes, hash: rig.store.hash(present, key.span.bytes), now: rig.now) {
            found = $0.value.byteCount
        }
        #expect(found == value.utf8.count)
    }
}
