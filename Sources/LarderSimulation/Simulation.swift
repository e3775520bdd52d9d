// A server's storage through many lives under one seed: one thread, a disk that fails, clocks that jump, and after every start
// the question whether all promises were kept.
//
// The code under test is the real one: store, log, snapshots, manifest, recovery. What the server's threads would do is done by
// steps here, so that a run is the same each time.
// Source: the deterministic simulation testing of FoundationDB (W. Wilson, 2014) and TigerBeetle (VOPR).

import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// What is done to the code under test on purpose, so that the harness can be seen to notice.
package struct PlantedDefect: Sendable {
    package var name: String
    /// Stands between persistence and the disk.
    package var files: @Sendable (MemoryFileSystem) -> any FileSystem = { $0 }
    /// Stands between the store and persistence.
    package var state: @Sendable (any PersistentState) -> any PersistentState = { $0 }
    /// Takes what is with the kernel for durable.
    package var acknowledgesEarly = false
    /// Takes writes that are not logged at all for durable.
    package var promisesUnlogged = false

    package init(_ name: String) { self.name = name }
    package static let none = PlantedDefect("none")
}

/// What a run came to.
package struct SimulationOutcome: Sendable {
    package var breach: Breach?
    /// The step at which the promise was found broken.
    package var step = 0
    package var operations = 0
    package var declined = 0
    package var recoveries = 0
    package var snapshots = 0
    /// Times that a log which had failed went on without a restart.
    package var heals = 0
    package var faultsFired = 0
    /// Starts that were rightly refused because of rot.
    package var refusals = 0

    package init() {}

    /// Adds what another run counted.
    package static func += (total: inout SimulationOutcome, outcome: SimulationOutcome) {
        total.operations += outcome.operations
        total.declined += outcome.declined
        total.recoveries += outcome.recoveries
        total.snapshots += outcome.snapshots
        total.heals += outcome.heals
        total.faultsFired += outcome.faultsFired
        total.refusals += outcome.refusals
    }
}

