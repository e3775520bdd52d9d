// One data directory and the state that lives in it: opens, recovers, keeps the log and takes snapshots until it is closed.
//
// Joins the parts of this room; knows no protocol, reads no setting, and asks the log only what any log can answer. What its
// thread does is a method that a simulation can call instead (`poll`, `snapshotNow`).

import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

/// A store made durable.
///
/// In order: `init`, `recover`, `start`, `close`. Nothing may be written to the state before `recover` has returned.
package final class DurableStore: Sendable {
    package let options: PersistenceOptions
    let clock: any Clock
    let state: any PersistentState
    let buffer: LogBuffer
    let directory: DataDirectory
    /// The log to use instead of segments in the directory.
    private let otherLog: (any ClosedLog)?

    let opened: Mutex<Opened>
    private let keeper = Mutex<Thread?>(nil)
    private let observer = Callback<Void>()
    let isClosing = Atomic<Bool>(false)
    let keeperParker = Parker()
    private let statisticsBox = Mutex(SnapshotStatistics())

    /// What changes while the directory is open.
    struct Opened {
        var manifest: Manifest
        /// The manifest was damaged, so its ceiling is not known.
        var usedPrevious = false
        var isNew = false
        var log: (any LogBackend)?
        var isClosed = false
    }

    let snapshots = Mutex(SnapshotSchedule())
    let healing = Mutex(HealingSchedule())
    private let reportBox = Mutex(RecoveryReport())
    private let manifestFailures = Atomic<Int>(0)
    let healingBox = Mutex(HealingStatistics())
    let scrubRound = Mutex(ScrubRound())
    let scrubBox = Mutex(ScrubStatistics())
    let rot = Mutex(Rot())
    let tooLong = Atomic<Bool>(false)
    private let reserveErrorBox = Mutex<PersistenceError?>(nil)
    private let lagOfServer = Callback<Int64>()
    let finishedWord = Atomic<UInt64>(0)
    let lastFailed = Atomic<Bool>(false)
    /// Held while a snapshot is taken.
    let oneAtATime = Mutex(())

    // MARK: Opening

    /// Takes the directory and reads its manifest.
    ///
    /// - Parameter buffer: The one that `state` stages its records in.
    /// - Parameter log: Where the log is when it is not in the directory.
    package init(
        directory files: any FileSystem, clock: any Clock, state: any PersistentState, buffer: LogBuffer,
        options: PersistenceOptions = PersistenceOptions(), log: (any ClosedLog)? = nil
    ) throws(PersistenceError) {
        self.options = options
        self.clock = clock
        self.state = state
        self.buffer = buffer
        otherLog = log
        try Self.refuse(clock)
        let directory = try DataDirectory(files: files, owner: options.owner)
        self.directory = directory
        let current =
            switch try directory.current() {
            case .empty: Opened(manifest: Manifest(directory: DirectoryID(random: options.random)), isNew: true)
            case .manifest(let manifest): Opened(manifest: manifest)
            case .previous(let manifest): Opened(manifest: manifest, usedPrevious: true)
            }
        opened = Mutex(current)
    }

    /// One start with a clock beyond what an LSN can tell would use up all LSNs there are. So before anything is made or changed:
    ///
    /// - Throws: `clockBeyond`.
    package static func refuse(_ clock: any Clock) throws(PersistenceError) {
        let wall = clock.wall()
        guard wall < ServerTime.wallEnd else { throw .clockBeyond(wall) }
    }

    /// Rebuilds the state from the newest usable snapshot and the log, and begins a new segment. Blocks for as long as that
    /// takes; `progress` may be read meanwhile. When it throws, the directory is as it was, or can be recovered again.
    package func recover(progress: RecoveryProgress = RecoveryProgress()) throws(PersistenceError) -> RecoveryReport {
        let began = clock.elapsed()
        var current = opened.withLock { $0 }
        guard current.log == nil, !current.isClosed else { throw .notOpen }
        // What is found may be there only for the kernel yet: a segment made behind one whose name a power cut then takes back would
        // stand behind a gap.
        try naming(directory.files.path) { () throws(SystemError) in try directory.files.syncDirectory() }
        // Before anything else is made, so that an interrupted first start is not taken for a directory without a manifest.
        if current.isNew { try directory.publish(current.manifest) }
        let past = otherLog
            ?? SegmentedLog(
                files: directory.files, manifest: current.manifest, isPrevious: current.usedPrevious, syncsFirst: true)
        let recovery = Recovery(
            files: directory.files, manifest: current.manifest, log: past, progress: progress, threads: options.loadThreads)
        var recovered = try recovery.run(into: state)
        guard state.recordsNotApplied == 0 else { throw .recordsNotApplied(count: state.recordsNotApplied) }
        // What nobody needs may have the room that the log does.
        if !current.usedPrevious { try directory.removeLeftovers(current.manifest, starting: true) }
        let log = try begin(&current, recovered, past)
        opened.withLock { $0 = current }
        snapshots.withLock { $0.begin(after: recovered, current.manifest, now: clock.elapsed(), durable: log.durableLSN) }
        // A snapshot takes its place.
        if let damage = recovered.report.olderDamage { note(DamageAtRest(damage, file: directory.files.path)) }
        try directory.removeLeftovers(current.manifest, starting: true)
        try log.trim(before: current.manifest.oldestSegment)
        complete(&recovered.report, current, recovered, began)
        progress.enter(.done)
        reportBox.withLock { $0 = recovered.report }
        return recovered.report
    }

    /// Opens the log and publishes that it is; LSNs may be given when this returns.
    private func begin(
        _ current: inout Opened, _ recovered: Recovered, _ past: any ClosedLog
    ) throws(PersistenceError) -> any LogBackend {
        // A clock that went back is not believed, and LSNs have to last until the next poll.
        let wall = max(clock.wall(), recovered.log.newestWall)
        let floor = self.floor(current, recovered, wall)
        guard floor.milliseconds < ServerTime.wallEnd else { throw .lsnsUsedUp(through: floor) }
        let ceiling = LSN(milliseconds: max(wall, floor.milliseconds) + options.ceilingMilliseconds)
        let start = LogStart(
            past: recovered.log, floor: floor, ceiling: ceiling, epoch: max(current.manifest.epoch, recovered.log.epoch) + 1,
            wall: wall)
        let log = try past.open(start, buffer: buffer, clock: clock, options: options)
        // What the manifest before the damaged one calls oldest may be gone since.
        if current.usedPrevious { current.manifest.oldestSegment = try log.part(after: .zero) }
        let damaged = Set(recovered.report.damagedSnapshots.map(\.file))
        try directory.setAside(damaged, at: wall)
        // Or a damaged one would stand for the older generation when the next is taken.
        current.manifest.snapshots.removeAll { damaged.contains(FileName.snapshotName($0.number)) }
        current.manifest.generation += 1
        current.manifest.epoch = start.epoch
        current.manifest.durable = floor
        current.manifest.ceiling = ceiling
        current.manifest.clean = false
        try publish(current.manifest, log)
        buffer.start(after: floor, ceiling: ceiling)
        log.keepRoom()
        current.log = log
        return log
    }

    /// An LSN that is not below any that was ever given, lost ones included, nor behind the clock.
    private func floor(_ current: Opened, _ recovered: Recovered, _ wall: Milliseconds) -> LSN {
        var floor = max(recovered.log.reached, LSN(milliseconds: wall), current.manifest.ceiling)
        // After an orderly stop nothing is missing, and the manifest's ceiling is the last LSN that was given.
        if !(current.manifest.clean && recovered.log.endsClean) { floor = max(floor, recovered.log.ceiling) }
        if current.usedPrevious {
            // The damaged manifest had raised the ceiling at most this far beyond the clock of its time.
            let ahead = 2 * max(options.ceilingMilliseconds, options.idleCeilingMilliseconds)
            floor = max(floor, LSN(milliseconds: max(floor.milliseconds, recovered.log.newestWall) + ahead))
        }
        return floor
    }

    private func complete(
        _ report: inout RecoveryReport, _ current: Opened, _ recovered: Recovered, _ began: Int64
    ) {
        report.isNew = current.isNew
        report.usedPreviousManifest = current.usedPrevious
        report.wasClean = recovered.log.endsClean
        report.clockBehindMilliseconds = max(0, recovered.log.newestWall - clock.wall())
        report.elapsedMilliseconds = (clock.elapsed() - began) / 1_000_000
    }

    // MARK: Running

    /// The log. Only after `recover`.
    package var log: any LogBackend {
        guard let log = opened.withLock({ $0.log }) else { preconditionFailure("recover comes first") }
        return log
    }

    /// `observer` is called after a position of the log advanced, its state changed, or a snapshot ended, by whichever thread
    /// did that. Only after `recover`.
    package func setObserver(_ observer: (@Sendable () -> Void)?) {
        self.observer.set(observer)
        log.setObserver(observer)
    }

    func notify() { observer() }

    /// `lag` says how late the server is with its requests now, in nanoseconds. Snapshots ask it all the time.
    package func setLag(_ lag: (@Sendable () -> Int64)?) { lagOfServer.set(lag) }

    var lag: Int64 { lagOfServer() ?? 0 }

    /// Starts the log, and a thread that takes snapshots and reserves LSNs.
    package func start() throws(PersistenceError) {
        try log.start()
        try naming(directory.files.path) { () throws(SystemError) in
            let thread = try Thread(name: "keeper") { [self] in
                Thread.lowerPriority(by: Self.keeperNiceness)
                while !isClosing.load(ordering: .acquiring) {
                    poll()
                    keeperParker.park(nanoseconds: Self.pollNanoseconds)
                }
            }
            keeper.withLock { $0 = thread }
        }
    }

    static let keeperNiceness: Int32 = 10
    private static let pollNanoseconds: Int64 = 1_000_000_000

    /// Ends the threads, completes and syncs the log, and marks the directory as closed in order. What is staged afterwards
    /// is refused.
    ///
    /// - Throws: `logFailed` when the log could not be completed. The directory is released in any case.
    package func close() throws(PersistenceError) {
        isClosing.store(true, ordering: .releasing)
        let current = opened.withLock { opened in
            defer { opened.isClosed = true }
            return opened
        }
        defer { directory.release() }
        guard !current.isClosed, let log = current.log else { return }
        keeperParker.wake()
        keeper.withLock { $0.take() }?.join()
        try log.close()
        try publish { manifest in
            manifest.clean = true
            manifest.ceiling = max(buffer.appliedLSN, manifest.durable)
        }
    }

    /// What the start found.
    package var recovery: RecoveryReport { reportBox.withLock { $0 } }
    /// Times that a manifest could not be published.
    package var manifestsFailed: Int { manifestFailures.load(ordering: .relaxed) }
    /// Bytes of log that a start would have to replay.
    package var bytesToReplay: Int64 { snapshots.withLock { $0.grown(log.bytesWritten) } }
    /// Where the newest published snapshot begins; zero when there is none.
    package var snapshotLSN: LSN { opened.withLock { $0.manifest.snapshots.first?.begin ?? .zero } }

    /// How much room the directory's disk has; nil when it cannot be told.
    package var freeBytes: Int64? { try? directory.files.freeBytes() }

    // MARK: The manifest

    /// Publishes a change of the manifest.
    func publish(_ change: (inout Manifest) -> Void) throws(PersistenceError) {
        let log = log
        try opened.withLock { opened throws(PersistenceError) in
            var manifest = opened.manifest
            manifest.generation += 1
            manifest.durable = max(manifest.durable, log.durableLSN)
            change(&manifest)
            do throws(PersistenceError) {
                try publish(manifest, log)
            } catch {
                manifestFailures.wrappingAdd(1, ordering: .relaxed)
                // Never twice, whichever of the two is there.
                opened.manifest.generation = manifest.generation
                // After a failed change of names it is not known which manifest a restart would find; before it, none changed.
                if case .system(let cause, FileName.manifestName) = error { log.fail(because: cause, file: FileName.manifestName) }
                throw error
            }
            opened.manifest = manifest
        }
    }

    /// With the room that is kept for it, if there is none otherwise.
    private func publish(_ manifest: Manifest, _ log: any LogBackend) throws(PersistenceError) {
        do throws(PersistenceError) {
            try directory.publish(manifest)
        } catch {
            // Once names have changed it is not known which of the two is there.
            guard case .system(let cause, let file) = error, file != FileName.manifestName, log.giveRoom(because: cause, file: file)
            else { throw error }
            try directory.publish(manifest)
        }
    }

    /// Reserves LSNs ahead of the clock, if the reserve has become small.
    func raiseCeiling() {
        guard let log = opened.withLock({ $0.log }), log.state.isTrusted else { return }
        let isActive = snapshots.withLock { $0.noteActivity(buffer.appliedLSN) }
        let now = max(clock.wall(), buffer.appliedLSN.milliseconds)
        let left = buffer.ceiling.milliseconds - now
        guard left < (isActive ? options.ceilingMilliseconds / 2 : options.ceilingMilliseconds) else { return }
        let ceiling = LSN(milliseconds: now + (isActive ? options.ceilingMilliseconds : options.idleCeilingMilliseconds))
        guard ceiling > buffer.ceiling else { return }
        do {
            try publish { $0.ceiling = ceiling }
            buffer.ceiling = ceiling
            if reserveErrorBox.withLock({ $0.take() }) != nil { options.events.add(.reserveRaised) }
        } catch {
            // Tried again at the next poll. Until the reserve is used up, nothing is refused.
            let isNew = reserveErrorBox.withLock { box in
                defer { box = error }
                return box == nil
            }
            if isNew { options.events.add(.reserveFailed(error, leftMilliseconds: reservedMilliseconds)) }
        }
    }

    /// Why no LSNs could be reserved when that was last tried; nil when they could.
    package var reserveError: PersistenceError? { reserveErrorBox.withLock { $0 } }
    /// For how long writes can go on with what is reserved.
    package var reservedMilliseconds: Milliseconds {
        max(buffer.ceiling.milliseconds - max(clock.wall(), buffer.appliedLSN.milliseconds), 0)
    }

    /// Snapshots taken, failed, and how the last one went.
    package var snapshotStatistics: SnapshotStatistics { statisticsBox.withLock { $0 } }

    func note(_ change: (inout SnapshotStatistics) -> Void) { statisticsBox.withLock { change(&$0) } }
}
