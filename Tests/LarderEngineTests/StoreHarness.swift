// A store for tests, spoken to in strings.

import LarderBytes
import LarderEngine
import LarderPlatform

final class StoreHarness {
    let log: LogBuffer
    let store: Store
    var now: Milliseconds = 1_800_000_000_000

    init(shards: Int = 4, seed: UInt64 = 1, memoryBytesMax: Int = 256 << 20) {
        var random = SeededGenerator(seed: seed)
        var configuration = StoreConfiguration(secrets: HashSecrets(using: &random))
        configuration.shardCount = shards
        configuration.memoryBytesMax = memoryBytesMax
        configuration.largePages = false
        log = LogBuffer()
        store = Store(configuration: configuration, log: log)
    }

    var main: Namespace { store.namespaces.default }

    @discardableResult
    func put(_ key: String, _ value: String, lifetime: Milliseconds? = nil, in namespace: Namespace? = nil) -> WriteResult {
        let (key, value) = (Array(key.utf8), Array(value.utf8))
        let namespace = namespace ?? main
        return store.put(
            namespace, key: key.span.bytes, hash: store.hash(namespace, key.span.bytes), value: value.span.bytes,
            lifetime: lifetime.map { .milliseconds($0) } ?? .unlimited, now: now)
    }

    @discardableResult
    func remove(_ key: String, in namespace: Namespace? = nil) -> WriteResult {
        let key = Array(key.utf8)
        let namespace = namespace ?? main
        return store.remove(namespace, key: key.span.bytes, hash: store.hash(namespace, key.span.bytes), now: now)
    }

    @discardableResult
    func setLifetime(_ key: String, _ lifetime: Milliseconds) -> WriteResult {
        let key = Array(key.utf8)
        return store.setDeadline(
            main, key: key.span.bytes, hash: store.hash(main, key.span.bytes), lifetime: .milliseconds(lifetime), now: now)
    }

    func get(_ key: String, in namespace: Namespace? = nil) -> String? {
        let key = Array(key.utf8)
        let namespace = namespace ?? main
        var found: String?
        _ = store.read(namespace, key: key.span.bytes, hash: store.hash(namespace, key.span.bytes), now: now) {
            found = String(utf8: $0.value)
        }
        return found
    }

    func create(_ name: String, id: UInt64? = nil, settings: NamespaceSettings = NamespaceSettings()) -> NamespaceCreation {
        let bytes = Array(name.utf8)
        let id = NamespaceID(high: id ?? UInt64(store.namespaces.count), low: 7)
        return store.createNamespace(name: bytes.span.bytes, id: id, settings: settings, now: now)
    }

    func find(_ name: String) -> Namespace? {
        let bytes = Array(name.utf8)
        return store.namespaces.find(name: bytes.span.bytes)
    }

    /// A page of a listing: keys, those that are common prefixes with a `*` behind.
    func page(
        prefix: String = "", after cursor: [UInt8] = [], delimiter: Character? = nil, limit: Int, in namespace: Namespace? = nil
    ) -> (items: [String], result: ListingResult) {
        let prefix = Array(prefix.utf8)
        var items: [String] = []
        let result = store.list(
            namespace ?? main, prefix: prefix.span.bytes, after: cursor.span.bytes, delimiter: delimiter?.asciiValue,
            limit: limit, now: now
        ) { items.append(String(utf8: $0.key) + ($0.isPrefix ? "*" : "")) }
        return (items, result)
    }

    /// All pages of a listing; `between` is called after each.
    func list(
        prefix: String = "", delimiter: Character? = nil, limit: Int = 10, in namespace: Namespace? = nil,
        between: () -> Void = {}
    ) -> [String] {
        var items: [String] = []
        var cursor: [UInt8]? = []
        while let after = cursor {
            let page = page(prefix: prefix, after: after, delimiter: delimiter, limit: limit, in: namespace)
            items += page.items
            cursor = page.result.cursor
            between()
        }
        return items
    }

    /// The records that were staged since the last call.
    func drain() -> [UInt8] {
        var taken = ByteBuffer()
        _ = log.take(into: &taken)
        return Array(taken.bytes)
    }

    /// A walk from here to the end, one step at a time.
    func walk(entriesMax: Int = 64, bytesMax: Int = 32 << 10, between: () -> Void = {}) -> [UInt8] {
        var cursor = WalkCursor()
        var buffer = ByteBuffer()
        while !cursor.isAtEnd {
            _ = store.walk(&cursor, entriesMax: entriesMax, bytesMax: bytesMax, into: &buffer)
            between()
        }
        return Array(buffer.bytes)
    }

    func namespaceEntries() -> [UInt8] {
        var buffer = ByteBuffer()
        _ = store.appendNamespaces(to: &buffer)
        return Array(buffer.bytes)
    }

    func apply(records bytes: [UInt8]) throws {
        let span = bytes.span.bytes
        var position = 0
        while position < span.byteCount {
            let record = try LogRecord(parsing: span.extracting(position..<span.byteCount))
            store.apply(record)
            position += record.byteCount
        }
    }

    func apply(entries bytes: [UInt8]) throws {
        let span = bytes.span.bytes
        var position = 0
        while position < span.byteCount {
            var access: UInt8 = 0
            let record = try LogRecord(parsingSnapshotEntry: span.extracting(position..<span.byteCount), access: &access)
            store.apply(record, access: access)
            position += record.snapshotByteCount
        }
    }

    /// The keys of some snapshot entries, in the order in which they stand.
    static func keys(_ bytes: [UInt8]) throws -> [String] {
        let span = bytes.span.bytes
        var keys: [String] = []
        var position = 0
        while position < span.byteCount {
            var access: UInt8 = 0
            let record = try LogRecord(parsingSnapshotEntry: span.extracting(position..<span.byteCount), access: &access)
            keys.append(String(utf8: record.key))
            position += record.snapshotByteCount
        }
        return keys
    }
}

extension NamespaceCreation {
    var namespace: Namespace? {
        if case .created(let namespace, _) = self { namespace } else { nil }
    }
}
