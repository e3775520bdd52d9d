import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

@Suite("Restore") struct StoreRestoreTests {
    private func record(
        _ operation: LogOperation, _ key: String, lsn: UInt64, value: String = "", deadline: Milliseconds = 0, namespace: UInt32 = 0
    ) -> [UInt8] {
        let (key, value) = (Array(key.utf8), Array(value.utf8))
        var buffer = ByteBuffer()
        LogRecord(
            operation, lsn: LSN(rawValue: lsn), namespace: namespace, deadline: Deadline(rawValue: deadline),
            key: key.span.bytes, metadata: RawSpan(), value: value.span.bytes
        ).append(to: &buffer)
        return Array(buffer.bytes)
    }

    @Test func `of two records the later wins, in either order`() throws {
        let (older, newer) = (record(.set, "k", lsn: 5, value: "old"), record(.set, "k", lsn: 9, value: "new"))
        for records in [older + newer, newer + older, newer + older + newer] {
            let harness = StoreHarness()
            try harness.apply(records: records)
            #expect(harness.get("k") == "new")
        }
    }

    @Test func `a removal hides what is older and nothing that is newer`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "k", lsn: 5, value: "v") + record(.remove, "k", lsn: 4))
        #expect(harness.get("k") == "v")
        try harness.apply(records: record(.remove, "k", lsn: 6))
        #expect(harness.get("k") == nil)
        try harness.apply(records: record(.remove, "k", lsn: 7))
        #expect(harness.store.recordsNotApplied == 0)
    }

    @Test func `an expired record hides an older one that lives longer`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "k", lsn: 5, value: "old"))
        try harness.apply(records: record(.set, "k", lsn: 6, value: "new", deadline: harness.now - 1))
        #expect(harness.get("k") == nil)
    }

    @Test func `a later deadline prolongs an entry that has expired meanwhile`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "k", lsn: 5, value: "v", deadline: harness.now - 5_000))
        try harness.apply(records: record(.deadline, "k", lsn: 6, deadline: harness.now + 3_600_000))
        #expect(harness.get("k") == "v")
        harness.now += 3_600_000
        #expect(harness.get("k") == nil)
    }

    @Test func `a deadline for a key that is not there does nothing`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.deadline, "k", lsn: 6, deadline: harness.now + 1_000))
        #expect(harness.get("k") == nil)
    }

    @Test func `a deadline is given to an entry that had none, and taken from one that had`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "a", lsn: 5, value: "v") + record(.deadline, "a", lsn: 6, deadline: harness.now + 10))
        try harness.apply(records: record(.set, "b", lsn: 7, value: "v", deadline: 5) + record(.deadline, "b", lsn: 8))
        #expect(harness.get("a") == "v")
        #expect(harness.get("b") == "v")
        harness.now += 10
        #expect(harness.get("a") == nil)
        #expect(harness.get("b") == "v")
    }

    @Test(arguments: [Int64.min, -1, 1 << 47, .max]) func `a deadline beyond what an entry holds is no trap`(_ deadline: Int64) throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "k", lsn: 5, value: "v", deadline: deadline))
        try harness.apply(records: record(.deadline, "k", lsn: 6, deadline: deadline))
        #expect(harness.get("k") == (deadline > 0 ? "v" : nil))
    }

    @Test func `what is not above the flush stays away, in either order`() throws {
        let (set, flush) = (record(.set, "k", lsn: 5, value: "v"), record(.namespaceFlush, "", lsn: 6))
        for records in [set + flush, flush + set] {
            let harness = StoreHarness()
            try harness.apply(records: records)
            #expect(harness.get("k") == nil)
            try harness.apply(records: record(.set, "k", lsn: 7, value: "w"))
            #expect(harness.get("k") == "w")
        }
    }

    @Test func `a snapshot taken across a flush does not revive what it took`() throws {
        let harness = StoreHarness(shards: 4)
        for number in 0..<400 { harness.put("key-\(number)", "old") }
        _ = harness.drain()
        var steps = 0
        let entries = harness.walk(entriesMax: 16) {
            steps += 1
            if steps == 5 {
                _ = harness.store.flushNamespace(harness.main, now: harness.now)
                harness.put("after", "new")
            }
        }
        let copy = StoreHarness(shards: 2, seed: 3)
        try copy.apply(entries: entries)
        try copy.apply(records: harness.drain())
        #expect(copy.list() == ["after"])
    }

    @Test func `records of a namespace that is not known are passed over`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "k", lsn: 5, value: "v", namespace: 77))
        try harness.apply(records: record(.namespaceFlush, "", lsn: 6, namespace: 77) + record(.namespaceDrop, "", lsn: 7, namespace: 77))
        #expect(harness.store.recordsNotApplied == 0)
    }

    @Test func `a record that no entry can hold is counted`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.set, "", lsn: 5) + record(.set, String(repeating: "k", count: 1_025), lsn: 6))
        try harness.apply(records: record(.namespaceCreate, "name", lsn: 7, value: "short", namespace: 3))
        #expect(harness.store.recordsNotApplied == 3)
    }

    @Test func `the default namespace stays, whatever a record says`() throws {
        let harness = StoreHarness()
        try harness.apply(records: record(.namespaceDrop, "", lsn: 7))
        #expect(harness.main.state == .ready)
        #expect(harness.put("k", "v").outcome == .created)
    }

    @Test(arguments: Seeds.smoke) func `snapshot and log together are the state, whatever happened while the snapshot was taken`(
        _ seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        let harness = StoreHarness(shards: 4, seed: seed)
        _ = harness.create("other", id: 1)
        _ = harness.drain()
        func change() {
            let key = "key-\(Int.random(in: 0..<200, using: &random))"
            let namespace = harness.find("other").flatMap { Bool.random(using: &random) ? $0 : nil } ?? harness.main
            harness.now += Int64.random(in: 0...20, using: &random)
            switch Int.random(in: 0..<60, using: &random) {
            case 0: _ = harness.store.flushNamespace(namespace, now: harness.now)
            case 1 where namespace != harness.main:
                _ = harness.store.dropNamespace(namespace, now: harness.now)
                _ = harness.create("other", id: random.next())
            case 2..<12: harness.remove(key, in: namespace)
            case 12..<20: harness.put(key, "\(random.next())", lifetime: Int64.random(in: 1...2_000, using: &random), in: namespace)
            case 20..<28: harness.setLifetime(key, Int64.random(in: 1...2_000, using: &random))
            default: harness.put(key, "\(random.next())", in: namespace)
            }
        }
        for _ in 0..<500 { change() }
        // Everything up to here is before the snapshot began; its namespaces are read, then its entries, while writes go on.
        _ = harness.drain()
        for _ in 0..<5 { change() }
        let namespaces = harness.namespaceEntries()
        let entries = harness.walk(entriesMax: 8) { for _ in 0..<3 { change() } }
        for _ in 0..<50 { change() }
        let log = harness.drain()

        for times in 1...2 {
            let copy = StoreHarness(shards: 8, seed: seed &+ 99)
            copy.now = harness.now
            try copy.apply(entries: namespaces)
            try copy.apply(entries: entries)
            for _ in 0..<times { try copy.apply(records: log) }
            #expect(copy.store.recordsNotApplied == 0)
            let known = harness.store.namespaces.all().filter { $0.state != .deleting }
            #expect(copy.store.namespaces.all().filter { $0.state != .deleting }.map(\.number) == known.map(\.number), "seed \(seed)")
            for namespace in known {
                let twin = try #require(copy.store.namespaces.find(number: namespace.number))
                #expect(twin.flushLSN == namespace.flushLSN, "seed \(seed)")
                let keys = harness.list(in: namespace)
                #expect(copy.list(in: twin) == keys, "seed \(seed)")
                for key in keys { #expect(copy.get(key, in: twin) == harness.get(key, in: namespace), "seed \(seed)") }
            }
        }
    }
}
