// Acknowledgements on their way to the file: one writer a thread, one file for all.
//
// A record is written when 64 KiB are together and at the end; the file says by its last record that nothing is missing.

import LarderBytes
import LarderPlatform
import Synchronization

/// The file of a run.
package final class AcknowledgementFile: Sendable {
    private struct State {
        var length: Int64
        var failure: SystemError?
    }

    private let file: any File
    private let state: Mutex<State>
    package let head: AcknowledgementHead

    /// Makes the file `name`, or empties the one that is there, and writes the head.
    package init(_ name: String, in directory: any FileSystem, head: AcknowledgementHead) throws(SystemError) {
        file = try directory.open(name, .replace)
        self.head = head
        var bytes = ByteBuffer()
        head.append(to: &bytes)
        try file.writeAll(bytes.bytes, at: 0)
        state = Mutex(State(length: Int64(bytes.count)))
    }

    /// The first error of the file; nothing is written after it.
    package var failure: SystemError? { state.withLock { $0.failure } }

    func append(_ records: RawSpan) {
        let count = Int64(records.byteCount)
        let offset: Int64? = state.withLock { state in
            guard state.failure == nil else { return nil }
            state.length += count
            return state.length - count
        }
        guard let offset else { return }
        do throws(SystemError) { try file.writeAll(records, at: offset) } catch {
            state.withLock { if $0.failure == nil { $0.failure = error } }
        }
    }

    /// Says that everything that was sent is in the file, and waits until it is on the medium.
    package func finish() throws(SystemError) {
        var bytes = ByteBuffer()
        Acknowledgement(.end, key: 0, sequence: 0).append(run: head.run, to: &bytes)
        append(bytes.bytes)
        if let failure { throw failure }
        try file.sync()
        try file.close()
    }
}

/// The records of one thread.
package final class AcknowledgementWriter {
    private static let pendingBytesMax = 65_536
    private let file: AcknowledgementFile
    private var pending = ByteBuffer()

    package init(_ file: AcknowledgementFile) { self.file = file }

    func append(_ record: Acknowledgement) {
        record.append(run: file.head.run, to: &pending)
        if pending.count >= Self.pendingBytesMax { flush() }
    }

    func flush() {
        guard !pending.isEmpty else { return }
        file.append(pending.bytes)
        pending.removeAll()
    }
}

extension Promises {
    /// Reads a file of acknowledgements.
    ///
    /// - Returns: nil when it is none.
    package static func read(_ name: String, in directory: any FileSystem) throws(SystemError) -> Promises? {
        let file = try directory.open(name, .read)
        var bytes = ByteBuffer()
        _ = try file.read(at: 0, count: AcknowledgementHead.byteCount, into: &bytes)
        guard let head = AcknowledgementHead(parsing: bytes.bytes) else { return nil }
        var promises = Promises(head: head)
        var offset = Int64(AcknowledgementHead.byteCount)
        let chunk = Acknowledgement.byteCount * 32_768
        while true {
            bytes.removeAll()
            let count = try file.read(at: offset, count: chunk, into: &bytes)
            if count == 0 { break }
            promises.read(bytes.bytes)
            offset += Int64(count)
        }
        promises.finish()
        return promises
    }
}
