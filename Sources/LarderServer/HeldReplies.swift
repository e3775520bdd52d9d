// Replies that wait for the log: a write's until its record is where the policy wants it, a read's until the value it
// shows can no longer be lost.
//
// Bytes in order, and beside them the gates: up to where the bytes belong to a reply, and which position of the log
// lets them go. Knows no socket and no log; it is told how far the log came.

import LarderBytes
import LarderEngine
import LarderWire

/// How far the log has come.
package struct LogPosition: Sendable, Equatable {
    /// With the kernel: survives the process.
    package var written: LSN
    /// With the kernel, and no further ahead of the medium than an `interval` write may be.
    package var interval: LSN
    /// On the medium: survives a power cut.
    package var durable: LSN
    /// How many snapshots have ended.
    package var snapshots: UInt64
    package var lastSnapshotFailed: Bool

    package init(
        written: LSN, interval: LSN, durable: LSN, snapshots: UInt64 = 0, lastSnapshotFailed: Bool = false
    ) {
        self.written = written
        self.interval = interval
        self.durable = durable
        self.snapshots = snapshots
        self.lastSnapshotFailed = lastSnapshotFailed
    }
}

/// What a reply waits for.
package enum Wait: Sendable, Equatable {
    case nothing
    case written(LSN)
    case interval(LSN)
    case durable(LSN)
    /// So many snapshots have ended.
    case snapshot(UInt64)

    @inline(__always) func isOver(at position: LogPosition) -> Bool {
        switch self {
        case .nothing: true
        case .written(let lsn): lsn <= position.written
        case .interval(let lsn): lsn <= position.interval
        case .durable(let lsn): lsn <= position.durable
        case .snapshot(let count): count <= position.snapshots
        }
    }
}

/// The replies of one connection that may not be sent yet.
package struct HeldReplies: ~Copyable, Sendable {
    private struct Gate: Sendable {
        var wait: Wait
        /// Where the reply ends, counted from the first byte ever held.
        var end: UInt64
        /// What is needed to answer differently when the log fails.
        var tag: UInt32
        var flags: UInt16
        var operation: LarderWire.Operation
        var isWrite: Bool
    }

    private var bytes = ByteBuffer()
    private var gates: [Gate] = []
    private var firstGate = 0
    private var released: UInt64 = 0
    /// Whether a reply that waits for nothing may go before those that wait (asked for in a binary hello).
    package var overtaking = false
    /// A part of a memcached reply has been refused: what else its request names is left out.
    var skipsParts = false
    /// Whether a reply waits for the medium that did not when this was last cleared: somebody must ask for a sync.
    package var wantsSync = false

    package init() {}

    package var count: Int { gates.count - firstGate }
    package var byteCount: Int { bytes.count }
    package var isEmpty: Bool { gates.count == firstGate }

    /// Whether a reply with this wait may go at once.
    @inline(__always) package func lets(_ wait: Wait, at position: LogPosition) -> Bool {
        wait.isOver(at: position) && (isEmpty || overtaking)
    }

    /// Appends one reply, made by `encode`: to `output` when it may go at once, else behind those that wait.
    @inline(__always)
    package mutating func reply(
        _ wait: Wait, at position: LogPosition, to command: Command, isWrite: Bool,
        output: inout ByteBuffer, _ encode: (inout ByteBuffer) -> Void
    ) {
        if lets(wait, at: position) {
            encode(&output)
        } else {
            encode(&bytes)
            if case .durable = wait, !wait.isOver(at: position) { wantsSync = true }
            gates.append(Gate(
                wait: wait, end: released &+ UInt64(bytes.count), tag: command.tag, flags: command.flags,
                operation: command.operation, isWrite: isWrite))
        }
    }

    /// Moves every reply whose wait is over, and that none before it holds back, to `output`.
    ///
    /// - Returns: Whether anything moved.
    @discardableResult
    package mutating func release(at position: LogPosition, dialect: Dialect, into output: inout ByteBuffer) -> Bool {
        var last = firstGate
        while last < gates.count, gates[last].wait.isOver(at: position) {
            if position.lastSnapshotFailed, case .snapshot = gates[last].wait {
                move(upTo: last, into: &output)
                replace(Self.snapshotFailed, dialect, into: &output)
                last = firstGate
            } else {
                last += 1
            }
        }
        guard last > firstGate else { return false }
        move(upTo: last, into: &output)
        return true
    }

    /// Moves the replies before gate `last` to `output`.
    private mutating func move(upTo last: Int, into output: inout ByteBuffer) {
        guard last > firstGate else { return }
        let count = Int(gates[last - 1].end &- released)
        output.append(bytes.span(ByteRange(start: 0, count: count)))
        drop(gates: last - firstGate, bytes: count)
    }

    /// Answers the first reply's request with `failure` instead.
    private mutating func replace(_ failure: Failure, _ dialect: Dialect, into output: inout ByteBuffer) {
        let gate = gates[firstGate]
        var command = Command()
        command.operation = gate.operation
        command.tag = gate.tag
        command.flags = gate.flags
        Reply.failure(failure, to: command, in: dialect, into: &output)
        drop(gates: 1, bytes: Int(gate.end &- released))
    }

    /// The log failed: replies that still wait are replaced by what can honestly be said.
    package mutating func fail(at position: LogPosition, dialect: Dialect, into output: inout ByteBuffer) {
        var skips = false
        while firstGate < gates.count {
            let gate = gates[firstGate]
            let parts = dialect == .memcached ? MemcachedFlags(rawValue: gate.flags) : []
            if skips, parts.contains(.later) {
                drop(gates: 1, bytes: Int(gate.end &- released))
                continue
            }
            skips = false
            if case .snapshot = gate.wait, position.lastSnapshotFailed || !gate.wait.isOver(at: position) {
                replace(Self.snapshotFailed, dialect, into: &output)
            } else if gate.wait.isOver(at: position) {
                move(upTo: firstGate + 1, into: &output)
            } else {
                replace(gate.isWrite ? Self.unknown : Self.notYet, dialect, into: &output)
                skips = parts.contains(.more)
            }
        }
        // The other parts have not been executed yet.
        if skips { skipsParts = true }
    }

    private mutating func drop(gates count: Int, bytes byteCount: Int) {
        bytes.consume(byteCount)
        released &+= UInt64(byteCount)
        firstGate += count
        if firstGate == gates.count {
            gates.removeAll(keepingCapacity: gates.capacity <= 256)
            firstGate = 0
            bytes.shrink(above: 16_384)
        } else if firstGate >= 1_024 {
            gates.removeFirst(firstGate)
            firstGate = 0
        }
    }

    static let unknown = Failure(
        .outcomeUnknown,
        "The log failed before this write was on the medium: it may or may not survive. Read it back, then repeat it if needed.")
    static let snapshotFailed = Failure(
        .snapshotFailed, "The snapshot could not be taken; any before it is kept. The server's log says why.")
    static let notYet = Failure(
        .notDurableYet, "The value is not on the medium yet and the log cannot write. Try again later.")
}
