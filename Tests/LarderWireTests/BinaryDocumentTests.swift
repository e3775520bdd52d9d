// docs/protocol.md is the contract of the binary protocol: its examples and tables are checked here.

import Foundation
import LarderBytes
import LarderWire
import Testing

/// What the document says, taken apart.
struct BinaryDocument {
    /// The bytes of each fenced block that begins with "```hex NAME"; what follows a `#` is for people.
    private(set) var examples: [String: [UInt8]] = [:]
    /// The cells of every row of every table, without their back quotes.
    private(set) var rows: [[String]] = []

    init() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../docs/protocol.md").standardizedFileURL
        var example: String?
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```hex ") {
                let name = String(line.dropFirst(7))
                #expect(examples[name] == nil, "two examples are called \(name)")
                examples[name] = []
                example = name
            } else if line.hasPrefix("```") {
                example = nil
            } else if let example {
                let digits = line.prefix { $0 != "#" }.split(separator: " ")
                examples[example]! += try digits.map { try #require(UInt8($0, radix: 16), "in \(example): \($0)") }
            } else if line.hasPrefix("|") {
                rows.append(line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false).map {
                    $0.filter { $0 != "`" }.trimmingCharacters(in: .whitespaces)
                })
            }
        }
    }

    /// The second cell of each row of `columns` columns whose first is the number `key`.
    func names(_ columns: Int, hexadecimal: Bool) -> [Int: [String]] {
        var found: [Int: [String]] = [:]
        for row in rows where row.count == columns && row[0].hasPrefix("0x") == hexadecimal {
            guard let number = hexadecimal ? Int(row[0].dropFirst(2), radix: 16) : Int(row[0]) else { continue }
            found[number] = Array(row[1...])
        }
        return found
    }
}

@Suite("Binary protocol document") struct BinaryDocumentTests {
    let document: BinaryDocument

    init() throws { document = try BinaryDocument() }

    @Test func `every example has a sample and every sample an example`() {
        let samples = Set(BinaryRequestSample.all.map(\.name) + BinaryReplySample.all.map(\.name))
        #expect(Set(document.examples.keys) == samples)
    }

    @Test(arguments: BinaryRequestSample.all) func `a client writes the request`(_ sample: BinaryRequestSample) {
        var output = ByteBuffer()
        sample.encode(&output)
        let bytes = Array(output.bytes)
        #expect(bytes == document.examples[sample.name])
    }

    @Test(arguments: BinaryRequestSample.all) func `a server reads the request`(_ sample: BinaryRequestSample) throws {
        var input = ByteBuffer()
        input.append(array: try #require(document.examples[sample.name]))
        var decoder = BinaryDecoder(frameBytesMax: BinaryFrame.bytesMaxBeforeLogin)
        var position = 0
        var command = Command()
        let step = decoder.decode(input, at: &position, into: &command)
        let words = describe(command, in: input)
        #expect(step == .command)
        let count = input.count
        #expect(position == count)
        #expect(words == sample.command)
    }

    @Test(arguments: BinaryReplySample.all) func `a server writes the reply`(_ sample: BinaryReplySample) {
        var output = ByteBuffer()
        sample.encode(&output)
        let bytes = Array(output.bytes)
        #expect(bytes == document.examples[sample.name])
    }

    @Test(arguments: BinaryReplySample.all) func `a client reads the reply`(_ sample: BinaryReplySample) throws {
        var input = ByteBuffer()
        input.append(array: try #require(document.examples[sample.name]))
        var position = 0
        let decoded = try BinaryReplyDecoder().decode(input, at: &position)
        let words = try describe(#require(decoded), in: input)
        let count = input.count
        #expect(position == count)
        #expect(words == sample.reply)
    }

    @Test func `the operations are those of the code, with their flags`() {
        let written = document.names(4, hexadecimal: true)
        #expect(Set(written.keys) == Set(BinaryOpcode.allCases.map { Int($0.rawValue) }))
        for opcode in BinaryOpcode.allCases {
            let row = written[Int(opcode.rawValue)]
            #expect(row?[0] == "\(opcode)")
            let names = row?[1].split(separator: " ").map(String.init) ?? []
            let flags = names.reduce(into: BinaryFlags()) { $0.formUnion(flag(named: $1)) }
            #expect(flags == opcode.flags, "flags of \(opcode)")
        }
    }

    @Test func `the statuses are those of the code`() {
        let written = document.names(3, hexadecimal: false).filter { Status(rawValue: UInt8($0.key)) != nil }
        #expect(Set(written.keys) == Set(Status.allCases.map { Int($0.rawValue) }))
        for status in Status.allCases { #expect(written[Int(status.rawValue)]?[0] == "\(status)") }
    }

    /// The flag that the document calls `name`; none for a name that it does not define.
    private func flag(named name: String) -> BinaryFlags {
        let row = document.rows.first { $0.count == 3 && $0[0].hasPrefix("0x") && $0[1] == name }
        guard let digits = row?[0].dropFirst(2), let bit = UInt16(digits, radix: 16) else { return [] }
        return BinaryFlags(rawValue: bit)
    }
}
