// Keyspace notifications: SUBSCRIBE and its like. There are no other channels, and nobody but the server sends to these.
//
// Source of the replies: Redis, pubsub.c and notify.c.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func subscribe(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let isPattern = request.word == .psubscribe
        // First all are judged, then all are subscribed to.
        for word in words where !Self.isChannel(input.span(word), isPattern: isPattern) { throw .channel }
        guard (scratch.watch.watcher(session.token)?.subscriptions ?? 0) + words.count <= Watcher.subscriptionsMax else {
            throw Failure(.malformed, "a client has at most 1024 subscriptions")
        }
        let watcher = watch(&session, &scratch)
        for word in words {
            let name = Array(input.span(word))
            _ = scratch.watch.subscribe(watcher, name, isPattern: isPattern)
            answer(request, name, watcher.subscriptions, &session, &output)
        }
        session.describe(watcher)
    }

    func unsubscribe(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) {
        let isPattern = request.word == .punsubscribe
        guard let watcher = scratch.watch.watcher(session.token) else {
            // Of none.
            let names = words.map { Array(input.span($0)) as [UInt8]? }
            for name in names.isEmpty ? [nil] : names { answer(request, name, 0, &session, &output) }
            return
        }
        let all = isPattern ? watcher.patterns : watcher.channels
        let names = words.isEmpty ? Array(all) : words.map { Array(input.span($0)) }
        for name in names {
            _ = scratch.watch.unsubscribe(watcher, name, isPattern: isPattern)
            answer(request, name, watcher.subscriptions, &session, &output)
        }
        if names.isEmpty { answer(request, nil, watcher.subscriptions, &session, &output) }
        session.describe(scratch.watch.settle(watcher) ? watcher : nil)
    }

    private func answer(
        _ request: RESPRequest, _ name: [UInt8]?, _ subscriptions: Int, _ session: inout Session, _ output: inout ByteBuffer
    ) {
        reply(request, &session, &output) { target in
            RESPReply.push(3, request.isRESP3, into: &target)
            RESPReply.bulk(request.word.name, into: &target)
            if let name { RESPReply.bulk(name.rawSpan, into: &target) } else { RESPReply.null(request.isRESP3, into: &target) }
            RESPReply.integer(Int64(subscriptions), into: &target)
        }
    }

    /// PUBSUB: what others have subscribed to.
    func subscriptions(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let channels = resp.watching.channels
        switch (lowercase(words[0], input), words.count) {
        case ("channels", 1...2):
            let pattern = words.count == 2 ? GlobPattern(input.span(words[1])) : GlobPattern("*")
            let names = channels.keys.filter { pattern.matches($0.rawSpan) }
            reply(request, &session, &output) { target in
                RESPReply.array(names.count, into: &target)
                for name in names { RESPReply.bulk(name.rawSpan, into: &target) }
            }
        case ("numsub", _):
            let names = words.dropFirst().map { Array(input.span($0)) }
            reply(request, &session, &output) { target in
                RESPReply.array(names.count * 2, into: &target)
                for name in names {
                    RESPReply.bulk(name.rawSpan, into: &target)
                    RESPReply.integer(Int64(channels[name] ?? 0), into: &target)
                }
            }
        case ("numpat", 1):
            let count = resp.watching.patternCount
            reply(request, &session, &output) { RESPReply.integer(Int64(count), into: &$0) }
        default: refuseSubcommand(request, words, input, &session, &output)
        }
    }

    // MARK: Channels

    private static let families = [Array("__keyspace@".utf8), Array("__keyevent@".utf8)]

    /// Whether this is the name of a channel that there may be, or a pattern that may match some.
    private static func isChannel(_ name: RawSpan, isPattern: Bool) -> Bool {
        guard name.byteCount <= Watcher.nameBytesMax else { return false }
        if !isPattern { return families.contains { name.hasPrefix($0.rawSpan) } }
        let bytes = Array(name)
        let literal = Array(bytes.prefix { !special.contains($0) })
        return families.contains { literal.starts(with: $0) || literal.count < bytes.count && $0.starts(with: literal) }
    }

    private static let special = Set("*?[\\".utf8)
}

extension Failure {
    fileprivate static let channel = Failure(
        .malformed,
        "there are no such channels: those there are begin with __keyspace@ or __keyevent@ and the number of a database")
}
