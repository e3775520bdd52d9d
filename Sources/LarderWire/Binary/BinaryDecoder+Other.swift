// Bytes of the binary protocol to commands: everything but get and put.

import LarderBytes

extension BinaryDecoder {
    /// Decodes the body of the operation `code`.
    ///
    /// - Returns: false when the fields do not add up to the body.
    @inline(never)
    static func decodeOther(_ code: UInt8, _ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        guard let opcode = BinaryOpcode(rawValue: code) else {
            reset(&command, .none)
            command.failure = Failure(.unknownOperation, "this server does not know the operation")
            return true
        }
        switch opcode {
        case .get: return decodeEntry(.get, .get, bytes, &body, &command)
        case .put: return decodeEntry(.put, .put, bytes, &body, &command)
        case .exists: return decodeEntry(.exists, .exists, bytes, &body, &command)
        case .lifetime: return decodeEntry(.lifetime, .lifetime, bytes, &body, &command)
        case .getAndTouch: return decodeEntry(.getAndTouch, .getAndTouch, bytes, &body, &command)
        case .delete: return decodeEntry(.delete, .delete, bytes, &body, &command)
        case .setLifetime: return decodeEntry(.setLifetime, .setLifetime, bytes, &body, &command)
        case .increment: return decodeEntry(.increment, .increment, bytes, &body, &command)
        case .append: return decodeEntry(.append, .append, bytes, &body, &command)
        default: break
        }

        reset(&command, opcode.operation)
        if opcode == .hello { return decodeHello(bytes, &body, &command) }
        guard command.binaryFlags.isSubset(of: opcode.flags) else { return refuseFlags(&command) }
        if command.binaryFlags.excludeEachOther {
            command.failure = .flagsExcludeEachOther
            return true
        }
        switch opcode {
        case .getMany: return decodeMany(bytes, &body, &command)
        case .list: return decodeList(bytes, &body, &command)
        case .namespaceCreate: return decodeCreation(bytes, &body, &command)
        case .namespaceList: return decodePage(bytes, &body, &command)
        case .namespaceGet, .namespaceDelete, .namespaceFlush:
            return decodeNamespace(body.rest(), bytes, &command)
        default: return body.isEmpty
        }
    }

    /// Off the request path a command begins anew, so that no range of an earlier one is left in it.
    private static func reset(_ command: inout Command, _ operation: Operation) {
        let (tag, flags) = (command.tag, command.flags)
        command = Command()
        command.operation = operation
        command.tag = tag
        command.flags = flags
    }

    /// protocol version u8, namespace length u8, namespace, credentials.
    ///
    /// The credentials are found first: their place is the same in every version and whatever the flags, because nothing else
    /// of a hello may be judged before them. A hello too short for that has none.
    private static func decodeHello(_ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        let version = body.take(UInt8.self, bytes)
        let namespace = body.takeText(UInt8.self, bytes)
        if namespace != nil { command.value = body.rest() }
        if let version, version != BinaryFrame.protocolVersion {
            command.failure = Failure(.unsupportedVersion, "this server speaks version 1 of the protocol")
            return true
        }
        guard command.binaryFlags.isSubset(of: BinaryOpcode.hello.flags) else { return refuseFlags(&command) }
        if command.binaryFlags.excludeEachOther {
            command.failure = .flagsExcludeEachOther
            return true
        }
        guard let namespace else { return false }
        return decodeNamespace(namespace, bytes, &command)
    }

    /// A name, an id of 16 bytes, or nothing: the flags say which.
    private static func decodeNamespace(_ range: ByteRange, _ bytes: RawSpan, _ command: inout Command) -> Bool {
        if command.binaryFlags.contains(.namespaceName) {
            command.namespace = .name(range)
            return true
        }
        guard command.binaryFlags.contains(.namespaceID) else { return range.isEmpty }
        guard range.count == 16 else { return false }
        command.namespace = .id(
            high: bytes.littleEndian(at: range.start, as: UInt64.self).byteSwapped,
            low: bytes.littleEndian(at: range.start &+ 8, as: UInt64.self).byteSwapped)
        return true
    }

