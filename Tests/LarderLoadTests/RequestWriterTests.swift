import LarderBytes
import LarderPlatform
import Testing

@testable import LarderLoad

@Suite("Request writer") struct RequestWriterTests {
    private func write(
        _ dialect: LoadDialect, credentials: String? = nil, path: String? = nil,
        _ body: (borrowing RequestWriter, borrowing ByteBuffer, borrowing ByteBuffer, inout ByteBuffer) -> Void
    ) -> String {
        let manner = Manner(dialect: dialect, host: "cache:7400", credentials: credentials.map { Array($0.utf8) }, namespace: "carts", path: path)
        let writer = RequestWriter(manner)
        var output = ByteBuffer()
        body(writer, ByteBuffer("k/1"), ByteBuffer("value and more"), &output)
        return output.text
    }

    @Test func `resp`() {
        #expect(write(.resp) { $0.get($1, id: 1, into: &$3) } == "*2\r\n$3\r\nGET\r\n$3\r\nk/1\r\n")
        #expect(write(.resp) { $0.delete($1, id: 1, into: &$3) } == "*2\r\n$3\r\nDEL\r\n$3\r\nk/1\r\n")
        #expect(
            write(.resp) { $0.set($1, $2, valueBytes: 5, lifetime: 0, id: 1, into: &$3) }
                == "*3\r\n$3\r\nSET\r\n$3\r\nk/1\r\n$5\r\nvalue\r\n")
        #expect(
            write(.resp) { $0.set($1, $2, valueBytes: 5, lifetime: 1_500, id: 1, into: &$3) }
                == "*5\r\n$3\r\nSET\r\n$3\r\nk/1\r\n$5\r\nvalue\r\n$2\r\nPX\r\n$4\r\n1500\r\n")
        #expect(write(.resp, credentials: "secret") { _ = $0.greet(into: &$3) } == "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n")
        #expect(write(.resp) { _ = $0.greet(into: &$3) } == "")
    }

    @Test func `memcached`() {
        #expect(write(.memcached) { $0.get($1, id: 1, into: &$3) } == "get k/1\r\n")
        #expect(write(.memcached) { $0.delete($1, id: 1, into: &$3) } == "delete k/1\r\n")
        #expect(
            write(.memcached) { $0.set($1, $2, valueBytes: 5, lifetime: 1_500, id: 1, into: &$3) } == "set k/1 0 2 5\r\nvalue\r\n")
        #expect(write(.memcached, credentials: "secret") { _ = $0.greet(into: &$3) } == "set login 0 0 12\r\ncarts secret\r\n")
        #expect(write(.memcached) { _ = $0.greet(into: &$3) } == "")
    }

    private struct StoppedClock: Clock {
        func wall() -> Milliseconds { 1_700_000_000_000 }
        func elapsed() -> Int64 { 0 }
    }

    @Test func `a lifetime above 30 days is a date for memcached, as it would otherwise be one long past`() {
        let writer = RequestWriter(Manner(dialect: .memcached, host: "cache"), clock: StoppedClock())
        for (days, sent) in [(30 as Int64, "2592000"), (31, "1702678400")] {
            var output = ByteBuffer()
            writer.set(ByteBuffer("k"), ByteBuffer("v"), valueBytes: 1, lifetime: days * 86_400_000, id: 1, into: &output)
            #expect(output.text == "set k 0 \(sent) 1\r\nv\r\n")
        }
    }

    @Test func `http`() {
        #expect(
            write(.http) { $0.get($1, id: 1, into: &$3) } == "GET /kv/carts/k/1 HTTP/1.1\r\nHost: cache:7400\r\n\r\n")
        #expect(
            write(.http, credentials: "secret", path: "/") { $0.delete($1, id: 1, into: &$3) }
                == "DELETE /k/1 HTTP/1.1\r\nHost: cache:7400\r\nAuthorization: Bearer secret\r\n\r\n")
        #expect(
            write(.http) { $0.set($1, $2, valueBytes: 5, lifetime: 2_000, id: 1, into: &$3) }
                == "PUT /kv/carts/k/1?ttl_secs=2 HTTP/1.1\r\nHost: cache:7400\r\nContent-Length: 5\r\n\r\nvalue")
    }
}
