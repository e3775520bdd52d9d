import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderServer
import LarderSimulation
import Synchronization
import Testing

/// The log as the server sees it, above a log that does what the test says.
@Suite("Durable log") struct DurableLogTests {
    private final class Life {
        let memory = MemoryLog()
        let files = MemoryFileSystem()
        let clock = ManualClock(wall: Rig.start)
        let buffer = LogBuffer(bytesMax: 1 << 20)
        let store: Store
        let durable: DurableStore
        let log: DurableLog
        let calls = Calls()

        final class Calls: Sendable {
            private let word = Atomic<Int>(0)
            func note() { word.wrappingAdd(1, ordering: .relaxed) }
            /// Since the last look.
            func taken() -> Int { word.exchange(0, ordering: .relaxed) }
        }

        init(opens: Bool = true, options: PersistenceOptions = PersistenceOptions()) throws {
            var layout = StoreConfiguration()
            layout.shardCount = 4
            layout.memoryBytesMax = 64 << 20
            store = Store(configuration: layout, log: buffer)
            durable = try DurableStore(
                directory: files, clock: clock, state: StoredState(store), buffer: buffer, options: options,
                log: memory)
            log = DurableLog(durable, buffer: buffer)
            if opens { try open() }
        }

        func open() throws {
            _ = try durable.recover()
            log.open { [calls] in calls.note() }
            memory.hold(writes: false, syncs: true)
        }

        @discardableResult
        func put(_ key: String, at now: Milliseconds = Rig.start) -> LSN {
            let bytes = Array(key.utf8)
            let namespace = store.namespaces.default
            let hash = store.hash(namespace, bytes.span.bytes)
            return store.put(namespace, key: bytes.span.bytes, hash: hash, value: bytes.span.bytes, now: now).lsn
        }
    }

    private static let noSpace = SystemError(number: SystemError.noSpace, call: "pwrite")
    private static let inputOutput = SystemError(number: SystemError.inputOutput, call: "fdatasync")

    // MARK: Positions

    @Test func `before recovery nothing is with the log, and nothing is refused`() throws {
        let life = try Life(opens: false)
        #expect(life.log.position == LogPosition(written: .zero, interval: .zero, durable: .zero))
        #expect(life.log.isWorking)
        life.log.endTurn(wantsSync: true)
        #expect(life.memory.kicks == 0)
        #expect(life.log.news().isEmpty)
        var figures = 0
        life.log.report { _, _, _, _ in figures += 1 }
        #expect(figures == 0)
    }

    @Test func `a turn's writes are written at its end, and durable when the log says so`() throws {
        let life = try Life()
        let start = life.log.position
        let first = life.put("a")
        let second = life.put("b")
        #expect(life.log.position == start)
        life.log.endTurn(wantsSync: false)
        #expect(life.log.position.written == second)
        #expect(life.log.position.interval == second)
        #expect(life.log.position.durable == start.durable)
        life.memory.sync(through: first)
        #expect(life.log.position.durable == first)
        life.memory.sync()
        #expect(life.log.position.durable == second)
    }

    @Test func `a sync is asked for only when a reply waits for one`() throws {
        let life = try Life()
        life.put("a")
        life.log.endTurn(wantsSync: false)
        life.log.endTurn(wantsSync: false)
        #expect(life.memory.kicks == 0)
        life.log.endTurn(wantsSync: true)
        #expect(life.memory.kicks == 1)
    }

    @Test func `who waits is woken for what was written, what became durable, and what failed`() throws {
        let life = try Life()
        life.put("a")
        #expect(life.calls.taken() == 0)
        life.log.endTurn(wantsSync: false)
        #expect(life.calls.taken() == 1)
        life.log.endTurn(wantsSync: false)
        #expect(life.calls.taken() == 0)
        life.memory.sync()
        #expect(life.calls.taken() == 1)
        life.memory.refuse(.failed, because: Self.inputOutput)
        #expect(life.calls.taken() == 1)
    }

