import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// The log replayed by one thread and by several, into the engine's store.
@Suite("Replay threads") struct ReplayThreadsTests {
    private struct Life {
        let engine: Store
        let store: DurableStore
        let clock: ManualClock

        init(
            _ files: MemoryFileSystem, threads: Int, clock: ManualClock = ManualClock(), memoryBytesMax: Int = 256 << 20,
            segmentBytes: Int = 256 << 10
        ) throws {
            var configuration = StoreConfiguration()
            configuration.shardCount = 16
            configuration.memoryBytesMax = memoryBytesMax
            configuration.largePages = false
            let buffer = LogBuffer()
            engine = Store(configuration: configuration, log: buffer)
            var options = Rig.options(segmentBytes: segmentBytes)
            options.loadThreads = threads
            self.clock = clock
            store = try DurableStore(
                directory: files, clock: clock, state: StoredState(engine), buffer: buffer, options: options)
        }

        func sync() {
            let log = store.log as! WriteAheadLog
            log.kick()
            _ = log.step()
        }

        /// Every entry that is there, and every namespace.
        func content() throws -> [String] {
            var content = engine.namespaces.all().map { "namespace \($0.number) \(String(utf8: $0.name)) \($0.state)" }
            var cursor = WalkCursor()
            var buffer = ByteBuffer()
            while !cursor.isAtEnd { _ = engine.walk(&cursor, into: &buffer) }
            var position = 0
            while position < buffer.count {
                var access: UInt8 = 0
                let bytes = buffer.bytes
                let entry = try LogRecord(parsingSnapshotEntry: bytes.extracting(position..<bytes.byteCount), access: &access)
                content.append(
                    "\(entry.namespace) \(String(utf8: entry.key)) \(String(utf8: entry.value)) \(entry.lsn) \(entry.deadline)")
                position += entry.snapshotByteCount
            }
            return content.sorted()
        }

        /// Writes of every kind, to few keys, so that they meet.
        func write(_ count: Int, _ random: inout SeededGenerator) throws {
            let now = clock.wall()
            for index in 0..<count {
                let all = engine.namespaces.all().filter { $0.state == .ready }
                let namespace = all[Int.random(in: 0..<all.count, using: &random)]
                let key = Array("key/\(Int.random(in: 0..<400, using: &random))".utf8)
                let hash = engine.hash(namespace, key.span.bytes)
                switch Int.random(in: 0..<1_000, using: &random) {
                case 0: _ = engine.flushNamespace(namespace, now: now)
                case 1..<4:
                    let name = Array("space\(Int.random(in: 0..<20, using: &random))".utf8)
                    let id = NamespaceID(high: random.next(), low: random.next())
                    _ = engine.createNamespace(name: name.span.bytes, id: id, settings: namespace.settings, now: now)
                case 4 where namespace != engine.namespaces.default: _ = engine.dropNamespace(namespace, now: now)
                case 5..<200: _ = engine.remove(namespace, key: key.span.bytes, hash: hash, now: now)
                case 200..<350:
                    _ = engine.setDeadline(
                        namespace, key: key.span.bytes, hash: hash, lifetime: .milliseconds(Int64(1_000 + index)), now: now)
                default:
                    let value = Array(String(repeating: "v\(index) ", count: Int.random(in: 1..<40, using: &random)).utf8)
                    _ = engine.put(namespace, key: key.span.bytes, hash: hash, value: value.span.bytes, now: now)
                }
                if index % 50 == 49 { sync() }
            }
            sync()
        }
    }

