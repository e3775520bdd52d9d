// What a disk and the kernel's cache before it hold: for each file the bytes on the medium and the writes that are not there
// yet, for the directory the same of its names.
//
// Plain values without locks; `MemoryFileSystem` puts the file system's calls on top. The fault model: a sector of 512
// bytes is written whole or not at all; between two syncs any of the unsynced sectors may reach the medium, in any order;
// names likewise, one change at a time.

/// A file's bytes in the two places where they are.
struct SimulatedFile {
    /// What a power cut leaves for certain.
    var durable: [UInt8] = []
    /// What reads show.
    var cached: [UInt8] = []
    /// What was changed since the last sync, in order.
    var unsynced: [Change] = []

    enum Change {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)
    }

    static let sectorBytes = 512

    mutating func write(_ bytes: [UInt8], at offset: Int) {
        Self.apply(.write(offset: offset, bytes: bytes), to: &cached)
        unsynced.append(.write(offset: offset, bytes: bytes))
    }

    mutating func resize(_ count: Int) {
        Self.apply(.resize(count), to: &cached)
        unsynced.append(.resize(count))
    }

    mutating func sync() {
        for change in unsynced { Self.apply(change, to: &durable) }
        unsynced = []
    }

    /// The sync fails, and the kernel forgets that anything was to be written, though its cache still shows it.
    mutating func failSync() {
        for case .resize(let count) in unsynced { Self.apply(.resize(count), to: &durable) }
        unsynced = []
    }

    /// Clean pages leave the cache; what is unsynced stays.
    mutating func dropCache() {
        cached = durable
        for change in unsynced { Self.apply(change, to: &cached) }
    }

    /// Some of what was unsynced reached the medium.
    mutating func cutPower(_ random: inout SeededGenerator) {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: break
        case 1: sync()
        case 2:
            for change in unsynced.prefix(Int.random(in: 0...unsynced.count, using: &random)) {
                Self.apply(change, to: &durable)
            }
        case 3:
            let dropped = Int.random(in: 0...unsynced.count, using: &random)
            for (index, change) in unsynced.enumerated() where index != dropped { Self.apply(change, to: &durable) }
        default:
            for change in unsynced { applySectors(of: change, &random) }
        }
        unsynced = []
        cached = durable
    }

    private mutating func applySectors(of change: Change, _ random: inout SeededGenerator) {
        guard case .write(let offset, let bytes) = change else {
            if Bool.random(using: &random) { Self.apply(change, to: &durable) }
            return
        }
        var position = 0
        while position < bytes.count {
            let room = Self.sectorBytes - (offset + position) % Self.sectorBytes
            let end = min(position + room, bytes.count)
            if Bool.random(using: &random) {
                Self.apply(.write(offset: offset + position, bytes: Array(bytes[position..<end])), to: &durable)
            }
            position = end
        }
    }

    private static func apply(_ change: Change, to content: inout [UInt8]) {
        switch change {
        case .resize(let count):
            if count < content.count {
                content.removeLast(content.count - count)
            } else {
                content.append(contentsOf: repeatElement(0, count: count - content.count))
            }
        case .write(let offset, let bytes):
            let end = offset + bytes.count
            if content.count < end { content.append(contentsOf: repeatElement(0, count: end - content.count)) }
            content.replaceSubrange(offset..<end, with: bytes)
        }
    }
}

/// Files by number, and names for them.
struct SimulatedDisk {
    var files: [Int: SimulatedFile] = [:]
    var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    private var unsyncedNames: [[(name: String, file: Int?)]] = []
    private var nextFile = 0

    mutating func create(_ name: String) -> Int {
        nextFile += 1
        files[nextFile] = SimulatedFile()
        change([(name, nextFile)])
        return nextFile
    }

    /// Changes names as one step, which a power cut leaves whole or undone.
    mutating func change(_ step: [(name: String, file: Int?)]) {
        for (name, file) in step { names[name] = file }
        unsyncedNames.append(step)
    }

    mutating func syncNames() {
        durableNames = names
        unsyncedNames = []
    }

    /// One of the states that a power cut may leave.
    func afterPowerCut(seed: UInt64) -> SimulatedDisk {
        var random = SeededGenerator(seed: seed)
        var disk = self
        let kept = Int.random(in: 0...unsyncedNames.count, using: &random)
        let isPrefix = Bool.random(using: &random)
        for (index, step) in unsyncedNames.enumerated() where isPrefix ? index < kept : Bool.random(using: &random) {
            for (name, file) in step { disk.durableNames[name] = file }
        }
        disk.names = disk.durableNames
        disk.unsyncedNames = []
        for file in files.keys.sorted() { disk.files[file]?.cutPower(&random) }
        return disk
    }
}
