// A directory in memory whose power can be cut and whose calls can fail, by count and by kind.
//
// Behaves like a Linux file system as far as the `FileSystem` protocol shows it; what a power cut may leave is decided in
// `CrashStates`.

import LarderBytes
import LarderPlatform
import Synchronization

/// A simulated directory.
package final class MemoryFileSystem: FileSystem {
    package let path = "simulated"
    private let state: Mutex<State>

    /// A call of the file system, as far as faults tell them apart.
    package enum Call: String, Sendable, Equatable, CaseIterable {
        case open, read, write, sync, allocate, truncate, close, rename, link, remove, list, syncDirectory

        /// Whether the call changes what a power cut would leave.
        var isChange: Bool {
            switch self {
            case .read, .close, .list: false
            default: true
            }
        }
    }

    /// What a call does instead of what it should.
    package enum Fault: Sendable, Equatable {
        /// Fails with this error number and does nothing else.
        case error(Int32)
        /// Of a write: so many bytes are written at most.
        case short(Int)
        /// Of a sync, of a file or of the names: fails with this error number, and everything unsynced is forgotten but for the cache.
        case lie(Int32)
    }

    /// One call that is about to happen.
    package struct Occurrence: Sendable {
        package let call: Call
        package let name: String
        /// How many changing calls of any kind came before this one.
        package let index: Int
    }

    fileprivate struct State {
        var disk: SimulatedDisk
        var owner: String?
        var isReadOnly = false
        var capacity = Int.max
        var callCount = 0
        var fault: (@Sendable (Occurrence) -> Fault?)?
        var witness: (@Sendable (Occurrence) -> Void)?
    }

    package convenience init() {
        self.init(SimulatedDisk())
    }

    /// A directory on `disk`, used by nobody yet.
    package init(_ disk: SimulatedDisk) {
        state = Mutex(State(disk: disk))
    }

    // MARK: What a test does

    /// Decides for each call whether it fails. Asking for a size is no call that could.
    package func setFault(_ fault: (@Sendable (Occurrence) -> Fault?)?) {
        state.withLock { $0.fault = fault }
    }

    /// Is called after each changing call that succeeded, before the caller goes on: what happens in the meantime.
    package func setWitness(_ witness: (@Sendable (Occurrence) -> Void)?) {
        state.withLock { $0.witness = witness }
    }

    /// Lets no change happen any more after `count` changing calls: the power is about to go.
    package func stop(after count: Int) {
        setFault { $0.index >= count && $0.call.isChange ? .error(SystemError.inputOutput) : nil }
    }

    /// How many changing calls there were.
    package var callCount: Int { state.withLock { $0.callCount } }

    /// How many bytes all files together may have.
    package func setCapacity(_ bytes: Int) {
        state.withLock { $0.capacity = bytes }
    }

    package var usedBytes: Int { state.withLock { $0.disk.namedBytes } }

    package func setReadOnly(_ isReadOnly: Bool) {
        state.withLock { $0.isReadOnly = isReadOnly }
    }

    /// What the disk and the cache hold now.
    package var disk: SimulatedDisk { state.withLock { $0.disk } }

    /// A directory in one of the states that a power cut now may leave; the same for the same seed.
    package func afterPowerCut(seed: UInt64) -> MemoryFileSystem {
        let disk = disk
        return MemoryFileSystem(disk.afterPowerCut(disk.randomCrashState(seed: seed)))
    }

    /// The directory as the next process finds it when this one was killed: with the cache, without its locks and faults.
    package func afterKill() -> MemoryFileSystem { MemoryFileSystem(disk) }

    /// A directory in which everything that was written is on the medium.
    package func copy() -> MemoryFileSystem {
        var disk = disk
        disk.syncAll()
        for file in disk.files.keys { disk.files[file]?.dropCache() }
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

    /// Inverts a bit of a file on the medium; the cache still shows what was there.
    package func rot(bit: Int, of name: String) {
        state.withLock { state in
            guard let file = state.disk.names[name], var bytes = state.disk.files[file]?.durable else { preconditionFailure("no file \(name)") }
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            state.disk.files[file]?.durable = bytes
        }
    }

    // MARK: FileSystem

    package func open(_ name: String, _ access: FileAccess) throws(SystemError) -> any File {
        let file = try perform(.open, name, isChange: access == .create || access == .replace) {
            (state, _) throws(SystemError) in
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
                state.disk.change(existing, .resize(0))
                return existing
            }
        }
        return MemoryFile(system: self, file: file, name: name)
    }

    package func rename(_ name: String, to target: String) throws(SystemError) {
        try perform(.rename, name) { (state, _) throws(SystemError) in
            let file = try Self.find(name, state)
            // Two names of one file: POSIX does nothing then.
            if state.disk.names[target] != file { state.disk.change([(target, file), (name, nil)]) }
        }
    }

    package func link(_ name: String, as second: String) throws(SystemError) {
        try perform(.link, name) { (state, _) throws(SystemError) in
            let file = try Self.find(name, state)
            guard state.disk.names[second] == nil else { throw SystemError(number: SystemError.fileExists, call: "link") }
            state.disk.change([(second, file)])
        }
    }

    package func isSame(_ name: String, _ other: String) throws(SystemError) -> Bool {
        try withState { (state) throws(SystemError) in try Self.find(name, state) == Self.find(other, state) }
    }

    package func remove(_ name: String) throws(SystemError) {
        try perform(.remove, name) { (state, _) throws(SystemError) in
            _ = try Self.find(name, state)
            state.disk.change([(name, nil)])
        }
    }

    package func list() throws(SystemError) -> [String] {
        try perform(.list, path, isChange: false) { (state, _) throws(SystemError) in state.disk.names.keys.sorted() }
    }

    package func freeBytes() throws(SystemError) -> Int64 {
        state.withLock { state in
            state.capacity == .max ? .max : Int64(max(0, state.capacity - state.disk.namedBytes))
        }
    }

    package func syncDirectory() throws(SystemError) {
        try perform(.syncDirectory, path) { (state, fault) throws(SystemError) in
            if case .lie(let number) = fault {
                state.disk.failSyncNames()
                throw SystemError(number: number, call: "fsync")
            }
            state.disk.syncNames()
        }
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

    /// Counts a call, asks for its fault, carries it out, and lets the witness see it.
    ///
    /// - Parameter file: The open file that is used; what it is called now counts, not how it was opened.
    fileprivate func perform<Result>(
        _ call: Call, _ name: String, file: Int? = nil, isChange: Bool = true,
        _ body: (inout State, Fault?) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
        var occurrence = Occurrence(call: call, name: name, index: 0)
        let result = try withState { (state) throws(SystemError) in
            if isChange, state.isReadOnly { throw SystemError(number: SystemError.readOnly, call: "simulated") }
            let current = file.flatMap { file in state.disk.names.first { $0.value == file }?.key }
            occurrence = Occurrence(call: call, name: current ?? name, index: state.callCount)
            if isChange { state.callCount += 1 }
            let fault = state.fault?(occurrence)
            if case .error(let number) = fault { throw SystemError(number: number, call: "simulated") }
            return try body(&state, fault)
        }
        if isChange { state.withLock { $0.witness }?(occurrence) }
        return result
    }

    /// Fails when a file that ends at `end` would not fit beside the others.
    fileprivate func requireRoom(_ file: Int, upTo end: Int, _ state: State) throws(SystemError) {
        guard state.capacity < .max, let present = state.disk.files[file]?.cached.count, end > present else { return }
        if state.disk.namedBytes + end - present > state.capacity { throw SystemError(number: SystemError.noSpace, call: "simulated") }
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

    /// Looks at the disk without a call that could fail.
    fileprivate func look<Result>(_ body: (inout SimulatedDisk) -> Result) -> Result { state.withLock { body(&$0.disk) } }
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
        let content = try system.perform(.read, name, file: file, isChange: false) { (state, _) throws(SystemError) in
            state.disk.files[file]?.cached ?? []
        }
        let start = min(Int(offset), content.count)
        let end = min(start + count, content.count)
        buffer.append(content.span.bytes.extracting(start..<end))
        return end - start
    }

    func write(_ head: RawSpan, _ body: RawSpan, at offset: Int64) throws(SystemError) -> Int {
        let bytes = Array(head) + Array(body)
        return try system.perform(.write, name, file: file) { (state, fault) throws(SystemError) in
            var count = bytes.count
            if case .short(let limit) = fault { count = min(count, limit) }
            try system.requireRoom(file, upTo: Int(offset) + count, state)
            state.disk.change(file, .write(offset: Int(offset), bytes: Array(bytes[..<count])))
            return count
        }
    }

    func sync() throws(SystemError) {
        try system.perform(.sync, name, file: file) { (state, fault) throws(SystemError) in
            if case .lie(let number) = fault {
                state.disk.files[file]?.failSync()
                throw SystemError(number: number, call: "fdatasync")
            }
            state.disk.files[file]?.sync()
        }
    }

    func allocate(_ bytes: Int64) throws(SystemError) {
        try system.perform(.allocate, name, file: file) { (state, _) throws(SystemError) in
            try system.requireRoom(file, upTo: Int(bytes), state)
            state.disk.change(file, .resize(Int(bytes)))
        }
    }

    func truncate(to bytes: Int64) throws(SystemError) {
        try system.perform(.truncate, name, file: file) { (state, _) throws(SystemError) in
            state.disk.change(file, .resize(Int(bytes)))
        }
    }

    func size() throws(SystemError) -> Int64 { system.look { Int64($0.files[file]?.cached.count ?? 0) } }

    func dropCache() { system.look { $0.files[file]?.dropCache() } }

    func close() throws(SystemError) {
        try system.perform(.close, name, file: file, isChange: false) { (_, _) throws(SystemError) in }
    }
}