    private func recovered(_ files: MemoryFileSystem, threads: Int) throws -> (content: [String], report: RecoveryReport) {
        let life = try Life(files.copy(), threads: threads)
        var report = try life.store.recover()
        report.elapsedMilliseconds = 0
        life.engine.checkInvariants()
        return (try life.content(), report)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64], [false, true])
    func `any number of them gives what was there`(seed: UInt64, snapshot: Bool) throws {
        var random = SeededGenerator(seed: seed)
        let files = MemoryFileSystem()
        let life = try Life(files, threads: 1)
        _ = try life.store.recover()
        try life.write(10_000, &random)
        if snapshot { try life.store.snapshotNow() }
        try life.write(10_000, &random)
        let expected = try recovered(files, threads: 1)
        // What is being dropped is no longer told apart from what was dropped.
        #expect(expected.content.filter { !$0.hasPrefix("namespace") } == (try life.content().filter { !$0.hasPrefix("namespace") }))
        for threads in [2, 3, 8, 100] {
            let found = try recovered(files, threads: threads)
            #expect(found.content == expected.content, "\(threads) threads")
            #expect(found.report == expected.report)
        }
    }

    @Test func `behind a damaged frame nothing is applied by any of them`() throws {
        var random = SeededGenerator(seed: 5)
        let files = MemoryFileSystem()
        let life = try Life(files, threads: 1)
        _ = try life.store.recover()
        try life.write(5_000, &random)
        // The last frame, which nothing behind it proves to have been promised.
        let name = try #require(try files.list().filter { $0.hasPrefix("wal-") }.max())
        let bytes = try #require(files.content(name))
        let end = try #require(bytes.lastIndex { $0 != 0 })
        files.flip(bit: end * 8, of: name)
        let expected = try recovered(files, threads: 1)
        #expect(expected.report.bytesCut > 0)
        let found = try recovered(files, threads: 3)
        #expect(found.content == expected.content)
        #expect(found.report == expected.report)
    }

    @Test(arguments: [1, 2, 3])
    func `entries with short lifetimes piled up in a start until they did not fit`(threads: Int) throws {
        let files = MemoryFileSystem()
        let clock = ManualClock(wall: 1_800_000_000_000)
        let life = try Life(files, threads: 1, clock: clock, memoryBytesMax: 64 << 20, segmentBytes: 16 << 20)
        _ = try life.store.recover()
        let namespace = life.engine.namespaces.default
        let value = [UInt8](repeating: 7, count: 60_000)
        func put(_ name: String, _ lifetime: LifetimeChange) -> WriteOutcome {
            let key = Array(name.utf8)
            return life.engine.put(
                namespace, key: key.span.bytes, hash: life.engine.hash(namespace, key.span.bytes), value: value.span.bytes,
                lifetime: lifetime, now: clock.wall()
            ).outcome
        }
        func prolong(_ name: String, by milliseconds: Int64, at now: Milliseconds) -> WriteOutcome {
            let key = Array(name.utf8)
            return life.engine.setDeadline(
                namespace, key: key.span.bytes, hash: life.engine.hash(namespace, key.span.bytes),
                lifetime: .milliseconds(milliseconds), now: now
            ).outcome
        }
        #expect(put("kept", .milliseconds(100)) == .created)
        #expect(put("late", .milliseconds(10)) == .created)
        // Four times the memory there is, of which a tenth is alive at a time.
        for index in 0..<4_000 {
            #expect(put("brief/\(index)", .milliseconds(100)) == .created)
            if index % 50 == 49 { #expect(prolong("kept", by: 100, at: clock.wall()) == .updated) }
            let seen = clock.wall()
            clock.advance(milliseconds: 1)
            if index % 10 == 9 {
                life.sync()
                // Whose turn began before the log was written judges by a time that has passed: this one is over by the log's.
                if index % 50 == 9 { #expect(prolong("late", by: 51, at: seen) == .updated) }
                while life.engine.maintain(now: seen, budget: 1_000).hasMore {}
            }
        }
        life.sync()
        let next = try Life(files.copy(), threads: threads, clock: clock, memoryBytesMax: 64 << 20, segmentBytes: 16 << 20)
        let report = try next.store.recover()
        #expect(report.recordsReplayed > 4_000)
        #expect(report.bytesRead > 200 << 20)
        next.engine.checkInvariants()
        while next.engine.maintain(now: clock.wall(), budget: 1_000).hasMore {}
        let keys = try next.content().filter { !$0.hasPrefix("namespace") }.map { $0.split(separator: " ")[1] }
        #expect(keys.contains("kept") && keys.contains("late"))
        #expect((90...110).contains(keys.count), "\(keys.count) keys")
    }

    @Test func `namespaces that came and went one after the other used up the places in a start`() throws {
        let files = MemoryFileSystem()
        let life = try Life(files, threads: 1)
        _ = try life.store.recover()
        let now = life.clock.wall()
        for index in 0..<(NamespaceTable.countMax + 100) {
            let name = Array("space-\(index)".utf8)
            let created = life.engine.createNamespace(
                name: name.span.bytes, id: NamespaceID(high: 1, low: UInt64(index)), settings: NamespaceSettings(), now: now)
            guard case .created(let namespace, _) = created else { throw Unexpected(outcome: "\(created)") }
            #expect(life.engine.dropNamespace(namespace, now: now).outcome == .removed)
            if index % 100 == 99 {
                life.sync()
                while life.engine.maintain(now: now, budget: 100_000).hasMore {}
            }
        }
        life.sync()
        for threads in [1, 3] {
            let next = try recovered(files, threads: threads)
            #expect(next.content.filter { $0.hasPrefix("namespace") && $0.hasSuffix("ready") }.count == 1)
        }
    }

    private struct Unexpected: Error { let outcome: String }

    @Test func `a snapshot whose footer promises entries beyond all bounds takes no more memory than there is`() throws {
        let life = try Life(MemoryFileSystem(), threads: 2)
        for entries in [Int.max, 1 << 40, -1, 0] {
            life.engine.reserve(entries: entries)
            life.engine.checkInvariants()
        }
        _ = try life.store.recover()
        var random = SeededGenerator(seed: 6)
        try life.write(2_000, &random)
        life.engine.checkInvariants()
    }
}
