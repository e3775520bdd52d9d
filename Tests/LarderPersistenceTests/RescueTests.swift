import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// Directories that a start refuses, and what an operator can have done about them.
@Suite("Rescue") struct RescueTests {
    /// A directory with two snapshots, or none, and a log of several segments: `key0` to `key59`, then removals of every tenth.
    func directory(hasSnapshots: Bool = true) throws -> (files: MemoryFileSystem, history: History, given: LSN) {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        for index in 0..<60 {
            rig.set("key\(index)", String(repeating: "v", count: 300))
            rig.sync()
            if hasSnapshots, index == 20 || index == 40 { try rig.store.snapshotNow() }
        }
        for index in stride(from: 0, to: 60, by: 10) { rig.write(.remove("key\(index)")) }
        rig.sync()
        return (rig.files.copy(), rig.history, rig.buffer.appliedLSN)
    }

    func rescue(_ files: MemoryFileSystem, _ mode: RescueMode?, rebuild: Bool = false) throws -> RescueReport? {
        try Rescue.run(
            RescueOrder(mode: mode, rebuildsManifest: rebuild), directory: files, clock: ManualClock(), options: Rig.options()
        ) { ModelState() }
    }

    func segments(_ files: MemoryFileSystem) throws -> [String] { try files.list().filter { $0.hasPrefix("wal-") } }
    func snapshots(_ files: MemoryFileSystem) throws -> [String] { try files.list().filter { $0.hasPrefix("snap-") } }

    func refusal(_ files: MemoryFileSystem) -> PersistenceError? {
        do {
            _ = try Rig.start(files.copy())
            return nil
        } catch {
            return error as? PersistenceError
        }
    }

    /// Starts, sees that it works and that no LSN is given twice, and gives the keys that are there.
    func keys(_ files: MemoryFileSystem, after given: LSN) throws -> Set<String> {
        let (rig, _) = try Rig.start(files)
        let keys = Set(rig.state.current.alive.keys)
        #expect(rig.buffer.appliedLSN >= given)
        rig.set("after", "1")
        rig.sync()
        let (next, _) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(Set(next.state.current.alive.keys) == keys.union(["after"]))
        #expect(DirectoryCheck(directory: rig.files.copy()).refusal == nil)
        return keys
    }

    /// Everything of the old state is still there, byte for byte.
    private func expectAside(_ old: MemoryFileSystem, in files: MemoryFileSystem, _ report: RescueReport) throws {
        for name in try old.list() {
            switch FileName(name) {
            case .manifest, .previousManifest, .segment, .snapshot:
                let aside = try #require(report.aside.first { $0.hasSuffix("-\(name)") }, "\(name) is not kept")
                #expect(files.content(aside) == old.content(name), "\(name)")
            default: break
            }
        }
    }

    @Test func `a directory that is sound is left alone, whatever was allowed`() throws {
        let (files, _, _) = try directory()
        let before = files.disk.content
        for mode in RescueMode.allCases {
            #expect(try rescue(files, mode, rebuild: true) == nil)
            #expect(files.disk.content.filter { $0.key != FileName.lockName } == before.filter { $0.key != FileName.lockName })
        }
        #expect(try rescue(MemoryFileSystem(), .salvage, rebuild: true) == nil)
    }

    @Test func `what is damaged is refused as before when nothing was allowed for it`() throws {
        let (files, _, _) = try directory()
        let name = try #require(segments(files).dropLast().last)
        files.flip(bit: 8 * 5_000, of: name)
        let before = files.disk.content
        #expect(throws: PersistenceError.self) { try rescue(files, nil, rebuild: true) }
        #expect(files.disk.content.filter { $0.key != FileName.lockName } == before.filter { $0.key != FileName.lockName })
    }

    @Test func `a flipped bit in the log: a prefix, or all but one record`() throws {
        let (whole, history, given) = try directory()
        let name = try #require(segments(whole).dropLast().last)
        let position = 5_000
        for mode in RescueMode.allCases {
            let files = whole.copy()
            files.flip(bit: 8 * position, of: name)
            let damaged = files.copy()
            #expect(refusal(files) != nil)
            let report = try #require(try rescue(files, mode))
            try expectAside(damaged, in: files, report)
            let keys = try keys(files, after: given)
            let all = Set(history.content(through: history.last).alive.keys)
            switch mode {
            case .truncate:
                #expect(keys == Set(history.content(through: report.reached).alive.keys))
                #expect(report.reached < history.last)
                #expect(report.losses.count == 1)
            case .salvage:
                #expect(keys.isSubset(of: all) && keys.count >= all.count - 1, "\(all.subtracting(keys)), \(report.losses)")
                #expect(!report.losses.isEmpty)
            }
        }
    }

