// The loop of one thread: sends what is due, takes what comes, counts.
//
// One poller, its connections, and nothing shared but the board, the stop flag and the start signal. A request costs no
// allocation: it is written into one send buffer for the batch of a connection, and its reply is parsed where it was
// received. The clock is read once for each batch and once for each receive.

import Histogram
import LarderBytes
import LarderPlatform
import LarderWire
import Synchronization

/// What the threads of a run and its owner say to each other.
final class RunControl: Sendable {
    /// Nanoseconds on the clock; 0: not yet.
    let startAt = Atomic<Int64>(0)
    let threadsReady = Atomic<Int>(0)
    let threadsDone = Atomic<Int>(0)
    private let isFailed = Atomic<Bool>(false)
    private let stop: StopSwitch
    private let firstFailure = Mutex<LoadFailure?>(nil)

    init(stop: StopSwitch) { self.stop = stop }

    var isStopped: Bool { stop.isOn || isFailed.load(ordering: .acquiring) }
    var failure: LoadFailure? { firstFailure.withLock { $0 } }

    func fail(_ failure: LoadFailure) {
        firstFailure.withLock { if $0 == nil { $0 = failure } }
        isFailed.store(true, ordering: .releasing)
    }
}

/// One thread's part of a run.
///
/// Safe to send: the thread that runs it is started after it was made, and joined before anybody looks at what it counted.
final class LoadWorker: @unchecked Sendable {
    let plan: LoadPlan
    let control: RunControl
    let board: Board
    let clock: any Clock
    let poller: Poller
    let events = Poller.EventList()
    let parser: ReplyParser
    let ledger: ThreadLedger?
    let thread: Int
    var connections: [LoadConnection] = []
    var ready: [Int] = []
    var readySpare: [Int] = []

    var batch: RequestBatch
    let trace: Trace?

    var measurement: Measurement
    var interval = 0
    /// What this thread cost.
    var ownTime = OwnTime()

    var start: Int64 = .max
    var measureFrom: Int64 = .max
    var end: Int64 = .max
    var drainUntil: Int64 = .max
    /// When the last request could be sent; 0: the load did not begin.
    var sendingEnded: Int64 = 0
    /// How long requests were sent and measured.
    var measuredSeconds: Double { Double(max(min(end, sendingEnded) - measureFrom, 0)) / 1e9 }
    /// Number of the next request of this thread that comes due (`rate`), or of the next record (`recorded`).
    var cursor = 0
    var schedule: Schedule?
    /// For a trace in an open loop: when its requests are due, in nanoseconds from the start, and on which connection; in order.
    var traceOrder: [(time: Int64, connection: Int)] = []
    let wallOffset: Int64
    var seenReady = false
    /// When it has ended: whether no connection was left that answered.
    var isForsaken = false

    init(
        _ plan: LoadPlan, thread: Int, control: RunControl, board: Board, clock: any Clock, ledger: ThreadLedger?,
        shares: [[UInt32]]
    ) throws(SystemError) {
        self.plan = plan
        self.thread = thread
        self.control = control
        self.board = board
        self.clock = clock
        self.ledger = ledger
        poller = try Poller()
        batch = RequestBatch(plan)
        measurement = Measurement(isOpenLoop: plan.pace != .closed)
        trace = if case .trace(let trace) = plan.content { trace } else { nil }
        parser = ReplyParser(plan.manner.dialect)
        wallOffset = clock.wall() * 1_000_000 - clock.elapsed()

        let perThread = plan.connections / plan.threads
        for index in 0..<perThread {
            let place = ConnectionPlace(thread: thread, threads: plan.threads, connection: index, connections: perThread)
            let source: OperationSource =
                switch plan.content {
                case .workload(let workload, let order): .stream(OperationStream(workload, order, place))
                case .trace(let trace): .trace(trace, share: shares[place.number])
                }
            let quota = plan.requests.map { $0 / place.total + (place.number < $0 % place.total ? 1 : 0) }
            connections.append(
                LoadConnection(
                    token: UInt64(index), source: source, depth: plan.depth, judges: ledger != nil, quota: quota ?? .max))
            if trace != nil, plan.pace != .closed {
                for record in shares[place.number] { traceOrder.append((time(ofRecord: record), index)) }
            }
        }
        traceOrder.sort { $0.time < $1.time }
        ready.reserveCapacity(perThread)
        readySpare.reserveCapacity(perThread)
    }

    // MARK: The loop

    func run() {
        Thread.waitPrecisely()
        for connection in connections { connect(connection) }
        var greetingUntil = clock.elapsed() + plan.greetingNanoseconds
        while true {
            let now = clock.elapsed()
            if start == .max {
                if control.isStopped { break }
                if !seenReady, connections.allSatisfy({ $0.link?.state == .open }) {
                    seenReady = true
                    greetingUntil = .max
                    control.threadsReady.wrappingAdd(1, ordering: .releasing)
                }
                if now >= greetingUntil {
                    control.fail(.silent)
                    break
                }
                let signal = control.startAt.load(ordering: .acquiring)
                if signal != 0 { begin(signal) }
            }
            if now >= start, !turn(now) { break }
            poller.wait(events, timeoutNanoseconds: max(0, wakeAt(now) - clock.elapsed())) { event in self.handle(event) }
        }
        finish(clock.elapsed())
    }

