import Foundation
import LarderWire
import Testing

@testable import LarderServer

/// Conversations in HTTP.
@Suite("HTTP conversations") struct WebTests {
    static let id = "6c617264-6572-4000-8000-000000000000"

    static let requests: [[UInt8]] = [
        Web.request("PUT /v2/storage/kvs/\(id)/keys/user/1?ttl_secs=60", "Content-Type: text/plain", body: "hello"),
        Web.request("GET /v2/storage/kvs/\(id)/keys/user/1"),
        Web.request("HEAD /v2/storage/kvs/\(id)/keys/user/1"),
        Web.request("GET /kv/default/user%2F1"),
        Web.request("PUT /kv/default/user/1", "If-None-Match: *", body: "no"),
        Web.request("PUT /kv/default/user/1", "If-Match: *", body: "yes"),
        Web.request("PUT /kv/default/user/1", "If-Match: \"7\"", body: "no"),
        Web.request("GET /kv/default/user/1", "If-None-Match: \"7\""),
        Web.request("GET /kv/default/none"),
        Web.request("PUT /kv/default/expects", "Expect: 100-continue", body: "continued"),
        Web.chunked("PUT /kv/default/chunks", ["one ", "two", "x"]),
        Web.request("GET /kv/default/chunks"),
        Web.request("POST /v2/storage/kvs", "Content-Type: application/json", body: #"{"name": "fresh", "durability": "off"}"#),
        Web.request("POST /v2/storage/kvs", body: #"{"name": "fresh"}"#),
        Web.request("PUT /kv/fresh/k", body: "in fresh"),
        Web.request("GET /v2/storage/kvs?page%5Bsize%5D=10"),
        Web.request("GET /kv/fresh"),
        Web.request("GET /v2/storage/kvs/\(id)"),
        Web.request("GET /v2/storage/kvs/\(id)/keys?limit=2"),
        Web.request("GET /kv/default/?prefix=user/&delimiter=/"),
        Web.request("PUT /kv/default/k?ttl_secs=0", body: "no"),
        Web.request("PUT /kv/default/k?ttl=5", body: "no"),
        Web.request("PUT /kv/default/_k", body: "no"),
        Web.request("PUT /kv/nowhere/k", body: "no"),
        Web.request("PATCH /kv/default/k"),
        Web.request("GET /nothing"),
        Web.request("DELETE /kv/fresh"),
        Web.request("DELETE /v2/storage/kvs/\(id)"),
        Web.request("GET /healthz"), Web.request("GET /readyz"),
        Web.request("DELETE /v2/storage/kvs/\(id)/keys/user/1"), Web.request("DELETE /kv/default/user/1"),
        Web.request("GET /kv/default/user/1", "Connection: close"),
    ]

    @Test func `HTTP requests are answered alike whole, cut at every byte, byte by byte, and merged`() {
        ConversationTests.expectSameHoweverCut(Self.requests)
    }

    @Test func `the HTTP conversation says what it should`() throws {
        let rig = Rig()
        let client = Client(rig)
        var answers: [HTTPAnswer] = []
        for request in Self.requests {
            let reply = client.send(request)
            answers.append(try HTTPAnswer.only(reply, head: request.starts(with: Array("HEAD".utf8))))
        }
        #expect(answers.map(\.status) == [
            201, 200, 200, 200, 412, 200, 412, 200, 404, 201, 201, 200, 201, 409, 201, 200, 200, 200, 200, 200, 422, 422, 400, 404,
            405, 404, 200, 403, 200, 200, 200, 200, 404,
        ])
        #expect(answers[0].body.isEmpty)
        #expect(answers[1].text == "hello")
        #expect(answers[1].fields["Content-Type"] == "text/plain")
        #expect(answers[1].fields["Larder-TTL-Ms"] == "60000")
        #expect(answers[1].tag == answers[0].tag)
        #expect(answers[2].fields == answers[1].fields)
        #expect(answers[3] == answers[1])
        #expect(answers[7].text == "yes")
        #expect(answers[7].fields["Larder-TTL-Ms"] == nil)
        #expect(answers[7].fields["Content-Type"] == "application/octet-stream")
        #expect(answers[11].text == "one twox")
        #expect(answers[12].text.contains(#""name":"fresh""#))
        #expect(answers[12].text.contains(#""durability":"off""#))
        #expect(answers[13].fields["x-should-retry"] == "false")
        #expect(answers[15].text.contains(#""total_results":2"#))
        #expect(answers[16].text.contains(#""key_count":1"#))
        #expect(answers[18].text.contains(#""has_more":true"#))
        #expect(answers[19].text.contains(#""key":"user/1""#))
        #expect(answers[24].fields["Allow"] == "GET, HEAD, PUT, DELETE")
        #expect(answers[26].text.contains(#""status":"deleting""#))
        #expect(answers[32].fields["Connection"] == "close")
        #expect(client.isClosed)
    }

