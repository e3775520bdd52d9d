// Numbers that a seed repeats, for everything that a load decides by chance.
//
// Source: D. Blackman, S. Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021 (xoshiro256++, public domain);
// its state is filled by SplitMix64.

/// A stream of pseudo-random numbers. Two streams of one seed and different numbers have nothing to do with each other.
package struct RandomStream: RandomNumberGenerator, Sendable {
    private var state0: UInt64
    private var state1: UInt64
    private var state2: UInt64
    private var state3: UInt64

    package init(seed: UInt64, stream: UInt64 = 0) {
        var mixer = SplitMix(state: seed &+ SplitMix.mixed(stream &+ 1))
        state0 = mixer.next()
        state1 = mixer.next()
        state2 = mixer.next()
        state3 = mixer.next()
    }

    package mutating func next() -> UInt64 {
        let sum = state0 &+ state3
        let result = (sum << 23 | sum >> 41) &+ state0
        let shifted = state1 << 17
        state2 ^= state0
        state3 ^= state1
        state1 ^= state2
        state0 ^= state3
        state2 ^= shifted
        state3 = state3 << 45 | state3 >> 19
        return result
    }

    /// A number from 0 up to, but not including, 1, in steps of 2^-53.
    package mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number below `bound`, which is at least 1. No remainder is taken: the bias is below bound / 2^64.
    package mutating func next(below bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
}

/// SplitMix64, which turns any seed into well mixed state.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
