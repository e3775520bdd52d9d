import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import TestFigures
import Testing

/// Every state that a power cut can leave of some runs, each recovered and judged (docs/reliability.md).
@Suite("Crash states") struct CrashStateTests {
    /// The disk after one call of the file system, and what had been promised by then.
    private struct Boundary: Sendable {
        var disk: SimulatedDisk
        var promised: LSN
        var given: LSN
        var sweptUntil: Milliseconds
    }

    /// A run that has ended, with all its boundaries.
    private struct Recorded: Sendable {
        var boundaries: [Boundary]
        var timeline: ModelTimeline
        var wall: Milliseconds
        var heals: Int
    }

    private func record(_ seed: UInt64, _ steps: [SimulationStep], from first: Int = 0) throws -> Recorded {
        let simulation = Simulation(seed: seed, steps: steps)
        let boundaries = Mutex<[Boundary]>([])
        simulation.witness = { simulation, disk in
            let given = max(simulation.life?.buffer.appliedLSN ?? .zero, simulation.reference.history.given)
            let boundary = Boundary(
                disk: disk, promised: simulation.promised, given: given, sweptUntil: simulation.sweptUntil)
            boundaries.withLock { $0.append(boundary) }
        }
        let outcome = simulation.run()
        try #require(outcome.breach == nil, "seed \(seed): \(String(describing: outcome.breach))")
        return Recorded(
            boundaries: Array(boundaries.withLock { $0 }.dropFirst(first)), timeline: simulation.reference.history.timeline,
            wall: simulation.clock.wall(), heals: outcome.heals)
    }

    /// First start, every operation, segments that fill, snapshots with writes meanwhile, truncation, a log that fails and heals,
    /// once at the second attempt, stops and starts. Turns end
    /// often and syncs come rarely, so that there is much that a power cut can take.
    static func canonicalRun(_ seed: UInt64) -> [SimulationStep] {
        var random = SeededGenerator(seed: seed)
        var steps = (1..<Operation.spaces.count).map { SimulationStep.operation(.create(space: $0)) }
        var stamp: UInt32 = 0
        func operation() -> Operation {
            stamp += 1
            return .random(&random, stamp: stamp, keys: 16)
        }
        for round in 0..<6 {
            for index in 0..<24 {
                steps.append(.operation(operation()))
                if index % 2 == 1 { steps.append(.endTurn) }
                if index % 11 == 10 { steps.append(.sync([operation(), operation()])) }
            }
            steps.append(.operation(.put(space: 0, key: round, SimulatedValue(stamp: stamp, count: 3_900), .keep, .none, metadata: true)))
            steps.append(.sync([]))
            steps.append(.pass(60))
            if round % 2 == 1 { steps.append(.snapshot([operation(), operation(), operation()])) }
            if round == 2 || round == 4 {
                steps.append(.fault(ArmedFault(.sync, .lie(SystemError.inputOutput))))
                steps += [.operation(operation()), .endTurn, .operation(operation()), .sync([operation()]), .operation(operation())]
                if round == 4 { steps += [.fault(ArmedFault(.rename, after: 2, .error(SystemError.inputOutput))), .keep([operation()])] }
                steps += [.keep([operation(), operation()]), .operation(operation()), .endTurn]
            }
            if round == 3 { steps.append(.restart(.stop, interrupted: [])) }
        }
        steps += [.snapshot([operation()]), .pass(1_000), .operation(operation()), .endTurn, .restart(.stop, interrupted: [])]
        return steps
    }

    /// Recovers one state.
    private func recover(_ disk: SimulatedDisk, _ boundary: Boundary, _ run: Recorded) -> (reached: LSN, breach: Breach?) {
        let life: StorageLife
        do {
            life = try StorageLife(
                MemoryFileSystem(disk), clock: ManualClock(wall: run.wall), options: StorageLife.options(seed: 77))
        } catch {
            return (.zero, .refused("\(error)"))
        }
        let expected = Expected(
            run.timeline, reached: life.report.reached, promised: boundary.promised, given: boundary.given,
            sweptUntil: boundary.sweptUntil)
        return (life.report.reached, life.breach(of: expected))
    }

    /// The distinct states of one run. A state is recovered once, though the power may be cut at several calls for it: what it
    /// came to has to hold what was promised at the last of them.
    private final class States: Sendable {
        private struct Known {
            var reached = LSN(rawValue: .max)
            var promised: LSN
            var call: Int
        }

