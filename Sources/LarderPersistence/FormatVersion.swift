// The versions and feature bits that stand at the start of every binary file, in the same place.
//
//      8  u16  major: the layout
//     10  u16  minor: additions that an older reader may ignore
//     12  u32  features that a reader has to know
//     16  u32  features that a reader may ignore

import LarderBytes

/// What this version writes, and the most that it reads.
enum FormatVersion {
    static let major: UInt16 = 1
    static let minor: UInt16 = 0
    static let knownFeatures: UInt32 = 0

    /// Why a file with these versions cannot be read, or nil.
    enum Refusal {
        case newer(major: Int)
        case features(UInt32)
    }

    static func append(to buffer: inout ByteBuffer) {
        buffer.append(littleEndian: major)
        buffer.append(littleEndian: minor)
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: UInt32(0))
    }

    static func refusal(of header: RawSpan) -> Refusal? {
        let major = header.littleEndian(at: 8, as: UInt16.self)
        if major > Self.major { return .newer(major: Int(major)) }
        let unknown = header.littleEndian(at: 12, as: UInt32.self) & ~knownFeatures
        return unknown == 0 ? nil : .features(unknown)
    }
}
