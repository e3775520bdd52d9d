// What a reader sees of an entry, where it lies, while the shard is locked.

import LarderBytes

/// An entry that a read has found. Its spans end with the call that it is given to.
@frozen @usableFromInline
package struct EntryView: ~Escapable {
    package let value: RawSpan
    /// Items of tag, length and bytes; see `Metadata`.
    package let metadata: RawSpan
    package let lsn: LSN
    package let deadline: Deadline

    @_lifetime(copy value, copy metadata)
    package init(value: RawSpan, metadata: RawSpan, lsn: LSN, deadline: Deadline) {
        self.value = value
        self.metadata = metadata
        self.lsn = lsn
        self.deadline = deadline
    }

    /// The content type, or nothing.
    package var contentType: RawSpan {
        @_lifetime(copy self)
        get {
            if metadata.byteCount == 0 { return metadata }
            if let item = Metadata.item(Metadata.contentType, in: metadata) { return item }
            return metadata.extracting(0..<0)
        }
    }
}
