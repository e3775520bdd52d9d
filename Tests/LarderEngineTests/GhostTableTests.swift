@testable import LarderEngine
import Testing

@Suite("Ghost table") struct GhostTableTests {
    private func position(_ number: Int) -> TablePosition {
        var random = SeededGenerator(seed: UInt64(number))
        return TablePosition(KeyHash(value: random.next()), shardBits: 8)
    }

    @Test(arguments: [10, 1_000, 100_000]) func `remembers about as many as it should`(_ entries: Int) {
        var ghost = GhostTable()
        let window = entries * 100
        for number in 0..<(3 * entries) { ghost.insert(position(number), bytes: 100, window: window, entries: entries) }
        var known = 0
        for number in (2 * entries + entries / 50)..<(3 * entries) where ghost.take(position(number), window: window) { known += 1 }
        #expect(known >= entries * 9 / 10 - 1, "\(known)")
        var forgotten = 0
        for number in 0..<(2 * entries - entries / 50) where ghost.take(position(number), window: window) { forgotten += 1 }
        #expect(forgotten <= entries / 100 + 1, "\(forgotten)")
        let bytes = ghost.bytesHeld
        #expect(bytes <= entries * 6 + 64)
    }

    @Test func `what was never evicted is not known, nor what was asked for before`() {
        var ghost = GhostTable()
        for number in 0..<10_000 { ghost.insert(position(number), bytes: 50, window: 500_000, entries: 10_000) }
        var wrong = 0
        for number in 20_000..<120_000 where ghost.take(position(number), window: 500_000) { wrong += 1 }
        #expect(wrong < 50, "\(wrong)")
        let (first, second) = (ghost.take(position(9_999), window: 500_000), ghost.take(position(9_999), window: 500_000))
        #expect(first && !second)
    }

    @Test func `follows the size of the cache`() {
        var ghost = GhostTable()
        ghost.insert(position(1), bytes: 50, window: 500, entries: 10)
        let small = ghost.bytesHeld
        #expect(small == 64)
        ghost.insert(position(2), bytes: 50, window: 500_000, entries: 10_000)
        let large = ghost.bytesHeld
        #expect(large >= 40_000)
        for number in 0..<20_000 { ghost.insert(position(number), bytes: 50, window: 500, entries: 10) }
        let last = ghost.bytesHeld
        #expect(last <= 128)
        ghost.removeAll()
        let none = ghost.bytesHeld
        #expect(none == 0)
        let isKnown = ghost.take(position(2), window: 500)
        #expect(!isKnown)
    }
}
