// Sequences of requests to compare caches with: made here, the same for the same seed.
//
// A request is the number of a key; a cache that misses stores it. What is typical of real caches is in them one at a time:
// few keys that are asked for often, many that are asked for once, scans, loops, a favour that moves on, and values of all
// sizes that expire.

import Foundation

/// A sequence of requests.
public struct RequestTrace: Sendable {
    public let kind: Kind
    /// How many keys there are that are asked for more than once.
    public let keys: Int
    public let requests: [Int]
    public enum Kind: String, CaseIterable, Sendable {
        case zipf10 = "Zipf 1.0"
        case zipf08 = "Zipf 0.8"
        case oneHitWonders = "25 % one-hit wonders"
        case scans = "scans"
        case loop = "loop over 15 % of the keys"
        case drift = "favour moves on"
        case mixed = "mixed sizes and lifetimes"
    }

    public init(_ kind: Kind, keys: Int, requests count: Int, seed: UInt64) {
        var random = SplitMix64(state: seed)
        let zipf = Zipf(keys: keys, exponent: kind == .zipf08 ? 0.8 : 1)
        var requests: [Int] = []
        requests.reserveCapacity(count)
        /// Numbers of keys that nobody asked for yet.
        var fresh = keys
        switch kind {
        case .zipf10, .zipf08, .mixed:
            while requests.count < count { requests.append(zipf.next(&random)) }
        case .oneHitWonders:
            while requests.count < count {
                if random.next() % 4 == 0 {
                    requests.append(fresh)
                    fresh += 1
                } else {
                    requests.append(zipf.next(&random))
                }
            }
        case .scans:
            // A fifth of all requests are scans over keys that are not asked for otherwise, a tenth of the keys each.
            while requests.count < count {
                if random.next() % UInt64(4 * keys / 10) == 0 {
                    for _ in 0..<(keys / 10) { requests.append(fresh); fresh += 1 }
                } else {
                    requests.append(zipf.next(&random))
                }
            }
        case .loop:
            // Every other request is the next of a loop.
            let length = keys * 15 / 100
            var place = 0
            while requests.count < count {
                if random.next() % 2 == 0 {
                    requests.append(keys + place)
                    place = (place + 1) % length
                } else {
                    requests.append(zipf.next(&random))
                }
            }
        case .drift:
            // Eight times in all the popular keys are others.
            while requests.count < count {
                requests.append(requests.count / max(count / 8, 1) * keys + zipf.next(&random))
            }
        }
        self.kind = kind
        self.keys = keys
        self.requests = Array(requests.prefix(count))
    }

    // MARK: What is stored

    /// How long the value of a key is.
    public func valueBytes(_ key: Int) -> Int {
        guard kind == .mixed else { return 8 }
        var random = SplitMix64(state: UInt64(key) &* 3)
        // Half are short, a tenth is long.
        let (low, high) =
            switch random.next() % 10 {
            case 0..<5: (20, 100)
            case 5..<9: (100, 1_000)
            default: (1_000, 8_000)
            }
        return low + Int(random.next() % UInt64(high - low))
    }

    /// At which request the value that is asked for at `index` has expired; nil: never. Values expire at fixed times, whenever
    /// they were stored, so that every cache sees the same.
    public func expiry(_ key: Int, at index: Int) -> Int? {
        guard let lifetime = lifetime(key) else { return nil }
        return (index / lifetime + 1) * lifetime
    }

    /// The number of the value that is asked for at `index`: another one after each expiry.
    public func version(_ key: Int, at index: Int) -> Int {
        guard let lifetime = lifetime(key) else { return key }
        return (index / lifetime) << 40 | key
    }

    private func lifetime(_ key: Int) -> Int? {
        guard kind == .mixed else { return nil }
        var random = SplitMix64(state: UInt64(key) &* 7 &+ 1)
        guard random.next() % 2 == 0 else { return nil }
        return requests.count / 100 + Int(random.next() % UInt64(requests.count / 2))
    }
}

/// Random numbers that come out the same for the same seed. Source: S. Vigna, "SplitMix64", 2015; public domain.
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Keys of which the n-th most popular is asked for in proportion to n to the power of minus the exponent.
struct Zipf {
    private var sums: [Double] = []

    init(keys: Int, exponent: Double) {
        var sum = 0.0
        for rank in 1...keys {
            sum += pow(Double(rank), -exponent)
            sums.append(sum)
        }
    }

    func next(_ random: inout SplitMix64) -> Int {
        let wanted = Double(random.next() >> 11) / Double(1 << 53) * sums[sums.count - 1]
        var (low, high) = (0, sums.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > wanted { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
