// A server without sockets: a store, a context, a log whose positions the test moves, and clients that speak bytes.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderSimulation
import LarderWire

@testable import LarderServer

/// A log that is as far as the test says.
final class FakeLog: ReplyLog, @unchecked Sendable {
    // Unchecked: one thread uses it.
    var position = LogPosition(written: .zero, interval: .zero, durable: .zero)
    var isWorking = true
    var refusal = LogRefusal(isDiskFull: false, text: "log/00000001: Input/output error")
    var reserveRefusal: LogRefusal?
    var troubles: [String] = []
    private(set) var snapshotsRequested: UInt64 = 0

    /// What happens when a worker has executed what it received.
    var onEndTurn: ((_ wantsSync: Bool) -> Void)?

    func endTurn(wantsSync: Bool) { onEndTurn?(wantsSync) }
    func requestSnapshot() -> UInt64 {
        snapshotsRequested += 1
        return snapshotsRequested
    }
    func news() -> [String] { [] }
    func report(_ figure: (StaticString, StaticString, Bool, Int64) -> Void) {}
}

/// Everything that sessions share. The same calls give the same bytes in every rig, ids of new namespaces aside.
final class Rig {
    static let start: Milliseconds = 1_800_000_000_000

    let fake: FakeLog
    let buffer = LogBuffer(bytesMax: 2 << 20)
    let clock = ManualClock(wall: Rig.start)
    let store: Store
    let server: ServerContext
    let metrics = WorkerMetrics()
    var now = Rig.start

    /// - Parameter waits: Whether replies wait for `fake`; else it is further than any reply can want.
    /// - Parameter eventBytesMax: How many bytes of events of keys are kept.
    convenience init(_ configuration: ServerConfiguration = ServerConfiguration(), waits: Bool = false, eventBytesMax: Int = 1 << 20) {
        let fake = FakeLog()
        let end = LSN(rawValue: .max)
        if !waits { fake.position = LogPosition(written: end, interval: end, durable: end, snapshots: .max) }
        self.init(configuration, fake, eventBytesMax: eventBytesMax) { _, _ in fake }
    }

    /// - Parameter log: Makes the log that replies wait for.
    init(
        _ configuration: ServerConfiguration = ServerConfiguration(), _ fake: FakeLog = FakeLog(), eventBytesMax: Int = 1 << 20,
        log: (Store, LogBuffer) throws -> any ReplyLog
    ) rethrows {
        self.fake = fake
        var layout = StoreConfiguration(secrets: HashSecrets(using: &Rig.fixed))
        layout.shardCount = 4
        layout.memoryBytesMax = 64 << 20
        layout.largePages = false
        layout.valueBytesMax = configuration.valueBytesMax
        layout.eventBytesMax = eventBytesMax
        let rule: LarderEngine.KeyRule = configuration.keyRule == .path ? .path : .bytes
        let namespaces = NamespaceTable(
            settings: NamespaceSettings(
                durability: configuration.durability.engine, keyRule: rule,
                eviction: configuration.eviction == .none ? .none : .s3fifo, bytesMax: configuration.bytesMax), created: now)
        store = Store(configuration: layout, log: buffer, namespaces: namespaces)
        server = ServerContext(
            configuration: configuration, store: store, time: ServerTime(clock: clock), log: try log(store, buffer))
        server.register(metrics)
        server.phase = .ready
    }

    private static var fixed: SeededGenerator { get { SeededGenerator(seed: 7) } set {} }

    var turn: Turn {
        Turn(now: now, position: server.log.position, logWorks: server.log.isWorking, isReady: server.phase != .loading)
    }

    var entries: Int { store.statistics().entries }
    var namespaceCount: Int { store.namespaces.count }

    /// The log has written, and synced, everything up to now.
    func sync() {
        let all = buffer.appliedLSN
        fake.position = LogPosition(written: all, interval: all, durable: all)
    }

