// The blocks of a snapshot between the walk that fills them and the writer that takes them: compressed on the way, by threads of
// their own and by the one that waits for them.
//
// A fixed number of blocks goes round, so what this takes of memory is bounded. Knows no file, and keeps no order: blocks come
// out as they are done. Without threads everything happens on the caller's, one block after another.

import LarderBytes
import LarderPlatform
import Synchronization

/// A block that is handed from thread to thread. Whoever has it has it alone.
final class BlockInHand: Sendable {
    private let block = Mutex(SnapshotBlock())

    fileprivate func fill(_ other: inout SnapshotBlock) {
        block.withLock { block in
            swap(&block, &other)
            other.removeAll()
            other.content = .entries
        }
    }

    fileprivate func compress(with deflater: inout Deflater) { block.withLock { $0.compress(with: &deflater) } }

    func write(to writer: inout SnapshotWriter) throws(SystemError) -> Int {
        try block.withLock { block throws(SystemError) in try writer.write(block) }
    }
}

/// All blocks of one snapshot that are under way. `end` ends the threads, and has to be called.
struct SnapshotBlocks: ~Copyable {
    private let desk: CompressionDesk
    private let threads: [Thread]
    private var deflater = Deflater()
    private var unused: [BlockInHand] = []
    private var underWay = 0
    /// How many blocks may be under way while the walk goes on: so many that no thread waits while one is written and synced.
    let underWayMax: Int

    /// - Parameter count: How many threads there are to be; with 0 the caller's does all.
    init(threads count: Int, niceness: Int32) {
        let desk = CompressionDesk(threads: count)
        var threads: [Thread] = []
        for index in 0..<count {
            // A thread that cannot be had is work for the caller's.
            let thread = try? Thread(name: "compress-\(index)") {
                Thread.lowerPriority(by: niceness)
                desk.run(index)
            }
            if let thread { threads.append(thread) }
        }
        self.desk = desk
        self.threads = threads
        underWayMax = threads.isEmpty ? 0 : 2 * threads.count + 1
    }

    /// Takes in all of `state`: the namespaces, then what a walk meets.
    ///
    /// - Parameter write: Writes blocks until at most so many are under way.
    mutating func fill<Failure: Error>(
        from state: any PersistentState, _ write: (inout SnapshotBlocks, _ rest: Int) throws(Failure) -> Void
    ) throws(Failure) {
        var block = SnapshotBlock()
        block.content = .namespaces
        block.entryCount = state.appendNamespaces(to: &block.raw)
        add(&block)
        // The namespaces are the first block; the order of the others is all the same.
        try write(&self, 0)
        let walk = state.beginWalk()
        while let entries = walk.next(entriesMax: Self.walkEntriesMax, bytesMax: Self.walkBytesMax, into: &block.raw) {
            block.entryCount += entries
            if block.raw.count >= SnapshotBlockHeader.fullBytes {
                add(&block)
                try write(&self, underWayMax)
            }
        }
        if block.entryCount > 0 { add(&block) }
        try write(&self, 0)
    }

    private static let walkEntriesMax = 64
    private static let walkBytesMax = 32_768

    /// Takes what `block` holds, and leaves an empty one in its place.
    private mutating func add(_ block: inout SnapshotBlock) {
        let next = unused.popLast() ?? BlockInHand()
        next.fill(&block)
        underWay += 1
        desk.put(next)
    }

    /// A block that is ready to be written; nil when there is none and at most `rest` are under way.
    ///
    /// While there are more, the caller compresses one itself rather than wait.
    mutating func next(leaving rest: Int) -> BlockInHand? {
        while true {
            if let block = desk.takeFinished() {
                underWay -= 1
                return block
            }
            if underWay <= rest { return nil }
            if let block = desk.takeWaiting() {
                block.compress(with: &deflater)
                underWay -= 1
                return block
            }
            desk.waitForFinished()
        }
    }

    /// Lets a block that was written be used again.
    mutating func giveBack(_ block: BlockInHand) { unused.append(block) }

    consuming func end() {
        desk.end()
        for thread in threads { thread.join() }
    }
}

/// Where blocks lie that wait for a thread, or for the one that writes them.
private final class CompressionDesk: Sendable {
    private struct Piles {
        var waiting: [BlockInHand] = []
        var finished: [BlockInHand] = []
        var isEnding = false
    }

    private let piles = Mutex(Piles())
    private let parkers: [Parker]
    private let writer = Parker()

    init(threads: Int) { parkers = (0..<threads).map { _ in Parker() } }

    func put(_ block: BlockInHand) {
        piles.withLock { $0.waiting.append(block) }
        wakeAll()
    }

    private func wakeAll() {
        for parker in parkers { parker.wake() }
    }

    func takeWaiting() -> BlockInHand? { piles.withLock { $0.waiting.popLast() } }

    func takeFinished() -> BlockInHand? { piles.withLock { $0.finished.popLast() } }

    /// Returns when there may be one; too early at times.
    func waitForFinished() { writer.park(nanoseconds: -1) }

    func end() {
        piles.withLock { $0.isEnding = true }
        wakeAll()
    }

    /// Compresses what waits, until `end`.
    func run(_ index: Int) {
        var deflater = Deflater()
        while true {
            let (block, isEnding) = piles.withLock { ($0.waiting.isEmpty ? nil : $0.waiting.removeFirst(), $0.isEnding) }
            if isEnding { return }
            guard let block else {
                parkers[index].park(nanoseconds: -1)
                continue
            }
            block.compress(with: &deflater)
            piles.withLock { $0.finished.append(block) }
            writer.wake()
        }
    }
}
