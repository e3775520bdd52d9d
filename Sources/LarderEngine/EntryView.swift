// What a reader sees of an entry, where it lies: while the shard is locked, or without believing it (Store+OptimisticReads.swift).

import LarderBytes

/// An entry that a read has found. Its spans end with the call that it is given to.
@frozen @usableFromInline
package struct EntryView: ~Escapable {
    @usableFromInline package let value: RawSpan
    /// Items of tag, length and bytes; see `Metadata`.
    @usableFromInline package let metadata: RawSpan
    @usableFromInline package let lsn: LSN
    @usableFromInline package let deadline: Deadline

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
        @inlinable get { metadata.byteCount == 0 ? metadata : contentTypeItem }
    }

    @usableFromInline var contentTypeItem: RawSpan {
        @_lifetime(copy self)
        get {
            if let item = Metadata.item(Metadata.contentType, in: metadata) { return item }
            return metadata.extracting(0..<0)
        }
    }
}
