// TCP sockets that never block: listen, accept, receive, send.
//
// Knows nothing of what the bytes mean. A full or empty socket is an answer, not an error.

import CLarderSystem
import Glibc
import LarderBytes

/// A numeric address and a port, as people write it: `127.0.0.1:7400`, `[::1]:7400`.
package struct SocketAddress: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Parses `HOST:PORT`, with the brackets that an IPv6 address needs. Names are not resolved, except `localhost`. Port 0
    /// lets the system choose.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        if host == "localhost" { host = "127.0.0.1" }
        self.init(host: host, port: port)
        guard unsafe withNative({ _, _ in true }) != nil else { return nil }
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The port that `digits` spell, 0 to 65535: digits alone, the first no zero that could be left out.
    package static func port(_ digits: some StringProtocol) -> UInt16? {
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), digits == "0" || digits.first != "0" else { return nil }
        return UInt16(digits)
    }

    /// Whether only this machine can reach it.
    package var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }

    /// The address that `fill` writes in the system's form; nil when it fails, or is none of TCP.
    fileprivate init?(filledBy fill: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe fill($0, &length) }
        }
        let family = Int32(storage.sin6_family)
        guard result == 0, family == AF_INET || family == AF_INET6 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let size = socklen_t(text.count)
        let isText = unsafe withUnsafePointer(to: &storage) { pointer -> Bool in
            if family == AF_INET6 { return unsafe inet_ntop(family, UnsafeRawPointer(pointer) + 8, &text, size) != nil }
            return unsafe inet_ntop(family, UnsafeRawPointer(pointer) + 4, &text, size) != nil
        }
        guard isText else { return nil }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        // The port stands at the same place in both address families.
        self.init(host: String(decoding: bytes, as: UTF8.self), port: UInt16(bigEndian: storage.sin6_port))
    }

    /// Calls `body` with the address in the system's form; nil when the host is no numeric address.
    func withNative<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result? {
        if host.contains(":") {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            guard unsafe inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { return nil }
            return unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// What a call on a socket that never blocks achieved.
package enum Transfer: Equatable, Sendable {
    case bytes(Int)
    /// Nothing at the moment; the poller will say when.
    case wouldBlock
    /// The peer is gone, orderly or not.
    case closed
}

/// A connected TCP socket. Owns its descriptor.
package struct Socket: ~Copyable, Sendable {
    package let descriptor: Int32

    /// Takes over `descriptor`, an open socket.
    package init(adopting descriptor: Int32) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }

    /// Gives up the descriptor without closing it.
    package consuming func release() -> Int32 {
        let kept = descriptor
        discard self
        return kept
    }

    /// Sends small replies at once instead of collecting them (TCP_NODELAY), and notices dead peers (keep-alive, 60 s).
    package func configure() {
        set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(Int32(IPPROTO_TCP), TCP_KEEPIDLE, 60)
        set(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 15)
    }

    /// Receives what is there, at most the free memory of `buffer` after at least `minimum` bytes of it were made free, and at
    /// most 1 MiB.
    package func receive(into buffer: inout ByteBuffer, minimum: Int) -> Transfer {
        var result = Transfer.closed
        unsafe buffer.append(minimum: minimum) { free in
            while true {
                let count = unsafe recv(descriptor, free.baseAddress, min(free.count, Self.receivedAtOnce), 0)
                if count > 0 {
                    result = .bytes(count)
                    return count
                }
                if count == 0 { return 0 }
                if errno == EINTR { continue }
                if errno == EAGAIN || errno == EWOULDBLOCK { result = .wouldBlock }
                return 0
            }
        }
        return result
    }

    private static var receivedAtOnce: Int { 1 << 20 }

    /// Sends as many of `bytes` as the kernel takes.
    package func send(_ bytes: RawSpan) -> Transfer {
        unsafe bytes.withUnsafeBytes { source in
            while true {
                let count = unsafe Glibc.send(descriptor, source.baseAddress, source.count, Int32(MSG_NOSIGNAL))
                if count >= 0 { return .bytes(count) }
                if errno == EINTR { continue }
                if errno == EAGAIN || errno == EWOULDBLOCK { return .wouldBlock }
                return .closed
            }
        }
    }

    /// Sends as much of `buffer` as the kernel takes, and consumes it.
    package func send(from buffer: inout ByteBuffer) -> Transfer {
        let transfer = send(buffer.bytes)
        if case .bytes(let count) = transfer { buffer.consume(count) }
        return transfer
    }

    /// Says that nothing more will be sent; what the peer still sends can be received.
    package func finishSending() { _ = Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

    /// Where the other end of an open socket is; nil for one that is no TCP socket, or is gone.
    package static func peerAddress(of descriptor: Int32) -> SocketAddress? {
        unsafe SocketAddress(filledBy: { unsafe getpeername(descriptor, $0, $1) })
    }

    /// Where this end of it is.
    package static func localAddress(of descriptor: Int32) -> SocketAddress? {
        unsafe SocketAddress(filledBy: { unsafe getsockname(descriptor, $0, $1) })
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        // A refusal costs latency, not correctness.
        _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// A socket that accepts connections.
package struct Listener: ~Copyable, Sendable {
    package let descriptor: Int32
    /// Where it listens; the port that the system chose when 0 was asked for.
    package let address: SocketAddress

    /// Binds and listens.
    ///
    /// - Throws: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`; `EINVAL` for a host that is no numeric address.
    package init(_ address: SocketAddress, backlog: Int32 = 1024) throws(SystemError) {
        let family = address.host.contains(":") ? AF_INET6 : AF_INET
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try systemCall("socket") { socket(family, kind, 0) }
        do throws(SystemError) {
            var on: Int32 = 1
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
            guard let bound = unsafe address.withNative({ unsafe Glibc.bind(descriptor, $0, $1) }) else {
                throw SystemError(number: EINVAL, call: "bind")
            }
            if bound != 0 { throw SystemError.last("bind") }
            if Glibc.listen(descriptor, backlog) != 0 { throw SystemError.last("listen") }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        self.address = address.port != 0 ? address : SocketAddress(host: address.host, port: Self.boundPort(descriptor))
    }

    deinit { Glibc.close(descriptor) }

    /// What asking for the next connection gave.
    package enum Accepted: ~Copyable {
        case socket(Socket)
        case none
        /// No descriptor is free (`EMFILE`, `ENFILE`); the connection waits in the queue.
        case outOfDescriptors
    }

    package func accept() -> Accepted {
        while true {
            let connection = larder_accept(descriptor)
            if connection >= 0 { return .socket(Socket(adopting: connection)) }
            switch errno {
            case EINTR, ECONNABORTED, EPROTO: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .outOfDescriptors
            default: return .none
            }
        }
    }

    private static func boundPort(_ descriptor: Int32) -> UInt16 {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &length) }
        }
        // The port stands at the same place in both address families.
        return result == 0 ? UInt16(bigEndian: storage.sin6_port) : 0
    }
}

/// How many files and connections a process may have open.
package enum Descriptors {
    /// Raises the process's limit to `wanted`, or as far as the system lets it.
    ///
    /// - Returns: How many of those there may be.
    package static func allow(_ wanted: Int) -> Int { larder_allow_descriptors(wanted) }
}

/// A descriptor held in reserve for the day when there is no other.
package enum SpareDescriptor {
    package static func open() -> Int32? {
        let descriptor = unsafe Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        return descriptor >= 0 ? descriptor : nil
    }

    package static func close(_ descriptor: Int32) { Glibc.close(descriptor) }
}
