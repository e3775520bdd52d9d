// Where a page of a listing ended, for the page after it: the key to go on after and its CRC-32C, which tells a cursor of ours
// from bytes that merely look like a key.

import LarderBytes

/// The form of a cursor in every dialect.
package enum ListCursor {
    package static let checksumBytes = 4
    static let invalid = Failure(.cursorInvalid, "The cursor is none that this server gave.", parameter: "cursor")

    /// The key in a cursor; nil when it is none.
    package static func key(of cursor: ByteRange, in bytes: RawSpan) -> ByteRange? {
        guard cursor.count > checksumBytes else { return nil }
        let key = ByteRange(start: cursor.start, count: cursor.count - checksumBytes)
        let checksum = bytes.littleEndian(at: key.end, as: UInt32.self)
        return checksum == Checksum.of(bytes.extracting(key.start..<key.end)) ? key : nil
    }

    package static func append(_ key: [UInt8], to output: inout ByteBuffer) {
        let start = output.count
        for byte in key { output.append(byte: byte) }
        let checksum = Checksum.of(output.span(ByteRange(start: start, count: key.count)))
        output.append(littleEndian: checksum)
    }
}
