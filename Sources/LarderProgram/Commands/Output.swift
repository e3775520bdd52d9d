// What `larder kv` prints: lines for people, or JSON for programs with the words of the HTTP interface.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPlatform
import LarderWire

/// Something that can be printed both ways.
protocol Printable: Encodable {
    /// Lines, each with its end.
    var text: String { get }
}

struct OutputFormat: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false

    func write(_ output: some Printable) throws(CommandFailure) {
        let text = json ? Self.encode(output) : output.text
        do throws(SystemError) { try StandardStreams.write(Array(text.utf8).rawSpan) } catch {
            throw CommandFailure(.failed, "standard output: \(error)")
        }
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
    let keyRule: String
    let keys: UInt64
    let bytes: UInt64

    init(_ namespace: NamespaceReply) {
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
        keyRule = namespace.keyRule == .path ? "path" : "bytes"
        keys = namespace.keys
        bytes = namespace.bytes
    }

    var text: String {
        """
        id          \(id)
        name        \(name)
        status      \(status)
        created     \(createdAt)
        updated     \(updatedAt)
        durability  \(durability)
        key rule    \(keyRule)
        keys        \(keys)
        bytes       \(bytes)

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
        data = namespaces.map(NamespaceOutput.init)
        meta = Meta(
            pageNumber: page, pageSize: pageSize, totalPages: max(1, (total + pageSize - 1) / pageSize), totalResults: total)
    }

    var text: String {
        let lines = data.map { "\($0.id)  \($0.status)  \($0.name)\n" }.joined()
        return meta.totalPages > 1 ? lines + "page \(meta.pageNumber) of \(meta.totalPages)\n" : lines
    }
}

struct KeyListOutput: Printable {
    struct Item: Encodable {
        let key: String
        let sizeBytes: Int
        let updatedAt: String
        /// Left out for a key that lives until it is deleted.
        let expiresInMilliseconds: Milliseconds?
    }

    let data: [Item]
    /// Left out on the last page.
    let cursor: String?

    init(_ keys: [KeyRecord], cursor: [UInt8]?) {
        data = keys.map {
            Item(
                key: String(decoding: $0.key, as: UTF8.self), sizeBytes: $0.valueBytes,
                updatedAt: OutputFormat.time($0.updatedMilliseconds), expiresInMilliseconds: $0.remaining)
        }
        self.cursor = cursor.map { Data($0).base64EncodedString() }
    }

    var text: String {
        // Control characters of a key must not reach the terminal as commands.
        let lines = data.map { item in
            item.key.unicodeScalars.map { $0.properties.generalCategory == .control ? $0.escaped(asASCII: true) : String($0) }
                .joined() + "\n"
        }.joined()
        return cursor.map { "\(lines)more keys: --cursor \($0)\n" } ?? lines
    }
}
