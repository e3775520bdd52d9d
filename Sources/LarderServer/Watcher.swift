// A connection that wants to be told when keys change: what it wants to know, and what it is to be told.
//
// Belongs to one worker, as the connection does.

import LarderBytes
import LarderEngine
import LarderWire

/// How a connection has its cache kept right (CLIENT TRACKING).
struct Tracking: Sendable {
    /// Told of every key that begins with one of `prefixes`, and not of those that it has read.
    var isBroadcast = false
    var prefixes: [[UInt8]] = []
    /// Keys are remembered only where CLIENT CACHING YES, or unless CLIENT CACHING NO, came before.
    var optsIn = false
    var optsOut = false
    /// Not told of its own writes.
    var skipsOwn = false
    /// What CLIENT CACHING said, for the next command.
    var caching: Bool?

    /// Whether keys that the next command reads are remembered.
    var remembers: Bool {
        if isBroadcast { return false }
        return optsIn ? caching == true : optsOut ? caching != false : true
    }

    /// Connections do not list more.
    static let prefixesMax = 64

    func wants(_ key: RawSpan) -> Bool { prefixes.contains { key.hasPrefix($0.rawSpan) } }
}

final class Watcher {
    let token: UInt64
    /// The connection's number, which its writes are told with.
    let origin: UInt64
    var isRESP3: Bool
    var tracking: Tracking?
    var channels: Set<[UInt8]> = []
    var patterns: Set<[UInt8]> = []
    /// What has not been sent yet.
    var pushes = ByteBuffer()
    /// Of what was pushed so many bytes may not have left.
    var unsentBytes = 0
    /// Listed among those that have something to send.
    var isTouched = false
    /// Something was to be told that is gone: the connection ends, so that the client knows.
    var hasMissed = false

    init(token: UInt64, origin: UInt64, isRESP3: Bool) {
        self.token = token
        self.origin = origin
        self.isRESP3 = isRESP3
    }

    var subscriptions: Int { channels.count + patterns.count }
    var isIdle: Bool { tracking == nil && subscriptions == 0 }

    /// Connections do not have more subscriptions, and no name is longer.
    static let subscriptionsMax = 1_024
    static let nameBytesMax = 2_048

    // MARK: Pushes

    /// A key in its cache is no longer right.
    func invalidate(_ key: RawSpan) {
        RESPReply.push(2, isRESP3, into: &pushes)
        RESPReply.bulk("invalidate", into: &pushes)
        RESPReply.array(1, into: &pushes)
        RESPReply.bulk(key, into: &pushes)
    }

    /// Nothing in its cache may be right.
    func invalidateAll() {
        RESPReply.push(2, isRESP3, into: &pushes)
        RESPReply.bulk("invalidate", into: &pushes)
        RESPReply.null(isRESP3, into: &pushes)
    }

    func message(_ channel: [UInt8], _ payload: RawSpan) {
        RESPReply.push(3, isRESP3, into: &pushes)
        RESPReply.bulk("message", into: &pushes)
        RESPReply.bulk(channel.rawSpan, into: &pushes)
        RESPReply.bulk(payload, into: &pushes)
    }

    func message(_ pattern: [UInt8], _ channel: [UInt8], _ payload: RawSpan) {
        RESPReply.push(4, isRESP3, into: &pushes)
        RESPReply.bulk("pmessage", into: &pushes)
        RESPReply.bulk(pattern.rawSpan, into: &pushes)
        RESPReply.bulk(channel.rawSpan, into: &pushes)
        RESPReply.bulk(payload, into: &pushes)
    }
}
