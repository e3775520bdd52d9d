// Placeholder: every function of the HTTP dialect's replies.

import LarderBytes

package enum HTTPReply {
    /// The interim answer to `Expect: 100-continue`.
    package static func `continue`(into output: inout ByteBuffer) { output.append("HTTP/1.1 100 Continue\r\n\r\n") }
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func done(_ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func lifetime(_ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func integer(_ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func namespace(_ namespace: NamespaceReply, status: Status, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func namespaces(_ page: [NamespaceReply], total: Int, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func text(_ text: borrowing ByteBuffer, status: Status, contentType: StaticString, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func beginList(to command: borrowing Command, into output: inout ByteBuffer) -> ListMark { ListMark(start: output.count, bodyStart: output.count) }
    package static func listItem(_ item: borrowing ListItem, mark: inout ListMark, to command: borrowing Command, into output: inout ByteBuffer) {}
    package static func endList(cursor: [UInt8]?, mark: ListMark, to command: borrowing Command, into output: inout ByteBuffer) {}
}
