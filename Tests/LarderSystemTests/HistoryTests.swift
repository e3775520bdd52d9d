import Foundation
import LarderBytes
import LarderSimulation
import LarderWire
import Synchronization
import TestFigures
import Testing

/// What clients of the real server are told, across kills and power cuts, and a search for an order that explains it. The replies are
/// those that its workers hold back until the log is far enough.
@Suite("Histories of the real server", .serialized) struct HistoryTests {
    static let sessions = scale("LARDER_HISTORIES", 5)
    static let seed = UInt64(scale("LARDER_SEED", 1))

    private func server(in directory: String? = nil, durability: String = "always") -> ServerProcess {
        ServerProcess(
            directory: directory,
            arguments: ["--durability", durability, "--snapshot-log-bytes", "1MiB", "--snapshot-bytes-per-second", "0"])
    }

    @Test func `what clients are told has an order across kills, and errors planted in it are found`() throws {
        let began = ContinuousClock.now
        let server = server()
        defer { server.removeDirectory() }
        let outcome = try judge(server) {
            server.kill()
            try server.start()
        }
        record(outcome, "kills", "53-histories-kills", began)
    }

    @Test(.enabled(if: LoopDisk.available.contains(.ext4)))
    func `what clients are told has an order across power cuts, and errors planted in it are found`() throws {
        let began = ContinuousClock.now
        let disk = try LoopDisk(.ext4)
        let server = server(in: disk.path)
        let outcome = try judge(server) { try disk.cutPower(under: server) }
        record(outcome, "power cuts", "53-histories-power-cuts", began)
    }

    @Test(.enabled(if: LoopDisk.available.contains(.ext4)))
    func `a server that tells what it has not synced is found out across power cuts`() throws {
        let disk = try LoopDisk(.ext4)
        let server = server(in: disk.path, durability: "never")
        try server.start()
        let histories = try HistorySession(seed: Self.seed).run(server) { try disk.cutPower(under: server) }
        server.kill()
        #expect(!histories.allSatisfy(isLinearizable))
    }

    private struct Outcome {
        var operations = 0
        var unknown = 0
        var planted = 0
        var wrong: [String] = []
        var missed: [String] = []
    }

    /// - Parameter interrupt: Ends the server in the midst of its work and starts it again.
    private func judge(_ server: ServerProcess, _ interrupt: () throws -> Void) throws -> Outcome {
        var outcome = Outcome()
        try server.start()
        for number in 0..<Self.sessions {
            let seed = Self.seed &+ UInt64(number)
            let histories = try HistorySession(seed: seed).run(server, interrupt)
            for (key, history) in histories.enumerated() {
                outcome.operations += history.count
                outcome.unknown += history.count { $0.ended == .max }
                if !isLinearizable(history) { outcome.wrong.append("session \(seed) key \(key): \(history)") }
                for wrong in [PlantedHistory.staleRead(history), PlantedHistory.lostCompareAndSet(history)].compactMap({ $0 }) {
                    outcome.planted += 1
                    if isLinearizable(wrong) { outcome.missed.append("session \(seed) key \(key): \(wrong)") }
                }
            }
        }
        server.kill()
        return outcome
    }

    private func record(_ outcome: Outcome, _ what: String, _ row: String, _ began: ContinuousClock.Instant) {
        #expect(outcome.wrong == [])
        #expect(outcome.missed == [], "planted errors that were not found")
        #expect(outcome.planted > HistorySession.keys * Self.sessions / 2)
        #expect(outcome.unknown > 0)
        Figure(
            "histories of the real server across \(what); \(Figure.grouped(outcome.unknown)) calls not answered, "
                + "\(Figure.grouped(outcome.planted - outcome.missed.count)) of \(Figure.grouped(outcome.planted)) planted errors found",
            outcome.operations, "operations", wrong: outcome.wrong.count, seeds: Self.seed...(Self.seed &+ UInt64(Self.sessions - 1))
        ).record(row, since: began)
    }
}

/// Some keys, the clients that use them, and the lives of a server meanwhile.
private final class HistorySession: Sendable {
    static let keys = 32
    private static let clients = 6
    private static let eventsMax = 96
    private static let lives = 3

    private let histories = Mutex([[RegisterEvent]](repeating: [], count: HistorySession.keys))
    private let moments = Atomic<Int>(0)
    private let values = Atomic<Int>(0)
    private let atWork = Atomic<Int>(0)
    private let seed: UInt64

    init(seed: UInt64) { self.seed = seed }

    private var count: Int { histories.withLock { $0.reduce(0) { $0 + $1.count } } }

    /// The history of each key.
    func run(_ server: ServerProcess, _ interrupt: () throws -> Void) throws -> [[RegisterEvent]] {
        var random = SeededRandom(seed)
        for life in 0..<Self.lives {
            let before = count
            let quota = Self.eventsMax * (life + 1) / Self.lives
            let share = Self.keys * quota - before
            let (port, threads) = (server.port, DispatchGroup())
            atWork.store(Self.clients, ordering: .relaxed)
            for client in 0..<Self.clients {
                threads.enter()
                Thread {
                    var user = HistoryClient(session: self, seed: self.seed &* 1_000 &+ UInt64(client * 10 + life))
                    user.run(port: port, quota: quota)
                    self.atWork.subtract(1, ordering: .relaxed)
                    threads.leave()
                }.start()
            }
            if life < Self.lives - 1 {
                // Any moment in the midst of the work; how far it is, is found out by looking.
                let limit = before + share * Int(20 + random.next() % 60) / 100
                while count < limit, atWork.load(ordering: .relaxed) > 0 { usleep(200) }
                try interrupt()
            }
            threads.wait()
        }
        return histories.withLock { $0 }
    }

