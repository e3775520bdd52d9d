// The options of `larder load`, and what they may not say.

import ArgumentParser
import Foundation
import LarderLoad
import LarderPlatform

/// How to load.
struct LoadShapeOptions: ParsableArguments {
    @Option(help: "What the server speaks.")
    var dialect = LoadDialect.binary

    @Option(help: ArgumentHelp("Connections of all threads together.", valueName: "N"))
    var connections = 50

    @Option(help: ArgumentHelp("Threads of the generator.", valueName: "N"))
    var threads = 1

    @Option(help: ArgumentHelp("Requests in flight on a connection at most.", valueName: "N"))
    var pipeline = 1

    @Option(help: ArgumentHelp("Open loop: requests a second of all connections together.", valueName: "N"))
    var rate: Double?

    @Option(help: ArgumentHelp("How long to measure (10s; a trace to its end); with --ramp, each step.", valueName: "TIME"), transform: LoadText.duration)
    var duration: Int64?

    @Option(help: ArgumentHelp("How long to load before measuring (0).", valueName: "TIME"), transform: LoadText.duration)
    var warmup: Int64 = 0

    @Option(help: ArgumentHelp("Requests of all connections together, warming up included; then --duration is a limit (10m).", valueName: "N"))
    var requests: Int?

    @Flag(help: "Raise the rate step by step until the server does not hold it.")
    var ramp = false

    @Option(help: ArgumentHelp("The rate of the first step.", valueName: "N"))
    var rampFrom = 1_000.0

    @Option(help: ArgumentHelp("How many times more the next step asks for.", valueName: "X"))
    var rampFactor = 1.5

    @Option(help: ArgumentHelp("A step holds while 99 % of its requests are answered within this (10ms).", valueName: "TIME"), transform: LoadText.duration)
    var rampLimit: Int64 = 10_000_000

    @Flag(inversion: .prefixedNo, help: "Make connections anew that are lost.")
    var reconnect = true

    @Flag(help: "Load a server on another machine.")
    var allowRemote = false

    static let durationDefault: Int64 = 10_000_000_000
    static let durationWithRequests: Int64 = 600_000_000_000
    static let durationMax: Int64 = 86_400_000_000_000

    var durationNanoseconds: Int64 { duration ?? (requests == nil ? Self.durationDefault : Self.durationWithRequests) }

    func validate() throws {
        guard (1...10_000).contains(connections) else { throw ValidationError("--connections is 1 to 10000") }
        guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256") }
        guard connections % threads == 0 else { throw ValidationError("--connections is a multiple of --threads") }
        guard (1...4_096).contains(pipeline) else { throw ValidationError("--pipeline is 1 to 4096") }
        if let rate, !(rate > 0 && rate <= Schedule.rateMax) { throw ValidationError("--rate is above 0 and at most 100000000") }
        guard durationNanoseconds > 0, durationNanoseconds <= Self.durationMax else { throw ValidationError("--duration is above 0 and at most 24h") }
        guard warmup <= Self.durationMax else { throw ValidationError("--warmup is at most 24h") }
        if let requests, requests < 1 { throw ValidationError("--requests is at least 1") }
        guard rampFrom > 0, rampFrom <= Schedule.rateMax, rampFactor > 1, rampFactor <= 100, rampLimit > 0 else {
            throw ValidationError(
                "--ramp-from is above 0 and at most 100000000, --ramp-limit above 0, --ramp-factor above 1 and at most 100")
        }
        if ramp, rate != nil || requests != nil { throw ValidationError("--ramp chooses the rates itself, and each step lasts --duration") }
    }
}

