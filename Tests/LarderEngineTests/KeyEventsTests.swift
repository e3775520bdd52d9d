import LarderBytes
import LarderPlatform
import Synchronization
import Testing

@testable import LarderEngine

@Suite("Events of keys") struct KeyEventsTests {
    let engine = StoreHarness()
    var events: KeyEvents { engine.store.events }

    /// What was told from `position` on: kind and key.
    private func told(_ position: inout UInt64) -> [String] {
        var buffer = ByteBuffer()
        var all: [String] = []
        while events.end > position {
            buffer.removeAll()
            guard events.read(from: &position, into: &buffer, bytesMax: 1) else { return all + ["lost"] }
            var at = 0
            while let event = KeyEvent.next(in: buffer, at: &at) { all.append("\(event.kind) \(String(utf8: buffer.span(event.key)))") }
        }
        return all
    }

    @Test func `nothing is told while nobody watches`() {
        engine.put("a", "1")
        #expect(events.end == 0 && !events.isWatched)
        var position = events.watch()
        engine.put("a", "1")
        #expect(told(&position) == ["set a"])
        events.unwatch()
        engine.put("a", "1")
        #expect(events.end == position && !events.isWatched)
    }

    @Test func `every change is told, and nothing that changed nothing`() {
        var position = events.watch()
        engine.put("a", "1", lifetime: 5_000)
        engine.setLifetime("a", 6_000)
        engine.remove("a")
        engine.remove("a")
        engine.setLifetime("a", 6_000)
        engine.put("b", "1")
        engine.setLifetime("b", -1)
        engine.put("b", "1", lifetime: -1)
        #expect(told(&position) == ["set a", "lifetimeSet a", "lifetimeSet a", "removed a", "set b", "removed b"])
        let (key, value) = (Array("n".utf8), Array("7".utf8))
        let hash = engine.store.hash(engine.main, key.rawSpan)
        _ = engine.store.increment(engine.main, key: key.rawSpan, hash: hash, delta: 2, now: engine.now)
        _ = engine.store.append(engine.main, key: key.rawSpan, hash: hash, value: value.rawSpan, now: engine.now)
        _ = engine.store.put(
            engine.main, key: key.rawSpan, hash: hash, value: value.rawSpan, condition: .absent, now: engine.now)
        _ = engine.store.setDeadline(engine.main, key: key.rawSpan, hash: hash, lifetime: .milliseconds(9), now: engine.now)
        _ = engine.store.setDeadline(engine.main, key: key.rawSpan, hash: hash, lifetime: .unlimited, now: engine.now)
        #expect(told(&position) == ["incremented n", "appended n", "lifetimeSet n", "lifetimeCleared n"])
    }

    @Test func `a large value is told when it is put into place, and not before`() throws {
        var position = events.watch()
        let key = Array("k".utf8)
        let hash = engine.store.hash(engine.main, key.rawSpan)
        let value = [UInt8](repeating: 7, count: Store.sliceBytes + 1)
        let begun = engine.store.draft(
            engine.main, key: key.rawSpan, hash: hash, valueBytes: value.count, metadata: RawSpan(), lifetime: .unlimited)
        let draft = try #require(begun)
        draft.fill(value.rawSpan)
        #expect(told(&position) == [])
        _ = engine.store.put(draft, engine.main, key: key.rawSpan, hash: hash, lifetime: .unlimited, now: engine.now)
        #expect(told(&position) == ["set k"])
    }

    @Test func `what expires is told when it is freed, by upkeep or by the next write`() {
        var position = events.watch()
        engine.put("a", "1", lifetime: 100)
        engine.put("b", "1", lifetime: 100)
        _ = told(&position)
        engine.now += 100
        #expect(engine.get("a") == nil)
        #expect(told(&position) == [])
        engine.put("a", "2")
        #expect(told(&position) == ["expired a", "set a"])
        _ = engine.store.maintain(now: engine.now + 20, budget: 10_000)
        #expect(told(&position) == ["expired b"])
    }

    @Test func `a flush is told once, and its keys do not expire after it`() {
        engine.put("a", "1", lifetime: 100)
        engine.put("b", "1")
        var position = events.watch()
        _ = engine.store.flushNamespace(engine.main, now: engine.now)
        #expect(told(&position) == ["flushed "])
        engine.now += 1_000
        while engine.store.maintain(now: engine.now, budget: 10_000).hasMore {}
        #expect(told(&position) == [])
        #expect(engine.store.statistics().entries == 0)
    }

    @Test func `what makes room is told`() {
        var settings = NamespaceSettings()
        settings.eviction = .s3fifo
        settings.bytesMax = NamespaceSettings.bytesMaxRange.lowerBound
        guard case .created(let cache, _) = engine.create("cache", settings: settings) else {
            Issue.record("not created")
            return
        }
        var position = events.watch()
        let value = String(repeating: "v", count: 10_000)
        for number in 0..<(2 * settings.bytesMax / 10_000) { engine.put("k\(number)", value, in: cache) }
        let all = told(&position)
        let evicted = all.filter { $0.hasPrefix("evicted") }
        #expect(evicted.count > 10)
        #expect(evicted.allSatisfy { engine.get(String($0.dropFirst(8)), in: cache) == nil })
        #expect(engine.store.statistics().evictedEntries == evicted.count)
    }

