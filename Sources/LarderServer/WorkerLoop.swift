// What a worker's thread does: one poller, and the connections that belong to it.
//
// A turn: wait for ready sockets; receive from some of them and decode what came, so that the memory which their requests
// will touch is on its way; execute and answer one after the other; go on with the next; then let the log write what the turn
// staged, and send the replies that waited for it. Work for one connection in one turn is bounded, so a client that
// pipelines without end does not starve the others. What a turn does for one connection stands in the files beside this one.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

struct WorkerLoop: ~Copyable {
    let server: ServerContext
    let inbox: WorkerInbox
    private let events = Poller.EventList()

    var connections: [ConnectionPlace?] = []
    private var freeSlots: [Int] = []
    private var generation: UInt64 = 0
    /// Slots of connections whose replies wait for the log.
    var waiting: [Int] = []
    var released: [Int] = []
    /// Tokens of connections that could not be worked through within their share of a turn, each once.
    private var unfinished: [UInt64] = []
    /// Those of the last turn.
    private var goingOn: [UInt64] = []
    /// Connections whose first requests have been decoded together, into `group`.
    var staged: [StagedRequests] = []
    var group = CommandBatch()
    /// What connections that own no buffer receive into.
    var spares = SpareBuffers()
    var output = ByteBuffer(capacity: WorkerLoop.inputBytes)
    var batch = CommandBatch()
    var scratch = Scratch()
    private var lastSweep: Milliseconds = 0
    /// Whether a reply of this turn waits for the medium.
    var wantsSync = false
    /// Set when the worker stops: nothing more is read, and a connection closes when what it asked is answered.
    private(set) var isDraining = false

    /// Received at most so much at once.
    static let inputBytes = 65_536
    /// Receives for one connection in one turn.
    static let receivesPerTurn = 4
    /// How often one connection's replies may fill the limit and go out in one turn.
    static let roundsPerTurn = 4

    init(server: ServerContext, inbox: WorkerInbox) {
        self.server = server
        self.inbox = inbox
        staged.reserveCapacity(CommandBatch.size)
    }

    var metrics: WorkerMetrics { inbox.metrics }

    /// One turn.
    mutating func step(waitMilliseconds: Int32) -> Bool {
        let isStopping = inbox.isStopRequested
        if isStopping, isDraining, isDrained || server.time.now() > server.drainDeadline {
            closeAll()
            return false
        }
        let isBusy = !unfinished.isEmpty || (isStopping && !isDraining) || hasEvents()
        // What is left of earlier turns may wait for the log, which needs the disk and not us.
        let busyMilliseconds: Int32 = server.store.log.isFull ? 1 : 0
        let ready = inbox.poller.wait(events, timeoutMilliseconds: isBusy ? busyMilliseconds : waitMilliseconds)
        if scratch.watch.isWatching { inbox.wakeUp() }

        let began = server.time.elapsed()
        var turn = server.beginTurn(at: began)
        if server.flushes.carryOut(in: server.store, now: turn.now) { wantsSync = true }
        scratch.beginTurn()
        goOnWithUnfinished(turn)
        for index in 0..<ready {
            if spares.isEmpty || group.isFull { serveStaged(turn) }
            handle(events[index], turn)
        }
        serveStaged(turn)
        if isStopping, !isDraining { beginDraining(turn) }
        server.log.endTurn(wantsSync: wantsSync)
        wantsSync = false
        turn.position = server.log.position
        turn.logWorks = server.log.isWorking
        releaseWaiting(turn)
        // Who was released may have gone on with requests that lay here.
        server.log.endTurn(wantsSync: wantsSync)
        wantsSync = false
        lookAtEvents(turn)
        if turn.now - lastSweep >= 1_000 {
            lastSweep = turn.now
            sweep(turn)
            scratch.watch.tidy(work: WorkerLoop.sweptPerSecond)
        }
        if isBusy || ready > 0 { metrics.turns.note(server.time.elapsed() - began) }
        return true
    }

    /// Before the events of the turn, so that who waits is not overtaken by who asks again.
    private mutating func goOnWithUnfinished(_ turn: Turn) {
        guard !unfinished.isEmpty else { return }
        swap(&unfinished, &goingOn)
        for index in goingOn.indices {
            let token = goingOn[index]
            let slot = Self.slot(token)
            guard let place = connections[slot], place.token == token else { continue }
            place.connection.isUnfinished = false
            if place.connection.hasLeftover {
                place.connection.hasLeftover = false
                serve(&place.connection, slot, turn)
            } else {
                receive(&place.connection, slot, turn)
            }
        }
        goingOn.removeAll(keepingCapacity: true)
    }

    /// Has the next turn begin with this connection.
    mutating func goOnNextTurn(_ connection: inout Connection) {
        guard !connection.isUnfinished else { return }
        connection.isUnfinished = true
        unfinished.append(connection.token)
    }

