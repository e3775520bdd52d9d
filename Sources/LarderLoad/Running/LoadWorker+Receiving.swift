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
                return connectFailed(connection, error)
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
        let answers = writer.greet(into: &output)
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
        case .bytes(let count): tally.receivedBytes += count
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
            control.fail(.refused(Printable.text(link.input, reply.content)))
            return false
        }
        link.input.consume(reply.end)
        link.state = .open
        markReady(Int(connection.token))
        return true
    }

    func takeReplies(_ link: LoadConnection.Link, _ connection: LoadConnection, _ now: Int64) throws(ReplyError) {
        var position = 0
        var closes = false
        while connection.inFlight > 0, !closes {
            let request = connection.oldest
            guard let reply = try parser.parse(link.input, at: position, to: request.operation) else { break }
            if plan.manner.dialect == .binary {
                let expected = UInt32(truncatingIfNeeded: connection.taken - connection.inFlight + 1)
                // A refusal of bytes that were not understood carries no id.
                guard reply.id == expected || reply.outcome == .refused else { throw .outOfOrder }
            }
            take(reply, request, link, connection, now)
            connection.pop()
            position = reply.end
            closes = reply.closes
        }
        link.input.consume(position)
        if closes { return lose(connection, orderly: true) }
        // What nobody asked for.
        if connection.inFlight == 0, !link.input.isEmpty { throw .foreign }
        let isBatchDone = connection.inFlight == 0 || connection.allowed != .max
        if position > 0, connection.allowed > 0, isBatchDone { markReady(Int(connection.token)) }
    }

    func take(
        _ reply: LoadReply, _ request: InFlight, _ link: LoadConnection.Link, _ connection: LoadConnection, _ now: Int64
    ) {
        let kind = Int(request.operation.rawValue)
        let isMeasured = request.intended >= measureFrom
        if isMeasured {
            tally.replies[kind] += 1
            let latency = LatencyLimits.bounded(now - request.intended)
            latencies[kind].record(latency)
            intervalLatencies.record(latency)
            if plan.pace != .closed { service.record(LatencyLimits.bounded(now - request.sent)) }
        }
        switch reply.outcome {
        case .refused:
            if isMeasured {
                tally.refused += 1
                intervalErrors += 1
                tally.refusals.count(link.input, kind: reply.kind, sentence: reply.content)
            }
            leaveUnanswered(request)
        case .hit, .miss:
            if request.operation == .get, isMeasured { if reply.outcome == .hit { tally.hits += 1 } else { tally.misses += 1 } }
            if let ledger { settle(reply, request, ledger, link, connection, now) }
        case .done:
            if let ledger { settle(reply, request, ledger, link, connection, now) }
        }
    }

    func settle(
        _ reply: LoadReply, _ request: InFlight, _ ledger: ThreadLedger, _ link: LoadConnection.Link,
        _ connection: LoadConnection, _ now: Int64
    ) {
        guard request.operation == .get else {
            return ledger.acknowledge(
                request.operation, request.key, request.sequence, lifetime: request.lifetime, sent: wall(request.sent), now: wall(now))
        }
        ledger.judge(
            request.key, reply.outcome == .hit ? reply.content : nil, in: link.input, known: connection.oldestKnown,
            asked: wall(request.sent), answered: wall(now))
    }
}
