// The store as persistence sees it: something to walk, and to put records back into.

import LarderBytes
import LarderEngine
import LarderPlatform

/// The engine's store behind the door of persistence.
package final class StoredState: PersistentState {
    private let store: Store

    package init(_ store: Store) { self.store = store }

    package func apply(_ record: borrowing LogRecord) { store.apply(record) }
    package func apply(_ record: borrowing LogRecord, access: UInt8) { store.apply(record, access: access) }

    package func number(of record: borrowing LogRecord) -> UInt64? { store.restoreHash(of: record)?.value }

    package func prefetch(_ number: UInt64, isNear: Bool) {
        if isNear { store.prefetchEntry(KeyHash(value: number)) } else { store.prefetch(KeyHash(value: number)) }
    }

    package func expect(entries: Int) { store.reserve(entries: entries) }

    package func populate(bytes: Int) { store.populate(bytes: bytes) }

    package var isShortOfMemory: Bool { store.isShortOfMemory }

    package func release(expiredAt time: Milliseconds) { store.releaseExpired(at: time) }

    package var recordsNotApplied: Int { store.recordsNotApplied }
    package var recordsWithoutMemory: Int { store.recordsWithoutMemory }
    package var memoryBytesMax: Int { store.memoryBytesMax }

    package func memoryBytesMin(entries: Int, bodyBytes: Int) -> Int {
        Store.memoryBytesMin(entries: entries, bodyBytes: bodyBytes)
    }

    package func appendNamespaces(to buffer: inout ByteBuffer) -> Int { store.appendNamespaces(to: &buffer) }

    package func beginWalk() -> any StateWalk { StoredWalk(store) }
}

/// One walk over the store.
private final class StoredWalk: StateWalk {
    private let store: Store
    private var cursor = WalkCursor()

    init(_ store: Store) { self.store = store }

    func next(entriesMax: Int, bytesMax: Int, into buffer: inout ByteBuffer) -> Int? {
        if cursor.isAtEnd { return nil }
        return store.walk(&cursor, entriesMax: entriesMax, bytesMax: bytesMax, into: &buffer)
    }
}
