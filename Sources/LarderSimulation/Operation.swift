// What a client of the simulation may ask for: plain values, so that a sequence of them can be kept, shrunk and replayed.
//
// Keys and namespaces are numbers here and get their bytes when they are used; versions are named by what they are to the model
// ("the present one"), because which number that is shows only in the run.

import LarderEngine
import LarderPlatform

/// A value that is told from every other by its stamp.
package struct SimulatedValue: Sendable, Equatable {
    package var stamp: UInt32
    /// How many bytes; 0 also for a decimal number, which is the stamp.
    package var count: Int
    package var isNumber = false

    package init(stamp: UInt32, count: Int, isNumber: Bool = false) {
        self.stamp = stamp
        self.count = count
        self.isNumber = isNumber
    }

    package var bytes: [UInt8] {
        if isNumber { return Array(String(stamp).utf8) }
        return (0..<count).map { UInt8(truncatingIfNeeded: $0 < 4 ? stamp >> UInt32(8 * $0) : UInt32($0) &* 7 &+ stamp) }
    }
}

/// What a write expects of the version that is there.
package enum Expectation: Sendable, CaseIterable {
    case none, absent, present
    /// The version that the model has.
    case current
    /// A version that nothing has.
    case other
    case notCurrent
}

/// One command.
package enum Operation: Sendable, Equatable {
    case put(space: Int, key: Int, SimulatedValue, LifetimeChange, Expectation, metadata: Bool)
    case remove(space: Int, key: Int, Expectation)
    case touch(space: Int, key: Int, LifetimeChange, Expectation)
    case increment(space: Int, key: Int, Int64, LifetimeChange)
    case append(space: Int, key: Int, SimulatedValue, LifetimeChange)
    case create(space: Int)
    case drop(space: Int)
    case flush(space: Int)
    case policy(space: Int, Durability)

    /// The namespaces of a simulation by number. The first is always there, the last but one is not logged.
    package static let spaces = ["default", "interval", "never", "off", "passing"]
    package static func durability(ofSpace space: Int) -> Durability {
        switch space {
        case 1: .interval
        case 2: .never
        case 3: .off
        default: .always
        }
    }

    /// Keys of different lengths, up to the longest.
    package static func key(_ number: Int) -> [UInt8] {
        let text = Array("key/\(number)".utf8)
        let length = [0, 0, 0, 20, 0, 250, 0, 1_024][number % 8]
        return text + [UInt8](repeating: 0x78, count: max(0, length - text.count))
    }
}

extension Operation {
    /// A command chosen at random, mostly on few keys, so that they meet.
    package static func random(_ random: inout SeededGenerator, stamp: UInt32, keys: Int) -> Operation {
        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
        let space = [0, 0, 0, 0, 0, 1, 1, 2, 3, 4][number(0..<10)]
        let key = min(number(0..<keys), number(0..<keys))
        switch number(0..<100) {
        case 0..<46:
            return .put(
                space: space, key: key, value(&random, stamp), lifetime(&random), expectation(&random), metadata: number(0..<4) == 0)
        case 46..<60: return .remove(space: space, key: key, expectation(&random))
        case 60..<70: return .touch(space: space, key: key, lifetime(&random), expectation(&random))
        case 70..<82:
            let delta = number(0..<8) == 0 ? Int64.random(in: .min ... .max, using: &random) : Int64(number(-50..<50))
            return .increment(space: space, key: key, delta, lifetime(&random))
        case 82..<91: return .append(space: space, key: key, value(&random, stamp), lifetime(&random))
        case 91..<94: return .flush(space: space)
        case 94..<96: return .drop(space: max(1, space))
        case 96..<97: return .policy(space: [0, 1, 2, 4][number(0..<4)], [.always, .interval, .never][number(0..<3)])
        default: return .create(space: number(1..<spaces.count))
        }
    }

    private static func value(_ random: inout SeededGenerator, _ stamp: UInt32) -> SimulatedValue {
        let kind = Int.random(in: 0..<20, using: &random)
        if kind < 4 { return SimulatedValue(stamp: stamp, count: 0, isNumber: true) }
        let counts = [0, 4, 5, 8, 20, 21, 64, 90, 120, 200, 300, 505, 700, 1_500, 3_000, 6_000]
        return SimulatedValue(stamp: stamp, count: counts[kind - 4])
    }

    private static func lifetime(_ random: inout SeededGenerator) -> LifetimeChange {
        switch Int.random(in: 0..<16, using: &random) {
        case 0..<7: .unlimited
        case 7..<10: .keep
        case 10: .milliseconds(Int64.random(in: -1...1, using: &random))
        case 11..<14: .milliseconds(Int64.random(in: 1..<5_000, using: &random))
        case 14: .milliseconds(Int64.random(in: 1..<10_000_000, using: &random))
        default: .milliseconds([9_223_372_036_000, .max][Int.random(in: 0..<2, using: &random)])
        }
    }

    private static func expectation(_ random: inout SeededGenerator) -> Expectation {
        Int.random(in: 0..<2, using: &random) == 0 ? .none : Expectation.allCases.randomElement(using: &random) ?? .none
    }
}
