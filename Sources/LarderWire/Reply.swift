// The one place where an outcome becomes bytes: each function chooses the dialect's encoder.
//
// Text for people is made here and in the encoders, never in the engine.

import LarderBytes

package enum Dialect: UInt8, Sendable { case undetermined, binary, http, resp, memcached }

/// What a reply says of an entry. Spans borrow the store's memory for the length of the call.
@frozen @usableFromInline
package struct EntryReply: ~Escapable {
    @usableFromInline package let value: RawSpan
    /// Empty when none was given with the value.
    @usableFromInline package let contentType: RawSpan
    @usableFromInline package let version: UInt64
    /// Milliseconds left to live, nil for ever.
    @usableFromInline package let remaining: Int64?
    /// As the client wrote it; only memcached repeats it.
    @usableFromInline package let key: RawSpan
    /// What a memcached client keeps with the value.
    @usableFromInline package let clientFlags: UInt32
    /// The flags of a meta command of memcached, as the client wrote them.
    @usableFromInline package let line: RawSpan
    @usableFromInline package let marks: MetaMarks
    /// The value itself is left out, although its length is told: whoever asks appends it, and `Reply.entryEnd`.
    @usableFromInline package let omitsValue: Bool

    @_lifetime(copy value, copy contentType, copy key, copy line)
    @inlinable package init(
        value: RawSpan, contentType: RawSpan, version: UInt64, remaining: Int64?, key: RawSpan = RawSpan(),
        clientFlags: UInt32 = 0, line: RawSpan = RawSpan(), marks: MetaMarks = [], omitsValue: Bool = false
    ) {
        self.value = value
        self.contentType = contentType
        self.version = version
        self.remaining = remaining
        self.key = key
        self.clientFlags = clientFlags
        self.line = line
        self.marks = marks
        self.omitsValue = omitsValue
    }
}

/// What people and programs are told about a namespace. Off the request path, so it may own strings.
package struct NamespaceReply: Sendable {
    package var id: (high: UInt64, low: UInt64)
    package var name: String
    /// `pending`, `provision_ok`, `deleting`.
    package var state: String
    package var createdMilliseconds: Int64
    package var updatedMilliseconds: Int64
    package var durability: String
    package var keyRule: KeyRule
    package var keys: UInt64
    /// Of keys, values and metadata.
    package var bytes: UInt64
    /// What its entries take of memory: of this there may be a limit.
    package var memoryBytes: UInt64
    /// The limit; 0 for none.
    package var bytesMax: UInt64
    package var eviction: EvictionChoice

    package init(
        id: (high: UInt64, low: UInt64), name: String, state: String, createdMilliseconds: Int64,
        updatedMilliseconds: Int64, durability: String, keyRule: KeyRule, keys: UInt64, bytes: UInt64,
        memoryBytes: UInt64 = 0, bytesMax: UInt64 = 0, eviction: EvictionChoice = .none
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.createdMilliseconds = createdMilliseconds
        self.updatedMilliseconds = updatedMilliseconds
        self.durability = durability
        self.keyRule = keyRule
        self.keys = keys
        self.bytes = bytes
        self.memoryBytes = memoryBytes
        self.bytesMax = bytesMax
        self.eviction = eviction
    }
}

/// One key of a listing.
package struct ListItem: ~Escapable {
    package let key: RawSpan
    /// True for a common prefix of several keys; then there is no entry.
    package let isPrefix: Bool
    package let valueBytes: Int
    package let version: UInt64
    /// When the entry was written, Unix milliseconds, and a counter that tells writes of one millisecond apart.
    package let updatedMilliseconds: Int64
    package let updatedCounter: UInt32
    package let remaining: Int64?
    package let value: RawSpan
    package let contentType: RawSpan

    @_lifetime(copy key, copy value, copy contentType)
    package init(
        key: RawSpan, isPrefix: Bool, valueBytes: Int, version: UInt64, updatedMilliseconds: Int64,
        updatedCounter: UInt32, remaining: Int64?, value: RawSpan, contentType: RawSpan
    ) {
        self.key = key
        self.isPrefix = isPrefix
        self.valueBytes = valueBytes
        self.version = version
        self.updatedMilliseconds = updatedMilliseconds
        self.updatedCounter = updatedCounter
        self.remaining = remaining
        self.value = value
        self.contentType = contentType
    }
}

