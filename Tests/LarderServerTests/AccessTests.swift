import LarderBytes
import LarderPlatform
import LarderWire
import Testing

@testable import LarderServer

@Suite("Access") struct AccessTests {
    static func locked() -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("open sesame".utf8))
        return configuration
    }

    static func isLocal(_ host: String) -> Bool {
        let bytes = Array(host.utf8)
        return AccessControl.isLocal(bytes.span.bytes)
    }

    static func accepts(_ access: AccessControl, _ credential: String) -> Bool {
        let bytes = Array(credential.utf8)
        return access.accepts(bytes.span.bytes)
    }

    // MARK: What a server may start with

    @Test func `without a key only loopback is listened on`() {
        var configuration = ServerConfiguration()
        #expect(AccessControl.refusal(of: configuration) == nil)
        configuration.listen = [SocketAddress(host: "127.0.0.1", port: 1), SocketAddress(host: "::1", port: 1)].map { ListenAddress($0) }
        #expect(AccessControl.refusal(of: configuration) == nil)
        for host in ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "fe80::1", "::ffff:127.0.0.1"] {
            configuration.listen = [SocketAddress(host: "127.0.0.1", port: 1), SocketAddress(host: host, port: 7400)].map { ListenAddress($0) }
            let refusal = AccessControl.refusal(of: configuration)
            #expect(refusal?.contains("\(configuration.listen[1])") == true, "\(host)")
            #expect(refusal?.contains("api-key-file") == true)
        }
        var open = configuration
        open.insecureNoAuthentication = true
        #expect(AccessControl.refusal(of: open) == nil)
        configuration.apiKey = APIKey(bytes: [1])
        #expect(AccessControl.refusal(of: configuration) == nil)
    }

    @Test(arguments: [
        "localhost", "localhost:7400", "127.0.0.1", "127.0.0.1:80", "127.255.3.4", "[::1]", "[::1]:7400", "localhost:",
        "LOCALHOST", "Localhost:7400",
    ])
    func `names this machine`(_ host: String) {
        #expect(Self.isLocal(host))
    }

    @Test(arguments: [
        "example.org", "localhost.example.org", "127.example.org", "127.0.0.1.example.org", "evil-localhost", "[::2]",
        "[::1", "[::1]x", "[::1].org", "localhost:7400x", "localhost:80:80", "127.0.0", "127.0.0.1.5", "128.0.0.1", "127.", "::1",
        "0.0.0.0", "1270.0.0.1", "localhost@evil", "", "[]", "[", ":", "127.0.0.1 ", "127...1", "127..0.1", "127.0.0.", "127.0.0.256", "127.0.0.1111",
    ])
    func `names another machine, or none`(_ host: String) {
        #expect(!Self.isLocal(host))
    }

    @Test func `a key is the key and nothing else`() {
        let access = AccessControl(configuration: Self.locked())
        #expect(access.needsKey)
        for (credential, isRight) in [
            ("open sesame", true), ("open sesamf", false), ("Open sesame", false), ("open sesam", false), ("", false),
            ("open sesame ", false), ("open sesameopen sesame", false),
        ] {
            #expect(Self.accepts(access, credential) == isRight, "\(credential)")
        }
        let open = AccessControl(configuration: ServerConfiguration())
        #expect(Self.accepts(open, "anything"))
        #expect(!open.needsKey)
    }

    // MARK: Binary

    @Test(arguments: [Ask.get("k"), Ask.put("k", "v"), Ask.ping(), Ask.stats(), Ask.namespaces(), Ask.create("a")])
    func `nothing but hello is answered first, with or without a key`(_ request: [UInt8]) throws {
        for configuration in [ServerConfiguration(), Self.locked()] {
            let rig = Rig(configuration)
            let client = Client(rig)
            let answers = try Answer.all(client.send(request + Ask.hello("open sesame") + Ask.ping()))
            #expect(answers.map(\.status) == [.helloRequired])
            #expect(client.isClosed)
            #expect(rig.namespaceCount == 1)
            #expect(rig.entries == 0)
        }
    }

    @Test func `an unauthorized hello is told so whatever else it says, and closes`() throws {
        for hello in [
            Ask.hello("open sesamf", id: 3), Ask.hello(id: 3), Ask.hello("x", namespace: .name("nowhere"), id: 3),
        ] {
            let client = Client(Rig(Self.locked()))
            let answers = try Answer.all(client.send(hello + Ask.hello("open sesame") + Ask.ping()))
            #expect(answers.map(\.status) == [.unauthorized])
            #expect(answers.first?.id == 3)
            #expect(client.isClosed)
        }
    }

    /// Hellos with something wrong beside the credentials: flags, body up to the credentials, and what it is told who has them.
    /// One that is too short has no credentials to show.
    static let wrongHellos: [(flags: UInt16, body: [UInt8], isTooShort: Bool, status: Status, closes: Bool)] = [
        (0, [9, 0], false, .unsupportedVersion, false),
        (0x8000, [9, 0], false, .unsupportedVersion, false),
        (0, [9, 3, 97, 98, 99], false, .unsupportedVersion, false),
        (0x8000, [1, 0], false, .unknownFlag, false),
        (0x0001, [1, 2, 97, 98], false, .unknownFlag, false),
        (0x6000, [1, 1, 97], false, .unknownFlag, false),
        (0x4000, [1, 3, 1, 2, 3], false, .malformed, true),
        (0, [1, 1, 97], false, .malformed, true),
        (0x2000, [1, 7] + Array("nowhere".utf8), false, .namespaceNotFound, false),
        (0, [], true, .malformed, true),
        (0, [1], true, .malformed, true),
        (0, [9], true, .unsupportedVersion, false),
        (0x8000, [], true, .unknownFlag, false),
        (0, [1, 200, 97], true, .malformed, true),
    ]

    static func frame(_ opcode: UInt8, _ flags: UInt16, _ body: [UInt8], id: UInt8 = 3) -> [UInt8] {
        [0xAD, opcode, UInt8(flags & 0xFF), UInt8(flags >> 8), id, 0, 0, 0, UInt8(body.count), 0, 0, 0] + body
    }

    @Test(arguments: wrongHellos.indices)
    func `whoever lacks the key was told what else is wrong with a hello`(_ index: Int) throws {
        let hello = Self.wrongHellos[index]
        let wrong = hello.isTooShort ? [[]] : [[], Array("open sesamf".utf8)]
        for credentials in wrong {
            let client = Client(Rig(Self.locked()))
            let answers = try Answer.all(client.send(Self.frame(1, hello.flags, hello.body + credentials) + Ask.ping()))
            #expect(answers.map(\.status) == [.unauthorized])
            #expect(answers.first?.id == 3)
            #expect(client.isClosed)
        }
        let right = hello.isTooShort ? [] : Array("open sesame".utf8)
        let client = Client(Rig(hello.isTooShort ? ServerConfiguration() : Self.locked()))
        let answers = try Answer.all(client.send(Self.frame(1, hello.flags, hello.body + right) + Ask.ping()))
        // It was no login.
        #expect(answers.map(\.status) == (hello.closes ? [hello.status] : [hello.status, .helloRequired]))
        #expect(client.isClosed)
    }

    @Test(arguments: [false, true]) func `a first frame that is no hello is not looked into`(_ isLocked: Bool) throws {
        let client = Client(Rig(isLocked ? Self.locked() : ServerConfiguration()))
        // A put whose lengths do not add up.
        #expect(try Answer.only(client.send(Self.frame(0x20, 0, [255, 255]))).status == .helloRequired)
        #expect(client.isClosed)
    }

    @Test func `a further hello without credentials keeps the login, one with wrong ones closes`() throws {
        let rig = Rig(Self.locked())
        rig.createNamespace("carts")
        let client = Client(rig)
        #expect(try Answer.only(client.send(Ask.hello("open sesame"))).status == .ok)
        #expect(try Answer.only(client.send(Ask.hello(namespace: .name("carts")))).status == .ok)
        #expect(try Answer.namespace(client.send(Ask.describe())).name == "carts")
        #expect(try Answer.only(client.send(Ask.hello(namespace: .name("nowhere")))).status == .namespaceNotFound)
        #expect(try Answer.namespace(client.send(Ask.describe())).name == "carts")
        #expect(try Answer.only(client.send(Ask.hello("wrong"))).status == .unauthorized)
        #expect(client.isClosed)
    }

    @Test func `before the login a frame is small`() throws {
        let client = Client(Rig(Self.locked()))
        let answers = try Answer.all(client.send(Ask.hello(String(repeating: "x", count: 4_096))))
        #expect(answers.map(\.status) == [.frameTooLarge])
        #expect(client.isClosed)
        let second = Client(Rig(Self.locked()))
        #expect(try Answer.only(second.send(Ask.hello("open sesame"))).status == .ok)
        #expect(try Answer.only(second.send(Ask.put("k", String(repeating: "x", count: 100_000)))).status == .created)
    }

    // MARK: HTTP

    @Test(arguments: [
        "GET /kv/default/k", "GET /kv", "GET /metrics", "GET /v2/storage/kvs", "GET /nothing", "PATCH /kv/default/k",
        "GET /kv/nowhere/k", "GET /kv/default/_reserved", "GET /kv/default/?limit=x",
    ])
    func `a missing or wrong token is told so before anything else`(_ line: String) throws {
        for field in ["Accept: */*", "Authorization: Bearer open sesamf", "Authorization: Bearer x", "Authorization: Basic open sesame"] {
            let client = Client(Rig(Self.locked()))
            let answer = try HTTPAnswer.only(client.send(Web.request(line, field)))
            #expect(answer.status == 401)
            #expect(answer.fields["WWW-Authenticate"] == "Bearer")
            #expect(!client.isClosed)
        }
    }

    @Test(arguments: [
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\nContent-Type: a\r\nContent-Type: b\r\nContent-Length: 1\r\n", "x", 400),
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n", "", 413),
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n", "", 413),
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\n", "", 411),
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n", "nonsense\r\n", 400),
        ("PUT /kv/default/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n", "FFFFFFFF\r\n", 413),
        ("GET /kv/default/k HTTP/1.1\r\nHost: h\r\nIf-Match: x\r\n", "", 400),
        ("GET /kv/default/%zz HTTP/1.1\r\nHost: h\r\n", "", 400),
        ("PUT /kv/new HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n", "{\"n", 400),
    ])
    func `a field or a body that is wrong was told of before the token was looked at`(
        _ head: String, _ body: String, _ status: Int
    ) throws {
        let client = Client(Rig(Self.locked()))
        #expect(try HTTPAnswer.only(client.send(head + "\r\n" + body)).status == 401)
        let allowed = Client(Rig(Self.locked()))
        let answer = try HTTPAnswer.only(allowed.send(head + "Authorization: Bearer open sesame\r\n\r\n" + body))
        #expect(answer.status == status)
    }

    @Test func `the right token passes, and health needs none`() throws {
        let client = Client(Rig(Self.locked()))
        let token = "Authorization: Bearer open sesame"
        #expect(try HTTPAnswer.only(client.send(Web.request("PUT /kv/default/k", token, body: "v"))).status == 201)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /kv/default/k", token))).text == "v")
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /healthz"))).status == 200)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /readyz"))).status == 200)
    }

    @Test func `a token is asked for on every request of a connection`() throws {
        let client = Client(Rig(Self.locked()))
        let requests =
            Web.request("PUT /kv/default/k", "Authorization: Bearer open sesame", body: "v") + Web.request("GET /kv/default/k")
            + Web.request("DELETE /kv/default/k")
            + Web.request("GET /kv/default/k", "Authorization: Bearer open sesame")
        #expect(try HTTPAnswer.all(client.send(requests)).map(\.status) == [201, 401, 401, 200])
    }

    @Test func `without a key, pages of a browser are refused`() throws {
        let rig = Rig()
        for (line, field, status) in [
            ("GET /kv/default/k", "Origin: https://example.org", 403), ("PUT /kv/default/k", "Origin: null", 403),
            ("GET /kv/default/k", "Origin: http://localhost", 403), ("GET /kv/default/k", "Accept: */*", 404),
        ] {
            let client = Client(rig)
            let answer = try HTTPAnswer.only(client.send(Web.request(line, field, body: "")))
            #expect(answer.status == status, "\(line) \(field)")
        }
        #expect(rig.entries == 0)
    }

    @Test(arguments: [("localhost", 404), ("127.0.0.1:7400", 404), ("evil.example", 403), ("127.evil.example:80", 403)])
    func `without a key, the host must be this machine`(_ host: String, _ status: Int) throws {
        let request = "GET /kv/default/k HTTP/1.1\r\nHost: \(host)\r\n\r\n"
        #expect(try HTTPAnswer.only(Client(Rig()).send(request)).status == status)
        var open = ServerConfiguration()
        open.insecureNoAuthentication = true
        #expect(try HTTPAnswer.only(Client(Rig(open)).send(request)).status == 404)
    }

    @Test func `with a key, origin and host do not matter`() throws {
        let request =
            "GET /kv/default/k HTTP/1.1\r\nHost: cache.example\r\nOrigin: https://a.example\r\nAuthorization: Bearer open sesame\r\n\r\n"
        #expect(try HTTPAnswer.only(Client(Rig(Self.locked())).send(request)).status == 404)
    }

    @Test func `a health check with a body to come needs no token either`() throws {
        let client = Client(Rig(Self.locked()))
        #expect(client.send("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").isEmpty)
        #expect(try HTTPAnswer.only(client.send("{}")).status == 200)
    }

    // MARK: None of them

    @Test func `what is no dialect is closed without a word`() {
        for byte in UInt8.min...UInt8.max where ![0xAD, 0x0D, UInt8(ascii: "*")].contains(byte) && !(0x41...0x5A).contains(byte & ~0x20) {
            let client = Client(Rig.shared)
            #expect(client.send([byte, 0, 0]).isEmpty)
            #expect(client.isClosed)
        }
    }

    @Test func `while data is loaded, both dialects say so and health answers`() throws {
        let rig = Rig()
        rig.server.phase = .loading
        let binary = Client(rig)
        #expect(try Answer.only(binary.send(Ask.hello())).status == .loading)
        #expect(!binary.isClosed)
        let web = Client(rig)
        let answers = try HTTPAnswer.all(web.send(
            Web.request("GET /kv/default/k") + Web.request("PUT /kv/default/k", body: "v") + Web.request("GET /healthz")
                + Web.request("GET /readyz")))
        #expect(answers.map(\.status) == [503, 503, 200, 503])
        #expect(answers[0].fields["Retry-After"] == "1")
        rig.server.phase = .ready
        #expect(try Answer.only(binary.send(Ask.hello())).status == .ok)
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /readyz"))).status == 200)
    }
}

extension Rig {
    /// For tests that change nothing.
    nonisolated(unsafe) static let shared = Rig()
}
