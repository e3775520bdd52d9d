// How the files of a data directory are called, and what a name says.

import LarderPlatform

/// What a file in a data directory is, by its name.
package enum FileName: Equatable, Sendable {
    case lock
    case manifest
    case previousManifest
    /// A part of the log.
    case segment(UInt32)
    /// The next part of the log: preallocated, not in use.
    case spare(UInt32)
    case snapshot(UInt32)
    /// Being written; worth nothing after a restart.
    case temporary
    /// A cut tail: kept for a person, never read by the server.
    case aside
    case ballast
    /// The directory that ext4 puts at the root of a file system.
    case lostAndFound
    case foreign

    package init(_ name: String) {
        self =
            switch name {
            case "LOCK": .lock
            case "MANIFEST": .manifest
            case "MANIFEST.prev": .previousManifest
            case Self.ballastName: .ballast
            case "lost+found": .lostAndFound
            default: Self.parse(name)
            }
    }

    package static let lockName = "LOCK"
    package static let manifestName = "MANIFEST"
    package static let previousManifestName = "MANIFEST.prev"
    package static let ballastName = "ballast"
    package static func segmentName(_ number: UInt32) -> String { "wal-" + padded(number) }
    package static func spareName(_ number: UInt32) -> String { "spare-" + padded(number) }
    package static func snapshotName(_ number: UInt32) -> String { "snap-" + padded(number) }
    package static func asideName(_ name: String, at time: Milliseconds) -> String { "aside-\(time)-\(name)" }
    package static func temporaryName(_ name: String) -> String { name + temporarySuffix }
    /// What a file that is being written will be called.
    static func withoutTemporarySuffix(_ name: String) -> String {
        name.hasSuffix(temporarySuffix) ? String(name.dropLast(temporarySuffix.count)) : name
    }
    private static let temporarySuffix = ".tmp"

    private static func parse(_ name: String) -> FileName {
        if name.hasSuffix(temporarySuffix) { return .temporary }
        if name.hasPrefix("aside-") { return .aside }
        if let number = number(in: name, after: "wal-") { return .segment(number) }
        if let number = number(in: name, after: "spare-") { return .spare(number) }
        if let number = number(in: name, after: "snap-") { return .snapshot(number) }
        return .foreign
    }

    private static func number(in name: String, after prefix: String) -> UInt32? {
        guard name.hasPrefix(prefix), let number = UInt32(name.dropFirst(prefix.count)) else { return nil }
        return prefix + padded(number) == name ? number : nil
    }

    private static func padded(_ number: UInt32) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 10 - digits.count) + digits
    }
}
