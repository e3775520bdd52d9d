// Bytes of memcached's text protocol to commands: retrieval, and what comes between requests.
//
// Purely syntactic. It does not know which keys are legal or what is stored; it knows where words lie and where a request ends.
// Source: memcached's doc/protocol.txt. The contract is docs/memcached.md.

import LarderBytes

/// Decodes requests of memcached, classic and meta. Nothing is copied or allocated; no input can make it trap.
///
/// A retrieval that names several keys becomes a command for each of them, with flags that say whether more follow: so its
/// replies leave one by one, and what a line may name has no bound.
package struct MemcachedDecoder: Sendable {
    /// Data blocks that are longer are refused.
    package var valueBytesMax: Int
    /// A `set` is a login, as long as this is so.
    package var needsLogin: Bool
    /// After `needMore`: how many bytes the request at `position` has in all, as far as is known.
    package private(set) var requestBytesExpected = 0

    /// The line that names further keys, which have not been decoded.
    private var retrieval: Retrieval?
    /// What is thrown away before the next request.
    private var passing = Passing.nothing

    /// What all keys of a line share.
    struct Retrieval: Sendable {
        var word: MemcachedWord
        var lifetime = Lifetime.unlimited
        var flags: MemcachedFlags
    }

    enum Passing: Sendable {
        case nothing
        /// The data of a request that was refused by its line.
        case bytes(Int)
        /// What is left of a line.
        case line
    }

    /// A line may have so many bytes, and so may each word of a line that names keys.
    package static let lineBytesMax = 2_048
    /// A data block that is refused and longer than this closes the connection.
    package static let passedBytesMax = 64 << 20
    /// A login may have so many bytes of data.
    package static let loginBytesMax = 1_024

    package init(valueBytesMax: Int, needsLogin: Bool = false) {
        self.valueBytesMax = valueBytesMax
        self.needsLogin = needsLogin
    }

    /// Decodes the request at `position`, or the next key of one.
    ///
    /// - On `.command` `position` stands behind it. When `command.failure` is set, reply with the failure and go on.
    /// - On `.close` nothing that follows can be understood: reply with `command.failure`, then close.
    /// - On `.needMore` what `position` has passed is of no more use.
    /// - Complexity: O(line).
    package mutating func decode(
        _ input: inout ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep {
        requestBytesExpected = 0
        if !pass(input.bytes, &position) { return .needMore }
        let step = decodeRequest(input.bytes, &position, &command)
        if case .memcached = command.operation, case .command = step { Self.decodeKey(of: &command, in: &input) }
        return step
    }

    /// Whether a request has begun, though there may be nothing of it in the input.
    package var isWithinRequest: Bool {
        if case .nothing = passing { return false }
        return true
    }

    /// What is known of the request that begins in `input` and is not complete, for a reply that does not wait for it.
    ///
    /// - Returns: nil when nothing has arrived, or it has its reply.
    package func begun(_ input: borrowing ByteBuffer) -> Command? { input.isEmpty || isWithinRequest ? nil : Command() }

    @inline(__always)
    private mutating func decodeRequest(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> DecodeStep {
        if let retrieval { return decodeKey(of: retrieval, bytes, from: position, &position, &command) }
        if bytes.byteCount &- position >= 8 {
            switch bytes.littleEndian(at: position, as: UInt32.self) {
            case Self.get: return decodeGet(bytes, &position, &command)
            case Self.set: return decodeSet(bytes, &position, &command)
            default: break
            }
        }
        return decodeOther(bytes, &position, &command)
    }

    /// `get ` and `set `, as they lie.
    private static let get: UInt32 = 0x2074_6567
    private static let set: UInt32 = 0x2074_6573

    @inline(never)
    private mutating func decodeOther(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> DecodeStep {
        let limit = bytes.byteCount
        let start = MemcachedText.skipSpaces(bytes, from: position, limit: limit)
        let end = MemcachedText.wordEnd(bytes, from: start, limit: limit)
        guard end < limit else { return needLine(bytes, position, &command) }
        let word = MemcachedWord(bytes.slice(start, end &- start))
        switch word {
        case .get: return decodeKey(of: Retrieval(word: word, flags: []), bytes, from: end, &position, &command)
        case .gets: return decodeKey(of: Retrieval(word: word, flags: .withVersion), bytes, from: end, &position, &command)
        case .gat, .gats: return decodeGetAndTouch(word, bytes, from: end, &position, &command)
        case .set, .add, .replace, .append, .prepend, .cas:
            return decodeStorage(word, bytes, from: end, &position, &command)
        default: return decodeLine(word, bytes, from: end, &position, &command)
        }
    }

    // MARK: Retrieval

    /// `get` and one key, which is what most requests are.
    @inline(__always)
    private mutating func decodeGet(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> DecodeStep {
        let start = position &+ 4
        let end = MemcachedText.wordEnd(bytes, from: start, limit: bytes.byteCount)
        guard end > start, let lineEnd = MemcachedText.lineEnd(bytes, at: end) else {
            return decodeKey(of: Retrieval(word: .get, flags: []), bytes, from: position &+ 3, &position, &command)
        }
        // No more than a get has; what else another command has left means nothing to it.
        command.operation = .get
        command.word = MemcachedWord.get.rawValue
        command.flags = 0
        command.namespace = .connection
        command.condition = .none
        command.failure = nil
        command.key = ByteRange(start: start, count: end &- start)
        position = lineEnd
        return .command
    }

    /// The next key of a line, whose words go on at `start`: known once it is known what follows the key.
    @inline(never)
    private mutating func decodeKey(
        of line: Retrieval, _ bytes: RawSpan, from start: Int, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        let limit = bytes.byteCount
        let first = MemcachedText.skipSpaces(bytes, from: start, limit: limit)
        let end = MemcachedText.wordEnd(bytes, from: first, limit: limit)
        let next = MemcachedText.skipSpaces(bytes, from: end, limit: limit)
        let lineEnd = MemcachedText.lineEnd(bytes, at: next)
        if lineEnd == nil, next &+ 1 >= limit, next == limit || bytes.byte(at: next) == MemcachedText.carriageReturn {
            return needLine(bytes, position, &command)
        }
        Self.begin(line.word == .get || line.word == .gets ? .get : .getAndTouch, line.word, &command)
        command.lifetime = line.lifetime
        command.key = ByteRange(start: first, count: end &- first)
        var flags = line.flags
        if let lineEnd {
            position = lineEnd
            retrieval = nil
            if end == first { command.failure = .unknownCommand }
        } else if bytes.byte(at: next) > MemcachedText.space {
            position = next
            flags.insert(.more)
            retrieval = line
            retrieval?.flags.insert(.later)
        } else {
            position = next
            retrieval = nil
            passing = .line
            command.failure = .badLine
        }
        command.flags = flags.rawValue
        return .command
    }

    /// `gat`, `gats`: an expiry time, and keys.
    private mutating func decodeGetAndTouch(
        _ word: MemcachedWord, _ bytes: RawSpan, from start: Int, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        let first = MemcachedText.skipSpaces(bytes, from: start, limit: bytes.byteCount)
        let end = MemcachedText.wordEnd(bytes, from: first, limit: bytes.byteCount)
        guard end < bytes.byteCount else { return needLine(bytes, position, &command) }
        let flags: MemcachedFlags = word == .gats ? .withVersion : []
        guard end > first, bytes.byte(at: end) == MemcachedText.space,
            let seconds = Decimal.parse(bytes.slice(first, end &- first))
        else {
            Self.begin(.none, word, &command)
            command.failure = end > first ? .badExpiry : .unknownCommand
            position = end
            passing = .line
            return .command
        }
        let line = Retrieval(word: word, lifetime: MemcachedText.lifetime(seconds: seconds), flags: flags)
        return decodeKey(of: line, bytes, from: end, &position, &command)
    }

    // MARK: What is passed over

    /// Refuses a request by its line: the data, which begins at `start`, is thrown away.
    mutating func passData(
        _ byteCount: Int, from start: Int, isQuiet: Bool, _ failure: Failure, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        command.failure = failure
        command.flags = isQuiet ? MemcachedFlags.quiet.rawValue : 0
        guard byteCount <= Self.passedBytesMax else { return .close }
        position = start
        passing = .bytes(byteCount &+ 2)
        return .command
    }

    /// Throws away what is to be passed over.
    ///
    /// - Returns: Whether that is done.
    @inline(__always)
    private mutating func pass(_ bytes: RawSpan, _ position: inout Int) -> Bool {
        if case .nothing = passing { return true }
        return passOver(bytes, &position)
    }

    @inline(never)
    private mutating func passOver(_ bytes: RawSpan, _ position: inout Int) -> Bool {
        switch passing {
        case .nothing: return true
        case .bytes(let count):
            let passed = min(count, bytes.byteCount &- position)
            position &+= passed
            if passed < count {
                passing = .bytes(count &- passed)
                return false
            }
        case .line:
            guard let feed = bytes.firstPosition(of: MemcachedText.lineFeed, from: position) else {
                position = bytes.byteCount
                return false
            }
            position = feed &+ 1
        }
        passing = .nothing
        return true
    }

    // MARK: Parts

    /// The data of a request has not come whole.
    mutating func needBytes(_ count: Int) -> DecodeStep {
        requestBytesExpected = count
        return .needMore
    }

    /// A line has not come whole: waits for more of it, unless it is too long already.
    func needLine(_ bytes: RawSpan, _ position: Int, _ command: inout Command) -> DecodeStep {
        guard bytes.byteCount &- position > Self.lineBytesMax else { return .needMore }
        Self.begin(.none, .unknown, &command)
        command.failure = .lineTooLong
        return .close
    }

    /// What is left of the line that begins at `lineStart`, from `start` on and without its end, and where the next begins.
    /// nil when it has not come whole, or is too long.
    static func line(_ bytes: RawSpan, from start: Int, lineStart: Int) -> (words: ByteRange, end: Int)? {
        guard let feed = bytes.firstPosition(of: MemcachedText.lineFeed, from: start), feed &- lineStart <= lineBytesMax
        else { return nil }
        let hasReturn = feed > start && bytes.byte(at: feed &- 1) == MemcachedText.carriageReturn
        return (ByteRange(start: start, count: feed &- start &- (hasReturn ? 1 : 0)), feed &+ 1)
    }

    /// Leaves nothing in `command` that another request has put there and this one might be asked for.
    @inline(__always)
    static func begin(_ operation: Operation, _ word: MemcachedWord, _ command: inout Command) {
        command.operation = operation
        command.word = word.rawValue
        command.flags = 0
        command.namespace = .connection
        command.key = .empty
        command.value = .empty
        command.contentType = .empty
        command.lifetime = .unlimited
        command.condition = .none
        command.clientFlags = 0
        command.failure = nil
    }
}

extension Failure {
    // What memcached says in these cases.
    static let unknownCommand = Failure(.unknownOperation, "unknown command, or wrong number of words")
    static let badLine = Failure(.malformed, "bad command line format")
    static let badDataChunk = Failure(.malformed, "bad data chunk")
    static let badExpiry = Failure(.lifetimeInvalid, "invalid exptime argument")
    static let badDelta = Failure(.malformed, "invalid numeric delta argument")
    static let tooLarge = Failure(.valueTooLarge, "object too large for cache")
    static let lineTooLong = Failure(.malformed, "line too long")
}
