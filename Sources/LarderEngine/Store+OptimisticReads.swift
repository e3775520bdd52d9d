// Reads that take no lock: the entry is looked at and copied where it lies, and then it is asked whether the shard has changed
// meanwhile. If it has, what was copied is thrown away and the caller reads with the lock held.
//
// So a read writes to no memory that others use, and waits for nobody. Only what needs no more than a look is read so: entries
// that are there, alive, without metadata, and whose use need not be noted; all else is for `read`.
//
// Unsafe, and sound because: the arena's addresses stay mapped, and none outside of it is looked at; every word is loaded once;
// a length is believed, and a value shown to the caller, only when nothing has changed since the look began; and whoever
// changes anything of a shard, or gives back or takes memory for it, holds its lock for changes. One byte is written without that: a
// read with the lock notes a use among the flags, which says nothing of where anything lies.

import CLarderIntrinsics
import LarderBytes
import LarderPlatform

extension Store {
    /// An entry that was seen without its shard's lock.
    @safe @frozen @usableFromInline struct Sighting {
        @usableFromInline let lsn: LSN
        @usableFromInline let deadline: Deadline
        @usableFromInline let version: UInt64
        private let value: UnsafeRawPointer
        private let valueBytes: Int

        fileprivate init(_ entry: Entry.Sighting, _ base: UnsafeRawPointer, _ version: UInt64) {
            (lsn, deadline, self.version) = (entry.lsn, entry.deadline, version)
            unsafe value = base + entry.value.start
            valueBytes = entry.value.count
        }

        @usableFromInline var view: EntryView {
            @_lifetime(borrow self)
            get {
                let view = EntryView(
                    value: unsafe RawSpan(_unsafeStart: value, byteCount: valueBytes), metadata: RawSpan(), lsn: lsn, deadline: deadline)
                return unsafe _overrideLifetime(view, borrowing: self)
            }
        }
    }

    /// Calls `copy` with the live entry of `key` where it lies, with nothing locked.
    ///
    /// - Parameter copy: May be shown a value that is changing: copies it, looks at none of its bytes, and does nothing that could
    ///   not be undone. Returns false when it wants to have nothing to do with this entry.
    /// - Returns: Whether what was copied is the entry. If not, it is to be thrown away, and `read` knows; there may be one or not.
    @inlinable @inline(__always) package func readOptimistically(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, now: Milliseconds, _ copy: (borrowing EntryView) -> Bool
    ) -> Bool {
        guard let sighting = sight(namespace, key, hash, now), copy(sighting.view) else { return false }
        return isUnchanged(hash, since: sighting.version)
    }

    @usableFromInline func isUnchanged(_ hash: KeyHash, since version: UInt64) -> Bool {
        unsafe lock(of: shard(hash)).pointee.isUnchanged(since: version)
    }

    /// The live entry of `key`, if there is one and it needs no more than a look. Its length is true.
    @usableFromInline func sight(_ namespace: Namespace, _ key: RawSpan, _ hash: KeyHash, _ now: Milliseconds) -> Sighting? {
        let index = shardIndex(hash)
        let lock = unsafe lock(of: shard(index))
        guard let version = unsafe lock.pointee.version, namespace.state == .ready else { return nil }
        let position = position(hash)
        guard let home = hint(index).settledBucket(position) else { return nil }
        var bucket = unsafe UnsafeRawPointer(arena.address(home.table) + home.bucket &* BucketArray.bucketBytes)
        // Behind the last bucket comes the first; that is left to `read`.
        for _ in 0..<min(home.left, Self.bucketsSighted) {
            var matches = unsafe BucketArray.sightMatches(bucket, position.tag)
            while matches != 0 {
                let reference = unsafe BucketArray.sightReference(bucket, matches.trailingZeroBitCount)
                matches &= matches &- 1
                guard Int(reference) &* PageArena.granuleBytes <= arena.byteCount &- Entry.bytesSighted else { return nil }
                let base = unsafe UnsafeRawPointer(arena.address(reference))
                guard let entry = unsafe Entry.sight(base, key, namespaceSlot: namespace.slot) else { continue }
                guard entry.lsn > namespace.flushLSN, !entry.deadline.isDue(now),
                    unsafe lock.pointee.isUnchanged(since: version)
                else { return nil }
                return unsafe Sighting(entry, base, version)
            }
            if unsafe BucketArray.sightOverflow(bucket) == 0 { return nil }
            unsafe bucket += BucketArray.bucketBytes
        }
        return nil
    }

    /// Few keys lie further from where their search begins.
    private static var bucketsSighted: Int { 4 }
}
