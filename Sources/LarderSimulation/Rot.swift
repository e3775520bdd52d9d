// Damage to bytes at rest, and what the rest of the directory still promises.

import LarderEngine
import LarderPersistence

/// One damaged place of one file.
package struct Rot: Sendable, Equatable, CustomStringConvertible {
    package var file: String
    package var range: Range<Int>
    /// Which bit of the range's first byte is flipped; nil: the range is zeroed.
    package var bit: Int?

    package var description: String {
        "rot in \(file), " + (bit.map { "bit \($0) of byte \(range.lowerBound)" } ?? "zeros in \(range)")
    }

    package init(file: String, range: Range<Int>, bit: Int?) {
        self.file = file
        self.range = range
        self.bit = bit
    }

    /// A place chosen by seed, in a file that a server reads.
    package init?(seed: UInt64, in disk: SimulatedDisk) {
        var random = SeededGenerator(seed: seed)
        let content = disk.content
        let names = content.keys.filter { name in
            switch FileName(name) {
            case .manifest, .previousManifest, .segment, .snapshot: content[name]?.isEmpty == false
            default: false
            }
        }
        guard let name = names.sorted().randomElement(using: &random), let bytes = content[name] else { return nil }
        // Where something is: most of a segment is zeros that nobody reads.
        let end = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
        let position = Int.random(in: 0..<end, using: &random)
        let sector = position / SimulatedFile.sectorBytes * SimulatedFile.sectorBytes
        if Int.random(in: 0..<3, using: &random) == 0 {
            self.init(file: name, range: sector..<min(sector + SimulatedFile.sectorBytes, bytes.count), bit: nil)
        } else {
            self.init(file: name, range: position..<(position + 1), bit: Int.random(in: 0..<8, using: &random))
        }
    }

    /// The highest LSN that anything undamaged says was durable. Only what nothing else vouches for may be taken for torn.
    package func promised(in disk: SimulatedDisk) -> LSN {
        let content = disk.content
        var promised = LSN.zero
        var oldest: UInt32?
        let manifest = file == FileName.manifestName ? FileName.previousManifestName : FileName.manifestName
        if let bytes = content[manifest], let manifest = try? Manifest(parsing: bytes.span.bytes, file: manifest) {
            promised = manifest.durable
            oldest = manifest.oldestSegment
        }
        for (name, bytes) in content {
            guard case .segment = FileName(name), let header = try? SegmentHeader(parsing: bytes.span.bytes, file: name) else { continue }
            // What an attempt to heal has left, before a manifest named it, begins where memory was and not where the medium was.
            if header.beginsAnew, header.number != oldest { continue }
            if !(name == file && range.lowerBound < SegmentHeader.byteCount) { promised = max(promised, header.previousLSN) }
            for frame in SegmentFrames(bytes, header) where !(name == file && frame.range.overlaps(range)) {
                promised = max(promised, frame.header.durableLSN)
                if frame.header.flags.contains(.clean) { promised = max(promised, frame.header.firstLSN) }
            }
        }
        return promised
    }
}

/// The whole frames from the start of a segment on.
package struct SegmentFrames: Sequence, IteratorProtocol {
    package struct Frame: Sendable {
        package var header: FrameHeader
        package var range: Range<Int>
        /// Where its payload ends; what follows up to the range's end is padding.
        package var payloadEnd: Int
    }

    private let bytes: [UInt8]
    private let salt: UInt64
    private var position = SegmentHeader.byteCount

    package init(_ bytes: [UInt8], _ header: SegmentHeader) {
        self.bytes = bytes
        salt = header.salt
    }

    package mutating func next() -> Frame? {
        guard let header = FrameHeader(parsing: bytes.span.bytes, at: position), header.salt == salt else { return nil }
        let start = position
        position += header.stride
        return Frame(header: header, range: start..<position, payloadEnd: start + FrameHeader.byteCount + header.payloadBytes)
    }
}

extension SimulatedDisk {
    package mutating func damage(_ rot: Rot) {
        guard let file = names[rot.file] else { return }
        files[file]?.damage(rot)
    }
}

extension SimulatedFile {
    fileprivate mutating func damage(_ rot: Rot) {
        if let bit = rot.bit {
            durable[rot.range.lowerBound] ^= 1 << UInt8(bit)
        } else {
            durable.replaceSubrange(rot.range, with: repeatElement(0, count: rot.range.count))
        }
        cached = durable
    }
}
