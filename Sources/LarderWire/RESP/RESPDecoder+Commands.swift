// Which command a request is. Those that are an operation of every dialect become that operation, as far as their words are
// plain; all others keep their words, and the server reads them.

import LarderBytes

/// The names that come a million times a second, as numbers: `RESPName.low` of names of up to eight letters.
private enum Hot {
    static let get: UInt64 = 0x544547
    static let set: UInt64 = 0x544553
    static let del: UInt64 = 0x4C4544
    static let incr: UInt64 = 0x52434E49
    static let mget: UInt64 = 0x5445474D
    static let mset: UInt64 = 0x5445534D
    static let exists: UInt64 = 0x535453495845
    static let setex: UInt64 = 0x5845544553
    static let expire: UInt64 = 0x455249505845
}

extension RESPDecoder {
    /// Makes the command of its arguments.
    ///
    /// - Parameter words: The first of them, the name among them.
    /// - Parameter request: All of the request.
    @inline(__always)
    func finish(
        _ bytes: RawSpan, _ words: InlineArray<4, ByteRange>, _ count: Int, _ request: ByteRange, _ command: inout Command
    ) {
        let name = RESPName(bytes, words[0])
        switch name.low {
        case Hot.get where count == 2:
            reset(&command, .get)
            become(.get, .value, words[1], &command)
        case Hot.set where count == 3:
            reset(&command, .set)
            become(.put, .status, words[1], &command)
            command.value = words[2]
        case Hot.del where count == 2:
            reset(&command, .del)
            become(.delete, .count, words[1], &command)
        case Hot.incr where count == 2:
            reset(&command, .incr)
            become(.increment, .number, words[1], &command)
            command.delta = 1
        default:
            finishOther(bytes, name, words, count, request, &command)
        }
    }

    /// A command of which nothing is known but its word.
    @inline(__always)
    func reset(_ command: inout Command, _ word: RESPWord) {
        command.operation = .resp
        command.word = word.rawValue
        command.flags = RESPFlags(.value, isRESP3: isRESP3).rawValue
        command.namespace = .connection
        command.key = .empty
        command.value = .empty
        command.contentType = .empty
        command.clientFlags = 0
        command.lifetime = .unlimited
        command.condition = .none
        command.delta = 0
        command.failure = nil
    }

    @inline(__always)
    private func become(_ operation: Operation, _ form: RESPForm, _ key: ByteRange, _ command: inout Command) {
        command.operation = operation
        command.flags = RESPFlags(form, isRESP3: isRESP3).rawValue
        command.key = key
    }

    @inline(never)
    private func finishOther(
        _ bytes: RawSpan, _ name: RESPName, _ words: InlineArray<4, ByteRange>, _ count: Int, _ request: ByteRange,
        _ command: inout Command
    ) {
        let word = Self.word(name)
        reset(&command, word)
        // What does not become an operation below is read by the server, which also says what is wrong with it.
        command.value = request
        switch (word, count) {
        case (.exists, 2): become(.exists, .count, words[1], &command)
        case (.unlink, 2): become(.delete, .count, words[1], &command)
        case (.type, 2): become(.exists, .type, words[1], &command)
        case (.ttl, 2): become(.lifetime, .seconds, words[1], &command)
        case (.pttl, 2): become(.lifetime, .milliseconds, words[1], &command)
        case (.getex, 2): become(.get, .value, words[1], &command)
        case (.decr, 2):
            become(.increment, .number, words[1], &command)
            command.delta = -1
        case (.incrby, 3), (.decrby, 3):
            guard let delta = Decimal.parse(bytes.slice(words[2])), word == .incrby || delta != .min else { return }
            become(.increment, .number, words[1], &command)
            command.delta = word == .incrby ? delta : -delta
        case (.append, 3):
            become(.append, .number, words[1], &command)
            command.value = words[2]
        case (.setnx, 3):
            become(.put, .count, words[1], &command)
            command.value = words[2]
            command.condition = .absent
        case (.setex, 4), (.psetex, 4):
            guard let lifetime = try? RESPTime.positive(bytes.slice(words[2]), word == .setex ? .ex : .px, for: word) else { return }
            become(.put, .status, words[1], &command)
            command.value = words[3]
            command.lifetime = lifetime
        case (.expire, 3), (.pexpire, 3), (.expireat, 3), (.pexpireat, 3):
            guard let lifetime = try? RESPTime.any(bytes.slice(words[2]), RESPTime.unit(of: word), for: word) else { return }
            become(.setLifetime, .count, words[1], &command)
            command.lifetime = lifetime
        case (.ping, 1): become(.ping, .pong, .empty, &command)
        case (.set, 4...): decodeSet(bytes, words, count, request, &command)
        default: return
        }
        switch command.operation {
        case .put, .append, .resp: break
        default: command.value = .empty
        }
    }

    /// SET with options. Those that need the value that is there are left to the server, and so are faults.
    private func decodeSet(
        _ bytes: RawSpan, _ words: InlineArray<4, ByteRange>, _ count: Int, _ request: ByteRange, _ command: inout Command
    ) {
        var options = RESPArguments(request, in: bytes)
        _ = options.next(in: bytes)
        _ = options.next(in: bytes)
        guard let set = try? RESPSetOptions(&options, in: bytes), !set.returnsOld, set.equal == nil else { return }
        become(.put, .status, words[1], &command)
        command.value = words[2]
        command.lifetime = set.lifetime
        command.condition = set.condition
    }

    private static func word(_ name: RESPName) -> RESPWord {
        if name.high == 0 {
            switch name.low {
            case Hot.mget: return .mget
            case Hot.mset: return .mset
            case Hot.set: return .set
            case Hot.get: return .get
            case Hot.del: return .del
            case Hot.exists: return .exists
            case Hot.setex: return .setex
            case Hot.expire: return .expire
            default: break
            }
        }
        return RESPWord.named(name)
    }
}
