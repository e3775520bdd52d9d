import CTestProbe
import Glibc
import LarderBytes
import LarderEngine
import LarderPlatform
import LarderServer
import LarderWire
import Testing

/// What a request costs in memory once a connection has warmed up: nothing. Counted by a wrapper around the allocator.
@Suite("Allocations") struct AllocationTests {
    @Test func `the counter sees what is planted`() {
        let before = probe_allocations()
        let planted = unsafeBitCast(malloc(17), to: Int.self)
        let one = probe_allocations() - before
        free(UnsafeMutableRawPointer(bitPattern: planted))
        let object = Self.plant()
        let two = probe_allocations() - before
        #expect(planted != 0)
        #expect(one == 1)
        #expect(two >= 2, "an object of Swift is memory from the same allocator, \(object.value)")
    }

    /// Not inlined, or the object would lie on the stack.
    @inline(never) private static func plant() -> Planted { Planted(value: Int.random(in: 0...9)) }

    private final class Planted {
        let value: Int
        init(value: Int) { self.value = value }
    }

    /// Thirty-two requests in one piece.
    private static let batches: [String: [UInt8]] = {
        let keys = (0..<32).map { "key/\($0)" }
        let value = String(repeating: "v", count: 100)
        func http(_ method: String, _ key: String, _ rest: String = "") -> [UInt8] {
            Array("\(method) /kv/default/\(key) HTTP/1.1\r\nHost: localhost\r\n\(rest)\r\n".utf8)
        }
        func memcached(_ word: String, _ rest: String = "") -> [UInt8] { Array(keys.map { "\(word) \($0)\(rest)\r\n" }.joined().utf8) }
        return [
            "memcached get": memcached("get"),
            "memcached get of all": Array("get \(keys.joined(separator: " "))\r\n".utf8),
            "memcached set": memcached("set", " 5 60 100\r\n\(value)"),
            "memcached delete, a miss": memcached("delete", "/none"),
            "memcached mg": memcached("mg", " v f t c k Oxyz"),
            "memcached ms": memcached("ms", " 100 T60 F5\r\n\(value)"),
            "get": keys.flatMap { Ask.get($0, [.wantVersion]) },
            "get, a miss": keys.flatMap { Ask.get($0 + "/none") },
            "put": keys.flatMap { Ask.put($0, value) },
            "put, 1 KiB each": keys.flatMap { Ask.put($0, String(repeating: "v", count: 1_024)) },
            "put with a lifetime": keys.flatMap { Ask.put($0, value, .milliseconds(60_000)) },
            "delete and put": keys.flatMap { Ask.delete($0) + Ask.put($0, value) },
            "get over HTTP": keys.flatMap { http("GET", $0) },
            "put over HTTP": keys.flatMap { http("PUT", $0, "Content-Length: 100\r\n") + Array(value.utf8) },
            "RESP, GET": keys.flatMap { Say.words("GET \($0)") },
            "RESP, GET, a miss": keys.flatMap { Say.words("GET \($0)/none") },
            "RESP, SET": keys.flatMap { Say.words("SET \($0) \(value)") },
            "RESP, SET with options": keys.flatMap { Say.words("SET \($0) \(value) EX 60 XX") },
            "RESP, DEL and SET": keys.flatMap { Say.words("DEL \($0)") + Say.words("SET \($0) \(value)") },
            "RESP, MGET": Say.command(["MGET"] + keys),
            "RESP, INCR": keys.flatMap { Say.words("INCR \($0)/n") },
        ]
    }()

    @Test(arguments: batches.keys.sorted()) func `a request takes no memory from the allocator`(_ name: String) throws {
        try expectNoAllocations(name, WorkerRig())
    }

    /// The cache has room for fewer entries than a batch has, so that each evicts some.
    @Test func `a request to a cache that evicts takes no memory from the allocator`() throws {
        var configuration = ServerConfiguration()
        configuration.eviction = .s3fifo
        configuration.bytesMax = 8 << 10
        let bench = try WorkerRig(configuration)
        try expectNoAllocations("put, 1 KiB each", bench)
        let before = bench.rig.store.statistics().evictedEntries
        #expect(before > 100 * 8, "\(before) entries were evicted")
        try expectNoAllocations("get, a miss", bench)
    }

    private func expectNoAllocations(_ name: String, _ bench: WorkerRig) throws {
        let peer = bench.connect()
        let first = ["HTTP": "put over HTTP", "memcached": "memcached set", "RESP": "RESP, SET"].first { name.contains($0.key) }?.value ?? "put"
        if first == "put" { _ = peer.ask(Ask.hello()) }
        _ = peer.ask(try #require(Self.batches[first]))
        let requests = try #require(Self.batches[name])
        var drained = ByteBuffer()
        func round() -> Int {
            peer.send(requests)
            let before = probe_allocations()
            bench.turn()
            let taken = probe_allocations() - before
            #expect(!peer.receive().isEmpty)
            // As the log's thread does: what is staged goes.
            _ = bench.rig.buffer.take(into: &drained)
            drained.removeAll()
            return taken
        }
        // Buffers grow to what they are needed for, tables to what they hold.
        for _ in 0..<20 { _ = round() }
        let taken = (0..<100).map { _ in round() }
        #expect(taken.allSatisfy { $0 == 0 }, "\(taken)")
    }
}
