// Bytes to replies, in every dialect, where the bytes lie.
//
// A parser is told which operation is answered, and answers with positions in the receive buffer. A reply that has not
// come whole is nil, never an error; what no server of the dialect would say is an error, never a crash.

import LarderBytes
import LarderWire

/// What a server answered.
package struct LoadReply: Equatable, Sendable {
    package enum Outcome: UInt8, Sendable {
        /// A read that found its key.
        case hit
        /// A read or delete that did not.
        case miss
        /// A write or delete that was carried out.
        case done
        /// A refusal, of the request or of everything.
        case refused
    }

    package var outcome: Outcome
    /// The value of a hit; of a refusal, the sentence.
    package var content = ByteRange.empty
    /// What tells one kind of refusal from another: a status byte, the first word of a line.
    package var kind = ByteRange.empty
    /// Where the next reply begins.
    package var end: Int
    /// The id that the reply carries (binary).
    package var id: UInt32 = 0
    /// The server closes the connection behind this reply.
    package var closes = false
}

/// Why a connection is of no more use.
package enum ReplyError: Error, Equatable, Sendable {
    /// What came is not of the dialect.
    case foreign
    /// A reply, or its head, has more bytes than any of ours may have.
    case tooLarge
    /// A kind of HTTP reply whose end cannot be told.
    case unbounded
    /// A reply to another request than the one that was next.
    case outOfOrder
}

