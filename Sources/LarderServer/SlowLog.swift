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
        // What is no command is not carried out, and may be a mistyped AUTH.
        guard least >= 0, nanoseconds / 1_000 >= least, command.respWord != .unknown else { return }
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

    /// The words of a command, without the secrets among them. One that became an operation of every dialect has lost its options.
    private static func words(of command: Command, _ input: borrowing ByteBuffer) -> [[UInt8]] {
        var ranges = [command.key, command.value].filter { !$0.isEmpty }
        var words = [Array(command.respWord.name.uppercased().utf8)]
        if command.operation == .resp {
            ranges = RESPArguments(wordsOf: command.value, in: input).all(in: input)
            words = []
        }
        let secrets = secrets(of: command.respWord, ranges, input)
        for (index, range) in ranges.prefix(wordsMax - words.count).enumerated() {
            let shown = input.span(ByteRange(start: range.start, count: min(range.count, wordBytesMax)))
            words.append(secrets.contains(index) ? redacted : Array(shown))
        }
        return words
    }

    private static let redacted = Array("(redacted)".utf8)

    /// Which of the words may say the key: what follows AUTH, the command or the option.
    private static func secrets(of word: RESPWord, _ words: [ByteRange], _ input: borrowing ByteBuffer) -> Set<Int> {
        switch word {
        case .auth: return Set(words.indices.dropFirst())
        case .hello:
            var secrets: Set<Int> = []
            for (index, word) in words.enumerated() where RESPName(input.bytes, word) == auth {
                secrets.formUnion([index + 1, index + 2])
            }
            return secrets
        default: return []
        }
    }

    private static let auth = RESPName("auth")
}
