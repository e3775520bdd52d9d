// Where writes queue for the log, and where they get their LSNs.
//
// A leaf: whoever holds its lock takes no other. Knows nothing of files; the log's writer takes the whole buffer in one
// exchange and brings an empty one. Two buffers of full size go to and fro, so no append ever moves what lies in one.

import LarderBytes
import LarderPlatform
import Synchronization

/// What became of an append.
@frozen @usableFromInline
package enum LogOutcome: UInt8, Sendable {
    /// The LSN was given, and the record, if there is one, is staged.
    case appended
    /// The namespace was flushed since the decision was made: decide again.
    case flushed
    /// The namespace was dropped.
    case namespaceGone
    /// The log is behind: its buffer is full, or the LSNs that it has reserved are used up. Worth retrying.
    case backlog
    /// The log has failed and takes nothing.
    case refused
    /// The entry that the record changes was over by the time that the log has reached, so a start may forget it before it
    /// comes to the record: log the whole entry.
    case released
}

/// The answer to an append.
@frozen @usableFromInline
package struct LogAnswer: Equatable, Sendable {
    @usableFromInline package let outcome: LogOutcome
    /// The LSN that was given; zero when none was.
    @usableFromInline package let lsn: LSN

    @inlinable package init(_ outcome: LogOutcome, lsn: LSN = LSN(rawValue: 0)) {
        self.outcome = outcome
        self.lsn = lsn
    }
}

/// What the log's writer took.
package struct LogBatch: Equatable, Sendable {
    package let recordCount: Int
    package let firstLSN: LSN
    package let lastLSN: LSN
    /// When the oldest record was staged, by the clock of who staged it.
    package let oldestMilliseconds: Milliseconds
    /// Whether the medium is to have it within the interval. Not when every record is of a namespace with `never`.
    package let owesSync: Bool
    /// When it was taken.
    package let wall: Milliseconds

    package init(
        recordCount: Int, firstLSN: LSN, lastLSN: LSN, oldestMilliseconds: Milliseconds, owesSync: Bool = true,
        wall: Milliseconds = 0
    ) {
        self.recordCount = recordCount
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.oldestMilliseconds = oldestMilliseconds
        self.owesSync = owesSync
        self.wall = wall
    }
}