/// Writes replies. Every function appends exactly one complete reply to `output`, except the `list…` trio, which
/// together make one, and `entry` without the value, which `entryEnd` completes. `command` says how the client wants it (its
/// id, HEAD, keep-alive, which fields). Namespaces and listings are told in binary and HTTP only; the other dialects do not ask
/// for them in these words.
package enum Reply {
    /// An entry that was asked for: get, get and touch.
    package static func entry(
        _ entry: borrowing EntryReply, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.entry(entry, to: command, into: &output)
        case .resp: RESPReply.entry(entry, to: command, into: &output)
        case .memcached: MemcachedReply.entry(entry, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.entry(entry, to: command, into: &output)
        }
    }

    /// What comes behind the value of an entry that was asked for.
    package static func entryEnd(to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer) {
        switch dialect {
        case .resp: RESPReply.entryEnd(to: command, into: &output)
        case .memcached: MemcachedReply.entryEnd(to: command, into: &output)
        case .binary, .http, .undetermined: break
        }
    }

    /// A write, a delete, a new lifetime, an exists, a ping, a snapshot: the status and the version that resulted
    /// (0 where there is none).
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.done(status, version: version, to: command, into: &output)
        case .resp: RESPReply.done(status, version: version, to: command, into: &output)
        case .memcached: MemcachedReply.done(status, version: version, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.done(status, version: version, to: command, into: &output)
        }
    }

    /// A remaining lifetime in milliseconds (nil: unlimited).
    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.lifetime(remaining, version: version, to: command, into: &output)
        case .resp: RESPReply.lifetime(remaining, version: version, to: command, into: &output)
        case .memcached: MemcachedReply.lifetime(remaining, version: version, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.lifetime(remaining, version: version, to: command, into: &output)
        }
    }

    /// The value of a counter after an increment, or the length of a value after an append.
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.integer(value, version: version, to: command, into: &output)
        case .resp: RESPReply.integer(value, version: version, to: command, into: &output)
        case .memcached: MemcachedReply.integer(value, version: version, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.integer(value, version: version, to: command, into: &output)
        }
    }

    /// A refusal.
    package static func failure(
        _ failure: Failure, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.failure(failure, to: command, into: &output)
        case .resp: RESPReply.failure(failure, to: command, into: &output)
        case .memcached: MemcachedReply.failure(failure, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.failure(failure, to: command, into: &output)
        }
    }

    /// A refusal whose sentence is made at run time, for the few that must name an error and a file.
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.failure(status, text: text, to: command, into: &output)
        case .resp: RESPReply.failure(status, text: text, to: command, into: &output)
        case .memcached: MemcachedReply.failure(status, text: text, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.failure(status, text: text, to: command, into: &output)
        }
    }

    package static func namespace(
        _ namespace: NamespaceReply, status: Status, to command: borrowing Command, in dialect: Dialect,
        into output: inout ByteBuffer
    ) {
        if case .http = dialect { HTTPReply.namespace(namespace, status: status, to: command, into: &output) }
        else { BinaryReply.namespace(namespace, status: status, to: command, into: &output) }
    }

    /// One page of namespaces; `total` counts all of them.
    package static func namespaces(
        _ page: [NamespaceReply], total: Int, to command: borrowing Command, in dialect: Dialect,
        into output: inout ByteBuffer
    ) {
        if case .http = dialect { HTTPReply.namespaces(page, total: total, to: command, into: &output) }
        else { BinaryReply.namespaces(page, total: total, to: command, into: &output) }
    }

    /// Text for people and monitors: stats, metrics, health. `contentType` matters in HTTP only.
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, contentType: StaticString, to command: borrowing Command,
        in dialect: Dialect, into output: inout ByteBuffer
    ) {
        switch dialect {
        case .http: HTTPReply.text(text, status: status, contentType: contentType, to: command, into: &output)
        case .resp: RESPReply.text(text, status: status, to: command, into: &output)
        case .memcached: MemcachedReply.text(text, status: status, to: command, into: &output)
        case .binary, .undetermined: BinaryReply.text(text, status: status, to: command, into: &output)
        }
    }

    // MARK: Listing (also get many, whose items are entries or misses)

    /// Begins a listing. `mark` remembers where its length has to be filled in.
    package static func beginList(
        to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) -> ListMark {
        if case .http = dialect { return HTTPReply.beginList(to: command, into: &output) }
        return BinaryReply.beginList(to: command, into: &output)
    }

    package static func listItem(
        _ item: borrowing ListItem, mark: inout ListMark, to command: borrowing Command, in dialect: Dialect,
        into output: inout ByteBuffer
    ) {
        if case .http = dialect { HTTPReply.listItem(item, mark: &mark, to: command, into: &output) }
        else { BinaryReply.listItem(item, mark: &mark, to: command, into: &output) }
    }

    /// Ends a listing. `cursor` is the last key of the page when more follow, else nil; the encoder makes it opaque.
    package static func endList(
        cursor: [UInt8]?, mark: ListMark, to command: borrowing Command, in dialect: Dialect, into output: inout ByteBuffer
    ) {
        if case .http = dialect { HTTPReply.endList(cursor: cursor, mark: mark, to: command, into: &output) }
        else { BinaryReply.endList(cursor: cursor, mark: mark, to: command, into: &output) }
    }
}

/// Where an unfinished listing stands in the output.
package struct ListMark: Sendable {
    /// Position in the output's readable bytes where the reply begins.
    package var start: Int
    /// Position from which the encoder counts the body.
    package var bodyStart: Int
    package var items = 0

    package init(start: Int, bodyStart: Int) {
        self.start = start
        self.bodyStart = bodyStart
    }
}
