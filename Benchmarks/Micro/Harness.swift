// How many nanoseconds of processor time does one of these take?
//
// A benchmark answers one question at several sizes, so that one sees the curve, and gives back a sum of its results: a figure
// whose sum differs from the last run's did other work. Rounds of all benchmarks take turns; the least and the median are shown.

import LarderPlatform

/// One question.
struct Benchmark: Sendable {
    var question: String
    /// The sizes that it is put at; what a size is, is the question's to say.
    var sizes: [Int]
    /// Makes what is measured, for a size: a function that does some operations and says how many, and a sum of the results.
    var prepare: @Sendable (Int) throws -> () throws -> (operations: Int, sum: UInt64)
}

/// Figures of a benchmark at one size.
private final class Line {
    let title: String
    let run: () throws -> (operations: Int, sum: UInt64)
    var nanoseconds: [Double] = []
    var sum: UInt64 = 0

    init(_ title: String, _ run: @escaping () throws -> (operations: Int, sum: UInt64)) {
        self.title = title
        self.run = run
    }

    func measure() throws {
        let began = Thread.nanoseconds()
        let (operations, sum) = try run()
        nanoseconds.append(Double(Thread.nanoseconds() - began) / Double(max(operations, 1)))
        self.sum = sum
    }
}

/// Runs what is asked for, prints a table.
///
/// - Parameter sizeMax: Larger sizes are left out.
func measure(_ benchmarks: [Benchmark], rounds: Int, sizeMax: Int, only: String?) throws {
    print("| what | size | ns: min | median | sum |\n| --- | ---: | ---: | ---: | ---: |")
    for benchmark in benchmarks where only.map({ benchmark.question.contains($0) }) ?? true {
        let lines = try benchmark.sizes.filter { $0 <= sizeMax }.map { Line("\(benchmark.question) | \($0)", try benchmark.prepare($0)) }
        // One round that does not count.
        for round in 0...rounds {
            for line in lines {
                try line.measure()
                if round == 0 { line.nanoseconds = [] }
            }
        }
        for line in lines {
            let sorted = line.nanoseconds.sorted()
            print("| \(line.title) | \(fixed(sorted[0])) | \(fixed(sorted[sorted.count / 2])) | \(String(line.sum, radix: 16)) |")
        }
    }
}

private func fixed(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// The same numbers in every run.
struct Noise {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(below bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % UInt64(bound))
    }
}
