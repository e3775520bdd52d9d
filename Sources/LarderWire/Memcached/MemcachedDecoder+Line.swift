// Requests of memcached that are one line: everything but retrieval and classic storage. And `ms`, whose data follows.

import LarderBytes

extension MemcachedDecoder {
    /// Decodes a line whose first word is `word` and ends at `start`.
    @inline(never)
    mutating func decodeLine(
        _ word: MemcachedWord, _ bytes: RawSpan, from start: Int, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        guard let line = Self.line(bytes, from: start, lineStart: position) else { return needLine(bytes, position, &command) }
        Self.begin(.memcached, word, &command)
        if word == .unknown,
            MemcachedText.isOfAnotherProtocol(bytes, ByteRange(start: position, count: line.words.end &- position))
        {
            return .close
        }
        var words = MemcachedWords(line.words)
        switch word {
        case .metaGet, .metaDelete, .metaArithmetic, .metaDebug:
            Self.decodeMeta(&words, bytes, &command)
        case .metaSet:
            return decodeMetaSet(line, &words, bytes, &position, &command)
        case .delete: Self.decodeDelete(&words, bytes, &command)
        case .incr, .decr: Self.decodeDelta(&words, bytes, &command)
        case .touch: Self.decodeTouch(&words, bytes, &command)
        case .flushAll: Self.decodeFlush(&words, bytes, &command)
        case .verbosity: Self.decodeVerbosity(&words, bytes, &command)
        case .stats, .version, .quit, .shutdown, .metaNoOp:
            command.line = line.words
        case .get, .gets, .gat, .gats, .set, .add, .replace, .append, .prepend, .cas, .authenticate, .unknown:
            command.failure = .unknownCommand
        }
        position = line.end
        return .command
    }

    // MARK: Meta commands

    /// A key, and flags, which stay where they are.
    private static func decodeMeta(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        guard let key = words.next(in: bytes) else {
            command.failure = command.memcachedWord == .metaDebug ? .badLine : .unknownCommand
            return
        }
        command.key = key
        command.line = words.rest
        command.readMetaFlags(bytes)
    }

    /// A key, the number of bytes, flags; then the data and a line end.
    private mutating func decodeMetaSet(
        _ line: (words: ByteRange, end: Int), _ words: inout MemcachedWords, _ bytes: RawSpan, _ position: inout Int,
        _ command: inout Command
    ) -> DecodeStep {
        guard let key = words.next(in: bytes), let range = words.next(in: bytes),
            let count = Decimal.parse(bytes.slice(range)), count >= 0, count <= Int64(Int32.max)
        else {
            // Where the next request begins is not known.
            command.failure = .badLine
            return .close
        }
        let byteCount = Int(count)
        guard byteCount <= valueBytesMax else {
            return passData(byteCount, from: line.end, isQuiet: false, .tooLarge, &position, &command)
        }
        let dataEnd = line.end &+ byteCount
        guard dataEnd &+ 2 <= bytes.byteCount else { return needBytes(dataEnd &+ 2 &- position) }
        guard bytes.byte(at: dataEnd) == MemcachedText.carriageReturn, bytes.byte(at: dataEnd &+ 1) == MemcachedText.lineFeed
        else {
            command.failure = .badDataChunk
            return .close
        }
        command.key = key
        command.line = words.rest
        command.value = ByteRange(start: line.end, count: byteCount)
        command.readMetaFlags(bytes)
        position = dataEnd &+ 2
        return .command
    }

    /// Undoes base64, in which a meta command may write its key, where the key lies.
    static func decodeKey(of command: inout Command, in input: inout ByteBuffer) {
        guard command.memcachedWord.hasMetaFlags, command.meta.flags.contains(.base64), command.failure == nil else { return }
        guard let key = input.base64Decode(command.key) else {
            command.failure = .badBase64
            return
        }
        command.key = key
    }

    // MARK: Classic commands

    /// `delete key [0] [noreply]`: the 0 is from times when a delete could be put off.
    private static func decodeDelete(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        guard let key = words.next(in: bytes) else {
            command.failure = .unknownCommand
            return
        }
        command.operation = .delete
        command.key = key
        if words.isAtEnd(in: bytes) { return }
        var rest = words
        if let zero = rest.next(in: bytes), bytes.slice(zero).equals("0") { words = rest }
        if !takeQuiet(&words, bytes, &command) { command.failure = .badDelete }
    }

    /// `incr key delta [noreply]`, `decr` alike.
    private static func decodeDelta(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        guard let key = words.next(in: bytes), let delta = words.next(in: bytes) else {
            command.failure = .unknownCommand
            return
        }
        command.key = key
        if !takeQuiet(&words, bytes, &command) {
            command.failure = .unknownCommand
        } else if let number = Decimal.parseUnsigned(bytes.slice(delta)) {
            command.delta = Int64(bitPattern: number)
        } else {
            command.failure = .badDelta
        }
    }

    /// `touch key exptime [noreply]`.
    private static func decodeTouch(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        guard let key = words.next(in: bytes), let expiry = words.next(in: bytes) else {
            command.failure = .unknownCommand
            return
        }
        command.operation = .setLifetime
        command.key = key
        if !takeQuiet(&words, bytes, &command) {
            command.failure = .unknownCommand
        } else if let seconds = Decimal.parse(bytes.slice(expiry)) {
            command.lifetime = MemcachedText.lifetime(seconds: seconds)
        } else {
            command.failure = .badExpiry
        }
    }

    /// `flush_all [delay] [noreply]`. The delay is an expiry time.
    private static func decodeFlush(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        var delay: Int64? = 0
        var rest = words
        if let range = rest.next(in: bytes), !bytes.slice(range).equals("noreply") {
            delay = Decimal.parse(bytes.slice(range))
            words = rest
        }
        if !takeQuiet(&words, bytes, &command) {
            command.failure = .unknownCommand
        } else if let delay {
            command.lifetime = MemcachedText.lifetime(seconds: delay)
        } else {
            command.failure = .badExpiry
        }
    }

    /// `verbosity level [noreply]`.
    private static func decodeVerbosity(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) {
        var rest = words
        if let word = rest.next(in: bytes), bytes.slice(word).equals("noreply"), takeQuiet(&words, bytes, &command) { return }
        guard let level = words.next(in: bytes), takeQuiet(&words, bytes, &command) else {
            command.failure = .unknownCommand
            return
        }
        if Decimal.parseUnsigned(bytes.slice(level)) == nil { command.failure = .badLine }
    }

    /// Takes `noreply`, if it is there, from the end of a line.
    ///
    /// - Returns: Whether nothing else is there.
    private static func takeQuiet(_ words: inout MemcachedWords, _ bytes: RawSpan, _ command: inout Command) -> Bool {
        if words.isAtEnd(in: bytes) { return true }
        guard let word = words.next(in: bytes), bytes.slice(word).equals("noreply"), words.isAtEnd(in: bytes) else { return false }
        command.flags |= MemcachedFlags.quiet.rawValue
        return true
    }
}

extension Failure {
    static let badDelete = Failure(.malformed, "bad command line format.  Usage: delete <key> [noreply]")
}
