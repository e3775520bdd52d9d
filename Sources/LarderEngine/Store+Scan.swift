// The keys of a namespace in the order of their hashes, some at a time, for those who go through all of them and keep nothing in
// between but a number.
//
// The number is a place in the order of all hashes. Tables keep that order when they grow or shrink, so a key that is there from
// the first step to the last is met, exactly once. A step ends between buckets: the number says nothing of any key's hash.

import LarderBytes
import LarderPlatform

extension Store {
    /// Appends the live keys of a namespace that come next, each behind its length in two bytes (little-endian).
    ///
    /// - Parameter cursor: 0 to begin; on return where to go on, or 0 at the end.
    /// - Parameter keysMin: With so many keys no further bucket is begun.
    /// - Parameter bucketsMax: Nor after so many buckets.
    /// - Returns: How many keys, which may be none before the end; how many buckets were looked at; and a write that decided what
    ///   was found, or a later one.
    package func scan(
        _ namespace: Namespace, from cursor: inout UInt64, keysMin: Int, bucketsMax: Int, now: Milliseconds,
        into keys: inout ByteBuffer
    ) -> (keys: Int, buckets: Int, lsn: LSN) {
        var (found, buckets, lsn) = (0, 0, LSN.zero)
        while found < keysMin, buckets < bucketsMax {
            let step = hold(shardIndex(KeyHash(value: cursor))) { shard in
                shard.scan(
                    namespace, from: cursor &<< hasher.shardBits, keysMin: keysMin - found,
                    bucketsMax: min(bucketsMax - buckets, Self.scannedPerHold), now: now, into: &keys)
            }
            found += step.keys
            buckets += step.buckets
            lsn = max(lsn, step.lsn)
            cursor = place(after: cursor, step.next)
            if cursor == 0 { break }
        }
        return (found, buckets, lsn)
    }

    /// How many buckets are looked at while a shard is locked.
    private static var scannedPerHold: Int { 16 }

    /// - Parameter next: Where the shard goes on, in its own order; nil: not at all.
    private func place(after cursor: UInt64, _ next: UInt64?) -> UInt64 {
        let bits = hasher.shardBits
        // What is left of a shard's order when the shard's own bits are taken out of a hash: the place is rounded up to that.
        let (rounded, overflow) = (next ?? .max).addingReportingOverflow((1 &<< bits) &- 1)
        let shard = shardIndex(KeyHash(value: cursor))
        if next != nil, !overflow { return UInt64(shard) &<< (64 &- bits) | rounded &>> bits }
        return shard + 1 < shardCount ? UInt64(shard + 1) &<< (64 &- bits) : 0
    }
}

extension Shard {
    /// - Returns: `next` is where the shard goes on, or nil at its end.
    fileprivate mutating func scan(
        _ namespace: Namespace, from start: UInt64, keysMin: Int, bucketsMax: Int, now: Milliseconds,
        into keys: inout ByteBuffer
    ) -> (keys: Int, buckets: Int, lsn: LSN, next: UInt64?) {
        let flushLSN = namespace.flushLSN
        var lsn = missLSN(flushLSN: flushLSN)
        var (next, count, buckets) = (start, 0, 0)
        while count < keysMin, buckets < bucketsMax {
            buckets += 1
            let goesOn = table.scan(&next) { reference, _ in
                let entry = table.entry(reference)
                guard entry.namespaceSlot == namespace.slot, entry.lsn > flushLSN, !entry.deadline.isDue(now) else { return }
                keys.append(littleEndian: UInt16(entry.keyBytes))
                keys.append(entry.key)
                lsn = max(lsn, entry.lsn)
                count += 1
            }
            if !goesOn { return (count, buckets, lsn, nil) }
        }
        return (count, buckets, lsn, next)
    }
}
