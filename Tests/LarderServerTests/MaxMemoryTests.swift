import LarderBytes
import LarderEngine
import LarderWire
import Testing

@testable import LarderServer

/// `CONFIG SET maxmemory`: the limit of the namespace `default`.
@Suite("CONFIG SET maxmemory") struct MaxMemoryTests {
    private static func shown(_ client: Client) throws -> String? { try client.ask("CONFIG GET maxmemory").items.last?.string }

    private static func caching(_ bytesMax: Int) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.durability = .off
        configuration.eviction = .s3fifo
        configuration.bytesMax = bytesMax
        configuration.memoryBytesMax = 100 << 20
        return configuration
    }

    @Test(arguments: [
        ("100", 100), ("100b", 100), ("100k", 100_000), ("100kb", 102_400), ("5M", 5_000_000), ("5Mb", 5 << 20), ("1g", 1_000_000_000),
        ("1GB", 1 << 30), ("0", 0), ("0gb", 0), ("72057594037927935", 1 << 56 - 1),
    ])
    func `amounts are read as Redis reads them, and shown in bytes`(_ text: String, _ bytes: Int) throws {
        let rig = Rig()
        let client = Client(rig)
        #expect(try Self.shown(client) == "0", "no limit")
        #expect(try client.ask("CONFIG SET maxmemory \(text)") == .simple("OK"))
        #expect(try Self.shown(client) == "\(bytes)")
        #expect(try client.ask("INFO memory").string?.contains("\r\nmaxmemory:\(bytes)\r\n") == true)
        #expect(try client.ask("INFO memory").string?.contains("\r\ntotal_system_memory:\(rig.store.memoryBytesMax)\r\n") == true)
        #expect(rig.store.namespaces.default.settings.bytesMax == bytes)
    }

    @Test(arguments: ["-1", "x", "1.5gb", "10tb", "kb", "+1", "100 kb", "72057594037927936", "9223372036854775807gb", "99999999999999999999"])
    func `what is no amount is refused, and nothing is set`(_ text: String) throws {
        let client = Client(Rig())
        _ = try client.ask("CONFIG SET maxmemory 7mb")
        #expect(try client.ask(["CONFIG", "SET", "timeout", "70", "maxmemory", text]) == .error(
            "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"))
        #expect(try Self.shown(client) == "7340032")
        #expect(try client.ask("CONFIG GET timeout").items.last == .text("0"))
    }

    @Test func `the limit counts what was there before it`() throws {
        let client = Client(Rig())
        let value = String(repeating: "v", count: 1_000)
        for number in 0..<40 { #expect(try client.ask(["SET", "k\(number)", value]) == .simple("OK")) }
        #expect(try client.ask("CONFIG SET maxmemory 30kb") == .simple("OK"))
        for number in 40..<44 { #expect(try client.ask(["SET", "k\(number)", value]).isError) }
        #expect(try client.ask(["SET", "k1", "shorter"]) == .simple("OK"))
        #expect(try client.ask("CONFIG SET maxmemory 0") == .simple("OK"))
        #expect(try client.ask(["SET", "k40", value]) == .simple("OK"))
    }

    @Test func `where entries are evicted 0 is what it is in the configuration, and there is a least`() throws {
        let rig = Rig(Self.caching(8 << 20))
        let client = Client(rig)
        #expect(try Self.shown(client) == "8388608")
        for number in 0..<500 { client.send(Say.command(["SET", "k\(number)", String(repeating: "v", count: 10_000)])) }
        #expect(try client.ask("CONFIG SET maxmemory 1048575") == .error(
            "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be 0, or 1048576 and more where entries are evicted"))
        #expect(try client.ask("CONFIG SET maxmemory 1mb") == .simple("OK"))
        while rig.store.maintain(now: rig.now, budget: 10_000).hasMore {}
        #expect((50..<110).contains(rig.store.usage(of: rig.store.namespaces.default).keys))
        #expect(try client.ask("CONFIG SET maxmemory 0") == .simple("OK"))
        #expect(try Self.shown(client) == "\(75 << 20)")
    }

    @Test func `when the log refuses, the reason is told and nothing is set`() throws {
        let rig = Rig()
        let client = Client(rig)
        rig.buffer.refuse()
        #expect(try client.ask("CONFIG SET timeout 70 maxmemory 5mb slowlog-max-len 9") == .error(
            "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - log/00000001: Input/output error"))
        #expect(try client.ask("CONFIG GET timeout").items.last == .text("0"))
        #expect(try client.ask("CONFIG GET slowlog-max-len").items.last == .text("128"))
        #expect(try Self.shown(client) == "0")
        #expect(try client.ask("CONFIG SET timeout 70 maxmemory 0") == .simple("OK"), "as it is")
        rig.buffer.accept()
        // So much that nothing more is staged until some of it is written.
        for number in 0..<3 { client.send(Say.command(["SET", "k\(number)", String(repeating: "v", count: 1_000_000)])) }
        #expect(rig.buffer.isFull)
        #expect(try client.ask("CONFIG SET maxmemory 5mb") == .error(
            "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - The log is behind. Nothing was changed. Try again."))
        #expect(try Self.shown(client) == "0")
    }

    @Test func `of several settings none is set when one is refused, and none is named twice`() throws {
        let client = Client(Rig())
        for rest in ["nothing 1", "timeout x", "maxmemory 6mb", "MAXMEMORY 6mb"] {
            #expect(try client.ask("CONFIG SET maxmemory 5mb \(rest)").isError)
            #expect(try Self.shown(client) == "0")
        }
        #expect(try client.ask("CONFIG SET timeout 70 maxmemory 100") == .simple("OK"))
        #expect(try client.ask("CONFIG GET timeout").items.last == .text("70"))
        #expect(try Self.shown(client) == "100")
    }
}
