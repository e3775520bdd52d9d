import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Synchronization
import Testing

/// A snapshot whose pauses move the clock instead of waiting.
@Suite("Snapshot pace") struct SnapshotPaceTests {
    private static let rate = 25_000_000

    /// What the pauses came to.
    private struct Outcome {
        var seconds: Double
        var bytesPerSecond: Double
        var statistics: SnapshotStatistics
    }

    /// Takes a snapshot of some eight megabytes that cannot be compressed.
    ///
    /// - Parameter lag: What the server says of itself after so many nanoseconds of pauses.
    private func take(
        bytesPerSecond: Int = rate, lag: (@Sendable (_ waited: Int64) -> Int64)? = nil
    ) throws -> Outcome {
        let clock = ManualClock()
        let start = clock.elapsed()
        var options = Rig.options(segmentBytes: 4 << 20)
        options.snapshotBytesPerSecond = bytesPerSecond
        options.sleep = { clock.advance(nanoseconds: $0) }
        let rig = try Rig(MemoryFileSystem(), clock: clock, options: options)
        _ = try rig.store.recover()
        if let lag { rig.store.setLag { lag(clock.elapsed() - start) } }
        var random = SeededGenerator(seed: 3)
        for index in 0..<960 {
            let value = (0..<1_024).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
            rig.write(.set("key\(1_000 + index)", value, .never))
            if index % 16 == 15 { rig.sync() }
        }
        let began = clock.elapsed()
        try rig.store.snapshotNow()
        let seconds = Double(clock.elapsed() - began) / 1e9
        let statistics = rig.store.snapshotStatistics
        return Outcome(
            seconds: seconds, bytesPerSecond: seconds > 0 ? Double(statistics.lastBytes) / seconds : .infinity,
            statistics: statistics)
    }

    @Test func `a server that answers in time has its snapshot at the full rate`() throws {
        for lag in [nil, { _ in 2_000_000 }] as [(@Sendable (Int64) -> Int64)?] {
            let outcome = try take(lag: lag)
            // The first tenth of a second's bytes go at once.
            #expect(outcome.bytesPerSecond > 25e6 && outcome.bytesPerSecond < 300e6, "\(outcome)")
            #expect(outcome.statistics.pauses == 0)
            #expect(outcome.statistics.pausedMilliseconds == 0)
        }
    }

    @Test func `a server that is slow for good has one all the same, at a tenth of the rate`() throws {
        let outcome = try take { _ in 2_000_001 }
        #expect(outcome.bytesPerSecond > 2.4e6 && outcome.bytesPerSecond < 2.6e6, "\(outcome)")
        #expect(outcome.statistics.pauses >= 7)
        #expect(Double(outcome.statistics.pausedMilliseconds) > outcome.seconds * 900, "\(outcome)")
    }

    @Test func `a snapshot goes on as soon as the server is in time again`() throws {
        let slow = try take { _ in 4_000_000 }
        let outcome = try take { waited in waited < 250_000_000 ? 4_000_000 : 1_000_000 }
        #expect(outcome.seconds < slow.seconds / 2, "\(outcome)")
        #expect(outcome.statistics.pausedMilliseconds <= 300)
        #expect(outcome.statistics.pausedMilliseconds >= 200)
    }

    @Test func `a snapshot without a limit asks nobody`() throws {
        let outcome = try take(bytesPerSecond: 0) { _ in 1_000_000_000 }
        #expect(outcome.seconds == 0)
        #expect(outcome.statistics.pauses == 0)
    }
}
