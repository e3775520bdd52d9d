// Outcomes to bytes of memcached.

import LarderBytes

/// Writes replies of memcached.
package enum MemcachedReply {
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func entryEnd(to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {}
    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {}
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {}
    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, into output: inout ByteBuffer
    ) {}
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {}
}
