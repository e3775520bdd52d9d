// Patterns of keys as Redis has them: `*`, `?`, `[a-z]`, `[^a]`, and a backslash before what stands for itself.
//
// Unlike Redis' own matcher this one goes back to the last star only, so no pattern takes longer than pattern times text.

import LarderBytes

/// Whether texts match a pattern.
struct GlobPattern {
    private let pattern: [UInt8]
    /// Matches everything, as `*` does.
    let isAny: Bool

    init(_ pattern: RawSpan) {
        self.pattern = Array(pattern)
        isAny = !self.pattern.isEmpty && self.pattern.allSatisfy { $0 == UInt8(ascii: "*") }
    }

    init(_ pattern: String) {
        let bytes = Array(pattern.utf8)
        self.init(bytes.rawSpan)
    }

    /// - Complexity: O(pattern * text).
    func matches(_ text: RawSpan) -> Bool {
        if isAny { return true }
        var (place, position) = (0, 0)
        // Where to go back to: behind the last star, and one byte further in the text each time.
        var star: (place: Int, position: Int)?
        while position < text.byteCount {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                place += 1
                star = (place, position)
            } else if let next = matchOne(place, text.byte(at: position)) {
                place = next
                position += 1
            } else if let last = star {
                star = (last.place, last.position + 1)
                (place, position) = (last.place, last.position + 1)
            } else {
                return false
            }
        }
        while place < pattern.count, pattern[place] == UInt8(ascii: "*") { place += 1 }
        return place == pattern.count
    }

    /// Where the pattern goes on when what stands at `place` matches `byte`.
    private func matchOne(_ place: Int, _ byte: UInt8) -> Int? {
        guard place < pattern.count else { return nil }
        switch pattern[place] {
        case UInt8(ascii: "?"): return place + 1
        case UInt8(ascii: "["): return matchClass(place + 1, byte)
        case UInt8(ascii: "\\") where place + 1 < pattern.count: return pattern[place + 1] == byte ? place + 2 : nil
        case byte: return place + 1
        default: return nil
        }
    }

    /// A class that is not closed ends with the pattern, as in Redis.
    private func matchClass(_ first: Int, _ byte: UInt8) -> Int? {
        var place = first
        let isNegated = place < pattern.count && pattern[place] == UInt8(ascii: "^")
        if isNegated { place += 1 }
        var isIn = false
        while place < pattern.count, pattern[place] != UInt8(ascii: "]") {
            if pattern[place] == UInt8(ascii: "\\"), place + 1 < pattern.count {
                isIn = isIn || pattern[place + 1] == byte
                place += 2
            } else if place + 2 < pattern.count, pattern[place + 1] == UInt8(ascii: "-") {
                let (one, other) = (pattern[place], pattern[place + 2])
                isIn = isIn || (min(one, other)...max(one, other)).contains(byte)
                place += 3
            } else {
                isIn = isIn || pattern[place] == byte
                place += 1
            }
        }
        return isIn != isNegated ? min(place + 1, pattern.count) : nil
    }
}
