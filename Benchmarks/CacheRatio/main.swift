// How often does the store miss as a cache? Plays the traces of `CacheTraces` to a store of 256 shards, and to a plain
// S3-FIFO.
//
//     cache-ratio play KIND KEYS REQUESTS SEED PERCENT    prints: limit in bytes, then the miss ratios of the two
//     cache-ratio write KIND KEYS REQUESTS SEED FILE      writes the trace as libCacheSim reads it (oracleGeneral)
//
// KIND is a number from 0. A request that misses stores the entry; a second has a thousand requests. `scripts/compare-eviction`
// runs it.

import CacheTraces
import Foundation
import LarderBytes
import LarderEngine

let words = CommandLine.arguments
let kinds = RequestTrace.Kind.allCases
guard words.count == 7, let kind = Int(words[2]), kinds.indices.contains(kind), let keys = Int(words[3]),
    let count = Int(words[4]), let seed = UInt64(words[5])
else {
    print(kinds.enumerated().map { "\($0) \($1.rawValue)" }.joined(separator: "\n"))
    exit(words.count == 2 && words[1] == "kinds" ? 0 : 64)
}
let trace = RequestTrace(kinds[kind], keys: keys, requests: count, seed: seed)
let value = [UInt8](repeating: 0, count: 8_000)
let start: Int64 = 1_800_000_000_000

func makeStore(_ bytesMax: Int) -> Store {
    let settings = NamespaceSettings(durability: .off, keyRule: .bytes, eviction: .s3fifo, bytesMax: bytesMax)
    return Store(configuration: StoreConfiguration(), log: LogBuffer(), namespaces: NamespaceTable(settings: settings))
}

/// - Returns: Whether it was there.
func request(_ key: Int, at index: Int, of store: Store) -> Bool {
    let namespace = store.namespaces.default
    var bytes = InlineArray<8, UInt8>(repeating: 0)
    for position in 0..<8 { bytes[position] = UInt8(truncatingIfNeeded: key >> (8 * position)) }
    let now = start + Int64(index)
    let hash = store.hash(namespace, bytes.span.bytes)
    if store.read(namespace, key: bytes.span.bytes, hash: hash, now: now, { _ in }).hit { return true }
    let lifetime: LifetimeChange = trace.expiry(key, at: index).map { .milliseconds(Int64($0 - index)) } ?? .unlimited
    _ = store.put(
        namespace, key: bytes.span.bytes, hash: hash, value: value.span.bytes.extracting(first: trace.valueBytes(key)),
        lifetime: lifetime, now: now)
    return false
}

// What an entry takes, as the store counts it: asked from it once for each length.
@MainActor struct Sizes {
    private static let store = makeStore(0)
    private static var known: [Int: Int] = [:]

    static func of(_ key: Int) -> Int {
        let length = trace.valueBytes(key) * 2 + (trace.expiry(key, at: 0) == nil ? 0 : 1)
        if let size = known[length] { return size }
        let before = store.usage(of: store.namespaces.default).memoryBytes
        _ = request(key, at: 0, of: store)
        let size = store.usage(of: store.namespaces.default).memoryBytes - before
        known[length] = size
        return size
    }
}

switch words[1] {
case "play":
    guard let percent = Double(words[6]) else { exit(64) }
    let limit = Int(Double((0..<keys).reduce(0) { $0 + Sizes.of($1) }) * percent / 100)
    let store = makeStore(limit)
    var misses = 0
    for (index, key) in trace.requests.enumerated() {
        if !request(key, at: index, of: store) { misses += 1 }
        // As the server's chores would.
        if index % 1_000 == 0 { _ = store.maintain(now: start + Int64(index), budget: 1_000) }
    }
    var plain = ReferenceS3FIFO(capacity: limit)
    print(limit, Double(misses) / Double(count), plain.missRatio(trace, size: Sizes.of))
case "write":
    var next: [Int: Int] = [:]
    var nexts = [Int64](repeating: -1, count: count)
    for index in trace.requests.indices.reversed() {
        let version = trace.version(trace.requests[index], at: index)
        nexts[index] = next[version].map(Int64.init) ?? -1
        next[version] = index
    }
    var data = Data(capacity: count * 24)
    func append(_ integer: some FixedWidthInteger) { withUnsafeBytes(of: integer.littleEndian) { data.append(contentsOf: $0) } }
    for (index, key) in trace.requests.enumerated() {
        append(UInt32(index / 1_000))
        append(UInt64(trace.version(key, at: index)) &+ 1)
        append(UInt32(Sizes.of(key)))
        append(nexts[index])
    }
    try data.write(to: URL(fileURLWithPath: words[6]))
default: exit(64)
}
