import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// A disk without room: starts do not use it up, and the log gives back what it has taken.
@Suite("Shortage of room") struct ShortageTests {
    private static func options() -> PersistenceOptions {
        var options = Rig.options(segmentBytes: 128 << 10)
        options.ballastBytes = 256 << 10
        options.snapshotLogBytes = 0
        options.snapshotMilliseconds = 0
        return options
    }

    private static func start(_ files: MemoryFileSystem, _ history: History = History()) throws -> (Rig, RecoveryReport) {
        try Rig.start(files, history: history, options: options())
    }

    /// A value that no compression makes smaller.
    private static func value(_ seed: Int, _ count: Int) -> String {
        var generator = SeededGenerator(seed: UInt64(seed))
        return String(decoding: (0..<count).map { _ in UInt8.random(in: 33..<127, using: &generator) }, as: UTF8.self)
    }

    /// Overwrites the same keys, so that the log is much larger than what is in memory, until there is no room.
    private static func overwrite(_ rig: Rig, keys: Int, bytes: Int, capacity: Int) {
        rig.files.setCapacity(capacity)
        for round in 0..<4_000 where rig.log.state == .ok {
            rig.set("key\(round % keys)", value(round, bytes))
            rig.sync()
        }
        #expect(rig.log.state == .low)
    }

    // MARK: Starts

    @Test func `every start on a full disk took room, until one was refused`() throws {
        let history = History()
        var (rig, _) = try Self.start(MemoryFileSystem(), history)
        // More than the ballast holds, so that no snapshot can be taken.
        Self.overwrite(rig, keys: 400, bytes: 1_000, capacity: 900 << 10)
        let capacity = rig.files.usedBytes + (256 << 10)
        for life in 0..<30 {
            let files = life % 2 == 0 ? rig.files.afterKill() : rig.files.afterPowerCut(seed: UInt64(life))
            files.setCapacity(capacity)
            let (next, report) = try Self.start(files, history)
            #expect(next.matchesHistory(report), "life \(life)")
            #expect(next.log.state == .low, "life \(life)")
            #expect(next.write(.remove("key\(life)")) != nil, "life \(life)")
            next.sync()
            next.store.poll()
            #expect(next.log.durableLSN == history.last, "life \(life)")
            if life % 3 == 0 { try next.store.close() }
            rig = next
        }
        #expect(rig.files.usedBytes < capacity)
    }

    @Test func `a start kept what was preallocated in the segment before`() throws {
        let (rig, _) = try Self.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let (next, _) = try Self.start(rig.files.afterKill(), rig.history)
        #expect(try #require(next.files.content(FileName.segmentName(1))).count < 8 << 10)
        next.set("b", "2")
        next.sync()
        let (last, report) = try Self.start(next.files.afterPowerCut(seed: 2), rig.history)
        #expect(last.matchesHistory(report))
        #expect(report.reached == rig.history.last)
    }

    @Test func `a torn tail was cut off with what was preallocated behind it`() throws {
        let (rig, _) = try Self.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.afterKill()
        var bytes = try #require(files.content(FileName.segmentName(1)))
        let end = bytes.lastIndex { $0 != 0 }! / 8 * 8 + 8
        for place in 0..<100 { bytes[end + place] = 7 }
        files.setContent(FileName.segmentName(1), bytes)
        let (next, report) = try Self.start(files, rig.history)
        #expect(report.bytesCut == 100)
        #expect(next.files.content(FileName.segmentName(1)) == Array(bytes[..<(end + 100)]))
    }

    @Test func `the draft of a snapshot had the room that the log of the next start needed`() throws {
        let (rig, _) = try Self.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.afterKill()
        try files.remove(FileName.ballastName)
        files.setContent("snap-0000000001.tmp", Array(repeating: 1, count: 200 << 10))
        files.setCapacity(files.usedBytes)
        let (next, report) = try Self.start(files, rig.history)
        #expect(next.matchesHistory(report))
        #expect(next.write(.remove("a")) != nil)
    }

    // MARK: The log that fills the disk

    @Test func `a disk that the log had filled stayed so, because the log is cut behind the older snapshot`() throws {
        let (rig, _) = try Self.start(MemoryFileSystem())
        Self.overwrite(rig, keys: 20, bytes: 1_000, capacity: 1_500 << 10)
        for _ in 0..<4 where rig.log.state == .low { rig.store.poll() }
        #expect(rig.log.state == .ok)
        #expect(rig.store.snapshotStatistics.taken == 2)
        #expect(rig.set("grows", "x") != nil)
        rig.sync()
        // Both are kept, so damage of the newer one costs nothing.
        let files = rig.files.afterPowerCut(seed: 5)
        #expect(DirectoryCheck(directory: files.copy()).manifest?.snapshots.count == 2)
        files.flip(bit: 4_200 * 8, of: FileName.snapshotName(2))
        let (next, report) = try Self.start(files, rig.history)
        #expect(report.damagedSnapshots.count == 1)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    /// Low on room, with two small snapshots, and no room for a third, larger one.
    private static func withoutRoomForAThird() throws -> Rig {
        let (rig, _) = try start(MemoryFileSystem())
        for key in 0..<100 { rig.set("key\(key)", value(key, 1_000)) }
        rig.sync()
        // Two generations, and a log that is larger than both.
        for _ in 0..<2 {
            try rig.store.snapshotNow()
            rig.set("between", "1")
            rig.sync()
        }
        overwrite(rig, keys: 100, bytes: 2_600, capacity: 1_400 << 10)
        rig.files.setCapacity(rig.files.usedBytes + (150 << 10))
        return rig
    }

    @Test func `a disk that the log had filled stayed so, because there was no room for another snapshot`() throws {
        let rig = try Self.withoutRoomForAThird()
        for _ in 0..<8 where rig.log.state == .low { rig.store.poll() }
        #expect(rig.log.state == .ok)
        #expect(rig.store.options.events.take().contains { if case .olderGivenUp = $0 { true } else { false } })
        #expect(rig.set("grows", "x") != nil)
        rig.sync()
        let (next, report) = try Self.start(rig.files.afterPowerCut(seed: 5), rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `the older generation is not given up for a newer one that is damaged`() throws {
        let rig = try Self.withoutRoomForAThird()
        // The first finds no room, and the second the oldest one's.
        for _ in 0..<2 { rig.store.poll() }
        let manifest = try #require(DirectoryCheck(directory: rig.files.copy()).manifest)
        #expect(manifest.snapshots.count == 2)
        rig.files.rot(bit: 4_200 * 8, of: FileName.snapshotName(manifest.snapshots[0].number))
        rig.store.poll()
        let later = try #require(DirectoryCheck(directory: rig.files.copy()).manifest)
        #expect(later.snapshots.contains(manifest.snapshots[1]))
        let (next, report) = try Self.start(rig.files.afterPowerCut(seed: 5), rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a power cut at any call while the older generation is given up loses nothing`() throws {
        let rig = try Self.withoutRoomForAThird()
        for _ in 0..<8 where rig.log.state == .low { rig.store.poll() }
        let calls = rig.files.callCount
        let before = try Self.withoutRoomForAThird().files.callCount
        for stop in stride(from: before, through: calls, by: 3) {
            let cut = try Self.withoutRoomForAThird()
            cut.files.stop(after: stop)
            for _ in 0..<8 where cut.log.state == .low { cut.store.poll() }
            let (next, report) = try Self.start(cut.files.afterPowerCut(seed: UInt64(stop)), cut.history)
            #expect(report.reached == cut.history.last, "\(stop) calls")
            #expect(next.matchesHistory(report), "\(stop) calls")
        }
    }
}
