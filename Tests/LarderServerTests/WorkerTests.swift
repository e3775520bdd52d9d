import LarderEngine
import LarderPlatform
import LarderSimulation
import LarderWire
import Testing

@testable import LarderServer

@Suite("Worker") struct WorkerTests {
    static let put = "PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: "

    // MARK: Requests without end

    @Test func `a client that pipelined without end was read more in every turn`() throws {
        let bench = try WorkerRig()
        let (greedy, other) = (bench.connectOverLoopback(), bench.connect())
        let one = Array("*1\r\n$4\r\nPING\r\n".utf8)
        let requests = Array(Array(repeating: one, count: 20_000).joined())
        var sent = 0
        var read: [UInt64] = []
        for _ in 0..<20 {
            while case let count = greedy.send(requests[(sent % one.count)...]), count > 0 { sent += count }
            let before = bench.worker.metrics.receivedBytes.total
            other.send(one)
            bench.turn()
            read.append(bench.worker.metrics.receivedBytes.total - before)
            #expect(other.receive() == Array("+PONG\r\n".utf8))
            _ = greedy.receive()
        }
        let share = UInt64(WorkerLoop.receivesPerTurn * WorkerLoop.inputBytes + one.count)
        #expect(read.allSatisfy { $0 <= share } && read.contains { $0 > share / 2 }, "\(read)")
    }

    // MARK: Requests that do not arrive

