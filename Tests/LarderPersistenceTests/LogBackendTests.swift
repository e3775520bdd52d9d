import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// What holds for a store whatever log stands behind it, and what the store does when that log does not keep up.
@Suite("Log backend") struct LogBackendTests {
    /// Where a test keeps its log from one life to the next.
    enum Kind: CaseIterable { case segments, memory }

    private final class Place {
        var files = MemoryFileSystem()
        let memory = MemoryLog()
        let clock = ManualClock()
        let history = History()
        let kind: Kind

        init(_ kind: Kind) { self.kind = kind }

        /// The process ends where it stands, or the power fails.
        func crash(losesUnsynced: Bool = false) {
            files = losesUnsynced ? files.afterPowerCut(seed: 1) : files.copy()
            memory.crash(losesUnsynced: losesUnsynced)
        }

        func start() throws -> (Rig, RecoveryReport) {
            let rig = try Rig(files, clock: clock, history: history, log: kind == .memory ? memory : nil)
            return (rig, try rig.store.recover())
        }
    }

    private final class Calls: Sendable {
        let count = Atomic<Int>(0)
    }

    private func memory() throws -> (Place, Rig) {
        let place = Place(.memory)
        return (place, try place.start().0)
    }

    @Test(arguments: Kind.allCases)
    func `snapshot and log give back what was written, whatever the log is kept in`(_ kind: Kind) throws {
        let place = Place(kind)
        var clean = false
        for life in 0..<4 {
            let (rig, report) = try place.start()
            #expect(report.wasClean == clean)
            #expect(rig.matchesHistory(report))
            #expect(report.snapshot == (life == 0 ? nil : UInt32(2 * life)))
            for round in 0..<2 {
                rig.set("key\(round)", "life \(life)")
                rig.write(.remove("key\(life)"))
                try rig.store.snapshotNow()
                rig.set("after\(round)", "snapshot \(round)")
            }
            rig.store.log.writeIfIdle()
            clean = life % 2 == 0
            if clean { try rig.store.close() } else { place.crash() }
        }
        let (rig, report) = try place.start()
        #expect(report.reached == place.history.last)
        #expect(rig.matchesHistory(report))
    }

    @Test(arguments: Kind.allCases)
    func `what two snapshots cover is let go, and no more`(_ kind: Kind) throws {
        let place = Place(kind)
        let (rig, _) = try place.start()
        for round in 0..<4 {
            rig.set("key", "\(round)")
            try rig.store.snapshotNow()
        }
        rig.set("key", "last")
        rig.store.log.writeIfIdle()
        try rig.store.close()
        let kept = try #require(DirectoryCheck(directory: place.files).manifest).snapshots
        #expect(kept.map(\.number) == [4, 3])
        // The older of the two is still enough, and the log goes back to it and not further.
        switch kind {
        case .memory:
            #expect(place.memory.byteCount(after: kept[1].begin) != nil)
            #expect(place.memory.byteCount(after: .zero) == nil)
        case .segments:
            #expect(DirectoryCheck(directory: place.files).olderRefusal == nil)
            #expect(try !place.files.list().contains(FileName.segmentName(1)))
        }
    }

    // MARK: A log that does not keep up

    @Test func `a snapshot is not published before the log is durable past the end of its walk`() throws {
        let (place, rig) = try memory()
        rig.set("key", "1")
        try rig.store.snapshotNow()
        // The walk meets a write that the log then cannot make durable.
        rig.state.interruption.withLock { waiting in
            waiting = (0, { [memory = place.memory] in
                memory.hold(writes: false, syncs: true)
                rig.set("key", "2")
            })
        }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        #expect(rig.store.lastSnapshotFailed)
        #expect(try place.files.list().filter { $0.hasPrefix("snap-") } == [FileName.snapshotName(1)])
        place.crash(losesUnsynced: true)
        let (next, report) = try place.start()
        #expect(report.snapshot == 1)
        #expect(next.matchesHistory(report))
        #expect(next.state.current.alive.count == 1)
    }

    @Test func `a log that failed gets no snapshot, and is not asked to let go of anything`() throws {
        let (place, rig) = try memory()
        for round in 0..<3 {
            rig.set("key", "\(round)")
            try rig.store.snapshotNow()
        }
        let trimmed = place.memory.trimmedLSN
        #expect(trimmed > .zero)
        place.memory.refuse(.failed, because: SystemError(number: SystemError.inputOutput, call: "fdatasync"))
        #expect(throws: PersistenceError.logFailed(place.memory.condition)) { try rig.store.snapshotNow() }
        #expect(place.memory.trimmedLSN == trimmed)
        #expect(rig.set("key", "refused") == nil)
    }

    @Test func `when a name cannot be made durable, the log behind it is told`() throws {
        let (place, rig) = try memory()
        rig.set("key", "1")
        rig.files.setFault { $0.call == .syncDirectory ? .error(SystemError.inputOutput) : nil }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        #expect(place.memory.state == .failed)
        #expect(rig.set("key", "2") == nil)
    }

    @Test func `the observer hears of snapshots as well as of positions`() throws {
        let (place, rig) = try memory()
        let calls = Calls()
        rig.store.setObserver { calls.count.wrappingAdd(1, ordering: .relaxed) }
        rig.set("key", "1")
        place.memory.write()
        #expect(calls.count.load(ordering: .relaxed) == 1)
        place.memory.hold(writes: true, syncs: true)
        rig.set("key", "2")
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        #expect(calls.count.load(ordering: .relaxed) == 2)
        #expect(rig.store.snapshotsFinished == 1)
    }
}
