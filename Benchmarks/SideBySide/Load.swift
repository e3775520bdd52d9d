// A closed loop: many connections, each of which sends a batch, waits for all replies, and sends the next.
//
// Requests and replies are those of `larder load`. Its loop is not: it times every request, and with 32 in flight that
// costs more than the fastest servers take to answer one, so that they would be measured at waiting. What is timed is an
// `OpenLoad`.

import Glibc
import LarderBytes
import LarderLoad
import LarderPlatform

final class Load {
    private final class Connection {
        let socket: Socket
        var input = ByteBuffer()
        var owed = 0
        init(_ descriptor: Int32) { socket = Socket(adopting: descriptor) }
    }

    private let dialect: LoadDialect
    private let writer: RequestWriter
    private let parser: ReplyParser
    private let keys = EntryForm.keys
    private let depth: Int
    private let poller: Poller
    private let events = Poller.EventList()
    private var connections: [Connection] = []
    private var ready: [Int] = []
    private var output = ByteBuffer()
    private var key = ByteBuffer()
    private var value = ByteBuffer()
    private var random: UInt64 = 0
    private var nextKey = 0

    /// - Parameter depth: Requests in flight on each connection.
    convenience init(_ server: Server, connections count: Int, depth: Int) throws {
        try self.init(port: server.port, server.contender.manner, connections: count, depth: depth)
    }

    init(port: UInt16, _ manner: Manner, connections count: Int, depth: Int) throws {
        dialect = manner.dialect
        writer = RequestWriter(manner)
        parser = ReplyParser(manner.dialect)
        self.depth = depth
        poller = try Poller()
        for index in 0..<count {
            guard let descriptor = connectSocket(port: port) else { throw BenchError("a connection is refused") }
            let connection = Connection(descriptor)
            try poller.add(descriptor, .read, token: UInt64(index))
            connections.append(connection)
            try greet(connection)
        }
    }

    /// Stores entries under the keys of a range.
    func fill(_ range: Range<Int>, _ form: EntryForm) throws {
        nextKey = range.lowerBound
        func send(_ connection: Connection) throws {
            try sendBatch(connection, .set, form) {
                guard nextKey < range.upperBound else { return nil }
                defer { nextKey += 1 }
                return nextKey
            }
        }
        for connection in connections { try send(connection) }
        while connections.contains(where: { $0.owed > 0 }) {
            try turn(.set) { connection, _ in
                if connection.owed == 0 { try send(connection) }
            }
        }
    }

    /// Runs for `seconds` with keys at random, and returns how many replies came.
    func run(_ operation: LoadOperation, seconds: Double, keys: Int, form: EntryForm = EntryForm(), seed: UInt64) throws -> Int {
        random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let end = monotonicSeconds() + seconds
        var replies = 0
        for connection in connections { try sendBatch(connection, operation, form) { randomKey(below: keys) } }
        while true {
            let over = monotonicSeconds() >= end
            if over, connections.allSatisfy({ $0.owed == 0 }) { return replies }
            try turn(operation) { connection, count in
                replies += count
                if !over, connection.owed == 0 { try sendBatch(connection, operation, form) { randomKey(below: keys) } }
            }
        }
    }

    // MARK: Parts

    private func randomKey(below keys: Int) -> Int? {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int(random % UInt64(keys))
    }

    /// Takes what has come, and tells of connections with replies, all of them to `operation`.
    private func turn(_ operation: LoadOperation, _ answered: (Connection, Int) throws -> Void) throws {
        ready.removeAll(keepingCapacity: true)
        poller.wait(events, timeoutMilliseconds: 10_000) { ready.append(Int($0.token)) }
        if ready.isEmpty { throw BenchError("the server does not answer") }
        for index in ready {
            let connection = connections[index]
            switch connection.socket.receive(into: &connection.input, minimum: 65_536) {
            case .bytes: break
            case .wouldBlock: continue
            case .closed: throw BenchError("the server closed a connection")
            }
            let count = try takeReplies(&connection.input, operation)
            connection.owed -= count
            if count > 0 { try answered(connection, count) }
        }
    }

    private func greet(_ connection: Connection) throws {
        output.removeAll()
        guard writer.greet(into: &output) else { return }
        try send(on: connection)
        let end = monotonicSeconds() + 10
        while try !takeGreeting(&connection.input) {
            if case .closed = connection.socket.receive(into: &connection.input, minimum: 4_096) {
                throw BenchError("the server closed a connection")
            }
            if monotonicSeconds() > end { throw BenchError("the server does not answer") }
        }
    }

    private func takeGreeting(_ input: inout ByteBuffer) throws -> Bool {
        guard let reply = try parser.parseFirst(input.bytes, at: 0) else { return false }
        guard reply.outcome != .refused else { throw BenchError("the server refuses a greeting") }
        input.consume(reply.end)
        return true
    }

    private func sendBatch(_ connection: Connection, _ operation: LoadOperation, _ form: EntryForm, _ next: () -> Int?) throws {
        output.removeAll()
        for _ in 0..<depth {
            guard let number = next() else { break }
            key.removeAll()
            keys.append(UInt64(number), to: &key)
            let id = UInt32(truncatingIfNeeded: number)
            if operation == .set {
                form.fill(&value, number)
                writer.set(
                    key, value, valueBytes: value.count, lifetime: form.lifetime.milliseconds(dialect), id: id, into: &output)
            } else {
                writer.get(key, id: id, into: &output)
            }
            connection.owed += 1
        }
        try send(on: connection)
    }

    private func send(on connection: Connection) throws {
        while !output.isEmpty {
            if case .closed = connection.socket.send(from: &output) { throw BenchError("the server closed a connection") }
        }
    }

    /// Consumes the complete replies that have arrived.
    ///
    /// - Throws: At a refusal or a miss too, so that nobody is measured at refusing.
    private func takeReplies(_ input: inout ByteBuffer, _ operation: LoadOperation) throws -> Int {
        var position = 0
        var count = 0
        while let reply = try parser.parse(input.bytes, at: position, to: operation) {
            guard reply.outcome == (operation == .get ? .hit : .done) else { throw BenchError("a server answers with a \(reply.outcome)") }
            position = reply.end
            count += 1
        }
        input.consume(position)
        return count
    }
}
