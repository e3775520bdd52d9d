// A closed loop over many connections: each sends a batch of requests, waits for all replies, sends the next.

import Glibc
import LarderBytes
import LarderPlatform
import LarderWire

final class Load {
    private final class Connection {
        let socket: Socket
        var input = ByteBuffer()
        var owed = 0
        init(_ descriptor: Int32) { socket = Socket(adopting: descriptor) }
    }

    private let dialect: Contender.Dialect
    private let depth: Int
    private let poller: Poller
    private let events = Poller.EventList()
    private var connections: [Connection] = []
    private var output = ByteBuffer()
    private var value = ByteBuffer()
    private var random: UInt64 = 0
    private var nextKey = 0

    init(dialect: Contender.Dialect, port: UInt16, connections count: Int, depth: Int) {
        self.dialect = dialect
        self.depth = depth
        poller = try! Poller()
        for _ in 0..<count {
            guard let descriptor = connectSocket(port: port) else { fatalError("cannot connect to port \(port)") }
            let connection = Connection(descriptor)
            try! poller.add(descriptor, .read, token: UInt64(connections.count))
            connections.append(connection)
            if case .larder = dialect { greet(connection) }
        }
        for _ in 0..<100 { value.append(byte: UInt8(ascii: "v")) }
    }

    /// Stores keys 0 to `keys`, and returns how many replies came.
    func fill(keys: Int) -> Int {
        nextKey = 0
        var replies = 0
        for connection in connections { sendBatch(connection, .set) { self.sequentialKey(below: keys) } }
        while connections.contains(where: { $0.owed > 0 }) {
            turn(timeoutMilliseconds: 5_000) { connection, count in
                replies += count
                if connection.owed == 0 { sendBatch(connection, .set) { self.sequentialKey(below: keys) } }
            }
        }
        return replies
    }

    /// Runs for `seconds` and returns how many replies came.
    func run(_ operation: Scenario.Operation, seconds: Double, keys: Int, seed: UInt64) -> Int {
        random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let end = monotonicSeconds() + seconds
        var replies = 0
        for connection in connections { sendBatch(connection, operation) { self.randomKey(below: keys) } }
        while true {
            let over = monotonicSeconds() >= end
            if over, connections.allSatisfy({ $0.owed == 0 }) { return replies }
            turn(timeoutMilliseconds: 1_000) { connection, count in
                replies += count
                if !over, connection.owed == 0 { sendBatch(connection, operation) { self.randomKey(below: keys) } }
            }
        }
    }

    private func sequentialKey(below keys: Int) -> Int? {
        guard nextKey < keys else { return nil }
        defer { nextKey += 1 }
        return nextKey
    }

    private func randomKey(below keys: Int) -> Int? {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int(random % UInt64(keys))
    }

    private func turn(timeoutMilliseconds: Int32, _ answered: (Connection, Int) -> Void) {
        var ready: [Int] = []
        poller.wait(events, timeoutMilliseconds: timeoutMilliseconds) { ready.append(Int($0.token)) }
        if ready.isEmpty, timeoutMilliseconds > 0 { fatalError("the server does not answer") }
        for index in ready {
            let connection = connections[index]
            guard case .bytes = connection.socket.receive(into: &connection.input, minimum: 65_536) else {
                fatalError("the server closed the connection")
            }
            let count = countReplies(&connection.input)
            connection.owed -= count
            if count > 0 { answered(connection, count) }
        }
    }

    // MARK: Requests

    private func greet(_ connection: Connection) {
        output.removeAll()
        BinaryRequest.hello(id: 0, into: &output)
        _ = connection.socket.send(from: &output)
        while countReplies(&connection.input) == 0 { _ = connection.socket.receive(into: &connection.input, minimum: 4_096) }
    }

    private func sendBatch(_ connection: Connection, _ operation: Scenario.Operation, _ key: () -> Int?) {
        output.removeAll()
        for _ in 0..<depth {
            guard let number = key() else { break }
            append(operation, number)
            connection.owed += 1
        }
        while !output.isEmpty {
            _ = connection.socket.send(from: &output)
        }
    }

    private func append(_ operation: Scenario.Operation, _ number: Int) {
        Self.append(operation, number, dialect, &value, &output)
    }

