// What all measures share: how large and how long, who takes part, and rounds in turn.

import Glibc
import LarderLoad

/// How large and how long. What is not asked for on the command line is as the targets want it.
struct Parameters {
    var keys = 1_000_000
    var rounds = 7
    var seconds = 1.0
    var connections = 50
    /// For memory.
    var memoryKeys = 3_000_000
    /// That fall due together.
    var dueKeys = 2_000_000
    /// For snapshots and restarts.
    var storedKeys = 5_000_000
    var listedKeys = 1_000_000
    /// For caches; 0: left out.
    var cachedKeys = 1_000_000
    /// That do nothing.
    var idleConnections = 10_000
    /// How long memory that falls free is waited for.
    var patienceSeconds = 60.0
    /// Of what takes long and is told by one figure a round.
    var longRounds = 3
    /// Of a server, for what happens in each once.
    var lives = 5

    static let quick: Parameters = {
        var quick = Parameters()
        quick.keys = 2_000
        quick.rounds = 1
        quick.seconds = 0.05
        quick.connections = 4
        quick.memoryKeys = 20_000
        quick.dueKeys = 5_000
        quick.storedKeys = 20_000
        quick.listedKeys = 5_000
        quick.cachedKeys = 0
        quick.idleConnections = 200
        quick.patienceSeconds = 0.5
        quick.longRounds = 1
        quick.lives = 1
        return quick
    }()
}

/// A question that can be put to the servers.
struct Measure: Sendable {
    /// What `--only` calls it.
    var name: String
    var run: @Sendable (Bench) throws -> Finding
}

/// One round.
struct Sample {
    var requests: Int
    var seconds: Double
    var usage: Server.Usage

    var microseconds: Double { Double(usage.nanoseconds) / 1_000 / Double(max(requests, 1)) }
}

/// What a request costs a server, over some rounds.
struct Cost {
    var name: String
    /// Microseconds of the process's processor time.
    var minimum: Double
    var median: Double
    /// The part of the median that is the program's own, not the kernel's: as many of the clock's ticks fell there.
    var user: Double
    var rate: Double

    init(_ name: String, _ samples: [Sample]) {
        self.name = name
        let all = samples.map(\.microseconds)
        minimum = all.min() ?? .nan
        median = all.median
        let user = samples.reduce(0) { $0 + $1.usage.userTicks }
        let ticks = samples.reduce(0) { $0 + $1.usage.userTicks + $1.usage.systemTicks }
        self.user = ticks > 0 ? median * Double(user) / Double(ticks) : .nan
        rate = samples.map { Double($0.requests) / $0.seconds }.median
    }

    static let head = ["server", "CPU a request, us: min", "median", "its user part", "requests/s"]
    var line: [String] { [name, fixed(minimum, 3), fixed(median, 3), fixed(user, 3), grouped(Int(rate))] }
}

final class Bench {
    let parameters: Parameters
    let contenders: Contenders
    private var versions: [String: String] = [:]

    init(_ parameters: Parameters, _ contenders: Contenders) {
        self.parameters = parameters
        self.contenders = contenders
    }

    /// Empty when it is not here.
    func version(of contender: Contender) -> String {
        if let known = versions[contender.program] { return known }
        let version = contender.version
        versions[contender.program] = version
        return version
    }

    func isHere(_ contender: Contender) -> Bool { !version(of: contender).isEmpty }

    /// Those that are here, started; all the others are left out.
    func start(_ contenders: [Contender]) throws -> [Server] {
        try contenders.filter(isHere).map { try Server($0) }
    }

    func fill(_ server: Server, _ keys: Int, _ form: EntryForm = EntryForm()) throws {
        if server.contender.isConstant { return }
        try Load(server, connections: 4, depth: 64).fill(0..<keys, form)
    }

    /// Touches 1.5 GiB of memory and gives them back to the kernel, so that who needs memory next gets some which is there.
    ///
    /// A virtual machine may hand free memory back to its host (balloon, page reporting). The first write to a page then waits until the
    /// host has found one, up to fifty times as long as the kernel needs to clear it, and whoever grows is charged with that. In large
    /// pages, so that blocks of that size are at hand as well.
    func haveMemoryAtHand() {
        let bytes = parameters.keys < 100_000 ? 0 : 1_536 << 20
        guard bytes > 0, let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED else { return }
        madvise(memory, bytes, MADV_HUGEPAGE)
        for offset in stride(from: 0, to: bytes, by: 4_096) { memory.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self) }
        munmap(memory, bytes)
    }

    func measure(_ server: Server, _ operation: LoadOperation, depth: Int, seed: UInt64) throws -> Sample {
        let load = try Load(server, connections: parameters.connections, depth: depth)
        let before = server.usage
        let start = monotonicSeconds()
        let requests = try load.run(operation, seconds: parameters.seconds, keys: parameters.keys, seed: seed)
        let seconds = monotonicSeconds() - start
        return Sample(requests: requests, seconds: seconds, usage: server.usage - before)
    }

    /// One round that does not count, then the rounds, all servers in turn in each.
    func costs(_ servers: [Server], _ operation: LoadOperation, depth: Int, rounds: Int? = nil) throws -> [Cost] {
        try costs(servers, rounds: rounds) { server, round in try measure(server, operation, depth: depth, seed: UInt64(round)) }
    }

    func costs(
        _ servers: [Server], rounds: Int? = nil, _ measure: (_ server: Server, _ round: Int) throws -> Sample
    ) throws -> [Cost] {
        var samples = [[Sample]](repeating: [], count: servers.count)
        for round in 0...(rounds ?? parameters.rounds) {
            for (index, server) in servers.enumerated() {
                let sample = try measure(server, round)
                if round > 0 { samples[index].append(sample) }
            }
        }
        return zip(servers, samples).map { Cost($0.contender.name, $1) }
    }
}

extension [Cost] {
    /// The cost of a contender, if it took part.
    subscript(_ contender: Contender) -> Cost? { first { $0.name == contender.name } }

    /// A table of all.
    ///
    /// - Parameter brief: What the table of costs calls it, which has a line of it then.
    func table(_ title: String, brief: String? = nil, notes: [String] = []) -> Table {
        Table(title: title, head: Cost.head, lines: map(\.line), notes: notes, brief: brief, costs: self)
    }

    /// Holds a contender's total against another's, and its user part as well.
    func checks(
        _ one: Contender, against other: Contender, total: Double, user: Double? = nil, tie: Double = 0, name: String = ""
    ) -> [Check] {
        guard let mine = self[one], let theirs = self[other] else { return [] }
        var checks = [Check.ratio(name, mine.median, to: other.name, theirs.median, atMost: total, tie: tie)]
        if let user { checks.append(.ratio(name + "user part ", mine.user, to: other.name, theirs.user, atMost: user)) }
        return checks
    }
}

func machine() -> String {
    let model = readText("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = model?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    let system = readText("/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init) ?? "?"
    return "\(name), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, Linux \(system)"
}
