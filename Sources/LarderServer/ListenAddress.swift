// Where clients connect, and which dialects they may speak there.

import LarderPlatform
import LarderWire

/// An address to listen on.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    package var address: SocketAddress
    /// The one dialect that is spoken there; nil: the first byte of a connection tells.
    package var dialect: Dialect?

    package init(_ address: SocketAddress, dialect: Dialect? = nil) {
        self.address = address
        self.dialect = dialect
    }

    /// Parses `HOST:PORT` or `DIALECT://HOST:PORT`.
    package init?(_ text: String) {
        guard let mark = text.firstRange(of: "://") else {
            guard let address = SocketAddress(text) else { return nil }
            self.init(address)
            return
        }
        guard let dialect = Self.pinnable.first(where: { $0.name == text[..<mark.lowerBound] }),
            let address = SocketAddress(String(text[mark.upperBound...]))
        else { return nil }
        self.init(address, dialect: dialect.dialect)
    }

    package var description: String {
        guard let name = Self.pinnable.first(where: { $0.dialect == dialect })?.name else { return "\(address)" }
        return "\(name)://\(address)"
    }

    private static let pinnable: [(name: String, dialect: Dialect)] = [
        ("binary", .binary), ("http", .http), ("resp", .resp), ("memcached", .memcached),
    ]
}
