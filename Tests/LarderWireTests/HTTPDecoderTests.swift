import LarderBytes
import Testing

@testable import LarderWire

@Suite("HTTP decoder") struct HTTPDecoderTests {
    // MARK: Arrival

    @Test(arguments: HTTPSample.all) func `a request means the same wherever it is split`(_ text: String) {
        let bytes = Array(text.utf8)
        let whole = HTTPScript.requests(bytes)
        #expect(whole.count == 1)
        for cut in 1..<bytes.count {
            var script = HTTPScript()
            script.feed(bytes[..<cut])
            script.feed(bytes[cut...])
            let split = script.requests
            #expect(split == whole, "split at \(cut)")
        }
        var script = HTTPScript()
        for byte in bytes { script.feed([byte]) }
        let bytewise = script.requests
        #expect(bytewise == whole)
    }

    @Test func `two requests that arrive at once mean what they mean alone`() {
        for first in HTTPSample.all {
            for second in HTTPSample.all {
                let alone = HTTPScript.requests(first) + HTTPScript.requests(second)
                #expect(HTTPScript.requests(first + second) == alone)
            }
        }
    }

    @Test func `all requests on one connection, byte by byte, mean what they mean alone`() {
        var script = HTTPScript()
        for text in HTTPSample.all { for byte in text.utf8 { script.feed([byte]) } }
        let requests = script.requests
        #expect(requests == HTTPSample.all.flatMap { HTTPScript.requests($0) })
    }

