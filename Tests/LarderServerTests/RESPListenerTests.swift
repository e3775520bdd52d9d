import LarderPlatform
import LarderWire
import Testing

@testable import LarderServer

/// Addresses that are pinned to one dialect, and requests of one dialect that reach another.
@Suite("Pinned addresses") struct RESPListenerTests {
    @Test func `inline commands are taken where only RESP is spoken`() throws {
        let client = Client(Rig(), dialect: .resp)
        #expect(client.send("SET user/1 hello\r\nget user/1\n").text == "+OK\r\n$5\r\nhello\r\n")
        #expect(try client.ask("GET user/1") == .text("hello"))
        #expect(client.send("\r\n\r\nMGET user/1  none\r\nnonsense\r\n").text
            == "*2\r\n$5\r\nhello\r\n$-1\r\n-ERR unknown command 'nonsense', with args beginning with: \r\n")
        #expect(client.send("GET \"user/1\"\r\n").text.hasPrefix("-ERR Protocol error: inline commands have no quotes"))
        #expect(client.isClosed)
    }

    @Test func `elsewhere they are not`() {
        let client = Client(Rig())
        #expect(client.send(Say.words("PING")).text == "+PONG\r\n")
        #expect(client.send("PING\r\n").text == "-ERR Protocol error: expected '*'\r\n")
        #expect(client.isClosed)
    }

    @Test func `an empty line between commands, which tools end their input with, does not end the connection`() {
        let client = Client(Rig())
        #expect(client.send(Say.words("PING") + Array("\r\n".utf8) + Say.words("ECHO end")).text == "+PONG\r\n$3\r\nend\r\n")
        #expect(client.send("\r").isEmpty)
        #expect(client.send("\n").isEmpty)
        #expect(client.send(Say.words("PING")).text == "+PONG\r\n")
        #expect(client.send("\n").text == "-ERR Protocol error: expected '*'\r\n")
        #expect(client.isClosed)
    }

    @Test func `a request that a browser was made to send closes the connection before its body is looked at`() {
        let body = "SET user/1 stolen\r\n"
        let posted = Client(Rig(), dialect: .resp)
        #expect(posted.send("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 19\r\n\r\n" + body).isEmpty)
        #expect(posted.isClosed)
        let rig = Rig()
        let got = Client(rig, dialect: .resp)
        #expect(got.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + body).text == "-ERR wrong number of arguments for 'get' command\r\n")
        #expect(got.isClosed)
        #expect(rig.entries == 0)
    }

    @Test(arguments: [Dialect.http, .binary]) func `RESP closes a connection where something else is spoken`(_ dialect: Dialect) {
        let client = Client(Rig(), dialect: dialect)
        #expect(client.send(Say.words("PING")).isEmpty)
        #expect(client.isClosed)
    }

    @Test func `a pinned address takes its own dialect`() throws {
        let web = Client(Rig(), dialect: .http)
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /healthz"))).status == 200)
        let binary = Client(Rig(), dialect: .binary)
        #expect(try Answer.hello(binary.send(Ask.hello())).keyRule == .path)
        let other = Client(Rig(), dialect: .resp)
        #expect(other.send(Ask.hello()).isEmpty)
        #expect(other.isClosed)
    }

    @Test func `addresses are written with the dialect before them`() {
        #expect(ListenAddress("resp://127.0.0.1:6379") == ListenAddress(SocketAddress(host: "127.0.0.1", port: 6379), dialect: .resp))
        #expect(ListenAddress("[::1]:1")?.dialect == nil)
        for text in ["memcached://[::1]:11211", "http://127.0.0.1:80", "binary://0.0.0.0:1", "127.0.0.1:2"] {
            #expect(ListenAddress(text)?.description == text)
        }
        for text in ["redis://127.0.0.1:1", "resp://", "://127.0.0.1:1", "resp://127.0.0.1", "undetermined://127.0.0.1:1"] {
            #expect(ListenAddress(text) == nil)
        }
    }

    @Test func `CONFIG SET timeout closes connections of RESP that are idle for so long`() throws {
        let bench = try WorkerRig()
        let (idle, binary) = (bench.connect(), bench.connect())
        for (text, fault) in [("-1", "must be between 0 and 2147483647 inclusive"), ("soon", "couldn't be parsed into an integer")] {
            #expect(idle.ask(Say.words("CONFIG SET timeout \(text)")).text
                == "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument \(fault)\r\n")
        }
        #expect(idle.ask(Say.words("CONFIG SET timeout 60")).text == "+OK\r\n")
        _ = binary.ask(Ask.hello())
        bench.pass(seconds: 59)
        #expect(bench.connections == 2)
        bench.pass(seconds: 3)
        #expect(bench.connections == 1)
    }
}
