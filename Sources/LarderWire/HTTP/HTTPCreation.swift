// The body of a request that creates a namespace: one JSON object, read where it lies.
//
// A whole reader of JSON's grammar (RFC 8259), because what is accepted here must be JSON; but it keeps only the
// members that it knows. Nesting is a stack of bits, not recursion: it has a bound, and it cannot exhaust the thread's.

import LarderBytes

/// Reads `{"name": "...", "keys": "path" | "bytes", "durability": "always" | ..., "eviction": "none" | ..., "bytes_max": N}`.
struct HTTPCreation {
    private let range: ByteRange
    private var position: Int
    private var name: ByteRange?

    /// Reads the body at `range` into `command`. A name that the target gave stays when the body gives none.
    static func read(_ range: ByteRange, _ command: inout Command, _ input: inout ByteBuffer) throws(Failure) {
        let isNamed = command.httpFlags.resource == .namedNamespace
        if !(isNamed && range.isEmpty) {
            var reader = HTTPCreation(range)
            try reader.readObject(&command, &input)
            if let name = reader.name {
                guard !isNamed else {
                    throw Failure(.nameInvalid, "The target names the namespace already.", parameter: "/name")
                }
                command.value = name
            } else if !isNamed {
                throw Failure(.nameInvalid, "The member name is missing.", parameter: "/name")
            }
        }
        guard isName(input.span(command.value)) else {
            throw Failure(.nameInvalid, "A name has 1 to 255 characters of a-z, 0-9 and -.", parameter: "/name")
        }
    }

    private init(_ range: ByteRange) {
        self.range = range
        position = range.start
    }

