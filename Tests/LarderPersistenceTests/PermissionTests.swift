import CTestProbe
import Foundation
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// Real directories of which a server may not do everything that it has to.
@Suite("Permissions") struct PermissionTests {
    private static let isRoot = geteuid() == 0

    /// Does `body` on a fresh directory with `mode`, as somebody whom root's rights do not help.
    private func inDirectory(_ mode: mode_t, holding files: [String] = [], _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "larder-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer {
            chmod(path, 0o700)
            try? FileManager.default.removeItem(atPath: path)
        }
        for name in files { try Data("of somebody else".utf8).write(to: URL(filePath: path + "/" + name)) }
        chmod(path, mode)
        let before = Self.isRoot ? probe_become_user(65_534) : geteuid()
        defer { if Self.isRoot { _ = probe_become_user(before) } }
        try body(path)
    }

    private func names(_ path: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }

    /// Why no server can have the directory.
    private func refusal(_ path: String) -> String? {
        do {
            let files = try DirectoryFileSystem(path: path)
            _ = try DurableStore(
                directory: files, clock: ManualClock(), state: ModelState(), buffer: LogBuffer(bytesMax: 1 << 20), options: Rig.options())
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func `a directory without permission is refused with the call and the reason`() throws {
        try inDirectory(0) { path in
            let told = try #require(refusal(path))
            #expect(told.contains("open") && told.contains("ermission denied"), "\(told)")
        }
    }

    @Test func `a directory that may be read and not written is refused, and nothing is made there`() throws {
        try inDirectory(0o555) { path in
            let told = try #require(refusal(path))
            #expect(told.contains("LOCK") && told.contains("ermission denied"), "\(told)")
            #expect(names(path) == [])
        }
    }

    @Test func `a directory whose parent may not be written is refused`() throws {
        try inDirectory(0o555) { path in
            let told = try #require(refusal(path + "/data"))
            #expect(told.contains("mkdir") && told.contains("ermission denied"), "\(told)")
            #expect(names(path) == [])
        }
    }

    @Test func `the name of a new data directory was never synced`() throws {
        // What may be written and not read cannot be synced.
        try inDirectory(0o333) { path in
            let told = try #require(refusal(path + "/data"))
            #expect(told.contains("parent directory") && told.contains("ermission denied"), "\(told)")
            #expect(!FileManager.default.fileExists(atPath: path + "/data"))
        }
    }

    @Test func `files that may not be read are refused by name`() throws {
        try inDirectory(0o777, holding: ["MANIFEST"]) { path in
            // Of root, for root alone.
            if !Self.isRoot { chmod(path + "/MANIFEST", 0) }
            let told = try #require(refusal(path))
            #expect(told.contains("MANIFEST"), "\(told)")
            #expect(names(path).filter { $0 != "LOCK" } == ["MANIFEST"])
        }
    }
}
