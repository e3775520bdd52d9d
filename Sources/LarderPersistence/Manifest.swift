// Which files belong to the directory, as text that a person can read: one fact a line, a checksum at the end.
//
//     larder-manifest 1 0
//     directory 6a09e667-f3bc-4908-b2fb-1366ea957d3e
//     epoch 3
//     generation 17
//     snapshot 7 begin 900 end 940 bytes 123456 digest 89abcdef     (newest first; none, one or two)
//     oldest-segment 42
//     durable 950
//     ceiling 999
//     clean no
//     crc 1a2b3c4d                                                   (CRC-32C of all bytes before this line)
//
// Knows the text, not the files. A reader of the same major version ignores words that a newer minor version added.

import LarderBytes
import LarderEngine

/// The state of a data directory, published as one file.
package struct Manifest: Equatable, Sendable {
    package var directory: DirectoryID
    /// Starts of the server so far.
    package var epoch: UInt32
    /// Publications so far.
    package var generation: UInt64
    /// The kept snapshots, newest first, at most two.
    package var snapshots: [Snapshot]
    package var oldestSegment: UInt32
    /// Everything up to here was on the medium when this was written.
    package var durable: LSN
    /// No larger LSN is given before a higher ceiling is published.
    package var ceiling: LSN
    /// The server stopped in order and wrote nothing since.
    package var clean: Bool

    /// One kept snapshot.
    package struct Snapshot: Equatable, Sendable {
        package var number: UInt32
        package var begin: LSN
        package var end: LSN
        package var bytes: UInt64
        /// The digest in its footer.
        package var digest: UInt32

        package init(number: UInt32, begin: LSN, end: LSN, bytes: UInt64, digest: UInt32) {
            self.number = number
            self.begin = begin
            self.end = end
            self.bytes = bytes
            self.digest = digest
        }
    }

    static let major = 1
    static let minor = 0
    static let snapshotsMax = 2
    /// No manifest is longer; what is longer is not read.
    static let bytesMax = 65_536

    package init(
        directory: DirectoryID, epoch: UInt32 = 0, generation: UInt64 = 0, snapshots: [Snapshot] = [], oldestSegment: UInt32 = 1,
        durable: LSN = .zero, ceiling: LSN = .zero, clean: Bool = false
    ) {
        self.directory = directory
        self.epoch = epoch
        self.generation = generation
        self.snapshots = snapshots
        self.oldestSegment = oldestSegment
        self.durable = durable
        self.ceiling = ceiling
        self.clean = clean
    }

    package func append(to buffer: inout ByteBuffer) {
        let start = buffer.count
        var text = "larder-manifest \(Self.major) \(Self.minor)\n"
        text += "directory \(directory)\nepoch \(epoch)\ngeneration \(generation)\n"
        for snapshot in snapshots {
            text += "snapshot \(snapshot.number) begin \(snapshot.begin.rawValue) end \(snapshot.end.rawValue)"
            text += " bytes \(snapshot.bytes) digest \(hexadecimal(snapshot.digest))\n"
        }
        text += "oldest-segment \(oldestSegment)\ndurable \(durable.rawValue)\nceiling \(ceiling.rawValue)\n"
        text += "clean \(clean ? "yes" : "no")\n"
        buffer.append(utf8: text)
        let checksum = Checksum.of(buffer.span(ByteRange(start: start, count: buffer.count - start)))
        buffer.append(utf8: "crc \(hexadecimal(checksum))\n")
    }
}

// MARK: Reading

extension Manifest {
    /// - Parameter file: The name for messages.
    package init(parsing bytes: RawSpan, file: String) throws(PersistenceError) {
        guard bytes.byteCount <= Self.bytesMax else { throw .manifestDamaged(file: file, line: 0, reason: .notText) }
        for position in 0..<bytes.byteCount where bytes.byte(at: position) > 0x7E {
            throw .manifestDamaged(file: file, line: 0, reason: .notText)
        }
        var reader = ManifestReader(file: file)
        let lines = String(utf8: bytes).split(separator: "\n", omittingEmptySubsequences: false)
        let isNewer = try reader.checkVersion(lines[0])
        try reader.checkChecksum(lines, bytes)
        for (index, line) in lines.dropFirst().dropLast(2).enumerated() {
            try reader.read(line, number: index + 2, ignoringUnknown: isNewer)
        }
        self = try reader.finish()
    }
}