/// Parses replies of one dialect.
package struct ReplyParser: Sendable {
    package let dialect: LoadDialect
    /// The most bytes that a value may have.
    package let valueBytesMax: Int

    static let lineBytesMax = 16_384

    package init(_ dialect: LoadDialect, valueBytesMax: Int = 1 << 30) {
        self.dialect = dialect
        self.valueBytesMax = valueBytesMax
    }

    /// The reply at `start`, to `operation`; nil when it has not come whole.
    package func parse(
        _ bytes: RawSpan, at start: Int, to operation: LoadOperation
    ) throws(ReplyError) -> LoadReply? {
        guard start < bytes.byteCount else { return nil }
        switch dialect {
        case .binary: return try binary(bytes, start, operation)
        case .resp: return try resp(bytes, start)
        case .memcached: return try memcached(bytes, start, operation)
        case .http: return try http(bytes, start, operation)
        }
    }

    /// The same, for what was received into a buffer.
    func parse(_ input: borrowing ByteBuffer, at start: Int, to operation: LoadOperation) throws(ReplyError) -> LoadReply? {
        try parse(input.bytes, at: start, to: operation)
    }

    /// The reply at the start of `input` to a greeting or a probe. A refusal comes as such.
    func parseFirst(_ input: borrowing ByteBuffer) throws(ReplyError) -> LoadReply? { try parseFirst(input.bytes, at: 0) }

    /// The reply at `start` to a greeting or a probe. A refusal comes as such.
    package func parseFirst(_ bytes: RawSpan, at start: Int) throws(ReplyError) -> LoadReply? {
        guard start < bytes.byteCount else { return nil }
        guard dialect == .memcached else { return try parse(bytes, at: start, to: .get) }
        guard let line = try Self.line(bytes, start) else { return nil }
        let text = bytes.slice(line)
        if text.hasPrefix(Self.refused.rawSpan) { return Self.refusal(line, bytes) }
        guard text.hasPrefix(Self.version.rawSpan) || text.equals("STORED") else { throw .foreign }
        return LoadReply(outcome: .done, content: line, end: line.end + 2)
    }

    private static let version = Array("VERSION ".utf8)
    private static let refused = Array("CLIENT_ERROR ".utf8)

    // MARK: Binary

    private func binary(_ bytes: RawSpan, _ start: Int, _ operation: LoadOperation) throws(ReplyError) -> LoadReply? {
        guard bytes.byte(at: start) == BinaryFrame.replyMagic else { throw .foreign }
        guard bytes.byteCount - start >= BinaryFrame.headerBytes else { return nil }
        let bodyBytes = Int(bytes.littleEndian(at: start + 8, as: UInt32.self))
        guard bodyBytes <= valueBytesMax else { throw .tooLarge }
        let body = ByteRange(start: start + BinaryFrame.headerBytes, count: bodyBytes)
        guard body.end <= bytes.byteCount else { return nil }
        // No field was asked for.
        guard bytes.byte(at: start + 3) == 0 else { throw .foreign }
        let outcome: LoadReply.Outcome
        switch bytes.byte(at: start + 1) {
        case Status.ok.rawValue: outcome = operation == .get ? .hit : .done
        case Status.created.rawValue: outcome = .done
        case Status.notFound.rawValue: outcome = .miss
        default: outcome = .refused
        }
        return LoadReply(
            outcome: outcome, content: body, kind: ByteRange(start: start + 1, count: 1), end: body.end,
            id: bytes.littleEndian(at: start + 4, as: UInt32.self))
    }

    // MARK: Redis

    private func resp(_ bytes: RawSpan, _ start: Int) throws(ReplyError) -> LoadReply? {
        let type = bytes.byte(at: start)
        guard type == UInt8(ascii: "$") || type == UInt8(ascii: "+") || type == UInt8(ascii: ":") || type == UInt8(ascii: "-")
        else { throw .foreign }
        guard let line = try Self.line(bytes, start + 1) else { return nil }
        switch type {
        case UInt8(ascii: "$"):
            guard let count = Decimal.parse(bytes.slice(line)), count >= -1 else { throw .foreign }
            if count == -1 { return LoadReply(outcome: .miss, end: line.end + 2) }
            guard count <= valueBytesMax else { throw .tooLarge }
            return try Self.value(ByteRange(start: line.end + 2, count: Int(count)), bytes)
        case UInt8(ascii: "+"): return LoadReply(outcome: .done, content: line, end: line.end + 2)
        case UInt8(ascii: ":"):
            // How many keys a delete found.
            guard let count = Decimal.parse(bytes.slice(line)) else { throw .foreign }
            return LoadReply(outcome: count == 0 ? .miss : .done, end: line.end + 2)
        default: return Self.refusal(line, bytes)
        }
    }

    /// A hit whose value is followed by a line end.
    private static func value(_ value: ByteRange, _ bytes: RawSpan) throws(ReplyError) -> LoadReply? {
        guard value.end + 2 <= bytes.byteCount else { return nil }
        guard bytes.byte(at: value.end) == 13, bytes.byte(at: value.end + 1) == 10 else { throw .foreign }
        return LoadReply(outcome: .hit, content: value, end: value.end + 2)
    }

    /// A refusal that is one line; its kind is its first word.
    private static func refusal(_ line: ByteRange, _ bytes: RawSpan) -> LoadReply {
        let text = bytes.slice(line)
        let word = min(text.firstPosition(of: UInt8(ascii: " ")) ?? text.byteCount, 32)
        return LoadReply(
            outcome: .refused, content: line, kind: ByteRange(start: line.start, count: word), end: line.end + 2)
    }

    /// The line that begins at `start`, without its end; nil when it has not come whole.
    private static func line(_ bytes: RawSpan, _ start: Int) throws(ReplyError) -> ByteRange? {
        guard start < bytes.byteCount else { return nil }
        guard let feed = bytes.firstPosition(of: 10, from: start) else {
            if bytes.byteCount - start > lineBytesMax { throw .tooLarge }
            return nil
        }
        guard feed > start, bytes.byte(at: feed - 1) == 13 else { throw .foreign }
        return ByteRange(start: start, count: feed - 1 - start)
    }

    // MARK: memcached

    private func memcached(
        _ bytes: RawSpan, _ start: Int, _ operation: LoadOperation
    ) throws(ReplyError) -> LoadReply? {
        guard let line = try Self.line(bytes, start) else { return nil }
        let text = bytes.slice(line)
        switch operation {
        case .get:
            if text.equals("END") { return LoadReply(outcome: .miss, end: line.end + 2) }
            if text.byteCount > 6, text.slice(0, 6).equals("VALUE ") { return try memcachedValue(line, bytes) }
        case .set:
            if text.equals("STORED") { return LoadReply(outcome: .done, end: line.end + 2) }
        case .delete:
            if text.equals("DELETED") { return LoadReply(outcome: .done, end: line.end + 2) }
            if text.equals("NOT_FOUND") { return LoadReply(outcome: .miss, end: line.end + 2) }
        }
        let first = text.byteCount > 0 ? text.byte(at: 0) : 0
        // ERROR, CLIENT_ERROR ..., SERVER_ERROR ..., and what a set may come to besides: NOT_STORED, EXISTS.
        guard [UInt8(ascii: "E"), UInt8(ascii: "C"), UInt8(ascii: "S"), UInt8(ascii: "N")].contains(first) else { throw .foreign }
        return Self.refusal(line, bytes)
    }

    /// `VALUE key flags bytes`, the value, a line end, and `END`.
    private func memcachedValue(_ line: ByteRange, _ bytes: RawSpan) throws(ReplyError) -> LoadReply? {
        var word = line.end
        while word > line.start, bytes.byte(at: word - 1) != UInt8(ascii: " ") { word -= 1 }
        guard let count = Decimal.parse(bytes.slice(word, line.end - word)), count >= 0 else { throw .foreign }
        guard count <= valueBytesMax else { throw .tooLarge }
        guard var reply = try Self.value(ByteRange(start: line.end + 2, count: Int(count)), bytes) else { return nil }
        guard let last = try Self.line(bytes, reply.end) else { return nil }
        guard bytes.slice(last).equals("END") else { throw .foreign }
        reply.end = last.end + 2
        return reply
    }
}
