// How does Larder compare, and does it do what was promised?
//
// Starts Larder and its peers on loopback, each with one thread on processor 0, gives them the same work, and measures rounds
// in turn, so that a busy moment of the machine hits them alike. Time is the server process's own processor clock; the load
// runs in this process, on another processor. Prints the tables and, when everything was measured, writes them
// to a file, and what requests cost to another.

import Glibc

let usage = """
    usage: side-by-side LARDER-BINARY [--only NAME,NAME] [--quick] [--report FILE] [--readme FILE]
                        [--keys N] [--rounds N] [--seconds S] [--connections N]
    measures: \(Measure.all.map(\.name).joined(separator: ", "))
    """

/// At once, also into a pipe: a run takes minutes.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

func refuse(_ text: String) -> Never {
    _ = text.withCString { write(2, $0, strlen($0)) }
    _ = write(2, "\n", 1)
    exit(2)
}

var parameters = Parameters()
var only: [String] = []
var binary: String?
var reportPath: String?
var readmePath: String?
var isQuick = false

var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    func number<Value>(_ make: (String) -> Value?) -> Value {
        guard let text = arguments.popFirst(), let value = make(text) else { refuse("\(argument) wants a number\n\(usage)") }
        return value
    }
    switch argument {
    case "--quick":
        parameters = .quick
        isQuick = true
    case "--keys": parameters.keys = number { Int($0) }
    case "--rounds": parameters.rounds = number { Int($0) }
    case "--seconds": parameters.seconds = number { Double($0) }
    case "--connections": parameters.connections = number { Int($0) }
    case "--only": only = (arguments.popFirst() ?? "").split(separator: ",").map(String.init)
    case "--report": reportPath = arguments.popFirst()
    case "--readme": readmePath = arguments.popFirst()
    case _ where argument.hasPrefix("-"): refuse(usage)
    default: binary = argument
    }
}
for name in only where !Measure.all.contains(where: { $0.name == name }) { refuse("there is no measure \(name)\n\(usage)") }
guard let binary, parameters.rounds > 0, parameters.keys > 0, parameters.connections > 0 else { refuse(usage) }

Leftovers.clearWhenInterrupted()
let bench = Bench(parameters, Contenders(larder: binary))
var report = Report(head: bench.head)
say(report.head)
var failures = 0
for measure in Measure.all where only.isEmpty || only.contains(measure.name) {
    let began = monotonicSeconds()
    do {
        let finding = try measure.run(bench)
        for table in finding.tables { say(table.markdown) }
        for row in finding.rows { say("\(row.number). \(row.question): \(row.found) \(row.verdict)") }
        report.findings.append(finding)
    } catch {
        failures += 1
        say("\(measure.name) could not be measured: \(error)")
    }
    say("(\(measure.name): \(fixed(monotonicSeconds() - began, 1)) s)\n")
}
say("\n" + report.summary + report.costs(bench.columns))
if failures == 0, only.isEmpty, !isQuick {
    do {
        for (path, text) in [(reportPath, report.markdown), (readmePath, report.costs(bench.columns))] {
            guard let path else { continue }
            try Report.write(text, to: path)
            say("written to \(path)")
        }
    } catch {
        failures += 1
        say("\(error)")
    }
}
Leftovers.clear()
exit(failures == 0 ? 0 : 1)
