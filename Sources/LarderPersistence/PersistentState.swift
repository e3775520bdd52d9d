// What persistence asks of that which it makes persistent: to be walked, and to take records back.
//
// The engine's store is one; a test may use a dictionary, which then proves the log without the engine.

import LarderBytes
import LarderEngine
import LarderPlatform

/// State that can be rebuilt from records.
package protocol RestorableState: AnyObject, Sendable {
    /// Applies a record of the log or an entry of a snapshot. Never compares deadlines with a clock: an expired record may
    /// have to hide an older one that is not. Several threads may call at once, with entries of a snapshot in any order, and with
    /// records of the log in order among those of one number.
    func apply(_ record: borrowing LogRecord)

    /// The same for an entry of a snapshot, with what the snapshot says of its use.
    func apply(_ record: borrowing LogRecord, access: UInt8)

    /// A number that all records about a key share, evenly spread over 64 bits; the order of records with different numbers
    /// does not matter. nil: the record has to be applied between those before it and those behind it.
    func number(of record: borrowing LogRecord) -> UInt64?

    /// A record with this number will be applied soon; `isNear`: very soon.
    func prefetch(_ number: UInt64, isNear: Bool)

    /// Lets go of entries that were over by `time`: no record of the log that is still to be applied needs them. Nothing is
    /// applied meanwhile.
    func release(expiredAt time: Milliseconds)

    /// Whether letting go is urgent.
    var isShortOfMemory: Bool { get }

    /// So many entries are about to come; 0: that is over.
    func expect(entries: Int)

    /// So many bytes of memory are about to be filled. Takes as long as it takes to get them; may be called while entries are
    /// applied.
    func populate(bytes: Int)

    /// How many records could not be applied because they exceed what the state can hold. Unless it is zero after recovery,
    /// the start is refused: something would be missing.
    var recordsNotApplied: Int { get }

    /// How many records found no memory. The start is refused as soon as there is one.
    var recordsWithoutMemory: Int { get }

    /// How much memory there is.
    var memoryBytesMax: Int { get }

    /// What so many different entries take at least, if their keys, values and metadata have `bodyBytes` together.
    func memoryBytesMin(entries: Int, bodyBytes: Int) -> Int
}

extension RestorableState {
    package func apply(_ record: borrowing LogRecord, access: UInt8) { apply(record) }
    package func number(of record: borrowing LogRecord) -> UInt64? { nil }
    package func prefetch(_ number: UInt64, isNear: Bool) {}
    package func expect(entries: Int) {}
    package func populate(bytes: Int) {}
    package func release(expiredAt time: Milliseconds) {}
    package var isShortOfMemory: Bool { false }
    package var recordsNotApplied: Int { 0 }
    package var recordsWithoutMemory: Int { 0 }
    package var memoryBytesMax: Int { .max }
    package func memoryBytesMin(entries: Int, bodyBytes: Int) -> Int { 0 }
}

/// State that can also be written to a snapshot.
package protocol PersistentState: RestorableState {
    /// Appends the namespaces as snapshot entries.
    ///
    /// - Returns: How many.
    func appendNamespaces(to buffer: inout ByteBuffer) -> Int

    /// A walk that meets every entry that exists throughout at least once, in a state it had since this call.
    func beginWalk() -> any StateWalk
}

/// A walk over all entries, in bounded steps.
package protocol StateWalk: AnyObject {
    /// Appends some of the next entries as snapshot entries, about `bytesMax` bytes at most.
    ///
    /// - Returns: How many, which may be none; nil at the end.
    func next(entriesMax: Int, bytesMax: Int, into buffer: inout ByteBuffer) -> Int?
}
