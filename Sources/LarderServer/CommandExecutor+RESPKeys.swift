// The commands of RESP about one key: what is known of it, and how long it lives.

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
        let key = try key(words[1], request.namespace, input)
        if subcommand == "freq" { return try frequency(of: key, request, input, &session, &output) }
        let now = request.turn.now
        look(key, request, input, &session, &output) { entry, target in
            switch subcommand {
            case "encoding": RESPReply.bulk(Self.encoding(entry.value), into: &target)
            case "refcount": RESPReply.integer(1, into: &target)
            // Reads leave no time behind; this is the time since the last write.
            default: RESPReply.integer(max(now - entry.lsn.milliseconds, 0) / 1_000, into: &target)
            }
        } missing: { RESPReply.null(isRESP3, into: &$0) }
    }

    /// OBJECT FREQ: only where entries are evicted is their use counted.
    private func frequency(
        of key: RESPKey, _ request: RESPRequest, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let namespace = request.namespace
        let (uses, result) = store.frequency(namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now)
        let wait = readWait(result.lsn, namespace, request.turn)
        if result.hit, namespace.eviction == .none {
            return refuse(.noFrequency, request.command, &session, &output, request.turn, request.metrics, after: wait)
        }
        reply(request, after: wait, &session, &output) { target in
            if result.hit { RESPReply.integer(Int64(uses), into: &target) } else { RESPReply.null(request.isRESP3, into: &target) }
        }
    }

    /// What Redis would keep such a value as.
    private static func encoding(_ value: RawSpan) -> String {
        if value.byteCount <= 20, RESPInteger.parse(value) != nil { return "int" }
        return value.byteCount <= 44 ? "embstr" : "raw"
    }

    private func memory(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let isRESP3 = request.isRESP3
        if words.count > 2 {
            // How many elements of a list to look at; a string has none.
            guard words.count == 4, lowercase(words[2], input) == "samples" else { throw .syntaxError }
            guard try integer(words[3], input) >= 0 else { throw .syntaxError }
        }
        let keyBytes = words[1].count
        look(try key(words[1], request.namespace, input), request, input, &session, &output) { entry, target in
            // docs/memory-layout.md: header and place in the table, and what a lifetime takes besides.
            let bytes = 26 + keyBytes + entry.value.byteCount + entry.metadata.byteCount + (entry.deadline == .never ? 0 : 14)
            RESPReply.integer(Int64(bytes), into: &target)
        } missing: { RESPReply.null(isRESP3, into: &$0) }
    }

    /// Replies with what `found` makes of a live entry. It is called with the shard locked.
    func look(
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
            var rest = arguments
            _ = rest.next(in: input)
            _ = rest.next(in: input)
            options = try RESPExpireOptions(&rest, in: input)
            if let unknown = options?.unknown {
                return refuse("ERR Unsupported option \(Self.shown(unknown, input))", request, &session, &output)
            }
            lifetime = try RESPTime.any(input.span(words[1]), RESPTime.unit(of: request.word), for: request.word)
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
}

extension Failure {
    fileprivate static let noFrequency = Failure(
        .malformed,
        "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
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
