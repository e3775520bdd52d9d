// Client-side caching: which connections keep what they read in caches of their own, and what their commands do for that.
//
// A key is remembered before it is read, so that no write between the two is missed.
// Source of the commands and their errors: Redis, networking.c and tracking.c.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    /// Executes a command of a connection that watches keys.
    func execute(
        _ command: Command, _ prepared: PreparedCommand, of watcher: Watcher, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let word = command.respWord
        if session.isSubscribed, !watcher.isRESP3, refuses(command, word, input, &session, &output, turn, metrics) { return }
        if watcher.tracking?.remembers == true { remember(command, word, prepared, watcher, input, session, &scratch) }
        let skipsOwn = watcher.tracking?.skipsOwn == true
        if skipsOwn { store.events.writing(as: watcher.origin) }
        execute(command, prepared, input, &session, &output, &scratch, turn, metrics)
        if skipsOwn { store.events.writing(as: nil) }
        // CLIENT CACHING speaks of the next command only.
        if word != .client, !session.needsAnotherTurn { watcher.tracking?.caching = nil }
    }

    /// Remembers the one key that a command is about to read. Commands over many keys do so themselves.
    private func remember(
        _ command: Command, _ word: RESPWord, _ prepared: PreparedCommand, _ watcher: Watcher, _ input: borrowing ByteBuffer,
        _ session: borrowing Session, _ scratch: inout Scratch
    ) {
        let entry = word.entry
        guard entry.kind == .read, entry.firstKey > 0, let namespace = session.namespace else { return }
        if prepared.touchesKey {
            scratch.watch.remember(watcher, namespace, input.span(command.key))
        } else if command.operation == .resp, word != .mget, word != .exists {
            var arguments = RESPArguments(command.value, in: input)
            for _ in 1..<entry.firstKey { _ = arguments.next(in: input) }
            guard let range = arguments.next(in: input), namespace.keyRule.checkKey(input.span(range)) == nil else { return }
            scratch.watch.remember(watcher, namespace, input.span(range))
        }
    }

    /// A connection of version 2 that has subscribed cannot tell replies from messages: it gets the few that look alike.
    ///
    /// - Returns: Whether the command has been answered.
    private func refuses(
        _ command: Command, _ word: RESPWord, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) -> Bool {
        if word.worksWhileSubscribed, word != .ping { return false }
        // What is at fault in any case is refused for that, as in Redis.
        if word == .unknown || command.failure != nil { return false }
        if command.operation == .resp {
            let count = RESPArguments(command.value, in: input).count
            // Of PING the table says too little.
            if !word.entry.allows(count + 1) || word == .ping && count > 1 { return false }
        }
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            guard word == .ping else {
                metrics.refusals.add(1)
                let allowed = "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET"
                return RESPReply.error("ERR Can't execute '\(word.name)': only \(allowed) are allowed in this context", into: &target)
            }
            var arguments = command.operation == .resp ? RESPArguments(command.value, in: input) : nil
            RESPReply.array(2, into: &target)
            RESPReply.bulk("pong", into: &target)
            RESPReply.bulk(input.span(arguments?.next(in: input) ?? .empty), into: &target)
        }
        return true
    }

    /// The connection's watcher, made if there is none.
    func watch(_ session: inout Session, _ scratch: inout Scratch) -> Watcher {
        scratch.watch.open(
            session.token, origin: session.client?.id ?? 0, isRESP3: session.resp.isRESP3,
            WorkerWatch.Shared(events: store.events, counts: resp.watching, inbox: session.place?.inbox))
    }

    /// HELLO chose a version for a connection that watches keys.
    func speak(
        _ isRESP3: Bool, _ watcher: Watcher, _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch,
        _ turn: Turn
    ) {
        if watcher.isRESP3 == isRESP3 { return }
        // What is to be pushed is in the words of the former version.
        _ = session.takePushes(of: watcher, &output, turn)
        watcher.isRESP3 = isRESP3
        // Version 2 has no words for it.
        if !isRESP3 { scratch.watch.stopTracking(watcher) }
        session.describe(scratch.watch.settle(watcher) ? watcher : nil)
    }

    // MARK: CLIENT TRACKING

    func track(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let wanted = try trackingOptions(Array(words.dropFirst(2)), input)
        switch lowercase(words[1], input) {
        case "on":
            guard request.isRESP3 else {
                let text = "ERR Client tracking needs RESP3: version 2 has no pushes, and REDIRECT is not supported"
                return refuse(text, request, &session, &output)
            }
            let former = scratch.watch.watcher(session.token)?.tracking
            let tracking = try wanted.joined(to: former)
            let watcher = watch(&session, &scratch)
            scratch.watch.track(watcher, tracking)
            session.describe(watcher)
        case "off":
            if let watcher = scratch.watch.watcher(session.token) {
                scratch.watch.stopTracking(watcher)
                session.describe(scratch.watch.settle(watcher) ? watcher : nil)
            }
        default: throw .syntaxError
        }
        reply(request, &session, &output) { RESPReply.ok(into: &$0) }
    }

    private func trackingOptions(_ words: [ByteRange], _ input: borrowing ByteBuffer) throws(Failure) -> Tracking {
        var tracking = Tracking()
        var index = 0
        while index < words.count {
            switch lowercase(words[index], input) {
            case "bcast": tracking.isBroadcast = true
            case "optin": tracking.optsIn = true
            case "optout": tracking.optsOut = true
            case "noloop": tracking.skipsOwn = true
            case "prefix" where index + 1 < words.count:
                index += 1
                tracking.prefixes.append(Array(input.span(words[index])))
            case "redirect" where index + 1 < words.count: throw .redirect
            default: throw .syntaxError
            }
            index += 1
        }
        return tracking
    }

    func cache(
        _ request: RESPRequest, _ text: String, _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let watcher = scratch.watch.watcher(session.token)
        guard let watcher, let tracking = watcher.tracking, tracking.optsIn || tracking.optsOut else {
            throw Failure(
                .malformed,
                "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
        }
        switch text.lowercased() {
        case "yes":
            guard tracking.optsIn else {
                throw Failure(.malformed, "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
            }
            watcher.tracking?.caching = true
        case "no":
            guard tracking.optsOut else {
                throw Failure(.malformed, "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
            }
            watcher.tracking?.caching = false
        default: throw .syntaxError
        }
        reply(request, &session, &output) { RESPReply.ok(into: &$0) }
    }

    func describeTracking(
        _ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) {
        let tracking = scratch.watch.watcher(session.token)?.tracking
        reply(request, &session, &output) { target in
            RESPReply.map(3, request.isRESP3, into: &target)
            RESPReply.bulk("flags", into: &target)
            let flags = tracking?.flags ?? ["off"]
            RESPReply.set(flags.count, request.isRESP3, into: &target)
            for flag in flags { RESPReply.bulk(flag, into: &target) }
            RESPReply.bulk("redirect", into: &target)
            RESPReply.integer(tracking == nil ? -1 : 0, into: &target)
            RESPReply.bulk("prefixes", into: &target)
            RESPReply.array(tracking?.prefixes.count ?? 0, into: &target)
            for prefix in tracking?.prefixes ?? [] { RESPReply.bulk(prefix.rawSpan, into: &target) }
        }
    }
}

extension Tracking {
    /// How TRACKINGINFO names it.
    fileprivate var flags: [String] {
        var flags = ["on"]
        if isBroadcast { flags.append("bcast") }
        if optsIn { flags.append("optin") }
        if optsOut { flags.append("optout") }
        if let caching { flags.append(caching ? "caching-yes" : "caching-no") }
        if skipsOwn { flags.append("noloop") }
        return flags
    }

    /// What these options make of the tracking that is on already.
    fileprivate func joined(to former: Tracking?) throws(Failure) -> Tracking {
        if !isBroadcast, !prefixes.isEmpty { throw Failure(.malformed, "PREFIX option requires BCAST mode to be enabled") }
        if let former, former.isBroadcast != isBroadcast {
            throw Failure(
                .malformed,
                "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
        }
        if isBroadcast, optsIn || optsOut { throw Failure(.malformed, "OPTIN and OPTOUT are not compatible with BCAST") }
        if optsIn, optsOut { throw Failure(.malformed, "You can't use both OPTIN mode and OPTOUT mode") }
        if let former, optsIn && former.optsOut || optsOut && former.optsIn {
            throw Failure(
                .malformed,
                "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
        }
        var joined = self
        guard isBroadcast else { return joined }
        // Without a prefix: every key.
        if joined.prefixes.isEmpty { joined.prefixes = former == nil ? [[]] : [] }
        joined.prefixes = (former?.prefixes ?? []) + joined.prefixes
        guard joined.prefixes.count <= Self.prefixesMax else { throw Failure(.malformed, "a client has at most 64 prefixes") }
        for (index, prefix) in joined.prefixes.enumerated() {
            for other in joined.prefixes[..<index] where prefix.starts(with: other) || other.starts(with: prefix) {
                throw Failure(.malformed, "a prefix overlaps with another one. Prefixes for a single client must not overlap.")
            }
        }
        return joined
    }
}

extension Failure {
    fileprivate static let redirect = Failure(
        .malformed, "REDIRECT is not supported: a connection of version 3 (HELLO 3) is told of changes itself")
}