        private let known = Mutex<[UInt64: Known]>([:])
        var count: Int { known.withLock { $0.count } }

        /// - Returns: Whether the state is new, and the caller's to try.
        func claim(_ fingerprint: UInt64, promised: LSN, call: Int) -> Bool {
            known.withLock { known in
                guard var state = known[fingerprint] else {
                    known[fingerprint] = Known(promised: promised, call: call)
                    return true
                }
                if state.promised < promised {
                    state.promised = promised
                    state.call = call
                    known[fingerprint] = state
                }
                return false
            }
        }

        func note(_ fingerprint: UInt64, reached: LSN) { known.withLock { $0[fingerprint]?.reached = reached } }

        /// Adds the states in which a promise of a later call is not kept.
        func judge(_ findings: Findings, _ label: String) {
            for state in known.withLock({ $0.values }) where state.reached < state.promised {
                findings.add(.lost("reached \(state.reached.rawValue), promised \(state.promised.rawValue)"), "\(label) call \(state.call)")
            }
        }
    }

    /// Tries some states of a boundary.
    private func explore(
        _ crashes: some Sequence<CrashState>, _ call: Int, _ run: Recorded, _ states: States, _ findings: Findings, _ label: String
    ) {
        let boundary = run.boundaries[call]
        for crash in crashes {
            let disk = boundary.disk.afterPowerCut(crash)
            let fingerprint = disk.fingerprint
            guard states.claim(fingerprint, promised: boundary.promised, call: call) else { continue }
            let (reached, breach) = recover(disk, boundary, run)
            // What is found here need not be found again.
            states.note(fingerprint, reached: breach == nil ? reached : LSN(rawValue: .max))
            if let breach { findings.add(breach, "\(label) call \(call) \(crash)") }
        }
    }

    /// So many at random, beside all that there are by rule.
    static let randomStatesOfCall = 32

    @Test func `every state that a power cut can leave of a whole run is a prefix with everything promised`() throws {
        let began = ContinuousClock.now
        let findings = Findings()
        var distinct = 0
        var boundaries = 0
        var seed = Scale.seed
        while distinct < Scale.crashStates {
            let run = try record(seed, Self.canonicalRun(seed))
            if seed == Scale.seed { try expectCanonical(run) }
            let states = States()
            inParallel(run.boundaries.count) { [seed] call in
                let disk = run.boundaries[call].disk
                var crashes = disk.crashStates
                if disk.unsyncedCount > 0 {
                    crashes += (0..<Self.randomStatesOfCall).map { disk.randomCrashState(seed: UInt64(call) << 20 | UInt64($0)) }
                }
                explore(crashes, call, run, states, findings, "run \(seed)")
            }
            states.judge(findings, "run \(seed)")
            distinct += states.count
            boundaries += run.boundaries.count
            seed += 1
        }
        #expect(findings.texts == [])
        Figure(
            "power cuts between \(Figure.grouped(boundaries)) calls of whole runs", distinct, "crash states", lost: findings.lost,
            wrong: findings.wrong, seeds: Scale.seed...(seed - 1)
        ).record("21-crash-states", since: began)
    }

    /// The run passes through what it is said to pass through.
    private func expectCanonical(_ run: Recorded) throws {
        var names: Set<String> = []
        for boundary in run.boundaries { names.formUnion(boundary.disk.content.keys) }
        #expect(run.boundaries.count > 300)
        #expect(run.heals >= 2)
        #expect(names.filter { $0.hasPrefix("wal-") }.count > 3)
        #expect(names.filter { $0.hasPrefix("snap-") && !$0.hasSuffix(".tmp") }.count > 2)
        let last = try #require(run.boundaries.last).disk.content
        #expect(last[FileName.segmentName(1)] == nil, "the log was never cut")
    }

    // MARK: All short workloads

    /// What a short workload consists of.
    enum Act: CaseIterable {
        case set, overwrite, delete, flush, sync, rotate, snapshot, truncate

