// Requests of one connection: written in one go, sent in one call.

import LarderBytes
import LarderPlatform

extension LoadWorker {
    /// Sends what the connection may send, in one call.
    func send(_ connection: LoadConnection) {
        guard let link = connection.link, link.state == .open, link.rest.isEmpty else { return }
        let now = clock.elapsed()
        while connection.allowed > 0, connection.hasRoom {
            let intended = due(connection, now)
            guard let operation = connection.next() else { break }
            if connection.allowed != .max { connection.allowed -= 1 }
            write(operation, connection, intended: intended, now: now)
        }
        transmit(link, connection)
    }

    /// When the request that the connection takes next was due.
    func due(_ connection: LoadConnection, _ now: Int64) -> Int64 {
        if let schedule { return schedule.due(connection.taken * connections.count + Int(connection.token)) }
        if plan.pace != .closed, let record = connection.nextRecord { return start + time(ofRecord: record) }
        return now
    }

    func write(_ operation: LoadRequest, _ connection: LoadConnection, intended: Int64, now: Int64) {
        key.removeAll()
        if let keys { keys.append(UInt64(operation.key), to: &key) } else { trace?.append(keyOf: Int(operation.key), to: &key) }
        let id = UInt32(truncatingIfNeeded: connection.taken)
        var request = InFlight(intended: intended, sent: now, lifetime: operation.lifetime, key: operation.key, operation: operation.kind)
        if plan.manner.dialect.lifetimeInSeconds { request.lifetime = RequestWriter.seconds(operation.lifetime) * 1_000 }

        switch operation.kind {
        case .get:
            writer.get(key, id: id, into: &output)
            if let ledger {
                connection.push(request, known: ledger.state(operation.key))
                return
            }
        case .delete:
            if let ledger { request.sequence = ledger.send(.delete, operation.key, lifetime: 0, now: wall(now)) }
            writer.delete(key, id: id, into: &output)
        case .set:
            if let ledger {
                request.sequence = ledger.send(.set, operation.key, lifetime: request.lifetime, now: wall(now))
                value.removeAll()
                StampedValue.append(
                    key: key, run: ledger.run, sequence: request.sequence, byteCount: operation.valueBytes, filler: filler,
                    to: &value)
                writer.set(key, value, valueBytes: value.count, lifetime: request.lifetime, id: id, into: &output)
            } else {
                writer.set(key, filler, valueBytes: operation.valueBytes, lifetime: request.lifetime, id: id, into: &output)
            }
        }
        connection.push(request)
    }

    /// Unix milliseconds.
    func wall(_ now: Int64) -> Int64 { (now + wallOffset) / 1_000_000 }

    func transmit(_ link: LoadConnection.Link, _ connection: LoadConnection) {
        guard !output.isEmpty else { return }
        let count = output.count
        loop: while !output.isEmpty {
            switch link.socket.send(from: &output) {
            case .bytes: continue
            case .wouldBlock:
                Self.append(output, to: &link.rest)
                awaitWriting(true, link, connection)
                break loop
            case .closed:
                output.removeAll()
                lose(connection)
                return
            }
        }
        tally.sentBytes += count
        output.removeAll()
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
