// What is inside the larger replies: answers of a get-many, items of a listing, namespaces, hello.
//
// The client's half; every function refuses bytes that do not add up and traps on none.

import LarderBytes

/// The answers of a get-many, in the order of its keys.
package struct BinaryManyAnswers: Sendable {
    /// How many answers are left.
    package private(set) var count: Int
    private var body: BinaryBody
    private let reply: BinaryReplyFrame

    package init(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) throws(BinaryReplyError) {
        let bytes = input.bytes
        body = BinaryBody(reply.payload, within: bytes)
        self.reply = reply
        guard let count = body.take(UInt16.self, bytes) else { throw .malformed }
        self.count = Int(count)
    }

    /// The next answer: `ok` with a value, `notFound`, `frameTooLarge` (ask for this key again), or a refusal.
    package mutating func next(in input: borrowing ByteBuffer) throws(BinaryReplyError) -> BinaryReplyFrame? {
        let bytes = input.bytes
        body.checkLies(within: bytes)
        guard count > 0 else {
            guard body.isEmpty else { throw .malformed }
            return nil
        }
        guard let code = body.take(UInt8.self, bytes), let fields = body.take(UInt8.self, bytes),
            let range = body.takeText(UInt32.self, bytes)
        else { throw .malformed }
        count -= 1
        var answer = BinaryReplyFrame()
        answer.id = reply.id
        answer.opcode = reply.opcode
        answer.code = code
        try answer.readBody(BinaryBody(range, within: bytes), BinaryFields(rawValue: fields), bytes)
        return answer
    }
}

/// One item of a listing.
package struct BinaryListEntry: Sendable {
    package var key = ByteRange.empty
    /// A common prefix of several keys; everything below is empty then.
    package var isPrefix = false
    package var version: UInt64 = 0
    package var updatedMilliseconds: Int64 = 0
    package var updatedCounter: UInt32 = 0
    package var lifetime = Lifetime.unlimited
    package var valueBytes = 0
    /// Both are empty when the listing was asked for without values.
    package var contentType = ByteRange.empty
    package var value = ByteRange.empty
}

/// A page of a listing.
package struct BinaryListPage: Sendable {
    /// How many items are left.
    package private(set) var count: Int
    /// What to ask the next page with; empty on the last page. Known when `next` has answered nil.
    package private(set) var cursor = ByteRange.empty
    private var body: BinaryBody
    private let withValues: Bool

    package init(
        _ reply: BinaryReplyFrame, withValues: Bool, in input: borrowing ByteBuffer
    ) throws(BinaryReplyError) {
        let bytes = input.bytes
        body = BinaryBody(reply.payload, within: bytes)
        self.withValues = withValues
        guard let count = body.take(UInt32.self, bytes) else { throw .malformed }
        self.count = Int(count)
    }

    package mutating func next(in input: borrowing ByteBuffer) throws(BinaryReplyError) -> BinaryListEntry? {
        let bytes = input.bytes
        body.checkLies(within: bytes)
        guard count > 0 else {
            // A second call behind the end finds an empty body.
            if body.isEmpty { return nil }
            guard let cursor = body.takeText(UInt16.self, bytes), body.isEmpty else { throw .malformed }
            self.cursor = cursor
            return nil
        }
        count -= 1
        var entry = BinaryListEntry()
        guard let kind = body.take(UInt8.self, bytes), kind <= 1, let key = body.takeText(UInt16.self, bytes)
        else { throw .malformed }
        entry.key = key
        entry.isPrefix = kind == 1
        if entry.isPrefix { return entry }
        guard let version = body.take(UInt64.self, bytes), let updated = body.take(Int64.self, bytes),
            let counter = body.take(UInt32.self, bytes), let remaining = body.take(UInt64.self, bytes),
            let lifetime = Lifetime(code: remaining), let valueBytes = body.take(UInt32.self, bytes)
        else { throw .malformed }
        entry.version = version
        entry.updatedMilliseconds = updated
        entry.updatedCounter = counter
        entry.lifetime = lifetime
        entry.valueBytes = Int(valueBytes)
        guard withValues else { return entry }
        guard let contentType = body.takeText(UInt16.self, bytes), let value = body.takeIfThere(entry.valueBytes)
        else { throw .malformed }
        entry.contentType = contentType
        entry.value = value
        return entry
    }
}

