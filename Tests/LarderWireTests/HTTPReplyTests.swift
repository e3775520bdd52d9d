import Foundation
import LarderBytes
import Testing

@testable import LarderWire

@Suite("HTTP replies") struct HTTPReplyTests {
    private func command(_ operation: LarderWire.Operation = .get, _ flags: HTTPFlags = [], resource: HTTPResource = .key) -> Command {
        var command = Command()
        command.operation = operation
        command.httpFlags = flags
        command.httpFlags.resource = resource
        return command
    }

    private func entry(
        _ value: String, type: String = "", version: UInt64 = 42, remaining: Int64? = nil, _ flags: HTTPFlags = []
    ) -> String {
        var output = ByteBuffer()
        let value = Array(value.utf8)
        let type = Array(type.utf8)
        let reply = EntryReply(value: value.span.bytes, contentType: type.span.bytes, version: version, remaining: remaining)
        HTTPReply.entry(reply, to: command(.get, flags), into: &output)
        return String(utf8: output.bytes)
    }

    private func done(_ status: Status, version: UInt64 = 0, _ operation: LarderWire.Operation = .put, _ flags: HTTPFlags = []) -> String {
        var output = ByteBuffer()
        HTTPReply.done(status, version: version, to: command(operation, flags), into: &output)
        return String(utf8: output.bytes)
    }

    private func failure(_ failure: Failure, _ flags: HTTPFlags = [], resource: HTTPResource = .key) -> String {
        var output = ByteBuffer()
        HTTPReply.failure(failure, to: command(.put, flags, resource: resource), into: &output)
        return String(utf8: output.bytes)
    }

    /// Status line and fields of `reply`, its body, and whether the announced length is the body's.
    private func parts(_ reply: String) throws -> (fields: [String], body: String, lengthIsRight: Bool) {
        let end = try #require(reply.range(of: "\r\n\r\n"))
        let fields = String(reply[..<end.lowerBound]).components(separatedBy: "\r\n")
        let body = String(reply[end.upperBound...])
        let length = fields.first { $0.hasPrefix("Content-Length:") }?.dropFirst(15).trimmingCharacters(in: .whitespaces)
        return (fields, body, length == String(body.utf8.count))
    }

    // MARK: Exact bytes

