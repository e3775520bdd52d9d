// The replies among the samples: see BinarySamples.

import LarderBytes
import LarderWire
import Testing

private func command(_ operation: Operation, _ id: UInt32, _ flags: BinaryFlags = []) -> Command {
    var command = Command()
    command.operation = operation
    command.tag = id
    command.flags = flags.rawValue
    return command
}

/// Appends the reply of an entry with the fields that all samples share.
func reply(
    _ value: String, version: UInt64 = sampleVersion, remaining: Int64? = 60_000, contentType: String = "text/plain",
    to command: Command, into output: inout ByteBuffer
) {
    let value = Array(value.utf8)
    let contentType = Array(contentType.utf8)
    let entry = EntryReply(
        value: value.span.bytes, contentType: contentType.span.bytes, version: version, remaining: remaining)
    Reply.entry(entry, to: command, in: .binary, into: &output)
}

let sampleNamespace = NamespaceReply(
    id: sampleID, name: "carts", state: "provision_ok", createdMilliseconds: 1_763_720_000_000,
    updatedMilliseconds: 1_763_720_000_001, durability: "interval", keyRule: .path, keys: 2, bytes: 300,
    memoryBytes: 420, bytesMax: 64 << 20, eviction: .s3fifo)

extension BinaryReplySample {
    private static func done(
        _ name: String, _ reply: String, _ status: Status, _ operation: Operation, _ id: UInt32, version: UInt64 = 0,
        _ flags: BinaryFlags = []
    ) -> BinaryReplySample {
        BinaryReplySample(name: name, reply: reply) {
            Reply.done(status, version: version, to: command(operation, id, flags), in: .binary, into: &$0)
        }
    }

