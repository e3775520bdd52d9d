// The client against a server that reads from a script.

import Glibc
import LarderBytes
import LarderPlatform
import LarderServer
import LarderWire
import Synchronization
import Testing

@testable import LarderProgram

/// Serves one connection: every request is decoded and handed to `answer`, which writes the reply. Ends when the client
/// goes away.
private final class ScriptedServer: Sendable {
    let location: ServerLocation
    private let thread: LarderPlatform.Thread

    init(_ answer: @escaping @Sendable (Command, [UInt8], inout ByteBuffer) -> Void) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, length)
                _ = listen(listener, 1)
                _ = getsockname(listener, $0, &length)
            }
        }
        location = ServerLocation(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
        thread = try LarderPlatform.Thread(name: "scripted") {
            let connection = Socket(adopting: accept(listener, nil, nil))
            close(listener)
            var input = ByteBuffer()
            var decoder = BinaryDecoder(frameBytesMax: 1 << 20)
            while case .bytes = connection.receive(into: &input, minimum: 4_096) {
                var position = 0
                var command = Command()
                while decoder.decode(input, at: &position, into: &command) == .command {
                    var output = ByteBuffer()
                    answer(command, Array(input.span(command.key)), &output)
                    _ = connection.send(output.bytes)
                }
                input.consume(position)
            }
        }
    }

    func finish() { thread.join() }
}

@Suite("Key-value client") struct KeyValueClientTests {
    private static let greeting = HelloReply(
        overtake: false, keyRule: .path, durability: .always, frameBytesMax: 2_000_000, valueBytesMax: 1_048_576,
        namespace: (1, 2))

    @Test func `values come back byte for byte and a miss is nil`() throws {
        let server = try ScriptedServer { command, key, output in
            switch command.operation {
            case .hello: BinaryReply.hello(Self.greeting, to: command, into: &output)
            case .get where key == Array("here".utf8):
                let value: [UInt8] = [0, 255, 10, 13]
                BinaryReply.entry(
                    EntryReply(value: value.span.bytes, contentType: RawSpan(), version: 1, remaining: nil), to: command,
                    into: &output)
            default: BinaryReply.done(.notFound, version: 0, to: command, into: &output)
            }
        }
        do {
            var client = try KeyValueClient.connect(to: server.location, key: nil, namespace: .name("a"))
            let hit = try client.get(Array("here".utf8))
            let miss = try client.get(Array("there".utf8))
            #expect(hit == [0, 255, 10, 13])
            #expect(miss == nil)
        }
        server.finish()
    }

    @Test func `a put says whether the key is new and carries its lifetime`() throws {
        let lifetimes = Mutex<[Lifetime]>([])
        let server = try ScriptedServer { command, key, output in
            guard command.operation == .put else {
                return BinaryReply.hello(Self.greeting, to: command, into: &output)
            }
            let isFirst = lifetimes.withLock { lifetimes in
                lifetimes.append(command.lifetime)
                return lifetimes.count == 1
            }
            BinaryReply.done(isFirst ? .created : .ok, version: 9, to: command, into: &output)
        }
        do {
            var client = try KeyValueClient.connect(to: server.location, key: nil)
            let first = try client.put([1], value: [], lifetime: .milliseconds(30_000))
            let second = try client.put([1], value: [2])
            #expect(first)
            #expect(!second)
        }
        server.finish()
        #expect(lifetimes.withLock { $0 } == [.milliseconds(30_000), .unlimited])
    }

