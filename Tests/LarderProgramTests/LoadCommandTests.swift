// What is typed behind `larder load` against what is understood.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPlatform
import Testing

@testable import LarderLoad
@testable import LarderProgram

@Suite("The load command") struct LoadCommandTests {
    private func load(_ arguments: String...) throws -> LoadCommand {
        try #require(try LarderCommand.parseAsRoot(["load"] + arguments) as? LoadCommand)
    }

    private func refusal(_ arguments: String...) -> String {
        do {
            _ = try LarderCommand.parseAsRoot(["load"] + arguments)
            return ""
        } catch {
            #expect(LarderCommand.exitCode(for: error).rawValue == ExitStatus.usage.rawValue)
            return LarderCommand.message(for: error)
        }
    }

    @Test func `a load is bounded without being told so`() throws {
        #expect(try load().shape.durationNanoseconds == 10_000_000_000)
        #expect(try load("--requests", "5").shape.durationNanoseconds == 600_000_000_000)
        #expect(try load("--requests", "5", "--duration", "1m").shape.durationNanoseconds == 60_000_000_000)
        #expect(refusal("--duration", "0").contains("--duration"))
        #expect(refusal("--duration", "25h").contains("--duration"))
    }

    @Test func `distributions are read with their units`() throws {
        let command = try load("--values", "1KiB:90,uniform:10-2kB:10", "--ttl", "0:50,1m:50", "--mix", "set", "--keys", "zipf:0.99")
        #expect(command.content.valueSizes?.maximum == 2_000)
        #expect(command.content.lifetimes?.maximum == 60_000)
        #expect(command.content.parsedMix == .only(.set))
        #expect(command.content.popularity == .zipf(exponent: 0.99))
    }

