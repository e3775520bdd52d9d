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
    /// What CONFIG RESETSTAT subtracts from then on.
    let requestsForgotten = Atomic<UInt64>(0)

    package init() {}

    package func onShutdown(_ stop: @escaping @Sendable () -> Void) { stopper.withLock { $0 = stop } }

    /// - Returns: Whether anybody can.
    func shutDown() -> Bool {
        guard let stop = stopper.withLock({ $0 }) else { return false }
        stop()
        return true
    }
}

/// The settings that CONFIG SET changes while the server runs. They are not kept over a restart.
final class RESPSettings: Sendable {
    /// Seconds after which an idle connection is closed; 0: never.
    let timeoutSeconds = Atomic<Int>(0)
}
