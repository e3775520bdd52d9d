import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// What a store ought to do, in the plainest of words.
private struct Model {
    struct Item: Equatable {
        var value: [UInt8]
        var metadata: [UInt8]
        var version: UInt64
        var deadline: Deadline
    }

    var items: [[UInt8]: Item] = [:]

    func live(_ key: [UInt8], _ now: Milliseconds) -> Item? {
        items[key].flatMap { $0.deadline.isDue(now) ? nil : $0 }
    }

    static func holds(_ condition: WriteCondition, _ item: Item?) -> Bool {
        switch condition {
        case .none: true
        case .absent: item == nil
        case .present: item != nil
        case .version(let version): item?.version == version
        case .notVersion(let version): item?.version != version
        }
    }

    static func deadline(_ lifetime: LifetimeChange, _ item: Item?, _ now: Milliseconds) -> Deadline {
        switch lifetime {
        case .unlimited: .never
        case .keep: item?.deadline ?? .never
        case .milliseconds(let milliseconds): Deadline(rawValue: now + milliseconds)
        case .until(let time): Deadline(rawValue: time)
        }
    }
}

@Suite("Store against a model") struct StoreModelTests {
    private struct Run {
        let bench: StoreBench
        var random: SeededGenerator
        var namespaces: [Namespace]
        var models: [Model]

        init(seed: UInt64, shards: Int) {
            bench = StoreBench(shards: shards, seed: seed)
            random = SeededGenerator(seed: seed &* 977)
            namespaces = [bench.default, bench.makeNamespace("a"), bench.makeNamespace("b", durability: .off)]
            models = [Model(), Model(), Model()]
        }

        mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

        mutating func key() -> [UInt8] {
            let number = number(0..<400)
            let length = [1, 4, 16, 200, 1_024][number % 5]
            return (0..<length).map { UInt8(truncatingIfNeeded: $0 == 0 ? number : $0 == 1 ? number >> 8 : 7) }
        }

        mutating func value() -> [UInt8] {
            let count = [0, 1, 3, 20, 21, 90, 700, 5_000, 20_000][min(number(0..<9), number(0..<9))]
            return [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: count)
        }

        mutating func lifetime() -> LifetimeChange {
            switch number(0..<8) {
            case 0...1: .unlimited
            case 2...3: .keep
            case 4: .milliseconds(Int64(number(0..<3)))
            case 5: .milliseconds(Int64(number(1..<3_000)))
            case 6: .until(bench.now + Int64(number(-2..<3_000)))
            default: .milliseconds(Int64(number(1..<10_000_000)))
            }
        }

        mutating func condition(_ item: Model.Item?) -> WriteCondition {
            switch number(0..<9) {
            case 0: .absent
            case 1: .present
            case 2: .version(item?.version ?? 5)
            case 3: .notVersion(item?.version ?? 5)
            case 4: .version(random.next())
            default: .none
            }
        }

        mutating func step() {
            let index = number(0..<3)
            let namespace = namespaces[index]
            let key = key()
            let item = models[index].live(key, bench.now)
            switch number(0..<100) {
            case 0..<30: put(index, namespace, key, item)
            case 30..<38: remove(index, namespace, key, item)
            case 38..<50: touch(index, namespace, key, item)
            case 50..<58: increment(index, namespace, key, item)
            case 58..<66: append(index, namespace, key, item)
            case 66..<96: break
            case 96: bench.now += Int64(number(0..<5))
            case 97: if number(0..<4) == 0 { bench.now += Int64(number(0..<2_000_000)) }
            case 98: _ = bench.store.maintain(now: bench.now, budget: number(1..<200))
            default:
                if number(0..<20) == 0 {
                    #expect(bench.store.flushNamespace(namespace, now: bench.now).outcome == .removed)
                    models[index].items = [:]
                }
            }
            check(index, namespace, key)
        }

        func check(_ index: Int, _ namespace: Namespace, _ key: [UInt8]) {
            let item = models[index].live(key, bench.now)
            let seen = bench.read(key, in: namespace)
            #expect(seen?.value == item?.value)
            #expect(seen?.metadata == item?.metadata)
            #expect(seen?.deadline == item?.deadline)
            #expect(seen?.lsn.rawValue == item?.version)
        }

        mutating func put(_ index: Int, _ namespace: Namespace, _ key: [UInt8], _ item: Model.Item?) {
            let value = value()
            let metadata: [UInt8] = number(0..<3) == 0 ? [9, 2, 0, 1, 2] : []
            let (lifetime, condition) = (lifetime(), condition(item))
            let result = bench.put(key, value, lifetime, condition, metadata: metadata, in: namespace)
            guard Model.holds(condition, item) else { return expectUnchanged(result, .conditionFailed, item) }
            let deadline = Model.deadline(lifetime, item, bench.now)
            if deadline.isDue(bench.now) { return expectRemoved(index, key, item, result) }
            #expect(result.outcome == (item == nil ? .created : .updated))
            #expect(result.deadline == deadline)
            models[index].items[key] = Model.Item(
                value: value, metadata: metadata, version: result.version, deadline: deadline)
        }

