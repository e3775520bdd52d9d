// One socket and its session: what arrived and was not understood yet, and what the kernel has not taken yet.
//
// Holds memory only while there is something to hold: a connection at rest owns no buffer, but the few words of this.

import LarderBytes
import LarderPlatform

/// Where a connection lies while it is one of a worker's.
final class ConnectionPlace {
    /// What the poller reports for this connection.
    let token: UInt64
    /// Opened once for all that is done with it in a turn.
    var connection: Connection

    init(token: UInt64, _ connection: consuming Connection) {
        self.token = token
        self.connection = connection
    }
}

struct Connection: ~Copyable {
    let socket: Socket
    /// What the poller reports for this connection.
    let token: UInt64
    /// Set when it is one more than the server takes: it is told so in its dialect, and nothing else.
    let isTurnedAway: Bool
    var session: Session
    var patience: Patience
    /// Bytes that arrived and have not been answered; between turns, what does not make a whole request yet.
    var input = ByteBuffer()
    /// The memory of `input` is the worker's.
    var isLent = false
    /// Replies that the kernel did not take at once.
    var output = ByteBuffer()

    /// What the poller is told to report.
    var interest = Poller.Interest.read
    /// Set when the client must take replies before more of its requests are read.
    var isPaused = false
    /// Set when nothing more is read and the connection ends as soon as everything is sent.
    var isClosing = false
    /// Set when everything is sent and the peer has been told of the end: what still comes is thrown away.
    var isLingering = false
    /// The peer has closed its side; what it asked before is still answered.
    var peerFinished = false
    /// Listed among the connections whose replies wait for the log.
    var isWaiting = false
    /// Set when complete requests are left in `input` for another turn.
    var hasLeftover = false
    /// Listed among the connections that the next turn begins with.
    var isUnfinished = false

    init(
        socket: consuming Socket, token: UInt64, session: consuming Session, isTurnedAway: Bool, owesLogin: Bool, now: Milliseconds
    ) {
        self.socket = socket
        self.token = token
        self.session = session
        self.isTurnedAway = isTurnedAway
        patience = Patience(now: now, isTurnedAway: isTurnedAway, owesLogin: owesLogin)
    }

    var activity: Patience.Activity {
        if isLingering { return .lingering }
        if isClosing { return .closing }
        if isPaused { return .paused }
        return hasLeftover ? .working : .reading
    }

    /// Whether requests are taken from it at the moment.
    var isRead: Bool { !isPaused && !isClosing && !hasLeftover }

    /// Sends what waits in `output`.
    ///
    /// - Returns: false when the peer is gone.
    mutating func flush() -> Bool {
        guard Self.send(&output, to: socket) else { return false }
        output.shrink()
        return true
    }

    /// Sends what the kernel takes, but not more than a turn allows: the others have waited long enough, and the poller reports
    /// the socket again.
    ///
    /// - Returns: false when the peer is gone.
    private static func send(_ buffer: inout ByteBuffer, to socket: borrowing Socket) -> Bool {
        var left = sentPerTurn
        while !buffer.isEmpty, left > 0 {
            switch socket.send(buffer.bytes.extracting(first: min(left, sentAtOnce))) {
            case .bytes(let count):
                buffer.consume(count)
                left -= count
            case .wouldBlock: return true
            case .closed: return false
            }
        }
        return true
    }

    private static let sentAtOnce = 262_144
    private static let sentPerTurn = 1 << 20

    /// Sends `replies`, and keeps what the kernel does not take. `replies` is empty afterwards.
    ///
    /// - Returns: false when the peer is gone.
    mutating func send(_ replies: inout ByteBuffer) -> Bool {
        if !output.isEmpty {
            output.take(&replies)
            return flush()
        }
        guard Self.send(&replies, to: socket) else { return false }
        if !replies.isEmpty { output.take(&replies) }
        return true
    }
}
