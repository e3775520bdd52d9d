// How fast a snapshot is written, so that nobody notices: at a rate of its own, and slower while the server is slow to answer.
//
// Asks no clock and never waits: it says how long to. However slow the server is, a snapshot advances at a tenth of its rate,
// and at its rate when the log has grown a lot since it began: one that waited for a quiet hour would not come before the log
// has filled the disk.

import LarderPlatform

/// The pace of one snapshot.
struct SnapshotPace: Sendable {
    private var bucket: TokenBucket
    private let bytesPerSecond: Int
    private let lagMax: Int64
    /// When the rate lets the next bytes go.
    private var next: Int64
    /// When they go although the server is slow.
    private var latest: Int64
    /// Since when the bytes of now wait for the server alone.
    private var slowSince: Int64?
    /// When so many bytes have been logged the snapshot waits for nobody any more.
    private let urgentAt: Int
    private var isUrgent = false

    /// How much slower a snapshot of a slow server is.
    static let slowdown: Int64 = 10
    /// The server is asked again after so long.
    static let sliceNanoseconds: Int64 = 50_000_000
    private static let nanosecondsPerSecond: Int64 = 1_000_000_000

    /// - Parameter bytesPerSecond: 0 means without any limit.
    /// - Parameter lagMax: The server is slow when its lag is above this; nanoseconds.
    /// - Parameter urgentAt: From so many logged bytes on the server's lag does not count.
    init(bytesPerSecond: Int, lagMax: Int64, urgentAt: Int, now: Int64) {
        bucket = TokenBucket(bytesPerSecond: bytesPerSecond, now: now)
        self.bytesPerSecond = bytesPerSecond
        self.lagMax = lagMax
        self.urgentAt = urgentAt
        next = now
        latest = now
    }

    /// So many bytes were written.
    ///
    /// - Parameter logged: Bytes of the log by now.
    mutating func wrote(_ bytes: Int, logged: Int, now: Int64) {
        isUrgent = logged >= urgentAt
        next = now + bucket.take(bytes, now: now)
        guard bytesPerSecond > 0 else { return }
        let atFullRate = Double(bytes) / Double(bytesPerSecond) * Double(Self.nanosecondsPerSecond)
        latest = max(next, now + Int64(atFullRate) * Self.slowdown)
        slowSince = nil
    }

    /// How long to wait before asking again; 0 when the next bytes may be written.
    ///
    /// - Parameter lag: How late the server is now; nanoseconds.
    mutating func wait(lag: Int64, now: Int64) -> Int64 {
        if now < next { return min(next - now, Self.sliceNanoseconds) }
        guard lag > lagMax, now < latest, !isUrgent else { return 0 }
        if slowSince == nil { slowSince = now }
        return min(latest - now, Self.sliceNanoseconds)
    }

    /// How long the bytes of now have waited because the server was slow; nil when they did not.
    func waited(now: Int64) -> Int64? { slowSince.map { now - $0 } }
}
