// A directory of the operating system, held open by its descriptor so that a later rename of the path changes nothing.
//
// Thin wrappers only: what a failed call means is decided by the callers. Audited for `unsafe`: every pointer passed
// to a system call comes from a span or a buffer that outlives the call, with that span's own count.

import CLarderSystem
import Glibc
import LarderBytes

/// The files of one directory, which is created (mode 0700) when it does not exist.
package final class DirectoryFileSystem: FileSystem {
    package let path: String
    private let directory: Int32

    /// - Parameter creating: Whether a missing directory is made; its parent has to exist. Its name is on the medium then.
    package init(path: String, creating: Bool = true) throws(SystemError) {
        self.path = path
        var isMade = false
        if creating {
            isMade = unsafe mkdir(path, 0o700) == 0
            if !isMade, errno != EEXIST { throw SystemError.last("mkdir") }
        }
        directory = try Self.openDirectory(path)
        guard creating else { return }
        do throws(SystemError) {
            try Self.syncParent(of: directory)
        } catch {
            // Of one that was here it is not known that anything is missing: its parent may be closed to this process.
            guard isMade else { return }
            unsafe rmdir(path)
            throw error
        }
    }

    private static func openDirectory(_ path: String) throws(SystemError) -> Int32 {
        try systemCall("open") { unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    }

    /// Returns when the directory's own name is on the medium.
    private static func syncParent(of directory: Int32) throws(SystemError) {
        let parent = try systemCall("open of the parent directory") {
            unsafe larder_open_at(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        }
        defer { _ = Glibc.close(parent) }
        try systemCall("fsync of the parent directory") { fsync(parent) }
    }

    deinit {
        _ = Glibc.close(directory)
    }

    package func open(_ name: String, _ access: FileAccess) throws(SystemError) -> any File {
        DescriptorFile(descriptor: try descriptor(name, Self.flags(access)))
    }

    package func rename(_ name: String, to target: String) throws(SystemError) {
        try systemCall("rename") { unsafe renameat(directory, name, directory, target) }
    }

    package func link(_ name: String, as second: String) throws(SystemError) {
        try systemCall("link") { unsafe linkat(directory, name, directory, second, 0) }
    }

    package func isSame(_ name: String, _ other: String) throws(SystemError) -> Bool {
        let (first, second) = (try status(name), try status(other))
        return first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }

    private func status(_ name: String) throws(SystemError) -> stat {
        var status = stat()
        try systemCall("fstatat") { unsafe fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) }
        return status
    }

    package func remove(_ name: String) throws(SystemError) {
        try systemCall("unlink") { unsafe unlinkat(directory, name, 0) }
    }

    package func list() throws(SystemError) -> [String] {
        // A descriptor of its own: `fdopendir` takes it over, and its position belongs to this listing.
        let descriptor = try systemCall("open") { unsafe larder_open_at(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) }
        guard let stream = unsafe fdopendir(descriptor) else {
            let error = SystemError.last("opendir")
            _ = Glibc.close(descriptor)
            throw error
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw SystemError.last("readdir") }
                return names.sorted()
            }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                // The kernel ends the name with a zero byte within the field.
                unsafe String(cString: UnsafeRawPointer(tuple).assumingMemoryBound(to: CChar.self))
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    package func freeBytes() throws(SystemError) -> Int64 {
        var status = statvfs()
        try systemCall("fstatvfs") { unsafe fstatvfs(directory, &status) }
        // What is kept for the superuser is not counted, whoever runs this.
        return Int64(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    package func syncDirectory() throws(SystemError) {
        try systemCall("fsync") { fsync(directory) }
    }

    package func lock(_ name: String, owner: String, writable: Bool) throws(LockError) -> (any DirectoryLock)? {
        do {
            let flags = writable ? O_RDWR | O_CREAT : O_RDONLY
            let descriptor: Int32
            do {
                descriptor = try self.descriptor(name, flags)
            } catch {
                if error.number == ENOENT && !writable { return nil }
                throw error
            }
            let file = DescriptorFile(descriptor: descriptor)
            // `flock`, not `fcntl`: record locks vanish when any descriptor of the file is closed.
            if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
                let refusal = SystemError.last("flock")
                guard refusal.number == EWOULDBLOCK else { throw refusal }
                var text = ByteBuffer()
                _ = try file.read(at: 0, count: 4_096, into: &text)
                throw LockError.held(owner: String(utf8: text.bytes))
            }
            if writable {
                try file.truncate(to: 0)
                try unsafe file.writeAll(owner.utf8.span.bytes, at: 0)
            }
            return HeldLock(file: file)
        } catch let error as SystemError {
            throw .system(error)
        } catch let error as LockError {
            throw error
        } catch {
            fatalError("unreachable: all errors above are of the two types")
        }
    }

    /// Of a file; without `O_NONBLOCK` a pipe of that name would keep the caller until somebody opens its other end.
    private func descriptor(_ name: String, _ flags: Int32) throws(SystemError) -> Int32 {
        let descriptor = try systemCall("open") {
            unsafe larder_open_at(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
        }
        var status = stat()
        if unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            _ = Glibc.close(descriptor)
            throw SystemError(number: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : ESPIPE, call: "open")
        }
        return descriptor
    }

    private static func flags(_ access: FileAccess) -> Int32 {
        switch access {
        case .read: O_RDONLY
        case .update: O_RDWR
        case .create: O_RDWR | O_CREAT | O_EXCL
        case .replace: O_RDWR | O_CREAT | O_TRUNC
        }
    }
}

private final class HeldLock: DirectoryLock {
    let file: DescriptorFile
    init(file: DescriptorFile) { self.file = file }
}

/// A file behind a descriptor, closed at the latest when the value goes away.
final class DescriptorFile: File {
    private let descriptor: Int32
    private let isOpen = OneShot()

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        if isOpen.take() { _ = Glibc.close(descriptor) }
    }

    func read(at offset: Int64, count: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        var done = 0
        while done < count {
            var got = 0
            unsafe try buffer.append(minimum: count - done) { free throws(SystemError) in
                got = try systemCall("pread") {
                    unsafe pread(descriptor, free.baseAddress, count - done, off_t(offset) + off_t(done))
                }
                return got
            }
            if got == 0 { break }
            done += got
        }
        return done
    }

    func write(_ head: RawSpan, _ body: RawSpan, at offset: Int64) throws(SystemError) -> Int {
        try Int(
            systemCall("pwritev") {
                unsafe head.withUnsafeBytes { first in
                    unsafe body.withUnsafeBytes { second in
                        unsafe larder_write_two(
                            descriptor, first.baseAddress, first.count, second.baseAddress, second.count, offset)
                    }
                }
            })
    }

    func sync() throws(SystemError) {
        try systemCall("fdatasync") { fdatasync(descriptor) }
    }

    func allocate(_ bytes: Int64) throws(SystemError) {
        do {
            try systemCall("fallocate") { larder_fallocate(descriptor, 0, bytes) }
        } catch {
            // A file system without the call: the length alone, and a full disk shows at the write.
            guard error.number == EOPNOTSUPP else { throw error }
            try truncate(to: bytes)
        }
    }

    func truncate(to bytes: Int64) throws(SystemError) {
        try systemCall("ftruncate") { ftruncate(descriptor, off_t(bytes)) }
    }

    func size() throws(SystemError) -> Int64 {
        var status = stat()
        try systemCall("fstat") { unsafe fstat(descriptor, &status) }
        return Int64(status.st_size)
    }

    func dropCache() {
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    func close() throws(SystemError) {
        // Not repeated after EINTR: Linux has closed the descriptor then.
        if isOpen.take(), Glibc.close(descriptor) != 0 { throw SystemError.last("close") }
    }
}
