import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import Testing

/// Bad input of every kind at the running program: a clear error, nothing changed, nothing lost.
@Suite("Bad input", .serialized) struct BadInputTests {
    // MARK: Requests

    @Test func `over HTTP each kind has its status and leaves what was there`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/k?ttl_secs=1000", body: Array("old".utf8)).status == 201)

        let base = "/kv/default/"
        let large = [UInt8](repeating: 1, count: 1_048_577)
        let cases: [(String, String, [UInt8]?, Int)] = [
            ("PUT", base + "with:colon", [1], 400), ("PUT", base + "with%20space", [1], 400), ("PUT", base + "nul%00", [1], 400),
            ("PUT", base + "_reserved", [1], 400), ("PUT", base + "%2E%2E", [1], 400), ("PUT", base + ".", [1], 400),
            ("PUT", base + String(repeating: "k", count: 257), [1], 400), ("PUT", base + "double%252Fencoded", [1], 400),
            ("PUT", base + "%zz", [1], 400), ("GET", base + "%ff%fe", nil, 400), ("PUT", base + "k", large, 413),
            ("PUT", base + "k?ttl_secs=0", [1], 422), ("PUT", base + "k?ttl_secs=-1", [1], 422), ("PUT", base + "k?ttl_secs=1.5", [1], 422),
            ("PUT", base + "k?ttl_secs=abc", [1], 422), ("PUT", base + "k?ttl_secs=", [1], 422),
            ("PUT", base + "k?ttl_secs=9223372037", [1], 422), ("PUT", base + "k?ttl=5", [1], 422), ("PUT", base + "k?ttl=", [1], 422),
            ("GET", "/kv/nowhere/k", nil, 404), ("GET", "/v2/storage/kvs/not-a-uuid", nil, 400), ("GET", "/nothing", nil, 404),
            ("GET", "/v2/storage/kvs/00000000-0000-4000-8000-000000000000/keys", nil, 404), ("PATCH", base + "k", nil, 405),
        ]
        for (method, target, body, status) in cases {
            let fresh = try HTTPClient(port: server.port)
            let answer = try fresh.call(method, target, body: body)
            #expect(answer.status == status, "\(method) \(target.prefix(60)): \(answer.status) \(answer.text)")
            #expect(answer.headers["content-type"]?.hasPrefix("application/json") == true, "\(target.prefix(60)) has no envelope")
            #expect(answer.text.contains("\"errors\""))
        }
        let answer = try http.call("GET", base + "k")
        #expect(answer.body == Array("old".utf8))
        #expect(answer.status == 200)
    }

    @Test func `a chunked body one byte too large is refused, whole or in pieces`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        for pieces in [1, 16] {
            let http = try HTTPClient(port: server.port)
            try http.send(raw: Array("PUT /kv/default/big HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
            let size = 1_048_576 / pieces
            for piece in 0..<pieces {
                let length = piece == pieces - 1 ? size + 1 : size
                try http.send(raw: Array("\(String(length, radix: 16))\r\n".utf8) + [UInt8](repeating: 7, count: length) + [13, 10])
            }
            try? http.send(raw: Array("0\r\n\r\n".utf8))
            #expect(try http.receive().status == 413)
        }
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("GET", "/kv/default/big").status == 404)
        #expect(try http.call("PUT", "/kv/default/big", body: [UInt8](repeating: 7, count: 1_048_576)).status == 201)
    }

    @Test func `binary frames that cannot be understood get an error and harm nobody`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let good = try BinaryClient(port: server.port)
        #expect(try good.put("k", Array("old".utf8)).status == .created)

        // Semantic errors leave the connection usable.
        let refusals: [(String, Status)] = [
            ("with:colon", .keyIllegal), ("", .keyEmpty), (String(repeating: "k", count: 257), .keyTooLong), ("_system", .keyReserved),
            ("..", .keyIllegal),
        ]
        for (key, status) in refusals { #expect(try good.put(key, [1]).status == status, "key \(key)") }
        #expect(try good.put("k", [UInt8](repeating: 1, count: 1_048_577)).status == .valueTooLarge)
        for lifetime in [Int64(0), -1, .min] {
            #expect(try good.put("k", [1], lifetime: .milliseconds(lifetime)).status == .lifetimeInvalid)
        }
        #expect(try good.get("k").value == Array("old".utf8))
        // An operation that does not exist: opcode 0x7F, no body.
        let unknown = try good.call { id, output in
            output.append(littleEndian: UInt64(0xAD) | 0x7F << 8 | UInt64(id) << 32)
            output.append(littleEndian: UInt32(0))
        }
        #expect(unknown.status == .unknownOperation)
        // A flag that does not exist.
        let flag = try good.call { id, output in
            output.append(littleEndian: UInt64(0xAD) | 0x10 << 8 | 0x8000 << 16 | UInt64(id) << 32)
            output.append(littleEndian: UInt32(1))
            output.append(byte: UInt8(ascii: "k"))
        }
        #expect(flag.status == .unknownFlag)

        // Framing errors close the connection, after an answer where one is possible.
        let oversized = try BinaryClient(port: server.port)
        let answer = try oversized.call { id, output in
            output.append(littleEndian: UInt64(0xAD) | 0x20 << 8 | UInt64(id) << 32)
            output.append(littleEndian: UInt32.max)
        }
        #expect(answer.status == .frameTooLarge)
        #expect(throws: ConnectionError.closed) { try oversized.receive() }

        // A truncated frame: the connection ends in the middle, and nothing was written.
        var connection = ByteBuffer()
        do {
            let raw = try BlockingConnection(host: "127.0.0.1", port: server.port, timeoutMilliseconds: 10_000)
            BinaryRequest.hello(id: 1, into: &connection)
            let key = Array("truncated".utf8)
            BinaryRequest.put(key.span.bytes, value: key.span.bytes, id: 2, into: &connection)
            connection.truncate(to: connection.count - 1)
            try raw.send(connection.bytes)
        }
        #expect(try good.get("truncated").status == .notFound)
        #expect(try good.get("k").value == Array("old".utf8))
    }

    @Test func `a first byte that begins no dialect closes the connection`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        for byte in [UInt8(0), 0x16, 0x80, UInt8(ascii: "!"), 0xFF] {
            let raw = try BlockingConnection(host: "127.0.0.1", port: server.port, timeoutMilliseconds: 10_000)
            var input = ByteBuffer()
            let bytes: [UInt8] = [byte, 1, 2, 3]
            try raw.send(bytes.span.bytes)
            #expect(throws: ConnectionError.closed) { try raw.receive(into: &input) }
        }
    }

    @Test func `web pages and foreign hosts are refused on loopback without a key`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("GET", "/kv/default/k", headers: ["Origin": "https://example.org"]).status == 403)
        let other = try HTTPClient(port: server.port)
        try other.send(raw: Array("GET /kv/default/k HTTP/1.1\r\nHost: example.org\r\n\r\n".utf8))
        #expect(try other.receive().status == 403)
    }

    @Test func `with a key nothing is answered without it, in either protocol`() throws {
        let file = ServerProcess.freshDirectory() + "/key"
        _ = FileManager.default.createFile(atPath: file, contents: Data("correct-horse-battery\n".utf8), attributes: [.posixPermissions: 0o600])
        let server = ServerProcess(arguments: ["--api-key-file", file])
        defer { server.removeDirectory() }
        try server.start()
        for headers in [[:], ["Authorization": "Bearer wrong"], ["Authorization": "Basic correct-horse-battery"]] {
            let http = try HTTPClient(port: server.port)
            let answer = try http.call("GET", "/kv/nowhere/bad:key", headers: headers)
            #expect(answer.status == 401)
            #expect(answer.text.contains("10009"))
        }
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/k", headers: ["Authorization": "Bearer correct-horse-battery"], body: [1]).status == 201)
        let refused = #expect(throws: BinaryClient.Refused.self) { _ = try BinaryClient(port: server.port) }
        #expect(refused?.status == .unauthorized)
        #expect(throws: BinaryClient.Refused.self) { _ = try BinaryClient(port: server.port, key: "wrong") }
        #expect(try BinaryClient(port: server.port, key: "correct-horse-battery").get("k").value == [1])
    }

    // MARK: Starting

    @Test func `a server that cannot start says what is wrong and what to do`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        #expect(try client.put("k", [1]).status == .created)

        func refusal(_ arguments: [String]) -> String {
            let result = ServerProcess.run(["serve"] + arguments)
            #expect(result.status != 0, "\(arguments) started")
            return result.error
        }
        let data = server.directory + "/data"
        let elsewhere = ServerProcess.freshDirectory()
        // A second server on the same data directory, a port in use.
        #expect(refusal(["--listen", "127.0.0.1:0", "--data", data]).contains("\(server.processID)"))
        let inUse = refusal(["--listen", "127.0.0.1:\(server.port)", "--data", elsewhere + "/a"])
        #expect(inUse.contains("\(server.port)") && inUse.contains("in use"))
        #expect(!FileManager.default.fileExists(atPath: elsewhere + "/a"), "a port in use left a directory behind")
        // A public address without a key.
        #expect(refusal(["--listen", "0.0.0.0:0", "--data", elsewhere + "/b"]).contains("api-key-file"))
        // Settings.
        for (text, wanted) in [("no_such_setting: 1\n", "no_such_setting"), ("workers: 2\nworkers: 100000\n", "workers"), ("workers: -1\n", "workers")] {
            let file = elsewhere + "/larder.yaml"
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
            let error = refusal(["--config", file, "--listen", "127.0.0.1:0", "--data", elsewhere + "/c"])
            #expect(error.contains(wanted) && error.contains("line") || error.contains(":1") || error.contains(":2"), "\(error)")
        }
        server.kill()

        // The rule of the default namespace is stored; another is an error, not a change.
        #expect(refusal(["--listen", "127.0.0.1:0", "--data", data, "--keys", "bytes"]).contains("keys"))
    }

    @Test func `beyond the memory limit writes are refused, and data beyond it at the start, until there is more`() throws {
        let server = ServerProcess(arguments: ["--durability", "never", "--memory-max", "128MiB"])
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        let value = [UInt8](repeating: 0x61, count: 1_000_000)
        var count = 0
        var status = Status.created
        while status == .created, count < 200 {
            status = try client.put("large/\(count)", value).status
            count += 1
        }
        #expect(status == .outOfMemory)
        #expect(count > 80)
        #expect(try client.get("large/0").value == value)
        #expect(try client.put("large/0", [1]).status == .ok)
        #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        server.kill()

        let data = server.directory + "/data"
        let before = try FileManager.default.contentsOfDirectory(atPath: data).sorted()
        let refused = ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--data", data, "--memory-max", "64MiB"])
        #expect(refused.status != 0)
        #expect(refused.error.contains("memory-max") && refused.error.contains("64 MiB"), "\(refused.error)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: data).sorted() == before)

        try server.start()
        let again = try BinaryClient(port: server.port)
        #expect(try again.get("large/0").value == [1])
        for index in 1..<(count - 1) { #expect(try again.get("large/\(index)").value == value) }
    }

    @Test func `what expired while the server was down is dropped before it is ready, and told`() throws {
        let server = ServerProcess(arguments: ["--durability", "never"])
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        for index in 0..<100 { #expect(try client.put("k/\(index)", [1], lifetime: .milliseconds(1)).status == .created) }
        #expect(try client.put("stays", [1]).status == .created)
        server.kill()
        try server.start()
        #expect(server.logText.contains("recovered 1 entries"), "\(server.logText)")
        #expect(server.logText.contains("100 expired entries dropped"), "\(server.logText)")
    }

    @Test func `damaged and newer files are refused by name, and what was there is not touched`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        for index in 0..<2_000 { #expect(try client.put("k/\(index)", Array("value \(index)".utf8)).status == .created) }
        #expect(try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
        for index in 0..<2_000 { #expect(try client.put("l/\(index)", Array("value \(index)".utf8)).status == .created) }
        server.kill()
        let data = server.directory + "/data"
        #expect(ServerProcess.run(["check", data]).status == 0)

        let files = try FileManager.default.contentsOfDirectory(atPath: data)
        let manifest = data + "/MANIFEST"
        let log = data + "/" + (try #require(files.filter { $0.hasPrefix("wal-") }.max()))

        // Both manifests: with one of them damaged the other is used.
        try Self.damage([manifest, manifest + ".prev"], at: 20, server, expect: "MANIFEST")
        // In the middle of what was promised: later frames prove that it was on the medium.
        try Self.damage([log], at: 4_096 + 2_000, server, expect: "wal-")

        // All is back as it was.
        #expect(ServerProcess.run(["check", data]).status == 0)
        try server.start()
        let again = try BinaryClient(port: server.port)
        for index in 0..<2_000 {
            #expect(try again.get("k/\(index)").value == Array("value \(index)".utf8))
            #expect(try again.get("l/\(index)").value == Array("value \(index)".utf8))
        }
    }

    @Test func `a damaged directory is refused, the checker says what helps, and that helps`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let client = try BinaryClient(port: server.port)
        for index in 0..<2_000 { #expect(try client.put("k/\(index)", Array("value \(index)".utf8)).status == .created) }
        server.kill()
        let data = server.dataDirectory
        let log = data + "/" + (try #require(FileManager.default.contentsOfDirectory(atPath: data).filter { $0.hasPrefix("wal-") }.max()))
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: log))
        try handle.seek(toOffset: 100_000)
        try handle.write(contentsOf: Data([UInt8](repeating: 0x5A, count: 40)))
        try handle.close()
        for name in ["MANIFEST", "MANIFEST.prev"] { try FileManager.default.removeItem(atPath: "\(data)/\(name)") }

        let refused = ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--data", data])
        #expect(refused.status != 0 && refused.error.contains("larder check"), "\(refused.error)")
        let checked = ServerProcess.run(["check", data])
        #expect(checked.status == 1)
        for mode in ["truncate", "salvage"] {
            #expect(checked.output.contains("`larder serve --recover=\(mode) --rebuild-manifest` would keep"), "\(checked.output)")
        }
        let rescued = ServerProcess(directory: server.directory, arguments: ["--recover=salvage", "--rebuild-manifest"])
        try rescued.start()
        #expect(rescued.logText.contains("rescued (salvage)") && rescued.logText.contains("LOST: wal-"), "\(rescued.logText)")
        let reader = try BinaryClient(port: rescued.port)
        var found = 0
        for index in 0..<2_000 {
            let answer = try reader.get("k/\(index)")
            if answer.status == .notFound { continue }
            #expect(answer.value == Array("value \(index)".utf8))
            found += 1
        }
        #expect(found > 1_900 && found < 2_000)
        rescued.kill()
        #expect(try FileManager.default.contentsOfDirectory(atPath: data).contains { $0.hasPrefix("aside-") && $0.contains("-wal-") })
        // It can be given again, and does nothing then.
        try rescued.start()
        #expect(rescued.logText.contains("nothing had to be rescued"), "\(rescued.logText)")
    }

    /// Flips a byte of each file, expects that the server and the checker name it, and puts the bytes back.
    static func damage(_ paths: [String], at offset: UInt64, _ server: ServerProcess, expect name: String) throws {
        func flip() throws {
            for path in paths {
                let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
                try handle.seek(toOffset: offset)
                let byte = try #require(try handle.read(upToCount: 1)?.first)
                try handle.seek(toOffset: offset)
                try handle.write(contentsOf: Data([byte ^ 0x10]))
                try handle.close()
            }
        }
        try flip()
        let data = server.directory + "/data"
        let started = ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--data", data])
        #expect(started.status != 0, "the server started on a damaged \(name)")
        #expect(started.error.contains(name), "\(started.error)")
        let checked = ServerProcess.run(["check", data])
        #expect(checked.status == 1, "\(checked.output) \(checked.error)")
        #expect((checked.output + checked.error).contains(name))
        try flip()
    }
}
