import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// A log that has failed goes on in new files, and nothing rests on the old ones.
@Suite("Healing") struct HealingTests {
    private func failed() throws -> Rig { try .failed() }

    /// What the keeper does until an attempt is due, and in it.
    private func keep(_ rig: Rig) {
        rig.store.poll()
        rig.clock.advance(milliseconds: 1_000)
        rig.store.poll()
    }

    /// Cuts the power: everything is there again.
    private func expectNothingLost(_ rig: Rig, seed: UInt64) throws {
        let (later, report) = try Rig.start(rig.files.afterPowerCut(seed: seed), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(later.matchesHistory(report))
    }

    @Test func `a log that failed stayed so until a restart`() throws {
        let rig = try failed()
        #expect(rig.set("refused", "3") == nil)
        let before = rig.buffer.appliedLSN
        keep(rig)
        #expect(rig.log.state == .ok)
        #expect(rig.log.durableLSN == rig.history.last)
        #expect(rig.log.writtenLSN == rig.history.last)
        let next = try #require(rig.set("c", "3"))
        #expect(next > before)
        rig.sync()
        #expect(rig.log.durableLSN == next)
        #expect(rig.store.healingStatistics.succeeded == 1)
        #expect(rig.log.statistics.failures == 1)
        #expect(rig.log.statistics.syncs > 0 && rig.log.statistics.frames > 2)
        let (later, report) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached == next)
        #expect(later.matchesHistory(report))
        #expect(later.state.current.alive.count == 3)
    }

    @Test func `a log that healed into a shortage said that writes are taken, and refused them without an error`() throws {
        var options = Rig.options(segmentBytes: 128 << 10)
        options.ballastBytes = 256 << 10
        let rig = try Rig.failed(options)
        // Not even what the spare segment gives back.
        rig.files.setCapacity(rig.files.usedBytes - (128 << 10))
        _ = rig.store.options.events.take()
        // The first attempt finds no room, and has the ballast given.
        for _ in 0..<8 where rig.log.state == .failed {
            rig.clock.advance(milliseconds: 2_000)
            rig.store.poll()
        }
        #expect(rig.log.state == .low)
        #expect(rig.set("refused", "1") == nil)
        #expect(rig.log.condition.error?.isOutOfSpace == true)
        let told = rig.store.options.events.take().map(\.description)
        #expect(told.contains { $0.hasPrefix("log has healed") && $0.contains("writes as soon as there is room") })
        #expect(!told.contains { $0.contains("writes are taken again [") })
    }

    @Test func `after a failure nothing of the old files is opened, written or synced`() throws {
        let rig = try failed()
        let old = Set(try rig.files.list())
        let touched = Mutex<[String]>([])
        rig.files.setFault { occurrence in
            let isUse = [.open, .read, .write, .sync, .allocate, .truncate].contains(occurrence.call)
            if isUse, old.contains(occurrence.name) { touched.withLock { $0.append("\(occurrence.call) \(occurrence.name)") } }
            return nil
        }
        keep(rig)
        #expect(rig.log.state == .ok)
        rig.set("c", "3")
        rig.sync()
        #expect(touched.withLock { $0 } == [])
        let manifest = try #require(DirectoryCheck(directory: rig.files.copy()).manifest)
        #expect(manifest.snapshots.count == 1)
        #expect(manifest.oldestSegment > 1)
        #expect(try !rig.files.list().contains(FileName.segmentName(1)))
    }