    @Test func `one empty line before a request is passed over, a second is not`() {
        #expect(HTTPScript.requests("\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").map(\.operation) == [.health])
        let twice = HTTPScript.requests("\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(twice.map(\.failure) == [.malformed])
    }

    // MARK: Bodies

    @Test func `a head is announced before its body and the body follows when it may`() throws {
        var script = HTTPScript()
        script.feed(HTTPSample.request("PUT /kv/n/k?ttl_secs=7", "Content-Length: 5", "Expect: 100-continue"))
        let announced = try #require(script.heads.first)
        #expect(announced.operation == .put)
        #expect(announced.key == "k")
        #expect(announced.namespace == "name:n")
        #expect(announced.lifetime == .milliseconds(7_000))
        #expect(announced.flags.contains(.expectsContinue))
        let none = script.requests
        #expect(none.isEmpty)
        script.feed("hello")
        let value = script.requests.first?.value
        #expect(value == Array("hello".utf8))
    }

    @Test func `a head is announced until it is answered`() {
        var decoder = HTTPDecoder()
        var input = ByteBuffer()
        var command = Command()
        var position = 0
        input.append("PUT /kv/n/k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
        for _ in 0..<2 {
            let step = decoder.decode(&input, at: &position, into: &command)
            #expect(step == .head)
            #expect(position == 0)
        }
        decoder.proceed()
        let waiting = decoder.decode(&input, at: &position, into: &command)
        #expect(waiting == .needMore)
        input.append("b")
        let done = decoder.decode(&input, at: &position, into: &command)
        #expect(done == .command)
        #expect(position == input.count)
    }

    @Test func `requests before it may be consumed while a body arrives`() throws {
        var decoder = HTTPDecoder()
        var input = ByteBuffer()
        var command = Command()
        var position = 0
        input.append("GET /kv/n/first HTTP/1.1\r\nHost: h\r\n\r\nPUT /kv/n/second HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nx")
        let first = decoder.decode(&input, at: &position, into: &command)
        #expect(first == .command)
        let second = decoder.decode(&input, at: &position, into: &command)
        #expect(second == .head)
        input.consume(position)
        position = 0
        decoder.proceed()
        input.append("yz")
        let third = decoder.decode(&input, at: &position, into: &command)
        #expect(third == .command)
        let request = DecodedRequest(command, input)
        #expect(request.key == "second")
        #expect(request.namespace == "name:n")
        #expect(request.host == "h")
        #expect(request.value == Array("xyz".utf8))
    }

    @Test func `the rest of a refused body is thrown away and the next request is read`() {
        var script = HTTPScript()
        script.refusesAll = true
        script.feed(HTTPSample.request("PUT /kv/n/k", "Content-Length: 10") + "01234")
        script.feed("56789" + HTTPSample.request("GET /healthz"))
        let operations = script.requests.map(\.operation)
        #expect(operations == [.put, .health])
        let closes = script.requests.map { $0.flags.contains(.close) }
        #expect(closes == [false, false])
    }

    @Test(arguments: ["Transfer-Encoding: chunked", "Content-Length: 10\r\nExpect: 100-continue", "Content-Length: 9999999"])
    func `a refused body whose end is unknown, far, or may never come ends the connection with the refusal`(_ field: String) {
        var limits = HTTPLimits()
        limits.discardBytesMax = 1_000
        var script = HTTPScript(limits: limits)
        script.refusesAll = true
        script.feed(HTTPSample.request("PUT /kv/n/k", field))
        let saysClose = script.requests.first?.flags.contains(.close)
        #expect(saysClose == true)
        let closed = script.isClosed
        let count = script.requests.count
        #expect(closed)
        #expect(count == 1)
    }

    @Test func `a body in chunks is refused as soon as it is too large, with no more than the limit in memory`() {
        var limits = HTTPLimits()
        limits.valueBytesMax = 1_000
        for (pieces, fits) in [(1_000, true), (1_001, false)] {
            var script = HTTPScript(limits: limits)
            script.feed(HTTPSample.request("PUT /kv/n/k", "Transfer-Encoding: chunked"))
            for index in 0..<pieces {
                script.feed("1\r\n")
                script.feed([UInt8(truncatingIfNeeded: index)])
                script.feed("\r\n")
            }
            script.feed("0\r\n\r\n")
            let request = script.requests.first
            let held = script.heldMax
            #expect(request?.failure == (fits ? nil : .valueTooLarge))
            #expect(held < 1_000 + 300)
            if fits { #expect(request?.value == (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }) }
        }
    }

    @Test func `an announced chunk that is too large is refused before its bytes come`() {
        let text = HTTPSample.request("PUT /kv/n/k", "Transfer-Encoding: chunked", body: "100001\r\n")
        #expect(HTTPScript.requests(text).map(\.failure) == [.valueTooLarge])
    }

    @Test func `a value of the largest size is taken and one byte more is refused at its head`() {
        let largest = [UInt8](repeating: 7, count: 1_048_576)
        let head = Array(HTTPSample.request("PUT /kv/n/k", "Content-Length: 1048576").utf8)
        let request = HTTPScript.requests(head + largest).first
        #expect(request?.value == largest)
        let over = HTTPScript.requests(HTTPSample.request("PUT /kv/n/k", "Content-Length: 1048577"))
        #expect(over.map(\.failure) == [.valueTooLarge])
    }

    @Test func `all byte values arrive as they were sent`() {
        let bytes = (0...255).map { UInt8($0) }
        let plain = Array(HTTPSample.request("PUT /kv/n/k", "Content-Length: 256").utf8) + bytes
        let chunked = Array(HTTPSample.request("PUT /kv/n/k", "Transfer-Encoding: chunked", body: "100\r\n").utf8)
            + bytes + Array("\r\n0\r\n\r\n".utf8)
        #expect(HTTPScript.requests(plain).first?.value == bytes)
        #expect(HTTPScript.requests(chunked).first?.value == bytes)
    }

    // MARK: Fields

    @Test func `nothing is read after a request that closes`() {
        for line in ["GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"] {
            var script = HTTPScript()
            script.feed(line + line)
            let flags = script.requests.map { $0.flags.contains(.close) }
            #expect(flags == [true])
            let closed = script.isClosed
            #expect(closed)
        }
    }

    @Test func `the credential, the host and the origin are found`() {
        let request = HTTPScript.one("GET /metrics HTTP/1.1\nauthorization: bearer   abc.def==  \nOrigin: http://evil")
        #expect(request?.credential == "abc.def==")
        #expect(request?.host == "h")
        #expect(request?.flags.contains(.hasOrigin) == true)
        #expect(HTTPScript.one("GET /metrics HTTP/1.1\nAuthorization: Basic abc")?.credential == "")
    }

    @Test func `an absolute target names the host`() {
        let request = HTTPScript.one("GET http://example.org:8080/kv/n/k?x=http://y/ HTTP/1.1")
        #expect(request?.host == "example.org:8080")
        #expect(request?.key == "k")
    }

    @Test(arguments: [
        ("If-Match: \"5\"", Condition.version(5)), ("If-Match: *", .present), ("If-Match: W/\"5\"", .version(0)),
        ("If-Match: \"abc\"", .version(0)), ("If-Match: \"05\"", .version(0)), ("If-Match: \"x,y\" , \"9\"", .version(9)),
        ("If-Match: \"18446744073709551615\"", .version(.max)), ("If-Match: \"18446744073709551616\"", .version(0)),
        ("If-None-Match: *", .absent), ("If-None-Match: \"5\"", .notVersion(5)), ("If-None-Match: W/\"5\"", .notVersion(5)),
        ("If-None-Match: \"abc\"", .none), ("If-None-Match: \"5\", \"5\"", .notVersion(5)), ("Accept: *", .none),
    ])
    func `entity tags become conditions`(_ field: String, _ condition: Condition) {
        #expect(HTTPScript.one("GET /kv/n/k HTTP/1.1\n\(field)")?.condition == condition)
        #expect(HTTPScript.one("DELETE /kv/n/k HTTP/1.1\n\(field)")?.condition == condition)
        #expect(HTTPScript.one("GET /kv/n/ HTTP/1.1\n\(field)")?.condition == Condition.none)
    }

    @Test(arguments: [
        "If-Match: 5", "If-Match: \"5", "If-Match:", "If-Match: \"5\" \"6\"", "If-Match: \"5\", \"6\"", "If-Match: *, \"5\"",
        "If-Match: *\nIf-Match: \"5\"", "If-Match: \"5\"\nIf-None-Match: *", "If-Match: w/\"5\"", "If-None-Match: \"a b\"",
    ])
    func `conditions that cannot be kept are refused`(_ field: String) {
        #expect(HTTPScript.one("GET /kv/n/k HTTP/1.1\n\(field)")?.failure == .malformed)
    }
}
