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

    // How a GET and a SET of nothing else begin.
    /// `*2`, `$3`, each with the end of its line.
    static let twoWords: UInt64 = 0x0A0D_3324_0A0D_322A
    /// `*3`, `$3`.
    static let threeWords: UInt64 = 0x0A0D_3324_0A0D_332A
    /// The name, the end of its line, and `$`.
    static let getHead: UInt64 = 0x240A_0D54_4547
    static let setHead: UInt64 = 0x240A_0D54_4553
    /// Those bytes, with the letters in upper case.
    static let headMask: UInt64 = 0xFFFF_FFDF_DFDF
    static let headBytes = 14
}

extension RESPDecoder {
    /// Decodes what comes a million times a second, a GET or a plain SET that is all here: two words tell that it is one.
    ///
    /// - Returns: false, and nothing has changed, for anything else.
    @inline(__always)
    func decodeHot(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> Bool {
        guard bytes.byteCount &- position > Hot.headBytes &+ 1, argumentsSeen == 0 else { return false }
        let head = bytes.littleEndian(at: position, as: UInt64.self)
        let name = bytes.littleEndian(at: position &+ 8, as: UInt64.self) & Hot.headMask
        var at = position &+ Hot.headBytes
        if head == Hot.twoWords, name == Hot.getHead {
            guard let key = argument(bytes, &at, position) else { return false }
            reset(&command, .get)
            become(.get, .value, key, &command)
        } else if head == Hot.threeWords, name == Hot.setHead {
            guard let key = argument(bytes, &at, position), at < bytes.byteCount, bytes.byte(at: at) == UInt8(ascii: "$")
            else { return false }
            at &+= 1
            guard let value = argument(bytes, &at, position) else { return false }
            reset(&command, .set)
            become(.put, .status, key, &command)
            command.value = value
        } else {
            return false
        }
        position = at
        return true
    }

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
        case Hot.del where count == 2 && name.count == 3:
            reset(&command, .del)
            become(.delete, .count, words[1], &command)
        case Hot.incr where count == 2 && name.count == 4:
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
        command.key = ByteRange(start: 0, count: 0)
        command.value = ByteRange(start: 0, count: 0)
        command.contentType = ByteRange(start: 0, count: 0)
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
        // In one piece they are decoded before.
        case (.get, 2): become(.get, .value, words[1], &command)
        case (.set, 3):
            become(.put, .status, words[1], &command)
            command.value = words[2]
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
            guard let delta = RESPInteger.parse(bytes.slice(words[2])), word == .incrby || delta != .min else { return }
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
        guard let set = try? RESPSetOptions(&options, in: bytes), !set.returnsOld, set.equal == nil,
            let lifetime = try? set.lifetime(in: bytes)
        else { return }
        become(.put, .status, words[1], &command)
        command.value = words[2]
        command.lifetime = lifetime
        command.condition = set.condition
    }

    private static func word(_ name: RESPName) -> RESPWord {
        switch (name.low, name.count) {
        case (Hot.mget, 4): .mget
        case (Hot.mset, 4): .mset
        case (Hot.set, 3): .set
        case (Hot.get, 3): .get
        case (Hot.del, 3): .del
        case (Hot.exists, 6): .exists
        case (Hot.setex, 5): .setex
        case (Hot.expire, 6): .expire
        default: RESPWord.named(name)
        }
    }
}