    private static func isName(_ text: RawSpan) -> Bool {
        guard text.byteCount >= 1, text.byteCount <= 255 else { return false }
        for position in 0..<text.byteCount {
            switch text.byte(at: position) {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): continue
            default: return false
            }
        }
        return true
    }

    // MARK: The outer object

    private mutating func readObject(_ command: inout Command, _ input: inout ByteBuffer) throws(Failure) {
        guard next(input) == UInt8(ascii: "{") else { throw notJSON }
        position += 1
        if next(input) == UInt8(ascii: "}") {
            position += 1
        } else {
            repeat {
                let member = try readString(&input)
                guard next(input) == UInt8(ascii: ":") else { throw notJSON }
                position += 1
                try readMember(member, &command, &input)
            } while try continues(UInt8(ascii: "}"), input)
        }
        guard next(input) == nil else { throw notJSON }
    }

    private mutating func readMember(
        _ member: ByteRange, _ command: inout Command, _ input: inout ByteBuffer
    ) throws(Failure) {
        let isString = next(input) == UInt8(ascii: "\"")
        if input.span(member).equals("name") {
            guard isString, name == nil else {
                throw Failure(.nameInvalid, "The name is not one string.", parameter: "/name")
            }
            name = try readString(&input)
        } else if input.span(member).equals("keys") {
            let word = isString ? try readString(&input) : .empty
            command.creation.keyRule = try Self.keyRule(input.span(word))
        } else if input.span(member).equals("durability") {
            let word = isString ? try readString(&input) : .empty
            command.creation.durability = try Self.durability(input.span(word))
        } else if input.span(member).equals("eviction") {
            let word = isString ? try readString(&input) : .empty
            command.creation.eviction = try Self.eviction(input.span(word))
        } else if input.span(member).equals("bytes_max") {
            // Behind any white space, which `next` has passed over.
            let start = position
            try skipValue(&input)
            let number = Decimal.parse(input.span(ByteRange(start: start, count: position - start)))
            guard let number, number >= 0 else {
                throw Failure(.malformed, "The limit is not a whole number of bytes.", parameter: "/bytes_max")
            }
            command.creation.bytesMax = UInt64(number)
        } else {
            try skipValue(&input)
        }
    }

    private static func eviction(_ word: RawSpan) throws(Failure) -> EvictionChoice {
        if word.equals("none") { return .none }
        if word.equals("s3-fifo") { return .s3fifo }
        throw Failure(.malformed, "Eviction is none or s3-fifo.", parameter: "/eviction")
    }

    private static func keyRule(_ word: RawSpan) throws(Failure) -> KeyRule {
        if word.equals("path") { return .path }
        if word.equals("bytes") { return .bytes }
        throw Failure(.malformed, "The rule for keys is path or bytes.", parameter: "/keys")
    }

    private static func durability(_ word: RawSpan) throws(Failure) -> DurabilityChoice {
        if word.equals("always") { return .always }
        if word.equals("interval") { return .interval }
        if word.equals("never") { return .never }
        if word.equals("off") { return .off }
        throw Failure(.malformed, "Durability is always, interval, never or off.", parameter: "/durability")
    }

    // MARK: Grammar

    private var notJSON: Failure { Failure(.malformed, "The body is not a JSON object.") }

    /// The next byte that is no whitespace, which stays unread.
    private mutating func next(_ input: borrowing ByteBuffer) -> UInt8? {
        while position < range.end {
            switch input[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            case let byte: return byte
            }
        }
        return nil
    }

    /// After a member or an element: whether a comma says that another follows, or `end` that none does.
    private mutating func continues(_ end: UInt8, _ input: borrowing ByteBuffer) throws(Failure) -> Bool {
        let byte = next(input)
        guard byte == UInt8(ascii: ",") || byte == end else { throw notJSON }
        position += 1
        return byte != end
    }

    /// A string's content, its escapes undone where they lie. An escape that means no ASCII character is left as it
    /// is: it stands in no name and no word that is known here.
    private mutating func readString(_ input: inout ByteBuffer) throws(Failure) -> ByteRange {
        guard next(input) == UInt8(ascii: "\"") else { throw notJSON }
        position += 1
        let start = position
        var target = start
        while position < range.end {
            let byte = input[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return ByteRange(start: start, count: target - start)
            }
            guard byte >= 0x20 else { throw notJSON }
            if byte == UInt8(ascii: "\\") {
                let (length, meaning) = try escape(input)
                if let meaning {
                    input[target] = meaning
                    target += 1
                } else {
                    for offset in 0..<length { input[target + offset] = input[position + offset] }
                    target += length
                }
                position += length
            } else {
                input[target] = byte
                target += 1
                position += 1
            }
        }
        throw notJSON
    }

    /// The escape at `position`: how long it is, and the ASCII character that it stands for.
    private func escape(_ input: borrowing ByteBuffer) throws(Failure) -> (length: Int, meaning: UInt8?) {
        guard position + 1 < range.end else { throw notJSON }
        let letter = input[position + 1]
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return (2, letter)
        case UInt8(ascii: "b"): return (2, 0x08)
        case UInt8(ascii: "f"): return (2, 0x0C)
        case UInt8(ascii: "n"): return (2, 0x0A)
        case UInt8(ascii: "r"): return (2, 0x0D)
        case UInt8(ascii: "t"): return (2, 0x09)
        case UInt8(ascii: "u"):
            guard position + 6 <= range.end else { throw notJSON }
            var unit: UInt32 = 0
            for offset in 2..<6 {
                guard let digit = HTTPText.hexadecimal(input[position + offset]) else { throw notJSON }
                unit = unit << 4 | UInt32(digit)
            }
            return (6, unit < 0x80 ? UInt8(unit) : nil)
        default: throw notJSON
        }
    }

    // MARK: Values that are not kept

    /// Passes over one value of any kind.
    private mutating func skipValue(_ input: inout ByteBuffer) throws(Failure) {
        // One bit a level, the innermost last: 1 for an object, 0 for an array. The leading 1 counts the levels.
        var levels: UInt64 = 1
        while true {
            guard let first = next(input) else { throw notJSON }
            var isEmpty = false
            if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
                guard levels.leadingZeroBitCount > 0 else {
                    throw Failure(.malformed, "The body is nested too deeply.")
                }
                let isObject = first == UInt8(ascii: "{")
                levels = levels << 1 | (isObject ? 1 : 0)
                position += 1
                isEmpty = next(input) == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
                if !isEmpty {
                    if isObject { try skipName(&input) }
                    continue
                }
            } else {
                try skipScalar(first, &input)
            }
            // A value ended: close what ends with it, until something goes on.
            while true {
                guard levels > 1 else { return }
                let isObject = levels & 1 == 1
                if isEmpty {
                    position += 1
                    isEmpty = false
                } else if try continues(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"), input) {
                    if isObject { try skipName(&input) }
                    break
                }
                levels >>= 1
            }
        }
    }

    private mutating func skipName(_ input: inout ByteBuffer) throws(Failure) {
        _ = try readString(&input)
        guard next(input) == UInt8(ascii: ":") else { throw notJSON }
        position += 1
    }

    private mutating func skipScalar(_ first: UInt8, _ input: inout ByteBuffer) throws(Failure) {
        switch first {
        case UInt8(ascii: "\""): _ = try readString(&input)
        case UInt8(ascii: "t"): try skip("true", input)
        case UInt8(ascii: "f"): try skip("false", input)
        case UInt8(ascii: "n"): try skip("null", input)
        default: try skipNumber(input)
        }
    }

    private mutating func skip(_ word: StaticString, _ input: borrowing ByteBuffer) throws(Failure) {
        let count = word.utf8CodeUnitCount
        guard range.end - position >= count, input.span(ByteRange(start: position, count: count)).equals(word) else {
            throw notJSON
        }
        position += count
    }

    private mutating func skipNumber(_ input: borrowing ByteBuffer) throws(Failure) {
        _ = skip(UInt8(ascii: "-"), input)
        if !skip(UInt8(ascii: "0"), input) { try skipDigits(input) }
        if skip(UInt8(ascii: "."), input) { try skipDigits(input) }
        if skip(UInt8(ascii: "e"), input) || skip(UInt8(ascii: "E"), input) {
            if !skip(UInt8(ascii: "+"), input) { _ = skip(UInt8(ascii: "-"), input) }
            try skipDigits(input)
        }
    }

    private mutating func skip(_ byte: UInt8, _ input: borrowing ByteBuffer) -> Bool {
        guard position < range.end, input[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipDigits(_ input: borrowing ByteBuffer) throws(Failure) {
        let start = position
        while position < range.end, input[position] &- UInt8(ascii: "0") <= 9 { position += 1 }
        guard position > start else { throw notJSON }
    }
}
