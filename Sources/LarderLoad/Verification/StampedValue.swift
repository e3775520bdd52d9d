// Values that say of themselves whether they are right: whose they are, which write they are, and that no byte is wrong.
//
//     u32 magic "LLV1", u32 bytes of the value, u32 run, u32 sequence, u32 bytes of the key, u32 checksum, key, filler
//
// All integers are little-endian. The checksum is CRC-32C over every byte but its own four. docs/load.md is the contract.

import LarderBytes

/// A stamped value.
package enum StampedValue {
    static let magic: UInt32 = 0x3156_4C4C
    package static let headerBytes = 24
    private static let checksumAt = 20

    /// The smallest value that carries a key of `keyBytes`.
    package static func bytesMin(keyBytes: Int) -> Int { headerBytes + keyBytes }

    /// Appends a value of `byteCount` bytes, or of as many as the key needs.
    ///
    /// - Parameter filler: At least `byteCount` bytes to take the rest from.
    package static func append(
        key: borrowing ByteBuffer, run: UInt32, sequence: UInt32, byteCount: Int, filler: borrowing ByteBuffer,
        to output: inout ByteBuffer
    ) {
        let start = output.count
        let total = max(byteCount, bytesMin(keyBytes: key.count))
        output.append(littleEndian: magic)
        output.append(littleEndian: UInt32(total))
        output.append(littleEndian: run)
        output.append(littleEndian: sequence)
        output.append(littleEndian: UInt32(key.count))
        output.append(littleEndian: UInt32(0))
        output.append(key.bytes)
        output.append(filler.bytes.slice(0, total - headerBytes - key.count))
        output.overwrite(at: start + checksumAt, littleEndian: checksum(output.bytes.slice(start, total)))
    }

    /// The sequence number that the value at `range` carries; nil when it is not a whole value of `key` from this run.
    package static func sequence(
        of input: RawSpan, _ range: ByteRange, key: borrowing ByteBuffer, run: UInt32
    ) -> UInt32? {
        let value = input.slice(range)
        let key = key.bytes
        guard value.byteCount >= headerBytes, value.littleEndian(at: 0, as: UInt32.self) == magic,
            value.littleEndian(at: 4, as: UInt32.self) == UInt32(truncatingIfNeeded: value.byteCount),
            value.littleEndian(at: 8, as: UInt32.self) == run,
            value.littleEndian(at: 16, as: UInt32.self) == UInt32(key.byteCount),
            value.byteCount >= bytesMin(keyBytes: key.byteCount),
            value.slice(headerBytes, key.byteCount).hasSameBytes(as: key),
            value.littleEndian(at: checksumAt, as: UInt32.self) == checksum(value)
        else { return nil }
        return value.littleEndian(at: 12, as: UInt32.self)
    }

    private static func checksum(_ value: RawSpan) -> UInt32 {
        var checksum = Checksum()
        checksum.update(value.slice(0, checksumAt))
        checksum.update(value.slice(headerBytes, value.byteCount - headerBytes))
        return checksum.value
    }
}
