import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import TestFigures
import Testing

/// Threads that use one store at once, across kills and power cuts, and a search for an order that explains what they saw.
@Suite("Linearizability") struct LinearizabilityTests {
    static let clients = 4
    static let keys = 16
    static let eventsMax = 96
    static let lives = 3

    // MARK: The checker itself

    @Test func `the checker takes what an order explains and refuses what none does`() {
        func event(_ call: RegisterCall, _ began: Int, _ ended: Int = .max) -> RegisterEvent {
            RegisterEvent(call, began: began, ended: ended)
        }
        #expect(isLinearizable([]))
        #expect(isLinearizable([event(.set(1), 0, 3), event(.get(nil), 1, 2), event(.get(1), 4, 5)]))
        #expect(isLinearizable([event(.set(1), 0, 3), event(.get(1), 1, 2)]))
        #expect(!isLinearizable([event(.set(1), 0, 1), event(.get(nil), 2, 3)]))
        #expect(!isLinearizable([event(.set(1), 0, 1), event(.set(2), 2, 3), event(.get(1), 4, 5)]))
        // Seen once, it cannot be gone for the next reader.
        #expect(!isLinearizable([event(.set(1), 0, 9), event(.get(1), 1, 2), event(.get(nil), 3, 4)]))
        // What was never answered may have happened at any time, or not.
        #expect(isLinearizable([event(.set(1), 0), event(.get(nil), 1, 2), event(.get(1), 3, 4)]))
        #expect(isLinearizable([event(.set(1), 0), event(.get(nil), 9, 10)]))
        #expect(!isLinearizable([event(.set(1), 0), event(.get(1), 1, 2), event(.get(nil), 3, 4)]))
        let raced = [
            event(.set(1), 0, 1), event(.compareAndSet(expected: 1, 2, succeeded: true), 2, 5),
            event(.compareAndSet(expected: 1, 3, succeeded: true), 3, 4),
        ]
        #expect(!isLinearizable(raced))
        #expect(!isLinearizable([event(.increment(1, sum: 1), 0, 3), event(.increment(1, sum: 1), 1, 2)]))
        #expect(isLinearizable([event(.increment(1, sum: 2), 0, 3), event(.increment(1, sum: 1), 1, 2)]))
        #expect(!isLinearizable([event(.set(1), 0, 1), event(.delete(wasThere: false), 2, 3)]))
    }

    // MARK: Histories

    /// Some keys, the threads that use them, and the lives of the server meanwhile.
    private final class Session: Sendable {
        private let histories = Mutex([[RegisterEvent]](repeating: [], count: LinearizabilityTests.keys))
        private let moment = Counter()
        private let values = Counter()
        private let seed: UInt64

        init(seed: UInt64) { self.seed = seed }

        /// The history of each key.
        func run() throws -> [[RegisterEvent]] {
            var random = SeededGenerator(seed: seed)
            let clock = ManualClock()
            var files = MemoryFileSystem()
            for number in 0..<LinearizabilityTests.lives {
                let life = try StorageLife(
                    files, clock: clock, options: StorageLife.options(segmentBytes: 16_384, seed: seed &* 8 &+ UInt64(number)))
                let isLast = number == LinearizabilityTests.lives - 1
                // The life ends in the middle of what the clients do, and after the last one all answers are in.
                if !isLast { files.stop(after: files.callCount + Int.random(in: 20..<400, using: &random)) }
                let quota = LinearizabilityTests.eventsMax * (number + 1) / LinearizabilityTests.lives
                let others = try (1..<LinearizabilityTests.clients).map { client in
                    try Thread(name: "client-\(client)") { self.use(life, client: client, life: number, quota: quota) }
                }
                use(life, client: 0, life: number, quota: quota)
                for other in others { other.join() }
                clock.advance(milliseconds: 200)
                files = Bool.random(using: &random) ? files.afterKill() : files.afterPowerCut(seed: random.next())
            }
            return histories.withLock { $0 }
        }

        /// One client, until it has done its share or the server is gone.
        private func use(_ life: StorageLife, client: Int, life number: Int, quota: Int) {
            var random = SeededGenerator(seed: seed &* 1_000 &+ UInt64(client * 10 + number))
            var seen: [Int: (version: UInt64, value: Int?)] = [:]
            for _ in 0..<(LinearizabilityTests.keys * quota / LinearizabilityTests.clients) {
                let key = Int.random(in: 0..<LinearizabilityTests.keys, using: &random)
                guard histories.withLock({ $0[key].count }) < quota, life.log.state == .ok else { continue }
                perform(key, life, &seen, &random)
            }
        }

