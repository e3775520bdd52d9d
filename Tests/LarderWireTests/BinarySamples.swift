// One sample of every request and reply, under the names of the examples in docs/protocol.md, and a way to write down
// what was decoded, so that two decodings can be compared wherever they lie in a buffer.

import LarderBytes
import LarderWire
import Testing

struct BinaryRequestSample: Sendable, CustomTestStringConvertible {
    let name: String
    /// What `describe` says of the command.
    let command: String
    let encode: @Sendable (inout ByteBuffer) -> Void
    var testDescription: String { name }
}

struct BinaryReplySample: Sendable, CustomTestStringConvertible {
    let name: String
    /// What `describe` says of the reply.
    let reply: String
    let encode: @Sendable (inout ByteBuffer) -> Void
    var testDescription: String { name }
}

let sampleID: (high: UInt64, low: UInt64) = (0x0197_A3C4_5B2E_7D10, 0x8F3A_5C6E_7B9D_0E1F)
let sampleVersion: UInt64 = 0xC0FF_EE00_0001

func withSpan<Result>(_ text: String, _ body: (RawSpan) -> Result) -> Result {
    let bytes = Array(text.utf8)
    return body(bytes.span.bytes)
}

extension ByteBuffer {
    /// A span of a temporary array ends with the expression; this keeps the array for long enough.
    mutating func append(array bytes: [UInt8]) { append(bytes.span.bytes) }
}

extension BinaryRequestSample {
    /// A sample whose request is about one key.
    private static func entry(
        _ name: String, _ key: String, _ command: String,
        _ encode: @escaping @Sendable (RawSpan, inout ByteBuffer) -> Void
    ) -> BinaryRequestSample {
        BinaryRequestSample(name: name, command: command) { output in
            let bytes = Array(key.utf8)
            encode(bytes.span.bytes, &output)
        }
    }

    static let all: [BinaryRequestSample] = [
        BinaryRequestSample(
            name: "hello-request", command: "hello id=1 flags=3000 namespace=sessions value=open-sesame-1234"
        ) { output in
            withSpan("open-sesame-1234") {
                BinaryRequest.hello(credentials: $0, namespace: .name("sessions"), overtake: true, id: 1, into: &output)
            }
        },
        entry("get-request", "session/00000042", "get id=2 key=session/00000042") {
            BinaryRequest.get($0, id: 2, into: &$1)
        },
        entry("get-with-fields-request", "session/00000042", "get id=3 flags=0007 key=session/00000042") {
            BinaryRequest.get($0, flags: [.wantVersion, .wantContentType, .wantLifetime], id: 3, into: &$1)
        },
        entry("get-if-not-version-request", "k", "get id=5 flags=0100 key=k condition=notVersion(\(sampleVersion))") {
            BinaryRequest.get($0, ifNotVersion: sampleVersion, id: 5, into: &$1)
        },
        BinaryRequestSample(name: "get-many-request", command: "getMany id=6 flags=0001 keys=a,b,:") { output in
            var mark = BinaryRequest.beginMany(flags: .wantVersion, id: 6, into: &output)
            for key in ["a", "b", ":"] { withSpan(key) { BinaryRequest.manyKey($0, mark: &mark, into: &output) } }
            BinaryRequest.endMany(mark, into: &output)
        },
        entry("exists-request", "k", "exists id=7 key=k") { BinaryRequest.exists($0, id: 7, into: &$1) },
        entry("lifetime-request", "k", "lifetime id=8 key=k") { BinaryRequest.lifetime($0, id: 8, into: &$1) },
        entry("get-and-touch-request", "k", "getAndTouch id=10 flags=0008 key=k lifetime=milliseconds(60000)") {
            BinaryRequest.getAndTouch($0, lifetime: .milliseconds(60_000), id: 10, into: &$1)
        },
        entry("put-request", "k", "put id=11 key=k value=value") { key, output in
            withSpan("value") { BinaryRequest.put(key, value: $0, id: 11, into: &output) }
        },
        entry(
            "put-with-fields-request", "k",
            "put id=12 flags=0289 key=k value=value contentType=text/plain lifetime=milliseconds(60000) condition=version(7)"
        ) { key, output in
            let type = Array("text/plain".utf8)
            let value = Array("value".utf8)
            BinaryRequest.put(
                key, value: value.span.bytes, contentType: type.span.bytes, lifetime: .milliseconds(60_000),
                condition: .version(7), flags: .wantVersion, id: 12, into: &output)
        },
        entry("delete-request", "k", "delete id=14 flags=0080 key=k condition=version(9)") {
            BinaryRequest.delete($0, condition: .version(9), id: 14, into: &$1)
        },
        entry("set-lifetime-request", "k", "setLifetime id=15 flags=0008 key=k lifetime=milliseconds(60000)") {
            BinaryRequest.setLifetime($0, lifetime: .milliseconds(60_000), id: 15, into: &$1)
        },
        entry("clear-lifetime-request", "k", "setLifetime id=16 key=k") {
            BinaryRequest.setLifetime($0, lifetime: .unlimited, id: 16, into: &$1)
        },
        entry("increment-request", "k", "increment id=17 flags=0008 key=k lifetime=milliseconds(60000) delta=-3") {
            BinaryRequest.increment($0, by: -3, lifetime: .milliseconds(60_000), id: 17, into: &$1)
        },
        entry("append-request", "k", "append id=18 key=k value=more") { key, output in
            withSpan("more") { BinaryRequest.append(key, value: $0, id: 18, into: &output) }
        },
        entry("list-request", "user/", "list id=19 flags=0800 prefix=user/ cursor= limit=2 delimiter=47 values=false") {
            BinaryRequest.list(prefix: $0, limit: 2, delimiter: UInt8(ascii: "/"), id: 19, into: &$1)
        },
        entry(
            "list-with-values-request", "",
            "list id=20 flags=0400 prefix= cursor=user/2 limit=100 delimiter=nil values=true"
        ) {
            var cursor = ByteBuffer()
            ListCursor.append(Array("user/2".utf8), to: &cursor)
            BinaryRequest.list(cursor: cursor.bytes, limit: 100, withValues: true, id: 20, into: &$1)
        },
        BinaryRequestSample(
            name: "namespace-create-request",
            command: "namespaceCreate id=21 value=carts durability=interval keyRule=nil eviction=s3fifo limit=67108864"
        ) {
            var creation = NamespaceCreation()
            creation.durability = .interval
            creation.eviction = .s3fifo
            creation.bytesMax = 64 << 20
            BinaryRequest.namespaceCreate("carts", creation: creation, id: 21, into: &$0)
        },
        BinaryRequestSample(
            name: "namespace-get-request",
            command: "namespaceGet id=22 flags=4000 namespace=\(sampleID.high):\(sampleID.low)"
        ) {
            BinaryRequest.namespaceGet(.id(high: sampleID.high, low: sampleID.low), id: 22, into: &$0)
        },
        BinaryRequestSample(name: "namespace-list-request", command: "namespaceList id=23 page=1 limit=100") {
            BinaryRequest.namespaceList(id: 23, into: &$0)
        },
        BinaryRequestSample(
            name: "namespace-delete-request", command: "namespaceDelete id=24 flags=2000 namespace=carts"
        ) {
            BinaryRequest.namespaceDelete(.name("carts"), id: 24, into: &$0)
        },
        BinaryRequestSample(name: "namespace-flush-request", command: "namespaceFlush id=25") {
            BinaryRequest.namespaceFlush(.connection, id: 25, into: &$0)
        },
        BinaryRequestSample(name: "stats-request", command: "stats id=26") { BinaryRequest.stats(id: 26, into: &$0) },
        BinaryRequestSample(name: "snapshot-request", command: "snapshot id=27") {
            BinaryRequest.snapshot(id: 27, into: &$0)
        },
        BinaryRequestSample(name: "ping-request", command: "ping id=28") { BinaryRequest.ping(id: 28, into: &$0) },
    ]
}

