// What one shard knows of each namespace: how much it holds, and up to which flush that is true.
//
// A flush costs a namespace one word; each shard finds out when it next has to do with the namespace, and starts counting
// from zero. What the flush left behind is not counted from then on, and is swept in the shard's own time.
//
// Unsafe, and sound because a slot's record is only reached through `record`, which makes the array long enough.

/// A shard's part of a namespace.
struct NamespaceShare {
    /// Keys that no flush has taken; those whose deadline has passed count until they are removed.
    var keys = 0
    /// Bytes of their keys, values and metadata.
    var bytes = 0
    /// The namespace's flush that the counts know of.
    var flushLSN = LSN.zero
}

/// A shard's parts of all namespaces, by slot.
@safe struct ShardNamespaces: ~Copyable {
    private var shares: UnsafeMutablePointer<NamespaceShare>
    private(set) var capacity: Int

    init() {
        capacity = 1
        unsafe shares = .allocate(capacity: 1)
        unsafe shares.initialize(to: NamespaceShare())
    }

    deinit { unsafe shares.deallocate() }

    /// The share of the namespace with this slot, as of a flush.
    @inline(__always) subscript(_ slot: UInt16) -> NamespaceShare {
        get { Int(slot) < capacity ? unsafe shares[Int(slot)] : NamespaceShare() }
        set {
            if Int(slot) >= capacity { grow(toHold: Int(slot)) }
            unsafe shares[Int(slot)] = newValue
        }
    }

    /// Forgets what was counted before this flush.
    ///
    /// - Returns: Whether anything was forgotten.
    @inline(__always) mutating func notice(flush flushLSN: LSN, slot: UInt16) -> Bool {
        let share = self[slot]
        if share.flushLSN == flushLSN { return false }
        self[slot] = NamespaceShare(flushLSN: flushLSN)
        return share.keys > 0
    }

    @inline(never) private mutating func grow(toHold slot: Int) {
        let longer = max(slot + 1, capacity * 2)
        let copy = UnsafeMutablePointer<NamespaceShare>.allocate(capacity: longer)
        unsafe copy.update(from: shares, count: capacity)
        unsafe (copy + capacity).initialize(repeating: NamespaceShare(), count: longer - capacity)
        unsafe shares.deallocate()
        unsafe shares = copy
        capacity = longer
    }
}