    private static func append(
        _ operation: Scenario.Operation, _ number: Int, _ dialect: Contender.Dialect, _ value: inout ByteBuffer,
        _ output: inout ByteBuffer
    ) {
        var key = InlineArray<16, UInt8>(repeating: UInt8(ascii: "0"))
        var rest = number
        var position = 15
        while rest > 0 {
            key[position] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
            position -= 1
        }
        let bytes = key.span.bytes
        switch (dialect, operation) {
        case (.larder, .get): BinaryRequest.get(bytes, id: UInt32(truncatingIfNeeded: number), into: &output)
        case (.larder, .set): BinaryRequest.put(bytes, value: value.bytes, id: UInt32(truncatingIfNeeded: number), into: &output)
        case (.redis, .get):
            output.append("*2\r\n$3\r\nGET\r\n$16\r\n")
            output.append(bytes)
            output.append("\r\n")
        case (.redis, .set):
            output.append("*3\r\n$3\r\nSET\r\n$16\r\n")
            output.append(bytes)
            output.append("\r\n$100\r\n")
            output.append(value.bytes)
            output.append("\r\n")
        case (.memcached, .get):
            output.append("get ")
            output.append(bytes)
            output.append("\r\n")
        case (.memcached, .set):
            output.append("set ")
            output.append(bytes)
            output.append(" 0 0 100\r\n")
            output.append(value.bytes)
            output.append("\r\n")
        case (.http(let path, _), .get):
            output.append("GET ")
            output.append(utf8: path)
            output.append(bytes)
            output.append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        case (.http(let path, _), .set):
            output.append("PUT ")
            output.append(utf8: path)
            output.append(bytes)
            output.append(" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n")
            output.append(value.bytes)
        }
    }

    // MARK: Replies

    /// Consumes the complete replies that have arrived; a refusal or a miss ends the run, so that nobody is
    /// measured at refusing.
    private func countReplies(_ input: inout ByteBuffer) -> Int {
        var position = 0
        var count = 0
        while let length = replyLength(input.bytes, position), position + length <= input.count {
            position += length
            count += 1
        }
        input.consume(position)
        return count
    }

    private func replyLength(_ bytes: RawSpan, _ start: Int) -> Int? {
        let left = bytes.byteCount - start
        switch dialect {
        case .larder:
            guard left >= 12 else { return nil }
            guard bytes.byte(at: start + 1) <= 1 else { fatalError("Larder answered status \(bytes.byte(at: start + 1))") }
            return 12 + Int(bytes.littleEndian(at: start + 8, as: UInt32.self))
        case .redis:
            guard left >= 5, let line = bytes.firstPosition(of: 13, from: start) else { return nil }
            switch bytes.byte(at: start) {
            case UInt8(ascii: "+"): return line + 2 - start
            case UInt8(ascii: "$"):
                guard let length = Decimal.parse(bytes.slice(start + 1, line - start - 1)), length >= 0 else {
                    fatalError("Redis answered a miss")
                }
                return line + 2 - start + Int(length) + 2
            default: fatalError("Redis answered an error")
            }
        case .memcached:
            guard left >= 8, let line = bytes.firstPosition(of: 13, from: start) else { return nil }
            switch bytes.byte(at: start) {
            case UInt8(ascii: "S"): return line + 2 - start
            case UInt8(ascii: "V"): return line + 2 - start + 100 + 2 + 5
            default: fatalError("memcached answered a miss or an error")
            }
        case .http:
            guard let end = headEnd(bytes, start) else { return nil }
            guard bytes.byte(at: start + 9) == UInt8(ascii: "2") else { fatalError("an HTTP server answered an error") }
            return end - start + contentLength(bytes.slice(start, end - start))
        }
    }

    /// The position behind the blank line that ends a head.
    private func headEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
        var position = start
        while let line = bytes.firstPosition(of: 10, from: position) {
            if line + 2 < bytes.byteCount, bytes.byte(at: line + 1) == 13 { return line + 3 }
            position = line + 1
        }
        return nil
    }

    private func contentLength(_ head: RawSpan) -> Int {
        var position = 0
        while let line = head.firstPosition(of: 10, from: position), line + 16 < head.byteCount {
            position = line + 1
            // "Content-Length:" in whatever case; its 8th byte is the dash.
            guard head.byte(at: position + 7) == UInt8(ascii: "-"), head.byte(at: position) | 0x20 == UInt8(ascii: "c"),
                head.byte(at: position + 8) | 0x20 == UInt8(ascii: "l"), head.byte(at: position + 14) == UInt8(ascii: ":")
            else { continue }
            var digit = position + 15
            if head.byte(at: digit) == UInt8(ascii: " ") { digit += 1 }
            guard let end = head.firstPosition(of: 13, from: digit) else { continue }
            return Int(Decimal.parse(head.slice(digit, end - digit)) ?? 0)
        }
        return 0
    }
}
