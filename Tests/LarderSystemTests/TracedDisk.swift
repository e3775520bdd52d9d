// The disk of the real server, from the system calls that strace saw it make: an account of what was written, synced and named that
// does not come from the server's own file system, and that sees what goes past it.

import Foundation
import LarderBytes
import LarderPersistence
import LarderPlatform
import LarderSimulation

/// Follows the calls of server after server on one directory.
final class TracedDisk {
    /// What strace has to show: whatever can change a file, and what goes to clients.
    static let calls = [
        "open", "openat", "openat2", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "fdatasync", "fsync",
        "sync_file_range", "sync", "syncfs", "fallocate", "ftruncate", "truncate", "rename", "renameat", "renameat2", "link", "linkat",
        "unlink", "unlinkat", "copy_file_range", "sendfile", "splice", "io_uring_setup", "close", "sendto", "sendmsg",
    ]
    /// A segment has 64 MiB; to copy so much for each state of the disk would take minutes. Here it has so much, and its header says so.
    private static let segmentBytes = 256 << 10

    private let directory: String
    /// Calls that are taken not to have happened: a server that forgets them.
    private let forgotten: Set<String>
    private let files = MemoryFileSystem()
    private var opened: [Int: Opened] = [:]
    private var unfinished: [Substring: String] = [:]
    /// Which files were written to, by descriptor, since a sync that has not ended began.
    private var syncing: [Substring: (descriptor: Int, writes: Int)] = [:]
    private var writes: [Int: Int] = [:]

    /// Good news that was handed to the kernel for a client, so far.
    private(set) var replies = 0
    /// Calls on the directory that nobody here can follow.
    private(set) var notUnderstood: [String] = []

    var disk: SimulatedDisk { files.disk }

    private enum Opened {
        case directory
        case file(any File, name: String)
    }

    init(of directory: String, forgetting forgotten: Set<String> = []) {
        self.directory = directory
        self.forgotten = forgotten
    }

    /// Follows one server from its start to its end.
    ///
    /// - Parameter visit: Called after each call that has changed the disk, and after each reply.
    func follow(_ trace: String, _ visit: () throws -> Void) throws {
        opened = [:]
        for line in trace.split(separator: "\n") {
            let (thread, rest) = Self.halves(line, at: " ")
            let text = rest.drop { $0 == " " }
            if text.hasPrefix("<... ") {
                guard let first = unfinished.removeValue(forKey: thread), let end = text.range(of: " resumed>") else { continue }
                if try finish(first + text[end.upperBound...], thread) { try visit() }
            } else if let end = text.range(of: " <unfinished ...>", options: .backwards) {
                unfinished[thread] = String(text[..<end.lowerBound])
                if begin(text[..<end.lowerBound], thread) { try visit() }
            } else if text.contains("(") {
                let hasReplied = begin(text, thread)
                if try finish(String(text), thread) || hasReplied { try visit() }
            }
        }
    }

    /// - Returns: Whether a client may know more from now on.
    private func begin(_ text: Substring, _ thread: Substring) -> Bool {
        let call = TracedCall(String(text))
        switch call.name {
        case "fdatasync":
            guard let descriptor = call.number(0) else { return false }
            syncing[thread] = (descriptor, writes[descriptor, default: 0])
        case "close":
            // The number may be another file's before strace says that the call has ended.
            if let descriptor = call.number(0) { opened[descriptor] = nil }
        case "sendto", "sendmsg":
            guard call.texts.first?.starts(with: Array("HTTP/1.1 2".utf8)) == true else { return false }
            replies += 1
            return true
        default: break
        }
        return false
    }

