// How much was wrong, and the first of it by name.

/// Faults, counted, and the first few spelled out.
package struct FaultCount: Sendable {
    package static let namedMax = 10

    /// By `Fault.rawValue`.
    package private(set) var counts = [Int](repeating: 0, count: Fault.allCases.count)
    /// Sentences about the first ones.
    package private(set) var named: [String] = []
    /// Reads that were judged.
    package var judged = 0
    /// Keys that are gone by a write that nobody knows of, or lost: cannot be told.
    package var unclear = 0

    package init() {}

    package var total: Int { counts.reduce(0, +) }

    package subscript(fault: Fault) -> Int { counts[Int(fault.rawValue)] }

    mutating func count(_ fault: Fault, _ sentence: () -> String) {
        counts[Int(fault.rawValue)] += 1
        if named.count < Self.namedMax { named.append(sentence()) }
    }

    package mutating func add(_ other: FaultCount) {
        for index in counts.indices { counts[index] += other.counts[index] }
        named = Array((named + other.named).prefix(Self.namedMax))
        judged += other.judged
        unclear += other.unclear
    }
}
