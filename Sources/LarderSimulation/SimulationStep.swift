// What happens in a simulation, step by step: plain values, chosen by a seed before the run begins, so that a failing run can be
// shrunk by leaving steps out.

import LarderEngine
import LarderPlatform

/// A fault that waits for its call.
package struct ArmedFault: Sendable, Equatable {
    package var call: MemoryFileSystem.Call
    /// How many calls of the kind go well before.
    package var after: Int
    /// How many then fail.
    package var count: Int
    package var fault: MemoryFileSystem.Fault

    package init(_ call: MemoryFileSystem.Call, after: Int = 0, count: Int = 1, _ fault: MemoryFileSystem.Fault) {
        self.call = call
        self.after = after
        self.count = count
        self.fault = fault
    }
}

/// How a life ends.
package enum Ending: Sendable, Equatable {
    /// In order.
    case stop
    /// The process dies; what the kernel has stays.
    case kill
    /// The power goes.
    case cut(UInt64)
}

/// One thing that happens.
package enum SimulationStep: Sendable, Equatable {
    case operation(Operation)
    /// What is staged goes to the kernel.
    case endTurn
    /// What is staged goes to the medium, and some operations come while the sync runs.
    case sync([Operation])
    /// Time passes; in an odd number of milliseconds the log's thread does not get to run.
    case pass(Milliseconds)
    /// Somebody moves the wall clock by so much.
    case setClock(Milliseconds)
    /// A snapshot, with operations while it walks.
    case snapshot([Operation])
    /// The keeper's turn: LSNs are reserved, a snapshot is taken if one is due, a log that has failed is healed; with operations
    /// meanwhile.
    case keep([Operation])
    /// Expiry and sweeping.
    case maintain(Int)
    case fault(ArmedFault)
    /// The life ends and another begins; recovery is cut off after so many calls first, each time with a power cut.
    case restart(Ending, interrupted: [Int])
    /// The life ends with a power cut, and then something at rest is damaged.
    case rot(UInt64)
}

/// What may happen in a simulation.
package enum SimulationKind: Sendable, CaseIterable {
    /// Nothing goes wrong and every stop is orderly.
    case calm
    /// Processes die and the power goes.
    case crashes
    /// Calls fail as well.
    case faults
    /// Clocks are set as well.
    case clocks
    /// And at the end something rots.
    case rot

    /// The kind that a seed stands for when none is named.
    package static func of(_ seed: UInt64) -> SimulationKind {
        [.crashes, .faults, .clocks, .rot, .faults][Int(seed % 5)]
    }
}

extension SimulationStep {
    /// The steps of a run: the same for the same seed.
    package static func sequence(seed: UInt64, kind: SimulationKind, count: Int = 120) -> [SimulationStep] {
        var maker = StepMaker(random: SeededGenerator(seed: seed), kind: kind)
        var steps = (1..<Operation.spaces.count).map { SimulationStep.operation(.create(space: $0)) }
        for _ in 0..<count { steps.append(maker.next()) }
        if kind == .rot { steps.append(.rot(maker.random.next())) }
        steps.append(.restart(maker.ending(), interrupted: []))
        return steps
    }
}

private struct StepMaker {
    var random: SeededGenerator
    let kind: SimulationKind
    private var stamp: UInt32 = 0

    init(random: SeededGenerator, kind: SimulationKind) {
        self.random = random
        self.kind = kind
    }

    private mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func operation() -> Operation {
        stamp += 1
        return .random(&random, stamp: stamp, keys: 24)
    }

    private mutating func operations(_ limit: Int) -> [Operation] { (0..<number(0..<limit)).map { _ in operation() } }

    mutating func next() -> SimulationStep {
        switch number(0..<100) {
        case 0..<49: .operation(operation())
        case 49..<52: .keep(operations(6))
        case 52..<66: .endTurn
        case 66..<78: .sync(number(0..<3) == 0 ? operations(4) : [])
        case 78..<86: .pass(duration())
        case 86..<89: .snapshot(operations(6))
        case 89..<91: .maintain(number(1..<400))
        case 91..<94: clock()
        case 94..<97: fault()
        default: .restart(ending(), interrupted: interruptions())
        }
    }

    private mutating func duration() -> Milliseconds {
        switch number(0..<12) {
        case 0..<7: Int64(number(1..<80))
        case 7..<9: Int64(number(80..<300))
        case 9: Int64(number(1_000..<3_000))
        case 10: Int64(number(59_000..<200_000))
        default: Int64(number(900_000..<1_000_000))
        }
    }

    private mutating func clock() -> SimulationStep {
        guard kind == .clocks || kind == .rot else { return .operation(operation()) }
        let year: Int64 = 365 * 86_400_000
        return .setClock([-year, year, -3_600_000, 3_600_000, -100, 100, -11_000, 95_000][number(0..<8)])
    }

    mutating func ending() -> Ending {
        if kind == .calm { return .stop }
        return switch number(0..<8) {
        case 0..<2: .stop
        case 2..<4: .kill
        default: .cut(random.next())
        }
    }

    private mutating func interruptions() -> [Int] {
        guard kind != .calm, number(0..<3) == 0 else { return [] }
        return (0..<number(1..<3)).map { _ in number(0..<40) }
    }

    private mutating func fault() -> SimulationStep {
        guard kind == .faults || kind == .clocks || kind == .rot else { return .operation(operation()) }
        let calls = MemoryFileSystem.Call.allCases
        let call = number(0..<2) == 0 ? [.write, .sync][number(0..<2)] : calls[number(0..<calls.count)]
        let numbers = [SystemError.inputOutput, SystemError.noSpace, SystemError.interrupted]
        var fault = MemoryFileSystem.Fault.error(numbers[number(0..<(call == .close ? 3 : 2))])
        if call == .write, number(0..<3) == 0 { fault = .short(number(1..<600)) }
        if call == .sync, number(0..<2) == 0 { fault = .lie(numbers[number(0..<2)]) }
        let after = number(0..<3) == 0 ? number(0..<30) : number(0..<4)
        return .fault(ArmedFault(call, after: after, count: number(0..<3) == 0 ? number(1..<20) : 1, fault))
    }
}
