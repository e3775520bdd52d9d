// What one shard knows of each namespace: how much it holds, and up to which flush that is true.
//
// A flush costs a namespace one word; each shard finds out when it next has to do with the namespace, and starts counting
// from zero. What the flush left behind is not counted from then on, and is swept in the shard's own time.
//
// Unsafe, and sound because a slot's record is only reached through `record`, which makes the array long enough.

/// A shard's part of a namespace.
struct NamespaceShare {
    /// The namespace's flush that the counts know of; none, which is above all, before it was first met.
    var flushLSN = LSN(rawValue: .max)
    /// Keys that no flush has taken; those whose deadline has passed count until they are removed.
    var keys = 0
    /// Bytes of their keys, values and metadata.
    var bytes = 0
    /// What its entries take of memory, as `Shard.chargedBytes` counts it.
    var charged = 0
    /// How much of that, and how many keys, the namespace's sums do not know yet.
    var unreported = 0
    var unreportedKeys = 0
    var budget: NamespaceBudget?

    /// Counts a change of memory, and reports when it has become a batch.
    @inline(__always) mutating func charge(_ change: Int, keys: Int) {
        charged &+= change
        unreported &+= change
        unreportedKeys &+= keys
        if let budget, unreported.magnitude >= budget.batch.magnitude { report() }
    }

    /// Lets the namespace's sums know everything.
    @inline(never) mutating func report() {
        guard unreported != 0 || unreportedKeys != 0, let budget else { return }
        budget.report(unreported, entries: unreportedKeys, flushLSN: flushLSN)
        (unreported, unreportedKeys) = (0, 0)
    }
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
            if Int(slot) >= capacity { grow(toHold: slot) }
            unsafe shares[Int(slot)] = newValue
        }
    }

    /// Whether what is counted of the namespace with this slot is counted from this flush on.
    @inline(__always) func knows(flush flushLSN: LSN, slot: UInt16) -> Bool {
        unsafe Int(slot) < capacity && shares[Int(slot)].flushLSN == flushLSN
    }

    /// Forgets what was counted before this flush.
    ///
    /// - Returns: Whether anything was forgotten.
    mutating func notice(flush flushLSN: LSN, _ namespace: Namespace) -> Bool {
        let share = self[namespace.slot]
        self[namespace.slot] = NamespaceShare(flushLSN: flushLSN, budget: namespace.budget)
        return share.keys > 0
    }

    /// Counts a change of what the namespace with this slot holds. It was met before.
    @inline(__always) mutating func count(_ slot: UInt16, keys: Int, bytes: Int, charged: Int) {
        precondition(Int(slot) < capacity, "counted before it was met")
        unsafe shares[Int(slot)].keys &+= keys
        unsafe shares[Int(slot)].bytes &+= bytes
        if charged != 0 { unsafe shares[Int(slot)].charge(charged, keys: keys) }
    }

    /// Lets the namespace's sums know all that this shard does.
    mutating func report(_ slot: UInt16) {
        if Int(slot) < capacity { unsafe shares[Int(slot)].report() }
    }

    @inline(never) private mutating func grow(toHold slot: UInt16) {
        let longer = NamespaceTable.capacity(toHold: slot, growing: capacity)
        let copy = UnsafeMutablePointer<NamespaceShare>.allocate(capacity: longer)
        unsafe copy.update(from: shares, count: capacity)
        unsafe (copy + capacity).initialize(repeating: NamespaceShare(), count: longer - capacity)
        unsafe shares.deallocate()
        unsafe shares = copy
        capacity = longer
    }
}
