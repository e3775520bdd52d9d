// Judges what a recovery made of a directory: is it a prefix of what was written, with everything that was promised?
//
// Looks at the store through its walk and its reads, as a snapshot and a client would. Knows no file.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform

/// What a recovered store has to hold.
package struct Expected {
    /// The logged content at the LSN that recovery says it reached.
    package var content: ModelContent
    /// Every state that an unlogged entry was ever in.
    var unlogged: [LSN: (key: ModelKey, entry: ModelEntry)]
    /// Everything up to here was promised.
    package var promised: LSN
    /// No LSN up to here may be given again.
    package var given: LSN
    /// Entries due by now may have been swept before the crash.
    package var sweptUntil: Milliseconds
    /// Nothing has rotted and every call has worked, so there is nothing that the start may have found damaged.
    package var isSound = true

    package init(_ timeline: ModelTimeline, reached: LSN, promised: LSN, given: LSN, sweptUntil: Milliseconds = .min) {
        content = timeline.content(through: reached)
        unlogged = timeline.unlogged
        self.promised = promised
        self.given = given
        self.sweptUntil = sweptUntil
    }

    init(_ history: ModelHistory, reached: LSN, promised: LSN, sweptUntil: Milliseconds) {
        content = history.content(through: reached)
        unlogged = history.unlogged
        self.promised = promised
        given = history.given
        self.sweptUntil = sweptUntil
    }
}

/// A promise that was broken.
package enum Breach: Error, Equatable, Sendable, CustomStringConvertible {
    /// Something promised is not there.
    case lost(String)
    /// Something is there that was never so, or not at that time.
    case wrong(String)
    /// A start was refused though nothing was damaged.
    case refused(String)
    /// An LSN would be used twice.
    case reused(String)
    /// The server did not come back to work.
    case stuck(String)

    package var isLoss: Bool { if case .lost = self { true } else { false } }

    package var description: String {
        switch self {
        case .lost(let text): "LOST: \(text)"
        case .wrong(let text): "WRONG: \(text)"
        case .refused(let text): "REFUSED WITHOUT DAMAGE: \(text)"
        case .reused(let text): "LSN USED TWICE: \(text)"
        case .stuck(let text): "STUCK: \(text)"
        }
    }
}

extension StorageLife {
    /// Compares a life that has just recovered with what it should hold.
    package func breach(of expected: Expected) -> Breach? {
        let reached = report.reached
        if reached < expected.promised {
            return .lost("reached \(reached.rawValue), promised \(expected.promised.rawValue)")
        }
        if buffer.appliedLSN < expected.given {
            return .reused("goes on after \(buffer.appliedLSN.rawValue), but \(expected.given.rawValue) was given")
        }
        return namespaceBreach(expected.content) ?? entryBreach(expected) ?? (expected.isSound ? fallbackBreach : nil)
    }

    /// What an older snapshot or manifest makes good is still not to be so after a mere crash.
    private var fallbackBreach: Breach? {
        if let damage = report.damagedSnapshots.first { return .wrong("a snapshot is taken for damaged: \(damage)") }
        return report.usedPreviousManifest ? .wrong("the manifest is taken for damaged") : nil
    }

    private func namespaceBreach(_ content: ModelContent) -> Breach? {
        let seen = store.namespaces.all().filter { $0.state != .deleting }
        for namespace in seen {
            guard let expected = content.namespaces[namespace.number] else {
                return .wrong("namespace \(String(utf8: namespace.name)) is back")
            }
            guard expected.name == String(utf8: namespace.name), expected.settings == namespace.settings, namespace.state == .ready
            else { return .wrong("namespace \(namespace.number) is \(String(utf8: namespace.name)), \(namespace.settings)") }
        }
        if seen.count != content.namespaces.count { return .lost("\(content.namespaces.count - seen.count) namespaces") }
        return nil
    }

    private func entryBreach(_ expected: Expected) -> Breach? {
        var missing = expected.content.entries
        for (key, entry) in entries() {
            let namespace = expected.content.namespaces[key.space]
            if namespace?.settings.durability == .off {
                guard let state = expected.unlogged[entry.version], state.key == key, state.entry == entry,
                    entry.version > namespace?.flushed ?? .zero
                else { return .wrong("unlogged \(describe(key)): \(describe(entry)) never was") }
                continue
            }
            guard missing.removeValue(forKey: key) == entry else {
                let should = expected.content.entries[key]
                return .wrong("\(describe(key)): \(describe(entry)), should be \(describe(should)) at \(report.reached.rawValue)")
            }
            guard let found = store.namespaces.find(number: key.space), store.entry(found, key.key, at: 0) == entry else {
                return .wrong("\(describe(key)) is walked but not read")
            }
        }
        for (key, entry) in missing where !entry.deadline.isDue(expected.sweptUntil) {
            return .lost("\(describe(key)): \(describe(entry)) at \(report.reached.rawValue)")
        }
        return nil
    }

    /// All entries that are not flushed, whatever the time.
    package func entries() -> [ModelKey: ModelEntry] {
        var cursor = WalkCursor()
        var buffer = ByteBuffer()
        while !cursor.isAtEnd { _ = store.walk(&cursor, into: &buffer) }
        var entries: [ModelKey: ModelEntry] = [:]
        var position = 0
        while position < buffer.count {
            var access: UInt8 = 0
            let rest = buffer.bytes.extracting(position..<buffer.count)
            guard let record = try? LogRecord(parsingSnapshotEntry: rest, access: &access) else {
                preconditionFailure("a walk that cannot be read")
            }
            entries[ModelKey(space: record.namespace, key: Array(record.key))] = ModelEntry(
                value: Array(record.value), metadata: Array(record.metadata), deadline: record.deadline, version: record.lsn)
            position += record.snapshotByteCount
        }
        return entries
    }
}

private func describe(_ key: ModelKey) -> String {
    "\(key.space)/\(String(decoding: key.key.prefix(12), as: UTF8.self))"
}
