import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// What an operator can have done about a log that has failed, instead of healing it.
@Suite("On log failure") struct LogFailurePolicyTests {
    /// What a process was ended with.
    private final class Endings: Sendable {
        private let list = Mutex<[LogCondition]>([])
        func note(_ condition: LogCondition) { list.withLock { $0.append(condition) } }
        var all: [LogCondition] { list.withLock { $0 } }
    }

    private func options(_ policy: LogFailurePolicy, _ endings: Endings = Endings()) -> PersistenceOptions {
        var options = Rig.options(segmentBytes: 8_192)
        options.onLogFailure = policy
        options.giveUp = { endings.note($0) }
        return options
    }

    @Test func `a log that is to stay read-only is left as it is, and a restart gives back what was durable`() throws {
        let endings = Endings()
        let rig = try Rig.failed(options(.readOnly, endings))
        let (condition, durable) = (rig.log.condition, rig.log.durableLSN)
        let before = rig.files.disk.content
        for _ in 0..<300 {
            rig.clock.advance(milliseconds: 1_000)
            rig.store.poll()
            _ = rig.log.step()
        }
        #expect(rig.log.condition == condition)
        #expect(rig.set("c", "3") == nil)
        #expect(rig.state.current.alive.keys.contains("b"))
        #expect(rig.store.healingStatistics.succeeded + rig.store.healingStatistics.failed == 0)
        #expect(rig.files.disk.content == before)
        #expect(endings.all.isEmpty)
        let (later, report) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached >= durable)
        #expect(later.matchesHistory(report))
        #expect(later.set("c", "3") != nil)
    }

    @Test func `a process that is to end when its log fails hears why, and heals nothing`() throws {
        let endings = Endings()
        let rig = try Rig.failed(options(.exit, endings))
        #expect(endings.all.isEmpty)
        rig.store.poll()
        #expect(endings.all == [rig.log.condition])
        #expect(endings.all.first?.error?.number == SystemError.inputOutput)
        #expect(rig.store.healingStatistics.succeeded + rig.store.healingStatistics.failed == 0)
    }

    @Test func `whichever call fails, a process that ends loses nothing that was acknowledged`() throws {
        /// Two segments and a snapshot.
        func work(_ rig: Rig, until isOver: () -> Bool) {
            for index in 0..<12 where !isOver() {
                rig.set("key\(index)", String(repeating: "v", count: 1_000))
                rig.sync()
                if index == 8 { _ = try? rig.store.snapshotNow() }
                rig.store.poll()
            }
        }
        let (whole, _) = try Rig.start(MemoryFileSystem(), options: options(.exit))
        let first = whole.files.callCount
        work(whole) { false }
        var ended = 0
        for call in first..<whole.files.callCount {
            let endings = Endings()
            let (rig, _) = try Rig.start(MemoryFileSystem(), options: options(.exit, endings))
            rig.files.setFault { occurrence in
                guard occurrence.index == call else { return nil }
                return occurrence.call == .sync ? .lie(SystemError.inputOutput) : .error(SystemError.inputOutput)
            }
            work(rig) { !endings.all.isEmpty }
            #expect((rig.log.state == .failed) == !endings.all.isEmpty, "call \(call)")
            ended += endings.all.isEmpty ? 0 : 1
            let durable = rig.log.durableLSN
            for files in [rig.files.afterKill(), rig.files.afterPowerCut(seed: UInt64(call))] {
                let (later, report) = try Rig.start(files, history: rig.history)
                #expect(report.reached >= durable, "call \(call)")
                #expect(later.matchesHistory(report), "call \(call)")
            }
        }
        #expect(ended > 10)
    }
}
