// The configuration in the words of each room.

import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderWire

extension ServerConfiguration {
    var store: StoreConfiguration {
        var store = StoreConfiguration()
        store.valueBytesMax = valueBytesMax
        store.memoryBytesMax =
            memoryBytesMax > 0
            ? memoryBytesMax : MachineMemory.bytes().map(Self.memoryForEntries) ?? PageArena.bytesMax
        return store
    }

    /// What entries and tables get of a machine or container with so much memory.
    ///
    /// The rest is for what does not lie among the entries: staging buffers of the log (64 MiB at most), the part of the
    /// log that a start has before it (64 MiB), buffers of connections, the program, and the kernel's share. 256 MiB hold that on a
    /// small machine and an eighth does on a large one, which has more connections; a tiny one is halved.
    static func memoryForEntries(of machineBytes: Int) -> Int {
        let rest = min(max(machineBytes / 8, 256 << 20), machineBytes / 2)
        return min(max(machineBytes - rest, 16 << 20), PageArena.bytesMax)
    }

    /// With fewer bytes of addresses some thread or buffer would find none.
    static let addressesMin = 1 << 30

    var persistence: PersistenceOptions {
        var options = PersistenceOptions()
        options.loadThreads = Thread.processorCount
        // The one that walks compresses as well, when it has nothing else to do: together they have two processors.
        options.snapshotThreads = Thread.processorCount > 1 ? 1 : 0
        options.intervalMilliseconds = intervalMilliseconds
        options.snapshotLogBytes = snapshotLogBytes
        options.snapshotMilliseconds = Milliseconds(snapshotEverySeconds) * 1_000
        options.snapshotBytesPerSecond = snapshotBytesPerSecond
        options.logBytesMax = logBytesMax
        options.scrubMilliseconds = Milliseconds(scrubEverySeconds) * 1_000
        options.ballastBytes = ballastBytes
        options.onLogFailure = onLogFailure
        return options
    }

    /// What the default namespace is to be.
    var defaultNamespace: NamespaceSettings {
        NamespaceSettings(
            durability: durability.engine, keyRule: keyRule.engine, eviction: eviction.engine,
            bytesMax: limit(of: bytesMax))
    }

    /// What `bytes-max` means for the default namespace: with 0 one that evicts has three quarters of all memory.
    func limit(of bytesMax: Int) -> Int { bytesMax == 0 && eviction != .none ? store.memoryBytesMax / 4 * 3 : bytesMax }

    func namespaces(created: Milliseconds) -> NamespaceTable { NamespaceTable(settings: defaultNamespace, created: created) }
}
