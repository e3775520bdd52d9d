// Conversations of memcached as docs/memcached.md writes them, and how they are held.

import Foundation
import LarderServer
import LarderWire
import Testing

/// One conversation: what the client sends, and what it gets for it.
struct MemcachedScript: Sendable, CustomTestStringConvertible {
    var name = ""
    /// What the server is told: `keys=bytes`, `api-key`, `value-bytes-max=10`.
    var settings: [String] = []
    /// In turns: some lines of the client's, and the lines that answer them.
    var turns: [(sent: [String], answered: [String])] = []
    var testDescription: String { name }

    var configuration: ServerConfiguration {
        var configuration = ServerConfiguration()
        for setting in settings {
            if setting == "keys=bytes" { configuration.keyRule = .bytes }
            if setting == "api-key" { configuration.apiKey = APIKey(bytes: Array("open-sesame-1234".utf8)) }
            if setting == "value-bytes-max=10" { configuration.valueBytesMax = 10 }
        }
        return configuration
    }

    /// The conversations of docs/memcached.md.
    static let document: [MemcachedScript] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/memcached.md").standardizedFileURL
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
        var scripts: [MemcachedScript] = []
        var isWithin = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```memcached ") {
                let words = line.dropFirst(13).split(separator: " ").map(String.init)
                scripts.append(MemcachedScript(name: words[0], settings: Array(words.dropFirst())))
                isWithin = true
            } else if line.hasPrefix("```") {
                isWithin = false
            } else if isWithin {
                scripts[scripts.count - 1].add(line)
            }
        }
        return scripts
    }()

    private mutating func add(_ line: Substring) {
        let text = String(line.dropFirst(2))
        if line.hasPrefix(">") {
            if turns.last?.answered.isEmpty != true { turns.append((sent: [], answered: [])) }
            turns[turns.count - 1].sent.append(text)
        } else {
            turns[turns.count - 1].answered.append(text)
        }
    }
}

/// The numbers that stand for `{a}`, `{b}` … in a conversation, once they are known.
struct MemcachedVersions {
    var known: [Character: String] = [:]

    /// `line` with the numbers that are known.
    func filled(_ line: String) -> String {
        known.reduce(line) { $0.replacing("{\($1.key)}", with: $1.value) }
    }

    /// Whether `answer` is what `expected` says; learns the numbers in it. A number that is known may have become another.
    mutating func learn(_ expected: String, from answer: String) -> Bool {
        guard let open = expected.firstIndex(of: "{"), expected[open...].dropFirst(2).first == "}" else { return expected == answer }
        let (before, after) = (expected[..<open], expected[open...].dropFirst(3))
        guard answer.hasPrefix(before) else { return false }
        let digits = answer.dropFirst(before.count).prefix { $0.isNumber }
        guard !digits.isEmpty, answer.dropFirst(before.count + digits.count) == after else { return false }
        known[expected[expected.index(after: open)]] = String(digits)
        return true
    }
}
