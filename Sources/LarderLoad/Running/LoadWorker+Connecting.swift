// Connections: made, greeted, lost, made again.

import LarderBytes
import LarderPlatform

extension LoadWorker {
    func connect(_ connection: LoadConnection) {
        connection.reconnectAt = .max
        do throws(SystemError) {
            let link = LoadConnection.Link(try Socket.connecting(to: plan.address))
            try poller.add(link.socket.descriptor, [.read, .write], token: connection.token)
            link.awaitsWriting = true
            connection.link = link
        } catch { connectFailed(connection, .cannotConnect(error)) }
    }

    /// The connection does not stand: a load does not begin so, and one that has begun tries again.
    func connectFailed(_ connection: LoadConnection, _ failure: LoadFailure) {
        connection.link = nil
        guard start != .max else { return control.fail(failure) }
        connection.isCut = true
        measurement.tally.connectsFailed += 1
        measurement.intervalErrors += 1
        scheduleReconnect(connection)
    }

    func scheduleReconnect(_ connection: LoadConnection) {
        guard plan.reconnects, drainUntil == .max else { return }
        connection.reconnectAt = clock.elapsed() + LoadPlan.reconnectNanoseconds
        hasLostConnections = true
    }

    func reconnect(_ now: Int64) {
        hasLostConnections = false
        for connection in connections where connection.reconnectAt != .max {
            if connection.reconnectAt <= now, drainUntil == .max { connect(connection) }
            if connection.reconnectAt != .max { hasLostConnections = true }
        }
    }

    /// The connection is gone; what was in flight on it will never be answered.
    func lose(_ connection: LoadConnection, orderly: Bool = false) {
        guard let link = connection.link else { return }
        poller.remove(link.socket.descriptor)
        if start == .max || link.state != .open { return connectFailed(connection, .closedAtOnce) }
        connection.link = nil
        if !orderly || connection.inFlight > 0 {
            measurement.tally.connectionsLost += 1
            connection.isCut = true
        }
        forgetInFlight(connection, clock.elapsed())
        if orderly, plan.reconnects, drainUntil == .max {
            connect(connection)
        } else {
            scheduleReconnect(connection)
        }
    }

    /// What is in flight is given up at `now`: that long at least an answer took.
    func forgetInFlight(_ connection: LoadConnection, _ now: Int64) {
        measurement.tally.unanswered += connection.inFlight
        measurement.intervalErrors += connection.inFlight
        while connection.inFlight > 0 {
            let request = connection.oldest
            if request.intended >= measureFrom { measurement.countWait(request, until: now) }
            leaveUnanswered(request)
            connection.pop()
        }
    }

    func leaveUnanswered(_ request: InFlight) {
        guard let ledger, request.operation != .get else { return }
        ledger.leaveUnanswered(
            request.operation, request.key, request.sequence, lifetime: request.lifetime, sent: wall(request.sent))
    }
}
