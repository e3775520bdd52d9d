// A file system in a file, on a loop device, whose power can be cut: the kernel forgets what was not synced, the journal is
// replayed when it is mounted again, and what is there then is what a machine would find.

import Foundation
import Testing

/// Runs a program to its end.
///
/// - Returns: Its exit status, and what it wrote to both outputs.
@discardableResult
func run(_ command: String...) -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
    let pipe = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    process.standardError = pipe
    do { try process.run() } catch { return (-1, "\(error)") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}

/// A mounted file system; unmounted when the value goes away.
final class LoopDisk {
    enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case ext4, xfs
        var testDescription: String { rawValue }
    }

    struct CannotBeMade: Error, CustomStringConvertible {
        let description: String
    }

    /// Where it is mounted.
    let path: String
    private let directory: String
    private let image: String
    private var isMounted = false

    /// - Parameter medium: The directory in which the image is made; nil makes a fresh one.
    /// - Parameter hasJournal: ext4 takes nothing more after an error of its journal; without one it goes on.
    init(_ kind: Kind, on medium: String? = nil, megabytes: Int = 2_048, hasJournal: Bool = true) throws {
        directory = ServerProcess.freshDirectory()
        path = directory + "/mnt"
        image = (medium ?? directory) + "/disk.img"
        let made = run("truncate", "-s", "\(megabytes)M", image)
        guard made.status == 0 else { throw CannotBeMade(description: made.text) }
        let formatted =
            switch kind {
            case .ext4:
                run(
                    "mkfs.ext4", "-q", "-F", "-O", hasJournal ? "has_journal" : "^has_journal", "-E",
                    "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)
            case .xfs: run("mkfs.xfs", "-q", "-f", image)
            }
        guard formatted.status == 0 else { throw CannotBeMade(description: formatted.text) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try mount()
    }

    deinit {
        unmount()
        try? FileManager.default.removeItem(atPath: image)
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// The kinds that this machine can make. What it cannot make is said once, with the reason.
    static let available: [Kind] = Kind.allCases.filter { kind in
        do {
            let disk = try LoopDisk(kind)
            try disk.cutPower()
            try disk.remount()
            return true
        } catch {
            print("no power cuts on \(kind): \(error)")
            return false
        }
    }

    private func mount() throws {
        let mounted = run("mount", "-o", "loop", image, path)
        guard mounted.status == 0 else { throw CannotBeMade(description: mounted.text) }
        isMounted = true
    }

    private func unmount() {
        guard isMounted else { return }
        // Lazily at last, so that no failing test leaves a mount behind.
        if run("umount", path).status != 0 { run("umount", "--lazy", path) }
        isMounted = false
    }

    /// From now on nothing reaches the medium any more, the journal neither; every call that would need it fails.
    func cutPower() throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else { throw CannotBeMade(description: "\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        // EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are the same number.
        let shutdown: UInt = 0x8004_587D
        var withoutJournal: UInt32 = 2
        guard ioctl(descriptor, shutdown, &withoutJournal) == 0 else {
            throw CannotBeMade(description: "ioctl: \(String(cString: strerror(errno)))")
        }
    }

    /// Cuts the power under a server, and goes on with the directory after that.
    ///
    /// The server goes with the power, as it would: it does not see calls come back that were under way when the file system was
    /// shut down, some of which say then that all is well.
    func cutPower(under server: ServerProcess) throws {
        server.freeze()
        try cutPower()
        server.kill()
        try remount()
        try server.start()
    }

    /// The power is back. Nobody may have a file open.
    func remount() throws {
        unmount()
        try mount()
    }
}
