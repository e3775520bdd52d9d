// Random bytes and mutated requests of RESP: no input may trap, name bytes that are not there, or mean two things.
//
// LARDER_SEED=n replays one seed; LARDER_FUZZ_ROUNDS=n sets how long.

import Foundation
import LarderBytes
import LarderWire
import Testing

@Suite("RESP, mutated") struct RESPFuzzTests {
    static let rounds = BinaryFuzzTests.rounds / 2

    /// Words that mean something, and some that nearly do.
    static let dictionary =
        RESPWord.allCases.map(\.name)
        + ["k", "user/1", "", "0", "-1", "10", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "1.5", "nx", "xx",
            "get", "ex", "px", "exat", "pxat", "keepttl", "persist", "ifeq", "gt", "lt", "match", "*", "count", "type", "string", "db",
            "replace", "list", "id", "kill", "docs", "setname", "3", "2", "auth", "default", "\r\n", "$", "*1\r\n"]

    @Test(arguments: BinaryFuzzTests.seeds) func `mutated requests never trap, and mean the same however they are cut`(_ seed: UInt64) {
        var random = BinaryRandom(state: seed &+ 5_000)
        for round in 0..<Self.rounds {
            var bytes: [UInt8] = []
            for _ in 0...random.below(3) { bytes += Self.request(&random) }
            if random.below(3) > 0 { random.mutate(&bytes) }
            let takesInline = random.below(4) == 0
            let whole = read([bytes], takesInline)
            let cut = bytes.isEmpty ? 0 : random.below(bytes.count)
            if let fault = whole.fault ?? (read([Array(bytes[..<cut]), Array(bytes[cut...])], takesInline) == whole ? nil : "differs when cut at \(cut)") {
                Issue.record("\(fault); LARDER_SEED=\(seed), round \(round): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
                return
            }
        }
    }

    static func request(_ random: inout BinaryRandom) -> [UInt8] {
        let count = random.below(7)
        var bytes = Array("*\(count)\r\n".utf8)
        for _ in 0..<count {
            let word = Array(dictionary[random.below(dictionary.count)].utf8)
            bytes += Array("$\(word.count)\r\n".utf8) + word + [0x0D, 0x0A]
        }
        return bytes
    }

    /// What requests came to.
    private struct Reading: Equatable {
        var requests: [String] = []
        var end = ""
        var fault: String?
    }

    private func read(_ pieces: [[UInt8]], _ takesInline: Bool) -> Reading {
        var (decoder, position, command) = (RESPDecoder(limits: .beforeLogin), 0, Command())
        var input = ByteBuffer()
        decoder.takesInline = takesInline
        var reading = Reading()
        for piece in pieces {
            input.append(array: piece)
            while true {
                let start = position
                let step = decoder.decode(input, at: &position, into: &command)
                if step == .command {
                    reading.requests.append(describe(command, input, start..<position, &reading))
                    continue
                }
                reading.end = step == .close ? "close: \(command.failure?.detail.description ?? "")" : "more"
                break
            }
            if reading.end != "more" { return reading }
            input.consume(position)
            position = 0
        }
        return reading
    }

    private func describe(
        _ command: Command, _ input: borrowing ByteBuffer, _ place: Range<Int>, _ reading: inout Reading
    ) -> String {
        var ranges = [command.key, command.value].filter { !$0.isEmpty }
        if command.operation == .resp { ranges = RESPArguments(wordsOf: command.value, in: input).all(in: input) }
        for range in ranges where range.start < place.lowerBound || range.end > place.upperBound {
            reading.fault = "\(range) leaves \(place)"
        }
        let words = ranges.map { String(utf8: input.span($0)) }
        return "\(command.operation) \(command.respWord) \(command.respFlags.form) \(command.lifetime) \(command.condition) \(command.delta) \(words)"
    }
}
