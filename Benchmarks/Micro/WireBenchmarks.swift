// Requests: decoded alone, and through a worker from one end of a socket pair to the other.

import Glibc
import LarderBytes
import LarderEngine
import LarderLoad
import LarderPlatform
import LarderServer
import LarderWire
import Synchronization

/// So many reads or writes in one piece.
private func requests(_ dialect: LoadDialect, _ count: Int, put: Bool = false) -> ByteBuffer {
    let writer = RequestWriter(Manner(dialect: dialect, host: "localhost"))
    var buffer = ByteBuffer()
    var key = ByteBuffer()
    var value = ByteBuffer()
    value.append(zeros: 100)
    for number in 0..<count {
        key.removeAll()
        key.append(utf8: "key/\(number)")
        if put {
            writer.set(key, value, valueBytes: value.count, lifetime: 0, id: 1, into: &buffer)
        } else {
            writer.get(key, id: 1, into: &buffer)
        }
    }
    return buffer
}

/// Nothing here is durable, so nothing waits.
private final class NoLog: ReplyLog {
    let position = LogPosition(written: .zero, interval: .zero, durable: .zero)
    let isWorking = true
    var refusal: LogRefusal { LogRefusal(isDiskFull: false, text: "There is no log.") }
    func endTurn(wantsSync: Bool) {}
    func requestSnapshot() -> UInt64 { 0 }
    func news() -> [String] { [] }
    func report(_ figure: (StaticString, StaticString, Bool, Int64) -> Void) {}
}

/// A worker, and a client at the other end of a socket.
private final class Loopback {
    private let worker: Worker
    private let client: Socket
    private var input = ByteBuffer()

    init(_ dialect: LoadDialect) throws {
        let log = LogBuffer()
        let store = Store(
            configuration: StoreConfiguration(), log: log,
            namespaces: NamespaceTable(settings: NamespaceSettings(durability: .off, keyRule: .path)))
        let context = ServerContext(
            configuration: ServerConfiguration(), store: store, time: ServerTime(clock: SystemClock()), log: NoLog())
        context.phase = .ready
        worker = try Worker(server: context)
        context.register(worker.metrics)
        var ends: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError.last("socketpair") }
        client = Socket(adopting: ends[0])
        context.connections.add(1, ordering: .relaxed)
        worker.adopt(Socket(adopting: ends[1]))
        var first = ByteBuffer()
        _ = RequestWriter(Manner(dialect: dialect, host: "localhost")).greet(into: &first)
        first.append(requests(dialect, 32, put: true))
        _ = round(first)
        _ = worker.step(waitMilliseconds: 0)
        _ = round(first)
    }

    /// Sends, lets the worker take a turn, takes what comes back.
    func round(_ requests: borrowing ByteBuffer) -> UInt64 {
        _ = client.send(requests.bytes)
        _ = worker.step(waitMilliseconds: 0)
        input.removeAll()
        _ = client.receive(into: &input, minimum: 65_536)
        return UInt64(input.count)
    }
}

/// Decodes so many requests in one piece, and says how many bytes their keys have.
private func decode(_ dialect: LoadDialect, _ requests: inout ByteBuffer, _ count: Int) -> Int {
    var command = Command()
    var position = 0
    var sum = 0
    switch dialect {
    case .binary:
        var decoder = BinaryDecoder(frameBytesMax: 1 << 20)
        for _ in 0..<count {
            _ = decoder.decode(requests, at: &position, into: &command)
            sum &+= command.key.count
        }
    case .http:
        var decoder = HTTPDecoder()
        for _ in 0..<count {
            _ = decoder.decode(&requests, at: &position, into: &command)
            sum &+= command.key.count
        }
    case .resp:
        var decoder = RESPDecoder()
        for _ in 0..<count {
            _ = decoder.decode(requests, at: &position, into: &command)
            sum &+= command.key.count
        }
    case .memcached:
        var decoder = MemcachedDecoder(valueBytesMax: 1 << 20)
        for _ in 0..<count {
            _ = decoder.decode(&requests, at: &position, into: &command)
            sum &+= command.key.count
        }
    }
    return sum
}

let wireBenchmarks: [Benchmark] =
    LoadDialect.allCases.flatMap { dialect in
        [false, true].map { put in
            let what = put ? "SET of 100 bytes" : "GET"
            return Benchmark(question: "codec: decode a \(what), \(dialect), so many in one piece", sizes: [1, 32]) { size in
                var requests = requests(dialect, size, put: put)
                return {
                    var sum = 0
                    for _ in 0..<(8_192 / size) { sum &+= decode(dialect, &requests, size) }
                    return (8_192 / size * size, UInt64(sum))
                }
            }
        }
    }
    + LoadDialect.allCases.flatMap { dialect in
        [false, true].map { put in
            let what = "\(put ? "SET" : "GET") of 100 bytes, \(dialect)"
            return Benchmark(question: "loopback: \(what), so many in flight, both ends", sizes: [1, 32]) { size in
                let loopback = try Loopback(dialect)
                let requests = requests(dialect, size, put: put)
                return {
                    var sum: UInt64 = 0
                    for _ in 0..<(8_192 / size) { sum &+= loopback.round(requests) }
                    return (8_192 / size * size, sum)
                }
            }
        }
    }
