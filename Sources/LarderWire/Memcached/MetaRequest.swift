// What the flags of a meta command of memcached ask for.
//
// A flag is a letter, some with a token right behind it. The line stays where it is, because replies repeat parts of it in its order.
// Source: memcached's doc/protocol.txt, "Meta Commands".

import LarderBytes

/// The letters that stand on the line of a meta command.
package struct MetaFlags: OptionSet, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// One bit for each letter, from `A` on.
    private init(_ letter: Unicode.Scalar) { rawValue = 1 << (UInt64(letter.value) &- 65) }

    /// The flag that `letter` is; nil for what is no letter.
    init?(_ letter: UInt8) {
        guard (0x41...0x5A).contains(letter) || (0x61...0x7A).contains(letter) else { return nil }
        rawValue = 1 << UInt64(letter &- 0x41)
    }

    // What the reply is to tell.
    package static let base64 = MetaFlags("b")
    package static let tellVersion = MetaFlags("c")
    package static let tellClientFlags = MetaFlags("f")
    package static let tellKey = MetaFlags("k")
    package static let opaque = MetaFlags("O")
    package static let quiet = MetaFlags("q")
    package static let tellSize = MetaFlags("s")
    package static let tellLifetime = MetaFlags("t")
    package static let tellValue = MetaFlags("v")
    // What is to be done.
    package static let noBump = MetaFlags("u")
    package static let compareVersion = MetaFlags("C")
    package static let clientFlags = MetaFlags("F")
    package static let invalidate = MetaFlags("I")
    package static let mode = MetaFlags("M")
    package static let vivify = MetaFlags("N")
    package static let recache = MetaFlags("R")
    package static let lifetime = MetaFlags("T")
    package static let delta = MetaFlags("D")
    package static let initial = MetaFlags("J")
    // For proxies.
    package static let path = MetaFlags("P")
    package static let location = MetaFlags("L")

    static let known: MetaFlags = [
        .base64, .tellVersion, .tellClientFlags, .tellKey, .opaque, .quiet, .tellSize, .tellLifetime, .tellValue, .noBump,
        .compareVersion, .clientFlags, .invalidate, .mode, .vivify, .recache, .lifetime, .delta, .initial, .path, .location,
    ]
    static let withToken: MetaFlags = [
        .opaque, .compareVersion, .clientFlags, .mode, .vivify, .recache, .lifetime, .delta, .initial,
    ]
    /// Nobody counts an entry's hits, or notes when they were; and versions are the server's.
    static let unsupported: MetaFlags = [MetaFlags("h"), MetaFlags("l"), MetaFlags("E")]
}

/// What a meta command asks for that `Command` has no field for.
package struct MetaRequest: Sendable {
    package var flags = MetaFlags()
    /// The lifetime of what is made where there was nothing.
    package var vivified = Lifetime.unlimited
    /// Who asks when there is less left to live, may make the entry anew.
    package var recacheMilliseconds: Int64 = 0
    /// The version to compare with.
    package var version: UInt64 = 0
    /// The first value of a counter.
    package var initial: UInt64 = 0
    package var mode = MetaMode.none

    package init() {}
}

/// How `ms` stores, and `ma` counts.
package enum MetaMode: UInt8, Sendable {
    case none, append, prepend, decrement
}

/// What is known of an entry that is to be made anew, beside its value.
@frozen @usableFromInline
package struct MetaMarks: OptionSet, Sendable {
    @usableFromInline package let rawValue: UInt8

    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Somebody called it out of date.
    package static let stale = MetaMarks(rawValue: 1)
    /// Somebody was told to make it anew.
    package static let taken = MetaMarks(rawValue: 2)
    /// And that is who asked. Never kept.
    package static let won = MetaMarks(rawValue: 4)
}

