// The commands of RESP about the server as a whole.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func administer(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let turn = request.turn
        switch request.word {
        case .dbsize:
            let count = store.usage(of: request.namespace).keys
            reply(request, &session, &output) { RESPReply.integer(Int64(count), into: &$0) }
        case .flushdb, .flushall: try flush(request, words, input, &session, &output)
        case .time:
            reply(request, &session, &output) { target in
                RESPReply.array(2, into: &target)
                RESPReply.bulk(String(turn.now / 1_000), into: &target)
                RESPReply.bulk(String(turn.now % 1_000 * 1_000), into: &target)
            }
        case .wait:
            _ = try integer(words[0], input)
            guard let timeout = RESPInteger.parse(input.span(words[1])) else {
                throw Failure(.malformed, "timeout is not an integer or out of range")
            }
            guard timeout >= 0 else { throw Failure(.malformed, "timeout is negative") }
            reply(request, &session, &output) { RESPReply.integer(0, into: &$0) }
        case .save, .bgsave: save(request, &session, &output)
        case .lastsave:
            let last = lastSaveMilliseconds
            reply(request, &session, &output) { RESPReply.integer(last / 1_000, into: &$0) }
        case .command: commandTable(request, words, input, &session, &output)
        case .config: try configure(request, words, input, &session, &output)
        case .info:
            let sections = words.map { lowercase($0, input) }
            text(RESPInfo.text(sections, self, turn), request, &session, &output)
        case .latency: latency(request, words, input, &session, &output)
        case .slowlog: try slowLog(request, words, input, &session, &output)
        case .debug: try debug(request, words, input, &session, &output)
        case .shutdown: try shutDown(request, words, input, &session, &output)
        default: refuse(.unknownOperation, request.command, &session, &output, turn, request.metrics)
        }
    }

    // MARK: Flushing and saving

    private func flush(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        if let word = words.first {
            // Both mean the same here: the keys are gone at once, and their memory comes back by and by.
            guard words.count == 1, ["async", "sync"].contains(lowercase(word, input)) else { throw .syntaxError }
        }
        let namespaces = request.word == .flushdb ? [request.namespace] : databases.map(\.namespace)
        var waits: [Wait] = []
        for namespace in namespaces {
            let result = store.flushNamespace(namespace, now: request.turn.now)
            guard result.isDone else {
                return answer(result, request.command, namespace, &session, &output, request.turn, request.metrics)
            }
            waits.append(writeWait(result.lsn, namespace))
        }
        reply(request, after: Wait.longest(waits), isWrite: true, &session, &output) { RESPReply.ok(into: &$0) }
    }

    private func save(_ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        // It cannot end without the log, so there is nothing to wait for.
        guard request.turn.logWorks else {
            return refuseWrite(request.command, &session, &output, request.turn, request.metrics)
        }
        let snapshot = log.requestSnapshot()
        if request.word == .save {
            reply(request, after: .snapshot(snapshot), &session, &output) { RESPReply.ok(into: &$0) }
        } else {
            reply(request, &session, &output) { RESPReply.simple("Background saving started", into: &$0) }
        }
    }

    // MARK: Watching

    private func latency(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) {
        switch lowercase(words[0], input) {
        case "latest" where words.count == 1, "history" where words.count == 2:
            reply(request, &session, &output) { RESPReply.array(0, into: &$0) }
        case "reset": reply(request, &session, &output) { RESPReply.integer(0, into: &$0) }
        case "histogram": reply(request, &session, &output) { RESPReply.map(0, request.isRESP3, into: &$0) }
        case "doctor" where words.count == 1:
            let microseconds = (report.context?.turnTimes.p99 ?? 0) / 1_000
            let line = "Of 100 turns of the workers, 99 took no longer than \(microseconds) us in the last quarter of a second.\n"
            text(line, request, &session, &output)
        default: refuseSubcommand(request, words, input, &session, &output)
        }
    }

    private func slowLog(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        switch (lowercase(words[0], input), words.count) {
        case ("len", 1):
            let count = resp.slowLog.count
            reply(request, &session, &output) { RESPReply.integer(Int64(count), into: &$0) }
        case ("reset", 1):
            resp.slowLog.removeAll()
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case ("get", 1...2):
            let asked = words.count == 2 ? RESPInteger.parse(input.span(words[1])) : 10
            guard let count = asked, count >= -1 else {
                throw Failure(.malformed, "count should be greater than or equal to -1")
            }
            let entries = resp.slowLog.newest(count < 0 ? .max : Int(count))
            reply(request, &session, &output) { target in
                RESPReply.array(entries.count, into: &target)
                for entry in entries { Self.append(entry, to: &target) }
            }
        default: refuseSubcommand(request, words, input, &session, &output)
        }
    }

    private static func append(_ entry: SlowLog.Entry, to target: inout ByteBuffer) {
        RESPReply.array(6, into: &target)
        RESPReply.integer(Int64(clamping: entry.id), into: &target)
        RESPReply.integer(entry.seconds, into: &target)
        RESPReply.integer(entry.microseconds, into: &target)
        RESPReply.array(entry.words.count, into: &target)
        for word in entry.words { RESPReply.bulk(word.rawSpan, into: &target) }
        RESPReply.bulk(entry.address, into: &target)
        RESPReply.bulk(entry.name, into: &target)
    }

    // MARK: Sleeping and stopping

    private func debug(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        guard configuration.debugCommands else {
            return refuse("ERR DEBUG command not allowed: the setting debug-commands is false", request, &session, &output)
        }
        // SLEEP is the only one.
        guard hasSubcommand(request, words, input, &session, &output) else { return }
        guard let seconds = Double(String(utf8: input.span(words[1]))), (0...60).contains(seconds) else { throw .notAFloat }
        // As in Redis, everybody whom this worker serves waits: that is what it is for.
        Thread.sleep(milliseconds: Int64(seconds * 1_000))
        reply(request, &session, &output) { RESPReply.ok(into: &$0) }
    }

    /// When the last snapshot was taken, or the server started.
    var lastSaveMilliseconds: Milliseconds { max(log.lastSnapshotMilliseconds, report.context?.startedMilliseconds ?? 0) }

    private func shutDown(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let options = words.map { lowercase($0, input) }
        guard options.allSatisfy({ ["save", "nosave", "now", "force", "abort"].contains($0) }) else { throw .syntaxError }
        guard !(options.contains("save") && options.contains("nosave")) else { throw .syntaxError }
        if options.contains("abort") { throw Failure(.malformed, "No shutdown in progress.") }
        guard resp.shutDown() else { throw Failure(.malformed, "Errors trying to SHUTDOWN. Check logs.") }
        // Without a reply, as in Redis: the end of the connection is one.
        session.mustClose = true
    }
}

extension Wait {
    /// The one of them that is over last.
    static func longest(_ waits: [Wait]) -> Wait {
        waits.max { $0.rank < $1.rank } ?? .nothing
    }

    private var rank: (Int, UInt64) {
        switch self {
        case .nothing: (0, 0)
        case .written(let lsn): (1, lsn.rawValue)
        case .interval(let lsn): (2, lsn.rawValue)
        case .durable(let lsn): (3, lsn.rawValue)
        case .snapshot(let count): (4, count)
        }
    }
}