    @Test func `both snapshots are damaged: what is whole of the newest, and the log`() throws {
        let (whole, history, given) = try directory()
        for name in try snapshots(whole) {
            let count = try #require(whole.content(name)).count
            whole.flip(bit: 8 * (count / 2), of: name)
        }
        #expect(refusal(whole) != nil)
        #expect(throws: PersistenceError.self) { try rescue(whole.copy(), .truncate) }
        let files = whole.copy()
        let report = try #require(try rescue(files, .salvage))
        let keys = try keys(files, after: given)
        #expect(keys.isSubset(of: Set(history.content(through: history.last).alive.keys)))
        // The log from the older snapshot on is there.
        #expect(keys.contains("key59") && keys.contains("key25"))
        #expect(report.losses.contains { $0.contains("snap-") }, "\(report.losses)")
    }

    @Test func `a segment is missing: the log before it, or everything else`() throws {
        let (whole, history, given) = try directory()
        let name = try #require(segments(whole).dropLast().last)
        try whole.remove(name)
        #expect(refusal(whole) == .fileMissing(file: name))
        for mode in RescueMode.allCases {
            let files = whole.copy()
            let report = try #require(try rescue(files, mode))
            let keys = try keys(files, after: given)
            if mode == .truncate { #expect(keys == Set(history.content(through: report.reached).alive.keys)) }
            #expect(keys.contains("key59") == (mode == .salvage))
            #expect(!report.losses.isEmpty)
        }
    }

    @Test func `the header of a segment is damaged: its frames are found without it`() throws {
        let (whole, history, given) = try directory()
        let name = try #require(segments(whole).last)
        whole.flip(bit: 8 * 30, of: name)
        #expect(refusal(whole) != nil)
        for mode in RescueMode.allCases {
            let files = whole.copy()
            _ = try #require(try rescue(files, mode))
            let keys = try keys(files, after: given)
            if mode == .salvage { #expect(keys == Set(history.content(through: history.last).alive.keys)) }
        }
    }

    @Test func `what an earlier start has cut off the log is not brought back`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        rig.set("kept", "1")
        rig.sync()
        rig.set("cut", "2")
        rig.log.writeIfIdle()
        let cut = MemoryFileSystem(rig.files.disk.afterPowerCut(CrashState(data: .none, names: .all)))
        // The frame gets to the medium after all, behind the back of the start that has cut it.
        let written = try #require(rig.files.content(FileName.segmentName(1)))
        let (next, report) = try Rig.start(cut, history: rig.history)
        #expect(report.reached < rig.history.last)
        next.set("later", "3")
        next.sync()
        let files = next.files.copy()
        files.setContent(FileName.segmentName(1), written)
        #expect(refusal(files) == nil)
        files.flip(bit: 8 * 4_100, of: FileName.segmentName(1))
        #expect(refusal(files) != nil)
        _ = try #require(try rescue(files, .salvage))
        let keys = try keys(files, after: next.buffer.appliedLSN)
        #expect(!keys.contains("cut"))
        #expect(keys.contains("later"))
    }

    // MARK: Manifests

    @Test(arguments: ["missing", "both missing", "both damaged"])
    func `no manifest can be read: one is made from the other files`(kind: String) throws {
        let (whole, history, given) = try directory()
        let files = whole.copy()
        switch kind {
        case "missing": try files.remove(FileName.manifestName)
        case "both missing":
            try files.remove(FileName.manifestName)
            try files.remove(FileName.previousManifestName)
        default:
            files.flip(bit: 100, of: FileName.manifestName)
            files.flip(bit: 100, of: FileName.previousManifestName)
        }
        let damaged = files.copy()
        #expect(refusal(files) != nil)
        let check = DirectoryCheck(directory: files.copy())
        #expect(check.remedies.map(\.order) == [RescueOrder(rebuildsManifest: true)])
        #expect(throws: PersistenceError.self) { try rescue(files.copy(), .salvage) }
        let report = try #require(try rescue(files, nil, rebuild: true))
        #expect(report.rebuiltManifest)
        try expectAside(damaged, in: files, report)
        #expect(try keys(files, after: given) == Set(history.content(through: history.last).alive.keys))
    }

    @Test func `the start after a manifest was made anew cut the segment that had been set aside with the one that was used`() throws {
        let (files, history, _) = try directory()
        for name in [FileName.manifestName, FileName.previousManifestName] { try files.remove(name) }
        let report = try #require(try rescue(files, nil, rebuild: true))
        let kept = report.aside.map { (name: $0, content: files.content($0)) }
        #expect(kept.contains { $0.name.contains("-wal-") })
        _ = try Rig.start(files, history: history)
        for file in kept { #expect(files.content(file.name) == file.content, "\(file.name)") }
    }

    @Test func `a rescue that only made the manifest anew said that it kept no entries`() throws {
        let (files, _, _) = try directory()
        try files.remove(FileName.manifestName)
        let check = DirectoryCheck(directory: files.copy())
        var report = try #require(try rescue(files, nil, rebuild: true))
        #expect(report.entriesLoaded == 41)
        // But for the names it is what the check promises.
        report.aside = []
        #expect(check.remedies.map(\.report) == [report])
    }

    @Test func `a directory without its manifest was taken for somebody else's when a ballast was there`() throws {
        var options = Rig.options()
        options.ballastBytes = 10_000
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: options)
        rig.set("a", "1")
        rig.sync()
        let files = rig.files.copy()
        for name in [FileName.manifestName, FileName.previousManifestName] { try files.remove(name) }
        #expect(refusal(files) == .manifestMissing(found: FileName.spareName(2)))
    }

    @Test func `no manifest and a damaged log: both are mended together`() throws {
        let (whole, history, given) = try directory()
        try whole.remove(FileName.manifestName)
        try whole.remove(FileName.previousManifestName)
        whole.flip(bit: 8 * 5_000, of: try #require(segments(whole).dropLast().last))
        #expect(throws: PersistenceError.self) { try rescue(whole.copy(), nil, rebuild: true) }
        #expect(DirectoryCheck(directory: whole.copy()).remedies.map(\.order) == RescueMode.allCases.map {
            RescueOrder(mode: $0, rebuildsManifest: true)
        })
        _ = try #require(try rescue(whole, .salvage, rebuild: true))
        #expect(try keys(whole, after: given).count >= history.content(through: history.last).alive.count - 1)
    }

