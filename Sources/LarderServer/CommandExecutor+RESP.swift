// The commands that only RESP has: which function carries each out, and what they share.
//
// A command whose words are plain came as an operation of every dialect and never gets here. What does is rare, but for those
// over many keys; so it may own arrays.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// A command on its way, for the functions that carry it out.
struct RESPRequest: Sendable {
    let command: Command
    let word: RESPWord
    /// Of the connection.
    let namespace: Namespace
    let turn: Turn
    let metrics: WorkerMetrics

    var isRESP3: Bool { command.respFlags.isRESP3 }
}

/// A key that its namespace takes.
struct RESPKey: Sendable {
    let range: ByteRange
    let hash: KeyHash
}

extension CommandExecutor {
    func executeRESP(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer,
        _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let word = command.respWord
        let request = RESPRequest(
            command: command, word: word, namespace: session.namespace ?? store.namespaces.default, turn: turn, metrics: metrics)
        let arguments = RESPArguments(command.value, in: input)
        do throws(Failure) {
            if word == .unknown { return refuseUnknown(request, input, &session, &output) }
            if let refusal = word.refusal { return refuse("ERR " + refusal, request, &session, &output) }
            guard word.entry.allows(arguments.count + 1) else {
                return refuse("ERR wrong number of arguments for '\(word.name)' command", request, &session, &output)
            }
            switch word {
            case .mget: try mget(request, arguments, input, &session, &output, &scratch)
            case .mset: try mset(request, arguments, input, &session, &output, &scratch)
            case .del, .unlink, .exists: try countKeys(request, arguments, input, &session, &output, &scratch)
            case .scan, .keys, .randomkey: try scan(request, arguments, input, &session, &output, &scratch)
            default: try execute(request, arguments, input, &session, &output, &scratch)
            }
        } catch {
            refuse(error, command, &session, &output, turn, metrics)
        }
    }

    private func execute(
        _ request: RESPRequest, _ arguments: RESPArguments, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let words = arguments.all(in: input)
        // Whether there is DEBUG at all comes first.
        guard request.word == .debug || hasSubcommand(request, words, input, &session, &output) else { return }
        switch request.word {
        case .auth, .hello, .ping, .echo, .select, .quit, .reset:
            try converse(request, words, input, &session, &output, &scratch)
        case .client:
            try client(request, words, input, &session, &output, &scratch)
        case .subscribe, .psubscribe: try subscribe(request, words, input, &session, &output, &scratch)
        case .unsubscribe, .punsubscribe: unsubscribe(request, words, input, &session, &output, &scratch)
        case .pubsub: try subscriptions(request, words, input, &session, &output)
        case .set, .getset, .getdel, .setrange, .incrbyfloat:
            try rewriteValue(request, words, arguments, input, &session, &output, &scratch)
        case .getex: try getAndTouch(request, words, arguments, input, &session, &output, &scratch)
        case .setex, .psetex:
            // Where they are right they are operations.
            _ = try RESPTime.positive(input.span(words[1]), request.word == .setex ? .ex : .px, for: request.word)
        case .incrby: throw .respNotAnInteger
        case .decrby:
            guard RESPInteger.parse(input.span(words[1])) != nil else { throw .respNotAnInteger }
            throw Failure(.malformed, "decrement would overflow")
        case .getrange, .strlen, .expiretime, .pexpiretime, .object, .memory:
            try inspect(request, words, input, &session, &output)
        case .expire, .pexpire, .expireat, .pexpireat, .persist:
            try changeDeadline(request, words, arguments, input, &session, &output, &scratch)
        case .rename, .renamenx, .copy: try copy(request, words, arguments, input, &session, &output, &scratch)
        default: try administer(request, words, input, &session, &output)
        }
    }

    // MARK: Words

    /// The key at `range`, judged and hashed.
    func key(_ range: ByteRange, _ namespace: Namespace, _ input: borrowing ByteBuffer) throws(Failure) -> RESPKey {
        try check(range, namespace, input)
        return RESPKey(range: range, hash: store.hash(namespace, input.span(range)))
    }

    /// Refuses the key at `range` if the namespace's rule does.
    func check(_ range: ByteRange, _ namespace: Namespace, _ input: borrowing ByteBuffer) throws(Failure) {
        if let fault = namespace.keyRule.checkKey(input.span(range)) { throw Failure(fault, rule: namespace.keyRule) }
    }

    /// The integer at `range`.
    func integer(_ range: ByteRange, _ input: borrowing ByteBuffer) throws(Failure) -> Int64 {
        guard let number = RESPInteger.parse(input.span(range)) else { throw .respNotAnInteger }
        return number
    }

    /// The words at `ranges` in lower case, for options and subcommands.
    func lowercase(_ range: ByteRange, _ input: borrowing ByteBuffer) -> String {
        String(utf8: input.span(range)).lowercased()
    }

    // MARK: Replies

    /// Replies in a form that only RESP has.
    func reply(
        _ request: RESPRequest, after wait: Wait = .nothing, isWrite: Bool = false, _ session: inout Session,
        _ output: inout ByteBuffer, _ encode: (inout ByteBuffer) -> Void
    ) {
        session.held.reply(
            wait, at: request.turn.position, to: request.command, isWrite: isWrite, output: &output, encode)
    }

    /// Answers a write whose success is told in a form that only RESP has; so is that nothing was there or held.
    func answer(
        _ result: WriteResult, _ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer,
        _ encode: (inout ByteBuffer) -> Void
    ) {
        let namespace = request.namespace
        switch result.outcome {
        case .created, .updated, .removed, .notFound, .conditionFailed:
            let (wait, isWrite) = outcomeWait(result, namespace, request.turn)
            reply(request, after: wait, isWrite: isWrite, &session, &output, encode)
        default:
            answer(result, request.command, namespace, &session, &output, request.turn, request.metrics)
        }
    }

    /// Answers with an error. `text` begins with its code.
    func refuse(_ text: String, _ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        request.metrics.refusals.add(1)
        reply(request, &session, &output) { RESPReply.error(text, into: &$0) }
    }

    private func refuseUnknown(
        _ request: RESPRequest, _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer
    ) {
        var words = RESPArguments(wordsOf: request.command.value, in: input)
        let name = words.next(in: input).map { Self.shown($0, input) } ?? ""
        var beginning = ""
        while beginning.utf8.count < Self.shownBytesMax, let word = words.next(in: input) {
            beginning += "'\(Self.shown(word, input))' "
        }
        refuse("ERR unknown command '\(name)', with args beginning with: \(beginning)", request, &session, &output)
    }

    /// Of what a client sent, an error repeats no more than this.
    private static let shownBytesMax = 128

    static func shown(_ range: ByteRange, _ input: borrowing ByteBuffer) -> String {
        String(utf8: input.span(ByteRange(start: range.start, count: min(range.count, shownBytesMax))))
    }
}
