// A walk through a frame's body that cannot leave it.
//
// Knows positions, not meanings. Both directions use it: the server for requests, the client for replies.

import LarderBytes

/// The part of a body that has not been looked at yet. Invariant: `start <= end <= ` the count of the span it walks.
struct BinaryBody {
    private(set) var start: Int
    let end: Int

    init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }

    /// The body at `range`, which must lie within `bytes`: the caller's contract, for ranges that it has kept.
    init(_ range: ByteRange, within bytes: RawSpan) {
        precondition(
            range.start >= 0 && range.count >= 0 && range.count <= bytes.byteCount &- range.start,
            "range leaves the buffer")
        self.init(start: range.start, end: range.end)
    }

    /// For a walk that goes on later: the buffer may have been consumed since, and must not have been.
    func checkLies(within bytes: RawSpan) {
        precondition(end <= bytes.byteCount, "the buffer has been consumed since")
    }

    var count: Int { end &- start }
    var isEmpty: Bool { start == end }

    /// The integer that comes next, or nil when the body ends before it does.
    @inline(__always)
    mutating func take<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, _ bytes: RawSpan) -> Value? {
        let size = MemoryLayout<Value>.size
        guard size <= count else { return nil }
        let value = bytes.littleEndian(at: start, as: Value.self)
        start &+= size
        return value
    }

    /// The next `count` bytes, which the caller knows to be there.
    @inline(__always)
    mutating func take(_ count: Int) -> ByteRange {
        assert(count >= 0 && count <= self.count)
        let range = ByteRange(start: start, count: count)
        start &+= count
        return range
    }

    /// The next `count` bytes, or nil when the body ends before they do.
    mutating func takeIfThere(_ count: Int) -> ByteRange? {
        guard count >= 0, count <= self.count else { return nil }
        return take(count)
    }

    /// A text whose length, of type `type`, stands before it.
    mutating func takeText<Length: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: Length.Type, _ bytes: RawSpan
    ) -> ByteRange? {
        guard let length = take(type, bytes), let count = Int(exactly: length) else { return nil }
        return takeIfThere(count)
    }

    /// All that is left.
    @inline(__always)
    mutating func rest() -> ByteRange { take(count) }
}
