// One command, whatever dialect it was written in: what is asked, and where in the receive buffer its words lie.
//
// Fixed size, no reference, no pointer: ranges count from the first unread byte of the buffer that was decoded.

import LarderBytes

/// What a command asks for.
package enum Operation: UInt8, Sendable {
    case none, hello, get, getMany, put, delete, exists, lifetime, setLifetime, getAndTouch, increment, append, list
    case namespaceCreate, namespaceGet, namespaceList, namespaceDelete, namespaceFlush
    case stats, snapshot, ping
    /// HTTP only.
    case health, ready, metrics
    /// What only RESP or only memcached has; `Command.word` says what.
    case resp, memcached
}

/// Which namespace a command speaks of.
package enum NamespaceReference: Sendable, Equatable {
    /// The one that the connection chose in its hello.
    case connection
    /// A UUID, as two big-endian words.
    case id(high: UInt64, low: UInt64)
    /// A name, in the buffer.
    case name(ByteRange)
}

/// What a write does to the deadline.
package enum Lifetime: Sendable, Equatable {
    /// The key lives until it is deleted.
    case unlimited
    /// The deadline stays as it is; a new key gets none.
    case keep
    /// The key is gone so many milliseconds from now; with 0 and less at once.
    case milliseconds(Int64)
    /// The key is gone at this time, Unix milliseconds; at once when it has passed.
    case until(Int64)
}

/// What must hold for a command to be carried out. Judged under the same lock as the write.
package enum Condition: Sendable, Equatable {
    case none
    /// No live entry.
    case absent
    /// A live entry.
    case present
    /// A live entry with this version.
    case version(UInt64)
    /// No live entry, or one with another version.
    case notVersion(UInt64)
}

/// A decoded request.
package struct Command: Sendable {
    package var operation = Operation.none
    /// Of an operation that only one dialect has: which, as that dialect's decoder numbers them.
    package var word: UInt8 = 0
    /// What the reply must say or do, for the dialect's own encoder: see `BinaryFlags` and `HTTPFlags`.
    package var flags: UInt16 = 0
    /// The request's id, which the reply echoes (binary).
    package var tag: UInt32 = 0
    package var namespace = NamespaceReference.connection
    package var key = ByteRange.empty
    /// The value of a write; the counted keys of `getMany`; the name of a namespace to create; the credentials of a hello.
    package var value = ByteRange.empty
    package var contentType = ByteRange.empty
    /// The bearer token that came with this one request (HTTP); empty: none.
    package var credential = ByteRange.empty
    /// The host that the client believes it speaks to (HTTP).
    package var host = ByteRange.empty
    package var lifetime = Lifetime.unlimited
    package var condition = Condition.none
    /// What a memcached client wants kept with the value; 0 is not kept.
    package var clientFlags: UInt32 = 0
    /// What the flags of a meta command of memcached ask for besides, and where they lie.
    package var meta = MetaRequest()
    package var line = ByteRange.empty
    /// How much an increment adds; it may be negative.
    package var delta: Int64 = 0
    package var list = ListOptions()
    /// How a namespace is to be created.
    package var creation = NamespaceCreation()
    /// Why the request cannot be carried out, found while decoding. The reply is this failure.
    package var failure: Failure?

    package init() {}
}

/// What a listing asks for beyond the namespace.
package struct ListOptions: Sendable {
    package var prefix = ByteRange.empty
    /// The key to begin after; empty for the first page. Already decoded from whatever form it has on the wire.
    package var cursor = ByteRange.empty
    package var limit = 1_000
    /// Keys that share everything up to and including the next delimiter after the prefix are listed once, as that
    /// common prefix. nil: none.
    package var delimiter: UInt8?
    package var withValues = false
    /// For a list of namespaces: first page is 1.
    package var page = 1
    package init() {}
}

/// The settings that a new namespace is asked to have; nil leaves one to the server.
package struct NamespaceCreation: Sendable, Equatable {
    package var durability: DurabilityChoice?
    package var keyRule: KeyRule?
    package var eviction: EvictionChoice?
    /// How much memory its entries may take, in bytes; 0 for no limit but the server's.
    package var bytesMax: UInt64 = 0
    package init() {}
}

/// What happens when a namespace is full. The raw values are those of the binary protocol.
package enum EvictionChoice: UInt8, Sendable, CaseIterable {
    /// Writes that would make it larger are refused.
    case none = 0
    /// Entries that are used little make room.
    case s3fifo = 1

    package var name: String { self == .none ? "none" : "s3-fifo" }

    package init?(name: String) {
        guard let choice = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = choice
    }
}

/// When a reply to a write may be sent. The raw values are those of the binary protocol.
package enum DurabilityChoice: UInt8, Sendable, CaseIterable {
    /// When the write is on the medium.
    case always = 0
    /// When the write is with the kernel, and at most a second of writes is not on the medium.
    case interval = 1
    /// When the write is with the kernel.
    case never = 2
    /// When the write is in memory. It is not logged; snapshots hold it.
    case off = 3

    package var name: String {
        switch self {
        case .always: "always"
        case .interval: "interval"
        case .never: "never"
        case .off: "off"
        }
    }

    package init?(name: String) {
        guard let choice = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = choice
    }
}

/// A refusal: its status, and the sentence for a person.
package struct Failure: Error, Sendable, Equatable {
    package var status: Status
    /// ASCII. Says what happened, to what, what to do.
    package var detail: StaticString
    /// The part of the request at fault, for dialects that name it: "ttl_secs", "/name".
    package var parameter: StaticString?

    package init(_ status: Status, _ detail: StaticString, parameter: StaticString? = nil) {
        self.status = status
        self.detail = detail
        self.parameter = parameter
    }

    package static func == (left: Failure, right: Failure) -> Bool { left.status == right.status }
}

/// How far a decoder came.
package enum DecodeStep: Sendable, Equatable {
    /// The buffer ends within a request. Nothing was consumed.
    case needMore
    /// A request is complete: `position` stands behind it.
    case command
    /// The head of a request is complete and its body is still to come (HTTP). `command` holds what the head says.
    case head
    /// What follows cannot be understood: `command.failure` says why; reply, then close.
    case close
}

/// The rule that keys of a namespace obey.
package enum KeyRule: UInt8, Sendable {
    /// 1 to 256 bytes of `a-z A-Z 0-9 - _ / = .`, not beginning with `_`, not `.` or `..`.
    case path = 0
    /// Any 1 to 1,024 bytes.
    case bytes = 1
}
