// The meta commands of memcached that write: ms, md and ma.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    // MARK: ms

    func metaSet(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let result: WriteResult
        var size = command.value.count
        let goesStale = command.meta.flags.isSuperset(of: [.invalidate, .compareVersion]) && command.condition != .absent
        if command.meta.mode != .none || goesStale {
            var isTooLarge = false
            result = rewrite(
                namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now,
                event: command.meta.mode == .none ? .set : .appended, &scratch
            ) { present, scratch in
                metaRewrite(command, present, input, &scratch, &isTooLarge)
            }
            if isTooLarge {
                return refuse(
                    .valueTooLarge, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
            }
            size = scratch.rewritten.count
        } else {
            _ = describe(command, input, &scratch.metadata)
            result = store.put(
                namespace, key: input.span(command.key), hash: prepared.hash, value: input.span(command.value),
                metadata: scratch.metadata.bytes, lifetime: command.lifetime.change, condition: command.condition.engine,
                now: turn.now)
        }
        metaAnswer(result, size, command, namespace, input, &session, &output, turn, metrics)
    }

    /// What `ms` makes of an entry with the modes A and P, or with I of one that is newer than the client thinks.
    private func metaRewrite(
        _ command: Command, _ present: PresentEntry?, _ input: borrowing ByteBuffer, _ scratch: inout Scratch,
        _ isTooLarge: inout Bool
    ) -> Rewrite {
        let value = input.span(command.value)
        guard let present else {
            guard command.meta.mode != .none, command.meta.flags.contains(.vivify) else { return .leave }
            _ = describe(command, input, &scratch.metadata)
            scratch.rewritten.append(value)
            return .put(command.meta.vivified.change)
        }
        let isExpected = command.condition.holds(for: present.lsn.rawValue)
        if command.meta.mode != .none {
            guard isExpected else { return .leave }
            isTooLarge = !Self.join(value, isBehind: command.meta.mode == .append, &scratch, configuration.valueBytesMax)
            return isTooLarge ? .leave : .put(.keep)
        }
        guard isExpected || command.meta.version < present.lsn.rawValue else { return .leave }
        var marks = MetaMarks(of: scratch.metadata.bytes)
        _ = describe(command, input, &scratch.metadata)
        scratch.rewritten.append(value)
        if isExpected { return .put(command.lifetime.change) }
        marks.insert(.stale)
        marks.keep(in: &scratch.metadata)
        return .put(.keep)
    }

    // MARK: md

    func metaDelete(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let key = input.span(command.key)
        let result: WriteResult
        if command.meta.flags.contains(.invalidate) {
            result = rewrite(namespace, key: key, hash: prepared.hash, now: turn.now, &scratch) { present, scratch in
                guard let present, command.condition.holds(for: present.lsn.rawValue) else { return .leave }
                MetaMarks.stale.keep(in: &scratch.metadata)
                scratch.appendPresent()
                return .put(command.meta.flags.contains(.lifetime) ? command.lifetime.change : .keep)
            }
        } else {
            result = store.remove(
                namespace, key: key, hash: prepared.hash, condition: command.condition.engine, now: turn.now)
        }
        metaAnswer(result, nil, command, namespace, input, &session, &output, turn, metrics)
    }

    // MARK: ma

    func metaArithmetic(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let goesDown = command.meta.mode == .decrement
        var number: UInt64? = 0
        var isMade = false
        let result = rewrite(
            namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, event: .incremented, &scratch
        ) { present, scratch in
            number = 0
            isMade = false
            guard let present else {
                guard command.meta.flags.contains(.vivify) else { return .leave }
                isMade = true
                number = command.meta.initial
                scratch.rewritten.append(decimal: command.meta.initial)
                return .put(command.meta.vivified.change)
            }
            guard command.condition.holds(for: present.lsn.rawValue) else { return .leave }
            number = Self.count(scratch.present.bytes, by: UInt64(bitPattern: command.delta), goesDown: goesDown)
            guard let number else { return .leave }
            scratch.rewritten.append(decimal: number)
            return .put(command.meta.flags.contains(.lifetime) ? command.lifetime.change : .keep)
        }
        guard let number else {
            return refuse(
                .notAnInteger, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        }
        // Of a counter that was just made memcached tells also who wants to hear nothing of counting.
        var command = command
        if isMade { command.meta.flags.remove(.quiet) }
        let size = scratch.rewritten.count
        guard result.isDone, command.meta.flags.contains(.tellValue) else {
            return metaAnswer(result, size, command, namespace, input, &session, &output, turn, metrics)
        }
        let told = MetaEntry(result, size: size, turn.now)
        let (wait, isWrite) = outcomeWait(result, namespace, turn)
        session.held.reply(wait, at: turn.position, to: command, isWrite: isWrite, output: &output) {
            MemcachedReply.metaNumber(
                number, told, key: input.span(command.key), line: input.span(command.line), to: command, into: &$0)
        }
    }
}
