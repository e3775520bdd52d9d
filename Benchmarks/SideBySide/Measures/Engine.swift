// The engine without a server around it: one thread, and two.

import Glibc
import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

/// Something that another thread says once.
final class Flag: Sendable {
    private let word = Atomic<Bool>(false)
    var isSet: Bool { word.load(ordering: .acquiring) }
    func set() { word.store(true, ordering: .releasing) }
}

extension Measure {
    static let engine = Measure(name: "engine") { bench in
        let keys = bench.parameters.keys
        let store = Store(
            configuration: StoreConfiguration(), log: LogBuffer(),
            namespaces: NamespaceTable(settings: NamespaceSettings(durability: .off, keyRule: .bytes)))
        let value = [UInt8](repeating: 7, count: 100)
        for number in 0..<keys {
            let key = key(number)
            let hash = store.hash(store.namespaces.default, key.span.bytes)
            _ = store.put(store.namespaces.default, key: key.span.bytes, hash: hash, value: value.span.bytes, now: 1)
        }
        // What a server's chores do meanwhile: tables that were growing come to rest.
        while store.maintain(now: 1, budget: 10_000).hasMore {}
        run(on: "0-1")
        defer { run(on: "1") }
        var one: [Double] = [], two: [Double] = [], cpuOne: [Double] = [], cpuTwo: [Double] = [], waits: [Double] = []
        var hotOne: [Double] = [], hotTwo: [Double] = [], hotCPUOne: [Double] = [], hotCPUTwo: [Double] = []
        for round in 0...bench.parameters.rounds {
            let single = try run(store, keys, threads: 1, seconds: bench.parameters.seconds, seed: UInt64(round))
            let double = try run(store, keys, threads: 2, seconds: bench.parameters.seconds, seed: UInt64(round))
            let hotSingle = try run(store, keys, threads: 1, seconds: bench.parameters.seconds, seed: UInt64(round), hot: true)
            let hotDouble = try run(store, keys, threads: 2, seconds: bench.parameters.seconds, seed: UInt64(round), hot: true)
            guard round > 0 else { continue }
            hotOne.append(hotSingle.rate)
            hotTwo.append(hotDouble.rate)
            hotCPUOne.append(hotSingle.nanoseconds)
            hotCPUTwo.append(hotDouble.nanoseconds)
            one.append(single.rate)
            cpuOne.append(single.nanoseconds)
            two.append(double.rate)
            cpuTwo.append(double.nanoseconds)
            waits.append(double.waits * 100)
        }
        return Finding(
            rows: [
                Row(
                    14, "engine in-process, two threads against one",
                    [
                        .atLeast("", two.median / one.median, 1.85, unit: " x the operations"),
                        .atMost("lock waits ", waits.median, 0.1, unit: " %", digits: 4),
                    ]),
                Row(
                    18, "one key takes 90 % of all reads: two threads against one, in-process",
                    [.atLeast("", hotTwo.median / hotOne.median, 1, unit: " x the operations")]),
            ],
            tables: [
                Table(
                    title: "The engine in this process: 9 reads to 1 write, \(grouped(keys)) keys, batches of 32",
                    head: ["threads", "operations/s", "processor time of one, ns"],
                    lines: [
                        ["1", grouped(Int(one.median)), fixed(cpuOne.median, 0)], ["2", grouped(Int(two.median)), fixed(cpuTwo.median, 0)],
                        ["1, nine of ten reads of one key", grouped(Int(hotOne.median)), fixed(hotCPUOne.median, 0)],
                        ["2, nine of ten reads of one key", grouped(Int(hotTwo.median)), fixed(hotCPUTwo.median, 0)],
                    ])
            ])
    }

    /// Sixteen digits.
    private static func key(_ number: Int) -> InlineArray<16, UInt8> {
        var key = InlineArray<16, UInt8>(repeating: UInt8(ascii: "0"))
        var rest = number
        var position = 15
        while rest > 0, position >= 0 {
            key[position] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
            position -= 1
        }
        return key
    }

