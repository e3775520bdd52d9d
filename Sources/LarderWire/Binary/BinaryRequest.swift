// Requests to bytes of the binary protocol: the client's half.
//
// Writes what it is told, legal or not, as long as the lengths fit; the server judges.

import LarderBytes

/// Which namespace a request of a client speaks of.
package enum BinaryNamespace: Sendable, Equatable {
    /// The one that the connection has.
    case connection
    case name(String)
    case id(high: UInt64, low: UInt64)

    var flags: BinaryFlags {
        switch self {
        case .connection: []
        case .name: .namespaceName
        case .id: .namespaceID
        }
    }
}

/// Writes requests of the binary protocol. Each function appends one complete frame to `output`; `flags` are those that
/// ask something of the reply, the others follow from the arguments.
package enum BinaryRequest {
    // MARK: One key

    package static func get(
        _ key: RawSpan, ifNotVersion: UInt64? = nil, flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) {
        let condition = ifNotVersion.map(Condition.notVersion) ?? .none
        entry(.get, key, flags: flags, condition: condition, id: id, into: &output)
    }

    package static func exists(
        _ key: RawSpan, flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) {
        entry(.exists, key, flags: flags, id: id, into: &output)
    }

    /// Asks for the remaining lifetime.
    package static func lifetime(
        _ key: RawSpan, flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) {
        entry(.lifetime, key, flags: flags, id: id, into: &output)
    }

    /// Asks for the entry and gives it a new lifetime.
    package static func getAndTouch(
        _ key: RawSpan, lifetime: Lifetime, flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) {
        entry(.getAndTouch, key, flags: flags, lifetime: lifetime, id: id, into: &output)
    }

    package static func put(
        _ key: RawSpan, value: RawSpan, contentType: RawSpan = RawSpan(), lifetime: Lifetime = .unlimited,
        condition: Condition = .none, flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) {
        var flags = flags
        if contentType.byteCount > 0 { flags.insert(.contentType) }
        let start = beginEntry(.put, flags, lifetime, condition, id, &output)
        if contentType.byteCount > 0 { output.append(littleEndian: UInt16(contentType.byteCount)) }
        output.append(littleEndian: UInt16(key.byteCount))
        output.append(contentType)
        output.append(key)
        output.append(value)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    package static func delete(
        _ key: RawSpan, condition: Condition = .none, flags: BinaryFlags = [], id: UInt32,
        into output: inout ByteBuffer
    ) {
        entry(.delete, key, flags: flags, condition: condition, id: id, into: &output)
    }

    /// Sets the lifetime, or clears it with `.unlimited`.
    package static func setLifetime(
        _ key: RawSpan, lifetime: Lifetime, condition: Condition = .none, flags: BinaryFlags = [], id: UInt32,
        into output: inout ByteBuffer
    ) {
        entry(.setLifetime, key, flags: flags, lifetime: lifetime, condition: condition, id: id, into: &output)
    }

    /// Adds `delta`, which may be negative. `lifetime` is that of a counter which this makes.
    package static func increment(
        _ key: RawSpan, by delta: Int64, lifetime: Lifetime = .unlimited, flags: BinaryFlags = [], id: UInt32,
        into output: inout ByteBuffer
    ) {
        let start = beginEntry(.increment, flags, lifetime, .none, id, &output)
        output.append(littleEndian: delta)
        output.append(key)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    /// Appends to a value. `lifetime` is that of an entry which this makes.
    package static func append(
        _ key: RawSpan, value: RawSpan, lifetime: Lifetime = .unlimited, flags: BinaryFlags = [], id: UInt32,
        into output: inout ByteBuffer
    ) {
        let start = beginEntry(.append, flags, lifetime, .none, id, &output)
        output.append(littleEndian: UInt16(key.byteCount))
        output.append(key)
        output.append(value)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    // MARK: Parts

    /// An operation whose body is a few fixed fields and the key.
    private static func entry(
        _ opcode: BinaryOpcode, _ key: RawSpan, flags: BinaryFlags, lifetime: Lifetime = .unlimited,
        condition: Condition = .none, id: UInt32, into output: inout ByteBuffer
    ) {
        let start = beginEntry(opcode, flags, lifetime, condition, id, &output)
        output.append(key)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    /// The header and the fixed fields, in the order that every operation on one key has them.
    private static func beginEntry(
        _ opcode: BinaryOpcode, _ flags: BinaryFlags, _ lifetime: Lifetime, _ condition: Condition, _ id: UInt32,
        _ output: inout ByteBuffer
    ) -> Int {
        var flags = flags
        var version: UInt64?
        switch condition {
        case .none: break
        case .absent: flags.insert(.ifAbsent)
        case .present: flags.insert(.ifPresent)
        case .version(let wanted):
            flags.insert(.ifVersion)
            version = wanted
        case .notVersion(let known):
            flags.insert(.ifNotVersion)
            version = known
        }
        switch lifetime {
        case .unlimited: break
        case .keep: flags.insert(.keepLifetime)
        case .milliseconds: flags.insert(.lifetime)
        case .until: preconditionFailure("a binary request tells lifetimes, and no times of day")
        }
        let start = begin(opcode, flags, id, &output)
        if let version { output.append(littleEndian: version) }
        if case .milliseconds(let milliseconds) = lifetime { output.append(littleEndian: milliseconds) }
        return start
    }

    /// Appends a header whose length is filled in by `BinaryReply.closeFrame`; both directions keep it in one place.
    static func begin(_ opcode: BinaryOpcode, _ flags: BinaryFlags, _ id: UInt32, _ output: inout ByteBuffer) -> Int {
        let start = output.count
        let first =
            UInt64(BinaryFrame.requestMagic) | UInt64(opcode.rawValue) << 8 | UInt64(flags.rawValue) << 16
            | UInt64(id) << 32
        output.append(littleEndian: first)
        output.append(littleEndian: UInt32(0))
        return start
    }
}
