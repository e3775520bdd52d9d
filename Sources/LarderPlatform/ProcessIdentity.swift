// Who this process is, for the lock file: enough to tell a living owner from one of an earlier boot.

import Glibc
import LarderBytes

package enum ProcessIdentity {
    /// The process's number.
    package static var number: Int32 { getpid() }

    /// Lines of `word value`: process number, boot, and time of the call.
    package static func describe(clock: any Clock = SystemClock()) -> String {
        "pid \(getpid())\nboot \(bootIdentifier() ?? "unknown")\nstarted \(String(timestamp: clock.wall()))\n"
    }

    private static func bootIdentifier() -> String? {
        let descriptor = unsafe open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var text = ByteBuffer()
        guard let count = try? DescriptorFile(descriptor: descriptor).read(at: 0, count: 36, into: &text), count == 36
        else { return nil }
        return String(utf8: text.bytes)
    }
}
