// Requests to bytes of the binary protocol: those that are not about one key.

import LarderBytes

/// Where an unfinished get-many request stands in the output.
package struct BinaryKeysMark: Sendable {
    let start: Int
    fileprivate(set) var count = 0
}

extension BinaryRequest {
    /// Logs in, chooses a namespace and says how replies may come.
    package static func hello(
        credentials: RawSpan = RawSpan(), namespace: BinaryNamespace = .connection, overtake: Bool = false,
        version: UInt8 = BinaryFrame.protocolVersion, id: UInt32, into output: inout ByteBuffer
    ) {
        let start = begin(.hello, namespace.flags.union(overtake ? .overtake : []), id, &output)
        output.append(byte: version)
        output.append(byte: 0)
        let namespaceStart = output.count
        append(namespace, into: &output)
        output[namespaceStart - 1] = UInt8(output.count - namespaceStart)
        output.append(credentials)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    package static func ping(id: UInt32, into output: inout ByteBuffer) { empty(.ping, id, &output) }
    package static func stats(id: UInt32, into output: inout ByteBuffer) { empty(.stats, id, &output) }
    package static func snapshot(id: UInt32, into output: inout ByteBuffer) { empty(.snapshot, id, &output) }

    // MARK: Several keys

    /// Begins a get-many; `manyKey` follows for each key, then `endMany`.
    package static func beginMany(
        flags: BinaryFlags = [], id: UInt32, into output: inout ByteBuffer
    ) -> BinaryKeysMark {
        let mark = BinaryKeysMark(start: begin(.getMany, flags, id, &output))
        output.append(littleEndian: UInt16(0))
        return mark
    }

    package static func manyKey(_ key: RawSpan, mark: inout BinaryKeysMark, into output: inout ByteBuffer) {
        mark.count += 1
        output.append(littleEndian: UInt16(key.byteCount))
        output.append(key)
    }

    package static func endMany(_ mark: BinaryKeysMark, into output: inout ByteBuffer) {
        output.overwrite(at: mark.start + BinaryFrame.headerBytes, littleEndian: UInt16(mark.count))
        BinaryReply.closeFrame(from: mark.start, in: &output)
    }

    /// Asks for a page of keys. `cursor` is empty for the first page, then what the page before ended with.
    package static func list(
        prefix: RawSpan = RawSpan(), cursor: RawSpan = RawSpan(), limit: Int = BinaryFrame.limitMax,
        delimiter: UInt8? = nil, withValues: Bool = false, id: UInt32, into output: inout ByteBuffer
    ) {
        var flags: BinaryFlags = []
        if withValues { flags.insert(.values) }
        if delimiter != nil { flags.insert(.delimiter) }
        let start = begin(.list, flags, id, &output)
        output.append(littleEndian: UInt16(limit))
        output.append(littleEndian: UInt16(prefix.byteCount))
        output.append(littleEndian: UInt16(cursor.byteCount))
        if let delimiter { output.append(byte: delimiter) }
        output.append(prefix)
        output.append(cursor)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    // MARK: Namespaces

    package static func namespaceCreate(
        _ name: String, creation: NamespaceCreation = NamespaceCreation(), id: UInt32, into output: inout ByteBuffer
    ) {
        let start = begin(.namespaceCreate, [], id, &output)
        output.append(byte: creation.durability?.rawValue ?? BinaryFrame.defaultCode)
        output.append(byte: creation.keyRule?.rawValue ?? BinaryFrame.defaultCode)
        output.append(byte: creation.eviction?.rawValue ?? BinaryFrame.defaultCode)
        output.append(littleEndian: creation.bytesMax)
        output.append(utf8: name)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    package static func namespaceGet(_ namespace: BinaryNamespace, id: UInt32, into output: inout ByteBuffer) {
        about(namespace, .namespaceGet, id, &output)
    }

    package static func namespaceDelete(_ namespace: BinaryNamespace, id: UInt32, into output: inout ByteBuffer) {
        about(namespace, .namespaceDelete, id, &output)
    }

    /// Removes every key of a namespace.
    package static func namespaceFlush(_ namespace: BinaryNamespace, id: UInt32, into output: inout ByteBuffer) {
        about(namespace, .namespaceFlush, id, &output)
    }

    /// Asks for a page of namespaces; the first is page 1.
    package static func namespaceList(page: Int = 1, limit: Int = 100, id: UInt32, into output: inout ByteBuffer) {
        let start = begin(.namespaceList, [], id, &output)
        output.append(littleEndian: UInt32(page))
        output.append(littleEndian: UInt16(limit))
        BinaryReply.closeFrame(from: start, in: &output)
    }

    // MARK: Parts

    private static func empty(_ opcode: BinaryOpcode, _ id: UInt32, _ output: inout ByteBuffer) {
        _ = begin(opcode, [], id, &output)
    }

    private static func about(
        _ namespace: BinaryNamespace, _ opcode: BinaryOpcode, _ id: UInt32, _ output: inout ByteBuffer
    ) {
        let start = begin(opcode, namespace.flags, id, &output)
        append(namespace, into: &output)
        BinaryReply.closeFrame(from: start, in: &output)
    }

    private static func append(_ namespace: BinaryNamespace, into output: inout ByteBuffer) {
        switch namespace {
        case .connection: break
        case .name(let name): output.append(utf8: name)
        case .id(let high, let low):
            output.append(littleEndian: high.byteSwapped)
            output.append(littleEndian: low.byteSwapped)
        }
    }
}
