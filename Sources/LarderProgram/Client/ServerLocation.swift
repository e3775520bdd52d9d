// Where a client finds its server. Unlike a listening address it may be a name.

import LarderPlatform

/// A host and a port to connect to.
package struct ServerLocation: Equatable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    package static let portDefault: UInt16 = 7400
    package static let standard = ServerLocation(host: "127.0.0.1", port: portDefault)

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The location that `text` spells: `cache.internal`, `cache.internal:7400`, `[::1]:7400`.
    package init?(_ text: String) {
        var host = text[...]
        var port = Self.portDefault
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
            guard let number = SocketAddress.port(text[text.index(after: colon)...]), number > 0 else { return nil }
            port = number
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(where: { $0 == ":" || $0 == "/" }) {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return nil }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
