// docs/resp.md is the contract of RESP: its conversations are held against the server, however they are cut.

import Foundation
import LarderServer
import LarderWire
import Testing

/// A conversation of the document.
struct RESPConversation: CustomTestStringConvertible {
    var key: String?
    var commands: [[UInt8]] = []
    var replies: [[UInt8]] = []
    var testDescription: String { commands.first.map { $0.text } ?? "" }

    static let all: [RESPConversation] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/resp.md").standardizedFileURL
        var all: [RESPConversation] = []
        var isInside = false
        for line in ((try? String(contentsOf: file, encoding: .utf8)) ?? "").split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```resp") {
                let key = line.split(separator: "=").dropFirst().first.map(String.init)
                all.append(RESPConversation(key: key))
                isInside = true
            } else if line.hasPrefix("```") {
                isInside = false
            } else if isInside, line.hasPrefix("> ") {
                all[all.count - 1].commands.append(Say.words(String(line.dropFirst(2))))
                all[all.count - 1].replies.append([])
            } else if isInside, line.hasPrefix("<") {
                let last = all[all.count - 1].replies.count - 1
                all[all.count - 1].replies[last] += Array((line.dropFirst(2) + "\r\n").utf8)
            }
        }
        return all
    }()
}

@Suite("RESP document") struct RESPDocumentTests {
    @Test func `the document has conversations`() { #expect(RESPConversation.all.count == 12) }

    @Test(arguments: RESPConversation.all) func `the server answers as the document says`(_ conversation: RESPConversation) {
        let client = Client(Rig(Self.configuration(conversation)))
        for (command, reply) in zip(conversation.commands, conversation.replies) {
            let answer = client.send(command) + client.pushed()
            #expect(answer.text == reply.text, "to \(command.text)")
        }
    }

    @Test(arguments: RESPConversation.all)
    func `a conversation is answered alike whole, cut at every byte, and byte by byte`(_ conversation: RESPConversation) {
        let whole = conversation.commands.flatMap { $0 }
        let expected = conversation.replies.flatMap { $0 }.text
        func answer(_ pieces: [[UInt8]]) -> String {
            let client = Client(Rig(Self.configuration(conversation)))
            return pieces.flatMap { client.send($0) + client.pushed() }.text
        }
        #expect(answer([whole]) == expected)
        #expect(answer(whole.map { [$0] }) == expected)
        for position in 1..<whole.count {
            let answer = answer([Array(whole[..<position]), Array(whole[position...])])
            guard answer != expected else { continue }
            Issue.record("differs when cut at \(position): \(answer)")
            return
        }
    }

    static func configuration(_ conversation: RESPConversation) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.apiKey = conversation.key.map { APIKey(bytes: Array($0.utf8)) }
        return configuration
    }
}
