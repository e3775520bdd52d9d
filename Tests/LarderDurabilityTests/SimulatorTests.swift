import LarderSimulation
import Synchronization
import TestFigures
import Testing

/// Many lives of a server's storage under a seed, with everything going wrong that can (docs/reliability.md).
@Suite("Simulator") struct SimulatorTests {
    /// Runs seeds and reports the first broken promises, shrunk.
    private func run(_ count: Int, kind: SimulationKind?, steps: Int) -> (findings: Findings, total: SimulationOutcome) {
        let findings = Findings()
        let total = Mutex(SimulationOutcome())
        inParallel(count) { index in
            let seed = Scale.seed &+ UInt64(index)
            let sequence = SimulationStep.sequence(seed: seed, kind: kind ?? .of(seed), count: steps)
            let outcome = Simulation(seed: seed, steps: sequence).run()
            total.withLock { $0 += outcome }
            guard let breach = outcome.breach else { return }
            findings.add(isLoss: breach.isLoss, Self.describe(seed, kind ?? .of(seed), steps, sequence, breach))
        }
        return (findings, total.withLock { $0 })
    }

    static func describe(
        _ seed: UInt64, _ kind: SimulationKind, _ count: Int, _ steps: [SimulationStep], _ breach: Breach
    ) -> String {
        let short = shrunk(steps) { Simulation(seed: seed, steps: $0).run().breach != nil }
        return """
            seed \(seed): \(breach)
            replay: swift run -c release larder-simulate --seed \(seed) --kind \(kind) --steps \(count) --shrink
            shrunk: \(short.map { "\($0)" }.joined(separator: "\n        "))
            """
    }

    private func seeds(_ count: Int) -> ClosedRange<UInt64> { Scale.seed...(Scale.seed &+ UInt64(max(count, 1) - 1)) }

    @Test func `the store does what the model does, and every orderly restart gives it back`() {
        let began = ContinuousClock.now
        let (findings, total) = run(Scale.modelSeeds, kind: .calm, steps: 200)
        #expect(findings.texts == [])
        #expect(total.recoveries > Scale.modelSeeds)
        Figure(
            "store against a model, \(Figure.grouped(total.operations)) operations", Scale.modelSeeds, "seeds", lost: findings.lost,
            wrong: findings.wrong, seeds: seeds(Scale.modelSeeds)
        ).record("11-model", since: began)
    }

    @Test func `every life after a crash keeps every promise`() {
        let began = ContinuousClock.now
        let (findings, total) = run(Scale.seeds, kind: nil, steps: 120)
        #expect(findings.texts == [])
        #expect(total.recoveries > 2 * Scale.seeds)
        #expect(total.snapshots > Scale.seeds / 2)
        #expect(total.faultsFired > Scale.seeds)
        #expect(total.heals > Scale.seeds / 10)
        // Rot is not always where it has to be noticed, but it is now and then.
        #expect(Scale.seeds < 1_000 || total.refusals > 0)
        Figure(
            "simulated lives: \(Figure.grouped(total.recoveries)) recoveries, \(Figure.grouped(total.faultsFired)) faults, \(Figure.grouped(total.heals)) logs healed", Scale.seeds,
            "seeds", lost: findings.lost, wrong: findings.wrong, seeds: seeds(Scale.seeds)
        ).record("12-simulator", since: began)
    }

    /// Its header says where memory was, and no manifest names it: a start passes it over.
    @Test func `a segment that an attempt to heal had left was taken for a promise`() {
        let steps = SimulationStep.sequence(seed: 2_011_318, kind: .rot, count: 120)
        #expect(Simulation(seed: 2_011_318, steps: steps).run().breach == nil)
    }

    @Test func `the same seed gives the same run`() {
        for seed in 1...10 as ClosedRange<UInt64> {
            let runs = (0..<2).map { _ in
                var lines: [String] = []
                let steps = SimulationStep.sequence(seed: seed, kind: .rot)
                _ = Simulation(seed: seed, steps: steps, trace: { lines.append($0) }).run()
                return lines
            }
            #expect(runs[0] == runs[1], "seed \(seed)")
        }
    }

    @Test func `shrinking leaves what the failure needs`() {
        let short = shrunk(Array(0..<1_000)) { $0.contains(17) && $0.contains(800) }
        #expect(short == [17, 800])
    }
}
