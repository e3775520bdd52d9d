import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

@Suite("Namespaces of a store") struct StoreNamespaceTests {
    @Test func `a namespace that was made takes keys`() throws {
        let harness = StoreHarness()
        let made = try #require(harness.create("sessions", settings: NamespaceSettings(durability: .never)).namespace)
        #expect(harness.find("sessions") == made)
        #expect(made.number == 1)
        #expect(made.settings.durability == .never)
        #expect(made.created == harness.now)
        harness.put("k", "v", in: made)
        #expect(harness.get("k", in: made) == "v")
        #expect(harness.get("k") == nil)
    }

    @Test func `there is one namespace of a name`() {
        let harness = StoreHarness()
        #expect(harness.create("a", id: 1).namespace != nil)
        #expect(harness.create("a", id: 2) == .exists)
        #expect(harness.create("b", id: 1) == .exists)
        #expect(harness.create("default", id: 9) == .exists)
    }

    @Test(arguments: ["", "A", "a_b", "a.b", "ä", String(repeating: "a", count: 256)])
    func `a name is of small letters, digits and hyphens`(_ name: String) {
        #expect(!isLegal(name))
        #expect(isLegal("a-0"))
    }

    private func isLegal(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return NamespaceTable.isLegalName(bytes.span.bytes)
    }

    @Test func `a sweep of many namespaces looked for one beyond the last`() throws {
        let harness = StoreHarness()
        var made: [Namespace] = []
        for index in 0..<3_000 {
            guard case .created(let namespace, _) = harness.create("space-\(index)") else { throw NotMade(index: index) }
            made.append(namespace)
        }
        // Each shard meets a later one long after an earlier one.
        for namespace in [made[2_500], made[2_600]] {
            for index in 0..<200 { #expect(harness.put("key-\(index)", "v", in: namespace).outcome == .created) }
        }
        #expect(harness.store.flushNamespace(made[2_500], now: harness.now).outcome == .removed)
        while harness.store.maintain(now: harness.now, budget: 10_000).hasMore {}
        #expect(harness.store.statistics().entries == 200)
    }

    private struct NotMade: Error { let index: Int }

    @Test func `a flush takes what was there, and nothing that comes later`() {
        let harness = StoreHarness()
        harness.put("a", "1")
        let flush = harness.store.flushNamespace(harness.main, now: harness.now)
        #expect(flush.outcome == .removed)
        #expect(harness.main.flushLSN == flush.lsn)
        #expect(harness.get("a") == nil)
        #expect(harness.put("a", "2").outcome == .created)
        #expect(harness.get("a") == "2")
    }

    @Test func `a decision made before a flush is not logged after it`() {
        let harness = StoreHarness()
        let seen = harness.main.flushLSN
        _ = harness.store.flushNamespace(harness.main, now: harness.now)
        let key: [UInt8] = [1]
        let record = LogRecord(.set, namespace: 0, key: key.span.bytes, metadata: RawSpan(), value: RawSpan())
        let before = harness.log.appliedLSN
        let late = harness.log.append(
            record, body: record.bodyChecksum, namespace: harness.main, flushLSN: seen, now: harness.now)
        #expect(late == LogAnswer(.flushed))
        let unlogged = harness.log.give(namespace: harness.main, flushLSN: seen, now: harness.now)
        #expect(unlogged == LogAnswer(.flushed))
        #expect(harness.log.appliedLSN == before)
        let again = harness.log.append(
            record, body: record.bodyChecksum, namespace: harness.main, flushLSN: harness.main.flushLSN, now: harness.now)
        #expect(again.outcome == .appended)
    }

    @Test func `a dropped namespace takes no keys, and its name is free`() throws {
        let harness = StoreHarness()
        let first = try #require(harness.create("a", id: 1).namespace)
        harness.put("k", "v", in: first)
        #expect(harness.store.dropNamespace(first, now: harness.now).outcome == .removed)
        #expect(first.state == .deleting)
        #expect(harness.put("k", "v", in: first).outcome == .namespaceGone)
        #expect(harness.get("k", in: first) == nil)
        #expect(harness.page(limit: 1, in: first).result.outcome == .namespaceGone)
        #expect(harness.store.dropNamespace(first, now: harness.now).outcome == .namespaceGone)
        #expect(harness.store.flushNamespace(first, now: harness.now).outcome == .namespaceGone)
        let second = try #require(harness.create("a", id: 2).namespace)
        #expect(second.number == 2)
        #expect(harness.get("k", in: second) == nil)
    }

    @Test func `states and settings change, and are in the log`() throws {
        let harness = StoreHarness()
        let made = try #require(harness.create("a").namespace)
        #expect(harness.store.setNamespaceState(made, .pending, now: harness.now).outcome == .updated)
        #expect(harness.put("k", "v", in: made).outcome == .namespaceGone)
        _ = harness.store.setNamespaceSettings(made, NamespaceSettings(durability: .off, keyRule: .bytes), now: harness.now)
        #expect(made.state == .pending)

        let copy = StoreHarness(seed: 9)
        try copy.apply(records: harness.drain())
        let found = try #require(copy.find("a"))
        #expect(found.state == .pending)
        #expect(found.settings == NamespaceSettings(durability: .off, keyRule: .bytes))
        #expect(found.id == made.id)
        #expect(found.created == made.created)
        #expect(found.updated == made.updated)
    }

    @Test func `a log that refuses keeps everything as it was`() throws {
        let harness = StoreHarness()
        let made = try #require(harness.create("a").namespace)
        harness.put("k", "v", in: made)
        harness.log.refuse()
        #expect(harness.create("b", id: 5) == .refused)
        #expect(harness.find("b") == nil)
        #expect(harness.store.flushNamespace(made, now: harness.now).outcome == .refused)
        #expect(harness.store.dropNamespace(made, now: harness.now).outcome == .refused)
        #expect(harness.get("k", in: made) == "v")
    }

    @Test func `the snapshot's namespaces are those that live, with their flushes and their numbers`() throws {
        let harness = StoreHarness()
        let first = try #require(harness.create("first", id: 1).namespace)
        _ = harness.create("second", id: 2)
        let third = try #require(harness.create("third", id: 3).namespace)
        let flush = harness.store.flushNamespace(first, now: harness.now)
        _ = harness.store.dropNamespace(third, now: harness.now)

        let copy = StoreHarness(seed: 9)
        try copy.apply(entries: harness.namespaceEntries())
        #expect(copy.store.namespaces.all().map { String(utf8: $0.name) } == ["default", "first", "second"])
        #expect(copy.find("first")?.flushLSN == flush.lsn)
        // The third had number 3, which is not given again.
        #expect(copy.create("fourth", id: 4).namespace?.number == 4)
        copy.store.namespaces.checkInvariants()
    }
}