    @Test func `a value is answered with its type, its version and its remaining life`() {
        #expect(entry("hello") == "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"42\"\r\nContent-Length: 5\r\n\r\nhello")
        #expect(entry("", type: "text/plain", version: .max, remaining: 1_500, .close)
            == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"18446744073709551615\"\r\nLarder-TTL-Ms: 1500\r\n"
            + "Connection: close\r\nContent-Length: 0\r\n\r\n")
        #expect(entry("hello", .head).hasSuffix("Content-Length: 5\r\n\r\n"))
    }

    @Test(arguments: ["a\r\nX: y", "a\nb", "a\0", "12345678\r\n", "\u{7F}"])
    func `a stored content type cannot forge a field`(_ type: String) {
        #expect(entry("x", type: type) == entry("x"))
    }

    @Test func `writes are answered without a body`() {
        #expect(done(.created, version: 7) == "HTTP/1.1 201 Created\r\nETag: \"7\"\r\nContent-Length: 0\r\n\r\n")
        #expect(done(.ok, version: 8) == "HTTP/1.1 200 OK\r\nETag: \"8\"\r\nContent-Length: 0\r\n\r\n")
        #expect(done(.ok, .delete) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(done(.notFound, version: 3, .delete) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(done(.ok, version: 8, .put, .close) == "HTTP/1.1 200 OK\r\nETag: \"8\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        #expect(done(.notModified, version: 9, .get) == "HTTP/1.1 304 Not Modified\r\nETag: \"9\"\r\n\r\n")
    }

    @Test func `a miss is a 404 in the envelope`() {
        let body = #"{"errors":[{"code":"10005","title":"Resource not found","detail":"There is no such key."}]}"#
        #expect(done(.notFound, .get) == "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length:          \(body.utf8.count)\r\n\r\n\(body)")
        #expect(done(.notFound, .get, .head).hasSuffix("\(body.utf8.count)\r\n\r\n"))
    }

    @Test func `a refusal names its parameter or points into the body`() throws {
        let parameter = failure(Failure(.lifetimeInvalid, "No.", parameter: "ttl_secs"))
        #expect(parameter.hasSuffix(#"{"errors":[{"code":"10015","title":"Bad Request","detail":"No.","source":{"parameter":"ttl_secs"}}]}"#))
        let pointer = failure(Failure(.nameInvalid, "No.", parameter: "/name"))
        #expect(pointer.hasSuffix(#""detail":"No.","source":{"pointer":"/name"}}]}"#))
    }

    @Test func `a 100 is a line of its own`() {
        var output = ByteBuffer()
        HTTPReply.continue(into: &output)
        let text = String(utf8: output.bytes)
        #expect(text == "HTTP/1.1 100 Continue\r\n\r\n")
    }

    // MARK: The table

    private static let codes: [Status: (Int, String)] = [
        .conditionFailed: (412, "10015"), .malformed: (400, "10015"), .unknownOperation: (501, "10015"),
        .unsupportedVersion: (400, "10015"), .unknownFlag: (400, "10015"), .frameTooLarge: (413, "10015"),
        .keyEmpty: (400, "10015"), .keyTooLong: (400, "10015"), .keyIllegal: (400, "10015"), .keyReserved: (400, "10015"),
        .valueTooLarge: (413, "10015"), .lifetimeInvalid: (422, "10015"), .cursorInvalid: (400, "10015"),
        .limitInvalid: (400, "10015"), .nameInvalid: (400, "10015"), .namespaceIdInvalid: (400, "10015"),
        .notAnInteger: (422, "10015"), .integerOverflow: (422, "10015"), .methodNotAllowed: (405, "10015"),
        .lengthRequired: (411, "10015"), .headerTooLarge: (431, "10015"), .versionInvalid: (505, "10015"),
        .unauthorized: (401, "10009"), .forbidden: (403, "10010"), .namespaceNotFound: (404, "10005"),
        .namespaceExists: (409, "10012"), .namespaceNotReady: (409, "10015"), .namespaceDeleting: (409, "10015"),
        .endpointNotFound: (404, "10005"), .helloRequired: (400, "10015"), .loading: (503, "10007"), .readOnly: (503, "10007"),
        .outcomeUnknown: (500, "10007"), .notDurableYet: (503, "10007"), .diskFull: (507, "10007"),
        .outOfMemory: (507, "10007"), .shuttingDown: (503, "10007"), .tooManyConnections: (503, "10007"),
        .snapshotFailed: (500, "10007"), .requestTimeout: (408, "10008"), .internalError: (500, "10007"), .notFound: (404, "10005"),
    ]

    @Test(arguments: Status.allCases) func `every outcome has its status, its code and an envelope that is JSON`(_ status: Status) throws {
        guard let (number, code) = Self.codes[status] else {
            #expect([.ok, .created, .notModified].contains(status))
            return
        }
        for reply in [done(status), failure(Failure(status, "")), failure(Failure(status, "Why \"so\"?"), [.close, .chunked])] {
            let (fields, body, lengthIsRight) = try parts(reply)
            #expect(fields[0].hasPrefix("HTTP/1.1 \(number) "))
            #expect(fields.contains("Content-Type: application/json"))
            #expect(lengthIsRight)
            let json = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
            let error = try #require((json["errors"] as? [[String: Any]])?.first)
            #expect(error["code"] as? String == code)
            #expect((error["title"] as? String)?.isEmpty == false)
            #expect((error["detail"] as? String)?.isEmpty == false)
            #expect(fields.contains("Connection: close") == reply.contains("Why"))
        }
    }

    @Test func `a permanent conflict says not to try again, a transient one when`() throws {
        for status in [Status.namespaceExists, .namespaceDeleting, .outcomeUnknown] {
            #expect(try parts(done(status)).fields.contains("x-should-retry: false"))
        }
        let pending = try parts(done(.namespaceNotReady)).fields
        #expect(pending.contains("retry-after-ms: 250"))
        #expect(!pending.contains { $0.hasPrefix("x-should-retry") })
        for status in [Status.loading, .readOnly, .diskFull, .shuttingDown] {
            #expect(try parts(done(status)).fields.contains("Retry-After: 1"))
        }
    }

    /// The SDK's iterator is used up by the first attempt; the second would store an empty value.
    @Test(arguments: Status.allCases) func `a body in chunks is never asked for again`(_ status: Status) throws {
        guard let (number, _) = Self.codes[status], [408, 409, 429].contains(number) || number >= 500 else { return }
        let fields = try parts(done(status, .put, .chunked)).fields
        #expect(fields.contains("x-should-retry: false") || status == .unknownOperation)
        #expect(!fields.contains { $0.lowercased().hasPrefix("retry-after") })
    }

    @Test func `a 401 names its scheme and a 405 its methods`() throws {
        #expect(try parts(failure(Failure(.unauthorized, ""))).fields.contains("WWW-Authenticate: Bearer"))
        #expect(try parts(failure(Failure(.methodNotAllowed, ""), resource: .namespaces)).fields.contains("Allow: GET, HEAD, POST"))
        #expect(try parts(failure(Failure(.methodNotAllowed, ""), resource: .key)).fields.contains("Allow: GET, HEAD, PUT, DELETE"))
    }

    @Test func `text is answered as it is`() throws {
        var text = ByteBuffer()
        text.append("larder_keys 5\n")
        for (flags, ending) in [(HTTPFlags(), "larder_keys 5\n"), (.head, "")] {
            var output = ByteBuffer()
            HTTPReply.text(text, status: .ok, contentType: "text/plain; version=0.0.4", to: command(.metrics, flags), into: &output)
            let reply = String(utf8: output.bytes)
            #expect(reply == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 14\r\n\r\n" + ending)
        }
        var output = ByteBuffer()
        HTTPReply.text(text, status: .loading, contentType: "text/plain", to: command(.ready), into: &output)
        let reply = String(utf8: output.bytes)
        #expect(reply.hasPrefix("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n"))
    }

    // MARK: Namespaces

    private var namespace: NamespaceReply {
        NamespaceReply(
            id: (0x0123_ABCD_4567_89EF, 0x0123_4567_89AB_CDEF), name: "my-cache", state: "provision_ok",
            createdMilliseconds: 1_781_794_097_475, updatedMilliseconds: 951_827_696_000, durability: "always", keyRule: .path,
            keys: 3, bytes: 99, memoryBytes: 240, bytesMax: 1 << 20, eviction: .s3fifo)
    }

    @Test func `a namespace is described in its wrapper`() throws {
        var output = ByteBuffer()
        HTTPReply.namespace(namespace, status: .created, to: command(.namespaceCreate), into: &output)
        let (fields, body, lengthIsRight) = try parts(String(utf8: output.bytes))
        #expect(fields[0] == "HTTP/1.1 201 Created")
        #expect(lengthIsRight)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: [String: Any]])
        let data = try #require(json["data"])
        #expect(data["record_type"] as? String == "storage_kv")
        #expect(data["id"] as? String == "0123abcd-4567-89ef-0123-456789abcdef")
        #expect(data["name"] as? String == "my-cache")
        #expect(data["status"] as? String == "provision_ok")
        #expect(data["created_at"] as? String == "2026-06-18T14:48:17.475Z")
        #expect(data["updated_at"] as? String == "2000-02-29T12:34:56.000Z")
        #expect(data["eviction"] as? String == "s3-fifo")
        #expect(data["memory_bytes"] as? Int == 240)
        #expect(data["bytes_max"] as? Int == 1 << 20)
    }

    @Test(arguments: [(0, 1), (1, 1), (20, 1), (21, 2), (52, 3)])
    func `a list of namespaces says how many pages there are, at least one`(_ total: Int, _ pages: Int) throws {
        var output = ByteBuffer()
        var asked = command(.namespaceList)
        asked.list.limit = 20
        HTTPReply.namespaces(total == 0 ? [] : [namespace, namespace], total: total, to: asked, into: &output)
        let (_, body, lengthIsRight) = try parts(String(utf8: output.bytes))
        #expect(lengthIsRight)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        let meta = try #require(json["meta"] as? [String: Int])
        #expect(meta == ["page_number": 1, "page_size": 20, "total_pages": pages, "total_results": total])
        #expect((json["data"] as? [Any])?.count == (total == 0 ? 0 : 2))
    }

    // MARK: Keys

    private func list(_ keys: [[UInt8]], isPrefix: Bool = false, cursor: [UInt8]? = nil, _ flags: HTTPFlags = []) -> String {
        var output = ByteBuffer()
        output.append("before")
        let asked = command(.list, flags)
        var mark = HTTPReply.beginList(to: asked, into: &output)
        for key in keys {
            let empty = RawSpan()
            let item = ListItem(
                key: key.span.bytes, isPrefix: isPrefix, valueBytes: 21, version: 5, updatedMilliseconds: 1_781_794_097_475,
                updatedCounter: 129_983, remaining: nil, value: empty, contentType: empty)
            HTTPReply.listItem(item, mark: &mark, to: asked, into: &output)
        }
        HTTPReply.endList(cursor: cursor, mark: mark, to: asked, into: &output)
        return String(String(utf8: output.bytes).dropFirst(6))
    }

    @Test func `keys are listed with their size and time, and the last page has no cursor`() throws {
        let reply = try parts(list([Array("user/123".utf8), Array("user/124".utf8)]))
        let first = #"{"key":"user/123","size_bytes":21,"updated_at":"2026-06-18T14:48:17.475129983Z"}"#
        let second = first.replacing("123\"", with: "124\"")
        #expect(reply.body == #"{"record_type":"storage_kv_key","data":["# + first + "," + second + #"],"meta":{"has_more":false}}"#)
        #expect(reply.lengthIsRight)
        #expect(try parts(list([])).body == #"{"record_type":"storage_kv_key","data":[],"meta":{"has_more":false}}"#)
        #expect(try parts(list([Array("a/".utf8)], isPrefix: true)).body.contains(#"[{"prefix":"a/"}]"#))
        #expect(try parts(list([Array("a".utf8)], .head)).body == "")
    }

    @Test func `the cursor of a page can be asked for`() throws {
        let body = try parts(list([Array("k".utf8)], cursor: Array("list/009".utf8))).body
        let json = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        let meta = try #require(json["meta"] as? [String: Any])
        #expect(meta["has_more"] as? Bool == true)
        let cursor = try #require(meta["cursor"] as? String)
        #expect(HTTPScript.one("GET /kv/n/?cursor=\(cursor) HTTP/1.1")?.cursor == "list/009")
    }

    @Test func `any key comes back exactly from a list that is JSON`() throws {
        var keys: [[UInt8]] = (0...255).map { [UInt8($0)] }
        keys += ["\"\\/\u{8}\n\u{1F}\u{7F}", "ключ", "日本", "😀", "\u{2028}"].map { Array($0.utf8) }
        keys += [[0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0x61, 0xFF, 0x62]]
        let (_, body, lengthIsRight) = try parts(list(keys))
        #expect(lengthIsRight)
        let json = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        let data = try #require(json["data"] as? [[String: Any]])
        let read = data.map { item -> [UInt8] in
            if let exact = item["key_base64"] as? String { return Array(Data(base64Encoded: exact) ?? Data()) }
            return Array((item["key"] as? String ?? "").utf8)
        }
        #expect(read == keys)
        #expect(data.filter { $0["key_base64"] != nil }.count == 128 + 6)
    }

    @Test func `dates are those of the calendar`() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (Int64.max, "9999-12-31T23:59:59.999Z"), (-1, "1970-01-01T00:00:00.000Z"),
        ] as [(Int64, String)] {
            var output = ByteBuffer()
            output.append(timestamp: milliseconds, counter: nil)
            let written = String(utf8: output.bytes)
            #expect(written == text)
        }
    }
}
