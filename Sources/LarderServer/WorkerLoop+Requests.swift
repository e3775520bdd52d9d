// What a turn does with what connections sent: receive a bounded amount, let the sessions answer, send.

import LarderBytes
import LarderPlatform
import LarderWire

/// Requests of a connection that have been decoded and not executed.
struct StagedRequests {
    var slot: Int
    /// Of the connection.
    var token: UInt64
    var requests: DecodedRequests
    /// The socket may hold more than was received.
    var mayHaveMore: Bool
}

/// Buffers that are lent to connections while their requests are looked at, so that a connection at rest owns none.
struct SpareBuffers: ~Copyable {
    /// So many connections can be looked at together.
    static let count = 16
    private var buffers = InlineArray<16, ByteBuffer> { _ in ByteBuffer() }
    private var left = SpareBuffers.count

    var isEmpty: Bool { left == 0 }

    /// Exchanges a buffer, which is empty, for a spare one.
    mutating func lend(to buffer: inout ByteBuffer) {
        precondition(buffer.isEmpty && left > 0, "lends what is not there, or is not needed")
        left -= 1
        swap(&buffers[left], &buffer)
    }

    /// Takes a buffer back that was lent, and leaves what is in it in memory of its own size.
    mutating func takeBack(_ buffer: inout ByteBuffer) {
        precondition(left < Self.count, "takes back what was not lent")
        var rest = ByteBuffer()
        if !buffer.isEmpty { rest.append(buffer.bytes) }
        buffer.removeAll()
        buffer.shrink(above: WorkerLoop.inputBytes)
        swap(&buffers[left], &buffer)
        left += 1
        swap(&rest, &buffer)
    }
}

extension WorkerLoop {
    /// Receives once, and decodes what can be looked at together with what others sent; `serveStaged` is to follow.
    mutating func stage(_ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        guard let mayHaveMore = receiveOnce(&connection, slot, turn) else { return }
        guard !connection.isTurnedAway,
            let requests = connection.session.decode(
                &connection.input, unsent: connection.output.count, into: &group, server: server)
        else {
            serve(&connection, slot, turn)
            if mayHaveMore, isOpen(slot), connection.isRead { goOnNextTurn(&connection) }
            return
        }
        staged.append(StagedRequests(slot: slot, token: connection.token, requests: requests, mayHaveMore: mayHaveMore))
    }

    /// Executes and answers what has been staged.
    mutating func serveStaged(_ turn: Turn) {
        guard !staged.isEmpty else { return }
        group.prefetch(server)
        for index in staged.indices {
            let next = staged[index]
            guard let place = connections[next.slot], place.token == next.token else { continue }
            serve(&place.connection, next.slot, turn, next.requests)
            guard next.mayHaveMore, isOpen(next.slot) else { continue }
            receive(&place.connection, next.slot, turn, times: Self.receivesPerTurn - 1)
        }
        staged.removeAll(keepingCapacity: true)
        group.removeAll()
    }

    /// Receives and serves a bounded amount.
    mutating func receive(_ connection: inout Connection, _ slot: Int, _ turn: Turn, times: Int = WorkerLoop.receivesPerTurn) {
        for _ in 0..<times {
            guard let mayHaveMore = receiveOnce(&connection, slot, turn) else { return }
            serve(&connection, slot, turn)
            guard mayHaveMore, isOpen(slot) else { return }
        }
        if connection.isRead { goOnNextTurn(&connection) }
    }

    /// - Returns: Whether there may be more; nil when nothing came that is to be looked at.
    private mutating func receiveOnce(_ connection: inout Connection, _ slot: Int, _ turn: Turn) -> Bool? {
        if !connection.isRead || isDraining { return nil }
        let asked: Int
        if connection.input.isEmpty {
            asked = Self.inputBytes
            spares.lend(to: &connection.input)
            connection.isLent = true
        } else {
            asked = max(Self.inputBytes, min(connection.input.count, 1 << 20))
            // Addresses; the memory behind them comes with the bytes.
            connection.input.reserve(max(asked, connection.session.requestBytesExpected - connection.input.count))
        }
        switch connection.socket.receive(into: &connection.input, minimum: asked) {
        case .wouldBlock:
            tidy(&connection)
            return nil
        case .closed:
            tidy(&connection)
            connection.peerFinished = true
            connection.isClosing = true
            drainOrClose(&connection, slot, turn)
            return nil
        case .bytes(let count):
            connection.patience.received(count, at: turn.now)
            metrics.receivedBytes.add(UInt64(count))
            // A receive that did not fill the buffer has emptied the socket.
            return count >= asked
        }
    }

