import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

@Suite("Crashes") struct CrashTests {
    /// Passes through a first start, changes of segment, a flush, three snapshots with publication and truncation, and an
    /// orderly stop. Errors are what a dying machine returns; nothing is acknowledged after the first.
    private func run(_ files: MemoryFileSystem, stopAfter: Int?, history: History) -> (acknowledged: LSN, rig: Rig?) {
        if let stopAfter { files.stop(after: stopAfter) }
        guard let (rig, _) = try? Rig.start(files, history: history, options: Rig.options(segmentBytes: 8_192)) else {
            return (.zero, nil)
        }
        for round in 0..<4 {
            for index in 0..<6 {
                rig.set("key\(index)", String(repeating: "\(round)", count: 300 + 40 * index))
                if index % 3 == 2 { rig.sync() } else { rig.log.writeIfIdle() }
                rig.clock.advance(milliseconds: 20)
            }
            rig.write(.remove("key\(round)"))
            rig.write(.deadline("key5", Deadline(rawValue: rig.clock.wall() + Int64(round) * 1_000)))
            rig.log.writeIfIdle()
            if round == 1 { rig.write(.flush) }
            rig.sync()
            rig.idle(milliseconds: 60)
            // Writes meet the walk, and are still unsynced when it ends.
            rig.state.interruption.withLock { waiting in
                waiting = (3, { [weak rig] in
                    rig?.set("key0", "met early \(round)")
                    rig?.set("key4", "met late \(round)")
                })
            }
            if round > 0 { _ = try? rig.store.snapshotNow() }
            rig.store.poll()
        }
        rig.set("last", "unsynced")
        rig.log.writeIfIdle()
        let acknowledged = rig.log.durableLSN
        try? rig.store.close()
        return (max(acknowledged, rig.log.durableLSN), rig)
    }

    private func callCount() -> Int {
        let files = MemoryFileSystem()
        _ = run(files, stopAfter: nil, history: History())
        return files.callCount
    }

    @Test func `a power cut between any two calls leaves a prefix that holds everything acknowledged`() throws {
        let count = callCount()
        #expect(count > 150)
        for stop in 0...count {
            let files = MemoryFileSystem()
            let history = History()
            let (acknowledged, _) = run(files, stopAfter: stop, history: history)
            for seed in 0..<24 as Range<UInt64> {
                try check(files.afterPowerCut(seed: seed &+ UInt64(stop) << 8), history, acknowledged, "stop \(stop) seed \(seed)")
            }
        }
    }

    private func check(_ files: MemoryFileSystem, _ history: History, _ acknowledged: LSN, _ label: String) throws {
        let rig: Rig
        let report: RecoveryReport
        do {
            (rig, report) = try Rig.start(files, history: history, options: Rig.options(segmentBytes: 8_192, seed: 2))
        } catch {
            Issue.record("\(label): refused: \(error); \(try files.list())")
            return
        }
        #expect(report.reached >= acknowledged, "\(label): lost what was acknowledged")
        #expect(rig.matchesHistory(report), "\(label): not the state at \(report.reached.rawValue)")
        // No number that the first life gave, lost or not, is given again.
        let given = rig.buffer.appliedLSN
        #expect(given >= history.last, "\(label): an LSN would be used twice")
    }

    @Test func `recovery that is cut off at any call can be repeated, with the same result`() throws {
        let files = MemoryFileSystem()
        let history = History()
        let (acknowledged, rig) = run(files, stopAfter: 130, history: history)
        #expect(rig != nil)
        for first in 0..<8 as Range<UInt64> {
            let broken = files.afterPowerCut(seed: first)
            let (reference, report) = try Rig.start(broken.copy(), history: history)
            #expect(report.reached >= acknowledged)
            #expect(reference.matchesHistory(report))
            for stop in 0..<40 {
                let again = broken.copy()
                again.stop(after: stop)
                let interrupted = try? Rig.start(again, options: Rig.options(segmentBytes: 8_192, seed: 3))
                for second in 0..<4 as Range<UInt64> {
                    let cut = again.afterPowerCut(seed: second &+ UInt64(stop) << 8 &+ first << 20)
                    let (repeated, _) = try Rig.start(cut)
                    #expect(
                        repeated.state.current.alive == reference.state.current.alive,
                        "first \(first) stop \(stop) second \(second)")
                    #expect(repeated.buffer.appliedLSN >= history.last)
                }
                if interrupted != nil { break }
            }
        }
    }

    @Test func `the only LSNs behind a start are those of earlier ones, with the clock set back a year`() throws {
        let files = MemoryFileSystem()
        let history = History()
        let clock = ManualClock()
        let (rig, _) = try Rig.start(files, clock: clock, history: history)
        rig.set("a", "1")
        rig.sync()
        rig.set("b", "lost with the tail")
        rig.log.writeIfIdle()
        let lost = history.last
        var cut = files.afterPowerCut(seed: 0)
        for seed in 1..<100 as Range<UInt64> where try Rig.start(cut.copy()).1.reached >= lost { cut = files.afterPowerCut(seed: seed) }
        let past = ManualClock(wall: clock.wall() - 365 * 86_400_000)
        let (next, report) = try Rig.start(cut, clock: past)
        #expect(report.reached < lost)
        #expect(report.clockBehindMilliseconds > 0)
        let given = next.set("c", "2")
        #expect(try #require(given) > lost)
    }
}
