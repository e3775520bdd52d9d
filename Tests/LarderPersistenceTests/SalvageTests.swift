import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// What is taken of a damaged directory, and what is said of the rest.
extension RescueTests {
    @Test(arguments: [false, true])
    func `salvage gave values that were written to another directory`(isHeaderDamaged: Bool) throws {
        let (other, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192, seed: 2))
        for index in 0..<90 {
            other.set("key\(index)", String(repeating: "f", count: 300))
            other.sync()
        }
        let (directory, _, given) = try directory()
        for name in try segments(directory).suffix(2) {
            let files = directory.copy()
            files.setContent(name, try #require(other.files.content(name)))
            if isHeaderDamaged { files.flip(bit: 8 * 30, of: name) }
            let report = try #require(try rescue(files, .salvage))
            #expect(report.losses.contains { $0.contains("\(name): \(isHeaderDamaged ? "its header" : "belongs to another data directory")") })
            #expect(report.snapshot != nil && report.recordsApplied > 0)
            let (rig, _) = try Rig.start(files.copy())
            let values = rig.state.current.alive.values.map(\.value)
            #expect(!values.isEmpty && values.allSatisfy { $0.first == UInt8(ascii: "v") }, "\(name)")
            _ = try keys(files, after: given)
        }
    }

    @Test func `a directory of which the manifest is another's is not made empty by salvage`() throws {
        let (files, _, _) = try directory()
        let (other, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(seed: 2))
        for name in [FileName.manifestName, FileName.previousManifestName] { files.setContent(name, try #require(other.files.content(name))) }
        let before = files.disk.content
        #expect(throws: PersistenceError.self) { try rescue(files, .salvage) }
        #expect(files.disk.content.filter { $0.key != FileName.lockName } == before.filter { $0.key != FileName.lockName })
        #expect(DirectoryCheck(directory: files).remedies.isEmpty)
    }

    @Test func `a segment that has lost its header and its first frames is known by what follows`() throws {
        let (whole, history, given) = try directory()
        let name = try #require(segments(whole).dropLast().last)
        let bytes = try #require(whole.content(name))
        whole.setContent(name, [UInt8](repeating: 0, count: 4_600) + bytes[4_600...])
        let report = try #require(try rescue(whole, .salvage))
        #expect(report.losses.contains("\(name): its header"), "\(report.losses)")
        #expect(try keys(whole, after: given).count >= history.content(through: history.last).alive.count - 2)
    }

    // MARK: Namespaces

    /// A store with twenty keys in `default` and twenty in `carts`, which was made first.
    private func carts() throws -> (life: StorageLife, files: MemoryFileSystem) {
        let files = MemoryFileSystem()
        let life = try StorageLife(files)
        let name = Array("carts".utf8)
        guard case .created(let carts, _) = life.store.createNamespace(
            name: name.span.bytes, id: NamespaceID(high: 1, low: 2), settings: NamespaceSettings(), now: life.now)
        else { throw PersistenceError.notOpen }
        for index in 0..<20 {
            put("c\(index)", carts, life)
            put("d\(index)", life.store.namespaces.default, life)
            life.sync()
        }
        return (life, files)
    }

    private func put(_ key: String, _ namespace: Namespace, _ life: StorageLife) {
        let bytes = Array(key.utf8)
        let hash = life.store.hash(namespace, bytes.span.bytes)
        _ = life.store.put(namespace, key: bytes.span.bytes, hash: hash, value: bytes.span.bytes, now: life.now)
    }

    /// How many of the keys are there with their values.
    private func found(_ prefix: String, in name: String, _ life: StorageLife) -> Int {
        let bytes = Array(name.utf8)
        guard let namespace = life.store.namespaces.find(name: bytes.span.bytes) else { return 0 }
        return (0..<20).count { index in
            let key = Array("\(prefix)\(index)".utf8)
            var isRight = false
            let hash = life.store.hash(namespace, key.span.bytes)
            _ = life.store.read(namespace, key: key.span.bytes, hash: hash, now: life.now) { isRight = Array($0.value) == key }
            return isRight
        }
    }

    @Test(arguments: [false, true])
    func `salvage dropped a namespace whose creation was lost, and said that its records were kept`(isSnapshotDamaged: Bool) throws {
        let (life, disk) = try carts()
        if isSnapshotDamaged { try life.durable.snapshotNow() }
        let files = disk.copy()
        if isSnapshotDamaged {
            // In the block that holds the namespaces.
            files.flip(bit: 8 * 180, of: FileName.snapshotName(1))
            try? files.remove(FileName.segmentName(1))
        } else {
            let bytes = try #require(files.content(FileName.segmentName(1)))
            let name = Array("carts".utf8)
            let position = try #require(bytes.indices.first { bytes[$0...].starts(with: name) })
            files.flip(bit: 8 * position, of: FileName.segmentName(1))
        }
        let check = DirectoryCheck(directory: files.copy())
        var report = try #require(
            try Rescue.run(
                RescueOrder(mode: .salvage), directory: files, clock: ManualClock(), options: StorageLife.options()
            ) { StoredState(Store(configuration: StoreConfiguration(), log: LogBuffer(bytesMax: 1))) })
        let line = "the creation of namespace number 1, with its name and settings; 20 records of it are kept in namespace rescued-1"
        #expect(report.losses.contains(line), "\(report.losses)")
        report.aside = []
        #expect(check.remedies.last?.report == report)
        let next = try StorageLife(files.copy())
        #expect(found("c", in: "rescued-1", next) == 20)
        #expect(found("d", in: "default", next) == 20)
    }

    @Test func `a namespace that was dropped is not brought back by salvage`() throws {
        let (life, disk) = try carts()
        let carts = try #require(life.store.namespaces.find(number: 1))
        _ = life.store.dropNamespace(carts, now: life.now)
        life.sync()
        put("d20", life.store.namespaces.default, life)
        life.sync()
        let files = disk.copy()
        let bytes = try #require(files.content(FileName.segmentName(1)))
        let name = Array("carts".utf8)
        files.flip(bit: 8 * (try #require(bytes.indices.first { bytes[$0...].starts(with: name) })), of: FileName.segmentName(1))
        let report = try #require(
            try Rescue.run(
                RescueOrder(mode: .salvage), directory: files, clock: ManualClock(), options: StorageLife.options()
            ) { StoredState(Store(configuration: StoreConfiguration(), log: LogBuffer(bytesMax: 1))) })
        #expect(report.losses.count == 1, "\(report.losses)")
        #expect(try StorageLife(files.copy()).store.namespaces.count == 1)
    }

    // MARK: Snapshots

    @Test func `salvage lost snapshots without a word`() throws {
        let (files, _, given) = try directory()
        let names = try snapshots(files)
        for name in names { try files.remove(name) }
        let check = DirectoryCheck(directory: files.copy())
        var report = try #require(try rescue(files, .salvage))
        for name in names { #expect(report.losses.contains("\(name): missing"), "\(report.losses)") }
        #expect(report.losses.contains { $0.hasPrefix("everything through LSN") }, "\(report.losses)")
        _ = try keys(files, after: given)
        report.aside = []
        #expect(check.remedies.last?.report == report)
    }

    @Test func `snapshots under each other's names were not used`() throws {
        let (files, history, given) = try directory()
        let names = try snapshots(files)
        try #require(names.count == 2)
        let contents = try names.map { try #require(files.content($0)) }
        for (name, content) in zip(names, contents.reversed()) { files.setContent(name, content) }
        #expect(refusal(files) != nil)
        let report = try #require(try rescue(files, .salvage))
        #expect(report.snapshot == 2)
        #expect(report.losses == [])
        #expect(try keys(files, after: given) == Set(history.content(through: history.last).alive.keys))
    }

    @Test func `salvage with a manifest that is out of date did not look at the snapshots there are`() throws {
        let (rig, _) = try Rig.start(MemoryFileSystem(), options: Rig.options(segmentBytes: 8_192))
        var stale: [UInt8] = []
        for index in 0..<90 {
            rig.set("key\(index)", String(repeating: "v", count: 300))
            rig.sync()
            if index % 25 == 20 { try rig.store.snapshotNow() }
            if index == 20 { stale = try #require(rig.files.content(FileName.manifestName)) }
        }
        let files = rig.files.copy()
        files.setContent(FileName.manifestName, stale)
        #expect(refusal(files) != nil)
        let report = try #require(try rescue(files, .salvage))
        #expect(report.losses == [])
        #expect(try keys(files, after: rig.buffer.appliedLSN).count == 90)
    }
}
