// The keys of one thread: what was sent and answered, what answers are worth, and the record of it.
//
// Only its thread uses it while the load runs. Times are Unix milliseconds.

import LarderBytes

/// What one thread knows of its keys.
///
/// Safe to send: the thread that runs with it is started after, and joined before, anybody else looks at it.
package final class ThreadLedger: @unchecked Sendable {
    // Key k of thread t of n stands at k / n.
    private let threads: Int
    private let keys: KeyFormat
    package let run: UInt32
    private let slack: Int64
    private var states: [KeyState]
    /// How many misses may be due to writes that nobody knows of.
    private let unclearMax: Int
    private let record: AcknowledgementWriter?
    private var key = ByteBuffer()
    package private(set) var faults = FaultCount()

    /// A ledger that knows nothing yet.
    package init(
        run: UInt32, keys: KeyFormat, keyCount: UInt64, thread: Int, threads: Int, slack: Int64, record: AcknowledgementWriter?
    ) {
        self.run = run
        self.keys = keys
        self.threads = threads
        self.slack = slack
        self.record = record
        unclearMax = 0
        let own = Int(keyCount) / threads + (thread < Int(keyCount) % threads ? 1 : 0)
        states = [KeyState](repeating: KeyState(), count: own)
    }

    /// A ledger of what a file promises, for a single thread.
    package init(_ promises: Promises, slack: Int64) {
        run = promises.head.run
        keys = promises.head.keys
        threads = 1
        self.slack = slack
        record = nil
        states = promises.states
        unclearMax = promises.unclearMax
    }

    func state(_ key: UInt32) -> KeyState { states[Int(key) / threads] }

    // MARK: Writing

    func send(_ operation: LoadOperation, _ key: UInt32, lifetime: Int64, now: Int64) -> UInt32 {
        states[Int(key) / threads].send(operation, lifetime: lifetime, now: now)
    }

    func acknowledge(_ operation: LoadOperation, _ key: UInt32, _ sequence: UInt32, lifetime: Int64, sent: Int64, now: Int64) {
        let dueFrom = lifetime > 0 ? sent + lifetime : Int64.max
        let dueTo = lifetime > 0 ? now + lifetime : Int64.max
        states[Int(key) / threads].acknowledge(sequence, operation, dueFrom: dueFrom, dueTo: dueTo)
        record?.append(
            Acknowledgement(operation == .delete ? .removal : .set, key: key, sequence: sequence, dueFrom: dueFrom, dueTo: dueTo))
    }

    /// Whether a write that was sent was carried out will never be known.
    func leaveUnanswered(_ operation: LoadOperation, _ key: UInt32, _ sequence: UInt32, lifetime: Int64, sent: Int64) {
        record?.append(
            Acknowledgement(
                operation == .delete ? .removalUnanswered : .setUnanswered, key: key, sequence: sequence,
                dueFrom: lifetime > 0 ? sent + lifetime : .max))
    }

    func flush() { record?.flush() }

    // MARK: Judging

    /// Judges the answer to a read: where in `input` the value is, or nil for a miss.
    func judge(
        _ index: UInt32, _ value: ByteRange?, in input: RawSpan, known: KeyState, asked: Int64, answered: Int64
    ) {
        let state = state(index)
        // Nothing was written: whatever is there is another's.
        guard state.sent > 0 else { return }
        if known.isKnown { faults.judged += 1 }
        var found = KeyState.Found.nothing
        if let value {
            key.removeAll()
            keys.append(UInt64(index), to: &key)
            found = StampedValue.sequence(of: input, value, key: key, run: run).map { .write($0) } ?? .foreign
        }
        guard let fault = state.judge(found, known: known, asked: asked, answered: answered, slack: slack) else {
            states[Int(index) / threads].learn(found, known: known)
            return
        }
        if fault == .lost, value == nil, faults.unclear < unclearMax {
            faults.unclear += 1
            return
        }
        faults.count(fault) {
            let what =
                switch found {
                case .nothing: "nothing is there"
                case .foreign: "a value is there that was never written to it, \(value?.count ?? 0) bytes"
                case .write(let number): "write \(number) is there"
                }
            return "\(keys.text(UInt64(index))): \(fault.name): \(Self.premise(known, found)), \(what)"
        }
    }

    /// What was known that an answer does not agree with.
    private static func premise(_ known: KeyState, _ found: KeyState.Found) -> String {
        if case .write(let number) = found, number == known.sequence, number <= known.gone { return "a read had found it gone" }
        if known.seen > known.sequence { return "a read had found write \(known.seen)" }
        let write = known.acknowledged == .removal ? "its removal (write \(known.sequence))" : "write \(known.sequence)"
        return "\(write) was acknowledged"
    }
}