/// A decoded command in words, the same wherever it lay in `input`.
func describe(_ command: Command, in input: borrowing ByteBuffer) -> String {
    var words = ["\(command.operation)", "id=\(command.tag)"]
    if command.flags != 0 {
        let digits = String(command.flags, radix: 16)
        words.append("flags=" + String(repeating: "0", count: 4 - digits.count) + digits)
    }
    switch command.namespace {
    case .connection: break
    case .name(let range): words.append("namespace=" + String(utf8: input.span(range)))
    case .id(let high, let low): words.append("namespace=\(high):\(low)")
    }
    if !command.key.isEmpty { words.append("key=" + String(utf8: input.span(command.key))) }
    if command.operation == .getMany, command.failure == nil {
        var keys: [String] = []
        var list = BinaryKeyList(command.value, in: input)
        while let key = list.next(in: input) { keys.append(String(utf8: input.span(key))) }
        words.append("keys=" + keys.joined(separator: ","))
    } else if !command.value.isEmpty {
        words.append("value=" + String(utf8: input.span(command.value)))
    }
    if !command.contentType.isEmpty { words.append("contentType=" + String(utf8: input.span(command.contentType))) }
    if command.lifetime != .unlimited { words.append("lifetime=\(command.lifetime)") }
    if command.condition != .none { words.append("condition=\(command.condition)") }
    if command.operation == .increment { words.append("delta=\(command.delta)") }
    if command.operation == .list {
        words.append("prefix=" + String(utf8: input.span(command.list.prefix)))
        words.append("cursor=" + String(utf8: input.span(command.list.cursor)))
        words.append("limit=\(command.list.limit) delimiter=\(command.list.delimiter.map { "\($0)" } ?? "nil")")
        words.append("values=\(command.list.withValues)")
    }
    if command.operation == .namespaceList { words.append("page=\(command.list.page) limit=\(command.list.limit)") }
    if command.operation == .namespaceCreate {
        words.append("durability=\(command.creation.durability.map { $0.name } ?? "nil")")
        words.append("keyRule=\(command.creation.keyRule.map { "\($0)" } ?? "nil")")
        words.append("eviction=\(command.creation.eviction.map { "\($0)" } ?? "nil") limit=\(command.creation.bytesMax)")
    }
    if let failure = command.failure { words.append("failure=\(failure.status)") }
    return words.joined(separator: " ")
}