    @Test func `a power cut at any call of healing leaves what was durable before, or everything`() throws {
        let before = try failed()
        let durable = before.log.durableLSN
        let calls = before.files.callCount
        keep(before)
        let all = before.files.callCount - calls
        #expect(all > 15)
        for stop in 0...all {
            for seed in 0..<12 as Range<UInt64> {
                let rig = try failed()
                rig.files.stop(after: rig.files.callCount + stop)
                keep(rig)
                let cut = rig.files.afterPowerCut(seed: seed)
                let (later, report) = try Rig.start(cut, history: rig.history)
                #expect(report.reached >= durable, "\(stop) calls, seed \(seed)")
                #expect(later.matchesHistory(report), "\(stop) calls, seed \(seed)")
                if rig.log.state == .ok { #expect(report.reached == rig.history.last, "\(stop) calls, seed \(seed)") }
                #expect(later.buffer.appliedLSN >= rig.buffer.appliedLSN)
                // It works, and what an attempt left is in nobody's way, today or at the next change of segments.
                rig.history.forget(after: report.reached)
                for index in 0..<3 {
                    later.set("later\(index)", "x")
                    try later.store.snapshotNow()
                }
                let (last, again) = try Rig.start(cut.afterPowerCut(seed: seed), history: rig.history)
                #expect(again.reached == rig.history.last, "\(stop) calls, seed \(seed)")
                #expect(last.matchesHistory(again), "\(stop) calls, seed \(seed)")
            }
        }
    }

    @Test func `a manifest that rots after healing leads to no state from before`() throws {
        let rig = try failed()
        keep(rig)
        rig.set("c", "3")
        rig.sync()
        let rotten = rig.files.copy()
        rotten.flip(bit: 200, of: FileName.manifestName)
        let (later, report) = try Rig.start(rotten, history: rig.history)
        #expect(report.usedPreviousManifest)
        #expect(report.reached == rig.history.last)
        #expect(later.matchesHistory(report))
    }

    @Test(arguments: [
        (MemoryFileSystem.Call.open, "snap-"), (.write, "snap-"), (.sync, "snap-"), (.rename, "snap-"), (.open, "wal-"), (.allocate, "wal-"),
        (.write, "wal-"), (.sync, "wal-"), (.rename, "wal-"), (.open, "MANIFEST.tmp"), (.sync, "MANIFEST.tmp"), (.link, "MANIFEST"),
        (.rename, "MANIFEST"), (.syncDirectory, "simulated"),
    ])
    func `an attempt that fails is told, changes nothing, and is followed by another that succeeds`(
        call: MemoryFileSystem.Call, name: String
    ) throws {
        let rig = try failed()
        let failure = rig.log.condition
        _ = rig.store.options.events.take()
        rig.files.setFault { $0.call == call && $0.name.hasPrefix(name) ? .error(SystemError.inputOutput) : nil }
        keep(rig)
        #expect(rig.log.condition == failure)
        #expect(rig.store.healingStatistics.failed == 1)
        let told = rig.store.options.events.take().map(\.description)
        #expect(told.contains { $0.hasPrefix("healing FAILED: ") && $0.contains("tried again in 2 s") }, "\(told)")
        #expect(rig.set("refused", "3") == nil)
        rig.files.setFault(nil)
        rig.clock.advance(milliseconds: 1_999)
        rig.store.poll()
        #expect(rig.log.state == .failed)
        rig.clock.advance(milliseconds: 1)
        rig.store.poll()
        #expect(rig.log.state == .ok)
        rig.set("c", "3")
        rig.sync()
        try expectNothingLost(rig, seed: 3)
    }

    @Test func `attempts that fail come at longer and longer intervals, up to a minute`() throws {
        let rig = try failed()
        rig.files.setFault { $0.call == .open ? .error(SystemError.inputOutput) : nil }
        rig.store.poll()
        var attempts: [Int] = []
        for second in 1...200 {
            rig.clock.advance(milliseconds: 1_000)
            let before = rig.store.healingStatistics.failed
            rig.store.poll()
            if rig.store.healingStatistics.failed > before { attempts.append(second) }
        }
        #expect(attempts == [1, 3, 7, 15, 31, 63, 123, 183])
    }

    @Test func `a log that fails again soon after it healed is left alone for longer`() throws {
        let rig = try failed()
        keep(rig)
        rig.files.setFault { $0.call == .sync ? .lie(SystemError.inputOutput) : nil }
        rig.set("c", "3")
        rig.sync()
        rig.files.setFault(nil)
        #expect(rig.log.state == .failed)
        keep(rig)
        #expect(rig.log.state == .failed)
        keep(rig)
        #expect(rig.log.state == .ok)
        #expect(rig.log.durableLSN == rig.history.last)
    }

    @Test func `what a snapshot or a manifest could not make durable heals as well`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.files.setFault { $0.call == .syncDirectory ? .error(SystemError.inputOutput) : nil }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        #expect(rig.log.state == .failed)
        rig.files.setFault(nil)
        keep(rig)
        #expect(rig.log.state == .ok)
        rig.set("b", "2")
        rig.sync()
        try expectNothingLost(rig, seed: 5)
    }

