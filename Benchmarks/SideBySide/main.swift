// Which server spends the least processor time on a request?
//
// Starts Larder and its peers one after another on loopback, each with one thread on processor 0, fills them with the
// same keys, then measures rounds of one second in turn, so that a busy moment of the machine hits them alike. Time
// is the server process's own processor clock; the load runs in this process, on another processor.
//
// Usage: side-by-side LARDER-BINARY [--keys N] [--rounds N] [--seconds S] [--connections N] [--only NAME]

import Glibc

var keys = 1_000_000
var rounds = 7
var seconds = 1.0
var connections = 50
var only: String?
var binary: String?

var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    switch argument {
    case "--keys": keys = arguments.popFirst().flatMap { Int($0) } ?? keys
    case "--rounds": rounds = arguments.popFirst().flatMap { Int($0) } ?? rounds
    case "--seconds": seconds = arguments.popFirst().flatMap { Double($0) } ?? seconds
    case "--connections": connections = arguments.popFirst().flatMap { Int($0) } ?? connections
    case "--only": only = arguments.popFirst()
    default: binary = argument
    }
}
guard let binary else {
    print("usage: side-by-side LARDER-BINARY [--keys N] [--rounds N] [--seconds S] [--connections N] [--only NAME]")
    exit(2)
}

let candidates = Contender.all(larder: binary).filter { only == nil || $0.name.hasPrefix(only!) }
var contenders: [Contender] = []
for contender in candidates {
    if contender.start() {
        contenders.append(contender)
    } else {
        print("\(contender.name): not here, left out")
    }
}
defer { for contender in contenders { contender.stop() } }

print("# \(machine()); \(keys) keys of 16 bytes, values of 100 bytes, \(connections) connections, \(rounds) rounds of \(seconds) s")
for contender in contenders { print("# \(contender.name): \(contender.version)") }
for contender in contenders where contender.holdsKeys { contender.fill(keys: keys) }

for scenario in Scenario.all {
    let running = contenders.filter { $0.runs(scenario) }
    var results = [[Sample]](repeating: [], count: running.count)
    // One round that does not count, then the rounds in turn.
    for round in 0...rounds {
        for (index, contender) in running.enumerated() {
            let sample = contender.measure(scenario, seconds: seconds, connections: connections, keys: keys, seed: UInt64(round))
            if round > 0 { results[index].append(sample) }
        }
    }
    print("\n## \(scenario.title)\n")
    print("| server | CPU a request, us: min | median | user part, median | requests/s, median |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (index, contender) in running.enumerated() {
        let samples = results[index]
        let total = samples.map(\.microseconds).sorted()
        let user = samples.map(\.userMicroseconds).sorted()
        let rate = samples.map(\.rate).sorted()
        print(
            "| \(contender.name) | \(fixed(total[0])) | \(fixed(total[total.count / 2])) | \(fixed(user[user.count / 2])) "
                + "| \(Int(rate[rate.count / 2])) |")
    }
}

func fixed(_ value: Double) -> String {
    let scaled = Int((value * 1_000).rounded())
    let fraction = String(scaled % 1_000)
    return "\(scaled / 1_000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
}

func machine() -> String {
    let model = readText("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = model?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    return "\(name), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors"
}
