// The whole surface of the engine: hashes a key once, locks its shard, and lets the shard do it.
//
// No I/O, no clock, no threads of its own: every call says what time it is, and any thread may call.
//
// Unsafe, and sound because the shards lie in one block of memory that lives as long as the store, a shard's number is a
// hash's upper bits and so in range, and a shard is touched only between `lock` and `unlock`. What others look at meanwhile, its lock and the hint where its table
// is, lies beside it and not in it; and who reads without the lock has a file of its own for that (Store+OptimisticReads.swift).

import CLarderIntrinsics
import LarderBytes
import LarderPlatform
import Synchronization

/// Entries in memory, by namespace and key.
///
/// An entry is alive until its deadline, and until its namespace is flushed; nobody sees it after that, whether or not its
/// memory has been given back yet.
@safe @usableFromInline package final class Store: @unchecked Sendable {
    /// Values longer than this are refused.
    package let valueBytesMax: Int
    package let namespaces: NamespaceTable
    package let log: LogBuffer
    /// What happens to keys, for those who watch them.
    package let events: KeyEvents
    let shardCount: Int
    let arena: PageArena
    let hasher: TableHasher
    private let shards: UnsafeMutableRawPointer
    /// Where the table of each shard is, for those who do not hold its lock. Close together, since every prefetch reads one.
    private let hints: UnsafeMutablePointer<Atomic<UInt64>>

    /// How many flushes and drops there were; every shard sweeps once after each.
    let flushes = Atomic<UInt64>(0)
    /// How many records recovery could not apply, and for how many it had no memory.
    let notApplied = Atomic<Int>(0)
    let withoutMemory = Atomic<Int>(0)
    /// The flushes that had been seen when recovery last swept for memory; held while it sweeps.
    let sweptForMemory = Mutex<UInt64>(0)
    /// How long chores have held a shard.
    package let holdTimes = HoldTimes()
    /// The shard that maintenance goes on with.
    let maintained = Atomic<Int>(0)

    /// Two cache lines: processors fetch them in pairs.
    private static let shardAlignment = 128
    /// The lock of a shard comes before it, and takes so much with what aligns the shard.
    private static let headBytes = 16
    private static let shardBytes =
        (headBytes + MemoryLayout<Shard>.size + shardAlignment - 1) / shardAlignment * shardAlignment

    /// - Parameter log: Where writes are staged and get their LSNs.
    package init(
        configuration: StoreConfiguration, log: LogBuffer, namespaces: NamespaceTable = NamespaceTable()
    ) {
        let count = configuration.shardCount
        precondition(count > 0 && count & (count - 1) == 0 && count <= 4_096, "not a number of shards")
        precondition((0...Entry.valueBytesMax).contains(configuration.valueBytesMax), "values would not fit an entry")
        guard let arena = PageArena(bytesMax: configuration.memoryBytesMax, largePages: configuration.largePages) else {
            preconditionFailure("the kernel grants no addresses")
        }
        self.arena = arena
        self.log = log
        self.namespaces = namespaces
        events = KeyEvents(bytesMax: configuration.eventBytesMax, namespaces)
        shardCount = count
        valueBytesMax = configuration.valueBytesMax
        hasher = TableHasher(secrets: configuration.secrets, shardBits: UInt64(count.trailingZeroBitCount))
        unsafe shards = .allocate(byteCount: Self.shardBytes * count, alignment: Self.shardAlignment)
        unsafe hints = .allocate(capacity: count)
        for index in 0..<count {
            unsafe (hints + index).initialize(to: Atomic(0))
            guard let shard = Shard(arena: arena, index: index, hasher: hasher, hint: hint(index), events: events) else {
                preconditionFailure("less memory than \(count) shards need")
            }
            unsafe self.shard(index).initialize(to: shard)
            unsafe lock(of: self.shard(index)).initialize(to: VersionedLock())
        }
        ShardIndexes.makeTypes(arena)
    }

    deinit {
        for index in 0..<shardCount {
            unsafe shard(index).deinitialize(count: 1)
        }
        unsafe hints.deinitialize(count: shardCount)
        unsafe hints.deallocate()
        unsafe shards.deallocate()
    }

    // MARK: Shards

    /// The shard with this number. Hold its lock.
    @inline(__always) func shard(_ index: Int) -> UnsafeMutablePointer<Shard> {
        unsafe (shards + index &* Self.shardBytes + Self.headBytes).assumingMemoryBound(to: Shard.self)
    }

    /// Its lock: beside the shard, not in it. A holder has the shard to itself, and that has to be all of the shard, while
    /// others look at the lock.
    @inline(__always) func lock(of shard: UnsafeMutablePointer<Shard>) -> UnsafeMutablePointer<VersionedLock> {
        unsafe (UnsafeMutableRawPointer(shard) - Self.headBytes).assumingMemoryBound(to: VersionedLock.self)
    }

    /// Where its table is, for those who do not hold the lock.
    @inline(__always) func hint(_ index: Int) -> TableHint { unsafe TableHint(hints + index) }

    @inline(__always) func shard(_ hash: KeyHash) -> UnsafeMutablePointer<Shard> { unsafe shard(shardIndex(hash)) }

    @inline(__always) func position(_ hash: KeyHash) -> TablePosition {
        TablePosition(hash, shardBits: hasher.shardBits)
    }

    /// Calls `body` with a shard, locked.
    @inline(__always) func hold<Result>(_ index: Int, _ body: (inout Shard) -> Result) -> Result {
        let shard = unsafe shard(index)
        unsafe lock(of: shard).pointee.lock()
        defer { unsafe lock(of: shard).pointee.unlock() }
        return unsafe body(&shard.pointee)
    }

    /// Which shard a hash falls to.
    @inline(__always) func shardIndex(_ hash: KeyHash) -> Int {
        // A shift by all 64 bits is none; with one shard the mask makes the number 0.
        Int(truncatingIfNeeded: hash.value &>> (64 &- hasher.shardBits)) & (shardCount &- 1)
    }

    // MARK: Hashing and prefetching

    /// The hash that every other call about this key wants.
    @inline(__always) package func hash(_ namespace: Namespace, _ key: RawSpan) -> KeyHash {
        hasher.secrets.hash(key, namespaceSlot: namespace.slot)
    }

    /// Judges a key by the namespace's rule, hashes it and asks for its memory, as `prefetch` does.
    ///
    /// - Returns: Why it is no key; then nothing else was done.
    package func prepare(_ namespace: Namespace, key: RawSpan, hash: inout KeyHash, isOptimistic: Bool) -> KeyFault? {
        if let fault = namespace.keyRule.checkKey(key) { return fault }
        hash = self.hash(namespace, key)
        prefetch(hash, isOptimistic: isOptimistic)
        return nil
    }

    /// Asks the processor for the key's bucket, and for its shard. Nothing else happens, whatever the hash.
    ///
    /// - Parameter isOptimistic: For `readOptimistically`, which looks at no more of a shard than its lock.
    @inline(__always) package func prefetch(_ hash: KeyHash, isOptimistic: Bool = false) {
        unsafe larder_prefetch(bucket(hash))
        let lock = unsafe UnsafeMutableRawPointer(lock(of: shard(hash)))
        if isOptimistic { return unsafe larder_prefetch(lock) }
        unsafe larder_prefetch_write(lock)
        unsafe larder_prefetch(lock + 64)
        unsafe larder_prefetch(lock + 128)
    }

    /// Asks the processor for the entry that is probably the key's; worth it some time after `prefetch`.
    ///
    /// - Returns: Whether the entry may be in the next bucket, because its own is full. That bucket has been asked for, and
    ///   `prefetchPassed` is worth it some time after.
    @discardableResult
    package func prefetchEntry(_ hash: KeyHash) -> Bool {
        let bucket = unsafe bucket(hash)
        guard unsafe larder_prefetch_match(bucket, position(hash).tag, arena.base) != 0 else { return false }
        // Behind the last bucket comes the first; there is memory behind it, too, and the few keys are not worth a branch.
        unsafe larder_prefetch(bucket + BucketArray.bucketBytes)
        return true
    }

    /// The same for the bucket behind the key's own.
    package func prefetchPassed(_ hash: KeyHash) {
        _ = unsafe larder_prefetch_match(bucket(hash) + BucketArray.bucketBytes, position(hash).tag, arena.base)
    }

    /// Where the bucket is or was a moment ago, without the lock. One word holds both the place and the length of a table, and
    /// the arena's addresses stay mapped, so there is memory at this address, though its contents may be anything.
    @inline(__always) private func bucket(_ hash: KeyHash) -> UnsafeMutableRawPointer {
        let (table, bucket) = hint(shardIndex(hash)).bucket(position(hash))
        return unsafe arena.address(table) + bucket &* BucketArray.bucketBytes
    }

    // MARK: Reading

    /// Calls `found` with the live entry of `key`, if there is one, where it lies.
    ///
    /// - Parameter hash: `hash(namespace, key)`.
    /// - Parameter found: Is called with the shard locked: copies what it needs and calls nothing of the store.
    /// - Returns: Whether there was one, and the write that the answer depends on.
    @inlinable @inline(__always) package func read(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, now: Milliseconds, _ found: (borrowing EntryView) -> Void
    ) -> ReadResult {
        let lookup = lockAndFind(namespace, key, hash, now)
        if lookup.result.hit { found(lookup.view) }
        unlock(hash)
        return lookup.result
    }

    /// How often the live entry of `key` was used of late, as eviction counts it: 0 to 3. To ask is no use.
    ///
    /// - Returns: The uses, and what `read` would return.
    package func frequency(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, now: Milliseconds
    ) -> (uses: Int, result: ReadResult) {
        hold(shardIndex(hash)) { shard in
            let result = shard.lookUp(position(hash), key, namespace, now, isUse: false).result
            let found = result.hit ? shard.find(position(hash), key, namespaceSlot: namespace.slot) : nil
            return (found.map { Int($0.entry.frequency) } ?? 0, result)
        }
    }

    /// What a read found. Its pointers hold while the shard is locked.
    @safe @frozen @usableFromInline struct Lookup {
        @usableFromInline let result: ReadResult
        private let deadline: Deadline
        private let metadata: UnsafeRawBufferPointer
        private let value: UnsafeRawBufferPointer

        init(miss lsn: LSN) {
            result = ReadResult(hit: false, lsn: lsn)
            deadline = .never
            unsafe metadata = UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe value = UnsafeRawBufferPointer(start: nil, count: 0)
        }

        @inline(__always) init(_ entry: Entry) {
            result = ReadResult(hit: true, lsn: entry.lsn)
            deadline = entry.deadline
            unsafe metadata = entry.metadata.withUnsafeBytes { unsafe $0 }
            unsafe value = entry.value.withUnsafeBytes { unsafe $0 }
        }

        @usableFromInline var view: EntryView {
            @_lifetime(borrow self)
            get {
                let view = EntryView(
                    value: unsafe RawSpan(_unsafeBytes: value), metadata: unsafe RawSpan(_unsafeBytes: metadata),
                    lsn: result.lsn, deadline: deadline)
                return unsafe _overrideLifetime(view, borrowing: self)
            }
        }
    }

    /// Leaves the shard locked.
    @usableFromInline
    func lockAndFind(_ namespace: Namespace, _ key: RawSpan, _ hash: KeyHash, _ now: Milliseconds) -> Lookup {
        let shard = unsafe shard(hash)
        unsafe lock(of: shard).pointee.lockUnchanged()
        return unsafe shard.pointee.lookUp(position(hash), key, namespace, now)
    }

    @usableFromInline func unlock(_ hash: KeyHash) { unsafe lock(of: shard(hash)).pointee.unlockUnchanged() }

    // MARK: Writing

    /// Stores `value` under `key` if `condition` holds, replacing any earlier entry.
    ///
    /// The value becomes visible and its record is staged under the same lock, so readers and the log agree on the order of
    /// writes to one key. A lifetime that has passed already removes what was there.
    ///
    /// - Parameter metadata: Well-formed items (see `Metadata`), the content type among them; or nothing.
    /// - Parameter event: As what those who watch are told of it.
    /// - Complexity: O(key + value) bytes copied twice, to the log and to the entry; O(1) expected probes.
    package func put(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, value: RawSpan, metadata: RawSpan = RawSpan(),
        lifetime: LifetimeChange = .unlimited, condition: WriteCondition = .none, now: Milliseconds, event: KeyEventKind = .set
    ) -> WriteResult {
        guard value.byteCount <= valueBytesMax else { return WriteResult(.valueTooLarge, lsn: .zero) }
        Self.check(key)
        precondition(metadata.byteCount <= Metadata.bytesMax, "more metadata than an entry holds")
        let context = WriteContext(namespace, position(hash), now, log)
        var body = Checksum()
        if context.isLogged {
            // The long part of the record's checksum, before anything is locked.
            body = LogRecord(.set, namespace: 0, key: key, metadata: metadata, value: value).bodyChecksum
        }
        return write(context, hash, key, event, lifetime, bytes: value.byteCount) {
            $0.put(context, key, value, metadata, body, lifetime, condition)
        }
    }

    /// Stores what `draft` has become, as if its value had come with this call.
    ///
    /// - Parameter key: The draft's, as are the namespace and the hash.
    /// - Parameter lifetime: Unlimited only if the draft's is.
    /// - Returns: nil when the namespace evicts or is logged by now, or does not any more: then the other `put` has to do it.
    /// - Complexity: O(key) bytes copied.
    package func put(
        _ draft: EntryDraft, _ namespace: Namespace, key: RawSpan, hash: KeyHash, lifetime: LifetimeChange,
        condition: WriteCondition = .none, now: Milliseconds
    ) -> WriteResult? {
        let context = WriteContext(namespace, position(hash), now, log)
        precondition(draft.isOf(namespace, hash) && draft.hasDeadline == (lifetime != .unlimited), "another entry's draft")
        guard context.isEvicting == draft.isEvicting, context.isLogged == (draft.logged != nil) else { return nil }
        return write(context, hash, key, .set, lifetime, bytes: draft.filled) { $0.put(context, key, draft, lifetime, condition) }
    }

    /// Removes the entry of `key` if `condition` holds. What is not there is not logged either, but in a namespace that evicts.
    package func remove(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, condition: WriteCondition = .none, now: Milliseconds
    ) -> WriteResult {
        Self.check(key)
        let context = WriteContext(namespace, position(hash), now, log)
        return write(context, hash, key, .removed) { $0.remove(context, key, condition) }
    }

    /// Gives the entry of `key` another deadline, and so another version, if `condition` holds.
    package func setDeadline(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, lifetime: LifetimeChange,
        condition: WriteCondition = .none, now: Milliseconds
    ) -> WriteResult {
        Self.check(key)
        let context = WriteContext(namespace, position(hash), now, log)
        return write(context, hash, key, .lifetimeSet, lifetime) { $0.setDeadline(context, key, lifetime, condition) }
    }

    /// Adds `delta` to the decimal integer under `key`; what is not there counts as 0. The sum is in the result.
    ///
    /// - Parameter lifetime: Of a counter that is new; one that is there keeps its deadline.
    package func increment(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, delta: Int64, lifetime: LifetimeChange = .unlimited,
        now: Milliseconds
    ) -> WriteResult {
        Self.check(key)
        let context = WriteContext(namespace, position(hash), now, log)
        return write(context, hash, key, .incremented) { $0.increment(context, key, by: delta, lifetime) }
    }

    /// Appends to the value under `key`; what is not there counts as empty. The bytes of the whole are in the result.
    ///
    /// - Parameter lifetime: Of a value that is new; one that is there keeps its deadline.
    /// - Complexity: O(whole value), some of it with the shard locked.
    package func append(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, value: RawSpan, lifetime: LifetimeChange = .unlimited,
        now: Milliseconds
    ) -> WriteResult {
        guard value.byteCount <= valueBytesMax else { return WriteResult(.valueTooLarge, lsn: .zero) }
        Self.check(key)
        let context = WriteContext(namespace, position(hash), now, log)
        return write(context, hash, key, .appended, bytes: value.byteCount) {
            $0.append(context, key, value, lifetime, valueBytesMax: valueBytesMax)
        }
    }

    /// Carries out a write with the shard locked, tells those who watch, and does what a namespace that evicts needs besides.
    @inline(__always) private func write(
        _ context: WriteContext, _ hash: KeyHash, _ key: RawSpan, _ event: KeyEventKind, _ lifetime: LifetimeChange = .keep,
        bytes: Int = 0, _ body: (inout Shard) -> WriteResult
    ) -> WriteResult {
        let shard = unsafe shard(hash)
        unsafe lock(of: shard).pointee.lock()
        let result = unsafe body(&shard.pointee)
        if events.isWatched { events.tell(event, key, context.namespace, result.outcome, lifetime) }
        unsafe lock(of: shard).pointee.unlock()
        return context.isEvicting ? finish(result, context, hash, key, event, lifetime, bytes: bytes, body) : result
    }

    @inline(never) private func finish(
        _ result: WriteResult, _ context: WriteContext, _ hash: KeyHash, _ key: RawSpan, _ event: KeyEventKind,
        _ lifetime: LifetimeChange, bytes: Int, _ body: (inout Shard) -> WriteResult
    ) -> WriteResult {
        var result = result
        if result.outcome == .outOfMemory {
            _ = evict(context.namespace, shardIndex(hash), bytes: bytes + Entry.headerBytes, now: context.now) { shard in
                result = body(&shard)
                if events.isWatched { events.tell(event, key, context.namespace, result.outcome, lifetime) }
                return result.outcome != .outOfMemory
            }
        }
        makeRoom(in: context.namespace, from: shardIndex(hash), afterWriting: bytes, now: context.now)
        return result
    }

    /// Which keys are legal is the namespace's rule; this is what an entry can hold.
    @inline(__always) private static func check(_ key: RawSpan) {
        precondition(key.byteCount > 0 && key.byteCount <= Entry.keyBytesMax, "not a key")
    }
}

extension Shard {
    /// The live entry with this key, or what its absence depends on.
    @inline(__always) fileprivate func lookUp(
        _ position: TablePosition, _ key: RawSpan, _ namespace: Namespace, _ now: Milliseconds, isUse: Bool = true
    ) -> Store.Lookup {
        let flushLSN = namespace.flushLSN
        guard namespace.state == .ready, let found = find(position, key, namespaceSlot: namespace.slot) else {
            return Store.Lookup(miss: missLSN(flushLSN: flushLSN))
        }
        if found.entry.lsn <= flushLSN { return Store.Lookup(miss: missLSN(flushLSN: flushLSN)) }
        if found.entry.deadline.isDue(now) {
            return Store.Lookup(miss: max(missLSN(flushLSN: flushLSN), found.entry.lsn))
        }
        if isUse { found.entry.noteUse() }
        return Store.Lookup(found.entry)
    }
}
