import LarderBytes
import LarderWire
import Testing

@testable import LarderLoad

/// Every stream of replies is parsed whole, cut at every byte, and byte by byte; the answers are the same.
@Suite("Reply parsers") struct ReplyParserTests {
    struct Expected: Equatable {
        var outcome: LoadReply.Outcome
        var content: String
        var kind = ""
        var id: UInt32 = 0
    }

    /// Parses as a connection does: what is complete is taken, the rest waits for more.
    private func parse(_ dialect: LoadDialect, _ parts: [[UInt8]], _ operations: [LoadOperation]) throws(ReplyError) -> [Expected] {
        let parser = ReplyParser(dialect)
        var input = ByteBuffer()
        var found: [Expected] = []
        for part in parts {
            input.append(part.rawSpan)
            var position = 0
            while found.count < operations.count,
                let reply = try parser.parse(input.bytes, at: position, to: operations[found.count])
            {
                found.append(
                    Expected(
                        outcome: reply.outcome, content: String(utf8: input.span(reply.content)), kind: String(utf8: input.span(reply.kind)),
                        id: reply.id))
                position = reply.end
            }
            input.consume(position)
        }
        return input.isEmpty ? found : []
    }

    private func check(_ dialect: LoadDialect, _ stream: [UInt8], _ operations: [LoadOperation], _ expected: [Expected]) throws {
        #expect(try parse(dialect, [stream], operations) == expected)
        #expect(try parse(dialect, stream.map { [$0] }, operations) == expected, "byte by byte")
        for cut in 1..<stream.count {
            #expect(try parse(dialect, [Array(stream[..<cut]), Array(stream[cut...])], operations) == expected, "cut at \(cut)")
        }
    }

    @Test func `resp`() throws {
        try check(
            .resp, Array("$5\r\nhe\r\no\r\n$-1\r\n+OK\r\n:1\r\n:0\r\n$0\r\n\r\n-OOM no room left\r\n-ERR\r\n".utf8),
            [.get, .get, .set, .delete, .delete, .get, .set, .get],
            [
                Expected(outcome: .hit, content: "he\r\no"), Expected(outcome: .miss, content: ""), Expected(outcome: .done, content: "OK"),
                Expected(outcome: .done, content: ""), Expected(outcome: .miss, content: ""), Expected(outcome: .hit, content: ""),
                Expected(outcome: .refused, content: "OOM no room left", kind: "OOM"), Expected(outcome: .refused, content: "ERR", kind: "ERR"),
            ])
    }

    @Test func `memcached`() throws {
        try check(
            .memcached,
            Array("VALUE a/b 0 6\r\nEND\r\n!\r\nEND\r\nEND\r\nSTORED\r\nDELETED\r\nNOT_FOUND\r\nVALUE k 12 0\r\n\r\nEND\r\nSERVER_ERROR out of memory\r\nERROR\r\n".utf8),
            [.get, .get, .set, .delete, .delete, .get, .set, .get],
            [
                Expected(outcome: .hit, content: "END\r\n!"), Expected(outcome: .miss, content: ""), Expected(outcome: .done, content: ""),
                Expected(outcome: .done, content: ""), Expected(outcome: .miss, content: ""), Expected(outcome: .hit, content: ""),
                Expected(outcome: .refused, content: "SERVER_ERROR out of memory", kind: "SERVER_ERROR"),
                Expected(outcome: .refused, content: "ERROR", kind: "ERROR"),
            ])
    }

    @Test func `http`() throws {
        try check(
            .http,
            Array(
                """
                HTTP/1.1 200 OK\r\nETag: "7"\r\nContent-Length: 5\r\n\r\nhello\
                HTTP/1.1 404 Not Found\r\ncontent-length:2\r\n\r\n{}\
                HTTP/1.1 201 Created\r\nCONTENT-LENGTH:   0 \r\n\r\n\
                HTTP/1.1 204 No Content\r\n\r\n\
                HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nlate
                """.utf8),
            [.get, .get, .set, .delete, .get],
            [
                Expected(outcome: .hit, content: "hello", kind: "200"), Expected(outcome: .miss, content: "{}", kind: "404"),
                Expected(outcome: .done, content: "", kind: "201"), Expected(outcome: .done, content: "", kind: "204"),
                Expected(outcome: .refused, content: "late", kind: "503"),
            ])
    }

    @Test func `an HTTP write that is answered with 404 is refused, and no success`() throws {
        let reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
        try check(
            .http, Array((reply + reply + reply).utf8), [.set, .delete, .get],
            [
                Expected(outcome: .refused, content: "{}", kind: "404"), Expected(outcome: .miss, content: "{}", kind: "404"),
                Expected(outcome: .miss, content: "{}", kind: "404"),
            ])
    }

    private func frame(_ status: Status, id: UInt32, _ body: String = "") -> [UInt8] {
        var output = ByteBuffer()
        output.append(byte: BinaryFrame.replyMagic)
        output.append(byte: status.rawValue)
        output.append(littleEndian: UInt16(0x10))
        output.append(littleEndian: id)
        output.append(littleEndian: UInt32(body.utf8.count))
        output.append(utf8: body)
        return Array(output.bytes)
    }

