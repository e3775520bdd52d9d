// One connection of a load: its operations, what is in flight, and the socket of the moment.

import LarderBytes
import LarderPlatform

/// A request that has not been answered.
struct InFlight {
    /// When it was due; in a closed loop, when it was sent. Nanoseconds.
    var intended: Int64 = 0
    var sent: Int64 = 0
    /// Milliseconds; 0: none.
    var lifetime: Int64 = 0
    var key: UInt32 = 0
    /// The number of a write that will be judged.
    var sequence: UInt32 = 0
    var operation = LoadOperation.get
}

/// Where the operations of a connection come from.
enum OperationSource {
    case stream(OperationStream)
    case trace(Trace, share: [UInt32])
}

/// A connection that may be made several times.
final class LoadConnection {
    /// The socket of the moment.
    final class Link {
        enum State { case connecting, greeting, open }

        let socket: Socket
        var state = State.connecting
        var input = ByteBuffer()
        /// What the kernel did not take.
        var rest = ByteBuffer()
        var awaitsWriting = false

        init(_ socket: consuming Socket) { self.socket = socket }
    }

    let token: UInt64
    // Either a stream or a trace. Apart, so that the stream changes in place.
    private var stream: OperationStream?
    private let trace: Trace?
    private let share: [UInt32]
    // A ring of as many as may be in flight.
    private var ring: [InFlight]
    /// Beside the ring: what was known of the key when a read was sent. Empty when nothing is judged.
    private var known: [KeyState]
    private var head = 0
    private(set) var inFlight = 0

    /// Requests taken from the source so far.
    private(set) var taken = 0
    /// Requests that may be taken altogether.
    let quota: Int
    private var sawEnd = false
    var link: Link?
    /// When to connect again; `.max`: not.
    var reconnectAt = Int64.max
    var isReady = false
    /// Whether the server cut it, or took it no more, since the last reply.
    var isCut = false
    /// At the end of a run: whether nothing more can be expected of it.
    var isDead: Bool { isCut || inFlight > 0 }

    init(token: UInt64, source: OperationSource, depth: Int, judges: Bool, quota: Int) {
        self.token = token
        switch source {
        case .stream(let stream): (self.stream, trace, share) = (stream, nil, [])
        case .trace(let trace, let share): (stream, self.trace, self.share) = (nil, trace, share)
        }
        self.quota = quota
        ring = [InFlight](repeating: InFlight(), count: depth)
        known = judges ? [KeyState](repeating: KeyState(), count: depth) : []
    }

    /// How many more may be taken; `.max` and the like where only the time is limited.
    var remaining: Int { sawEnd ? 0 : (trace == nil ? quota : min(quota, share.count)) - taken }
    var isExhausted: Bool { remaining == 0 }

    var hasRoom: Bool { inFlight < ring.count }

    /// The next operation; nil when there is none any more.
    func next() -> LoadRequest? {
        guard remaining > 0, let operation = draw() else {
            sawEnd = true
            return nil
        }
        taken += 1
        return operation
    }

    private func draw() -> LoadRequest? {
        guard let trace else { return stream?.next() }
        let record = trace.records[Int(share[taken])]
        return LoadRequest(kind: record.operation, key: share[taken], valueBytes: Int(record.valueBytes), lifetime: record.lifetime)
    }

    /// Passes over operations without looking at them.
    func skip(_ count: Int) { taken += min(count, remaining) }

    /// How many requests of the trace, from the next on, are before one that is not `isWanted`.
    func records(while isWanted: (UInt32) -> Bool) -> Int { share[min(taken, share.count)...].prefix(while: isWanted).count }

    /// Which request of the trace is taken next.
    var nextRecord: UInt32? { taken < share.count ? share[taken] : nil }

    func push(_ request: InFlight) {
        let position = (head + inFlight) % ring.count
        ring[position] = request
        inFlight += 1
    }

    func push(_ request: InFlight, known state: KeyState) {
        known[(head + inFlight) % ring.count] = state
        push(request)
    }

    /// The oldest request in flight.
    var oldest: InFlight { ring[head] }
    var oldestKnown: KeyState { known[head] }

    func pop() {
        head = (head + 1) % ring.count
        inFlight -= 1
    }
}