    /// key count u16, then as many keys: length u16, key.
    private static func decodeMany(_ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        let keys = ByteRange(start: body.start, count: body.count)
        guard let count = body.take(UInt16.self, bytes) else { return false }
        for _ in 0..<count {
            guard body.takeText(UInt16.self, bytes) != nil else { return false }
        }
        guard body.isEmpty else { return false }
        command.value = keys
        if count == 0 || count > BinaryFrame.keysMax {
            command.failure = Failure(.limitInvalid, "a get-many names 1 to 1024 keys")
        }
        return true
    }

    /// limit u16, prefix length u16, cursor length u16, delimiter u8 if flagged, prefix, cursor.
    private static func decodeList(_ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        guard let limit = body.take(UInt16.self, bytes),
            let prefixBytes = body.take(UInt16.self, bytes),
            let cursorBytes = body.take(UInt16.self, bytes)
        else { return false }
        if command.binaryFlags.contains(.delimiter) {
            guard let delimiter = body.take(UInt8.self, bytes) else { return false }
            command.list.delimiter = delimiter
        }
        guard Int(prefixBytes) &+ Int(cursorBytes) == body.count else { return false }
        command.list.prefix = body.take(Int(prefixBytes))
        let cursor = body.rest()
        if !cursor.isEmpty {
            if let key = ListCursor.key(of: cursor, in: bytes) {
                command.list.cursor = key
            } else {
                command.failure = ListCursor.invalid
            }
        }
        command.list.withValues = command.binaryFlags.contains(.values)
        setLimit(limit, &command)
        return true
    }

    /// page u32, limit u16.
    private static func decodePage(_ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        guard let page = body.take(UInt32.self, bytes), let limit = body.take(UInt16.self, bytes), body.isEmpty
        else { return false }
        command.list.page = Int(page)
        setLimit(limit, &command)
        if page == 0 { command.failure = Failure(.limitInvalid, "the first page is page 1") }
        return true
    }

    private static func setLimit(_ limit: UInt16, _ command: inout Command) {
        command.list.limit = Int(limit)
        if limit == 0 || limit > BinaryFrame.limitMax {
            command.failure = Failure(.limitInvalid, "a limit is 1 to 1000")
        }
    }

    /// durability u8, key rule u8, eviction u8, limit u64, name.
    private static func decodeCreation(_ bytes: RawSpan, _ body: inout BinaryBody, _ command: inout Command) -> Bool {
        guard let durability = body.take(UInt8.self, bytes), let keyRule = body.take(UInt8.self, bytes),
            let eviction = body.take(UInt8.self, bytes), let bytesMax = body.take(UInt64.self, bytes)
        else { return false }
        command.value = body.rest()
        command.creation.durability = DurabilityChoice(rawValue: durability)
        command.creation.keyRule = KeyRule(rawValue: keyRule)
        command.creation.eviction = EvictionChoice(rawValue: eviction)
        command.creation.bytesMax = bytesMax
        let durabilityIsKnown = command.creation.durability != nil || durability == BinaryFrame.defaultCode
        let keyRuleIsKnown = command.creation.keyRule != nil || keyRule == BinaryFrame.defaultCode
        let evictionIsKnown = command.creation.eviction != nil || eviction == BinaryFrame.defaultCode
        if !durabilityIsKnown || !keyRuleIsKnown || !evictionIsKnown {
            command.failure = Failure(
                .unknownFlag, "the durability is 0 to 3 or 255, the key rule 0, 1 or 255, the eviction 0, 1 or 255")
        }
        return true
    }
}

extension BinaryOpcode {
    /// What the operation is called in every dialect.
    package var operation: Operation {
        switch self {
        case .hello: .hello
        case .ping: .ping
        case .get: .get
        case .getMany: .getMany
        case .exists: .exists
        case .lifetime: .lifetime
        case .getAndTouch: .getAndTouch
        case .put: .put
        case .delete: .delete
        case .setLifetime: .setLifetime
        case .increment: .increment
        case .append: .append
        case .list: .list
        case .namespaceCreate: .namespaceCreate
        case .namespaceGet: .namespaceGet
        case .namespaceList: .namespaceList
        case .namespaceDelete: .namespaceDelete
        case .namespaceFlush: .namespaceFlush
        case .stats: .stats
        case .snapshot: .snapshot
        }
    }
}
