// Random commands of RESP to whole sessions: nothing may trap, every request has exactly one reply, and cutting changes nothing.
//
// LARDER_SEED=n replays one seed; LARDER_FUZZ_ROUNDS=n sets how long.

import Foundation
import LarderEngine
import LarderServer
import LarderSimulation
import LarderWire
import Testing

@Suite("RESP sessions, mutated") struct RESPSessionFuzzTests {
    static let seeds: [UInt64] = number("LARDER_SEED").map { [UInt64($0)] } ?? [1, 2]
    static let rounds = (number("LARDER_FUZZ_ROUNDS") ?? 50_000) / 100

    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    /// Not those that stop the server or sleep, and not those whose replies tell of chance or of the process.
    private static let words = RESPWord.allCases.filter {
        ![.shutdown, .debug, .quit, .randomkey, .info, .time, .lastsave, .slowlog, .command].contains($0)
    }.map(\.name)
    private static let others = [
        "a", "b", "c", "d:e", "_f", "", "0", "1", "-1", "5", "100", "9223372036854775807", "-9223372036854775808", "1e400", "0.5", "nan",
        "NX", "XX", "GET", "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "PERSIST", "IFEQ", "GT", "LT", "MATCH", "*", "[a-", "COUNT", "TYPE", "string",
        "DB", "REPLACE", "ID", "SETNAME", "GETNAME", "SETINFO", "LIB-NAME", "ENCODING", "USAGE", "2", "3", "AUTH", "default", "ON",
        "OFF", "TRACKING", "TRACKINGINFO", "CACHING", "YES", "BCAST", "PREFIX", "NOLOOP", "OPTIN", "OPTOUT", "REDIRECT",
        "__keyevent@0__:set", "__keyspace@0__:a", "__keyspace@*__:[ab]", "__key*", "CHANNELS", "NUMSUB",
    ]

    @Test(arguments: seeds) func `random commands have one reply each, the same however they are cut`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for round in 0..<Self.rounds {
            var commands: [[UInt8]] = []
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                var words = [Self.words.randomElement(using: &random)!]
                // Those have a reply for each name.
                let count = words[0].hasSuffix("subscribe") ? 1 : Int.random(in: 0...5, using: &random)
                for _ in 0..<count { words.append(Self.others.randomElement(using: &random)!) }
                commands.append(Say.command(words))
            }
            let whole = commands.flatMap { $0 }
            let expected = Self.answer([whole])
            let note = "LARDER_SEED=\(seed), round \(round): \(whole.text.debugDescription)"
            let count = try RESPReader.all(expected).count
            #expect(count == commands.count, "\(count) replies to \(commands.count); \(note)")
            let cut = Int.random(in: 0..<whole.count, using: &random)
            let pieces = Self.answer([Array(whole[..<cut]), Array(whole[cut...])])
            guard pieces != expected || count != commands.count else { continue }
            Issue.record("cut at \(cut): \(pieces.text) instead of \(expected.text); \(note)")
            return
        }
    }

    @Test(arguments: seeds) func `mutated bytes never trap, and what comes back is whole replies`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &+ 77)
        for round in 0..<Self.rounds {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                var words = [Self.words.randomElement(using: &random)!]
                for _ in 0..<Int.random(in: 0...4, using: &random) { words.append(Self.others.randomElement(using: &random)!) }
                bytes += Say.command(words)
            }
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 1..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(Array("*$\r\n0-".utf8).randomElement(using: &random)!, at: place)
                }
            }
            let answer = Self.answer([bytes])
            #expect(throws: Never.self, "LARDER_SEED=\(seed), round \(round): \(bytes.text.debugDescription)") {
                _ = try RESPReader.all(answer)
            }
        }
    }

    private static func answer(_ pieces: [[UInt8]]) -> [UInt8] {
        let client = Client(Rig())
        return pieces.flatMap { client.send($0) }
    }
}
