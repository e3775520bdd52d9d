// A growable run of bytes with one reader and one writer: append at the end, consume from the front.
//
// The only file of this room that handles raw memory. Invariant: `0 <= start <= end <= capacity`, and `base`
// points to `capacity` initialised-or-writable bytes that this value alone owns (nil when the capacity is 0).

/// Bytes that are appended at the end and consumed from the front.
///
/// Positions and ranges count from the first byte that has not been consumed, so they survive growth.
/// Appending is amortised O(bytes); a buffer that has been read to the end starts again at the front of its memory.
@safe @usableFromInline
package struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutableRawPointer?
    @usableFromInline var start = 0
    @usableFromInline var end = 0
    @usableFromInline package private(set) var capacity = 0

    @inlinable package init() {
        unsafe base = nil
    }

    package init(capacity: Int) {
        unsafe base = nil
        reserve(capacity)
    }

    deinit {
        unsafe base?.deallocate()
    }

    /// How many bytes can be read.
    @inlinable package var count: Int { end &- start }
    @inlinable package var isEmpty: Bool { end == start }

    // MARK: Reading

    /// All readable bytes.
    @inlinable package var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: readPointer, byteCount: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// The bytes of `range`, which must lie within the readable bytes.
    @_lifetime(borrow self)
    @inlinable package func span(_ range: ByteRange) -> RawSpan {
        precondition(range.start >= 0 && range.count >= 0 && range.count <= count &- range.start, "range leaves the buffer")
        let span = unsafe RawSpan(_unsafeStart: readPointer + range.start, byteCount: range.count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    @inlinable package subscript(position: Int) -> UInt8 {
        get {
            precondition(position >= 0 && position < count, "position leaves the buffer")
            return unsafe readPointer.load(fromByteOffset: position, as: UInt8.self)
        }
        set {
            precondition(position >= 0 && position < count, "position leaves the buffer")
            unsafe UnsafeMutableRawPointer(mutating: readPointer).storeBytes(of: newValue, toByteOffset: position, as: UInt8.self)
        }
    }

    /// Forgets the first `count` readable bytes.
    @inlinable package mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= self.count, "consumes more than there is")
        start &+= count
        if start == end {
            start = 0
            end = 0
        }
    }

    @inlinable package mutating func removeAll() {
        start = 0
        end = 0
    }

    /// Forgets all readable bytes from position `count` on.
    @inlinable package mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count, "cannot truncate to more than there is")
        end = start &+ count
    }

    /// Gives the memory back to the allocator when the buffer is empty and holds more than `capacity` bytes of it.
    package mutating func shrink(above capacity: Int = 0) {
        guard isEmpty, self.capacity > capacity else { return }
        unsafe base?.deallocate()
        unsafe base = nil
        start = 0
        end = 0
        self.capacity = 0
    }

    // MARK: Writing

    /// Makes room for `count` more bytes without a further allocation.
    @inlinable package mutating func reserve(_ count: Int) {
        if capacity &- end < count { makeRoom(count) }
    }

    @inlinable package mutating func append(_ bytes: RawSpan) {
        reserve(bytes.byteCount)
        unsafe bytes.withUnsafeBytes { source in
            guard let address = source.baseAddress, source.count > 0 else { return }
            unsafe (base! + end).copyMemory(from: address, byteCount: source.count)
        }
        end &+= bytes.byteCount
    }

    /// Appends all of `other`, which is empty afterwards. Where this buffer is empty the memory changes hands, however much it is.
    package mutating func take(_ other: inout ByteBuffer) {
        if isEmpty {
            swap(&self, &other)
        } else {
            append(other.bytes)
        }
        other.removeAll()
    }

    package mutating func append(_ other: borrowing ByteBuffer) { append(other.bytes) }

    @inlinable package mutating func append(_ string: StaticString) {
        precondition(string.hasPointerRepresentation)
        let count = string.utf8CodeUnitCount
        reserve(count)
        if count > 0 { unsafe (base! + end).copyMemory(from: string.utf8Start, byteCount: count) }
        end &+= count
    }

    @inlinable package mutating func append(byte: UInt8) {
        reserve(1)
        unsafe base!.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
        end &+= 1
    }

    /// Appends the UTF-8 bytes of `string`. Not for the request path.
    package mutating func append(utf8 string: String) {
        unsafe append(string.utf8.span.bytes)
    }

    @inlinable package mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(littleEndian value: Value) {
        let count = MemoryLayout<Value>.size
        reserve(count)
        unsafe base!.storeBytes(of: value.littleEndian, toByteOffset: end, as: Value.self)
        end &+= count
    }

    /// Appends two integers and then bytes, with one look for room: the head of a frame, and what is in it.
    @inlinable package mutating func append(littleEndian first: UInt64, _ second: UInt32, then bytes: RawSpan) {
        reserve(12 &+ bytes.byteCount)
        let place = unsafe base! + end
        unsafe place.storeBytes(of: first.littleEndian, as: UInt64.self)
        unsafe place.storeBytes(of: second.littleEndian, toByteOffset: 8, as: UInt32.self)
        unsafe bytes.withUnsafeBytes { source in
            guard let address = source.baseAddress else { return }
            unsafe (place + 12).copyMemory(from: address, byteCount: source.count)
        }
        end &+= 12 &+ bytes.byteCount
    }

    /// Appends the first `count` bytes of `word`, the lowest first; at most eight.
    @inlinable package mutating func append(word: UInt64, count: Int) {
        precondition(count >= 0 && count <= 8, "a word has eight bytes")
        reserve(8)
        unsafe base!.storeBytes(of: word.littleEndian, toByteOffset: end, as: UInt64.self)
        end &+= count
    }

    /// Replaces the bytes at `position`, all of which have been appended already.
    @inlinable package mutating func overwrite<Value: FixedWidthInteger & BitwiseCopyable>(
        at position: Int, littleEndian value: Value
    ) {
        precondition(position >= 0 && MemoryLayout<Value>.size <= count &- position, "position leaves the buffer")
        unsafe base!.storeBytes(of: value.littleEndian, toByteOffset: start &+ position, as: Value.self)
    }

    /// Appends `count` zero bytes.
    package mutating func append(zeros count: Int) {
        reserve(count)
        guard count > 0 else { return }
        unsafe (base! + end).initializeMemory(as: UInt8.self, repeating: 0, count: count)
        end &+= count
    }

    /// Lets `fill` write into at least `minimum` bytes of free memory; it returns how many it wrote.
    @inlinable package mutating func append<Failure: Error>(
        minimum: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        reserve(max(minimum, 1))
        let free = unsafe UnsafeMutableRawBufferPointer(start: base! + end, count: capacity &- end)
        let written = try unsafe fill(free)
        precondition(written >= 0 && written <= free.count, "wrote more than there was room for")
        end &+= written
    }

    /// Moves `count` bytes from position `source` to position `target`; the ranges may overlap.
    @inlinable package mutating func move(from source: Int, to target: Int, count: Int) {
        precondition(source >= 0 && target >= 0 && count >= 0, "negative position")
        precondition(count <= self.count &- source && count <= self.count &- target, "range leaves the buffer")
        guard count > 0 else { return }
        let first = unsafe base! + start
        unsafe (first + target).copyMemory(from: first + source, byteCount: count)
    }

    // MARK: Memory

    @inlinable var readPointer: UnsafeRawPointer {
        // An empty buffer may have no memory; a span of zero bytes may start anywhere but nil.
        guard let base = unsafe base else { return unsafe UnsafeRawPointer(bitPattern: 8)! }
        return unsafe UnsafeRawPointer(base + start)
    }

    /// Moves the readable bytes to the front, or to a larger block, so that `needed` more fit behind them.
    @usableFromInline mutating func makeRoom(_ needed: Int) {
        precondition(needed >= 0)
        let used = count
        if let base = unsafe base, capacity - used >= needed, start >= used {
            unsafe base.copyMemory(from: base + start, byteCount: used)
        } else {
            let grown = max(capacity * 2, (used + needed + 63) & ~63)
            let block = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
            if let base = unsafe base {
                unsafe block.copyMemory(from: base + start, byteCount: used)
                unsafe base.deallocate()
            }
            unsafe base = block
            capacity = grown
        }
        start = 0
        end = used
    }
}

// Safe to send: the memory has one owner, and a noncopyable value cannot be in two places.
extension ByteBuffer: @unchecked Sendable {}
