// What all workers share: the store, the log, the time, the phase of life.

import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// What the server asks of the log. The real one is `DurableLog`.
package protocol ReplyLog: AnyObject, Sendable {
    /// How far the log came.
    var position: LogPosition { get }
    /// False while it refuses writes.
    var isWorking: Bool { get }
    /// Why writes are refused: state, error, file and since when.
    var refusal: LogRefusal { get }
    /// Why no more LSNs can be reserved, although the log works; nil while they can.
    var reserveRefusal: LogRefusal? { get }
    /// A worker has executed what it received: writes what was staged, or sees to it that it is written.
    ///
    /// - Parameter wantsSync: Whether a reply waits for the medium.
    func endTurn(wantsSync: Bool)
    /// Asks for a snapshot.
    ///
    /// - Returns: Its place in the count of finished snapshots.
    func requestSnapshot() -> UInt64
    /// What happened since the last call, a line each, for the operator.
    func news() -> [String]
    /// Names further figures for monitors: name, help, whether it is a counter, value.
    func report(_ figure: (StaticString, StaticString, Bool, Int64) -> Void)
    /// When the last snapshot of this start was published, Unix milliseconds; 0: none was.
    var lastSnapshotMilliseconds: Milliseconds { get }
    /// What an operator should look at although the log works, in words for programs.
    var troubles: [String] { get }
}

extension ReplyLog {
    package var reserveRefusal: LogRefusal? { nil }
    package var lastSnapshotMilliseconds: Milliseconds { 0 }
    package var troubles: [String] { [] }
}

package struct LogRefusal: Sendable {
    package var isDiskFull: Bool
    package var text: String
    package init(isDiskFull: Bool, text: String) {
        self.isDiskFull = isDiskFull
        self.text = text
    }
}

package final class ServerContext: Sendable {
    package enum Phase: UInt8, AtomicRepresentable, Sendable { case loading, ready, stopping }

    package let configuration: ServerConfiguration
    package let store: Store
    package let time: ServerTime
    package let log: any ReplyLog
    package let access: AccessControl
    package let executor: CommandExecutor
    package let report: StatusReport
    package let resp = RESPShared()
    let flushes = DelayedFlushes()
    /// What INFO and memcached's `stats` subtract.
    let forgottenCounters = Mutex(ServerCounters())
    package let recovery = RecoveryProgress()
    package let turnTimes = TurnTimes()
    package let connections = Atomic<Int>(0)
    /// Connections beyond the most that may be, which are open until they have been told so.
    package let turnedAway = Atomic<Int>(0)
    package let connectionsAccepted = Atomic<UInt64>(0)
    package let connectionsRefused = Atomic<UInt64>(0)
    package let startedMilliseconds: Milliseconds
    private let phaseWord = Atomic<Phase>(.loading)
    private let drainWord = Atomic<Milliseconds>(.max)
    private let allMetrics = Mutex<[WorkerMetrics]>([])

    package init(configuration: ServerConfiguration, store: Store, time: ServerTime, log: any ReplyLog) {
        self.configuration = configuration
        self.store = store
        self.time = time
        self.log = log
        access = AccessControl(configuration: configuration)
        startedMilliseconds = time.now()
        report = StatusReport(store: store, log: log)
        executor = CommandExecutor(
            store: store, access: access, configuration: configuration, log: log, recovery: recovery, report: report,
            resp: resp, flushes: flushes)
        report.attach(self)
    }

    package var phase: Phase {
        get { phaseWord.load(ordering: .acquiring) }
        set { phaseWord.store(newValue, ordering: .releasing) }
    }

    /// When a stopping worker gives up waiting for slow clients and the log.
    package var drainDeadline: Milliseconds {
        get { drainWord.load(ordering: .acquiring) }
        set { drainWord.store(newValue, ordering: .releasing) }
    }

    /// - Parameter elapsed: `time.elapsed()`.
    func beginTurn(at elapsed: Int64) -> Turn {
        Turn(now: time.now(at: elapsed), position: log.position, logWorks: log.isWorking, isReady: phase != .loading)
    }

    func connectionClosed(isTurnedAway: Bool) {
        if isTurnedAway {
            turnedAway.subtract(1, ordering: .relaxed)
        } else {
            connections.subtract(1, ordering: .relaxed)
        }
    }

    package func register(_ metrics: WorkerMetrics) { allMetrics.withLock { $0.append(metrics) } }
    /// How many requests of all kinds were carried out.
    var requests: UInt64 {
        metrics.reduce(0) { $0 &+ $1.gets.total &+ $1.puts.total &+ $1.deletes.total &+ $1.lists.total &+ $1.others.total }
    }
    package var metrics: [WorkerMetrics] { allMetrics.withLock { $0 } }
}
