import LarderBytes
import Testing

@testable import LarderWire

// The numbers in the sections are those of docs/http-api.md.
@Suite("HTTP endpoints") struct HTTPRulesTests {
    private let id = "id:123abcd456789ef:123456789abcdef"

    @Test(arguments: [
        ("GET /v2/storage/kvs", Operation.namespaceList), ("HEAD /v2/storage/kvs", .namespaceList),
        ("GET /v2/storage/kvs/\(HTTPSample.id)", .namespaceGet), ("DELETE /v2/storage/kvs/\(HTTPSample.id)", .namespaceDelete),
        ("GET \(HTTPSample.keys)", .list), ("GET \(HTTPSample.keys)/k", .get), ("HEAD \(HTTPSample.keys)/k", .get),
        ("DELETE \(HTTPSample.keys)/k", .delete), ("GET /kv", .namespaceList), ("GET /kv/", .namespaceList),
        ("GET /kv/n", .namespaceGet), ("DELETE /kv/n", .namespaceDelete), ("PUT /kv/n", .namespaceCreate),
        ("GET /kv/n/", .list), ("GET /kv/n/k", .get), ("DELETE /kv/n/k", .delete),
        ("GET /healthz", .health), ("GET /readyz", .ready), ("GET /metrics", .metrics), ("HEAD /metrics", .metrics),
    ])
    func `every endpoint is a command`(_ line: String, _ operation: Operation) {
        let request = HTTPScript.one(line + " HTTP/1.1")
        #expect(request?.operation == operation)
        #expect(request?.failure == nil)
        #expect(request?.flags.contains(.head) == line.hasPrefix("HEAD"))
        if line.contains(HTTPSample.id) { #expect(request?.namespace == id) }
    }

    @Test func `identifiers may be written in upper case`() {
        #expect(HTTPScript.one("GET /v2/storage/kvs/\(HTTPSample.id.uppercased()) HTTP/1.1")?.namespace == id)
    }

    @Test(arguments: ["/", "/v2", "/v2/storage", "/v2/storage/kvsx", "/v2/storage/kvs/", "/v2/storage/kvs/\(HTTPSample.id)/",
        "\(HTTPSample.keys)/", "/v2/storage/kvs/\(HTTPSample.id)/keysx", "/v2/storage/kvs//keys/k", "/kv//k", "/kvs",
        "/metrics/", "/healthz2", "//kv/n/k"])
    func `nothing else is an endpoint`(_ path: String) {
        #expect(HTTPScript.one("GET \(path) HTTP/1.1")?.failure == .endpointNotFound)
    }

    @Test(arguments: ["POST /kv/n/k", "PATCH /kv/n/k", "get /kv/n/k", "PUT /v2/storage/kvs", "POST \(HTTPSample.keys)",
        "POST /kv/n", "DELETE /metrics", "TRACE /kv/n/"])
    func `another method is refused and the connection goes on`(_ line: String) {
        let all = HTTPScript.requests(HTTPSample.request(line) + HTTPSample.request("GET /healthz"))
        #expect(all.map(\.failure) == [.methodNotAllowed, nil])
    }

    @Test(arguments: ["x", "0123abcd-4567-89ef-0123-456789abcde", "0123abcd-4567-89ef-0123-456789abcdeg",
        "0123abcd456789ef0123456789abcdef0000", "0123abcd-4567-89ef-0123_456789abcdef"])
    func `an id that is no UUID is refused`(_ id: String) {
        #expect(HTTPScript.one("GET /v2/storage/kvs/\(id) HTTP/1.1")?.failure == .namespaceIdInvalid)
        #expect(HTTPScript.one("GET /v2/storage/kvs/\(id)/keys HTTP/1.1")?.failure == .namespaceIdInvalid)
        #expect(HTTPScript.one("DELETE /v2/storage/kvs/\(id)/keys/k HTTP/1.1")?.failure == .namespaceIdInvalid)
    }

    // MARK: 3 and 4, lifetimes

    @Test(arguments: ["ttl_secs=0", "ttl_secs=-1", "ttl_secs=1.5", "ttl_secs=abc", "ttl_secs=", "ttl_secs", "ttl_secs=9223372037",
        "ttl_secs=+5", "ttl_secs=%205", "ttl_secs=99999999999999999999", "ttl_secs=5&ttl_secs=5", "ttl=5", "ttl=",
        "x=1&ttl=5", "ttl_secs=5&ttl=5", "ttl%5Fsecs=0"])
    func `a lifetime that is none is refused`(_ query: String) {
        let request = HTTPScript.one("PUT \(HTTPSample.keys)/k?\(query) HTTP/1.1\nContent-Length: 1", body: "v")
        #expect(request?.failure == .lifetimeInvalid)
        #expect(request?.parameter == (query.contains("ttl=") ? "ttl" : "ttl_secs"))
    }

    @Test(arguments: [("ttl_secs=1", Lifetime.milliseconds(1_000)), ("ttl_secs=060", .milliseconds(60_000)),
        ("ttl_secs=9223372036", .milliseconds(9_223_372_036_000)), ("", .unlimited), ("other=1&&=", .unlimited),
        ("a=%&b", .unlimited)])
    func `a lifetime counts in seconds, and without one a value stays`(_ query: String, _ lifetime: Lifetime) {
        let request = HTTPScript.one("PUT /kv/n/k?\(query) HTTP/1.1\nContent-Length: 1", body: "v")
        #expect(request?.lifetime == lifetime)
        #expect(request?.failure == nil)
    }

    // MARK: 5 and 6, keys

    @Test(arguments: [("user%2F1", "user/1"), ("user%2f1", "user/1"), ("user/1", "user/1"), ("a//b", "a//b"), ("/a", "/a"),
        ("a/", "a/"), ("a/./b", "a/./b"), ("a/../b", "a/../b"), ("..", ".."), ("%2E%2E", ".."), ("%252F", "%2F"),
        ("_x", "_x"), ("keys/keys", "keys/keys"), ("a+b", "a+b"), ("a%20b", "a b"), ("a=b", "a=b"), ("%00", "\0")])
    func `a key is everything after its slash, decoded once`(_ path: String, _ key: String) {
        for line in ["GET \(HTTPSample.keys)/\(path)", "GET /kv/n/\(path)", "GET /kv/n/\(path)?a=/b"] {
            let request = HTTPScript.one(line + " HTTP/1.1")
            #expect(request?.key == key)
            #expect(request?.failure == nil)
        }
    }

    @Test(arguments: ["%", "%2", "%2x", "a%zz", "%%41", "abc%4"])
    func `a broken escape in a key is refused`(_ key: String) {
        #expect(HTTPScript.one("GET /kv/n/\(key) HTTP/1.1")?.failure == .keyIllegal)
    }

    @Test func `a head tells the key before the body comes`() {
        var script = HTTPScript()
        script.feed(HTTPSample.request("PUT /kv/n/%3A?ttl_secs=0", "Content-Length: 100"))
        let failures = script.requests.map(\.failure)
        #expect(failures == [.lifetimeInvalid])
    }

    // MARK: 8, listings

    @Test(arguments: [("limit=1", 1), ("limit=1000", 1_000), ("limit=5000", 1_000), ("limit=99999999999999999999999", 1_000), ("", 1_000)])
    func `a limit beyond a page is a page`(_ query: String, _ limit: Int) {
        #expect(HTTPScript.one("GET \(HTTPSample.keys)?\(query) HTTP/1.1")?.limit == limit)
    }

    @Test(arguments: ["limit=0", "limit=-1", "limit=x", "limit=", "limit=1.0"])
    func `a limit that is no positive integer is refused`(_ query: String) {
        let request = HTTPScript.one("GET \(HTTPSample.keys)?\(query) HTTP/1.1")
        #expect(request?.failure == .limitInvalid)
        #expect(request?.parameter == "limit")
    }

    @Test func `a prefix is decoded and a delimiter is one byte`() {
        let request = HTTPScript.one("GET /kv/n/?prefix=a%2Fb+c&delimiter=/ HTTP/1.1")
        #expect(request?.prefix == "a/b c")
        #expect(request?.delimiter == UInt8(ascii: "/"))
        #expect(HTTPScript.one("GET /kv/n/?delimiter=ab HTTP/1.1")?.failure == .malformed)
        #expect(HTTPScript.one("GET /kv/n/?prefix=a&prefix=b HTTP/1.1")?.failure == .malformed)
    }

    @Test func `the cursor of a reply leads on from its key`() throws {
        for key in ["a", "ab", "abc", "list/009", String(repeating: "k", count: 256)] {
            var output = ByteBuffer()
            HTTPCursor.append(Array(key.utf8), to: &output)
            let text = String(utf8: output.bytes)
            for form in [text, text + String(repeating: "%3D", count: (4 - text.count % 4) % 4)] {
                let request = try #require(HTTPScript.one("GET /kv/n/?cursor=\(form)&limit=3 HTTP/1.1"))
                #expect(request.cursor == key)
                #expect(request.failure == nil)
            }
            for index in text.indices {
                var damaged = text
                damaged.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
                #expect(HTTPScript.one("GET /kv/n/?cursor=\(damaged) HTTP/1.1")?.failure == .cursorInvalid)
                #expect(HTTPScript.one("GET /kv/n/?cursor=\(text[..<index]) HTTP/1.1")?.failure
                    == (index == text.startIndex ? nil : .cursorInvalid))
            }
        }
    }

