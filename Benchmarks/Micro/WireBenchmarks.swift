// Requests: decoded alone, and through a worker from one end of a socket pair to the other.

import Glibc
import LarderBytes
import LarderEngine
import LarderPlatform
import LarderServer
import LarderWire
import Synchronization

private enum Form: CaseIterable, Sendable {
    case binary, http

    /// So many reads in one piece.
    func requests(_ count: Int, put: Bool = false) -> ByteBuffer {
        var buffer = ByteBuffer()
        let value = [UInt8](repeating: UInt8(ascii: "v"), count: 100)
        for number in 0..<count {
            let name = "key/\(number)"
            let key = Array(name.utf8)
            switch (self, put) {
            case (.binary, false): BinaryRequest.get(key.span.bytes, id: 1, into: &buffer)
            case (.binary, true): BinaryRequest.put(key.span.bytes, value: value.span.bytes, id: 1, into: &buffer)
            case (.http, false): buffer.append(utf8: "GET /kv/default/\(name) HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
            case (.http, true):
                buffer.append(utf8: "PUT /kv/default/\(name) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
                buffer.append(value.span.bytes)
            }
        }
        return buffer
    }
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

    init(_ form: Form) throws {
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
        if form == .binary { BinaryRequest.hello(id: 0, into: &first) }
        first.append(form.requests(32, put: true).bytes)
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

let wireBenchmarks: [Benchmark] =
    Form.allCases.map { form in
        Benchmark(question: "codec: decode a GET, \(form), so many in one piece", sizes: [1, 32]) { size in
            var requests = form.requests(size)
            return {
                var sum = 0
                for _ in 0..<(8_192 / size) {
                    var position = 0
                    var command = Command()
                    switch form {
                    case .binary:
                        var decoder = BinaryDecoder(frameBytesMax: 1 << 20)
                        for _ in 0..<size {
                            _ = decoder.decode(requests, at: &position, into: &command)
                            sum &+= command.key.count
                        }
                    case .http:
                        var decoder = HTTPDecoder()
                        for _ in 0..<size {
                            _ = decoder.decode(&requests, at: &position, into: &command)
                            sum &+= command.key.count
                        }
                    }
                }
                return (8_192 / size * size, UInt64(sum))
            }
        }
    }
    + Form.allCases.flatMap { form in
        [false, true].map { put in
            Benchmark(question: "loopback: \(put ? "PUT" : "GET") of 100 bytes, \(form), so many in flight, both ends", sizes: [1, 32]) { size in
                let loopback = try Loopback(form)
                let requests = form.requests(size, put: put)
                return {
                    var sum: UInt64 = 0
                    for _ in 0..<(8_192 / size) { sum &+= loopback.round(requests) }
                    return (8_192 / size * size, sum)
                }
            }
        }
    }
