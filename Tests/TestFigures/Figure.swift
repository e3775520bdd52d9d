// What a suite tried and what it found: one row of the table in docs/reliability.md, written by the suite itself.
//
// A row is printed when its suite has run, with what it counted; nothing else makes one. `LARDER_FIGURES` names a directory in
// which each row is left as a file, from which `scripts/figures` makes the table.

import Foundation

/// One row: how many cases of a kind were tried, and what went wrong.
package struct Figure: Sendable {
    /// What was tried, with what else was counted.
    package var name: String
    package var count: Int
    package var unit: String
    /// Promises that were broken by something that is gone.
    package var lost: Int
    /// And by anything else: a value that never was, a start that was refused, an LSN used twice.
    package var wrong: Int
    /// The seeds of the cases; nil where nothing is random.
    package var seeds: ClosedRange<UInt64>?

    package init(_ name: String, _ count: Int, _ unit: String, lost: Int = 0, wrong: Int = 0, seeds: ClosedRange<UInt64>? = nil) {
        self.name = name
        self.count = count
        self.unit = unit
        self.lost = lost
        self.wrong = wrong
        self.seeds = seeds
    }

    /// Prints the row, and leaves it where `LARDER_FIGURES` says.
    ///
    /// - Parameter place: Where it stands in the table, and the name of its file.
    package func record(_ place: String, since began: ContinuousClock.Instant) {
        let seconds = (ContinuousClock.now - began).components.seconds
        let range = seeds.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" } ?? ""
        let row = "| \(name) | \(Self.grouped(count)) \(unit) | \(lost) | \(wrong) | \(range) | \(seconds) s |"
        print(row)
        guard let directory = ProcessInfo.processInfo.environment["LARDER_FIGURES"] else { return }
        do {
            try (row + "\n").write(toFile: "\(directory)/\(place)", atomically: true, encoding: .utf8)
        } catch {
            print("\(directory)/\(place): \(error)")
        }
    }

    /// A number with a comma before every three digits.
    package static func grouped(_ number: Int) -> String {
        var digits = String(number)
        var text = ""
        while digits.count > 3 {
            text = "," + digits.suffix(3) + text
            digits.removeLast(3)
        }
        return digits + text
    }
}

/// How much is tried: `usual`, unless the environment variable `name` says otherwise. `make torture` raises them.
package func scale(_ name: String, _ usual: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? usual
}
