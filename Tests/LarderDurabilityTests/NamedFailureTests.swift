import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// Failures that other servers had, or that the simulator found in this one: one test each, named for what was wrong.
/// More of them stand where the parts are tested (docs/testing.md has the list).
@Suite("Named failures") struct NamedFailureTests {
    private static let year: Milliseconds = 365 * 86_400_000

    private func put(
        _ life: StorageLife, _ key: String, _ value: [UInt8] = [0x76], _ lifetime: LifetimeChange = .unlimited,
        _ condition: WriteCondition = .none
    ) -> WriteResult {
        let (namespace, key) = (life.store.namespaces.default, Array(key.utf8))
        return life.store.put(
            namespace, key: key.span.bytes, hash: life.store.hash(namespace, key.span.bytes), value: value.span.bytes,
            lifetime: lifetime, condition: condition, now: life.now)
    }

    private func read(_ life: StorageLife, _ key: String) -> ModelEntry? {
        life.store.entry(life.store.namespaces.default, Array(key.utf8), at: life.now)
    }

    private func refusal(_ files: MemoryFileSystem) -> PersistenceError? {
        do {
            _ = try StorageLife(files)
            return nil
        } catch {
            return error
        }
    }

    // MARK: Starts

    @Test func `a crash in the first initialisation leaves a directory that starts`() throws {
        let whole = MemoryFileSystem()
        _ = try StorageLife(whole)
        for calls in 0...whole.callCount {
            let files = MemoryFileSystem()
            files.stop(after: calls)
            _ = try? StorageLife(files)
            for seed in 0..<16 as Range<UInt64> {
                let life = try StorageLife(files.afterPowerCut(seed: seed))
                #expect(put(life, "key").outcome == .created, "\(calls) calls, seed \(seed)")
            }
        }
    }

