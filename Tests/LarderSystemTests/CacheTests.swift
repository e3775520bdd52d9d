import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import Testing

/// A namespace that evicts, in the program as it runs: full, killed, started again.
@Suite("A cache", .serialized) struct CacheTests {
    private static let limit = 1 << 20

    private func memory(_ server: ServerProcess) throws -> (keys: Int, memory: Int) {
        let answer = try HTTPClient(port: server.port).call("GET", "/kv/cache")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: [String: Any]])
        let data = try #require(json["data"])
        #expect(data["eviction"] as? String == "s3-fifo")
        #expect(data["bytes_max"] as? Int == Self.limit)
        return (try #require(data["key_count"] as? Int), try #require(data["memory_bytes"] as? Int))
    }

    private func put(_ client: BinaryClient, _ numbers: Range<Int>, _ value: [UInt8]) throws {
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 500) {
            let batch = start..<min(start + 500, numbers.upperBound)
            for number in batch {
                let key = Array("k/\(number)".utf8)
                client.queue { BinaryRequest.put(key.span.bytes, value: value.span.bytes, id: $0, into: &$1) }
            }
            try client.flush()
            for _ in batch { #expect(try client.receive().answer.status == .created) }
        }
    }

    @Test func `stays within its limit, and what was deleted stays away, whenever it is killed`() throws {
        let server = ServerProcess(arguments: ["--durability", "never"])
        defer { server.removeDirectory() }
        try server.start()
        let made = ServerProcess.run(
            ["kv", "create", "--name", "cache", "--eviction", "s3-fifo", "--bytes-max", "1MiB"],
            environment: ["LARDER_SERVER": "127.0.0.1:\(server.port)"])
        #expect(made.status == 0)
        #expect(made.output.contains("memory      0 of 1048576\neviction    s3-fifo\n"), "\(made.output)")
        let value = [UInt8](repeating: 0x61, count: 200)
        // Twice the limit and more, with a snapshot on the way, so that both hold what was evicted.
        var client = try BinaryClient(port: server.port, namespace: .name("cache"))
        try put(client, 0..<6_000, value)
        #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        try put(client, 6_000..<12_000, value)
        var found = try memory(server)
        #expect(found.keys < 6_000)
        #expect(found.memory <= Self.limit + Self.limit / 32)
        // Some of these were evicted, some not.
        var deleted: [Int] = []
        for number in stride(from: 0, to: 12_000, by: 7) {
            let key = Array("k/\(number)".utf8)
            let status = try client.call { BinaryRequest.delete(key.span.bytes, id: $0, into: &$1) }.status
            #expect(status == .ok || status == .notFound)
            deleted.append(number)
        }
        for _ in 0..<2 {
            server.kill()
            try server.start()
            found = try memory(server)
            #expect(found.memory <= Self.limit + Self.limit / 32)
            #expect(found.keys > 2_000)
            client = try BinaryClient(port: server.port, namespace: .name("cache"))
            for number in deleted { #expect(try client.get("k/\(number)").status == .notFound, "k/\(number) is back") }
            #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        }
        let stats = try HTTPClient(port: server.port).call("GET", "/metrics").text
        #expect(stats.contains("larder_evicted_total "))
    }

    @Test func `the eviction of the default namespace is settled when its directory is made, and its limit is not`() throws {
        let server = ServerProcess(arguments: ["--durability", "never", "--eviction", "s3-fifo", "--bytes-max", "2MiB"])
        defer { server.removeDirectory() }
        try server.start()
        let shown = try HTTPClient(port: server.port).call("GET", "/kv/default").text
        #expect(shown.contains(#""eviction":"s3-fifo""#) && shown.contains(#""bytes_max":2097152"#), "\(shown)")
        // Until the next start, which reads the settings.
        let client = try BlockingConnection(host: "127.0.0.1", port: server.port, timeoutMilliseconds: 60_000)
        try client.send(Array("*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$9\r\nmaxmemory\r\n$3\r\n3mb\r\n*1\r\n$4\r\nPING\r\n".utf8).span.bytes)
        var answer = ByteBuffer()
        while answer.count < 12 { try client.receive(into: &answer) }
        #expect(Array(answer.bytes) == Array("+OK\r\n+PONG\r\n".utf8))
        #expect(try HTTPClient(port: server.port).call("GET", "/kv/default").text.contains(#""bytes_max":3145728"#))
        #expect(server.stop() == 0)
        try server.start()
        #expect(try HTTPClient(port: server.port).call("GET", "/kv/default").text.contains(#""bytes_max":2097152"#))
        server.kill()
        let data = server.directory + "/data"
        let refused = ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--data", data])
        #expect(refused.status != 0)
        #expect(refused.error.contains("eviction: s3-fifo"), "\(refused.error)")
        let again = ServerProcess(directory: server.directory, arguments: ["--durability", "never", "--eviction", "s3-fifo", "--bytes-max", "4MiB"])
        try again.start()
        #expect(try HTTPClient(port: again.port).call("GET", "/kv/default").text.contains(#""bytes_max":4194304"#))
        again.kill()
    }
}