    func begin(_ signal: Int64) {
        start = signal
        measureFrom = signal + plan.warmupNanoseconds
        end = measureFrom + plan.durationNanoseconds
        lastConnected = signal
        if case .rate(let rate) = plan.pace, trace == nil {
            schedule = Schedule(start: signal, rate: rate, threads: plan.threads, thread: thread)
        }
        if case .closed = plan.pace {
            for index in connections.indices { markReady(index) }
        }
    }

    /// When to look again, if nothing comes before. Connections that are ready hurry nobody before the start and after the end.
    func wakeAt(_ now: Int64) -> Int64 {
        if now < start { return min(start, now + 1_000_000) }
        if drainUntil != .max { return drainUntil }
        if !ready.isEmpty { return now }
        // The stop flag is looked at this often.
        var moment = min(now + 50_000_000, intervalEnd, end, nextDue)
        if hasLostConnections { for connection in connections { moment = min(moment, connection.reconnectAt) } }
        return moment
    }

    var hasLostConnections = false
    /// When a connection last stood.
    var lastConnected: Int64 = 0
    /// Whether it ended because no connection could be made any more.
    var gaveUp = false

    var nextDue: Int64 {
        if let schedule { return schedule.due(cursor) }
        return cursor < traceOrder.count ? start + traceOrder[cursor].time : .max
    }

    /// When request `record` of the trace is due in an open loop, in nanoseconds from the start: at its place in the trace or at
    /// its time, whatever connection has it.
    func time(ofRecord record: UInt32) -> Int64 {
        guard let trace else { return 0 }
        return plan.pace.time(ofRecord: Int(record), in: trace)
    }

    var intervalEnd: Int64 { measureFrom + Int64(interval + 1) * board.intervalNanoseconds }

    /// Does what the time asks for; false when the run is over.
    func turn(_ now: Int64) -> Bool {
        while now >= intervalEnd, drainUntil == .max { closeInterval() }
        if !ownTime.isRunning, now >= measureFrom, drainUntil == .max { ownTime.begin(clock) }
        if hasLostConnections { reconnect(now) }
        if drainUntil == .max {
            if now >= end || control.isStopped || isExhausted || isForlorn(now) {
                drainUntil = now + plan.drainNanoseconds
                sendingEnded = now
                ownTime.end(clock)
            } else {
                release(now)
                sendReady()
            }
        }
        if drainUntil != .max {
            if control.failure != nil || now >= drainUntil { return false }
            return connections.contains { $0.inFlight > 0 }
        }
        return true
    }

    /// Whether nothing more can be sent: all operations are taken, or every connection is gone for good.
    var isExhausted: Bool {
        connections.allSatisfy { ($0.isExhausted && $0.inFlight == 0) || ($0.link == nil && $0.reconnectAt == .max) }
    }

    /// Makes the connections ready for which something has come due. However much it is, each is looked at once.
    func release(_ now: Int64) {
        guard let schedule else {
            while nextDue <= now {
                markReady(traceOrder[cursor].connection)
                cursor += 1
            }
            return
        }
        let count = schedule.count(until: now)
        guard count > cursor else { return }
        for number in cursor..<min(count, cursor + connections.count) { markReady(number % connections.count) }
        cursor = count
    }

    /// Whether a run that no clock ends has had no connection for so long that there will be none.
    func isForlorn(_ now: Int64) -> Bool {
        guard !plan.isTimed else { return false }
        if connections.contains(where: { $0.link?.state == .open }) { lastConnected = now }
        gaveUp = now - lastConnected >= plan.patienceNanoseconds
        return gaveUp
    }

    func markReady(_ index: Int) {
        let connection = connections[index]
        guard !connection.isReady else { return }
        connection.isReady = true
        ready.append(index)
    }

    func sendReady() {
        guard !ready.isEmpty else { return }
        swap(&ready, &readySpare)
        for index in readySpare {
            let connection = connections[index]
            connection.isReady = false
            send(connection)
        }
        readySpare.removeAll(keepingCapacity: true)
    }

    func finish(_ now: Int64) {
        if start != .max {
            isForsaken = connections.allSatisfy { $0.isDead }
            measurement.tally.sent = connections.reduce(0) { $0 + $1.taken }
            countUnsent()
            for connection in connections { forgetInFlight(connection, now) }
            closeInterval(isLast: true)
        }
        for connection in connections {
            if let link = connection.link { poller.remove(link.socket.descriptor) }
            connection.link = nil
        }
        ledger?.flush()
        control.threadsDone.wrappingAdd(1, ordering: .releasing)
    }
}
