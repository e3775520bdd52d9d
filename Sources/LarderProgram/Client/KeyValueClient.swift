// A client that does one thing at a time, over the binary protocol.
//
// Made for commands that people type: it waits for every answer. Every request gets one reply, in order, so a reply that
// does not carry the id of its request means that the two sides have lost each other.

import LarderBytes
import LarderPlatform
import LarderServer
import LarderWire

/// Why a client did not get what it asked for.
package enum ClientError: Error, Equatable, Sendable {
    case connection(ConnectionError)
    /// The server speaks something else.
    case garbled(BinaryReplyError)
    /// A reply to a request that was not made.
    case wrongReply
    /// What is named has more bytes than any server takes; nothing was sent.
    case tooLong(String, bytesMax: Int)
    /// A value has more bytes than this server takes; nothing was sent.
    case valueTooLong(bytes: Int, bytesMax: Int)
    /// The server's answer is no, in its words.
    case refused(Status, String)
}

/// One key of a listing.
package struct KeyRecord: Equatable, Sendable {
    package var key: [UInt8]
    package var valueBytes: Int
    package var updatedMilliseconds: Milliseconds
    /// Milliseconds left to live; nil: for ever.
    package var remaining: Milliseconds?
}

/// A connection to a server that has said hello.
package struct KeyValueClient: ~Copyable {
    private let connection: BlockingConnection
    private let decoder = BinaryReplyDecoder()
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var id: UInt32 = 0
    /// What the server said in its hello.
    private var valueBytesMax = Int.max

    /// The longest key under any rule.
    package static let keyBytesMax = 1_024
    package static let cursorBytesMax = keyBytesMax + ListCursor.checksumBytes
    private static let nameBytesMax = 255

    private init(_ connection: consuming BlockingConnection) {
        self.connection = connection
    }

    /// Connects and says hello.
    ///
    /// - Parameter namespace: The one that requests about keys speak of.
    package static func connect(
        to server: ServerLocation, key: APIKey?, namespace: BinaryNamespace = .connection,
        timeoutMilliseconds: Milliseconds = 60_000
    ) throws(ClientError) -> KeyValueClient {
        if case .name(let name) = namespace { try check(name.utf8.count, Self.nameBytesMax, "the name of the namespace") }
        var client: KeyValueClient
        do throws(ConnectionError) {
            client = KeyValueClient(
                try BlockingConnection(host: server.host, port: server.port, timeoutMilliseconds: timeoutMilliseconds))
        } catch {
            throw .connection(error)
        }
        let credentials = key?.bytes ?? []
        BinaryRequest.hello(
            credentials: credentials.rawSpan, namespace: namespace, id: client.begin(), into: &client.output)
        let reply = try client.exchange([.ok])
        do throws(BinaryReplyError) {
            client.valueBytesMax = Int(try HelloReply(reply, in: client.input).valueBytesMax)
        } catch {
            throw .garbled(error)
        }
        return client
    }

    /// Lengths have few bits on the wire.
    private static func check(_ bytes: Int, _ bytesMax: Int, _ what: String) throws(ClientError) {
        guard bytes <= bytesMax else { throw .tooLong(what, bytesMax: bytesMax) }
    }

    private static func check(key: [UInt8]) throws(ClientError) { try check(key.count, keyBytesMax, "the key") }

    // MARK: Keys

    /// The value of `key`; nil when there is none.
    package mutating func get(_ key: [UInt8]) throws(ClientError) -> [UInt8]? {
        try Self.check(key: key)
        BinaryRequest.get(key.rawSpan, id: begin(), into: &output)
        let reply = try exchange([.ok, .notFound])
        return reply.status == .ok ? Array(input.span(reply.payload)) : nil
    }

    /// Stores `value`; whether the key is new.
    package mutating func put(
        _ key: [UInt8], value: [UInt8], lifetime: Lifetime = .unlimited
    ) throws(ClientError) -> Bool {
        try Self.check(key: key)
        guard value.count <= valueBytesMax else { throw .valueTooLong(bytes: value.count, bytesMax: valueBytesMax) }
        BinaryRequest.put(key.rawSpan, value: value.rawSpan, lifetime: lifetime, id: begin(), into: &output)
        return try exchange([.ok, .created]).status == .created
    }

    /// Deletes `key`; whether there was one.
    package mutating func delete(_ key: [UInt8]) throws(ClientError) -> Bool {
        try Self.check(key: key)
        BinaryRequest.delete(key.rawSpan, id: begin(), into: &output)
        return try exchange([.ok, .notFound]).status == .ok
    }

    /// One page of keys in byte order; `cursor` is nil on the last.
    package mutating func list(
        prefix: [UInt8], cursor: [UInt8], limit: Int
    ) throws(ClientError) -> (keys: [KeyRecord], cursor: [UInt8]?) {
        try Self.check(prefix.count, Self.keyBytesMax, "the prefix")
        try Self.check(cursor.count, Self.cursorBytesMax, "the cursor")
        BinaryRequest.list(
            prefix: prefix.rawSpan, cursor: cursor.rawSpan, limit: limit, id: begin(), into: &output)
        let reply = try exchange([.ok])
        do throws(BinaryReplyError) {
            var page = try BinaryListPage(reply, withValues: false, in: input)
            var keys: [KeyRecord] = []
            while let entry = try page.next(in: input) {
                var remaining: Milliseconds?
                if case .milliseconds(let milliseconds) = entry.lifetime { remaining = milliseconds }
                keys.append(
                    KeyRecord(
                        key: Array(input.span(entry.key)), valueBytes: entry.valueBytes,
                        updatedMilliseconds: entry.updatedMilliseconds, remaining: remaining))
            }
            return (keys, page.cursor.isEmpty ? nil : Array(input.span(page.cursor)))
        } catch {
            throw .garbled(error)
        }
    }

    // MARK: Namespaces

    package mutating func createNamespace(
        _ name: String, creation: NamespaceCreation = NamespaceCreation()
    ) throws(ClientError) -> NamespaceReply {
        BinaryRequest.namespaceCreate(name, creation: creation, id: begin(), into: &output)
        return try namespace(exchange([.ok, .created]))
    }

    package mutating func namespace(_ reference: BinaryNamespace) throws(ClientError) -> NamespaceReply {
        BinaryRequest.namespaceGet(reference, id: begin(), into: &output)
        return try namespace(exchange([.ok]))
    }

    /// One page of namespaces, and how many there are on all pages.
    package mutating func namespaces(
        page: Int, limit: Int
    ) throws(ClientError) -> (total: Int, namespaces: [NamespaceReply]) {
        BinaryRequest.namespaceList(page: page, limit: limit, id: begin(), into: &output)
        let reply = try exchange([.ok])
        do throws(BinaryReplyError) { return try NamespaceReply.page(reply, in: input) } catch { throw .garbled(error) }
    }

    /// Deletes every key.
    package mutating func flushNamespace(_ reference: BinaryNamespace) throws(ClientError) {
        BinaryRequest.namespaceFlush(reference, id: begin(), into: &output)
        _ = try exchange([.ok])
    }

    /// Deletes the namespace with all its keys; what is left of it.
    package mutating func deleteNamespace(_ reference: BinaryNamespace) throws(ClientError) -> NamespaceReply {
        BinaryRequest.namespaceDelete(reference, id: begin(), into: &output)
        return try namespace(exchange([.ok]))
    }

    private func namespace(_ reply: BinaryReplyFrame) throws(ClientError) -> NamespaceReply {
        do throws(BinaryReplyError) { return try NamespaceReply(reply, in: input) } catch { throw .garbled(error) }
    }

    // MARK: One request, one reply

    /// Makes room for a request, and gives it its id.
    private mutating func begin() -> UInt32 {
        output.removeAll()
        id &+= 1
        return id
    }

    /// Sends the request and waits for its reply, whose ranges count in `input` until the next request.
    ///
    /// - Throws: `.refused` for every status that is not `expected`.
    private mutating func exchange(_ expected: [Status]) throws(ClientError) -> BinaryReplyFrame {
        input.removeAll()
        var sendFailure: ConnectionError?
        // A server that refuses a request early may close before it has taken all of it; its answer is worth more than
        // the broken pipe.
        do throws(ConnectionError) { try connection.send(output.bytes) } catch { sendFailure = error }
        while true {
            if let reply = try decode() { return try judge(reply, expected) }
            do throws(ConnectionError) { try connection.receive(into: &input) } catch { throw .connection(sendFailure ?? error) }
        }
    }

    /// The reply that `input` begins with, once it is complete.
    private func decode() throws(ClientError) -> BinaryReplyFrame? {
        var position = 0
        do throws(BinaryReplyError) { return try decoder.decode(input, at: &position) } catch { throw .garbled(error) }
    }

    private func judge(_ reply: BinaryReplyFrame, _ expected: [Status]) throws(ClientError) -> BinaryReplyFrame {
        // A refusal of bytes that were not understood carries no id.
        guard expected.contains(reply.status) else {
            throw .refused(reply.status, String(utf8: input.span(reply.payload)))
        }
        guard reply.id == id else { throw .wrongReply }
        return reply
    }
}

extension ClientError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .connection(let error): error.description
        case .garbled: "the answer is not that of a larder server"
        case .wrongReply: "the server answered another request"
        case .tooLong(let what, let bytesMax): "\(what) has more than \(bytesMax) bytes, which no server takes"
        case .valueTooLong(let bytes, let bytesMax):
            "the value has \(bytes) bytes; this server takes at most \(bytesMax) (its setting value-bytes-max)"
        case .refused(let status, let sentence): sentence.isEmpty ? "the server refused: \(status)" : sentence
        }
    }
}