    /// The names of a directory are synced together: what a failed sync of them has forgotten, another thread's says is there.
    @Test func `a sync of the names that failed for a manifest took the name of a new segment with it`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        let first = try #require(rig.set("a", "1"))
        rig.sync()
        rig.clock.advance(milliseconds: 9_000)
        // The keeper raises the ceiling just when the next segment has got its name.
        rig.files.setWitness { [rig] occurrence in
            guard occurrence.call == .rename, occurrence.name == FileName.spareName(2) else { return }
            rig.files.setFault { $0.call == .syncDirectory ? .lie(SystemError.inputOutput) : nil }
            rig.store.poll()
            rig.files.setFault(nil)
        }
        rig.set("large", String(repeating: "v", count: 8_000))
        rig.sync()
        rig.files.setWitness(nil)
        #expect(rig.store.manifestsFailed == 1)
        #expect(rig.log.state == .failed)
        #expect(rig.log.durableLSN == first)
        #expect(rig.set("refused", "2") == nil)
        let cut = MemoryFileSystem(rig.files.disk.afterPowerCut(CrashState(data: .all, names: .all)))
        let (_, lost) = try Rig.start(cut, history: rig.history)
        #expect(lost.reached == first)
        keep(rig)
        keep(rig)
        #expect(rig.log.state == .ok)
        try expectNothingLost(rig, seed: 7)
    }

    @Test(arguments: [MemoryFileSystem.Call.rename, .syncDirectory])
    func `a manifest of which it is not known whether it is there fails the log`(call: MemoryFileSystem.Call) throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.files.setFault {
            $0.call == call && (call == .syncDirectory || $0.name.hasPrefix(FileName.temporaryName(FileName.manifestName)))
                ? .error(SystemError.inputOutput) : nil
        }
        rig.clock.advance(milliseconds: 9_000)
        rig.store.poll()
        rig.files.setFault(nil)
        #expect(rig.store.manifestsFailed == 1)
        #expect(rig.log.state == .failed)
        #expect(rig.set("refused", "2") == nil)
        keep(rig)
        keep(rig)
        #expect(rig.log.state == .ok)
        rig.set("b", "2")
        rig.sync()
        try expectNothingLost(rig, seed: 9)
    }

    @Test func `a log that failed was healed only when the snapshot under way had come to its end`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for index in 100..<400 {
            rig.set("key\(index)", String(repeating: "v", count: 9_000))
            rig.sync()
        }
        let blocks = Mutex(0)
        rig.state.interruption.withLock {
            $0 = (40, {
                rig.files.lieOnce()
                rig.set("key100", "x")
                rig.sync()
                rig.files.setFault { occurrence in
                    if occurrence.call == .write, occurrence.name.hasPrefix("snap-") { blocks.withLock { $0 += 1 } }
                    return nil
                }
            })
        }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        #expect(rig.log.state == .failed)
        #expect(blocks.withLock { $0 } == 1)
        keep(rig)
        #expect(rig.log.state == .ok)
        #expect(rig.log.durableLSN == rig.history.last)
    }

    @Test func `a stop while the log is failed does not write to the failed file`() throws {
        let rig = try failed()
        let written = Mutex(0)
        rig.files.setFault { occurrence in
            if occurrence.call == .write, occurrence.name.hasPrefix("wal-") { written.withLock { $0 += 1 } }
            return nil
        }
        #expect(throws: PersistenceError.self) { try rig.store.close() }
        #expect(written.withLock { $0 } == 0)
    }
}
