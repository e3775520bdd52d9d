import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// Files at rest are read again while memory still holds what they should.
@Suite("Scrub") struct ScrubTests {
    private static let day: Milliseconds = 86_400_000

    private static func options() -> PersistenceOptions {
        var options = Rig.options(segmentBytes: 8_192)
        options.snapshotMilliseconds = 0
        return options
    }

    /// A life with two snapshots, several segments behind the older one, and a keeper that has begun to count the day.
    private func life(_ options: PersistenceOptions = Self.options()) throws -> Rig {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        rig.store.poll()
        for index in 0..<60 {
            rig.set("key\(index)", String(repeating: "v", count: 500))
            rig.sync()
            if index == 20 || index == 40 { try rig.store.snapshotNow() }
        }
        _ = rig.store.options.events.take()
        return rig
    }

    private func names(_ rig: Rig, _ prefix: String) throws -> [String] { try rig.files.list().filter { $0.hasPrefix(prefix) } }

    private func told(_ rig: Rig) -> [String] { rig.store.options.events.take().map(\.description) }

    /// What was found has been replaced, and starts find everything, with the newest snapshot and with the one before it.
    private func expectSound(_ rig: Rig) throws {
        #expect(!rig.store.isRotten)
        #expect(rig.store.troubles == [])
        #expect(DirectoryCheck(directory: rig.files.copy()).isSound)
        rig.set("later", "x")
        rig.sync()
        let newest = try #require(names(rig, "snap-").last)
        let files = rig.files.afterPowerCut(seed: 1)
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.damagedSnapshots.isEmpty && report.reached == rig.history.last)
        #expect(report.snapshot.map { FileName.snapshotName($0) } == newest)
        #expect(next.matchesHistory(report))
    }

    @Test(arguments: [0, 1], ["header", "namespaces", "entries", "index", "footer"])
    func `rot in a snapshot is found and told, and a new snapshot takes its place`(which: Int, place: String) throws {
        let rig = try life()
        let before = try names(rig, "snap-")
        let name = before[which]
        let reader = try SnapshotReader(files: rig.files, number: UInt32(which + 1))
        let byte =
            switch place {
            case "header": 30
            case "namespaces": Int(reader.index[0].offset) + SnapshotBlockHeader.byteCount
            case "entries": Int(reader.index[1].offset) + SnapshotBlockHeader.byteCount + 7
            case "index": Int(reader.byteCount) - SnapshotFooter.byteCount - 9
            default: Int(reader.byteCount) - 40
            }
        rig.files.rot(bit: 8 * byte, of: name)
        rig.clock.advance(milliseconds: Self.day - 1)
        rig.store.poll()
        #expect(rig.store.scrubStatistics == ScrubStatistics.none)
        rig.clock.advance(milliseconds: 1)
        rig.store.poll()
        #expect(rig.store.scrubStatistics.errors == 1)
        #expect(rig.store.scrubStatistics.lastWall == rig.clock.wall())
        let told = told(rig)
        #expect(told.contains { $0.hasPrefix("ROT: \(name) is damaged at byte") && $0.contains("[event=rot file=\(name) offset=") }, "\(told)")
        #expect(told.contains { $0.hasPrefix("rot is mended: snapshot 3") }, "\(told)")
        #expect(try names(rig, "snap-") == [before[1 - which], FileName.snapshotName(3)])
        try expectSound(rig)
        // The sound one still stands in for the new one, with the log behind it.
        rig.files.rot(bit: 300, of: FileName.snapshotName(3))
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 2), history: rig.history)
        #expect(report.snapshot == UInt32(2 - which))
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test(arguments: ["header", "frame", "payload"])
    func `rot in a closed part of the log is found, and a new snapshot lets it go`(place: String) throws {
        let rig = try life()
        let name = try #require(names(rig, "wal-").dropFirst().first)
        let byte = place == "header" ? 60 : SegmentHeader.byteCount + (place == "frame" ? 30 : FrameHeader.byteCount + 50)
        rig.files.rot(bit: 8 * byte, of: name)
        // A start would be refused, or one that had to do without the newest snapshot.
        let check = DirectoryCheck(directory: rig.files.copy())
        #expect(check.refusal != nil || check.olderRefusal != nil)
        rig.clock.advance(milliseconds: Self.day)
        rig.store.poll()
        #expect(rig.store.scrubStatistics.errors == 1)
        #expect(told(rig).contains { $0.hasPrefix("ROT: \(name) is damaged at byte") })
        #expect(try !names(rig, "wal-").contains(name))
        #expect(try names(rig, "snap-") == [FileName.snapshotName(3)])
        try expectSound(rig)
        // The next snapshot makes two generations again.
        try rig.store.snapshotNow()
        #expect(try names(rig, "snap-").count == 2)
        try expectSound(rig)
    }

    @Test func `rot that cannot be mended yet is not forgotten`() throws {
        let rig = try life()
        rig.files.rot(bit: 300, of: FileName.snapshotName(2))
        rig.files.setFault { $0.call == .open && $0.name == "snap-0000000003.tmp" ? .error(SystemError.noSpace) : nil }
        rig.clock.advance(milliseconds: Self.day)
        rig.store.poll()
        #expect(rig.store.isRotten)
        #expect(rig.store.troubles == ["rot"])
        rig.files.setFault(nil)
        rig.clock.advance(milliseconds: 59_999)
        rig.store.poll()
        #expect(rig.store.isRotten)
        rig.clock.advance(milliseconds: 1)
        rig.store.poll()
        try expectSound(rig)
    }

    @Test func `a read that fails because of the medium is rot, and one that fails otherwise is not`() throws {
        for (number, errors) in [(SystemError.inputOutput, 1), (SystemError.noSpace, 0)] {
            let rig = try life()
            rig.files.setFault { $0.call == .read && $0.name == FileName.snapshotName(1) ? .error(number) : nil }
            rig.clock.advance(milliseconds: Self.day)
            rig.store.poll()
            #expect(rig.store.scrubStatistics.errors == errors)
            #expect(rig.store.snapshotStatistics.taken == 2 + errors)
            let told = told(rig)
            #expect(told.contains { $0.contains(FileName.snapshotName(1)) && $0.contains("tried in the next round") == (errors == 0) }, "\(told)")
        }
    }

    @Test func `no more is read in a second than may be, and all of it in the end`() throws {
        var options = Self.options()
        options.scrubBytesPerSecond = 1_000
        let rig = try life(options)
        let atRest = try names(rig, "snap-") + names(rig, "wal-").dropLast()
        let size = atRest.compactMap { rig.files.content($0)?.count }.reduce(0, +)
        rig.clock.advance(milliseconds: Self.day)
        var seconds: Int64 = 0
        while rig.store.scrubStatistics.lastWall == 0, seconds < 10_000 {
            rig.store.poll()
            // A piece that has been begun is read to its end.
            #expect(rig.store.scrubStatistics.bytes <= (seconds + 1) * 1_000 + (256 << 10))
            rig.clock.advance(milliseconds: 1_000)
            seconds += 1
        }
        #expect(seconds > 10)
        #expect(rig.store.scrubStatistics.errors == 0)
        #expect(rig.store.scrubStatistics.bytes > 10_000 && rig.store.scrubStatistics.bytes <= size)
        #expect(rig.store.snapshotStatistics.taken == 2)
        // And another round a day later.
        let bytes = rig.store.scrubStatistics.bytes
        rig.clock.advance(milliseconds: Self.day)
        rig.store.poll()
        #expect(rig.store.scrubStatistics.bytes > bytes)
    }

    @Test func `without scrubbing nothing is read again`() throws {
        var options = Self.options()
        options.scrubMilliseconds = 0
        let rig = try life(options)
        let reads = Mutex(0)
        rig.files.setFault { occurrence in
            if occurrence.call == .read { reads.withLock { $0 += 1 } }
            return nil
        }
        for _ in 0..<10 {
            rig.clock.advance(milliseconds: Self.day)
            rig.store.poll()
        }
        #expect(reads.withLock { $0 } == 0)
    }

    @Test func `a power cut at any call while rot is mended loses nothing`() throws {
        for name in [FileName.snapshotName(1), FileName.snapshotName(2)] {
            func mend(_ rig: Rig) {
                rig.files.rot(bit: 300, of: name)
                rig.clock.advance(milliseconds: Self.day)
                rig.store.poll()
            }
            let whole = try life()
            let before = whole.files.callCount
            mend(whole)
            for stop in 0...(whole.files.callCount - before) {
                let rig = try life()
                rig.files.stop(after: before + stop)
                mend(rig)
                for seed in 0..<4 as Range<UInt64> {
                    let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: seed), history: rig.history)
                    #expect(report.reached == rig.history.last, "\(name), \(stop) calls, seed \(seed)")
                    #expect(next.matchesHistory(report), "\(name), \(stop) calls, seed \(seed)")
                }
            }
        }
    }
}

extension ScrubStatistics {
    /// As before the first round.
    fileprivate static let none = ScrubStatistics()
}
