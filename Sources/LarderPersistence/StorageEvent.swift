// What an operator is told of the storage: one line for each change of state, snapshot and attempt.
//
// Each line is a sentence, and behind it the same in brackets as words with values, for programs. Events are queued where they
// happen and taken by whoever prints them, so that what lasted for a moment is told as well.

import LarderBytes
import LarderPlatform
import Synchronization

/// Something that happened to the storage.
package enum StorageEvent: Sendable, Equatable {
    /// The log's state changed.
    case log(LogCondition)
    case snapshotTaken(number: UInt32, entries: UInt64, bytes: UInt64, milliseconds: Milliseconds)
    case snapshotFailed(PersistenceError)
    /// There was no room for another snapshot, and the older one has made some.
    case olderGivenUp(number: UInt32, newest: UInt32)
    /// The log goes on in new files; when it is low on room there, it takes only what removes something.
    case healed(snapshot: UInt32, entries: UInt64, bytes: UInt64, milliseconds: Milliseconds, isLow: Bool)
    /// The log stays as it is until the next attempt.
    case healingFailed(PersistenceError, nextMilliseconds: Milliseconds)
    /// No LSNs could be reserved; writes go on with what is reserved.
    case reserveFailed(PersistenceError, leftMilliseconds: Milliseconds)
    case reserveRaised
    /// The log is longer than it may be, and only what removes something is taken; and no longer.
    case logTooLong(bytes: Int64, bytesMax: Int)
    case logShortAgain
    /// Something at rest cannot be read any more, and a snapshot has taken its place.
    case rot(DamageAtRest)
    case mended(snapshot: UInt32)
    /// A torn tail stays in its file for want of room.
    case notSetAside(file: String, offset: Int, SystemError)
}

/// Events in the order in which they happened, until somebody takes them.
package final class StorageEvents: Sendable {
    private let queue = Mutex<[StorageEvent]>([])
    /// Beyond this many the oldest are dropped: nobody takes them.
    private static let countMax = 256

    package init() {}

    package func add(_ event: StorageEvent) {
        queue.withLock { queue in
            if queue.count == Self.countMax { queue.removeFirst() }
            queue.append(event)
        }
    }

    /// The events since the last call.
    package func take() -> [StorageEvent] {
        queue.withLock { queue in
            defer { queue = [] }
            return queue
        }
    }
}

extension StorageEvent: CustomStringConvertible {
    package var description: String { "\(sentence) [\(fields)]" }

    private var sentence: String {
        switch self {
        case .log(let condition): "\(condition)"
        case .snapshotTaken(_, let entries, let bytes, let milliseconds):
            "snapshot taken: \(entries) entries, \(bytes) bytes, \(milliseconds) ms"
        case .snapshotFailed(let error):
            "snapshot FAILED: \(error); any before it is kept, and it is tried again later"
        case .olderGivenUp(let number, let newest):
            "snapshot \(number) and the log that only it needed are given up to make room; snapshot \(newest) was read again and is whole"
        case .healed(let snapshot, let entries, _, let milliseconds, let isLow):
            "log has healed: \(entries) entries are in snapshot \(snapshot), made in \(milliseconds) ms; "
                + (isLow ? "deletes are taken again, and writes as soon as there is room on the disk" : "writes are taken again")
        case .healingFailed(let error, let next):
            "healing FAILED: \(error); reads go on, and it is tried again in \((next + 999) / 1_000) s"
        case .reserveFailed(let error, let left):
            "\(error); nothing acknowledged is lost, but in \(left / 1_000) s writes are refused unless there is room by then"
        case .reserveRaised: "MANIFEST can be written again; writes are taken"
        case .logTooLong(let bytes, let bytesMax):
            "the log has \(bytes) bytes since the last snapshot, and log-bytes-max is \(bytesMax); only deletes are taken until there is another"
        case .logShortAgain: "the log is short enough again; writes are taken"
        case .rot(let damage) where damage.isLasting:
            "ROT: \(damage.file) is damaged at byte \(damage.offset) (\(damage.reason)); nothing is lost, a new snapshot takes its place"
        case .rot(let damage): "\(damage.file) could not be read again: \(damage.reason); it is tried in the next round"
        case .mended(let snapshot): "rot is mended: snapshot \(snapshot) has taken its place"
        case .notSetAside(let file, let offset, let error):
            "the torn tail of \(file) from byte \(offset) on could not be set aside: \(error); it stays there until the file goes"
        }
    }

    private var fields: String {
        switch self {
        case .log(let condition):
            "event=log state=\(condition.state) \(Self.fields(condition.error)) file=\(condition.file) since=\(String(timestamp: condition.since))"
        case .snapshotTaken(let number, let entries, let bytes, let milliseconds):
            "event=snapshot number=\(number) entries=\(entries) bytes=\(bytes) ms=\(milliseconds)"
        case .snapshotFailed(let error): "event=snapshot-failed \(Self.fields(error))"
        case .olderGivenUp(let number, let newest): "event=snapshot-given-up number=\(number) newest=\(newest)"
        case .healed(let snapshot, let entries, let bytes, let milliseconds, _):
            "event=healed snapshot=\(snapshot) entries=\(entries) bytes=\(bytes) ms=\(milliseconds)"
        case .healingFailed(let error, let next): "event=healing-failed \(Self.fields(error)) next-ms=\(next)"
        case .reserveFailed(let error, let left): "event=manifest-failed \(Self.fields(error)) left-ms=\(left)"
        case .reserveRaised: "event=manifest-written"
        case .logTooLong(let bytes, let bytesMax): "event=log-too-long bytes=\(bytes) bytes-max=\(bytesMax)"
        case .logShortAgain: "event=log-short-again"
        case .rot(let damage): "event=\(damage.isLasting ? "rot" : "not-read") file=\(damage.file) offset=\(damage.offset)"
        case .mended(let snapshot): "event=mended snapshot=\(snapshot)"
        case .notSetAside(let file, let offset, let error): "event=not-set-aside \(Self.fields(error)) file=\(file) offset=\(offset)"
        }
    }

    private static func fields(_ error: SystemError?) -> String {
        error.map { "call=\($0.call.text) errno=\($0.number)" } ?? "errno=0"
    }

    private static func fields(_ error: PersistenceError) -> String {
        switch error {
        case .system(let cause, let file): "\(fields(cause)) file=\(file)"
        case .logFailed(let condition): "\(fields(condition.error)) file=\(condition.file)"
        default: fields(nil)
        }
    }
}