    @Test func `a page of keys ends with its cursor`() throws {
        let server = try ScriptedServer { command, _, output in
            guard command.operation == .list else {
                return BinaryReply.hello(Self.greeting, to: command, into: &output)
            }
            var mark = BinaryReply.beginList(to: command, into: &output)
            for name in ["user/1", "user/2"] {
                let key = Array(name.utf8)
                let item = ListItem(
                    key: key.span.bytes, isPrefix: false, valueBytes: 21, version: 7, updatedMilliseconds: 1_000,
                    updatedCounter: 0, remaining: name == "user/2" ? 500 : nil, value: RawSpan(), contentType: RawSpan())
                BinaryReply.listItem(item, mark: &mark, to: command, into: &output)
            }
            BinaryReply.endList(cursor: Array("user/2".utf8), mark: mark, to: command, into: &output)
        }
        do {
            var client = try KeyValueClient.connect(to: server.location, key: nil)
            let page = try client.list(prefix: Array("user/".utf8), cursor: [], limit: 2)
            #expect(page.keys.map { String(decoding: $0.key, as: UTF8.self) } == ["user/1", "user/2"])
            #expect(page.keys.map(\.remaining) == [nil, 500])
            #expect(page.cursor == Array("user/2".utf8) + [0xB6, 0x07, 0xD9, 0x20])
            let output = KeyListOutput(page.keys, cursor: page.cursor)
            #expect(output.text == "user/1\nuser/2\n")
            #expect(output.note == "more keys: --cursor dXNlci8ytgfZIA==\n")
            let json = OutputFormat.encode(output)
            #expect(json.contains(#""updated_at" : "1970-01-01T00:00:01.000Z""#))
            #expect(json.contains(#""cursor" : "dXNlci8ytgfZIA==""#) && json.contains(#""has_more" : true"#))
        }
        server.finish()
    }

    @Test func `a refusal comes in the server's words`() throws {
        let server = try ScriptedServer { command, _, output in
            BinaryReply.failure(Failure(.unauthorized, "wrong key"), to: command, into: &output)
        }
        do {
            _ = try KeyValueClient.connect(to: server.location, key: APIKey(bytes: Array("0123456789abcdef".utf8)))
            Issue.record("the hello was refused")
        } catch {
            #expect(error == .refused(.unauthorized, "wrong key"))
        }
        server.finish()
    }

    @Test func `a server that speaks something else is noticed`() throws {
        let server = try ScriptedServer { _, _, output in output.append(utf8: "HTTP/1.1 400 Bad Request\r\n\r\n") }
        do {
            _ = try KeyValueClient.connect(to: server.location, key: nil)
            Issue.record("that was no hello")
        } catch {
            #expect(error == .garbled(.wrongMagic(UInt8(ascii: "H"))))
        }
        server.finish()
    }

    @Test func `a namespace is shown with its id`() throws {
        let namespace = NamespaceReply(
            id: (0x0197_A3C4_5B2E_7D10, 0x0F3A_5C6E_7B9D_0E1F), name: "carts", state: "provision_ok",
            createdMilliseconds: 0, updatedMilliseconds: 0, durability: "always", keyRule: .path, keys: 3, bytes: 99)
        #expect(NamespaceOutput(namespace).id == "0197a3c4-5b2e-7d10-0f3a-5c6e7b9d0e1f")
        let page = NamespaceListOutput([namespace], page: 1, pageSize: 20, total: 21)
        #expect(page.meta.totalPages == 2)
        #expect(page.text.hasSuffix("provision_ok  carts\n"))
        #expect(page.note == "page 1 of 2\n")
    }

    @Test func `JSON says of a namespace what the HTTP interface says, in the same words`() {
        let namespace = NamespaceReply(
            id: (1, 2), name: "carts", state: "provision_ok", createdMilliseconds: 0, updatedMilliseconds: 0,
            durability: "always", keyRule: .bytes, keys: 3, bytes: 99, memoryBytes: 240, bytesMax: 1 << 20, eviction: .s3fifo)
        let json = OutputFormat.encode(NamespaceOutput(namespace))
        for member in [#""keys" : "bytes""#, #""key_count" : 3"#, #""size_bytes" : 99"#, #""durability" : "always""#, #""eviction" : "s3-fifo""#,
            #""memory_bytes" : 240"#, #""bytes_max" : 1048576"#] {
            #expect(json.contains(member), "\(member)")
        }
        #expect(OutputFormat.encode(NamespaceOutput(namespace, deed: "deleted")) == json)
        #expect(NamespaceOutput(namespace, deed: "deleted").text == "deleted carts (00000000-0000-0001-0000-000000000002)\n")
    }

