// Bytes of the binary protocol to commands: the header, and the operations on one key.
//
// Purely syntactic. It does not know whether the client has logged in, which keys are legal or how long a value may
// be; it knows where fields lie and that they add up. The contract is docs/protocol.md.

import LarderBytes

/// Decodes requests of the binary protocol. Nothing is copied or allocated; no input can make it trap.
package struct BinaryDecoder: Sendable {
    /// The most bytes that a frame may have, header included. The server raises it after login.
    package var frameBytesMax: Int
    /// After `needMore`: how many bytes the frame at `position` has in all, as far as is known yet. A server that makes
    /// so much room reads a large value without growing its buffer again.
    package private(set) var frameBytesExpected = BinaryFrame.headerBytes

    package init(frameBytesMax: Int) {
        self.frameBytesMax = frameBytesMax
    }

    /// Decodes the request at `position`.
    ///
    /// - On `.command` `position` stands behind the frame and `command` is overwritten; the operations on one key leave
    ///   `list`, `creation` and (but for increment) `delta`, which mean nothing to them, as they are. When
    ///   `command.failure` is set, the frame could be skipped but not understood: reply with the failure and go on.
    /// - On `.close` nothing that follows can be understood: reply with `command.failure`, then close.
    /// - On `.needMore` nothing has changed.
    /// - Complexity: O(1), but for a get-many, which is O(keys).
    package mutating func decode(
        _ input: borrowing ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep {
        let bytes = input.bytes
        precondition(position >= 0 && position <= bytes.byteCount, "position leaves the buffer")
        let available = bytes.byteCount &- position
        guard available >= BinaryFrame.headerBytes else {
            if available > 0, bytes.byte(at: position) != BinaryFrame.requestMagic { return Self.refuseMagic(&command) }
            frameBytesExpected = BinaryFrame.headerBytes
            return .needMore
        }

        let head = bytes.littleEndian(at: position, as: UInt64.self)
        guard UInt8(truncatingIfNeeded: head) == BinaryFrame.requestMagic else { return Self.refuseMagic(&command) }
        // Cannot overflow: the length has 32 bits.
        let frameBytes = BinaryFrame.headerBytes &+ Int(bytes.littleEndian(at: position &+ 8, as: UInt32.self))
        let tag = UInt32(truncatingIfNeeded: head >> 32)
        guard frameBytes <= frameBytesMax else { return Self.refuseLength(tag, &command) }
        guard frameBytes <= available else {
            frameBytesExpected = frameBytes
            return .needMore
        }

        command.tag = tag
        command.flags = UInt16(truncatingIfNeeded: head >> 16)
        command.namespace = .connection
        command.failure = nil
        var body = BinaryBody(start: position &+ BinaryFrame.headerBytes, end: position &+ frameBytes)
        let isWhole: Bool
        switch UInt8(truncatingIfNeeded: head >> 8) {
        // The two that matter come first, with their flag masks in the code.
        case BinaryOpcode.get.rawValue:
            isWhole = Self.decodeEntry(.get, .get, bytes, &body, &command)
        case BinaryOpcode.put.rawValue:
            isWhole = Self.decodeEntry(.put, .put, bytes, &body, &command)
        case let opcode:
            isWhole = Self.decodeOther(opcode, bytes, &body, &command)
        }
        guard isWhole else { return Self.refuseBody(&command) }
        position &+= frameBytes
        return .command
    }

    /// What is known of the request that begins in `input` and is not complete, for a reply that does not wait for it.
    ///
    /// - Returns: nil when nothing has arrived.
    package func begun(_ input: borrowing ByteBuffer) -> Command? {
        guard input.count > 0 else { return nil }
        var command = Command()
        if input.count >= 8 {
            let head = input.bytes.littleEndian(at: 0, as: UInt64.self)
            command.operation = BinaryOpcode(rawValue: UInt8(truncatingIfNeeded: head >> 8))?.operation ?? .none
            command.tag = UInt32(truncatingIfNeeded: head >> 32)
        }
        return command
    }

    // MARK: Operations on one key

    /// All operations on one key have the same body: the fixed fields that the flags and the operation call for, in one
    /// order, then the texts in the order of their lengths.
    ///
    /// - Returns: false when the fields do not add up to the body.
    @inline(__always)
    static func decodeEntry(
        _ opcode: BinaryOpcode, _ operation: Operation, _ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command
    ) -> Bool {
        command.operation = operation
        command.condition = .none
        command.lifetime = .unlimited
        command.clientFlags = 0
        command.key = .empty
        command.contentType = .empty
        command.value = .empty
        if opcode == .increment { command.delta = 0 }
        let flags = command.binaryFlags
        guard flags.isSubset(of: opcode.flags) else { return refuseFlags(&command) }

        var contentTypeBytes = 0
        let needsFields = flags.rawValue & ~BinaryFlags.replyOnly.rawValue != 0
        if needsFields, !decodeFields(flags, bytes, &body, &command, &contentTypeBytes) { return false }
        if opcode == .increment {
            guard let delta = body.take(Int64.self, bytes) else { return false }
            command.delta = delta
        }
        guard opcode == .put || opcode == .append else {
            command.key = body.rest()
            return true
        }
        guard let keyBytes = body.take(UInt16.self, bytes),
            contentTypeBytes &+ Int(keyBytes) <= body.count
        else { return false }
        command.contentType = body.take(contentTypeBytes)
        command.key = body.take(Int(keyBytes))
        command.value = body.rest()
        return true
    }

    /// The fields that flags call for: version, lifetime, length of the content type.
    private static func decodeFields(
        _ flags: BinaryFlags, _ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command,
        _ contentTypeBytes: inout Int
    ) -> Bool {
        if !flags.isDisjoint(with: [.ifVersion, .ifNotVersion]) {
            guard let version = body.take(UInt64.self, bytes) else { return false }
            if version == 0 { command.failure = .versionZero }
            command.condition = flags.contains(.ifVersion) ? .version(version) : .notVersion(version)
        }
        if flags.contains(.lifetime) {
            guard let lifetime = body.take(UInt64.self, bytes) else { return false }
            if let milliseconds = Int64(exactly: lifetime), milliseconds > 0 {
                command.lifetime = .milliseconds(milliseconds)
            } else {
                command.failure = .lifetimeOutOfRange
            }
        }
        if flags.contains(.contentType) {
            guard let count = body.take(UInt16.self, bytes) else { return false }
            contentTypeBytes = Int(count)
        }
        if flags.contains(.keepLifetime) { command.lifetime = .keep }
        if flags.contains(.ifAbsent) { command.condition = .absent }
        if flags.contains(.ifPresent) { command.condition = .present }
        if flags.excludeEachOther { command.failure = .flagsExcludeEachOther }
        return true
    }

    // MARK: Refusals

    /// Always true: a frame with a flag that nobody knows is skipped whole.
    @inline(never)
    static func refuseFlags(_ command: inout Command) -> Bool {
        command.failure = .unknownFlag
        return true
    }

    @inline(never)
    private static func refuseMagic(_ command: inout Command) -> DecodeStep {
        command = Command()
        command.failure = Failure(.malformed, "a request begins with the byte 0xAD")
        return .close
    }

    @inline(never)
    private static func refuseLength(_ tag: UInt32, _ command: inout Command) -> DecodeStep {
        command = Command()
        command.tag = tag
        command.failure = Failure(
            .frameTooLarge, "the frame is longer than this connection may send; log in, or send less")
        return .close
    }

    @inline(never)
    private static func refuseBody(_ command: inout Command) -> DecodeStep {
        let (operation, tag, value) = (command.operation, command.tag, command.value)
        command = Command()
        command.operation = operation
        command.tag = tag
        // Whoever has not logged in is not told what is wrong with the rest.
        if operation == .hello { command.value = value }
        command.failure = Failure(.malformed, "the lengths in the body do not add up to the length of the frame")
        return .close
    }
}

extension BinaryFlags {
    /// Flags that ask something of the reply and put nothing into the body.
    static let replyOnly: BinaryFlags = [.wantVersion, .wantContentType, .wantLifetime]

    static let conditions: BinaryFlags = [.ifAbsent, .ifPresent, .ifVersion, .ifNotVersion]

    var excludeEachOther: Bool {
        let conditions = rawValue & Self.conditions.rawValue
        let moreThanOneCondition = conditions & (conditions &- 1) != 0
        return moreThanOneCondition || isSuperset(of: [.lifetime, .keepLifetime])
            || isSuperset(of: [.namespaceName, .namespaceID])
    }
}

extension Failure {
    static let unknownFlag = Failure(.unknownFlag, "the operation does not know a flag that the request sets")
    static let flagsExcludeEachOther = Failure(.unknownFlag, "the request sets flags that exclude each other")
    static let versionZero = Failure(.versionInvalid, "no entry has version 0; use ifAbsent or ifPresent")
    static let lifetimeOutOfRange = Failure(
        .lifetimeInvalid, "a lifetime is 1 to 9223372036854775807 milliseconds; leave the flag out for none")
}
