// One entry, as it lies in the slab: a header, then what it may have, then key and value.
//
//     0  LSN, never zero                          u64
//     8  value bytes : 25, flags : 7              u32
//    12  key bytes                                u16
//    14  slot of the namespace                    u16
//    16  [deadline : 47, wheel position : 16, armed : 1]   u64, with flag hasDeadline
//        [newer u32, older u32]                            with flag hasLinks: its neighbours in a queue of eviction
//        [metadata bytes u16, metadata]                    with flag hasMetadata
//        key, value
//
// Unsafe, and sound because an `Entry` is only made of a reference that the slab gave and has not taken back, by somebody
// who holds the shard's lock for as long as the `Entry` and its spans are used; nothing of it leaves the shard.

import CLarderIntrinsics
import LarderBytes
import LarderPlatform

/// What decides how many bytes an entry takes.
struct EntryShape {
    var keyBytes: Int
    var valueBytes: Int
    var metadataBytes: Int
    var hasDeadline: Bool
    var hasLinks: Bool

    @inline(__always)
    init(keyBytes: Int, valueBytes: Int, metadataBytes: Int, hasDeadline: Bool, hasLinks: Bool = false) {
        self.keyBytes = keyBytes
        self.valueBytes = valueBytes
        self.metadataBytes = metadataBytes
        self.hasDeadline = hasDeadline
        self.hasLinks = hasLinks
    }

    @inline(__always) var byteCount: Int {
        let metadata = metadataBytes == 0 ? 0 : 2 &+ metadataBytes
        let optional = (hasDeadline ? 8 : 0) &+ (hasLinks ? 8 : 0) &+ metadata
        return Entry.headerBytes &+ optional &+ keyBytes &+ valueBytes
    }
}

/// A view of an entry where it lies.
@safe struct Entry {
    static let headerBytes = 16
    /// The header has room for twice as much; 16 MiB inclusive is what is promised.
    static let valueBytesMax = 1 << 24
    static let keyBytesMax = 1_024

    private let base: UnsafeMutableRawPointer

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    /// Bits of byte 11. Bit 0 of it is the highest of the value's length.
    private enum Flag {
        static let hasDeadline: UInt8 = 2
        static let hasMetadata: UInt8 = 4
        static let frequencyShift: UInt8 = 3
        static let frequencyMask: UInt8 = 0b11000
        static let hasLinks: UInt8 = 32
        static let isInMain: UInt8 = 64
    }

    private static let valueBytesMask: UInt64 = 1 << 25 - 1

    // MARK: Reading

    @inline(__always) var lsn: LSN {
        get { LSN(rawValue: unsafe base.load(as: UInt64.self)) }
        nonmutating set { unsafe base.storeBytes(of: newValue.rawValue, as: UInt64.self) }
    }

    /// Everything that is not the LSN, in one load.
    @inline(__always) private var header: UInt64 { unsafe base.load(fromByteOffset: 8, as: UInt64.self) }
    @inline(__always) private var flags: UInt8 {
        get { unsafe base.load(fromByteOffset: 11, as: UInt8.self) }
        nonmutating set { unsafe base.storeBytes(of: newValue, toByteOffset: 11, as: UInt8.self) }
    }

    @inline(__always) var valueBytes: Int { Int(truncatingIfNeeded: header & Self.valueBytesMask) }
    @inline(__always) var keyBytes: Int { Int(truncatingIfNeeded: (header >> 32) & 0xFFFF) }
    @inline(__always) var namespaceSlot: UInt16 { UInt16(truncatingIfNeeded: header >> 48) }
    /// Whether there is room for a deadline; the deadline itself may still be never.
    @inline(__always) var hasDeadline: Bool { flags & Flag.hasDeadline != 0 }
    @inline(__always) private var hasMetadata: Bool { flags & Flag.hasMetadata != 0 }

    @inline(__always) var metadataBytes: Int {
        hasMetadata ? Int(unsafe base.loadUnaligned(fromByteOffset: metadataOffset, as: UInt16.self)) : 0
    }

    // Without a branch: each flag, moved, is the eight bytes that it stands for.
    @inline(__always) private var linksOffset: Int { 16 &+ Int(flags & Flag.hasDeadline) &* 4 }
    @inline(__always) private var metadataOffset: Int { linksOffset &+ Int(flags & Flag.hasLinks) &>> 2 }

    @inline(__always) private var keyOffset: Int {
        hasMetadata ? metadataOffset &+ 2 &+ metadataBytes : metadataOffset
    }

    @inline(__always) var shape: EntryShape {
        EntryShape(
            keyBytes: keyBytes, valueBytes: valueBytes, metadataBytes: metadataBytes, hasDeadline: hasDeadline,
            hasLinks: hasLinks)
    }

    /// How many bytes it takes, before rounding to a slot.
    @inline(__always) var byteCount: Int { keyOffset &+ keyBytes &+ valueBytes }

    @inline(__always) var key: RawSpan {
        @_lifetime(borrow self) get { span(keyOffset, keyBytes) }
    }

