// Files that are read whole: settings, keys, a value from a file.
//
// The permission bits are those of the file that was read, not of whatever stands at the path a moment later.

import CLarderSystem
import Glibc

/// The content of a file, and who may touch it.
package struct SmallFile: Sendable {
    package let bytes: [UInt8]
    /// The file has more bytes than were asked for; `bytes` are its first.
    package let isTruncated: Bool
    /// Type and permission bits, as `stat` has them.
    package let mode: UInt32
    private let owner: uid_t

    /// Reads at most `bytesMax` bytes. A pipe is read to its end (`<(command)` of a shell).
    ///
    /// - Throws: The error of `open`, `fstat` or `read`; `EISDIR` for a directory.
    package init(path: String, bytesMax: Int) throws(SystemError) {
        let descriptor = try systemCall("open") { unsafe open(path, O_RDONLY | O_CLOEXEC) }
        defer { Glibc.close(descriptor) }
        var status = stat()
        _ = try systemCall("fstat") { unsafe fstat(descriptor, &status) }
        mode = status.st_mode
        owner = status.st_uid

        var content: [UInt8] = []
        // One more than is wanted tells whether there is more.
        while content.count <= bytesMax {
            var chunk = [UInt8](repeating: 0, count: min(65_536, bytesMax + 1 - content.count))
            let count = try systemCall("read") {
                unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            }
            if count == 0 { break }
            content.append(contentsOf: chunk.prefix(count))
        }
        isTruncated = content.count > bytesMax
        bytes = isTruncated ? Array(content.prefix(bytesMax)) : content
    }

    /// Whether only its owner, who is this user or root, can read and change it. A file of root's may also be readable by
    /// its group, which is how services are handed secrets.
    package var isPrivate: Bool {
        guard owner == geteuid() || owner == 0 else { return false }
        return mode & (owner == 0 ? 0o037 : 0o077) == 0
    }
}
