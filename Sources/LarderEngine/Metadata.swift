// What is kept beside a value: a sequence of items, each a tag byte, a length of two bytes (little-endian), and so many bytes.
//
// The same bytes lie in the entry, in the log and in the snapshot. Tags that are not known are carried along.

import LarderBytes

/// Items of tag, length and bytes, read where they lie.
package enum Metadata {
    /// The value's content type, ASCII.
    package static let contentType: UInt8 = 1
    /// A word that memcached clients keep with a value; four bytes, little-endian.
    package static let clientFlags: UInt8 = 2

    /// How far an entry is on its way to be made anew, as memcached's meta commands have it; one byte.
    package static let recache: UInt8 = 3

    static let itemHeaderBytes = 3
    /// What an entry has room for.
    package static let bytesMax = Int(UInt16.max)

    /// Whether `metadata` is a sequence of whole items that an entry has room for.
    package static func isWellFormed(_ metadata: RawSpan) -> Bool {
        guard metadata.byteCount <= bytesMax else { return false }
        var position = 0
        while position < metadata.byteCount {
            guard let next = end(ofItemAt: position, in: metadata) else { return false }
            position = next
        }
        return true
    }

    /// The bytes of the first item with `tag`, or nil when there is none. Stops at an item that is not whole.
    @_lifetime(copy metadata)
    package static func item(_ tag: UInt8, in metadata: RawSpan) -> RawSpan? {
        guard let range = position(tag, in: metadata) else { return nil }
        return metadata.slice(range)
    }

    private static func position(_ tag: UInt8, in metadata: RawSpan) -> ByteRange? {
        var position = 0
        while position < metadata.byteCount, let next = end(ofItemAt: position, in: metadata) {
            let start = position + itemHeaderBytes
            if metadata.byte(at: position) == tag { return ByteRange(start: start, count: next - start) }
            position = next
        }
        return nil
    }

    /// Appends an item; `bytes` must be at most `bytesMax` long less three.
    package static func append(_ tag: UInt8, _ bytes: RawSpan, to buffer: inout ByteBuffer) {
        precondition(bytes.byteCount <= bytesMax - itemHeaderBytes, "item is too long")
        buffer.append(byte: tag)
        buffer.append(littleEndian: UInt16(bytes.byteCount))
        buffer.append(bytes)
    }

    /// Appends the word that memcached clients keep with a value.
    package static func append(clientFlags: UInt32, to buffer: inout ByteBuffer) {
        buffer.append(byte: Self.clientFlags)
        buffer.append(littleEndian: UInt16(4))
        buffer.append(littleEndian: clientFlags)
    }

    /// The word that a memcached client keeps with a value; 0 when there is none.
    package static func clientFlags(in metadata: RawSpan) -> UInt32 {
        guard metadata.byteCount > 0, let item = item(clientFlags, in: metadata), item.byteCount == 4 else { return 0 }
        return item.littleEndian(at: 0, as: UInt32.self)
    }

    /// How far an entry is on its way to be made anew; 0 when nobody said so.
    package static func recache(in metadata: RawSpan) -> UInt8 {
        guard metadata.byteCount > 0, let item = item(recache, in: metadata), item.byteCount == 1 else { return 0 }
        return item.byte(at: 0)
    }

    /// Says so, in place of what was said before.
    package static func set(recache marks: UInt8, in metadata: inout ByteBuffer) {
        if let item = position(recache, in: metadata.bytes) {
            metadata[item.start] = marks
        } else {
            metadata.append(byte: Self.recache)
            metadata.append(littleEndian: UInt16(1))
            metadata.append(byte: marks)
        }
    }

    private static func end(ofItemAt position: Int, in metadata: RawSpan) -> Int? {
        guard metadata.byteCount - position >= itemHeaderBytes else { return nil }
        let count = Int(metadata.littleEndian(at: position + 1, as: UInt16.self))
        let end = position + itemHeaderBytes + count
        return end <= metadata.byteCount ? end : nil
    }
}
