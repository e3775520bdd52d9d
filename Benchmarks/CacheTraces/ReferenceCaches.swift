// Two policies in their plainest form, for objects of the same size: what a cache is to be measured against.

/// A cache that says whether it had what was asked for, and has it afterwards.
public protocol ReferenceCache {
    mutating func request(_ key: Int) -> Bool
}

extension ReferenceCache {
    /// The part of the requests that missed.
    public mutating func missRatio(_ trace: RequestTrace) -> Double {
        var misses = 0
        for key in trace.requests where !request(key) { misses += 1 }
        return Double(misses) / Double(trace.requests.count)
    }
}

/// First in, first out, with the place of each key found at once.
private struct FIFO {
    private var keys: [Int] = []
    private var first = 0

    var count: Int { keys.count - first }

    mutating func push(_ key: Int) { keys.append(key) }

    mutating func pop() -> Int {
        defer {
            first += 1
            if first > 4_096 && first * 2 > keys.count {
                keys.removeFirst(first)
                first = 0
            }
        }
        return keys[first]
    }
}

/// S3-FIFO as its authors' libCacheSim carries it out: small queue a tenth, ghost nine tenths, two uses to move on.
/// Source: J. Yang et al., "FIFO Queues Are All You Need for Cache Eviction", SOSP 2023; libCacheSim, `S3FIFO.c`.
public struct ReferenceS3FIFO: ReferenceCache {
    private let capacity: Int
    private let smallMax: Int
    private let mainMax: Int
    private let ghostMax: Int
    private var small = FIFO()
    private var main = FIFO()
    private var ghost = FIFO()
    private var uses: [Int: Int] = [:]
    /// Keys that are in the ghost queue; what was asked for again stays in the queue and counts no more.
    private var remembered: Set<Int> = []
    private var hasEvicted = false

    public init(capacity: Int) {
        self.capacity = capacity
        smallMax = capacity / 10
        mainMax = capacity - smallMax
        ghostMax = capacity * 9 / 10
    }

    public mutating func request(_ key: Int) -> Bool {
        if let count = uses[key] {
            uses[key] = count + 1
            return true
        }
        let isRemembered = remembered.remove(key) != nil
        while small.count + main.count >= capacity { evict() }
        if isRemembered || (!hasEvicted && small.count >= smallMax) { main.push(key) } else { small.push(key) }
        uses[key] = 0
        return false
    }

    private mutating func evict() {
        hasEvicted = true
        if main.count > mainMax || small.count == 0 { evictMain() } else { evictSmall() }
    }

    private mutating func evictSmall() {
        while small.count > 0 {
            let key = small.pop()
            if uses[key, default: 0] >= 2 {
                main.push(key)
                uses[key] = 0
                continue
            }
            uses[key] = nil
            remembered.insert(key)
            ghost.push(key)
            while remembered.count > ghostMax { remembered.remove(ghost.pop()) }
            return
        }
    }

    private mutating func evictMain() {
        while main.count > 0 {
            let key = main.pop()
            let count = min(uses[key, default: 0], 3)
            if count == 0 {
                uses[key] = nil
                return
            }
            uses[key] = count - 1
            main.push(key)
        }
    }
}

/// Least recently used.
public struct ReferenceLRU: ReferenceCache {
    private let capacity: Int
    private var newer: [Int: Int] = [:]
    private var older: [Int: Int] = [:]
    private var newest = -1
    private var oldest = -1

    public init(capacity: Int) { self.capacity = capacity }

    public mutating func request(_ key: Int) -> Bool {
        let isThere = newer[key] != nil
        if isThere {
            if newest == key { return true }
            remove(key)
        } else if newer.count == capacity {
            remove(oldest)
        }
        newer[key] = -1
        older[key] = newest
        if newest >= 0 { newer[newest] = key } else { oldest = key }
        newest = key
        return isThere
    }

    private mutating func remove(_ key: Int) {
        let (above, below) = (newer.removeValue(forKey: key) ?? -1, older.removeValue(forKey: key) ?? -1)
        if above >= 0 { older[above] = below } else { newest = below }
        if below >= 0 { newer[below] = above } else { oldest = above }
    }
}
