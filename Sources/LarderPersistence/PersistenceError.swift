// Why the data directory cannot be used. Text is made here only for the log line; callers compare cases.

import LarderBytes
import LarderEngine
import LarderPlatform

/// A refusal that names the file and, where there is one, the position in it.
package enum PersistenceError: Error, Equatable, Sendable {
    /// The operating system refused.
    case system(SystemError, file: String)
    /// Another process holds the directory; the text is what it wrote into the lock file.
    case locked(owner: String)
    /// The directory has no manifest and is not empty, so it is not ours to initialise.
    case directoryNotEmpty(found: String)
    /// Files of a data directory stand here without their manifest.
    case manifestMissing(found: String)
    /// Neither manifest can be read.
    case manifestDamaged(file: String, line: Int, reason: ManifestFault)
    /// The file was written by a newer version in a layout that this one does not know.
    case newerFormat(file: String, major: Int, known: Int)
    /// The file needs features that this version does not have; one bit each.
    case unknownFeatures(file: String, bits: UInt32)
    /// The file belongs to another data directory, or has another place in this one than its name says.
    case foreignFile(file: String)
    /// The manifest needs a file that the directory lacks.
    case fileMissing(file: String)
    /// A segment's own header cannot be read. Headers are synced before the file gets its name, so this is no torn write.
    case segmentDamaged(file: String, offset: Int, reason: SegmentFault)
    /// Records that were promised durable cannot be read: everything after `reached`, up to `promised` at least.
    case logDamaged(file: String, offset: Int, reason: FrameFault, reached: LSN, promised: LSN)
    /// A frame is whole but a record in it is not, or the frame's counts are wrong.
    case recordDamaged(file: String, offset: Int, reason: RecordFault)
    /// No kept snapshot can be read; the first is the newest.
    case snapshotsDamaged([SnapshotDamage])
    /// The log ends before the end of the snapshot that it has to complete.
    case logEndsBeforeSnapshot(file: String, reached: LSN, end: LSN)
    /// So many records of the directory hold more than an entry or a store can, so a start would lose them.
    case recordsNotApplied(count: Int)
    /// The snapshot's entries take at least `bytesMin` of memory, and there is less. Nothing was loaded.
    case willNotFit(file: String, entries: Int, bytesMin: Int, bytesMax: Int)
    /// The memory was used up before all of the snapshot or of the log was loaded.
    case outOfMemory(reading: String, bytesMax: Int)
    /// The wall clock says what no LSN can. Nothing was touched.
    case clockBeyond(Milliseconds)
    /// A server ran here with such a clock: what can be given has been given, or nearly.
    case lsnsUsedUp(through: LSN)
    /// A call came in the wrong order, or after `close`.
    case notOpen
    /// The log has failed, so nothing can be made durable.
    case logFailed(LogCondition)
    /// The snapshot was given up because the server closes.
    case cancelled
}

/// What is wrong with one snapshot.
package struct SnapshotDamage: Error, Equatable, Sendable {
    package let file: String
    package let offset: Int
    package let reason: SnapshotFault
}

/// What is wrong at a place of a snapshot.
package enum SnapshotFault: Equatable, Sendable {
    case missing
    case unreadable(SystemError)
    case header
    case newerFormat(major: Int)
    case unknownFeatures(bits: UInt32)
    case foreign
    case footer
    case index
    /// The file is whole but not the one that the manifest names.
    case notInManifest
    case blockHeader
    case blockChecksum
    case blockInflation
    case entry(RecordFault)
}

/// What is wrong with a record in a frame or block that is whole.
package enum RecordFault: Equatable, Sendable {
    case record(LogRecordError)
    case lsnOrder
    case count
}

/// What is wrong with a segment's header.
package enum SegmentFault: Equatable, Sendable {
    case short
    /// No segment is that long, nor read.
    case tooLong(bytes: Int64)
    /// The file ends before the length that it was made with.
    case cut(from: UInt64)
    case header
    /// It does not continue the segment before it.
    case sequence
    /// The server stopped in order, and the frame that says so is not there.
    case stopMissing
}

/// What ends the readable part of a segment.
package enum FrameFault: Equatable, Sendable {
    /// Nothing but zeros follow, or nothing at all: where a log that was not interrupted ends.
    case end
    /// The file is shorter than the frame.
    case short
    case header
    /// The frame is of another file or of an earlier use of this one.
    case foreign
    /// The frame does not follow the one before it.
    case chain
    case payload
}

/// What is wrong with a line of the manifest.
package enum ManifestFault: Equatable, Sendable {
    case unreadable(SystemError)
    case notText
    case checksum
    case unknownWord
    case repeated
    case value
    case missing(String)
}

