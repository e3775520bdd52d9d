// Requests with bytes changed, dropped, doubled and inserted: no input may trap, and how it arrives may not matter.
//
// LARDER_SEED=n replays one seed; LARDER_FUZZ_ROUNDS=n sets how long.

import Foundation
import LarderBytes
import Testing

@testable import LarderWire

@Suite("HTTP decoder, mutated input") struct HTTPFuzzTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    static let seeds: [UInt64] = environment("LARDER_SEED").map { [UInt64($0)] } ?? Array(1...16)
    static let rounds = environment("LARDER_FUZZ_ROUNDS") ?? 1_000

    private static func environment(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    private static let words = [
        "\r\n", "\n", "\r", "\r\n\r\n", "%", "%2F", "%zz", "\0", ":", ";", "0", "ffffffffffffffff", "18446744073709551616", "-1",
        "Content-Length: ", "Transfer-Encoding: chunked\r\n", "Host: x\r\n", "Expect: 100-continue\r\n", "If-Match: \"1\"\r\n", "\"", "\\u00",
        "{", "[", "?ttl_secs=9223372036", "&cursor=AAAAAAAA", " HTTP/1.1\r\n", "PUT /kv/n/k", "0\r\n\r\n", "\u{FF}",
    ].map { Array($0.utf8) }

    private static func mutated(_ random: inout Random) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) { bytes += Array(HTTPSample.all.randomElement(using: &random)!.utf8) }
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let at = Int.random(in: 0..<max(bytes.count, 1), using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes.insert(contentsOf: words.randomElement(using: &random)!, at: min(at, bytes.count))
            case 1 where !bytes.isEmpty: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 2 where !bytes.isEmpty: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...9, using: &random)))
            case 3 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: bytes.append(contentsOf: bytes[min(at, bytes.count)...].prefix(40))
            }
        }
        return bytes
    }

    @Test(arguments: seeds) func `no input traps, and pieces mean what the whole means`(_ seed: UInt64) {
        var random = Random(state: seed)
        var limits = HTTPLimits()
        limits.valueBytesMax = 64
        limits.discardBytesMax = 128
        for round in 0..<Self.rounds {
            let bytes = Self.mutated(&random)
            var whole = HTTPScript(limits: limits)
            whole.feed(bytes)
            var pieces = HTTPScript(limits: limits)
            var position = 0
            while position < bytes.count {
                let count = min(Int.random(in: 1...30, using: &random), bytes.count - position)
                pieces.feed(bytes[position..<position + count])
                position += count
            }
            // A refused body in chunks ends the connection unless all of it is there, so what follows may differ.
            let one = whole.requests
            let other = pieces.requests
            let common = one.firstIndex { $0.failure != nil } ?? one.count
            let same = one.prefix(common) == other.prefix(common)
            #expect(same, "seed \(seed), round \(round)")
            let sameFailure = one.count == common || (other.count > common && other[common].failure != nil)
            #expect(sameFailure, "seed \(seed), round \(round)")
        }
    }

    @Test(arguments: seeds) func `noise never traps`(_ seed: UInt64) {
        var random = Random(state: seed &+ 1_000_000)
        for _ in 0..<Self.rounds {
            var script = HTTPScript()
            script.refusesAll = Bool.random(using: &random)
            script.feed((0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
            script.feed(HTTPSample.all.randomElement(using: &random)!)
        }
    }
}