    // MARK: Failure

    @Test func `a full disk refuses writes, says so, and takes them again`() throws {
        let life = try Life()
        life.memory.refuse(.full, because: Self.noSpace, since: 17)
        #expect(!life.log.isWorking)
        #expect(life.log.refusal.isDiskFull)
        #expect(life.log.refusal.text.contains("\(life.memory.condition)"))
        #expect(life.log.refusal.text.contains("taken again as soon as there is some"))
        life.memory.accept()
        #expect(life.log.isWorking)
    }

    @Test func `positions stand still from the failure on`() throws {
        let life = try Life()
        life.put("a")
        life.log.endTurn(wantsSync: false)
        let before = life.log.position
        life.memory.refuse(.failed, because: Self.inputOutput)
        #expect(!life.log.isWorking)
        #expect(!life.log.refusal.isDiskFull)
        #expect(life.log.refusal.text.contains("saved to new files"))
        life.memory.hold(writes: false, syncs: false)
        life.log.endTurn(wantsSync: true)
        #expect(life.log.position == before)
    }

    // MARK: Snapshots

    @Test func `a snapshot's ticket is reached when it has ended, well or not`() throws {
        let life = try Life()
        life.memory.hold(writes: false, syncs: false)
        life.put("a")
        let first = life.log.requestSnapshot()
        #expect(life.log.position.snapshots < first)
        life.durable.poll()
        #expect(life.log.position.snapshots == first)
        #expect(!life.log.position.lastSnapshotFailed)
        life.put("b")
        life.memory.hold(writes: true, syncs: true)
        let second = life.log.requestSnapshot()
        _ = life.calls.taken()
        life.durable.poll()
        #expect(life.log.position.snapshots == second)
        #expect(life.log.position.lastSnapshotFailed)
        #expect(life.calls.taken() == 1)
    }

    @Test func `a snapshot that was asked for when the last had just ended was told too late`() throws {
        let life = try Life()
        life.memory.hold(writes: false, syncs: false)
        let tickets = Mutex<[UInt64]>([life.log.requestSnapshot()])
        // As a client does that hears of the first and asks for the next at once.
        life.log.open { [log = life.log] in
            tickets.withLock { if $0.count == 1, log.position.snapshots == $0[0] { $0.append(log.requestSnapshot()) } }
        }
        life.durable.poll()
        let asked = tickets.withLock { $0 }
        #expect(asked.count == 2)
        life.durable.poll()
        #expect(life.log.position.snapshots == asked.last)
    }

    @Test func `a snapshot that is asked for while one is taken comes after it`() throws {
        let life = try Life()
        life.memory.hold(writes: false, syncs: false)
        life.put("a")
        let ticket = Mutex<UInt64>(0)
        // The log is written when the snapshot begins.
        life.log.open { [log = life.log] in ticket.withLock { if $0 == 0 { $0 = log.requestSnapshot() } } }
        try life.durable.snapshotNow()
        let asked = ticket.withLock { $0 }
        #expect(life.log.position.snapshots < asked)
        life.durable.poll()
        #expect(life.log.position.snapshots == asked)
    }

    // MARK: No room for the manifest

    @Test func `without room for the manifest writes were refused as if the log were behind, and nobody was told`() throws {
        let life = try Life()
        life.memory.hold(writes: false, syncs: false)
        life.files.setFault { $0.name.hasPrefix(FileName.manifestName) && $0.call == .open ? .error(SystemError.noSpace) : nil }
        life.clock.advance(milliseconds: 6_000)
        life.durable.poll()
        // While the reserve lasts, writes are taken.
        #expect(life.put("a") > .zero)
        let told = life.log.news()
        #expect(told.count == 1)
        #expect(told.first?.contains("MANIFEST") == true && told.first?.contains("unless there is room") == true, "\(told)")
        life.durable.poll()
        #expect(life.log.news().isEmpty)
        life.clock.advance(milliseconds: 60_000)
        life.durable.poll()
        #expect(life.put("b", at: life.clock.wall()) == .zero)
        let refusal = try #require(life.log.reserveRefusal)
        #expect(refusal.isDiskFull)
        #expect(refusal.text.contains("MANIFEST") && refusal.text.contains("Make room"), "\(refusal.text)")
        // With room again it goes on.
        life.files.setFault(nil)
        life.durable.poll()
        #expect(life.log.reserveRefusal == nil)
        #expect(life.log.news() == ["MANIFEST can be written again; writes are taken [event=manifest-written]"])
        #expect(life.put("b", at: life.clock.wall()) > .zero)
    }

