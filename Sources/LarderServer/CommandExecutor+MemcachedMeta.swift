// The meta commands of memcached that ask: mg and me. And how all of them are answered.
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
        guard result.isDone || result.outcome == .conditionFailed else {
            return answer(result, command, namespace, &session, &output, turn, metrics)
        }
        let (wait, isWrite) = outcomeWait(result, namespace, turn)
        metrics.count(hit: found != nil)
        // What is made with a lifetime that has passed is made all the same, and gone.
        if found == nil, result.outcome == .conditionFailed {
            return metaAnswer(.miss, nil, wait, false, command, input, &session, &output, turn)
        }
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
    func metaAnswer(
        _ result: WriteResult, _ size: Int?, _ command: Command, _ namespace: Namespace, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        switch result.outcome {
        case .created, .updated, .removed, .notFound:
            let told = size.map { MetaEntry(result, size: $0, turn.now) }
            let (wait, isWrite) = outcomeWait(result, namespace, turn)
            // A value whose lifetime has passed was stored all the same: then nothing is there, before as after.
            let code = result.outcome == .notFound && size == nil ? MetaCode.notFound : .done
            metaAnswer(code, told, wait, isWrite, command, input, &session, &output, turn)
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

    func metaAnswer(
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