        mutating func remove(_ index: Int, _ namespace: Namespace, _ key: [UInt8], _ item: Model.Item?) {
            let condition = condition(item)
            let result = bench.remove(key, condition, in: namespace)
            guard Model.holds(condition, item) else { return expectUnchanged(result, .conditionFailed, item) }
            expectRemoved(index, key, item, result)
        }

        mutating func touch(_ index: Int, _ namespace: Namespace, _ key: [UInt8], _ item: Model.Item?) {
            let (lifetime, condition) = (lifetime(), condition(item))
            let result = bench.touch(key, lifetime, condition, in: namespace)
            guard Model.holds(condition, item) else { return expectUnchanged(result, .conditionFailed, item) }
            guard let item else { return expectUnchanged(result, .notFound, nil) }
            let deadline = Model.deadline(lifetime, item, bench.now)
            if deadline.isDue(bench.now) { return expectRemoved(index, key, item, result) }
            #expect(result.outcome == .updated)
            #expect(result.deadline == deadline)
            models[index].items[key]!.deadline = deadline
            models[index].items[key]!.version = result.version
        }

        mutating func increment(_ index: Int, _ namespace: Namespace, _ key: [UInt8], _ item: Model.Item?) {
            let delta = Int64.random(in: .min ... .max, using: &random) >> Int64(number(0..<64))
            let lifetime = lifetime()
            let result = bench.increment(key, delta, lifetime, in: namespace)
            var present: Int64 = 0
            if let item {
                guard let number = Int64(String(decoding: item.value, as: UTF8.self)) else {
                    return expectUnchanged(result, .notAnInteger, item)
                }
                present = number
            }
            let (sum, overflow) = present.addingReportingOverflow(delta)
            if overflow { return expectUnchanged(result, .integerOverflow, item) }
            #expect(result.integer == sum)
            write(index, key, item, result, Array("\(sum)".utf8), lifetime)
        }

        mutating func append(_ index: Int, _ namespace: Namespace, _ key: [UInt8], _ item: Model.Item?) {
            let suffix = value()
            let lifetime = lifetime()
            let result = bench.append(key, suffix, lifetime, in: namespace)
            let value = (item?.value ?? []) + suffix
            #expect(result.integer == Int64(value.count))
            write(index, key, item, result, value, lifetime)
        }

        /// What counting and appending have in common: an entry that is there keeps its deadline.
        mutating func write(
            _ index: Int, _ key: [UInt8], _ item: Model.Item?, _ result: WriteResult, _ value: [UInt8],
            _ lifetime: LifetimeChange
        ) {
            let deadline = item?.deadline ?? Model.deadline(lifetime, nil, bench.now)
            if deadline.isDue(bench.now) { return expectRemoved(index, key, item, result) }
            #expect(result.outcome == (item == nil ? .created : .updated))
            models[index].items[key] = Model.Item(
                value: value, metadata: item?.metadata ?? [], version: result.version, deadline: deadline)
        }

        mutating func expectRemoved(_ index: Int, _ key: [UInt8], _ item: Model.Item?, _ result: WriteResult) {
            #expect(result.outcome == (item == nil ? .notFound : .removed))
            models[index].items[key] = nil
        }

        func expectUnchanged(_ result: WriteResult, _ outcome: WriteOutcome, _ item: Model.Item?) {
            #expect(result.outcome == outcome)
            #expect(result.version == item?.version ?? 0)
            #expect(result.deadline == item?.deadline ?? .never)
        }
    }

    @Test(arguments: Seeds.smoke) func `does what the model does`(_ seed: UInt64) {
        var run = Run(seed: seed, shards: seed % 2 == 0 ? 1 : 4)
        for step in 0..<20_000 {
            run.step()
            if step % 64 == 0 { run.bench.drain() }
            if step % 500 == 0 { run.bench.store.checkInvariants() }
        }
        for index in 0..<3 {
            for key in run.models[index].items.keys { run.check(index, run.namespaces[index], key) }
        }
        // Everything falls due or is flushed, and every byte comes back.
        run.bench.now += 20_000_000
        for namespace in run.namespaces { _ = run.bench.store.flushNamespace(namespace, now: run.bench.now) }
        run.bench.settle(budget: 100)
        run.bench.store.checkInvariantsAtRest()
        let statistics = run.bench.store.statistics()
        #expect(statistics.entries == 0, "seed \(seed)")
        #expect(statistics.slabBytes == 0, "seed \(seed)")
    }
}
