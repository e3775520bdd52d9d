// The streams that a program is born with: values go out byte for byte, and questions are asked only of a person.

import Glibc
import LarderBytes

/// Standard input, output and error.
package enum StandardStreams {
    /// Whether a person sits at standard input and sees standard error, so that a question makes sense.
    package static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Whether a person sees standard error, so that a line may be written over.
    package static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Writes all of `bytes` to standard output.
    package static func write(_ bytes: RawSpan) throws(SystemError) { try write(bytes, to: STDOUT_FILENO) }

    /// Writes `text` to standard error. A failure is nobody's business: there is no third stream to report it on.
    package static func writeError(_ text: String) { try? write(Array(text.utf8).rawSpan, to: STDERR_FILENO) }

    private static func write(_ bytes: RawSpan, to descriptor: Int32) throws(SystemError) {
        var written = 0
        while written < bytes.byteCount {
            written += try systemCall("write") {
                unsafe bytes.withUnsafeBytes {
                    unsafe Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
                }
            }
        }
    }
}
