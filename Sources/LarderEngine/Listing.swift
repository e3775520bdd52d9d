// What a listing asks for, what it finds, and how far it has come in each shard.

import LarderBytes
import LarderPlatform

/// How a listing went.
package struct ListingResult: Equatable, Sendable {
    package enum Outcome: Equatable, Sendable {
        case listed
        /// The work that was allowed is done, and the page is not: go on behind the cursor, or from the same place if there is
        /// none.
        case unfinished
        /// There is no memory to put the keys in order.
        case outOfMemory
        /// The namespace is not ready, or was dropped.
        case namespaceGone
    }

    package var outcome: Outcome
    /// How many items there were.
    package var count: Int
    /// Where the next page begins: the last key or common prefix of this one. nil when nothing follows.
    package var cursor: [UInt8]?
    /// How many entries were looked at.
    package var work: Int
    /// The last write that decided what is in the page or missing from it, or a later one that removed something.
    package var lsn = LSN.zero

    package init(outcome: Outcome, count: Int = 0, cursor: [UInt8]? = nil, work: Int = 0) {
        self.outcome = outcome
        self.count = count
        self.cursor = cursor
        self.work = work
    }
}

/// A key of a listing, or what several keys have in common.
package struct ListedItem: ~Escapable {
    package let key: RawSpan
    /// True for a common prefix of several keys; then there is no entry.
    package let isPrefix: Bool
    package let lsn: LSN
    package let deadline: Deadline
    /// How long the value is, whether or not it is here.
    package let valueBytes: Int
    /// The value; empty unless it was asked for.
    package let value: RawSpan
    package let metadata: RawSpan

    /// The content type, or nothing.
    package var contentType: RawSpan {
        @_lifetime(copy self)
        get {
            if let item = Metadata.item(Metadata.contentType, in: metadata) { return item }
            return metadata.extracting(0..<0)
        }
    }

    @_lifetime(copy bytes)
    fileprivate init(_ header: ListingItem, _ bytes: RawSpan) {
        let metadataStart = ListingItem.headerBytes + header.keyBytes
        let valueStart = metadataStart + header.metadataBytes
        key = bytes.extracting(ListingItem.headerBytes..<metadataStart)
        metadata = bytes.extracting(metadataStart..<valueStart)
        value = bytes.extracting(valueStart..<header.byteCount)
        isPrefix = header.isPrefix
        lsn = header.lsn
        deadline = header.deadline
        valueBytes = header.valueBytes
    }
}

/// A listing's question.
struct Listing: ~Escapable {
    let namespace: Namespace
    let prefix: RawSpan
    let delimiter: UInt8?
    let withValues: Bool
    let now: Milliseconds

    /// How many keys are looked at while a shard is locked, dead ones included.
    static let examinedMax = 128

    @_lifetime(copy prefix)
    init(_ namespace: Namespace, prefix: RawSpan, delimiter: UInt8?, withValues: Bool, now: Milliseconds) {
        self.namespace = namespace
        self.prefix = prefix
        self.delimiter = delimiter
        self.withValues = withValues
        self.now = now
    }

    /// The part of `key` up to and including the first delimiter after the prefix, if there is one.
    @_lifetime(copy key)
    func commonPrefix(of key: RawSpan) -> RawSpan? {
        guard let delimiter, let end = key.firstPosition(of: delimiter, from: prefix.byteCount) else { return nil }
        return key.extracting(0..<(end + 1))
    }

    /// The first key that comes after all that begin with `prefix`; nil when there can be none.
    static func successor(of prefix: RawSpan) -> [UInt8]? {
        var bytes = Array(prefix)
        while let last = bytes.popLast() {
            if last < .max { return bytes + [last + 1] }
        }
        return nil
    }

    /// Where to begin for a page after `cursor`; nil when nothing can follow.
    func begin(after cursor: RawSpan) -> ListingRun? {
        guard cursor.byteCount > 0, cursor.compare(to: prefix) >= 0 else { return ListingRun(bound: Array(prefix), isInclusive: true) }
        // A cursor with a delimiter is a common prefix, of which the last page told all.
        if cursor.hasPrefix(prefix), let common = commonPrefix(of: cursor) {
            guard let next = Self.successor(of: common) else { return nil }
            return ListingRun(bound: next, isInclusive: true)
        }
        return ListingRun(bound: Array(cursor), isInclusive: false)
    }
}

