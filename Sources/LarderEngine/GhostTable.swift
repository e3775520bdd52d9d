// Which keys were evicted of late: fingerprints and when, nothing else.
//
// A word of 32 bits for each: 18 of the hash, 14 of the time, which counts evicted bytes. A key hashes to a line of sixteen
// words; a new one takes the place of the oldest there. Whether one still counts is decided by its age when it is asked for,
// so nothing is ever taken out in time. Errs now and then, in either direction: it is a memory for a guess.
// Source: J. Yang et al., "FIFO Queues Are All You Need for Cache Eviction", SOSP 2023, section 4.2.
//
// Unsafe, and sound because a line's number is below `lines`, for which there is memory, and a line is not read before
// it was cleared.

/// The ghost queue of one shard and namespace. Every call is made under the shard's lock.
@safe struct GhostTable: ~Copyable {
    private var words: UnsafeMutablePointer<UInt32>?
    private var lines = 0
    /// Lines from here on hold anything; they are cleared a few at a time, so that a large table costs no pause.
    private var cleared = 0
    /// How many bytes were evicted in all.
    private var clock: UInt64 = 0
    /// How many bytes are one step of the time that words hold, as a power of two.
    private var stepBits = 0

    private static let wordsPerLine = 16
    private static let linesClearedPerInsert = 8
    private static let fingerprintBits: UInt32 = 18
    private static let timeMask: UInt32 = 1 << 14 - 1
    /// A window is kept between so many steps, as powers of two: a hundredth is near enough, and the time has to run around
    /// slower than words are replaced.
    private static let windowBits = 7...11

    init() {}

    deinit { unsafe words?.deallocate() }

    var bytesHeld: Int { lines * Self.wordsPerLine * 4 }

    /// Notes that an entry was evicted.
    ///
    /// - Parameter bytes: What was evicted with it: by so much the time moves on.
    /// - Parameter window: After how many bytes it does not count any more.
    /// - Parameter entries: About how many are evicted in such a time: how much room there should be.
    mutating func insert(_ position: TablePosition, bytes: Int, window: Int, entries: Int) {
        resize(entries)
        setStep(window)
        clear()
        clock &+= UInt64(bytes)
        let line = line(position)
        guard line < cleared, let words = unsafe words else { return }
        let start = unsafe words + line &* Self.wordsPerLine
        var oldest = 0
        var oldestAge: UInt32 = 0
        for index in 0..<Self.wordsPerLine {
            let word = unsafe start[index]
            let age = word == 0 ? .max : age(word)
            if age >= oldestAge { (oldest, oldestAge) = (index, age) }
        }
        unsafe start[oldest] = Self.fingerprint(position) | now << Self.fingerprintBits
    }

    /// Whether the key was evicted within the last `window` bytes. If so it is forgotten.
    mutating func take(_ position: TablePosition, window: Int) -> Bool {
        let line = line(position)
        guard line < cleared, let words = unsafe words else { return false }
        let start = unsafe words + line &* Self.wordsPerLine
        let wanted = Self.fingerprint(position)
        for index in 0..<Self.wordsPerLine {
            let word = unsafe start[index]
            guard word != 0, word & (1 << Self.fingerprintBits - 1) == wanted else { continue }
            unsafe start[index] = 0
            return age(word) <= UInt32(clamping: window >> stepBits)
        }
        return false
    }

    /// Forgets everything and gives the memory back.
    mutating func removeAll() {
        unsafe words?.deallocate()
        unsafe words = nil
        (lines, cleared) = (0, 0)
    }

    // MARK: Words

    private var now: UInt32 { UInt32(truncatingIfNeeded: clock >> UInt64(stepBits)) & Self.timeMask }

    private func age(_ word: UInt32) -> UInt32 { (now &- word >> Self.fingerprintBits) & Self.timeMask }

    @inline(__always) private func line(_ position: TablePosition) -> Int {
        Int(truncatingIfNeeded: position.order.multipliedFullWidth(by: UInt64(lines)).high)
    }

    /// Of bits that do not choose the line, and never zero, which marks an empty place.
    private static func fingerprint(_ position: TablePosition) -> UInt32 {
        let bits = UInt32(truncatingIfNeeded: position.order >> 16) & (1 << fingerprintBits - 1)
        return bits == 0 ? 1 : bits
    }

    // MARK: Size

    /// What was noted is lost when the size changes, which it does when the cache has become much larger or smaller; at the
    /// first eviction the cache is full, and mostly keeps its size.
    private mutating func resize(_ entries: Int) {
        let wanted = entries + entries / 4
        let room = lines * Self.wordsPerLine
        guard room < entries || room > 4 * wanted + Self.wordsPerLine else { return }
        removeAll()
        lines = max((wanted + Self.wordsPerLine - 1) / Self.wordsPerLine, 1)
        unsafe words = .allocate(capacity: lines * Self.wordsPerLine)
    }

    private mutating func setStep(_ window: Int) {
        let bits = Int.bitWidth - max(window, 1).leadingZeroBitCount
        if Self.windowBits.contains(bits - stepBits) { return }
        stepBits = max(bits - Self.windowBits.upperBound, 0)
    }

    private mutating func clear() {
        guard cleared < lines, let words = unsafe words else { return }
        let end = min(cleared + Self.linesClearedPerInsert, lines)
        unsafe (words + cleared * Self.wordsPerLine).update(repeating: 0, count: (end - cleared) * Self.wordsPerLine)
        cleared = end
    }
}
