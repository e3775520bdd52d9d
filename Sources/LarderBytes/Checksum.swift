// CRC-32C (Castagnoli polynomial 0x1EDC6F41, RFC 3720 appendix B.4): the checksum of everything on disk.
//
// Uses the processor's instruction where there is one, and a table of 256 words where there is not.

import CLarderIntrinsics

/// A CRC-32C over bytes that arrive in pieces.
@frozen @usableFromInline
package struct Checksum: Sendable {
    @usableFromInline var register: UInt32 = 0xFFFF_FFFF

    @inlinable package init() {}

    /// The checksum of all bytes so far.
    @inlinable package var value: UInt32 { ~register }

    package mutating func update(_ bytes: RawSpan) {
        let register = register
        self.register = unsafe bytes.withUnsafeBytes { source in
            guard let address = source.baseAddress else { return register }
            if Self.hasInstruction { return unsafe larder_crc32c(register, address, source.count) }
            return unsafe Self.tableUpdate(register, source)
        }
    }

    package static func of(_ bytes: RawSpan) -> UInt32 {
        var checksum = Checksum()
        checksum.update(bytes)
        return checksum.value
    }

    @inline(__always) private static var hasInstruction: Bool { larder_has_crc32c() != 0 }

    /// The same without the instruction; a test compares both.
    package static func withoutInstruction(_ bytes: RawSpan) -> UInt32 {
        unsafe bytes.withUnsafeBytes { source in ~(unsafe tableUpdate(0xFFFF_FFFF, source)) }
    }

    private static func tableUpdate(_ register: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var register = register
        for unsafe byte in unsafe bytes {
            register = table[Int((register ^ UInt32(byte)) & 0xFF)] ^ (register >> 8)
        }
        return register
    }

    private static let table: [UInt32] = (0..<256).map { index in
        var entry = UInt32(index)
        for _ in 0..<8 { entry = entry & 1 == 1 ? (entry >> 1) ^ 0x82F6_3B78 : entry >> 1 }
        return entry
    }
}
