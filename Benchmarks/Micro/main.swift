// The parts of the machine by themselves. Usage: micro [--quick] [--rounds N] [--only WORDS]

import Glibc

var rounds = 7
var sizeMax = Int.max
var only: String?
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--quick":
        rounds = 1
        sizeMax = 10_000
    case "--rounds": rounds = max(1, arguments.popFirst().flatMap { Int($0) } ?? rounds)
    case "--only": only = arguments.popFirst()
    default:
        print("usage: micro [--quick] [--rounds N] [--only WORDS]")
        exit(2)
    }
}
do {
    try measure(engineBenchmarks + wireBenchmarks, rounds: rounds, sizeMax: sizeMax, only: only)
} catch {
    print("cannot be measured: \(error)")
    exit(1)
}
