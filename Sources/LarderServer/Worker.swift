// One thread that serves connections, as other threads see it: they give it sockets, tell it that the log moved, stop it.

import LarderPlatform
import LarderWire
import Synchronization

/// A worker. One thread calls `run` or `step`, any thread the rest.
package final class Worker: @unchecked Sendable {
    // Unchecked: `loop` belongs to the worker's own thread.
    private let inbox: WorkerInbox
    /// A value, so that a turn opens it once, and nothing in it is checked for overlapping use while the program runs: the
    /// compiler has proven that there is none.
    private var loop: WorkerLoop

    package var metrics: WorkerMetrics { inbox.metrics }

    package init(server: ServerContext) throws(SystemError) {
        inbox = WorkerInbox(poller: try Poller())
        loop = WorkerLoop(server: server, inbox: inbox)
    }

    /// Hands over a connected socket.
    ///
    /// - Parameter isTurnedAway: Whether it is one more than the server takes, and is only to be told so.
    /// - Parameter dialect: The one that is spoken where it came in, if there is only one.
    package func adopt(_ socket: consuming Socket, isTurnedAway: Bool = false, dialect: Dialect? = nil) {
        inbox.put(WorkerInbox.Arrival(descriptor: socket.release(), isTurnedAway: isTurnedAway, dialect: dialect))
    }

    /// The log moved: replies may be free to go.
    package func logMoved() { inbox.logMoved() }

    package func stop() { inbox.stop() }

    /// Runs until `stop()`; then answers what was received, waits for the log and for slow clients a bounded time, and closes.
    package func run() {
        while loop.step(waitMilliseconds: loop.isDraining ? 10 : 1_000) {}
    }

    /// One turn.
    ///
    /// - Parameter waitMilliseconds: How long to wait when there is nothing to do.
    /// - Returns: false when the worker has stopped.
    package func step(waitMilliseconds: Int32) -> Bool { loop.step(waitMilliseconds: waitMilliseconds) }
}

/// What other threads tell a worker, and what they may know of it.
final class WorkerInbox: Sendable {
    struct Arrival {
        var descriptor: Int32
        var isTurnedAway: Bool
        var dialect: Dialect?
    }

    let poller: Poller
    let metrics = WorkerMetrics()
    /// Sockets that another thread accepted for this worker.
    private let arrivals = Mutex<[Arrival]>([])
    /// Connections that another thread wants closed.
    private let doomed = Mutex<[UInt64]>([])
    private let stopRequested = Atomic<Bool>(false)
    /// Set while the worker sleeps or may fall asleep with replies that wait for the log.
    private let wantsLogNews = Atomic<Bool>(false)

    /// Up to where the worker, which sleeps, has seen the events of keys; the largest number while it is awake or watches none.
    private let eventsSeen = Atomic<UInt64>(.max)

    init(poller: consuming Poller) {
        self.poller = poller
    }

    func put(_ arrival: Arrival) {
        arrivals.withLock { $0.append(arrival) }
        poller.wake()
    }

    func takeArrivals() -> [Arrival] {
        arrivals.withLock { arrivals in
            defer { arrivals.removeAll() }
            return arrivals
        }
    }

    /// Closes the connection that has this token, if it is still there.
    func kill(_ token: UInt64) {
        doomed.withLock { $0.append(token) }
        poller.wake()
    }

    func takeDoomed() -> [UInt64] {
        doomed.withLock { doomed in
            defer { doomed.removeAll() }
            return doomed
        }
    }

    func logMoved() {
        if wantsLogNews.load(ordering: .sequentiallyConsistent) { poller.wake() }
    }

    func wantLogNews(_ wants: Bool) { wantsLogNews.store(wants, ordering: .sequentiallyConsistent) }

    /// The worker falls asleep and has seen the events of keys up to `position`.
    func sleep(afterEvents position: UInt64) { eventsSeen.store(position, ordering: .sequentiallyConsistent) }

    /// It is awake: whoever makes events need not wake it.
    func wakeUp() { eventsSeen.store(.max, ordering: .sequentiallyConsistent) }

    /// There are events up to `end`.
    func eventsMoved(to end: UInt64) {
        let seen = eventsSeen.load(ordering: .sequentiallyConsistent)
        guard seen < end else { return }
        if eventsSeen.compareExchange(expected: seen, desired: .max, ordering: .sequentiallyConsistent).exchanged { poller.wake() }
    }

    func stop() {
        stopRequested.store(true, ordering: .releasing)
        poller.wake()
    }

    var isStopRequested: Bool { stopRequested.load(ordering: .acquiring) }
}
