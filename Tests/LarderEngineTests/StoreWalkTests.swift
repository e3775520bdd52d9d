import LarderBytes
import LarderEngine
import Testing

@Suite("Walk") struct StoreWalkTests {
    @Test func `an empty store ends at once`() throws {
        let keys = try StoreHarness.keys(StoreHarness().walk())
        #expect(keys == [])
    }

    @Test func `every entry is met, and restores to what it was`() throws {
        let harness = StoreHarness(shards: 4)
        for number in 0..<3_000 { harness.put("key-\(number)", "value-\(number)", lifetime: number % 3 == 0 ? 60_000 : nil) }
        let copy = StoreHarness(shards: 8, seed: 2)
        try copy.apply(entries: harness.namespaceEntries())
        try copy.apply(entries: harness.walk())
        #expect(copy.store.recordsNotApplied == 0)
        for number in 0..<3_000 { #expect(copy.get("key-\(number)") == "value-\(number)") }
        copy.now += 60_000
        #expect(copy.get("key-0") == nil)
        #expect(copy.get("key-1") == "value-1")
    }

    @Test func `a step copies no more than it may`() {
        let harness = StoreHarness(shards: 1)
        for number in 0..<500 { harness.put("key-\(number)", String(repeating: "v", count: 1_000)) }
        var cursor = WalkCursor()
        var total = 0
        while !cursor.isAtEnd {
            var buffer = ByteBuffer()
            let few = harness.store.walk(&cursor, entriesMax: 3, bytesMax: 1 << 20, into: &buffer)
            #expect(few <= 3)
            total += few
            buffer.removeAll()
            let short = harness.store.walk(&cursor, entriesMax: 64, bytesMax: 4_000, into: &buffer)
            #expect(buffer.count < 4_000 + 1_100)
            total += short
        }
        #expect(total == 500)
    }

    private static func text(_ letter: Character) -> String { String(repeating: letter, count: 1 << 20) }

    @Test func `a large value is copied in slices, and nothing around it is lost`() throws {
        let harness = StoreHarness(shards: 1)
        for number in 0..<100 { harness.put("key-\(number)", "v") }
        for letter in "abc" { harness.put("large-\(letter)", Self.text(letter), lifetime: 60_000) }
        var cursor = WalkCursor()
        var entries = ByteBuffer()
        var slices = 0
        while !cursor.isAtEnd {
            // Only what is whole comes out; the slices are with the cursor.
            let before = entries.count
            if harness.store.walk(&cursor, into: &entries) == 0, entries.count == before { slices += 1 }
        }
        #expect(slices >= 3 * 3)
        let copy = StoreHarness(seed: 2)
        try copy.apply(entries: Array(entries.bytes))
        #expect(copy.store.recordsNotApplied == 0)
        for number in 0..<100 { #expect(copy.get("key-\(number)") == "v") }
        for letter in "abc" { #expect(copy.get("large-\(letter)") == Self.text(letter)) }
        copy.now += 60_000
        #expect(copy.get("large-a") == nil)
    }

    @Test func `a large value that is written all the time, or goes, does not keep a walk from its end`() throws {
        let harness = StoreHarness(shards: 1)
        harness.put("large", Self.text("a"))
        harness.put("gone", Self.text("b"))
        harness.put("small", "v")
        var writes = 0
        let entries = harness.walk {
            writes += 1
            guard writes < 1_000 else { return }
            harness.put("large", Self.text(writes % 2 == 0 ? "a" : "b"))
            if writes == 2 { harness.remove("gone") }
        }
        #expect(writes < 100)
        let copy = StoreHarness(seed: 2)
        try copy.apply(entries: entries)
        #expect(copy.get("small") == "v")
        let large = copy.get("large")
        #expect(large == Self.text("a") || large == Self.text("b"))
    }

    @Test func `what was flushed or dropped is not met`() throws {
        let harness = StoreHarness()
        let other = try #require(harness.create("other").namespace)
        harness.put("flushed", "")
        harness.put("dropped", "", in: other)
        _ = harness.store.flushNamespace(harness.main, now: harness.now)
        _ = harness.store.dropNamespace(other, now: harness.now)
        harness.put("here", "")
        #expect(try StoreHarness.keys(harness.walk()) == ["here"])
    }

    @Test(arguments: Seeds.smoke) func `what is there throughout is met, also while the tables grow and shrink`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let harness = StoreHarness(shards: 2, seed: seed)
        let kept = (0..<300).map { "kept-\($0)" }
        for key in kept { harness.put(key, "v") }
        var others: [String] = []
        var grows = Bool.random(using: &random)
        var count = 0
        let bytes = harness.walk(entriesMax: Int.random(in: 1...20, using: &random)) {
            if Int.random(in: 0..<40, using: &random) == 0 { grows.toggle() }
            for _ in 0..<30 {
                if grows {
                    count += 1
                    others.append("other-\(count)")
                    harness.put(others.last!, "v")
                } else if let key = others.popLast() {
                    harness.remove(key)
                }
            }
        }
        let met = Set(try StoreHarness.keys(bytes))
        #expect(Set(kept).isSubset(of: met), "seed \(seed)")
    }
}
