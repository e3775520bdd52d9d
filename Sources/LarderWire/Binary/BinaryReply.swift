// Outcomes to bytes of the binary protocol: the replies on the request path, and refusals.
//
// Knows no store: it writes what it is given, as far as the request asked for it.

import LarderBytes

/// Writes replies of the binary protocol. The contract is docs/protocol.md.
package enum BinaryReply {
    /// An entry that was asked for. Adds 12 bytes to the value, and what the flags of the request ask for.
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        let fields = entry.fields(asked: command.binaryFlags)
        let bodyBytes = entry.bodyBytes(fields)
        output.reserve(BinaryFrame.headerBytes &+ bodyBytes &- (entry.omitsValue ? entry.value.byteCount : 0))
        appendHeader(.ok, fields, bodyBytes: bodyBytes, to: command, into: &output)
        entry.appendBody(fields, into: &output)
    }

    /// The same for a `get` without flags, which asks for the value alone: the reply that is written most.
    package static func value(_ value: RawSpan, tag: UInt32, into output: inout ByteBuffer) {
        let first = header(.ok, [], code: BinaryOpcode.get.rawValue, tag: tag)
        output.append(littleEndian: first, UInt32(value.byteCount), then: value)
    }

    /// A status, and the version when there is one and the request asked for it.
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        guard version != 0, command.binaryFlags.contains(.wantVersion) else {
            appendHeader(status, [], bodyBytes: 0, to: command, into: &output)
            return
        }
        appendHeader(status, .version, bodyBytes: 8, to: command, into: &output)
        output.append(littleEndian: version)
    }

    /// A remaining lifetime in milliseconds; nil: unlimited.
    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        number(lifetimeCode(remaining), .lifetime, version: version, to: command, into: &output)
    }

    /// The value of a counter, or the length of a value after an append.
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        number(UInt64(bitPattern: value), .integer, version: version, to: command, into: &output)
    }

    private static func number(
        _ value: UInt64, _ field: BinaryFields, version: UInt64, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        if version != 0, command.binaryFlags.contains(.wantVersion) {
            appendHeader(.ok, [.version, field], bodyBytes: 16, to: command, into: &output)
            output.append(littleEndian: version)
        } else {
            appendHeader(.ok, field, bodyBytes: 8, to: command, into: &output)
        }
        output.append(littleEndian: value)
    }

    /// A refusal: its status, and its sentence as the body.
    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {
        appendHeader(failure.status, [], bodyBytes: failure.detail.utf8CodeUnitCount, to: command, into: &output)
        output.append(failure.detail)
    }

    /// A refusal whose sentence is made at run time.
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        appendHeader(status, [], bodyBytes: text.utf8.count, to: command, into: &output)
        output.append(utf8: text)
    }

    /// Text as the body.
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        appendHeader(status, [], bodyBytes: text.count, to: command, into: &output)
        output.append(text.bytes)
    }

    // MARK: Parts

    /// Appends the 12 bytes that begin every reply.
    @inline(__always)
    static func appendHeader(
        _ status: Status, _ fields: BinaryFields, bodyBytes: Int, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        let first = header(status, fields, code: BinaryOpcode.code(of: command.operation), tag: command.tag)
        // Traps beyond 4 GiB, which no value, page or text of ours comes near.
        output.append(littleEndian: first, UInt32(bodyBytes), then: RawSpan())
    }

    /// The first 8 of the 12 bytes.
    @inline(__always)
    private static func header(_ status: Status, _ fields: BinaryFields, code: UInt8, tag: UInt32) -> UInt64 {
        UInt64(BinaryFrame.replyMagic) | UInt64(status.rawValue) << 8 | UInt64(code) << 16 | UInt64(fields.rawValue) << 24
            | UInt64(tag) << 32
    }

    /// Fills in the length of the reply that begins at `start` and ends where `output` does.
    static func closeFrame(from start: Int, in output: inout ByteBuffer) {
        let bodyBytes = UInt32(output.count - start - BinaryFrame.headerBytes)
        output.overwrite(at: start + 8, littleEndian: bodyBytes)
    }

    /// A remaining lifetime as it is written: milliseconds, all ones for unlimited.
    static func lifetimeCode(_ remaining: Int64?) -> UInt64 {
        guard let remaining else { return BinaryFrame.unlimited }
        return UInt64(max(remaining, 0))
    }
}

extension EntryReply {
    /// The optional fields that a reply to a request with these flags carries.
    func fields(asked flags: BinaryFlags) -> BinaryFields {
        var fields = BinaryFields()
        if flags.contains(.wantVersion) { fields.insert(.version) }
        if flags.contains(.wantLifetime) { fields.insert(.lifetime) }
        if flags.contains(.wantContentType), contentType.byteCount > 0 { fields.insert(.contentType) }
        return fields
    }

    /// What a 16-bit length can say of the content type; a dialect that stored a longer one loses its end here.
    private var contentTypeBytes: Int { min(contentType.byteCount, Int(UInt16.max)) }

    func bodyBytes(_ fields: BinaryFields) -> Int {
        var count = value.byteCount
        if fields.contains(.version) { count &+= 8 }
        if fields.contains(.lifetime) { count &+= 8 }
        if fields.contains(.contentType) { count &+= 2 &+ contentTypeBytes }
        return count
    }

    func appendBody(_ fields: BinaryFields, into output: inout ByteBuffer) {
        if fields.contains(.version) { output.append(littleEndian: version) }
        if fields.contains(.lifetime) { output.append(littleEndian: BinaryReply.lifetimeCode(remaining)) }
        if fields.contains(.contentType) {
            output.append(littleEndian: UInt16(contentTypeBytes))
            output.append(contentType.slice(0, contentTypeBytes))
        }
        if !omitsValue { output.append(value) }
    }
}

extension BinaryOpcode {
    /// The operation byte that a reply echoes; 0 where the request's was not understood.
    @inline(__always)
    static func code(of operation: Operation) -> UInt8 {
        switch operation {
        case .get: get.rawValue
        case .put: put.rawValue
        case .hello: hello.rawValue
        case .ping: ping.rawValue
        case .getMany: getMany.rawValue
        case .exists: exists.rawValue
        case .lifetime: lifetime.rawValue
        case .getAndTouch: getAndTouch.rawValue
        case .delete: delete.rawValue
        case .setLifetime: setLifetime.rawValue
        case .increment: increment.rawValue
        case .append: append.rawValue
        case .list: list.rawValue
        case .namespaceCreate: namespaceCreate.rawValue
        case .namespaceGet: namespaceGet.rawValue
        case .namespaceList: namespaceList.rawValue
        case .namespaceDelete: namespaceDelete.rawValue
        case .namespaceFlush: namespaceFlush.rawValue
        case .stats: stats.rawValue
        case .snapshot: snapshot.rawValue
        case .none, .health, .ready, .metrics, .resp, .memcached: 0
        }
    }
}
