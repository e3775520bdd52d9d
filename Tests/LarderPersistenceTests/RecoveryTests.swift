import Foundation
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

@Suite("Recovery") struct RecoveryTests {
    /// A directory with two snapshots, log behind the newest, and a life that ended without a close.
    private func twoSnapshots() throws -> Rig {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for round in 0..<3 {
            for index in 0..<50 { rig.set("key\(index)", "round \(round) of \(index)") }
            rig.sync()
            if round < 2 { try rig.store.snapshotNow() }
        }
        rig.write(.remove("key7"))
        rig.sync()
        return rig
    }

    private func refusal(_ files: MemoryFileSystem, _ options: PersistenceOptions = Rig.options()) -> PersistenceError? {
        do {
            _ = try Rig.start(files, options: options)
            return nil
        } catch {
            return error as? PersistenceError
        }
    }

    // MARK: Starts and stops

    @Test func `an empty directory becomes a data directory, and an orderly stop is recognised`() throws {
        let clock = ManualClock()
        let (rig, report) = try Rig.start(MemoryFileSystem(), clock: clock)
        #expect(report.isNew)
        rig.set("a", "1")
        try rig.store.close()
        let (next, second) = try Rig.start(rig.files, clock: clock, history: rig.history)
        #expect(!second.isNew)
        #expect(second.wasClean)
        #expect(second.bytesCut == 0)
        #expect(next.matchesHistory(second))
        // After an orderly stop nothing can have been lost, so LSNs go on where they were.
        #expect(next.buffer.appliedLSN.milliseconds == clock.wall())
    }

