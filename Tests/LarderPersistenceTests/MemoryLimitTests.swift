import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// The engine's store with little memory, on a simulated disk.
@Suite("Memory limit at a start") struct MemoryLimitTests {
    private final class Life {
        let engine: Store
        let store: DurableStore
        let clock = ManualClock()

        init(_ files: MemoryFileSystem, memory: Int) throws {
            var configuration = StoreConfiguration()
            configuration.shardCount = 4
            configuration.memoryBytesMax = memory
            configuration.largePages = false
            let buffer = LogBuffer()
            engine = Store(configuration: configuration, log: buffer)
            store = try DurableStore(
                directory: files, clock: clock, state: StoredState(engine), buffer: buffer,
                options: Rig.options(segmentBytes: 1 << 20))
        }

        /// Writes `count` values of 10,000 bytes.
        func fill(_ count: Int, keys: Int = .max, namespace: Namespace? = nil) {
            let namespace = namespace ?? engine.namespaces.default
            let value = [UInt8](repeating: 0x61, count: 10_000)
            for index in 0..<count {
                let key = Array("key/\(index % keys)".utf8)
                let hash = engine.hash(namespace, key.span.bytes)
                let result = engine.put(namespace, key: key.span.bytes, hash: hash, value: value.span.bytes, now: clock.wall())
                precondition(result.outcome == .created || result.outcome == .updated)
                if index % 100 == 99 { sync() }
            }
            sync()
        }

        func sync() {
            let log = store.log as! WriteAheadLog
            log.kick()
            _ = log.step()
        }

        func flush() {
            let result = engine.flushNamespace(engine.namespaces.default, now: clock.wall())
            precondition(result.lsn > .zero)
            while engine.maintain(now: clock.wall(), budget: 1_000_000).hasMore {}
        }

        var keys: Int { engine.usage(of: engine.namespaces.default).keys }
    }

    /// A directory that `body` has written to with much memory.
    private func directory(_ body: (Life) throws -> Void) throws -> MemoryFileSystem {
        let files = MemoryFileSystem()
        let life = try Life(files, memory: 256 << 20)
        _ = try life.store.recover()
        try body(life)
        return files.copy()
    }

    /// Why a start with `memory` is refused, and how many records it had applied by then. The files are as they were.
    private func refusal(_ files: MemoryFileSystem, memory: Int) throws -> (error: PersistenceError?, keys: Int) {
        let before = try content(files)
        let life = try Life(files, memory: memory)
        var refusal: PersistenceError?
        do throws(PersistenceError) {
            _ = try life.store.recover()
        } catch {
            refusal = error
            #expect(try content(files) == before)
        }
        return (refusal, life.keys)
    }

    private func content(_ files: MemoryFileSystem) throws -> [String: [UInt8]?] {
        let names = try files.list().filter { $0 != FileName.lockName }
        return Dictionary(uniqueKeysWithValues: names.map { ($0, files.content($0)) })
    }

    @Test func `a snapshot that cannot fit is refused with numbers before anything is loaded`() throws {
        let files = try directory { life in
            life.fill(4_000)
            try life.store.snapshotNow()
        }
        let (error, keys) = try refusal(files.copy(), memory: 16 << 20)
        guard case .willNotFit(_, 4_000, let bytesMin, let bytesMax)? = error else {
            Issue.record("not refused so: \(String(describing: error))")
            return
        }
        #expect(bytesMin > 39_000_000 && bytesMin < 41_000_000)
        #expect(bytesMax == 16 << 20)
        #expect(keys == 0)
        let life = try Life(files, memory: 64 << 20)
        _ = try life.store.recover()
        #expect(life.keys == 4_000)
    }

    @Test func `a log whose records replace each other is never refused for its length`() throws {
        let files = try directory { life in
            life.fill(4_000, keys: 100)
            try life.store.snapshotNow()
            life.fill(4_000, keys: 100)
        }
        let life = try Life(files, memory: 8 << 20)
        #expect(try life.store.recover().recordsReplayed == 4_000)
        #expect(life.keys == 100)
    }

    @Test func `a log that does not fit is refused while it is replayed, and nothing is lost`() throws {
        let files = try directory { $0.fill(4_000) }
        let (error, _) = try refusal(files.copy(), memory: 16 << 20)
        guard case .outOfMemory("the log", let bytesMax)? = error else {
            Issue.record("not refused so: \(String(describing: error))")
            return
        }
        #expect(bytesMax == 16 << 20)
        let life = try Life(files, memory: 64 << 20)
        _ = try life.store.recover()
        #expect(life.keys == 4_000)
    }

    @Test func `a snapshot that only nearly fits is refused while it is loaded`() throws {
        let files = try directory { life in
            // 15.9 MB of bodies in 16 MiB: slots are larger than what is in them.
            life.fill(1_590)
            try life.store.snapshotNow()
        }
        let (error, _) = try refusal(files.copy(), memory: 16 << 20)
        guard case .outOfMemory(let file, _)? = error else {
            Issue.record("not refused so: \(String(describing: error))")
            return
        }
        #expect(file.hasPrefix("snap-"))
    }

    @Test func `what a flush left behind makes room for what came after it`() throws {
        let files = try directory { life in
            for _ in 0..<5 {
                life.fill(1_000)
                life.flush()
            }
            life.fill(500)
        }
        let life = try Life(files, memory: 16 << 20)
        _ = try life.store.recover()
        #expect(life.keys == 500)
        life.engine.checkInvariants()
    }
}
