import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import TestFigures
import Testing

/// Clients write unique values over both protocols, the server is killed at a random moment and started again, and
/// every key must be in a state that it was acknowledged in or that was on its way.
@Suite("Kill -9 and restart", .serialized) struct KillTests {
    static let cycles = scale("LARDER_KILL_CYCLES", 100)

    @Test(arguments: ["always", "interval", "never"])
    func `no acknowledged write is lost, no value is wrong, no expired key lives`(durability: String) throws {
        let began = ContinuousClock.now
        // What the kernel has survives the process: fewer are enough.
        let cycles = durability == "never" ? max(Self.cycles / 5, 1) : Self.cycles
        let seed = ProcessInfo.processInfo.environment["LARDER_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...(1 << 40))
        var random = SeededRandom(seed)
        // Small limits, so that rotation and snapshots happen under fire.
        let server = ServerProcess(arguments: ["--durability", durability, "--snapshot-log-bytes", "1MiB"])
        defer { server.removeDirectory() }
        let ledgers = (0..<6).map { Ledger(client: $0, seed: random.next()) }
        var acknowledged = 0
        var checked = 0
        var faults = (lost: 0, wrong: 0)
        for cycle in 0..<cycles {
            try server.start()
            checked += try verify(ledgers, port: server.port, overHTTP: cycle % 2 == 0, "seed \(seed) cycle \(cycle)", &faults)
            let port = server.port
            let threads = ledgers.enumerated().map { index, ledger in
                let done = DispatchSemaphore(value: 0)
                let thread = Thread {
                    if index < 4 { ledger.runBinary(port: port) } else { ledger.runHTTP(port: port) }
                    done.signal()
                }
                thread.start()
                return done
            }
            // The moment of the kill is what is random here; nothing is waited for.
            usleep(UInt32(random.next() % 120_000) + 5_000)
            server.kill()
            for done in threads { done.wait() }
            acknowledged = ledgers.reduce(0) { $0 + $1.acknowledged }
        }
        try server.start()
        checked += try verify(ledgers, port: server.port, overHTTP: false, "seed \(seed) end", &faults)
        #expect(server.stop() == 0)
        Figure(
            "kill -9, `\(durability)`: \(Figure.grouped(acknowledged)) acknowledged, \(Figure.grouped(checked)) keys read", cycles, "kills",
            lost: faults.lost, wrong: faults.wrong, seeds: seed...seed
        ).record("50-kill-\(durability)", since: began)
        #expect(acknowledged > cycles * 100, "too little was written to show anything")
    }

    private func verify(
        _ ledgers: [Ledger], port: UInt16, overHTTP: Bool, _ context: String, _ faults: inout (lost: Int, wrong: Int)
    ) throws -> Int {
        let binary = try BinaryClient(port: port)
        let http = try HTTPClient(port: port)
        var count = 0
        for ledger in ledgers {
            for index in ledger.tracks.indices {
                let before = Ledger.now()
                let key = ledger.key(index)
                let found: [UInt8]?
                if overHTTP {
                    let answer = try http.call("GET", "/kv/default/\(key)")
                    found = answer.status == 200 ? answer.body : nil
                    #expect(answer.status == 200 || answer.status == 404, "\(context): \(key) answered \(answer.status)")
                } else {
                    let answer = try binary.get(key)
                    found = answer.status == .ok ? answer.value : nil
                    #expect(answer.status == .ok || answer.status == .notFound, "\(context): \(key) answered \(answer.status)")
                }
                if let fault = ledger.settle(index, found: found, between: before, and: Ledger.now()) {
                    if found == nil { faults.lost += 1 } else { faults.wrong += 1 }
                    Issue.record("\(context): \(key): \(fault)")
                }
                count += 1
            }
        }
        return count
    }
}

/// What one client knows of its keys.
final class Ledger: @unchecked Sendable {
    // Used by one thread at a time: the client's while it runs, the test's in between.
    enum State: Equatable {
        case absent
        /// A value, and between which moments it falls due.
        case value(sequence: UInt64, dueFrom: Int64, dueTo: Int64)
    }

    struct Track {
        var acknowledged = State.absent
        /// Sent and not answered yet, oldest first.
        var pending: [State] = []
    }

    let client: Int
    var tracks = [Track](repeating: Track(), count: 80)
    var acknowledged = 0
    private var random: SeededRandom
    private var sequence: UInt64 = 0

    init(client: Int, seed: UInt64) {
        self.client = client
        random = SeededRandom(seed)
    }

    static func now() -> Int64 { SystemClock().wall() }

    func key(_ index: Int) -> String { "kill/\(client)/\(index)" }

    /// The value says whose it is, so that a wrong one shows.
    func value(_ index: Int, _ sequence: UInt64) -> [UInt8] {
        let head = Array("\(client)/\(index)/\(sequence)/".utf8)
        return head + [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: Int(sequence &* 37 % 400))
    }

