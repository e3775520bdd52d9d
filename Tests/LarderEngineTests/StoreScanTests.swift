import LarderBytes
import LarderEngine
import Testing

@Suite("Scanning a store") struct StoreScanTests {
    static let now: Int64 = 1_800_000_000_000

    private static func store(shards: Int) -> Store {
        var configuration = StoreConfiguration()
        configuration.shardCount = shards
        configuration.memoryBytesMax = 64 << 20
        configuration.largePages = false
        return Store(configuration: configuration, log: LogBuffer(bytesMax: 8 << 20))
    }

    private static func put(_ keys: some Sequence<String>, _ store: Store) {
        for key in keys {
            let bytes = Array(key.utf8)
            let hash = store.hash(store.namespaces.default, bytes.rawSpan)
            _ = store.put(store.namespaces.default, key: bytes.rawSpan, hash: hash, value: bytes.rawSpan, now: now)
        }
    }

    /// Takes one step.
    private static func step(_ store: Store, _ cursor: inout UInt64, keysMin: Int, bucketsMax: Int) -> [String] {
        var buffer = ByteBuffer()
        let found = store.scan(
            store.namespaces.default, from: &cursor, keysMin: keysMin, bucketsMax: bucketsMax, now: now, into: &buffer)
        var (keys, position) = ([String](), 0)
        while position < buffer.count {
            let length = Int(buffer.bytes.littleEndian(at: position, as: UInt16.self))
            keys.append(String(utf8: buffer.bytes.slice(position + 2, length)))
            position += 2 + length
        }
        #expect(keys.count == found.keys)
        #expect(found.buckets <= bucketsMax)
        return keys
    }

    @Test(arguments: [1, 4, 256], [(1, 1), (1, .max), (100, 7), (.max, .max)])
    func `every key is met once, in steps of any length`(_ shards: Int, _ limits: (keys: Int, buckets: Int)) {
        let store = Self.store(shards: shards)
        let keys = (0..<2_000).map { "key/\($0)" }
        Self.put(keys, store)
        var (cursor, found) = (UInt64(0), [String]())
        repeat {
            found += Self.step(store, &cursor, keysMin: limits.keys, bucketsMax: limits.buckets)
        } while cursor != 0
        #expect(found.sorted() == keys.sorted())
    }

    @Test(arguments: [1, 16]) func `keys that stay are met once while the tables grow`(_ shards: Int) {
        let store = Self.store(shards: shards)
        let keys = (0..<500).map { "key/\($0)" }
        Self.put(keys, store)
        var (cursor, found, round) = (UInt64(0), [String](), 0)
        repeat {
            found += Self.step(store, &cursor, keysMin: 5, bucketsMax: 20)
            // Growing moves the tables a few buckets at a time, so that steps meet them on the way.
            if round < 60 { Self.put((0..<100).map { "new/\(round)/\($0)" }, store) }
            round += 1
        } while cursor != 0
        #expect(found.filter { $0.hasPrefix("key/") }.sorted() == keys.sorted())
        #expect(Set(found).count == found.count)
        store.checkInvariants()
    }

    @Test func `a place beyond all keys is the end`() {
        let store = Self.store(shards: 4)
        Self.put(["a"], store)
        var cursor = UInt64.max
        _ = Self.step(store, &cursor, keysMin: 1, bucketsMax: .max)
        #expect(cursor == 0)
    }
}