    @Test func `closing is refused nothing, twice is once, and later writes are refused`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        try rig.store.close()
        try rig.store.close()
        #expect(rig.set("a", "1") == nil)
        #expect(throws: PersistenceError.notOpen) { try rig.store.snapshotNow() }
    }

    @Test func `a second opener is refused with the owner's words`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        #expect(throws: PersistenceError.locked(owner: "pid 1\n")) { try Rig(rig.files) }
        #expect(DirectoryCheck(directory: rig.files).refusal == .locked(owner: "pid 1\n"))
        try rig.store.close()
        #expect(throws: Never.self) { try Rig(rig.files) }
    }

    @Test func `a directory that cannot be written is refused, and can be checked`() throws {
        let rig = try twoSnapshots()
        try rig.store.close()
        rig.files.setReadOnly(true)
        #expect(
            refusal(rig.files) == .system(SystemError(number: SystemError.readOnly, call: "open"), file: FileName.lockName))
        #expect(DirectoryCheck(directory: rig.files).isSound)
    }

    @Test func `somebody else's directory is left alone`() {
        let files = MemoryFileSystem()
        files.setContent("holiday.jpg", [1, 2, 3])
        #expect(refusal(files) == .directoryNotEmpty(found: "holiday.jpg"))
        #expect(files.content("MANIFEST") == nil)
    }

    @Test func `a refused start left its lock file in somebody else's directory`() throws {
        let files = MemoryFileSystem()
        files.setContent("holiday.jpg", [1, 2, 3])
        _ = refusal(files)
        #expect(throws: PersistenceError.self) {
            try Rescue.run(RescueOrder(mode: .salvage, rebuildsManifest: true), directory: files, clock: ManualClock(), options: Rig.options()) {
                ModelState()
            }
        }
        #expect(try files.list() == ["holiday.jpg"])
    }

    // MARK: Manifest

    @Test func `a missing manifest beside our files is refused`() throws {
        let files = try twoSnapshots().files.copy()
        try files.remove("MANIFEST")
        let refusal = refusal(files)
        #expect(refusal == .manifestMissing(found: "MANIFEST.prev"))
        #expect(refusal?.description.contains("make an empty file of that name") == true)
    }

    @Test func `an empty manifest beside the one before it does what the refusal of a missing one promises`() throws {
        let rig = try twoSnapshots()
        let files = rig.files.copy()
        files.setContent("MANIFEST", [])
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.usedPreviousManifest)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a damaged manifest is replaced by the one before it, and both damaged is refused`() throws {
        let rig = try twoSnapshots()
        let files = rig.files.copy()
        files.flip(bit: 200, of: "MANIFEST")
        let (next, report) = try Rig.start(files.copy(), history: rig.history)
        #expect(report.usedPreviousManifest)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
        files.flip(bit: 300, of: "MANIFEST.prev")
        guard case .manifestDamaged(file: "MANIFEST", _, _)? = refusal(files) else {
            Issue.record("not refused")
            return
        }
    }

    @Test func `a newer format is refused and named`() throws {
        let files = try twoSnapshots().files.copy()
        let text = String(decoding: files.content("MANIFEST") ?? [], as: UTF8.self)
        files.setContent("MANIFEST", Array(text.replacing("larder-manifest 1", with: "larder-manifest 2").utf8))
        #expect(refusal(files) == .newerFormat(file: "MANIFEST", major: 2, known: 1))
    }

    // MARK: Segments

    @Test func `a missing segment is refused and named`() throws {
        let rig = try twoSnapshots()
        let segments = try rig.files.list().filter { $0.hasPrefix("wal-") }
        // The first is the older snapshot's.
        for name in segments.dropFirst() {
            let files = rig.files.copy()
            try files.remove(name)
            #expect(refusal(files) == .fileMissing(file: name), "without \(name)")
        }
        let all = rig.files.copy()
        for name in segments { try all.remove(name) }
        #expect(refusal(all) != nil)
    }

    @Test(arguments: ["missing", "damaged", "unreadable"])
    func `a segment that only the older snapshot needs ended starts`(_ harm: String) throws {
        let rig = try twoSnapshots()
        let files = rig.files.copy()
        let oldest = try #require(files.list().first { $0.hasPrefix("wal-") })
        switch harm {
        case "missing": try files.remove(oldest)
        case "damaged": files.flip(bit: 100, of: oldest)
        default: files.setFault { $0.call == .read && $0.name == oldest ? .error(SystemError.inputOutput) : nil }
        }
        let rotten = files.copy()
        #expect(DirectoryCheck(directory: files).olderRefusal != nil)
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.snapshot == 2)
        #expect(report.olderDamage != nil)
        #expect(next.matchesHistory(report))
        // A snapshot takes the older generation's place at once.
        next.store.poll()
        #expect(!next.store.isRotten)
        try next.store.close()
        #expect(DirectoryCheck(directory: files.copy()).isSound)
        // It is needed when the newest snapshot is damaged as well.
        if harm == "unreadable" { return }
        rotten.flip(bit: 2_000, of: FileName.snapshotName(2))
        #expect(refusal(rotten) != nil)
    }

    @Test func `a segment longer than any was called short`() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "larder-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let real = try DirectoryFileSystem(path: path)
        let files = try twoSnapshots().files.copy()
        for name in try files.list() {
            let content = try #require(files.content(name))
            try real.open(name, .create).writeAll(content.span.bytes, at: 0)
        }
        let last = try #require(files.list().last { $0.hasPrefix("wal-") })
        try real.open(last, .update).truncate(to: 2 << 30)
        #expect(DirectoryCheck(directory: real).refusal == .segmentDamaged(file: last, offset: 0, reason: .tooLong(bytes: 2 << 30)))
    }

    /// A log whose last frame, which nobody was promised, is damaged.
    private func tornTail() throws -> (rig: Rig, first: LSN?, files: MemoryFileSystem, name: String, bytes: [UInt8]) {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let first = rig.set("a", "1")
        rig.sync()
        rig.set("b", "2")
        rig.log.writeIfIdle()
        let files = rig.files.copy()
        let name = FileName.segmentName(1)
        var bytes = try #require(files.content(name))
        let end = try #require(bytes.lastIndex { $0 != 0 })
        bytes[end] ^= 0xFF
        files.setContent(name, bytes)
        return (rig, first, files, name, bytes)
    }

    @Test func `a torn tail is cut and set aside, and the log goes on behind it`() throws {
        let (rig, first, files, name, _) = try tornTail()
        let (next, report) = try Rig.start(files, clock: ManualClock(wall: 1_800_000_000_000), history: rig.history)
        #expect(report.reached == first)
        #expect(report.cutFile == name)
        #expect(report.bytesCut > 0)
        #expect(files.content("aside-1800000000000-" + name)?.count == report.bytesCut)
        #expect(next.matchesHistory(report))
        next.history.forget(after: report.reached)
        next.set("c", "3")
        next.sync()
        let (last, second) = try Rig.start(files.copy(), history: next.history)
        #expect(second.bytesCut == 0)
        #expect(last.matchesHistory(second))
    }

    @Test func `a torn tail that was set aside was only in the page cache when its segment went`() throws {
        let (rig, _, files, name, bytes) = try tornTail()
        let disks = Mutex<[SimulatedDisk]>([])
        files.setWitness { _ in disks.withLock { $0.append(files.disk) } }
        let (next, report) = try Rig.start(files, clock: ManualClock(wall: 1_800_000_000_000), history: rig.history)
        for _ in 0..<3 {
            next.set("c", "3")
            try next.store.snapshotNow()
        }
        files.setWitness(nil)
        #expect(files.content(name) == nil)
        let aside = FileName.asideName(name, at: 1_800_000_000_000)
        let kept = try #require(files.content(aside))
        #expect(kept.count == report.bytesCut)
        for disk in disks.withLock({ $0 }) {
            for state in disk.crashStates {
                let content = disk.afterPowerCut(state).content
                #expect(content[name] == bytes || content[aside] == kept, "\(state)")
            }
        }
    }

    @Test func `a hole before something that was promised is damage, and refused`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let promised = rig.set("b", "2")
        rig.sync()
        rig.idle(milliseconds: 60)
        let files = rig.files.copy()
        let name = FileName.segmentName(1)
        // A bit of the first record's frame.
        let offset = SegmentHeader.byteCount + FrameHeader.byteCount + FrameHeader.byteCount + 20
        files.flip(bit: offset * 8, of: name)
        guard case .logDamaged(file: name, let at, .payload, _, let durable)? = refusal(files) else {
            Issue.record("not refused: \(String(describing: refusal(files)))")
            return
        }
        #expect(at == SegmentHeader.byteCount + FrameHeader.byteCount)
        #expect(durable == promised)
        #expect(DirectoryCheck(directory: files).refusal != nil)
    }

    @Test func `a last segment that was cut behind its last whole frame is refused`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.copy()
        let name = FileName.segmentName(1)
        let bytes = try #require(files.content(name))
        let end = try #require(bytes.lastIndex { $0 != 0 }) + 8
        // Nothing that is left speaks of more, but there may have been.
        for count in [end, bytes.count - 1] {
            files.setContent(name, Array(bytes[..<count]))
            let expected = PersistenceError.segmentDamaged(file: name, offset: count, reason: .cut(from: UInt64(bytes.count)))
            #expect(refusal(files) == expected)
            #expect(DirectoryCheck(directory: files).refusal == expected)
        }
        let rescue = try Rescue.run(
            RescueOrder(mode: .truncate), directory: files, clock: ManualClock(), options: Rig.options()
        ) { ModelState() }
        #expect(rescue?.recordsApplied == 1)
        // What was preallocated is given back once another segment follows.
        let sound = rig.files.copy()
        _ = try Rig.start(sound, history: rig.history)
        #expect(try #require(sound.content(name)).count < bytes.count)
        #expect(refusal(sound.copy()) == nil)
    }

    @Test(arguments: [1, 7, 4_096, 100_000, 1 << 20])
    func `zeros behind the end are no tail`(count: Int) throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.copy()
        let name = FileName.segmentName(1)
        files.setContent(name, try #require(files.content(name)) + [UInt8](repeating: 0, count: count))
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.bytesCut == 0)
        #expect(next.matchesHistory(report))
    }

    // MARK: Snapshots

    @Test func `the newest snapshot and the log behind it give the whole state`() throws {
        let rig = try twoSnapshots()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.snapshot == 2)
        #expect(report.entriesLoaded == 50)
        #expect(next.matchesHistory(report))
    }

    @Test(arguments: ["header", "first block", "middle", "index", "footer", "end", "missing"])
    func `a rotten newest snapshot costs nothing but the replay from the older one`(place: String) throws {
        let rig = try twoSnapshots()
        let files = rig.files.copy()
        let name = FileName.snapshotName(2)
        let count = try #require(files.content(name)).count
        switch place {
        case "header": files.flip(bit: 300, of: name)
        case "first block": files.flip(bit: (SnapshotHeader.byteCount + SnapshotBlockHeader.byteCount + 3) * 8, of: name)
        case "middle": files.flip(bit: count * 4, of: name)
        case "index": files.flip(bit: (count - SnapshotFooter.byteCount - 10) * 8, of: name)
        case "footer": files.flip(bit: (count - 40) * 8, of: name)
        case "end": files.setContent(name, try #require(files.content(name)).dropLast())
        default: try files.remove(name)
        }
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.snapshot == 1)
        #expect(report.damagedSnapshots.map(\.file) == [name])
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test(arguments: ["first block", "middle block", "last block", "footer"])
    func `a newest snapshot of several blocks that is rotten in any of them costs nothing but the replay`(place: String) throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        var random = SeededGenerator(seed: 7)
        for _ in 0..<3 {
            for index in 0..<60 {
                // What does not shrink: blocks are closed by their size.
                rig.write(.set("key\(index)", (0..<20_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }, .never))
                rig.sync()
            }
            if rig.store.snapshotStatistics.taken < 2 { try rig.store.snapshotNow() }
        }
        let files = rig.files.copy()
        let reader = try SnapshotReader(files: files, number: 2)
        #expect(reader.index.count > 4)
        let block =
            switch place {
            case "first block": reader.index[0]
            case "middle block": reader.index[reader.index.count / 2]
            default: reader.index[reader.index.count - 1]
            }
        let byte = place == "footer" ? Int(reader.byteCount) - 40 : Int(block.offset) + SnapshotBlockHeader.byteCount + 5
        files.flip(bit: 8 * byte, of: reader.name)
        let (next, report) = try Rig.start(files, history: rig.history)
        #expect(report.snapshot == 1)
        #expect(report.damagedSnapshots.map(\.file) == [reader.name])
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a rotten snapshot stood for the older one when the next was taken`() throws {
        let rig = try twoSnapshots()
        let files = rig.files.copy()
        let rotten = FileName.snapshotName(2)
        files.flip(bit: 300, of: rotten)
        let (next, _) = try Rig.start(files, history: rig.history)
        let names = try files.list()
        #expect(!names.contains(rotten) && names.contains { $0.hasPrefix("aside-") && $0.hasSuffix(rotten) }, "\(names)")
        next.set("later", "v")
        next.sync()
        try next.store.snapshotNow()
        let newest = try #require(files.list().filter { $0.hasPrefix("snap-") }.max())
        files.flip(bit: 300, of: newest)
        let (last, report) = try Rig.start(files.copy(), history: rig.history)
        #expect(report.snapshot == 1)
        #expect(report.reached == rig.history.last)
        #expect(last.matchesHistory(report))
    }

    @Test func `with both snapshots rotten the start is refused`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for round in 0..<4 {
            rig.set("key", "\(round)")
            rig.sync()
            try rig.store.snapshotNow()
        }
        let files = rig.files.copy()
        files.flip(bit: 300, of: FileName.snapshotName(3))
        files.flip(bit: 300, of: FileName.snapshotName(4))
        guard case .snapshotsDamaged(let damaged)? = refusal(files) else {
            Issue.record("not refused: \(String(describing: refusal(files)))")
            return
        }
        #expect(damaged.map(\.file) == [FileName.snapshotName(4), FileName.snapshotName(3)])
        #expect(damaged.allSatisfy { $0.reason == .header })
    }

    @Test func `a snapshot whose end the log does not reach is not used`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for index in 0..<50 { rig.set("key\(index)", "value") }
        rig.sync()
        rig.state.interruption.withLock { $0 = (20, { rig.set("key40", "during the walk") }) }
        try rig.store.snapshotNow()
        let files = rig.files.copy()
        // The segment that the snapshot's end lies in loses all its frames.
        let name = FileName.segmentName(2)
        let header = try #require(files.content(name)).prefix(SegmentHeader.byteCount)
        files.setContent(name, header + [UInt8](repeating: 0, count: 60_000))
        guard case .logDamaged(file: name, _, .end, _, let promised)? = refusal(files) else {
            Issue.record("not refused: \(String(describing: refusal(files)))")
            return
        }
        #expect(promised == rig.history.last)
    }

    @Test func `writes during the walk are in the state after a restart, whichever way the walk met them`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for index in 10..<60 { rig.set("key\(index)", "value") }
        rig.sync()
        rig.state.interruption.withLock {
            $0 = (20, {
                rig.set("key12", "behind the walk")
                rig.set("key50", "before the walk")
                rig.write(.remove("key11"))
                rig.write(.remove("key51"))
                rig.set("key99", "new")
            })
        }
        try rig.store.snapshotNow()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(report.snapshot == 1)
        #expect(next.matchesHistory(report))
    }

    @Test func `a flush between two walks of a snapshot leaves nothing from before it`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for index in 10..<60 { rig.set("key\(index)", "value") }
        rig.sync()
        rig.state.interruption.withLock {
            $0 = (20, {
                rig.write(.flush)
                rig.set("key30", "after the flush")
            })
        }
        try rig.store.snapshotNow()
        let (next, report) = try Rig.start(rig.files.copy(), history: rig.history)
        #expect(Array(next.state.current.alive.keys) == ["key30"])
        #expect(next.matchesHistory(report))
    }

    @Test func `two generations are kept, and the log from the older one on`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for round in 0..<5 {
            rig.set("key", "\(round)")
            rig.sync()
            try rig.store.snapshotNow()
        }
        let names = try rig.files.list()
        #expect(names.filter { $0.hasPrefix("snap-") } == [FileName.snapshotName(4), FileName.snapshotName(5)])
        #expect(names.filter { $0.hasPrefix("wal-") }.count == 2)
        let (_, report) = try Rig.start(rig.files.copy())
        #expect(report.snapshot == 5)
    }

    @Test func `a snapshot that may not be opened was called damaged and set aside`() throws {
        let files = try twoSnapshots().files.afterKill()
        let name = FileName.snapshotName(2)
        files.setFault { $0.call == .open && $0.name == name ? .error(SystemError.accessDenied) : nil }
        #expect(refusal(files) == .system(SystemError(number: SystemError.accessDenied, call: "open"), file: name))
        files.setFault(nil)
        let (_, report) = try Rig.start(files)
        #expect(report.damagedSnapshots.isEmpty)
        #expect(report.snapshot == 2)
    }

    @Test func `a snapshot that the medium does not give back is damaged, and the older one stands in for it`() throws {
        let files = try twoSnapshots().files.afterKill()
        let name = FileName.snapshotName(2)
        files.setFault { $0.call == .read && $0.name == name ? .error(SystemError.inputOutput) : nil }
        let (_, report) = try Rig.start(files)
        #expect(report.damagedSnapshots.map(\.file) == [name])
        #expect(report.snapshot == 1)
    }

    @Test func `a damaged part of the log that nobody needs any more kept every snapshot from being published`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for round in 0..<2 {
            rig.set("key", "\(round)")
            rig.sync()
            try rig.store.snapshotNow()
        }
        rig.set("key", "2")
        rig.sync()
        // The header of the first segment, which the next snapshot lets go.
        let first = try #require(rig.files.list().first { $0.hasPrefix("wal-") })
        rig.files.flip(bit: 8 * 60, of: first)
        try rig.store.snapshotNow()
        #expect(try !rig.files.list().contains(first))
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.snapshot == 3)
        #expect(next.matchesHistory(report))
    }

    @Test func `a snapshot that fails leaves the old one and a server that serves`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.files.setFault { $0.name.hasPrefix("snap-") ? .error(SystemError.noSpace) : nil }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        rig.files.setFault(nil)
        #expect(rig.log.state == .ok)
        #expect(rig.store.snapshotStatistics.failed == 1)
        #expect(try rig.files.list().allSatisfy { !$0.hasSuffix(".tmp") })
        #expect(rig.set("b", "2") != nil)
        try rig.store.snapshotNow()
        #expect(rig.store.snapshotStatistics.taken == 1)
    }

    @Test(arguments: [0, 1, 3]) func `blocks that several threads compress are all in the snapshot, once`(_ threads: Int) throws {
        var options = Rig.options()
        options.snapshotThreads = threads
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        for number in 0..<600 {
            // Some 20 blocks, of which some do not shrink, and one is much longer than the others.
            let length = number == 300 ? 900_000 : 10_000
            let value = (0..<length).map { UInt8(truncatingIfNeeded: number % 3 == 0 ? ($0 &* 0x9E37 &* (number + 1)) >> 7 : number) }
            rig.write(.set("key-\(number)", value, .never))
            if number % 50 == 0 { rig.sync() }
        }
        rig.sync()
        try rig.store.snapshotNow()
        let snapshot = try #require(rig.files.list().first { $0.hasPrefix("snap-") })
        #expect(DirectoryCheck(directory: rig.files.copy()).isSound, "\(snapshot)")
        let (next, report) = try Rig.start(rig.files.copy(), options: options)
        #expect(report.entriesLoaded == 600)
        #expect(next.state.current.alive.mapValues(\.value) == rig.state.current.alive.mapValues(\.value))
        // A fault on the way ends the threads as well, or this would not end.
        rig.files.setFault { $0.name.hasPrefix("snap-") ? .error(SystemError.noSpace) : nil }
        #expect(throws: PersistenceError.self) { try rig.store.snapshotNow() }
        rig.files.setFault(nil)
        try rig.store.snapshotNow()
        #expect(rig.store.snapshotStatistics.lastEntries == 600)
    }

    @Test func `a snapshot is taken when the log has grown, or time has passed with a change`() throws {
        var options = Rig.options()
        options.snapshotLogBytes = 10_000
        options.snapshotMilliseconds = 60_000
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 0)
        rig.set("a", String(repeating: "x", count: 10_000))
        rig.sync()
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 1)
        rig.clock.advance(milliseconds: 60_000)
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 1)
        rig.set("b", "2")
        rig.sync()
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 2)
    }

    // MARK: Time

    @Test func `an expired set hides a longer-lived value of the snapshot`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let now = rig.clock.wall()
        rig.set("key", "lives long", deadline: Deadline.after(3_600_000, now: now))
        rig.sync()
        try rig.store.snapshotNow()
        rig.set("key", "lives a second", deadline: Deadline.after(1_000, now: now))
        rig.sync()
        let (next, _) = try Rig.start(rig.files.copy())
        #expect(next.state.current.alive(at: now + 5_000) == [])
    }

    @Test func `a key set for a second and prolonged to an hour is there after five seconds`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        let now = rig.clock.wall()
        rig.set("key", "value", deadline: Deadline.after(1_000, now: now))
        rig.write(.deadline("key", Deadline.after(3_600_000, now: now)))
        rig.sync()
        let (next, _) = try Rig.start(rig.files.copy(), clock: ManualClock(wall: now + 5_000))
        #expect(next.state.current.alive(at: now + 5_000) == ["key"])
    }

    @Test func `LSNs are reserved ahead of the clock, also while nothing is written`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for _ in 0..<300 {
            rig.clock.advance(milliseconds: 1_000)
            rig.store.poll()
            #expect(rig.buffer.ceiling.milliseconds - rig.clock.wall() >= 5_000)
        }
        #expect(rig.set("a", "1") != nil)
    }

    @Test func `a clock that was set back before an orderly restart stopped writes`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("a", "1")
        rig.sync()
        rig.clock.advance(milliseconds: 3_600_000)
        _ = rig.log.step()
        try rig.store.close()
        let wall = rig.clock.wall() - 365 * 86_400_000
        let (next, _) = try Rig.start(rig.files.copy(), clock: ManualClock(wall: wall), history: rig.history)
        #expect(next.set("a", "2") != nil)
    }

    @Test func `a clock that jumps ahead of the ceiling only delays writes`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.clock.advance(milliseconds: 365 * 86_400_000)
        #expect(rig.set("a", "1") == nil)
        rig.store.poll()
        #expect(rig.set("a", "1") != nil)
    }
}
