// Connections from here to a server, without waiting: names to addresses, and the start of a connection.
//
// Audited for `unsafe`: the list of the resolver is freed after the last look at it, and a native address outlives the
// call that it is passed to.

import CLarderSystem
import Glibc

extension SocketAddress {
    /// The numeric addresses of `host`, in the system's order, each with `port`. Waits for the resolver.
    package static func resolve(host: String, port: UInt16) throws(ConnectionError) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard result == 0 else { throw .unknownHost(unsafe String(cString: gai_strerror(result))) }
        defer { unsafe freeaddrinfo(list) }

        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let candidate = unsafe next {
            var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let found = unsafe getnameinfo(
                candidate.pointee.ai_addr, candidate.pointee.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
            if found == 0 {
                let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                addresses.append(SocketAddress(host: host, port: port))
            }
            unsafe next = candidate.pointee.ai_next
        }
        return addresses
    }
}

extension Socket {
    /// Starts a connection that does not block. It stands when the poller says that the socket is writable and
    /// `pendingError` is nil.
    package static func connecting(to address: SocketAddress) throws(SystemError) -> Socket {
        let family = address.host.contains(":") ? AF_INET6 : AF_INET
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try systemCall("socket") { Glibc.socket(family, kind, 0) }
        let socket = Socket(adopting: descriptor)
        guard let result = unsafe address.withNative({ unsafe Glibc.connect(descriptor, $0, $1) }) else {
            throw SystemError(number: EINVAL, call: "connect")
        }
        if result != 0, errno != EINPROGRESS { throw SystemError.last("connect") }
        socket.configure()
        return socket
    }

    /// The error that a connection attempt ended with; reading it clears it.
    package var pendingError: SystemError? {
        var number: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
        if result != 0 { return SystemError.last("getsockopt") }
        return number == 0 ? nil : SystemError(number: number, call: "connect")
    }
}
