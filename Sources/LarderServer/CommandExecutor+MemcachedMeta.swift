// The meta commands of memcached.
//
// An entry that is to be made anew carries marks beside its value (`Metadata.recache`): that it is out of date, and that somebody
// was told to make it anew. Setting a mark is a write like any other, so the version that a winner is told is that of the mark.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    // MARK: mg

    func metaGet(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let changes: MetaFlags = [.vivify, .recache, .lifetime]
        if !command.meta.flags.isDisjoint(with: changes) {
            return metaGetAndChange(command, prepared, input, &session, &output, &scratch, turn, metrics)
        }
        let namespace = prepared.namespace!
        let (key, line) = (input.span(command.key), input.span(command.line))
        let waits = namespace.isDurable
        var isLarge = false
        var isToBeTaken = false
        let result = store.read(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
            isToBeTaken = entry.metadata.byteCount > 0 && MetaMarks(of: entry.metadata) == .stale
            isLarge = LargeRead.isOf(entry, command, .memcached)
            if isToBeTaken || isLarge { return }
            let wait = waits ? Wait.durable(entry.lsn) : .nothing
            session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) {
                Reply.entry(EntryReply(entry, key, .memcached, turn.now, line: line), to: command, in: .memcached, into: &$0)
            }
        }
        if isToBeTaken {
            metaGetAndChange(command, prepared, input, &session, &output, &scratch, turn, metrics)
        } else if isLarge {
            getLarge(command, prepared, input, &session, &output, &scratch, turn, metrics)
        } else if result.hit {
            metrics.hits.add(1)
        } else {
            metrics.misses.add(1)
            metaAnswer(.miss, nil, readWait(result.lsn, namespace, turn), false, command, input, &session, &output, turn)
        }
    }

    /// `mg` that makes an entry where there is none (N), takes it upon its client to make it anew (R, or because it is out of
    /// date), or gives it another lifetime (T).
    private func metaGetAndChange(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        var found: PresentEntry?
        var marks: MetaMarks = []
        let result = rewrite(
            namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, &scratch
        ) { present, scratch in
            found = present
            marks = MetaMarks(of: scratch.metadata.bytes)
            let lifetime = command.meta.flags.contains(.lifetime) ? command.lifetime.change : LifetimeChange.keep
            guard let present else {
                guard command.meta.flags.contains(.vivify) else { return .leave }
                marks = [.taken, .won]
                marks.keep(in: &scratch.metadata)
                return .put(command.meta.vivified.change)
            }
            guard Self.wins(command, present, marks, turn.now) else { return lifetime == .keep ? .leave : .setDeadline(lifetime) }
            marks.formUnion([.taken, .won])
            marks.keep(in: &scratch.metadata)
            scratch.appendPresent()
            return .put(lifetime)
        }
        let wait: Wait
        switch result.outcome {
        case .created, .updated, .removed: wait = writeWait(result.lsn, namespace)
        case .conditionFailed: wait = readWait(result.lsn, namespace, turn)
        default: return answer(result, command, namespace, &session, &output, turn, metrics)
        }
        let isWrite = result.outcome != .conditionFailed
        metrics.count(hit: found != nil)
        if found == nil, !isWrite { return metaAnswer(.miss, nil, wait, false, command, input, &session, &output, turn) }
        let deadline = isWrite ? result.deadline : found?.deadline ?? .never
        session.held.reply(wait, at: turn.position, to: command, isWrite: isWrite, output: &output) {
            // Of what was made there is no value, and of what was there the value has stayed.
            MemcachedReply.entry(
                EntryReply(
                    value: scratch.present.bytes, contentType: RawSpan(), version: result.version,
                    remaining: deadline.remaining(at: turn.now), key: input.span(command.key),
                    clientFlags: Metadata.clientFlags(in: scratch.metadata.bytes), line: input.span(command.line), marks: marks),
                to: command, into: &$0)
        }
    }

    /// Whether who asks is to make the entry anew: the first who finds it out of date, or with little left to live.
    private static func wins(_ command: Command, _ entry: PresentEntry, _ marks: MetaMarks, _ now: Milliseconds) -> Bool {
        if marks.contains(.taken) { return false }
        if marks.contains(.stale) { return true }
        guard command.meta.flags.contains(.recache), let left = entry.deadline.remaining(at: now) else { return false }
        return left < command.meta.recacheMilliseconds
    }

    // MARK: ms

    func metaSet(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let result: WriteResult
        var size = command.value.count
        if command.meta.mode != .none || command.meta.flags.isSuperset(of: [.invalidate, .compareVersion]) {
            var isTooLarge = false
            result = rewrite(
                namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, &scratch
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
        let result = rewrite(
            namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, &scratch
        ) { present, scratch in
            number = 0
            guard let present else {
                guard command.meta.flags.contains(.vivify) else { return .leave }
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
        let size = scratch.rewritten.count
        guard result.outcome == .created || result.outcome == .updated, command.meta.flags.contains(.tellValue) else {
            return metaAnswer(result, size, command, namespace, input, &session, &output, turn, metrics)
        }
        let told = MetaEntry(result, size: size, turn.now)
        session.held.reply(
            writeWait(result.lsn, namespace), at: turn.position, to: command, isWrite: true, output: &output
        ) {
            MemcachedReply.metaNumber(
                number, told, key: input.span(command.key), line: input.span(command.line), to: command, into: &$0)
        }
    }

    // MARK: me

    func metaDebug(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let key = input.span(command.key)
        let waits = namespace.isDurable
        let result = store.read(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
            let wait = waits ? Wait.durable(entry.lsn) : .nothing
            session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) {
                MemcachedReply.metaDebug(EntryReply(entry, key, .memcached, turn.now), to: command, into: &$0)
            }
        }
        if result.hit { return }
        metaAnswer(.miss, nil, readWait(result.lsn, namespace, turn), false, command, input, &session, &output, turn)
    }

    // MARK: Answers

    /// Answers a write.
    ///
    /// - Parameter size: Of the value that was written; nil when none was.
    private func metaAnswer(
        _ result: WriteResult, _ size: Int?, _ command: Command, _ namespace: Namespace, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        switch result.outcome {
        case .created, .updated, .removed:
            let told = size.map { MetaEntry(result, size: $0, turn.now) }
            metaAnswer(.done, told, writeWait(result.lsn, namespace), true, command, input, &session, &output, turn)
        case .notFound:
            // In a namespace that evicts, the removal was logged although there was nothing in memory.
            let isWrite = namespace.eviction != .none
            let wait = isWrite ? writeWait(result.lsn, namespace) : readWait(result.lsn, namespace, turn)
            metaAnswer(.notFound, nil, wait, isWrite, command, input, &session, &output, turn)
        case .conditionFailed:
            let wait = readWait(result.lsn, namespace, turn)
            metaAnswer(Self.refusalCode(command, result), nil, wait, false, command, input, &session, &output, turn)
        default: answer(result, command, namespace, &session, &output, turn, metrics)
        }
    }

    /// What to say of a write that a condition has prevented.
    private static func refusalCode(_ command: Command, _ result: WriteResult) -> MetaCode {
        switch command.condition {
        case .absent, .present: return .notStored
        default: break
        }
        if result.version != 0 { return .exists }
        return MemcachedWord.of(command.word) == .metaSet && command.meta.mode != .none ? .notStored : .notFound
    }

    private func metaAnswer(
        _ code: MetaCode, _ told: MetaEntry?, _ wait: Wait, _ isWrite: Bool, _ command: Command,
        _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        session.held.reply(wait, at: turn.position, to: command, isWrite: isWrite, output: &output) {
            MemcachedReply.meta(
                code, told, key: input.span(command.key), line: input.span(command.line), to: command, into: &$0)
        }
    }
}

extension MetaEntry {
    /// What a write has left.
    init(_ result: WriteResult, size: Int, _ now: Milliseconds) {
        self.init(size: size, version: result.version, clientFlags: 0, remaining: result.deadline.remaining(at: now))
    }
}

extension MetaMarks {
    /// Those that are kept beside a value.
    init(of metadata: RawSpan) {
        self.init(rawValue: Metadata.recache(in: metadata))
    }

    /// Keeps these in place of those that are there.
    func keep(in metadata: inout ByteBuffer) {
        Metadata.set(recache: rawValue & ~MetaMarks.won.rawValue, in: &metadata)
    }
}
