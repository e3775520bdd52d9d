// Recovery in the words of the people who wait for it.

import LarderEngine
import LarderPersistence
import LarderPlatform

extension RecoveryProgress {
    /// 0 to 100.
    package var percent: Int {
        let total = bytesTotal
        return total > 0 ? Int(clamping: min(100, bytesDone.multipliedReportingOverflow(by: 100).partialValue / total)) : 0
    }
}

extension RecoveryReport {
    /// One line: what was found, and what an operator should know of it.
    ///
    /// - Parameter entries: How many there are now.
    /// - Parameter expired: How many had expired by now, and were dropped.
    package func summary(entries: Int, expired: Int) -> String {
        if isNew { return "new data directory [event=recovered new=yes]" }
        let milliseconds = String(elapsedMilliseconds % 1_000)
        let seconds = "\(elapsedMilliseconds / 1_000)." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds
        var parts = ["recovered \(entries) entries from \(bytesRead) bytes in \(seconds) s"]
        parts.append(snapshot.map { "snapshot \($0) with \(entriesLoaded) entries" } ?? "no snapshot")
        parts.append("\(recordsReplayed) records replayed")
        parts.append(cutFile.map { "\(bytesCut) bytes of a torn tail of \($0) cut and set aside" } ?? "0 bytes cut")
        parts.append("\(expired) expired entries dropped")
        parts.append(wasClean ? "clean stop before" : "no clean stop before")
        for damage in damagedSnapshots { parts.append("DAMAGED \(damage.file), an older snapshot was used") }
        if usedPreviousManifest { parts.append("DAMAGED MANIFEST, the one before it was used") }
        if let olderDamage { parts.append("DAMAGED \(olderDamage), only an older snapshot needs it") }
        if clockBehindMilliseconds > 0 { parts.append("the clock is \(clockBehindMilliseconds) ms behind the log") }
        let fields = "entries=\(entries) bytes=\(bytesRead) ms=\(elapsedMilliseconds) records=\(recordsReplayed) cut=\(bytesCut) expired=\(expired)"
        return parts.joined(separator: ", ")
            + " [event=recovered \(fields) clean=\(wasClean ? "yes" : "no") damaged=\(damagedFiles)]"
    }

    /// How many files were found damaged.
    var damagedFiles: Int { damagedSnapshots.count + (usedPreviousManifest ? 1 : 0) + (olderDamage == nil ? 0 : 1) }
}

extension PersistenceError {
    /// What to do about it, where a setting of the server decides.
    var advice: String {
        switch self {
        case .willNotFit, .outOfMemory:
            ". Raise memory-max, or give the machine or its container more memory; the data is as it was"
        case .system(let error, _) where error.isOutOfSpace:
            ". Make room on the disk and start again; the data is as it was"
        case .manifestMissing, .manifestDamaged:
            ". `larder check` says what is there, and `larder serve --rebuild-manifest` makes a manifest from it; the data is as it was"
        case .fileMissing, .foreignFile, .segmentDamaged, .logDamaged, .recordDamaged, .snapshotsDamaged, .logEndsBeforeSnapshot:
            ". Bring the file back from a copy if there is one. Else `larder check` says what `larder serve --recover=truncate` and "
                + "`--recover=salvage` would keep; the data is as it was" + (doubtOfManifest.isEmpty ? "" : ". \(doubtOfManifest)")
        default: ""
        }
    }
}

extension RescueReport {
    /// What an operator is told.
    var lines: [String] {
        let how = mode.map { "rescued (\($0.rawValue))" } ?? "MANIFEST made anew"
        let kept = snapshot.map { "\(entriesLoaded) entries of snapshot \($0) and " } ?? ""
        let fields = "[event=rescue mode=\(mode?.rawValue ?? "manifest") entries=\(entriesLoaded) records=\(recordsApplied) lsn=\(reached.rawValue) losses=\(losses.count)]"
        return ["\(how): a start was refused, \(refusal); kept are \(kept)\(recordsApplied) records of the log, through LSN \(reached.rawValue) \(fields)"]
            + losses.map { "LOST: \($0)" }
            + (aside.isEmpty ? [] : ["what was there is kept: \(aside.joined(separator: ", "))"])
    }
}