/// The staging buffer of the log.
@safe package final class LogBuffer: @unchecked Sendable {
    // Safe to send: what follows `lock` is touched only by its holder, the atomics aside.
    private let lock = Lock()
    // Next to the lock: who has its cache line has these as well, and holds it no longer than that takes.
    private let lastLSN = Atomic<UInt64>(0)
    private let ceilingWord = Atomic<UInt64>(.max)
    private let stagedBytes = Atomic<Int>(0)
    /// The lock keeps accesses apart; to have each checked once more costs an append a tenth.
    @exclusivity(unchecked) private var staged = StagedRecords()
    private var admission = Admission.everything
    /// What the log's state lets in, however long the log is.
    private var stateAdmits = Admission.everything
    private var isHeldBack = false
    /// The latest time at which a batch was taken, Unix milliseconds.
    private var released: Milliseconds = 0
    private let bytesMax: Int
    /// One record may begin below `bytesMax` and end beyond it.
    private var capacity: Int { bytesMax + LogRecord.headerBytes + Entry.keyBytesMax + Metadata.bytesMax + Entry.valueBytesMax }

    /// - Parameter bytesMax: With this many bytes staged, appends answer `backlog`.
    package init(bytesMax: Int = 32 << 20) {
        self.bytesMax = bytesMax
        unsafe staged.bytes.reserve(capacity)
    }

    // MARK: Appending

    /// Gives `record` the next LSN and stages it.
    ///
    /// - Parameter body: `record.bodyChecksum`, computed before any lock was taken where that is possible.
    /// - Parameter flushLSN: The namespace's, as it was when the caller decided what to write.
    /// - Parameter present: The deadline of the entry that the record is of no use without; never, if it stands for itself.
    package func append(
        _ record: borrowing LogRecord, body: Checksum, namespace: Namespace, flushLSN: LSN, now: Milliseconds,
        changing present: Deadline = .never
    ) -> LogAnswer {
        append(record, body: body, namespace: namespace, flushLSN: flushLSN, now: now, changing: present, detached: nil)
    }

    /// - Parameter detached: The record's value once more, if it is long: kept, and not copied while others wait.
    func append(
        _ record: borrowing LogRecord, body: Checksum, namespace: Namespace, flushLSN: LSN, now: Milliseconds,
        changing present: Deadline, detached: DetachedValue?
    ) -> LogAnswer {
        lock.lock()
        defer { lock.unlock() }
        if let refusal = refusal(namespace, flushLSN) { return refusal }
        if present.isDue(released) { return LogAnswer(.released) }
        return stage(record, body, now, owesSync: namespace.durability != .never, detached)
    }

    /// Gives an LSN to a write that is not logged.
    package func give(namespace: Namespace, flushLSN: LSN, now: Milliseconds) -> LogAnswer {
        lock.lock()
        defer { lock.unlock() }
        if let refusal = refusal(namespace, flushLSN) { return refusal }
        guard let lsn = nextLSN(now) else { return LogAnswer(.backlog) }
        lastLSN.store(lsn.rawValue, ordering: .releasing)
        return LogAnswer(.appended, lsn: lsn)
    }

    /// Stages a record of a namespace itself. `publish` is called with its LSN before any later append can begin.
    func append(
        _ record: borrowing LogRecord, now: Milliseconds, publish: (LSN) -> Void
    ) -> LogAnswer {
        let body = record.bodyChecksum
        lock.lock()
        defer { lock.unlock() }
        let answer = stage(record, body, now, owesSync: true)
        if answer.outcome == .appended { publish(answer.lsn) }
        return answer
    }

    private func refusal(_ namespace: Namespace, _ flushLSN: LSN) -> LogAnswer? {
        if namespace.flushLSN == flushLSN && namespace.state != .deleting { return nil }
        return LogAnswer(namespace.state == .deleting ? .namespaceGone : .flushed)
    }

    private func stage(
        _ record: borrowing LogRecord, _ body: Checksum, _ now: Milliseconds, owesSync: Bool, _ detached: DetachedValue? = nil
    ) -> LogAnswer {
        if admission != .everything, !(admission == .removals && record.operation.onlyRemoves) { return LogAnswer(.refused) }
        guard byteCount < bytesMax, let lsn = nextLSN(now) else { return LogAnswer(.backlog) }
        let byteCount = unsafe staged.add(record, body, lsn, now, owesSync: owesSync, detached)
        lastLSN.store(lsn.rawValue, ordering: .releasing)
        stagedBytes.store(byteCount, ordering: .releasing)
        return LogAnswer(.appended, lsn: lsn)
    }

    private func nextLSN(_ now: Milliseconds) -> LSN? {
        let last = appliedLSN
        // The ceiling is below the largest word or no LSN was ever near it, so `last` has a successor when it is below.
        guard last < ceiling else { return nil }
        let next = last.next(at: now)
        return next <= ceiling ? next : nil
    }

    // MARK: What the log's writer does

    /// Begins with LSNs above `last` and not above `ceiling`.
    package func start(after last: LSN, ceiling: LSN) {
        lock.lock()
        defer { lock.unlock() }
        precondition(last >= appliedLSN, "an LSN would be used twice")
        precondition(ceiling >= last, "the ceiling is below the floor")
        lastLSN.store(last.rawValue, ordering: .releasing)
        unsafe staged.lastLSN = last
        ceilingWord.store(ceiling.rawValue, ordering: .releasing)
    }

    /// The highest LSN that may be given. Whoever raises it has made the new one durable before, and does so ahead of the
    /// clock also when nothing is written: the first write after a pause takes its LSN from the clock.
    package var ceiling: LSN {
        get { LSN(rawValue: ceilingWord.load(ordering: .acquiring)) }
        set {
            lock.lock()
            defer { lock.unlock() }
            precondition(newValue >= ceiling, "a ceiling only rises")
            ceilingWord.store(newValue.rawValue, ordering: .releasing)
        }
    }

    /// Exchanges what is staged for `empty`, which must be that. The exchange itself is O(1); behind it, with nothing locked,
    /// values that were handed over are copied to their places.
    ///
    /// - Parameter wall: The time that is written with the batch. A start that has read the batch frees what was over by then,
    ///   and no record behind it needs such an entry.
    /// - Returns: nil when nothing is staged.
    package func take(into empty: inout ByteBuffer, at wall: Milliseconds = 0) -> LogBatch? {
        precondition(empty.isEmpty, "takes into an empty buffer")
        guard !isEmpty else { return nil }
        empty.reserve(capacity)
        lock.lock()
        let detached = unsafe staged.takeDetached()
        let batch = unsafe staged.take(into: &empty, at: wall)
        if batch != nil {
            released = max(released, wall)
            stagedBytes.store(0, ordering: .releasing)
        }
        lock.unlock()
        if !detached.isEmpty { Self.insert(detached, into: &empty) }
        return batch
    }

    private static func insert(_ detached: [StagedRecords.Detached], into records: inout ByteBuffer) {
        var whole = ByteBuffer(capacity: detached.reduce(records.count) { $0 + $1.value.count })
        var position = 0
        for part in detached {
            whole.append(records.span(ByteRange(start: position, count: part.position - position)))
            part.value.copy(to: &whole)
            position = part.position
        }
        whole.append(records.span(ByteRange(start: position, count: records.count - position)))
        swap(&whole, &records)
    }

    /// Drops what is staged and was not taken, because it is saved in another way. Records are refused meanwhile.
    ///
    /// - Returns: The LSN of the last record that was ever staged.
    package func abandon() -> LSN {
        lock.lock()
        defer { lock.unlock() }
        precondition(admission == .nothing, "a record could be staged behind this")
        unsafe staged.drop()
        stagedBytes.store(0, ordering: .releasing)
        return unsafe staged.lastLSN
    }

    /// From now on records are refused; LSNs for writes that are not logged are still given.
    package func refuse() { admit(.nothing) }

    package func accept() { admit(.everything) }

    /// From now on only records that remove something are taken.
    package func acceptRemovals() { admit(.removals) }

    /// Which records are taken.
    private enum Admission { case everything, removals, nothing }

    private func admit(_ admission: Admission) {
        lock.lock()
        defer { lock.unlock() }
        stateAdmits = admission
        settle()
    }

    /// From now on no more than records that remove something are taken, whatever was said; or as was said again.
    package func holdBack(_ isHeldBack: Bool) {
        lock.lock()
        defer { lock.unlock() }
        self.isHeldBack = isHeldBack
        settle()
    }

    private func settle() { admission = isHeldBack && stateAdmits == .everything ? .removals : stateAdmits }

    // MARK: Positions

    /// The highest LSN that was given.
    package var appliedLSN: LSN { LSN(rawValue: lastLSN.load(ordering: .acquiring)) }

    /// The LSN of the last record that was staged, or what the log was started after: a place that the log reaches.
    /// Taken under the lock, so every record up to it is staged or further on.
    package func mark() -> LSN {
        lock.lock()
        defer { lock.unlock() }
        return unsafe staged.lastLSN
    }

    /// Whether nothing is staged. One load.
    package var isEmpty: Bool { stagedBytes.load(ordering: .acquiring) == 0 }
    package var byteCount: Int { stagedBytes.load(ordering: .acquiring) }
    /// Whether appends are answered with `backlog` for want of room. One load.
    package var isFull: Bool { byteCount >= bytesMax }
}

