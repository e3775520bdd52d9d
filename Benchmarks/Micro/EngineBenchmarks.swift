// The engine: table, slab, wheel, eviction, log buffer, listing.

import LarderBytes
import LarderEngine
import LarderPlatform

/// A store whose secrets are random in every process; sums are made of what does not depend on them.
final class Bench {
    let log = LogBuffer(bytesMax: 16 << 20)
    let store: Store
    let namespace: Namespace
    private var drained = ByteBuffer()
    var now: Milliseconds = 1_900_000_000_000

    /// - Parameter cacheBytes: The limit of a cache; nil: it is none.
    init(_ durability: Durability = .off, cacheBytes: Int? = nil) {
        let settings = NamespaceSettings(
            durability: durability, keyRule: .bytes, eviction: cacheBytes == nil ? .none : .s3fifo, bytesMax: cacheBytes ?? 0)
        store = Store(configuration: StoreConfiguration(), log: log, namespaces: NamespaceTable(settings: settings))
        namespace = store.namespaces.default
    }

    static func key(_ number: Int) -> InlineArray<16, UInt8> {
        var key = InlineArray<16, UInt8>(repeating: UInt8(ascii: "k"))
        for index in 0..<8 { key[index] = UInt8(truncatingIfNeeded: number >> (8 * (7 - index))) }
        return key
    }

    func hash(_ key: InlineArray<16, UInt8>) -> KeyHash { store.hash(namespace, key.span.bytes) }

    func put(_ number: Int, _ value: [UInt8], _ lifetime: LifetimeChange = .unlimited) -> UInt64 {
        let key = Self.key(number)
        let result = store.put(
            namespace, key: key.span.bytes, hash: hash(key), value: value.span.bytes, lifetime: lifetime, now: now)
        return result.outcome == .created ? 1 : result.outcome == .updated ? 2 : 1 << 40
    }

    func fill(_ count: Int, valueBytes: Int = 100, _ lifetime: (Int) -> LifetimeChange = { _ in .unlimited }) {
        let value = [UInt8](repeating: 7, count: valueBytes)
        for number in 0..<count {
            _ = put(number, value, lifetime(number))
            if number % 1_000 == 0 { drain() }
        }
    }

    func drain() {
        _ = log.take(into: &drained)
        drained.removeAll()
    }

    /// A batch as the server takes it: hash and prefetch, then read.
    func read(_ numbers: [Int], batch: Int) -> UInt64 {
        var sum: UInt64 = 0
        var hashes = [KeyHash](repeating: hash(Self.key(0)), count: batch)
        for start in stride(from: 0, to: numbers.count, by: batch) {
            for index in 0..<batch {
                hashes[index] = hash(Self.key(numbers[start + index]))
                store.prefetch(hashes[index], isOptimistic: true)
            }
            if batch > 1 { for index in 0..<batch { store.prefetchEntry(hashes[index]) } }
            for index in 0..<batch {
                let key = Self.key(numbers[start + index])
                var bytes = 0
                let isRead = store.readOptimistically(namespace, key: key.span.bytes, hash: hashes[index], now: now) {
                    bytes = $0.value.byteCount
                    return true
                }
                if !isRead {
                    _ = store.read(namespace, key: key.span.bytes, hash: hashes[index], now: now) { bytes = $0.value.byteCount }
                }
                sum &+= UInt64(bytes)
            }
        }
        return sum
    }
}

private let sizes = [10_000, 1_000_000]
private let operations = 65_536

private func numbers(below bound: Int) -> [Int] {
    var noise = Noise(seed: 1)
    return (0..<operations).map { _ in noise.next(below: bound) }
}

