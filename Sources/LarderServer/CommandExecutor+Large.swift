// Large values: read and written in slices, in as many turns as it takes, so that no other connection waits for the copying, and
// nobody for the shard.
//
// The reply is made beside the session, and sent when it is whole: its head tells the version, so all of it has to be of one.
// When the entry changes in between, it is begun anew. What is written is an entry that nobody sees before it is whole.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// A reply with a large value, as far as it has come.
struct LargeRead: ~Copyable, Sendable {
    enum Progress {
        case partial, whole
        /// The entry is none to be read in slices any more.
        case other
    }

    private(set) var reply = ByteBuffer()
    /// Of the entry that the reply is of.
    private(set) var lsn = LSN.zero
    /// Bytes of the value that the reply has.
    private var copied = 0
    /// How often the entry changed in between.
    private var restarts = 0

    /// Who writes a key all the time does not keep its readers waiting for ever: then the whole value is copied at once.
    static let restartsMax = 4

    var isUnderWay: Bool { copied > 0 }
    var isAtOnce: Bool { restarts > Self.restartsMax }

    /// Whether the reply to `command` has the value of this entry, and that is large.
    static func isOf(_ entry: borrowing EntryView, _ command: Command, _ dialect: Dialect) -> Bool {
        if case .http = dialect, command.httpFlags.contains(.head) { return false }
        if case .memcached = dialect, MemcachedFlags(rawValue: command.flags).contains(.withoutValue) { return false }
        return entry.value.byteCount > Store.sliceBytes && command.condition.holds(for: entry.lsn.rawValue)
    }

    /// Adds the next slice of the value, or begins anew when it is another.
    ///
    /// - Parameter work: Less the bytes that were copied, on return.
    mutating func add(
        _ entry: borrowing EntryView, _ key: RawSpan, _ line: RawSpan, to command: Command, _ dialect: Dialect, _ now: Milliseconds,
        work: inout Int
    ) -> Progress {
        let value = entry.value
        if entry.lsn != lsn {
            guard Self.isOf(entry, command, dialect) else { return .other }
            restarts += copied > 0 ? 1 : 0
            (lsn, copied) = (entry.lsn, 0)
            reply.removeAll()
            Reply.entry(
                EntryReply(entry, key, dialect, now, line: line, omitsValue: true), to: command, in: dialect, into: &reply)
            reply.reserve(value.byteCount)
        }
        let slice = min(isAtOnce ? value.byteCount : Store.sliceBytes, value.byteCount - copied)
        reply.append(value.slice(copied, slice))
        copied += slice
        work -= slice
        guard copied == value.byteCount else { return .partial }
        Reply.entryEnd(to: command, in: dialect, into: &reply)
        return .whole
    }

    /// Hands the reply over.
    mutating func move(to output: inout ByteBuffer) { output.take(&reply) }
}

extension CommandExecutor {
    /// Answers with an entry whose value was found to be large.
    func getLarge(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let dialect = session.dialect
        var progress = LargeRead.Progress.partial
        while case .partial = progress {
            guard scratch.copyWork > 0 || session.largeRead.isAtOnce else {
                session.needsAnotherTurn = true
                return
            }
            let key = input.span(command.key)
            // Other commands leave there what the one before them had.
            let isMeta = dialect == .memcached && command.memcachedWord == .metaGet
            let line = isMeta ? input.span(command.line) : RawSpan()
            let result = store.read(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
                progress = session.largeRead.add(entry, key, line, to: command, dialect, turn.now, work: &scratch.copyWork)
            }
            guard result.hit else {
                session.largeRead = LargeRead()
                metrics.misses.add(1)
                return miss(result.lsn, namespace, command, &session, &output, turn)
            }
        }
        var large = LargeRead()
        swap(&large, &session.largeRead)
        guard case .whole = progress else {
            // What is there now is answered at once.
            return get(command, prepared, input, &session, &output, &scratch, turn, metrics)
        }
        metrics.count(hit: true)
        let wait = namespace.isDurable ? Wait.durable(large.lsn) : .nothing
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { large.move(to: &$0) }
    }
    /// Stores a large value, some of it in each turn. What lies beside it is in `scratch.metadata`.
    ///
    /// - Returns: false when it is to be stored like others.
    func putLarge(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) -> Bool {
        let namespace = prepared.namespace!
        let (key, value) = (input.span(command.key), input.span(command.value))
        let lifetime = command.lifetime.change
        // Meanwhile another namespace may have got the name.
        if let draft = session.draft, !draft.isOf(namespace, prepared.hash) { session.draft = nil }
        let begun =
            session.draft
            ?? store.draft(
                namespace, key: key, hash: prepared.hash, valueBytes: value.byteCount, metadata: scratch.metadata.bytes,
                lifetime: lifetime)
        guard let draft = begun else { return false }
        while !draft.isWhole {
            guard scratch.copyWork > 0 else {
                session.draft = draft
                session.needsAnotherTurn = true
                return true
            }
            let slice = min(Store.sliceBytes, value.byteCount - draft.filled)
            draft.fill(value.slice(draft.filled, slice))
            scratch.copyWork -= slice
        }
        session.draft = nil
        guard
            let result = store.put(
                draft, namespace, key: key, hash: prepared.hash, lifetime: lifetime, condition: command.condition.engine,
                now: turn.now)
        else { return false }
        answer(result, command, namespace, &session, &output, turn, metrics)
        // The log had no room for it.
        if session.needsAnotherTurn { session.draft = draft }
        return true
    }
}
