// Which namespaces there are: by number, by id, by name, without an allocation and without a lock.
//
// Knows nothing of keys, and gives no LSNs: `Store+Namespaces` logs what it changes here.
//
// One open-addressed index of handles holds every namespace three times, under the hashes of its number, its id and its
// name. Changes are made under a lock and bracketed by a version that readers compare (a sequence lock). Sound because the
// words of the index are atomics, a descriptor is immortal, and an index that was outgrown is kept: a reader that
// is still in it may miss, but then sees that the version moved.
// Source of the version protocol: H. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012.

import LarderBytes
import LarderPlatform
import Synchronization

/// All namespaces.
@safe package final class NamespaceTable: @unchecked Sendable {
    // Safe to send: `state` is touched only by a holder of `lock`, everything else is constant or atomic.

    /// How many there can be at a time, those that are being deleted included.
    package static let countMax = 4_096

    /// How long a table by slots becomes that has `capacity` places and needs one for `slot`: twice as long, and no longer than
    /// there are slots.
    static func capacity(toHold slot: UInt16, growing capacity: Int) -> Int { max(Int(slot) + 1, min(capacity * 2, countMax)) }

    /// The one that always exists.
    package let `default`: Namespace

    package let lock = Lock()
    private let version = Atomic<UInt64>(0)
    private let evicting = Atomic<Bool>(false)
    private let index: Atomic<UInt>
    private var state = Guarded()
    /// The handles by slot, or zero. They live as long as the table, and so as anyone who looks something up.
    private let slots: UnsafeMutablePointer<Atomic<UInt>>

    /// What only a holder of `lock` touches.
    private struct Guarded {
        /// In the order of their numbers, which is the order of creation.
        var all: [Namespace] = []
        var numbersGiven: UInt32 = 1
        var slotsGiven: UInt16 = 1
        var slotsFree: [UInt16] = []
        /// Dropped namespaces, and which sweep will have removed the last of their entries.
        var dropped: [(namespace: Namespace, sweep: UInt64)] = []
    }

    package init(settings: NamespaceSettings = NamespaceSettings(), created: Milliseconds = 0) {
        let record = NamespaceRecord(
            id: Self.defaultID, state: .ready, settings: settings, created: created, numbersGiven: 1)
        let name: StaticString = "default"
        `default` = unsafe Namespace(
            NamespaceDescriptor(
                number: 0, slot: 0, name: RawSpan(_unsafeStart: name.utf8Start, byteCount: name.utf8CodeUnitCount),
                record: record, updatedLSN: .zero))
        unsafe slots = .allocate(capacity: Self.countMax)
        for slot in 0..<Self.countMax { unsafe (slots + slot).initialize(to: Atomic(0)) }
        unsafe slots[0].store(`default`.bits, ordering: .relaxed)
        index = Atomic(NamespaceIndex(capacity: 64).bits)
        state.all.append(`default`)
        note(settings)
        NamespaceIndex(bits: index.load(ordering: .relaxed)).insert(`default`)
    }

    deinit { unsafe slots.deallocate() }

    /// The id of the namespace `default`: the same on every server, "larder" in ASCII with the marks of a version-4 UUID.
    package static let defaultID = NamespaceID(high: 0x6C61_7264_6572_4000, low: 0x8000_0000_0000_0000)

    // MARK: Finding

    package func find(number: UInt32) -> Namespace? {
        if number == 0 { return `default` }
        return find(hash: NamespaceIndex.hash(number)) { $0.number == number }
    }

    /// Also finds a namespace that is being deleted.
    package func find(id: NamespaceID) -> Namespace? {
        find(hash: NamespaceIndex.hash(id)) { $0.id == id }
    }

    /// A dropped namespace gives up its name at once.
    package func find(name: RawSpan) -> Namespace? {
        find(hash: NamespaceIndex.hash(name)) { $0.state != .deleting && $0.name.hasSameBytes(as: name) }
    }

    /// The namespace that has this slot, dropped or not.
    func find(slot: UInt16) -> Namespace? {
        precondition(Int(slot) < Self.countMax, "no such slot")
        let bits = unsafe slots[Int(slot)].load(ordering: .acquiring)
        return bits == 0 ? nil : Namespace(bits: bits)
    }

    /// Whether this may be the name of a namespace: 1 to 255 bytes of `a-z 0-9 -`.
    package static func isLegalName(_ name: RawSpan) -> Bool {
        guard name.byteCount > 0 && name.byteCount <= 255 else { return false }
        for position in 0..<name.byteCount {
            let byte = name.byte(at: position)
            let isLetter = byte &- UInt8(ascii: "a") < 26
            guard isLetter || byte &- UInt8(ascii: "0") < 10 || byte == UInt8(ascii: "-") else { return false }
        }
        return true
    }

    /// All of them, oldest first, those that are being deleted included.
    package func all() -> [Namespace] {
        lock.lock()
        defer { lock.unlock() }
        return state.all
    }

    package var count: Int {
        lock.lock()
        defer { lock.unlock() }
        return state.all.count
    }

    private func find(hash: UInt64, where matches: (Namespace) -> Bool) -> Namespace? {
        for _ in 0..<Self.triesMax {
            let before = version.load(ordering: .acquiring)
            if before & 1 == 0 {
                let found = NamespaceIndex(bits: index.load(ordering: .acquiring)).find(hash, where: matches)
                // What was found is right whatever happened meanwhile: it matches, and a descriptor does not change its names.
                if found != nil { return found }
                atomicMemoryFence(ordering: .acquiring)
                if version.load(ordering: .relaxed) == before { return nil }
            }
        }
        lock.lock()
        defer { lock.unlock() }
        return NamespaceIndex(bits: index.load(ordering: .acquiring)).find(hash, where: matches)
    }

    private static let triesMax = 8

    /// Whether any namespace has ever evicted.
    var hasEvicting: Bool { evicting.load(ordering: .relaxed) }

    // MARK: Changing, with the lock held

    /// Notes what a namespace is set to.
    func note(_ settings: NamespaceSettings) {
        if settings.eviction != .none { evicting.store(true, ordering: .relaxed) }
    }

    var numbersGiven: UInt32 { state.numbersGiven }

    /// All of them, for a holder of the lock.
    var allLocked: [Namespace] { state.all }

    /// Raises how many numbers were given, as a record from an earlier life says.
    package func noteNumbersGiven(_ count: UInt32) { state.numbersGiven = max(state.numbersGiven, count) }

    /// The next number.
    ///
    /// - Returns: nil when there are as many namespaces as there can be, or every number was given.
    package func giveNumber() -> UInt32? {
        guard hasSlot, state.numbersGiven < .max else { return nil }
        defer { state.numbersGiven += 1 }
        return state.numbersGiven
    }

    /// Makes a namespace that can be found from now on.
    ///
    /// - Returns: nil when there are as many as there can be.
    package func insert(number: UInt32, name: RawSpan, record: NamespaceRecord, updatedLSN: LSN = .zero) -> Namespace? {
        guard let slot = takeSlot() else { return nil }
        note(record.settings)
        let namespace = Namespace(
            NamespaceDescriptor(number: number, slot: slot, name: name, record: record, updatedLSN: updatedLSN))
        unsafe slots[Int(slot)].store(namespace.bits, ordering: .releasing)
        let place = state.all.firstIndex { $0.number > number } ?? state.all.count
        state.all.insert(namespace, at: place)
        if number >= state.numbersGiven { state.numbersGiven = number == .max ? .max : number + 1 }
        change { NamespaceIndex(bits: index.load(ordering: .relaxed)).insert(namespace) }
        return namespace
    }

    /// Forgets a namespace that every shard has swept; its slot may be given to another.
    package func remove(_ namespace: Namespace) {
        precondition(namespace.state == .deleting && namespace != `default`, "only a dropped namespace is forgotten")
        guard let place = state.all.firstIndex(of: namespace) else { return }
        state.all.remove(at: place)
        namespace.markGone()
        change { rebuild() }
        unsafe slots[Int(namespace.slot)].store(0, ordering: .releasing)
        state.slotsFree.append(namespace.slot)
    }

    /// Notes that a namespace is to be forgotten after so many sweeps.
    func noteDropped(_ namespace: Namespace, sweep: UInt64) { state.dropped.append((namespace, sweep)) }

    /// Forgets the dropped namespaces that were swept.
    func removeDropped(swept: UInt64) {
        for dropped in state.dropped where dropped.sweep <= swept { remove(dropped.namespace) }
        state.dropped.removeAll { $0.sweep <= swept }
    }

    var hasDropped: Bool { !state.dropped.isEmpty }

    private var hasSlot: Bool { !state.slotsFree.isEmpty || Int(state.slotsGiven) < Self.countMax }

    private func takeSlot() -> UInt16? {
        if let slot = state.slotsFree.popLast() { return slot }
        guard hasSlot else { return nil }
        defer { state.slotsGiven += 1 }
        return state.slotsGiven
    }

    private func change(_ body: () -> Void) {
        let before = version.load(ordering: .relaxed)
        version.store(before + 1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        let capacity = NamespaceIndex(bits: index.load(ordering: .relaxed)).capacity
        // At most half full: three words a namespace.
        if state.all.count * 3 * 2 > capacity {
            index.store(NamespaceIndex(capacity: capacity * 2).bits, ordering: .releasing)
            rebuild()
        } else {
            body()
        }
        version.store(before + 2, ordering: .releasing)
    }

    private func rebuild() {
        let current = NamespaceIndex(bits: index.load(ordering: .relaxed))
        current.removeAll()
        for namespace in state.all { current.insert(namespace) }
    }

    package func checkInvariants() {
        for namespace in all() {
            precondition(find(number: namespace.number) == namespace, "not found by number")
            precondition(find(id: namespace.id) == namespace, "not found by id")
            precondition(namespace.state == .deleting || find(name: namespace.name) == namespace, "not found by name")
            precondition(!namespace.isGone, "a namespace that is gone is listed")
        }
        let slots = Set(all().map(\.slot))
        precondition(slots.count == all().count, "two namespaces share a slot")
    }
}
