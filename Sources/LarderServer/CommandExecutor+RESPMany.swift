// The commands of RESP over many keys: each key by itself, and so many in a turn that no other connection waits for them.
//
// What is done of a command is kept beside the session, and the command is executed again in the next turn.

import LarderBytes
import LarderEngine
import LarderWire

/// A command over many keys that has begun.
struct RESPManyInProgress: ~Copyable, Sendable {
    /// The keys that are left.
    var arguments: RESPArguments
    var reply = ByteBuffer()
    var count: Int64 = 0
    /// The last write of others that the reply shows, and the last of its own.
    var seen = LSN.zero
    var written = LSN.zero
    /// Where a scan goes on, and whether it has come round to its beginning.
    var cursor: UInt64 = 0
    var isRound = false

    init(_ arguments: RESPArguments) { self.arguments = arguments }

    mutating func note(seen lsn: LSN) { if lsn > seen { seen = lsn } }
    mutating func note(written lsn: LSN) { if lsn > written { written = lsn } }
}

/// Some of the keys of a command, hashed, with their memory on its way.
private struct KeyGroup {
    static let size = 16
    var ranges = InlineArray<16, ByteRange>(repeating: .empty)
    var hashes = InlineArray<16, KeyHash>(repeating: KeyHash(value: 0))
    var count = 0
}

extension CommandExecutor {
    /// So many keys of one command in one turn: half a millisecond.
    private static let keysPerTurn = 2_048

    // MARK: MGET

    func mget(
        _ request: RESPRequest, _ arguments: RESPArguments, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var progress: RESPManyInProgress
        if let begun = session.many.take() {
            progress = begun
        } else {
            progress = RESPManyInProgress(arguments)
            swap(&progress.reply, &scratch.many)
            RESPReply.array(arguments.count, into: &progress.reply)
        }
        var left = Self.keysPerTurn
        while progress.arguments.count > 0, left > 0, scratch.copyWork > 0 {
            let before = progress.reply.count
            let group = try nextKeys(&progress.arguments, request.namespace, input)
            if session.isWatching { remember(group, request, input, session, &scratch) }
            for index in 0..<group.count { readOne(group, index, request, input, &progress) }
            left -= group.count
            scratch.copyWork -= progress.reply.count - before
            guard progress.reply.count <= configuration.outputBytesMax else { throw .replyTooLarge }
        }
        if progress.arguments.count > 0 { return goOn(consume progress, &session) }
        reply(request, after: readWait(progress.seen, request.namespace, request.turn), &session, &output) {
            $0.append(progress.reply.bytes)
        }
        progress.reply.removeAll()
        progress.reply.shrink(above: 1 << 20)
        swap(&progress.reply, &scratch.many)
    }

    private func readOne(
        _ group: KeyGroup, _ index: Int, _ request: RESPRequest, _ input: borrowing ByteBuffer,
        _ progress: inout RESPManyInProgress
    ) {
        let result = store.read(
            request.namespace, key: input.span(group.ranges[index]), hash: group.hashes[index], now: request.turn.now
        ) { RESPReply.bulk($0.value, into: &progress.reply) }
        progress.note(seen: result.lsn)
        request.metrics.count(hit: result.hit)
        if !result.hit { RESPReply.null(request.isRESP3, into: &progress.reply) }
    }

    // MARK: MSET

    func mset(
        _ request: RESPRequest, _ arguments: RESPArguments, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var progress: RESPManyInProgress
        if let begun = session.many.take() {
            progress = begun
        } else {
            guard arguments.count % 2 == 0 else {
                return refuse("ERR wrong number of arguments for 'mset' command", request, &session, &output)
            }
            try checkPairs(arguments, request.namespace, input)
            progress = RESPManyInProgress(arguments)
        }
        var left = Self.keysPerTurn
        while progress.arguments.count > 0, left > 0, scratch.copyWork > 0 {
            var rest = progress.arguments
            guard let range = rest.next(in: input), let value = rest.next(in: input) else { break }
            let key = try key(range, request.namespace, input)
            let result = store.put(
                request.namespace, key: input.span(range), hash: key.hash, value: input.span(value), now: request.turn.now)
            guard result.isDone else {
                // What the log has no room for is written in the next turn, and the keys before it are not written again.
                answer(result, request.command, request.namespace, &session, &output, request.turn, request.metrics)
                if session.needsAnotherTurn { session.many = consume progress }
                return
            }
            progress.arguments = rest
            progress.note(written: result.lsn)
            request.metrics.putsTogether.add(1)
            left -= 1
            scratch.copyWork -= value.count
        }
        if progress.arguments.count > 0 { return goOn(consume progress, &session) }
        reply(request, after: writeWait(progress.written, request.namespace), isWrite: true, &session, &output) {
            RESPReply.ok(into: &$0)
        }
    }

