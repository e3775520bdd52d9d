// What a disk and the kernel's cache before it hold: for each file the bytes on the medium and the writes that are not there
// yet, for the directory the same of its names.
//
// Plain values without locks; `MemoryFileSystem` puts the file system's calls on top, `CrashStates` says what a power cut may
// leave. The fault model: a sector of 512 bytes is written whole or not at all; between two syncs any of the unsynced
// sectors may reach the medium, in any order; names likewise, one change at a time.

import LarderBytes

/// A file's bytes in the two places where they are.
package struct SimulatedFile: Sendable {
    /// What a power cut leaves for certain.
    var durable: [UInt8] = []
    /// What reads show.
    var cached: [UInt8] = []
    /// What was changed since the last sync, in order.
    var unsynced: [Change] = []

    struct Change: Sendable {
        /// Counts all changes of a disk, so that those of several files can be put in order.
        var order: Int
        var effect: Effect
    }

    enum Effect: Sendable {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)
    }

    static let sectorBytes = 512

    mutating func change(_ effect: Effect, order: Int) {
        Self.apply(effect, to: &cached)
        unsynced.append(Change(order: order, effect: effect))
    }

    mutating func sync() {
        for change in unsynced { Self.apply(change.effect, to: &durable) }
        unsynced = []
    }

    /// The sync fails, and the kernel forgets that anything was to be written, though its cache still shows it.
    mutating func failSync() {
        for change in unsynced {
            if case .resize = change.effect { Self.apply(change.effect, to: &durable) }
        }
        unsynced = []
    }

    /// Clean pages leave the cache; what is unsynced stays.
    mutating func dropCache() {
        cached = durable
        for change in unsynced { Self.apply(change.effect, to: &cached) }
    }

    static func apply(_ effect: Effect, to content: inout [UInt8]) {
        switch effect {
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
package struct SimulatedDisk: Sendable {
    var files: [Int: SimulatedFile] = [:]
    var names: [String: Int] = [:]
    var durableNames: [String: Int] = [:]
    var unsyncedNames: [[(name: String, file: Int?)]] = []
    private var changeCount = 0
    private var nextFile = 0

    mutating func create(_ name: String) -> Int {
        nextFile += 1
        files[nextFile] = SimulatedFile()
        change([(name, nextFile)])
        return nextFile
    }

    mutating func change(_ file: Int, _ effect: SimulatedFile.Effect) {
        changeCount += 1
        files[file]?.change(effect, order: changeCount)
    }

    /// Changes names as one step, which a power cut leaves whole or undone.
    mutating func change(_ step: [(name: String, file: Int?)]) {
        for (name, file) in step { names[name] = file }
        unsyncedNames.append(step)
    }

    /// What all files that have a name take.
    var namedBytes: Int { Set(names.values).reduce(0) { $0 + (files[$1]?.cached.count ?? 0) } }

    mutating func syncNames() {
        for step in unsyncedNames {
            for (name, file) in step { durableNames[name] = file }
        }
        unsyncedNames = []
    }

    /// The sync fails, and the kernel forgets which names were to be written, though its cache still shows them.
    mutating func failSyncNames() { unsyncedNames = [] }

    /// Everything that was written is on the medium.
    mutating func syncAll() {
        syncNames()
        for file in files.keys { files[file]?.sync() }
    }

    /// The names and bytes on the medium in one word; equal for equal content.
    package var fingerprint: UInt64 {
        var sum: UInt64 = 0
        for (name, file) in durableNames {
            var hash = Fingerprint()
            hash.add(Array(name.utf8))
            hash.add(files[file]?.durable ?? [])
            // A sum, so that the order of the names does not matter.
            sum &+= hash.value
        }
        return sum
    }

    /// The files on the medium by name.
    package var content: [String: [UInt8]] { durableNames.mapValues { files[$0]?.durable ?? [] } }
}

/// Sixty-four bits that tell contents apart; for counting, never for trust.
struct Fingerprint {
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    var value: UInt64 { Self.mix(state, 0xA076_1D64_78BD_642F) }

    mutating func add(_ bytes: [UInt8]) {
        state = Self.mix(state ^ UInt64(bytes.count), 0xE703_7ED1_A0B4_28DB)
        let span = bytes.span.bytes
        var position = 0
        while position + 8 <= bytes.count {
            state = Self.mix(state ^ span.littleEndian(at: position, as: UInt64.self), 0x8EBC_6AF0_9C88_C6E3)
            position += 8
        }
        for byte in bytes[position...] { state = Self.mix(state ^ UInt64(byte), 0x5899_65CC_7537_4CC3) }
    }

    private static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (high, low) = left.multipliedFullWidth(by: right)
        return high ^ low ^ left
    }
}
