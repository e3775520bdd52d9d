// Applies the records of the log on several threads, in order for each key.
//
// One thread reads, verifies and hands over; the keys are dealt out to the others by their numbers, so all records of a key
// go through one queue. A record that concerns more than one key waits until all before it are applied, and those behind
// it wait for it. A thread has one batch waiting at most, so a reader that is ahead waits as well.

import LarderEngine
import LarderPlatform
import Synchronization

/// Threads that apply records. `finish` ends them, and has to be called.
struct ReplayThreads: ~Copyable {
    private let state: any RestorableState
    private let parker = Parker()
    private let appliers: [Applier]
    private let threads: [Thread]
    private let progress: RecoveryProgress
    /// How many bytes of records were applied since the state last let go of anything.
    private var bytesSinceRelease = 0
    private var waiting: InlineArray<8, RecordBatch> = InlineArray { _ in RecordBatch() }

    /// More would wait for the one that reads.
    static let threadsMax = 8

    /// - Parameter count: How many threads there are to be; with fewer than two the caller's own does all.
    init(_ count: Int, state: any RestorableState, progress: RecoveryProgress) {
        self.state = state
        self.progress = progress
        var appliers: [Applier] = []
        var threads: [Thread] = []
        for index in 0..<(count < 2 ? 0 : min(count, Self.threadsMax)) {
            let applier = Applier(state, reader: parker)
            // With a thread that cannot be had there are fewer parts.
            guard let thread = try? Thread(name: "replay-\(index)", { applier.run() }) else { break }
            appliers.append(applier)
            threads.append(thread)
        }
        self.appliers = appliers
        self.threads = threads
    }

    /// Sees to it that a record is applied, at the latest when `finish` returns.
    mutating func apply(_ record: borrowing LogRecord) {
        // What does not fit is refused as a whole, so there is no use in filling up what is left.
        if state.recordsWithoutMemory > 0 { return }
        releaseNowAndThen(before: record.byteCount)
        guard !appliers.isEmpty, let number = state.number(of: record) else {
            settle()
            state.apply(record)
            return
        }
        let part = Int(truncatingIfNeeded: number.multipliedFullWidth(by: UInt64(appliers.count)).high)
        waiting[part].append(record, number: number)
        if waiting[part].isFull { handOver(part) }
    }

    /// Lets go of what was over by the time of the log, or entries with short lifetimes would pile up as they never did while
    /// they were written.
    private mutating func releaseNowAndThen(before bytes: Int) {
        bytesSinceRelease += bytes
        guard bytesSinceRelease >= Self.bytesPerReleaseWhenShort else { return }
        guard bytesSinceRelease >= Self.bytesPerRelease || state.isShortOfMemory else { return }
        bytesSinceRelease = 0
        settle()
        state.release(expiredAt: progress.released)
    }

    /// Often enough to stay near what the server had in use, rarely enough to cost nothing.
    private static let bytesPerRelease = 4 << 20
    private static let bytesPerReleaseWhenShort = 256 << 10

    /// Returns when all records so far are applied.
    private mutating func settle() {
        for part in appliers.indices where !waiting[part].isEmpty { handOver(part) }
        for applier in appliers {
            while !applier.isIdle { parker.park(nanoseconds: -1) }
        }
    }

    private mutating func handOver(_ part: Int) {
        while !appliers[part].offer(&waiting[part]) { parker.park(nanoseconds: -1) }
    }

    /// Returns when all records are applied and the threads have ended.
    consuming func finish() {
        settle()
        for applier in appliers { applier.end() }
        for thread in threads { thread.join() }
    }
}

/// One thread and the batch that waits for it.
private final class Applier: Sendable {
    private struct Desk: ~Copyable, Sendable {
        /// Empty: there is none.
        var waiting = RecordBatch()
        var isBusy = false
        var isEnding = false
    }

    private let state: any RestorableState
    private let reader: Parker
    private let parker = Parker()
    private let desk = Mutex(Desk())

    init(_ state: any RestorableState, reader: Parker) {
        self.state = state
        self.reader = reader
    }

    var isIdle: Bool { desk.withLock { $0.waiting.isEmpty && !$0.isBusy } }

    /// Takes `batch` if none is waiting, and gives back an empty one for it.
    func offer(_ batch: inout RecordBatch) -> Bool {
        let isTaken = desk.withLock { desk in
            guard desk.waiting.isEmpty else { return false }
            swap(&desk.waiting, &batch)
            return true
        }
        if isTaken { parker.wake() }
        return isTaken
    }

    func end() {
        desk.withLock { $0.isEnding = true }
        parker.wake()
    }

    func run() {
        var batch = RecordBatch()
        while true {
            let isEnding = desk.withLock { desk in
                swap(&desk.waiting, &batch)
                desk.isBusy = !batch.isEmpty
                return desk.isEnding
            }
            if batch.isEmpty {
                // Whoever waits for idleness waits for this.
                reader.wake()
                if isEnding { return }
                parker.park(nanoseconds: -1)
            } else {
                // The desk is free for the next one.
                reader.wake()
                batch.apply(to: state)
                batch.removeAll()
            }
        }
    }
}