    /// - Returns: Whether the disk has changed.
    private func finish(_ text: String, _ thread: Substring) throws -> Bool {
        let call = TracedCall(text)
        guard let result = call.result, result >= 0 else { return false }
        switch call.name {
        case "openat": return try open(call, result)
        case "close", "sendto", "sendmsg": return false
        default: break
        }
        if forgotten.contains(call.name) { return false }
        guard let descriptor = call.number(0), let target = opened[descriptor] else {
            // By a path, or of everything: nothing that this server does.
            if call.number(0) == nil || call.name.hasPrefix("sync") { notUnderstood.append(call.name) }
            return false
        }
        switch (call.name, target) {
        case ("fsync", .directory): try files.syncDirectory()
        case ("renameat", .directory): try files.rename(call.name(0), to: call.name(1))
        case ("linkat", .directory): try files.link(call.name(0), as: call.name(1))
        case ("unlinkat", .directory): try files.remove(call.name(0))
        case ("pwritev", .file(let file, let name)):
            var bytes = Array(call.texts.joined().prefix(result))
            if let header = try? SegmentHeader(parsing: bytes.span.bytes, file: name) { bytes = Self.shortened(header) }
            try file.writeAll(bytes.span.bytes, at: Int64(call.lastNumber))
            writes[descriptor, default: 0] += 1
        case ("fdatasync", .file(let file, _)):
            // Of what was written while it went on nobody knows: then it counts for nothing, and what needs it needs another.
            guard let began = syncing.removeValue(forKey: thread), began == (descriptor, writes[descriptor, default: 0]) else { return false }
            try file.sync()
        case ("fallocate", .file(let file, _)): try file.allocate(Int64(min(call.lastNumber, Self.segmentBytes)))
        case ("ftruncate", .file(let file, _)): try file.truncate(to: Int64(call.lastNumber))
        default:
            notUnderstood.append(call.name)
            return false
        }
        return true
    }

    private func open(_ call: TracedCall, _ descriptor: Int) throws -> Bool {
        opened[descriptor] = nil
        let path = try call.name(0)
        if path == directory {
            opened[descriptor] = .directory
            return false
        }
        guard let parent = call.number(0), case .directory? = opened[parent] else {
            if path.hasPrefix(directory + "/") { notUnderstood.append("openat of \(path)") }
            return false
        }
        // Nothing is kept in the file that is locked, and the directory itself is only read.
        if path == "." || path == FileName.lockName { return false }
        let flags = call.text
        let access: FileAccess = flags.contains("O_EXCL") ? .create : flags.contains("O_TRUNC") ? .replace : .update
        do {
            opened[descriptor] = .file(try files.open(path, access), name: path)
        } catch {
            // Another thread is giving it its name at this moment, or taking it away, and this one only reads it.
            guard flags.contains("O_RDONLY") else { throw error }
            return false
        }
        return access != .update
    }

    private static func shortened(_ header: SegmentHeader) -> [UInt8] {
        var header = header
        header.fileBytes = UInt64(segmentBytes)
        var bytes = ByteBuffer()
        header.append(to: &bytes)
        return Array(bytes.bytes)
    }

    private static func halves(_ line: Substring, at mark: Character) -> (Substring, Substring) {
        guard let place = line.firstIndex(of: mark) else { return (line, "") }
        return (line[..<place], line[line.index(after: place)...])
    }
}

/// One line of strace, with `-xx`.
private struct TracedCall {
    let text: String
    let name: String
    /// What stands in quotation marks, in order.
    let texts: [[UInt8]]

    struct Incomprehensible: Error { let text: String }

    init(_ text: String) {
        self.text = text
        name = String(text.prefix { $0 != "(" })
        texts = text.split(separator: "\"", omittingEmptySubsequences: false).enumerated().compactMap { index, piece in
            index % 2 == 0 ? nil : piece.split(separator: "\\x").compactMap { UInt8($0, radix: 16) }
        }
    }

    private var arguments: Substring { text[(text.firstIndex(of: "(") ?? text.startIndex)...].dropFirst() }

    /// The argument at `index`, where no text stands before it; nil where it is no number.
    func number(_ index: Int) -> Int? {
        let pieces = arguments.split(whereSeparator: { ",)".contains($0) })
        return index < pieces.count ? Int(pieces[index].trimmingCharacters(in: .whitespaces)) : nil
    }

    /// The last argument.
    var lastNumber: Int {
        let end = text.range(of: ")", options: .backwards)?.lowerBound ?? text.endIndex
        return Int(text[..<end].reversed().prefix { $0.isNumber }.reversed().map(String.init).joined()) ?? 0
    }

    /// What it returned; nil where the process ended first.
    var result: Int? {
        guard let place = text.range(of: " = ", options: .backwards) else { return nil }
        return Int(text[place.upperBound...].prefix { $0.isNumber || $0 == "-" })
    }

    func name(_ index: Int) throws -> String {
        guard index < texts.count else { throw Incomprehensible(text: text) }
        return String(decoding: texts[index], as: UTF8.self)
    }
}
