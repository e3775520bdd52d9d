// Conversations of memcached with bytes changed, dropped, doubled and inserted: no input may trap, no reply may depend on how the
// input is cut, and every reply is one that memcached could give.
//
// LARDER_SEED=n replays one seed; LARDER_FUZZ_ROUNDS=n sets how long.

import Foundation
import LarderServer
import LarderSimulation
import LarderWire
import Testing

@Suite("memcached, mutated input") struct MemcachedFuzzTests {
    static let seeds: [UInt64] = environment("LARDER_SEED").map { [UInt64($0)] } ?? Array(1...8)
    static let rounds = environment("LARDER_FUZZ_ROUNDS") ?? 250

    private static func environment(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    /// What stands in requests.
    private static let words = [
        "get ", "gets ", "gat 5 ", "gats 0 ", "set ", "add ", "replace ", "append ", "prepend ", "cas ", "delete ", "incr ", "decr ",
        "touch ", "flush_all", "flush_all 5", "stats", "stats settings", "stats reset", "version", "verbosity 1", "mg ", "ms ", "md ", "ma ", "me ", "mn", " noreply",
        " v", " k", " q", " b", " c", " f", " s", " t", " u", " h", " I", " Oabc", " T30", " T-1", " N60", " R90", " C1", " F7", " MA",
        " MP", " ME", " MR", " MS", " MD", " MI", " D5", " J3", "k1", "k2", "page", "a:b", "YWJj", "0", " -1", " 1", " 2", "\r\n", "\n", "\r",
        " ", "  ", "\0", "\t", "\u{FF}", " 18446744073709551616", " 9223372036854775807", " 4294967296", " 2147483647", " 2592001", "hi\r\n",
    ].map { Array($0.utf8) }

    /// Requests that hang together, so that mutations meet something.
    private static let requests = [
        "set k1 5 0 2\r\nhi\r\n", "set k2 0 100 3 noreply\r\n123\r\n", "get k1 k2 page\r\n", "gets k2\r\n", "gat 50 k1 k2\r\n",
        "append k1 0 0 2\r\nxy\r\n", "prepend k2 0 0 1\r\n4\r\n", "incr k2 5\r\n", "decr k2 1 noreply\r\n", "cas k1 0 0 1 5\r\nz\r\n",
        "touch k1 9\r\n", "delete k1\r\n", "mg page v t N30\r\n", "mg k1 v k f c Oq q\r\n", "ms page 2 T60 I C9 c\r\nhi\r\n", "ms k1 1 MA N5\r\n7\r\n",
        "md page I T9\r\n", "ma k2 D3 v\r\n", "ma k3 N0 J7 MD v t c\r\n", "me k2\r\n", "mn\r\n", "mg YWJj b k v\r\n", "flush_all\r\n",
    ].map { Array($0.utf8) }

    private static func mutated(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...8, using: &random) { bytes += requests.randomElement(using: &random)! }
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let at = Int.random(in: 0..<max(bytes.count, 1), using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1: bytes.insert(contentsOf: words.randomElement(using: &random)!, at: min(at, bytes.count))
            case 2 where !bytes.isEmpty: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 3 where !bytes.isEmpty: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...9, using: &random)))
            case 4 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: bytes.append(contentsOf: bytes[min(at, bytes.count)...].prefix(40))
            }
        }
        // What begins otherwise is another dialect's.
        if let first = bytes.first, !(0x61...0x7A).contains(first) { bytes[0] = UInt8(ascii: "g") }
        return bytes
    }

    /// What the first client of a new server gets, when `bytes` come in pieces that end where `cuts` says.
    private static func replies(_ bytes: [UInt8], cuts: [Int]) -> [UInt8] {
        var configuration = ServerConfiguration()
        configuration.valueBytesMax = 64
        configuration.keyRule = .bytes
        let client = Client(Rig(configuration))
        var replies: [UInt8] = []
        var start = 0
        for end in cuts + [bytes.count] {
            replies += client.send(Array(bytes[start..<end]))
            start = end
        }
        return replies + client.proceed()
    }

    @Test(arguments: seeds) func `no input traps, and how it is cut does not matter`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for round in 0..<Self.rounds {
            let bytes = Self.mutated(&random)
            let whole = Self.replies(bytes, cuts: [])
            let cuts = (0..<Int.random(in: 1...4, using: &random)).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
            let cut = Self.replies(bytes, cuts: cuts)
            let single = round % 10 == 0 ? Self.replies(bytes, cuts: Array(0..<bytes.count)) : whole
            guard cut == whole, single == whole, let fault = Self.fault(whole) else {
                if cut == whole, single == whole { continue }
                Issue.record("LARDER_SEED=\(seed), round \(round), cut at \(cuts): \(bytes.text.debugDescription): \(whole.text) or \(cut.text) or \(single.text)")
                return
            }
            Issue.record("LARDER_SEED=\(seed), round \(round): \(bytes.text.debugDescription): \(fault)")
            return
        }
    }

    /// What in `replies` no memcached would say, if anything is.
    private static func fault(_ replies: [UInt8]) -> String? {
        var position = 0
        while position < replies.count {
            guard let end = replies[position...].firstIndex(of: 10), end > position, replies[end - 1] == 13 else {
                return "no line at \(position) of \(replies.text)"
            }
            let words = Array(replies[position..<(end - 1)]).text.split(separator: " ", omittingEmptySubsequences: false)
            position = end + 1
            var dataBytes: Int?
            switch words[0] {
            case "VALUE": dataBytes = words.count >= 4 ? Int(words[3]) : nil
            case "VA": dataBytes = words.count >= 2 ? Int(words[1]) : nil
            case "END", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK", "VERSION", "STAT", "ERROR", "RESET", "CLIENT_ERROR",
                "SERVER_ERROR", "HD", "NS", "EX", "NF", "EN", "MN", "ME": continue
            default:
                if UInt64(words[0]) != nil, words.count == 1 { continue }
                return "\(words)"
            }
            guard let dataBytes, position + dataBytes + 2 <= replies.count, replies[position + dataBytes] == 13 else {
                return "no value at \(position) of \(replies.text)"
            }
            position += dataBytes + 2
        }
        return nil
    }
}
