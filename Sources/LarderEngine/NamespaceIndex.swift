// The hash index behind `NamespaceTable`: words that are handles, or zero.
//
// Sound because the words are atomics in memory that is never given back, and every word but zero is a live handle.

import LarderBytes
import Synchronization

/// An open-addressed table of namespace handles with linear probing. Free to copy; immortal, like what it points to.
@safe
struct NamespaceIndex {
    /// The capacity, then so many handles.
    private let words: UnsafeMutablePointer<Atomic<UInt>>

    init(capacity: Int) {
        precondition(capacity & (capacity - 1) == 0)
        unsafe words = .allocate(capacity: capacity + 1)
        unsafe words.initialize(to: Atomic(UInt(capacity)))
        for position in 1...capacity { unsafe (words + position).initialize(to: Atomic(0)) }
    }

    init(bits: UInt) { unsafe words = UnsafeMutablePointer(bitPattern: bits)! }

    var bits: UInt { unsafe UInt(bitPattern: words) }
    var capacity: Int { Int(unsafe words.pointee.load(ordering: .relaxed)) }

    func find(_ hash: UInt64, where matches: (Namespace) -> Bool) -> Namespace? {
        let capacity = capacity
        var position = Int(truncatingIfNeeded: hash) & (capacity - 1)
        for _ in 0..<capacity {
            let word = unsafe words[1 + position].load(ordering: .acquiring)
            if word == 0 { return nil }
            let namespace = Namespace(bits: word)
            if matches(namespace) { return namespace }
            position = (position + 1) & (capacity - 1)
        }
        return nil
    }

    func insert(_ namespace: Namespace) {
        insert(namespace, Self.hash(namespace.number))
        insert(namespace, Self.hash(namespace.id))
        insert(namespace, Self.hash(namespace.name))
    }

    func removeAll() {
        for position in 1...capacity { unsafe words[position].store(0, ordering: .relaxed) }
    }

    private func insert(_ namespace: Namespace, _ hash: UInt64) {
        var position = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while unsafe words[1 + position].load(ordering: .relaxed) != 0 { position = (position + 1) & (capacity - 1) }
        unsafe words[1 + position].store(namespace.bits, ordering: .releasing)
    }

    // Nobody but an administrator chooses names, and there are few: no secrets.

    static func hash(_ number: UInt32) -> UInt64 { mix(UInt64(number)) }
    static func hash(_ id: NamespaceID) -> UInt64 { mix(id.high ^ mix(id.low)) }
    static func hash(_ name: RawSpan) -> UInt64 { mix(UInt64(Checksum.of(name)) | 1 << 63) }

    private static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = (value ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return high ^ low
    }
}
