// Requests of one connection: written in one go, sent in one call.

import LarderBytes
import LarderPlatform

extension LoadWorker {
    /// Sends what is due on the connection and has room, in one call.
    func send(_ connection: LoadConnection) {
        guard let link = connection.link, link.state == .open, link.rest.isEmpty else { return }
        let now = clock.elapsed()
        while connection.hasRoom {
            let intended = due(connection, now)
            guard intended <= now, intended < end, let operation = connection.next() else { break }
            write(operation, connection, intended: intended, now: now)
        }
        transmit(link, connection)
    }

    /// When the request that the connection takes next is due; in a closed loop now.
    func due(_ connection: LoadConnection, _ now: Int64) -> Int64 {
        if let schedule { return schedule.due(connection.taken * connections.count + Int(connection.token)) }
        if plan.pace != .closed, let record = connection.nextRecord { return start + time(ofRecord: record) }
        return now
    }

    func write(_ operation: LoadRequest, _ connection: LoadConnection, intended: Int64, now: Int64) {
        var request = InFlight(intended: intended, sent: now, lifetime: operation.lifetime, key: operation.key, operation: operation.kind)
        if plan.manner.dialect.lifetimeInSeconds { request.lifetime = RequestWriter.seconds(operation.lifetime) * 1_000 }
        if let ledger, operation.kind != .get {
            request.sequence = ledger.send(operation.kind, operation.key, lifetime: request.lifetime, now: wall(now))
        }
        batch.add(operation, request, id: UInt32(truncatingIfNeeded: connection.taken), run: ledger?.run)
        if let ledger, operation.kind == .get {
            connection.push(request, known: ledger.state(operation.key))
        } else {
            connection.push(request)
        }
    }

    /// Unix milliseconds.
    func wall(_ now: Int64) -> Int64 { (now + wallOffset) / 1_000_000 }

    func transmit(_ link: LoadConnection.Link, _ connection: LoadConnection) {
        guard !batch.output.isEmpty else { return }
        let count = batch.output.count
        loop: while !batch.output.isEmpty {
            switch link.socket.send(from: &batch.output) {
            case .bytes: continue
            case .wouldBlock:
                Self.append(batch.output, to: &link.rest)
                awaitWriting(true, link, connection)
                break loop
            case .closed:
                batch.output.removeAll()
                lose(connection)
                return
            }
        }
        measurement.tally.sentBytes += count
        batch.output.removeAll()
    }

    func awaitWriting(_ wanted: Bool, _ link: LoadConnection.Link, _ connection: LoadConnection) {
        guard link.awaitsWriting != wanted else { return }
        link.awaitsWriting = wanted
        do throws(SystemError) {
            try poller.change(link.socket.descriptor, wanted ? [.read, .write] : .read, token: connection.token)
        } catch { control.fail(.system(error)) }
    }

    private static func append(_ source: borrowing ByteBuffer, to target: inout ByteBuffer) { target.append(source.bytes) }
}
