// Two small clients that wait for what they ask for: one for each protocol.

import Foundation
import LarderBytes
import LarderPlatform
import LarderWire

/// Speaks the binary protocol.
final class BinaryClient {
    private var connection: BlockingConnection
    private var output = ByteBuffer()
    private var input = ByteBuffer()
    private let decoder = BinaryReplyDecoder()
    private var nextID: UInt32 = 0

    struct Answer {
        var status: Status
        var value: [UInt8]
        var version: UInt64
        var contentType: String
        var lifetime: Lifetime?
        var integer: Int64?
    }

    init(port: UInt16, namespace: BinaryNamespace = .connection, key: String = "", overtake: Bool = false) throws {
        connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 60_000)
        let credentials = Array(key.utf8)
        let answer = try call { BinaryRequest.hello(credentials: credentials.span.bytes, namespace: namespace, overtake: overtake, id: $0, into: &$1) }
        guard answer.status == .ok else { throw Refused(status: answer.status, text: String(decoding: answer.value, as: UTF8.self)) }
    }

    struct Refused: Error {
        var status: Status
        var text: String
    }

    /// Adds a request to the next batch.
    @discardableResult
    func queue(_ request: (UInt32, inout ByteBuffer) -> Void) -> UInt32 {
        nextID &+= 1
        request(nextID, &output)
        return nextID
    }

    /// Sends the batch.
    func flush() throws {
        let bytes = Array(output.bytes)
        output.removeAll()
        try connection.send(bytes.span.bytes)
    }

    /// Waits for the next reply.
    func receive() throws -> (id: UInt32, answer: Answer) {
        while true {
            if let reply = try Self.next(&input, decoder) { return reply }
            try connection.receive(into: &input)
        }
    }

    private static func next(_ input: inout ByteBuffer, _ decoder: BinaryReplyDecoder) throws -> (id: UInt32, answer: Answer)? {
        var position = 0
        guard let frame = try decoder.decode(input, at: &position) else { return nil }
        let answer = Answer(
            status: frame.status, value: Array(input.span(frame.payload)), version: frame.version ?? 0,
            contentType: String(utf8: input.span(frame.contentType)), lifetime: frame.lifetime, integer: frame.integer)
        input.consume(position)
        return (frame.id, answer)
    }

    /// One request, one reply.
    func call(_ request: (UInt32, inout ByteBuffer) -> Void) throws -> Answer {
        let id = queue(request)
        try flush()
        let reply = try receive()
        precondition(reply.id == id, "the reply answers another request")
        return reply.answer
    }

    func get(_ key: String) throws -> Answer {
        let bytes = Array(key.utf8)
        return try call { BinaryRequest.get(bytes.span.bytes, flags: [.wantVersion, .wantContentType, .wantLifetime], id: $0, into: &$1) }
    }

    func put(_ key: String, _ value: [UInt8], lifetime: Lifetime = .unlimited, contentType: String = "") throws -> Answer {
        let bytes = Array(key.utf8)
        let type = Array(contentType.utf8)
        return try call {
            BinaryRequest.put(
                bytes.span.bytes, value: value.span.bytes, contentType: type.span.bytes, lifetime: lifetime, id: $0, into: &$1)
        }
    }
}

/// Speaks HTTP, with keep-alive.
final class HTTPClient {
    private var connection: BlockingConnection
    private var input = ByteBuffer()

    struct Answer {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    init(port: UInt16) throws {
        connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 60_000)
    }

    func send(_ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8]? = nil) throws {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        head += "\r\n"
        try send(raw: Array(head.utf8) + (body ?? []))
    }

    func send(raw bytes: [UInt8]) throws { try connection.send(bytes.span.bytes) }

    func receive(bodyless: Bool = false) throws -> Answer {
        while true {
            let held = Array(input.bytes)
            if let end = held.firstRange(of: Array("\r\n\r\n".utf8)) {
                let lines = String(decoding: held[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                }
                let status = Int(lines[0].split(separator: " ")[1]) ?? 0
                let length = bodyless || status == 304 || status == 100 ? 0 : Int(headers["content-length"] ?? "0") ?? 0
                if held.count >= end.upperBound + length {
                    input.consume(end.upperBound + length)
                    return Answer(status: status, headers: headers, body: Array(held[end.upperBound..<(end.upperBound + length)]))
                }
            }
            try connection.receive(into: &input)
        }
    }

    func call(_ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8]? = nil) throws -> Answer {
        try send(method, target, headers: headers, body: body)
        return try receive(bodyless: method == "HEAD")
    }
}
