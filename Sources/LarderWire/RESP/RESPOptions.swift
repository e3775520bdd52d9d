// The options behind the words of SET, GETEX, EXPIRE and their like, with Redis' own texts for what is wrong with them.
//
// Source of the rules: Redis, t_string.c `parseExtendedStringArgumentsOrReply`, and expire.c.

import LarderBytes

/// How a moment or a span of time is written.
package enum RESPTimeUnit: Sendable {
    case ex, px, exat, pxat
}

/// Times of life as arguments.
package enum RESPTime {
    /// What the number `text` says, be it in the past.
    package static func any(_ text: RawSpan, _ unit: RESPTimeUnit, for word: RESPWord) throws(Failure) -> Lifetime {
        guard let number = RESPInteger.parse(text) else { throw .respNotAnInteger }
        let isSeconds = unit == .ex || unit == .exat
        let (milliseconds, overflow) = isSeconds ? number.multipliedReportingOverflow(by: 1_000) : (number, false)
        guard !overflow else { throw .invalidExpire(word) }
        if unit == .exat || unit == .pxat { return .until(milliseconds) }
        // So far from the end that the present time can be added.
        guard milliseconds <= .max - 1 << 44 else { throw .invalidExpire(word) }
        return .milliseconds(milliseconds)
    }

    /// The same where a number below 1 is a mistake.
    package static func positive(_ text: RawSpan, _ unit: RESPTimeUnit, for word: RESPWord) throws(Failure) -> Lifetime {
        let lifetime = try any(text, unit, for: word)
        switch lifetime {
        case .milliseconds(let number) where number <= 0, .until(let number) where number <= 0: throw .invalidExpire(word)
        default: return lifetime
        }
    }

    /// What EXPIRE and its like are written in.
    package static func unit(of word: RESPWord) -> RESPTimeUnit {
        switch word {
        case .pexpire: .px
        case .expireat: .exat
        case .pexpireat: .pxat
        default: .ex
        }
    }
}

/// Integers as arguments: Redis takes what it would write itself, and nothing else.
package enum RESPInteger {
    /// - Returns: nil for what is no integer of 64 bits, and for one with a zero or a sign that it does not need.
    package static func parse(_ text: RawSpan) -> Int64? {
        guard let number = Decimal.parse(text) else { return nil }
        let digits = text.byte(at: 0) == UInt8(ascii: "-") ? 1 : 0
        let hasNeedlessZero = text.byte(at: digits) == 0x30 && text.byteCount > 1
        return hasNeedlessZero ? nil : number
    }
}

/// The options of SET and GETEX. What stands behind them is judged first, and then the time: see `lifetime(in:)`.
package struct RESPSetOptions: Sendable {
    /// Without a time: what an option says, or that there is none.
    private var plain: Lifetime
    private var time: (text: ByteRange, unit: RESPTimeUnit)?
    private let word: RESPWord
    package private(set) var condition = Condition.none
    /// GET: the reply is what was there before.
    package private(set) var returnsOld = false
    /// IFEQ: what must be there.
    package private(set) var equal: ByteRange?
    private var isPlainChosen = false

    /// The options of SET, as they stand behind the value.
    package init(_ options: inout RESPArguments, in input: borrowing ByteBuffer) throws(Failure) {
        try self.init(&options, in: input.bytes)
    }

    init(_ options: inout RESPArguments, in bytes: RawSpan) throws(Failure) {
        (plain, word) = (.unlimited, .set)
        while let option = options.next(in: bytes) {
            let name = RESPName(bytes, option)
            switch name {
            case Self.nx: try require(.absent)
            case Self.xx: try require(.present)
            case Self.get: returnsOld = true
            case Self.keepttl: try take(.keep)
            case Self.ifeq:
                guard equal == nil, condition == .none, let value = options.next(in: bytes) else { throw .syntaxError }
                equal = value
            default: try takeTime(name, &options, bytes)
            }
        }
        if equal != nil, condition != .none { throw .syntaxError }
    }

    /// The options of GETEX.
    package init(getex options: inout RESPArguments, in input: borrowing ByteBuffer) throws(Failure) {
        (plain, word) = (.keep, .getex)
        while let option = options.next(in: input) {
            let name = RESPName(input.bytes, option)
            if name == Self.persist { try take(.unlimited) } else { try takeTime(name, &options, input.bytes) }
        }
    }

    /// How long the key is to live.
    package func lifetime(in input: borrowing ByteBuffer) throws(Failure) -> Lifetime { try lifetime(in: input.bytes) }

    func lifetime(in bytes: RawSpan) throws(Failure) -> Lifetime {
        guard let time else { return plain }
        return try RESPTime.positive(bytes.slice(time.text), time.unit, for: word)
    }

    private mutating func takeTime(
        _ name: RESPName, _ options: inout RESPArguments, _ bytes: RawSpan
    ) throws(Failure) {
        let unit: RESPTimeUnit
        switch name {
        case Self.ex: unit = .ex
        case Self.px: unit = .px
        case Self.exat: unit = .exat
        case Self.pxat: unit = .pxat
        default: throw .syntaxError
        }
        // As in Redis the same may be said again, and the last counts.
        guard !isPlainChosen, time == nil || time?.unit == unit, let number = options.next(in: bytes) else { throw .syntaxError }
        time = (number, unit)
    }

    private mutating func take(_ lifetime: Lifetime) throws(Failure) {
        guard time == nil else { throw .syntaxError }
        plain = lifetime
        isPlainChosen = true
    }

    private mutating func require(_ condition: Condition) throws(Failure) {
        guard self.condition == .none || self.condition == condition else { throw .syntaxError }
        self.condition = condition
    }

    private static let nx = RESPName("nx"), xx = RESPName("xx"), get = RESPName("get"), ifeq = RESPName("ifeq")
    private static let keepttl = RESPName("keepttl"), persist = RESPName("persist")
    private static let ex = RESPName("ex"), px = RESPName("px"), exat = RESPName("exat"), pxat = RESPName("pxat")
}

