import Dispatch
import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

/// What several threads may hold.
private struct Shared: @unchecked Sendable {
    let harness: StoreHarness
}

@Suite("Many threads") struct StoreConcurrencyTests {
    private static let workers = 4
    private static let rounds = 3_000

    private static func work(_ store: Store, seed: UInt64, now: Milliseconds) {
        var random = SeededGenerator(seed: seed)
        let spare = Array("spare".utf8)
        for round in 0..<rounds {
            let now = now + Int64(round)
            let named = store.namespaces.find(name: spare.span.bytes)
            let namespace = Bool.random(using: &random) ? store.namespaces.default : named ?? store.namespaces.default
            let key = Array("key-\(Int.random(in: 0..<12, using: &random))".utf8)
            let hash = store.hash(namespace, key.span.bytes)
            let value = Array("\(random.next())".utf8)
            switch Int.random(in: 0..<120, using: &random) {
            case 0:
                _ = store.flushNamespace(namespace, now: now)
            case 1 where namespace != store.namespaces.default:
                _ = store.dropNamespace(namespace, now: now)
            case 2:
                let id = NamespaceID(high: random.next(), low: 1)
                _ = store.createNamespace(name: spare.span.bytes, id: id, settings: NamespaceSettings(), now: now)
            case 3..<30:
                _ = store.remove(namespace, key: key.span.bytes, hash: hash, now: now)
            case 30..<60:
                _ = store.increment(namespace, key: key.span.bytes, hash: hash, delta: 1, now: now)
            case 60..<70:
                _ = store.append(namespace, key: key.span.bytes, hash: hash, value: value.span.bytes, now: now)
            case 70..<80:
                _ = store.list(namespace, limit: 3, now: now) { _ in }
            default:
                // Keys of their own, so that tables grow and shrink under the others.
                let other = round % 3 == 0 ? Array("\(seed)-\(round % 500)".utf8) : key
                _ = store.put(
                    namespace, key: other.span.bytes, hash: store.hash(namespace, other.span.bytes), value: value.span.bytes,
                    now: now)
            }
        }
    }

    @Test(arguments: Seeds.smoke) func `the log tells the same story as memory`(_ seed: UInt64) throws {
        let harness = StoreHarness(shards: 2, seed: seed)
        _ = harness.create("spare", id: seed)
        let shared = Shared(harness: harness)
        let now = harness.now
        DispatchQueue.concurrentPerform(iterations: Self.workers + 1) { index in
            if index < Self.workers {
                Self.work(shared.harness.store, seed: seed &* 100 &+ UInt64(index), now: now)
            } else {
                // A walk in their midst must neither trap nor tear.
                for _ in 0..<20 { _ = try? StoreHarness.keys(shared.harness.walk(entriesMax: 4)) }
            }
        }
        harness.now += Int64(Self.rounds)
        let copy = StoreHarness(shards: 8, seed: seed &+ 1)
        copy.now = harness.now
        let log = harness.drain()
        try checkOrder(log)
        try copy.apply(records: log)
        for namespace in harness.store.namespaces.all() where namespace.state != .deleting {
            let twin = try #require(copy.store.namespaces.find(number: namespace.number))
            let keys = harness.list(limit: 100, in: namespace)
            #expect(copy.list(limit: 100, in: twin) == keys, "seed \(seed)")
            for key in keys { #expect(copy.get(key, in: twin) == harness.get(key, in: namespace), "seed \(seed), \(key)") }
        }
        harness.store.namespaces.checkInvariants()
    }

    private func checkOrder(_ bytes: [UInt8]) throws {
        let span = bytes.span.bytes
        var last = LSN.zero
        var position = 0
        while position < span.byteCount {
            let record = try LogRecord(parsing: span.extracting(position..<span.byteCount))
            let lsn = record.lsn
            #expect(lsn > last)
            last = lsn
            position += record.byteCount
        }
    }
}
