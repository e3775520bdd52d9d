// Where a command meets the store: keys and namespaces are judged, the store is asked, and the reply is written while
// the value lies under the lock.
//
// The same for every dialect. Knows no socket and no thread; the time and the log's position come with the turn.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderWire

/// What can be known of a command before it is executed.
package struct PreparedCommand: Sendable {
    var namespace: Namespace?
    var hash = KeyHash(value: 0)
    /// The key's shard is worth fetching.
    var touchesKey = false
    var failure: Failure?
}

/// Why the body of a request is not wanted.
struct HeadVerdict {
    enum Reason {
        case failure(Failure)
        /// The condition does not hold; the version of the entry, 0 when there is none.
        case condition(version: UInt64)
    }
    var reason: Reason
    var wait = Wait.nothing
}

/// A class, so that it is not copied for the requests of each connection; without a state of its own.
package final class CommandExecutor: Sendable {
    let store: Store
    let access: AccessControl
    let configuration: ServerConfiguration
    let log: any ReplyLog
    let recovery: RecoveryProgress
    let report: StatusReport
    let resp: RESPShared
    let flushes: DelayedFlushes

    init(
        store: Store, access: AccessControl, configuration: ServerConfiguration, log: any ReplyLog, recovery: RecoveryProgress,
        report: StatusReport, resp: RESPShared, flushes: DelayedFlushes
    ) {
        self.store = store
        self.access = access
        self.configuration = configuration
        self.log = log
        self.recovery = recovery
        self.report = report
        self.resp = resp
        self.flushes = flushes
    }

    // MARK: Before the execution

    /// Finds the namespace, judges the key, hashes it, and asks for the memory of its bucket.
    ///
    /// - Parameter command: Stays as it is; given where it lies, because a value of its size is copied.
    func prepare(
        _ prepared: inout PreparedCommand, _ command: inout Command, _ connection: Namespace?,
        _ input: borrowing ByteBuffer
    ) {
        prepared.failure = command.failure
        prepared.touchesKey = false
        prepared.namespace = nil
        guard command.failure == nil, command.needsNamespace else { return }
        switch command.namespace {
        case .connection: prepared.namespace = connection
        case .id(let high, let low): prepared.namespace = store.namespaces.find(id: NamespaceID(high: high, low: low))
        case .name(let range): prepared.namespace = store.namespaces.find(name: input.span(range))
        }
        guard command.operation.needsKey(command.word), let namespace = prepared.namespace else { return }
        let isGet = if case .get = command.operation { true } else { false }
        if let fault = store.prepare(namespace, key: input.span(command.key), hash: &prepared.hash, isOptimistic: isGet) {
            prepared.failure = Failure(fault, rule: namespace.keyRule)
        } else {
            prepared.touchesKey = true
        }
    }

    /// Asks for the memory of a batch's entries, once their buckets have arrived.
    func prefetch(_ batch: borrowing CommandBatch) {
        var passed: UInt32 = 0
        for index in 0..<batch.count where batch.prepared[index].touchesKey && store.prefetchEntry(batch.prepared[index].hash) {
            passed |= 1 << UInt32(index)
        }
        while passed != 0 {
            store.prefetchPassed(batch.prepared[passed.trailingZeroBitCount].hash)
            passed &= passed &- 1
        }
    }

    /// Whether a request whose body is still to come can succeed, as far as can be known now.
    ///
    /// - Returns: The refusal, in the order in which the finished request would be refused; nil when it may go on.
    func judge(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ turn: Turn
    ) -> HeadVerdict? {
        if let failure = accessRefusal(command, input, .http, turn, isLoggedIn: false) {
            return HeadVerdict(reason: .failure(failure))
        }
        if let failure = refusal(command, prepared, turn) { return HeadVerdict(reason: .failure(failure)) }
        guard command.operation == .put, command.condition != .none, let namespace = prepared.namespace else { return nil }
        let result = store.read(namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now) { _ in }
        let version = result.hit ? result.lsn.rawValue : nil
        if command.condition.holds(for: version) { return nil }
        return HeadVerdict(reason: .condition(version: version ?? 0), wait: readWait(result.lsn, namespace, turn))
    }

    /// Why a request may not pass, whatever else it says. In HTTP each shows its own credential; elsewhere a login does, and
    /// before it nothing else is looked at. In binary there is always one, because it chooses the namespace.
    @inline(__always)
    func accessRefusal(
        _ command: Command, _ input: borrowing ByteBuffer, _ dialect: Dialect, _ turn: Turn, isLoggedIn: Bool
    ) -> Failure? {
        if case .http = dialect { return command.operation.isOpen ? nil : access.refusal(of: command, in: input) }
        if isLoggedIn, !command.operation.isHello { return nil }
        return loginRefusal(command, input, dialect, turn, isLoggedIn: isLoggedIn)
    }

    /// The same for what comes before the login, and for a binary hello.
    private func loginRefusal(
        _ command: Command, _ input: borrowing ByteBuffer, _ dialect: Dialect, _ turn: Turn, isLoggedIn: Bool
    ) -> Failure? {
        if dialect == .resp || dialect == .memcached {
            if command.mayPrecedeLogin { return nil }
            if access.needsKey { return .notLoggedIn }
            // Without a key there is nothing to log in with; then the namespace that connections are to be in is not there.
            return turn.isReady ? .namespaceNotFound : .loading
        }
        guard case .hello = command.operation else { return .helloRequired }
        // A further hello without credentials keeps the login.
        if isLoggedIn, command.value.isEmpty { return nil }
        return access.accepts(input.span(command.value)) ? nil : .wrongKey
    }

    /// What speaks against executing a command at all.
    private func refusal(
        _ command: Command, _ prepared: PreparedCommand, _ turn: Turn
    ) -> Failure? {
        if let failure = command.failure { return failure }
        guard turn.isReady || command.worksWhileLoading else { return .loading }
        if let failure = prepared.failure { return failure }
        guard command.needsNamespace else { return nil }
        guard let namespace = prepared.namespace else {
            return command.namespace == .connection ? .helloRequired : .namespaceNotFound
        }
        switch namespace.state {
        case .ready: return nil
        case .pending: return .namespacePending
        case .deleting: return command.operation.worksOnDeletedNamespace ? nil : .namespaceDeleting
        }
    }

    // MARK: Execution

    /// Executes one command and writes its reply.
    func execute(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn,
        _ metrics: WorkerMetrics
    ) {
        if session.held.skipsParts, session.skips(command) { return }
        let dialect = session.dialect
        if let failure = accessRefusal(command, input, dialect, turn, isLoggedIn: session.namespace != nil) {
            session.mustClose = dialect == .binary || dialect == .memcached
            return refuse(failure, command, &session, &output, turn, metrics)
        }
        // Most often nothing speaks against it, and that is told soon.
        if !(prepared.touchesKey && turn.isReady && prepared.namespace!.state == .ready),
            let failure = refusal(command, prepared, turn)
        {
            return refuse(failure, command, &session, &output, turn, metrics)
        }
        switch command.operation {
        case .get:
            get(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .put:
            guard describe(command, input, &scratch.metadata) else {
                return refuse(.contentTypeTooLong, command, &session, &output, turn, metrics)
            }
            if command.value.count > Store.sliceBytes,
                putLarge(command, prepared, input, &session, &output, &scratch, turn, metrics)
            {
                return
            }
            let result = store.put(
                prepared.namespace!, key: input.span(command.key), hash: prepared.hash, value: input.span(command.value),
                metadata: scratch.metadata.bytes, lifetime: command.lifetime.change,
                condition: command.condition.engine, now: turn.now)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .delete:
            let result = store.remove(
                prepared.namespace!, key: input.span(command.key), hash: prepared.hash, condition: command.condition.engine,
                now: turn.now)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .setLifetime:
            let result = store.setDeadline(
                prepared.namespace!, key: input.span(command.key), hash: prepared.hash, lifetime: command.lifetime.change,
                condition: command.condition.engine, now: turn.now)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .increment:
            let result = store.increment(
                prepared.namespace!, key: input.span(command.key), hash: prepared.hash, delta: command.delta,
                lifetime: command.lifetime.change, now: turn.now)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .append:
            let result = store.append(
                prepared.namespace!, key: input.span(command.key), hash: prepared.hash, value: input.span(command.value),
                lifetime: command.lifetime.change, now: turn.now)
            scratch.rewrittenBytes &+= UInt64(clamping: result.integer)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .exists, .lifetime:
            inspect(command, prepared, input, &session, &output, turn, metrics)
        case .getAndTouch:
            getAndTouch(command, prepared, input, &session, &output, turn, metrics)
        case .getMany:
            getMany(command, prepared, input, &session, &output, &scratch.many, turn, metrics)
        default:
            executeRare(command, prepared, input, &session, &output, &scratch, turn, metrics)
        }
    }

    /// Leaves what is kept beside a value in `metadata`: its content type, unless that is what an entry without one has, and
    /// a client's flags.
    ///
    /// - Returns: false when the content type is too long.
    func describe(_ command: Command, _ input: borrowing ByteBuffer, _ metadata: inout ByteBuffer) -> Bool {
        metadata.removeAll()
        if command.clientFlags != 0 { Metadata.append(clientFlags: command.clientFlags, to: &metadata) }
        guard command.contentType.count <= Self.contentTypeBytesMax else { return false }
        let type = input.span(command.contentType)
        if type.byteCount > 0, !type.equals("application/octet-stream") {
            Metadata.append(Metadata.contentType, type, to: &metadata)
        }
        return true
    }

    /// The longest content type, in every dialect.
    static let contentTypeBytesMax = 255

    // MARK: Reads

    /// Whether a key is there, or how long it has left.
    private func inspect(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let dialect = session.dialect
        let waits = namespace.isDurable
        let result = store.read(namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now) { entry in
            let wait = waits ? Wait.durable(entry.lsn) : .nothing
            session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
                if command.operation == .exists {
                    Reply.done(.ok, version: entry.lsn.rawValue, to: command, in: dialect, into: &target)
                } else {
                    Reply.lifetime(
                        entry.deadline.remaining(at: turn.now), version: entry.lsn.rawValue, to: command, in: dialect,
                        into: &target)
                }
            }
        }
        if !result.hit { miss(result.lsn, namespace, command, &session, &output, turn) }
    }

    /// Sets the lifetime and answers with the entry, as it is after that.
    func getAndTouch(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let touched = store.setDeadline(
            namespace, key: input.span(command.key), hash: prepared.hash, lifetime: command.lifetime.change, condition: .none,
            now: turn.now)
        guard touched.outcome == .updated else {
            return answer(touched, command, namespace, &session, &output, turn, metrics)
        }
        let dialect = session.dialect
        let key = input.span(command.key)
        let result = store.read(namespace, key: key, hash: prepared.hash, now: turn.now) { entry in
            // Somebody else may have written in between; what is shown counts.
            let wait = writeWait(max(touched.lsn, entry.lsn), namespace)
            session.held.reply(wait, at: turn.position, to: command, isWrite: true, output: &output) { target in
                Reply.entry(EntryReply(entry, key, dialect, turn.now), to: command, in: dialect, into: &target)
            }
        }
        // Somebody else removed it in between.
        if !result.hit { miss(result.lsn, namespace, command, &session, &output, turn) }
    }

    private func getMany(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ many: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let rule = namespace.keyRule
        var ahead = BinaryKeyList(command.value, in: input)
        var keys = ahead
        let count = keys.count
        // So many keys are hashed and their memory asked for before the first of them is read.
        var hashes = InlineArray<16, KeyHash>(repeating: KeyHash(value: 0))
        var hashed = 0
        var read = 0
        var latest = LSN.zero
        var mark = BinaryReply.beginMany(count, to: command, into: &many)
        while read < count {
            if hashed == read {
                while hashed < count, hashed - read < 16, let range = ahead.next(in: input) {
                    let hash = store.hash(namespace, input.span(range))
                    store.prefetch(hash)
                    hashes[hashed - read] = hash
                    hashed += 1
                }
                for index in 0..<(hashed - read) { store.prefetchEntry(hashes[index]) }
            }
            guard let range = keys.next(in: input) else { break }
            let key = input.span(range)
            if let fault = rule.checkKey(key) {
                BinaryReply.manyMiss(Failure(fault, rule: rule).status, mark: &mark, into: &many)
            } else {
                let result = store.read(namespace, key: key, hash: hashes[read & 15], now: turn.now) { entry in
                    BinaryReply.manyHit(
                        EntryReply(entry, key, .binary, turn.now), mark: &mark, to: command, into: &many)
                }
                if result.lsn > latest { latest = result.lsn }
                metrics.count(hit: result.hit)
                if !result.hit { BinaryReply.manyMiss(mark: &mark, into: &many) }
            }
            read += 1
        }
        BinaryReply.endMany(mark, into: &many)
        let wait = readWait(latest, namespace, turn)
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { $0.append(many.bytes) }
        many.removeAll()
        many.shrink(above: 1 << 20)
    }

    // MARK: Answers

    /// What a reply waits for that shows what writes up to position `lsn` have done.
    @inline(__always)
    func readWait(_ lsn: LSN, _ namespace: Namespace, _ turn: Turn) -> Wait {
        guard namespace.isDurable, lsn > turn.position.durable else { return .nothing }
        // `lsn` may be that of a write to a namespace which is not logged, and then the log need never come as far.
        return .durable(min(lsn, store.log.mark()))
    }

    /// What the reply to a write with position `lsn` waits for.
    func writeWait(_ lsn: LSN, _ namespace: Namespace) -> Wait {
        switch namespace.durability {
        case .always: .durable(lsn)
        case .interval: .interval(lsn)
        case .never: .written(lsn)
        case .off: .nothing
        }
    }

    /// What the reply to a write waits for, and whether anything was written.
    func outcomeWait(_ result: WriteResult, _ namespace: Namespace, _ turn: Turn) -> (Wait, isWrite: Bool) {
        switch result.outcome {
        // In a namespace that evicts, the removal was logged although there was nothing in memory: only with it the key stays away.
        case .notFound where namespace.eviction == .none: (readWait(result.lsn, namespace, turn), false)
        case .conditionFailed: (readWait(result.lsn, namespace, turn), false)
        default: (writeWait(result.lsn, namespace), true)
        }
    }

    /// Answers a write.
    func answer(
        _ result: WriteResult, _ command: Command, _ namespace: Namespace, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let dialect = session.dialect
        let version = result.version
        switch result.outcome {
        case .created, .updated, .removed:
            let operation = command.operation
            session.held.reply(
                writeWait(result.lsn, namespace), at: turn.position, to: command, isWrite: true, output: &output
            ) { target in
                if operation == .increment || operation == .append {
                    Reply.integer(result.integer, version: version, to: command, in: dialect, into: &target)
                } else {
                    Reply.done(
                        result.outcome == .created ? .created : .ok, version: version, to: command, in: dialect,
                        into: &target)
                }
            }
        case .notFound where namespace.eviction != .none:
            // The removal was logged although there was nothing in memory: only with it the key stays away.
            session.held.reply(
                writeWait(result.lsn, namespace), at: turn.position, to: command, isWrite: true, output: &output
            ) { target in
                Reply.done(.notFound, version: 0, to: command, in: dialect, into: &target)
            }
        case .notFound:
            miss(result.lsn, namespace, command, &session, &output, turn)
        case .conditionFailed:
            let wait = readWait(result.lsn, namespace, turn)
            session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
                Reply.done(.conditionFailed, version: version, to: command, in: dialect, into: &target)
            }
        // These tell of the value that is there, so they wait as a read of it does.
        case .notAnInteger:
            refuse(.notAnInteger, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        case .integerOverflow:
            refuse(.integerOverflow, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        case .valueTooLarge:
            refuse(.valueTooLarge, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        case .backlog: waitForLog(command, &session, &output, turn, metrics)
        case .refused: refuseWrite(command, &session, &output, turn, metrics)
        case .outOfMemory: refuse(.outOfMemory, command, &session, &output, turn, metrics)
        case .namespaceFull:
            let failure: Failure = namespace.eviction == .none ? .namespaceFull : .largerThanNamespace
            refuse(failure, command, &session, &output, turn, metrics)
        case .namespaceGone: refuse(.namespaceDeleting, command, &session, &output, turn, metrics)
        }
    }

    /// Answers with a refusal. In order behind replies that wait; most wait for nothing themselves.
    func refuse(
        _ failure: Failure, _ command: Command, _ session: inout Session, _ output: inout ByteBuffer,
        _ turn: Turn, _ metrics: WorkerMetrics, after wait: Wait = .nothing
    ) {
        metrics.refusals.add(1)
        let dialect = session.dialect
        session.noteRefusal(command)
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.failure(failure, to: command, in: dialect, into: &target)
        }
    }

    /// Leaves a write that the log cannot stage at the moment, and has not changed anything, for the next turn; a client that
    /// sends faster than the disk writes is slowed down so. Refuses it if it is known not to go on by itself.
    func waitForLog(
        _ command: Command, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn,
        _ metrics: WorkerMetrics
    ) {
        if let refusal = log.reserveRefusal {
            refuseWrite(command, &session, &output, turn, metrics, because: refusal)
        } else if !turn.logWorks {
            // Without a log no LSNs are reserved either, for what is not logged.
            refuseWrite(command, &session, &output, turn, metrics)
        } else {
            session.needsAnotherTurn = true
        }
    }

    /// Answers a write that the log cannot take: says what is wrong with the log, and since when.
    ///
    /// - Parameter refusal: nil: `log.refusal`.
    func refuseWrite(
        _ command: Command, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn,
        _ metrics: WorkerMetrics, because refusal: LogRefusal? = nil
    ) {
        metrics.refusals.add(1)
        let dialect = session.dialect
        session.noteRefusal(command)
        let refusal = refusal ?? log.refusal
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.failure(
                refusal.isDiskFull ? .diskFull : .readOnly, text: refusal.text, to: command, in: dialect, into: &target)
        }
    }
}
