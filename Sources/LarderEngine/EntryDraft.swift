// Large values on their way into the store: copied and summed piece by piece with nothing locked, then shown at once.
//
// 16 MiB take milliseconds to copy. So the memory is had first, under the lock of the shard, and is nobody else's until the
// entry is put into place; and the log gets a copy of its own, which changes hands. What is left to do under the locks is
// what a small write does.

import LarderBytes

/// A value that the log's writer takes out of a record's place and not out of the staging buffer. Whoever made it does not touch
/// it any more once the log has it.
final class DetachedValue: @unchecked Sendable {
    private var bytes: ByteBuffer
    var count: Int { bytes.count }

    init(capacity: Int) { bytes = ByteBuffer(capacity: capacity) }

    func append(_ more: RawSpan) { bytes.append(more) }

    func copy(to buffer: inout ByteBuffer) { buffer.append(bytes) }
}

/// An entry in the making. Nobody sees it, and its memory goes back when nobody refers to the draft any more.
///
/// Used by one thread at a time.
package final class EntryDraft: @unchecked Sendable {
    private let store: Store
    private let namespace: UInt32
    private let hash: KeyHash
    private var prepared: Prepared?
    let entry: Entry
    let isEvicting: Bool
    let hasDeadline: Bool
    /// What the log will have in place of the value; nil when it will have nothing.
    let logged: DetachedValue?
    /// Of key, metadata and what there is of the value.
    private(set) var checksum = Checksum()
    /// How many bytes of the value there are.
    package private(set) var filled = 0
    private let valueBytes: Int

    fileprivate init(
        _ store: Store, _ namespace: Namespace, _ hash: KeyHash, _ prepared: Prepared, _ entry: Entry, _ shape: EntryShape,
        isLogged: Bool
    ) {
        self.store = store
        self.namespace = namespace.number
        self.hash = hash
        self.prepared = prepared
        self.entry = entry
        isEvicting = shape.hasLinks
        hasDeadline = shape.hasDeadline
        valueBytes = shape.valueBytes
        logged = isLogged ? DetachedValue(capacity: valueBytes) : nil
        guard isLogged else { return }
        checksum.update(entry.key)
        checksum.update(entry.metadata)
    }

    deinit { if let prepared { store.hold(store.shardIndex(hash)) { $0.discard(prepared) } } }

    /// Whether it was begun for this namespace, not for another that had its name, and for this key.
    package func isOf(_ namespace: Namespace, _ hash: KeyHash) -> Bool { namespace.number == self.namespace && hash == self.hash }

    /// Whether all of the value is there.
    package var isWhole: Bool { filled == valueBytes }

    /// Appends to the value.
    ///
    /// - Complexity: O(`bytes`), nothing locked.
    package func fill(_ bytes: RawSpan) {
        precondition(prepared != nil, "it was put into place")
        precondition(filled + bytes.byteCount <= valueBytes, "more than there is room for")
        entry.extendValue(bytes)
        filled += bytes.byteCount
        guard let logged else { return }
        checksum.update(bytes)
        logged.append(bytes)
    }

    /// Its memory, until it is put into place.
    var memory: Prepared {
        guard let prepared, isWhole else { preconditionFailure("it is not whole, or was put into place") }
        return prepared
    }

    /// The memory is the store's.
    func release() { prepared = nil }
}

extension Store {
    /// Longer values are copied in slices of so many bytes: on their way in, to those who read them, and into snapshots.
    @inlinable package static var sliceBytes: Int { 262_144 }

    /// Begins an entry with a large value, for `put(_:)`.
    ///
    /// - Parameter metadata: As in `put`.
    /// - Returns: nil where `put` has to do it in one go: there is no memory without evicting, or the deadline of the entry that is
    ///   there is kept, for which there may be room or not.
    package func draft(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, valueBytes: Int, metadata: RawSpan, lifetime: LifetimeChange
    ) -> EntryDraft? {
        guard lifetime != .keep, valueBytes <= valueBytesMax, valueBytes > Self.sliceBytes else { return nil }
        let shape = EntryShape(
            keyBytes: key.byteCount, valueBytes: valueBytes, metadataBytes: metadata.byteCount,
            hasDeadline: lifetime != .unlimited, hasLinks: namespace.eviction != .none)
        let found = hold(shardIndex(hash)) { shard in
            shard.slab.allocate(shape.byteCount).map { (reference: $0, entry: shard.slab.entry($0)) }
        }
        guard let found else { return nil }
        let memory = Prepared(reference: found.reference, byteCount: shape.byteCount, isInPlace: false, hasLinks: shape.hasLinks)
        // Without an LSN it is no entry.
        found.entry.write(
            lsn: .zero, namespaceSlot: namespace.slot, deadline: .never, hasDeadline: shape.hasDeadline,
            hasLinks: shape.hasLinks, metadata: metadata, key: key, value: RawSpan())
        return EntryDraft(self, namespace, hash, memory, found.entry, shape, isLogged: namespace.durability != .off)
    }
}

extension Shard {
    /// Puts a draft into place, as `store` does with a value.
    ///
    /// - Returns: nil when a flush came between, and nothing was changed.
    mutating func store(
        _ found: Found?, _ draft: EntryDraft, _ deadline: Deadline, _ context: WriteContext
    ) -> WriteResult? {
        let memory = draft.memory
        let entry = draft.entry
        guard isAllowed(entry.shape, replacing: found, context) else { return unchanged(.namespaceFull, found, context) }
        guard makePlace(hasDeadline: draft.hasDeadline, replacing: found) else { return unchanged(.outOfMemory, found, context) }
        let record = LogRecord(
            .set, namespace: context.namespace.number, deadline: deadline, key: entry.key, metadata: entry.metadata,
            value: entry.value)
        let answer = context.append(record, draft.checksum, detached: draft.logged)
        guard answer.outcome == .appended else { return Self.outcome(answer.outcome).map { unchanged($0, found, context) } }
        entry.deadline = deadline
        place(memory, replacing: found, context.position, lsn: answer.lsn)
        draft.release()
        return WriteResult(
            found == nil ? .created : .updated, lsn: answer.lsn, version: answer.lsn.rawValue, deadline: deadline)
    }
}
