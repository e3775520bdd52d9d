// Takes connections in and deals them out to the workers in turn.
//
// One thread for all listeners. Several pollers on one listener would wake the busiest worker first and leave the
// load lopsided; dealing round-robin does not.

import LarderPlatform
import LarderWire
import Synchronization

package final class Acceptor: @unchecked Sendable {
    // Unchecked: `spare` and `next` belong to the acceptor's own thread; the rest is constant or atomic.
    private let server: ServerContext
    private let listeners: [ListenerBox]
    private let workers: [Worker]
    private let poller: Poller
    private let stopRequested = Atomic<Bool>(false)
    private var next = 0
    /// A descriptor that is given up when there is no other, so that a waiting connection can be taken and closed
    /// instead of being reported for ever.
    private var spare: Int32?

    /// A listener that can stand in an array.
    final class ListenerBox: Sendable {
        let listener: Listener
        /// The one dialect that is spoken there, if there is only one.
        let dialect: Dialect?

        init(_ listener: consuming Listener, dialect: Dialect?) {
            self.listener = listener
            self.dialect = dialect
        }
    }

    /// Binds all addresses. Connections are taken by an acceptor that is given the listeners.
    static func listen(on addresses: [ListenAddress]) throws(ListenError) -> [ListenerBox] {
        var listeners: [ListenerBox] = []
        for address in addresses {
            do throws(SystemError) {
                listeners.append(ListenerBox(try Listener(address.address), dialect: address.dialect))
            } catch {
                throw ListenError(address: address.address, error: error)
            }
        }
        return listeners
    }

    init(server: ServerContext, listeners: [ListenerBox], workers: [Worker]) throws(SystemError) {
        self.server = server
        self.workers = workers
        self.listeners = listeners
        poller = try Poller()
        for (index, box) in listeners.enumerated() {
            try poller.add(box.listener.descriptor, .read, token: UInt64(index))
        }
        spare = SpareDescriptor.open()
    }

    /// Where it listens, with the ports that the system chose.
    package var addresses: [ListenAddress] {
        listeners.map { ListenAddress($0.listener.address, dialect: $0.dialect) }
    }

    package func stop() {
        stopRequested.store(true, ordering: .releasing)
        poller.wake()
    }

    /// Runs until `stop()`.
    package func run() {
        let events = Poller.EventList()
        while !stopRequested.load(ordering: .acquiring) {
            var ready: [UInt64] = []
            poller.wait(events, timeoutMilliseconds: -1) { ready.append($0.token) }
            for token in ready {
                if token == Poller.wakeToken { poller.clearWake() } else { accept(from: listeners[Int(token)]) }
            }
        }
    }

    /// How many connections beyond the most that may be are open at a time, to be told so. Further ones are closed.
    static let turnedAwayMax = 64

    /// Takes a bounded number of connections.
    private func accept(from box: ListenerBox) {
        for _ in 0..<64 {
            switch box.listener.accept() {
            case .socket(let socket):
                server.connectionsAccepted.add(1, ordering: .relaxed)
                let isTurnedAway = server.connections.load(ordering: .relaxed) >= server.configuration.connectionsMax
                if isTurnedAway {
                    server.connectionsRefused.add(1, ordering: .relaxed)
                    // A worker tells it so as soon as its first byte has told the dialect. Of those the server holds few.
                    if server.turnedAway.load(ordering: .relaxed) >= Self.turnedAwayMax { continue }
                    server.turnedAway.add(1, ordering: .relaxed)
                } else {
                    server.connections.add(1, ordering: .relaxed)
                }
                workers[next].adopt(socket, isTurnedAway: isTurnedAway, dialect: box.dialect)
                next = (next + 1) % workers.count
            case .outOfDescriptors:
                server.connectionsRefused.add(1, ordering: .relaxed)
                guard let descriptor = spare else { return Thread.sleep(milliseconds: 10) }
                SpareDescriptor.close(descriptor)
                // Taken and closed at once.
                _ = box.listener.accept()
                spare = SpareDescriptor.open()
                return
            case .none:
                return
            }
        }
    }
}

/// An address that cannot be listened on.
package struct ListenError: Error, Sendable, CustomStringConvertible {
    package let address: SocketAddress
    package let error: SystemError
    package var description: String { "cannot listen on \(address): \(error)" }
}