    static let all: [BinaryReplySample] = [
        BinaryReplySample(
            name: "hello-reply",
            reply: "ok hello id=1 overtake=true keyRule=bytes durability=always frame=17039360 value=16777216 "
                + "namespace=\(sampleID.high):\(sampleID.low)"
        ) {
            let hello = HelloReply(
                overtake: true, keyRule: .bytes, durability: .always, frameBytesMax: 17_039_360,
                valueBytesMax: 16_777_216, namespace: sampleID)
            BinaryReply.hello(hello, to: command(.hello, 1), into: &$0)
        },
        BinaryReplySample(name: "get-reply", reply: "ok get id=2 payload=hello") {
            LarderWireTests.reply("hello", to: command(.get, 2), into: &$0)
        },
        BinaryReplySample(
            name: "get-with-fields-reply",
            reply: "ok get id=3 version=\(sampleVersion) lifetime=milliseconds(60000) contentType=text/plain payload=hello"
        ) {
            let asked = command(.get, 3, [.wantVersion, .wantLifetime, .wantContentType])
            LarderWireTests.reply("hello", to: asked, into: &$0)
        },
        done("get-miss-reply", "notFound get id=4", .notFound, .get, 4),
        done("not-modified-reply", "notModified get id=5", .notModified, .get, 5),
        BinaryReplySample(
            name: "get-many-reply", reply: "ok getMany id=6 [ok version=7 payload=v1] [notFound] [keyIllegal]"
        ) { output in
            let asked = command(.getMany, 6, .wantVersion)
            var mark = BinaryReply.beginMany(3, to: asked, into: &output)
            let value = Array("v1".utf8)
            let entry = EntryReply(value: value.span.bytes, contentType: RawSpan(), version: 7, remaining: nil)
            BinaryReply.manyHit(entry, mark: &mark, to: asked, into: &output)
            BinaryReply.manyMiss(mark: &mark, into: &output)
            BinaryReply.manyMiss(.keyIllegal, mark: &mark, into: &output)
            BinaryReply.endMany(mark, into: &output)
        },
        done("exists-reply", "ok exists id=7", .ok, .exists, 7),
        BinaryReplySample(name: "lifetime-reply", reply: "ok lifetime id=8 lifetime=milliseconds(1500)") {
            Reply.lifetime(1_500, version: 5, to: command(.lifetime, 8), in: .binary, into: &$0)
        },
        BinaryReplySample(name: "lifetime-unlimited-reply", reply: "ok lifetime id=9 lifetime=unlimited") {
            Reply.lifetime(nil, version: 5, to: command(.lifetime, 9), in: .binary, into: &$0)
        },
        done("put-reply", "created put id=11", .created, .put, 11, version: 5),
        done("put-with-version-reply", "ok put id=12 version=8", .ok, .put, 12, version: 8, .wantVersion),
        done(
            "condition-failed-reply", "conditionFailed put id=13 version=9", .conditionFailed, .put, 13, version: 9,
            .wantVersion),
        BinaryReplySample(name: "increment-reply", reply: "ok increment id=17 integer=-3") {
            Reply.integer(-3, version: 5, to: command(.increment, 17), in: .binary, into: &$0)
        },
        BinaryReplySample(
            name: "list-reply",
            reply: "ok list id=19 [prefix user/1/] [user/2 version=8 updated=1763720000000.3 unlimited bytes=5] "
                + "cursor=user/2"
        ) { output in
            let asked = command(.list, 19)
            var mark = Reply.beginList(to: asked, in: .binary, into: &output)
            listItem("user/1/", isPrefix: true, mark: &mark, to: asked, into: &output)
            listItem("user/2", version: 8, counter: 3, mark: &mark, to: asked, into: &output)
            Reply.endList(cursor: Array("user/2".utf8), mark: mark, to: asked, in: .binary, into: &output)
        },
        BinaryReplySample(
            name: "list-with-values-reply",
            reply: "ok list id=20 [user/3 version=9 updated=1763720000000.4 milliseconds(500) bytes=5 text/plain value] "
                + "cursor="
        ) { output in
            let asked = command(.list, 20, .values)
            var mark = Reply.beginList(to: asked, in: .binary, into: &output)
            listItem("user/3", version: 9, counter: 4, remaining: 500, mark: &mark, to: asked, into: &output)
            Reply.endList(cursor: nil, mark: mark, to: asked, in: .binary, into: &output)
        },
        BinaryReplySample(
            name: "namespace-reply", reply: "created namespaceCreate id=21 [\(words(sampleNamespace))]"
        ) {
            Reply.namespace(sampleNamespace, status: .created, to: command(.namespaceCreate, 21), in: .binary, into: &$0)
        },
        BinaryReplySample(
            name: "namespace-list-reply", reply: "ok namespaceList id=23 total=101 [\(words(sampleNamespace))]"
        ) {
            Reply.namespaces([sampleNamespace], total: 101, to: command(.namespaceList, 23), in: .binary, into: &$0)
        },
        BinaryReplySample(name: "stats-reply", reply: "ok stats id=26 payload=keys 2\n") {
            var text = ByteBuffer()
            text.append("keys 2\n")
            Reply.text(text, status: .ok, contentType: "text/plain", to: command(.stats, 26), in: .binary, into: &$0)
        },
        done("ping-reply", "ok ping id=28", .ok, .ping, 28),
        BinaryReplySample(
            name: "unknown-operation-reply",
            reply: "unknownOperation none id=29 payload=this server does not know the operation"
        ) {
            let failure = Failure(.unknownOperation, "this server does not know the operation")
            Reply.failure(failure, to: command(.none, 29), in: .binary, into: &$0)
        },
    ]

    private static func listItem(
        _ key: String, isPrefix: Bool = false, version: UInt64 = 0, counter: UInt32 = 0, remaining: Int64? = nil,
        mark: inout ListMark, to command: Command, into output: inout ByteBuffer
    ) {
        let (key, value, contentType) = (Array(key.utf8), Array("value".utf8), Array("text/plain".utf8))
        let item = ListItem(
            key: key.span.bytes, isPrefix: isPrefix, valueBytes: 5, version: version,
            updatedMilliseconds: 1_763_720_000_000, updatedCounter: counter, remaining: remaining,
            value: value.span.bytes, contentType: contentType.span.bytes)
        Reply.listItem(item, mark: &mark, to: command, in: .binary, into: &output)
    }
}