    @Test func `a directory of which the newest segment cannot be read gets no manifest that forgets it`() throws {
        let (files, _, _) = try directory()
        let name = try #require(segments(files).last)
        files.flip(bit: 8 * 30, of: name)
        try files.remove(FileName.manifestName)
        try files.remove(FileName.previousManifestName)
        #expect(throws: PersistenceError.segmentDamaged(file: name, offset: 0, reason: .header)) { try rescue(files, nil, rebuild: true) }
    }

    @Test func `a manifest that was made anew had versions given twice that a power cut had taken`() throws {
        let clock = ManualClock()
        let (rig, _) = try Rig.start(MemoryFileSystem(), clock: clock)
        rig.set("a", "1")
        rig.sync()
        // What the segment says of the LSNs to come is long out of date, and the manifests that say more are about to go.
        clock.advance(milliseconds: 9_000)
        rig.store.poll()
        clock.advance(milliseconds: 9_000)
        rig.store.poll()
        let lost = try #require(rig.set("b", "2"))
        rig.log.writeIfIdle()
        let cut = MemoryFileSystem(rig.files.disk.afterPowerCut(CrashState(data: .none, names: .all)))
        for name in [FileName.manifestName, FileName.previousManifestName] { try cut.remove(name) }
        // And the clock is back where the server was first started.
        _ = try #require(try rescue(cut, nil, rebuild: true))
        let (next, report) = try Rig.start(cut)
        #expect(report.reached < lost)
        #expect(try #require(next.set("c", "3")) > lost)
    }

