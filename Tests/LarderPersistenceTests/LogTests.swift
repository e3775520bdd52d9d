import Dispatch
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

@Suite("Write-ahead log") struct LogTests {
    private final class Counter: Sendable {
        let calls = Atomic<Int>(0)
        var total: Int { calls.load(ordering: .relaxed) }
    }

    @Test func `what was synced is there after a power cut`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        let last = rig.set("b", "2")
        rig.sync()
        #expect(rig.log.durableLSN == last)
        for seed in 0..<20 as Range<UInt64> {
            let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: seed), history: rig.history)
            #expect(report.reached == last)
            #expect(next.matchesHistory(report))
        }
    }

    @Test func `a worker writes without the log's thread, and its bytes survive the process`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let last = rig.set("a", "1")
        #expect(rig.log.writeIfIdle())
        #expect(rig.log.writtenLSN == last)
        #expect(try rig.log.durableLSN < #require(last))
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.recordsReplayed == 1)
        #expect(next.matchesHistory(report))
    }

    @Test func `with nobody waiting, the sync comes with the interval`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let last = rig.set("a", "1")
        rig.log.writeIfIdle()
        let due = rig.log.step()
        #expect(due == 100_000_000)
        rig.clock.advance(milliseconds: 99)
        _ = rig.log.step()
        #expect(try rig.log.durableLSN < #require(last))
        rig.clock.advance(milliseconds: 1)
        _ = rig.log.step()
        #expect(rig.log.durableLSN == last)
    }

    @Test func `neither how many records a sync carries nor what no sync has covered could be told`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let clock = rig.clock
        rig.files.setFault { occurrence in
            if occurrence.call == .sync { clock.advance(milliseconds: 5) }
            return nil
        }
        rig.set("a", "1")
        rig.set("b", "2")
        rig.log.writeIfIdle()
        let before = rig.log.statistics
        #expect(before.records == 2 && before.frames == 1 && before.syncs == 0)
        #expect(before.unsyncedBytes == rig.log.bytesWritten)
        rig.sync()
        let after = rig.log.statistics
        #expect(after.unsyncedBytes == 0)
        #expect(after.syncs == 1)
        #expect(after.syncsWithin == [0, 0, 1, 1, 1, 1])
    }

    /// Counts the syncs from here on.
    private func countSyncs(_ files: MemoryFileSystem) -> Counter {
        let counter = Counter()
        files.setFault { occurrence in
            if occurrence.call == .sync, occurrence.name.hasPrefix("wal-") { counter.calls.wrappingAdd(1, ordering: .relaxed) }
            return nil
        }
        return counter
    }

    @Test func `the interval syncs nothing while all that was written is of namespaces with never`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.idle(milliseconds: 60)
        let syncs = countSyncs(rig.files)
        let last = rig.set("a", "1", in: rig.careless)
        rig.log.writeIfIdle()
        #expect(rig.log.writtenLSN == last)
        #expect(rig.log.intervalLSN == last)
        for _ in 0..<20 {
            rig.clock.advance(milliseconds: 1_000)
            // Nor does the thread spin meanwhile.
            #expect(rig.log.step() > 100_000_000)
        }
        #expect(syncs.total == 0)
        #expect(rig.log.unsyncedMilliseconds == 0)
        // The frame that says the time every minute is synced, and all before it.
        rig.idle(milliseconds: 60_000)
        #expect(rig.log.durableLSN == last)
    }

    @Test func `a write that wants the medium takes those before it along`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1", in: rig.careless)
        rig.log.writeIfIdle()
        rig.clock.advance(milliseconds: 5_000)
        let last = rig.set("b", "2")
        rig.set("c", "3", in: rig.careless)
        rig.log.writeIfIdle()
        #expect(rig.log.step() == 100_000_000)
        #expect(rig.log.unsyncedMilliseconds == 0)
        rig.clock.advance(milliseconds: 100)
        _ = rig.log.step()
        #expect(rig.log.durableLSN >= (try #require(last)))
        #expect(rig.log.durableLSN == rig.log.writtenLSN)
    }

    @Test func `a stop and a snapshot sync what the interval left to the kernel`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let first = rig.set("a", "1", in: rig.careless)
        rig.log.writeIfIdle()
        try rig.store.snapshotNow()
        #expect(try rig.log.durableLSN >= #require(first))
        let last = rig.set("b", "2", in: rig.careless)
        try rig.store.close()
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 5), history: rig.history)
        #expect(report.reached == last)
        #expect(next.matchesHistory(report))
    }

    @Test func `interval replies wait for the medium once the oldest unsynced byte is older than the bound`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let first = rig.set("a", "1")
        rig.log.writeIfIdle()
        #expect(rig.log.intervalLSN == first)
        rig.clock.advance(milliseconds: 1_001)
        let second = rig.set("b", "2")
        rig.log.writeIfIdle()
        #expect(rig.log.writtenLSN == second)
        #expect(rig.log.intervalLSN == first)
        _ = rig.log.step()
        #expect(rig.log.intervalLSN == second)
    }

    @Test func `interval replies wait for the medium while too many bytes are unsynced`() throws {
        var options = Rig.options()
        options.unsyncedBytesMax = 1_000
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        let first = rig.set("a", "1")
        rig.log.writeIfIdle()
        rig.set("b", String(repeating: "x", count: 1_000))
        rig.log.writeIfIdle()
        #expect(rig.log.intervalLSN == first)
    }

    @Test func `an idle log is sealed once, and says the time every minute`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let before = rig.log.bytesWritten
        rig.idle(milliseconds: 50)
        #expect(rig.log.bytesWritten == before + FrameHeader.byteCount)
        rig.idle(milliseconds: 1_000)
        #expect(rig.log.bytesWritten == before + FrameHeader.byteCount)
        rig.idle(milliseconds: 60_000)
        #expect(rig.log.bytesWritten == before + 2 * FrameHeader.byteCount)
        let wall = rig.clock.wall()
        let (_, report) = try Rig.start(rig.files.copy(), clock: ManualClock(wall: wall - 1_000))
        #expect(report.newestWall == wall)
        #expect(report.clockBehindMilliseconds == 1_000)
    }

    @Test func `a full segment is followed by another, and both are replayed`() throws {
        let options = Rig.options(segmentBytes: 8_192)
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        for index in 0..<40 {
            rig.set("key\(index)", String(repeating: "v", count: 500))
            rig.sync()
        }
        #expect(try rig.files.list().filter { $0.hasPrefix("wal-") }.count > 4)
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 3), history: rig.history, options: options)
        #expect(report.recordsReplayed == 40)
        #expect(next.matchesHistory(report))
    }

    /// Waits until the log's own thread, which is at work, has brought about what `condition` says.
    private func waits(for condition: @escaping @Sendable () -> Bool, of log: WriteAheadLog, while work: () -> Void) -> Bool {
        let moved = DispatchSemaphore(value: 0)
        log.setObserver { moved.signal() }
        work()
        while !condition() {
            // Far less than the minute after which the thread would wake by itself.
            if moved.wait(timeout: .now() + 20) == .timedOut { return condition() }
        }
        return true
    }

    @Test func `a worker that finds the segment full leaves its batch to a thread that hears of it`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        let log = rig.log
        try log.start()
        // Records of this namespace owe no sync, so the thread has nothing else to wake for.
        for index in 0..<40 {
            let isWritten = waits(for: { log.writtenLSN == rig.buffer.appliedLSN }, of: log) {
                rig.set("key\(index)", String(repeating: "v", count: 500), in: rig.careless)
                log.writeIfIdle()
            }
            try #require(isWritten, "the write of key\(index) was left lying")
        }
        try rig.store.close()
        #expect(try rig.files.list().filter { $0.hasPrefix("wal-") }.count > 2)
    }

    @Test func `a worker that finds the disk full leaves its batch to a thread that tries again`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let log = rig.log
        try log.start()
        // The thread has been at work and has nothing more to do.
        #expect(waits(for: { log.durableLSN == rig.buffer.appliedLSN }, of: log) {
            rig.set("before", "0")
            log.kick()
        })
        rig.files.setFault { $0.call == .write ? .error(SystemError.noSpace) : nil }
        #expect(waits(for: { log.state == .full }, of: log) {
            rig.set("a", "1", in: rig.careless)
            log.writeIfIdle()
        })
        #expect(waits(for: { log.state == .ok && log.writtenLSN == rig.buffer.appliedLSN }, of: log) { rig.files.setFault(nil) })
        try rig.store.close()
    }

    @Test func `a record larger than a segment gets one of its own`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        rig.set("small", "1")
        rig.sync()
        rig.set("large", String(repeating: "v", count: 100_000))
        rig.sync()
        rig.set("after", "2")
        rig.sync()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.recordsReplayed == 3)
        #expect(next.matchesHistory(report))
    }

    @Test func `short writes are continued where they stopped`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.files.setFault { $0.call == .write ? .short(7) : nil }
        for index in 0..<10 { rig.set("key\(index)", "value") }
        rig.sync()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.recordsReplayed == 10)
        #expect(next.matchesHistory(report))
    }

    @Test func `a full disk refuses writes, loses nothing, and heals when there is room`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.files.setFault { $0.call == .write ? .error(SystemError.noSpace) : nil }
        let second = rig.set("b", "2")
        rig.sync()
        #expect(rig.log.state == .full)
        #expect(rig.log.condition.error?.number == SystemError.noSpace)
        #expect(rig.set("c", "3") == nil)
        rig.files.setFault(nil)
        let due = rig.log.step()
        #expect(due >= 0)
        rig.sync()
        #expect(rig.log.state == .ok)
        #expect(rig.log.durableLSN == second)
        #expect(rig.set("d", "4") != nil)
        rig.sync()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.recordsReplayed == 3)
        #expect(next.matchesHistory(report))
    }

    @Test func `a disk that is full when a segment ends refuses writes until there is room`() throws {
        try expectRoomIsWaitedFor { $0.call == .allocate }
    }

    @Test func `a disk without room for the header of the next segment failed the log`() throws {
        try expectRoomIsWaitedFor { $0.call == .write && $0.name.hasPrefix("spare-") }
    }

    private func expectRoomIsWaitedFor(_ isFull: @escaping @Sendable (MemoryFileSystem.Occurrence) -> Bool) throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        rig.files.setFault { isFull($0) ? .error(SystemError.noSpace) : nil }
        var refused = false
        for index in 0..<20 where !refused {
            refused = rig.set("key\(index)", String(repeating: "v", count: 500)) == nil
            rig.sync()
        }
        #expect(refused)
        try expectRoomHeals(rig)
    }

    /// A full log goes on where it stopped when there is room, and a start finds all of it.
    private func expectRoomHeals(_ rig: Rig) throws {
        #expect(rig.log.state == .full)
        rig.files.setFault(nil)
        rig.sync()
        #expect(rig.log.state == .ok)
        #expect(rig.log.durableLSN == rig.history.last)
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a record staged behind an empty frame for which there was no room was lost`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.clock.advance(milliseconds: 60)
        rig.files.setFault { [weak rig] occurrence in
            guard occurrence.call == .write else { return nil }
            if rig?.log.state == .ok { rig?.set("b", "2") }
            return .error(SystemError.noSpace)
        }
        // The seal finds the disk full, and so does the attempt after it.
        for _ in 0..<2 { _ = rig.log.step() }
        try expectRoomHeals(rig)
    }

    @Test func `a snapshot that found no room for its segment left the log full for good`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.files.setFault { $0.name.hasPrefix("spare-") ? .error(SystemError.noSpace) : nil }
        _ = try? rig.store.snapshotNow()
        rig.files.setFault(nil)
        _ = rig.log.step()
        #expect(rig.log.state == .ok)
        #expect(rig.set("b", "2") != nil)
    }

    @Test func `a snapshot that found no room for its segment had writes refused, though there was room in the old one`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.files.setFault { $0.name.hasPrefix("spare-") ? .error(SystemError.noSpace) : nil }
        try rig.store.snapshotNow()
        #expect(rig.log.state == .ok)
        #expect(rig.set("b", "2") != nil)
        rig.sync()
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.snapshot == 1)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `after a sync that failed nothing more is acknowledged, though later syncs say they succeeded`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let first = rig.set("a", "1")
        rig.sync()
        rig.files.lieOnce()
        rig.set("b", "2")
        rig.sync()
        rig.sync()
        let condition = rig.log.condition
        #expect(condition.state == .failed)
        #expect(condition.error?.number == SystemError.inputOutput)
        #expect(condition.file == FileName.segmentName(1))
        #expect(condition.since == rig.clock.wall())
        #expect(rig.log.durableLSN == first)
        #expect(rig.set("c", "3") == nil)
        #expect(throws: PersistenceError.self) { try rig.store.close() }
    }

    @Test func `a segment that could not be closed counts as one that could not be synced`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        rig.files.setFault { $0.call == .close && $0.name.hasPrefix("wal-") ? .error(SystemError.inputOutput) : nil }
        for index in 0..<20 where rig.log.state == .ok {
            rig.set("key\(index)", String(repeating: "v", count: 1_000))
            rig.sync()
        }
        #expect(rig.log.state == .failed)
        #expect(rig.log.condition.error?.number == SystemError.inputOutput)
    }

    @Test func `a start reads what is on the medium, not what the cache shows after a lie`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let first = rig.set("a", "1")
        rig.sync()
        rig.files.setFault { $0.call == .sync ? .lie(SystemError.inputOutput) : nil }
        rig.set("b", "2")
        rig.sync()
        rig.files.setFault(nil)
        #expect(throws: PersistenceError.self) { try rig.store.close() }
        let (next, report) = try Rig.start(rig.files, history: rig.history)
        #expect(report.reached == first)
        #expect(next.matchesHistory(report))
    }

    @Test func `telling of an advance went one call deeper each time`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let depth = Counter()
        rig.log.setObserver {
            var here = 0
            unsafe withUnsafePointer(to: &here) { depth.calls.store(Int(bitPattern: $0), ordering: .relaxed) }
        }
        var depths = Set<Int>()
        for round in 0..<200 {
            rig.set("a", "\(round)")
            rig.sync()
            depths.insert(depth.calls.load(ordering: .relaxed))
        }
        // Those who tell are few, and each always does from the same place.
        #expect(depths.count < 10)
    }

    @Test func `the observer hears of an advance and of a failure`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let counter = Counter()
        rig.log.setObserver { counter.calls.wrappingAdd(1, ordering: .relaxed) }
        rig.set("a", "1")
        rig.sync()
        let advanced = counter.calls.load(ordering: .relaxed)
        #expect(advanced >= 2)
        rig.files.setFault { _ in .error(SystemError.inputOutput) }
        rig.set("b", "2")
        rig.sync()
        #expect(counter.calls.load(ordering: .relaxed) > advanced)
    }
}
