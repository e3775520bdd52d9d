import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Testing

@testable import LarderServer

/// What the document cannot show: other dialects beside this one, logs that wait or fail, and bounds.
@Suite("memcached") struct MemcachedTests {
    private let all: BinaryFlags = [.wantVersion, .wantContentType, .wantLifetime]

    // MARK: The same entry in every dialect

    @Test func `what memcached writes, the others read`() throws {
        let rig = Rig()
        let (memcached, binary, web) = (Client(rig), ConversationTests.client(rig), Client(rig))
        #expect(memcached.send("set user/1 77 90 5\r\nhello\r\n").text == "STORED\r\n")
        let version = try #require(memcached.send("gets user/1\r\n").text.split(separator: "\r\n").first?.split(separator: " ").last.flatMap { UInt64($0) })
        let read = try Answer.only(binary.send(Ask.get("user/1", all)))
        #expect(read.text == "hello")
        #expect(read.version == version)
        #expect(read.lifetime == .milliseconds(90_000))
        #expect(read.contentType == "")
        let page = try HTTPAnswer.only(web.send(Web.request("GET /kv/default/user/1")))
        #expect(page.text == "hello")
        #expect(page.tag == "\"\(version)\"")
        #expect(page.fields["Larder-TTL-Ms"] == "90000")
        #expect(page.fields["Content-Type"] == "application/octet-stream")
        #expect(try HTTPAnswer.only(web.send(Web.request("PUT /kv/default/user/1", "If-Match: \"\(version)\"", body: "w"))).status == 200)
        #expect(memcached.send("cas user/1 0 0 1 \(version)\r\nx\r\n").text == "EXISTS\r\n")
    }

    @Test func `what the others write, memcached reads`() throws {
        let rig = Rig()
        let (memcached, binary, web) = (Client(rig), ConversationTests.client(rig), Client(rig))
        let version = try #require(try Answer.only(binary.send(Ask.put("a", "one", .milliseconds(5_000), .none, .wantVersion))).version)
        #expect(memcached.send("gets a\r\n").text == "VALUE a 0 3 \(version)\r\none\r\nEND\r\n")
        #expect(memcached.send("mg a t s v\r\n").text == "VA 3 t5 s3\r\none\r\n")
        web.send(Web.request("PUT /kv/default/b?ttl_secs=7", "Content-Type: text/plain", body: "two"))
        #expect(memcached.send("get a b\r\n").text == "VALUE a 0 3\r\none\r\nVALUE b 0 3\r\ntwo\r\nEND\r\n")
        #expect(memcached.send("append b 9 9 1\r\n!\r\nincr b 1\r\n").text == "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
        let page = try HTTPAnswer.only(web.send(Web.request("GET /kv/default/b")))
        #expect(page.text == "two!")
        #expect(page.fields["Content-Type"] == "text/plain")
        #expect(page.fields["Larder-TTL-Ms"] == "7000")
    }

