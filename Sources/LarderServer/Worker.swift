// One thread, one poller, and the connections that belong to it.
//
// A turn: wait for ready sockets; for each, receive, decode, execute, and send; then let the log write what the turn
// staged, and send the replies that waited for it. Work for one connection in one turn is bounded, so a client that
// pipelines without end does not starve the others. What a turn does for one connection stands in the files beside this one.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

package final class Worker: @unchecked Sendable {
    // Unchecked: everything but `inbox`, `poller` and the atomics belongs to the worker's own thread.
    let server: ServerContext
    let poller: Poller
    private let events = Poller.EventList()
    /// Sockets that another thread accepted for this one.
    private let inbox = Mutex<[Arrival]>([])
    private let stopRequested = Atomic<Bool>(false)
    /// Set while the worker sleeps or may fall asleep with replies that wait for the log.
    let wantsLogNews = Atomic<Bool>(false)
    package let metrics = WorkerMetrics()

    private(set) var connections: [Connection?] = []
    private var freeSlots: [Int] = []
    private var generation: UInt64 = 0
    private var ready: [Poller.Event] = []
    /// Slots of connections whose replies wait for the log.
    var waiting: [Int] = []
    var released: [Int] = []
    /// Slots that could not be worked through within their share of a turn.
    var unfinished: [Int] = []
    var input = ByteBuffer(capacity: Worker.inputBytes)
    var output = ByteBuffer(capacity: Worker.inputBytes)
    var batch = CommandBatch()
    private var lastSweep: Milliseconds = 0
    /// Whether a reply of this turn waits for the medium.
    var wantsSync = false
    /// Set when the worker stops: nothing more is read, and a connection closes when what it asked is answered.
    private(set) var isDraining = false

    private struct Arrival {
        var descriptor: Int32
        var isTurnedAway: Bool
    }

    /// Received at most so much at once.
    static let inputBytes = 65_536
    /// Receives for one connection in one turn.
    static let receivesPerTurn = 4
    /// How often one connection's replies may fill the limit and go out in one turn.
    static let roundsPerTurn = 4

    package init(server: ServerContext) throws(SystemError) {
        self.server = server
        poller = try Poller()
        ready.reserveCapacity(256)
    }

    // MARK: Other threads

    /// Hands over a connected socket.
    ///
    /// - Parameter isTurnedAway: Whether it is one more than the server takes, and is only to be told so.
    package func adopt(_ socket: consuming Socket, isTurnedAway: Bool = false) {
        let arrival = Arrival(descriptor: socket.release(), isTurnedAway: isTurnedAway)
        inbox.withLock { $0.append(arrival) }
        poller.wake()
    }

    /// The log moved: replies may be free to go.
    package func logMoved() {
        if wantsLogNews.load(ordering: .sequentiallyConsistent) { poller.wake() }
    }

    package func stop() {
        stopRequested.store(true, ordering: .releasing)
        poller.wake()
    }

    // MARK: The loop

    /// Runs until `stop()`; then answers what was received, waits for the log and for slow clients a bounded time, and closes.
    package func run() {
        while step(waitMilliseconds: isDraining ? 10 : 1_000) {}
    }

    /// One turn.
    ///
    /// - Parameter waitMilliseconds: How long to wait when there is nothing to do.
    /// - Returns: false when the worker has stopped.
    package func step(waitMilliseconds: Int32) -> Bool {
        let isStopping = stopRequested.load(ordering: .acquiring)
        if isStopping, isDraining, isDrained || server.time.now() > server.drainDeadline {
            closeAll()
            return false
        }
        let isBusy = !unfinished.isEmpty || (isStopping && !isDraining)
        ready.removeAll(keepingCapacity: true)
        // What is left of earlier turns may wait for the log, which needs the disk and not us.
        let busyMilliseconds: Int32 = server.store.log.isFull ? 1 : 0
        poller.wait(events, timeoutMilliseconds: isBusy ? busyMilliseconds : waitMilliseconds) { ready.append($0) }

        let began = server.time.elapsed()
        var turn = server.beginTurn(at: began)
        batch.beginTurn()
        goOnWithUnfinished(turn)
        for event in ready { handle(event, turn) }
        if isStopping, !isDraining { beginDraining(turn) }
        server.log.endTurn(wantsSync: wantsSync)
        wantsSync = false
        turn.position = server.log.position
        turn.logWorks = server.log.isWorking
        releaseWaiting(turn)
        // Who was released may have gone on with requests that lay here.
        server.log.endTurn(wantsSync: wantsSync)
        wantsSync = false
        if turn.now - lastSweep >= 1_000 {
            lastSweep = turn.now
            sweep(turn)
        }
        if isBusy || !ready.isEmpty { metrics.turns.note(server.time.elapsed() - began) }
        return true
    }

    /// Before the events of the turn, so that who waits is not overtaken by who asks again.
    private func goOnWithUnfinished(_ turn: Turn) {
        guard !unfinished.isEmpty else { return }
        let slots = unfinished
        unfinished.removeAll(keepingCapacity: true)
        for slot in slots {
            guard let connection = connections[slot] else { continue }
            if connection.hasLeftover {
                connection.hasLeftover = false
                serveLeftover(connection, slot, turn)
            } else {
                receive(connection, slot, turn)
            }
        }
    }

    private func handle(_ event: Poller.Event, _ turn: Turn) {
        if event.token == Poller.wakeToken {
            poller.clearWake()
            takeInbox(turn)
            return
        }
        let slot = Int(event.token & 0xFFFF_FFFF)
        guard slot < connections.count, let connection = connections[slot], connection.token == event.token else { return }
        if event.writable, !connection.output.isEmpty {
            guard connection.flush() else { return close(slot) }
            connection.patience.sent(at: turn.now)
            resumeOrClose(connection, slot, turn)
            guard connections[slot] != nil else { return }
        }
        if event.readable || event.hangUp {
            if connection.isLingering { return discard(connection, slot) }
            if connection.isPaused || connection.isClosing {
                // Not read now. A peer that is gone altogether would be reported again and again.
                if event.hangUp { close(slot) }
                return
            }
            receive(connection, slot, turn)
        }
    }

    // MARK: Stopping

    private var isDrained: Bool { connections.allSatisfy { $0 == nil } }

    /// Takes what has been received up to now; from then on nothing is read.
    private func beginDraining(_ turn: Turn) {
        for slot in connections.indices {
            if let connection = connections[slot] { receive(connection, slot, turn) }
        }
        isDraining = true
        for slot in connections.indices {
            // Who is paused or has requests left goes on until they are answered.
            guard let connection = connections[slot], connection.isRead else { continue }
            giveUp(.shuttingDown, connection, slot, &connection.input, turn)
        }
        for slot in connections.indices where connections[slot]?.isLingering == true { close(slot) }
    }

    // MARK: Coming and going

    private func takeInbox(_ turn: Turn) {
        let arrivals = inbox.withLock { inbox in
            defer { inbox.removeAll() }
            return inbox
        }
        for arrival in arrivals {
            let socket = Socket(adopting: arrival.descriptor)
            socket.configure()
            let slot: Int
            if let free = freeSlots.popLast() {
                slot = free
            } else {
                slot = connections.count
                connections.append(nil)
            }
            generation = (generation &+ 1) & 0x3FFF_FFFF
            let token = generation << 32 | UInt64(slot)
            do throws(SystemError) {
                try poller.add(arrival.descriptor, .read, token: token)
            } catch {
                freeSlots.append(slot)
                server.connectionClosed(isTurnedAway: arrival.isTurnedAway)
                continue
            }
            connections[slot] = Connection(
                socket: socket, token: token, session: Session(configuration: server.configuration),
                isTurnedAway: arrival.isTurnedAway, now: turn.now)
        }
    }

    func close(_ slot: Int) {
        guard let connection = connections[slot] else { return }
        // The poller forgets a descriptor when it is closed.
        connections[slot] = nil
        connection.isWaiting = false
        freeSlots.append(slot)
        server.connectionClosed(isTurnedAway: connection.isTurnedAway)
    }

    private func closeAll() {
        for slot in connections.indices { close(slot) }
    }

    /// Looks at connections that have not done anything for too long. Once a second.
    private func sweep(_ turn: Turn) {
        for slot in connections.indices {
            // Who waits for the log waits for us.
            guard let connection = connections[slot], connection.session.held.isEmpty else { continue }
            switch connection.patience.verdict(
                at: turn.now, connection.activity, unsent: connection.output.count,
                isHTTP: connection.session.dialect == .http, server.configuration)
            {
            case .stay: continue
            case .giveUp: giveUp(.requestTimeout, connection, slot, &connection.input, turn)
            case .close: close(slot)
            }
            metrics.timeouts.add(1)
        }
    }
}
