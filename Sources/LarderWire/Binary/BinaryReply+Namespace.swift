// Replies about namespaces: hello, and the namespace operations. Off the request path.

import LarderBytes

/// What a client is told when its hello has been accepted.
package struct HelloReply: Sendable, Equatable {
    /// Whether replies may overtake each other from now on.
    package var overtake: Bool
    package var keyRule: KeyRule
    package var durability: DurabilityChoice
    /// The most bytes that a frame may have from now on, header included.
    package var frameBytesMax: UInt32
    package var valueBytesMax: UInt32
    /// The namespace that the connection speaks of from now on.
    package var namespaceHigh: UInt64
    package var namespaceLow: UInt64

    package init(
        overtake: Bool, keyRule: KeyRule, durability: DurabilityChoice, frameBytesMax: UInt32, valueBytesMax: UInt32,
        namespace: (high: UInt64, low: UInt64)
    ) {
        self.overtake = overtake
        self.keyRule = keyRule
        self.durability = durability
        self.frameBytesMax = frameBytesMax
        self.valueBytesMax = valueBytesMax
        namespaceHigh = namespace.high
        namespaceLow = namespace.low
    }
}

/// The life of a namespace, as the binary protocol counts it.
package enum NamespaceStateCode: UInt8, Sendable, CaseIterable {
    case pending = 0
    case ready = 1
    case deleting = 2

    /// The word that `NamespaceReply.state` has for it.
    package var name: String {
        switch self {
        case .pending: "pending"
        case .ready: "provision_ok"
        case .deleting: "deleting"
        }
    }
}

extension BinaryReply {
    /// The answer to an accepted hello: protocol version u8, options u8, key rule u8, durability u8, frame bytes u32,
    /// value bytes u32, namespace id.
    package static func hello(_ hello: HelloReply, to command: borrowing Command, into output: inout ByteBuffer) {
        appendHeader(.ok, [], bodyBytes: 28, to: command, into: &output)
        output.append(byte: BinaryFrame.protocolVersion)
        output.append(byte: hello.overtake ? 1 : 0)
        output.append(byte: hello.keyRule.rawValue)
        output.append(byte: hello.durability.rawValue)
        output.append(littleEndian: hello.frameBytesMax)
        output.append(littleEndian: hello.valueBytesMax)
        appendID((hello.namespaceHigh, hello.namespaceLow), into: &output)
    }

    /// One namespace.
    package static func namespace(
        _ namespace: NamespaceReply, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let start = output.count
        appendHeader(status, [], bodyBytes: 0, to: command, into: &output)
        appendNamespace(namespace, into: &output)
        closeFrame(from: start, in: &output)
    }

    /// One page of namespaces: total u32, count u16, and so many namespaces.
    package static func namespaces(
        _ page: [NamespaceReply], total: Int, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let start = output.count
        appendHeader(.ok, [], bodyBytes: 0, to: command, into: &output)
        output.append(littleEndian: UInt32(total))
        output.append(littleEndian: UInt16(page.count))
        for namespace in page { appendNamespace(namespace, into: &output) }
        closeFrame(from: start, in: &output)
    }

    /// id, created u64, updated u64, keys u64, bytes u64, memory u64, limit u64, state u8, durability u8, key rule u8,
    /// eviction u8, name length u8, name.
    private static func appendNamespace(_ namespace: NamespaceReply, into output: inout ByteBuffer) {
        appendID(namespace.id, into: &output)
        output.append(littleEndian: namespace.createdMilliseconds)
        output.append(littleEndian: namespace.updatedMilliseconds)
        output.append(littleEndian: namespace.keys)
        output.append(littleEndian: namespace.bytes)
        output.append(littleEndian: namespace.memoryBytes)
        output.append(littleEndian: namespace.bytesMax)
        let state = NamespaceStateCode.allCases.first { $0.name == namespace.state }
        output.append(byte: state?.rawValue ?? BinaryFrame.defaultCode)
        output.append(byte: DurabilityChoice(name: namespace.durability)?.rawValue ?? BinaryFrame.defaultCode)
        output.append(byte: namespace.keyRule.rawValue)
        output.append(byte: namespace.eviction.rawValue)
        let name = namespace.name.utf8.prefix(Int(UInt8.max))
        output.append(byte: UInt8(name.count))
        for byte in name { output.append(byte: byte) }
    }

    /// Sixteen bytes in the order in which a UUID is written.
    private static func appendID(_ id: (high: UInt64, low: UInt64), into output: inout ByteBuffer) {
        output.append(littleEndian: id.high.byteSwapped)
        output.append(littleEndian: id.low.byteSwapped)
    }
}
