// What `larder kv` prints: lines for people, or JSON for programs with the words of the HTTP interface.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPlatform
import LarderWire

/// Standard output, whose failure is the command's.
enum Output {
    static func write(_ bytes: [UInt8]) throws(CommandFailure) {
        do throws(SystemError) { try StandardStreams.write(bytes.rawSpan) } catch {
            throw CommandFailure(.failed, "standard output: \(error)")
        }
    }

    static func write(line: String) throws(CommandFailure) { try write(Array("\(line)\n".utf8)) }
}

/// Something that can be printed both ways.
protocol Printable: Encodable {
    /// Lines, each with its end.
    var text: String { get }
    /// A line for the person at the terminal that is no data and would be in the way of a program; empty: none.
    var note: String { get }
}

extension Printable {
    var note: String { "" }
}

struct OutputFormat: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false

    func write(_ output: some Printable) throws(CommandFailure) {
        let text = json ? Self.encode(output) : output.text
        try Output.write(Array(text.utf8))
        if !json { StandardStreams.writeError(output.note) }
    }

    static func encode(_ output: some Printable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        // Texts and numbers always encode.
        guard let data = try? encoder.encode(output) else { preconditionFailure("an output that is no JSON") }
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    /// RFC 3339, to the millisecond.
    static func time(_ milliseconds: Milliseconds) -> String {
        // The seconds alone are exact as a floating-point number; the thousandths are written from the integer.
        // A server may say anything: what is no year of four digits is shown as the nearest that is.
        let shown = min(max(milliseconds, 0), 253_402_300_799_999)
        let (seconds, rest) = shown.quotientAndRemainder(dividingBy: 1_000)
        let whole = Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601).dropLast()
        return "\(whole).\(String(rest + 1_000).dropFirst())Z"
    }
}

struct NamespaceOutput: Printable {
    let id: String
    let name: String
    let status: String
    let createdAt: String
    let updatedAt: String
    let durability: String
    /// The rule for keys.
    let keys: String
    let keyCount: UInt64
    let sizeBytes: UInt64
    let eviction: String
    let memoryBytes: UInt64
    /// 0: there is no limit.
    let bytesMax: UInt64
    /// What was done to it, which is all that is printed as text then.
    private let deed: String?

    private enum CodingKeys: CodingKey {
        case id, name, status, createdAt, updatedAt, durability, keys, keyCount, sizeBytes, eviction, memoryBytes, bytesMax
    }

    init(_ namespace: NamespaceReply, deed: String? = nil) {
        self.deed = deed
        let digits = [namespace.id.high, namespace.id.low].map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        var parts: [Substring] = []
        var rest = digits[...]
        for count in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        id = parts.joined(separator: "-")
        name = namespace.name
        status = namespace.state
        createdAt = OutputFormat.time(namespace.createdMilliseconds)
        updatedAt = OutputFormat.time(namespace.updatedMilliseconds)
        durability = namespace.durability
        keys = namespace.keyRule == .path ? "path" : "bytes"
        keyCount = namespace.keys
        sizeBytes = namespace.bytes
        eviction = namespace.eviction.name
        memoryBytes = namespace.memoryBytes
        bytesMax = namespace.bytesMax
    }

    /// What would be gone with all its keys, or with the namespace as well.
    func loss(withNamespace: Bool) -> String {
        let count = keyCount == 1 ? "1 key" : "\(keyCount) keys"
        return withNamespace ? "the namespace \(name) (\(id)) and its \(count)" : "the \(count) of the namespace \(name) (\(id))"
    }

    var text: String {
        if let deed { return "\(deed) \(name) (\(id))\n" }
        return """
        id          \(id)
        name        \(name)
        status      \(status)
        created     \(createdAt)
        updated     \(updatedAt)
        durability  \(durability)
        key rule    \(keys)
        keys        \(keyCount)
        bytes       \(sizeBytes)
        memory      \(memoryBytes)\(bytesMax == 0 ? "" : " of \(bytesMax)")
        eviction    \(eviction)

        """
    }
}

struct NamespaceListOutput: Printable {
    struct Meta: Encodable {
        let pageNumber: Int
        let pageSize: Int
        let totalPages: Int
        let totalResults: Int
    }

    let data: [NamespaceOutput]
    let meta: Meta

    init(_ namespaces: [NamespaceReply], page: Int, pageSize: Int, total: Int) {
        data = namespaces.map { NamespaceOutput($0) }
        meta = Meta(
            pageNumber: page, pageSize: pageSize, totalPages: max(1, (total + pageSize - 1) / pageSize), totalResults: total)
    }

    var text: String { data.map { "\($0.id)  \($0.status)  \($0.name)\n" }.joined() }
    var note: String { meta.totalPages > 1 ? "page \(meta.pageNumber) of \(meta.totalPages)\n" : "" }
}

struct KeyListOutput: Printable {
    struct Item: Encodable {
        let key: String
        /// The key itself, when it is not UTF-8 and `key` only shows it.
        let keyBase64: String?
        let sizeBytes: Int
        let updatedAt: String
        /// Left out for a key that lives until it is deleted.
        let expiresInMilliseconds: Milliseconds?
    }

    struct Meta: Encodable {
        let hasMore: Bool
        /// Left out on the last page.
        let cursor: String?
    }

    let data: [Item]
    let meta: Meta

    init(_ keys: [KeyRecord], cursor: [UInt8]?) {
        data = keys.map {
            Item(
                key: String(decoding: $0.key, as: UTF8.self),
                keyBase64: String(validating: $0.key, as: UTF8.self) == nil ? Data($0.key).base64EncodedString() : nil,
                sizeBytes: $0.valueBytes, updatedAt: OutputFormat.time($0.updatedMilliseconds), expiresInMilliseconds: $0.remaining)
        }
        meta = Meta(hasMore: cursor != nil, cursor: cursor.map { Data($0).base64EncodedString() })
    }

    var text: String {
        // Control characters of a key must not reach the terminal as commands.
        data.map { item in
            item.key.unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0) }
                .joined() + "\n"
        }.joined()
    }

    var note: String { meta.cursor.map { "more keys: --cursor \($0)\n" } ?? "" }
}
