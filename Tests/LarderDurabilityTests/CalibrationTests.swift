import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// A harness that finds nothing proves something only if it finds what is planted.
@Suite("Planted defects") struct CalibrationTests {
    /// How many seeds of `count` show the defect.
    private func found(_ defect: PlantedDefect, _ kind: SimulationKind, _ count: Int = 60) -> (found: Int, kinds: Set<String>) {
        var found = 0
        var kinds: Set<String> = []
        for seed in Scale.seed..<(Scale.seed + UInt64(count)) {
            let steps = SimulationStep.sequence(seed: seed, kind: kind)
            guard let breach = Simulation(seed: seed, steps: steps, defect: defect).run().breach else { continue }
            found += 1
            kinds.insert(String(breach.description.prefix { $0 != ":" }))
        }
        return (found, kinds)
    }

    @Test func `without a defect nothing is found`() {
        #expect(found(.none, .crashes).found == 0)
    }

    @Test func `acknowledging before the sync is found`() {
        var defect = PlantedDefect("acknowledges early")
        defect.acknowledgesEarly = true
        #expect(found(defect, .crashes).kinds.contains("LOST"))
    }

    @Test func `promising what is not logged is found`() {
        var defect = PlantedDefect("promises what is not logged")
        defect.promisesUnlogged = true
        #expect(found(defect, .crashes).kinds.contains("LOST"))
    }

    @Test(arguments: DishonestFileSystem.Lie.allCases)
    func `a file system that lies is found`(lie: DishonestFileSystem.Lie) {
        var defect = PlantedDefect("\(lie)")
        defect.files = { DishonestFileSystem($0, lie) }
        let kind: SimulationKind =
            switch lie {
            case .checksumsAlwaysFit: .rot
            case .cacheIsKept, .syncErrorsAreKeptBack: .faults
            default: .crashes
            }
        let count = kind == .crashes ? 60 : 400
        #expect(found(defect, kind, count).found > 0)
    }

    @Test(arguments: ForgetfulState.Habit.allCases)
    func `a state that forgets is found`(habit: ForgetfulState.Habit) {
        var defect = PlantedDefect("\(habit)")
        defect.state = { ForgetfulState($0, habit) }
        #expect(found(defect, .crashes).found > 0)
    }
}

/// A state that gets one thing wrong.
final class ForgetfulState: PersistentState {
    enum Habit: CaseIterable, Sendable {
        /// An expired value is taken for none when it is read back.
        case expiredAreSkipped
        /// Removals are not applied.
        case removalsAreSkipped
        /// The walk of a snapshot passes over an entry now and then.
        case walkSkips
        /// Flushes are not applied.
        case flushesAreSkipped
    }

    private let state: any PersistentState
    private let habit: Habit

    init(_ state: any PersistentState, _ habit: Habit) {
        self.state = state
        self.habit = habit
    }

    func apply(_ record: borrowing LogRecord) {
        switch habit {
        case .expiredAreSkipped where !record.deadline.isNever && record.deadline < Deadline(rawValue: ManualClock().wall() + 2_000): return
        case .removalsAreSkipped where record.operation == .remove: return
        case .flushesAreSkipped where record.operation == .namespaceFlush: return
        default: state.apply(record)
        }
    }

    var recordsNotApplied: Int { state.recordsNotApplied }
    func appendNamespaces(to buffer: inout ByteBuffer) -> Int { state.appendNamespaces(to: &buffer) }
    func beginWalk() -> any StateWalk { habit == .walkSkips ? SkippingWalk(state.beginWalk()) : state.beginWalk() }
}

/// Loses the third batch of a walk.
private final class SkippingWalk: StateWalk {
    private let walk: any StateWalk
    private var count = 0

    init(_ walk: any StateWalk) { self.walk = walk }

    func next(entriesMax: Int, bytesMax: Int, into buffer: inout ByteBuffer) -> Int? {
        count += 1
        guard count == 3 else { return walk.next(entriesMax: entriesMax, bytesMax: bytesMax, into: &buffer) }
        var lost = ByteBuffer()
        return walk.next(entriesMax: entriesMax, bytesMax: bytesMax, into: &lost).map { _ in 0 }
    }
}
