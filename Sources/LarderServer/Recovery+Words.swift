// Recovery in the words of the people who wait for it.

import LarderPersistence

extension RecoveryProgress {
    /// 0 to 100.
    package var percent: Int {
        let total = bytesTotal
        return total > 0 ? Int(clamping: min(100, bytesDone.multipliedReportingOverflow(by: 100).partialValue / total)) : 0
    }
}

extension RecoveryReport {
    /// One line: what was found, and what an operator should know of it.
    package var summary: String {
        if isNew { return "new data directory" }
        var parts = ["recovered in \(elapsedMilliseconds) ms"]
        if let snapshot { parts.append("snapshot \(snapshot) with \(entriesLoaded) entries") }
        parts.append("\(recordsReplayed) records replayed")
        parts.append(wasClean ? "clean stop before" : "no clean stop before")
        if let cutFile { parts.append("\(bytesCut) bytes of a torn tail of \(cutFile) set aside") }
        for damage in damagedSnapshots { parts.append("DAMAGED \(damage.file), an older snapshot was used") }
        if usedPreviousManifest { parts.append("DAMAGED MANIFEST, the one before it was used") }
        if clockBehindMilliseconds > 0 { parts.append("the clock is \(clockBehindMilliseconds) ms behind the log") }
        return parts.joined(separator: ", ")
    }
}
