// A store that is a dictionary: what the log and the snapshots are judged by.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// One entry of the model.
struct ModelEntry: Equatable, Sendable {
    var value: [UInt8]
    var deadline: Deadline
    var lsn: LSN
}

/// What one write did.
enum ModelChange: Equatable, Sendable {
    case set(String, [UInt8], Deadline)
    case remove(String)
    case deadline(String, Deadline)
    case flush
}

/// One namespace of entries, and the LSN of its last flush.
struct ModelContent: Equatable, Sendable {
    var entries: [String: ModelEntry] = [:]
    var flushLSN = LSN.zero

    mutating func apply(_ change: ModelChange, at lsn: LSN) {
        switch change {
        case .set(let key, let value, let deadline): entries[key] = ModelEntry(value: value, deadline: deadline, lsn: lsn)
        case .remove(let key): entries[key] = nil
        case .deadline(let key, let deadline):
            guard entries[key] != nil else { return }
            entries[key]?.deadline = deadline
            entries[key]?.lsn = lsn
        case .flush: flushLSN = max(flushLSN, lsn)
        }
    }

    /// What a reader can see, whatever the time.
    var alive: [String: ModelEntry] { entries.filter { $0.value.lsn > flushLSN } }

    func alive(at now: Milliseconds) -> [String] {
        alive.filter { !$0.value.deadline.isDue(now) }.keys.sorted()
    }
}

/// The dictionary as persistence sees it.
final class ModelState: PersistentState {
    private let content = Mutex(ModelContent())
    /// Called once, after so many entries of a walk.
    let interruption = Mutex<(after: Int, body: @Sendable () -> Void)?>(nil)

    var current: ModelContent { content.withLock { $0 } }

    func apply(_ change: ModelChange, at lsn: LSN) {
        content.withLock { $0.apply(change, at: lsn) }
    }

    func apply(_ record: borrowing LogRecord) {
        let key = String(utf8: record.key)
        let lsn = record.lsn
        switch record.operation {
        case .set: apply(.set(key, Array(record.value), record.deadline), at: lsn)
        case .remove: apply(.remove(key), at: lsn)
        case .deadline: apply(.deadline(key, record.deadline), at: lsn)
        case .namespaceFlush, .namespaceState: apply(.flush, at: lsn)
        default: break
        }
    }

    func appendNamespaces(to buffer: inout ByteBuffer) -> Int {
        let flushLSN = current.flushLSN
        let record = LogRecord(
            .namespaceState, lsn: flushLSN, namespace: 0, key: RawSpan(), metadata: RawSpan(), value: RawSpan())
        record.appendSnapshotEntry(to: &buffer, access: 0)
        return 1
    }

    func beginWalk() -> any StateWalk { ModelWalk(self) }
}

/// Walks in the order of the keys, and sees each entry as it is when it is met.
final class ModelWalk: StateWalk {
    private let state: ModelState
    private var last: String?
    private var met = 0

    init(_ state: ModelState) { self.state = state }

    func next(entriesMax: Int, bytesMax: Int, into buffer: inout ByteBuffer) -> Int? {
        let interruption = state.interruption.withLock { interruption -> (@Sendable () -> Void)? in
            guard let waiting = interruption, met >= waiting.after else { return nil }
            interruption = nil
            return waiting.body
        }
        interruption?()
        let content = state.current
        let keys = content.entries.keys.filter { key in last.map { key > $0 } ?? true }.sorted().prefix(4)
        guard let end = keys.last else { return nil }
        for key in keys {
            guard let entry = content.entries[key] else { continue }
            LogRecord(
                .set, lsn: entry.lsn, namespace: 0, deadline: entry.deadline, key: key.utf8.span.bytes, metadata: RawSpan(),
                value: entry.value.span.bytes
            ).appendSnapshotEntry(to: &buffer, access: 0)
        }
        last = end
        met += keys.count
        return keys.count
    }
}
