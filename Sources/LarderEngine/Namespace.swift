// A handle to a namespace: a pointer to what is known of it, in memory that is never given back.
//
// Immortal memory makes the handle plain bits: copying it counts nothing, and a connection may hold one for as long as it
// likes, past the drop of the namespace, which it then sees in `state`. The price is about 400 bytes and the name for each
// namespace that was ever made while the process lives.
//
// Sound because a descriptor is initialised before its address is known to anyone else, is never deinitialised, and
// everything in it that changes is atomic.

import LarderBytes
import LarderPlatform
import Synchronization

/// What is known of a namespace. Counts of keys and bytes are the shards'.
@safe @usableFromInline
struct NamespaceDescriptor: ~Copyable {
    @usableFromInline let number: UInt32
    /// Which of the shards' per-namespace records is this namespace's. Given again once a dropped namespace is swept.
    @usableFromInline let slot: UInt16
    let id: NamespaceID
    let name: UnsafeRawBufferPointer
    let created: Atomic<Int64>
    @usableFromInline let settings: Atomic<UInt32>
    let state: Atomic<UInt8>
    /// Whether the slot was given back: nobody finds the namespace any more.
    let isGone = Atomic<Bool>(false)
    @usableFromInline let flushLSN: Atomic<UInt64>
    let updatedLSN: Atomic<UInt64>
    /// What is held of it, and how much may be.
    let budget: NamespaceBudget

    init(number: UInt32, slot: UInt16, name: RawSpan, record: NamespaceRecord, updatedLSN lsn: LSN) {
        self.number = number
        self.slot = slot
        id = record.id
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(name.byteCount, 1), alignment: 1)
        unsafe name.withUnsafeBytes { unsafe copy.copyMemory(from: $0) }
        unsafe self.name = UnsafeRawBufferPointer(rebasing: copy[..<name.byteCount])
        created = Atomic(record.created)
        settings = Atomic(record.settings.word)
        budget = NamespaceBudget(bytesMax: record.settings.bytesMax)
        state = Atomic(record.state.rawValue)
        flushLSN = Atomic(record.flushLSN.rawValue)
        updatedLSN = Atomic(lsn.rawValue)
    }
}

/// A namespace: a named store of keys with settings of its own.
///
/// Two words' worth of nothing to manage: free to copy, to keep and to send. Equal when it is the same namespace.
@safe @frozen @usableFromInline
package struct Namespace: Equatable {
    @usableFromInline let descriptor: UnsafePointer<NamespaceDescriptor>

    init(_ descriptor: consuming NamespaceDescriptor) {
        let memory = UnsafeMutablePointer<NamespaceDescriptor>.allocate(capacity: 1)
        unsafe memory.initialize(to: descriptor)
        unsafe self.descriptor = UnsafePointer(memory)
    }

    /// The handle that `bits` came from.
    init(bits: UInt) {
        unsafe descriptor = UnsafePointer(bitPattern: bits)!
    }

    var bits: UInt { unsafe UInt(bitPattern: descriptor) }

    @inlinable package static func == (left: Namespace, right: Namespace) -> Bool {
        unsafe left.descriptor == right.descriptor
    }

    /// Names the namespace in log records. Never given twice.
    package var number: UInt32 { unsafe descriptor.pointee.number }
    package var slot: UInt16 { unsafe descriptor.pointee.slot }
    package var id: NamespaceID { unsafe descriptor.pointee.id }
    /// When it was made.
    package var created: Milliseconds { unsafe descriptor.pointee.created.load(ordering: .relaxed) }
    /// When its record last changed.
    package var updated: Milliseconds { max(updatedLSN.milliseconds, created) }

    /// 1 to 255 bytes of `a-z 0-9 -`.
    package var name: RawSpan {
        @_lifetime(immortal)
        get {
            // The name is as immortal as the descriptor.
            unsafe _overrideLifetime(RawSpan(_unsafeBytes: descriptor.pointee.name), copying: ())
        }
    }

    package var settings: NamespaceSettings {
        NamespaceSettings(word: settingsWord, bytesMax: budget.bytesMax)
    }

    // Of the word alone: the limit lies elsewhere, and requests have no use for it. Only ever the word of valid settings.
    /// Whether what is read of it, or written to it, has to be on the medium before anybody is told: `always`.
    package var isDurable: Bool { UInt8(truncatingIfNeeded: settingsWord) == Durability.always.rawValue }
    package var durability: Durability { Durability(rawValue: UInt8(truncatingIfNeeded: settingsWord))! }
    package var keyRule: KeyRule { KeyRule(rawValue: UInt8(truncatingIfNeeded: settingsWord >> 8))! }
    package var eviction: Eviction { Eviction(rawValue: UInt8(truncatingIfNeeded: settingsWord >> 16))! }

    /// `NamespaceSettings.word`.
    var settingsWord: UInt32 { unsafe descriptor.pointee.settings.load(ordering: .relaxed) }

    var budget: NamespaceBudget { unsafe descriptor.pointee.budget }

    package var state: NamespaceState {
        // Only ever the raw value of a state.
        NamespaceState(rawValue: unsafe descriptor.pointee.state.load(ordering: .acquiring))!
    }

    /// Entries whose LSN is not above this are gone. Only rises.
    package var flushLSN: LSN { LSN(rawValue: unsafe descriptor.pointee.flushLSN.load(ordering: .acquiring)) }

    var updatedLSN: LSN { LSN(rawValue: unsafe descriptor.pointee.updatedLSN.load(ordering: .relaxed)) }
    /// Whether it was dropped and swept, so that its slot may be another's.
    package var isGone: Bool { unsafe descriptor.pointee.isGone.load(ordering: .acquiring) }

    func record(numbersGiven: UInt32) -> NamespaceRecord {
        NamespaceRecord(
            id: id, state: state, settings: settings, created: created, flushLSN: flushLSN, numbersGiven: numbersGiven)
    }

    // MARK: Changes. The first two only under the lock of the log buffer, where appends compare; the rest under the table's.

    package func raiseFlushLSN(to lsn: LSN) {
        if lsn > flushLSN { unsafe descriptor.pointee.flushLSN.store(lsn.rawValue, ordering: .releasing) }
    }

    package func set(_ state: NamespaceState) { unsafe descriptor.pointee.state.store(state.rawValue, ordering: .releasing) }

    func set(_ settings: NamespaceSettings) {
        unsafe descriptor.pointee.settings.store(settings.word, ordering: .relaxed)
        budget.set(bytesMax: settings.bytesMax)
    }

    func set(created: Milliseconds) { unsafe descriptor.pointee.created.store(created, ordering: .relaxed) }

    func set(updatedLSN lsn: LSN) { unsafe descriptor.pointee.updatedLSN.store(lsn.rawValue, ordering: .relaxed) }

    func markGone() { unsafe descriptor.pointee.isGone.store(true, ordering: .releasing) }
}

// Safe to send: see the head of the file.
extension Namespace: @unchecked Sendable {}