    // MARK: A log that grows

    @Test func `a log that is too long refuses with its length, its bound, and why no snapshot makes it shorter`() throws {
        var options = PersistenceOptions()
        options.logBytesMax = 1
        let life = try Life(options: options)
        life.memory.hold(writes: false, syncs: false)
        life.files.setFault { $0.name.hasPrefix("snap-") ? .error(SystemError.inputOutput) : nil }
        #expect(life.put("a") > .zero)
        life.log.endTurn(wantsSync: true)
        life.durable.poll()
        #expect(life.put("b") == .zero)
        let refusal = life.log.refusal
        #expect(refusal.isDiskFull)
        #expect(refusal.text.contains("log-bytes-max; snapshots fail: snap-0000000001.tmp: "), "\(refusal.text)")
        #expect(life.log.troubles.contains("log-too-long"))
        // Refused for another reason, that reason is told.
        life.memory.refuse(.failed, because: Self.inputOutput)
        #expect(life.log.refusal.text.hasPrefix("log is failed"))
    }

    @Test func `a log that stays read-only after a failure promises nothing else`() throws {
        var options = PersistenceOptions()
        options.onLogFailure = .readOnly
        let life = try Life(options: options)
        life.memory.refuse(.failed, because: Self.inputOutput)
        #expect(life.log.refusal.text.hasSuffix("Writes are taken again after a restart."))
    }

    // MARK: What is told

    @Test func `the operator hears of snapshots and of trouble once each`() throws {
        let life = try Life()
        life.memory.hold(writes: false, syncs: false)
        #expect(life.log.news().isEmpty)
        try life.durable.snapshotNow()
        #expect(life.log.news().map { $0.hasPrefix("snapshot taken: 0 entries") && $0.hasSuffix(" ms=0]") } == [true])
        #expect(life.log.news().isEmpty)
        life.memory.refuse(.full, because: Self.noSpace)
        #expect(throws: PersistenceError.self) { try life.durable.snapshotNow() }
        let trouble = life.log.news()
        #expect(trouble.count == 2)
        #expect(trouble[0].hasPrefix("\(life.memory.condition) [event=log state=full call=pwrite errno=28 file=memory since="))
        #expect(trouble[1].hasPrefix("snapshot FAILED: log is full"))
        #expect(life.log.news().isEmpty)
        life.memory.accept()
        #expect(life.log.news().count == 1)
    }

    @Test func `a log that was full for a moment, between two looks, went unreported`() throws {
        let life = try Life()
        life.memory.refuse(.full, because: Self.noSpace)
        life.memory.accept()
        #expect(life.log.news().map { $0.prefix(11) } == ["log is full", "log is ok, "])
    }

    @Test func `a log that has failed heals without a restart, and everything that was staged is durable then`() throws {
        let life = try Life()
        let first = life.put("a")
        life.memory.refuse(.failed, because: Self.inputOutput)
        #expect(life.put("b") == .zero)
        life.durable.poll()
        #expect(!life.log.isWorking)
        life.clock.advance(milliseconds: 1_000)
        life.durable.poll()
        #expect(life.log.isWorking)
        #expect(life.log.position.durable == first)
        #expect(life.put("b") > first)
        let told = life.log.news()
        #expect(told.map { $0.prefix(14) } == ["log is failed:", "log is healing", "log is ok, mem", "log has healed"], "\(told)")
    }
}
