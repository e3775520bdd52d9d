// How much memory the entries of a namespace take, how many they are, and how much they may take: one sum for all shards.
//
// A shard reports what has changed when it has become a batch, so that writers on many threads do not fight for one line of
// the cache. What a flush has taken is not counted from then on: a report names the flush that it knows of, and the first
// that knows a later one begins the sum anew.
//
// Unsafe, and sound because the words are atomics in memory that is never given back (as is a namespace's descriptor).

import LarderPlatform
import Synchronization

/// A handle to a namespace's sum. Free to copy; immortal, like what it points to.
@safe struct NamespaceBudget {
    private struct State: ~Copyable {
        // Read by every write.
        let bytesMax: Atomic<Int>
        let batch: Atomic<Int>
        private let line = InlineArray<14, UInt64>(repeating: 0)
        // Written by reports.
        let lock = Lock()
        let flushLSN = Atomic<UInt64>(0)
        let used = Atomic<Int>(0)
        let entries = Atomic<Int>(0)
        let turn = Atomic<Int>(0)

        init(bytesMax: Int) {
            self.bytesMax = Atomic(bytesMax)
            batch = Atomic(NamespaceBudget.batch(bytesMax))
        }
    }

    private let state: UnsafeMutablePointer<State>

    init(bytesMax: Int) {
        // Two cache lines: processors fetch them in pairs.
        let memory = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<State>.size, alignment: 128)
        unsafe state = memory.bindMemory(to: State.self, capacity: 1)
        unsafe state.initialize(to: State(bytesMax: bytesMax))
    }

    /// 256 shards that each keep back as much are a sixty-fourth of the limit. No more than some entries: what was kept back
    /// is evicted at once when it is reported.
    private static func batch(_ bytesMax: Int) -> Int { bytesMax == 0 ? 64 << 10 : min(max(bytesMax >> 14, 64), 1 << 10) }

    /// How many bytes there may be; 0 for no limit.
    @inline(__always) var bytesMax: Int { unsafe state.pointee.bytesMax.load(ordering: .relaxed) }

    /// How much a shard may keep back.
    @inline(__always) var batch: Int { unsafe state.pointee.batch.load(ordering: .relaxed) }

    func set(bytesMax: Int) {
        unsafe state.pointee.bytesMax.store(bytesMax, ordering: .relaxed)
        unsafe state.pointee.batch.store(Self.batch(bytesMax), ordering: .relaxed)
    }

    /// Adds a shard's change to the sums as of a flush.
    func report(_ bytes: Int, entries: Int, flushLSN: LSN) {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        let known = unsafe state.pointee.flushLSN.load(ordering: .relaxed)
        guard known <= flushLSN.rawValue else { return }
        if known < flushLSN.rawValue {
            unsafe state.pointee.used.store(bytes, ordering: .relaxed)
            unsafe state.pointee.entries.store(entries, ordering: .relaxed)
            unsafe state.pointee.flushLSN.store(flushLSN.rawValue, ordering: .releasing)
        } else {
            unsafe state.pointee.used.wrappingAdd(bytes, ordering: .relaxed)
            unsafe state.pointee.entries.wrappingAdd(entries, ordering: .relaxed)
        }
    }

    /// What the shards have reported since this flush.
    func used(since flushLSN: LSN) -> Int {
        // Not read as one: for a moment after a flush the sum may still be the one from before it.
        guard isKnown(since: flushLSN) else { return 0 }
        return unsafe state.pointee.used.load(ordering: .relaxed)
    }

    /// Whether the sums are of this flush or a later one.
    func isKnown(since flushLSN: LSN) -> Bool { unsafe state.pointee.flushLSN.load(ordering: .acquiring) >= flushLSN.rawValue }

    /// How many entries the shards have reported. About: it is not read as one with anything else.
    var entries: Int { unsafe state.pointee.entries.load(ordering: .relaxed) }

    /// Whose turn it is to evict.
    func nextTurn() -> Int { unsafe state.pointee.turn.wrappingAdd(1, ordering: .relaxed).oldValue }
}