    private struct Result {
        var rate: Double
        /// Processor time of an operation.
        var nanoseconds: Double
        /// Share of operations that found a lock held.
        var waits: Double
    }

    /// - Parameter hot: Nine of ten reads are of one key.
    private static func run(
        _ store: Store, _ keys: Int, threads count: Int, seconds: Double, seed: UInt64, hot: Bool = false
    ) throws -> Result {
        let operations = Atomic<Int>(0)
        let processorTime = Atomic<Int64>(0)
        let ready = Atomic<Int>(0)
        let stop = Flag()
        let waits = Lock.waits
        let threads = try (0..<count).map { number in
            try Thread(name: "engine-\(number)") { () -> Void in
                ready.wrappingAdd(1, ordering: .relaxed)
                while ready.load(ordering: .relaxed) < count {}
                let began = Thread.nanoseconds()
                let done = work(store, keys, seed &* 31 &+ UInt64(number) &+ 1, hot: hot, until: stop)
                processorTime.wrappingAdd(Thread.nanoseconds() - began, ordering: .relaxed)
                operations.wrappingAdd(done, ordering: .relaxed)
            }
        }
        while ready.load(ordering: .relaxed) < count { usleep(100) }
        let began = monotonicSeconds()
        usleep(UInt32(seconds * 1e6))
        stop.set()
        let elapsed = monotonicSeconds() - began
        for thread in threads { thread.join() }
        let total = Double(operations.load(ordering: .relaxed))
        return Result(
            rate: total / elapsed, nanoseconds: Double(processorTime.load(ordering: .relaxed)) / total,
            waits: Double(Lock.waits - waits) / total)
    }

    /// As the server does it: hash and prefetch a batch, then execute it.
    private static func work(_ store: Store, _ keys: Int, _ seed: UInt64, hot: Bool, until stop: Flag) -> Int {
        var random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        let namespace = store.namespaces.default
        let value = [UInt8](repeating: 7, count: 100)
        var batch = [(key: InlineArray<16, UInt8>, hash: KeyHash)](
            repeating: (key(0), store.hash(namespace, key(0).span.bytes)), count: 32)
        var done = 0
        var found = 0
        while !stop.isSet {
            for index in batch.indices {
                random ^= random << 13
                random ^= random >> 7
                random ^= random << 17
                let isHot = hot && (done + index) % 10 != 0 && random >> 40 % 10 != 0
                let key = key(isHot ? 0 : Int(random % UInt64(keys)))
                let hash = store.hash(namespace, key.span.bytes)
                batch[index] = (key, hash)
                store.prefetch(hash, isOptimistic: (done + index) % 10 != 0)
            }
            for index in batch.indices { store.prefetchEntry(batch[index].hash) }
            for index in batch.indices {
                let key = batch[index].key
                if (done + index) % 10 == 0 {
                    _ = store.put(namespace, key: key.span.bytes, hash: batch[index].hash, value: value.span.bytes, now: 1)
                } else {
                    found &+= read(store, namespace, key, batch[index].hash)
                }
            }
            done += batch.count
        }
        precondition(found > 0, "every key is there")
        return done
    }

    /// How long the value is. Without the lock where that will do, as the server reads.
    private static func read(_ store: Store, _ namespace: Namespace, _ key: InlineArray<16, UInt8>, _ hash: KeyHash) -> Int {
        var bytes = 0
        let isRead = store.readOptimistically(namespace, key: key.span.bytes, hash: hash, now: 1) {
            bytes = $0.value.byteCount
            return true
        }
        if !isRead { _ = store.read(namespace, key: key.span.bytes, hash: hash, now: 1) { bytes = $0.value.byteCount } }
        return bytes
    }

    /// Lets this process run on some processors; threads to come inherit it.
    private static func run(on processors: String) {
        let process = spawn(["taskset", "-p", "-c", processors, "\(getpid())"])
        var status: Int32 = 0
        if process > 0 { waitpid(process, &status, 0) }
    }
}