    @Test func `binary`() throws {
        let stream = frame(.ok, id: 1, "hello") + frame(.notFound, id: 2) + frame(.created, id: 3) + frame(.ok, id: 4)
            + frame(.diskFull, id: 5, "no room")
        try check(
            .binary, stream, [.get, .get, .set, .delete, .set],
            [
                Expected(outcome: .hit, content: "hello", kind: "\u{0}", id: 1), Expected(outcome: .miss, content: "", kind: "\u{2}", id: 2),
                Expected(outcome: .done, content: "", kind: "\u{1}", id: 3), Expected(outcome: .done, content: "", kind: "\u{0}", id: 4),
                Expected(outcome: .refused, content: "no room", kind: "D", id: 5),
            ])
    }

    @Test func `a reply that says the connection ends is heard`() throws {
        let stream = Array("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n".utf8)
        #expect(try ReplyParser(.http).parse(stream.rawSpan, at: 0, to: .get)?.closes == true)
        let other = Array("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n".utf8)
        #expect(try ReplyParser(.http).parse(other.rawSpan, at: 0, to: .get)?.closes == false)
    }

    private static let foreign: [(LoadDialect, String, ReplyError)] = [
        (.binary, "-ERR unknown command\r\n", .foreign), (.binary, "HTTP/1.1 400 Bad Request\r\n", .foreign),
        (.resp, "\u{2}", .foreign), (.resp, "HTTP/1.1 400", .foreign), (.resp, "$x\r\n", .foreign), (.resp, "$-2\r\n", .foreign),
        (.resp, "$3\r\nabcde", .foreign), (.resp, ":x\r\n", .foreign), (.resp, "+OK\n", .foreign), (.resp, "*1\r\n", .foreign),
        (.resp, "$9999999999\r\n", .tooLarge), (.memcached, "+PONG\r\n", .foreign), (.memcached, "VALUE k 0 x\r\n", .foreign),
        (.memcached, "VALUE k 0 1\r\na\r\nVALUE k 0 1\r\n", .foreign), (.memcached, "VALUE k 0 9999999999\r\n", .tooLarge),
        (.http, "-ERR", .foreign), (.http, "HTTP/2 200 \r\nContent-Length: 0\r\n\r\n", .foreign),
        (.http, "HTTP/1.1 abc X\r\nContent-Length: 0\r\n\r\n", .foreign), (.http, "HTTP/1.1 200 OK\r\n\r\n", .unbounded),
        (.http, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", .unbounded), (.http, "HTTP/1.1 100 Continue\r\n\r\n", .foreign),
        (.http, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .unbounded),
        (.http, "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", .tooLarge),
        (.http, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", .unbounded),
    ]

    @Test(arguments: foreign.indices) func `what no server of the dialect says is refused`(_ index: Int) {
        let (dialect, text, expected) = Self.foreign[index]
        #expect(throws: expected) { _ = try ReplyParser(dialect).parse(Array(text.utf8).rawSpan, at: 0, to: .get) }
    }

    @Test(arguments: LoadDialect.allCases, Seeds.some)
    func `no bytes make a parser trap or go backwards`(dialect: LoadDialect, seed: UInt64) {
        var random = RandomStream(seed: seed)
        let starts = ["$", "+", "-", ":", "VALUE a 0 ", "HTTP/1.1 200 ", "END\r\n", "\r\n", "Content-Length: ", "12", "-", "\u{0}"]
        for _ in 0..<5_000 {
            var bytes: [UInt8] = dialect == .binary ? [0xAE] : []
            for _ in 0..<random.next(below: 12) {
                if random.next() & 1 == 0 {
                    bytes += Array(starts[Int(random.next(below: UInt64(starts.count)))].utf8)
                } else {
                    bytes.append(UInt8(truncatingIfNeeded: random.next()))
                }
            }
            for operation in LoadOperation.allCases {
                guard let reply = try? ReplyParser(dialect).parse(bytes.rawSpan, at: 0, to: operation) else { continue }
                #expect(reply.end > 0 && reply.end <= bytes.count && reply.content.end <= reply.end)
            }
        }
    }

    @Test func `a line without an end is given up`() {
        let long = Array(repeating: UInt8(ascii: "a"), count: 20_000)
        #expect(throws: ReplyError.tooLarge) { _ = try ReplyParser(.resp).parse(([UInt8(ascii: "+")] + long).rawSpan, at: 0, to: .set) }
        #expect(throws: ReplyError.tooLarge) { _ = try ReplyParser(.http).parse((Array("HTTP/1.1 ".utf8) + long).rawSpan, at: 0, to: .get) }
    }

    @Test func `the first reply tells a dialect`() throws {
        #expect(try ReplyParser(.memcached).parseFirst(Array("VERSION 1.6\r\n".utf8).rawSpan, at: 0)?.outcome == .done)
        #expect(try ReplyParser(.memcached).parseFirst(Array("STORED\r\n".utf8).rawSpan, at: 0)?.outcome == .done)
        #expect(try ReplyParser(.memcached).parseFirst(Array("CLIENT_ERROR authentication failure\r\n".utf8).rawSpan, at: 0)?.outcome == .refused)
        #expect(throws: ReplyError.foreign) { _ = try ReplyParser(.memcached).parseFirst(Array("-ERR unknown\r\n".utf8).rawSpan, at: 0) }
        #expect(try ReplyParser(.resp).parseFirst(Array("-NOAUTH log in\r\n".utf8).rawSpan, at: 0)?.outcome == .refused)
    }
}
