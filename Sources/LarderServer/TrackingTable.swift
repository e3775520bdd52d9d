// Which connections of a worker hold which keys in caches of their own, so that they can be told when those change.
//
// Holds keys and the tokens of connections, and no connection. A connection that is gone is forgotten by and by: its token is
// never another's. The key that came first is the first to go when there are too many.

import LarderBytes

/// A key that is in the caches of connections.
struct TrackedKey: Hashable, Sendable {
    var namespace: UInt32
    var bytes: [UInt8]

    init(_ namespace: UInt32, _ key: RawSpan) {
        self.namespace = namespace
        bytes = Array(key)
    }
}

/// The connections that hold a key, by token; at least one.
struct Holders: Sendable {
    private var first: UInt64
    private var others: Set<UInt64> = []

    init(_ token: UInt64) { first = token }

    var count: Int { 1 + others.count }

    /// - Returns: Whether it was not one of them.
    mutating func insert(_ token: UInt64) -> Bool { token == first ? false : others.insert(token).inserted }

    /// - Returns: What is left of them; nil for nobody.
    func filter(_ isHolder: (UInt64) -> Bool) -> Holders? {
        var left = others.filter(isHolder)
        if isHolder(first) {
            var holders = self
            holders.others = left
            return holders
        }
        guard let token = left.popFirst() else { return nil }
        var holders = Holders(token)
        holders.others = left
        return holders
    }

    func forEach(_ body: (UInt64) -> Void) {
        body(first)
        for token in others { body(token) }
    }
}

/// What a table holds, or by how much that has changed.
struct TrackingCounts: Sendable, Equatable {
    var keys = 0
    /// Pairs of a key and a connection that holds it.
    var items = 0
    /// About how much memory they take.
    var bytes = 0

    static func - (left: TrackingCounts, right: TrackingCounts) -> TrackingCounts {
        TrackingCounts(keys: left.keys - right.keys, items: left.items - right.items, bytes: left.bytes - right.bytes)
    }
}

struct TrackingTable: ~Copyable {
    private struct Place {
        var key: TrackedKey
        /// nil: the place is free, and `newer` is the next free one.
        var holders: Holders?
        /// The keys that came before and after.
        var older = none
        var newer = none
    }

    private static let none: Int32 = -1
    /// What a key takes besides its bytes, and what a holder takes.
    private static let keyBytes = 128
    private static let itemBytes = 16

    private var places: [Place] = []
    private var index: [TrackedKey: Int32] = [:]
    private var free = none
    private var oldest = none
    private var newest = none
    private(set) var counts = TrackingCounts()
    /// Where the search for connections that are gone goes on, and how many places are left of it.
    private var hand = 0
    private var unswept = 0

    var isEmpty: Bool { index.isEmpty }

    /// Notes that a connection holds a key from now on.
    mutating func add(_ key: TrackedKey, _ token: UInt64) {
        if let place = index[key] {
            guard places[Int(place)].holders?.insert(token) == true else { return }
            return count(items: 1)
        }
        let place: Int32
        if free != Self.none {
            place = free
            free = places[Int(place)].newer
            places[Int(place)] = Place(key: key, holders: Holders(token))
        } else {
            place = Int32(places.count)
            places.append(Place(key: key, holders: Holders(token)))
        }
        places[Int(place)].older = newest
        if newest == Self.none { oldest = place } else { places[Int(newest)].newer = place }
        newest = place
        index[key] = place
        count(keys: 1, items: 1, keyBytes: key.bytes.count)
    }

    func holders(of key: TrackedKey) -> Holders? { index[key].flatMap { places[Int($0)].holders } }

    /// Forgets who holds a key, but for those who are to stay.
    mutating func remove(_ key: TrackedKey, keeping stays: (UInt64) -> Bool = { _ in false }) {
        guard let place = index[key] else { return }
        keep(place, stays)
    }

    /// Takes the key out that came first.
    mutating func removeOldest() -> (key: TrackedKey, holders: Holders)? {
        guard oldest != Self.none, let holders = places[Int(oldest)].holders else { return nil }
        let key = places[Int(oldest)].key
        keep(oldest) { _ in false }
        return (key, holders)
    }

    mutating func removeAll() {
        let swept = TrackingTable()
        self = swept
    }

    // MARK: Connections that are gone

    /// A connection is gone, or tracks nothing any more: what it held is to be swept.
    mutating func noteGone() { unswept = places.count }

    /// Looks for what connections held that are gone.
    ///
    /// - Parameter work: How many places are looked at.
    mutating func sweep(work: Int, isThere: (UInt64) -> Bool) {
        var left = min(work, unswept)
        unswept -= left
        while left > 0 {
            left -= 1
            hand = hand + 1 < places.count ? hand + 1 : 0
            if places[hand].holders != nil { keep(Int32(hand), isThere) }
        }
    }

    private mutating func keep(_ place: Int32, _ stays: (UInt64) -> Bool) {
        guard let holders = places[Int(place)].holders else { return }
        if let left = holders.filter(stays) {
            places[Int(place)].holders = left
            return count(items: left.count - holders.count)
        }
        let (key, older, newer) = (places[Int(place)].key, places[Int(place)].older, places[Int(place)].newer)
        if older == Self.none { oldest = newer } else { places[Int(older)].newer = newer }
        if newer == Self.none { newest = older } else { places[Int(newer)].older = older }
        index[key] = nil
        places[Int(place)] = Place(key: TrackedKey(0, RawSpan()), holders: nil, newer: free)
        free = place
        count(keys: -1, items: -holders.count, keyBytes: -key.bytes.count)
    }

    private mutating func count(keys: Int = 0, items: Int, keyBytes: Int = 0) {
        counts.keys += keys
        counts.items += items
        counts.bytes += keys * Self.keyBytes + keyBytes + items * Self.itemBytes
    }
}
