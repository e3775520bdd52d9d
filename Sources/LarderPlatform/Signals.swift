// Requests to stop, taken by one thread that waits for them instead of by a handler that may do next to nothing.

import Glibc

package enum Signals {
    /// Holds SIGTERM and SIGINT back for `wait()` and ignores what is the answer of a call as well: SIGPIPE (a vanished peer) and
    /// SIGXFSZ (a file that would be larger than the process may make it).
    /// Call it before the first thread starts: threads inherit it.
    package static func hold() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var set = terminationSet()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for a request to stop.
    ///
    /// - Returns: The signal's number.
    package static func wait() -> Int32 {
        var set = terminationSet()
        var number: Int32 = 0
        while unsafe sigwait(&set, &number) != 0 {}
        return number
    }

    /// Asks this process to stop, as somebody else would with SIGTERM.
    package static func requestStop() { _ = kill(getpid(), SIGTERM) }

    /// Ends the process at once.
    package static func exitNow(_ status: Int32) -> Never { _exit(status) }

    private static func terminationSet() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigaddset(&set, SIGINT)
        return set
    }
}
