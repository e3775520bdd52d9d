// zlib, for the blocks of a snapshot and nothing else.
//
// The one file that talks to zlib. Audited for `unsafe`: a stream lives at one address from `init` to `deinit` (zlib keeps
// a pointer to it), is used by one owner at a time, and every pointer handed to it comes from a span or buffer that
// outlives the call, with that span's own count. Output is bounded by the room given, so a hostile input cannot grow it.

import CZlib
import LarderBytes

/// Compresses at level 1, which costs a third of the default's time for most of its gain.
@safe struct Deflater: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let status = unsafe deflateInit_(stream, 1, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib finds no memory")
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Appends `bytes` compressed to `output`, if that takes at most `limit` bytes.
    ///
    /// - Returns: Whether it did; otherwise `output` is as before.
    mutating func compress(_ bytes: RawSpan, into output: inout ByteBuffer, limit: Int) -> Bool {
        unsafe deflateReset(stream)
        var finished = false
        let before = output.count
        unsafe output.append(minimum: limit) { free in
            unsafe bytes.withUnsafeBytes { source in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
                unsafe stream.pointee.avail_in = UInt32(source.count)
                unsafe stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe stream.pointee.avail_out = UInt32(limit)
                finished = unsafe deflate(stream, Z_FINISH) == Z_STREAM_END
                return limit - Int(unsafe stream.pointee.avail_out)
            }
        }
        if !finished { output.truncate(to: before) }
        return finished
    }
}

/// Inflates what `Deflater` made, or finds that something else did.
@safe struct Inflater: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // Without zlib's own frame: its checksum is a tenth of the work, and blocks have a better one.
        let status = unsafe inflateInit2_(stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib finds no memory")
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Appends `bytes` inflated to `output`, if that gives exactly `count` bytes.
    ///
    /// - Returns: Whether it did; otherwise `output` is as before. Never writes more than `count` bytes.
    mutating func inflate(_ bytes: RawSpan, into output: inout ByteBuffer, count: Int) -> Bool {
        guard bytes.byteCount > Self.headBytes + Self.tailBytes, Self.isHead(bytes.byte(at: 0), bytes.byte(at: 1)) else { return false }
        unsafe inflateReset(stream)
        var finished = false
        let before = output.count
        unsafe output.append(minimum: count) { free in
            unsafe bytes.withUnsafeBytes { source in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: source.baseAddress?.advanced(by: Self.headBytes).assumingMemoryBound(to: UInt8.self))
                unsafe stream.pointee.avail_in = UInt32(source.count - Self.headBytes)
                unsafe stream.pointee.next_out = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe stream.pointee.avail_out = UInt32(count)
                finished = unsafe CZlib.inflate(stream, Z_FINISH) == Z_STREAM_END
                finished = unsafe finished && Int(stream.pointee.avail_in) == Self.tailBytes
                return count - Int(unsafe stream.pointee.avail_out)
            }
        }
        if !finished || output.count - before != count { output.truncate(to: before) }
        return finished && output.count - before == count
    }

    /// What stands before the compressed bytes, and the checksum behind them (RFC 1950).
    private static var headBytes: Int { 2 }
    private static var tailBytes: Int { 4 }

    /// Whether the stream is one of deflate that needs no dictionary.
    private static func isHead(_ method: UInt8, _ flags: UInt8) -> Bool {
        method & 0x0F == 8 && flags & 0x20 == 0 && (UInt16(method) << 8 | UInt16(flags)) % 31 == 0
    }
}
