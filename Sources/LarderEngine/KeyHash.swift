// From a key to 64 bits that an outsider cannot predict.
//
// A folded-multiply hash over the key's bytes whose multipliers are all secret and random for each process: with public
// multipliers an attacker can find keys that collide under every seed.
// Source: Wang Yi, wyhash (public domain), final version 4, for the shape of the mixing.

import LarderBytes

/// The hash of a key in its namespace. Its upper bits choose the shard and the bucket, its lowest eight the tag.
@frozen @usableFromInline
package struct KeyHash: Equatable, Sendable {
    @usableFromInline package var value: UInt64

    @inlinable package init(value: UInt64) { self.value = value }
}

/// What makes the hashes of one process unpredictable: five odd random words.
package struct HashSecrets: Sendable {
    let words: (UInt64, UInt64, UInt64, UInt64, UInt64)

    /// Secrets from the system's random source.
    package static func random() -> HashSecrets {
        var generator = SystemRandomNumberGenerator()
        return HashSecrets(using: &generator)
    }

    /// Secrets from `generator`; a test passes one with a seed.
    package init(using generator: inout some RandomNumberGenerator) {
        words = (
            Self.word(&generator), Self.word(&generator), Self.word(&generator), Self.word(&generator),
            Self.word(&generator)
        )
    }

    /// An odd word with 24 to 40 ones: a multiplier that is nearly all zeros mixes badly.
    private static func word(_ generator: inout some RandomNumberGenerator) -> UInt64 {
        while true {
            let word = generator.next() | 1
            if (24...40).contains(word.nonzeroBitCount) { return word }
        }
    }

    /// The hash of `key` in the namespace that has this slot. O(bytes of the key).
    func hash(_ key: RawSpan, namespaceSlot: UInt16) -> KeyHash {
        let count = key.byteCount
        var seed = words.0 ^ Self.mix(UInt64(namespaceSlot) ^ words.1, words.2)
        var first: UInt64
        var second: UInt64
        if count <= 16 {
            if count >= 8 {
                first = key.littleEndian(at: 0, as: UInt64.self)
                second = key.littleEndian(at: count &- 8, as: UInt64.self)
            } else if count >= 4 {
                first = UInt64(key.littleEndian(at: 0, as: UInt32.self))
                second = UInt64(key.littleEndian(at: count &- 4, as: UInt32.self))
            } else if count > 0 {
                first = UInt64(key.byte(at: 0)) << 16 | UInt64(key.byte(at: count >> 1)) << 8
                first |= UInt64(key.byte(at: count &- 1))
                second = 0
            } else {
                first = 0
                second = 0
            }
        } else {
            var position = 0
            while count &- position > 16 {
                let left = key.littleEndian(at: position, as: UInt64.self)
                let right = key.littleEndian(at: position &+ 8, as: UInt64.self)
                seed = Self.mix(left ^ words.1, right ^ seed)
                position &+= 16
            }
            first = key.littleEndian(at: count &- 16, as: UInt64.self)
            second = key.littleEndian(at: count &- 8, as: UInt64.self)
        }
        let (high, low) = (first ^ words.2).multipliedFullWidth(by: second ^ seed)
        return KeyHash(value: Self.mix(low ^ words.3 ^ UInt64(count), high ^ words.4))
    }

    /// The two halves of the 128-bit product, folded. Zero in either factor would lose the other, so both come in secret.
    @inline(__always)
    private static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (high, low) = left.multipliedFullWidth(by: right)
        return high ^ low
    }
}
