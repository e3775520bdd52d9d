// The load: many connections in a closed loop (each sends a batch, waits for all replies, sends the next), or requests at
// a fixed rate whatever the replies do.
//
// Makes load and says what came back; who is measured, and how, it does not know.

import Glibc
import LarderBytes
import LarderPlatform

final class Load {
    enum Operation: Sendable { case get, set }

    private final class Connection {
        let socket: Socket
        var input = ByteBuffer()
        var owed = 0
        /// When each request that is owed a reply was to be sent, for loads at a fixed rate.
        var due: [Int64] = []
        var dueFirst = 0
        init(_ descriptor: Int32) { socket = Socket(adopting: descriptor) }
    }

    private let dialect: Dialect
    private let depth: Int
    private let poller: Poller
    private let events = Poller.EventList()
    private var connections: [Connection] = []
    private var ready: [Int] = []
    private var output = ByteBuffer()
    private var value = ByteBuffer()
    private var random: UInt64 = 0
    private var nextKey = 0

    /// - Parameter depth: Requests in flight on each connection of a closed loop.
    convenience init(_ server: Server, connections count: Int, depth: Int) throws {
        try self.init(port: server.port, server.contender.dialect, connections: count, depth: depth)
    }

    init(port: UInt16, _ dialect: Dialect, connections count: Int, depth: Int) throws {
        self.dialect = dialect
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

    // MARK: Closed loops

    /// Stores entries under the keys of a range.
    func fill(_ keys: Range<Int>, _ form: EntryForm) throws {
        nextKey = keys.lowerBound
        func send(_ connection: Connection) throws(BenchError) {
            try sendBatch(connection, .set, form) {
                guard nextKey < keys.upperBound else { return nil }
                defer { nextKey += 1 }
                return nextKey
            }
        }
        for connection in connections { try send(connection) }
        while connections.contains(where: { $0.owed > 0 }) {
            try turn(timeoutMilliseconds: 10_000) { (connection, _) throws(BenchError) in
                if connection.owed == 0 { try send(connection) }
            }
        }
    }

    /// Runs for `seconds` with keys at random, and returns how many replies came.
    func run(_ operation: Operation, seconds: Double, keys: Int, form: EntryForm = EntryForm(), seed: UInt64) throws -> Int {
        random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let end = monotonicSeconds() + seconds
        var replies = 0
        for connection in connections { try sendBatch(connection, operation, form) { randomKey(below: keys) } }
        while true {
            let over = monotonicSeconds() >= end
            if over, connections.allSatisfy({ $0.owed == 0 }) { return replies }
            try turn(timeoutMilliseconds: 10_000) { (connection, count) throws(BenchError) in
                replies += count
                if !over, connection.owed == 0 { try sendBatch(connection, operation, form) { randomKey(below: keys) } }
            }
        }
    }

    // MARK: A fixed rate

    /// Sends `rate` requests a second for as long as `goesOn` says so, and returns how long each took in nanoseconds, counted
    /// from when it was to be sent.
    ///
    /// - Parameter spins: Whether to watch the clock without sleep, which is exact and needs a processor to itself; else a
    ///   request may go out a millisecond late.
    func runOpen(
        _ operation: Operation = .get, rate: Double, keys: Int, form: EntryForm = EntryForm(), seed: UInt64, spins: Bool = true,
        while goesOn: (_ seconds: Double) -> Bool
    ) throws -> [Int64] {
        random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let start = monotonicNanoseconds()
        let step = 1e9 / rate
        var sent = 0
        var latencies: [Int64] = []
        var isOver = false
        while true {
            let now = monotonicNanoseconds()
            if !isOver, !goesOn(Double(now - start) / 1e9) { isOver = true }
            if isOver, connections.allSatisfy({ $0.owed == 0 }) { return latencies }
            while !isOver {
                let due = start + Int64(Double(sent) * step)
                guard due <= now else { break }
                let connection = connections[sent % connections.count]
                sent += 1
                output.removeAll()
                append(operation, randomKey(below: keys) ?? 0, form)
                connection.owed += 1
                connection.due.append(due)
                try send(on: connection)
            }
            if isOver, now - start > 120_000_000_000 { throw BenchError("replies at a fixed rate do not come") }
            try turn(timeoutMilliseconds: spins ? 0 : 1, expecting: false) { (connection, count) throws(BenchError) in
                let now = monotonicNanoseconds()
                for index in 0..<count { latencies.append(now - connection.due[connection.dueFirst + index]) }
                connection.dueFirst += count
                if connection.dueFirst == connection.due.count {
                    connection.due.removeAll(keepingCapacity: true)
                    connection.dueFirst = 0
                }
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

    private func turn(
        timeoutMilliseconds: Int32, expecting: Bool = true, _ answered: (Connection, Int) throws(BenchError) -> Void
    ) throws(BenchError) {
        ready.removeAll(keepingCapacity: true)
        poller.wait(events, timeoutMilliseconds: timeoutMilliseconds) { ready.append(Int($0.token)) }
        if ready.isEmpty, expecting { throw BenchError("the server does not answer") }
        for index in ready {
            let connection = connections[index]
            switch connection.socket.receive(into: &connection.input, minimum: 65_536) {
            case .bytes: break
            case .wouldBlock: continue
            case .closed: throw BenchError("the server closed a connection")
            }
            let count = try takeReplies(&connection.input)
            connection.owed -= count
            if count > 0 { try answered(connection, count) }
        }
    }

    private func greet(_ connection: Connection) throws {
        output.removeAll()
        guard dialect.appendHello(to: &output) else { return }
        try send(on: connection)
        let end = monotonicSeconds() + 10
        while try takeReplies(&connection.input) == 0 {
            if case .closed = connection.socket.receive(into: &connection.input, minimum: 4_096) {
                throw BenchError("the server closed a connection")
            }
            if monotonicSeconds() > end { throw BenchError("the server does not answer") }
        }
    }

    private func sendBatch(
        _ connection: Connection, _ operation: Operation, _ form: EntryForm, _ key: () -> Int?
    ) throws(BenchError) {
        output.removeAll()
        for _ in 0..<depth {
            guard let number = key() else { break }
            append(operation, number, form)
            connection.owed += 1
        }
        try send(on: connection)
    }

    private func append(_ operation: Operation, _ number: Int, _ form: EntryForm) {
        switch operation {
        case .get: dialect.appendGet(number, to: &output)
        case .set:
            Dialect.fill(&value, number, form)
            dialect.appendSet(number, value, form.lifetime, to: &output)
        }
    }

    private func send(on connection: Connection) throws(BenchError) {
        while !output.isEmpty {
            if case .closed = connection.socket.send(from: &output) { throw BenchError("the server closed a connection") }
        }
    }

    /// Consumes the complete replies that have arrived.
    private func takeReplies(_ input: inout ByteBuffer) throws(BenchError) -> Int {
        var position = 0
        var count = 0
        while let length = try dialect.replyLength(input.bytes, position), position + length <= input.count {
            position += length
            count += 1
        }
        input.consume(position)
        return count
    }
}