    private mutating func handle(_ event: Poller.Event, _ turn: Turn) {
        if event.token == Poller.wakeToken {
            inbox.poller.clearWake()
            takeArrivals(turn)
            closeDoomed()
            return
        }
        let slot = Self.slot(event.token)
        guard slot < connections.count, let place = connections[slot], place.token == event.token else { return }
        handle(event, &place.connection, slot, turn)
    }

    private mutating func handle(_ event: Poller.Event, _ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        if event.writable, !connection.output.isEmpty {
            guard connection.flush() else { return close(slot, connection) }
            connection.patience.sent(at: turn.now)
            resumeOrClose(&connection, slot, turn)
            guard isOpen(slot) else { return }
        }
        if event.readable || event.hangUp {
            if connection.isLingering { return discard(&connection, slot) }
            if connection.isPaused || connection.isClosing {
                // Not read now. A peer that is gone altogether would be reported again and again.
                if event.hangUp { close(slot, connection) }
                return
            }
            // It has had its share of this turn.
            if connection.isUnfinished { return }
            stage(&connection, slot, turn)
        }
    }

    // MARK: Stopping

    private var isDrained: Bool { connections.allSatisfy { $0 == nil } }

    /// Takes what has been received up to now; from then on nothing is read.
    private mutating func beginDraining(_ turn: Turn) {
        for slot in connections.indices {
            if let place = connections[slot] { receive(&place.connection, slot, turn) }
        }
        isDraining = true
        for slot in connections.indices {
            // Who is paused or has requests left goes on until they are answered.
            guard let place = connections[slot], place.connection.isRead else { continue }
            giveUp(.shuttingDown, &place.connection, slot, turn)
        }
        for slot in connections.indices {
            if let place = connections[slot], place.connection.isLingering { close(slot, place.connection) }
        }
    }

    // MARK: Coming and going

    private mutating func takeArrivals(_ turn: Turn) {
        for arrival in inbox.takeArrivals() {
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
                try inbox.poller.add(arrival.descriptor, .read, token: token)
            } catch {
                freeSlots.append(slot)
                server.connectionClosed(isTurnedAway: arrival.isTurnedAway)
                continue
            }
            var session = Session(configuration: server.configuration, dialect: arrival.dialect)
            session.place = WorkerPlace(inbox: inbox, token: token, descriptor: arrival.descriptor)
            connections[slot] = ConnectionPlace(
                token: token,
                Connection(
                    socket: socket, token: token, session: session,
                    isTurnedAway: arrival.isTurnedAway, owesLogin: server.configuration.apiKey != nil, now: turn.now))
        }
    }

    /// Closes what other connections want closed.
    private mutating func closeDoomed() {
        for token in inbox.takeDoomed() {
            let slot = Self.slot(token)
            guard slot < connections.count, let place = connections[slot], place.token == token else { continue }
            close(slot, place.connection)
        }
    }

    /// Where the connection with this token lies, if it is there still.
    static func slot(_ token: UInt64) -> Int { Int(token & 0xFFFF_FFFF) }

    /// Whether the connection in this slot has not been closed in the meantime.
    func isOpen(_ slot: Int) -> Bool { connections[slot] != nil }

    /// Forgets a connection, which is closed when nobody looks at it any more.
    mutating func close(_ slot: Int, _ connection: borrowing Connection) {
        guard connections[slot] != nil else { return }
        if connection.session.isWatching { scratch.watch.close(connection.session.token) }
        if let client = connection.session.client { server.resp.clients.remove(client) }
        // The poller forgets a descriptor when it is closed.
        connections[slot] = nil
        freeSlots.append(slot)
        server.connectionClosed(isTurnedAway: connection.isTurnedAway)
    }

    private mutating func closeAll() {
        for slot in connections.indices {
            if let place = connections[slot] { close(slot, place.connection) }
        }
    }

    /// Looks at connections that have not done anything for too long. Once a second.
    private mutating func sweep(_ turn: Turn) {
        for slot in connections.indices {
            if let place = connections[slot] { judge(&place.connection, slot, turn) }
        }
    }

    /// How long connections of a dialect may be idle between requests; 0: for ever.
    private func idleSecondsMax(_ dialect: Dialect) -> Int {
        switch dialect {
        case .http: server.configuration.httpIdleSeconds
        case .resp: server.resp.settings.timeoutSeconds.load(ordering: .relaxed)
        default: 0
        }
    }

    private mutating func judge(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        // Who waits for the log waits for us.
        guard connection.session.held.isEmpty else { return }
        switch connection.patience.verdict(
            at: turn.now, connection.activity, unsent: connection.output.count,
            idleSecondsMax: connection.session.isSubscribed ? 0 : idleSecondsMax(connection.session.dialect),
            server.configuration)
        {
        case .stay: return
        case .giveUp: giveUp(.requestTimeout, &connection, slot, turn)
        case .close: close(slot, connection)
        }
        metrics.timeouts.add(1)
    }
}
