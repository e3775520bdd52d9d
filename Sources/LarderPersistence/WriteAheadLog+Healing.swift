// Brings a log that has failed back to work, in files that did not exist when it failed.
//
// After a failed sync the page cache shows bytes that the medium may lack, and the next sync of the same file says that all is
// well. So nothing of the old segments is written, synced or relied on again. The state in memory holds everything that was ever
// acknowledged: it is saved whole, and a segment that continues no other goes on behind it. Neither counts before a manifest
// names both, so a crash at any moment leaves either what was durable when the log failed, or all of the state.
// Source: A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.

import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

extension WriteAheadLog {
    package func heal(
        save: (LSN) throws(PersistenceError) -> Void, publish: (_ part: UInt32) throws(PersistenceError) -> Void
    ) throws(PersistenceError) {
        guard let (position, failure) = beginHealing() else { throw .logFailed(condition) }
        do throws(PersistenceError) {
            try save(position)
            let (file, header, bytes) = try beginAnew(at: position)
            try publish(header.number)
            endHealing(file, header, bytes)
        } catch {
            // The operator is told why the attempt failed, a client why the log did, and since when.
            enter(failure)
            notify()
            throw error
        }
    }

    /// - Returns: Where the state stands, and why healing is needed; nil when it is not.
    private func beginHealing() -> (position: LSN, failure: LogCondition)? {
        let begun = syncing.withLock { syncing -> (LSN, LogCondition)? in
            // A worker may still be about a write that began before the failure.
            writing.withLock { _ -> (LSN, LogCondition)? in
                guard state == .failed, !syncing.isClosed else { return nil }
                let failure = condition
                var healing = failure
                healing.state = .healing
                enter(healing)
                syncing.segments.discardSpare()
                // What was staged is in memory, and goes to the medium with the rest of it.
                return (buffer.abandon(), failure)
            }
        }
        if begun != nil { notify() }
        return begun
    }

    /// Makes the segment with which the log goes on at `position`; it is on the medium with its name when this returns.
    private func beginAnew(
        at position: LSN
    ) throws(PersistenceError) -> (file: any File, header: SegmentHeader, bytes: Int) {
        let header = SegmentHeader(
            number: try unusedNumber(), directory: directory, epoch: epoch, previousChecksum: 0,
            firstLSN: LSN(rawValue: position.rawValue + 1), previousLSN: position, salt: options.random(),
            ceiling: buffer.ceiling, wall: clock.wall(), beginsAnew: true)
        let name = FileName.segmentName(header.number)
        // Not the name of a spare file: that would say that the segment before it is there.
        let draft = FileName.temporaryName(name)
        // As everywhere: what the ballast makes room for when it was needed.
        let size = ballast.isGiven ? min(options.segmentBytes, ballast.segmentBytes) : options.segmentBytes
        let file = try naming(name) { () throws(SystemError) in
            let file = try files.open(draft, .create)
            do throws(SystemError) {
                try file.allocate(Int64(size))
                try SegmentFiles.write(header, to: file, bytes: size)
                try file.sync()
                try files.rename(draft, to: name)
                try files.syncDirectory()
            } catch {
                try? file.close()
                try? files.remove(draft)
                throw error
            }
            return file
        }
        return (file, header, size)
    }

    /// The number of a segment above all that ever were, those of attempts that failed included.
    private func unusedNumber() throws(PersistenceError) -> UInt32 {
        var last = writing.withLock { $0.writer.segment }
        for name in try naming(files.path, { () throws(SystemError) in try files.list() }) {
            switch FileName(FileName.withoutTemporarySuffix(name)) {
            case .segment(let number), .spare(let number): last = max(last, number)
            default: break
            }
        }
        return last + 1
    }

    private func endHealing(_ file: any File, _ header: SegmentHeader, _ bytes: Int) {
        syncing.withLock { _ in
            writing.withLock { state in
                precondition(header.previousLSN >= writtenLSN, "the log goes backwards")
                try? state.writer.file.close()
                state = Writing(
                    writer: LogWriter(file: file, header: header), segmentBytes: bytes, lastWrite: clock.elapsed())
                publishAll(header.previousLSN)
            }
        }
        enter(
            LogCondition(
                state: ballast.isGiven ? .low : .ok, error: ballast.isGiven ? Ballast.shortage : nil,
                file: FileName.segmentName(header.number), since: clock.wall()))
        notify()
        // A seal is due soon, and nobody else would say so.
        parker.wake()
    }
}
