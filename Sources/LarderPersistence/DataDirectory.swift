// The files of one data directory as a whole: which belong, which is current, and the order in which that changes.
//
// Knows names and the manifest, not what is in a segment or a snapshot. Each step of a publication begins when the one before
// it is on the medium; skipping a directory sync loses the rename that it covers.

import LarderBytes
import LarderEngine
import LarderPlatform
import Synchronization

/// A data directory that is held.
final class DataDirectory: Sendable {
    let files: any FileSystem
    private let lock: Mutex<(any DirectoryLock)?>
    /// The newest manifest was damaged when it was last read: what stands in for it is not to be replaced by it.
    private let isDamaged = Atomic<Bool>(false)

    private static let previousLink = FileName.temporaryName(FileName.previousManifestName)
    private static let manifestDraft = FileName.temporaryName(FileName.manifestName)

    /// Takes the directory.
    ///
    /// - Parameter writable: Otherwise nothing is created, and a directory without a lock file is used as it is.
    init(files: any FileSystem, owner: String, writable: Bool = true) throws(PersistenceError) {
        self.files = files
        if writable { try Self.refuseIfForeign(files) }
        do {
            lock = Mutex(try files.lock(FileName.lockName, owner: owner, writable: writable))
        } catch {
            switch error {
            case .held(let owner): throw .locked(owner: owner)
            case .system(let error): throw .system(error, file: FileName.lockName)
            }
        }
    }

    /// Before a lock file is made in it.
    private static func refuseIfForeign(_ files: any FileSystem) throws(PersistenceError) {
        let names = try naming(files.path) { () throws(SystemError) in try files.list() }
        guard !names.contains(FileName.lockName), !names.contains(FileName.manifestName) else { return }
        do throws(PersistenceError) {
            try refuseIfOccupied(names)
        } catch {
            // The remains of a data directory are locked as one is, and judged then.
            if case .directoryNotEmpty = error { throw error }
        }
    }

    /// Whether what a start opens for writing, or replaces, are files at all.
    func checkKinds() throws(PersistenceError) {
        let opened = [FileName.lockName, FileName.previousManifestName, Self.previousLink, Self.manifestDraft]
        for name in try names() {
            if case .spare = FileName(name) {} else if !opened.contains(name) { continue }
            var bytes = ByteBuffer()
            try naming(name) { () throws(SystemError) in _ = try files.open(name, .read).read(at: 0, count: 1, into: &bytes) }
        }
    }

    /// Lets others have the directory.
    func release() { lock.withLock { $0 = nil } }

    func names() throws(PersistenceError) -> [String] {
        try naming(files.path) { () throws(SystemError) in try files.list() }
    }

    /// The numbers of all segments, ascending.
    static func segments(_ names: [String]) -> [UInt32] {
        names.compactMap { if case .segment(let number) = FileName($0) { number } else { nil } }.sorted()
    }

    /// The numbers of all snapshots, ascending.
    static func snapshots(_ names: [String]) -> [UInt32] {
        names.compactMap { if case .snapshot(let number) = FileName($0) { number } else { nil } }.sorted()
    }

    // MARK: The manifest

    /// What the directory says of itself.
    enum Current {
        /// Nothing of ours is here, nor of anybody else.
        case empty
        case manifest(Manifest)
        /// The newest manifest is damaged; this is the one before it.
        case previous(Manifest)
    }

    func current() throws(PersistenceError) -> Current {
        let names = try names()
        guard names.contains(FileName.manifestName) else {
            try Self.refuseIfOccupied(names)
            return .empty
        }
        do {
            return .manifest(try read(FileName.manifestName))
        } catch {
            guard case .manifestDamaged = error, names.contains(FileName.previousManifestName),
                let previous = try? read(FileName.previousManifestName)
            else { throw error }
            isDamaged.store(true, ordering: .releasing)
            return .previous(previous)
        }
    }

    /// What is wrong with the manifest before `manifest`, which would stand in for that.
    func previousDamage(of manifest: Manifest) throws(PersistenceError) -> PersistenceError? {
        let name = FileName.previousManifestName
        // The first one of all has none before it, and a power cut may take the name that comes with the second.
        guard try names().contains(name) else { return manifest.generation > 1 ? .fileMissing(file: name) : nil }
        do throws(PersistenceError) {
            return try read(name).directory == manifest.directory ? nil : .foreignFile(file: name)
        } catch {
            return error
        }
    }

