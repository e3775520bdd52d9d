// Random bytes and mutated frames: no input may trap, read beyond the buffer, or consume what is not there.
//
// LARDER_SEED=n replays one seed; LARDER_FUZZ_ROUNDS=n sets how long.

import Foundation
import LarderBytes
import LarderWire
import Testing

/// SplitMix64: small, seeded, the same everywhere.
struct BinaryRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// A byte that is more often one of those that mean something.
    mutating func byte() -> UInt8 {
        let telling: [UInt8] = [0, 1, 2, 0x7F, 0x80, 0xFF, 0xAD, 0xAE, 0x10, 0x11, 0x20, 0x30]
        return below(2) == 0 ? telling[below(telling.count)] : UInt8(truncatingIfNeeded: next())
    }

    /// Changes, drops, doubles or inserts a few bytes.
    mutating func mutate(_ bytes: inout [UInt8]) {
        for _ in 0...below(4) where !bytes.isEmpty {
            let index = below(bytes.count)
            switch below(6) {
            case 0: bytes[index] ^= 1 << UInt8(below(8))
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(byte(), at: index)
            case 3: bytes.removeLast(bytes.count - index)
            default: bytes[index] = byte()
            }
        }
    }
}

@Suite("Binary protocol, mutated") struct BinaryFuzzTests {
    static let seeds: [UInt64] = environment("LARDER_SEED").map { [UInt64($0)] } ?? Array(1...4)
    static let rounds = environment("LARDER_FUZZ_ROUNDS") ?? 50_000

    private static func environment(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    @Test(arguments: seeds) func `mutated requests never trap, and every range lies within its frame`(_ seed: UInt64) {
        var random = BinaryRandom(state: seed)
        let samples = BinaryRequestSample.all.map { bytes(of: $0) }
        var decoder = BinaryDecoder(frameBytesMax: 4_096)
        var input = ByteBuffer()
        for round in 0..<Self.rounds {
            var frames: [UInt8] = []
            for _ in 0...random.below(2) {
                var one = samples[random.below(samples.count)]
                random.mutate(&one)
                // Half of the time the length is made right again, or few mutations would get past it.
                if one.count >= 12, random.below(2) == 0 { setLength(&one) }
                frames += one
            }
            input.removeAll()
            // Consumed bytes before, so that a position from the wrong end shows.
            input.append(byte: 0xAD)
            input.append(array: frames)
            input.consume(1)
            if let fault = walk(&decoder, input) {
                Issue.record("\(fault); LARDER_SEED=\(seed), round \(round): \(frames)")
                return
            }
        }
    }

    @Test(arguments: seeds) func `random bytes behind a magic never trap`(_ seed: UInt64) {
        var random = BinaryRandom(state: seed &+ 1_000)
        var decoder = BinaryDecoder(frameBytesMax: 4_096)
        var input = ByteBuffer()
        for round in 0..<Self.rounds {
            var frame = (0..<12 + random.below(64)).map { _ in random.byte() }
            frame[0] = 0xAD
            setLength(&frame)
            input.removeAll()
            input.append(array: frame)
            if let fault = walk(&decoder, input) {
                Issue.record("\(fault); LARDER_SEED=\(seed), round \(round): \(frame)")
                return
            }
        }
    }

    @Test(arguments: seeds) func `mutated replies never trap a client`(_ seed: UInt64) {
        var random = BinaryRandom(state: seed &+ 2_000)
        let samples = BinaryReplySample.all.map { sample in
            var output = ByteBuffer()
            sample.encode(&output)
            return Array(output.bytes)
        }
        var input = ByteBuffer()
        for round in 0..<Self.rounds {
            var frame = samples[random.below(samples.count)]
            random.mutate(&frame)
            if frame.count >= 12, random.below(2) == 0 { setLength(&frame) }
            input.removeAll()
            input.append(array: frame)
            var position = 0
            guard let decoded = try? BinaryReplyDecoder(frameBytesMax: 4_096).decode(input, at: &position) else { continue }
            // Every text that is described is read, with a check of its bounds.
            _ = try? describe(decoded, in: input)
            guard position >= 12, position <= frame.count else {
                Issue.record("consumed \(position) of \(frame.count); LARDER_SEED=\(seed), round \(round)")
                return
            }
        }
    }

    private func setLength(_ frame: inout [UInt8]) {
        let count = UInt32(frame.count - 12)
        for index in 0..<4 { frame[8 + index] = UInt8(truncatingIfNeeded: count >> (8 * UInt32(index))) }
    }

    /// Decodes all of `input`; what is wrong with what came out, if anything is.
    private func walk(_ decoder: inout BinaryDecoder, _ input: borrowing ByteBuffer) -> String? {
        var (command, position) = (Command(), 0)
        while true {
            let start = position
            let step = decoder.decode(input, at: &position, into: &command)
            guard step == .command else {
                if position != start { return "moved by \(position - start) without a command" }
                if step == .close, command.failure == nil { return "closed without a reason" }
                if step == .needMore, start + decoder.frameBytesExpected <= input.count { return "waits for what is there" }
                return nil
            }
            guard position >= start + 12, position <= input.count else { return "consumed \(position - start)" }
            var ranges = [command.key, command.value, command.contentType]
            if command.operation == .list { ranges += [command.list.prefix, command.list.cursor] }
            if case .name(let range) = command.namespace { ranges.append(range) }
            if command.operation == .getMany, command.failure == nil {
                var keys = BinaryKeyList(command.value, in: input)
                let count = keys.count
                var walked = 0
                while let key = keys.next(in: input) {
                    ranges.append(key)
                    walked += 1
                }
                if walked != count { return "walked \(walked) keys of \(count)" }
            }
            for range in ranges where !range.isEmpty {
                let lies = range.start >= start + 12 && range.count > 0 && range.end <= position
                if !lies { return "\(range) leaves \(start)..<\(position)" }
            }
        }
    }
}
