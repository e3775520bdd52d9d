// One thread, one poller, and the connections that belong to it.
//
// A turn: wait for ready sockets; for each, receive, decode, execute, and send; then let the log write what the turn
// staged, and send the replies that waited for it. Work for one connection in one turn is bounded, so a client that
// pipelines without end does not starve the others.

import LarderBytes
import LarderPlatform
import LarderWire
import Synchronization

package final class Worker: @unchecked Sendable {
    // Unchecked: everything but `inbox`, `poller` and the counters belongs to the worker's own thread.
    private let server: ServerContext
    private let poller: Poller
    private let events = Poller.EventList()
    /// Sockets that another thread accepted for this one.
    private let inbox = Mutex<[Int32]>([])
    private let stopRequested = Atomic<Bool>(false)
    /// Set while the worker sleeps or may fall asleep with replies that wait for the log.
    private let wantsLogNews = Atomic<Bool>(false)
    package let metrics = WorkerMetrics()

    private var connections: [Connection?] = []
    private var freeSlots: [Int] = []
    private var generation: UInt64 = 0
    /// Slots of connections whose replies wait for the log.
    private var waiting: [Int] = []
    private var released: [Int] = []
    /// Slots that could not be worked through within their share of a turn.
    private var unfinished: [Int] = []
    private var input = ByteBuffer(capacity: Worker.inputBytes)
    private var output = ByteBuffer(capacity: Worker.inputBytes)
    private var batch = CommandBatch()
    private var lastSweep: Milliseconds = 0
    /// Whether a reply of this turn waits for the medium.
    private var wantsSync = false

    /// Received at most so much at once.
    static let inputBytes = 65_536
    /// Receives for one connection in one turn.
    static let receivesPerTurn = 4
    /// How often one connection's replies may fill the limit and go out in one turn.
    static let roundsPerTurn = 4
    /// How long a client with too many replies waiting may take none.
    static let stalledMilliseconds: Milliseconds = 10_000

    package init(server: ServerContext) throws(SystemError) {
        self.server = server
        poller = try Poller()
    }

    // MARK: Other threads

    /// Hands over a connected socket.
    package func adopt(_ socket: consuming Socket) {
        let descriptor = socket.release()
        inbox.withLock { $0.append(descriptor) }
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

    /// Runs until `stop()`; then answers what was received, waits for the log a bounded time, and closes.
    package func run() {
        var ready: [Poller.Event] = []
        ready.reserveCapacity(256)
        while true {
            let stopping = stopRequested.load(ordering: .acquiring)
            if stopping, isDrained || server.time.now() > server.drainDeadline { break }
            let timeout: Int32 = unfinished.isEmpty ? (stopping ? 10 : 1_000) : 0
            ready.removeAll(keepingCapacity: true)
            poller.wait(events, timeoutMilliseconds: timeout) { ready.append($0) }

            var turn = server.beginTurn()
            for event in ready { handle(event, turn) }
            if !unfinished.isEmpty {
                let slots = unfinished
                unfinished.removeAll(keepingCapacity: true)
                for slot in slots {
                    guard let connection = connections[slot] else { continue }
                    if connection.hasLeftover {
                        connection.hasLeftover = false
                        serve(connection, slot, &connection.input, turn)
                        if connections[slot] != nil, connection.input.isEmpty { connection.input.shrink() }
                    } else {
                        receive(connection, slot, turn)
                    }
                }
            }
            server.log.endTurn(wantsSync: wantsSync)
            wantsSync = false
            turn.position = server.log.position
            turn.logWorks = server.log.isWorking
            releaseWaiting(turn)
            if turn.now - lastSweep >= 1_000 {
                lastSweep = turn.now
                sweep(turn)
            }
        }
        closeAll()
    }

    private var isDrained: Bool {
        waiting.isEmpty && unfinished.isEmpty && connections.allSatisfy { $0?.output.isEmpty ?? true }
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
            connection.lastActivity = turn.now
            resumeOrClose(connection, slot, turn)
            guard connections[slot] != nil else { return }
        }
        if event.readable || event.hangUp {
            if connection.isPaused || connection.isClosing {
                // Not read now. A peer that is gone altogether would be reported again and again.
                if event.hangUp { close(slot) }
                return
            }
            receive(connection, slot, turn)
        }
    }

    // MARK: One connection

    /// Receives and serves a bounded amount.
    private func receive(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        for _ in 0..<Self.receivesPerTurn {
            if connection.isPaused || connection.isClosing || connection.hasLeftover { return }
            let transfer: Transfer
            let asked: Int
            if connection.input.isEmpty {
                input.reserve(Self.inputBytes)
                asked = input.capacity
                transfer = connection.socket.receive(into: &input, minimum: Self.inputBytes)
            } else {
                asked = max(Self.inputBytes, min(connection.input.count, 1 << 20))
                transfer = connection.socket.receive(into: &connection.input, minimum: asked)
            }
            switch transfer {
            case .wouldBlock:
                return
            case .closed:
                connection.peerFinished = true
                connection.isClosing = true
                return drainOrClose(connection, slot)
            case .bytes(let count):
                connection.lastActivity = turn.now
                metrics.receivedBytes.add(UInt64(count))
                if connection.input.isEmpty {
                    serve(connection, slot, &input, turn)
                    if !input.isEmpty {
                        connection.input.append(input.bytes)
                        input.removeAll()
                    }
                } else {
                    serve(connection, slot, &connection.input, turn)
                    if connection.input.isEmpty { connection.input.shrink() }
                }
                guard connections[slot] != nil else { return }
                noteProgress(connection, turn)
                // A receive that did not fill the buffer has emptied the socket.
                if count < asked { return }
            }
        }
        if !connection.isPaused, !connection.isClosing, !connection.hasLeftover { unfinished.append(slot) }
    }

    /// Decodes and executes what lies in `bytes`, and sends the replies.
    private func serve(_ connection: Connection, _ slot: Int, _ bytes: inout ByteBuffer, _ turn: Turn) {
        var rounds = 0
        while true {
            rounds += 1
            let progress = connection.session.process(
                &bytes, output: &output, unsent: connection.output.count, batch: &batch, server: server, turn: turn,
                metrics: metrics)
            if !output.isEmpty {
                metrics.sentBytes.add(UInt64(output.count))
                guard connection.send(&output) else {
                    output.removeAll()
                    // The caller still holds the bytes; it finds the slot empty.
                    bytes.removeAll()
                    return close(slot)
                }
                output.shrink(above: 1 << 20)
            }
            if !connection.session.held.isEmpty { awaitLog(connection, slot) }
            switch progress {
            case .needMore:
                break
            case .full:
                // Everything went out at once: there is room again.
                if connection.output.isEmpty, !connection.session.isSaturated(server.configuration) {
                    if rounds < Self.roundsPerTurn { continue }
                    // The others have waited long enough.
                    connection.hasLeftover = true
                    unfinished.append(slot)
                } else {
                    connection.isPaused = true
                }
            case .close:
                connection.isClosing = true
                bytes.removeAll()
            }
            break
        }
        settle(connection, slot)
    }

    private func noteProgress(_ connection: Connection, _ turn: Turn) {
        if connection.session.hasServed { connection.hasServed = true }
        if connection.input.isEmpty {
            connection.requestSince = connection.hasServed ? 0 : connection.requestSince
        } else if connection.requestSince == 0 || connection.session.servedSinceLastLook() {
            connection.requestSince = turn.now
        }
    }

    /// Tells the poller what to report from now on, and closes a connection that has nothing left to do.
    private func settle(_ connection: Connection, _ slot: Int) {
        if connection.isClosing { return drainOrClose(connection, slot) }
        updateInterest(connection, slot)
    }

    private func updateInterest(_ connection: Connection, _ slot: Int) {
        var wanted: Poller.Interest = connection.isPaused || connection.isClosing ? [] : .read
        if !connection.output.isEmpty { wanted.insert(.write) }
        guard wanted != connection.interest else { return }
        do throws(SystemError) {
            try poller.change(connection.socket.descriptor, wanted, token: connection.token)
            connection.interest = wanted
        } catch {
            close(slot)
        }
    }

    private func drainOrClose(_ connection: Connection, _ slot: Int) {
        if connection.output.isEmpty, connection.session.held.isEmpty {
            if !connection.peerFinished { connection.socket.finishSending() }
            close(slot)
        } else {
            updateInterest(connection, slot)
        }
    }

    /// Goes on with a connection after replies have left it.
    private func resumeOrClose(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        if connection.isClosing { return drainOrClose(connection, slot) }
        if connection.isPaused, connection.output.count <= server.configuration.outputBytesSoft / 4,
            !connection.session.isSaturated(server.configuration)
        {
            connection.isPaused = false
            if !connection.input.isEmpty {
                serve(connection, slot, &connection.input, turn)
                guard connections[slot] != nil else { return }
                if connection.input.isEmpty { connection.input.shrink() }
                noteProgress(connection, turn)
            }
        }
        if connections[slot] != nil { updateInterest(connection, slot) }
    }

    // MARK: Replies that wait for the log

    private func awaitLog(_ connection: Connection, _ slot: Int) {
        if connection.session.held.wantsSync {
            connection.session.held.wantsSync = false
            wantsSync = true
        }
        guard !connection.isWaiting else { return }
        connection.isWaiting = true
        waiting.append(slot)
        wantsLogNews.store(true, ordering: .sequentiallyConsistent)
    }

    private func releaseWaiting(_ turn: Turn) {
        guard !waiting.isEmpty else { return }
        swap(&waiting, &released)
        for slot in released {
            guard let connection = connections[slot], connection.isWaiting else { continue }
            if turn.logWorks {
                connection.session.held.release(
                    at: turn.position, dialect: connection.session.dialect, into: &output)
            } else {
                connection.session.held.fail(at: turn.position, dialect: connection.session.dialect, into: &output)
            }
            connection.isWaiting = !connection.session.held.isEmpty
            if connection.isWaiting { waiting.append(slot) }
            guard !output.isEmpty else { continue }
            metrics.sentBytes.add(UInt64(output.count))
            guard connection.send(&output) else {
                close(slot)
                continue
            }
            connection.lastActivity = turn.now
            resumeOrClose(connection, slot, turn)
        }
        released.removeAll(keepingCapacity: true)
        if waiting.isEmpty {
            wantsLogNews.store(false, ordering: .sequentiallyConsistent)
        } else if server.log.position != turn.position || !server.log.isWorking {
            // It moved between the look and now; the wake-up may have been missed.
            poller.wake()
        }
    }

    // MARK: Coming and going

    private func takeInbox(_ turn: Turn) {
        let descriptors = inbox.withLock { inbox in
            defer { inbox.removeAll() }
            return inbox
        }
        for descriptor in descriptors {
            let socket = Socket(adopting: descriptor)
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
                try poller.add(descriptor, .read, token: token)
            } catch {
                freeSlots.append(slot)
                server.connectionClosed()
                continue
            }
            connections[slot] = Connection(
                socket: socket, token: token, session: Session(configuration: server.configuration), now: turn.now)
        }
    }

    private func close(_ slot: Int) {
        guard let connection = connections[slot] else { return }
        // The poller forgets a descriptor when it is closed.
        connections[slot] = nil
        connection.isWaiting = false
        freeSlots.append(slot)
        server.connectionClosed()
    }

    private func closeAll() {
        for slot in connections.indices { close(slot) }
    }

    /// Closes connections that have not done anything for too long. Once a second.
    private func sweep(_ turn: Turn) {
        let configuration = server.configuration
        for slot in connections.indices {
            guard let connection = connections[slot] else { continue }
            let idle = turn.now - connection.lastActivity
            let requestAge = connection.requestSince == 0 ? 0 : turn.now - connection.requestSince
            let limit = connection.hasServed ? configuration.requestSeconds : configuration.firstRequestSeconds
            let isHTTP = connection.session.dialect == .http
            let tooSlow = requestAge > Milliseconds(limit) * 1_000 && !connection.isPaused
            let tooIdle = isHTTP && configuration.httpIdleSeconds > 0 && idle > Milliseconds(configuration.httpIdleSeconds) * 1_000
            let notTaking = (connection.isPaused || connection.isClosing) && idle > Milliseconds(configuration.requestSeconds) * 1_000
            let stalled = connection.output.count > configuration.outputBytesMax && idle > Self.stalledMilliseconds
            guard tooSlow || tooIdle || notTaking || stalled, connection.session.held.isEmpty else { continue }
            metrics.timeouts.add(1)
            close(slot)
        }
    }
}