/// The facts read so far.
private struct ManifestReader {
    let file: String
    private var values: [Substring: Substring] = [:]
    private var snapshots: [Manifest.Snapshot] = []

    private static let words: Set<Substring> = [
        "directory", "epoch", "generation", "oldest-segment", "durable", "ceiling", "clean",
    ]

    init(file: String) {
        self.file = file
    }

    private func damaged(_ line: Int, _ reason: ManifestFault) -> PersistenceError {
        .manifestDamaged(file: file, line: line, reason: reason)
    }

    /// - Returns: Whether a newer minor version wrote this.
    func checkVersion(_ line: Substring) throws(PersistenceError) -> Bool {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[0] == "larder-manifest", let major = Int(words[1]), let minor = Int(words[2]) else {
            throw damaged(1, .unknownWord)
        }
        guard major <= Manifest.major else { throw .newerFormat(file: file, major: major, known: Manifest.major) }
        return minor > Manifest.minor
    }

    func checkChecksum(_ lines: [Substring], _ bytes: RawSpan) throws(PersistenceError) {
        // The text ends with a line feed, so the last piece is empty and the one before it is the checksum.
        guard lines.count >= 3, lines[lines.count - 1].isEmpty else { throw damaged(lines.count, .checksum) }
        let line = lines[lines.count - 2]
        let covered = bytes.byteCount - line.utf8.count - 1
        guard line == "crc \(hexadecimal(Checksum.of(bytes.extracting(0..<covered))))" else {
            throw damaged(lines.count - 1, .checksum)
        }
    }

    mutating func read(_ line: Substring, number: Int, ignoringUnknown: Bool) throws(PersistenceError) {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        if words[0] == "snapshot" {
            guard snapshots.count < Manifest.snapshotsMax else { throw damaged(number, .repeated) }
            guard let snapshot = Self.snapshot(words) else { throw damaged(number, .value) }
            snapshots.append(snapshot)
        } else if Self.words.contains(words[0]) {
            guard words.count == 2 else { throw damaged(number, .value) }
            guard values.updateValue(words[1], forKey: words[0]) == nil else { throw damaged(number, .repeated) }
        } else if !ignoringUnknown {
            throw damaged(number, .unknownWord)
        }
    }

    private static func snapshot(_ words: [Substring]) -> Manifest.Snapshot? {
        guard words.count == 10, words[2] == "begin", words[4] == "end", words[6] == "bytes", words[8] == "digest",
            let number = UInt32(words[1]), let begin = UInt64(words[3]), let end = UInt64(words[5]),
            let bytes = UInt64(words[7]), let digest = UInt32(words[9], radix: 16), begin <= end
        else { return nil }
        return Manifest.Snapshot(
            number: number, begin: LSN(rawValue: begin), end: LSN(rawValue: end), bytes: bytes, digest: digest)
    }

    func finish() throws(PersistenceError) -> Manifest {
        let directory = try value("directory") { DirectoryID($0) }
        var manifest = Manifest(directory: directory)
        manifest.epoch = try value("epoch") { UInt32($0) }
        manifest.generation = try value("generation") { UInt64($0) }
        manifest.oldestSegment = try value("oldest-segment") { UInt32($0) }
        manifest.durable = LSN(rawValue: try value("durable") { UInt64($0) })
        manifest.ceiling = LSN(rawValue: try value("ceiling") { UInt64($0) })
        manifest.clean = try value("clean") { ["yes": true, "no": false][$0] }
        manifest.snapshots = snapshots
        return manifest
    }

    private func value<Value>(_ word: Substring, _ convert: (Substring) -> Value?) throws(PersistenceError) -> Value {
        guard let text = values[word] else { throw damaged(0, .missing(String(word))) }
        guard let value = convert(text) else { throw damaged(0, .value) }
        return value
    }
}