        func steps(_ stamp: UInt32) -> [SimulationStep] {
            func put(_ key: Int, _ count: Int) -> SimulationStep {
                .operation(.put(space: 0, key: key, SimulatedValue(stamp: stamp, count: count), .unlimited, .none, metadata: false))
            }
            return switch self {
            case .set: [put(Int(stamp), 60), .endTurn]
            case .overwrite: [put(0, 700), .endTurn]
            case .delete: [.operation(.remove(space: 0, key: 0, .none)), .endTurn]
            case .flush: [.operation(.flush(space: 0)), .endTurn]
            case .sync: [.sync([])]
            case .rotate: [put(20, 2_500), .sync([]), put(21, 2_500), .sync([])]
            case .snapshot: [.snapshot([])]
            case .truncate: [.snapshot([]), put(22, 30), .snapshot([])]
            }
        }
    }

    private static let prologue = Act.set.steps(0) + [.sync([])]

    @Test func `every sequence of up to three acts survives a power cut at every call`() throws {
        let began = ContinuousClock.now
        var sequences: [[Act]] = [[]]
        for _ in 0..<3 { sequences += sequences.flatMap { sequence in Act.allCases.map { sequence + [$0] } } }
        let all = Array(Set(sequences).subtracting([[]])).sorted { "\($0)" < "\($1)" }
        #expect(all.count == 584)
        let findings = Findings()
        let distinct = Counter()
        let first = try record(1, Self.prologue).boundaries.count
        inParallel(all.count) { index in
            var steps = Self.prologue
            for (place, act) in all[index].enumerated() { steps += act.steps(UInt32(place + 1)) }
            // Every workload begins alike, so those states are tried once.
            guard let run = try? record(1, steps, from: index == 0 ? 0 : first) else {
                return findings.add("\(all[index]) does not run")
            }
            let states = States()
            for (call, boundary) in run.boundaries.enumerated() {
                let random = (0..<2).map { boundary.disk.randomCrashState(seed: UInt64(index * 1_000 + call * 4 + $0)) }
                explore(boundary.disk.crashStates + random, call, run, states, findings, "\(all[index])")
            }
            states.judge(findings, "\(all[index])")
            distinct.add(states.count)
        }
        #expect(findings.texts == [])
        Figure(
            "power cuts in all \(all.count) sequences of up to three acts", distinct.value, "crash states", lost: findings.lost,
            wrong: findings.wrong
        ).record("22-short-workloads", since: began)
    }

    @Test func `recovery that is cut off at any call can be repeated, with the same result`() throws {
        let began = ContinuousClock.now
        let run = try record(Scale.seed, Self.canonicalRun(Scale.seed))
        let findings = Findings()
        let count = Counter()
        let sample = stride(from: 7, to: run.boundaries.count, by: max(1, run.boundaries.count / 24)).map { $0 }
        // Each of them also with a manifest that has rotted, so that the start goes through the one before it.
        inParallel(sample.count * 2) { index in
            let place = index / 2
            let boundary = run.boundaries[sample[place]]
            var disk = boundary.disk.afterPowerCut(boundary.disk.randomCrashState(seed: UInt64(place)))
            if index % 2 == 1 {
                let files = MemoryFileSystem(disk)
                guard files.content(FileName.manifestName) != nil, files.content(FileName.previousManifestName) != nil else { return }
                files.flip(bit: 200, of: FileName.manifestName)
                disk = files.disk
            }
            guard let reference = try? StorageLife(MemoryFileSystem(disk), clock: ManualClock(wall: run.wall)) else {
                return findings.add("call \(sample[place]) is refused")
            }
            let entries = reference.entries()
            for calls in 0..<60 {
                let files = MemoryFileSystem(disk)
                files.stop(after: calls)
                let attempt = try? StorageLife(files, clock: ManualClock(wall: run.wall), options: StorageLife.options(seed: 3))
                let left = files.disk
                for second in 0..<4 as Range<UInt64> {
                    let cut = left.afterPowerCut(left.randomCrashState(seed: second << 32 | UInt64(calls)))
                    count.add(1)
                    let repeated = try? StorageLife(
                        MemoryFileSystem(cut), clock: ManualClock(wall: run.wall), options: StorageLife.options(seed: 5))
                    if repeated?.entries() != entries { findings.add("call \(sample[place]), cut off after \(calls), \(second)") }
                    if let repeated, repeated.buffer.appliedLSN < boundary.given { findings.add("an LSN would be used twice") }
                }
                if attempt != nil { break }
            }
        }
        #expect(findings.texts == [])
        Figure("recoveries cut off at any call and repeated", count.value, "recoveries", lost: findings.lost, wrong: findings.wrong)
            .record("23-cut-off-recoveries", since: began)
    }
}
