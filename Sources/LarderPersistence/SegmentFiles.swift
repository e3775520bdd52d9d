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

    /// Makes the segment of `header`, which is on the medium with its name when this returns.
    ///
    /// - Parameter frames: Bytes that follow the header.
    mutating func create(_ header: SegmentHeader) throws(SystemError) -> any File {
        try prepare(header.number)
        guard let spare else { preconditionFailure("prepared above") }
        var bytes = ByteBuffer()
        header.append(to: &bytes)
        try spare.file.writeAll(bytes.bytes, at: 0)
        try spare.file.sync()
        try files.rename(FileName.spareName(header.number), to: FileName.segmentName(header.number))
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
