// What an HTTP request says about its reply: the option bits that travel in `Command.flags`.
//
// Set by the decoder, read by the encoder and by the session; the executor need not look.

/// The meaning of `Command.flags` in the HTTP dialect.
package struct HTTPFlags: OptionSet, Sendable {
    package var rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A HEAD request: the reply is that of a GET, without its body.
    package static let head = HTTPFlags(rawValue: 1 << 0)
    /// This is the last request of its connection: the reply says `Connection: close`.
    package static let close = HTTPFlags(rawValue: 1 << 1)
    /// The client waits for `100 Continue` before it sends the body.
    package static let expectsContinue = HTTPFlags(rawValue: 1 << 2)
    /// The request is HTTP/1.0. `close` is set as well.
    package static let http10 = HTTPFlags(rawValue: 1 << 3)
    /// The request has an `Origin` field: a browser sent it on behalf of some page.
    package static let hasOrigin = HTTPFlags(rawValue: 1 << 4)
    /// The body came, or comes, in chunks, so the client may be unable to send it again: a refusal tells it not to try.
    package static let chunked = HTTPFlags(rawValue: 1 << 5)

    /// What the target names, which decides the `Allow` field of a 405. Kept in bits 8 to 10.
    package var resource: HTTPResource {
        get { HTTPResource(rawValue: UInt8(truncatingIfNeeded: (rawValue >> 8) & 7)) ?? .unknown }
        set { rawValue = (rawValue & ~0x700) | UInt16(newValue.rawValue) << 8 }
    }
}

/// A kind of thing that a target can name.
package enum HTTPResource: UInt8, Sendable {
    case unknown = 0
    /// `/v2/storage/kvs`
    case namespaces = 1
    /// `/v2/storage/kvs/{id}`
    case namespace = 2
    /// `/v2/storage/kvs/{id}/keys`, `/kv/{namespace}/`
    case keys = 3
    /// `/v2/storage/kvs/{id}/keys/{key}`, `/kv/{namespace}/{key}`
    case key = 4
    /// `/healthz`, `/readyz`, `/metrics`, `/kv`
    case page = 5
    /// `/kv/{namespace}`
    case namedNamespace = 6
}

extension Command {
    /// The option bits, read as the HTTP dialect means them.
    package var httpFlags: HTTPFlags {
        get { HTTPFlags(rawValue: flags) }
        set { flags = newValue.rawValue }
    }
}
