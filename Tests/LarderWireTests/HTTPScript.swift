// Plays a session's part against the decoder: feeds pieces, lets bodies come or refuses them, and writes down what each
// request meant.

import LarderBytes
import LarderWire

/// What one request came to, with the words that its ranges named.
struct DecodedRequest: Equatable, CustomStringConvertible {
    var operation = Operation.none
    var namespace = ""
    var key = ""
    var value: [UInt8] = []
    var contentType = ""
    var credential = ""
    var host = ""
    var lifetime = Lifetime.unlimited
    var condition = Condition.none
    var prefix = ""
    var cursor = ""
    var limit = 0
    var page = 0
    var delimiter: UInt8?
    var creation = NamespaceCreation()
    var flags: HTTPFlags = []
    var failure: Status?
    var parameter: String?
    var isClose = false

    var description: String {
        "\(operation) \(namespace)|\(key)|\(value.count) bytes|\(lifetime)|\(condition)|\(flags.rawValue)|\(failure.map(String.init(describing:)) ?? "fine")"
    }

    init(_ command: borrowing Command, _ input: borrowing ByteBuffer, isClose: Bool = false) {
        func text(_ range: ByteRange) -> String { String(utf8: input.span(range)) }
        operation = command.operation
        namespace = switch command.namespace {
        case .connection: ""
        case .id(let high, let low): "id:" + String(high, radix: 16) + ":" + String(low, radix: 16)
        case .name(let range): "name:" + text(range)
        }
        key = text(command.key)
        value = Array(input.span(command.value))
        contentType = text(command.contentType)
        credential = text(command.credential)
        host = text(command.host)
        lifetime = command.lifetime
        condition = command.condition
        prefix = text(command.list.prefix)
        cursor = text(command.list.cursor)
        limit = command.list.limit
        page = command.list.page
        delimiter = command.list.delimiter
        creation = command.creation
        flags = command.httpFlags
        failure = command.failure?.status
        parameter = command.failure?.parameter.map { $0.description }
        self.isClose = isClose
    }
}

/// A connection's input side. Bodies without a failure are let in.
struct HTTPScript: ~Copyable {
    var decoder: HTTPDecoder
    var input = ByteBuffer()
    var requests: [DecodedRequest] = []
    var heads: [DecodedRequest] = []
    var isClosed = false
    /// The most that was ever kept of an unfinished request.
    var heldMax = 0
    /// What to answer to a head; nil: the session's usual answer.
    var refusesAll = false

    init(limits: HTTPLimits = HTTPLimits()) { decoder = HTTPDecoder(limits: limits) }

    mutating func feed(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { input.append(byte: byte) }
        run()
    }

    mutating func feed(_ text: String) { feed(text.utf8) }

    private mutating func run() {
        var position = 0
        var command = Command()
        loop: while !isClosed {
            switch decoder.decode(&input, at: &position, into: &command) {
            case .needMore: break loop
            case .command: requests.append(DecodedRequest(command, input))
            case .head:
                heads.append(DecodedRequest(command, input))
                if refusesAll || command.failure != nil {
                    decoder.refuse(&command)
                    requests.append(DecodedRequest(command, input))
                } else {
                    decoder.proceed()
                }
            case .close:
                isClosed = true
                if command.failure != nil { requests.append(DecodedRequest(command, input, isClose: true)) }
            }
        }
        input.consume(position)
        heldMax = max(heldMax, input.count)
    }

    /// Everything that `text` means when it arrives at once.
    static func requests(_ text: String, limits: HTTPLimits = HTTPLimits()) -> [DecodedRequest] {
        requests(Array(text.utf8), limits: limits)
    }

    static func requests(_ bytes: [UInt8], limits: HTTPLimits = HTTPLimits()) -> [DecodedRequest] {
        var script = HTTPScript(limits: limits)
        script.feed(bytes)
        return script.requests
    }

    /// The one request that `head` (request line and fields, without the empty line) and `body` make.
    static func one(_ head: String, body: String = "") -> DecodedRequest? {
        let all = requests(head.replacing("\n", with: "\r\n") + "\r\nHost: h\r\n\r\n" + body)
        return all.count == 1 ? all[0] : nil
    }
}

enum HTTPSample {
    static let id = "0123abcd-4567-89ef-0123-456789abcdef"
    static let base = "/v2/storage/kvs"
    static var keys: String { "\(base)/\(id)/keys" }

    static func request(_ line: String, _ fields: String..., body: String = "") -> String {
        ([line + " HTTP/1.1", "Host: localhost:8080"] + fields).map { $0 + "\r\n" }.joined() + "\r\n" + body
    }

    /// One request of each kind, whose end is sound whatever follows.
    static let all: [String] = [
        request("GET \(keys)/user%2F123", "Accept: application/octet-stream", "Authorization: Bearer secret"),
        request("HEAD \(keys)/a//b", "If-None-Match: \"77\""),
        request("PUT \(keys)/user/1?ttl_secs=60", "Content-Type: text/plain", "Content-Length: 5", body: "hello"),
        request("PUT /kv/default/empty", "Content-Length: 0"),
        request("PUT /kv/default/c", "Transfer-Encoding: chunked", body: "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: v\r\n\r\n"),
        request("PUT /kv/default/c", "transfer-encoding: Chunked", body: "0\r\n\r\n"),
        request("PUT \(keys)/bad?ttl_secs=0", "Content-Length: 3", body: "abc"),
        request("DELETE \(keys)/gone", "Content-Type: application/json"),
        request("GET \(keys)?limit=10&prefix=list%2F"),
        request("GET /kv/default/?delimiter=%2f&prefix=a"),
        request("POST \(base)", "Content-Length: 16", body: "{\"name\":\"my-kv\"}"),
        request("POST \(base)", "Content-Length: 3", body: "{\"n"),
        request("GET \(base)?page%5Bnumber%5D=2&page%5Bsize%5D=1000"),
        request("DELETE \(base)/\(id)"),
        request("PATCH \(base)/\(id)", "Content-Length: 2", body: "{}"),
        request("GET /nothing"),
        request("GET /metrics"),
        request("GET /healthz", "Content-Length: 4", body: "body"),
    ]
}
