// Bytes of RESP to commands: where the arguments lie, and which command they are of.
//
// Purely syntactic, and strict where Redis looks away: every argument ends with its line. Nothing is copied or allocated, and no
// input can make it trap. Versions 2 and 3 differ in replies only. Source: the RESP specification, and Redis, networking.c.

import LarderBytes

/// Decodes requests of RESP.
package struct RESPDecoder: Sendable {
    package var limits: RESPLimits
    /// Whether replies are of version 3. Commands carry it in their flags.
    package var isRESP3 = false
    /// Whether a line of words is a command, too.
    package var takesInline = false
    /// After `needMore`: how many bytes the request has in all, as far as is known.
    package private(set) var requestBytesExpected = 0
    /// Of a request that is not complete: how many of its arguments are, and how many bytes they take from its beginning. A
    /// request of a million arguments that comes in a million pieces is then not read half a trillion times.
    private(set) var argumentsSeen = 0
    private var bytesSeen = 0

    package init(limits: RESPLimits = .beforeLogin) { self.limits = limits }

    /// Decodes the request at `position`.
    ///
    /// - On `.command` `position` stands behind the request. `command.value` is all of it (for `RESPArguments`), unless the
    ///   command is an operation of every dialect: then its words are in place.
    /// - On `.close` nothing that follows can be understood: reply with `command.failure`, if there is one, then close.
    /// - On `.needMore` nothing was consumed but empty requests; call again with the same bytes, and more, at `position`.
    /// - Complexity: O(arguments).
    package mutating func decode(
        _ input: borrowing ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep {
        let bytes = input.bytes
        precondition(position >= 0 && position <= bytes.byteCount, "position leaves the buffer")
        if decodeHot(bytes, &position, &command) { return .command }
        while position < bytes.byteCount {
            guard bytes.byte(at: position) == UInt8(ascii: "*") else {
                if let step = decodeInline(bytes, &position, &command) { return step }
                continue
            }
            let start = position
            var at = start &+ 1
            let count = RESPNumber.read(bytes, at: &at, end: bytes.byteCount)
            guard count >= 0, count <= limits.argumentsMax else { return refuseCount(count, &command) }
            if count == 0 {
                position = at
                continue
            }
            var words = InlineArray<4, ByteRange>(repeating: ByteRange(start: 0, count: 0))
            guard argumentsSeen == 0, let end = scan(bytes, from: at, count: count, start, &words) else {
                return decodeRest(bytes, at, count, &position, &words, &command)
            }
            position = end
            finish(bytes, words, count, ByteRange(start: start, count: end &- start), &command)
            return .command
        }
        requestBytesExpected = 0
        return .needMore
    }

    /// What is known of the request that begins in `input` and is not complete, for a reply that does not wait for it.
    package func begun(_ input: borrowing ByteBuffer) -> Command? {
        guard !input.isEmpty else { return nil }
        var command = Command()
        reset(&command, .unknown)
        return command
    }

    // MARK: Arguments

    /// Finds the first arguments and the end of all of them.
    ///
    /// - Returns: nil when they are not all here, or malformed: `decodeRest` says which.
    @inline(__always)
    private func scan(
        _ bytes: RawSpan, from first: Int, count: Int, _ start: Int, _ words: inout InlineArray<4, ByteRange>
    ) -> Int? {
        var at = first
        for index in 0..<count {
            guard at < bytes.byteCount, bytes.byte(at: at) == UInt8(ascii: "$") else { return nil }
            at &+= 1
            guard let word = argument(bytes, &at, start) else { return nil }
            if index < 4 { words[index] = word }
        }
        return at
    }

    /// The argument whose length begins at `position`, which is moved behind it.
    ///
    /// - Parameter start: Where the request begins.
    /// - Returns: nil when it is not all here, or malformed.
    @inline(__always)
    func argument(_ bytes: RawSpan, _ position: inout Int, _ start: Int) -> ByteRange? {
        let length = RESPNumber.read(bytes, at: &position, end: bytes.byteCount)
        guard length >= 0, length <= limits.argumentBytesMax, length &+ 2 <= bytes.byteCount &- position,
            position &+ length &- start <= limits.requestBytesMax,
            bytes.littleEndian(at: position &+ length, as: UInt16.self) == 0x0A0D
        else { return nil }
        defer { position &+= length &+ 2 }
        return ByteRange(start: position, count: length)
    }

    /// Goes on with a request that was not complete, and remembers how far it came; or says what is wrong with it.
    @inline(never)
    private mutating func decodeRest(
        _ bytes: RawSpan, _ first: Int, _ count: Int, _ position: inout Int, _ words: inout InlineArray<4, ByteRange>,
        _ command: inout Command
    ) -> DecodeStep {
        let start = position
        var at = argumentsSeen > 0 ? start &+ bytesSeen : first
        for index in argumentsSeen..<count {
            (argumentsSeen, bytesSeen) = (index, at &- start)
            guard at < bytes.byteCount else { return wait(bytesSeen &+ 1) }
            guard bytes.byte(at: at) == UInt8(ascii: "$") else { return refuse(.expectedArgument, &command) }
            var next = at &+ 1
            let length = RESPNumber.read(bytes, at: &next, end: bytes.byteCount)
            if length == RESPNumber.needsMore { return wait(bytes.byteCount &- start &+ 1) }
            guard length >= 0, length <= limits.argumentBytesMax, next &+ length &- start <= limits.requestBytesMax else {
                let isTooLong = length >= 0 && limits.isBeforeLogin
                return refuse(isTooLong ? .lengthBeforeLogin : .invalidLength, &command)
            }
            guard length &+ 2 <= bytes.byteCount &- next else { return wait(next &+ length &+ 2 &- start) }
            guard bytes.littleEndian(at: next &+ length, as: UInt16.self) == 0x0A0D else {
                return refuse(.expectedLineEnd, &command)
            }
            at = next &+ length &+ 2
        }
        (argumentsSeen, bytesSeen) = (0, 0)
        // All of them have been found sound, so this finds the first ones again.
        _ = scan(bytes, from: first, count: min(count, words.count), start, &words)
        position = at
        finish(bytes, words, count, ByteRange(start: start, count: at &- start), &command)
        return .command
    }

    private mutating func wait(_ bytesExpected: Int) -> DecodeStep {
        requestBytesExpected = bytesExpected
        return .needMore
    }

    // MARK: Inline commands

    /// A line of words, ended by a line feed. There is no quoting: what needs it is sent as an array of arguments.
    ///
    /// - Returns: nil for a line without a word, which is passed over; where lines are not taken, one of nothing at all is, because
    ///   tools end their input with one.
    @inline(never)
    private mutating func decodeInline(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> DecodeStep? {
        let start = position
        guard takesInline else {
            guard bytes.byte(at: start) == 0x0D else { return refuse(.expectedArray, &command) }
            if start &+ 1 == bytes.byteCount { return wait(2) }
            guard bytes.byte(at: start &+ 1) == 0x0A else { return refuse(.expectedArray, &command) }
            position = start &+ 2
            return nil
        }
        let end = bytes.firstPosition(of: 0x0A, from: start) ?? bytes.byteCount
        if end &- start > RESPLimits.inlineBytesMax { return refuse(.inlineTooLong, &command) }
        guard end < bytes.byteCount else { return wait(end &- start &+ 1) }
        let line = ByteRange(start: start, count: end &+ 1 &- start)
        var words = InlineArray<4, ByteRange>(repeating: .empty)
        var count = 0
        var at = start
        while let word = RESPInline.nextWord(bytes, &at, end: end) {
            if count < words.count { words[count] = word }
            count &+= 1
        }
        if RESPInline.isHTTP(bytes, words[0]) { return refuse(nil, &command) }
        if RESPInline.hasQuotes(bytes, line) { return refuse(.inlineQuotes, &command) }
        guard count <= limits.argumentsMax else { return refuseCount(count, &command) }
        position = line.end
        if count == 0 { return nil }
        finish(bytes, words, count, line, &command)
        return .command
    }

    // MARK: Refusals

    @inline(never)
    private mutating func refuseCount(_ count: Int, _ command: inout Command) -> DecodeStep {
        // Digits are missing: as long as they make a count, it may be a good one.
        if count == RESPNumber.needsMore { return wait(0) }
        return refuse(count >= 0 && limits.isBeforeLogin ? .countBeforeLogin : .invalidCount, &command)
    }

    /// - Parameter failure: nil closes without a word.
    @inline(never)
    private mutating func refuse(_ failure: Failure?, _ command: inout Command) -> DecodeStep {
        (argumentsSeen, bytesSeen) = (0, 0)
        reset(&command, .unknown)
        command.failure = failure
        return .close
    }
}

/// Lines of words.
enum RESPInline {
    static func nextWord(_ bytes: RawSpan, _ position: inout Int, end: Int) -> ByteRange? {
        while position < end, isSpace(bytes.byte(at: position)) { position &+= 1 }
        let start = position
        while position < end, !isSpace(bytes.byte(at: position)) { position &+= 1 }
        return start < position ? ByteRange(start: start, count: position &- start) : nil
    }

    /// Whether the line is one of an HTTP request that a browser was made to send here: what follows it must not be taken for
    /// commands.
    static func isHTTP(_ bytes: RawSpan, _ word: ByteRange) -> Bool {
        let name = RESPName(bytes, word)
        return name == RESPName("post") || name == RESPName("host:")
    }

    static func hasQuotes(_ bytes: RawSpan, _ line: ByteRange) -> Bool {
        let text = bytes.slice(line)
        return text.firstPosition(of: UInt8(ascii: "\"")) != nil || text.firstPosition(of: UInt8(ascii: "'")) != nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

extension Failure {
    fileprivate static let expectedArray = Failure(.malformed, "Protocol error: expected '*'")
    fileprivate static let expectedArgument = Failure(.malformed, "Protocol error: expected '$'")
    fileprivate static let expectedLineEnd = Failure(.malformed, "Protocol error: expected the end of the line behind an argument")
    fileprivate static let invalidCount = Failure(.malformed, "Protocol error: invalid multibulk length")
    fileprivate static let invalidLength = Failure(.malformed, "Protocol error: invalid bulk length")
    fileprivate static let countBeforeLogin = Failure(.malformed, "Protocol error: unauthenticated multibulk length")
    fileprivate static let lengthBeforeLogin = Failure(.malformed, "Protocol error: unauthenticated bulk length")
    fileprivate static let inlineTooLong = Failure(.malformed, "Protocol error: too big inline request")
    fileprivate static let inlineQuotes = Failure(
        .malformed, "Protocol error: inline commands have no quotes; send the arguments as an array")
}
