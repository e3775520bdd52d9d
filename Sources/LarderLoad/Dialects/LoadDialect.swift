// The languages that a load can speak.

/// What the server under load speaks.
package enum LoadDialect: String, Sendable, CaseIterable {
    /// Larder's binary protocol.
    case binary
    /// HTTP/1.1: GET, PUT and DELETE of a path.
    case http
    /// The protocol of Redis and Valkey, version 2.
    case resp
    /// The classic text protocol of memcached.
    case memcached

    /// How far from the wish a server may end a lifetime, in milliseconds: its own clock, and how finely it counts.
    /// memcached moves its clock once a second.
    package var lifetimeSlack: Int64 { self == .memcached ? 2_100 : 10 }

    /// Whether keys can be sent as they are. In a path, what has a meaning or is no part of one would have to be escaped.
    package func carries(_ keys: KeyFormat) -> Bool { self != .http || keys.prefix.allSatisfy(Self.isPathByte) }

    private static let pathSigns = Set("/-._~!$&'()*+,;=:@".utf8)

    private static func isPathByte(_ byte: UInt8) -> Bool { KeyFormat.isLegal(byte) || pathSigns.contains(byte) }

    /// Whether lifetimes are whole seconds on the wire.
    package var lifetimeInSeconds: Bool { self == .http || self == .memcached }
}

/// How to speak to one server.
package struct Manner: Sendable {
    package var dialect: LoadDialect
    /// The value of HTTP's Host field.
    package var host: String
    /// The API key (binary, http), or the password (resp, memcached).
    package var credentials: [UInt8]?
    /// The namespace that keys are in (binary, http); with credentials the user of memcached.
    package var namespace: String
    /// What stands before the key in an HTTP path; nil: `/kv/NAMESPACE/`.
    package var path: String?

    package init(dialect: LoadDialect, host: String, credentials: [UInt8]? = nil, namespace: String = "default", path: String? = nil) {
        self.dialect = dialect
        self.host = host
        self.credentials = credentials
        self.namespace = namespace
        self.path = path
    }
}
