// What is said on standard error while a load runs.

import LarderLoad
import LarderPlatform

/// The line on standard error while a load runs.
final class LoadProgress {
    private let isQuiet: Bool
    private let name: String
    private let isTerminal = StandardStreams.errorIsTerminal
    private var shown: Int64?

    init(isQuiet: Bool, name: String) {
        self.isQuiet = isQuiet
        self.name = name
    }

    /// Overwrites one line four times a second; where nobody can see that, a line every ten seconds.
    func show(_ board: Board, elapsed: Int64, duration: Int64?) {
        guard !isQuiet else { return }
        let interval: Int64 = isTerminal ? 250_000_000 : 10_000_000_000
        guard let last = shown else {
            shown = elapsed
            return
        }
        guard elapsed - last >= interval else { return }
        shown = elapsed
        let line = "\(name): \(ProgressLine.text(board.latest, elapsed: elapsed, duration: duration))"
        StandardStreams.writeError(isTerminal ? "\r\u{1B}[K\(line)" : "\(line)\n")
    }

    func clear() {
        if !isQuiet, isTerminal { StandardStreams.writeError("\r\u{1B}[K") }
    }
}
