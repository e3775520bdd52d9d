// Bytes of the binary protocol to replies: the client's half.
//
// Answers with positions in the receive buffer, as the server's decoder does.

import LarderBytes

/// Why a client cannot go on reading from a connection.
package enum BinaryReplyError: Error, Equatable, Sendable {
    /// A reply begins with the byte 0xAE; this began with another.
    case wrongMagic(UInt8)
    /// A reply is longer than this client accepts. Both counts are in bytes.
    case frameTooLarge(bytes: Int, limit: Int)
    /// The fields do not add up to the length of the reply, or a field is there that was not asked for.
    case malformed
}

/// One reply, or one answer within the reply to a get-many. Ranges count from the first readable byte of the buffer.
package struct BinaryReplyFrame: Sendable {
    /// The id of the request.
    package var id: UInt32 = 0
    /// The operation that is answered; nil where the server did not understand it.
    package var opcode: BinaryOpcode?
    /// The status byte as it came.
    package var code: UInt8 = 0
    /// Its meaning; `internalError` for a status that this client does not know.
    package var status: Status { Status(rawValue: code) ?? .internalError }
    package var version: UInt64?
    /// The remaining lifetime, where it was asked for.
    package var lifetime: Lifetime?
    package var integer: Int64?
    package var contentType = ByteRange.empty
    /// The value, the items, the text: what follows the optional fields.
    package var payload = ByteRange.empty

    package init() {}

    /// Reads the optional fields that begin `body` and leaves the rest as the payload.
    mutating func readBody(_ body: BinaryBody, _ fields: BinaryFields, _ bytes: RawSpan) throws(BinaryReplyError) {
        var body = body
        guard fields.isSubset(of: .known) else { throw .malformed }
        if fields.contains(.version) {
            guard let value = body.take(UInt64.self, bytes) else { throw .malformed }
            version = value
        }
        if fields.contains(.lifetime) {
            guard let value = body.take(UInt64.self, bytes), let decoded = Lifetime(code: value) else { throw .malformed }
            lifetime = decoded
        }
        if fields.contains(.integer) {
            guard let value = body.take(Int64.self, bytes) else { throw .malformed }
            integer = value
        }
        if fields.contains(.contentType) {
            guard let value = body.takeText(UInt16.self, bytes) else { throw .malformed }
            contentType = value
        }
        payload = body.rest()
    }
}

/// Decodes replies of the binary protocol.
package struct BinaryReplyDecoder: Sendable {
    /// The most bytes that a reply may have, header included.
    package var frameBytesMax: Int

    package init(frameBytesMax: Int = 64 * 1_024 * 1_024) {
        self.frameBytesMax = frameBytesMax
    }

    /// Decodes the reply at `position`, which then stands behind it.
    ///
    /// - Returns: nil when the buffer ends within the reply; `position` stays.
    /// - Throws: `BinaryReplyError`; the connection is of no more use then.
    package func decode(
        _ input: borrowing ByteBuffer, at position: inout Int
    ) throws(BinaryReplyError) -> BinaryReplyFrame? {
        let bytes = input.bytes
        precondition(position >= 0 && position <= bytes.byteCount, "position leaves the buffer")
        let available = bytes.byteCount - position
        guard available > 0 else { return nil }
        let magic = bytes.byte(at: position)
        guard magic == BinaryFrame.replyMagic else { throw .wrongMagic(magic) }
        guard available >= BinaryFrame.headerBytes else { return nil }
        let frameBytes = BinaryFrame.headerBytes + Int(bytes.littleEndian(at: position + 8, as: UInt32.self))
        guard frameBytes <= frameBytesMax else { throw .frameTooLarge(bytes: frameBytes, limit: frameBytesMax) }
        guard frameBytes <= available else { return nil }

        var reply = BinaryReplyFrame()
        reply.code = bytes.byte(at: position + 1)
        reply.opcode = BinaryOpcode(rawValue: bytes.byte(at: position + 2))
        reply.id = bytes.littleEndian(at: position + 4, as: UInt32.self)
        let fields = BinaryFields(rawValue: bytes.byte(at: position + 3))
        let body = BinaryBody(start: position + BinaryFrame.headerBytes, end: position + frameBytes)
        try reply.readBody(body, fields, bytes)
        position += frameBytes
        return reply
    }
}

extension Lifetime {
    /// A remaining lifetime as a reply writes it; nil for one beyond what a server can give.
    init?(code: UInt64) {
        if code == BinaryFrame.unlimited {
            self = .unlimited
        } else if let milliseconds = Int64(exactly: code) {
            self = .milliseconds(milliseconds)
        } else {
            return nil
        }
    }
}
