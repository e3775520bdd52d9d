import Foundation
import LarderEngine
import LarderServer
import LarderWire
import Testing

/// What a reply waits for, and what becomes of it.
@Suite("Held replies") struct HeldReplyTests {
    /// A rig whose log stands still, and a client that has said hello to a namespace of this durability.
    static func open(
        _ durability: LarderEngine.Durability = .always, overtake: Bool = false
    ) throws -> (rig: Rig, client: Client) {
        let rig = Rig(waits: true)
        rig.createNamespace("own", durability)
        rig.sync()
        let client = Client(rig)
        #expect(try Answer.only(client.send(Ask.hello(namespace: .name("own"), overtake: overtake))).status == .ok)
        return (rig, client)
    }

    // MARK: Writes

    static let writes: [[UInt8]] = [
        Ask.put("n", "9"), Ask.put("new", "v"), Ask.delete("n"), Ask.increment("n", by: 1), Ask.append("n", "0"),
        Ask.setLifetime("n", .milliseconds(1_000)), Ask.touch("n", .milliseconds(1_000)), Ask.flush(),
    ]

    @Test(arguments: writes)
    func `a write with always is answered when it is on the medium, and not before`(_ write: [UInt8]) throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("n", "8"))
        rig.sync()
        _ = client.logMoved()
        let before = rig.buffer.appliedLSN
        #expect(client.send(write).isEmpty)
        let own = rig.buffer.appliedLSN
        #expect(own > before)
        #expect(client.wantsSync)
        rig.fake.position = LogPosition(written: own, interval: own, durable: before)
        #expect(client.logMoved().isEmpty)
        rig.fake.position.durable = LSN(rawValue: own.rawValue - 1)
        #expect(client.logMoved().isEmpty)
        rig.fake.position.durable = own
        #expect([.ok, .created].contains(try Answer.only(client.logMoved()).status))
        #expect(client.heldCount == 0)
    }

    /// Of keys that are not there.
    static let asksInVain: [[UInt8]] = [
        Ask.get("none"), Ask.exists("none"), Ask.many(["none", "nor this"]), Ask.delete("none"), Ask.touch("none", .unlimited),
        Ask.list(), Ask.put("none", "v", .unlimited, .present),
    ]

    @Test(arguments: asksInVain)
    func `a read waited for writes to another namespace that is not logged`(_ ask: [UInt8]) throws {
        let (rig, client) = try Self.open()
        rig.createNamespace("cache", .off)
        let cache = Client(rig)
        cache.send(Ask.hello(namespace: .name("cache")))
        client.send(Ask.put("k", "v") + Ask.delete("k"))
        let removal = rig.buffer.appliedLSN
        // Something is removed from every shard.
        for index in 0..<100 { cache.send(Ask.put("k\(index)", "v") + Ask.delete("k\(index)")) }
        #expect(rig.buffer.appliedLSN > removal)
        // What was logged counts as ever.
        let later = Client(rig)
        later.send(Ask.hello(namespace: .name("own")))
        if ask == Ask.list() { #expect(later.send(ask).isEmpty) } else { later.send(ask) }
        rig.fake.position = LogPosition(written: removal, interval: removal, durable: removal)
        _ = later.logMoved()
        #expect(later.heldCount == 0)
        #expect(try Answer.all(client.logMoved()).count == 2)
        #expect(try Answer.all(client.send(ask)).count == 1)
    }

    @Test func `a listing waited for writes that it does not show`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("x/1", "v"))
        rig.sync()
        _ = client.logMoved()
        let before = rig.fake.position
        client.send(Ask.put("y/1", "v"))
        let other = Client(rig)
        other.send(Ask.hello(namespace: .name("own")))
        #expect(try Answer.page(other.send(Ask.list(prefix: "x/"))).items.count == 1)
        #expect(other.send(Ask.list(prefix: "y/")).isEmpty)
        rig.sync()
        #expect(try Answer.page(other.logMoved()).items.count == 1)
        // What it leaves out counts as well.
        _ = client.logMoved()
        client.send(Ask.delete("x/1"))
        rig.fake.position.written = rig.buffer.appliedLSN
        #expect(rig.fake.position.durable > before.durable)
        #expect(other.send(Ask.list(prefix: "x/")).isEmpty)
        rig.sync()
        #expect(try Answer.page(other.logMoved()).items.isEmpty)
    }

    @Test func `a write that finds no LSN in reserve waits, and is refused when there will be none`() throws {
        let (rig, client) = try Self.open()
        rig.buffer.start(after: rig.buffer.appliedLSN, ceiling: rig.buffer.appliedLSN)
        #expect(client.sendOnce(Ask.put("k", "v", id: 3) + Ask.get("k", id: 4)).isEmpty)
        #expect(client.progress == .unfinished)
        #expect(client.proceedOnce().isEmpty)
        rig.buffer.ceiling = LSN(rawValue: .max)
        #expect(client.proceedOnce().isEmpty)
        rig.sync()
        #expect(try Answer.all(client.logMoved()).map(\.id) == [3, 4])
        // Though it was tried three times.
        #expect(rig.metrics.puts.total == 1)
        rig.buffer.start(after: rig.buffer.appliedLSN, ceiling: rig.buffer.appliedLSN)
        rig.fake.reserveRefusal = LogRefusal(isDiskFull: true, text: "MANIFEST: no room")
        let refused = try Answer.only(client.send(Ask.put("k", "w")))
        #expect(refused.status == .diskFull)
        #expect(refused.text.contains("MANIFEST: no room"))
    }

    @Test func `a write that is not logged was tried for ever when the log had failed and no LSNs were left`() throws {
        let (rig, client) = try Self.open(.off)
        rig.buffer.start(after: rig.buffer.appliedLSN, ceiling: rig.buffer.appliedLSN)
        rig.fake.isWorking = false
        let refused = try Answer.only(client.sendOnce(Ask.put("k", "v")))
        #expect(refused.status == .readOnly)
        #expect(client.progress != .unfinished)
    }

    @Test func `interval waits for the kernel and the sync interval, never for the kernel, off for nothing`() throws {
        for durability in [LarderEngine.Durability.interval, .never, .off] {
            let (rig, client) = try Self.open(durability)
            let answered = client.send(Ask.put("k", "v"))
            #expect(answered.isEmpty == (durability != .off))
            #expect(!client.wantsSync)
            let own = rig.buffer.appliedLSN
            if durability == .off { continue }
            if durability == .interval {
                rig.fake.position.written = own
                #expect(client.logMoved().isEmpty)
                rig.fake.position.interval = own
            } else {
                rig.fake.position.interval = own
                #expect(client.logMoved().isEmpty)
                rig.fake.position.written = own
            }
            #expect(try Answer.only(client.logMoved()).status == .created)
        }
    }

    @Test func `in a cache the removal of what is not there waits like a write, as it is one`() throws {
        for durability in [LarderEngine.Durability.always, .interval, .never] {
            let rig = Rig(waits: true)
            rig.createNamespace("cache", durability, eviction: .s3fifo, bytesMax: 1 << 20)
            rig.sync()
            let client = Client(rig)
            #expect(try Answer.only(client.send(Ask.hello(namespace: .name("cache")))).status == .ok)
            let before = rig.buffer.appliedLSN
            #expect(client.send(Ask.delete("gone")).isEmpty, "\(durability)")
            #expect(rig.buffer.appliedLSN > before)
            rig.sync()
            #expect(try Answer.only(client.logMoved()).status == .notFound)
        }
    }

    @Test func `in HTTP too`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        #expect(client.send(Web.request("PUT /kv/default/k", body: "v")).isEmpty)
        #expect(client.send(Web.request("GET /healthz")).isEmpty)
        rig.sync()
        #expect(try HTTPAnswer.all(client.logMoved()).map(\.status) == [201, 200])
    }

    @Test func `a namespace is answered when its record is on the medium, whatever its durability`() throws {
        let (rig, client) = try Self.open(.off)
        var creation = LarderWire.NamespaceCreation()
        creation.durability = .off
        #expect(client.send(Ask.create("other", creation)).isEmpty)
        rig.sync()
        #expect(try Answer.only(client.logMoved()).status == .created)
        #expect(client.send(Ask.drop(.name("other"))).isEmpty)
        rig.sync()
        #expect(try Answer.only(client.logMoved()).status == .ok)
    }

    @Test func `a snapshot is answered when one has ended that began after the request`() throws {
        let (rig, client) = try Self.open()
        #expect(client.send(Ask.snapshot(id: 1)).isEmpty)
        #expect(client.send(Ask.snapshot(id: 2)).isEmpty)
        rig.fake.position.snapshots = 1
        #expect(try Answer.only(client.logMoved()).id == 1)
        rig.fake.position.snapshots = 2
        rig.fake.position.lastSnapshotFailed = true
        let answer = try Answer.only(client.logMoved())
        #expect(answer.status == .snapshotFailed)
        #expect(answer.id == 2)
    }

    // MARK: Order

    @Test func `replies keep the order of the requests`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("old", "v"))
        rig.sync()
        _ = client.logMoved()
        #expect(client.send(Ask.ping(id: 1) + Ask.put("a", "1", id: 2) + Ask.ping(id: 3) + Ask.get("old", id: 4)).count == 12)
        let first = rig.buffer.appliedLSN
        #expect(client.send(Ask.put("b", "1", id: 5) + Ask.get("old", id: 6)).isEmpty)
        rig.fake.position.durable = first
        #expect(try Answer.all(client.logMoved()).map(\.id) == [2, 3, 4])
        #expect(client.logMoved().isEmpty)
        rig.sync()
        #expect(try Answer.all(client.logMoved()).map(\.id) == [5, 6])
        #expect(try Answer.all(client.send(Ask.ping(id: 7))).map(\.id) == [7])
    }

    @Test func `where it was asked for, what need not wait overtakes`() throws {
        let (rig, client) = try Self.open(overtake: true)
        client.send(Ask.put("old", "v"))
        rig.sync()
        _ = client.logMoved()
        let replies = client.send(
            Ask.put("a", "1", id: 1) + Ask.get("old", id: 2) + Ask.get("a", id: 3) + Ask.get("none", id: 4) + Ask.ping(id: 5)
                + Ask.get("_", id: 6))
        #expect(try Answer.all(replies).map(\.id) == [2, 4, 5, 6])
        rig.sync()
        #expect(try Answer.all(client.logMoved()).map(\.id) == [1, 3])
    }

    @Test func `a hello takes overtaking back for the requests after it`() throws {
        let (rig, client) = try Self.open(overtake: true)
        client.send(Ask.put("a", "1", id: 1))
        client.send(Ask.hello(id: 2))
        #expect(client.send(Ask.ping(id: 3)).isEmpty)
        rig.sync()
        #expect(try Answer.all(client.logMoved()).map(\.id).suffix(1) == [3])
    }

    @Test func `a hello that asks for overtaking does not overtake itself`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("a", "1", id: 1))
        #expect(client.send(Ask.hello(overtake: true, id: 2)).isEmpty)
        #expect(try Answer.only(client.send(Ask.ping(id: 3))).id == 3)
        rig.sync()
        #expect(try Answer.all(client.logMoved()).map(\.id) == [1, 2])
    }

    // MARK: Reads

    static let reads: [[UInt8]] = [
        Ask.get("k"), Ask.exists("k"), Ask.lifetime("k"), Ask.many(["x", "k"]), Ask.list(), Ask.list(withValues: true),
        Ask.get("k", ifNotVersion: 1),
    ]

    @Test(arguments: reads)
    func `what is not on the medium yet is not shown with always`(_ read: [UInt8]) throws {
        let (rig, writer) = try Self.open()
        let reader = Client(rig)
        reader.send(Ask.hello(namespace: .name("own")))
        writer.send(Ask.put("k", "v"))
        #expect(reader.send(read).isEmpty)
        #expect(reader.wantsSync)
        rig.sync()
        #expect(try Answer.only(reader.logMoved()).status == .ok)
        #expect(try Answer.only(reader.send(read)).status == .ok)
    }

    @Test(arguments: reads)
    func `a removal that is not on the medium yet is not shown with always`(_ read: [UInt8]) throws {
        for removal in [Ask.delete("k"), Ask.flush()] {
            let (rig, writer) = try Self.open()
            let reader = Client(rig)
            reader.send(Ask.hello(namespace: .name("own")))
            writer.send(Ask.put("k", "v"))
            rig.sync()
            writer.send(removal)
            #expect(reader.send(read).isEmpty)
            rig.sync()
            #expect(!reader.logMoved().isEmpty)
        }
    }

    @Test(arguments: [
        Ask.put("k", "w", .unlimited, .absent), Ask.put("k", "w", .unlimited, .version(1)), Ask.delete("k", .version(1)),
        Ask.setLifetime("k", .milliseconds(1), .version(1)), Ask.increment("k", by: 1), Ask.delete("gone"),
        Ask.put("gone", "w", .unlimited, .present), Ask.setLifetime("gone", .unlimited), Ask.touch("gone", .unlimited),
    ])
    func `a write that is refused for what is not on the medium yet waits for it`(_ write: [UInt8]) throws {
        let (rig, writer) = try Self.open()
        writer.send(Ask.put("gone", "v"))
        rig.sync()
        _ = writer.logMoved()
        let other = Client(rig)
        other.send(Ask.hello(namespace: .name("own")))
        writer.send(Ask.put("k", "v") + Ask.delete("gone"))
        #expect(other.send(write).isEmpty)
        rig.sync()
        let status = try Answer.only(other.logMoved()).status
        #expect([.conditionFailed, .notAnInteger, .notFound].contains(status))
    }

    @Test func `a counter that would overflow for what is not on the medium yet waits for it`() throws {
        let (rig, writer) = try Self.open()
        writer.send(Ask.put("k", "9223372036854775807"))
        #expect(writer.send(Ask.increment("k", by: 1)).isEmpty)
        rig.sync()
        #expect(try Answer.all(writer.logMoved()).map(\.status) == [.created, .integerOverflow])
    }

    @Test func `a head that is refused for what is not on the medium yet waits for it`() throws {
        let rig = Rig(waits: true)
        let writer = Client(rig)
        writer.send(Web.request("PUT /kv/default/k", body: "v"))
        let other = Client(rig)
        let head = "PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nContent-Length: 5\r\n\r\n"
        #expect(other.send(head).isEmpty)
        rig.sync()
        #expect(try HTTPAnswer.only(other.logMoved()).status == 412)
        #expect(try HTTPAnswer.only(other.send("12345" + Web.request("GET /kv/default/k").text)).text == "v")
    }

    @Test(arguments: [LarderEngine.Durability.interval, .never, .off])
    func `reads wait for nothing without always`(_ durability: LarderEngine.Durability) throws {
        let (rig, writer) = try Self.open(durability)
        let reader = Client(rig)
        reader.send(Ask.hello(namespace: .name("own")))
        writer.send(Ask.put("k", "v") + Ask.put("l", "v") + Ask.delete("l"))
        for read in Self.reads { #expect(try Answer.only(reader.send(read)).status == .ok) }
        #expect(try Answer.only(reader.send(Ask.get("l"))).status == .notFound)
    }

    // MARK: The log fails

    static func failing(_ rig: Rig) {
        rig.buffer.refuse()
        rig.fake.isWorking = false
    }

    @Test func `when the log fails, what waits is told what is known, in order`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("a", "1", id: 1))
        let first = rig.buffer.appliedLSN
        client.send(Ask.put("b", "1", id: 2) + Ask.get("b", id: 3) + Ask.ping(id: 4) + Ask.delete("b", id: 5) + Ask.get("b", id: 6))
        rig.fake.position.durable = first
        Self.failing(rig)
        let answers = try Answer.all(client.logMoved())
        #expect(answers.map(\.id) == [1, 2, 3, 4, 5, 6])
        #expect(answers.map(\.status) == [.created, .outcomeUnknown, .notDurableYet, .ok, .outcomeUnknown, .notDurableYet])
        #expect(answers.map(\.payload.isEmpty) == [true, false, false, true, false, false])
        #expect(client.heldCount == 0)
    }

    @Test(arguments: writes)
    func `no write is acknowledged by a log that failed`(_ write: [UInt8]) throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("n", "8"))
        rig.sync()
        _ = client.logMoved()
        client.send(write)
        Self.failing(rig)
        #expect(try Answer.only(client.logMoved()).status == .outcomeUnknown)
        // And the next one is not even begun.
        let next = try Answer.only(client.send(Ask.put("z", "1")))
        #expect(next.status == .readOnly)
        #expect(next.text == rig.fake.refusal.text)
        rig.fake.refusal.isDiskFull = true
        #expect(try Answer.only(client.send(Ask.put("z", "1"))).status == .diskFull)
        #expect(try Answer.only(client.send(Ask.create("z"))).status == .diskFull)
    }

    @Test func `reads of what is on the medium go on when the log fails`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.put("k", "v"))
        rig.sync()
        _ = client.logMoved()
        Self.failing(rig)
        #expect(try Answer.only(client.send(Ask.get("k"))).text == "v")
        #expect(try Answer.only(client.send(Ask.get("none"))).status == .notFound)
    }

    @Test func `in HTTP a write of a log that failed is a 500 that is not to be repeated, and a read a 503`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        client.send(Web.request("PUT /kv/default/k", body: "v") + Web.request("GET /kv/default/k") + Web.request("HEAD /kv/default/k"))
        Self.failing(rig)
        let bytes = client.logMoved()
        let heads = bytes.text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
        #expect(heads == ["500", "503", "503"])
        // The reply to HEAD has no body in the log's failure either.
        #expect(bytes.text.hasSuffix("\r\n\r\n"))
        #expect(bytes.text.contains("x-should-retry: false"))
        let next = try HTTPAnswer.only(client.send(Web.request("PUT /kv/default/z", body: "v")))
        #expect(next.status == 503)
        #expect(next.text.contains(rig.fake.refusal.text))
    }

    @Test func `a snapshot asked for while the log is full or failed is refused as a write is`() throws {
        let (rig, client) = try Self.open()
        Self.failing(rig)
        for isDiskFull in [true, false] {
            rig.fake.refusal.isDiskFull = isDiskFull
            let answer = try Answer.only(client.send(Ask.snapshot(id: 1)))
            let write = try Answer.only(client.send(Ask.put("k", "v", id: 1)))
            #expect(answer.status == (isDiskFull ? .diskFull : .readOnly))
            #expect(answer.text == rig.fake.refusal.text)
            #expect((answer.status, answer.text) == (write.status, write.text))
        }
        #expect(rig.fake.snapshotsRequested == 0)
    }

    @Test func `a server whose log is full or failed is ready to be read, and says that it is read-only`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /readyz"))).text == #"{"status":"ready"}"#)
        Self.failing(rig)
        let answer = try HTTPAnswer.only(client.send(Web.request("GET /readyz")))
        #expect(answer.status == 200)
        #expect(answer.text == #"{"status":"read-only"}"#)
    }

    @Test func `a server that works though somebody should look at it is ready, and says why`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        rig.fake.troubles = ["snapshots-fail", "rot"]
        let answer = try HTTPAnswer.only(client.send(Web.request("GET /readyz")))
        #expect(answer.status == 200)
        #expect(answer.text == #"{"status":"degraded","reasons":["snapshots-fail","rot"]}"#)
        Self.failing(rig)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /readyz"))).text == #"{"status":"read-only","reasons":["snapshots-fail","rot"]}"#)
    }

    @Test func `a snapshot that did not end is told so when the log fails`() throws {
        let (rig, client) = try Self.open()
        client.send(Ask.snapshot(id: 1) + Ask.snapshot(id: 2))
        rig.fake.position.snapshots = 1
        rig.fake.position.lastSnapshotFailed = true
        Self.failing(rig)
        #expect(try Answer.all(client.logMoved()).map(\.status) == [.snapshotFailed, .snapshotFailed])
    }
}
