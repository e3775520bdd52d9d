// A place in a buffer: where it starts and how many bytes it has. A position, never a pointer, so it stays
// right when the buffer moves.

/// A range of bytes, counted from the first readable byte of the buffer that it belongs to.
@frozen @usableFromInline
package struct ByteRange: Equatable, Sendable {
    @usableFromInline package var start: Int
    @usableFromInline package var count: Int

    @inlinable package init(start: Int, count: Int) {
        self.start = start
        self.count = count
    }

    @inlinable package var end: Int { start + count }
    @inlinable package var isEmpty: Bool { count == 0 }

    @inlinable package static var empty: ByteRange { ByteRange(start: 0, count: 0) }
}
