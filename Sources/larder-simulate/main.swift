// Replays a seed of the simulator and says what happened, or searches seeds for a broken promise and shrinks what it finds.
//
//     larder-simulate --seed 17 [--kind faults] [--steps 120] [--shrink]
//     larder-simulate --from 1 --count 10000

import Glibc
import LarderPlatform
import LarderSimulation

struct Arguments {
    var seed: UInt64?
    var from: UInt64 = 1
    var count: UInt64 = 1_000
    var steps = 120
    var kind: SimulationKind?
    var shrinks = false

    init?(_ words: [String]) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--shrink": shrinks = true
            case "--seed", "--from", "--count", "--steps":
                guard let number = words.popFirst().flatMap({ UInt64($0) }) else { return nil }
                switch word {
                case "--seed": seed = number
                case "--from": from = number
                case "--count": count = number
                default: steps = Int(clamping: number)
                }
            case "--kind":
                let name = words.popFirst() ?? ""
                kind = SimulationKind.allCases.first { "\($0)" == name }
                if kind == nil { return nil }
            default: return nil
            }
        }
        if from.addingReportingOverflow(count).overflow { return nil }
    }
}

func steps(_ seed: UInt64, _ arguments: Arguments) -> [SimulationStep] {
    SimulationStep.sequence(seed: seed, kind: arguments.kind ?? .of(seed), count: arguments.steps)
}

/// Runs one seed aloud.
func replay(_ seed: UInt64, _ arguments: Arguments) -> Bool {
    var sequence = steps(seed, arguments)
    if arguments.shrinks, let breach = Simulation(seed: seed, steps: sequence).run().breach {
        sequence = shrunk(sequence) { Simulation(seed: seed, steps: $0).run().breach != nil }
        print("shrunk to \(sequence.count) steps; the whole sequence gave: \(breach)")
    }
    let outcome = Simulation(seed: seed, steps: sequence, trace: { print($0) }).run()
    print(outcome)
    return outcome.breach == nil
}

guard let arguments = Arguments(Array(CommandLine.arguments.dropFirst())) else {
    print("usage: larder-simulate --seed N [--kind calm|crashes|faults|clocks|rot] [--steps N] [--shrink]")
    print("       larder-simulate --from N --count N [--kind …] [--steps N]")
    // As `larder` has it: EX_USAGE.
    exit(64)
}
if let seed = arguments.seed { exit(replay(seed, arguments) ? 0 : 1) }
let clock = SystemClock()
let began = clock.elapsed()
var failed = 0
var total = SimulationOutcome()
for seed in arguments.from..<(arguments.from + arguments.count) {
    let outcome = Simulation(seed: seed, steps: steps(seed, arguments)).run()
    total += outcome
    guard let breach = outcome.breach else { continue }
    failed += 1
    print("seed \(seed) step \(outcome.step): \(breach)")
}
print("\(arguments.count) seeds, \(failed) failed, \((clock.elapsed() - began) / 1_000_000) ms; \(total)")
exit(failed == 0 ? 0 : 1)
