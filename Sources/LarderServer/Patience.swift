// How long a connection is waited for: for its first request, for the rest of one, for it to take replies, for it to go.
//
// Holds moments and asks no clock: every call says what time it is. Knows no socket; it is told what arrived and what left.
// Source of the rate that keeps a slow but steady sender: Apache httpd, mod_reqtimeout, `MinRate`.

import LarderPlatform

/// One connection's time-keeping.
package struct Patience: Sendable {
    /// What the connection does, as far as waiting for it goes.
    package enum Activity: Sendable {
        /// Requests are read as they come.
        case reading
        /// It has to take replies before more of its requests are read.
        case paused
        /// Requests of it are left for another turn: nobody waits for it.
        case working
        /// Nothing more is read, and replies are still to be taken.
        case closing
        /// Everything has been sent, and the peer has been told.
        case lingering
    }

    package enum Verdict: Sendable {
        case stay
        /// The request that has begun does not arrive: say so, then close.
        case giveUp
        case close
    }

    /// Each so many bytes of a request extend its time by a second: who sends faster is never cut off.
    package static let bytesPerSecondMin: Milliseconds = 4_096
    /// How long a client with too many replies waiting may take none.
    package static let stalledMilliseconds: Milliseconds = 10_000
    /// How long a peer that was told of the end may take to go. Closing at once could take the last reply from it.
    package static let lingerMilliseconds: Milliseconds = 2_000
    /// How long a connection that is one too many may take to show its dialect.
    package static let turnedAwayMilliseconds: Milliseconds = 1_000

    private let isTurnedAway: Bool
    /// When bytes last arrived or left.
    private var lastActivity: Milliseconds
    /// When the request that is awaited began; where a login is due, the first one begins with the connection. nil: none has begun.
    private var requestSince: Milliseconds?
    private var requestBytes: Milliseconds = 0
    private var hasServed = false

    /// - Parameter owesLogin: Whether it has to say who it is. Who need not may be silent from the beginning, as between requests:
    ///   clients keep connections ready.
    package init(now: Milliseconds, isTurnedAway: Bool = false, owesLogin: Bool = true) {
        self.isTurnedAway = isTurnedAway
        lastActivity = now
        requestSince = isTurnedAway || owesLogin ? now : nil
    }

    package mutating func received(_ count: Int, at now: Milliseconds) {
        lastActivity = now
        requestBytes &+= Milliseconds(count)
    }

    /// The client took replies, or was told of the end.
    package mutating func sent(at now: Milliseconds) { lastActivity = now }

    /// What has arrived was worked through.
    ///
    /// - Parameter served: Whether a request was answered.
    /// - Parameter isWithinRequest: Whether part of a further one is there.
    package mutating func worked(served: Bool, isWithinRequest: Bool, at now: Milliseconds) {
        if served { hasServed = true }
        if served || (requestSince == nil && isWithinRequest) {
            requestSince = isWithinRequest ? now : nil
            requestBytes = 0
        } else if hasServed, !isWithinRequest {
            requestSince = nil
        }
    }

    /// Whether to go on waiting.
    ///
    /// - Parameter unsent: How many bytes of replies wait for the client.
    /// - Parameter idleSecondsMax: How long it may be idle between requests; 0: for ever.
    package func verdict(
        at now: Milliseconds, _ activity: Activity, unsent: Int, idleSecondsMax: Int, _ configuration: ServerConfiguration
    ) -> Verdict {
        let idle = now - lastActivity
        if unsent > configuration.outputBytesMax, idle > Self.stalledMilliseconds { return .close }
        switch activity {
        case .lingering: return idle > Self.lingerMilliseconds ? .close : .stay
        case .paused, .closing: return idle > Milliseconds(configuration.requestSeconds) * 1_000 ? .close : .stay
        case .working: return .stay
        case .reading: break
        }
        if let requestSince, now - requestSince > requestMilliseconds(configuration) { return .giveUp }
        return idleSecondsMax > 0 && idle > Milliseconds(idleSecondsMax) * 1_000 ? .close : .stay
    }

    /// How long the request that is awaited may take.
    private func requestMilliseconds(_ configuration: ServerConfiguration) -> Milliseconds {
        if isTurnedAway { return Self.turnedAwayMilliseconds }
        let seconds = hasServed ? configuration.requestSeconds : configuration.firstRequestSeconds
        return Milliseconds(seconds) * 1_000 + requestBytes * 1_000 / Self.bytesPerSecondMin
    }
}
