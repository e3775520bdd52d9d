// Bytes of RESP to commands.

import LarderBytes

/// Decodes requests of RESP. Nothing is copied or allocated; no input can make it trap.
package struct RESPDecoder: Sendable {
    /// After `needMore`: how many bytes the request has in all, as far as is known.
    package private(set) var requestBytesExpected = 0

    package init() {}

    /// Decodes the request at `position`; as `BinaryDecoder.decode`.
    package mutating func decode(
        _ input: borrowing ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep {
        command = Command()
        command.failure = Failure(.unknownOperation, "unknown command")
        return .close
    }

    /// What is known of the request that begins in `input` and is not complete, for a reply that does not wait for it.
    package func begun(_ input: borrowing ByteBuffer) -> Command? { input.isEmpty ? nil : Command() }
}
