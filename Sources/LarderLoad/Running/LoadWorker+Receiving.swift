// Replies: parsed where they lie, counted, judged.

import Histogram
import LarderBytes
import LarderPlatform

extension LoadWorker {
    func handle(_ event: Poller.Event) {
        guard event.token != Poller.wakeToken, let link = connections[Int(event.token)].link else { return }
        let connection = connections[Int(event.token)]
        if link.state == .connecting {
            if let error = link.socket.pendingError {
                poller.remove(link.socket.descriptor)
                return connectFailed(connection, .cannotConnect(error))
            }
            guard event.writable else { return }
            greet(link, connection)
            return
        }
        if event.readable || event.hangUp { receive(link, connection) }
        if event.writable, connection.link === link { sendRest(link, connection) }
    }

    func greet(_ link: LoadConnection.Link, _ connection: LoadConnection) {
        awaitWriting(false, link, connection)
        let answers = batch.greet()
        link.state = answers ? .greeting : .open
        if answers { transmit(link, connection) } else { markReady(Int(connection.token)) }
    }

    func sendRest(_ link: LoadConnection.Link, _ connection: LoadConnection) {
        while !link.rest.isEmpty {
            switch link.socket.send(from: &link.rest) {
            case .bytes: continue
            case .wouldBlock: return
            case .closed: return lose(connection)
            }
        }
        awaitWriting(false, link, connection)
        markReady(Int(connection.token))
    }

    static let receiveBytes = 32_768

    func receive(_ link: LoadConnection.Link, _ connection: LoadConnection) {
        switch link.socket.receive(into: &link.input, minimum: Self.receiveBytes) {
        case .wouldBlock: return
        case .closed:
            lose(connection)
            return
        case .bytes(let count): measurement.tally.receivedBytes += count
        }
        let now = clock.elapsed()
        do throws(ReplyError) {
            if link.state == .greeting, !(try greeted(link, connection)) { return }
            try takeReplies(link, connection, now)
        } catch {
            control.fail(.foreign(error, said: Printable.text(link.input, ByteRange(start: 0, count: min(60, link.input.count)))))
        }
    }

    /// Whether the server has answered the greeting, and well.
    func greeted(_ link: LoadConnection.Link, _ connection: LoadConnection) throws(ReplyError) -> Bool {
        guard let reply = try parser.parseFirst(link.input) else { return false }
        if reply.outcome == .refused {
            poller.remove(link.socket.descriptor)
            connectFailed(connection, .refused(Printable.text(link.input, reply.content)))
            return false
        }
        link.input.consume(reply.end)
        link.state = .open
        markReady(Int(connection.token))
        return true
    }

    func takeReplies(_ link: LoadConnection.Link, _ connection: LoadConnection, _ now: Int64) throws(ReplyError) {
        let (end, closes) = try takeReplies(in: link.input, connection, now)
        link.input.consume(end)
        if end > 0 { connection.isCut = false }
        if closes { return lose(connection, orderly: true) }
        // What nobody asked for.
        if connection.inFlight == 0, !link.input.isEmpty { throw .foreign }
        guard end > 0 else { return }
        let isNextDue = plan.pace == .closed ? connection.inFlight == 0 : due(connection, now) <= now
        if isNextDue { markReady(Int(connection.token)) }
    }

    /// Takes the replies that have come whole: where the last one ends, and whether the server closes the connection behind it.
    func takeReplies(
        in buffer: borrowing ByteBuffer, _ connection: LoadConnection, _ now: Int64
    ) throws(ReplyError) -> (end: Int, closes: Bool) {
        let input = buffer.bytes
        var end = 0
        while connection.inFlight > 0 {
            let request = connection.oldest
            guard let reply = try parser.parse(input, at: end, to: request.operation) else { break }
            if plan.manner.dialect == .binary {
                let expected = UInt32(truncatingIfNeeded: connection.taken - connection.inFlight + 1)
                // A refusal of bytes that were not understood carries no id.
                guard reply.id == expected || reply.outcome == .refused else { throw .outOfOrder }
            }
            if request.intended >= measureFrom { measurement.count(reply, to: request, in: input, now: now) }
            if reply.outcome == .refused { leaveUnanswered(request) } else { settle(reply, request, in: input, connection, now) }
            connection.pop()
            end = reply.end
            if reply.closes { return (end, true) }
        }
        return (end, false)
    }

    /// Tells the ledger of an answer that is no refusal.
    func settle(_ reply: LoadReply, _ request: InFlight, in input: RawSpan, _ connection: LoadConnection, _ now: Int64) {
        guard let ledger else { return }
        guard request.operation == .get else {
            return ledger.acknowledge(
                request.operation, request.key, request.sequence, lifetime: request.lifetime, sent: wall(request.sent), now: wall(now))
        }
        ledger.judge(
            request.key, reply.outcome == .hit ? reply.content : nil, in: input, known: connection.oldestKnown,
            asked: wall(request.sent), answered: wall(now))
    }
}
