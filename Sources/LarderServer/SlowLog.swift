// The commands that took long, the last ones of them.
//
// Off unless somebody asks: measuring costs every command two looks at the clock.

import LarderBytes
import LarderPlatform
import LarderWire
import Synchronization

final class SlowLog: Sendable {
    struct Entry: Sendable {
        var id: UInt64
        var seconds: Milliseconds
        var microseconds: Int64
        var words: [[UInt8]]
        var address: String
        var name: String
    }

    private struct State {
        var nextID: UInt64 = 0
        /// The newest last.
        var entries: [Entry] = []
    }

    /// Commands that take so many microseconds or more are kept; negative: none, and nothing is measured.
    let microsecondsMin = Atomic<Int64>(-1)
    let entriesMax = Atomic<Int>(128)
    private let state = Mutex(State())

    static let entriesLimit = 10_000
    /// Of a command no more than this is kept, as in Redis.
    static let wordsMax = 32
    static let wordBytesMax = 128

    var isOn: Bool { microsecondsMin.load(ordering: .relaxed) >= 0 }

    /// Keeps a command, if it took long enough.
    func note(
        _ command: Command, _ input: borrowing ByteBuffer, nanoseconds: Int64, _ client: RESPClient?, now: Milliseconds
    ) {
        let least = microsecondsMin.load(ordering: .relaxed)
        guard least >= 0, nanoseconds / 1_000 >= least else { return }
        let words = Self.words(of: command, input)
        let name = client?.described.name ?? ""
        let max = entriesMax.load(ordering: .relaxed)
        state.withLock { state in
            state.entries.append(
                Entry(
                    id: state.nextID, seconds: now / 1_000, microseconds: nanoseconds / 1_000, words: words,
                    address: client?.address ?? "", name: name))
            state.nextID += 1
            if state.entries.count > max { state.entries.removeFirst(state.entries.count - max) }
        }
    }

    /// The newest first.
    func newest(_ count: Int) -> [Entry] { state.withLock { Array($0.entries.suffix(count).reversed()) } }
    var count: Int { state.withLock { $0.entries.count } }
    func removeAll() { state.withLock { $0.entries.removeAll() } }

    /// The words of a command. One that became an operation of every dialect has lost its options.
    private static func words(of command: Command, _ input: borrowing ByteBuffer) -> [[UInt8]] {
        var ranges = [command.key, command.value].filter { !$0.isEmpty }
        var words = [Array(command.respWord.name.uppercased().utf8)]
        if command.operation == .resp {
            ranges = RESPArguments(wordsOf: command.value, in: input).all(in: input)
            words = []
        }
        for range in ranges.prefix(wordsMax - words.count) {
            words.append(Array(input.span(ByteRange(start: range.start, count: min(range.count, wordBytesMax)))))
        }
        return words
    }
}