extension HelloReply {
    /// What an accepted hello was answered with. Bytes behind the fields that are known are left to later versions.
    package init(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) throws(BinaryReplyError) {
        let bytes = input.bytes
        var body = BinaryBody(reply.payload, within: bytes)
        guard let version = body.take(UInt8.self, bytes), version == BinaryFrame.protocolVersion,
            let options = body.take(UInt8.self, bytes),
            let keyRuleCode = body.take(UInt8.self, bytes), let keyRule = KeyRule(rawValue: keyRuleCode),
            let durabilityCode = body.take(UInt8.self, bytes),
            let durability = DurabilityChoice(rawValue: durabilityCode),
            let frameBytesMax = body.take(UInt32.self, bytes), let valueBytesMax = body.take(UInt32.self, bytes),
            let high = body.take(UInt64.self, bytes), let low = body.take(UInt64.self, bytes)
        else { throw .malformed }
        self.init(
            overtake: options & 1 != 0, keyRule: keyRule, durability: durability, frameBytesMax: frameBytesMax,
            valueBytesMax: valueBytesMax, namespace: (high.byteSwapped, low.byteSwapped))
    }
}

extension NamespaceReply {
    /// The namespace that a reply is about.
    package init(_ reply: BinaryReplyFrame, in input: borrowing ByteBuffer) throws(BinaryReplyError) {
        let bytes = input.bytes
        var body = BinaryBody(reply.payload, within: bytes)
        guard let namespace = NamespaceReply(next: &body, bytes), body.isEmpty else { throw .malformed }
        self = namespace
    }

    /// A page of namespaces, and how many there are on all pages.
    package static func page(
        _ reply: BinaryReplyFrame, in input: borrowing ByteBuffer
    ) throws(BinaryReplyError) -> (total: Int, namespaces: [NamespaceReply]) {
        let bytes = input.bytes
        var body = BinaryBody(reply.payload, within: bytes)
        guard let total = body.take(UInt32.self, bytes), let count = body.take(UInt16.self, bytes)
        else { throw .malformed }
        var namespaces: [NamespaceReply] = []
        for _ in 0..<count {
            guard let namespace = NamespaceReply(next: &body, bytes) else { throw .malformed }
            namespaces.append(namespace)
        }
        guard body.isEmpty else { throw .malformed }
        return (Int(total), namespaces)
    }

    private init?(next body: inout BinaryBody, _ bytes: RawSpan) {
        guard let high = body.take(UInt64.self, bytes), let low = body.take(UInt64.self, bytes),
            let created = body.take(Int64.self, bytes), let updated = body.take(Int64.self, bytes),
            let keys = body.take(UInt64.self, bytes), let byteCount = body.take(UInt64.self, bytes),
            let memoryBytes = body.take(UInt64.self, bytes), let bytesMax = body.take(UInt64.self, bytes),
            let state = body.take(UInt8.self, bytes), let durability = body.take(UInt8.self, bytes),
            let keyRuleCode = body.take(UInt8.self, bytes), let keyRule = KeyRule(rawValue: keyRuleCode),
            let evictionCode = body.take(UInt8.self, bytes), let eviction = EvictionChoice(rawValue: evictionCode),
            let name = body.takeText(UInt8.self, bytes)
        else { return nil }
        self.init(
            id: (high.byteSwapped, low.byteSwapped), name: String(utf8: bytes.slice(name)),
            state: NamespaceStateCode(rawValue: state)?.name ?? "unknown", createdMilliseconds: created,
            updatedMilliseconds: updated, durability: DurabilityChoice(rawValue: durability)?.name ?? "unknown",
            keyRule: keyRule, keys: keys, bytes: byteCount, memoryBytes: memoryBytes, bytesMax: bytesMax, eviction: eviction)
    }
}
