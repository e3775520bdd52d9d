// Requests of the binary protocol in strings, and its replies in values.

import LarderBytes
import LarderWire
import Testing

/// Requests, a frame each. `id` is what the reply is told apart by.
enum Ask {
    static func frame(_ build: (inout ByteBuffer) -> Void) -> [UInt8] {
        var buffer = ByteBuffer()
        build(&buffer)
        return buffer.taken()
    }

    static func hello(
        _ credentials: String = "", namespace: BinaryNamespace = .connection, overtake: Bool = false, id: UInt32 = 0
    ) -> [UInt8] {
        let credentials = Array(credentials.utf8)
        return frame {
            BinaryRequest.hello(
                credentials: credentials.span.bytes, namespace: namespace, overtake: overtake, id: id, into: &$0)
        }
    }

    static func get(_ key: String, ifNotVersion: UInt64? = nil, _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        let key = Array(key.utf8)
        return frame { BinaryRequest.get(key.span.bytes, ifNotVersion: ifNotVersion, flags: flags, id: id, into: &$0) }
    }

    static func put(
        _ key: String, _ value: String, contentType: String = "", _ lifetime: Lifetime = .unlimited,
        _ condition: Condition = .none, _ flags: BinaryFlags = [], id: UInt32 = 0
    ) -> [UInt8] {
        let (key, value, contentType) = (Array(key.utf8), Array(value.utf8), Array(contentType.utf8))
        return frame {
            BinaryRequest.put(
                key.span.bytes, value: value.span.bytes, contentType: contentType.span.bytes, lifetime: lifetime,
                condition: condition, flags: flags, id: id, into: &$0)
        }
    }

    static func delete(_ key: String, _ condition: Condition = .none, _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        let key = Array(key.utf8)
        return frame { BinaryRequest.delete(key.span.bytes, condition: condition, flags: flags, id: id, into: &$0) }
    }

    static func setLifetime(
        _ key: String, _ lifetime: Lifetime, _ condition: Condition = .none, _ flags: BinaryFlags = [], id: UInt32 = 0
    ) -> [UInt8] {
        let key = Array(key.utf8)
        return frame {
            BinaryRequest.setLifetime(key.span.bytes, lifetime: lifetime, condition: condition, flags: flags, id: id, into: &$0)
        }
    }

    static func touch(_ key: String, _ lifetime: Lifetime, _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        let key = Array(key.utf8)
        return frame { BinaryRequest.getAndTouch(key.span.bytes, lifetime: lifetime, flags: flags, id: id, into: &$0) }
    }

    static func exists(_ key: String, _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        let key = Array(key.utf8)
        return frame { BinaryRequest.exists(key.span.bytes, flags: flags, id: id, into: &$0) }
    }

    static func lifetime(_ key: String, _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        let key = Array(key.utf8)
        return frame { BinaryRequest.lifetime(key.span.bytes, flags: flags, id: id, into: &$0) }
    }

    static func increment(
        _ key: String, by delta: Int64, _ lifetime: Lifetime = .unlimited, _ flags: BinaryFlags = [], id: UInt32 = 0
    ) -> [UInt8] {
        let key = Array(key.utf8)
        return frame {
            BinaryRequest.increment(key.span.bytes, by: delta, lifetime: lifetime, flags: flags, id: id, into: &$0)
        }
    }

    static func append(
        _ key: String, _ value: String, _ lifetime: Lifetime = .unlimited, _ flags: BinaryFlags = [], id: UInt32 = 0
    ) -> [UInt8] {
        let (key, value) = (Array(key.utf8), Array(value.utf8))
        return frame {
            BinaryRequest.append(
                key.span.bytes, value: value.span.bytes, lifetime: lifetime, flags: flags, id: id, into: &$0)
        }
    }

    static func many(_ keys: [String], _ flags: BinaryFlags = [], id: UInt32 = 0) -> [UInt8] {
        frame {
            var mark = BinaryRequest.beginMany(flags: flags, id: id, into: &$0)
            for key in keys {
                let key = Array(key.utf8)
                BinaryRequest.manyKey(key.span.bytes, mark: &mark, into: &$0)
            }
            BinaryRequest.endMany(mark, into: &$0)
        }
    }

    static func list(
        prefix: String = "", after cursor: [UInt8] = [], limit: Int = 1_000, delimiter: Character? = nil,
        withValues: Bool = false, id: UInt32 = 0
    ) -> [UInt8] {
        let prefix = Array(prefix.utf8)
        return frame {
            BinaryRequest.list(
                prefix: prefix.span.bytes, cursor: cursor.span.bytes, limit: limit,
                delimiter: delimiter.flatMap { $0.asciiValue }, withValues: withValues, id: id, into: &$0)
        }
    }

    /// What a page ends with whose last key is `key`.
    static func cursor(_ key: String) -> [UInt8] {
        frame { ListCursor.append(Array(key.utf8), to: &$0) }
    }

