// What a turn does about replies: those that the kernel did not take, those that wait for the log, and the last ones of a
// connection.

import LarderBytes
import LarderPlatform
import LarderWire

extension WorkerLoop {
    /// Tells the poller what to report from now on, and ends a connection that has nothing left to do.
    mutating func settle(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        if connection.isClosing { return drainOrClose(&connection, slot, turn) }
        updateInterest(&connection, slot)
    }

    private mutating func updateInterest(_ connection: inout Connection, _ slot: Int) {
        let isRead = connection.isLingering || !connection.isPaused && !connection.isClosing && !isDraining
        var wanted: Poller.Interest = isRead ? .read : []
        if !connection.output.isEmpty { wanted.insert(.write) }
        guard wanted != connection.interest else { return }
        do throws(SystemError) {
            try inbox.poller.change(connection.socket.descriptor, wanted, token: connection.token)
            connection.interest = wanted
        } catch {
            close(slot, connection)
        }
    }

    // MARK: Ending

    /// Ends a connection from which nothing more is read, once everything is sent.
    mutating func drainOrClose(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        guard connection.output.isEmpty, connection.session.held.isEmpty else { return updateInterest(&connection, slot) }
        if connection.isLingering { return }
        if connection.peerFinished { return close(slot, connection) }
        connection.socket.finishSending()
        // The kernel answers what comes for a closed socket with a reset, which can take the last reply from the peer. So the
        // peer is the first to close, if it does so soon.
        if isDraining { return close(slot, connection) }
        connection.isLingering = true
        connection.patience.sent(at: turn.now)
        updateInterest(&connection, slot)
    }

    /// Throws away what comes from a peer that was told of the end.
    mutating func discard(_ connection: inout Connection, _ slot: Int) {
        connection.input.removeAll()
        for _ in 0..<Self.receivesPerTurn {
            let transfer = connection.socket.receive(into: &connection.input, minimum: Self.inputBytes)
            connection.input.removeAll()
            switch transfer {
            case .bytes: continue
            case .wouldBlock: return
            case .closed: return close(slot, connection)
            }
        }
    }

    /// Goes on with a connection after replies have left it.
    mutating func resumeOrClose(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        if connection.isClosing { return drainOrClose(&connection, slot, turn) }
        if connection.isPaused, connection.output.count <= server.configuration.outputBytesSoft / 4,
            !connection.session.isSaturated(server.configuration)
        {
            connection.isPaused = false
            if !connection.input.isEmpty {
                serve(&connection, slot, turn)
                guard isOpen(slot) else { return }
            }
        }
        settle(&connection, slot, turn)
    }

    // MARK: Replies that wait for the log

    mutating func awaitLog(_ connection: inout Connection, _ slot: Int) {
        if connection.session.held.wantsSync {
            connection.session.held.wantsSync = false
            wantsSync = true
        }
        guard !connection.isWaiting else { return }
        connection.isWaiting = true
        waiting.append(slot)
        inbox.wantLogNews(true)
    }

    mutating func releaseWaiting(_ turn: Turn) {
        guard !waiting.isEmpty else { return }
        swap(&waiting, &released)
        for index in released.indices {
            let slot = released[index]
            if let place = connections[slot], place.connection.isWaiting { release(&place.connection, slot, turn) }
        }
        released.removeAll(keepingCapacity: true)
        if waiting.isEmpty {
            inbox.wantLogNews(false)
        } else if server.log.position != turn.position || !server.log.isWorking {
            // It moved between the look and now; the wake-up may have been missed.
            inbox.poller.wake()
        }
    }

    private mutating func release(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        if turn.logWorks {
            connection.session.held.release(at: turn.position, dialect: connection.session.dialect, into: &output)
        } else {
            connection.session.held.fail(at: turn.position, dialect: connection.session.dialect, into: &output)
        }
        connection.isWaiting = !connection.session.held.isEmpty
        if connection.isWaiting { waiting.append(slot) }
        guard !output.isEmpty, sendOutput(&connection, slot) else { return }
        connection.patience.sent(at: turn.now)
        resumeOrClose(&connection, slot, turn)
    }
}
