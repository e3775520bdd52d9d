// The commands of RESP about one key: what is known of it, how long it lives, what it is called.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    // MARK: Looking

    func inspect(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        switch request.word {
        case .strlen:
            look(try key(words[0], request.namespace, input), request, input, &session, &output) { entry, target in
                RESPReply.integer(Int64(entry.value.byteCount), into: &target)
            } missing: { RESPReply.integer(0, into: &$0) }
        case .getrange:
            let (first, last) = (try integer(words[1], input), try integer(words[2], input))
            look(try key(words[0], request.namespace, input), request, input, &session, &output) { entry, target in
                let value = entry.value
                RESPReply.bulk(value.slice(Self.range(first, last, of: value.byteCount)), into: &target)
            } missing: { RESPReply.bulk("", into: &$0) }
        case .expiretime, .pexpiretime:
            let inSeconds = request.word == .expiretime
            look(try key(words[0], request.namespace, input), request, input, &session, &output) { entry, target in
                let time = entry.deadline.rawValue
                RESPReply.integer(entry.deadline == .never ? -1 : inSeconds ? (time + 500) / 1_000 : time, into: &target)
            } missing: { RESPReply.integer(-2, into: &$0) }
        case .memory: try memory(request, words, input, &session, &output)
        default: try object(request, words, input, &session, &output)
        }
    }

    private func object(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let isRESP3 = request.isRESP3
        let subcommand = lowercase(words[0], input)
        guard words.count == 2, ["encoding", "refcount", "idletime", "freq"].contains(subcommand) else {
            return refuseSubcommand(request, words, input, &session, &output)
        }
        let now = request.turn.now
        look(try key(words[1], request.namespace, input), request, input, &session, &output) { entry, target in
            switch subcommand {
            case "encoding": RESPReply.bulk(Self.encoding(entry.value), into: &target)
            case "refcount": RESPReply.integer(1, into: &target)
            // Reads leave no time behind; this is the time since the last write.
            case "idletime": RESPReply.integer(max(now - entry.lsn.milliseconds, 0) / 1_000, into: &target)
            default:
                RESPReply.error(
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked.", into: &target)
            }
        } missing: { RESPReply.null(isRESP3, into: &$0) }
    }

    /// What Redis would keep such a value as.
    private static func encoding(_ value: RawSpan) -> String {
        if value.byteCount <= 20, Decimal.parse(value) != nil { return "int" }
        return value.byteCount <= 44 ? "embstr" : "raw"
    }

    private func memory(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let isRESP3 = request.isRESP3
        guard lowercase(words[0], input) == "usage", words.count == 2 || words.count == 4 else {
            return refuseSubcommand(request, words, input, &session, &output)
        }
        if words.count == 4 {
            guard lowercase(words[2], input) == "samples" else { throw .syntaxError }
            _ = try integer(words[3], input)
        }
        let keyBytes = words[1].count
        look(try key(words[1], request.namespace, input), request, input, &session, &output) { entry, target in
            // docs/memory-layout.md: header and place in the table, and what a lifetime takes besides.
            let bytes = 26 + keyBytes + entry.value.byteCount + entry.metadata.byteCount + (entry.deadline == .never ? 0 : 14)
            RESPReply.integer(Int64(bytes), into: &target)
        } missing: { RESPReply.null(isRESP3, into: &$0) }
    }

    /// Replies with what `found` makes of a live entry. It is called with the shard locked.
    private func look(
        _ key: RESPKey, _ request: RESPRequest, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, found: (borrowing EntryView, inout ByteBuffer) -> Void, missing: (inout ByteBuffer) -> Void
    ) {
        let waits = request.namespace.isDurable
        let result = store.read(request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now) { entry in
            let wait = waits ? Wait.durable(entry.lsn) : .nothing
            session.held.reply(
                wait, at: request.turn.position, to: request.command, isWrite: false, output: &output
            ) { found(entry, &$0) }
        }
        guard !result.hit else { return }
        reply(request, after: readWait(result.lsn, request.namespace, request.turn), &session, &output, missing)
    }

    // MARK: Lifetimes

    /// EXPIRE and its like with an option or a fault, and PERSIST.
    func changeDeadline(
        _ request: RESPRequest, _ words: [ByteRange], _ arguments: RESPArguments, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let key = try key(words[0], request.namespace, input)
        var lifetime = Lifetime.unlimited
        var options: RESPExpireOptions?
        if request.word != .persist {
            lifetime = try RESPTime.any(input.span(words[1]), RESPTime.unit(of: request.word), for: request.word)
            var rest = arguments
            _ = rest.next(in: input)
            _ = rest.next(in: input)
            options = try RESPExpireOptions(&rest, in: input)
        }
        let deadline = lifetime.deadline(at: request.turn.now)
        let result = rewrite(
            request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now, readsValue: false, &scratch
        ) { present, _ in
            guard let present else { return .leave }
            let old = present.deadline == .never ? nil : present.deadline.rawValue
            let isAllowed = options.map { $0.allow(deadline, replacing: old) } ?? (old != nil)
            return isAllowed ? .setDeadline(lifetime.change) : .leave
        }
        let isDone = result.outcome != .conditionFailed && result.outcome != .notFound
        answer(result, request, &session, &output) { RESPReply.integer(isDone ? 1 : 0, into: &$0) }
    }

    // MARK: Other names

    /// RENAME, RENAMENX, COPY: the target is written, and then the source is deleted if it is still what was copied; each of it
    /// by itself.
    func copy(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let target = try copyTarget(request, words, input)
        let source = try key(words[0], request.namespace, input)
        let goal = try key(words[1], target.namespace, input)
        let isSame = target.namespace == request.namespace && input.span(source.range).hasSameBytes(as: input.span(goal.range))
        if isSame, request.word == .copy { throw Failure(.malformed, "source and destination objects are the same") }
        var condition: WriteCondition = target.replaces ? .none : .absent
        var written: WriteResult?
        for _ in 0..<Self.copiesMax {
            let (found, lsn) = look(
                request.namespace, key: input.span(source.range), hash: source.hash, now: request.turn.now, &scratch)
            let seen = readWait(lsn, request.namespace, request.turn)
            guard let present = found else {
                // Somebody else deleted it behind our copy.
                if written != nil { break }
                if request.word == .copy { return finishCopy(request, isDone: false, seen, &session, &output) }
                return refuse(.noSuchKey, request.command, &session, &output, request.turn, request.metrics, after: seen)
            }
            if isSame { return finishCopy(request, isDone: target.replaces, seen, &session, &output) }
            let result = store.put(
                target.namespace, key: input.span(goal.range), hash: goal.hash, value: scratch.present.bytes,
                metadata: scratch.metadata.bytes,
                lifetime: present.deadline == .never ? .unlimited : .until(present.deadline.rawValue), condition: condition,
                now: request.turn.now)
            if result.outcome == .conditionFailed {
                // Ours was overwritten meanwhile, and what the source is now came after it.
                if written != nil { break }
                return finishCopy(
                    request, isDone: false, readWait(result.lsn, target.namespace, request.turn), &session, &output)
            }
            guard result.isDone else {
                return answer(result, request.command, target.namespace, &session, &output, request.turn, request.metrics)
            }
            written = result
            condition = target.replaces ? .none : result.version == 0 ? .absent : .version(result.version)
            if request.word == .copy { break }
            let removed = store.remove(
                request.namespace, key: input.span(source.range), hash: source.hash, condition: .version(present.lsn.rawValue),
                now: request.turn.now)
            if removed.outcome == .conditionFailed { continue }
            guard removed.isDone else { return refuseHalf(request, &session, &output) }
            written = removed
            break
        }
        scratch.forgetEntry()
        finishCopy(request, isDone: true, writeWait(written?.lsn ?? .zero, target.namespace), &session, &output)
    }

    /// How often a source that somebody else writes all the time is copied anew.
    private static let copiesMax = 16

    private func copyTarget(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer
    ) throws(Failure) -> (namespace: Namespace, replaces: Bool) {
        if request.word != .copy { return (request.namespace, request.word == .rename) }
        var (namespace, replaces, index) = (request.namespace, false, 2)
        while index < words.count {
            switch lowercase(words[index], input) {
            case "replace":
                replaces = true
                index += 1
            case "db" where index + 1 < words.count:
                let number = try integer(words[index + 1], input)
                guard let found = databases.first(where: { Int64($0.index) == number }) else {
                    throw Failure(.malformed, "DB index is out of range")
                }
                namespace = found.namespace
                index += 2
            default: throw .syntaxError
            }
        }
        return (namespace, replaces)
    }

    private func finishCopy(
        _ request: RESPRequest, isDone: Bool, _ wait: Wait, _ session: inout Session, _ output: inout ByteBuffer
    ) {
        reply(request, after: wait, isWrite: true, &session, &output) { target in
            if request.word == .rename { RESPReply.ok(into: &target) } else { RESPReply.integer(isDone ? 1 : 0, into: &target) }
        }
    }

    /// The log failed, or fell behind, between the two writes.
    private func refuseHalf(_ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        refuse(
            "MISCONF the new key was written, and the old one could not be deleted: the log takes no writes at the moment",
            request, &session, &output)
    }
}

extension Failure {
    fileprivate static let noSuchKey = Failure(.malformed, "no such key")
}

extension LarderWire.Lifetime {
    /// The deadline that it comes to, Unix milliseconds.
    func deadline(at now: Milliseconds) -> Milliseconds {
        switch self {
        case .unlimited, .keep: .max
        case .milliseconds(let count): now.addingReportingOverflow(count).overflow ? (count < 0 ? .min : .max) : now + count
        case .until(let time): time
        }
    }
}

extension WriteResult {
    /// Whether the store is as the write wanted it.
    var isDone: Bool {
        switch outcome {
        case .created, .updated, .removed, .notFound: true
        default: false
        }
    }
}
