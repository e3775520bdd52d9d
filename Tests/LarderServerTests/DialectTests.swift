import LarderWire
import Testing

@testable import LarderServer

/// Several dialects, one store.
@Suite("Dialects") struct DialectTests {
    let rig = Rig()
    let all: BinaryFlags = [.wantVersion, .wantContentType, .wantLifetime]

    @Test func `what binary writes, HTTP reads`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        let written = try Answer.only(binary.send(
            Ask.put("user/1", "caf\u{E9}", contentType: "text/plain; charset=utf-8", .milliseconds(1_234), .none, .wantVersion)))
        let version = try #require(written.version)
        let read = try HTTPAnswer.only(web.send(Web.request("GET /kv/default/user/1")))
        #expect(read.text == "caf\u{E9}")
        #expect(read.tag == "\"\(version)\"")
        #expect(read.fields["Larder-TTL-Ms"] == "1234")
        #expect(read.fields["Content-Type"] == "text/plain; charset=utf-8")
        // And its version is a condition there.
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/user/1", "If-None-Match: \"\(version)\""))).status == 304)
        #expect(try HTTPAnswer.only(web.send(Web.request("PUT /kv/default/user/1", "If-Match: \"\(version)\"", body: "w"))).status == 200)
        #expect(try Answer.only(binary.send(Ask.delete("user/1", .version(version)))).status == .conditionFailed)
    }

    @Test func `what HTTP writes, binary reads`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        let written = try HTTPAnswer.only(web.send(Web.request("PUT /kv/default/a%2Fb?ttl_secs=7", "Content-Type: image/png", body: "png")))
        let read = try Answer.only(binary.send(Ask.get("a/b", all)))
        #expect(read.text == "png")
        #expect(written.tag == "\"\(try #require(read.version))\"")
        #expect(read.lifetime == .milliseconds(7_000))
        #expect(read.contentType == "image/png")
        web.send(Web.request("PUT /kv/default/a/b", body: ""))
        let bare = try Answer.only(binary.send(Ask.get("a/b", all)))
        #expect(bare.status == .ok)
        #expect(bare.payload.isEmpty)
        #expect(bare.lifetime == .unlimited)
        #expect(bare.contentType == "")
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/a/b"))).fields["Content-Type"] == "application/octet-stream")
    }

    @Test func `a namespace of one dialect is there in the other`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        #expect(try HTTPAnswer.only(web.send(Web.request("PUT /kv/carts", body: #"{"keys": "bytes"}"#))).status == 201)
        let hello = try Answer.hello(binary.send(Ask.hello(namespace: .name("carts"))))
        #expect(hello.keyRule == .bytes)
        binary.send(Ask.put("a key", "v"))
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/carts/a%20key"))).text == "v")
        #expect(try HTTPAnswer.only(web.send(Web.request("DELETE /kv/carts"))).status == 200)
        #expect(try Answer.only(binary.send(Ask.get("a key"))).status == .namespaceDeleting)
    }

    @Test func `what would forge a header is not passed on as a content type`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        binary.send(Ask.put("k", "v", contentType: "a\r\nSet-Cookie: x"))
        let read = try HTTPAnswer.only(web.send(Web.request("GET /kv/default/k")))
        #expect(read.fields["Content-Type"] == "application/octet-stream")
        #expect(read.fields["Set-Cookie"] == nil)
    }

    // MARK: One entry, every dialect

    /// Writes an entry that lives 90 s, with all that the dialect can say of it.
    private func write(_ key: String, in dialect: String) {
        switch dialect {
        case "binary": ConversationTests.client(rig).send(Ask.put(key, "hello", contentType: "text/plain", .milliseconds(90_000)))
        case "HTTP": Client(rig).send(Web.request("PUT /kv/default/\(key)?ttl_secs=90", "Content-Type: text/plain", body: "hello"))
        case "RESP": Client(rig).send(Say.words("SET \(key) hello EX 90"))
        default: Client(rig).send("set \(key) 77 90 5\r\nhello\r\n")
        }
    }

    /// Expects that every dialect shows the same entry, each as much of it as it can.
    private func expect(_ key: String, _ value: String, milliseconds: Int64, type: String, flags: Int, _ note: String) throws {
        let read = try Answer.only(ConversationTests.client(rig).send(Ask.get(key, all)))
        #expect(read.text == value, "\(note)")
        #expect(read.lifetime == .milliseconds(milliseconds), "\(note)")
        #expect(read.contentType == type, "\(note)")
        let version = try #require(read.version)
        let page = try HTTPAnswer.only(Client(rig).send(Web.request("GET /kv/default/\(key)")))
        #expect(page.text == value, "\(note)")
        #expect(page.fields["Larder-TTL-Ms"] == "\(milliseconds)", "\(note)")
        #expect(page.fields["Content-Type"] == (type.isEmpty ? "application/octet-stream" : type), "\(note)")
        #expect(page.tag == "\"\(version)\"", "\(note)")
        let resp = Client(rig)
        #expect(try resp.ask("GET \(key)") == .text(value), "\(note)")
        #expect(try resp.ask("PTTL \(key)") == .integer(milliseconds), "\(note)")
        let text = Client(rig).send("gets \(key)\r\nmg \(key) t\r\n").text
        let seconds = (milliseconds + 999) / 1_000
        #expect(text == "VALUE \(key) \(flags) \(value.utf8.count) \(version)\r\n\(value)\r\nEND\r\nHD t\(seconds)\r\n", "\(note)")
    }

    @Test(arguments: ["binary", "HTTP", "RESP", "memcached"])
    func `what one dialect writes every other reads, and changes without losing what it does not know`(_ dialect: String) throws {
        let type = dialect == "binary" || dialect == "HTTP" ? "text/plain" : ""
        let flags = dialect == "memcached" ? 77 : 0
        write("user/1", in: dialect)
        try expect("user/1", "hello", milliseconds: 90_000, type: type, flags: flags, "as written")
        let (binary, resp) = (ConversationTests.client(rig), Client(rig))
        #expect(try resp.ask("APPEND user/1 !") == .integer(6))
        #expect(try resp.ask("PEXPIRE user/1 5500") == .integer(1))
        try expect("user/1", "hello!", milliseconds: 5_500, type: type, flags: flags, "after APPEND and PEXPIRE")
        #expect(try resp.ask("SETRANGE user/1 0 J") == .integer(6))
        #expect(try resp.ask("RENAME user/1 user/2") == .simple("OK"))
        binary.send(Ask.append("user/2", "?"))
        #expect(Client(rig).send("append user/2 1 1 1\r\n.\r\n").text == "STORED\r\n")
        try expect("user/2", "Jello!?.", milliseconds: 5_500, type: type, flags: flags, "after all the others")
        // Whoever writes the whole value says anew what it is.
        #expect(try resp.ask("SET user/2 new KEEPTTL") == .simple("OK"))
        try expect("user/2", "new", milliseconds: 5_500, type: "", flags: 0, "after SET")
    }

    // MARK: Expiry

    @Test func `a key lives until its deadline and not a millisecond longer`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        binary.send(Ask.put("k", "v", .milliseconds(100)))
        rig.now += 99
        #expect(try Answer.only(binary.send(Ask.get("k", all))).lifetime == .milliseconds(1))
        #expect(try Answer.only(binary.send(Ask.lifetime("k"))).lifetime == .milliseconds(1))
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/k"))).fields["Larder-TTL-Ms"] == "1")
        #expect(try Answer.page(binary.send(Ask.list())).items == ["k"])
        rig.now += 1
        for request in [Ask.get("k"), Ask.exists("k"), Ask.lifetime("k"), Ask.touch("k", .unlimited), Ask.delete("k"),
            Ask.setLifetime("k", .unlimited)]
        {
            #expect(try Answer.only(binary.send(request)).status == .notFound)
        }
        #expect(try Answer.many(binary.send(Ask.many(["k"]))).map(\.status) == [.notFound])
        #expect(try Answer.page(binary.send(Ask.list())).items == [])
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/k"))).status == 404)
        #expect(try Answer.only(binary.send(Ask.put("k", "v", .unlimited, .present))).status == .conditionFailed)
        #expect(try Answer.only(binary.send(Ask.increment("k", by: 3))).integer == 3)
        #expect(try Answer.only(binary.send(Ask.lifetime("k"))).lifetime == .unlimited)
    }

    @Test func `lifetimes are kept, renewed and cleared`() throws {
        let binary = ConversationTests.client(rig)
        func left() throws -> Lifetime? { try Answer.only(binary.send(Ask.lifetime("k"))).lifetime }
        binary.send(Ask.put("k", "1", .milliseconds(100)))
        rig.now += 40
        binary.send(Ask.put("k", "2", .keep))
        #expect(try left() == .milliseconds(60))
        binary.send(Ask.append("k", "3", .milliseconds(5)))
        #expect(try left() == .milliseconds(60))
        #expect(try Answer.only(binary.send(Ask.touch("k", .milliseconds(500), all))).lifetime == .milliseconds(500))
        binary.send(Ask.setLifetime("k", .unlimited))
        #expect(try left() == .unlimited)
        binary.send(Ask.setLifetime("k", .milliseconds(10)))
        #expect(try left() == .milliseconds(10))
        binary.send(Ask.put("k", "4"))
        #expect(try left() == .unlimited)
        binary.send(Ask.put("new", "1", .keep))
        #expect(try Answer.only(binary.send(Ask.lifetime("new"))).lifetime == .unlimited)
    }

    @Test func `a lifetime that ends when the old one does changes nothing, not even the version`() throws {
        let client = Client(Rig())
        client.send(Ask.hello())
        let version = try Answer.only(client.send(Ask.put("k", "v", .milliseconds(5_000), .none, .wantVersion))).version
        for request in [
            Ask.setLifetime("k", .milliseconds(5_000), .none, .wantVersion), Ask.touch("k", .milliseconds(5_000), .wantVersion),
            Ask.get("k", .wantVersion),
        ] {
            let answer = try Answer.only(client.send(request))
            #expect(answer.status == .ok)
            #expect(answer.version == version)
        }
        #expect(try Answer.only(client.send(Ask.setLifetime("k", .milliseconds(5_001), .none, .wantVersion))).version != version)
    }

    @Test func `a lifetime beyond the latest deadline ends in the year 6429`() throws {
        let rig = Rig()
        let client = Client(rig)
        client.send(Ask.hello())
        client.send(Ask.put("k", "v", .milliseconds(.max)))
        #expect(try Answer.only(client.send(Ask.lifetime("k"))).lifetime == .milliseconds(1 << 47 - 1 - rig.now))
        // HTTP can ask for less, and is told the same.
        let head = try HTTPAnswer.only(Client(rig).send(Web.request("GET /kv/default/k")))
        #expect(head.fields["Larder-TTL-Ms"] == "\(1 << 47 - 1 - rig.now)")
    }

    @Test func `the longest lifetime does not run over`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        binary.send(Ask.put("k", "v", .milliseconds(.max)))
        #expect(try Answer.only(binary.send(Ask.get("k"))).text == "v")
        #expect(try HTTPAnswer.only(web.send(Web.request("PUT /kv/default/l?ttl_secs=9223372036", body: "v"))).status == 201)
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/l"))).fields["Larder-TTL-Ms"] == "9223372036000")
    }

    @Test func `with always a miss after a deadline waits for the write that set it`() throws {
        let rig = Rig(waits: true)
        let binary = ConversationTests.client(rig)
        binary.send(Ask.put("k", "v", .milliseconds(10)))
        rig.now += 10
        let reader = ConversationTests.client(rig)
        #expect(reader.send(Ask.get("k")).isEmpty)
        rig.sync()
        #expect(try Answer.only(reader.logMoved()).status == .notFound)
    }
}
