import LarderBytes
import LarderPlatform
@testable import LarderEngine
import Testing

/// A store with few shards and fixed secrets, spoken to in arrays.
final class StoreBench: @unchecked Sendable {
    static let start: Milliseconds = 1_900_000_000_000
    let log: LogBuffer
    let store: Store
    var now: Milliseconds = StoreBench.start
    private var drained = ByteBuffer()

    var `default`: Namespace { store.namespaces.default }

    init(
        shards: Int = 4, memory: Int = 2 << 30, valueBytesMax: Int = 1 << 20, seed: UInt64 = 1, logBytesMax: Int = 1 << 20,
        durability: Durability = .always, eviction: Eviction = .none, bytesMax: Int = 0
    ) {
        var random = SeededGenerator(seed: seed)
        var configuration = StoreConfiguration(secrets: HashSecrets(using: &random))
        configuration.shardCount = shards
        configuration.memoryBytesMax = memory
        configuration.valueBytesMax = valueBytesMax
        configuration.largePages = false
        log = LogBuffer(bytesMax: logBytesMax)
        store = Store(
            configuration: configuration, log: log,
            namespaces: NamespaceTable(
                settings: NamespaceSettings(durability: durability, keyRule: .bytes, eviction: eviction, bytesMax: bytesMax)))
    }

    /// Throws away what is staged, so that nothing is refused.
    func drain() {
        _ = log.take(into: &drained)
        drained.removeAll()
    }

    func hash(_ key: [UInt8], _ namespace: Namespace? = nil) -> KeyHash {
        store.hash(namespace ?? `default`, key.span.bytes)
    }

    @discardableResult
    func put(
        _ key: [UInt8], _ value: [UInt8], _ lifetime: LifetimeChange = .unlimited, _ condition: WriteCondition = .none,
        metadata: [UInt8] = [], in namespace: Namespace? = nil
    ) -> WriteResult {
        store.put(
            namespace ?? `default`, key: key.span.bytes, hash: hash(key, namespace), value: value.span.bytes,
            metadata: metadata.span.bytes, lifetime: lifetime, condition: condition, now: now)
    }

    @discardableResult
    func remove(_ key: [UInt8], _ condition: WriteCondition = .none, in namespace: Namespace? = nil) -> WriteResult {
        store.remove(
            namespace ?? `default`, key: key.span.bytes, hash: hash(key, namespace), condition: condition, now: now)
    }

    @discardableResult
    func touch(
        _ key: [UInt8], _ lifetime: LifetimeChange, _ condition: WriteCondition = .none, in namespace: Namespace? = nil
    ) -> WriteResult {
        store.setDeadline(
            namespace ?? `default`, key: key.span.bytes, hash: hash(key, namespace), lifetime: lifetime,
            condition: condition, now: now)
    }

    @discardableResult
    func increment(
        _ key: [UInt8], _ delta: Int64, _ lifetime: LifetimeChange = .unlimited, in namespace: Namespace? = nil
    ) -> WriteResult {
        store.increment(
            namespace ?? `default`, key: key.span.bytes, hash: hash(key, namespace), delta: delta, lifetime: lifetime,
            now: now)
    }

    @discardableResult
    func append(
        _ key: [UInt8], _ value: [UInt8], _ lifetime: LifetimeChange = .unlimited, in namespace: Namespace? = nil
    ) -> WriteResult {
        store.append(
            namespace ?? `default`, key: key.span.bytes, hash: hash(key, namespace), value: value.span.bytes,
            lifetime: lifetime, now: now)
    }

    struct Seen: Equatable {
        var value: [UInt8]
        var metadata: [UInt8]
        var lsn: LSN
        var deadline: Deadline
    }

    func read(_ key: [UInt8], in namespace: Namespace? = nil) -> Seen? { readResult(key, in: namespace).seen }

    func readResult(_ key: [UInt8], in namespace: Namespace? = nil) -> (result: ReadResult, seen: Seen?) {
        var seen: Seen?
        let hash = hash(key, namespace)
        store.prefetch(hash)
        store.prefetchEntry(hash)
        let result = store.read(namespace ?? `default`, key: key.span.bytes, hash: hash, now: now) { entry in
            seen = Seen(value: Array(entry.value), metadata: Array(entry.metadata), lsn: entry.lsn, deadline: entry.deadline)
        }
        // Who reads without the lock sees the same, or nothing; or a later write, where other threads write.
        var sighted: Seen?
        let isRead = store.readOptimistically(namespace ?? `default`, key: key.span.bytes, hash: hash, now: now) { entry in
            sighted = Seen(value: Array(entry.value), metadata: Array(entry.metadata), lsn: entry.lsn, deadline: entry.deadline)
            return true
        }
        if isRead, let sighted {
            #expect(seen == nil ? sighted.lsn > result.lsn : sighted == seen || sighted.lsn > result.lsn)
        }
        return (result, seen)
    }

    /// Maintains until there is nothing left to do, in bounded calls.
    ///
    /// - Returns: How many calls that took.
    @discardableResult
    func settle(budget: Int = 10_000) -> Int {
        var calls = 1
        while store.maintain(now: now, budget: budget).hasMore { calls += 1 }
        return calls
    }

    func makeNamespace(
        _ name: String, durability: Durability = .always, eviction: Eviction = .none, bytesMax: Int = 0
    ) -> Namespace {
        let id = NamespaceID(high: UInt64(name.utf8.count), low: UInt64(bitPattern: Int64(name.hashValue)))
        let settings = NamespaceSettings(durability: durability, keyRule: .bytes, eviction: eviction, bytesMax: bytesMax)
        let bytes = Array(name.utf8)
        guard
            case .created(let made, _) = store.createNamespace(
                name: bytes.span.bytes, id: id, settings: settings, now: now)
        else { preconditionFailure("no namespace \(name)") }
        return made
    }
}

extension StoreBench {
    /// How much more than its limit a namespace may be found to hold: what the shards have not reported, and nothing else.
    func slack(_ namespace: Namespace) -> Int { store.shardCount * namespace.budget.batch }

    func memory(_ namespace: Namespace? = nil) -> Int { store.usage(of: namespace ?? `default`).memoryBytes }
}

/// Eight bytes that spell a number.
func key(_ number: Int) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
