import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

/// Entries that are written piece by piece before anybody sees them.
@Suite("Drafts") struct EntryDraftTests {
    private let harness = StoreHarness()
    private static let count = Store.sliceBytes + 4_321
    private static let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    private func draft(
        _ key: String, _ value: [UInt8] = value, lifetime: LifetimeChange = .unlimited, upTo end: Int = .max
    ) throws -> EntryDraft {
        let name = Array(key.utf8)
        let begun = harness.store.draft(
            harness.main, key: name.span.bytes, hash: harness.store.hash(harness.main, name.span.bytes),
            valueBytes: value.count, metadata: RawSpan(), lifetime: lifetime)
        let draft = try #require(begun)
        while draft.filled < min(value.count, end) {
            let slice = min(100_000, value.count - draft.filled)
            draft.fill(value.span.bytes.extracting(draft.filled..<(draft.filled + slice)))
        }
        return draft
    }

    private func put(
        _ draft: EntryDraft, _ key: String, lifetime: LifetimeChange = .unlimited, _ condition: WriteCondition = .none
    ) -> WriteResult? {
        let name = Array(key.utf8)
        return harness.store.put(
            draft, harness.main, key: name.span.bytes, hash: harness.store.hash(harness.main, name.span.bytes),
            lifetime: lifetime, condition: condition, now: harness.now)
    }

    private func bytes(_ key: String) -> [UInt8]? {
        let name = Array(key.utf8)
        var found: [UInt8]?
        _ = harness.store.read(
            harness.main, key: name.span.bytes, hash: harness.store.hash(harness.main, name.span.bytes), now: harness.now
        ) { found = Array($0.value) }
        return found
    }

    @Test func `nobody sees a draft before it is put, and all of it then`() throws {
        harness.put("k", "before")
        let draft = try draft("k", upTo: 200_000)
        #expect(harness.get("k") == "before")
        #expect(harness.list() == ["k"])
        let rest = Self.value.span.bytes.extracting(draft.filled..<Self.count)
        draft.fill(rest)
        #expect(harness.get("k") == "before")
        let result = try #require(put(draft, "k"))
        #expect(result.outcome == .updated)
        #expect(bytes("k") == Self.value)
        harness.store.checkInvariantsAtRest()
    }

    @Test func `the log has the value of a draft in its place`() throws {
        harness.put("a", "first")
        #expect(try put(draft("b"), "b")?.outcome == .created)
        harness.put("c", "between")
        #expect(try put(draft("d"), "d")?.outcome == .created)
        harness.put("e", "last")
        #expect(harness.log.byteCount > 2 * Self.count)
        let records = harness.drain()
        #expect(harness.log.byteCount == 0)
        // Every record's checksum is checked.
        let other = StoreHarness(seed: 2)
        try other.apply(records: records)
        #expect(other.list() == ["a", "b", "c", "d", "e"])
        #expect(other.get("e") == "last")
        #expect(other.get("b") == String(decoding: Self.value, as: UTF8.self))
        #expect(other.get("d") == other.get("b"))
    }

    @Test func `a draft has the lifetime of the moment when it is put`() throws {
        let draft = try draft("k", lifetime: .milliseconds(1_000))
        harness.now += 5_000
        #expect(put(draft, "k", lifetime: .milliseconds(1_000))?.outcome == .created)
        harness.now += 999
        #expect(bytes("k") == Self.value)
        harness.now += 1
        #expect(bytes("k") == nil)
        harness.store.checkInvariants()
    }

    @Test func `a draft that is refused, or given up, leaves nothing behind`() throws {
        harness.put("k", "here")
        let before = harness.store.statistics()
        do { _ = try draft("k", upTo: 1) }
        do { _ = try draft("k") }
        #expect(try put(draft("k"), "k", .absent)?.outcome == .conditionFailed)
        #expect(try put(draft("k", lifetime: .until(1)), "k", lifetime: .until(1))?.outcome == .removed)
        #expect(harness.get("k") == nil)
        harness.put("k", "here")
        let after = harness.store.statistics()
        #expect(after.arenaBytes == before.arenaBytes)
        #expect(after.slabBytes == before.slabBytes)
        harness.store.checkInvariantsAtRest()
    }

    @Test func `a flush between a draft and its place takes what was there, and not the draft`() throws {
        harness.put("k", "before")
        let draft = try draft("k")
        #expect(harness.store.flushNamespace(harness.main, now: harness.now).outcome == .removed)
        #expect(put(draft, "k")?.outcome == .created)
        #expect(bytes("k") == Self.value)
        #expect(harness.list() == ["k"])
    }

    @Test func `small values, and lifetimes that are kept, have no draft`() {
        let key = Array("k".utf8)
        let hash = harness.store.hash(harness.main, key.span.bytes)
        for (count, lifetime) in [(Store.sliceBytes, LifetimeChange.unlimited), (Self.count, .keep), (2 << 20, .unlimited)] {
            let draft = harness.store.draft(
                harness.main, key: key.span.bytes, hash: hash, valueBytes: count, metadata: RawSpan(), lifetime: lifetime)
            #expect(draft == nil, "\(count) bytes")
        }
    }
}
