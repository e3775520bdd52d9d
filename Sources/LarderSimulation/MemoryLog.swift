// A log without files, which goes exactly as far as a test lets it.
//
// Remembers the records as bytes. By itself it writes when it is asked to and makes durable when somebody
// wants that, at once; a test can hold either back, and say which record is written, durable or lost.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// A log in memory. `read` and `open` may be called again after `close`: the next life finds what this one wrote.
package final class MemoryLog: ClosedLog, LogBackend {
    private struct Content {
        /// Records that were let go are empty.
        var records: [(lsn: LSN, bytes: [UInt8])] = []
        var buffer: LogBuffer?
        var written = LSN.zero
        var durable = LSN.zero
        var epoch: UInt32 = 0
        var wall: Milliseconds = 0
        var endsClean = false
        var trimmed = LSN.zero
        var bytesWritten = 0
        var kicks = 0
        var holdsWrites = false
        var holdsSyncs = false
        var events: StorageEvents?
        var condition = LogCondition(state: .closed, error: nil, file: MemoryLog.name, since: 0)

        mutating func enter(_ next: LogCondition) {
            condition = next
            events?.add(.log(next))
        }
    }

    private let content = Mutex(Content())
    private let observer = Callback<Void>()
    private static let name = "memory"

    package init() {}

    // MARK: What a test decides

    /// Keeps what is staged in the buffer from now on, or not.
    package func hold(writes: Bool, syncs: Bool) {
        content.withLock {
            $0.holdsWrites = writes
            $0.holdsSyncs = syncs
        }
    }

    /// Takes everything staged and has it with the kernel.
    package func write() { change { Self.take(&$0) } }

    /// Everything written is durable.
    package func sync() { change { $0.durable = $0.written } }

    /// Durable up to here and no further.
    package func sync(through lsn: LSN) { change { $0.durable = max($0.durable, min(lsn, $0.written)) } }

    /// From now on the log is full or has failed.
    package func refuse(_ state: LogState, because error: SystemError, since: Milliseconds = 0) {
        change { content in
            content.buffer?.refuse()
            content.enter(LogCondition(state: state, error: error, file: Self.name, since: since))
        }
    }

    /// There is room again.
    package func accept() {
        change { content in
            content.buffer?.accept()
            content.enter(LogCondition(state: .ok, error: nil, file: Self.name, since: 0))
        }
    }

    /// The life ends here: without power, or only the process. What is then not durable, or not written, is gone.
    package func crash(losesUnsynced: Bool) {
        content.withLock { content in
            let end = losesUnsynced ? content.durable : content.written
            content.records.removeAll { $0.lsn > end }
            content.written = end
            content.durable = end
        }
    }

    /// How often somebody asked for a sync.
    package var kicks: Int { content.withLock { $0.kicks } }
    /// Everything up to here has been let go.
    package var trimmedLSN: LSN { content.withLock { $0.trimmed } }

    private static func take(_ content: inout Content) {
        var batch = ByteBuffer()
        guard let last = content.buffer?.take(into: &batch)?.lastLSN else { return }
        content.bytesWritten += batch.count
        while let (lsn, count) = Self.first(of: batch) {
            content.records.append((lsn, (0..<count).map { batch.bytes.byte(at: $0) }))
            batch.consume(count)
        }
        content.written = last
    }

    private static func first(of batch: borrowing ByteBuffer) -> (LSN, byteCount: Int)? {
        if batch.isEmpty { return nil }
        // What the buffer staged is whole.
        guard let record = try? LogRecord(parsing: batch.bytes) else { preconditionFailure("not a record") }
        return (record.lsn, record.byteCount)
    }

    /// Changes something, and tells the observer.
    private func change(_ body: (inout Content) -> Void) {
        content.withLock { body(&$0) }
        observer()
    }

    // MARK: At rest

    package func byteCount(after position: LSN) -> Int64? {
        content.withLock { content -> Int64? in
            if position < content.trimmed { return nil }
            return content.records.reduce(0) { $0 + ($1.lsn > position ? Int64($1.bytes.count) : 0) }
        }
    }

    package func read(
        after position: LSN, progress: RecoveryProgress, _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) -> ReplayOutcome {
        let (records, epoch, wall, endsClean, reached) = content.withLock {
            ($0.records, $0.epoch, $0.wall, $0.endsClean, $0.written)
        }
        var outcome = ReplayOutcome()
        outcome.epoch = epoch
        outcome.newestWall = wall
        outcome.endsClean = endsClean
        outcome.reached = reached
        outcome.ceiling = reached
        var bytes = ByteBuffer()
        for record in records where record.lsn > position {
            outcome.bytesRead += Int64(record.bytes.count)
            outcome.recordCount += 1
            bytes.removeAll()
            for byte in record.bytes { bytes.append(byte: byte) }
            do throws(LogRecordError) {
                apply(try LogRecord(parsing: bytes.bytes))
            } catch {
                throw .recordDamaged(file: Self.name, offset: 0, reason: .record(error))
            }
        }
        return outcome
    }

    package func open(
        _ start: LogStart, buffer: LogBuffer, clock: any Clock, options: PersistenceOptions
    ) -> any LogBackend {
        content.withLock { content in
            content.buffer = buffer
            content.events = options.events
            content.written = start.floor
            content.durable = start.floor
            content.epoch = start.epoch
            content.wall = start.wall
            content.endsClean = false
            content.condition = LogCondition(state: .ok, error: nil, file: Self.name, since: start.wall)
        }
        return self
    }

    // MARK: At work

    package var writtenLSN: LSN { content.withLock { $0.written } }
    package var intervalLSN: LSN { writtenLSN }
    package var durableLSN: LSN { content.withLock { $0.durable } }
    package var condition: LogCondition { content.withLock { $0.condition } }
    package var state: LogState { condition.state }
    package var bytesWritten: Int { content.withLock { $0.bytesWritten } }
    package var unsyncedMilliseconds: Milliseconds { 0 }
    package var statistics: LogStatistics { LogStatistics() }

    package func setObserver(_ observer: (@Sendable () -> Void)?) { self.observer.set(observer) }

    package func start() {}

    package func writeIfIdle() -> Bool {
        let before = writtenLSN
        if content.withLock({ $0.condition.state == .ok && !$0.holdsWrites }) { write() }
        return writtenLSN > before
    }

    package func kick() {
        content.withLock { $0.kicks += 1 }
        syncIfAllowed()
    }

    private func syncIfAllowed() {
        let isAllowed = content.withLock { $0.condition.state == .ok && !$0.holdsSyncs }
        guard isAllowed else { return }
        write()
        sync()
    }

    package func cut() throws(PersistenceError) -> LSN {
        syncIfAllowed()
        let isDurable = content.withLock { $0.durable == $0.written && $0.buffer?.isEmpty ?? true }
        guard state == .ok, isDurable else { throw .logFailed(condition) }
        return writtenLSN
    }

    package func makeDurable(through lsn: LSN) throws(PersistenceError) {
        syncIfAllowed()
        guard durableLSN >= lsn else { throw .logFailed(condition) }
    }

    /// Every record is a part; they are numbered from the first that was ever written.
    package func part(after position: LSN) -> UInt32 {
        content.withLock { content in UInt32(content.records.count { $0.lsn <= position }) }
    }

    package func trim(before part: UInt32) {
        content.withLock { content in
            let count = min(Int(part), content.records.count)
            guard count > 0 else { return }
            content.trimmed = content.records[count - 1].lsn
            for index in 0..<count { content.records[index].bytes = [] }
        }
    }

    package func fail(because error: SystemError, file: String) { refuse(.failed, because: error) }

    /// There are no files that could need room.
    package func giveRoom(because error: SystemError, file: String) -> Bool { false }
    package func keepRoom() {}

    package func heal(
        save: (LSN) throws(PersistenceError) -> Void, publish: (UInt32) throws(PersistenceError) -> Void
    ) throws(PersistenceError) {
        let failure = condition
        guard failure.state == .failed else { throw .logFailed(failure) }
        var healing = failure
        healing.state = .healing
        change { $0.enter(healing) }
        let (position, part) = content.withLock { ($0.buffer?.abandon() ?? $0.written, UInt32($0.records.count)) }
        do throws(PersistenceError) {
            try save(position)
            try publish(part)
        } catch {
            change { $0.enter(failure) }
            throw error
        }
        content.withLock { content in
            content.written = position
            content.durable = position
        }
        accept()
    }

    package func close() throws(PersistenceError) {
        content.withLock { _ = $0.buffer?.refuse() }
        let isWhole = state == .ok
        if isWhole {
            write()
            sync()
        }
        guard isWhole else { throw .logFailed(condition) }
        content.withLock { content in
            content.endsClean = true
            content.condition.state = .closed
        }
    }
}
