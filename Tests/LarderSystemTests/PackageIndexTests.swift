import Foundation
import LarderBytes
import LarderWire
import Testing

/// Debian's package index as real input: every stanza under its package's name, in over both protocols, listed in order,
/// and read back byte for byte after a kill.
@Suite("Debian's package index", .serialized) struct PackageIndexTests {
    @Test func `goes in over both protocols, is listed in order, and survives a kill byte for byte`() throws {
        let stanzas = try Self.stanzas()
        try #require(stanzas.count > 100, "apt-cache dumpavail printed too little: run apt-get update")
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()

        // Names with + are no legal keys: each dialect says so, and nothing is stored.
        let http = try HTTPClient(port: server.port)
        let illegal = stanzas.keys.filter { $0.contains("+") }.sorted()
        for name in illegal.prefix(20) {
            let answer = try http.call("PUT", "/kv/default/debian/p/\(name)", body: Array(stanzas[name]!.utf8))
            #expect(answer.status == 400)
            #expect(answer.text.contains("10015"))
        }

        let binary = try BinaryClient(port: server.port)
        var keys: [String: String] = [:]
        let type = Array("text/x-debian-control".utf8)
        var queued = 0
        var sent = 0
        for (index, name) in stanzas.keys.sorted().enumerated() {
            let key = "debian/p/" + Self.legal(name)
            keys[key] = name
            let value = Array(stanzas[name]!.utf8)
            if index % 2 == 0 {
                try http.send("PUT", "/kv/default/\(key)", headers: ["Content-Type": "text/x-debian-control"], body: value)
                sent += 1
                if sent % 64 == 0 { try Self.settle(http, 64) }
            } else {
                let bytes = Array(key.utf8)
                binary.queue {
                    BinaryRequest.put(bytes.span.bytes, value: value.span.bytes, contentType: type.span.bytes, id: $0, into: &$1)
                }
                queued += 1
                if queued % 64 == 0 { try Self.settle(binary, 64) }
            }
        }
        try Self.settle(binary, queued % 64)
        try Self.settle(http, sent % 64)
        #expect(keys.count == stanzas.count, "two packages were mapped to one key")

        #expect(try Self.list(http, prefix: "debian/p/") == keys.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
        let some = keys.keys.filter { $0.hasPrefix("debian/p/python3") }.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        #expect(try Self.list(http, prefix: "debian/p/python3") == some)

        server.kill()
        try server.start()

        // Each is read over the protocol that it was not written with.
        let httpAgain = try HTTPClient(port: server.port)
        let binaryAgain = try BinaryClient(port: server.port)
        for (index, name) in stanzas.keys.sorted().enumerated() {
            let key = "debian/p/" + Self.legal(name)
            let found: (value: [UInt8], type: String)
            if index % 2 == 0 {
                let answer = try binaryAgain.get(key)
                found = (answer.value, answer.contentType)
            } else {
                let answer = try httpAgain.call("GET", "/kv/default/\(key)")
                found = (answer.body, answer.headers["content-type"] ?? "")
            }
            #expect(found.value == Array(stanzas[name]!.utf8), "\(key) came back different")
            #expect(found.type == "text/x-debian-control")
        }
        let bytes = stanzas.values.reduce(0) { $0 + $1.utf8.count }
        print("package index: \(stanzas.count) stanzas, \(bytes) bytes, \(illegal.count) names with + mapped")
    }

    /// The first stanza of every package.
    static func stanzas() throws -> [String: String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/apt-cache")
        process.arguments = ["dumpavail"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        var stanzas: [String: String] = [:]
        for stanza in text.components(separatedBy: "\n\n") where stanza.hasPrefix("Package: ") {
            let name = String(stanza.prefix { $0 != "\n" }.dropFirst("Package: ".count))
            if stanzas[name] == nil { stanzas[name] = stanza }
        }
        return stanzas
    }

    /// The mapping that the README gives: characters that a key may not have become `=` and two hexadecimal digits.
    static func legal(_ name: String) -> String {
        name.utf8.map { byte in
            let character = Character(UnicodeScalar(byte))
            let isLegal = character.isASCII && (character.isLetter || character.isNumber || "-_/.".contains(character))
            return isLegal ? String(character) : "=" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }

    static func settle(_ client: BinaryClient, _ count: Int) throws {
        try client.flush()
        for _ in 0..<count {
            let answer = try client.receive().answer
            #expect(answer.status == .created)
        }
    }

    static func settle(_ client: HTTPClient, _ count: Int) throws {
        for _ in 0..<count {
            let answer = try client.receive()
            #expect(answer.status == 201, "\(answer.text)")
        }
    }

    /// All keys with a prefix, page by page over HTTP.
    static func list(_ http: HTTPClient, prefix: String) throws -> [String] {
        struct Page: Decodable {
            struct Key: Decodable { var key: String }
            struct Meta: Decodable {
                var has_more: Bool
                var cursor: String?
            }
            var data: [Key]
            var meta: Meta
        }
        let namespaces = try http.call("GET", "/v2/storage/kvs")
        struct Namespaces: Decodable {
            struct Namespace: Decodable {
                var id: String
                var name: String
            }
            var data: [Namespace]
        }
        let decoded = try JSONDecoder().decode(Namespaces.self, from: Data(namespaces.body))
        let id = try #require(decoded.data.first { $0.name == "default" }).id
        var keys: [String] = []
        var cursor: String?
        repeat {
            let more = cursor.map { "&cursor=\($0.addingPercentEncoding(withAllowedCharacters: .alphanumerics)!)" } ?? ""
            let answer = try http.call("GET", "/v2/storage/kvs/\(id)/keys?limit=1000&prefix=\(prefix.replacingOccurrences(of: "/", with: "%2F"))\(more)")
            try #require(answer.status == 200, "\(answer.text)")
            let page = try JSONDecoder().decode(Page.self, from: Data(answer.body))
            keys += page.data.map(\.key)
            #expect(page.meta.has_more == (page.meta.cursor != nil))
            cursor = page.meta.cursor
        } while cursor != nil
        return keys
    }
}
