import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// A disk that fills up: what needs no room goes on in the room that was kept for it, and everything else when there is room again.
@Suite("Ballast") struct BallastTests {
    private static func options() -> PersistenceOptions {
        var options = Rig.options(segmentBytes: 128 << 10)
        options.ballastBytes = 256 << 10
        return options
    }

    private func start(_ files: MemoryFileSystem, history: History = History()) throws -> (Rig, RecoveryReport) {
        try Rig.start(files, history: history, options: Self.options())
    }

    private static func isThere(_ files: MemoryFileSystem) -> Bool { files.content(FileName.ballastName) != nil }

    /// A life whose disk has no room left, and whose log has no segment to go on in.
    private func filled(_ first: Rig? = nil) throws -> Rig {
        let rig = try first ?? start(MemoryFileSystem()).0
        rig.set("first", "1")
        rig.sync()
        rig.files.setCapacity(rig.files.usedBytes)
        for index in 0..<400 where rig.log.state == .ok {
            rig.set("key\(index)", String(repeating: "v", count: 1_000))
            rig.sync()
        }
        return rig
    }

    @Test func `the ballast is laid by the first start, has its size, and is laid again when it is gone`() throws {
        let (rig, _) = try start(MemoryFileSystem())
        #expect(rig.files.content(FileName.ballastName)?.count == 256 << 10)
        try rig.store.close()
        try rig.files.remove(FileName.ballastName)
        let (next, _) = try start(rig.files.afterKill())
        #expect(Self.isThere(next.files))
        #expect(next.log.state == .ok)
        // Another size, and none.
        try next.store.close()
        var options = Self.options()
        options.ballastBytes = 10_000
        let (smaller, _) = try Rig.start(next.files.afterKill(), options: options)
        #expect(smaller.files.content(FileName.ballastName)?.count == 10_000)
        try smaller.store.close()
        let (without, _) = try Rig.start(smaller.files.afterKill())
        #expect(!Self.isThere(without.files))
    }

    @Test func `a disk that was full refused deletes as well, and took no snapshot that could make room`() throws {
        let rig = try filled()
        #expect(rig.log.state == .low)
        #expect(!Self.isThere(rig.files))
        #expect(rig.log.condition.error?.isOutOfSpace == true)
        #expect(rig.log.statistics.shortages == 1)
        #expect(rig.set("grows", "x") == nil)
        // What had been staged is written all the same.
        #expect(rig.log.durableLSN == rig.history.last)
        for index in 0..<50 { #expect(rig.write(.remove("key\(index)")) != nil) }
        rig.sync()
        #expect(rig.log.durableLSN == rig.history.last)
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 1)
        #expect(rig.write(.flush) != nil)
        rig.sync()
        let (next, report) = try start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `when there is room again the ballast is laid, and writes are taken`() throws {
        let rig = try filled()
        rig.store.poll()
        #expect(rig.log.state == .low)
        // Room for less than the ballast and a segment is not enough.
        rig.files.setCapacity(rig.files.usedBytes + (200 << 10))
        rig.store.poll()
        #expect(rig.log.state == .low)
        #expect(!Self.isThere(rig.files))
        rig.files.setCapacity(.max)
        rig.store.poll()
        #expect(rig.log.state == .ok)
        #expect(Self.isThere(rig.files))
        #expect(rig.set("grows", "x") != nil)
        rig.sync()
        let (next, report) = try start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `when even the ballast is used up the log is full, and goes on from there when there is room`() throws {
        let rig = try filled()
        rig.files.setCapacity(0)
        for index in 0..<2_000 where rig.log.state == .low {
            rig.write(.remove("key\(index)"))
            rig.sync()
        }
        #expect(rig.log.state == .full)
        #expect(rig.write(.remove("key1")) == nil)
        rig.files.setCapacity(.max)
        _ = rig.log.step()
        #expect(rig.log.state == .low)
        rig.store.poll()
        #expect(rig.log.state == .ok)
        rig.sync()
        let (next, report) = try start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a power cut at any call while the disk is full loses nothing`() throws {
        let calls = try filled().files.callCount
        for stop in stride(from: 40, through: calls + 30, by: 7) {
            let (first, _) = try start(MemoryFileSystem())
            first.files.stop(after: stop)
            let rig = try filled(first)
            for index in 0..<5 { rig.write(.remove("key\(index)")) }
            rig.sync()
            rig.store.poll()
            let durable = rig.log.durableLSN
            for seed in 0..<4 as Range<UInt64> {
                let (next, report) = try start(rig.files.afterPowerCut(seed: seed), history: rig.history)
                #expect(report.reached >= durable, "\(stop) calls, seed \(seed)")
                #expect(next.matchesHistory(report), "\(stop) calls, seed \(seed)")
            }
        }
    }

    // MARK: Starts and manifests

    @Test func `a start on a full disk was refused`() throws {
        let rig = try filled()
        rig.write(.remove("key1"))
        rig.log.writeIfIdle()
        let history = rig.history
        let capacity = rig.files.usedBytes
        let files = rig.files.afterPowerCut(seed: 3)
        files.setCapacity(max(files.usedBytes, capacity) + 70_000)
        let (next, report) = try start(files, history: history)
        #expect(next.matchesHistory(report))
        #expect(next.log.state == .low)
        history.forget(after: report.reached)
        #expect(next.set("grows", "x") == nil)
        #expect(next.write(.remove("key2")) != nil)
        next.sync()
        #expect(next.log.durableLSN == history.last)
        files.setCapacity(.max)
        next.store.poll()
        #expect(next.log.state == .ok)
    }

    @Test func `a start without a ballast was refused for want of a whole segment, though there was room for a small one`() throws {
        var options = Rig.options(segmentBytes: 128 << 10)
        options.ballastBytes = 0
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.afterKill()
        try? files.remove(FileName.spareName(2))
        files.setCapacity(files.usedBytes + 80_000)
        let (next, report) = try Rig.start(files, history: rig.history, options: options)
        #expect(next.matchesHistory(report))
        #expect(next.set("b", "2") != nil)
        next.sync()
        #expect(next.log.durableLSN == rig.history.last)
    }

    @Test func `a start that finds a laid ballast and a full disk begins in its room`() throws {
        let (rig, _) = try start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.afterKill()
        try files.remove(FileName.spareName(2))
        files.setCapacity(files.usedBytes)
        let (next, report) = try start(files, history: rig.history)
        #expect(next.matchesHistory(report))
        #expect(next.log.state == .low)
        #expect(next.write(.remove("a")) != nil)
        next.sync()
        #expect(next.log.durableLSN == rig.history.last)
    }

    @Test func `a manifest for which there is no room gets that of the ballast`() throws {
        let (rig, _) = try start(MemoryFileSystem())
        let isFull = Mutex(true)
        rig.files.setFault { occurrence in
            if occurrence.call == .remove, occurrence.name == FileName.ballastName { isFull.withLock { $0 = false } }
            let isShort = occurrence.call == .write && occurrence.name == "MANIFEST.tmp" && isFull.withLock { $0 }
            return isShort ? .error(SystemError.noSpace) : nil
        }
        rig.clock.advance(milliseconds: 60_000)
        rig.store.poll()
        #expect(!isFull.withLock { $0 })
        #expect(rig.store.reserveError == nil)
        rig.store.poll()
        #expect(rig.log.state == .ok)
        #expect(Self.isThere(rig.files))
    }
}