    @Test func `a 412 and a 304 tell the version that the entry has`() throws {
        let client = Client(Rig())
        let tag = try #require(try HTTPAnswer.only(client.send(Web.request("PUT /kv/default/k", body: "v"))).tag)
        for (request, status) in [
            (Web.request("GET /kv/default/k", "If-None-Match: \(tag)"), 304), (Web.request("GET /kv/default/k", "If-None-Match: *"), 304),
            (Web.request("GET /kv/default/k", "If-Match: \"7\""), 412), (Web.request("DELETE /kv/default/k", "If-Match: \"7\""), 412),
            (Web.request("PUT /kv/default/k", "If-None-Match: *", body: "w"), 412),
            (Web.request("PUT /kv/default/k", "If-Match: \"7\"", body: "w"), 412),
            (Web.request("PUT /kv/default/k", "If-None-Match: \(tag)", body: "w"), 412),
            (Web.chunked("PUT /kv/default/k", ["w"]), 200),
        ] {
            let answer = try HTTPAnswer.only(client.send(request))
            #expect(answer.status == status, "\(request.text)")
            if status == 200 { #expect(answer.tag != tag) } else { #expect(answer.tag == tag, "\(request.text)") }
        }
        let head = "PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nContent-Length: 5\r\n\r\n"
        let answer = try HTTPAnswer.only(client.send(head))
        #expect(answer.status == 412)
        #expect(answer.tag != nil)
    }

    @Test func `conditions on what is not there`() throws {
        let client = Client(Rig())
        for (line, field, status) in [
            ("GET", "If-Match: *", 412), ("GET", "If-Match: \"1\"", 412), ("GET", "If-None-Match: *", 404),
            ("GET", "If-None-Match: \"1\"", 404), ("DELETE", "If-Match: \"1\"", 412), ("DELETE", "If-Match: *", 412),
            ("DELETE", "If-None-Match: *", 200), ("PUT", "If-Match: *", 412), ("PUT", "If-Match: \"1\"", 412),
        ] {
            let answer = try HTTPAnswer.only(client.send(Web.request("\(line) /kv/default/k", field, body: "v")))
            #expect(answer.status == status, "\(line) \(field)")
            #expect(answer.tag == nil)
        }
        #expect(try HTTPAnswer.only(client.send(Web.request("PUT /kv/default/k", "If-None-Match: \"1\"", body: "v"))).status == 201)
    }

    // MARK: Bodies to come

    @Test func `100 is said once the head is acceptable, and only while the body is outstanding`() throws {
        let client = Client(Rig())
        let head = "PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        #expect(client.send(head).text == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(client.send("12").isEmpty)
        #expect(try HTTPAnswer.only(client.send("345")).status == 201)
        #expect(try HTTPAnswer.only(client.send(head + "12345")).status == 200)
    }

    @Test func `a refused head that expects 100 closes`() throws {
        let client = Client(Rig())
        let answer = try HTTPAnswer.only(client.send(
            "PUT /kv/nowhere/k HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"))
        #expect(answer.status == 404)
        #expect(answer.fields["Connection"] == "close")
        // It was kept open until it had been idle for minutes.
        #expect(client.isClosed)
    }

    @Test(arguments: [
        ("PUT /kv/nowhere/k", 404), ("PUT /kv/default/_k", 400), ("PUT /kv/default/k?ttl_secs=x", 422), ("PATCH /kv/default/k", 405),
        ("PUT /nothing", 404), ("PUT /v2/storage/kvs/x/keys/k", 400),
    ])
    func `a refusal does not wait for the body, which is then thrown away`(_ line: String, _ status: Int) throws {
        let rig = Rig()
        let client = Client(rig)
        let answer = try HTTPAnswer.only(client.send("\(line) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nGET /kv"))
        #expect(answer.status == status)
        #expect(answer.fields["Connection"] == nil)
        let rest = String(repeating: "x", count: 1_000 - 7)
        #expect(try HTTPAnswer.only(client.send(rest + Web.request("GET /healthz").text)).status == 200)
        #expect(rig.entries == 0)
    }

    @Test func `a body that is too large is refused at its head`() throws {
        let client = Client(Rig())
        let answer = try HTTPAnswer.only(client.send("PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"))
        #expect(answer.status == 413)
        #expect(answer.fields["Connection"] == "close")
    }

    @Test func `chunks that grow too large are refused, and nothing is stored`() throws {
        var configuration = ServerConfiguration()
        configuration.valueBytesMax = 10
        let rig = Rig(configuration)
        let client = Client(rig)
        let answer = try HTTPAnswer.only(client.send(Web.chunked("PUT /kv/default/k", ["123456", "789012"])))
        #expect(answer.status == 413)
        #expect(answer.fields["Connection"] == "close")
        #expect(rig.entries == 0)
    }

    @Test func `a namespace that goes while a body comes takes nothing`() throws {
        let rig = Rig()
        rig.createNamespace("carts")
        let client = Client(rig)
        #expect(client.send("PUT /kv/carts/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12").isEmpty)
        #expect(try HTTPAnswer.only(Client(rig).send(Web.request("DELETE /kv/carts"))).status == 200)
        let answer = try HTTPAnswer.only(client.send("345"))
        #expect([404, 409].contains(answer.status))
    }

    @Test func `a condition is judged again when the body is there`() throws {
        let rig = Rig()
        let client = Client(rig)
        #expect(client.send("PUT /kv/default/k HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nContent-Length: 5\r\n\r\n12").isEmpty)
        #expect(try HTTPAnswer.only(Client(rig).send(Web.request("PUT /kv/default/k", body: "first"))).status == 201)
        #expect(try HTTPAnswer.only(client.send("345")).status == 412)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /kv/default/k"))).text == "first")
    }

    // MARK: The connection

    @Test func `requests without end are answered in order on one connection`() throws {
        let client = Client(Rig())
        var requests: [UInt8] = []
        for number in 0..<200 {
            requests += Web.request("PUT /kv/default/k\(number % 5)", body: "\(number)") + Web.request("GET /kv/default/k\(number % 5)")
        }
        let answers = try HTTPAnswer.all(client.send(requests))
        #expect(answers.count == 400)
        for number in 0..<200 { #expect(answers[2 * number + 1].text == "\(number)") }
        #expect(!client.isClosed)
    }

    @Test func `what follows a request that closes is not answered`() throws {
        for line in ["GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n"] {
            let client = Client(Rig())
            let answers = try HTTPAnswer.all(client.send(Web.request("GET /kv") + Array(line.utf8) + Web.request("GET /kv")))
            #expect(answers.map(\.status) == [200, 200])
            #expect(answers[1].fields["Connection"] == "close")
            #expect(client.isClosed)
        }
    }

    @Test func `what could be read in two ways is answered and closed, behind what came before`() throws {
        let client = Client(Rig())
        let answers = try HTTPAnswer.all(client.send(
            Web.request("PUT /kv/default/k", body: "v")
                + Array("GET /kv/default/k HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)))
        #expect(answers.map(\.status) == [201, 400])
        #expect(client.isClosed)
    }

    @Test func `a listing in pages is complete`() throws {
        let client = Client(Rig())
        for number in 0..<25 { client.send(Web.request("PUT /kv/default/k\(number + 10)", body: "v")) }
        var seen = 0
        var cursor = ""
        repeat {
            let page = try HTTPAnswer.only(client.send(Web.request("GET /kv/default/?limit=10&cursor=\(cursor)")))
            #expect(page.status == 200)
            seen += page.text.components(separatedBy: #""key":"#).count - 1
            cursor = page.text.components(separatedBy: #""cursor":""#).dropFirst().first?.components(separatedBy: "\"")[0] ?? ""
        } while !cursor.isEmpty && seen < 100
        #expect(seen == 25)
        #expect(try HTTPAnswer.only(client.send(Web.request("GET /kv/default/?cursor=AAAA"))).status == 400)
    }

    @Test func `metrics are in the text format of Prometheus`() throws {
        let client = Client(Rig())
        let answer = try HTTPAnswer.only(client.send(Web.request("GET /metrics")))
        #expect(answer.status == 200)
        #expect(answer.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(answer.text.contains("# TYPE larder_keys gauge\nlarder_keys 0\n"))
    }
}