    @discardableResult
    func createNamespace(
        _ name: String, _ durability: LarderEngine.Durability = .always, _ keyRule: LarderEngine.KeyRule = .path,
        eviction: Eviction = .none, bytesMax: Int = 0
    ) -> Namespace {
        let bytes = Array(name.utf8)
        let settings = NamespaceSettings(durability: durability, keyRule: keyRule, eviction: eviction, bytesMax: bytesMax)
        let id = NamespaceID(high: 0x0102_0304_0506_4708, low: 0x8000_0000_0000_0000 + UInt64(store.namespaces.count))
        let result = store.createNamespace(name: bytes.span.bytes, id: id, settings: settings, now: now)
        guard case .created(let namespace, _) = result else { preconditionFailure("\(name) was not created") }
        return namespace
    }
}

/// One connection.
final class Client {
    private let rig: Rig
    var session: Session
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var batch = CommandBatch()
    private var scratch = Scratch()
    private(set) var progress = SessionProgress.needMore
    /// How many bytes of earlier replies the test says are still on their way.
    var unsent = 0
    /// How many entries its listings may look at in a turn.
    var listingWork = 8_192
    /// How many bytes of large values it may read in a turn.
    var copyWork = 1 << 20

    /// - Parameter dialect: The one that is spoken where it comes in, if there is only one.
    init(_ rig: Rig, dialect: Dialect? = nil) {
        self.rig = rig
        session = Session(configuration: rig.server.configuration, dialect: dialect)
    }

    /// Sends `bytes` as one piece, and takes what comes back at once.
    @discardableResult
    func send(_ bytes: [UInt8]) -> [UInt8] {
        // What follows on a connection that is being closed is not read.
        if isClosed { return [] }
        input.append(bytes.span.bytes)
        return proceed()
    }

    /// As `send`, but stops where the session stops.
    func sendOnce(_ bytes: [UInt8]) -> [UInt8] {
        input.append(bytes.span.bytes)
        return proceedOnce()
    }

    func proceedOnce() -> [UInt8] {
        scratch.beginTurn(listingWork: listingWork, copyWork: copyWork)
        progress = session.process(
            &input, output: &output, unsent: unsent, batch: &batch, scratch: &scratch, server: rig.server, turn: rig.turn,
            metrics: rig.metrics)
        return output.taken()
    }

    @discardableResult
    func send(_ text: String) -> [UInt8] { send(Array(text.utf8)) }

    /// Looks at what has arrived once more, as a worker does after replies have left.
    @discardableResult
    func proceed() -> [UInt8] {
        var replies: [UInt8] = []
        repeat {
            replies += proceedOnce()
            // As a worker: when everything could be sent there is room again.
        } while isFull && unsent == 0 && !session.isSaturated(rig.server.configuration) || isUnfinished
        return replies
    }

    /// What the worker does when the log has moved.
    func logMoved() -> [UInt8] {
        if rig.turn.logWorks {
            session.held.release(at: rig.turn.position, dialect: session.dialect, into: &output)
        } else {
            session.held.fail(at: rig.turn.position, dialect: session.dialect, into: &output)
        }
        return output.taken()
    }

    /// What the worker pushes at a turn's end.
    func pushed() -> [UInt8] {
        scratch.watch.look(rig.server.executor.databases)
        for watcher in scratch.watch.takeTouched() where !session.takePushes(of: watcher, &output, rig.turn) { scratch.watch.touch(watcher) }
        return output.taken()
    }

    var unread: Int { input.count }
    var heldCount: Int { session.held.count }
    var heldBytes: Int { session.held.byteCount }
    /// Whether a reply began to wait for the medium.
    var wantsSync: Bool { session.held.wantsSync }
    var isClosed: Bool { if case .close = progress { true } else { false } }
    var isUnfinished: Bool { if case .unfinished = progress { true } else { false } }
    var isFull: Bool { if case .full = progress { true } else { false } }
}

extension ByteBuffer {
    mutating func taken() -> [UInt8] {
        let bytes = bytes.withUnsafeBytes { Array($0) }
        removeAll()
        return bytes
    }
}

extension Array where Element == UInt8 {
    var text: String { String(decoding: self, as: UTF8.self) }

    /// The library's own is generic, and takes most of a test that compares thousands of conversations.
    mutating func replace(_ old: [UInt8], by new: [UInt8]) {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        var position = 0
        while position < count {
            if self[position] == old[0], position + old.count <= count, self[position..<(position + old.count)].elementsEqual(old) {
                result += new
                position += old.count
            } else {
                result.append(self[position])
                position += 1
            }
        }
        self = result
    }
}
