// Makes writes survive: takes what the engine staged, writes it as frames, syncs, and publishes how far it came.
//
// Knows frames and files, not what a record means, and holds no lock that an append needs while it waits for the disk.
// Two locks: the write lock covers the end of the file (workers only ever try it), the sync lock, taken before it, covers
// syncing and the change of segments. After the first error that is not a full disk nothing more is written, synced or
// acknowledged: a later success of the same call would prove nothing. How it goes on then: `WriteAheadLog+Healing`.
// Source: A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.

import LarderEngine
import LarderPlatform
import Synchronization

/// The log in the segments of one data directory.
package final class WriteAheadLog: LogBackend {
    let clock: any Clock
    let buffer: LogBuffer
    let options: PersistenceOptions
    let files: any FileSystem
    let directory: DirectoryID
    let epoch: UInt32
    let ballast: Ballast

    private let writtenWord: Atomic<UInt64>
    private let durableWord: Atomic<UInt64>
    private let intervalWord: Atomic<UInt64>
    private let bytesWord = Atomic<Int>(0)
    private let stateWord = Atomic<UInt8>(LogState.ok.rawValue)
    private let isWanted = Atomic<Bool>(false)
    private let conditionBox: Mutex<LogCondition>
    private let observer = Callback<Void>()
    private let statisticsBox = Mutex(LogStatistics())
    private let framesWord = Atomic<Int>(0)
    private let recordsWord = Atomic<Int>(0)
    let parker = Parker()
    private let thread = Mutex<Thread?>(nil)
    private let isClosing = Atomic<Bool>(false)
    private let oldestSegment: Atomic<UInt32>
    let syncing: Mutex<Syncing>
    let writing: Mutex<Writing>

    /// What the write lock covers.
    struct Writing: ~Copyable {
        var writer: LogWriter
        /// How large the segment was made.
        var segmentBytes: Int
        /// When the oldest byte was written that is to be synced within the interval, and that no sync has covered or begun to
        /// cover; elapsed nanoseconds. Records of namespaces with `never` are left to the kernel.
        var unsyncedSince: Int64?
        /// All bytes that no sync has covered or begun to cover.
        var unsyncedBytes = 0
        /// The same for bytes that a sync is covering now.
        var syncingSince: Int64?
        var syncingBytes = 0
        var lastWrite: Int64
        /// Wrote a frame without records that is to be synced at once.
        var wantsSync = false
    }

    /// What the sync lock covers.
    struct Syncing {
        var segments: SegmentFiles
        var isClosed = false
    }

    private static let nanoseconds: Int64 = 1_000_000
    private static let retryNanoseconds: Int64 = 1_000 * nanoseconds
    /// A worker that finds more staged after so many writes leaves the rest to the log's own thread.
    private static let writesMax = 4
    private static let writeBytesMax = 1 << 20

    // MARK: Positions

    package var writtenLSN: LSN { LSN(rawValue: writtenWord.load(ordering: .acquiring)) }
    package var durableLSN: LSN { LSN(rawValue: durableWord.load(ordering: .acquiring)) }
    /// `writtenLSN`, but no further than `durableLSN` while the oldest unsynced byte is older than the bound, or too many are
    /// unsynced.
    package var intervalLSN: LSN { LSN(rawValue: intervalWord.load(ordering: .acquiring)) }
    package var state: LogState {
        // Only ever the raw value of a state.
        LogState(rawValue: stateWord.load(ordering: .acquiring))!
    }
    package var condition: LogCondition { conditionBox.withLock { $0 } }
    package var statistics: LogStatistics {
        var statistics = statisticsBox.withLock { $0 }
        statistics.frames = framesWord.load(ordering: .relaxed)
        statistics.records = recordsWord.load(ordering: .relaxed)
        statistics.unsyncedBytes = writing.withLock { $0.unsyncedBytes + $0.syncingBytes }
        return statistics
    }
    /// Bytes of frames written since the start.
    package var bytesWritten: Int { bytesWord.load(ordering: .relaxed) }
    package var unsyncedMilliseconds: Milliseconds {
        let now = clock.elapsed()
        return writing.withLock { state in
            (state.syncingSince ?? state.unsyncedSince).map { (now - $0) / Self.nanoseconds } ?? 0
        }
    }

    // MARK: Opening

    /// Makes the first segment of this start, with a frame that says from where LSNs go on. Both are on the medium when
    /// this returns; no LSN has been given yet.
    ///
    /// - Parameter floor: Above every LSN that any earlier start can have given.
    init(
        files: any FileSystem, clock: any Clock, buffer: LogBuffer, options: PersistenceOptions, header: SegmentHeader, floor: LSN,
        oldestSegment: UInt32, ballast: Ballast
    ) throws(PersistenceError) {
        self.clock = clock
        self.buffer = buffer
        self.options = options
        self.files = files
        self.oldestSegment = Atomic(oldestSegment)
        directory = header.directory
        epoch = header.epoch
        self.ballast = ballast
        let name = FileName.segmentName(header.number)
        var segments = SegmentFiles(files: files)
        // A whole segment in what the ballast should have would leave no room for the snapshot that makes some.
        if ballast.isShort(beside: options.segmentBytes) { _ = ballast.give() }
        let bytes = try naming(FileName.spareName(header.number)) { () throws(SystemError) in
            try Self.prepare(header, with: &segments, options.segmentBytes, ballast, isStart: true)
        }
        let writer = try naming(name) { () throws(SystemError) in try Self.begin(header, floor, with: &segments) }
        writtenWord = Atomic(floor.rawValue)
        durableWord = Atomic(floor.rawValue)
        intervalWord = Atomic(floor.rawValue)
        conditionBox = Mutex(LogCondition(state: .ok, error: nil, file: name, since: header.wall))
        syncing = Mutex(Syncing(segments: segments))
        writing = Mutex(Writing(writer: writer, segmentBytes: bytes, lastWrite: clock.elapsed()))
        if ballast.isGiven {
            enter(LogCondition(state: .low, error: Ballast.shortage, file: name, since: header.wall))
        }
    }

    /// Puts `header` into the file that will be its segment. A small one, for which the ballast makes room, when there is none for
    /// a whole one.
    ///
    /// - Parameter isStart: Whether a small one will do without a ballast, too: what can be read is better than nothing.
    /// - Returns: How large the file is.
    private static func prepare(
        _ header: SegmentHeader, with segments: inout SegmentFiles, _ whole: Int, _ ballast: Ballast, isStart: Bool = false
    ) throws(SystemError) -> Int {
        let small = min(whole, ballast.segmentBytes)
        do throws(SystemError) {
            let bytes = ballast.isGiven ? small : whole
            try segments.prepare(header, bytes: bytes)
            return bytes
        } catch {
            guard error.isOutOfSpace, ballast.byteCount > 0 || isStart, !ballast.isGiven else { throw error }
            _ = ballast.give()
            try segments.prepare(header, bytes: small)
            return small
        }
    }

    private static func begin(
        _ header: SegmentHeader, _ floor: LSN, with segments: inout SegmentFiles
    ) throws(SystemError) -> LogWriter {
        var writer = LogWriter(file: try segments.publish(header.number).file, header: header)
        writer.beginEmptyFrame(.epochStart, at: floor, durable: header.previousLSN, wall: header.wall)
        _ = try writer.push()
        try writer.file.sync()
        return writer
    }

    package func setObserver(_ observer: (@Sendable () -> Void)?) {
        self.observer.set(observer)
    }

    func notify() { observer() }

    // MARK: Any thread

    package func kick() {
        isWanted.store(true, ordering: .releasing)
        parker.wake()
    }

    @discardableResult
    package func writeIfIdle() -> Bool {
        var advanced = false
        for _ in 0..<Self.writesMax {
            // Pairs with the fence of whoever holds the lock: either this sees it free, or they see what is staged.
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            // So much is not written in a worker's turn, which others wait for.
            if buffer.isEmpty || buffer.byteCount > Self.writeBytesMax || !state.takesRecords { break }
            guard let wrote = writing.withLockIfAvailable({ state in write(&state) }) else { break }
            if !wrote { break }
            advanced = true
        }
        if !buffer.isEmpty { parker.wake() }
        if advanced { notify() }
        return advanced
    }

    /// Writes one batch, if there is one and the segment has room for it.
    private func write(_ state: inout Writing) -> Bool {
        // Asked under the lock: whoever had it may have left a frame for which there was no room.
        guard self.state.takesRecords, state.writer.stage(from: buffer, wall: clock.wall()) else { return false }
        if state.writer.needsSegment(limit: state.segmentBytes) {
            // Only the log's thread changes segments, and nothing else tells it: the batch has left the buffer.
            parker.wake()
            return false
        }
        state.writer.beginFrame(durable: durableLSN)
        return push(&state)
    }

    private func push(_ state: inout Writing) -> Bool {
        let bytes: Int
        let owesSync = state.writer.owesSync
        let records = state.writer.recordsStaged
        do {
            bytes = try pushWhole(&state)
        } catch {
            fail(error, file: FileName.segmentName(state.writer.segment), canBeFull: true)
            return false
        }
        guard bytes > 0 else { return false }
        bytesWord.wrappingAdd(bytes, ordering: .relaxed)
        framesWord.wrappingAdd(1, ordering: .relaxed)
        recordsWord.wrappingAdd(records, ordering: .relaxed)
        let now = clock.elapsed()
        state.lastWrite = now
        state.unsyncedBytes += bytes
        if owesSync, state.unsyncedSince == nil {
            state.unsyncedSince = now
            // So that the log's thread begins to count the interval.
            parker.wake()
        }
        publishWritten(state.writer.reached, &state, now)
        return true
    }

    /// Once more with the room that was kept, if there is none otherwise.
    private func pushWhole(_ state: inout Writing) throws(SystemError) -> Int {
        do throws(SystemError) {
            return try state.writer.push()
        } catch {
            guard giveRoom(because: error, file: FileName.segmentName(state.writer.segment)) else { throw error }
            return try state.writer.push()
        }
    }

    private func publishWritten(_ reached: LSN, _ state: inout Writing, _ now: Int64) {
        precondition(reached >= durableLSN, "durable beyond what was written")
        writtenWord.store(reached.rawValue, ordering: .releasing)
        publishInterval(state, now)
    }

    /// Lets `interval` replies through as far as the bound allows.
    private func publishInterval(_ state: borrowing Writing, _ now: Int64) {
        let oldest = state.syncingSince ?? state.unsyncedSince ?? now
        let isWithinBound =
            now - oldest <= options.boundMilliseconds * Self.nanoseconds
            && state.unsyncedBytes + state.syncingBytes <= options.unsyncedBytesMax
        let position = isWithinBound ? writtenLSN : max(intervalLSN, durableLSN)
        intervalWord.store(position.rawValue, ordering: .releasing)
        if !isWithinBound { kick() }
    }

    // MARK: The log's own thread

    package func start() throws(PersistenceError) {
        let writer = try naming(files.path) { () throws(SystemError) in
            try Thread(name: "log") { [self] in
                while !isClosing.load(ordering: .acquiring) { parker.park(nanoseconds: step()) }
            }
        }
        thread.withLock { $0 = writer }
    }

    /// Writes, syncs, seals and prepares, whatever is due; then says in how many nanoseconds something will be. What the log's
    /// thread does all the time, and a simulation now and then.
    package func step() -> Int64 {
        let before = durableLSN
        let due = syncing.withLock { syncing -> Int64 in
            guard state.isTrusted, !syncing.isClosed else { return -1 }
            return step(&syncing)
        }
        if durableLSN > before { notify() }
        return due
    }

    private func step(_ syncing: inout Syncing) -> Int64 {
        let isWanted = isWanted.exchange(false, ordering: .acquiringAndReleasing)
        let before = writtenLSN
        writing.withLock { state in
            writeAll(&state, &syncing)
            writeIdleFrame(&state)
        }
        if writtenLSN > before { notify() }
        let due = sync(isForced: isWanted)
        if state == .ok { prepareSpare(&syncing) }
        return state == .full ? Self.retryNanoseconds : due
    }

    /// Writes everything that is staged, through changes of segment.
    private func writeAll(_ state: inout Writing, _ syncing: inout Syncing) {
        guard self.state.isTrusted else { return }
        // A full disk: the same bytes again first. Nothing may be staged behind a frame that is not written yet.
        if state.writer.isWriting, !push(&state) { return }
        while self.state.isTrusted, state.writer.stage(from: buffer, wall: clock.wall()) {
            if state.writer.needsSegment(limit: state.segmentBytes), !changeSegment(&state, &syncing) { return }
            state.writer.beginFrame(durable: durableLSN)
            guard push(&state) else { return }
        }
        // Nothing waits for room, whoever it was that found none.
        endFull()
    }

    /// After idleness: a frame that carries the watermark, or the time.
    private func writeIdleFrame(_ state: inout Writing) {
        guard self.state.takesRecords, !state.writer.isBusy, state.unsyncedSince == nil else { return }
        let idle = (clock.elapsed() - state.lastWrite) / Self.nanoseconds
        let isUnsealed = state.writer.watermark < durableLSN && state.unsyncedBytes == 0
        if isUnsealed && idle >= options.sealMilliseconds {
            writeEmptyFrame(.seal, &state)
        } else if idle >= options.heartbeatMilliseconds {
            writeEmptyFrame(.heartbeat, &state)
        }
    }

    private func writeEmptyFrame(_ flags: FrameHeader.Flags, _ state: inout Writing) {
        state.writer.beginEmptyFrame(flags, at: state.writer.reached, durable: durableLSN, wall: clock.wall())
        if push(&state) { state.wantsSync = true }
    }

    /// Syncs what has been written when that is asked for or due. No lock is held that a writer needs.
    ///
    /// - Returns: In how many nanoseconds the next step is due.
    private func sync(isForced: Bool) -> Int64 {
        let now = clock.elapsed()
        // What to sync, or in how many nanoseconds something will be due.
        let task = writing.withLock { state -> (file: (any File)?, mark: LSN, segment: UInt32, due: Int64) in
            let segment = state.writer.segment
            let due: Int64
            if let since = state.unsyncedSince {
                due = since + options.intervalMilliseconds * Self.nanoseconds - now
            } else {
                let isUnsealed = state.writer.watermark < state.writer.reached && state.unsyncedBytes == 0
                let limit = isUnsealed ? options.sealMilliseconds : options.heartbeatMilliseconds
                due = max(limit * Self.nanoseconds - (now - state.lastWrite), 0)
            }
            let isDue =
                isForced || state.wantsSync || state.unsyncedBytes > options.unsyncedBytesMax / 2
                || (state.unsyncedSince != nil && due <= 0)
            guard isDue, state.unsyncedBytes > 0, self.state.isTrusted else { return (nil, .zero, segment, due) }
            state.wantsSync = false
            state.syncingSince = state.unsyncedSince
            state.syncingBytes = state.unsyncedBytes
            state.unsyncedSince = nil
            state.unsyncedBytes = 0
            return (state.writer.file, state.writer.reached, segment, 0)
        }
        guard let file = task.file else { return task.due }
        do throws(SystemError) {
            try sync(file)
        } catch {
            fail(error, file: FileName.segmentName(task.segment), canBeFull: false)
            return -1
        }
        publishDurable(task.mark)
        return 0
    }

    private func sync(_ file: any File) throws(SystemError) {
        let began = clock.elapsed()
        try file.sync()
        let took = clock.elapsed() - began
        statisticsBox.withLock { $0.note(syncFor: took) }
    }

    private func publishDurable(_ mark: LSN) {
        precondition(mark >= durableLSN, "durable goes backwards")
        durableWord.store(mark.rawValue, ordering: .releasing)
        let now = clock.elapsed()
        writing.withLock { state in
            state.syncingSince = nil
            state.syncingBytes = 0
            publishInterval(state, now)
        }
    }

    /// Everything up to `mark` is on the medium, in whatever file.
    func publishAll(_ mark: LSN) {
        writtenWord.store(mark.rawValue, ordering: .releasing)
        durableWord.store(mark.rawValue, ordering: .releasing)
        intervalWord.store(mark.rawValue, ordering: .releasing)
    }

    // MARK: Segments

    /// Ends the segment and begins the next. The old one is on the medium before the new one has its name.
    ///
    /// - Parameter isNeeded: Otherwise it goes on in the old one when there is no room.
    private func changeSegment(_ state: inout Writing, _ syncing: inout Syncing, isNeeded: Bool = true) -> Bool {
        let old = state.writer.file
        guard syncHere(&state) else { return false }
        let header = SegmentHeader(
            number: state.writer.segment + 1, directory: directory, epoch: epoch, previousChecksum: state.writer.checksum,
            firstLSN: LSN(rawValue: state.writer.reached.rawValue + 1), previousLSN: state.writer.reached, salt: options.random(),
            ceiling: buffer.ceiling, wall: clock.wall())
        let name = FileName.segmentName(header.number)
        do throws(SystemError) {
            if isNeeded {
                try prepare(header, &syncing)
            } else {
                try syncing.segments.prepare(header, bytes: options.segmentBytes)
            }
        } catch {
            if !isNeeded && error.isOutOfSpace { return true }
            fail(error, file: name, canBeFull: true)
            return false
        }
        do {
            let next = try syncing.segments.publish(header.number)
            state.writer.change(to: next.file, header)
            state.segmentBytes = next.bytes
            try old.close()
        } catch {
            fail(error, file: name, canBeFull: false)
            return false
        }
        return true
    }

    /// Syncs the segment while nobody else can write.
    private func syncHere(_ state: inout Writing) -> Bool {
        do throws(SystemError) {
            try sync(state.writer.file)
        } catch {
            fail(error, file: FileName.segmentName(state.writer.segment), canBeFull: false)
            return false
        }
        durableWord.store(state.writer.reached.rawValue, ordering: .releasing)
        state.unsyncedSince = nil
        state.unsyncedBytes = 0
        return true
    }

    private func prepare(_ header: SegmentHeader, _ syncing: inout Syncing) throws(SystemError) {
        let wasGiven = ballast.isGiven
        _ = try Self.prepare(header, with: &syncing.segments, options.segmentBytes, ballast)
        guard !wasGiven, ballast.isGiven else { return }
        enterLow(Ballast.shortage, file: FileName.segmentName(header.number))
    }

    private func prepareSpare(_ syncing: inout Syncing) {
        let next = writing.withLock { $0.writer.segment + 1 }
        // Without room for it the next change of segments tries again, and reports it.
        try? syncing.segments.prepare(next, bytes: options.segmentBytes)
    }

    // MARK: Snapshots and closing

    /// A new segment is begun if this one holds records and there is room for another. Otherwise what lies before in the same segment
    /// stays for as long as that does.
    package func cut() throws(PersistenceError) -> LSN {
        let before = durableLSN
        let reached = syncing.withLock { syncing -> LSN? in
            guard state.takesRecords, !syncing.isClosed else { return nil }
            return writing.withLock { state -> LSN? in
                writeAll(&state, &syncing)
                guard self.state.takesRecords else { return nil }
                // What is left on a full disk is for the snapshot.
                guard self.state == .ok else { return syncHere(&state) ? state.writer.reached : nil }
                if state.writer.hasRecords, !changeSegment(&state, &syncing, isNeeded: false) { return nil }
                return state.writer.reached
            }
        }
        if durableLSN > before { notify() }
        guard let reached else { throw .logFailed(condition) }
        return reached
    }

    package func makeDurable(through lsn: LSN) throws(PersistenceError) {
        if durableLSN < lsn {
            isWanted.store(true, ordering: .releasing)
            _ = step()
        }
        guard durableLSN >= lsn else { throw .logFailed(condition) }
    }

    /// The number of the segment. Looks from the newest on: what nobody needs any more need not be readable.
    package func part(after position: LSN) throws(PersistenceError) -> UInt32 {
        let names = try naming(files.path) { () throws(SystemError) in try files.list() }
        let oldest = oldestSegment.load(ordering: .acquiring)
        for number in DataDirectory.segments(names).reversed() where number >= oldest {
            let header = try LogReplay.header(number, files: files)
            guard header.directory == directory, header.number == number else {
                throw .foreignFile(file: FileName.segmentName(number))
            }
            // What an attempt to heal has left is no part.
            if header.beginsAnew, number != oldest { continue }
            if header.previousLSN <= position { return number }
        }
        return oldest
    }

    package func filesAtRest() throws(DamageAtRest) -> [any FileAtRest] {
        do throws(PersistenceError) {
            let names = try naming(files.path) { () throws(SystemError) in try files.list() }
            let headers = try LogReplay.headers(
                DataDirectory.segments(names), from: oldestSegment.load(ordering: .acquiring), files: files, directory: directory)
            return zip(headers, headers.dropFirst()).map { SegmentAtRest(files: files, header: $0, next: $1) }
        } catch {
            throw DamageAtRest(error, file: files.path)
        }
    }

    package func trim(before part: UInt32) throws(PersistenceError) {
        oldestSegment.store(part, ordering: .releasing)
        let current = writing.withLock { $0.writer.segment }
        for name in try naming(files.path, { () throws(SystemError) in try files.list() }) {
            let isLeftover =
                switch FileName(name) {
                case .segment(let number): number < part
                // One whose segment has been made otherwise.
                case .spare(let number): number <= current
                default: false
                }
            if isLeftover { try? files.remove(name) }
        }
    }

    package func close() throws(PersistenceError) {
        isClosing.store(true, ordering: .releasing)
        parker.wake()
        thread.withLock { $0.take() }?.join()
        buffer.refuse()
        let before = durableLSN
        let isClean = syncing.withLock { syncing -> Bool in
            guard !syncing.isClosed else { return true }
            syncing.isClosed = true
            writing.withLock { state in writeAll(&state, &syncing) }
            _ = sync(isForced: true)
            let isWhole = state.takesRecords && durableLSN == writtenLSN
            if isWhole {
                writing.withLock { state in writeEmptyFrame(.clean, &state) }
                _ = sync(isForced: true)
            }
            syncing.segments.discardSpare()
            writing.withLock { state in
                do throws(SystemError) {
                    try state.writer.file.close()
                } catch {
                    fail(error, file: FileName.segmentName(state.writer.segment), canBeFull: false)
                }
            }
            return isWhole && state.takesRecords
        }
        if durableLSN > before { notify() }
        guard isClean else { throw .logFailed(condition) }
        enter(LogCondition(state: .closed, error: nil, file: condition.file, since: clock.wall()))
        notify()
    }

    // MARK: Errors

    package func fail(because error: SystemError, file: String) {
        fail(error, file: file, canBeFull: false)
    }

    private func fail(_ error: SystemError, file: String, canBeFull: Bool) {
        let target: LogState = canBeFull && error.isOutOfSpace ? .full : .failed
        let isNew = conditionBox.withLock { condition in
            // What came first is the cause; and whoever heals the log hears of its own errors.
            guard target.rawValue > condition.state.rawValue else { return false }
            enter(LogCondition(state: target, error: error, file: file, since: clock.wall()), &condition)
            return true
        }
        guard isNew else { return }
        notify()
        // So that the log's thread begins to try again.
        if target == .full { parker.wake() }
    }

    private func endFull() {
        guard state == .full else { return }
        let isOver = conditionBox.withLock { condition in
            guard condition.state == .full else { return false }
            let next: LogState = ballast.isGiven ? .low : .ok
            enter(LogCondition(state: next, error: next == .ok ? nil : condition.error, file: condition.file, since: clock.wall()), &condition)
            return true
        }
        if isOver { notify() }
    }

    // MARK: Room

    package func giveRoom(because error: SystemError, file: String) -> Bool {
        guard error.isOutOfSpace, ballast.give() else { return false }
        enterLow(error, file: file)
        return true
    }

    /// In a worse state nothing changes; that it is low then shows when the state gets better.
    private func enterLow(_ error: SystemError, file: String) {
        let isNew = conditionBox.withLock { condition in
            guard condition.state == .ok else { return false }
            enter(LogCondition(state: .low, error: error, file: file, since: clock.wall()), &condition)
            return true
        }
        if isNew { notify() }
    }

    package func keepRoom() {
        guard state.isTrusted, ballast.byteCount > 0, !ballast.isLaid else { return }
        let wasGiven = ballast.isGiven
        // To find that out by trying would take what deletes and a snapshot need, for a moment.
        if wasGiven, ballast.isShort(beside: options.segmentBytes) { return }
        do throws(SystemError) {
            try ballast.lay()
        } catch {
            if !wasGiven, ballast.isGiven { enterLow(error, file: FileName.ballastName) }
            return
        }
        guard wasGiven else { return }
        // Without a whole segment it would be full again at once.
        guard syncing.withLock({ prepareWhole(&$0) }) else {
            _ = ballast.give()
            return
        }
        let isOver = conditionBox.withLock { condition in
            guard condition.state == .low else { return false }
            enter(LogCondition(state: .ok, error: nil, file: condition.file, since: clock.wall()), &condition)
            return true
        }
        if isOver { notify() }
    }

    private func prepareWhole(_ syncing: inout Syncing) -> Bool {
        guard !syncing.isClosed else { return false }
        let next = writing.withLock { $0.writer.segment + 1 }
        return (try? syncing.segments.prepare(next, bytes: options.segmentBytes)) != nil
    }

    func enter(_ next: LogCondition) { conditionBox.withLock { enter(next, &$0) } }

    /// Changes the state, and whether records are taken with it: one does not change without the other.
    private func enter(_ next: LogCondition, _ condition: inout LogCondition) {
        switch next.state {
        case .ok where !isClosing.load(ordering: .acquiring): buffer.accept()
        case .low where !isClosing.load(ordering: .acquiring): buffer.acceptRemovals()
        default: buffer.refuse()
        }
        if condition.state == .ok || next.state == .failed && condition.state != .healing {
            statisticsBox.withLock { statistics in
                switch next.state {
                case .low, .full: statistics.shortages += 1
                case .failed: statistics.failures += 1
                default: break
                }
            }
        }
        condition = next
        stateWord.store(next.state.rawValue, ordering: .releasing)
        options.events.add(.log(next))
    }
}
