// Termination signals as a question that a loop can ask.

import Glibc
import Synchronization

/// Counts SIGTERM and SIGINT, and ignores SIGPIPE (a vanished peer is an answer of `send`, not a signal).
package enum Signals {
    private static let count = Atomic<Int>(0)

    /// Installs the handlers; call once, before threads start.
    package static func install() {
        // Forces the counter into being before a handler may touch it.
        _ = count.load(ordering: .relaxed)
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGTERM, SIGINT] {
            signal(number) { _ in Signals.count.add(1, ordering: .relaxed) }
        }
    }

    /// How often the process was asked to stop.
    package static var terminationCount: Int { count.load(ordering: .relaxed) }
}