private func words(_ namespace: NamespaceReply) -> String {
    "\(namespace.id.high):\(namespace.id.low) \(namespace.name) \(namespace.state) \(namespace.createdMilliseconds) "
        + "\(namespace.updatedMilliseconds) \(namespace.durability) \(namespace.keyRule) \(namespace.keys) "
        + "\(namespace.bytes) \(namespace.memoryBytes) \(namespace.bytesMax) \(namespace.eviction)"
}

/// A decoded reply in words, with everything that is inside it.
func describe(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) throws -> String {
    var words = ["\(reply.status)", reply.opcode.map { "\($0)" } ?? "none", "id=\(reply.id)"] + fields(reply, in: input)
    guard [.ok, .created].contains(reply.status) else {
        return (words + payload(reply, in: input)).joined(separator: " ")
    }
    switch reply.opcode {
    case .hello:
        let hello = try HelloReply(reply, in: input)
        words.append("overtake=\(hello.overtake) keyRule=\(hello.keyRule) durability=\(hello.durability)")
        words.append("frame=\(hello.frameBytesMax) value=\(hello.valueBytesMax)")
        words.append("namespace=\(hello.namespaceHigh):\(hello.namespaceLow)")
    case .getMany:
        var answers = try BinaryManyAnswers(reply, in: input)
        while let answer = try answers.next(in: input) {
            let inside = ["\(answer.status)"] + fields(answer, in: input) + payload(answer, in: input)
            words.append("[\(inside.joined(separator: " "))]")
        }
    case .list:
        // Only the request says whether there are values; the samples that have them are to request 20.
        var page = try BinaryListPage(reply, withValues: reply.id == 20, in: input)
        while let entry = try page.next(in: input) { words.append("[\(listed(entry, in: input))]") }
        words.append("cursor=" + String(utf8: input.span(ListCursor.key(of: page.cursor, in: input.bytes) ?? .empty)))
    case .namespaceCreate, .namespaceGet, .namespaceDelete:
        words.append("[\(LarderWireTests.words(try NamespaceReply(reply, in: input)))]")
    case .namespaceList:
        let page = try NamespaceReply.page(reply, in: input)
        words.append("total=\(page.total)")
        words += page.namespaces.map { "[\(LarderWireTests.words($0))]" }
    default:
        words += payload(reply, in: input)
    }
    return words.joined(separator: " ")
}

private func fields(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) -> [String] {
    var words: [String] = []
    if let version = reply.version { words.append("version=\(version)") }
    if let lifetime = reply.lifetime { words.append("lifetime=\(lifetime)") }
    if let integer = reply.integer { words.append("integer=\(integer)") }
    if !reply.contentType.isEmpty { words.append("contentType=" + String(utf8: input.span(reply.contentType))) }
    return words
}

private func payload(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) -> [String] {
    reply.payload.isEmpty ? [] : ["payload=" + String(utf8: input.span(reply.payload))]
}

private func listed(_ entry: BinaryListEntry, in input: borrowing ByteBuffer) -> String {
    let key = String(utf8: input.span(entry.key))
    if entry.isPrefix { return "prefix \(key)" }
    var words = [
        key, "version=\(entry.version)", "updated=\(entry.updatedMilliseconds).\(entry.updatedCounter)",
        "\(entry.lifetime)", "bytes=\(entry.valueBytes)",
    ]
    if !entry.value.isEmpty {
        words.append(String(utf8: input.span(entry.contentType)))
        words.append(String(utf8: input.span(entry.value)))
    }
    return words.joined(separator: " ")
}
