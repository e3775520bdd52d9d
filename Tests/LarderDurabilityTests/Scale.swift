// How much is tried, on how many threads, and what is counted meanwhile.

import LarderPlatform
import LarderSimulation
import Synchronization
import TestFigures

/// How many of each; `make torture` raises them.
enum Scale {
    static let crashStates = scale("LARDER_CRASH_STATES", 40_000)
    static let seeds = scale("LARDER_SIMULATOR_SEEDS", 4_000)
    static let modelSeeds = scale("LARDER_MODEL_SEEDS", 1_000)
    static let damaged = scale("LARDER_DAMAGED_FILES", 100_000)
    static let operations = scale("LARDER_CHECKED_OPERATIONS", 1_000_000)
    /// Where random choices begin; the seed of a run that failed is printed.
    static let seed = UInt64(scale("LARDER_SEED", 1))
}

/// Does `body` for 0 up to `count`, on as many threads as there are processors; which thread does which is not determined.
func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let next = Counter()
    let work: @Sendable () -> Void = {
        while true {
            let index = next.add(1) - 1
            guard index < count else { return }
            body(index)
        }
    }
    let others = (1..<Thread.processorCount).compactMap { try? Thread(name: "case-\($0)", work) }
    work()
    for thread in others { thread.join() }
}

/// A sum that several threads add to.
final class Counter: Sendable {
    private let word = Atomic<Int>(0)
    var value: Int { word.load(ordering: .relaxed) }
    @discardableResult func add(_ amount: Int) -> Int { word.wrappingAdd(amount, ordering: .relaxed).newValue }
}

/// What was found, the first few in words.
final class Findings: Sendable {
    private let found = Mutex<(lost: Int, wrong: Int, texts: [String])>((0, 0, []))
    static let textsMax = 5

    func add(isLoss: Bool = false, _ text: @autoclosure () -> String) {
        found.withLock { found in
            if isLoss { found.lost += 1 } else { found.wrong += 1 }
            if found.texts.count < Self.textsMax { found.texts.append(text()) }
        }
    }

    /// - Parameter label: Of the case in which the promise was broken.
    func add(_ breach: Breach, _ label: @autoclosure () -> String) {
        add(isLoss: breach.isLoss, "\(label()): \(breach)")
    }

    var lost: Int { found.withLock { $0.lost } }
    var wrong: Int { found.withLock { $0.wrong } }
    var texts: [String] { found.withLock { $0.texts } }
}
