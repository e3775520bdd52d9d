// What all connections that speak RESP share: who they are, what took long, and the settings that they may change.

import LarderPlatform
import Synchronization

package final class RESPShared: Sendable {
    let clients = RESPClients()
    let slowLog = SlowLog()
    let settings = RESPSettings()
    let watching = RESPWatching()
    /// Stops the server, as a signal would; set by whoever runs it.
    private let stopper = Mutex<(@Sendable () -> Void)?>(nil)
    let rate = RequestRate()
    /// Another one at each start: 40 hexadecimal digits.
    let runID = String((0..<40).map { _ in "0123456789abcdef".randomElement() ?? "0" })

    package init() {}

    package func onShutdown(_ stop: @escaping @Sendable () -> Void) { stopper.withLock { $0 = stop } }

    /// - Returns: Whether anybody can.
    func shutDown() -> Bool {
        guard let stop = stopper.withLock({ $0 }) else { return false }
        stop()
        return true
    }
}

/// How many requests come in a second: the mean since somebody asked last, if that was a second ago or more.
final class RequestRate: Sendable {
    private struct State {
        var last: (time: Milliseconds, count: UInt64) = (0, 0)
        var perSecond: UInt64 = 0
    }

    private let state = Mutex(State())

    /// - Parameter start: When the count was 0.
    func perSecond(_ count: UInt64, since start: Milliseconds, now: Milliseconds) -> UInt64 {
        state.withLock { state in
            let elapsed = now - max(state.last.time, start)
            guard elapsed >= 1_000 else { return state.perSecond }
            state.perSecond = (count &- state.last.count) &* 1_000 / UInt64(elapsed)
            state.last = (now, count)
            return state.perSecond
        }
    }
}

/// The settings that CONFIG SET changes while the server runs. They are not kept over a restart.
final class RESPSettings: Sendable {
    /// Seconds after which an idle connection is closed; 0: never.
    let timeoutSeconds = Atomic<Int>(0)
}