    @Test func `a request that came too slowly was closed without a word`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        #expect(try Answer.only(peer.ask(Ask.hello())).status == .ok)
        #expect(try Answer.all(peer.ask(Ask.ping(id: 8) + Ask.put("key", "value", id: 9).dropLast(3))).map(\.id) == [8])
        bench.pass(seconds: 60)
        #expect(peer.receive().isEmpty)
        bench.pass(seconds: 2)
        let answer = try Answer.only(peer.receive())
        #expect(answer.status == .requestTimeout)
        #expect(answer.id == 9)
        #expect(peer.sawEnd)
    }

    @Test(arguments: ["GET /kv/def", put + "5\r\n\r\nhel", put + "5\r\nExpect: 100-continue\r\n\r\n", "PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"])
    func `over HTTP too`(_ request: String) throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        #expect(try HTTPAnswer.only(peer.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200)
        _ = peer.ask(request)
        bench.pass(seconds: 62)
        let answer = try HTTPAnswer.only(peer.receive())
        #expect(answer.status == 408)
        #expect(answer.fields["Connection"] == "close")
        #expect(peer.sawEnd)
        #expect(bench.rig.entries == 0)
    }

    @Test func `a connection that asks nothing is closed without a word where it has to log in`() throws {
        let open = try WorkerRig()
        let silent = open.connect()
        open.pass(seconds: 1_000)
        #expect(open.connections == 1 && !silent.sawEnd)
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("open-sesame-1234".utf8))
        let bench = try WorkerRig(configuration)
        let peer = bench.connect()
        bench.pass(seconds: 10)
        #expect(bench.connections == 1)
        bench.pass(seconds: 2)
        #expect(peer.receive().isEmpty && peer.sawEnd)
        bench.pass(seconds: 4)
        #expect(bench.connections == 0)
    }

    @Test func `an upload that took longer than the time for a request was cut off although it went on`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        let value = [UInt8](repeating: 7, count: 1_000_000)
        peer.send(Self.put + "\(value.count)\r\n\r\n")
        for start in stride(from: 0, to: value.count, by: 5_000) {
            #expect(peer.receive().isEmpty)
            peer.send(value[start..<(start + 5_000)])
            bench.pass(seconds: 1)
        }
        #expect(try HTTPAnswer.only(peer.receive()).status == 201)
    }

    @Test func `a sender of a byte a second is cut off all the same`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        #expect(try Answer.only(peer.ask(Ask.hello())).status == .ok)
        peer.send(Ask.put("key", String(repeating: "x", count: 1_000)).prefix(100))
        var seconds = 0
        while !peer.sawEnd, seconds < 900 {
            peer.send([7])
            bench.pass(seconds: 1)
            seconds += 1
            _ = peer.receive()
        }
        #expect((60...63).contains(seconds))
    }

    @Test func `an idle connection of HTTP is closed, one of binary is not`() throws {
        let bench = try WorkerRig()
        let (web, binary) = (bench.connect(), bench.connect())
        #expect(try HTTPAnswer.only(web.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200)
        #expect(try Answer.only(binary.ask(Ask.hello())).status == .ok)
        bench.pass(seconds: 299)
        #expect(bench.connections == 2)
        bench.pass(seconds: 3)
        #expect(web.receive().isEmpty && web.sawEnd)
        bench.pass(seconds: 10_000)
        #expect(try Answer.only(binary.ask(Ask.ping())).status == .ok)
        #expect(bench.connections == 1)
    }

    // MARK: Refusals that close

    @Test func `after a refused Expect the socket stayed open until it had been idle for minutes`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        let head = "PUT /kv/nowhere/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        let answer = try HTTPAnswer.only(peer.ask(head))
        #expect(answer.status == 404)
        #expect(answer.fields["Connection"] == "close")
        #expect(peer.sawEnd)
        // A body that comes all the same is thrown away.
        #expect(peer.ask("hello" + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").isEmpty)
        bench.pass(seconds: 3)
        #expect(bench.connections == 0)
    }

    @Test func `whoever still sends after a refusal gets to read it`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect()
        peer.send(Self.put + "99999999\r\n\r\n")
        let piece = [UInt8](repeating: 1, count: 50_000)
        for _ in 0..<40 {
            #expect(peer.send(piece) > 0)
            bench.turn()
        }
        #expect(try HTTPAnswer.only(peer.receive()).status == 413)
        bench.pass(seconds: 3)
        #expect(peer.send(piece) == -1)
        #expect(bench.connections == 0)
    }

    @Test func `a peer that goes when it is told takes its connection with it`() throws {
        let bench = try WorkerRig()
        do {
            let peer = bench.connect()
            #expect(try HTTPAnswer.only(peer.ask("GET /healthz HTTP/1.0\r\n\r\n")).status == 200)
            #expect(peer.sawEnd)
            #expect(bench.connections == 1)
        }
        bench.turn()
        #expect(bench.connections == 0)
    }

    // MARK: Clients that do not take their replies

    /// Asks for 1 MB a hundred times, and takes nothing.
    private static func flood(_ bench: WorkerRig) throws -> Peer {
        let peer = bench.connect()
        _ = peer.ask(Ask.hello())
        #expect(try Answer.only(peer.ask(Ask.put("k", String(repeating: "x", count: 100_000)))).status == .created)
        var requests: [UInt8] = []
        for id in 0..<100 as Range<UInt32> { requests += Ask.get("k", id: id) }
        peer.send(requests)
        for _ in 0..<20 { bench.turn() }
        return peer
    }

    @Test func `a client that takes nothing is not read, and gets everything when it does`() throws {
        let bench = try WorkerRig()
        let peer = try Self.flood(bench)
        let received = bench.rig.metrics.receivedBytes.total
        var sent = 0
        // It is not read: sooner or later the kernel takes no more.
        while case let count = peer.send(Ask.get("k", id: 1_000)), count > 0 {
            sent += 1
            bench.turn()
        }
        #expect(bench.rig.metrics.receivedBytes.total == received)
        var bytes: [UInt8] = []
        var idle = 0
        while idle < 3 {
            let more = peer.receive()
            idle = more.isEmpty ? idle + 1 : 0
            bytes += more
            bench.turn()
        }
        let answers = try Answer.all(bytes)
        #expect(answers.prefix(100).map(\.id) == Array(0..<100))
        #expect(answers.count >= 100 + sent - 1)
        #expect(answers.allSatisfy { $0.payload.count == 100_000 })
    }

    @Test func `a client that takes nothing for a minute is disconnected`() throws {
        let bench = try WorkerRig()
        let peer = try Self.flood(bench)
        bench.pass(seconds: 60)
        #expect(bench.connections == 1)
        bench.pass(seconds: 2)
        #expect(bench.connections == 0)
        _ = peer.receive()
        #expect(peer.sawEnd)
    }

    @Test func `a client that takes a little now and then is not`() throws {
        let bench = try WorkerRig()
        let peer = try Self.flood(bench)
        for _ in 0..<10 {
            bench.pass(seconds: 50)
            // The kernel reports room when a good part of its buffer is empty.
            #expect(peer.receive(upTo: 400_000).count > 100_000)
            bench.turn()
        }
        #expect(bench.connections == 1)
    }

    // MARK: One too many

    @Test func `a connection too many was closed without a word`() throws {
        let bench = try WorkerRig()
        let (web, binary) = (bench.connect(isTurnedAway: true), bench.connect(isTurnedAway: true))
        #expect(bench.turnedAway == 2)
        let refusal = try HTTPAnswer.only(web.ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        #expect(refusal.status == 503)
        #expect(refusal.fields["Connection"] == "close")
        let answer = try Answer.only(binary.ask(Ask.hello(id: 77) + Ask.ping()))
        #expect(answer.status == .tooManyConnections)
        #expect(answer.id == 77)
        #expect(web.sawEnd && binary.sawEnd)
        bench.pass(seconds: 3)
        #expect(bench.turnedAway == 0)
        #expect(bench.connections == 0)
    }

    @Test func `a connection too many that says nothing goes soon`() throws {
        let bench = try WorkerRig()
        let peer = bench.connect(isTurnedAway: true)
        bench.pass(seconds: 5)
        #expect(peer.receive().isEmpty && peer.sawEnd)
        #expect(bench.turnedAway == 0)
    }

    // MARK: Stopping

    @Test func `a stop answers what has arrived and closes`() throws {
        let bench = try WorkerRig()
        let (asking, idle) = (bench.connect(), bench.connect())
        _ = asking.ask(Ask.hello())
        asking.send(Ask.put("k", "v", id: 1) + Ask.get("k", id: 2))
        bench.worker.stop()
        while bench.turn() {}
        #expect(try Answer.all(asking.receive()).map(\.id) == [1, 2])
        #expect(idle.receive().isEmpty)
        #expect(asking.sawEnd && idle.sawEnd)
        #expect(bench.connections == 0)
    }

    @Test func `a stop tells whoever was in the midst of a request`() throws {
        let bench = try WorkerRig()
        let (web, binary) = (bench.connect(), bench.connect())
        _ = web.ask(Self.put + "5\r\n\r\nhel")
        _ = binary.ask(Ask.hello())
        _ = binary.ask(Array(Ask.put("k", "v", id: 5).dropLast()))
        bench.worker.stop()
        while bench.turn() {}
        #expect(try HTTPAnswer.only(web.receive()).status == 503)
        let answer = try Answer.only(binary.receive())
        #expect(answer.status == .shuttingDown)
        #expect(answer.id == 5)
    }

    @Test func `a stop waits for the log, and takes nothing more meanwhile`() throws {
        let bench = try WorkerRig(waits: true)
        let peer = bench.connect()
        _ = peer.ask(Ask.hello())
        #expect(peer.ask(Ask.put("k", "v", id: 1)).isEmpty)
        bench.worker.stop()
        for _ in 0..<5 { #expect(bench.turn()) }
        peer.send(Ask.put("late", "v", id: 2))
        for _ in 0..<5 { #expect(bench.turn()) }
        #expect(peer.receive().isEmpty)
        bench.rig.sync()
        bench.worker.logMoved()
        while bench.turn() {}
        #expect(try Answer.only(peer.receive()).id == 1)
        #expect(bench.rig.entries == 1)
    }

    @Test func `a stop lets a slow client have its replies until the time is over`() throws {
        for takes in [true, false] {
            let bench = try WorkerRig()
            let peer = try Self.flood(bench)
            bench.rig.server.drainDeadline = bench.rig.server.time.now() + 5_000
            bench.worker.stop()
            for _ in 0..<10 { #expect(bench.turn()) }
            if takes {
                var bytes: [UInt8] = []
                while bench.turn() { bytes += peer.receive() }
                bytes += peer.receive()
                #expect(try Answer.all(bytes).count == 100)
            } else {
                bench.rig.clock.advance(milliseconds: 5_001)
                #expect(!bench.turn())
            }
            #expect(bench.connections == 0)
        }
    }

    @Test func `requests that lay here while replies waited were executed, and the log not told`() throws {
        let bench = try WorkerRig(waits: true)
        let peer = bench.connect()
        _ = peer.ask(Ask.hello())
        var told = (applied: LSN.zero, wantsSync: false)
        bench.rig.fake.onEndTurn = { [buffer = bench.rig.buffer] in
            // Wanted once, it is done.
            told = (buffer.appliedLSN, told.applied == buffer.appliedLSN && told.wantsSync || $0)
        }
        // More than may wait for the log at a time.
        peer.send((0..<1_500).flatMap { Ask.put("key/\($0)", "v", id: $0) })
        bench.turn()
        #expect((1_000..<1_500).contains(bench.rig.entries), "\(bench.rig.entries) of 1,500 executed")
        while bench.rig.entries < 1_500 {
            let before = bench.rig.entries
            bench.rig.sync()
            bench.worker.logMoved()
            bench.turn()
            try #require(bench.rig.entries > before)
            #expect(told == (bench.rig.buffer.appliedLSN, true))
        }
    }

    // MARK: Listings

    @Test func `a first listing was made in one go while all others waited`() throws {
        var configuration = ServerConfiguration()
        configuration.durability = .off
        let bench = try WorkerRig(configuration)
        let store = bench.rig.store
        for number in 0..<100_000 {
            let key = Array("key/\(number)".utf8)
            let namespace = store.namespaces.default
            _ = store.put(
                namespace, key: key.span.bytes, hash: store.hash(namespace, key.span.bytes), value: key.span.bytes,
                now: bench.rig.now)
        }
        let (lister, other) = (bench.connect(), bench.connect())
        _ = lister.ask(Ask.hello())
        _ = other.ask(Ask.hello())
        lister.send(Ask.list(limit: 10, id: 1) + Ask.ping(id: 2))
        var turns = 0
        var replies: [UInt8] = []
        while replies.isEmpty, turns < 1_000 {
            #expect(try Answer.only(other.ask(Ask.get("key/\(turns)"))).status == .ok)
            replies = lister.receive()
            turns += 1
        }
        // In order: the ping waits for the listing.
        #expect(try Answer.all(replies).map(\.id) == [1, 2])
        #expect((10...60).contains(turns), "\(turns) turns")
        #expect(try Answer.page(Ask.firstFrame(of: replies)).items.count == 10)
        // From now on the order is kept.
        #expect(try Answer.page(lister.ask(Ask.list(limit: 1_000))).items.count == 1_000)
    }
}

extension Ask {
    /// The first of several replies.
    static func firstFrame(of bytes: [UInt8]) -> [UInt8] {
        let count = bytes[8..<12].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        return Array(bytes.prefix(12 + count))
    }
}
