// How a store is laid out. Decided once, when it is made.

/// What a store is made with.
package struct StoreConfiguration: Sendable {
    /// How many independently locked parts; a power of two, at most 4,096.
    package var shardCount = 256
    /// The longest value, in bytes; at most `Entry.valueBytesMax`.
    package var valueBytesMax = 1 << 20
    /// How much memory entries and tables may take, in bytes; at most `PageArena.bytesMax`.
    package var memoryBytesMax = PageArena.bytesMax
    /// Ask the kernel for 2 MiB pages: about a third less time for a read of cold memory.
    package var largePages = true
    /// How many bytes of events are kept for those who watch keys, while anybody does.
    package var eventBytesMax = 4 << 20
    package var secrets: HashSecrets

    package init(secrets: HashSecrets = .random()) { self.secrets = secrets }
}
