// What a turn does with what one connection sent: receive a bounded amount, let the session answer, send.

import LarderBytes
import LarderPlatform
import LarderWire

extension Worker {
    /// Receives and serves a bounded amount.
    func receive(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        for _ in 0..<Self.receivesPerTurn {
            if !connection.isRead || isDraining { return }
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
                return drainOrClose(connection, slot, turn)
            case .bytes(let count):
                connection.patience.received(count, at: turn.now)
                metrics.receivedBytes.add(UInt64(count))
                if connection.input.isEmpty {
                    serve(connection, slot, &input, turn)
                    if !input.isEmpty {
                        connection.input.append(input.bytes)
                        input.removeAll()
                    }
                    guard connections[slot] != nil else { return }
                    noteProgress(connection, turn)
                } else {
                    serveLeftover(connection, slot, turn)
                    guard connections[slot] != nil else { return }
                }
                // A receive that did not fill the buffer has emptied the socket.
                if count < asked { return }
            }
        }
        if connection.isRead { unfinished.append(slot) }
    }

    /// Goes on with what the connection keeps.
    func serveLeftover(_ connection: Connection, _ slot: Int, _ turn: Turn) {
        serve(connection, slot, &connection.input, turn)
        guard connections[slot] != nil else { return }
        if connection.input.isEmpty { connection.input.shrink() }
        noteProgress(connection, turn)
    }

    private func noteProgress(_ connection: Connection, _ turn: Turn) {
        connection.patience.worked(
            served: connection.session.servedSinceLastLook(),
            isWithinRequest: connection.session.isWithinRequest(connection.input), at: turn.now)
    }

    /// Decodes and executes what lies in `bytes`, and sends the replies.
    private func serve(_ connection: Connection, _ slot: Int, _ bytes: inout ByteBuffer, _ turn: Turn) {
        if connection.isTurnedAway { return giveUp(.tooManyConnections, connection, slot, &bytes, turn) }
        var rounds = 0
        while true {
            rounds += 1
            let progress = connection.session.process(
                &bytes, output: &output, unsent: connection.output.count, batch: &batch, server: server, turn: turn,
                metrics: metrics)
            guard sendOutput(connection, slot) else {
                // The caller still holds the bytes; it finds the slot empty.
                bytes.removeAll()
                return
            }
            if !connection.session.held.isEmpty { awaitLog(connection, slot) }
            switch progress {
            case .needMore:
                // What has begun will not be complete.
                if isDraining { return giveUp(.shuttingDown, connection, slot, &bytes, turn) }
            case .full:
                // Everything went out at once: there is room again.
                if connection.output.isEmpty, !connection.session.isSaturated(server.configuration) {
                    if rounds < Self.roundsPerTurn { continue }
                    // The others have waited long enough.
                    leaveForAnotherTurn(connection, slot)
                } else {
                    connection.isPaused = true
                }
            case .unfinished:
                leaveForAnotherTurn(connection, slot)
            case .close:
                connection.isClosing = true
                bytes.removeAll()
            }
            break
        }
        settle(connection, slot, turn)
    }

    private func leaveForAnotherTurn(_ connection: Connection, _ slot: Int) {
        connection.hasLeftover = true
        unfinished.append(slot)
    }

    /// Sends what is in `output`.
    ///
    /// - Returns: false when the peer is gone, and the connection with it.
    func sendOutput(_ connection: Connection, _ slot: Int) -> Bool {
        guard !output.isEmpty else { return true }
        metrics.sentBytes.add(UInt64(output.count))
        guard connection.send(&output) else {
            output.removeAll()
            close(slot)
            return false
        }
        output.shrink(above: 1 << 20)
        return true
    }

    /// Answers the request that has begun in `bytes` and will not be carried out, and closes behind the reply.
    func giveUp(_ failure: Failure, _ connection: Connection, _ slot: Int, _ bytes: inout ByteBuffer, _ turn: Turn) {
        connection.session.giveUp(failure, bytes, output: &output, turn: turn, metrics: metrics)
        bytes.removeAll()
        guard sendOutput(connection, slot) else { return }
        if !connection.session.held.isEmpty { awaitLog(connection, slot) }
        connection.isClosing = true
        drainOrClose(connection, slot, turn)
    }
}
