// The seam between a store that is to be durable and the place where its log lives.
//
// The engine stages records in a `LogBuffer`, a concrete type, so no protocol is on the way of a write. Everything behind the
// buffer is asked through here, once a turn or less: a `ClosedLog` is what earlier starts left, and opening it gives the
// `LogBackend` that takes what is staged from then on. Snapshots carry the position that they cover, and the state changes by
// records alone, so a log that several machines share could stand here and nothing else would have to know.

import LarderEngine
import LarderPlatform

/// A log at rest: what earlier starts wrote. Reading changes nothing.
package protocol ClosedLog: Sendable {
    /// How many bytes `read` would have to read, which is cheap to find out: a directory and some headers.
    ///
    /// - Returns: nil when the log begins only after `position`, so that nothing can be rebuilt from there.
    /// - Throws: When parts are missing, or belong to something else.
    func byteCount(after position: LSN) throws(PersistenceError) -> Int64?

    /// Hands the records above `position` to `apply`, each once, in the order of their LSNs, from the calling thread.
    ///
    /// - Returns: Where the log ends. Everything that was ever durable has been read then.
    /// - Throws: When something that was promised durable cannot be read; `apply` has seen a prefix by then.
    func read(
        after position: LSN, progress: RecoveryProgress, _ apply: (borrowing LogRecord) -> Void
    ) throws(PersistenceError) -> ReplayOutcome

    /// Begins a new life of the log, behind what `read` found. That it has begun, and `start`, are on the medium when this
    /// returns; nothing has been taken from `buffer` yet, and no thread runs.
    func open(
        _ start: LogStart, buffer: LogBuffer, clock: any Clock, options: PersistenceOptions
    ) throws(PersistenceError) -> any LogBackend
}

/// How a life of the log begins.
package struct LogStart: Sendable {
    /// What `read` returned.
    package var past: ReplayOutcome
    /// Not below any LSN that was ever given; where all positions begin.
    package var floor: LSN
    /// No LSN above this is given until a higher one has been made durable.
    package var ceiling: LSN
    /// Counts the lives.
    package var epoch: UInt32
    package var wall: Milliseconds
}

/// A log at work: takes what the engine staged and makes it survive.
///
/// `appliedLSN >= writtenLSN >= intervalLSN`, `writtenLSN >= durableLSN`, and none ever goes back. When the state leaves `ok` the
/// backend has the buffer refuse records; positions then stand, and what they do not cover is not known to survive.
package protocol LogBackend: AnyObject, Sendable {
    // Positions: a load or two each, from any thread.

    /// Everything up to here survives the process.
    var writtenLSN: LSN { get }
    /// What a reply in `interval` waits for: `writtenLSN`, but not further ahead of `durableLSN` than the bound allows.
    var intervalLSN: LSN { get }
    /// Everything up to here survives a power cut.
    var durableLSN: LSN { get }
    var state: LogState { get }
    /// The state, why, where and since when. May lock.
    var condition: LogCondition { get }
    /// What a restart without a snapshot would have to read of this life's records, about; decides when a snapshot is due.
    var bytesWritten: Int { get }
    /// How old the oldest byte is that the medium should have and is not known to have; 0 when there is none. May lock.
    var unsyncedMilliseconds: Milliseconds { get }

    /// May lock.
    var statistics: LogStatistics { get }

    /// `observer` is called after a position advanced or the state changed, by whichever thread did that.
    func setObserver(_ observer: (@Sendable () -> Void)?)

    /// Starts what the log does without being asked: writing, syncing within the interval, trying again when the disk was full.
    func start() throws(PersistenceError)

    /// Writes what is staged on the calling thread, unless another is at it, which then writes this as well. Waits for no lock
    /// and no sync. An error becomes the state.
    ///
    /// - Returns: Whether a position advanced.
    @discardableResult func writeIfIdle() -> Bool

    /// Has everything that is staged made durable as soon as possible, by another thread: a reply waits for it. Cheap.
    func kick()

    /// Makes everything staged so far durable, on the calling thread, and begins a new part of the log, so that what lies
    /// before can go one day.
    ///
    /// - Returns: Where the log stands: the position that a snapshot begun now covers.
    /// - Throws: `logFailed`.
    func cut() throws(PersistenceError) -> LSN

    /// Returns when everything up to `lsn`, which has been staged, is durable.
    ///
    /// - Throws: `logFailed`; it may be durable or not.
    func makeDurable(through lsn: LSN) throws(PersistenceError)

    /// The first part of the log that holds a record above `position`: what a manifest has to name before `trim`.
    func part(after position: LSN) throws(PersistenceError) -> UInt32

    /// Lets the parts before `part` go; nobody will read them. What cannot be removed now is removed another time.
    func trim(before part: UInt32) throws(PersistenceError)

    /// The files of the log that will not be written to again.
    func filesAtRest() throws(DamageAtRest) -> [any FileAtRest]

    /// Something else that durability rests on has failed, so the log is `failed` too.
    func fail(because error: SystemError, file: String)

    /// Something that durability rests on finds no room on the disk: gives away what is kept for this, and from now on takes only
    /// records that remove something.
    ///
    /// - Returns: Whether there is more room now, so that another attempt makes sense.
    func giveRoom(because error: SystemError, file: String) -> Bool

    /// Keeps some room for a full disk, if there is any; what was given away is taken back as soon as that is possible. Called when
    /// a life begins and now and then.
    func keepRoom()

    /// Goes on after a failure, in files that are new. No record is taken until this returns.
    ///
    /// - Parameter save: Makes the whole state durable as it is, which is that of the given position.
    /// - Parameter publish: Has the log begin with the given part from now on, behind what was saved.
    /// - Throws: What `save` or `publish` threw, an error of the log's own files, or `logFailed` when the log has not failed. It
    ///   can be tried again then.
    func heal(
        save: (LSN) throws(PersistenceError) -> Void, publish: (_ part: UInt32) throws(PersistenceError) -> Void
    ) throws(PersistenceError)

    /// Refuses further records, makes what is staged durable, ends what `start` began, and says in the log that it ended in
    /// order.
    ///
    /// - Throws: `logFailed` when the log could not be completed; it is closed all the same.
    func close() throws(PersistenceError)
}

extension LogBackend {
    package func filesAtRest() throws(DamageAtRest) -> [any FileAtRest] { [] }
}
