import Foundation
import LarderBytes
import LarderWire
import Testing

/// Defects of the running program, each named for what was wrong.
@Suite("Regressions of the program", .serialized) struct RegressionTests {
    @Test func `a client that reads was cut off when its pipelined replies passed the limit`() throws {
        let server = ServerProcess(arguments: ["--durability", "never"])
        defer { server.removeDirectory() }
        try server.start()
        let value = [UInt8](repeating: 0x5A, count: 1_048_576)
        let client = try BinaryClient(port: server.port)
        #expect(try client.put("big", value).status == .created)
        let key = Array("big".utf8)
        for _ in 0..<40 { client.queue { BinaryRequest.get(key.span.bytes, id: $0, into: &$1) } }
        try client.flush()
        for _ in 0..<40 { #expect(try client.receive().answer.value.count == value.count) }

        let http = try HTTPClient(port: server.port)
        try http.send(raw: Array(String(repeating: "GET /kv/default/big HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", count: 40).utf8))
        for _ in 0..<40 { #expect(try http.receive().body.count == value.count) }
    }

    @Test func `the largest permitted value limit ended the process at the start`() throws {
        let server = ServerProcess(arguments: ["--value-bytes-max", "16MiB", "--durability", "never"])
        defer { server.removeDirectory() }
        try server.start()
        let value = [UInt8](repeating: 7, count: 16 << 20)
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/huge", body: value).status == 201)
        for _ in 0..<3 { try http.send("GET", "/kv/default/huge") }
        for _ in 0..<3 { #expect(try http.receive().body == value) }
    }

    @Test func `a value of 16 MiB was more than the server could take`() throws {
        let server = ServerProcess(arguments: ["--value-bytes-max", "16MiB"])
        defer { server.removeDirectory() }
        try server.start()
        // No two of its places look alike, so that a part that went elsewhere shows.
        let value = (0..<(16 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        let key = String(repeating: "k", count: 256)
        let type = String(repeating: "t", count: 255)
        let binary = try BinaryClient(port: server.port)
        #expect(try binary.put(key, value, lifetime: .milliseconds(3_600_000), contentType: type).status == .created)
        #expect(try binary.put("over", value + [0]).status == .valueTooLarge)
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/http", body: value).status == 201)
        // Refused from its head, before any of it is sent.
        let refused = try HTTPClient(port: server.port)
        try refused.send(raw: Array("PUT /kv/default/over HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16777217\r\n\r\n".utf8))
        #expect(try refused.receive().status == 413)

        func check() throws {
            let client = try BinaryClient(port: server.port)
            let answer = try client.get(key)
            #expect(answer.value == value && answer.contentType == type)
            #expect(try client.get("http").value == value)
            #expect(try client.get("over").status == .notFound)
            #expect(try HTTPClient(port: server.port).call("GET", "/kv/default/\(key)").body == value)
            // One byte more does not fit, and changes nothing.
            let suffix: [UInt8] = [0]
            let grown = try client.call { BinaryRequest.append(Array("http".utf8).span.bytes, value: suffix.span.bytes, id: $0, into: &$1) }
            #expect(grown.status == .valueTooLarge)
        }
        try check()
        // From the log alone.
        server.kill()
        try server.start()
        try check()
        // From a snapshot.
        #expect(try BinaryClient(port: server.port).call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        server.kill()
        let checked = ServerProcess.run(["check", server.directory + "/data"])
        #expect(checked.status == 0, "\(checked.output)")
        try server.start()
        try check()
    }

    @Test func `a connection too many was closed without a word`() throws {
        let server = ServerProcess(arguments: ["--connections-max", "2", "--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        let (first, second) = (try BinaryClient(port: server.port), try HTTPClient(port: server.port))
        #expect(try second.call("GET", "/healthz").status == 200)
        let refused = #expect(throws: BinaryClient.Refused.self) { try BinaryClient(port: server.port) }
        #expect(refused?.status == .tooManyConnections)
        let turnedAway = try HTTPClient(port: server.port)
        #expect(try turnedAway.call("GET", "/healthz").status == 503)
        #expect(try first.put("k", [1]).status == .created)
    }

    @Test func `restarts without writes piled up segments without end`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        #expect(try BinaryClient(port: server.port).put("k", [1]).status == .created)
        var most = 0
        for _ in 0..<14 {
            server.kill()
            try server.start()
            // The snapshot that a start with many segments asks for is waited for by one that is asked for behind it.
            let client = try BinaryClient(port: server.port)
            let segments = try FileManager.default.contentsOfDirectory(atPath: server.directory + "/data").filter { $0.hasPrefix("wal-") }
            most = max(most, segments.count)
            #expect(try client.get("k").value == [1])
            if segments.count > 5 { #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok) }
        }
        #expect(most <= 8, "\(most) segments")
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a signal during loading was heard only when all was loaded`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        server.kill()
        // Whoever loads is held behind the first look at a segment.
        let point = KillPoint("a segment is being read", behind: "pread64", of: "/wal-#")
        server.wrapper = CallTrace.wrapper(point, server, output: server.directory + "/trace")
        let loading = try server.startLoading()
        #expect(server.stop() == 0)
        #expect(loading.wait(for: "stopped while loading", seconds: 20) != nil, "\(loading.text)")
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit")))
    func `a limit on addresses ended the server with a line about an allocation, after it had begun to listen`() throws {
        let server = ServerProcess(arguments: ["--workers", "2"])
        defer { server.removeDirectory() }
        server.wrapper = ["/usr/bin/prlimit", "--as=1000000000"]
        #expect(throws: (any Error).self) { try server.start() }
        #expect(server.waitForEnd() == 1)
        #expect(server.logText.contains("(ulimit -v, LimitAS), and needs 1073741824 at least"), "\(server.logText)")
        #expect(!server.logText.contains("listening"))
        server.wrapper = ["/usr/bin/prlimit", "--as=1100000000"]
        try server.start()
        let client = try BinaryClient(port: server.port)
        for number in 0..<100 { #expect(try client.put("k\(number)", [UInt8](repeating: 1, count: 1 << 20)).status == .created) }
        #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        #expect(server.stop() == 0)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit")))
    func `clients took the descriptors that the log needed`() throws {
        let server = ServerProcess(arguments: ["--workers", "2", "--snapshot-log-bytes", "1MiB"])
        server.wrapper = ["/usr/bin/prlimit", "--nofile=160:160"]
        defer { server.removeDirectory() }
        try server.start()
        #expect(server.waitForLog("connections may be open: the system allows this process 160 open files", seconds: 20), "\(server.logText)")
        let client = try BinaryClient(port: server.port)
        #expect(try client.put("before", [1]).status == .created)
        var others: [HTTPClient] = []
        for _ in 0..<200 { if let other = try? HTTPClient(port: server.port) { others.append(other) } }
        // A new segment each MiB, and snapshots.
        let value = [UInt8](repeating: 1, count: 500_000)
        for index in 0..<150 { #expect(try client.put("k/\(index)", value).status == .created) }
        #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        #expect(!server.logText.contains("Too many open files"), "\(server.logText)")
        withExtendedLifetime(others) {}
    }

    @Test func `check said that an orderly stop was none`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        #expect(try BinaryClient(port: server.port).put("k", [1]).status == .created)
        #expect(server.stop() == 0)
        let result = ServerProcess.run(["check", server.directory + "/data"])
        #expect(result.status == 0)
        #expect(result.output.contains("stopped in order") && !result.output.contains("not stopped in order"), "\(result.output)")
    }

    @Test func `check did not look at the log that only the older snapshot needs`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        for round in 0..<2 {
            #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
            for index in 0..<200 { _ = try client.put("k/\(round)/\(index)", Array("value".utf8)) }
        }
        #expect(server.stop() == 0)
        let data = server.directory + "/data"
        #expect(ServerProcess.run(["check", data]).status == 0)
        let oldest = try #require(try FileManager.default.contentsOfDirectory(atPath: data).filter { $0.hasPrefix("wal-") }.min())
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: data + "/" + oldest))
        try handle.seek(toOffset: 4_096 + 1_000)
        try handle.write(contentsOf: Data(repeating: 0xA5, count: 64))
        try handle.close()
        let result = ServerProcess.run(["check", data])
        #expect(result.status == 1, "\(result.output)")
        #expect(result.output.contains(oldest), "\(result.output)")
        // A start does not need it.
        try server.start()
        #expect(try BinaryClient(port: server.port).get("k/1/199").value == Array("value".utf8))
    }
}