    @inline(__always) var value: RawSpan {
        @_lifetime(borrow self) get { span(keyOffset &+ keyBytes, valueBytes) }
    }

    @inline(__always) var metadata: RawSpan {
        @_lifetime(borrow self) get { hasMetadata ? span(metadataOffset &+ 2, metadataBytes) : span(0, 0) }
    }

    @inline(__always) @_lifetime(borrow self)
    private func span(_ offset: Int, _ count: Int) -> RawSpan {
        let span = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(base + offset), byteCount: count)
        return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Whether it is the entry of this key: one compare of the header's second half, one of the bytes.
    @inline(__always) func matches(_ key: RawSpan, namespaceSlot: UInt16) -> Bool {
        let wanted = UInt64(UInt16(truncatingIfNeeded: key.byteCount)) | UInt64(namespaceSlot) << 16
        return header >> 32 == wanted && self.key.hasSameBytes(as: key)
    }

    // MARK: Reading what somebody else may be changing

    /// What was seen of an entry by somebody who holds no lock.
    struct Sighting {
        let lsn: LSN
        let deadline: Deadline
        /// From the entry's first byte, and in bytes.
        let value: (start: Int, count: Int)
    }

    /// So many bytes from its start are looked at, at most, before anybody knows whether it is an entry at all.
    static let bytesSighted = 2_048

    /// The entry at `base` if it is that of this key, and there is nothing about it that needs more than a look: no metadata, and no
    /// use to be noted. What it says holds if it turns out that nothing has been changed meanwhile.
    ///
    /// Every word is loaded once, and nothing of it is followed.
    @inline(__always)
    static func sight(_ base: UnsafeRawPointer, _ key: RawSpan, namespaceSlot: UInt16) -> Sighting? {
        let header = unsafe larder_load64_racing(base + 8)
        let wanted = UInt64(UInt16(truncatingIfNeeded: key.byteCount)) | UInt64(namespaceSlot) << 16
        guard header >> 32 == wanted else { return nil }
        let flags = UInt8(truncatingIfNeeded: header >> 24)
        if flags & Flag.hasMetadata != 0 { return nil }
        if flags & Flag.hasLinks != 0, flags & Flag.frequencyMask != Flag.frequencyMask { return nil }
        let hasDeadline = flags & Flag.hasDeadline != 0
        let keyOffset = headerBytes &+ Int(flags & Flag.hasDeadline) &* 4 &+ Int(flags & Flag.hasLinks) &>> 2
        let same = unsafe key.withUnsafeBytes { bytes in
            unsafe larder_equal_racing(base + keyOffset, bytes.baseAddress!, bytes.count) != 0
        }
        guard same else { return nil }
        let deadline = hasDeadline ? unsafe larder_load64_racing(base + deadlineOffset) & deadlineMask : 0
        return Sighting(
            lsn: LSN(rawValue: unsafe larder_load64_racing(base)),
            deadline: hasDeadline ? Deadline(rawValue: Int64(deadline)) : .never,
            value: (keyOffset &+ key.byteCount, Int(truncatingIfNeeded: header & valueBytesMask)))
    }

    // MARK: Deadline

    private static let deadlineOffset = 16
    private static let deadlineMask: UInt64 = 1 << 47 - 1
    private static let positionShift: UInt64 = 47
    private static let positionMask: UInt64 = 1 << 16 - 1
    private static let armedBit: UInt64 = 1 << 63

    @inline(__always) private var deadlineWord: UInt64 {
        get { unsafe base.load(fromByteOffset: Self.deadlineOffset, as: UInt64.self) }
        nonmutating set { unsafe base.storeBytes(of: newValue, toByteOffset: Self.deadlineOffset, as: UInt64.self) }
    }

    /// When it is gone. Only an entry that `hasDeadline` can be given one.
    @inline(__always) var deadline: Deadline {
        get { hasDeadline ? Deadline(rawValue: Int64(deadlineWord & Self.deadlineMask)) : .never }
        nonmutating set {
            precondition(hasDeadline && newValue.rawValue >= 0 && newValue <= .latest || newValue.isNever, "no room for it")
            if hasDeadline { deadlineWord = deadlineWord & ~Self.deadlineMask | UInt64(newValue.rawValue) }
        }
    }

    /// Where the wheel's record of it is, as `TimingWheel.Position` writes it. nil when the wheel has none.
    var wheelPosition: UInt16? {
        get {
            guard hasDeadline, deadlineWord & Self.armedBit != 0 else { return nil }
            return UInt16(truncatingIfNeeded: (deadlineWord >> Self.positionShift) & Self.positionMask)
        }
        nonmutating set {
            precondition(hasDeadline, "no room for a place in the wheel")
            let deadline = deadlineWord & Self.deadlineMask
            guard let newValue else {
                deadlineWord = deadline
                return
            }
            deadlineWord = deadline | (UInt64(newValue) & Self.positionMask) << Self.positionShift | Self.armedBit
        }
    }

    // MARK: Eviction