/// What EXPIRE and its like ask of the deadline that is there.
package struct RESPExpireOptions: Sendable {
    package private(set) var onlyWithout = false
    package private(set) var onlyWith = false
    package private(set) var onlyLater = false
    package private(set) var onlyEarlier = false
    /// The first that is none, if there is one: then nothing behind it was looked at.
    package private(set) var unknown: ByteRange?

    package init(_ options: inout RESPArguments, in input: borrowing ByteBuffer) throws(Failure) {
        while let option = options.next(in: input) {
            switch RESPName(input.bytes, option) {
            case Self.nx: onlyWithout = true
            case Self.xx: onlyWith = true
            case Self.gt: onlyLater = true
            case Self.lt: onlyEarlier = true
            default:
                unknown = option
                return
            }
        }
        if onlyWithout, onlyWith || onlyLater || onlyEarlier {
            throw Failure(.malformed, "NX and XX, GT or LT options at the same time are not compatible")
        }
        if onlyLater, onlyEarlier { throw Failure(.malformed, "GT and LT options at the same time are not compatible") }
    }

    /// Whether a deadline may take the place of the one that is there; nil is for ever.
    package func allow(_ deadline: Int64, replacing present: Int64?) -> Bool {
        if onlyWithout { return present == nil }
        if onlyWith, present == nil { return false }
        if onlyLater { return present.map { deadline > $0 } ?? false }
        if onlyEarlier { return present.map { deadline < $0 } ?? true }
        return true
    }

    private static let nx = RESPName("nx"), xx = RESPName("xx"), gt = RESPName("gt"), lt = RESPName("lt")
}

extension Failure {
    package static let syntaxError = Failure(.malformed, "syntax error")
    package static let respNotAnInteger = Failure(.malformed, "value is not an integer or out of range")

    package static func invalidExpire(_ word: RESPWord) -> Failure {
        switch word {
        case .setex: Failure(.malformed, "invalid expire time in 'setex' command")
        case .psetex: Failure(.malformed, "invalid expire time in 'psetex' command")
        case .getex: Failure(.malformed, "invalid expire time in 'getex' command")
        case .expire: Failure(.malformed, "invalid expire time in 'expire' command")
        case .pexpire: Failure(.malformed, "invalid expire time in 'pexpire' command")
        case .expireat: Failure(.malformed, "invalid expire time in 'expireat' command")
        case .pexpireat: Failure(.malformed, "invalid expire time in 'pexpireat' command")
        default: Failure(.malformed, "invalid expire time in 'set' command")
        }
    }
}