/// What a listing has fetched from one shard and not used yet.
struct ListingRun {
    /// Where the shard goes on.
    var bound: [UInt8]
    var isInclusive: Bool
    /// Whether the shard has nothing more to give.
    var isEnded = false
    /// Where in the scratch the next item stands.
    var position = 0
    var items = 0
    /// How many are fetched next time: more each time, since who needs a second helping is likely to need a third.
    var itemsMax = 0
    /// The last write that what was fetched shows, or a later one that removed something.
    var lsn = LSN.zero

    init(bound: [UInt8], isInclusive: Bool) {
        self.bound = bound
        self.isInclusive = isInclusive
    }
}

/// An item as it waits in the scratch: a header, then key, metadata and value.
///
///      0  key bytes       u32
///      4  metadata bytes  u32
///      8  bytes of the value that are here  u32
///     12  bytes of the value                u32
///     16  LSN             u64
///     24  deadline        i64
///     32  1 for a common prefix  u64
struct ListingItem {
    static let headerBytes = 40
    var keyBytes: Int
    var metadataBytes: Int
    var valueBytesHere: Int
    var valueBytes: Int
    var lsn: LSN
    var deadline: Deadline
    var isPrefix: Bool

    var byteCount: Int { Self.headerBytes + keyBytes + metadataBytes + valueBytesHere }

    init(_ bytes: RawSpan) {
        keyBytes = Int(bytes.littleEndian(at: 0, as: UInt32.self))
        metadataBytes = Int(bytes.littleEndian(at: 4, as: UInt32.self))
        valueBytesHere = Int(bytes.littleEndian(at: 8, as: UInt32.self))
        valueBytes = Int(bytes.littleEndian(at: 12, as: UInt32.self))
        lsn = LSN(rawValue: bytes.littleEndian(at: 16, as: UInt64.self))
        deadline = Deadline(rawValue: bytes.littleEndian(at: 24, as: Int64.self))
        isPrefix = bytes.littleEndian(at: 32, as: UInt64.self) != 0
    }

    /// The item that stands at the start of `bytes`.
    @_lifetime(copy bytes)
    static func view(_ bytes: RawSpan) -> ListedItem { ListedItem(ListingItem(bytes), bytes) }

    @_lifetime(copy bytes)
    static func key(_ bytes: RawSpan) -> RawSpan {
        bytes.extracting(headerBytes..<(headerBytes + Int(bytes.littleEndian(at: 0, as: UInt32.self))))
    }

    static func append(_ entry: Entry, withValue: Bool, to scratch: inout ByteBuffer) {
        appendHeader(
            keyBytes: entry.keyBytes, metadataBytes: withValue ? entry.metadataBytes : 0,
            valueBytesHere: withValue ? entry.valueBytes : 0, valueBytes: entry.valueBytes, entry.lsn, entry.deadline,
            isPrefix: false, to: &scratch)
        scratch.append(entry.key)
        guard withValue else { return }
        scratch.append(entry.metadata)
        scratch.append(entry.value)
    }

    static func append(commonPrefix: RawSpan, to scratch: inout ByteBuffer) {
        appendHeader(
            keyBytes: commonPrefix.byteCount, metadataBytes: 0, valueBytesHere: 0, valueBytes: 0, .zero, .never, isPrefix: true,
            to: &scratch)
        scratch.append(commonPrefix)
    }

    private static func appendHeader(
        keyBytes: Int, metadataBytes: Int, valueBytesHere: Int, valueBytes: Int, _ lsn: LSN, _ deadline: Deadline,
        isPrefix: Bool, to scratch: inout ByteBuffer
    ) {
        scratch.append(littleEndian: UInt32(keyBytes))
        scratch.append(littleEndian: UInt32(metadataBytes))
        scratch.append(littleEndian: UInt32(valueBytesHere))
        scratch.append(littleEndian: UInt32(valueBytes))
        scratch.append(littleEndian: lsn.rawValue)
        scratch.append(littleEndian: deadline.rawValue)
        scratch.append(littleEndian: isPrefix ? 1 : 0 as UInt64)
    }
}