    @Test(arguments: ["not-a-cursor", "!", "====", "AAAA", "AAAAAA", "YQ", "a", "%00%00"])
    func `a cursor of another make is refused`(_ cursor: String) {
        #expect(HTTPScript.one("GET /kv/n/?cursor=\(cursor) HTTP/1.1")?.failure == .cursorInvalid)
    }

    @Test(arguments: [("", 1, 20), ("page%5Bnumber%5D=3&page%5Bsize%5D=7", 3, 7), ("page[size]=251", 1, 250),
        ("page[number]=99999999999999999999", 1_000_000_000, 20)])
    func `namespaces are listed in pages`(_ query: String, _ page: Int, _ size: Int) {
        let request = HTTPScript.one("GET /v2/storage/kvs?\(query) HTTP/1.1")
        #expect(request?.page == page)
        #expect(request?.limit == size)
    }

    @Test(arguments: ["page[number]=0", "page[number]=x", "page[size]=0", "page[size]=-1"])
    func `a page that is none is refused`(_ query: String) {
        #expect(HTTPScript.one("GET /v2/storage/kvs?\(query) HTTP/1.1")?.failure == .limitInvalid)
    }

    // MARK: Bodies that are read

    @Test(arguments: [
        #"{"name":"my-cache"}"#, #" { "name" : "my-cache" } "#, #"{"x":[1,-2.5e+3,{"y":[]},{},"\"",true,false,null],"name":"my-cache"}"#,
        #"{"name":"\u006dy-cache","other":{"name":"inner"}}"#, #"{"name":"my-cache","x":"\ud83d\ude00"}"#,
    ])
    func `the name of a new namespace is read from JSON`(_ body: String) {
        let request = HTTPScript.one("POST /v2/storage/kvs HTTP/1.1\nContent-Length: \(body.utf8.count)", body: body)
        #expect(request?.failure == nil)
        #expect(request.map { String(decoding: $0.value, as: UTF8.self) } == "my-cache")
    }