    /// The bytes of a key; different for each session, so that one directory serves several.
    func key(_ index: Int) -> [UInt8] { Array("history/\(seed)/\(index)".utf8) }
    func isFull(_ key: Int, _ quota: Int) -> Bool { histories.withLock { $0[key].count >= quota } }
    func isFull(_ quota: Int) -> Bool { histories.withLock { $0.allSatisfy { $0.count >= quota } } }
    func moment() -> Int { moments.add(1, ordering: .sequentiallyConsistent).newValue }
    func value() -> Int { values.add(1, ordering: .relaxed).newValue }

    /// - Parameter ended: nil: the answer never came.
    func note(_ call: RegisterCall, _ key: Int, began: Int, ended: Int?) {
        histories.withLock { $0[key].append(RegisterEvent(call, began: began, ended: ended ?? .max)) }
    }
}

/// One client in one life of the server.
private struct HistoryClient {
    /// What it saw last of a key; version 0: no value.
    private var seen: [Int: (version: UInt64, value: Int?)] = [:]
    private let session: HistorySession
    private var random: SeededRandom
    /// No sum is a value that was set.
    private static let delta = 1_000_000

    init(session: HistorySession, seed: UInt64) {
        self.session = session
        random = SeededRandom(seed)
    }

    /// Until all keys have been used so often, or the server is gone.
    mutating func run(port: UInt16, quota: Int) {
        guard let client = try? BinaryClient(port: port) else { return }
        while !session.isFull(quota) {
            let key = Int(random.next() % UInt64(HistorySession.keys))
            guard !session.isFull(key, quota) else { continue }
            guard perform(key, client) else { return }
        }
    }

    /// - Returns: Whether there was an answer.
    private mutating func perform(_ key: Int, _ client: BinaryClient) -> Bool {
        let bytes = session.key(key)
        let value = session.value()
        let text = Array(String(value).utf8)
        switch random.next() % 10 {
        case 0..<4:
            return answered(key, client, unknown: nil) { BinaryRequest.get(bytes.span.bytes, flags: .wantVersion, id: $0, into: &$1) } by: {
                answer, seen in
                guard answer.status == .ok || answer.status == .notFound else { return nil }
                let found = answer.status == .ok ? Int(String(decoding: answer.value, as: UTF8.self)) : nil
                seen = (answer.status == .ok ? answer.version : 0, found)
                return .get(found)
            }
        case 4..<6 where key % 5 == 0:
            return answered(key, client, unknown: .increment(Self.delta, sum: nil)) {
                BinaryRequest.increment(bytes.span.bytes, by: Int64(Self.delta), id: $0, into: &$1)
            } by: { answer, seen in
                seen = nil
                return answer.status == .ok || answer.status == .created ? .increment(Self.delta, sum: answer.integer.map { Int($0) }) : nil
            }
        case 4..<6:
            return answered(key, client, unknown: .set(value)) {
                BinaryRequest.put(bytes.span.bytes, value: text.span.bytes, flags: .wantVersion, id: $0, into: &$1)
            } by: { answer, seen in
                seen = (answer.version, value)
                return answer.status == .ok || answer.status == .created ? .set(value) : nil
            }
        // Not of counters: a sum may come again, with another version.
        case 6..<9 where key % 5 != 0:
            guard let last = seen[key] else { return true }
            let condition: Condition = last.value == nil ? .absent : .version(last.version)
            return answered(key, client, unknown: .compareAndSet(expected: last.value, value, succeeded: nil)) {
                BinaryRequest.put(
                    bytes.span.bytes, value: text.span.bytes, condition: condition, flags: .wantVersion, id: $0, into: &$1)
            } by: { answer, seen in
                let succeeded = answer.status == .ok || answer.status == .created
                guard succeeded || answer.status == .conditionFailed else { return nil }
                seen = succeeded ? (answer.version, value) : nil
                return .compareAndSet(expected: last.value, value, succeeded: succeeded)
            }
        default:
            return answered(key, client, unknown: .delete(wasThere: nil)) {
                BinaryRequest.delete(bytes.span.bytes, id: $0, into: &$1)
            } by: { answer, seen in
                guard answer.status == .ok || answer.status == .notFound else { return nil }
                seen = (0, nil)
                return .delete(wasThere: answer.status == .ok)
            }
        }
    }

    /// Asks, and notes what became of it.
    ///
    /// - Parameter unknown: What may have happened when there is no answer.
    /// - Parameter known: What the answer says has happened; nil: it says that this is not known.
    private mutating func answered(
        _ key: Int, _ client: BinaryClient, unknown: RegisterCall?, _ request: (UInt32, inout ByteBuffer) -> Void,
        by known: (BinaryClient.Answer, inout (version: UInt64, value: Int?)?) -> RegisterCall?
    ) -> Bool {
        let began = session.moment()
        guard let answer = try? client.call(request), let call = known(answer, &seen[key]) else {
            if let unknown { session.note(unknown, key, began: began, ended: nil) }
            return false
        }
        session.note(call, key, began: began, ended: session.moment())
        return true
    }
}
