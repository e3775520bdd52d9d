// A worker whose turns the test takes, and peers at the other ends of its sockets. Nothing waits, and time is moved.

import Glibc
import LarderEngine
import LarderPlatform
import LarderServer
import LarderSimulation
import LarderWire
import Synchronization

final class WorkerRig {
    let rig: Rig
    let workers: [Worker]
    var worker: Worker { workers[0] }

    init(
        _ configuration: ServerConfiguration = ServerConfiguration(), waits: Bool = false, workers count: Int = 1,
        eventBytesMax: Int = 1 << 20
    ) throws {
        rig = Rig(configuration, waits: waits, eventBytesMax: eventBytesMax)
        workers = try (0..<count).map { [server = rig.server] _ in try Worker(server: server) }
    }

    /// How many connections the server counts, those it turns away not included.
    var connections: Int { rig.server.connections.load(ordering: .relaxed) }
    var turnedAway: Int { rig.server.turnedAway.load(ordering: .relaxed) }

    func connect(isTurnedAway: Bool = false, to index: Int = 0) -> Peer {
        var ends: [Int32] = [0, 0]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        precondition(socketpair(AF_UNIX, kind, 0, &ends) == 0)
        if isTurnedAway {
            rig.server.turnedAway.add(1, ordering: .relaxed)
        } else {
            rig.server.connections.add(1, ordering: .relaxed)
        }
        workers[index].adopt(Socket(adopting: ends[0]), isTurnedAway: isTurnedAway)
        _ = workers[index].step(waitMilliseconds: 0)
        return Peer(ends[1], self)
    }

    /// A connection between whose ends the kernel holds more than a worker reads in a turn.
    func connectOverLoopback() -> Peer {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let (listener, client) = (socket(AF_INET, stream, 0), socket(AF_INET, stream, 0))
        defer { close(listener) }
        withUnsafeMutableBytes(of: &address) { bytes in
            let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress!
            precondition(bind(listener, address, length) == 0 && listen(listener, 1) == 0)
            precondition(getsockname(listener, address, &length) == 0)
            precondition(Glibc.connect(client, address, length) == 0)
        }
        let accepted = accept(listener, nil, nil)
        precondition(fcntl(client, F_SETFL, O_NONBLOCK) == 0 && fcntl(accepted, F_SETFL, O_NONBLOCK) == 0)
        rig.server.connections.add(1, ordering: .relaxed)
        worker.adopt(Socket(adopting: accepted))
        turn()
        return Peer(client, self)
    }

    /// Has every worker take a turn.
    ///
    /// - Returns: false when all have stopped.
    @discardableResult
    func turn() -> Bool { workers.reduce(false) { $1.step(waitMilliseconds: 0) || $0 } }

    /// Lets time pass and takes a turn.
    func pass(milliseconds: Milliseconds) {
        rig.clock.advance(milliseconds: milliseconds)
        turn()
    }

    func pass(seconds: Int) { for _ in 0..<seconds { pass(milliseconds: 1_000) } }
}

/// The client's end of a connection.
final class Peer {
    private let descriptor: Int32
    private let rig: WorkerRig
    /// The server has said that it will send nothing more.
    private(set) var sawEnd = false

    init(_ descriptor: Int32, _ rig: WorkerRig) {
        self.descriptor = descriptor
        self.rig = rig
    }

    deinit { close(descriptor) }

    /// Sends as much as the kernel takes.
    ///
    /// - Returns: How many bytes that was; -1 when the server has closed.
    @discardableResult
    func send(_ bytes: some Collection<UInt8>) -> Int {
        Array(bytes).withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    @discardableResult
    func send(_ text: String) -> Int { send(Array(text.utf8)) }

    /// Takes what has come back.
    func receive(upTo count: Int = .max) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < count {
            let received = recv(descriptor, &buffer, min(buffer.count, count - bytes.count), 0)
            if received == 0 { sawEnd = true }
            guard received > 0 else { break }
            bytes += buffer[..<received]
        }
        return bytes
    }

    /// Sends, lets the worker take a turn, and takes what comes back.
    func ask(_ bytes: [UInt8]) -> [UInt8] {
        send(bytes)
        rig.turn()
        return receive()
    }

    func ask(_ text: String) -> [UInt8] { ask(Array(text.utf8)) }
}

extension WorkerRig {
    /// Workers of a server with keys of any bytes, whose databases 0 and 1 are `default` and `carts`.
    static func withTwoDatabases() throws -> WorkerRig {
        var configuration = ServerConfiguration()
        configuration.keyRule = .bytes
        configuration.databases = ["carts"]
        let bench = try WorkerRig(configuration)
        bench.rig.createNamespace("carts", .always, .bytes)
        return bench
    }
}
