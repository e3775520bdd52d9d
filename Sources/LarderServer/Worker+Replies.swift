// What a turn does about replies: those that the kernel did not take, those that wait for the log, and the last ones of a
// connection.

import LarderBytes
import LarderPlatform
import LarderWire
import Synchronization

extension Worker {
    /// Tells the poller what to report from now on, and ends a connection that has nothing left to do.
    func settle(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        if connection.isClosing { return drainOrClose(connection, slot, turn) }
        updateInterest(connection, slot)
    }

    private func updateInterest(_ connection: Connection, _ slot: Int) {
        let isRead = connection.isLingering || !connection.isPaused && !connection.isClosing && !isDraining
        var wanted: Poller.Interest = isRead ? .read : []
        if !connection.output.isEmpty { wanted.insert(.write) }
        guard wanted != connection.interest else { return }
        do throws(SystemError) {
            try poller.change(connection.socket.descriptor, wanted, token: connection.token)
            connection.interest = wanted
        } catch {
            close(slot)
        }
    }

    // MARK: Ending

    /// Ends a connection from which nothing more is read, once everything is sent.
    func drainOrClose(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        guard connection.output.isEmpty, connection.session.held.isEmpty else { return updateInterest(connection, slot) }
        if connection.isLingering { return }
        if connection.peerFinished { return close(slot) }
        connection.socket.finishSending()
        // The kernel answers what comes for a closed socket with a reset, which can take the last reply from the peer. So the
        // peer is the first to close, if it does so soon.
        if isDraining { return close(slot) }
        connection.isLingering = true
        connection.patience.sent(at: turn.now)
        updateInterest(connection, slot)
    }

    /// Throws away what comes from a peer that was told of the end.
    func discard(_ connection: Connection, _ slot: Int) {
        for _ in 0..<Self.receivesPerTurn {
            let transfer = connection.socket.receive(into: &input, minimum: Self.inputBytes)
            input.removeAll()
            switch transfer {
            case .bytes: continue
            case .wouldBlock: return
            case .closed: return close(slot)
            }
        }
    }

    /// Goes on with a connection after replies have left it.
    func resumeOrClose(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        if connection.isClosing { return drainOrClose(connection, slot, turn) }
        if connection.isPaused, connection.output.count <= server.configuration.outputBytesSoft / 4,
            !connection.session.isSaturated(server.configuration)
        {
            connection.isPaused = false
            if !connection.input.isEmpty {
                serveLeftover(connection, slot, turn)
                guard connections[slot] != nil else { return }
            }
        }
        settle(connection, slot, turn)
    }

    // MARK: Replies that wait for the log

    func awaitLog(_ connection: Connection, _ slot: Int) {
        if connection.session.held.wantsSync {
            connection.session.held.wantsSync = false
            wantsSync = true
        }
        guard !connection.isWaiting else { return }
        connection.isWaiting = true
        waiting.append(slot)
        wantsLogNews.store(true, ordering: .sequentiallyConsistent)
    }

    func releaseWaiting(_ turn: Turn) {
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
            guard sendOutput(connection, slot) else { continue }
            connection.patience.sent(at: turn.now)
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
}
