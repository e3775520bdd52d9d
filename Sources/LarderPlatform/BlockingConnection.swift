// A TCP connection for clients that do one thing at a time: connect, send, receive, each with a limit on waiting.
//
// Names are resolved by the system. Knows nothing of what the bytes mean.

import CLarderSystem
import Glibc
import LarderBytes

/// Why a connection could not be made or went away.
package enum ConnectionError: Error, Equatable, Sendable {
    /// The resolver's own sentence.
    case unknownHost(String)
    /// Nobody at any of the host's addresses answered; the error of the last one.
    case refused(SystemError)
    /// Nothing happened for as long as the limit says.
    case timedOut
    /// The peer closed the connection.
    case closed
}

/// A connected socket whose calls wait.
package struct BlockingConnection: ~Copyable {
    private let socket: Socket

    /// Connects to the first address of `host` that answers.
    ///
    /// - Parameter timeoutMilliseconds: How long connecting to one address, a send and a receive may each wait.
    package init(host: String, port: UInt16, timeoutMilliseconds: Milliseconds) throws(ConnectionError) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard result == 0 else { throw .unknownHost(unsafe String(cString: gai_strerror(result))) }
        defer { unsafe freeaddrinfo(list) }

        var failure = SystemError(number: ECONNREFUSED, call: "connect")
        var next = unsafe list
        while let candidate = unsafe next {
            do throws(SystemError) {
                socket = unsafe try Self.connect(to: candidate.pointee, timeoutMilliseconds: timeoutMilliseconds)
                return
            } catch {
                failure = error
            }
            unsafe next = candidate.pointee.ai_next
        }
        // A blocking `connect` whose limit has passed says that it is still in progress.
        throw failure.number == EINPROGRESS ? .timedOut : .refused(failure)
    }

    private static func connect(to address: addrinfo, timeoutMilliseconds: Milliseconds) throws(SystemError) -> Socket {
        let descriptor = try systemCall("socket") {
            Glibc.socket(unsafe address.ai_family, unsafe address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        }
        let socket = Socket(adopting: descriptor)
        var limit = timeval(tv_sec: Int(timeoutMilliseconds / 1_000), tv_usec: Int(timeoutMilliseconds % 1_000) * 1_000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = try systemCall("setsockopt") {
                unsafe setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
            }
        }
        _ = try systemCall("connect") { unsafe Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) }
        socket.configure()
        return socket
    }

    /// Sends all of `bytes`.
    package func send(_ bytes: RawSpan) throws(ConnectionError) {
        var sent = 0
        while sent < bytes.byteCount {
            switch socket.send(bytes.slice(sent, bytes.byteCount - sent)) {
            case .bytes(let count): sent += count
            case .wouldBlock: throw .timedOut
            case .closed: throw .closed
            }
        }
    }

    /// Waits for bytes and appends what came, at least one.
    package func receive(into buffer: inout ByteBuffer) throws(ConnectionError) {
        switch socket.receive(into: &buffer, minimum: 16_384) {
        case .bytes: return
        case .wouldBlock: throw .timedOut
        case .closed: throw .closed
        }
    }
}

extension ConnectionError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unknownHost(let sentence): "the host is not known: \(sentence)"
        case .refused(let error): "cannot connect: \(error)"
        case .timedOut: "no answer in time"
        case .closed: "the server closed the connection"
        }
    }
}
