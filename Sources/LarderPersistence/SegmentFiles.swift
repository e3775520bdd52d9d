// Makes the files that the log is written to: preallocated, complete and synced before they get the name of a segment.
//
// So a segment whose header cannot be read is damage, never the trace of a crash.

import LarderBytes
import LarderEngine
import LarderPlatform

/// Creates segments, and keeps one preallocated file ahead.
struct SegmentFiles {
    let files: any FileSystem
    let segmentBytes: Int
    /// A preallocated file that is not yet a segment, and the number in its name.
    private var spare: (file: any File, number: UInt32)?

    init(files: any FileSystem, segmentBytes: Int) {
        self.files = files
        self.segmentBytes = segmentBytes
    }

    /// Preallocates the file that will be segment `number`, unless that is done.
    mutating func prepare(_ number: UInt32) throws(SystemError) {
        if let spare, spare.number == number { return }
        let file = try files.open(FileName.spareName(number), .replace)
        do {
            try file.allocate(Int64(segmentBytes))
        } catch {
            try? file.close()
            try? files.remove(FileName.spareName(number))
            throw error
        }
        spare = (file, number)
    }

    /// Puts `header` into the file that will be its segment. Not yet a segment, so it can be done again when there is no room.
    mutating func prepare(_ header: SegmentHeader) throws(SystemError) {
        try prepare(header.number)
        var bytes = ByteBuffer()
        header.append(to: &bytes)
        try spare?.file.writeAll(bytes.bytes, at: 0)
    }

    /// Makes the file with the header the segment `number`, which is on the medium with its name when this returns.
    mutating func publish(_ number: UInt32) throws(SystemError) -> any File {
        guard let spare, spare.number == number else { preconditionFailure("publishing what is not prepared") }
        try spare.file.sync()
        try files.rename(FileName.spareName(number), to: FileName.segmentName(number))
        try files.syncDirectory()
        self.spare = nil
        return spare.file
    }

    /// Gives the spare file up.
    mutating func discardSpare() {
        guard let spare else { return }
        try? spare.file.close()
        try? files.remove(FileName.spareName(spare.number))
        self.spare = nil
    }
}