let engineBenchmarks: [Benchmark] = [
    Benchmark(question: "table: read one key after the other, of so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size)
        let wanted = numbers(below: size)
        return { (operations, bench.read(wanted, batch: 1)) }
    },
    Benchmark(question: "table: read in batches of 32, of so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size)
        let wanted = numbers(below: size)
        return { (operations, bench.read(wanted, batch: 32)) }
    },
    Benchmark(question: "table: store so many new keys, growth included", sizes: sizes) { size in
        let value = [UInt8](repeating: 7, count: 100)
        return {
            let bench = Bench()
            return (size, (0..<size).reduce(0) { $0 &+ bench.put($1, value) })
        }
    },
    Benchmark(question: "slab: overwrite with a value of another size, of so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size)
        let wanted = numbers(below: size)
        let values = (0..<8).map { [UInt8](repeating: 7, count: 40 * $0 + 8) }
        var turn = 0
        return {
            turn += 1
            return (operations, wanted.indices.reduce(0) { $0 &+ bench.put(wanted[$1], values[($1 + turn) % 8]) })
        }
    },
    Benchmark(question: "wheel: extend a lifetime, of so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size) { .milliseconds(Int64(60_000 + $0 % 100_000)) }
        let wanted = numbers(below: size)
        return {
            var sum: UInt64 = 0
            for number in wanted {
                let key = Bench.key(number)
                let result = bench.store.setDeadline(
                    bench.namespace, key: key.span.bytes, hash: bench.hash(key), lifetime: .milliseconds(300_000), now: bench.now)
                sum &+= result.outcome == .updated ? 1 : 1 << 40
            }
            return (operations, sum)
        }
    },
    Benchmark(question: "wheel: store so many that fall due together, and free them", sizes: sizes) { size in
        return {
            let bench = Bench()
            bench.fill(size, valueBytes: 32) { _ in .milliseconds(1_000) }
            bench.now += 1_010
            while bench.store.maintain(now: bench.now, budget: 10_000).hasMore {}
            return (size, UInt64(bench.store.statistics().expiredTotal))
        }
    },
    Benchmark(question: "eviction: read in batches of 32 from a cache, of so many", sizes: sizes) { size in
        let bench = Bench(cacheBytes: size * 256)
        bench.fill(size)
        let wanted = numbers(below: size)
        return { (operations, bench.read(wanted, batch: 32)) }
    },
    Benchmark(question: "eviction: store a new key in a full cache, of so many", sizes: sizes) { size in
        // What an entry of such a size counts, but for a few bytes.
        let bench = Bench(cacheBytes: size * 168)
        bench.fill(2 * size)
        let value = [UInt8](repeating: 7, count: 100)
        var next = 2 * size
        return {
            defer { next += operations }
            return (operations, (next..<(next + operations)).reduce(0) { $0 &+ bench.put($1, value) })
        }
    },
    Benchmark(question: "log: overwrite 100 bytes with a record staged, of so many", sizes: sizes) { size in
        let bench = Bench(.always)
        bench.fill(size)
        let wanted = numbers(below: size)
        let value = [UInt8](repeating: 7, count: 100)
        return {
            var sum: UInt64 = 0
            for (index, number) in wanted.enumerated() {
                sum &+= bench.put(number, value)
                if index % 1_024 == 0 { bench.drain() }
            }
            return (operations, sum)
        }
    },
    Benchmark(question: "snapshot: walk over so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size)
        return {
            var cursor = WalkCursor()
            var buffer = ByteBuffer()
            var count = 0
            var bytes = 0
            while !cursor.isAtEnd {
                count += bench.store.walk(&cursor, into: &buffer)
                if buffer.count > 1 << 18 {
                    bytes += buffer.count
                    buffer.removeAll()
                }
            }
            return (count, UInt64(bytes + buffer.count))
        }
    },
    Benchmark(question: "listing: put so many keys in order", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size, valueBytes: 32)
        return {
            // The order goes with a namespace's flush, or when it is old; this asks for the latter.
            bench.now += 1_000_000
            while bench.store.maintain(now: bench.now, budget: 10_000).hasMore {}
            var work = Int.max
            let readiness = bench.store.prepareListing(bench.namespace, now: bench.now, work: &work)
            return (size, readiness == .ready ? 1 : 0)
        }
    },
    Benchmark(question: "listing: a key of a page of 1,000, of so many", sizes: sizes) { size in
        let bench = Bench()
        bench.fill(size, valueBytes: 32)
        var work = Int.max
        _ = bench.store.prepareListing(bench.namespace, now: bench.now, work: &work)
        return {
            var count = 0
            var sum: UInt64 = 0
            for page in 0..<10 {
                let key = Bench.key(size / 20 * page)
                let result = bench.store.list(bench.namespace, after: key.span.bytes, limit: 1_000, now: bench.now) {
                    sum &+= UInt64($0.key.byteCount)
                }
                count += result.count
            }
            return (count, sum)
        }
    },
]