    @Test func `who comes too late is told so, and goes on with what comes then`() {
        let small = KeyEvents(bytesMax: 1 << 14, engine.store.namespaces)
        var position = small.watch()
        let key = Array(repeating: UInt8(ascii: "k"), count: 1_000)
        var late = position
        var read = 0
        for _ in 0..<100 {
            small.tell(.set, key.rawSpan, engine.main, .created, .keep)
            var buffer = ByteBuffer()
            #expect(small.read(from: &position, into: &buffer, bytesMax: 1_000_000))
            var at = 0
            while let event = KeyEvent.next(in: buffer, at: &at) { read += event.key.count / 1_000 }
        }
        #expect(read == 100, "who keeps up misses nothing")
        var buffer = ByteBuffer()
        #expect(!small.read(from: &late, into: &buffer, bytesMax: 1_000))
        #expect(late == small.end && buffer.isEmpty)
        small.tell(.removed, key.rawSpan, engine.main, .removed, .keep)
        #expect(small.read(from: &late, into: &buffer, bytesMax: 1_000))
        #expect(buffer.count == 1_016)
    }

    @Test func `a write has the origin that its thread names`() {
        var position = events.watch()
        events.writing(as: 7)
        engine.put("a", "1")
        events.writing(as: nil)
        engine.put("b", "1")
        var buffer = ByteBuffer()
        #expect(events.read(from: &position, into: &buffer, bytesMax: 10_000))
        var at = 0
        var origins: [UInt64] = []
        while let event = KeyEvent.next(in: buffer, at: &at) { origins.append(event.origin) }
        #expect(origins == [7, 0])
    }

    private final class Writers: Sendable { let left = Atomic<Int>(2) }

    /// Two threads write, a third keeps what it reads and forgets what it is told of; at the end it may hold nothing that has
    /// changed since. In a buffer of a few events it is often too late.
    @Test(arguments: [1 << 12, 1 << 22]) func `a cache that goes by the events is right when all is quiet`(_ bytesMax: Int) throws {
        var configuration = StoreConfiguration()
        configuration.shardCount = 4
        configuration.memoryBytesMax = 64 << 20
        configuration.largePages = false
        configuration.eventBytesMax = bytesMax
        let store = Store(configuration: configuration, log: LogBuffer())
        let keys = (0..<50).map { Array("k\($0)".utf8) }
        let hashes = keys.map { store.hash(store.namespaces.default, $0.rawSpan) }
        let now: Milliseconds = 1_800_000_000_000
        let writers = Writers()
        let write: @Sendable (UInt64) -> Void = { seed in
            var random = SeededGenerator(seed: seed)
            for round in 0..<40_000 {
                let index = Int.random(in: 0..<50, using: &random)
                let (main, key) = (store.namespaces.default, keys[index])
                switch round % 400 {
                case 0: _ = store.flushNamespace(main, now: now)
                case 1...50: _ = store.remove(main, key: key.rawSpan, hash: hashes[index], now: now)
                default: _ = store.increment(main, key: key.rawSpan, hash: hashes[index], delta: 1, now: now)
                }
            }
            writers.left.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
        func look(_ index: Int) -> LSN? {
            var lsn: LSN?
            let key = keys[index]
            _ = store.read(store.namespaces.default, key: key.rawSpan, hash: hashes[index], now: now) { lsn = $0.lsn }
            return lsn
        }
        let threads = try [UInt64(1), 2].map { seed in try LarderPlatform.Thread(name: "writer") { write(seed) } }
        var position = store.events.watch()
        var cache: [[UInt8]: LSN?] = [:]
        var buffer = ByteBuffer()
        var (random, lost) = (SeededGenerator(seed: 3), 0)
        var isLast = false
        while true {
            let isQuiet = writers.left.load(ordering: .sequentiallyConsistent) == 0
            buffer.removeAll()
            if store.events.read(from: &position, into: &buffer, bytesMax: 4_096) {
                var at = 0
                while let event = KeyEvent.next(in: buffer, at: &at) {
                    if event.kind == .flushed { cache = [:] } else { cache[Array(buffer.span(event.key))] = nil }
                }
            } else {
                cache = [:]
                lost += 1
            }
            if isLast, store.events.end == position { break }
            isLast = isQuiet
            if isQuiet { continue }
            for _ in 0..<10 {
                let index = Int.random(in: 0..<50, using: &random)
                cache[keys[index]] = .some(look(index))
            }
        }
        for thread in threads { thread.join() }
        for (index, key) in keys.enumerated() {
            if let held = cache[key] { #expect(held == look(index)) }
        }
        if bytesMax > 1 << 20 { #expect(lost == 0) }
    }
}