extension PersistenceError {
    /// Whoever reads on may do without the snapshot.
    init(_ damage: SnapshotDamage) {
        // It may be whole: whoever refused it says nothing of that.
        if case .unreadable(let cause) = damage.reason, !DamageAtRest(damage).isLasting {
            self = .system(cause, file: damage.file)
        } else {
            self = .snapshotsDamaged([damage])
        }
    }

    /// What else it may be than the file that is named; empty when it cannot.
    package var doubtOfManifest: String {
        switch self {
        case .fileMissing, .foreignFile:
            "MANIFEST may be the one that is wrong, if it was put back from a copy or is another directory's: keep it elsewhere and make an "
                + "empty file of that name; MANIFEST.prev then stands in for it, or `larder serve --rebuild-manifest` makes one"
        default: ""
        }
    }

    /// The system refused to let anybody look, so nothing is known of what is there.
    var isRefusal: Bool {
        if case .system(let error, _) = self { error.number != SystemError.inputOutput } else { false }
    }
}

extension PersistenceError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .system(let error, let file):
            "\(file): \(error)"
                + (error.isRefusedPermission ? "; all of the data directory has to belong to the user that the server runs as" : "")
        case .locked(let owner):
            "the data directory is in use by another server (\(owner.split(separator: "\n").joined(separator: ", ")))"
        case .directoryNotEmpty(let found): "the directory is neither empty nor a data directory: it holds \(found)"
        case .manifestMissing(let found):
            "MANIFEST is missing, but \(found) is here"
                + (found == FileName.previousManifestName
                    ? "; bring MANIFEST back, or make an empty file of that name: \(found) then stands in for it"
                    : "; bring it back from where the directory was copied")
        case .manifestDamaged(let file, _, .unreadable(let error)): "\(file): \(error)"
        case .manifestDamaged(let file, let line, let reason): "\(file) line \(line): damaged (\(reason))"
        case .newerFormat(let file, let major, let known):
            "\(file): format \(major) is newer than this version, which knows up to \(known)"
        case .unknownFeatures(let file, let bits):
            "\(file): needs features that this version does not have (bits 0x\(String(bits, radix: 16)))"
        case .foreignFile(let file): "\(file): belongs to another data directory or to another place in this one"
        case .fileMissing(let file): "\(file): the manifest needs it, but it is missing"
        case .segmentDamaged(let file, let offset, let reason): "\(file) at byte \(offset): damaged segment (\(reason))"
        case .logDamaged(let file, let offset, let reason, let reached, let promised):
            "\(file) at byte \(offset): damaged (\(reason)); readable through LSN \(reached.rawValue), but durable through \(promised.rawValue)"
        case .recordDamaged(let file, let offset, let reason): "\(file) at byte \(offset): damaged record (\(reason))"
        case .snapshotsDamaged(let all):
            "no snapshot can be read: "
                + all.map { "\($0.file) at byte \($0.offset) (\($0.reason))" }.joined(separator: ", ")
        case .logEndsBeforeSnapshot(let file, let reached, let end):
            "\(file): needs the log through LSN \(end.rawValue), but it ends at \(reached.rawValue)"
        case .recordsNotApplied(let count): "\(count) records hold more than this server can keep"
        case .willNotFit(let file, let entries, let bytesMin, let bytesMax):
            "\(file): its \(entries) entries take at least \(mebibytes(bytesMin)) of memory, but the limit is \(mebibytes(bytesMax))"
        case .outOfMemory(let source, let bytesMax):
            "\(source) does not fit in memory: the limit of \(mebibytes(bytesMax)) was reached before all of it was loaded"
        case .clockBeyond(let wall):
            "the wall clock says \(String(timestamp: wall)), and versions count time until \(String(timestamp: ServerTime.wallEnd)): "
                + "set the clock right and start again; the data is as it was"
        case .lsnsUsedUp(let lsn):
            "versions were given through \(String(timestamp: lsn.milliseconds)), by a server whose clock was wrong, and none are left: "
                + "bring the directory back from a copy made before that"
        case .notOpen: "the data directory is not open"
        case .logFailed(let condition): "\(condition)"
        case .cancelled: "given up because the server closes"
        }
    }
}

private func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }

/// Puts the file's name to an error of the operating system.
func naming<Success: ~Copyable>(
    _ file: String, _ body: () throws(SystemError) -> Success
) throws(PersistenceError) -> Success {
    do {
        return try body()
    } catch {
        throw .system(error, file: file)
    }
}
