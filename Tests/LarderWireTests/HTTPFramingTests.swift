import LarderBytes
import Testing

@testable import LarderWire

@Suite("HTTP framing") struct HTTPFramingTests {
    private static let put = "PUT /kv/n/k HTTP/1.1\r\nHost: h\r\n"
    private static let chunked = put + "Transfer-Encoding: chunked\r\n\r\n"
    private static let next = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"

    /// Each could make two readers disagree about where a request ends.
    static let refused: [(String, Status)] = [
        // Lengths.
        (put + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", .malformed),
        (put + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", .malformed),
        (put + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", .malformed),
        (put + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na", .malformed),
        (put + "Content-Length: 1, 1\r\n\r\na", .malformed),
        (put + "Content-Length: +5\r\n\r\nabcde", .malformed),
        (put + "Content-Length: -1\r\n\r\n", .malformed),
        (put + "Content-Length: 0x5\r\n\r\n", .malformed),
        (put + "Content-Length: 1_0\r\n\r\n", .malformed),
        (put + "Content-Length: 5 5\r\n\r\n", .malformed),
        (put + "Content-Length:\r\n\r\n", .malformed),
        (put + "Content-Length: 9223372036854775808\r\n\r\n", .valueTooLarge),
        (put + "Content-Length: 99999999999999999999999999\r\n\r\n", .valueTooLarge),
        (put + "Content-Length : 5\r\n\r\nabcde", .malformed),
        // Transfer codings.
        (put + "Transfer-Encoding: gzip, chunked\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding: chunked, chunked\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding: identity\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding: xchunked\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding: chunked;x\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding:\r\n\r\n", .unknownOperation),
        (put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .malformed),
        (put + "Transfer-Encoding: \u{0B}chunked\r\n\r\n", .malformed),
        ("PUT /kv/n/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", .malformed),
        // Lines.
        (put + "X: a\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\nHost: h\n\n", .malformed),
        (put + "X: a\r\n folded\r\n\r\n", .malformed),
        (put + "X: a\r\n\tfolded\r\n\r\n", .malformed),
        (put + "X: a\rb\r\n\r\n", .malformed),
        (put + "X: a\0b\r\n\r\n", .malformed),
        (put + "X: a\u{7F}b\r\n\r\n", .malformed),
        (put + "X Y: a\r\n\r\n", .malformed),
        (put + ": a\r\n\r\n", .malformed),
        (put + "X\r\n\r\n", .malformed),
        (put + "X(): a\r\n\r\n", .malformed),
        (put + "é: a\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\r\n Host: h\r\n\r\n", .malformed),
        // Request line.
        ("GET  /healthz HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz  HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1 \r\nHost: h\r\n\r\n", .malformed),
        (" GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET\t/healthz HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz http/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.10\r\nHost: h\r\n\r\n", .malformed),
        ("GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n", .versionInvalid),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionInvalid),
        ("GET healthz HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /kv/n/k#x HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET /kv/n/é HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("GET http://user@h/kv HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        ("G@T /healthz HTTP/1.1\r\nHost: h\r\n\r\n", .malformed),
        // Host.
        ("GET /healthz HTTP/1.1\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", .malformed),
        ("GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n", .malformed),
        // Chunks.
        (chunked + "5\nhello\r\n0\r\n\r\n", .malformed),
        (chunked + "5\r\nhello0\r\n\r\n", .malformed),
        (chunked + "5\r\nhello\n0\r\n\r\n", .malformed),
        (chunked + "5\r\nhello!\r\n0\r\n\r\n", .malformed),
        (chunked + "x\r\n", .malformed),
        (chunked + "\r\n", .malformed),
        (chunked + ";a\r\n", .malformed),
        (chunked + "-5\r\n", .malformed),
        (chunked + "+5\r\n", .malformed),
        (chunked + "0x5\r\n", .malformed),
        (chunked + "5 \r\nhello\r\n", .malformed),
        (chunked + "5 ;a\r\nhello\r\n", .malformed),
        (chunked + "5;a\rb\r\nhello\r\n", .malformed),
        (chunked + "5;a\0b\r\nhello\r\n", .malformed),
        (chunked + "0\r\n folded: x\r\n\r\n", .malformed),
        (chunked + "0\r\nno colon\r\n\r\n", .malformed),
        (chunked + "0\r\nX: y\n\r\n", .malformed),
    ]

    @Test(arguments: refused) func `what two readers could read differently ends the connection`(_ text: String, _ status: Status) {
        for pieces in [[text + Self.next], (text + Self.next).utf8.map { String(decoding: [$0], as: UTF8.self) }] {
            guard text.utf8.allSatisfy({ $0 < 0x80 }) || pieces.count == 1 else { continue }
            var script = HTTPScript()
            for piece in pieces { script.feed(piece) }
            let requests = script.requests
            let closed = script.isClosed
            #expect(requests.map(\.failure) == [status])
            #expect(requests.first?.flags.contains(.close) == true)
            #expect(closed)
        }
    }

    @Test(arguments: ["FFFFFFFFFFFFFFFFF", "7FFFFFFFFFFFFFFF", "10000000000000000", "100000000000000000000000005", "FFFFFFFF"])
    func `the size of a chunk does not overflow`(_ size: String) {
        #expect(HTTPScript.requests(Self.chunked + size + "\r\nhello\r\n0\r\n\r\n").map(\.failure) == [.valueTooLarge])
    }

    @Test func `leading zeros in sizes are only zeros`() {
        #expect(HTTPScript.requests(Self.chunked + "0000000000000000000005\r\nhello\r\n000\r\n\r\n").first?.value == Array("hello".utf8))
        #expect(HTTPScript.requests(Self.put + "Content-Length: 0000000000000000000000005\r\n\r\nhello").first?.value == Array("hello".utf8))
    }

    // MARK: Bounds

    @Test func `a head has a bound, and reaches it only when it is passed`() {
        let head = "GET /healthz HTTP/1.1\r\nHost: h\r\nX: "
        let room = 16_384 - head.utf8.count - 4
        let fits = head + String(repeating: "x", count: room) + "\r\n\r\n"
        #expect(HTTPScript.requests(fits).map(\.failure) == [nil])
        let over = head + String(repeating: "x", count: room + 1) + "\r\n\r\n"
        #expect(HTTPScript.requests(over).map(\.failure) == [.headerTooLarge])
        // Refused as soon as it is too long, not when it ends.
        #expect(HTTPScript.requests(head + String(repeating: "x", count: 20_000)).map(\.failure) == [.headerTooLarge])
    }

    @Test func `fields and the target have bounds`() {
        let fields = { (count: Int) in "GET /healthz HTTP/1.1\r\nHost: h\r\n" + String(repeating: "X: y\r\n", count: count) + "\r\n" }
        #expect(HTTPScript.requests(fields(63)).map(\.failure) == [nil])
        #expect(HTTPScript.requests(fields(64)).map(\.failure) == [.headerTooLarge])
        let target = { (count: Int) in "GET /healthz?\(String(repeating: "x", count: count - 9)) HTTP/1.1\r\nHost: h\r\n\r\n" }
        #expect(HTTPScript.requests(target(8_192)).map(\.failure) == [nil])
        #expect(HTTPScript.requests(target(8_193)).map(\.failure) == [.headerTooLarge])
    }

    @Test func `chunk lines, extensions and trailers have bounds`() {
        let extended = { (count: Int) in "1;" + String(repeating: "x", count: count) + "\r\na\r\n" }
        #expect(HTTPScript.requests(Self.chunked + extended(254) + "0\r\n\r\n").map(\.failure) == [nil])
        #expect(HTTPScript.requests(Self.chunked + extended(255) + "0\r\n\r\n").map(\.failure) == [.malformed])
        #expect(HTTPScript.requests(Self.chunked + String(repeating: extended(199), count: 20) + "0\r\n\r\n").map(\.failure) == [nil])
        #expect(HTTPScript.requests(Self.chunked + String(repeating: extended(199), count: 21) + "0\r\n\r\n").map(\.failure) == [.headerTooLarge])
        let trailer = { (count: Int) in "0\r\n" + String(repeating: "X: \(String(repeating: "y", count: 61))\r\n", count: count) + "\r\n" }
        #expect(HTTPScript.requests(Self.chunked + trailer(64)).map(\.failure) == [nil])
        #expect(HTTPScript.requests(Self.chunked + trailer(65)).map(\.failure) == [.malformed])
    }
}
