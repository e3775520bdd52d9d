// One life of a server's storage, without the server: the engine's store, its log and snapshots on a simulated directory.
//
// The same classes in the same order as `Server` has them; what the server's threads do is done here by calls.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import Synchronization

/// A store that has recovered.
package final class StorageLife: Sendable {
    package let files: any FileSystem
    package let store: Store
    package let buffer: LogBuffer
    package let durable: DurableStore
    package let report: RecoveryReport
    private let walks: InterruptedState
    private let time: ServerTime

    /// Small segments, no pauses, one thread, and every random number from `seed`.
    package static func options(segmentBytes: Int = 8_192, seed: UInt64 = 1) -> PersistenceOptions {
        var options = PersistenceOptions()
        options.segmentBytes = segmentBytes
        options.snapshotBytesPerSecond = 0
        options.snapshotLogBytes = 40_000
        options.snapshotRetryMilliseconds = 1_000
        // At every turn of the keeper.
        options.healMilliseconds = 0
        options.healMillisecondsMax = 0
        options.ballastBytes = 4_096
        // Now and then in a run.
        options.scrubMilliseconds = 120_000
        options.loadThreads = 1
        options.owner = "pid 1\n"
        let generator = Mutex(SeededGenerator(seed: seed))
        options.random = { generator.withLock { $0.next() } }
        return options
    }

    /// Opens the directory and recovers.
    ///
    /// - Parameter state: What stands between the store and persistence; a test plants errors there.
    package init(
        _ files: any FileSystem, clock: any Clock = ManualClock(), options: PersistenceOptions = StorageLife.options(),
        state: (any PersistentState) -> any PersistentState = { $0 }
    ) throws(PersistenceError) {
        self.files = files
        var random = SeededGenerator(seed: 4_711)
        var configuration = StoreConfiguration(secrets: HashSecrets(using: &random))
        configuration.shardCount = 2
        configuration.memoryBytesMax = 64 << 20
        configuration.largePages = false
        buffer = LogBuffer(bytesMax: 1 << 20)
        store = Store(configuration: configuration, log: buffer)
        walks = InterruptedState(state(StoredState(store)))
        time = ServerTime(clock: clock)
        durable = try DurableStore(directory: files, clock: time, state: walks, buffer: buffer, options: options)
        report = try durable.recover()
        guard let log = durable.log as? WriteAheadLog else { preconditionFailure("a directory's log is of segments") }
        self.log = log
        time.advance(toAtLeast: report.newestWall)
    }

    /// The time that entries are judged by.
    package var now: Milliseconds { time.now() }
    package let log: WriteAheadLog

    /// Does `body` between two steps of every walk from now on.
    package func setMeanwhile(_ body: (@Sendable () -> Void)?) { walks.meanwhile.withLock { $0 = body } }

    /// The end of a worker's turn: what is staged goes to the kernel.
    package func endTurn() { log.writeIfIdle() }

    /// Somebody waits: what is staged goes to the medium.
    package func sync() {
        log.kick()
        _ = log.step()
    }
}

/// A state whose walks take small steps, with something happening between them.
private final class InterruptedState: PersistentState {
    private let state: any PersistentState
    let meanwhile = Mutex<(@Sendable () -> Void)?>(nil)

    init(_ state: any PersistentState) { self.state = state }

    func apply(_ record: borrowing LogRecord) { state.apply(record) }
    var recordsNotApplied: Int { state.recordsNotApplied }
    func appendNamespaces(to buffer: inout ByteBuffer) -> Int { state.appendNamespaces(to: &buffer) }
    func beginWalk() -> any StateWalk { InterruptedWalk(self, state.beginWalk()) }
}

private final class InterruptedWalk: StateWalk {
    private let owner: InterruptedState
    private let walk: any StateWalk

    init(_ owner: InterruptedState, _ walk: any StateWalk) {
        self.owner = owner
        self.walk = walk
    }

    func next(entriesMax: Int, bytesMax: Int, into buffer: inout ByteBuffer) -> Int? {
        owner.meanwhile.withLock { $0 }?()
        return walk.next(entriesMax: min(entriesMax, 3), bytesMax: bytesMax, into: &buffer)
    }
}
