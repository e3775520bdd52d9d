// What a worker counts. One writer, any reader: a counter is a relaxed load and store, never a locked instruction.

import LarderWire
import Synchronization

/// A counter that one thread writes and any thread may read.
package struct Counter: ~Copyable, Sendable {
    private let value = Atomic<UInt64>(0)

    package init() {}

    /// Only the owning thread calls this.
    @inline(__always)
    package func add(_ amount: UInt64) {
        value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    package var total: UInt64 { value.load(ordering: .relaxed) }
}

/// The counters of one worker. No other object is on their cache lines.
package final class WorkerMetrics: Sendable {
    private let front = InlineArray<8, UInt64>(repeating: 0)
    package let gets = Counter()
    package let puts = Counter()
    /// Keys that commands for several keys have written.
    package let putsTogether = Counter()
    package let deletes = Counter()
    package let lists = Counter()
    package let others = Counter()
    package let hits = Counter()
    package let misses = Counter()
    package let refusals = Counter()
    package let receivedBytes = Counter()
    package let sentBytes = Counter()
    package let timeouts = Counter()

    package let turns = TurnCounts()
    private let back = InlineArray<8, UInt64>(repeating: 0)

    package init() {}

    /// Counts a command that only memcached has as what it comes to.
    private func count(_ word: MemcachedWord) {
        switch word {
        case .metaGet: gets.add(1)
        case .metaSet, .append, .prepend: puts.add(1)
        case .metaDelete: deletes.add(1)
        default: others.add(1)
        }
    }

    func count(hit: Bool) { if hit { hits.add(1) } else { misses.add(1) } }

    @inline(__always)
    func count(_ operation: LarderWire.Operation, _ word: UInt8) {
        switch operation {
        case .memcached: count(MemcachedWord.of(word))
        case .get: gets.add(1)
        case .put: puts.add(1)
        case .delete: deletes.add(1)
        case .list: lists.add(1)
        default: others.add(1)
        }
    }
}
