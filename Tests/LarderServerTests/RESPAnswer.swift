// Requests of RESP in words, and its replies as values.

import Testing

/// One reply, or one of its parts.
indirect enum RESPValue: Equatable, CustomStringConvertible {
    case simple(String), error(String), integer(Int64), bulk([UInt8]), null, boolean(Bool), double(String), verbatim(String)
    case array([RESPValue]), map([RESPValue]), set([RESPValue]), push([RESPValue])

    static func text(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }
    static func list(_ texts: [String]) -> RESPValue { .array(texts.map { .text($0) }) }

    var description: String {
        switch self {
        case .bulk(let bytes): "\"\(bytes.text)\""
        case .simple(let text): "+\(text)"
        case .error(let text): "-\(text)"
        case .integer(let number): ":\(number)"
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .double(let text), .verbatim(let text): text
        case .array(let items), .map(let items), .set(let items), .push(let items): "\(items)"
        }
    }

    /// What a bulk or verbatim string says.
    var string: String? {
        switch self {
        case .bulk(let bytes): bytes.text
        case .verbatim(let text), .simple(let text): text
        default: nil
        }
    }

    var items: [RESPValue] {
        switch self {
        case .array(let items), .map(let items), .set(let items), .push(let items): items
        default: []
        }
    }
}

/// What is wrong with bytes that were to be replies.
struct RESPFault: Error, CustomStringConvertible {
    let description: String
}

/// Reads replies strictly: whatever is not exactly of the protocol is a fault.
struct RESPReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// All replies in `bytes`, which hold nothing else.
    static func all(_ bytes: [UInt8]) throws -> [RESPValue] {
        var reader = RESPReader(bytes)
        var values: [RESPValue] = []
        while reader.position < bytes.count { values.append(try reader.next()) }
        return values
    }

    private mutating func next() throws -> RESPValue {
        let line = try line()
        guard let type = line.first else { throw RESPFault(description: "an empty line at \(position)") }
        let rest = String(line.dropFirst())
        switch type {
        case "+": return .simple(rest)
        case "-": return .error(rest)
        case ":": return .integer(try number(rest))
        case "_": return .null
        case "#": return .boolean(rest == "t")
        case ",": return .double(rest)
        case "$": return try number(rest) < 0 ? .null : .bulk(try take(Int(number(rest))))
        case "=": return .verbatim(try take(Int(number(rest))).dropFirst(4).map { $0 }.text)
        case "*": return try number(rest) < 0 ? .null : .array(try many(Int(number(rest))))
        case "~": return .set(try many(Int(number(rest))))
        case ">": return .push(try many(Int(number(rest))))
        case "%": return .map(try many(Int(number(rest)) * 2))
        default: throw RESPFault(description: "no type: \(line)")
        }
    }

    private mutating func many(_ count: Int) throws -> [RESPValue] {
        var values: [RESPValue] = []
        for _ in 0..<count { values.append(try next()) }
        return values
    }

    private func number(_ text: String) throws -> Int64 {
        guard let number = Int64(text), String(number) == text else { throw RESPFault(description: "no number: \(text)") }
        return number
    }

    private mutating func line() throws -> String {
        guard let end = bytes[position...].firstIndex(of: 0x0D), end + 1 < bytes.count, bytes[end + 1] == 0x0A else {
            throw RESPFault(description: "no end of the line at \(position): \(Array(bytes[position...]).text)")
        }
        defer { position = end + 2 }
        return Array(bytes[position..<end]).text
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
        guard count <= bytes.count - position - 2 else { throw RESPFault(description: "ends within a string") }
        let taken = Array(bytes[position..<(position + count)])
        guard bytes[position + count] == 0x0D, bytes[position + count + 1] == 0x0A else {
            throw RESPFault(description: "a string without an end")
        }
        position += count + 2
        return taken
    }
}

enum Say {
    /// The bytes of a command.
    static func command(_ words: [[UInt8]]) -> [UInt8] {
        words.reduce(Array("*\(words.count)\r\n".utf8)) { $0 + Array("$\($1.count)\r\n".utf8) + $1 + [0x0D, 0x0A] }
    }

    static func command(_ words: [String]) -> [UInt8] { command(words.map { Array($0.utf8) }) }

    /// The same, with words that have no spaces in them.
    static func words(_ line: String) -> [UInt8] { command(line.split(separator: " ").map(String.init)) }
}

extension Client {
    /// The one reply to a command.
    func ask(_ line: String) throws -> RESPValue { try ask(line.split(separator: " ").map(String.init)) }

    func ask(_ words: [String]) throws -> RESPValue {
        let values = try RESPReader.all(send(Say.command(words)))
        return try #require(values.count == 1 ? values[0] : nil, "\(values.count) replies to \(words): \(values)")
    }
}