    @Test(arguments: [(UInt64(0), "0 keys"), (1, "1 key"), (2, "2 keys")])
    func `what would be lost is counted in words`(_ count: UInt64, _ words: String) {
        let namespace = NamespaceOutput(
            NamespaceReply(
                id: (1, 2), name: "carts", state: "provision_ok", createdMilliseconds: 0, updatedMilliseconds: 0,
                durability: "always", keyRule: .path, keys: count, bytes: 0))
        #expect(namespace.loss(withNamespace: true) == "the namespace carts (00000000-0000-0001-0000-000000000002) and its \(words)")
        #expect(namespace.loss(withNamespace: false) == "the \(words) of the namespace carts (00000000-0000-0001-0000-000000000002)")
    }

    @Test func `what no server takes is not sent`() throws {
        let long = [UInt8](repeating: 0x61, count: 1_025)
        let asked = Mutex<[LarderWire.Operation]>([])
        let server = try ScriptedServer { command, _, output in
            asked.withLock { $0.append(command.operation) }
            BinaryReply.hello(Self.greeting, to: command, into: &output)
        }
        do {
            var client = try KeyValueClient.connect(to: server.location, key: nil)
            let key = ClientError.tooLong("the key", bytesMax: 1_024)
            #expect(refusal { () throws(ClientError) in _ = try client.get(long) } == key)
            #expect(refusal { () throws(ClientError) in _ = try client.delete(long) } == key)
            #expect(refusal { () throws(ClientError) in _ = try client.put(long, value: []) } == key)
            #expect(
                refusal { () throws(ClientError) in _ = try client.list(prefix: long, cursor: [], limit: 1) }
                    == .tooLong("the prefix", bytesMax: 1_024))
            #expect(
                refusal { () throws(ClientError) in _ = try client.list(prefix: [], cursor: long + [0, 0, 0, 0], limit: 1) }
                    == .tooLong("the cursor", bytesMax: 1_028))
            let large = [UInt8](repeating: 0, count: 1_048_577)
            #expect(
                refusal { () throws(ClientError) in _ = try client.put([1], value: large) }
                    == .valueTooLong(bytes: 1_048_577, bytesMax: 1_048_576))
        }
        server.finish()
        #expect(asked.withLock { $0 } == [.hello])
        let name = BinaryNamespace.name(String(repeating: "a", count: 256))
        #expect(
            refusal { () throws(ClientError) in _ = try KeyValueClient.connect(to: server.location, key: nil, namespace: name) }
                == .tooLong("the name of the namespace", bytesMax: 255))
    }

    private func refusal(_ body: () throws(ClientError) -> Void) -> ClientError? {
        do throws(ClientError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func `nobody at the port is said so`() throws {
        // Port 1 is reserved, and nothing listens there.
        #expect(throws: ClientError.self) {
            _ = try KeyValueClient.connect(to: ServerLocation(host: "127.0.0.1", port: 1), key: nil)
        }
    }

    @Test func `times are shown to the millisecond`() {
        #expect(OutputFormat.time(1_795_255_634_123) == "2026-11-21T10:07:14.123Z")
        #expect(OutputFormat.time(1_795_255_634_007) == "2026-11-21T10:07:14.007Z")
        #expect(OutputFormat.time(.max) == "9999-12-31T23:59:59.999Z")
        #expect(OutputFormat.time(.min) == "1970-01-01T00:00:00.000Z")
    }

    @Test func `control characters of a key do not reach the terminal`() {
        let record = KeyRecord(key: [0x1B, 0x5B, 0x41], valueBytes: 0, updatedMilliseconds: 0, remaining: nil)
        #expect(!KeyListOutput([record], cursor: nil).text.utf8.contains(0x1B))
    }

    @Test func `a key that is no text comes whole in JSON`() {
        let keys = [[0x66, 0xFF], [0x66]].map { KeyRecord(key: $0, valueBytes: 0, updatedMilliseconds: 0, remaining: nil) }
        let output = KeyListOutput(keys, cursor: nil)
        #expect(output.data.map(\.keyBase64) == ["Zv8=", nil])
        #expect(OutputFormat.encode(output).contains(#""key_base64" : "Zv8=""#))
    }
}
