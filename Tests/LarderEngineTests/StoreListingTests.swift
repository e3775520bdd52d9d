import Foundation
import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

@Suite("Listing") struct StoreListingTests {
    @Test func `keys come in byte order, page by page`() {
        let harness = StoreHarness(shards: 8)
        let keys = (0..<500).map { "key-\($0 * 7919 % 1_000)" }
        for key in keys { harness.put(key, "v") }
        for limit in [1, 7, 499, 500, 501, 1_000] { #expect(harness.list(limit: limit) == Set(keys).sorted()) }
    }

    @Test func `an empty namespace has no page`() {
        let page = StoreHarness().page(limit: 10)
        #expect(page.items == [])
        #expect(page.result.outcome == .listed)
        #expect(page.result.cursor == nil)
    }

    @Test func `the last page says that nothing follows`() {
        let harness = StoreHarness()
        for key in ["a", "b", "c"] { harness.put(key, "") }
        #expect(harness.page(limit: 3).result.cursor == nil)
        #expect(harness.page(limit: 2).result.cursor == Array("b".utf8))
    }

    @Test func `only keys with the prefix are listed, the prefix itself included`() {
        let harness = StoreHarness()
        for key in ["a", "ab", "abc", "abd", "ac", "b"] { harness.put(key, "") }
        #expect(harness.list(prefix: "ab") == ["ab", "abc", "abd"])
        #expect(harness.page(prefix: "ab", after: Array("ab".utf8), limit: 9).items == ["abc", "abd"])
        #expect(harness.page(prefix: "ab", after: Array("a".utf8), limit: 9).items == ["ab", "abc", "abd"])
        #expect(harness.page(prefix: "ab", after: Array("b".utf8), limit: 9).items == [])
    }

    @Test func `keys that share a part up to the delimiter are listed once`() {
        let harness = StoreHarness(shards: 16)
        for user in 0..<20 {
            for item in 0..<50 { harness.put("u/\(user + 10)/\(item)", "") }
        }
        harness.put("top", "")
        harness.put("u/10", "")
        for limit in [1, 2, 5, 100] {
            #expect(harness.list(delimiter: "/", limit: limit) == ["top", "u/*"])
            let users = ["u/10"] + (10..<30).map { "u/\($0)/*" }
            #expect(harness.list(prefix: "u/", delimiter: "/", limit: limit) == users.sorted())
        }
    }

    @Test func `what is dead is not listed`() {
        let harness = StoreHarness()
        harness.put("gone", "", lifetime: 1_000)
        harness.put("here", "")
        harness.put("later", "", lifetime: 60_000)
        #expect(harness.list() == ["gone", "here", "later"])
        harness.now += 1_000
        #expect(harness.list() == ["here", "later"])
        harness.remove("here")
        #expect(harness.list() == ["later"])
        _ = harness.store.flushNamespace(harness.main, now: harness.now)
        #expect(harness.list() == [])
        harness.put("new", "")
        #expect(harness.list() == ["new"])
    }

    @Test func `namespaces do not see each other`() throws {
        let harness = StoreHarness()
        let other = try #require(harness.create("other").namespace)
        harness.put("a", "")
        harness.put("b", "", in: other)
        #expect(harness.list() == ["a"])
        #expect(harness.list(in: other) == ["b"])
    }

    @Test func `an item says what the entry is`() {
        let harness = StoreHarness()
        let put = harness.put("k", "value", lifetime: 5_000)
        var seen = 0
        for withValues in [false, true] {
            _ = harness.store.list(harness.main, limit: 1, withValues: withValues, now: harness.now) { item in
                seen += 1
                let (lsn, deadline, bytes) = (item.lsn, item.deadline.rawValue, item.valueBytes)
                let value = String(utf8: item.value)
                #expect(lsn == put.lsn)
                #expect(deadline == harness.now + 5_000)
                #expect(bytes == 5)
                #expect(value == (withValues ? "value" : ""))
            }
        }
        #expect(seen == 2)
    }

    @Test func `a page with values ends when it is long enough`() {
        let harness = StoreHarness()
        for key in ["a", "b", "c", "d"] { harness.put(key, String(repeating: "v", count: 50_000)) }
        var count = 0
        let result = harness.store.list(harness.main, limit: 10, withValues: true, bytesMax: 90_000, now: harness.now) { _ in
            count += 1
        }
        #expect(count == 2)
        #expect(result.cursor == Array("b".utf8))
    }

    @Test func `keys are put in order in slices`() {
        let harness = StoreHarness(shards: 2)
        for number in 0..<2_000 { harness.put("key-\(number)", "") }
        var slices = 0
        while true {
            var work = 100
            let readiness = harness.store.prepareListing(harness.main, now: harness.now, work: &work)
            if readiness == .ready { break }
            #expect(readiness == .building)
            slices += 1
            // Comes while the order is being made, or goes, or is stored elsewhere.
            harness.put("new-\(slices)", "")
            harness.remove("key-\(slices)")
            harness.put("key-\(1_999 - slices)", "longer than it was")
        }
        #expect(slices > 10)
        let expected = ((slices + 1)..<2_000).map { "key-\($0)" } + ["key-0"] + (1...slices).map { "new-\($0)" }
        #expect(harness.list(limit: 1_000) == expected.sorted())
    }

    /// Keys as they come in practice, and such that sorting them by a few of their bytes tells nothing.
    @Test(arguments: ["", "session/", "a-namespace-wide/common-beginning/"], [1, 16]) func `any keys are put in order`(
        _ beginning: String, _ shards: Int
    ) {
        let harness = StoreHarness(shards: shards)
        var keys: [String] = []
        for number in 0..<3_000 {
            keys.append("\(beginning)\(number)")
            if number % 7 == 0 { keys.append("\(beginning)0123456789abcdef0123456789abcdef\(number)") }
            if number % 11 == 0 { keys.append("other/\(number)/tail") }
        }
        for key in keys.shuffled() { harness.put(key, "") }
        #expect(harness.list(limit: 1_000) == keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
        harness.store.checkInvariants()
    }

    @Test func `what two listings put in order at the same time is in order once`() throws {
        let harness = StoreHarness(shards: 16)
        for number in 0..<20_000 { harness.put("key-\(number)", "") }
        let (store, main, now) = (harness.store, harness.main, harness.now)
        let threads = try (0..<3).map { _ in
            try Thread(name: "lister") {
                while true {
                    var work = 300
                    if store.prepareListing(main, now: now, work: &work) == .ready { return }
                }
            }
        }
        for number in 0..<2_000 {
            harness.put("key-\(number * 7)", "longer than it was")
            harness.remove("key-\(number * 5 + 1)")
            harness.put("new-\(number)", "")
        }
        for thread in threads { thread.join() }
        harness.store.checkInvariants()
        var expected = Set((0..<20_000).map { "key-\($0)" })
        for number in 0..<2_000 {
            expected.insert("key-\(number * 7)")
            expected.remove("key-\(number * 5 + 1)")
            expected.insert("new-\(number)")
        }
        let found = harness.list(limit: 1_000)
        #expect(found.count == expected.count)
        #expect(expected.subtracting(found).sorted().prefix(5) == [])
        #expect(Set(found).subtracting(expected).sorted().prefix(5) == [])
        #expect(found == found.sorted())
    }

    @Test func `a flush while keys are put in order leaves none of them`() {
        let harness = StoreHarness(shards: 2)
        for number in 0..<2_000 { harness.put("key-\(number)", "") }
        var calls = 0
        while true {
            var work = 100
            if harness.store.prepareListing(harness.main, now: harness.now, work: &work) == .ready { break }
            calls += 1
            if calls == 15 {
                _ = harness.store.flushNamespace(harness.main, now: harness.now)
                for number in 0..<50 { harness.put("new-\(100 + number)", "") }
            }
        }
        #expect(calls > 15)
        #expect(harness.list(limit: 1_000) == (0..<50).map { "new-\(100 + $0)" })
        harness.store.checkInvariants()
    }

    @Test(arguments: [1, 50, 700]) func `a page that ends when its work is done goes on to the same keys`(_ workMax: Int) {
        let harness = StoreHarness(shards: 16)
        for user in 100..<160 {
            for item in 0..<20 { harness.put("u/\(user)/\(item)", "") }
            harness.put("v\(user)", "")
        }
        for delimiter in [nil, "/"] as [Character?] {
            for limit in [3, 1_000] {
                var items: [String] = []
                var cursor: [UInt8] = []
                var calls = 0
                let (first, last) = (harness.page(prefix: "u/", delimiter: delimiter, limit: limit), limit)
                while true {
                    let result = harness.store.list(
                        harness.main, prefix: Array("u/".utf8).span.bytes, after: cursor.span.bytes,
                        delimiter: delimiter?.asciiValue, limit: last - items.count, workMax: workMax, now: harness.now
                    ) { items.append(String(utf8: $0.key) + ($0.isPrefix ? "*" : "")) }
                    calls += 1
                    cursor = result.cursor ?? cursor
                    guard result.outcome == .unfinished else { break }
                    #expect(result.work > 0)
                }
                #expect(items == first.items)
                #expect(workMax > 600 || limit < 10 || calls > 5, "\(calls) calls")
            }
        }
    }

    /// What does a listing keep others from? Run with LARDER_MEASURE set; prints milliseconds.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil))
    func `listing a million keys, measured`() {
        let harness = StoreHarness(shards: 256, memoryBytesMax: 1 << 30)
        let clock = ContinuousClock()
        func milliseconds(_ duration: Duration) -> Double { Double(duration.components.attoseconds / 1_000_000_000) / 1e6 + Double(duration.components.seconds) * 1e3 }
        for number in 0..<1_000_000 {
            let random = (UInt64(number) &* 0x9E37_79B9_7F4A_7C15) % 1_000_000
            harness.put("session/\(1_000 + random / 1_000)/\(1_000 + random % 1_000)", "value")
        }
        /// Lets the indexes become idle.
        func forget() {
            harness.now += 700_000
            while harness.store.maintain(now: harness.now, budget: 4_096).hasMore {}
        }
        func measure(_ name: String, _ delimiter: UInt8?, _ prefix: String, limit: Int) {
            for workMax in [Int.max, 8_192] {
                var (calls, items, longest, total) = (0, 0, 0.0, 0.0)
                var cursor: [UInt8] = []
                while true {
                    var outcome = ListingResult.Outcome.listed
                    let prefix = Array(prefix.utf8)
                    let time = milliseconds(clock.measure {
                        let result = harness.store.list(
                            harness.main, prefix: prefix.span.bytes, after: cursor.span.bytes, delimiter: delimiter,
                            limit: limit - items, workMax: workMax, now: harness.now) { _ in items += 1 }
                        cursor = result.cursor ?? cursor
                        outcome = result.outcome
                    })
                    calls += 1
                    (longest, total) = (max(longest, time), total + time)
                    if outcome != .unfinished { break }
                }
                print("\(name), work \(workMax): \(items) items, \(calls) calls, longest \(longest) ms, all \(total) ms")
                if limit == 1 { forget() }
            }
        }
        measure("first page of one key", nil, "", limit: 1)
        measure("page of 1000 keys", nil, "", limit: 1_000)
        measure("1000 common prefixes", UInt8(ascii: "/"), "session/", limit: 1_000)
    }

    @Test(arguments: Seeds.smoke) func `agrees with a sorted list while keys come and go`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let harness = StoreHarness(shards: [1, 2, 16][Int(seed % 3)], seed: seed)
        var model: [String: Milliseconds] = [:]
        let parts = ["a", "b", "c/", "d/e/", "-", "x"]
        func key() -> String { (0..<Int.random(in: 1...5, using: &random)).map { _ in parts.randomElement(using: &random)! }.joined() }
        func change() {
            let key = key()
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                harness.remove(key)
                model[key] = nil
            case 2:
                let lifetime = Int64.random(in: 1...2_000, using: &random)
                harness.put(key, "v", lifetime: lifetime)
                model[key] = harness.now + lifetime
            default:
                harness.put(key, String(repeating: "v", count: Int.random(in: 0...200, using: &random)))
                model[key] = .max
            }
        }
        for _ in 0..<12 {
            for _ in 0..<80 { change() }
            harness.now += Int64.random(in: 0...300, using: &random)
            if Int.random(in: 0..<12, using: &random) == 0 {
                _ = harness.store.flushNamespace(harness.main, now: harness.now)
                model = [:]
            }
            model = model.filter { $0.value > harness.now }
            let prefix = Bool.random(using: &random) ? "" : parts.randomElement(using: &random)!
            let delimiter: Character? = Bool.random(using: &random) ? "/" : nil
            let limit = Int.random(in: 1...40, using: &random)
            #expect(harness.list(prefix: prefix, delimiter: delimiter, limit: limit) == expected(model.keys, prefix, delimiter), "seed \(seed)")

            // While keys change between pages, those that stay are all there, once.
            let before = model
            var touched: Set<String> = []
            let keys = harness.list(limit: limit) {
                let old = model
                for _ in 0..<3 { change() }
                for key in Set(old.keys).union(model.keys) where old[key] != model[key] { touched.insert(key) }
            }
            #expect(keys == keys.sorted() && Set(keys).count == keys.count, "seed \(seed)")
            let kept = Set(before.keys.filter { before[$0] == .max && model[$0] == .max && !touched.contains($0) })
            #expect(kept.isSubset(of: keys), "seed \(seed)")
        }
    }

    private func expected(_ keys: some Sequence<String>, _ prefix: String, _ delimiter: Character?) -> [String] {
        var items: Set<String> = []
        for key in keys where key.hasPrefix(prefix) {
            if let delimiter, let end = key.dropFirst(prefix.count).firstIndex(of: delimiter) {
                items.insert(String(key[...end]) + "*")
            } else {
                items.insert(key)
            }
        }
        return items.sorted { Array($0.replacing("*", with: "").utf8).lexicographicallyPrecedes(Array($1.replacing("*", with: "").utf8)) }
    }
}