    @Test(arguments: [RescueMode?.none, .truncate, .salvage])
    func `a power cut in a rescue took files that had no second name on the medium yet`(mode: RescueMode?) throws {
        let (whole, _, _) = try directory()
        if mode == nil {
            whole.flip(bit: 100, of: FileName.manifestName)
            whole.flip(bit: 100, of: FileName.previousManifestName)
        } else {
            whole.flip(bit: 8 * 5_000, of: try #require(segments(whole).dropLast().last))
        }
        let old = whole.disk.content.filter { name, _ in
            switch FileName(name) {
            case .manifest, .previousManifest, .segment, .snapshot: true
            default: false
            }
        }
        let files = whole.copy()
        let disks = Mutex<[SimulatedDisk]>([])
        files.setWitness { _ in disks.withLock { $0.append(files.disk) } }
        _ = try #require(try rescue(files, mode, rebuild: mode == nil))
        files.setWitness(nil)
        for (call, disk) in disks.withLock({ $0 }).enumerated() {
            for state in disk.crashStates {
                let content = disk.afterPowerCut(state).content
                for (name, bytes) in old {
                    let isThere = content.contains { ($0.key == name || $0.key.hasSuffix("-" + name)) && $0.value == bytes }
                    #expect(isThere, "\(name) after call \(call), \(state)")
                }
            }
        }
    }

    @Test func `a power cut at any call of a rescue leaves a directory that can be rescued`() throws {
        let (whole, history, given) = try directory()
        whole.flip(bit: 8 * 5_000, of: try #require(segments(whole).dropLast().last))
        let counted = whole.copy()
        let report = try #require(try rescue(counted, .truncate))
        let expected = Set(history.content(through: report.reached).alive.keys)
        for stop in 0...counted.callCount {
            for seed in 0..<4 as Range<UInt64> {
                let files = whole.copy()
                files.stop(after: stop)
                _ = try? rescue(files, .truncate)
                let cut = files.afterPowerCut(seed: seed)
                _ = try rescue(cut, .truncate)
                #expect(try keys(cut, after: given) == expected, "\(stop) calls, seed \(seed)")
            }
        }
    }

    @Test(arguments: [false, true])
    func `a rescue that was cut off could not be given again, or gave less then`(hasSnapshots: Bool) throws {
        let (whole, _, given) = try directory(hasSnapshots: hasSnapshots)
        whole.flip(bit: 8 * 5_000, of: try #require(segments(whole).dropLast().last))
        for name in [FileName.manifestName, FileName.previousManifestName] { try whole.remove(name) }
        let counted = whole.copy()
        _ = try #require(try rescue(counted, .truncate, rebuild: true))
        let truncated = try keys(counted.copy(), after: given)
        let other = whole.copy()
        _ = try #require(try rescue(other, .salvage, rebuild: true))
        let salvaged = try keys(other, after: given)
        #expect(truncated.count < salvaged.count)
        var completed = 0
        for stop in 0...counted.callCount {
            for seed in 0..<3 as Range<UInt64> {
                let files = whole.copy()
                files.stop(after: stop)
                _ = try? rescue(files, .truncate, rebuild: true)
                let cut = seed == 0 ? files.afterKill() : files.afterPowerCut(seed: seed)
                // A directory that a start takes is that of a rescue that had come to its end.
                let isComplete = refusal(cut) == nil
                _ = try rescue(cut, .salvage, rebuild: true)
                #expect(try keys(cut, after: given) == (isComplete ? truncated : salvaged), "\(stop) calls, seed \(seed)")
                if isComplete { completed += 1 }
            }
        }
        #expect(completed < counted.callCount)
    }

    // MARK: Room

    @Test func `a rescue on a full disk left drafts and more names at each attempt`() throws {
        let (files, history, given) = try directory()
        files.flip(bit: 8 * 5_000, of: try #require(segments(files).dropLast().last))
        // As a server leaves it that was killed.
        files.setContent(FileName.temporaryName(FileName.snapshotName(7)), [1, 2, 3])
        let before = Set(try files.list())
        files.setCapacity(files.usedBytes + 1_000)
        var left: Set<String> = []
        for attempt in 0..<3 {
            #expect(throws: PersistenceError.self) { try rescue(files, .salvage) }
            let names = Set(try files.list())
            #expect(!names.contains { $0.hasSuffix(".tmp") }, "\(names)")
            #expect(names.filter { !$0.hasPrefix("aside-") }.isSubset(of: before), "\(names)")
            if attempt > 0 { #expect(names == left) }
            left = names
        }
        files.setCapacity(.max)
        let damaged = files.copy()
        let report = try #require(try rescue(files, .salvage))
        try expectAside(damaged, in: files, report)
        #expect(try files.list().count { $0.hasPrefix("aside-") } == report.aside.count)
        #expect(try keys(files, after: given).count >= history.content(through: history.last).alive.count - 1)
    }

    @Test func `a rescue on a full disk did not take the room of the ballast`() throws {
        let (files, _, given) = try directory()
        files.flip(bit: 8 * 5_000, of: try #require(segments(files).dropLast().last))
        files.setContent(FileName.ballastName, [UInt8](repeating: 0, count: 50_000))
        files.setCapacity(files.usedBytes)
        _ = try #require(try rescue(files, .salvage))
        #expect(files.content(FileName.ballastName) == nil)
        files.setCapacity(.max)
        #expect(try keys(files, after: given).count > 50)
    }
}
