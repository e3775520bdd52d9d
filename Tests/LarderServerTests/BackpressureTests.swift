import LarderEngine
import LarderSimulation
import LarderWire
import Testing

@testable import LarderServer

@Suite("Backpressure") struct BackpressureTests {
    @Test func `a client that takes no replies is not read until it does`() throws {
        let rig = Rig()
        let client = Client(rig)
        client.send(Ask.hello())
        client.send(Ask.put("k", "v"))
        client.unsent = rig.server.configuration.outputBytesSoft + 1
        #expect(client.send(Ask.get("k", id: 1) + Ask.get("k", id: 2)).isEmpty)
        #expect(client.isFull)
        #expect(client.unread == 2 * 13)
        #expect(client.proceed().isEmpty)
        client.unsent = 0
        #expect(try Answer.all(client.proceed()).map(\.id) == [1, 2])
        #expect(!client.isFull)
        #expect(client.unread == 0)
    }

    @Test func `a client that sent nothing more is not held up`() {
        let client = Client(Rig())
        client.send(Ask.hello())
        client.unsent = 1 << 30
        client.proceed()
        #expect(!client.isFull)
    }

    @Test(arguments: [false, true])
    func `requests for many large values stop at the soft bound, and all are answered in the end`(_ isHTTP: Bool) throws {
        let rig = Rig()
        let client = Client(rig)
        let value = String(repeating: "x", count: 1_000_000)
        let setUp = Client(rig)
        setUp.send(Ask.hello() + Ask.put("a=1", value))
        if !isHTTP { client.send(Ask.hello()) }
        // In HTTP with something that is decoded in place, which must happen once.
        let one = isHTTP ? Web.request("GET /kv/default/a%3D1") : Ask.get("a=1")
        var requests: [UInt8] = []
        for _ in 0..<100 { requests += one }
        var replies = client.sendOnce(requests)
        var rounds = 0
        var total = 0
        while true {
            total += replies.count
            #expect(replies.count <= rig.server.configuration.outputBytesSoft + 2 * value.utf8.count)
            guard client.isFull || client.isUnfinished, rounds < 1_000 else { break }
            rounds += 1
            replies = client.proceedOnce()
        }
        #expect(client.unread == 0)
        if isHTTP {
            #expect(total % 100 == 0 && total / 100 > value.utf8.count)
        } else {
            #expect(total == 100 * (value.utf8.count + 12))
        }
    }

    @Test func `a connection whose replies all wait for the log is not read beyond a bound`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        client.send(Ask.hello())
        var requests: [UInt8] = []
        for number in 0..<3_000 { requests += Ask.put("k", "v", id: UInt32(number)) }
        #expect(client.send(requests).isEmpty)
        #expect(client.isFull)
        let held = client.heldCount
        #expect(held >= Session.heldRepliesMax && held < Session.heldRepliesMax + CommandBatch.size)
        var ids: [UInt32] = []
        for _ in 0..<10 {
            rig.sync()
            ids += try Answer.all(client.logMoved()).map(\.id)
            #expect(client.proceed().isEmpty)
        }
        #expect(ids == Array(0..<3_000))
        #expect(client.heldCount == 0)
        #expect(!client.isFull)
    }

    @Test func `the bytes that wait for the log are bounded`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        client.send(Ask.hello())
        client.send(Ask.put("k", String(repeating: "x", count: 1_000_000), id: 0))
        var requests: [UInt8] = []
        for number in 1...40 { requests += Ask.get("k", id: UInt32(number)) }
        client.send(requests)
        #expect(client.isFull)
        #expect(client.heldBytes <= Session.heldBytesMax + 1_000_100)
        var ids: [UInt32] = []
        for _ in 0..<20 {
            rig.sync()
            ids += try Answer.all(client.logMoved()).map(\.id)
            ids += try Answer.all(client.proceed()).map(\.id)
        }
        #expect(ids == Array(0...40))
    }
}

/// A client that takes replies slowly and a log that lags change when replies come, never which.
@Suite("Slow clients") struct SlowClientTests {
    /// With room for one reply at a time, and each request looked at again and again.
    static func slowly(_ pieces: [[UInt8]]) -> [UInt8] {
        var configuration = ServerConfiguration()
        configuration.outputBytesSoft = 0
        let rig = Rig(configuration)
        rig.createNamespace("carts", .interval, .bytes)
        let client = Client(rig)
        var bytes: [UInt8] = []
        for piece in pieces where !client.isClosed {
            bytes += client.sendOnce(piece)
            while client.isFull { bytes += client.proceedOnce() }
        }
        return bytes
    }

    @Test(arguments: [ConversationTests.binary, WebTests.requests])
    func `commands that wait for room are answered as the others`(_ requests: [[UInt8]]) {
        // Without the requests whose replies hold random ids.
        let known = requests.filter { !$0.text.contains("fresh") && !$0.text.contains("storage/kvs?") && $0[1] != 0x42 }
        let whole = known.flatMap { $0 }
        let expected = ConversationTests.replies(known).count
        #expect(Self.slowly([whole]).count == expected)
        #expect(Self.slowly([whole]) == Self.slowly(known))
        for position in stride(from: 1, to: whole.count, by: 37) {
            let cut = Self.slowly([Array(whole[..<position]), Array(whole[position...])])
            // Where a body is still to come, 100 is said first.
            #expect(cut.count == expected || cut.text.contains("100 Continue"), "cut at \(position)")
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `whenever the log moves, binary replies come once each and in order`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let rig = Rig(waits: true)
        let client = Client(rig)
        client.send(Ask.hello())
        var ids: [UInt32] = []
        var sent: UInt32 = 0
        for _ in 0..<2_000 {
            switch UInt8.random(in: 0..<8, using: &random) {
            case 0: rig.sync()
            case 1: ids += try Answer.all(client.logMoved()).map(\.id)
            default:
                let key = "k\(UInt8.random(in: 0..<4, using: &random))"
                let request = switch UInt8.random(in: 0..<4, using: &random) {
                case 0: Ask.put(key, "v", id: sent)
                case 1: Ask.delete(key, id: sent)
                case 2: Ask.get(key, id: sent)
                default: Ask.ping(id: sent)
                }
                sent += 1
                ids += try Answer.all(client.send(request)).map(\.id)
            }
        }
        rig.sync()
        ids += try Answer.all(client.logMoved()).map(\.id)
        #expect(ids == Array(0..<sent), "seed \(seed)")
    }
}
