// The read path: what a `get` does.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    /// Answers a `get` whose reply may leave at once, with an entry that is there and that one look is enough for: nearly all of
    /// them. Nothing is locked.
    ///
    /// - Parameters:
    ///   - command: Stays as it is, like what was prepared; both are given where they lie, because values of their size are copied.
    /// - Returns: false when it has to be executed like any other command; nothing has happened then.
    func getAtOnce(
        _ command: inout Command, _ prepared: inout PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) -> Bool {
        guard case .get = command.operation, prepared.touchesKey, turn.isReady, !session.isWatching, !session.held.skipsParts,
            session.held.lets(.nothing, at: turn.position), let namespace = prepared.namespace
        else { return false }
        let dialect = session.dialect
        if case .http = dialect {
            if access.refusal(of: command, in: input) != nil { return false }
        } else if session.namespace == nil {
            return false
        }
        let waits = namespace.isDurable
        let key = input.span(command.key)
        let before = output.count
        let isRead = store.readOptimistically(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
            if entry.value.byteCount > Store.sliceBytes || waits && entry.lsn > turn.position.durable { return false }
            if case .binary = dialect, command.flags == 0 {
                BinaryReply.value(entry.value, tag: command.tag, into: &output)
            } else {
                Self.reply(with: entry, key, to: command, in: dialect, turn.now, into: &output)
            }
            return true
        }
        if isRead { metrics.hits.add(1) } else { output.truncate(to: before) }
        return isRead
    }

    func get(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let dialect = session.dialect
        let waits = namespace.isDurable
        var isLarge = false
        let key = input.span(command.key)
        let result = store.read(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
            if LargeRead.isOf(entry, command, dialect) {
                isLarge = true
                return
            }
            let wait = waits ? Wait.durable(entry.lsn) : .nothing
            session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
                Self.reply(with: entry, key, to: command, in: dialect, turn.now, into: &target)
            }
        }
        if isLarge {
            getLarge(command, prepared, input, &session, &output, &scratch, turn, metrics)
        } else if result.hit {
            metrics.hits.add(1)
        } else {
            metrics.misses.add(1)
            miss(result.lsn, namespace, command, &session, &output, turn)
        }
    }

    private static func reply(
        with entry: borrowing EntryView, _ key: RawSpan, to command: Command, in dialect: Dialect, _ now: Milliseconds,
        into output: inout ByteBuffer
    ) {
        if command.condition.holds(for: entry.lsn.rawValue) {
            Reply.entry(EntryReply(entry, key, dialect, now), to: command, in: dialect, into: &output)
        } else {
            Reply.done(
                command.condition.asksForNews ? .notModified : .conditionFailed, version: entry.lsn.rawValue, to: command,
                in: dialect, into: &output)
        }
    }

    /// Answers that there is no such entry. `lsn` is that of the removal which the answer may rest on.
    func miss(
        _ lsn: LSN, _ namespace: Namespace, _ command: Command, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn
    ) {
        let dialect = session.dialect
        let wait = readWait(lsn, namespace, turn)
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
            let status: Status = command.condition.holds(for: nil) ? .notFound : .conditionFailed
            Reply.done(status, version: 0, to: command, in: dialect, into: &target)
        }
    }
}
