// A directory in memory whose power can be cut and whose calls can fail, by count and by kind.
//
// Behaves like a Linux file system as far as the `FileSystem` protocol shows it; what a power cut may leave is decided in
// `SimulatedDisk`.

import LarderBytes
import LarderPlatform
import Synchronization

/// A simulated directory.
package final class MemoryFileSystem: FileSystem {
    package let path = "simulated"
    private let state: Mutex<State>

    /// A call of the file system, as far as faults tell them apart.
    package enum Call: Sendable, Equatable {
        case open, write, sync, allocate, truncate, rename, link, remove, syncDirectory
    }

    /// What a call does instead of what it should.
    package enum Fault: Sendable, Equatable {
        /// Fails with this error number and does nothing else.
        case error(Int32)
        /// Of a write: so many bytes are written at most.
        case short(Int)
        /// Of a sync: fails with this error number, and everything unsynced is forgotten but for the cache.
        case lie(Int32)
    }

    /// One call that is about to happen.
    package struct Occurrence: Sendable {
        package let call: Call
        package let name: String
        /// How many changing calls of any kind came before this one.
        package let index: Int
        /// How many of this kind came before.
        package let indexOfKind: Int
    }

    fileprivate struct State {
        var disk = SimulatedDisk()
        var owner: String?
        var isReadOnly = false
        var callCount = 0
        var callCounts: [Call: Int] = [:]
        var fault: (@Sendable (Occurrence) -> Fault?)?
    }

    package convenience init() {
        self.init(SimulatedDisk())
    }

    private init(_ disk: SimulatedDisk) {
        state = Mutex(State(disk: disk))
    }

    // MARK: What a test does

    /// Decides for each changing call whether it fails. Reading, listing and closing are not asked.
    package func setFault(_ fault: (@Sendable (Occurrence) -> Fault?)?) {
        state.withLock { $0.fault = fault }
    }

    /// Lets nothing happen any more after `count` changing calls: the power is about to go.
    package func stop(after count: Int) {
        setFault { $0.index >= count ? .error(SystemError.inputOutput) : nil }
    }

    /// How many changing calls there were.
    package var callCount: Int { state.withLock { $0.callCount } }

    package func setReadOnly(_ isReadOnly: Bool) {
        state.withLock { $0.isReadOnly = isReadOnly }
    }

    /// A directory in one of the states that a power cut now may leave; the same for the same seed.
    package func afterPowerCut(seed: UInt64) -> MemoryFileSystem {
        MemoryFileSystem(state.withLock { $0.disk.afterPowerCut(seed: seed) })
    }

    /// A directory in which everything that was written is on the medium.
    package func copy() -> MemoryFileSystem {
        var disk = state.withLock { $0.disk }
        disk.syncNames()
        for file in disk.files.keys {
            disk.files[file]?.sync()
            disk.files[file]?.dropCache()
        }
        return MemoryFileSystem(disk)
    }

    /// What a reader of `name` sees, or nil when there is no such file.
    package func content(_ name: String) -> [UInt8]? {
        state.withLock { state in state.disk.names[name].flatMap { state.disk.files[$0]?.cached } }
    }

    /// Puts a file on the medium as it is.
    package func setContent(_ name: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let file = state.disk.create(name)
            state.disk.files[file] = SimulatedFile(durable: bytes, cached: bytes)
            state.disk.syncNames()
        }
    }

    /// Inverts a bit of a file at rest.
    package func flip(bit: Int, of name: String) {
        guard var bytes = content(name) else { preconditionFailure("no file \(name)") }
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        setContent(name, bytes)
    }

    // MARK: FileSystem

    package func open(_ name: String, _ access: FileAccess) throws(SystemError) -> any File {
        let changes = access == .create || access == .replace
        let file = try change(changes ? .open : nil, name) { (state, _) throws(SystemError) in
            let existing = state.disk.names[name]
            switch access {
            case .read, .update:
                guard let existing else { throw SystemError(number: SystemError.missingFile, call: "open") }
                if access == .update, state.isReadOnly { throw SystemError(number: SystemError.readOnly, call: "open") }
                return existing
            case .create:
                guard existing == nil else { throw SystemError(number: SystemError.fileExists, call: "open") }
                return state.disk.create(name)
            case .replace:
                guard let existing else { return state.disk.create(name) }
                state.disk.files[existing]?.resize(0)
                return existing
            }
        }
        return MemoryFile(system: self, file: file, name: name)
    }

    package func rename(_ name: String, to target: String) throws(SystemError) {
        try change(.rename, name) { (state, _) throws(SystemError) in
            let file = try Self.find(name, state)
            // Two names of one file: POSIX does nothing then.
            if state.disk.names[target] != file { state.disk.change([(target, file), (name, nil)]) }
        }
    }

    package func link(_ name: String, as second: String) throws(SystemError) {
        try change(.link, name) { (state, _) throws(SystemError) in
            let file = try Self.find(name, state)
            guard state.disk.names[second] == nil else { throw SystemError(number: SystemError.fileExists, call: "link") }
            state.disk.change([(second, file)])
        }
    }

    package func remove(_ name: String) throws(SystemError) {
        try change(.remove, name) { (state, _) throws(SystemError) in
            _ = try Self.find(name, state)
            state.disk.change([(name, nil)])
        }
    }

    package func list() throws(SystemError) -> [String] {
        state.withLock { $0.disk.names.keys.sorted() }
    }

    package func syncDirectory() throws(SystemError) {
        try change(.syncDirectory, path) { (state, _) throws(SystemError) in state.disk.syncNames() }
    }

    package func lock(_ name: String, owner: String, writable: Bool) throws(LockError) -> (any DirectoryLock)? {
        let failure = state.withLock { state -> LockError? in
            if let owner = state.owner { return .held(owner: owner) }
            if writable, state.isReadOnly { return .system(SystemError(number: SystemError.readOnly, call: "open")) }
            if writable, state.disk.names[name] == nil { _ = state.disk.create(name) }
            state.owner = owner
            return nil
        }
        if let failure { throw failure }
        return MemoryLock(system: self)
    }

    fileprivate func unlock() {
        state.withLock { $0.owner = nil }
    }

    private static func find(_ name: String, _ state: State) throws(SystemError) -> Int {
        guard let file = state.disk.names[name] else { throw SystemError(number: SystemError.missingFile, call: "open") }
        return file
    }

    /// Counts a changing call, asks for its fault, and carries it out.
    ///
    /// - Parameter call: nil for one that changes nothing.
    fileprivate func change<Result>(
        _ call: Call?, _ name: String, _ body: (inout State, Fault?) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        try withState { (state) throws(SystemError) in
            guard let call else { return try body(&state, nil) }
            if state.isReadOnly { throw SystemError(number: SystemError.readOnly, call: "simulated") }
            let occurrence = Occurrence(
                call: call, name: name, index: state.callCount, indexOfKind: state.callCounts[call, default: 0])
            state.callCount += 1
            state.callCounts[call, default: 0] += 1
            let fault = state.fault?(occurrence)
            if case .error(let number) = fault { throw SystemError(number: number, call: "simulated") }
            return try body(&state, fault)
        }
    }

    private func withState<Result>(
        _ body: (inout State) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        var outcome: Swift.Result<Result, SystemError>?
        state.withLock { state in
            do throws(SystemError) {
                outcome = .success(try body(&state))
            } catch {
                outcome = .failure(error)
            }
        }
        guard let outcome else { preconditionFailure("the lock runs its body") }
        return try outcome.get()
    }
}

