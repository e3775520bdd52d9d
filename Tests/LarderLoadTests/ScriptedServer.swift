import LarderBytes
import LarderPlatform
import Synchronization

@testable import LarderLoad

/// A tiny server of RESP or memcached text with one thread, and a fault if the test wants one.
final class ScriptedServer: @unchecked Sendable {
    enum Fault: Equatable {
        case none, forgetsWrites, flipsBits, refusesWrites
        /// Closes each connection after so many requests.
        case closesAfter(Int)
        /// Answers nothing for so long, once, from the second request on.
        case stallsOnce(nanoseconds: Int64)
        /// Answers so many requests of all connections, and no more.
        case fallsSilent(after: Int)
        /// Closes the second connection after ten requests, and refuses the greeting of the third.
        case restarts
    }

    private final class Peer {
        let socket: Socket
        var input = ByteBuffer()
        var requests = 0
        init(_ socket: consuming Socket) { self.socket = socket }
    }

    let port: UInt16
    private let dialect: LoadDialect
    private let fault: Fault
    private let listener: Listener
    private let poller: Poller
    private let log = Mutex<[UInt8]>([])
    // Used by the server's thread alone.
    private var peers: [Peer?] = []
    private var values: [[UInt8]: [UInt8]] = [:]
    private var stallUntil: Int64?
    private var served = 0
    private var thread: LarderPlatform.Thread?

    init(_ dialect: LoadDialect, fault: Fault = .none) throws {
        self.dialect = dialect
        self.fault = fault
        listener = try Listener(SocketAddress(host: "127.0.0.1", port: 0))
        port = listener.address.port
        poller = try Poller()
        try poller.add(listener.descriptor, .read, token: 0)
        // Holds itself until it is told to end; the tests' process is short.
        thread = try LarderPlatform.Thread(name: "scripted") { self.run() }
    }

    /// What clients have sent, greetings and probes included.
    var received: [UInt8] { log.withLock { $0 } }

    private func run() {
        let events = Poller.EventList()
        while true {
            var ready: [UInt64] = []
            poller.wait(events, timeoutMilliseconds: -1) { ready.append($0.token) }
            for token in ready {
                if token == 0 { accept() } else if let peer = peers[Int(token) - 1] { serve(peer, Int(token) - 1) }
            }
        }
    }

    private func accept() {
        while true {
            switch listener.accept() {
            case .socket(let socket):
                let peer = Peer(socket)
                peers.append(peer)
                try? poller.add(peer.socket.descriptor, .read, token: UInt64(peers.count))
            default: return
            }
        }
    }

    private func serve(_ peer: Peer, _ index: Int) {
        let before = peer.input.count
        guard case .bytes = peer.socket.receive(into: &peer.input, minimum: 65_536) else {
            poller.remove(peer.socket.descriptor)
            peers[index] = nil
            return
        }
        let more = Self.tail(peer.input, from: before)
        log.withLock { $0 += more }
        var output = ByteBuffer()
        while let request = next(&peer.input) {
            peer.requests += 1
            if isOver(peer, index) {
                poller.remove(peer.socket.descriptor)
                peers[index] = nil
                return
            }
            served += 1
            if case .fallsSilent(let count) = fault, served > count { continue }
            stall(peer.requests, request)
            answer(request, index, &output)
        }
        while !output.isEmpty { _ = peer.socket.send(from: &output) }
    }

    /// Whether the connection ends before the request that came last is answered.
    private func isOver(_ peer: Peer, _ index: Int) -> Bool {
        switch fault {
        case .closesAfter(let count): peer.requests > count
        case .restarts: index == 1 && peer.requests > 10
        default: false
        }
    }

    private static func tail(_ input: borrowing ByteBuffer, from start: Int) -> [UInt8] {
        Array(input.bytes.slice(start, input.count - start))
    }

    private func stall(_ number: Int, _ request: [[UInt8]]) {
        guard case .stallsOnce(let nanoseconds) = fault, stallUntil == nil, request[0] != Array("PING".utf8) else { return }
        let until = SystemClock().elapsed() + nanoseconds
        stallUntil = until
        // The stall itself: what is tested measures by the machine's own clock.
        while SystemClock().elapsed() < until { LarderPlatform.Thread.sleep(milliseconds: 5) }
    }

    // MARK: Requests

    /// The words of the next complete request.
    private func next(_ input: inout ByteBuffer) -> [[UInt8]]? {
        let bytes = Array(input.bytes)
        var position = 0
        func line() -> String? {
            guard let end = bytes[position...].firstIndex(of: 10) else { return nil }
            defer { position = end + 1 }
            return String(decoding: bytes[position..<end - 1], as: UTF8.self)
        }
        guard let first = line() else { return nil }
        var words: [[UInt8]] = []
        if first.hasPrefix("*"), let count = Int(first.dropFirst()) {
            for _ in 0..<count {
                guard let head = line(), let size = Int(head.dropFirst()), position + size + 2 <= bytes.count else { return nil }
                words.append(Array(bytes[position..<position + size]))
                position += size + 2
            }
        } else {
            words = first.split(separator: " ").map { Array($0.utf8) }
            if words.first == Array("set".utf8), let size = Int(String(decoding: words[4], as: UTF8.self)) {
                guard position + size + 2 <= bytes.count else { return nil }
                words.append(Array(bytes[position..<position + size]))
                position += size + 2
            }
        }
        input.consume(position)
        return words
    }

    private func answer(_ request: [[UInt8]], _ index: Int, _ output: inout ByteBuffer) {
        let isResp = dialect == .resp
        switch String(decoding: request[0], as: UTF8.self).lowercased() {
        case "ping" where isResp: output.append("+PONG\r\n")
        case "auth": output.append(fault == .restarts && index == 2 ? "-LOADING still reading\r\n" : "+OK\r\n")
        case "version" where !isResp: output.append("VERSION 0\r\n")
        case "get":
            guard let value = values[request[1]] else { return output.append(isResp ? "$-1\r\n" : "END\r\n") }
            if isResp { output.append(utf8: "$\(value.count)\r\n") } else {
                output.append(utf8: "VALUE \(String(decoding: request[1], as: UTF8.self)) 0 \(value.count)\r\n")
            }
            output.append(value.rawSpan)
            output.append(isResp ? "\r\n" : "\r\nEND\r\n")
        case "set":
            if fault == .refusesWrites { return output.append("-OOM no room\r\n") }
            var value = request[isResp ? 2 : 5]
            if fault == .flipsBits { value[value.count / 2] ^= 1 }
            if fault != .forgetsWrites { values[request[1]] = value }
            output.append(isResp ? "+OK\r\n" : "STORED\r\n")
        case "del", "delete":
            if fault == .refusesWrites { return output.append("-OOM no room\r\n") }
            let found = values.removeValue(forKey: request[1]) != nil
            if isResp { output.append(found ? ":1\r\n" : ":0\r\n") } else { output.append(found ? "DELETED\r\n" : "NOT_FOUND\r\n") }
        default: output.append("-ERR unknown command\r\n")
        }
    }
}
