import Foundation
import LarderBytes
import LarderPlatform
import Testing

/// A directory of its own for one test, removed afterwards.
struct TemporaryDirectory: ~Copyable {
    let path: String

    init() {
        path = FileManager.default.temporaryDirectory.appending(path: "larder-\(UUID().uuidString)").path
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

@Suite("Directory file system") struct DirectoryFileSystemTests {
    @Test func `what is written in two parts is read as one`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        let file = try files.open("a", .create)
        let text = Array("headbody".utf8)
        let written = try file.write(text.span.bytes.extracting(0..<4), text.span.bytes.extracting(4..<8), at: 2)
        var back = ByteBuffer()
        let read = try file.read(at: 2, count: 100, into: &back)
        try file.sync()
        try file.close()
        #expect(written == 8)
        #expect(read == 8)
        #expect(String(utf8: back.bytes) == "headbody")
    }

    @Test func `a preallocated file has its whole size and reads as zeros`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        let file = try files.open("a", .create)
        try file.allocate(10_000)
        var back = ByteBuffer()
        let read = try file.read(at: 9_990, count: 100, into: &back)
        let size = try file.size()
        #expect(size == 10_000)
        #expect(read == 10)
        #expect(back[0] == 0)
    }

    @Test func `names are listed, linked, renamed and removed`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        _ = try files.open("b", .create)
        try files.link("b", as: "a")
        #expect(try files.isSame("b", "a"))
        _ = try files.open("d", .create)
        #expect(try !files.isSame("d", "a"))
        try files.remove("d")
        try files.rename("b", to: "c")
        try files.syncDirectory()
        #expect(try files.list() == ["a", "c"])
        try files.remove("a")
        #expect(try files.list() == ["c"])
        #expect(throws: SystemError.self) { try files.open("c", .create) }
        #expect(throws: SystemError.self) { try files.open("missing", .read) }
    }

    @Test func `a symbolic link is not followed`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        try FileManager.default.createSymbolicLink(atPath: temporary.path + "/trap", withDestinationPath: "/etc/hostname")
        #expect(throws: SystemError.self) { try files.open("trap", .read) }
    }

    @Test func `a pipe under a file's name kept whoever opened it waiting`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        #expect(mkfifo(temporary.path + "/wal", 0o600) == 0)
        for access in [FileAccess.read, .update, .replace] {
            let error = #expect(throws: SystemError.self) { _ = try files.open("wal", access) }
            #expect(error?.description.contains("pipe") == true)
        }
        for writable in [true, false] {
            #expect(throws: LockError.self) { _ = try files.lock("wal", owner: "", writable: writable) }
        }
    }

    @Test func `directory and files are for their owner alone`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        _ = try files.open("a", .create)
        let manager = FileManager.default
        let directory = try manager.attributesOfItem(atPath: temporary.path)[.posixPermissions] as? Int
        let file = try manager.attributesOfItem(atPath: temporary.path + "/a")[.posixPermissions] as? Int
        #expect(directory == 0o700)
        #expect(file == 0o600)
    }

    @Test func `the second lock is refused with the first owner's words`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        let other = try DirectoryFileSystem(path: temporary.path)
        let held = try files.lock("LOCK", owner: "pid 1\n", writable: true)
        #expect(throws: LockError.held(owner: "pid 1\n")) { try other.lock("LOCK", owner: "pid 2\n", writable: true) }
        withExtendedLifetime(held) {}
    }

    @Test func `the owner of a lock said in milliseconds since when it runs`() {
        struct Noon: Clock {
            func wall() -> Milliseconds { 1_800_000_000_000 }
            func elapsed() -> Int64 { 0 }
        }
        let lines = ProcessIdentity.describe(clock: Noon()).split(separator: "\n")
        #expect(lines.first == "pid \(ProcessIdentity.number)")
        #expect(lines.last == "started 2027-01-15T08:00:00.000Z")
    }

    @Test func `a lock ends with its value, and an absent one is not made for a reader`() throws {
        let temporary = TemporaryDirectory()
        let files = try DirectoryFileSystem(path: temporary.path)
        #expect(try files.lock("LOCK", owner: "", writable: false) == nil)
        _ = try files.lock("LOCK", owner: "pid 1\n", writable: true)
        #expect(try files.lock("LOCK", owner: "", writable: false) != nil)
    }
}

@Suite("Parker") struct ParkerTests {
    @Test func `a wake-up before the wait is not lost`() {
        let parker = Parker()
        parker.wake()
        parker.park(nanoseconds: -1)
    }

    @Test func `a parked thread is woken by another`() throws {
        let parker = Parker()
        let answer = Parker()
        let thread = try Thread(name: "test") {
            parker.park(nanoseconds: -1)
            answer.wake()
        }
        parker.wake()
        answer.park(nanoseconds: -1)
        thread.join()
    }
}
