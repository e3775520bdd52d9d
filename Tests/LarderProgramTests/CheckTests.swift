import Foundation
import LarderEngine
import LarderPersistence
import LarderPlatform
import Testing

@testable import LarderProgram

@Suite("Check") struct CheckTests {
    private func withDirectory(_ files: [String: String], _ body: (CheckOutput) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, text) in files { try Data(text.utf8).write(to: directory.appendingPathComponent(name)) }
        try body(CheckOutput(of: directory.path))
    }

    @Test func `a directory that is not there could not be read, and is not made`() {
        let output = CheckOutput(of: "/nowhere/at/all")
        #expect(output.verdict == .unreadable)
        #expect(output.verdict.status == 2)
        #expect(output.text.contains("No such file"))
    }

    @Test func `a damaged manifest is damage`() throws {
        try withDirectory(["MANIFEST": "nonsense\n", "LOCK": ""]) { output in
            #expect(output.verdict == .damaged)
            #expect(output.verdict.status == 1)
            #expect(output.refusal != nil)
        }
    }

    @Test func `a log without its manifest is damage`() throws {
        try withDirectory(["wal-0000000001": "", "LOCK": ""]) { output in #expect(output.verdict == .damaged) }
    }

    @Test(arguments: [[:], ["LOCK": "pid 1\n"], ["MANIFEST.tmp": "half of o"]])
    func `an empty directory has nothing to check, and the words say so`(_ files: [String: String]) throws {
        try withDirectory(files) { output in
            #expect(output.verdict == .empty)
            #expect(output.verdict.status == 2)
            #expect(output.text.contains("nothing to check"))
            #expect(!output.text.contains("refused"))
        }
    }

    @Test(arguments: ["LOCK", "MANIFEST.prev", "MANIFEST.tmp", "MANIFEST.prev.tmp", "spare-0000000002"])
    func `a directory in the place of a file that a start writes to was taken for sound`(_ name: String) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        func start() throws -> DurableStore {
            let buffer = LogBuffer(bytesMax: 1 << 20)
            let store = try DurableStore(
                directory: DirectoryFileSystem(path: path), clock: SystemClock(), state: StoredState(Store(configuration: .small, log: buffer)),
                buffer: buffer)
            _ = try store.recover()
            return store
        }
        try start().close()
        #expect(CheckOutput(of: path).verdict == .sound)
        try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: false)
        #expect(throws: PersistenceError.self) { try start() }
        let output = CheckOutput(of: path)
        #expect(output.verdict == .unreadable)
        #expect(output.refusal?.contains(name) == true && output.refusal?.contains("directory") == true, "\(output.refusal ?? "-")")
    }

    @Test func `an older snapshot that nobody could open was called damaged`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let buffer = LogBuffer(bytesMax: 1 << 20)
        let store = try DurableStore(
            directory: DirectoryFileSystem(path: path), clock: SystemClock(), state: StoredState(Store(configuration: .small, log: buffer)),
            buffer: buffer)
        _ = try store.recover()
        for _ in 0..<2 { try store.snapshotNow() }
        try store.close()
        let older = path + "/" + FileName.snapshotName(1)
        try FileManager.default.moveItem(atPath: older, toPath: path + "/elsewhere")
        try FileManager.default.createSymbolicLink(atPath: older, withDestinationPath: path + "/elsewhere")
        let output = CheckOutput(of: path)
        #expect(output.verdict == .unreadable)
        #expect(output.text.contains("symbolic link") && output.refusal == nil)
    }

    @Test func `an innocent file was blamed for a manifest that had been put back from a copy`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let manifest = path + "/" + FileName.manifestName
        let old = path + ".old"
        defer { try? FileManager.default.removeItem(atPath: old) }
        func live() throws {
            let buffer = LogBuffer(bytesMax: 1 << 20)
            let store = try DurableStore(
                directory: DirectoryFileSystem(path: path), clock: SystemClock(),
                state: StoredState(Store(configuration: .small, log: buffer)), buffer: buffer)
            _ = try store.recover()
            for _ in 0..<3 { try store.snapshotNow() }
            try store.close()
        }
        try live()
        try FileManager.default.copyItem(atPath: manifest, toPath: old)
        try live()
        try FileManager.default.removeItem(atPath: manifest)
        try FileManager.default.copyItem(atPath: old, toPath: manifest)
        let output = CheckOutput(of: path)
        #expect(output.verdict == .damaged)
        #expect(output.text.contains("MANIFEST may be the one that is wrong"), "\(output.text)")
        // What the words say to do.
        try Data().write(to: URL(fileURLWithPath: manifest))
        let emptied = CheckOutput(of: path)
        #expect(emptied.refusal == nil && emptied.usedPreviousManifest)
    }

    @Test func `a directory in use could not be read`() {
        #expect(CheckOutput.verdict(.locked(owner: "1")) == .unreadable)
        #expect(CheckOutput.verdict(.newerFormat(file: "MANIFEST", major: 9, known: 1)) == .unreadable)
    }

    @Test func `the verdict is in the JSON`() {
        #expect(OutputFormat.encode(CheckOutput(of: "/nowhere")).contains(#""verdict" : "unreadable""#))
    }
}

extension StoreConfiguration {
    fileprivate static var small: StoreConfiguration {
        var configuration = StoreConfiguration()
        configuration.shardCount = 2
        configuration.memoryBytesMax = 16 << 20
        configuration.largePages = false
        return configuration
    }
}