    static func create(_ name: String, _ creation: NamespaceCreation = NamespaceCreation(), id: UInt32 = 0) -> [UInt8] {
        frame { BinaryRequest.namespaceCreate(name, creation: creation, id: id, into: &$0) }
    }
    static func describe(_ namespace: BinaryNamespace = .connection, id: UInt32 = 0) -> [UInt8] {
        frame { BinaryRequest.namespaceGet(namespace, id: id, into: &$0) }
    }
    static func drop(_ namespace: BinaryNamespace, id: UInt32 = 0) -> [UInt8] {
        frame { BinaryRequest.namespaceDelete(namespace, id: id, into: &$0) }
    }
    static func flush(_ namespace: BinaryNamespace = .connection, id: UInt32 = 0) -> [UInt8] {
        frame { BinaryRequest.namespaceFlush(namespace, id: id, into: &$0) }
    }
    static func namespaces(page: Int = 1, limit: Int = 100, id: UInt32 = 0) -> [UInt8] {
        frame { BinaryRequest.namespaceList(page: page, limit: limit, id: id, into: &$0) }
    }
    static func ping(id: UInt32 = 0) -> [UInt8] { frame { BinaryRequest.ping(id: id, into: &$0) } }
    static func stats(id: UInt32 = 0) -> [UInt8] { frame { BinaryRequest.stats(id: id, into: &$0) } }
    static func snapshot(id: UInt32 = 0) -> [UInt8] { frame { BinaryRequest.snapshot(id: id, into: &$0) } }
}

/// One reply, with bytes of its own.
struct Answer: Equatable {
    var status: Status
    var id: UInt32
    var version: UInt64?
    var lifetime: Lifetime?
    var integer: Int64?
    var contentType: String
    var payload: [UInt8]

    var text: String { payload.text }

    private init(_ frame: BinaryReplyFrame, _ buffer: borrowing ByteBuffer) {
        status = frame.status
        id = frame.id
        version = frame.version
        lifetime = frame.lifetime
        integer = frame.integer
        contentType = buffer.span(frame.contentType).withUnsafeBytes { Array($0) }.text
        payload = buffer.span(frame.payload).withUnsafeBytes { Array($0) }
    }

    /// All replies in `bytes`, which hold nothing else.
    static func all(_ bytes: [UInt8]) throws -> [Answer] {
        var buffer = ByteBuffer()
        buffer.append(bytes.span.bytes)
        var answers: [Answer] = []
        var position = 0
        while let frame = try BinaryReplyDecoder().decode(buffer, at: &position) { answers.append(Answer(frame, buffer)) }
        #expect(position == bytes.count, "half a reply")
        return answers
    }

    static func only(_ bytes: [UInt8]) throws -> Answer {
        let answers = try all(bytes)
        return try #require(answers.count == 1 ? answers[0] : nil, "\(answers.count) replies")
    }

    /// The answers within the reply to a get-many.
    static func many(_ bytes: [UInt8]) throws -> [Answer] {
        try within(bytes) { frame, buffer in
            var list = try BinaryManyAnswers(frame, in: buffer)
            var answers: [Answer] = []
            while let answer = try list.next(in: buffer) { answers.append(Answer(answer, buffer)) }
            return answers
        }
    }

    /// The keys of a page as text, common prefixes marked by a `*`, values behind `=`; and the cursor.
    static func page(_ bytes: [UInt8], withValues: Bool = false) throws -> (items: [String], cursor: [UInt8]) {
        try within(bytes) { frame, buffer in
            var page = try BinaryListPage(frame, withValues: withValues, in: buffer)
            var items: [String] = []
            while let item = try page.next(in: buffer) {
                var text = buffer.span(item.key).withUnsafeBytes { Array($0) }.text
                if item.isPrefix { text += "*" }
                if withValues { text += "=" + buffer.span(item.value).withUnsafeBytes { Array($0) }.text }
                items.append(text)
            }
            return (items, buffer.span(page.cursor).withUnsafeBytes { Array($0) })
        }
    }

    static func namespace(_ bytes: [UInt8]) throws -> NamespaceReply {
        try within(bytes) { frame, buffer in try NamespaceReply(frame, in: buffer) }
    }

    static func namespaces(_ bytes: [UInt8]) throws -> (total: Int, names: [String]) {
        try within(bytes) { frame, buffer in
            let page = try NamespaceReply.page(frame, in: buffer)
            return (page.total, page.namespaces.map(\.name))
        }
    }

    static func hello(_ bytes: [UInt8]) throws -> HelloReply {
        try within(bytes) { frame, buffer in try HelloReply(frame, in: buffer) }
    }

    private static func within<Result>(
        _ bytes: [UInt8], _ read: (BinaryReplyFrame, borrowing ByteBuffer) throws -> Result
    ) throws -> Result {
        var buffer = ByteBuffer()
        buffer.append(bytes.span.bytes)
        var position = 0
        let frame = try #require(try BinaryReplyDecoder().decode(buffer, at: &position))
        #expect(frame.status == .ok || frame.status == .created)
        return try read(frame, buffer)
    }
}