    @Test func `options that cannot be are named`() {
        #expect(refusal("--connections", "0").contains("--connections"))
        #expect(refusal("--connections", "5", "--threads", "2").contains("multiple"))
        #expect(refusal("--pipeline", "0").contains("--pipeline"))
        #expect(refusal("--rate", "0").contains("--rate"))
        #expect(refusal("--rate", "inf").contains("--rate"))
        #expect(refusal("--requests", "0").contains("--requests"))
        #expect(refusal("--mix", "put:1").contains("--mix"))
        #expect(refusal("--keys", "normal").contains("--keys"))
        #expect(refusal("--values", "65MiB").contains("--values"))
        #expect(refusal("--ttl", "soon").contains("--ttl"))
        #expect(refusal("--key-count", "0").contains("--key-count"))
        #expect(refusal("--key-length", "6").contains("--key-length"))
        #expect(refusal("--key-prefix", "a b").contains("--key-prefix"))
        #expect(refusal("--dialect", "http", "--key-prefix", "a?b").contains("--key-prefix"))
        #expect(refusal("--dialect", "resp", "--key-prefix", "a?b:") == "")
        #expect(refusal("--path", "kv/").contains("--path"))
        #expect(refusal("--namespace", "a\r\nb").contains("--namespace"))
        #expect(refusal("--dialect", "gopher").contains("gopher"))
        #expect(refusal("--ramp", "--ramp-factor", "1").contains("--ramp-factor"))
        for rate in ["1e300", "inf", "1e12", "100000001"] { #expect(refusal("--ramp", "--ramp-from", rate).contains("--ramp-from")) }
    }

    @Test func `options that do not go together are refused`() {
        #expect(refusal("--ramp", "--rate", "5").contains("--ramp"))
        #expect(refusal("--check", "f", "--verify").contains("--check"))
        #expect(refusal("--check", "f", "--fill").contains("--check"))
        #expect(refusal("--trace", "f", "--verify").contains("trace"))
        #expect(refusal("--trace", "f", "--fill").contains("--fill"))
        #expect(refusal("--trace-speed", "2").contains("--trace"))
        #expect(refusal("--trace", "f", "--ramp").contains("--ramp"))
        #expect(refusal("--verify", "--mix", "get").contains("--fill"))
        #expect(refusal("--verify", "--mix", "set").contains("no get"))
        #expect(refusal("--verify", "--ramp").contains("--ramp"))
        #expect(refusal("--verify", "--key-count", "10").contains("as many keys"))
        #expect(refusal("--record", "f", "--key-count", "100000001").contains("remember every key"))
    }

    private func named(_ refusal: String) -> [String] {
        let sentence = refusal.components(separatedBy: " would do nothing")
        return sentence.count == 2 ? sentence[0].components(separatedBy: ", ").map { String($0.drop { $0 != "-" }) } : []
    }

    @Test func `an option that would silently do nothing is refused by its name`() throws {
        #expect(
            named(refusal("--check", "f", "--duration", "1ms", "--requests", "10", "--warmup", "1h", "--mix", "delete", "--ttl", "5s", "--values", "7", "--threads", "5"))
                == ["--duration", "--requests", "--warmup", "--threads", "--mix", "--values", "--ttl"])
        #expect(
            named(refusal("--trace", "f", "--mix", "set", "--ttl", "1s", "--values", "100000", "--key-count", "5", "--keys", "zipf:1", "--seed", "3"))
                == ["--mix", "--keys", "--key-count", "--values", "--ttl", "--seed"])
        #expect(named(refusal("--trace", "f", "--key-length", "20", "--key-prefix", "a")) == ["--key-length", "--key-prefix"])
        #expect(named(refusal("--trace-requests", "5")) == ["--trace-requests"])
        #expect(named(refusal("--ramp-from", "5", "--ramp-factor", "2", "--ramp-limit", "1s")) == ["--ramp-from", "--ramp-factor", "--ramp-limit"])
        #expect(named(refusal("--dialect", "resp", "--namespace", "other")) == ["--namespace"])
        #expect(named(refusal("--dialect", "resp", "--path", "/x")) == ["--path"])
        #expect(named(refusal("--dialect", "http", "--path", "/x/", "--namespace", "other")) == ["--namespace"])
        _ = try load("--check", "f", "--connections", "5", "--pipeline", "8", "--dialect", "http", "--path", "/x/")
        _ = try load("--trace", "f", "--trace-requests", "5", "--warmup", "1s", "--requests", "5", "--threads", "2")
        _ = try load("--dialect", "memcached", "--namespace", "other", "--ttl", "744h", "--mix", "get:90,set:10")
    }

    @Test func `one file for two options is refused`() throws {
        #expect(refusal("--check", "acks", "--report", "./acks").contains("--report and --check name the same file"))
        #expect(refusal("--record", "a", "--report", "a").contains("same file"))
        #expect(refusal("--trace", "t.csv", "--hdr", "t.csv").contains("same file"))
        #expect(refusal("--hdr", "x", "--report", "x").contains("same file"))
        _ = try load("--hdr", "x", "--report", "y", "--record", "z")
    }

    @Test func `a load that does not begin leaves the files of earlier loads as they are`() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("larder-load-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (report, record, fresh) = (directory.path + "/page.html", directory.path + "/acks", directory.path + "/fresh.hdr")
        for file in [report, record] { try Data("kept".utf8).write(to: URL(fileURLWithPath: file)) }
        let command = try load("--dialect", "resp", "--record", record, "--report", report, "--hdr", fresh)
        try command.outputs.prepare()
        // Nobody listens there.
        #expect(throws: CommandFailure.self) { try conductor(command).conduct() }
        for file in [report, record] { #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept") }
        #expect(!FileManager.default.fileExists(atPath: fresh))
    }

    @Test func `a rate and the recorded times together are refused, as only one of them can be kept`() throws {
        #expect(refusal("--trace", "f", "--trace-speed", "2", "--rate", "100").contains("one of them"))
        #expect(try load("--trace", "f", "--rate", "100").shape.rate == 100)
    }

    /// Of a server that is not there.
    private func conductor(_ command: LoadCommand) -> LoadConductor {
        LoadConductor(
            address: SocketAddress(host: "127.0.0.1", port: 1), location: ServerLocation(host: "127.0.0.1", port: 1),
            manner: Manner(dialect: .resp, host: "test"), shape: command.shape, content: command.content, judging: command.judging,
            isQuiet: true, stop: StopSwitch())
    }

    private func replayDuration(_ arguments: String...) throws -> Int64 {
        let command = try #require(try LarderCommand.parseAsRoot(["load", "--trace", "f"] + arguments) as? LoadCommand)
        var trace = Trace(recordsMax: 10, valueLimit: 10)
        trace.read(Array("0,a,1,1,1,get,0\n30,a,1,1,1,get,0\n".utf8).rawSpan)
        trace.finish()
        return conductor(command).plan(replaying: trace).durationNanoseconds
    }

    @Test func `a trace that takes longer than a load without a duration is not cut off`() throws {
        #expect(try replayDuration("--trace-speed", "1") > 30_000_000_000)
        #expect(try replayDuration("--rate", "0.01") > 100_000_000_000)
        #expect(try replayDuration() > 3_600_000_000_000)
        #expect(try replayDuration("--trace-speed", "1", "--duration", "5s") == 5_000_000_000)
    }

    private func shortcoming(_ outcome: LoadOutcome, _ arguments: String...) throws -> String? {
        let command = try #require(try LarderCommand.parseAsRoot(["load"] + arguments) as? LoadCommand)
        let report = LoadReport(description: [], dialect: .resp, isOpenLoop: false, threads: 1, outcome: outcome)
        let failure = LoadCommand.shortcoming(report, command.judging, ServerLocation(host: "127.0.0.1", port: 5))
            ?? LoadCommand.warmedUpOnly(report, command.shape)
        if let failure { #expect(failure.status == .failed) }
        return failure?.sentence
    }

    @Test func `a load whose server died is no success, except where that is what is recorded`() throws {
        var outcome = LoadOutcome()
        #expect(try shortcoming(outcome) == nil)
        outcome.serverIsGone = true
        outcome.tally.unanswered = 50
        outcome.tally.unsent = 3_025
        #expect(try shortcoming(outcome) == "127.0.0.1:5: the server was gone at the end: 50 requests were never answered, 3025 never sent")
        #expect(try shortcoming(outcome, "--record", "f") == nil)
    }

    @Test func `a warm-up that took every request was reported as a load`() throws {
        var outcome = LoadOutcome()
        #expect(try shortcoming(outcome, "--requests", "500", "--warmup", "5s")?.contains("all 500 requests fell into the warm-up") == true)
        #expect(try shortcoming(outcome, "--requests", "500") == nil)
        outcome.tally.replies = [1, 0, 0]
        #expect(try shortcoming(outcome, "--requests", "500", "--warmup", "5s") == nil)
    }

    @Test func `the kind of a refusal stood twice in its sentence`() {
        let said = Array("OOM no memory left".utf8)
        var refusals = RefusalCount()
        refusals.count(said.span.bytes, kind: ByteRange(start: 0, count: 3), sentence: ByteRange(start: 0, count: 18))
        #expect(refusals.first(.resp) == "OOM no memory left")
    }

    @Test func `a hard link was taken for another file`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("larder-links-\(UInt64.random(in: 0...UInt64.max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (file, link) = (folder.appendingPathComponent("acks"), folder.appendingPathComponent("page.html"))
        try Data("acknowledged".utf8).write(to: file)
        try FileManager.default.linkItem(at: file, to: link)
        #expect(refusal("--check", file.path, "--report", link.path).contains("name the same file"))
    }

    @Test func `a lifetime in days was refused without a word on the units there are`() {
        #expect(refusal("--ttl", "60d").contains("in h, m, s and ms"))
    }

    @Test func `a load of which every request was refused is no success`() throws {
        var outcome = LoadOutcome()
        outcome.tally.replies = [0, 5, 0]
        outcome.tally.refused = 4
        #expect(try shortcoming(outcome) == nil)
        outcome.tally.refused = 5
        #expect(try shortcoming(outcome)?.contains("every request that was answered was refused") == true)
        #expect(try shortcoming(outcome, "--record", "f") != nil)
    }

    @Test func `a load that was to be judged and was not is no success`() throws {
        var outcome = LoadOutcome()
        outcome.faults = FaultCount()
        #expect(try shortcoming(outcome, "--verify")?.contains("nothing was judged") == true)
        #expect(try shortcoming(outcome, "--record", "f") == nil)
        outcome.faults?.judged = 1
        #expect(try shortcoming(outcome, "--verify") == nil)
    }

    @Test func `only this machine is loaded unless another was allowed`() throws {
        #expect(try LoadCommand.address(ServerLocation(host: "127.0.0.1", port: 5), allowRemote: false).description == "127.0.0.1:5")
        #expect(throws: CommandFailure.self) { try LoadCommand.address(ServerLocation(host: "192.0.2.1", port: 5), allowRemote: false) }
        #expect(try LoadCommand.address(ServerLocation(host: "192.0.2.1", port: 5), allowRemote: true).description == "192.0.2.1:5")
    }

    @Test func `the knee of a ramp is in the JSON`() throws {
        var report = LoadReport(description: [], dialect: .resp, isOpenLoop: true, threads: 1, outcome: LoadOutcome())
        #expect(!OutputFormat.encode(LoadOutput(report)).contains("knee"))
        report.steps = [true, true, false].enumerated().map { LoadReport.Step(offered: 1_000 * Double($0 + 1), outcome: LoadOutcome(), holds: $1) }
        #expect(OutputFormat.encode(LoadOutput(report)).contains("\"knee\" : 2000"))
    }

    @Test func `the page and the JSON of an empty load are written`() throws {
        let report = LoadReport(description: [("a", "b")], dialect: .resp, isOpenLoop: false, threads: 1, outcome: LoadOutcome())
        let json = OutputFormat.encode(LoadOutput(report))
        #expect(json.contains("\"requests_per_second\" : 0"))
        #expect(!json.contains("judged"))
        #expect(LoadOutput(report).text.hasPrefix("a            b\n"))
    }
}