        /// One operation; a fifth of the keys are counters.
        private func perform(
            _ key: Int, _ life: StorageLife, _ seen: inout [Int: (version: UInt64, value: Int?)], _ random: inout SeededGenerator
        ) {
            let namespace = life.store.namespaces.default
            let bytes = Operation.key(key)
            let hash = life.store.hash(namespace, bytes.span.bytes)
            let began = moment.add(1)
            let choice = Int.random(in: 0..<10, using: &random)
            let value = values.add(1)
            let text = Array(String(value).utf8)
            switch choice {
            case 0..<4:
                var value: Int?
                let result = life.store.read(namespace, key: bytes.span.bytes, hash: hash, now: life.now) { view in
                    value = Int(String(decoding: Array(view.value), as: UTF8.self))
                }
                // A read that was not answered says nothing.
                guard wait(for: result.lsn, life) else { return }
                seen[key] = (result.hit ? result.lsn.rawValue : 0, value)
                note(.get(value), key, began)
            case 4 where key % 5 == 0, 5 where key % 5 == 0, 6 where key % 5 == 0:
                let result = life.store.increment(namespace, key: bytes.span.bytes, hash: hash, delta: Int64(choice), now: life.now)
                answer(result, life, key, began, known: .increment(choice, sum: Int(result.integer)), unknown: .increment(choice, sum: nil))
            case 4..<6:
                let result = life.store.put(namespace, key: bytes.span.bytes, hash: hash, value: text.span.bytes, now: life.now)
                if answer(result, life, key, began, known: .set(value), unknown: .set(value)) { seen[key] = (result.version, value) }
            case 6..<9 where key % 5 != 0:
                guard let last = seen[key] else { return }
                let condition: WriteCondition = last.value == nil ? .absent : .version(last.version)
                let result = life.store.put(
                    namespace, key: bytes.span.bytes, hash: hash, value: text.span.bytes, condition: condition, now: life.now)
                let succeeded = result.outcome != .conditionFailed
                let isAnswered = answer(
                    result, life, key, began, known: .compareAndSet(expected: last.value, value, succeeded: succeeded),
                    unknown: .compareAndSet(expected: last.value, value, succeeded: nil))
                if isAnswered { seen[key] = succeeded ? (result.version, value) : nil }
            default:
                let result = life.store.remove(namespace, key: bytes.span.bytes, hash: hash, now: life.now)
                let known = RegisterCall.delete(wasThere: result.outcome == .removed)
                if answer(result, life, key, began, known: known, unknown: .delete(wasThere: nil)) { seen[key] = (0, nil) }
            }
        }

        /// Notes what became of a write.
        ///
        /// - Returns: Whether the client was told.
        @discardableResult private func answer(
            _ result: WriteResult, _ life: StorageLife, _ key: Int, _ began: Int, known: RegisterCall, unknown: RegisterCall
        ) -> Bool {
            switch result.outcome {
            case .refused, .backlog, .outOfMemory: return false
            default: break
            }
            guard wait(for: result.lsn, life) else {
                histories.withLock { $0[key].append(RegisterEvent(unknown, began: began)) }
                return false
            }
            note(known, key, began)
            return true
        }

        private func note(_ call: RegisterCall, _ key: Int, _ began: Int) {
            let ended = moment.add(1)
            histories.withLock { $0[key].append(RegisterEvent(call, began: began, ended: ended)) }
        }

        /// What a reply in `always` waits for; false when it cannot be given.
        private func wait(for lsn: LSN, _ life: StorageLife) -> Bool {
            while life.log.durableLSN < lsn {
                guard life.log.state == .ok else { return false }
                life.sync()
            }
            return true
        }
    }

    @Test func `what concurrent clients see, across kills and power cuts, has an order`() {
        let began = ContinuousClock.now
        let operations = Counter()
        let planted = Counter()
        let unknown = Counter()
        let findings = Findings()
        let missed = Findings()
        // So many are done in a session, about; more follow until there are enough.
        let each = Self.keys * Self.eventsMax * 3 / 4
        var first = 0
        while operations.value < Scale.operations {
            let count = max(8, (Scale.operations - operations.value) / each)
            inParallel(count) { [first] index in
                let seed = Scale.seed &+ UInt64(first + index)
                guard let histories = try? Session(seed: seed).run() else { return findings.add("session \(seed) does not run") }
                for (key, history) in histories.enumerated() {
                    operations.add(history.count)
                    unknown.add(history.count { $0.ended == .max })
                    if !isLinearizable(history) { findings.add("session \(seed) key \(key): \(history)") }
                }
                guard index % 4 == 0 else { return }
                for plant in [PlantedHistory.staleRead, PlantedHistory.lostCompareAndSet] {
                    guard let wrong = histories.lazy.compactMap({ plant($0) }).first else { continue }
                    planted.add(1)
                    if isLinearizable(wrong) { missed.add("session \(seed): \(wrong)") }
                }
            }
            first += count
        }
        #expect(findings.texts == [])
        #expect(missed.texts == [], "planted errors that were not found")
        #expect(planted.value > first / 4)
        #expect(unknown.value > 0)
        let found = planted.value - missed.wrong
        Figure(
            "linearizability across kills and power cuts; \(Figure.grouped(unknown.value)) calls not answered, "
                + "\(Figure.grouped(found)) of \(Figure.grouped(planted.value)) planted errors found",
            operations.value, "operations", wrong: findings.wrong, seeds: Scale.seed...(Scale.seed &+ UInt64(first - 1))
        ).record("41-linearizability", since: began)
    }
}
