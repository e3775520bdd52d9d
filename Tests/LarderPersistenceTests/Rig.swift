// A server's persistence without the server: one thread, a simulated disk, a clock that is moved, and a history of all writes.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// Everything that was written, so that the state at any LSN can be told.
final class History: Sendable {
    private let changes = Mutex<[(lsn: LSN, change: ModelChange)]>([])

    func note(_ change: ModelChange, at lsn: LSN) { changes.withLock { $0.append((lsn, change)) } }

    /// The content after all writes up to `lsn`.
    func content(through lsn: LSN) -> ModelContent {
        changes.withLock { changes in
            var content = ModelContent()
            for (at, change) in changes where at <= lsn { content.apply(change, at: at) }
            return content
        }
    }

    var lsns: [LSN] { changes.withLock { $0.map(\.lsn) } }
    var last: LSN { lsns.max() ?? .zero }

    /// Forgets what a crash has undone.
    func forget(after lsn: LSN) { changes.withLock { $0.removeAll { $0.lsn > lsn } } }
}

/// One life of a server on a directory.
final class Rig: Sendable {
    let files: MemoryFileSystem
    let clock: ManualClock
    let history: History
    let state = ModelState()
    let buffer = LogBuffer(bytesMax: 1 << 20)
    let store: DurableStore
    let namespace = NamespaceTable().default
    /// One whose records are left to the kernel.
    let careless = NamespaceTable(settings: NamespaceSettings(durability: .never), created: 0).default

    static func options(segmentBytes: Int = 64 << 10, seed: UInt64 = 1) -> PersistenceOptions {
        var options = PersistenceOptions()
        options.segmentBytes = segmentBytes
        options.snapshotBytesPerSecond = 0
        options.loadThreads = 1
        options.owner = "pid 1\n"
        let generator = Mutex(SeededGenerator(seed: seed))
        options.random = { generator.withLock { $0.next() } }
        return options
    }

    init(
        _ files: MemoryFileSystem, clock: ManualClock = ManualClock(), history: History = History(),
        options: PersistenceOptions = Rig.options(), log: (any ClosedLog)? = nil
    ) throws {
        self.files = files
        self.clock = clock
        self.history = history
        store = try DurableStore(directory: files, clock: clock, state: state, buffer: buffer, options: options, log: log)
    }

    /// The log in the directory, with the work of its thread done by hand.
    var log: WriteAheadLog { store.log as! WriteAheadLog }

    /// A life that has recovered.
    static func start(
        _ files: MemoryFileSystem, clock: ManualClock = ManualClock(), history: History = History(),
        options: PersistenceOptions = Rig.options()
    ) throws -> (Rig, RecoveryReport) {
        let rig = try Rig(files, clock: clock, history: history, options: options)
        return (rig, try rig.store.recover())
    }

    /// A life whose log failed, by a sync that failed once: `a` is durable, of `b` nothing is known.
    static func failed(_ options: PersistenceOptions = Rig.options()) throws -> Rig {
        let (rig, _) = try start(MemoryFileSystem(), options: options)
        rig.set("a", "1")
        rig.sync()
        rig.files.lieOnce()
        rig.set("b", "2")
        rig.sync()
        rig.files.setFault(nil)
        #expect(rig.log.state == .failed)
        return rig
    }

    /// Stages a write and applies it; nil when the log takes none.
    @discardableResult
    func write(_ change: ModelChange, in namespace: Namespace? = nil) -> LSN? {
        let answer: LogAnswer
        switch change {
        case .set(let key, let value, let deadline):
            answer = append(namespace, LogRecord(
                .set, namespace: 0, deadline: deadline, key: key.utf8.span.bytes, metadata: RawSpan(), value: value.span.bytes))
        case .remove(let key):
            answer = append(namespace, LogRecord(
                .remove, namespace: 0, key: key.utf8.span.bytes, metadata: RawSpan(), value: RawSpan()))
        case .deadline(let key, let deadline):
            answer = append(namespace, LogRecord(
                .deadline, namespace: 0, deadline: deadline, key: key.utf8.span.bytes, metadata: RawSpan(), value: RawSpan()))
        case .flush:
            answer = append(namespace, LogRecord(
                .namespaceFlush, namespace: 0, key: RawSpan(), metadata: RawSpan(), value: RawSpan()))
        }
        guard answer.outcome == .appended else { return nil }
        state.apply(change, at: answer.lsn)
        history.note(change, at: answer.lsn)
        return answer.lsn
    }

    private func append(_ namespace: Namespace?, _ record: borrowing LogRecord) -> LogAnswer {
        buffer.append(
            record, body: record.bodyChecksum, namespace: namespace ?? self.namespace, flushLSN: .zero, now: clock.wall())
    }

    @discardableResult
    func set(_ key: String, _ value: String, deadline: Deadline = .never, in namespace: Namespace? = nil) -> LSN? {
        write(.set(key, Array(value.utf8), deadline), in: namespace)
    }

    /// Writes and syncs what is staged.
    func sync() {
        log.kick()
        _ = log.step()
    }

    /// Lets `milliseconds` pass with nothing to do, as the log's own thread would see it.
    func idle(milliseconds: Milliseconds) {
        clock.advance(milliseconds: milliseconds)
        _ = log.step()
        _ = log.step()
    }

    /// Whether the state is that of the history at the LSN that recovery reached.
    func matchesHistory(_ report: RecoveryReport) -> Bool {
        state.current.alive == history.content(through: report.reached).alive
    }
}

extension MemoryFileSystem {
    /// The next sync fails and forgets what was unsynced; those after it say that all is well.
    func lieOnce() {
        let fails = Mutex(true)
        setFault { occurrence in
            guard occurrence.call == .sync else { return nil }
            return fails.withLock { fails in
                defer { fails = false }
                return fails ? .lie(SystemError.inputOutput) : nil
            }
        }
    }
}
