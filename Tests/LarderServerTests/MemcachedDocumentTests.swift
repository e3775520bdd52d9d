import LarderServer
import Testing

/// docs/memcached.md is the contract: its conversations are held.
@Suite("memcached's protocol document") struct MemcachedDocumentTests {
    @Test func `the document has conversations`() { #expect(MemcachedScript.document.count > 12) }

    @Test(arguments: MemcachedScript.document) func `a conversation goes as it is written`(_ script: MemcachedScript) {
        let client = Client(Rig(script.configuration))
        var versions = MemcachedVersions()
        for turn in script.turns {
            let sent = turn.sent.map { versions.filled($0) + "\r\n" }.joined()
            let answer = client.send(sent).text
            #expect(answer.isEmpty || answer.hasSuffix("\r\n"))
            let lines = answer.isEmpty ? [] : answer.dropLast(1).split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
            #expect(lines.count == turn.answered.count, "\(sent) -> \(answer)")
            for (expected, line) in zip(turn.answered, lines) {
                let isRight = versions.learn(expected, from: line)
                #expect(isRight, "\(sent) -> \(line) instead of \(expected)")
            }
        }
    }

    /// Everything that the client says, in one go and in pieces, on a server of its own. Versions are as they were the first time.
    private static func replies(_ script: MemcachedScript, _ pieces: [[UInt8]]) -> [UInt8] {
        let client = Client(Rig(script.configuration))
        return pieces.flatMap { client.send($0) } + client.proceed()
    }

    @Test(arguments: MemcachedScript.document)
    func `a conversation goes alike whole, cut at every byte, and byte by byte`(_ script: MemcachedScript) {
        // The versions of this conversation, which are the same in every rig.
        let client = Client(Rig(script.configuration))
        var versions = MemcachedVersions()
        var requests: [[UInt8]] = []
        for turn in script.turns {
            let sent = Array(turn.sent.map { versions.filled($0) + "\r\n" }.joined().utf8)
            requests.append(sent)
            for (expected, line) in zip(turn.answered, client.send(sent).text.split(separator: "\r\n", omittingEmptySubsequences: false)) {
                _ = versions.learn(expected, from: String(line))
            }
        }
        let whole = requests.flatMap { $0 }
        let expected = Self.replies(script, requests)
        #expect(Self.replies(script, [whole]) == expected, "merged")
        #expect(Self.replies(script, whole.map { [$0] }) == expected, "byte by byte")
        for position in 1..<whole.count {
            let cut = Self.replies(script, [Array(whole[..<position]), Array(whole[position...])])
            guard cut != expected else { continue }
            Issue.record("differs when cut at \(position): \(cut.text) instead of \(expected.text)")
            return
        }
    }
}
