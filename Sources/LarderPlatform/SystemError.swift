// What the operating system answers when it refuses: the error number and the call that got it.

import Glibc

/// A system call that failed.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The error number (`errno`), for example `EIO`.
    package let number: Int32
    /// The call that failed, as the manual names it.
    package let call: StaticStringName

    package init(number: Int32, call: StaticString) {
        self.number = number
        self.call = StaticStringName(call)
    }

    /// The error that the calling thread's last system call left behind.
    package static func last(_ call: StaticString) -> SystemError {
        SystemError(number: errno, call: call)
    }

    package var description: String {
        "\(call.text): \(unsafe String(cString: strerror(number))) (errno \(number))"
            + hint
    }

    private var hint: String {
        switch number {
        case EFBIG: "; the process may make no file that large (ulimit -f)"
        case ELOOP: "; it is a symbolic link, which is not followed: put the file itself there"
        case ESPIPE: "; it is no file but a pipe or a device"
        default: ""
        }
    }

    package static func == (left: SystemError, right: SystemError) -> Bool { left.number == right.number }
}

extension SystemError {
    /// The disk or the quota is full.
    package var isOutOfSpace: Bool { number == ENOSPC || number == EDQUOT }
    /// This user may not do that.
    package var isRefusedPermission: Bool { number == EACCES || number == EPERM }
    /// There is no file of that name.
    package var isMissingFile: Bool { number == ENOENT }

    // Error numbers for rooms that have no door to libc, the simulated disk first of all.
    package static let inputOutput = EIO
    package static let noSpace = ENOSPC
    package static let missingFile = ENOENT
    package static let fileExists = EEXIST
    package static let readOnly = EROFS
    package static let interrupted = EINTR
    package static let badDescriptor = EBADF
    package static let accessDenied = EACCES
}

/// A `StaticString` that can be compared and sent.
package struct StaticStringName: Sendable {
    let value: StaticString
    init(_ value: StaticString) { self.value = value }
    package var text: String { value.description }
}

/// Repeats `call` while a signal interrupts it.
///
/// - Throws: The error of the call, never `EINTR`.
@discardableResult
func systemCall<Result: FixedWidthInteger & SignedInteger>(
    _ name: StaticString, _ call: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        if errno != EINTR { throw SystemError.last(name) }
    }
}
