// From bytes to commands: the HTTP/1.1 dialect (RFC 9110, RFC 9112).

import LarderBytes

/// Reads requests.
package struct HTTPDecoder: Sendable {
    package init(limits: HTTPLimits = HTTPLimits()) {}

    package mutating func decode(
        _ input: inout ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep { .needMore }

    /// The body may come.
    package mutating func proceed() {}

    /// The request was answered without its body. To be called before the reply is encoded: sets `.close` in the
    /// command's flags when the connection cannot go on after the reply.
    package mutating func refuse(_ command: inout Command) {}
}