/// One run. Not to be used by two threads at a time.
package final class Simulation: @unchecked Sendable {
    // Safe to send: closures of the disk carry it, and they are called on the thread of the run.
    private let steps: [SimulationStep]
    private let defect: PlantedDefect
    private let trace: ((String) -> Void)?
    private let seed: UInt64
    package let clock = ManualClock()
    package private(set) var reference = Reference()
    package private(set) var life: StorageLife?
    private var files = MemoryFileSystem()
    private var outcome = SimulationOutcome()
    private var lives: UInt64 = 0

    /// Survives a power cut, and survives a kill.
    private var durable = LSN.zero
    private var written = LSN.zero
    private var interval = LSN.zero
    private var writtenTimes: [(lsn: LSN, elapsed: Int64)] = []
    private var newestTime: Milliseconds = .min

    private let armed = Mutex<[ArmedFault]>([])
    private let fired = Mutex<(count: Int, logLies: Int)>((0, 0))
    private var meanwhile: [Operation] = []
    private var problem: String?
    private var hasRotten = false
    /// Sees the disk after every call that changes it; for those who collect crash states.
    package var witness: ((Simulation, SimulatedDisk) -> Void)?

    package init(
        seed: UInt64, steps: [SimulationStep], defect: PlantedDefect = .none, trace: ((String) -> Void)? = nil
    ) {
        self.seed = seed
        self.steps = steps
        self.defect = defect
        self.trace = trace
    }

    /// Runs all steps, or up to the first broken promise.
    package func run() -> SimulationOutcome {
        do throws(Breach) {
            try begin(promised: .zero)
            for (index, step) in steps.enumerated() {
                outcome.step = index
                trace?("\(index): \(step)")
                try perform(step)
                if life == nil { break }
                try observe()
            }
        } catch {
            trace?("\(error)")
            outcome.breach = error
        }
        end()
        outcome.operations = reference.performed
        outcome.declined = reference.declined
        outcome.faultsFired = fired.withLock { $0.count }
        return outcome
    }

    /// What a power cut now has to leave.
    package var promised: LSN { max(durable, life?.log.durableLSN ?? .zero) }
    /// Entries that were due by now may have been swept.
    package var sweptUntil: Milliseconds { newestTime }

    // MARK: Steps

    private func perform(_ step: SimulationStep) throws(Breach) {
        guard let life else { return }
        switch step {
        case .operation(let operation): try perform(operation)
        case .endTurn: life.endTurn()
        case .sync(let operations):
            let wasFull = life.log.state == .full && isQuiet
            meanwhile = operations
            life.sync()
            meanwhile = []
            if wasFull, life.log.state == .full { throw .stuck("the log stays full though there is room") }
        case .pass(let milliseconds): try pass(milliseconds, life)
        case .setClock(let shift): clock.setWall(clock.wall() + shift)
        case .snapshot(let operations):
            during(operations, life) { if (try? life.durable.snapshotNow()) != nil { outcome.snapshots += 1 } }
        case .keep(let operations): try keep(operations, life)
        case .maintain(let budget): _ = life.store.maintain(now: life.now, budget: budget)
        case .fault(let fault): armed.withLock { $0.append(fault) }
        case .restart(let ending, let interrupted): try restart(ending, interrupted, life)
        case .rot(let seed): try rot(seed)
        }
        if let problem { throw .wrong(problem) }
    }

    /// Does `body` with `operations` in between.
    private func during(_ operations: [Operation], _ life: StorageLife, _ body: () -> Void) {
        meanwhile = operations
        life.setMeanwhile { [unowned self] in next() }
        body()
        life.setMeanwhile(nil)
        meanwhile = []
    }

    private func keep(_ operations: [Operation], _ life: StorageLife) throws(Breach) {
        let wasQuiet = isQuiet
        let before = life.durable.healingStatistics.succeeded
        during(operations, life) { life.durable.poll() }
        outcome.heals += life.durable.healingStatistics.succeeded - before
        if wasQuiet, ![.ok, .full].contains(life.log.state) { throw .stuck("it stays so though nothing fails: \(life.log.condition)") }
        // A log that has healed has all of memory on the medium.
        if life.durable.healingStatistics.succeeded > before, life.log.durableLSN < reference.history.last, operations.isEmpty {
            throw .lost("healed at \(life.log.durableLSN.rawValue), but \(reference.history.last.rawValue) was staged")
        }
    }

    private func perform(_ operation: Operation) throws(Breach) {
        guard let life else { return }
        if let problem = reference.perform(operation, on: life) { throw .wrong(problem) }
    }

    /// The next of the operations that come while something else goes on.
    private func next() {
        guard let life, problem == nil, !meanwhile.isEmpty else { return }
        let operation = meanwhile.removeFirst()
        trace?("   meanwhile \(operation)")
        problem = reference.perform(operation, on: life)
        if meanwhile.count % 2 == 0 { life.endTurn() }
    }

    private var isQuiet: Bool { armed.withLock { $0.isEmpty } }

    private func pass(_ milliseconds: Milliseconds, _ life: StorageLife) throws(Breach) {
        // Nobody sleeps through a minute: the keeper reserves LSNs meanwhile.
        var rest = milliseconds
        while rest > 60_000 {
            clock.advance(milliseconds: 60_000)
            try keep([], life)
            rest -= 60_000
        }
        clock.advance(milliseconds: rest)
        if milliseconds % 2 == 0 { _ = life.log.step() }
        guard milliseconds >= 1_000 else { return }
        let wasQuiet = isQuiet
        try keep([], life)
        if wasQuiet, life.log.state == .ok, life.buffer.ceiling.milliseconds <= life.now {
            throw .stuck("no LSNs left at \(life.now), ceiling \(life.buffer.ceiling.milliseconds)")
        }
    }

    /// Notes what is promised now, and whether the positions make sense.
    private func observe() throws(Breach) {
        guard let life else { return }
        let log = life.log
        let (wasWritten, wasInterval) = (written, interval)
        durable = max(durable, log.durableLSN)
        written = max(written, log.writtenLSN)
        interval = log.intervalLSN
        newestTime = max(newestTime, life.now)
        guard log.durableLSN <= log.writtenLSN, log.writtenLSN <= max(life.buffer.appliedLSN, log.durableLSN), interval <= written else {
            throw .wrong("positions \(log.durableLSN.rawValue), \(log.writtenLSN.rawValue), \(life.buffer.appliedLSN.rawValue)")
        }
        if reference.history.owesSync(after: max(wasWritten, durable), through: written) { writtenTimes.append((written, clock.elapsed())) }
        writtenTimes.removeAll { $0.lsn <= durable }
        if interval > wasInterval, interval > durable, let oldest = writtenTimes.first,
            clock.elapsed() - oldest.elapsed > StorageLife.options().boundMilliseconds * 1_000_000
        { throw .wrong("an interval reply was let through beyond the bound") }
    }

    // MARK: Lives

    private func end() {
        files.setFault(nil)
        files.setWitness(nil)
        life = nil
    }

    private func open() throws(PersistenceError) -> StorageLife {
        lives += 1
        files.setWitness { [unowned self] occurrence in
            if let witness { witness(self, files.disk) }
            // What comes while the log syncs is not covered by the sync.
            if occurrence.call == .sync, occurrence.name.hasPrefix("wal-"), life != nil {
                let all = meanwhile
                if !all.isEmpty { next() }
            }
        }
        return try StorageLife(
            defect.files(files), clock: clock, options: StorageLife.options(seed: seed &* 1_000 &+ lives), state: defect.state)
    }

    /// Lets armed faults happen.
    private func arm() {
        files.setFault { [unowned self] occurrence in
            armed.withLock { armed in
                guard let index = armed.firstIndex(where: { $0.call == occurrence.call }) else { return nil }
                if armed[index].after > 0 {
                    armed[index].after -= 1
                    return nil
                }
                let fault = armed[index].fault
                armed[index].count -= 1
                if armed[index].count <= 0 { armed.remove(at: index) }
                let isLogLie = if case .lie = fault { occurrence.name.hasPrefix("wal-") } else { false }
                fired.withLock { $0 = ($0.count + 1, $0.logLies + (isLogLie ? 1 : 0)) }
                trace?("   \(fault) in \(occurrence.call) of \(occurrence.name)")
                return fault
            }
        }
    }

    private func disarm() { armed.withLock { $0 = [] } }

    /// Opens the directory for good, judges what is there, and sees whether it works.
    private func begin(promised: LSN, isRotten: Bool = false) throws(Breach) {
        let firedBefore = fired.withLock { $0 }
        var promised = promised
        if !isQuiet { try lookAhead(promised: promised) }
        arm()
        var attempt = Result { () throws(PersistenceError) in try open() }
        let firedNow = fired.withLock { $0 }
        if firedNow.logLies > firedBefore.logLies { promised = min(promised, durable) }
        if case .failure(let error) = attempt, firedNow.count > firedBefore.count {
            trace?("   refused because of a fault: \(error)")
            files = files.afterKill()
            attempt = Result { () throws(PersistenceError) in try open() }
        }
        disarm()
        switch attempt {
        case .success(let life):
            self.life = life
            outcome.recoveries += 1
            trace?("   \(life.report)")
            try judge(life, promised, isSound: firedNow.count == firedBefore.count)
            try takeUp(life)
            arm()
        case .failure(let error):
            guard isRotten else { throw .refused("\(error); \((try? files.list()) ?? [])") }
            outcome.refusals += 1
            trace?("   refused: \(error)")
        }
    }

    /// Compares a life that has just recovered with the history, and forgets what a crash has undone.
    private func judge(_ life: StorageLife, _ promised: LSN, isSound: Bool = true) throws(Breach) {
        let reached = life.report.reached
        var expected = Expected(reference.history, reached: reached, promised: promised, sweptUntil: newestTime)
        expected.isSound = isSound && !hasRotten
        if let breach = life.breach(of: expected) { throw breach }
        let entries = life.entries()
        if defect.promisesUnlogged, let lost = reference.unloggedKeys.first(where: { entries[$0] == nil }) {
            throw .lost("an unlogged entry of namespace \(lost.space)")
        }
        reference.adopt(expected.content, entries, reached: reached)
    }

    /// Goes on with a life: nothing stands in the way, so it has to work.
    private func takeUp(_ life: StorageLife) throws(Breach) {
        durable = life.log.durableLSN
        written = durable
        interval = written
        writtenTimes = []
        fired.withLock { $0.logLies = 0 }
        life.durable.poll()
        let declined = reference.declined
        try perform(.put(space: 0, key: 100, SimulatedValue(stamp: UInt32(lives), count: 40), .unlimited, .none, metadata: false))
        life.sync()
        guard reference.declined == declined, life.log.state == .ok, life.log.durableLSN >= reference.history.last else {
            throw .stuck("a new life does not take writes: \(life.log.condition)")
        }
    }

    /// Recovers a copy, and so learns what the directory holds before a recovery that may be cut off changes it: the next one
    /// finds the log where the first had begun to go on, behind everything that was lost.
    private func lookAhead(promised: LSN) throws(Breach) {
        let copy = defect.files(files.afterKill())
        do {
            try judge(StorageLife(copy, clock: clock, options: StorageLife.options(seed: seed), state: defect.state), promised)
        } catch let breach as Breach {
            throw breach
        } catch {
            throw .refused("\(error)")
        }
    }

    private func restart(_ ending: Ending, _ interrupted: [Int], _ life: StorageLife) throws(Breach) {
        try observe()
        var promised = durable
        switch ending {
        case .stop:
            // A stop that fails is a kill.
            let isClosed = (try? life.durable.close()) != nil
            promised = isClosed ? reference.history.last : durable
            durable = max(durable, life.log.durableLSN)
            files = files.afterKill()
        case .kill:
            promised = fired.withLock { $0.logLies } > 0 ? durable : written
            files = files.afterKill()
        case .cut(let seed):
            promised = defect.acknowledgesEarly ? written : durable
            let disk = files.disk
            let state = disk.randomCrashState(seed: seed)
            trace?("   \(state)")
            files = MemoryFileSystem(disk.afterPowerCut(state))
        }
        self.life = nil
        for (index, calls) in interrupted.enumerated() {
            try lookAhead(promised: promised)
            files.stop(after: calls)
            let attempt = try? open()
            trace?("   recovery cut off after \(calls) calls: \(attempt == nil ? "failed" : "done")")
            let disk = files.disk
            files = MemoryFileSystem(disk.afterPowerCut(disk.randomCrashState(seed: seed &+ UInt64(calls) &* 31 &+ UInt64(index))))
            // What only the kernel had is gone now, unless the recovery had made it durable.
            promised = min(promised, durable)
        }
        try begin(promised: promised)
        fired.withLock { $0.logLies = 0 }
    }

    private func rot(_ seed: UInt64) throws(Breach) {
        try observe()
        let disk = files.disk
        var rotten = disk.afterPowerCut(disk.randomCrashState(seed: seed))
        life = nil
        guard let rot = Rot(seed: seed, in: rotten) else { return try begin(promised: durable) }
        trace?("   \(rot)")
        let promised = min(durable, rot.promised(in: rotten))
        rotten.damage(rot)
        hasRotten = true
        files = MemoryFileSystem(rotten)
        disarm()
        try begin(promised: promised, isRotten: true)
    }
}

extension Reference {
    /// What is in namespaces that are not logged.
    var unloggedKeys: [ModelKey] {
        content.entries.keys.filter { content.namespaces[$0.space]?.settings.durability == .off }
    }

    /// Goes on from what a recovery found.
    mutating func adopt(_ recovered: ModelContent, _ entries: [ModelKey: ModelEntry], reached: LSN) {
        history.forget(after: reached)
        content = recovered
        // What is not logged is whatever the snapshot had.
        for (key, entry) in entries where recovered.namespaces[key.space]?.settings.durability == .off { content.entries[key] = entry }
    }
}