    /// Gives the connection's memory back, as far as nothing is in it.
    private mutating func tidy(_ connection: inout Connection) {
        if connection.isLent {
            connection.isLent = false
            spares.takeBack(&connection.input)
        } else if connection.input.isEmpty {
            connection.input.shrink()
        }
    }

    /// Decodes and executes what lies in the connection's buffer, and sends the replies.
    ///
    /// - Parameter first: What of it has been decoded already, into `group`.
    mutating func serve(_ connection: inout Connection, _ slot: Int, _ turn: Turn, _ first: DecodedRequests? = nil) {
        if connection.isTurnedAway {
            giveUp(.tooManyConnections, &connection, slot, turn)
        } else {
            answer(&connection, slot, turn, first)
        }
        tidy(&connection)
        guard isOpen(slot) else { return }
        connection.patience.worked(
            served: connection.session.servedSinceLastLook(),
            isWithinRequest: connection.session.isWithinRequest(connection.input), at: turn.now)
    }

    private mutating func answer(_ connection: inout Connection, _ slot: Int, _ turn: Turn, _ first: DecodedRequests?) {
        var first = first
        var rounds = 0
        while true {
            rounds += 1
            let progress = proceed(&connection, turn, first)
            first = nil
            guard sendOutput(&connection, slot) else { return connection.input.removeAll() }
            if !connection.session.held.isEmpty { awaitLog(&connection, slot) }
            switch progress {
            case .needMore:
                // What has begun will not be complete.
                if isDraining { return giveUp(.shuttingDown, &connection, slot, turn) }
            case .full:
                // Everything went out at once: there is room again.
                if connection.output.isEmpty, !connection.session.isSaturated(server.configuration) {
                    if rounds < Self.roundsPerTurn { continue }
                    // The others have waited long enough.
                    leaveForAnotherTurn(&connection)
                } else {
                    connection.isPaused = true
                }
            case .unfinished:
                leaveForAnotherTurn(&connection)
            case .close:
                connection.isClosing = true
                connection.input.removeAll()
            }
            break
        }
        settle(&connection, slot, turn)
    }

    private mutating func proceed(_ connection: inout Connection, _ turn: Turn, _ first: DecodedRequests?) -> SessionProgress {
        if let first {
            let progress = connection.session.execute(
                first, of: &group, &connection.input, output: &output, unsent: connection.output.count, scratch: &scratch,
                server: server, turn: turn, metrics: metrics)
            if let progress { return progress }
        }
        return connection.session.process(
            &connection.input, output: &output, unsent: connection.output.count, batch: &batch, scratch: &scratch,
            server: server, turn: turn, metrics: metrics)
    }

    private mutating func leaveForAnotherTurn(_ connection: inout Connection) {
        connection.hasLeftover = true
        goOnNextTurn(&connection)
    }

    /// Sends what is in `output`.
    ///
    /// - Returns: false when the peer is gone, and the connection with it.
    mutating func sendOutput(_ connection: inout Connection, _ slot: Int) -> Bool {
        guard !output.isEmpty else { return true }
        metrics.sentBytes.add(UInt64(output.count))
        guard connection.send(&output) else {
            output.removeAll()
            close(slot, connection)
            return false
        }
        output.shrink(above: 1 << 20)
        return true
    }

    /// Answers the request that has begun and will not be carried out, and closes behind the reply.
    mutating func giveUp(_ failure: Failure, _ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        connection.session.giveUp(failure, connection.input, output: &output, turn: turn, metrics: metrics)
        connection.input.removeAll()
        guard sendOutput(&connection, slot) else { return }
        if !connection.session.held.isEmpty { awaitLog(&connection, slot) }
        connection.isClosing = true
        drainOrClose(&connection, slot, turn)
    }
}
