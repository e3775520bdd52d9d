import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// Snapshots that fail again and again, and the log that grows meanwhile.
@Suite("Length of the log") struct LogLengthTests {
    private func start(_ change: (inout PersistenceOptions) -> Void) throws -> Rig {
        var options = Rig.options()
        options.snapshotLogBytes = 10_000
        options.snapshotMilliseconds = 0
        change(&options)
        return try Rig.start(MemoryFileSystem(), options: options).0
    }

    private func write(_ rig: Rig, bytes: Int) {
        rig.set("key\(rig.log.bytesWritten)", String(repeating: "v", count: bytes))
        rig.sync()
        rig.store.poll()
    }

    private func failSnapshots(_ rig: Rig) {
        rig.files.setFault { $0.call == .open && $0.name.hasPrefix("snap-") ? .error(SystemError.inputOutput) : nil }
    }

    @Test func `snapshots failed while the log grew, and the server said that all was well`() throws {
        let rig = try start { _ in }
        failSnapshots(rig)
        write(rig, bytes: 12_000)
        #expect(rig.store.snapshotStatistics.failed == 1)
        // Not every failure is trouble.
        #expect(rig.store.troubles == [])
        write(rig, bytes: 30_000)
        #expect(rig.store.troubles == ["snapshots-fail"])
        rig.files.setFault(nil)
        rig.clock.advance(milliseconds: 60_000)
        rig.store.poll()
        #expect(rig.store.snapshotStatistics.taken == 1)
        #expect(rig.store.troubles == [])
    }

    @Test func `a log that may not be longer takes deletes alone until there is a snapshot`() throws {
        let rig = try start { $0.logBytesMax = 40_000 }
        failSnapshots(rig)
        rig.set("a", "1")
        write(rig, bytes: 35_000)
        #expect(rig.set("b", "2") != nil)
        write(rig, bytes: 10_000)
        #expect(rig.store.isLogTooLong)
        #expect(rig.store.troubles == ["log-too-long", "snapshots-fail"])
        #expect(rig.log.state == .ok)
        #expect(rig.set("c", "3") == nil)
        #expect(rig.write(.remove("a")) != nil)
        let told = rig.store.options.events.take().map(\.description)
        #expect(told.contains { $0.contains("log-bytes-max is 40000") && $0.contains("[event=log-too-long bytes=") }, "\(told)")
        // What the state of the log lets in changes nothing about it.
        rig.buffer.accept()
        #expect(rig.set("c", "3") == nil)
        rig.files.setFault(nil)
        rig.clock.advance(milliseconds: 60_000)
        rig.store.poll()
        #expect(!rig.store.isLogTooLong)
        #expect(rig.set("c", "3") != nil)
        rig.sync()
        let (next, report) = try Rig.start(rig.files.afterPowerCut(seed: 1), history: rig.history)
        #expect(report.reached == rig.history.last)
        #expect(next.matchesHistory(report))
    }

    @Test func `a log that failed while it was too long takes nothing at all`() throws {
        let rig = try start {
            $0.logBytesMax = 20_000
            $0.onLogFailure = .readOnly
        }
        failSnapshots(rig)
        write(rig, bytes: 25_000)
        #expect(rig.write(.remove("a")) != nil)
        rig.files.lieOnce()
        rig.sync()
        #expect(rig.log.state == .failed)
        #expect(rig.write(.remove("b")) == nil)
    }

    @Test func `a bound below what makes a snapshot due refused writes before one was taken`() throws {
        let rig = try start {
            $0.snapshotLogBytes = 1 << 20
            $0.logBytesMax = 20_000
        }
        for _ in 0..<20 { write(rig, bytes: 4_000) }
        #expect(rig.store.snapshotStatistics.taken > 2)
        #expect(!rig.store.isLogTooLong)
    }
}