    /// Nothing is written when a key or a value is none.
    private func checkPairs(
        _ arguments: RESPArguments, _ namespace: Namespace, _ input: borrowing ByteBuffer
    ) throws(Failure) {
        var rest = arguments
        while let range = rest.next(in: input), let value = rest.next(in: input) {
            try check(range, namespace, input)
            if value.count > configuration.valueBytesMax { throw .valueTooLarge }
        }
    }

    // MARK: DEL, UNLINK, EXISTS

    func countKeys(
        _ request: RESPRequest, _ arguments: RESPArguments, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var progress: RESPManyInProgress
        if let begun = session.many.take() {
            progress = begun
        } else {
            var rest = arguments
            while let range = rest.next(in: input) { try check(range, request.namespace, input) }
            progress = RESPManyInProgress(arguments)
        }
        var left = Self.keysPerTurn
        while progress.arguments.count > 0, left > 0 {
            let before = progress.arguments
            let group = try nextKeys(&progress.arguments, request.namespace, input)
            if session.isWatching, request.word == .exists { remember(group, request, input, session, &scratch) }
            for index in 0..<group.count {
                guard let refused = countOne(group, index, request, input, &progress) else { continue }
                // Those before it are done; who goes on in the next turn begins with this one.
                progress.arguments = before
                for _ in 0..<index { _ = progress.arguments.next(in: input) }
                answer(refused, request.command, request.namespace, &session, &output, request.turn, request.metrics)
                if session.needsAnotherTurn { session.many = consume progress }
                return
            }
            left -= group.count
        }
        if progress.arguments.count > 0 { return goOn(consume progress, &session) }
        let isWrite = progress.written > .zero
        let wait = wait(written: progress.written, seen: progress.seen, request)
        reply(request, after: wait, isWrite: isWrite, &session, &output) { RESPReply.integer(progress.count, into: &$0) }
    }

    /// - Returns: What was refused; nil when it was done.
    private func countOne(
        _ group: KeyGroup, _ index: Int, _ request: RESPRequest, _ input: borrowing ByteBuffer,
        _ progress: inout RESPManyInProgress
    ) -> WriteResult? {
        let key = input.span(group.ranges[index])
        if request.word == .exists {
            let result = store.read(request.namespace, key: key, hash: group.hashes[index], now: request.turn.now) { _ in }
            progress.note(seen: result.lsn)
            progress.count += result.hit ? 1 : 0
            return nil
        }
        let result = store.remove(request.namespace, key: key, hash: group.hashes[index], now: request.turn.now)
        switch result.outcome {
        case .removed:
            progress.note(written: result.lsn)
            progress.count += 1
        case .notFound where request.namespace.eviction != .none: progress.note(written: result.lsn)
        case .notFound: progress.note(seen: result.lsn)
        default: return result
        }
        return nil
    }

    // MARK: Parts

    /// Takes the next keys of a command, and asks for their memory.
    private func nextKeys(
        _ arguments: inout RESPArguments, _ namespace: Namespace, _ input: borrowing ByteBuffer
    ) throws(Failure) -> KeyGroup {
        var group = KeyGroup()
        while group.count < KeyGroup.size, let range = arguments.next(in: input) {
            let key = try key(range, namespace, input)
            store.prefetch(key.hash)
            group.ranges[group.count] = range
            group.hashes[group.count] = key.hash
            group.count += 1
        }
        for index in 0..<group.count { store.prefetchEntry(group.hashes[index]) }
        return group
    }

    /// Notes keys that the client is about to have in its cache.
    private func remember(
        _ group: KeyGroup, _ request: RESPRequest, _ input: borrowing ByteBuffer, _ session: borrowing Session, _ scratch: inout Scratch
    ) {
        guard let watcher = scratch.watch.watcher(session.token), watcher.tracking?.remembers == true else { return }
        for index in 0..<group.count { scratch.watch.remember(watcher, request.namespace, input.span(group.ranges[index])) }
    }

    func goOn(_ progress: consuming RESPManyInProgress, _ session: inout Session) {
        session.many = consume progress
        session.needsAnotherTurn = true
    }

    /// What a reply waits for that tells of writes of its own, and of others' up to `seen`.
    private func wait(written: LSN, seen: LSN, _ request: RESPRequest) -> Wait {
        let read = readWait(seen, request.namespace, request.turn)
        guard written > .zero else { return read }
        if case .durable(let lsn) = read { return .durable(max(lsn, written)) }
        return writeWait(written, request.namespace)
    }
}

extension Failure {
    static let replyTooLarge = Failure(
        .limitInvalid, "the reply would be larger than output-bytes-max; ask for fewer keys at once")
}