    // MARK: Running

    func runBinary(port: UInt16) {
        guard let client = try? BinaryClient(port: port) else { return }
        do {
            while true {
                var sent: [Int] = []
                for _ in 0..<(1 + Int(random.next() % 8)) {
                    let index = Int(random.next() % UInt64(tracks.count))
                    let key = Array(key(index).utf8)
                    switch plan(index) {
                    case .absent: client.queue { BinaryRequest.delete(key.span.bytes, id: $0, into: &$1) }
                    case .value(let sequence, _, let lifetime):
                        let value = value(index, sequence)
                        client.queue {
                            BinaryRequest.put(
                                key.span.bytes, value: value.span.bytes,
                                lifetime: lifetime == .max ? .unlimited : .milliseconds(lifetime), id: $0, into: &$1)
                        }
                    }
                    sent.append(index)
                }
                try client.flush()
                for index in sent {
                    let answer = try client.receive().answer
                    guard [.ok, .created, .notFound].contains(answer.status) else { return }
                    acknowledge(index)
                }
            }
        } catch {
            // The server was killed.
        }
    }

    func runHTTP(port: UInt16) {
        guard let client = try? HTTPClient(port: port) else { return }
        do {
            while true {
                let index = Int(random.next() % UInt64(tracks.count))
                let answer: HTTPClient.Answer
                switch plan(index, wholeSeconds: true) {
                case .absent: answer = try client.call("DELETE", "/kv/default/\(key(index))")
                case .value(let sequence, _, let lifetime):
                    let query = lifetime == .max ? "" : "?ttl_secs=\(lifetime / 1_000)"
                    answer = try client.call("PUT", "/kv/default/\(key(index))\(query)", body: value(index, sequence))
                }
                guard answer.status == 200 || answer.status == 201 else { return }
                acknowledge(index)
            }
        } catch {
            // The server was killed.
        }
    }

    /// Decides on the next write of a key and notes it as sent. The lifetime stands where the deadline will.
    private func plan(_ index: Int, wholeSeconds: Bool = false) -> State {
        sequence += 1
        let choice = random.next() % 100
        if choice < 15 {
            tracks[index].pending.append(.absent)
            return .absent
        }
        guard choice < 40 else {
            tracks[index].pending.append(.value(sequence: sequence, dueFrom: .max, dueTo: .max))
            return .value(sequence: sequence, dueFrom: 0, dueTo: .max)
        }
        let lifetime = wholeSeconds ? 1_000 : Int64(1 + random.next() % 1_500)
        tracks[index].pending.append(.value(sequence: sequence, dueFrom: Self.now() + lifetime, dueTo: lifetime))
        return .value(sequence: sequence, dueFrom: 0, dueTo: lifetime)
    }

    private func acknowledge(_ index: Int) {
        acknowledged += 1
        tracks[index].acknowledged = close(tracks[index].pending.removeFirst(), at: Self.now())
    }

    /// A write that was applied at `time` at the latest falls due a lifetime later at the latest.
    private func close(_ state: State, at time: Int64) -> State {
        guard case .value(let sequence, let from, let lifetime) = state, lifetime != .max else { return state }
        return .value(sequence: sequence, dueFrom: from, dueTo: time + lifetime)
    }

    // MARK: Checking

    /// How far the server's clock may be from the test's: each is cut to whole milliseconds, and the server's was read once
    /// in each of its lives.
    static let clockMilliseconds: Int64 = 2

    /// Compares what was found with what may be there, and takes it as the truth from now on.
    ///
    /// - Returns: What is wrong, or nil.
    func settle(_ index: Int, found: [UInt8]?, between before: Int64, and after: Int64) -> String? {
        let candidates = [tracks[index].acknowledged] + tracks[index].pending.map { close($0, at: before) }
        tracks[index].pending = []
        for candidate in candidates.reversed() {
            switch (candidate, found) {
            case (.absent, nil):
                tracks[index].acknowledged = .absent
                return nil
            case (.value(_, let from, _), nil) where from != .max && from <= after + Self.clockMilliseconds:
                tracks[index].acknowledged = .absent
                return nil
            case (.value(let sequence, _, let to), let found?) where (to == .max || to > before - Self.clockMilliseconds) && found == value(index, sequence):
                tracks[index].acknowledged = candidate
                return nil
            default: continue
            }
        }
        let text = found.map { String(decoding: $0.prefix(40), as: UTF8.self) } ?? "nothing"
        tracks[index].acknowledged = .absent
        return "found \(text), allowed \(candidates), between \(before) and \(after)"
    }
}

/// Numbers that a seed repeats (SplitMix64, public domain, S. Vigna).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