    /// A directory without a manifest is ours to initialise only if nothing is in it but what an interrupted
    /// initialisation leaves.
    private static func refuseIfOccupied(_ names: [String]) throws(PersistenceError) {
        // Before all others, because it says what to do.
        if names.contains(FileName.previousManifestName) { throw .manifestMissing(found: FileName.previousManifestName) }
        var foreign: String?
        var remains: String?
        for name in names {
            switch FileName(FileName.withoutTemporarySuffix(name)) {
            case .lock, .lostAndFound: break
            case .foreign, .temporary: foreign = foreign ?? name
            case .manifest where name == manifestDraft: break
            // They tell less than what stands beside them.
            case .manifest, .previousManifest, .ballast, .aside: remains = remains ?? name
            case .segment, .spare, .snapshot:
                if FileName(name) != .temporary { throw .manifestMissing(found: name) }
                remains = remains ?? name
            }
        }
        if let foreign { throw .directoryNotEmpty(found: foreign) }
        if let remains { throw .manifestMissing(found: remains) }
    }

    private func read(_ name: String) throws(PersistenceError) -> Manifest {
        var bytes = ByteBuffer()
        do throws(SystemError) {
            let file = try files.open(name, .read)
            _ = try file.read(at: 0, count: Manifest.bytesMax + 1, into: &bytes)
            try file.close()
        } catch {
            // What the medium does not give back is damaged; whoever refuses it otherwise says nothing of that.
            guard error.number == SystemError.inputOutput else { throw .system(error, file: name) }
            throw .manifestDamaged(file: name, line: 0, reason: .unreadable(error))
        }
        return try Manifest(parsing: bytes.bytes, file: name)
    }

    /// Makes `manifest` the current one; it is on the medium when this returns. What it no longer names may be removed then.
    func publish(_ manifest: Manifest) throws(PersistenceError) {
        try writeDraft(manifest)
        if !isDamaged.load(ordering: .acquiring) {
            try naming(Self.previousLink) { () throws(SystemError) in try linkPrevious() }
        }
        try naming(FileName.manifestName) { () throws(SystemError) in
            try files.rename(Self.manifestDraft, to: FileName.manifestName)
            try files.syncDirectory()
        }
        isDamaged.store(false, ordering: .releasing)
    }

    private func writeDraft(_ manifest: Manifest) throws(PersistenceError) {
        var bytes = ByteBuffer()
        manifest.append(to: &bytes)
        try naming(Self.manifestDraft) { () throws(SystemError) in
            let file = try files.open(Self.manifestDraft, .replace)
            try file.writeAll(bytes.bytes, at: 0)
            try file.sync()
            try file.close()
        }
    }

    private func linkPrevious() throws(SystemError) {
        // A link replaces nothing, so it is made under another name. Left over it would be in the way of the next one, and it
        // is left over when both names meant one file already: renaming does nothing then.
        try removeIfThere(Self.previousLink)
        do {
            try files.link(FileName.manifestName, as: Self.previousLink)
        } catch {
            // The first manifest of all has none before it.
            if error.isMissingFile { return }
            throw error
        }
        try files.rename(Self.previousLink, to: FileName.previousManifestName)
    }

    private func removeIfThere(_ name: String) throws(SystemError) {
        do {
            try files.remove(name)
        } catch {
            if !error.isMissingFile { throw error }
        }
    }

    // MARK: Leftovers

    /// Renames damaged files: kept for a person, never read by the server again.
    func setAside(_ damaged: Set<String>, at time: Milliseconds) throws(PersistenceError) {
        let names = try names()
        for name in damaged where names.contains(name) {
            try naming(name) { () throws(SystemError) in try files.rename(name, to: FileName.asideName(name, at: time)) }
        }
    }

    /// Removes what no kept manifest needs, the log's own files aside. A file that cannot be removed stays until the next time.
    ///
    /// - Parameter starting: No snapshot is being written, so drafts are leftovers too.
    func removeLeftovers(_ manifest: Manifest, starting: Bool) throws(PersistenceError) {
        let kept = Set(manifest.snapshots.map(\.number))
        for name in try names() {
            let isLeftover =
                switch FileName(name) {
                case .snapshot(let number): !kept.contains(number)
                case .temporary: starting
                default: false
                }
            if isLeftover { try? files.remove(name) }
        }
    }
}

extension FileSystem {
    /// Whether `second` is the name under which a rescue keeps the file that `name` means too.
    func isAside(_ second: String, of name: String) -> Bool {
        FileName(second) == .aside && second.hasSuffix("-" + name) && (try? isSame(second, name)) == true
    }
}
