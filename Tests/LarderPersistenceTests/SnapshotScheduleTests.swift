// When a snapshot is due.

import LarderEngine
import Testing

@testable import LarderPersistence

@Suite("Snapshot schedule") struct SnapshotScheduleTests {
    private static func options() -> PersistenceOptions {
        var options = PersistenceOptions()
        options.snapshotLogBytes = 1_000
        options.snapshotMilliseconds = 0
        return options
    }

    private static func isDue(_ schedule: SnapshotSchedule, afterBytes bytes: Int) -> Bool {
        schedule.isDue(options(), bytesWritten: bytes, applied: LSN(rawValue: 9), now: 0)
    }

    private static let small = Manifest.Snapshot(number: 1, begin: .zero, end: LSN(rawValue: 5), bytes: 300, digest: 0)

    @Test func `what compresses well was walked again after a fraction of its size`() {
        var schedule = SnapshotSchedule()
        #expect(!Self.isDue(schedule, afterBytes: 999))
        #expect(Self.isDue(schedule, afterBytes: 1_000))
        schedule.succeeded(Self.small, rawBytes: 20_000, bytesWritten: 1_000, keepsMore: false, now: 0)
        #expect(!Self.isDue(schedule, afterBytes: 20_999))
        #expect(Self.isDue(schedule, afterBytes: 21_000))
    }

    @Test func `a small state leaves the setting in force`() {
        var schedule = SnapshotSchedule()
        schedule.succeeded(Self.small, rawBytes: 400, bytesWritten: 0, keepsMore: false, now: 0)
        #expect(!Self.isDue(schedule, afterBytes: 999))
        #expect(Self.isDue(schedule, afterBytes: 1_000))
        var options = Self.options()
        options.snapshotLogBytes = 0
        #expect(!schedule.isDue(options, bytesWritten: .max, applied: LSN(rawValue: 9), now: 0))
    }
}
