// Room on the disk that is kept for the day when there is none.
//
// A preallocated file without content, removed when something that the server cannot do without finds the disk full. Knows nothing
// of what the room is used for.

import LarderPlatform
import Synchronization

/// The reserve of one directory.
final class Ballast: Sendable {
    private let files: any FileSystem
    let byteCount: Int
    private let state: Mutex<State>

    enum State: Sendable {
        /// Not there, though nothing needed its room.
        case absent
        case laid
        /// Removed because the disk was full, and not taken back yet.
        case given
    }

    /// Why a log is low on room that begins so.
    static let shortage = SystemError(number: SystemError.noSpace, call: "fallocate")

    /// - Parameter byteCount: 0: nothing is kept.
    init(files: any FileSystem, byteCount: Int) {
        self.files = files
        self.byteCount = byteCount
        let present = Self.shrink(files, to: byteCount)
        state = Mutex(byteCount > 0 && present >= byteCount ? .laid : .absent)
    }

    /// Gives back what an earlier setting had kept beyond this.
    ///
    /// - Returns: How large the file is.
    private static func shrink(_ files: any FileSystem, to byteCount: Int) -> Int {
        guard byteCount > 0 else {
            try? files.remove(FileName.ballastName)
            return 0
        }
        guard let file = try? files.open(FileName.ballastName, .update), let size = try? file.size() else { return 0 }
        if size > byteCount { try? file.truncate(to: Int64(byteCount)) }
        try? file.close()
        return Int(size)
    }

    /// Whether the disk was full and its room is not back yet.
    var isGiven: Bool { state.withLock { $0 == .given } }
    var isLaid: Bool { state.withLock { $0 == .laid } }
    /// How large a segment is for which there is room only because of this: enough for some thousands of removals.
    var segmentBytes: Int { min(max(byteCount / 8, 64 << 10), 1 << 20) }

    /// Whether it is gone, and there is no room to lay it again beside `bytes` for something else.
    func isShort(beside bytes: Int) -> Bool {
        guard byteCount > 0, !isLaid, let free = try? files.freeBytes() else { return false }
        return free < Int64(byteCount + bytes)
    }

    /// Lays it, or makes it as large as it should be.
    ///
    /// - Throws: When there is no room for it. It counts as given then.
    func lay() throws(SystemError) {
        guard byteCount > 0 else { return }
        try state.withLock { state throws(SystemError) in
            do throws(SystemError) {
                try makeFile()
                state = .laid
            } catch {
                try? files.remove(FileName.ballastName)
                state = error.isOutOfSpace || state == .given ? .given : .absent
                throw error
            }
        }
    }

    private func makeFile() throws(SystemError) {
        let file = try openFile()
        do throws(SystemError) {
            if try file.size() > Int64(byteCount) { try file.truncate(to: Int64(byteCount)) }
            try file.allocate(Int64(byteCount))
        } catch {
            try? file.close()
            throw error
        }
        try file.close()
    }

    private func openFile() throws(SystemError) -> any File {
        // Not emptied: its room would be anybody's for a moment.
        do throws(SystemError) {
            return try files.open(FileName.ballastName, .update)
        } catch {
            guard error.isMissingFile else { throw error }
            return try files.open(FileName.ballastName, .create)
        }
    }

    /// Gives the room away.
    ///
    /// - Returns: Whether there is more room now.
    func give() -> Bool {
        state.withLock { state in
            guard byteCount > 0, state != .given else { return false }
            state = .given
            // It may be gone since an earlier life.
            return (try? files.remove(FileName.ballastName)) != nil
        }
    }
}