extension Command {
    /// Reads the flags of `line`. What is wrong with them becomes the failure.
    mutating func readMetaFlags(_ bytes: RawSpan) {
        meta = MetaRequest()
        var words = MemcachedWords(line)
        if memcachedWord == .metaArithmetic { delta = 1 }
        while let word = words.next(in: bytes) {
            if let fault = readMetaFlag(word, bytes) {
                failure = fault
                return
            }
        }
        if !words.isAtEnd(in: bytes) { failure = .badLine }
        // What is said of every entry is said of one that is made, too.
        if meta.flags.contains(.lifetime), memcachedWord != .metaSet { meta.vivified = lifetime }
        if meta.flags.isDisjoint(with: .tellValue) { flags |= MemcachedFlags.withoutValue.rawValue }
        // What is to be new has no version.
        if meta.flags.contains(.compareVersion), condition != .absent { condition = .version(meta.version) }
    }

    /// - Returns: What is wrong with the flag.
    private mutating func readMetaFlag(_ word: ByteRange, _ bytes: RawSpan) -> Failure? {
        guard let flag = MetaFlags(bytes.byte(at: word.start)) else { return .invalidFlag }
        guard meta.flags.isDisjoint(with: flag) else { return .duplicateFlag }
        guard flag.isSubset(of: .known) else { return flag.isSubset(of: .unsupported) ? .unsupportedFlag : .invalidFlag }
        meta.flags.insert(flag)
        if flag.isDisjoint(with: .withToken) { return nil }
        let token = bytes.slice(word.start &+ 1, word.count &- 1)
        switch flag {
        case .opaque: return token.byteCount >= 32 ? .opaqueTooLong : nil
        case .mode: return readMode(token)
        case .lifetime, .vivify, .recache:
            guard let seconds = Decimal.parse(token) else { return .badToken }
            readSeconds(seconds, of: flag)
        default:
            guard let number = Decimal.parseUnsigned(token) else { return .badToken }
            return readNumber(number, of: flag)
        }
        return nil
    }

    private mutating func readSeconds(_ seconds: Int64, of flag: MetaFlags) {
        switch flag {
        case .lifetime: lifetime = MemcachedText.lifetime(seconds: seconds)
        case .vivify: meta.vivified = MemcachedText.lifetime(seconds: seconds)
        default:
            let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
            meta.recacheMilliseconds = overflow ? .max : milliseconds
        }
    }

    private mutating func readNumber(_ number: UInt64, of flag: MetaFlags) -> Failure? {
        switch flag {
        case .compareVersion: meta.version = number
        case .delta: delta = Int64(bitPattern: number)
        case .initial: meta.initial = number
        default:
            guard let word = UInt32(exactly: number) else { return .badToken }
            clientFlags = word
        }
        return nil
    }

    private mutating func readMode(_ token: RawSpan) -> Failure? {
        guard token.byteCount == 1 else { return .badModeToken }
        let letter = token.byte(at: 0)
        if memcachedWord == .metaArithmetic {
            switch letter {
            case UInt8(ascii: "I"), UInt8(ascii: "+"): break
            case UInt8(ascii: "D"), UInt8(ascii: "-"): meta.mode = .decrement
            default: return .unknownCountingMode
            }
            return nil
        }
        switch letter {
        case UInt8(ascii: "S"): break
        case UInt8(ascii: "E"): condition = .absent
        case UInt8(ascii: "R"): condition = .present
        case UInt8(ascii: "A"): meta.mode = .append
        case UInt8(ascii: "P"): meta.mode = .prepend
        default: return .unknownStorageMode
        }
        return nil
    }
}

extension Failure {
    static let duplicateFlag = Failure(.unknownFlag, "duplicate flag")
    static let invalidFlag = Failure(.unknownFlag, "invalid flag")
    static let unsupportedFlag = Failure(.unknownFlag, "the flags h, l and E are not supported")
    static let opaqueTooLong = Failure(.malformed, "opaque token too long")
    static let badToken = Failure(.malformed, "bad token in command line format")
    static let badModeToken = Failure(.malformed, "incorrect length for M token")
    static let unknownStorageMode = Failure(.malformed, "invalid mode for ms M token")
    static let unknownCountingMode = Failure(.malformed, "invalid mode for ma M token")
    static let badBase64 = Failure(.malformed, "error decoding key")
}
