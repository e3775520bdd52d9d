import LarderBytes
import LarderEngine
import LarderWire
import Testing

@testable import LarderServer

/// The same requests must be answered alike however they are cut.
@Suite("Conversations") struct ConversationTests {
    /// Runs `requests` in a rig of its own, cut as `pieces` says.
    static func replies(_ pieces: [[UInt8]], _ configuration: ServerConfiguration = ServerConfiguration()) -> [UInt8] {
        let rig = Rig(configuration)
        rig.createNamespace("carts", .interval, .bytes)
        let client = Client(rig)
        var bytes: [UInt8] = []
        for piece in pieces { bytes += client.send(piece) }
        bytes += client.proceed()
        // New ids are random; everything else is not.
        for (index, namespace) in rig.store.namespaces.all().enumerated() {
            let id = namespace.id
            bytes.replace(Self.bytes(id.high, id.low), by: Array(repeating: UInt8(index), count: 16))
            bytes.replace(Array(Self.uuid(id).utf8), by: Array(repeating: UInt8(0x30 + index), count: 36))
        }
        // Comes only where the body had not come yet.
        bytes.replace(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), by: [])
        return bytes
    }

    static func bytes(_ high: UInt64, _ low: UInt64) -> [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> (56 - UInt64($0 % 8) * 8)) }
    }

    static func uuid(_ id: NamespaceID) -> String {
        var text = ""
        for (index, byte) in bytes(id.high, id.low).enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
        return text
    }

    static func expectSameHoweverCut(_ requests: [[UInt8]], stride step: Int = 1) {
        let expected = replies(requests)
        let whole = requests.flatMap { $0 }
        #expect(replies([whole]) == expected, "merged")
        #expect(replies(whole.map { [$0] }) == expected, "byte by byte")
        for position in stride(from: 1, to: whole.count, by: step) {
            let cut = [Array(whole[..<position]), Array(whole[position...])]
            guard replies(cut) != expected else { continue }
            Issue.record("differs when cut at \(position): \(replies(cut).text) instead of \(expected.text)")
            return
        }
    }

    // MARK: Binary

    static let binary: [[UInt8]] = [
        Ask.hello(overtake: true, id: 1),
        Ask.put("user/1", "hello", contentType: "text/plain", .milliseconds(5_000), .none, .wantVersion, id: 2),
        Ask.get("user/1", [.wantVersion, .wantContentType, .wantLifetime], id: 3),
        Ask.put("user/1", "again", .keep, .present, id: 4),
        Ask.put("user/1", "no", .unlimited, .absent, .wantVersion, id: 5),
        Ask.put("user/1", "no", .unlimited, .version(7), id: 6),
        Ask.lifetime("user/1", id: 7),
        Ask.touch("user/1", .unlimited, [.wantLifetime], id: 8),
        Ask.setLifetime("user/1", .milliseconds(9), id: 9),
        Ask.exists("user/1", id: 10), Ask.exists("user/2", id: 11),
        Ask.increment("n", by: 41, id: 12), Ask.increment("n", by: 1, .unlimited, .wantVersion, id: 13),
        Ask.increment("user/1", by: 1, id: 14),
        Ask.append("log", "one,", id: 15), Ask.append("log", "two", id: 16),
        Ask.many(["log", "none", "n", "_no", ""], .wantVersion, id: 17),
        Ask.list(delimiter: "/", id: 18), Ask.list(prefix: "user/", withValues: true, id: 19), Ask.list(limit: 1, id: 20),
        Ask.get("bad key", id: 21), Ask.get("", id: 22), Ask.get("_x", id: 23),
        Ask.create("fresh", id: 24), Ask.create("fresh", id: 25), Ask.create("Bad", id: 26),
        Ask.hello(namespace: .name("fresh"), id: 27), Ask.put("k", "in fresh", id: 28), Ask.describe(id: 29),
        Ask.hello(namespace: .name("carts"), id: 30), Ask.put("a key: any", "bytes", id: 31), Ask.get("a key: any", id: 32),
        Ask.flush(id: 33), Ask.get("a key: any", id: 34), Ask.list(id: 35),
        Ask.namespaces(id: 36), Ask.drop(.name("fresh"), id: 37), Ask.describe(.name("fresh"), id: 38),
        Ask.hello(namespace: .name("default"), id: 39), Ask.delete("n", id: 40), Ask.delete("n", id: 41),
        Ask.frame { $0.append(littleEndian: UInt64(0x2A_0000_FFAD)); $0.append(littleEndian: UInt32(0)) },
        Ask.snapshot(id: 43), Ask.ping(id: 44),
    ]

    @Test func `binary requests are answered alike whole, cut at every byte, byte by byte, and merged`() {
        Self.expectSameHoweverCut(Self.binary)
    }

    @Test func `the binary conversation says what it should`() throws {
        let answers = try Answer.all(Self.replies([Self.binary.flatMap { $0 }]))
        #expect(answers.map(\.id) == Array(1...44))
        let expected: [Status] = [
            .ok, .created, .ok, .ok, .conditionFailed, .conditionFailed, .ok, .ok, .ok, .ok, .notFound, .ok, .ok, .notAnInteger,
            .ok, .ok, .ok, .ok, .ok, .ok, .keyIllegal, .keyEmpty, .keyReserved, .created, .namespaceExists, .nameInvalid,
            .ok, .created, .ok, .ok, .created, .ok, .ok, .notFound, .ok, .ok, .ok, .namespaceNotFound, .ok, .ok, .notFound,
            .unknownOperation, .ok, .ok,
        ]
        for (answer, status) in zip(answers, expected) { #expect(answer.status == status, "request \(answer.id)") }
        #expect(answers[2].text == "hello")
        #expect(answers[2].contentType == "text/plain")
        #expect(answers[2].lifetime == .milliseconds(5_000))
        #expect(answers[2].version == answers[1].version)
        #expect(answers[6].lifetime == .milliseconds(5_000))
        #expect(answers[7].text == "again")
        #expect(answers[7].lifetime == .unlimited)
        #expect(answers[11].integer == 41)
        #expect(answers[12].integer == 42)
        #expect(answers[14].integer == 4)
        #expect(answers[15].integer == 7)
    }

    @Test func `a binary connection is closed by what cannot be framed, and everything before it is answered`() throws {
        for nonsense in [[0x00], Ask.get("k").dropLast() + [0], [0xAD, 0x10, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]] as [[UInt8]] {
            let client = Client(Rig())
            let isLegal = nonsense.count == 13
            let answers = try Answer.all(client.send(Ask.hello(id: 1) + Ask.ping(id: 2) + nonsense + Ask.ping(id: 3)))
            #expect(answers.prefix(2).map(\.id) == [1, 2])
            #expect(client.isClosed == !isLegal)
        }
    }

    // MARK: Binary, one by one

    static func client(_ rig: Rig) -> Client {
        let client = Client(rig)
        client.send(Ask.hello())
        return client
    }

    @Test func `hello says what holds`() throws {
        let rig = Rig()
        let carts = rig.createNamespace("carts", .interval, .bytes)
        let client = Client(rig)
        let first = try Answer.hello(client.send(Ask.hello()))
        #expect(first.durability == .always)
        #expect(first.keyRule == .path)
        #expect(!first.overtake)
        #expect(first.valueBytesMax == 1_048_576)
        #expect(first.frameBytesMax == 1_048_576 + 262_144)
        let second = try Answer.hello(client.send(Ask.hello(namespace: .id(high: carts.id.high, low: carts.id.low), overtake: true)))
        #expect(second.durability == .interval)
        #expect(second.keyRule == .bytes)
        #expect(second.overtake)
        #expect(second.namespaceHigh == carts.id.high)
        #expect(second.namespaceLow == carts.id.low)
    }

    @Test func `a condition that fails tells the version that the entry has`() throws {
        let client = Self.client(Rig())
        let version = try Answer.only(client.send(Ask.put("k", "v", .unlimited, .none, .wantVersion))).version
        for request in [
            Ask.put("k", "w", .unlimited, .absent, .wantVersion), Ask.put("k", "w", .unlimited, .version(1), .wantVersion),
            Ask.delete("k", .version(1), .wantVersion), Ask.setLifetime("k", .unlimited, .version(1), .wantVersion),
        ] {
            let answer = try Answer.only(client.send(request))
            #expect(answer.status == .conditionFailed)
            #expect(answer.version == version)
            #expect(answer.payload.isEmpty)
        }
        let none = try Answer.only(client.send(Ask.put("none", "w", .unlimited, .present, .wantVersion)))
        #expect(none.status == .conditionFailed)
        #expect(none.version == nil)
        #expect(try Answer.only(client.send(Ask.get("k"))).text == "v")
    }

    @Test func `conditions hold and fail as they should`() throws {
        let client = Self.client(Rig())
        func status(_ request: [UInt8]) throws -> Status { try Answer.only(client.send(request)).status }
        #expect(try status(Ask.put("k", "1", .unlimited, .present)) == .conditionFailed)
        #expect(try status(Ask.put("k", "1", .unlimited, .absent)) == .created)
        #expect(try status(Ask.put("k", "2", .unlimited, .absent)) == .conditionFailed)
        let version = try #require(try Answer.only(client.send(Ask.put("k", "2", .unlimited, .present, .wantVersion))).version)
        #expect(try status(Ask.get("k", ifNotVersion: version)) == .notModified)
        #expect(try status(Ask.get("k", ifNotVersion: version - 1)) == .ok)
        #expect(try status(Ask.put("k", "3", .unlimited, .version(version - 1))) == .conditionFailed)
        #expect(try status(Ask.delete("k", .version(version - 1))) == .conditionFailed)
        #expect(try status(Ask.setLifetime("k", .milliseconds(5), .version(version - 1))) == .conditionFailed)
        #expect(try status(Ask.setLifetime("k", .milliseconds(5), .version(version))) == .ok)
        // A new lifetime is a new version.
        #expect(try status(Ask.delete("k", .version(version))) == .conditionFailed)
        let changed = try #require(try Answer.only(client.send(Ask.exists("k", .wantVersion))).version)
        #expect(changed > version)
        #expect(try status(Ask.delete("k", .version(changed))) == .ok)
        #expect(try status(Ask.delete("k")) == .notFound)
    }

    @Test func `counters count, refuse what is none, and do not run over`() throws {
        let client = Self.client(Rig())
        #expect(try Answer.only(client.send(Ask.increment("n", by: -3, .milliseconds(100)))).integer == -3)
        #expect(try Answer.only(client.send(Ask.increment("n", by: 5, .milliseconds(9_000)))).integer == 2)
        #expect(try Answer.only(client.send(Ask.lifetime("n"))).lifetime == .milliseconds(100))
        #expect(try Answer.only(client.send(Ask.get("n"))).text == "2")
        client.send(Ask.put("n", "9223372036854775807"))
        #expect(try Answer.only(client.send(Ask.increment("n", by: 1))).status == .integerOverflow)
        #expect(try Answer.only(client.send(Ask.increment("n", by: .min))).integer == -1)
        client.send(Ask.put("n", "1.5"))
        #expect(try Answer.only(client.send(Ask.increment("n", by: 1))).status == .notAnInteger)
        #expect(try Answer.only(client.send(Ask.get("n"))).text == "1.5")
    }

    @Test func `a value that would grow too large is not changed`() throws {
        var configuration = ServerConfiguration()
        configuration.valueBytesMax = 10
        let client = Self.client(Rig(configuration))
        #expect(try Answer.only(client.send(Ask.append("k", "12345"))).integer == 5)
        #expect(try Answer.only(client.send(Ask.append("k", "678901"))).status == .valueTooLarge)
        #expect(try Answer.only(client.send(Ask.put("k", "12345678901"))).status == .valueTooLarge)
        #expect(try Answer.only(client.send(Ask.append("k", "67890"))).integer == 10)
        #expect(try Answer.only(client.send(Ask.get("k"))).text == "1234567890")
    }

    @Test func `a content type that is too long is refused, not cut`() throws {
        let client = Self.client(Rig())
        let type = String(repeating: "t", count: 255)
        #expect(try Answer.only(client.send(Ask.put("k", "v", contentType: type))).status == .created)
        #expect(try Answer.only(client.send(Ask.get("k", .wantContentType))).contentType == type)
        #expect(try Answer.only(client.send(Ask.put("k", "w", contentType: type + "t"))).status.rawValue >= 16)
        #expect(try Answer.only(client.send(Ask.get("k"))).text == "v")
    }

    @Test func `get many answers for each key, in order`() throws {
        let client = Self.client(Rig())
        client.send(Ask.put("a", "1", contentType: "text/plain") + Ask.put("b", "2", .milliseconds(70)))
        let answers = try Answer.many(client.send(Ask.many(["b", "none", "a", ":"], [.wantContentType, .wantLifetime])))
        #expect(answers.map(\.status) == [.ok, .notFound, .ok, .keyIllegal])
        #expect(answers.map(\.text) == ["2", "", "1", ""])
        #expect(answers[0].lifetime == .milliseconds(70))
        #expect(answers[2].contentType == "text/plain")
        // More keys than are hashed ahead at a time.
        for number in 0..<50 { client.send(Ask.put("k\(number)", "\(number)")) }
        let many = try Answer.many(client.send(Ask.many((0..<50).map { "k\($0)" })))
        #expect(many.map(\.text) == (0..<50).map { "\($0)" })
    }

    @Test func `a cursor that no listing with this prefix ends with was taken for a place`() throws {
        let client = Self.client(Rig())
        client.send(Ask.put("L/1", "v"))
        for key in ["A", "M", "\u{1}", String(repeating: "L/", count: 1_000)] {
            #expect(try Answer.only(client.send(Ask.list(prefix: "L/", after: Ask.cursor(key)))).status == .cursorInvalid)
        }
        #expect(try Answer.page(client.send(Ask.list(prefix: "L/", after: Ask.cursor("L/0")))).items == ["L/1"])
    }

    @Test func `bytes that no listing ended with were taken for a cursor`() throws {
        let client = Self.client(Rig())
        client.send(Ask.put("L/1", "v"))
        let good = Ask.cursor("L/0")
        var bad = [Array("L/0".utf8), [0], [1, 2, 3, 4], Array(good.dropLast())]
        for index in good.indices {
            bad.append(good)
            bad[bad.count - 1][index] ^= 1
        }
        for cursor in bad {
            #expect(try Answer.only(client.send(Ask.list(prefix: "L/", after: cursor))).status == .cursorInvalid)
        }
    }

    @Test func `an empty line before the first request closed the connection`() throws {
        let client = Client(Rig())
        let reply = client.send(Array("\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        #expect(String(decoding: reply, as: UTF8.self).hasPrefix("HTTP/1.1 200"))
        #expect(!client.isClosed)
    }

    @Test(arguments: [1, 100]) func `a page that takes several turns is the same, and replies stay in order`(_ work: Int) throws {
        let rig = Rig()
        rig.createNamespace("carts")
        let client = Client(rig)
        client.send(Ask.hello())
        for number in 100..<300 { client.send(Ask.put("k/\(number)/x", "value-\(number)")) }
        for isHTTP in [false, true] {
            let requests =
                isHTTP
                ? Web.request("GET /kv/default/?prefix=k%2F&limit=150") + Web.request("GET /kv/default/?delimiter=%2F&prefix=k%2F")
                    + Web.request("GET /kv/default/k%2F100%2Fx") + Web.request("GET /kv/default/?cursor=x")
                : Ask.list(prefix: "k/", limit: 150, withValues: true, id: 1) + Ask.list(prefix: "k/", delimiter: "/", id: 2)
                    + Ask.get("k/100/x", id: 3) + Ask.list(prefix: "k/", after: [97], id: 4) + Ask.list(id: 5)
            let (whole, slow) = (Client(rig), Client(rig))
            slow.listingWork = work
            if !isHTTP {
                whole.send(Ask.hello())
                slow.send(Ask.hello())
            }
            let lists = rig.metrics.lists.total
            let expected = whole.send(requests)
            let counted = rig.metrics.lists.total - lists
            #expect(slow.send(requests) == expected)
            #expect(rig.metrics.lists.total - lists == 2 * counted)
        }
    }

    @Test func `a namespace that goes while a page of it is made ends the page`() throws {
        let rig = Rig()
        let carts = rig.createNamespace("carts", .off)
        let client = Client(rig)
        client.send(Ask.hello(namespace: .name("carts")))
        for number in 0..<200 { client.send(Ask.put("k/\(number)", "v")) }
        client.listingWork = 1
        #expect(client.sendOnce(Ask.list(id: 1) + Ask.ping(id: 2)).isEmpty)
        #expect(client.isUnfinished)
        _ = rig.store.dropNamespace(carts, now: rig.now)
        let answers = try Answer.all(client.proceed())
        #expect(answers.map(\.id) == [1, 2])
        #expect(answers.map(\.status) == [.namespaceDeleting, .ok])
        // Of the page that had begun nothing is left.
        client.listingWork = 8_192
        client.send(Ask.hello(namespace: .name("default")))
        #expect(try Answer.page(client.send(Ask.list())).items == [])
    }

    @Test func `a listing goes on behind its cursor, and folds at a delimiter`() throws {
        let client = Self.client(Rig())
        for key in ["a", "b/1", "b/2", "b/c/3", "c", "d/1"] { client.send(Ask.put(key, "v" + key)) }
        var keys: [String] = []
        var cursor: [UInt8] = []
        repeat {
            let page = try Answer.page(client.send(Ask.list(after: cursor, limit: 2)))
            keys += page.items
            cursor = page.cursor
        } while !cursor.isEmpty
        #expect(keys == ["a", "b/1", "b/2", "b/c/3", "c", "d/1"])
        #expect(try Answer.page(client.send(Ask.list(delimiter: "/"))).items == ["a", "b/*", "c", "d/*"])
        #expect(try Answer.page(client.send(Ask.list(prefix: "b/", delimiter: "/"))).items == ["b/1", "b/2", "b/c/*"])
        #expect(try Answer.page(client.send(Ask.list(prefix: "b/", withValues: true)), withValues: true).items
            == ["b/1=vb/1", "b/2=vb/2", "b/c/3=vb/c/3"])
        // Folded pages go on behind the whole prefix.
        keys = []
        cursor = []
        repeat {
            let page = try Answer.page(client.send(Ask.list(after: cursor, limit: 1, delimiter: "/")))
            keys += page.items
            cursor = page.cursor
        } while !cursor.isEmpty
        #expect(keys == ["a", "b/*", "c", "d/*"])
    }

    @Test func `a cache is made with a limit, tells of it, and takes whatever comes`() throws {
        let rig = Rig()
        let client = Self.client(rig)
        var creation = LarderWire.NamespaceCreation()
        creation.eviction = .s3fifo
        // Else the log of the rig is full first.
        creation.durability = .off
        for limit in [UInt64(0), 1, 1_048_575, 1 << 56, .max] {
            creation.bytesMax = limit
            #expect(try Answer.only(client.send(Ask.create("cache", creation))).status == .limitInvalid, "\(limit)")
        }
        creation.bytesMax = 1 << 20
        let created = try Answer.namespace(client.send(Ask.create("cache", creation)))
        #expect(created.eviction == .s3fifo)
        #expect(created.bytesMax == 1 << 20)
        #expect(created.memoryBytes == 0)
        client.send(Ask.hello(namespace: .name("cache")))
        let value = String(repeating: "v", count: 10_000)
        for number in 0..<300 { #expect(try Answer.only(client.send(Ask.put("k\(number)", value))).status == .created) }
        let full = try Answer.namespace(client.send(Ask.describe()))
        #expect(full.keys < 110)
        #expect(full.memoryBytes > 900_000 && full.memoryBytes < 1_200_000)
        #expect(rig.store.statistics().evictedEntries > 190)
        #expect(try Answer.only(client.send(Ask.put("large", String(repeating: "v", count: 1 << 20)))).status == .valueTooLarge)
    }

    @Test func `a namespace with a limit and without eviction refuses what is too much`() throws {
        let rig = Rig()
        let client = Self.client(rig)
        var creation = LarderWire.NamespaceCreation()
        creation.bytesMax = 1 << 20
        #expect(try Answer.namespace(client.send(Ask.create("small", creation))).eviction == .none)
        client.send(Ask.hello(namespace: .name("small")))
        let value = String(repeating: "v", count: 10_000)
        var statuses: [Status] = []
        for number in 0..<300 { statuses.append(try Answer.only(client.send(Ask.put("k\(number)", value))).status) }
        let refused = try #require(statuses.firstIndex(of: .outOfMemory))
        #expect(refused > 80 && refused < 110)
        #expect(statuses[..<refused].allSatisfy { $0 == .created } && statuses[refused...].allSatisfy { $0 == .outOfMemory })
        #expect(try Answer.only(client.send(Ask.delete("k0"))).status == .ok)
        #expect(try Answer.only(client.send(Ask.put("k0", value))).status == .created)
        // Others are not full.
        client.send(Ask.hello(namespace: .name("default")))
        #expect(try Answer.only(client.send(Ask.put("k", value))).status == .created)
    }

    @Test func `namespaces come, are described, flushed, and go`() throws {
        let rig = Rig()
        let client = Self.client(rig)
        var creation = LarderWire.NamespaceCreation()
        creation.durability = .interval
        creation.keyRule = .bytes
        let created = try Answer.namespace(client.send(Ask.create("carts", creation)))
        #expect(created.name == "carts")
        #expect(created.durability == "interval")
        #expect(created.keyRule == .bytes)
        #expect(created.state == "provision_ok")
        #expect(created.createdMilliseconds == Rig.start)
        #expect(try Answer.namespaces(client.send(Ask.namespaces())).names == ["default", "carts"])
        #expect(try Answer.namespaces(client.send(Ask.namespaces(page: 2, limit: 1))).names == ["carts"])
        #expect(try Answer.namespaces(client.send(Ask.namespaces(page: 9, limit: 1))).names == [])
        #expect(try Answer.namespaces(client.send(Ask.namespaces(page: 0xFFFF_FFFF, limit: 1_000))).total == 2)
        client.send(Ask.hello(namespace: .name("carts")) + Ask.put("any key", "v"))
        #expect(try Answer.namespace(client.send(Ask.describe())).keys == 1)
        #expect(try Answer.only(client.send(Ask.flush())).status == .ok)
        #expect(try Answer.only(client.send(Ask.get("any key"))).status == .notFound)
        #expect(try Answer.only(client.send(Ask.drop(.name("default")))).status == .forbidden)
        #expect(try Answer.namespace(client.send(Ask.drop(.name("carts")))).state == "deleting")
        #expect(try Answer.only(client.send(Ask.get("any key"))).status == .namespaceDeleting)
        #expect(try Answer.only(client.send(Ask.put("any key", "v"))).status == .namespaceDeleting)
        #expect(try Answer.only(client.send(Ask.hello(namespace: .name("carts")))).status == .namespaceNotFound)
        #expect(try Answer.only(client.send(Ask.hello(namespace: .name("default")))).status == .ok)
        #expect(try Answer.only(client.send(Ask.drop(.name("carts")))).status == .namespaceNotFound)
    }

    @Test func `stats are lines of a name and a number`() throws {
        let client = Self.client(Rig())
        client.send(Ask.put("k", "v") + Ask.get("k") + Ask.get("none") + Ask.get("_"))
        let lines = try Answer.only(client.send(Ask.stats())).text.split(separator: "\n")
        #expect(lines.count > 20)
        for line in lines { #expect(line.split(separator: " ").count == 2, "\(line)") }
        for line in ["larder_hits_total 1", "larder_misses_total 1", "larder_refusals_total 1", "larder_keys 1", "larder_ready 1",
            "larder_requests_get_total 3", "larder_requests_put_total 1", "larder_namespaces 1"]
        {
            #expect(lines.contains(Substring(line)), "\(line)")
        }
    }

    @Test func `more requests than a batch holds are all answered, in order`() throws {
        let client = Self.client(Rig())
        var requests: [UInt8] = []
        for number in 0..<500 {
            requests += Ask.put("k\(number % 7)", "\(number)", id: UInt32(2 * number))
            requests += Ask.get("k\(number % 7)", id: UInt32(2 * number + 1))
        }
        let answers = try Answer.all(client.send(requests))
        #expect(answers.map(\.id) == Array(0..<1_000))
        for number in 0..<500 { #expect(answers[2 * number + 1].text == "\(number)") }
    }

    @Test func `a request behind a hello is in the namespace of that hello`() throws {
        let rig = Rig()
        rig.createNamespace("carts", .off, .bytes)
        let client = Self.client(rig)
        let answers = try Answer.all(client.send(
            Ask.put("k", "1") + Ask.hello(namespace: .name("carts")) + Ask.put("a b", "2") + Ask.get("k")
                + Ask.hello(namespace: .name("default")) + Ask.get("k") + Ask.get("a b")))
        #expect(answers.map(\.status) == [.created, .ok, .created, .notFound, .ok, .ok, .keyIllegal])
    }
}