private final class MemoryLock: DirectoryLock {
    private let system: MemoryFileSystem
    init(system: MemoryFileSystem) { self.system = system }
    deinit { system.unlock() }
}

/// An open file of a `MemoryFileSystem`; renaming or removing its name changes nothing for it.
private final class MemoryFile: File {
    private let system: MemoryFileSystem
    private let file: Int
    private let name: String

    init(system: MemoryFileSystem, file: Int, name: String) {
        self.system = system
        self.file = file
        self.name = name
    }

    func read(at offset: Int64, count: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        let bytes = try system.change(nil, name) { (state, _) throws(SystemError) in
            let content = state.disk.files[file]?.cached ?? []
            let start = min(Int(offset), content.count)
            return Array(content[start..<min(start + count, content.count)])
        }
        unsafe buffer.append(bytes.span.bytes)
        return bytes.count
    }

    func write(_ head: RawSpan, _ body: RawSpan, at offset: Int64) throws(SystemError) -> Int {
        let bytes = Array(head) + Array(body)
        return try system.change(.write, name) { (state, fault) throws(SystemError) in
            var count = bytes.count
            if case .short(let limit) = fault { count = min(count, limit) }
            state.disk.files[file]?.write(Array(bytes[..<count]), at: Int(offset))
            return count
        }
    }

    func sync() throws(SystemError) {
        try system.change(.sync, name) { (state, fault) throws(SystemError) in
            if case .lie(let number) = fault {
                state.disk.files[file]?.failSync()
                throw SystemError(number: number, call: "fdatasync")
            }
            state.disk.files[file]?.sync()
        }
    }

    func allocate(_ bytes: Int64) throws(SystemError) {
        try system.change(.allocate, name) { (state, _) throws(SystemError) in state.disk.files[file]?.resize(Int(bytes)) }
    }

    func truncate(to bytes: Int64) throws(SystemError) {
        try system.change(.truncate, name) { (state, _) throws(SystemError) in state.disk.files[file]?.resize(Int(bytes)) }
    }

    func size() throws(SystemError) -> Int64 {
        try system.change(nil, name) { (state, _) throws(SystemError) in Int64(state.disk.files[file]?.cached.count ?? 0) }
    }

    func dropCache() {
        try? system.change(nil, name) { (state, _) throws(SystemError) in state.disk.files[file]?.dropCache() }
    }

    func close() throws(SystemError) {}
}
