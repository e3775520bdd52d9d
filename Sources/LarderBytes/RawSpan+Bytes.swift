// Questions about a span of bytes: its integers, its order, its equality.

extension RawSpan {
    @inlinable package var count: Int { byteCount }

    /// The byte at `position`, which must lie within the span.
    @inlinable package func byte(at position: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: position, as: UInt8.self)
    }

    /// The little-endian integer at `position`, all of which must lie within the span. No alignment is asked for.
    @inlinable package func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(
        at position: Int, as type: Value.Type
    ) -> Value {
        Value(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: position, as: Value.self))
    }

    /// The bytes from `start` on, `count` of them.
    @_lifetime(copy self)
    @inlinable package func slice(_ start: Int, _ count: Int) -> RawSpan {
        extracting(start..<(start + count))
    }

    @_lifetime(copy self)
    @inlinable package func slice(_ range: ByteRange) -> RawSpan {
        extracting(range.start..<range.end)
    }

    /// Whether both hold the same bytes. O(count).
    @inlinable package func hasSameBytes(as other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        var position = 0
        while position &+ 8 <= byteCount {
            let left = unsafe unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
            let right = unsafe other.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
            if left != right { return false }
            position &+= 8
        }
        while position < byteCount {
            if byte(at: position) != other.byte(at: position) { return false }
            position &+= 1
        }
        return true
    }

    /// Whether the bytes are those of the ASCII text `text`.
    @inlinable package func equals(_ text: StaticString) -> Bool {
        guard byteCount == text.utf8CodeUnitCount else { return false }
        for position in 0..<byteCount where unsafe byte(at: position) != text.utf8Start[position] { return false }
        return true
    }

    @inlinable package func hasPrefix(_ prefix: RawSpan) -> Bool {
        byteCount >= prefix.byteCount && slice(0, prefix.byteCount).hasSameBytes(as: prefix)
    }

    /// How many first bytes both share, as far as `limit`.
    @inlinable package func commonPrefixLength(with other: RawSpan, atMost limit: Int) -> Int {
        let end = min(byteCount, other.byteCount, limit)
        var position = 0
        while position &+ 8 <= end {
            let left = unsafe unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
            let right = unsafe other.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self)
            if left != right { return position &+ (left ^ right).littleEndian.trailingZeroBitCount / 8 }
            position &+= 8
        }
        while position < end, byte(at: position) == other.byte(at: position) { position &+= 1 }
        return position
    }

    /// Byte order: less than 0 when this comes first, 0 when both are equal, more than 0 otherwise.
    @inlinable package func compare(to other: RawSpan) -> Int {
        let common = min(byteCount, other.byteCount)
        var position = 0
        while position &+ 8 <= common {
            let left = unsafe UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self))
            let right = unsafe UInt64(bigEndian: other.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self))
            if left != right { return left < right ? -1 : 1 }
            position &+= 8
        }
        while position < common {
            let left = byte(at: position)
            let right = other.byte(at: position)
            if left != right { return left < right ? -1 : 1 }
            position &+= 1
        }
        return byteCount - other.byteCount
    }

    /// The position of the first `wanted` at or after `start`.
    @inlinable package func firstPosition(of wanted: UInt8, from start: Int = 0) -> Int? {
        var position = start
        while position < byteCount {
            if byte(at: position) == wanted { return position }
            position &+= 1
        }
        return nil
    }
}

extension Array where Element == UInt8 {
    /// A copy of the bytes of `span`. Not for the request path.
    package init(_ span: RawSpan) {
        self = unsafe span.withUnsafeBytes { unsafe Array($0) }
    }

    /// The bytes, where they lie.
    package var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get { unsafe span.bytes }
    }
}

extension String {
    /// The bytes of `span` as UTF-8, with replacement characters where they are not. Not for the request path.
    package init(utf8 span: RawSpan) {
        self = unsafe span.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }
}