    @Test(arguments: [
        (#"{}"#, Status.nameInvalid), (#"{"name":""}"#, .nameInvalid), (#"{"name":"A"}"#, .nameInvalid), (#"{"name":5}"#, .nameInvalid),
        (#"{"name":"a","name":"b"}"#, .nameInvalid), (#"{"name":"a\u00e9"}"#, .nameInvalid), (#"{"name":null}"#, .nameInvalid),
        (#""#, .malformed), (#"[]"#, .malformed), (#"{"name":"a"}x"#, .malformed), (#"{"name":"a",}"#, .malformed),
        (#"{"name":"a""#, .malformed), (#"{"name" "a"}"#, .malformed), (#"{'name':"a"}"#, .malformed), (#"{"name":"a\x"}"#, .malformed),
        (#"{"x":01,"name":"a"}"#, .malformed), (#"{"x":tru,"name":"a"}"#, .malformed), (#"{"x":[1 2],"name":"a"}"#, .malformed),
        (#"{"x":[1}],"name":"a"}"#, .malformed), (#"{"keys":"words","name":"a"}"#, .malformed),
        (#"{"eviction":"lru","name":"a"}"#, .malformed), (#"{"bytes_max":"1MiB","name":"a"}"#, .malformed),
        (#"{"bytes_max":-1,"name":"a"}"#, .malformed), (#"{"bytes_max":1e6,"name":"a"}"#, .malformed),
        (#"{"bytes_max":99999999999999999999,"name":"a"}"#, .malformed), (#"{"bytes_max":[1],"name":"a"}"#, .malformed),
    ])
    func `a body that names no namespace is refused`(_ body: String, _ status: Status) {
        let request = HTTPScript.one("POST /v2/storage/kvs HTTP/1.1\nContent-Length: \(body.utf8.count)", body: body)
        #expect(request?.failure == status)
    }

    @Test func `nesting has a bound`() {
        let deep = #"{"x":"# + String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000) + #","name":"a"}"#
        let request = HTTPScript.one("POST /v2/storage/kvs HTTP/1.1\nContent-Length: \(deep.utf8.count)", body: deep)
        #expect(request?.failure == .malformed)
        let fine = #"{"x":"# + String(repeating: "[", count: 60) + String(repeating: "]", count: 60) + #","name":"a"}"#
        #expect(HTTPScript.one("POST /v2/storage/kvs HTTP/1.1\nContent-Length: \(fine.utf8.count)", body: fine)?.failure == nil)
    }

    @Test func `a namespace may be given its settings`() {
        let body = #"{"keys":"bytes","durability":"interval","eviction":"s3-fifo","bytes_max": 67108864 }"#
        let request = HTTPScript.one("PUT /kv/new-one HTTP/1.1\nContent-Length: \(body.utf8.count)", body: body)
        #expect(request?.creation.keyRule == .bytes)
        #expect(request?.creation.durability == .interval)
        #expect(request?.creation.eviction == .s3fifo)
        #expect(request?.creation.bytesMax == 64 << 20)
        #expect(request.map { String(decoding: $0.value, as: UTF8.self) } == "new-one")
    }

    @Test func `a write needs a length and its content type may not be endless`() {
        #expect(HTTPScript.one("PUT /kv/n/k HTTP/1.1")?.failure == .lengthRequired)
        let long = String(repeating: "x", count: 256)
        #expect(HTTPScript.one("PUT /kv/n/k HTTP/1.1\nContent-Length: 0\nContent-Type: \(long)")?.failure == .malformed)
        let request = HTTPScript.one("PUT /kv/n/k HTTP/1.1\nContent-Length: 0\nContent-Type:  text/html; a=b \t")
        #expect(request?.contentType == "text/html; a=b")
    }

    @Test func `a body that means nothing is limited and passed over`() {
        #expect(HTTPScript.one("DELETE /kv/n/k HTTP/1.1\nContent-Length: 3", body: "abc")?.value == [])
        #expect(HTTPScript.one("GET /kv/n/k HTTP/1.1\nContent-Length: 16385")?.failure == .valueTooLarge)
    }
}
