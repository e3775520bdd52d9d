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

    /// Requests on their way, and the memory that they are made in.
    private struct Batch: ~Copyable {
        let dialect: LoadDialect
        let writer: RequestWriter
        let keys = EntryForm.keys
        var output = ByteBuffer()
        private var key = ByteBuffer()
        private var value = ByteBuffer()
        /// Keys to come, in order; nil: at random.
        var range: Range<Int>?
        var keyCount = 1
        var random: UInt64 = 1

        init(_ manner: Manner) {
            dialect = manner.dialect
            writer = RequestWriter(manner)
        }

        /// What a connection says first; false when it says nothing.
        mutating func greet() -> Bool {
            output.removeAll()
            return writer.greet(into: &output)
        }

        /// Writes at most `depth` requests, and says how many.
        mutating func write(_ operation: LoadOperation, _ form: EntryForm, depth: Int) -> Int {
            output.removeAll()
            for count in 0..<depth {
                guard let number = next() else { return count }
                key.removeAll()
                keys.append(UInt64(number), to: &key)
                let id = UInt32(truncatingIfNeeded: number)
                if operation == .set {
                    form.fill(&value, number)
                    let lifetime = form.lifetime.milliseconds(dialect)
                    writer.set(key, value, valueBytes: value.count, lifetime: lifetime, id: id, into: &output)
                } else {
                    writer.get(key, id: id, into: &output)
                }
            }
            return depth
        }

        private mutating func next() -> Int? {
            guard let rest = range else {
                random ^= random << 13
                random ^= random >> 7
                random ^= random << 17
                return Int(random % UInt64(keyCount))
            }
            guard let first = rest.first else { return nil }
            range = first + 1..<rest.upperBound
            return first
        }
    }

    private var batch: Batch
    private let parser: ReplyParser
    private let depth: Int
    private let poller: Poller
    private let events = Poller.EventList()
    private var connections: [Connection] = []
    private var ready: [Int] = []

    /// - Parameter depth: Requests in flight on each connection.
    convenience init(_ server: Server, connections count: Int, depth: Int) throws {
        try self.init(port: server.port, server.contender.manner, connections: count, depth: depth)
    }

    init(port: UInt16, _ manner: Manner, connections count: Int, depth: Int) throws {
        batch = Batch(manner)
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
        batch.range = range
        for connection in connections { try sendBatch(connection, .set, form) }
        while connections.contains(where: { $0.owed > 0 }) {
            try turn(.set) { connection, _ in
                if connection.owed == 0 { try sendBatch(connection, .set, form) }
            }
        }
    }

    /// Has `count` keys stored that fall due at one moment: a whole second, late enough to have stored them all.
    ///
    /// - Parameters:
    ///   - estimate: How many seconds it takes. It may take twice as long, and when it takes longer, because the machine has become
    ///     slower, all is stored again with more time.
    ///   - store: Stores them; called with the moment, Unix milliseconds.
    /// - Returns: The moment, which is yet to come.
    func fillBefore(_ estimate: Double, _ count: Int, _ store: (_ moment: Int64) throws -> Void) throws -> Int64 {
        for patience in [2.0, 4, 8] {
            let end = wallMilliseconds() + Int64(estimate * patience * 1_000)
            let moment = (end / 1_000 + (count > 100_000 ? 2 : 1)) * 1_000
            try store(moment)
            if wallMilliseconds() < moment { return moment }
        }
        throw BenchError("\(count) keys could not be stored before they fell due: the machine is too busy")
    }

    /// Runs for `seconds` with keys at random, and returns how many replies came.
    func run(_ operation: LoadOperation, seconds: Double, keys: Int, form: EntryForm = EntryForm(), seed: UInt64) throws -> Int {
        batch.range = nil
        batch.keyCount = keys
        batch.random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let end = monotonicSeconds() + seconds
        var replies = 0
        for connection in connections { try sendBatch(connection, operation, form) }
        while true {
            let over = monotonicSeconds() >= end
            if over, connections.allSatisfy({ $0.owed == 0 }) { return replies }
            try turn(operation) { connection, count in
                replies += count
                if !over, connection.owed == 0 { try sendBatch(connection, operation, form) }
            }
        }
    }

    // MARK: Parts

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
        guard batch.greet() else { return }
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

    private func sendBatch(_ connection: Connection, _ operation: LoadOperation, _ form: EntryForm) throws {
        connection.owed += batch.write(operation, form, depth: depth)
        try send(on: connection)
    }

    private func send(on connection: Connection) throws {
        while !batch.output.isEmpty {
            if case .closed = connection.socket.send(from: &batch.output) { throw BenchError("the server closed a connection") }
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
