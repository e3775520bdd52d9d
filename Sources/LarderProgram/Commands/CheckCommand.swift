// `larder check DIR`: whether a start would find everything that a data directory should hold.
//
// Changes nothing. Reads with the same code as a start.

import ArgumentParser
import LarderPersistence
import LarderPlatform

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read a data directory whole, and say whether it is sound. No server may be using it.",
        discussion: "Exit status: 0 sound; 1 damaged; 2 could not be read, or nothing is there.")

    @Argument(help: "The data directory.") var directory: String
    @OptionGroup var format: OutputFormat

    func run() throws {
        let output = CheckOutput(of: directory)
        try format.write(output)
        throw ExitCode(output.verdict.status)
    }
}

/// What a check found.
struct CheckOutput: Printable, Equatable {
    enum Verdict: String, Encodable {
        case sound
        case damaged
        case unreadable
        case empty

        var status: Int32 {
            switch self {
            case .sound: 0
            case .damaged: 1
            case .unreadable, .empty: 2
            }
        }
    }

    struct Snapshot: Encodable, Equatable {
        let number: UInt32
        let entries: UInt64
        /// Left out for one that is whole.
        let damage: String?
    }

    /// Something that makes a start possible.
    struct Remedy: Encodable, Equatable {
        /// What `larder serve` has to be given.
        let options: String
        let snapshot: UInt32?
        let entries: Int
        let records: Int
        /// The last LSN that is kept.
        let reached: UInt64
        let losses: [String]
    }

    let directory: String
    private(set) var verdict: Verdict
    /// Why a start would be refused; left out when it would not.
    private(set) var refusal: String?
    private(set) var olderGeneration: String?
    /// What is wrong with the end of a log that had been ended in order; left out when nothing is.
    private(set) var logEnd: String?
    private(set) var usedPreviousManifest = false
    /// What is wrong with MANIFEST.prev; left out when nothing is.
    private(set) var previousManifest: String?
    private(set) var snapshots: [Snapshot] = []
    private(set) var snapshotUsed: UInt32?
    private(set) var recordsReplayed = 0
    /// What a start would set aside of the log: by all that can be told, writes that were under way when the server ended, and never
    /// answered as durable. No damage.
    private(set) var bytesCut = 0
    private(set) var stoppedInOrder = false
    /// Why it may be the manifest that is wrong, and not the file that the refusal names; left out when it is not.
    private(set) var manifestDoubt: String?
    /// What would help; empty when nothing has to.
    private(set) var remedies: [Remedy] = []

    init(of path: String) {
        directory = path
        verdict = .unreadable
        do throws(SystemError) {
            let files = try DirectoryFileSystem(path: path, creating: false)
            take(DirectoryCheck(directory: files, threads: Thread.processorCount))
        } catch {
            refusal = "\(error)"
        }
    }

    private mutating func take(_ check: DirectoryCheck) {
        refusal = check.refusal?.description
        if let refusal = check.refusal, let manifest = check.manifest, !refusal.doubtOfManifest.isEmpty {
            manifestDoubt = "MANIFEST has generation \(manifest.generation). \(refusal.doubtOfManifest)"
        }
        olderGeneration = check.olderRefusal?.description
        logEnd = check.endDamage?.description
        usedPreviousManifest = check.usedPreviousManifest
        previousManifest = check.previousDamage?.description
        snapshots = check.snapshots.map { snapshot in
            Snapshot(
                number: snapshot.number, entries: snapshot.entries,
                damage: snapshot.damage.map { "\($0.file) at byte \($0.offset): \($0.reason)" })
        }
        if let report = check.report {
            snapshotUsed = report.snapshot
            recordsReplayed = report.recordsReplayed
            bytesCut = report.bytesCut
            stoppedInOrder = check.log?.endsClean ?? false
        }
        remedies = check.remedies.map { order, report in
            Remedy(
                options: order.options, snapshot: report.snapshot, entries: report.entriesLoaded, records: report.recordsApplied,
                reached: report.reachedNumber, losses: report.losses)
        }
        let isDamaged = usedPreviousManifest || check.findings.contains { Self.verdict($0) == .damaged }
        verdict = check.isEmpty ? .empty : check.isSound ? .sound : check.refusal.map(Self.verdict) ?? (isDamaged ? .damaged : .unreadable)
    }

    /// Whether a refusal speaks of damage, or only says that nobody could look.
    static func verdict(_ refusal: PersistenceError) -> Verdict {
        switch refusal {
        case .system, .locked, .directoryNotEmpty, .newerFormat, .unknownFeatures, .recordsNotApplied, .willNotFit,
            .outOfMemory, .clockBeyond, .lsnsUsedUp, .notOpen, .logFailed, .cancelled:
            .unreadable
        case .manifestMissing, .manifestDamaged, .foreignFile, .fileMissing, .segmentDamaged, .logDamaged, .recordDamaged,
            .snapshotsDamaged, .logEndsBeforeSnapshot:
            .damaged
        }
    }

    var text: String {
        var lines = ["\(directory): \(verdict.rawValue)"]
        if verdict == .empty { lines.append("there is nothing to check: a server that starts here makes a new data directory") }
        if let refusal { lines.append("a start would be refused: \(refusal)") }
        if let manifestDoubt { lines.append(manifestDoubt) }
        if let olderGeneration { lines.append("nothing could stand in for the newest snapshot: \(olderGeneration)") }
        if usedPreviousManifest { lines.append("MANIFEST is damaged; MANIFEST.prev stands in for it") }
        if let previousManifest { lines.append("nothing could stand in for MANIFEST: \(previousManifest)") }
        for snapshot in snapshots {
            lines.append("snapshot \(snapshot.number): \(snapshot.damage ?? "\(snapshot.entries) entries, whole")")
        }
        if refusal == nil, verdict != .empty {
            lines.append("log: \(recordsReplayed) records, \(stoppedInOrder ? "stopped in order" : "not stopped in order")")
        }
        if let logEnd { lines.append("log: \(logEnd); nothing that was acknowledged is missing") }
        if bytesCut > 0, logEnd == nil {
            lines.append("log: \(bytesCut) bytes at the end are no whole frame, as of a write that was under way; a start sets them aside")
        }
        for remedy in remedies {
            let snapshot = remedy.snapshot.map { "\(remedy.entries) entries of snapshot \($0) and " } ?? ""
            lines.append("`larder serve \(remedy.options)` would keep \(snapshot)\(remedy.records) records of the log, through LSN \(remedy.reached)")
            for loss in remedy.losses { lines.append("    without \(loss)") }
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