/// What to ask for.
struct LoadContentOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Shares of get, set and delete.", valueName: "MIX"))
    var mix = "get:90,set:10"

    @Option(help: ArgumentHelp("Which keys: uniform, or zipf:EXPONENT.", valueName: "CHOICE"))
    var keys = "uniform"

    @Option(help: ArgumentHelp("How many keys there are.", valueName: "N"))
    var keyCount: UInt64 = 100_000

    @Option(help: ArgumentHelp("Bytes of a key: the prefix, and the number with zeros before it.", valueName: "N"))
    var keyLength = 16

    @Option(help: ArgumentHelp("What keys begin with.", valueName: "TEXT"))
    var keyPrefix = "load/"

    @Option(help: ArgumentHelp("Bytes of a value: N, uniform:N-N, lognormal:MEDIAN/SIGMA[/MAX], or a mix such as 100:90,10KiB:10.", valueName: "SIZES"))
    var values = "100"

    @Option(help: ArgumentHelp("Lifetimes, spelled as --values: 60s, uniform:1s-60s, 0:50,60s:50. 0 is for ever.", valueName: "TIMES"))
    var ttl = "0"

    @Flag(help: "Store every key first.")
    var fill = false

    @Option(help: ArgumentHelp("Repeats the operations of an earlier load.", valueName: "N"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Replay a trace in the form of Twitter's cache traces.", valueName: "FILE"))
    var trace: String?

    @Option(help: ArgumentHelp("Replay so many times faster than it was recorded; without it or --rate, as fast as replies come.", valueName: "X"))
    var traceSpeed: Double?

    @Option(help: ArgumentHelp("How many requests of the trace are read.", valueName: "N"))
    var traceRequests = 5_000_000

    @Option(help: ArgumentHelp("The namespace that keys are in, by name (binary, http).", valueName: "NAME"))
    var namespace = "default"

    @Option(help: ArgumentHelp("What stands before the key in an HTTP path (default: /kv/NAMESPACE/).", valueName: "PATH"))
    var path: String?

    static let valueBytesMax: Int64 = 64 << 20
    static let lifetimeMax: Int64 = 100 * 365 * 86_400_000

    var parsedMix: OperationMix? { OperationMix(mix) }
    var popularity: KeyPopularity? { KeyPopularity(keys) }
    var keyFormat: KeyFormat? { KeyFormat(prefix: keyPrefix, length: keyLength, count: keyCount) }
    var valueSizes: Distribution? {
        Distribution(values, limit: Self.valueBytesMax) { SizeText.bytes($0).map { Int64($0) } }
    }
    var lifetimes: Distribution? {
        Distribution(ttl, limit: Self.lifetimeMax) { DurationText.nanoseconds($0).map { $0 / 1_000_000 } }
    }

    func validate() throws {
        guard parsedMix != nil else { throw ValidationError("--mix: \"\(mix)\" is no mix of get, set and delete such as get:95,set:5") }
        guard popularity != nil else { throw ValidationError("--keys: \"\(keys)\" is neither uniform nor zipf:EXPONENT") }
        guard (1...1_000_000_000).contains(keyCount) else { throw ValidationError("--key-count is 1 to 1000000000") }
        guard keyFormat != nil else {
            throw ValidationError(
                "--key-length and --key-prefix: a key has at most \(KeyFormat.lengthMax) bytes of printable ASCII without spaces, and its number fits behind the prefix")
        }
        guard valueSizes != nil else { throw ValidationError("--values: \"\(values)\" is no distribution of sizes up to 64MiB") }
        guard lifetimes != nil else {
            throw ValidationError("--ttl: \"\(ttl)\" is no distribution of lifetimes up to 876000h, in h, m, s and ms, such as 60s or 1440h")
        }
        if let traceSpeed, !(traceSpeed > 0 && traceSpeed <= 1_000_000) { throw ValidationError("--trace-speed is above 0") }
        if traceSpeed != nil, trace == nil { throw ValidationError("--trace-speed goes with --trace") }
        guard (1...50_000_000).contains(traceRequests) else { throw ValidationError("--trace-requests is 1 to 50000000") }
        if trace != nil, fill { throw ValidationError("--fill stores the key space, and a trace has keys of its own") }
        if let path, !path.hasPrefix("/") { throw ValidationError("--path begins with /") }
        guard (namespace + (path ?? "")).utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw ValidationError("--namespace and --path are printable ASCII without spaces")
        }
    }
}

/// What to judge.
struct LoadJudgingOptions: ParsableArguments {
    @Flag(help: "Judge every read: values say whose they are and which write they are.")
    var verify = false

    @Option(help: ArgumentHelp("Judge, and write every acknowledgement to a file.", valueName: "FILE"))
    var record: String?

    @Option(help: ArgumentHelp("Load nothing: read what the file says was acknowledged, and judge it.", valueName: "FILE"))
    var check: String?

    var judges: Bool { verify || record != nil }

    func validate(_ shape: LoadShapeOptions, _ content: LoadContentOptions) throws {
        if check != nil, judges || shape.ramp || content.fill || content.trace != nil || shape.rate != nil {
            throw ValidationError("--check only reads, and goes with none of --verify, --record, --ramp, --rate, --fill, --trace")
        }
        if content.trace != nil, shape.ramp { throw ValidationError("--ramp chooses the rates itself, and a trace has its own times") }
        if content.traceSpeed != nil, shape.rate != nil {
            throw ValidationError("--trace-speed replays at the recorded times, --rate at its own; give one of them")
        }
        if verify, !content.fill, let mix = content.parsedMix, !mix.has(.set), !mix.has(.delete) {
            throw ValidationError("--verify judges what this load has written: --fill, or have set in --mix")
        }
        if verify, let mix = content.parsedMix, !mix.has(.get) { throw ValidationError("--verify judges reads, and --mix has no get") }
        if let keys = content.keyFormat, !shape.dialect.carries(keys) {
            throw ValidationError("--key-prefix: \"\(content.keyPrefix)\" cannot stand in an HTTP path as it is")
        }
        if judges, content.trace != nil { throw ValidationError("a trace cannot be judged: its keys and values are what was recorded") }
        if judges, shape.ramp { throw ValidationError("--ramp looks for a rate; judge at one, with --rate") }
        if judges, content.keyCount < UInt64(shape.connections) { throw ValidationError("--verify and --record need as many keys as connections") }
        if judges, content.keyCount > KeyState.keysMax { throw ValidationError("--verify and --record remember every key, of \(KeyState.keysMax) at most") }
    }
}

/// What to write.
struct LoadOutputOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Write the latencies by percentile, as HdrHistogram does, in milliseconds; a FILE.hlog gets its interval log.", valueName: "FILE"))
    var hdr: String?

    @Option(help: ArgumentHelp("Write a page with plots.", valueName: "FILE.html"))
    var report: String?

    @Flag(help: "Show no progress.")
    var quiet = false

    /// Refuses a file that would be read and written, or written twice.
    func validate(_ judging: LoadJudgingOptions, trace: String?) throws {
        var taken: [String: String] = [:]
        let files = [("--hdr", hdr), ("--report", report), ("--record", judging.record), ("--check", judging.check), ("--trace", trace)]
        for case (let name, let path?) in files {
            if let other = taken.updateValue(name, forKey: Self.identity(path)) { throw ValidationError("\(other) and \(name) name the same file") }
        }
    }

    /// The same for every name of a file: its number, or where it will be.
    private static func identity(_ path: String) -> String {
        let real = URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: real), let device = attributes[.systemNumber],
            let number = attributes[.systemFileNumber]
        else { return real }
        return "\(device) \(number)"
    }
}

enum LoadText {
    /// Nanoseconds.
    static func duration(_ text: String) throws -> Int64 {
        guard let nanoseconds = DurationText.nanoseconds(text) else { throw ValidationError("\"\(text)\" is no time such as 10s or 500ms") }
        return nanoseconds
    }
}
