import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// What `larder check` calls sound: everything that a manifest names, whether a start would read it today or not.
@Suite("Directory check") struct DirectoryCheckTests {
    /// A directory that was closed in order, with so many snapshots.
    private static func closed(snapshots: Int) throws -> MemoryFileSystem {
        let (rig, _) = try Rig.start(MemoryFileSystem())
        for round in 0..<(snapshots + 1) {
            for key in 0..<20 { rig.set("key\(key)", "round \(round)") }
            rig.sync()
            if round < snapshots { try rig.store.snapshotNow() }
        }
        try rig.store.close()
        return rig.files.copy()
    }

    private static func lastSegment(_ files: MemoryFileSystem) throws -> String {
        try #require(files.list().last { $0.hasPrefix("wal-") })
    }

    @Test(arguments: [0, 1, 2]) func `a directory that was closed in order is sound`(snapshots: Int) throws {
        let check = try DirectoryCheck(directory: Self.closed(snapshots: snapshots))
        #expect(check.isSound)
        #expect(check.endDamage == nil && check.olderRefusal == nil)
    }

    @Test func `a log that was damaged before the only snapshot was called sound`() throws {
        let files = try Self.closed(snapshots: 1)
        files.flip(bit: (SegmentHeader.byteCount + 200) * 8, of: FileName.segmentName(1))
        let check = DirectoryCheck(directory: files)
        #expect(check.refusal == nil)
        #expect(check.olderRefusal != nil)
        #expect(!check.isSound)
        // It is what would stand in for the snapshot.
        let bytes = try #require(files.content(FileName.snapshotName(1)))
        files.flip(bit: (bytes.count - 10) * 8, of: FileName.snapshotName(1))
        #expect(throws: PersistenceError.self) { try Rig.start(files) }
    }

    @Test func `a snapshot that stands alone, as after healing, is sound`() throws {
        let rig = try Rig.failed()
        rig.store.poll()
        rig.clock.advance(milliseconds: 1_000)
        rig.store.poll()
        #expect(rig.log.state == .ok)
        let check = DirectoryCheck(directory: rig.files.copy())
        #expect(check.manifest?.snapshots.count == 1)
        #expect(check.isSound)
    }

    @Test func `the last frame of an orderly stop was missed by nobody`() throws {
        let files = try Self.closed(snapshots: 0)
        let name = try Self.lastSegment(files)
        let bytes = try #require(files.content(name))
        let end = try #require(bytes.lastIndex { $0 != 0 })
        for place in [end, end - 30] {
            let copy = files.copy()
            copy.flip(bit: place * 8, of: name)
            let check = DirectoryCheck(directory: copy)
            #expect(check.refusal == nil)
            #expect(check.endDamage != nil, "flipped at \(place)")
            #expect(!check.isSound)
        }
        let cut = files.copy()
        cut.setContent(name, Array(bytes[..<(end - 60)]) + [UInt8](repeating: 0, count: bytes.count - end + 60))
        #expect(DirectoryCheck(directory: cut).endDamage != nil)
    }

    @Test func `a manifest before the current one that is damaged or gone was missed by nobody`() throws {
        let name = FileName.previousManifestName
        let whole = try Self.closed(snapshots: 2)
        let damaged = whole.copy()
        damaged.flip(bit: 300, of: name)
        let gone = whole.copy()
        try gone.remove(name)
        #expect(DirectoryCheck(directory: gone).previousDamage == .fileMissing(file: name))
        for files in [damaged, gone] {
            let check = DirectoryCheck(directory: files)
            #expect(check.refusal == nil && check.previousDamage != nil && !check.isSound)
        }
    }

    @Test func `the first manifest of all has none before it`() throws {
        let files = MemoryFileSystem()
        // Before the second one.
        files.stop(after: 8)
        _ = try? Rig.start(files)
        let left = files.afterKill()
        #expect(left.content(FileName.manifestName) != nil && left.content(FileName.previousManifestName) == nil)
        #expect(DirectoryCheck(directory: left).previousDamage == nil)
    }

    @Test func `of files that nobody may open it was said that they are damaged, and to be rescued`() throws {
        let whole = try Self.closed(snapshots: 2)
        let last = try Self.lastSegment(whole)
        let refused = SystemError(number: SystemError.accessDenied, call: "open")
        for name in [last, FileName.snapshotName(1)] {
            let files = whole.copy()
            files.setFault { $0.call == .open && $0.name == name ? .error(SystemError.accessDenied) : nil }
            let check = DirectoryCheck(directory: files)
            #expect(!check.isSound && !check.findings.isEmpty)
            for finding in check.findings { #expect(finding == .system(refused, file: name)) }
            #expect(check.findings[0].description.contains("belong to the user"))
            #expect(check.remedies.isEmpty)
            #expect((check.refusal == nil) == (name != last))
        }
    }

    @Test func `a start that was cut off after an orderly stop leaves a sound directory`() throws {
        let files = try Self.closed(snapshots: 1)
        for stop in 0..<30 {
            let cut = files.copy()
            cut.stop(after: stop)
            _ = try? Rig.start(cut)
            for left in [cut.afterKill(), cut.afterPowerCut(seed: UInt64(stop))] {
                let check = DirectoryCheck(directory: left)
                #expect(check.refusal == nil && check.endDamage == nil, "\(stop) calls: \(String(describing: check.endDamage))")
            }
        }
    }
}