    /// Whether it is in a queue of eviction.
    @inline(__always) var hasLinks: Bool { flags & Flag.hasLinks != 0 }

    /// Whether that queue is the main one. Means nothing unless it `hasLinks`.
    @inline(__always) var isInMain: Bool {
        get { flags & Flag.isInMain != 0 }
        nonmutating set { flags = newValue ? flags | Flag.isInMain : flags & ~Flag.isInMain }
    }

    /// The entries beside it in its queue, or 0.
    var newer: Reference {
        get { unsafe base.load(fromByteOffset: linksOffset, as: Reference.self) }
        nonmutating set {
            precondition(hasLinks, "no room for a link")
            unsafe base.storeBytes(of: newValue, toByteOffset: linksOffset, as: Reference.self)
        }
    }

    var older: Reference {
        get { unsafe base.load(fromByteOffset: linksOffset &+ 4, as: Reference.self) }
        nonmutating set {
            precondition(hasLinks, "no room for a link")
            unsafe base.storeBytes(of: newValue, toByteOffset: linksOffset &+ 4, as: Reference.self)
        }
    }

    static let frequencyMax: UInt8 = 3

    /// How often it was used of late, 0 to 3: what eviction goes by.
    var frequency: UInt8 {
        get { (flags & Flag.frequencyMask) >> Flag.frequencyShift }
        nonmutating set { flags = flags & ~Flag.frequencyMask | min(newValue, Self.frequencyMax) << Flag.frequencyShift }
    }

    /// Notes a use. Writes nothing where nothing would come of it, so that reading does not make the line another's.
    @inline(__always) func noteUse() {
        let flags = flags
        guard flags & Flag.hasLinks != 0, flags & Flag.frequencyMask != Flag.frequencyMask else { return }
        self.flags = flags &+ (1 << Flag.frequencyShift)
    }

    // MARK: Writing

    /// Writes all of it. The memory has `shape.byteCount` bytes; the key is not within them, unless it is where it belongs.
    func write(
        lsn: LSN, namespaceSlot: UInt16, deadline: Deadline, hasDeadline: Bool, hasLinks: Bool = false,
        metadata: RawSpan, key: RawSpan, value: RawSpan
    ) {
        let flags =
            (hasDeadline ? Flag.hasDeadline : 0) | (hasLinks ? Flag.hasLinks : 0)
            | (metadata.byteCount > 0 ? Flag.hasMetadata : 0)
        writeHeader(namespaceSlot: namespaceSlot, keyBytes: key.byteCount, valueBytes: value.byteCount, flags: flags)
        var offset = Self.headerBytes
        if hasDeadline {
            unsafe base.storeBytes(of: UInt64(deadline.rawValue), toByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        if hasLinks {
            unsafe base.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        if metadata.byteCount > 0 {
            unsafe base.storeBytes(of: UInt16(metadata.byteCount), toByteOffset: offset, as: UInt16.self)
            copy(metadata, to: offset &+ 2)
            offset &+= 2 &+ metadata.byteCount
        }
        copy(key, to: offset)
        copy(value, to: offset &+ key.byteCount)
        // Last: an LSN is what makes the slot an entry.
        self.lsn = lsn
    }

    /// Writes all that another entry is, but for its record in the wheel: whoever moves an entry arms it anew.
    func copy(_ other: Entry) {
        unsafe base.copyMemory(from: other.base, byteCount: other.byteCount)
        if hasDeadline { wheelPosition = nil }
    }

    private func writeHeader(namespaceSlot: UInt16, keyBytes: Int, valueBytes: Int, flags: UInt8) {
        precondition(keyBytes <= Int(UInt16.max) && valueBytes <= Self.valueBytesMax, "does not fit the header")
        var word = UInt64(valueBytes)
        word |= UInt64(flags) << 24
        word |= UInt64(keyBytes) << 32 | UInt64(namespaceSlot) << 48
        unsafe base.storeBytes(of: word, toByteOffset: 8, as: UInt64.self)
    }

    /// Replaces the value by one after which the entry still fits its slot. Key, metadata and deadline stay.
    func replaceValue(_ value: RawSpan) {
        let offset = keyOffset &+ keyBytes
        let word = header & ~Self.valueBytesMask | UInt64(value.byteCount)
        unsafe base.storeBytes(of: word, toByteOffset: 8, as: UInt64.self)
        copy(value, to: offset)
    }

    /// Lengthens the value by bytes for which the slot has room.
    func extendValue(_ suffix: RawSpan) {
        copy(suffix, to: byteCount)
        let word = header &+ UInt64(suffix.byteCount)
        precondition(valueBytes &+ suffix.byteCount <= Self.valueBytesMax, "does not fit the header")
        unsafe base.storeBytes(of: word, toByteOffset: 8, as: UInt64.self)
    }

    @inline(__always) private func copy(_ bytes: RawSpan, to offset: Int) {
        unsafe bytes.withUnsafeBytes { source in
            guard let address = source.baseAddress, source.count > 0 else { return }
            unsafe (base + offset).copyMemory(from: address, byteCount: source.count)
        }
    }
}
