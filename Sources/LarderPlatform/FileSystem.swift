// The seam between what the server keeps and where it is kept: one flat directory of files.
//
// Knows no format and makes no policy: no call is repeated here after an error, and no error is hidden. The real
// directory and the simulated one (LarderSimulation) both stand behind these protocols, so that every failure of a
// disk can be produced in a test.

import LarderBytes

/// How a file is opened.
package enum FileAccess: Sendable, Equatable {
    /// An existing file, for reading.
    case read
    /// An existing file, for reading and writing.
    case update
    /// A new file; a file of that name is an error.
    case create
    /// A new file; a file of that name is emptied.
    case replace
}

/// Why a directory could not be taken.
package enum LockError: Error, Equatable, Sendable {
    /// Somebody else holds it; the text is what they wrote into the lock file.
    case held(owner: String)
    /// The operating system refused for another reason.
    case system(SystemError)
}

/// One flat directory.
///
/// Names are made by the server, never by a client, and hold no slash. A change of names (`create`, `rename`, `link`,
/// `remove`) is on the medium only after `syncDirectory`.
package protocol FileSystem: AnyObject, Sendable {
    /// Where the directory is, for messages.
    var path: String { get }

    func open(_ name: String, _ access: FileAccess) throws(SystemError) -> any File

    /// Gives `name` the name `target`, replacing a file that had it.
    func rename(_ name: String, to target: String) throws(SystemError)

    /// Gives `name` a second name; a file that has it already is an error.
    func link(_ name: String, as second: String) throws(SystemError)

    /// Whether two names mean one file.
    func isSame(_ name: String, _ other: String) throws(SystemError) -> Bool

    func remove(_ name: String) throws(SystemError)

    /// The names of all entries, sorted, without `.` and `..`.
    func list() throws(SystemError) -> [String]

    /// How many bytes more could be written, as far as the file system knows; a quota may allow less.
    func freeBytes() throws(SystemError) -> Int64

    /// Returns when the names are on the medium.
    func syncDirectory() throws(SystemError)

    /// Takes the directory for as long as the result lives, and writes `owner` into the lock file.
    ///
    /// - Parameter writable: Whether the lock file may be created and written; otherwise an existing one is locked as it is,
    ///   and nil is returned when there is none.
    func lock(_ name: String, owner: String, writable: Bool) throws(LockError) -> (any DirectoryLock)?
}

/// A directory that is held; released when the value goes away, also when the process dies.
package protocol DirectoryLock: AnyObject, Sendable {}

/// An open file. Positions are explicit, so any number of threads may read and write.
package protocol File: AnyObject, Sendable {
    /// Appends up to `count` bytes from position `offset` to `buffer`.
    ///
    /// - Returns: How many bytes were read; fewer than `count` only at the end of the file.
    func read(at offset: Int64, count: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int

    /// Writes `head` and then `body` at position `offset`.
    ///
    /// - Returns: How many bytes of both together were written, which may be fewer than there are.
    func write(_ head: RawSpan, _ body: RawSpan, at offset: Int64) throws(SystemError) -> Int

    /// Returns when what was written before the call is on the medium.
    ///
    /// After an error nothing is known about any unsynced byte, and a later success says nothing about them either.
    func sync() throws(SystemError)

    /// Makes the file `bytes` long and reserves the room on the medium.
    func allocate(_ bytes: Int64) throws(SystemError)

    func truncate(to bytes: Int64) throws(SystemError)

    func size() throws(SystemError) -> Int64

    /// Asks the kernel to forget cached pages, so that the next read comes from the medium. Advice: never fails.
    func dropCache()

    /// Ends the use of the file. Reports an error that the kernel kept back; the file is closed in any case.
    func close() throws(SystemError)
}

extension File {
    /// Writes all of `bytes` at position `offset`, in as many calls as it takes.
    package func writeAll(_ bytes: RawSpan, at offset: Int64) throws(SystemError) {
        var done = 0
        while done < bytes.byteCount {
            done += try write(bytes.extracting(done..<bytes.byteCount), RawSpan(), at: offset + Int64(done))
        }
    }
}
