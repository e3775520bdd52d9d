// SCAN, KEYS and RANDOMKEY: all of them go through the keys in the order of their hashes, as many in a turn as listings may.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func scan(
        _ request: RESPRequest, _ arguments: RESPArguments, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let words = arguments.all(in: input)
        switch request.word {
        case .scan: try scanOnce(request, words, input, &session, &output, &scratch)
        case .keys:
            let progress = session.many.take() ?? RESPManyInProgress(arguments)
            try listAll(request, GlobPattern(input.span(words[0])), progress, &session, &output, &scratch)
        default:
            var progress = RESPManyInProgress(arguments)
            if let begun = session.many.take() {
                progress = begun
            } else {
                var random = SystemRandomNumberGenerator()
                progress.cursor = random.next()
            }
            pickOne(request, progress, &session, &output, &scratch)
        }
    }

    /// An empty bucket is looked at in the time of an eighth of an entry.
    private static let bucketsPerWork = 8
    /// So many buckets are looked at for one SCAN, so that a small namespace is told at once.
    private static let bucketsPerScan = 4_096

    /// Appends the next keys to `keys`, as far as this turn allows.
    private func nextKeys(
        _ request: RESPRequest, _ cursor: inout UInt64, keysMin: Int, _ keys: inout ByteBuffer, _ scratch: inout Scratch
    ) -> (keys: Int, lsn: LSN) {
        let work = max(scratch.listingWork, 0)
        guard work > 0 else { return (0, .zero) }
        let found = store.scan(
            request.namespace, from: &cursor, keysMin: min(keysMin, work), bucketsMax: work * Self.bucketsPerWork,
            now: request.turn.now, into: &keys)
        scratch.listingWork -= max(found.keys + found.buckets / Self.bucketsPerWork, 1)
        return (found.keys, found.lsn)
    }

    // MARK: SCAN

    private func scanOnce(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        guard var cursor = UInt64(String(utf8: input.span(words[0]))) else { throw Failure(.cursorInvalid, "invalid cursor") }
        var pattern = GlobPattern("*")
        var (keysMin, hasType) = (10, true)
        for index in stride(from: 1, to: words.count, by: 2) {
            guard index + 1 < words.count else { throw .syntaxError }
            switch lowercase(words[index], input) {
            case "match": pattern = GlobPattern(input.span(words[index + 1]))
            case "count":
                let count = try integer(words[index + 1], input)
                guard count > 0 else { throw .syntaxError }
                keysMin = Int(clamping: count)
            case "type": hasType = lowercase(words[index + 1], input) == "string"
            default: throw .syntaxError
            }
        }
        guard scratch.listingWork > 0 else {
            session.needsAnotherTurn = true
            return
        }
        var keys = ByteBuffer()
        let found = nextKeys(request, &cursor, keysMin: keysMin, &keys, &scratch)
        var items = ByteBuffer()
        let count = hasType ? Self.append(keys, matching: pattern, to: &items) : 0
        reply(request, after: readWait(found.lsn, request.namespace, request.turn), &session, &output) { target in
            RESPReply.array(2, into: &target)
            RESPReply.bulk(String(cursor), into: &target)
            RESPReply.array(count, into: &target)
            target.append(items.bytes)
        }
    }

    /// Appends those of `keys` that match, as strings.
    ///
    /// - Returns: How many.
    private static func append(
        _ keys: borrowing ByteBuffer, matching pattern: GlobPattern, to items: inout ByteBuffer
    ) -> Int {
        let bytes = keys.bytes
        var (position, count) = (0, 0)
        while position < bytes.byteCount {
            let key = key(of: bytes, after: &position)
            if pattern.matches(key) {
                RESPReply.bulk(key, into: &items)
                count += 1
            }
        }
        return count
    }

    /// The key at `position` of what a scan has found, each behind its length in 16 bits; `position` moves behind it.
    @_lifetime(copy keys)
    private static func key(of keys: RawSpan, after position: inout Int) -> RawSpan {
        let begin = position + 2
        let length = Int(keys.littleEndian(at: position, as: UInt16.self))
        position = begin + length
        return keys.slice(begin, length)
    }

    // MARK: KEYS

    private func listAll(
        _ request: RESPRequest, _ pattern: GlobPattern, _ progress: consuming RESPManyInProgress, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var progress = progress
        var keys = ByteBuffer()
        while scratch.listingWork > 0 {
            keys.removeAll()
            let found = nextKeys(request, &progress.cursor, keysMin: 1_024, &keys, &scratch)
            progress.count += Int64(Self.append(keys, matching: pattern, to: &progress.reply))
            progress.note(seen: found.lsn)
            guard progress.reply.count <= configuration.outputBytesMax else { throw .replyTooLarge }
            if progress.cursor == 0 {
                return reply(request, after: readWait(progress.seen, request.namespace, request.turn), &session, &output) {
                    RESPReply.array(Int(progress.count), into: &$0)
                    $0.append(progress.reply.bytes)
                }
            }
        }
        goOn(consume progress, &session)
    }

    // MARK: RANDOMKEY

    /// One of the first keys behind a random place; keys behind a wide gap come more often.
    private func pickOne(
        _ request: RESPRequest, _ progress: consuming RESPManyInProgress, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) {
        var progress = progress
        var keys = ByteBuffer()
        while scratch.listingWork > 0 {
            let found = nextKeys(request, &progress.cursor, keysMin: 1, &keys, &scratch)
            progress.note(seen: found.lsn)
            let isAtEnd = progress.cursor == 0
            if found.keys == 0, !isAtEnd || !progress.isRound {
                progress.isRound = progress.isRound || isAtEnd
                continue
            }
            let chosen = found.keys == 0 ? nil : Int.random(in: 0..<found.keys)
            return reply(request, after: readWait(progress.seen, request.namespace, request.turn), &session, &output) { target in
                guard let chosen else { return RESPReply.null(request.isRESP3, into: &target) }
                let bytes = keys.bytes
                var position = 0
                for _ in 0..<chosen { _ = Self.key(of: bytes, after: &position) }
                RESPReply.bulk(Self.key(of: bytes, after: &position), into: &target)
            }
        }
        goOn(consume progress, &session)
    }
}
