// Two policies in their plainest form: what a cache is to be measured against.

/// A cache that says whether it had what was asked for, and has it afterwards. Sizes are in the unit of its capacity.
public protocol ReferenceCache {
    mutating func request(_ key: Int, size: Int) -> Bool
}

extension ReferenceCache {
    /// The part of the requests that missed.
    ///
    /// - Parameter size: Of a key's entry.
    public mutating func missRatio(_ trace: RequestTrace, size: (Int) -> Int) -> Double {
        var misses = 0
        for (index, key) in trace.requests.enumerated() {
            if !request(trace.version(key, at: index), size: size(key)) { misses += 1 }
        }
        return Double(misses) / Double(trace.requests.count)
    }
}

/// First in, first out. Knows how much its keys take together.
private struct FIFO {
    private var items: [(key: Int, size: Int)] = []
    private var first = 0
    private(set) var bytes = 0

    var isEmpty: Bool { first == items.count }

    mutating func push(_ key: Int, _ size: Int) {
        items.append((key, size))
        bytes += size
    }

    mutating func pop() -> (key: Int, size: Int) {
        defer {
            first += 1
            if first > 4_096 && first * 2 > items.count {
                items.removeFirst(first)
                first = 0
            }
        }
        bytes -= items[first].size
        return items[first]
    }
}

/// S3-FIFO as its authors' libCacheSim carries it out: small queue a tenth, ghost nine tenths, two uses to move on.
/// Source: J. Yang et al., "FIFO Queues Are All You Need for Cache Eviction", SOSP 2023; libCacheSim, `S3FIFO.c`.
public struct ReferenceS3FIFO: ReferenceCache {
    private let capacity: Int
    private let smallMax: Int
    private var small = FIFO()
    private var main = FIFO()
    private var ghost = FIFO()
    private var uses: [Int: Int] = [:]
    /// What is in the ghost queue and has not been asked for again since.
    private var remembered: Set<Int> = []
    private var rememberedBytes = 0
    private var hasEvicted = false

    public init(capacity: Int) {
        self.capacity = capacity
        smallMax = capacity / 10
    }

    public mutating func request(_ key: Int, size: Int) -> Bool {
        if let count = uses[key] {
            uses[key] = count + 1
            return true
        }
        let isRemembered = forget(key, size)
        while small.bytes + main.bytes + size > capacity { evict() }
        if isRemembered || (!hasEvicted && small.bytes >= smallMax) { main.push(key, size) } else { small.push(key, size) }
        uses[key] = 0
        return false
    }

    private mutating func evict() {
        hasEvicted = true
        if main.bytes > capacity - smallMax || small.isEmpty { evictMain() } else { evictSmall() }
    }

    private mutating func evictSmall() {
        while !small.isEmpty {
            let (key, size) = small.pop()
            if uses[key, default: 0] >= 2 {
                main.push(key, size)
                uses[key] = 0
                continue
            }
            uses[key] = nil
            remembered.insert(key)
            rememberedBytes += size
            ghost.push(key, size)
            while rememberedBytes > capacity * 9 / 10 {
                let (oldest, size) = ghost.pop()
                _ = forget(oldest, size)
            }
            return
        }
    }

    private mutating func forget(_ key: Int, _ size: Int) -> Bool {
        guard remembered.remove(key) != nil else { return false }
        rememberedBytes -= size
        return true
    }

    private mutating func evictMain() {
        while !main.isEmpty {
            let (key, size) = main.pop()
            let count = min(uses[key, default: 0], 3)
            if count == 0 {
                uses[key] = nil
                return
            }
            uses[key] = count - 1
            main.push(key, size)
        }
    }
}

/// Least recently used.
public struct ReferenceLRU: ReferenceCache {
    private let capacity: Int
    private var bytes = 0
    private var sizes: [Int: Int] = [:]
    private var newer: [Int: Int] = [:]
    private var older: [Int: Int] = [:]
    private var newest = -1
    private var oldest = -1

    public init(capacity: Int) { self.capacity = capacity }

    public mutating func request(_ key: Int, size: Int) -> Bool {
        let isThere = sizes[key] != nil
        if isThere {
            if newest == key { return true }
            remove(key)
        } else {
            while bytes + size > capacity && oldest >= 0 {
                bytes -= sizes.removeValue(forKey: oldest) ?? 0
                remove(oldest)
            }
            sizes[key] = size
            bytes += size
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