/// What is staged, of which batch.
private struct StagedRecords: ~Copyable {
    var bytes = ByteBuffer()
    private var count = 0
    private var firstLSN = LSN.zero
    /// Of the last record ever staged.
    var lastLSN = LSN.zero
    private var oldestMilliseconds: Milliseconds = 0
    private var owesSync = false
    private var detached: [Detached] = []
    private var detachedBytes = 0

    /// A value that belongs between the staged bytes.
    struct Detached {
        let position: Int
        let value: DetachedValue
    }

    /// - Returns: How many bytes are staged then.
    mutating func add(
        _ record: borrowing LogRecord, _ body: Checksum, _ lsn: LSN, _ now: Milliseconds, owesSync: Bool, _ value: DetachedValue?
    ) -> Int {
        record.append(to: &bytes, lsn: lsn, bodyChecksum: body, withValue: value == nil)
        if let value {
            detached.append(Detached(position: bytes.count, value: value))
            detachedBytes += value.count
        }
        if count == 0 {
            firstLSN = lsn
            oldestMilliseconds = now
        }
        if owesSync { self.owesSync = true }
        count += 1
        lastLSN = lsn
        return bytes.count &+ detachedBytes
    }

    mutating func takeDetached() -> [Detached] {
        if detached.isEmpty { return [] }
        defer {
            detached.removeAll()
            detachedBytes = 0
        }
        return detached
    }

    mutating func drop() {
        bytes.removeAll()
        _ = takeDetached()
        count = 0
        owesSync = false
    }

    /// - Returns: nil when nothing is staged.
    mutating func take(into empty: inout ByteBuffer, at wall: Milliseconds) -> LogBatch? {
        guard count > 0 else { return nil }
        swap(&bytes, &empty)
        defer {
            count = 0
            owesSync = false
        }
        return LogBatch(
            recordCount: count, firstLSN: firstLSN, lastLSN: lastLSN, oldestMilliseconds: oldestMilliseconds,
            owesSync: owesSync, wall: wall)
    }
}
