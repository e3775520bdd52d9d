// Large values: read in slices, in as many turns as it takes, so that no other connection waits for the copying, and nobody
// for the shard.
//
// The reply is made beside the session, and sent when it is whole: its head tells the version, so all of it has to be of one.
// When the entry changes in between, it is begun anew.

import LarderBytes
import LarderEngine
import LarderWire

/// A reply with a large value that has begun.
struct LargeRead: ~Copyable, Sendable {
    var reply = ByteBuffer()
    /// Of the entry that the reply is of.
    var lsn = LSN.zero
    /// Bytes of the value that the reply has.
    var copied = 0
    /// How often the entry changed in between.
    var restarts = 0
}

extension CommandExecutor {
    /// Values longer than this are copied in slices of so many bytes.
    static let sliceBytes = 262_144
    /// Who writes a key all the time does not keep its readers waiting for ever: then the whole value is copied at once.
    static let restartsMax = 4

    /// Whether the reply to `command` has the value of this entry, and that is large.
    static func isLarge(_ entry: borrowing EntryView, _ command: Command, _ dialect: Dialect) -> Bool {
        if case .http = dialect, command.httpFlags.contains(.head) { return false }
        return entry.value.byteCount > sliceBytes && command.condition.holds(for: entry.lsn.rawValue)
    }

    /// Answers with an entry whose value was found to be large.
    func getLarge(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let dialect = session.dialect
        var large = session.largeRead.take() ?? LargeRead()
        var reply = ByteBuffer()
        swap(&reply, &large.reply)
        var (lsn, copied, restarts) = (large.lsn, large.copied, large.restarts)
        var isWhole = false
        var isOther = false
        while !isWhole {
            guard scratch.copyWork > 0 || restarts > Self.restartsMax else {
                large.reply.take(&reply)
                (large.lsn, large.copied, large.restarts) = (lsn, copied, restarts)
                session.largeRead = consume large
                session.needsAnotherTurn = true
                return
            }
            let result = store.read(namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now) { entry in
                let value = entry.value
                if entry.lsn != lsn {
                    guard Self.isLarge(entry, command, dialect) else {
                        isOther = true
                        return
                    }
                    restarts += copied > 0 ? 1 : 0
                    (lsn, copied) = (entry.lsn, 0)
                    reply.removeAll()
                    Reply.entry(
                        EntryReply(
                            value: value, contentType: entry.contentType, version: lsn.rawValue,
                            remaining: entry.deadline.remaining(at: turn.now), omitsValue: true),
                        to: command, in: dialect, into: &reply)
                    reply.reserve(value.byteCount)
                }
                let slice = min(restarts > Self.restartsMax ? value.byteCount : Self.sliceBytes, value.byteCount - copied)
                reply.append(value.slice(copied, slice))
                copied += slice
                scratch.copyWork -= slice
                isWhole = copied == value.byteCount
            }
            // What is there now is answered at once.
            if isOther { return get(command, prepared, input, &session, &output, &scratch, turn, metrics) }
            guard result.hit else {
                metrics.misses.add(1)
                return miss(result.lsn, namespace, command, &session, &output, turn)
            }
        }
        metrics.hits.add(1)
        let wait = namespace.isDurable ? Wait.durable(lsn) : .nothing
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { $0.take(&reply) }
    }
}
