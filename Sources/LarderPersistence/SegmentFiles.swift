// Makes the files that the log is written to: preallocated, complete and synced before they get the name of a segment.
//
// So a segment whose header cannot be read is damage, never the trace of a crash.

import LarderBytes
import LarderEngine
import LarderPlatform

/// Creates segments, and keeps one preallocated file ahead.
struct SegmentFiles {
    let files: any FileSystem
    /// A preallocated file that is not yet a segment, the number in its name, and its size.
    private var spare: (file: any File, number: UInt32, bytes: Int)?

    init(files: any FileSystem) {
        self.files = files
    }

    /// Preallocates the file that will be segment `number`, unless that is done.
    mutating func prepare(_ number: UInt32, bytes: Int) throws(SystemError) {
        if let spare, spare.number == number { return }
        let file = try files.open(FileName.spareName(number), .replace)
        do {
            try file.allocate(Int64(bytes))
        } catch {
            try? file.close()
            try? files.remove(FileName.spareName(number))
            throw error
        }
        spare = (file, number, bytes)
    }

    /// Puts `header` into the file that will be its segment. Not yet a segment, so it can be done again when there is no room.
    mutating func prepare(_ header: SegmentHeader, bytes: Int) throws(SystemError) {
        try prepare(header.number, bytes: bytes)
        guard let spare else { return }
        try Self.write(header, to: spare.file, bytes: spare.bytes)
    }

    /// Puts `header` at the beginning of `file`, which is so long.
    static func write(_ header: SegmentHeader, to file: any File, bytes: Int) throws(SystemError) {
        var header = header
        header.fileBytes = UInt64(bytes)
        var content = ByteBuffer()
        header.append(to: &content)
        try file.writeAll(content.bytes, at: 0)
    }

    /// Makes the file with the header the segment `number`, which is on the medium with its name when this returns.
    ///
    /// - Returns: The file, and how large it was made.
    mutating func publish(_ number: UInt32) throws(SystemError) -> (file: any File, bytes: Int) {
        guard let spare, spare.number == number else { preconditionFailure("publishing what is not prepared") }
        try spare.file.sync()
        try files.rename(FileName.spareName(number), to: FileName.segmentName(number))
        try files.syncDirectory()
        self.spare = nil
        return (spare.file, spare.bytes)
    }

    /// Gives the spare file up.
    mutating func discardSpare() {
        guard let spare else { return }
        try? spare.file.close()
        try? files.remove(FileName.spareName(spare.number))
        self.spare = nil
    }
}