    @Test func `a crash between the manifest and the removal of what it no longer names leaves everything that it names`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        for round in 0..<3 {
            _ = put(life, "key", [UInt8(round)])
            life.sync()
            if round < 2 { try life.durable.snapshotNow() }
        }
        // The third snapshot drops the first and the log before the second; every call of that is a place to crash.
        let before = files.disk
        let calls = files.callCount
        try life.durable.snapshotNow()
        for stop in calls...files.callCount {
            let crashed = MemoryFileSystem(before)
            crashed.stop(after: stop - calls)
            let last = try? StorageLife(crashed)
            _ = try? last?.durable.snapshotNow()
            for seed in 0..<8 as Range<UInt64> {
                #expect(read(try StorageLife(crashed.afterPowerCut(seed: seed)), "key")?.value == [2])
            }
        }
    }

    @Test func `a start went on behind a segment whose name was not on the medium yet, and a power cut then left a gap`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "key", [1])
        life.sync()
        // The next segment gets its name, and the sync of the names fails.
        files.setFault { $0.call == .syncDirectory ? .error(SystemError.inputOutput) : nil }
        _ = put(life, "large", [UInt8](repeating: 2, count: 6_000))
        life.sync()
        #expect(life.log.state == .failed)
        for calls in 0..<40 {
            let killed = files.afterKill()
            killed.stop(after: calls)
            _ = try? StorageLife(killed)
            for seed in 0..<16 as Range<UInt64> {
                #expect(read(try StorageLife(killed.afterPowerCut(seed: seed)), "key")?.value == [1], "\(calls) calls, seed \(seed)")
            }
        }
    }

    @Test func `a lock file left by a dead process is in nobody's way`() throws {
        let files = MemoryFileSystem()
        files.setContent(FileName.lockName, Array("pid 99999\n".utf8))
        #expect(put(try StorageLife(files), "key").outcome == .created)
    }

    @Test func `a start through the manifest before a damaged one can be followed by another`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        for round in 0..<2 {
            _ = put(life, "key", [UInt8(round)])
            try life.durable.snapshotNow()
        }
        // The newer manifest has let the first segment go, which the older one still names.
        #expect(files.content(FileName.segmentName(1)) == nil)
        let rotten = files.copy()
        rotten.flip(bit: 400, of: FileName.manifestName)
        let second = try StorageLife(rotten)
        #expect(second.report.usedPreviousManifest)
        #expect(read(second, "key")?.value == [1])
        let third = try StorageLife(rotten.afterKill())
        #expect(!third.report.usedPreviousManifest)
        #expect(read(third, "key")?.value == [1])
    }

    @Test func `a kill during a start through the manifest before a damaged one made the next start refused`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        for round in 0..<2 {
            _ = put(life, "key", [UInt8(round)])
            try life.durable.snapshotNow()
        }
        files.flip(bit: 400, of: FileName.manifestName)
        for calls in 0..<60 {
            let cut = files.copy()
            cut.stop(after: calls)
            let isWhole = (try? StorageLife(cut)) != nil
            #expect(read(try StorageLife(cut.afterKill()), "key")?.value == [1], "killed after \(calls) calls")
            if isWhole { return }
        }
        Issue.record("no start came to its end")
    }

    @Test func `a manifest that the medium does not give back had nothing that stood in for it`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "key", [1])
        try life.durable.snapshotNow()
        func unreadable(_ number: Int32) -> MemoryFileSystem {
            let copy = files.copy()
            copy.setFault { $0.call == .read && $0.name == FileName.manifestName ? .error(number) : nil }
            return copy
        }
        let next = try StorageLife(unreadable(SystemError.inputOutput))
        #expect(next.report.usedPreviousManifest)
        #expect(read(next, "key")?.value == [1])
        guard case .system(_, FileName.manifestName)? = refusal(unreadable(SystemError.accessDenied)) else {
            Issue.record("what nobody may read is not known to be damaged")
            return
        }
    }

    // MARK: The log

    @Test func `a stale frame from an earlier use of a block is no frame of this segment`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "key", [1])
        life.sync()
        let old = try #require(files.content(FileName.segmentName(1)))
        let header = try SegmentHeader(parsing: old.span.bytes, file: "old")
        let stale = try #require(Array(SegmentFrames(old, header)).last)
        let next = try StorageLife(files.afterKill())
        _ = put(next, "key", [2])
        next.sync()
        guard let later = next.files as? MemoryFileSystem else { return }
        let name = FileName.segmentName(2)
        var bytes = try #require(later.content(name))
        let end = try #require(Array(SegmentFrames(bytes, SegmentHeader(parsing: bytes.span.bytes, file: name))).last).range.upperBound
        bytes.replaceSubrange(end..<(end + stale.range.count), with: old[stale.range])
        let reused = later.copy()
        reused.setContent(name, bytes)
        let last = try StorageLife(reused)
        #expect(read(last, "key")?.value == [2])
        #expect(last.report.recordsReplayed == 2)
        #expect(last.report.bytesCut > 0)
    }

    @Test func `a version from a lost tail matches nothing that comes later`() throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "key", [1])
        life.sync()
        let lost = put(life, "key", [2])
        life.endTurn()
        let cut = MemoryFileSystem(files.disk.afterPowerCut(CrashState(data: .none, names: .all)))
        // The clock is back where the lost version was given.
        let next = try StorageLife(cut, clock: ManualClock(wall: clock.wall()))
        #expect(next.report.reached < lost.lsn)
        let given = put(next, "key", [3])
        #expect(given.lsn > lost.lsn)
        #expect(put(next, "key", [4], .unlimited, .version(lost.version)).outcome == .conditionFailed)
    }

    @Test(arguments: [MemoryFileSystem.Call.write, .sync])
    func `a disk that is full during a snapshot or a manifest leaves the older ones, and serving goes on`(
        call: MemoryFileSystem.Call
    ) throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "key", [1])
        try life.durable.snapshotNow()
        files.setFault { fault in
            let isLog = fault.name.hasPrefix("wal-") || fault.name.hasPrefix("spare-")
            return fault.call == call && !isLog ? .error(SystemError.noSpace) : nil
        }
        _ = put(life, "key", [2])
        #expect(throws: PersistenceError.self) { try life.durable.snapshotNow() }
        clock.advance(milliseconds: 60_000)
        life.durable.poll()
        files.setFault(nil)
        life.durable.poll()
        life.sync()
        #expect(life.log.state == .ok)
        #expect(put(life, "key", [3]).outcome == .updated)
        life.sync()
        #expect(read(try StorageLife(files.afterPowerCut(seed: 1)), "key")?.value == [3])
        try life.durable.snapshotNow()
        #expect(read(try StorageLife(files.afterPowerCut(seed: 2)), "key")?.value == [3])
    }

    // MARK: Time

    @Test func `a start with a clock beyond all versions left none for the starts after it`() throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        let late: Milliseconds = 6_153_667_200_000
        _ = put(life, "key", [1])
        // While it runs, such a clock is not followed.
        clock.setWall(late)
        clock.advance(milliseconds: 60_000)
        life.durable.poll()
        #expect(put(life, "key", [2]).outcome == .updated)
        try life.durable.close()
        let names = try files.list()
        #expect(throws: PersistenceError.clockBeyond(clock.wall())) { try StorageLife(files, clock: clock) }
        #expect(throws: PersistenceError.clockBeyond(late)) { try StorageLife(MemoryFileSystem(), clock: ManualClock(wall: late)) }
        #expect(try files.list() == names)
        let next = try StorageLife(files, clock: ManualClock())
        #expect(read(next, "key")?.value == [2])
        #expect(put(next, "key", [3]).outcome == .updated)
    }

    @Test func `a directory without versions left was called sound, and writes to it waited for ever`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        try life.durable.close()
        let name = FileName.manifestName
        let text = try #require(files.content(name))
        var manifest = try Manifest(parsing: text.span.bytes, file: name)
        manifest.ceiling = LSN(milliseconds: .max)
        var bytes = ByteBuffer()
        manifest.append(to: &bytes)
        files.setContent(name, [UInt8](bytes.bytes))
        #expect(refusal(files) == .lsnsUsedUp(through: manifest.ceiling))
        let check = DirectoryCheck(directory: files)
        #expect(check.refusal == .lsnsUsedUp(through: manifest.ceiling))
        #expect(check.remedies.isEmpty)
    }

    @Test func `a wall clock that is set back a year does not stop writes when the reserved LSNs are used up`() throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        #expect(put(life, "key").outcome == .created)
        clock.setWall(clock.wall() - Self.year)
        for _ in 0..<300 {
            clock.advance(milliseconds: 1_000)
            life.durable.poll()
        }
        #expect(put(life, "key").outcome == .updated)
    }

    @Test func `a wall clock that is set back a year does not bring back what was due before a restart`() throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "short", [1], .milliseconds(1_000_000))
        clock.setWall(clock.wall() - Self.year)
        for _ in 0..<25 {
            clock.advance(milliseconds: 60_000)
            life.durable.poll()
            _ = life.log.step()
        }
        #expect(read(life, "short") == nil)
        let next = try StorageLife(files.afterKill(), clock: clock)
        #expect(read(next, "short") == nil)
    }

    @Test func `a wall clock that is ahead a year for a while takes no lifetime away after a restart`() throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        _ = put(life, "day", [1], .milliseconds(86_400_000))
        clock.setWall(clock.wall() + Self.year)
        _ = put(life, "other", [2])
        life.sync()
        clock.advance(milliseconds: 60_000)
        _ = life.log.step()
        clock.setWall(clock.wall() - Self.year)
        #expect(read(life, "day")?.value == [1])
        let next = try StorageLife(files.afterKill(), clock: clock)
        #expect(read(next, "day")?.value == [1])
        #expect(put(next, "day", [3]).outcome == .updated)
    }

    @Test(arguments: [-1, 1] as [Int64])
    func `a wall clock that a restart finds a year away revives nothing, takes nothing without a lifetime, and stops no writes`(
        years: Int64
    ) throws {
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock)
        guard let files = life.files as? MemoryFileSystem else { return }
        let first = put(life, "for ever", [1])
        _ = put(life, "short", [1], .milliseconds(1_000))
        life.sync()
        // The log says what time it is.
        clock.advance(milliseconds: 60_000)
        _ = life.log.step()
        let away = try StorageLife(files.afterKill(), clock: ManualClock(wall: clock.wall() + years * Self.year))
        #expect(read(away, "for ever")?.value == [1])
        #expect(read(away, "short") == nil)
        let second = put(away, "for ever", [2])
        #expect(second.outcome == .updated && second.lsn > first.lsn)
        away.sync()
        guard let there = away.files as? MemoryFileSystem else { return }
        let back = try StorageLife(there.afterKill(), clock: clock)
        #expect(read(back, "for ever")?.value == [2])
        #expect(read(back, "short") == nil)
        #expect(put(back, "for ever", [3]).lsn > second.lsn)
    }

    @Test(arguments: [9_223_372_036_000, Int64.max - 1, Int64.max])
    func `a lifetime of 292 years and more overflows nothing and survives`(milliseconds: Int64) throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        let made = put(life, "key", [1], .milliseconds(milliseconds))
        #expect(made.outcome == .created)
        #expect(made.deadline == (milliseconds == 9_223_372_036_000 ? Deadline(rawValue: life.now + milliseconds) : .latest))
        try life.durable.snapshotNow()
        #expect(read(try StorageLife(files.afterKill()), "key")?.deadline == made.deadline)
    }

    // MARK: Sizes

    @Test func `keys and values of every legal extreme survive, and one byte more is refused`() throws {
        let life = try StorageLife(MemoryFileSystem())
        guard let files = life.files as? MemoryFileSystem else { return }
        let keys = ["k", String(repeating: "k", count: 1_024)]
        let counts = [0, 1, life.store.valueBytesMax]
        func value(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x2A, count: count) }
        for round in 0..<2 {
            for key in keys {
                for count in counts {
                    #expect(put(life, key, value(count)).version > 0)
                    life.sync()
                    let next = try StorageLife(files.afterPowerCut(seed: UInt64(round)))
                    #expect(read(next, key)?.value == value(count))
                }
                #expect(put(life, key, value(life.store.valueBytesMax + 1)).outcome == .valueTooLarge)
            }
            try life.durable.snapshotNow()
        }
        #expect(read(try StorageLife(files.afterKill()), keys[1])?.value.count == life.store.valueBytesMax)
    }
}