    @Test func `flags, lifetime and content type stay when a value is changed`() throws {
        let rig = Rig()
        let (memcached, binary) = (Client(rig), ConversationTests.client(rig))
        memcached.send("set n 42 100 1\r\n7\r\n")
        #expect(memcached.send("incr n 3\r\nappend n 1 1 1\r\n0\r\nprepend n 1 1 1\r\n1\r\nmg n v f t\r\n").text
            == "10\r\nSTORED\r\nSTORED\r\nVA 4 f42 t100\r\n1100\r\n")
        binary.send(Ask.increment("n", by: 1))
        #expect(memcached.send("mg n v f t\r\n").text == "VA 4 f42 t100\r\n1101\r\n")
        binary.send(Ask.put("n", "new"))
        #expect(memcached.send("mg n v f t\r\n").text == "VA 3 f0 t-1\r\nnew\r\n")
    }

    @Test func `an absolute time is one`() throws {
        let client = Client(Rig())
        let seconds = Rig.start / 1_000
        #expect(client.send("set k 0 \(seconds + 50) 1\r\nx\r\nmg k t\r\n").text == "STORED\r\nHD t50\r\n")
        #expect(client.send("touch k \(seconds - 1)\r\nget k\r\n").text == "TOUCHED\r\nEND\r\n")
        #expect(client.send("set k 0 9223372036854775 1\r\nx\r\nget k\r\n").text == "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n")
    }

    @Test func `a key lives until its deadline and not a millisecond longer`() {
        let rig = Rig()
        let client = Client(rig)
        client.send("set k 0 10 1\r\nx\r\n")
        rig.now += 9_999
        #expect(client.send("mg k t\r\n").text == "HD t1\r\n")
        rig.now += 1
        #expect(client.send("get k\r\nadd k 0 0 1\r\ny\r\n").text == "END\r\nSTORED\r\n")
    }

    // MARK: Namespaces and login

    private static func locked() -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("open sesame".utf8))
        return configuration
    }

    @Test func `connections are in the namespace that the setting names`() throws {
        var configuration = ServerConfiguration()
        configuration.memcachedNamespace = "legacy"
        let rig = Rig(configuration)
        let early = Client(rig)
        #expect(early.send("get k\r\n").text.hasPrefix("SERVER_ERROR There is no such namespace."))
        #expect(early.isClosed)
        rig.createNamespace("legacy", .always, .bytes)
        let client = Client(rig)
        #expect(client.send("set a:b 0 0 1\r\nx\r\nget a:b\r\n").text == "STORED\r\nVALUE a:b 0 1\r\nx\r\nEND\r\n")
        let binary = ConversationTests.client(rig)
        binary.send(Ask.hello(namespace: .name("legacy")))
        #expect(try Answer.only(binary.send(Ask.get("a:b"))).text == "x")
    }

    @Test func `a login names a namespace and shows the key`() throws {
        let rig = Rig(Self.locked())
        rig.createNamespace("carts", .always, .bytes)
        let client = Client(rig)
        #expect(client.send("set x 0 0 17\r\ncarts open sesame\r\nset a:b 0 0 1\r\nx\r\n").text == "STORED\r\nSTORED\r\n")
        for text in ["default open sesamE", "nothing open sesame", "open sesame", "default", "default  open sesame", ""] {
            let client = Client(rig)
            #expect(client.send("set x 0 0 \(text.utf8.count)\r\n\(text)\r\nget k\r\n").text == "CLIENT_ERROR authentication failure\r\n")
            #expect(client.isClosed)
        }
    }

    @Test(arguments: ["get a b c\r\n", "version\r\n", "mg k v\r\n", "flush_all\r\n", "delete k\r\n", "incr k 1\r\n", "stats\r\n", "add k 0 0 1\r\nx\r\n"])
    func `nothing but a login is looked at before it`(_ request: String) {
        let client = Client(Rig(Self.locked()))
        #expect(client.send(request + "set x 0 0 19\r\ndefault open sesame\r\n").text == "CLIENT_ERROR Authentication required.\r\n")
        #expect(client.isClosed)
    }

    @Test func `before the login no large data is taken`() {
        let client = Client(Rig(Self.locked()))
        #expect(client.send("set x 0 0 1025\r\n").text == "CLIENT_ERROR Authentication required.\r\n")
        #expect(client.isClosed)
    }

    // MARK: Several keys

    @Test func `many keys are answered in order, and the reply waits for its reader`() {
        var configuration = ServerConfiguration()
        configuration.outputBytesSoft = 16_384
        let client = Client(Rig(configuration))
        let value = String(repeating: "v", count: 1_000)
        for number in 0..<100 { client.send("set k\(number) 0 0 1000\r\n\(value)\r\n") }
        let names = (0..<200).map { "k\($0 % 120)" }
        let expected = names.filter { Int($0.dropFirst())! < 100 }.map { "VALUE \($0) 0 1000\r\n\(value)\r\n" }.joined() + "END\r\n"
        #expect(client.send("get \(names.joined(separator: " "))\r\n").text == expected)
        client.unsent = 1 << 20
        #expect(client.send("get k1 k2\r\n").isEmpty)
        client.unsent = 0
        #expect(client.proceed().text == "VALUE k1 0 1000\r\n\(value)\r\nVALUE k2 0 1000\r\n\(value)\r\nEND\r\n")
    }

    @Test func `behind a key that is refused nothing of the request is answered, and the next one is`() {
        let client = Client(Rig())
        client.send("set a 0 0 1\r\nx\r\n")
        let names = (0..<100).map { $0 == 50 ? "a:b" : "a" }.joined(separator: " ")
        let refusal = "CLIENT_ERROR Keys consist of a-z, A-Z, 0-9, -, _, /, = and ., and are not . or .. alone.\r\n"
        let values = String(repeating: "VALUE a 0 1\r\nx\r\n", count: 50)
        #expect(client.send("get \(names)\r\nget a\r\n").text == values + refusal + "VALUE a 0 1\r\nx\r\nEND\r\n")
        #expect(client.send("gat 5 a:b a a\r\ngat 5 b:a\r\nmn\r\n").text == refusal + refusal + "MN\r\n")
    }

    @Test func `a large value is read in slices, in both forms`() {
        let rig = Rig()
        let client = Client(rig)
        let value = String(repeating: "0123456789abcdef", count: 50_000)
        client.send("set k 3 0 \(value.utf8.count)\r\n\(value)\r\n")
        client.copyWork = 100_000
        #expect(client.sendOnce(Array("get k k\r\nmg k v s Ox\r\nmg k s\r\n".utf8)).isEmpty)
        #expect(client.isUnfinished)
        let classic = "VALUE k 3 800000\r\n\(value)\r\n"
        #expect(client.proceed().text == "\(classic)\(classic)END\r\nVA 800000 s800000 Ox\r\n\(value)\r\nHD s800000\r\n")
    }

    // MARK: Replies that wait

    @Test(arguments: ["set k 0 0 1\r\nx\r\n", "ms k 1\r\nx\r\n", "delete n\r\n", "incr n 1\r\n", "append n 0 0 1\r\n0\r\n", "md n\r\n", "ma n\r\n", "md n I\r\n",
        "touch n 50\r\n", "gat 50 n\r\n", "mg n T50\r\n", "mg new N50\r\n", "flush_all\r\n", "ms n 1 MA\r\n0\r\n"])
    func `a write with always is answered when it is on the medium, and not before`(_ request: String) {
        let rig = Rig(waits: true)
        let client = Client(rig)
        client.send("set n 0 0 1\r\n8\r\n")
        rig.sync()
        #expect(client.logMoved().text == "STORED\r\n")
        #expect(client.send(request).isEmpty)
        #expect(client.wantsSync)
        rig.sync()
        #expect(!client.logMoved().isEmpty)
        #expect(client.heldCount == 0)
    }

    @Test func `a read of several keys is refused once when the log fails`() {
        let rig = Rig(waits: true)
        let writer = Client(rig)
        writer.send("set a 0 0 1\r\nx\r\n")
        rig.sync()
        writer.send("set b 0 0 1\r\ny\r\n")
        let reader = Client(rig)
        #expect(reader.send("get a b b a b\r\nmn\r\n").text == "VALUE a 0 1\r\nx\r\n")
        rig.fake.isWorking = false
        #expect(reader.logMoved().text == "SERVER_ERROR The value is not on the medium yet and the log cannot write. Try again later.\r\nMN\r\n")
        #expect(reader.send("get a\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
    }

    @Test func `while the data is loaded there are refusals, one for each request`() {
        let rig = Rig()
        rig.server.phase = .loading
        let client = Client(rig)
        let refusal = "SERVER_ERROR The server is still loading its data. Try again shortly; /readyz tells how far it is.\r\n"
        #expect(client.send("get a b c\r\nset a 0 0 1\r\nx\r\nset a 0 0 1 noreply\r\nx\r\nmg a v\r\nversion\r\n").text
            == refusal + refusal + refusal + "VERSION 1.6.0-larder\r\n")
        let locked = Rig(Self.locked())
        locked.server.phase = .loading
        let early = Client(locked)
        #expect(early.send("set x 0 0 19\r\ndefault open sesame\r\n").text == refusal)
        locked.server.phase = .ready
        #expect(early.send("set x 0 0 19\r\ndefault open sesame\r\n").text == "STORED\r\n")
    }

    @Test func `while data was loaded, a namespace of the settings was called missing`() {
        var configuration = ServerConfiguration()
        configuration.memcachedNamespace = "legacy"
        let rig = Rig(configuration)
        rig.server.phase = .loading
        let client = Client(rig)
        #expect(client.send("get k\r\n").text.hasPrefix("SERVER_ERROR The server is still loading its data."))
        // It has to connect again, since the namespace may be there by then.
        #expect(client.isClosed)
    }

    // MARK: Refused data

    @Test func `data that is refused by its line is thrown away as it comes`() {
        var configuration = ServerConfiguration()
        configuration.valueBytesMax = 10
        let client = Client(Rig(configuration))
        client.send("set k 0 0 2\r\nhi\r\n")
        #expect(client.send("set k 0 0 1000000\r\n").text == "SERVER_ERROR object too large for cache\r\n")
        for _ in 0..<100 { #expect(client.send(String(repeating: "x", count: 10_000)).isEmpty) }
        #expect(client.unread == 0)
        #expect(client.send("\r\nget k\r\n").text == "VALUE k 0 2\r\nhi\r\nEND\r\n")
        #expect(client.send("append k 0 0 9\r\n123456789\r\nms k 9 MP\r\n123456789\r\nget k\r\n").text
            == "SERVER_ERROR object too large for cache\r\nSERVER_ERROR object too large for cache\r\nVALUE k 0 2\r\nhi\r\nEND\r\n")
        #expect(client.send("set k 0 0 67108865\r\n").text == "SERVER_ERROR object too large for cache\r\n")
        #expect(client.isClosed)
    }

    @Test(arguments: ["\t", "\u{1}", "\r", "\u{b}"])
    func `the data behind a line whose key held a control character was carried out`(_ character: String) {
        let rig = Rig()
        Client(rig).send("set keep 0 0 1\r\nx\r\n")
        for word in ["set", "add", "append", "ms"] {
            let client = Client(rig)
            let line = word == "ms" ? "ms user\(character)b 9\r\n" : "\(word) user\(character)b 0 0 9\r\n"
            #expect(client.send(line + "flush_all\r\nget keep\r\n").text == "CLIENT_ERROR bad command line format\r\n", "\(word)")
            #expect(client.isClosed)
        }
        #expect(rig.entries == 1)
    }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\n", "Host: localhost\r\n",
        "*1\r\n$4\r\nPING\r\n",
    ])
    func `what a browser or another server was made to send was carried out`(_ head: String) {
        let rig = Rig()
        for begun in [false, true] {
            let client = Client(rig, dialect: .memcached)
            if begun { client.send("get none\r\n") }
            #expect(client.send(head + "set a 0 0 4\r\nevil\r\n").isEmpty)
            #expect(client.isClosed)
        }
        #expect(rig.entries == 0)
    }

    @Test func `who wants no answer was not told of a counter that it has made`() {
        let client = Client(Rig())
        #expect(client.send("ma n q N0 J5\r\nma n q N0 J5\r\n").text == "HD\r\n")
        #expect(client.send("ma m q N0 J5 v t Oabc\r\nma m q v\r\n").text == "VA 1 t-1 Oabc\r\n5\r\n")
        #expect(client.send("ma o N-1 q v\r\nma none q\r\nma n q C1\r\n").text == "VA 1\r\n0\r\nNF\r\nEX\r\n")
    }

    @Test func `meta commands with a lifetime that has passed were answered as if nothing had been stored`() {
        let client = Client(Rig())
        #expect(client.send("mg x N-1 Oabc\r\n").text == "HD Oabc W\r\n")
        #expect(client.send("ms x 2 T-1\r\nab\r\nms x 2 T-1 k q\r\nab\r\nms x 2 T-1 ME\r\nab\r\n").text == "HD\r\nHD\r\n")
        #expect(client.send("ma x N-1 v\r\n").text == "VA 1\r\n0\r\n")
        #expect(client.send("ms x 1\r\n5\r\nma x T-1 v\r\nma x\r\nmd x\r\nget x\r\n").text == "HD\r\nVA 1\r\n6\r\nNF\r\nNF\r\nEND\r\n")
    }

    @Test func `statistics counted requests for many keys as one, and their hits as many`() {
        let rig = Rig()
        Client(rig, dialect: .resp).send(Say.words("MSET a 1 b 2 c 3"))
        Client(rig, dialect: .resp).send(Say.words("MGET a b none"))
        let lines = Client(rig).send("stats\r\n").text.split(separator: "\r\n").map(String.init)
        for line in ["STAT cmd_get 3", "STAT get_hits 2", "STAT get_misses 1", "STAT cmd_set 3", "STAT total_items 3"] {
            #expect(lines.contains(line), "\(line)")
        }
    }

    @Test func `statistics have the names that monitors look for`() {
        let client = Client(Rig())
        client.send("set k 0 0 1\r\nx\r\nget k none\r\n")
        let lines = client.send("stats\r\n").text.split(separator: "\r\n").map(String.init)
        for line in ["STAT cmd_get 2", "STAT cmd_set 1", "STAT get_hits 1", "STAT get_misses 1", "STAT curr_items 1", "STAT pointer_size 64", "END"] {
            #expect(lines.contains(line), "\(line)")
        }
        for name in ["pid", "uptime", "time", "version", "rusage_user", "rusage_system", "curr_connections", "total_connections", "bytes", "bytes_read",
            "bytes_written", "limit_maxbytes", "threads", "evictions", "total_items"]
        {
            #expect(lines.contains { $0.hasPrefix("STAT \(name) ") }, "\(name)")
        }
        #expect(client.send("stats settings\r\n").text.contains("STAT item_size_max 1048576\r\n"))
        #expect(client.send("stats slabs\r\n").text.hasPrefix("STAT active_slabs 0\r\n"))
    }

    @Test func `quit closes, and what is behind it is not carried out`() {
        let rig = Rig()
        let client = Client(rig)
        #expect(client.send("set a 0 0 1\r\nx\r\nquit\r\nset b 0 0 1\r\nx\r\n").text == "STORED\r\n")
        #expect(client.isClosed)
        #expect(Client(rig).send("get a b\r\n").text == "VALUE a 0 1\r\nx\r\nEND\r\n")
    }
}
