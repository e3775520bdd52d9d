// The order of a load: the trace is read, the key space filled, then one run, or the steps of a ramp, or a check.

import LarderLoad
import LarderPlatform

/// Carries out what the options of `larder load` ask for.
struct LoadConductor {
    let address: SocketAddress
    let location: ServerLocation
    let manner: Manner
    let shape: LoadShapeOptions
    let content: LoadContentOptions
    let judging: LoadJudgingOptions
    let isQuiet: Bool
    let stop: StopSwitch

    /// Depth of filling and of checking: both are about getting through.
    private static let bulkDepth = 32
    private static let bulkNanoseconds: Int64 = 3_600_000_000_000

    func conduct() throws(CommandFailure) -> LoadReport {
        if let file = judging.check { return try check(file) }
        if let file = content.trace { return try replay(file) }
        guard let keys = content.keyFormat, let popularity = content.popularity, let mix = content.parsedMix,
            let sizes = content.valueSizes, let lifetimes = content.lifetimes
        else { throw CommandFailure(.usage, "the options do not fit together") }
        let seed = content.seed ?? UInt64.random(in: 1...UInt64(UInt32.max))
        let workload = Workload(
            keys: keys, keyCount: content.keyCount, popularity: popularity, mix: mix, valueBytes: sizes, lifetimes: lifetimes,
            seed: seed)
        let base = plan(.workload(workload, .mixed(owned: judging.judges)))
        // A record of an earlier load is kept until it is known that there will be another.
        if judging.record != nil { try probe(base) }
        let file = try recordFile(workload)
        let ledgers = judging.judges ? makeLedgers(workload, file) : []
        let filled = content.fill ? try fill(workload, ledgers) : nil

        var report: LoadReport
        if let filled, stop.isOn || Self.stored(filled) < Int(workload.keyCount) {
            report = self.report(describe(workload) + [("phase", "the keys were being stored")], filled)
        } else if shape.ramp {
            report = try ramp(base, description: describe(workload))
        } else {
            report = self.report(describe(workload), try run(base, ledgers, "load"))
        }
        if let file {
            do throws(SystemError) { try file.finish() } catch { throw failure(.record(error)) }
            report.description.append(("record", judging.record ?? ""))
        }
        if stop.isOn { report.description.append(("ended", "early, by a signal")) }
        return report
    }

    // MARK: Plans

    private func plan(_ content: LoadContent) -> LoadPlan {
        var plan = LoadPlan(
            address: address, manner: manner, content: content, pace: shape.rate.map { .rate($0) } ?? .closed,
            connections: shape.connections, threads: shape.threads, depth: shape.pipeline,
            durationNanoseconds: shape.durationNanoseconds, requests: shape.requests)
        plan.warmupNanoseconds = shape.warmup
        plan.reconnects = shape.reconnect && !judging.judges
        return plan
    }

    func plan(replaying trace: Trace) -> LoadPlan {
        var plan = plan(.trace(trace))
        if let speed = content.traceSpeed { plan.pace = .recorded(speed: speed) }
        if shape.duration == nil { plan.replayToTheEnd() }
        return plan
    }

    private func fill(_ workload: Workload, _ ledgers: [ThreadLedger]) throws(CommandFailure) -> LoadOutcome {
        var plan = LoadPlan(
            address: address, manner: manner, content: .workload(workload, .filling), connections: shape.connections,
            threads: shape.threads, depth: max(shape.pipeline, Self.bulkDepth), durationNanoseconds: Self.bulkNanoseconds)
        plan.durationIsLimit = true
        plan.reconnects = shape.reconnect && !judging.judges
        let outcome = try run(plan, ledgers, "fill")
        let stored = Self.stored(outcome)
        // Whoever records wants to see the server go, and what it promised until then.
        guard stored == Int(workload.keyCount) || stop.isOn || (judging.record != nil && outcome.serverIsGone) else {
            throw CommandFailure(
                .failed, "\(location): only \(stored) of \(workload.keyCount) keys could be stored\(reason(outcome))")
        }
        return outcome
    }

    private static func stored(_ filled: LoadOutcome) -> Int { filled.tally.repliesTotal - filled.tally.refused }

    /// Why not everything was answered, as far as it is known.
    private func reason(_ outcome: LoadOutcome) -> String {
        if outcome.serverIsGone { return ": the server was gone" }
        return outcome.tally.refusals.first(manner.dialect).map { ": \($0)" } ?? ""
    }

    private func ramp(_ base: LoadPlan, description: [(name: String, value: String)]) throws(CommandFailure) -> LoadReport {
        let ramp = Ramp(from: shape.rampFrom, factor: shape.rampFactor, latencyLimit: UInt64(shape.rampLimit))
        var steps: [LoadReport.Step] = []
        var number = 0
        while let rate = ramp.rate(number), !stop.isOn {
            var plan = base
            plan.pace = .rate(rate)
            plan.drainNanoseconds = 2_000_000_000
            let outcome = try run(plan, [], "step of \(Figures.rate(rate))/s")
            // A step that was cut short says nothing, and is shown when there is no other.
            if stop.isOn, !steps.isEmpty { break }
            if stop.isOn { return report(description, outcome) }
            let holds = ramp.holds(
                offered: rate, answered: outcome.rate, p99: LatencyRow("all", outcome.latency).p99, errors: outcome.tally.errors)
            steps.append(LoadReport.Step(offered: rate, outcome: outcome, holds: holds))
            if !holds { break }
            number += 1
        }
        let best = steps.last { $0.holds } ?? steps.last
        var report = LoadReport(
            description: description, dialect: manner.dialect, isOpenLoop: true, threads: shape.threads,
            outcome: best?.outcome ?? LoadOutcome())
        report.steps = steps
        return report
    }

    private func replay(_ path: String) throws(CommandFailure) -> LoadReport {
        var trace = Trace(recordsMax: content.traceRequests, valueLimit: Int(LoadContentOptions.valueBytesMax))
        do throws(SystemError) { try trace.read(file: path) } catch { throw CommandFailure(.failed, "\(path): \(error)") }
        guard trace.count > 0 else { throw CommandFailure(.failed, "\(path): has no request; its lines have seven fields with commas between them") }
        let outcome = try run(plan(replaying: trace), [], "replay")
        var description = describe("trace", "\(path), \(trace.count) requests\(trace.isCut ? ", more in the file" : "")")
        if outcome.tally.sent < trace.count {
            description.append(("replayed", "\(Figures.count(outcome.tally.sent)) of them, until the load ended\(stop.isOn ? " by a signal" : "")"))
        }
        if trace.linesSkipped > 0 { description.append(("lines skipped", "\(trace.linesSkipped)")) }
        if let speed = content.traceSpeed { description.append(("speed", "\(speed)")) }
        return report(description, outcome)
    }

    private func check(_ path: String) throws(CommandFailure) -> LoadReport {
        let (directory, name) = try Self.open(path)
        let promises: Promises?
        do throws(SystemError) { promises = try Promises.read(name, in: directory) } catch {
            throw CommandFailure(.failed, "\(path): \(error)")
        }
        guard let promises else { throw CommandFailure(.failed, "\(path): is no file of acknowledgements, or its head is damaged") }
        guard manner.dialect.carries(promises.head.keys) else {
            throw CommandFailure(.failed, "\(path): its keys cannot stand in an HTTP path as they are; check with another --dialect")
        }
        let keys = promises.promisedKeys
        guard !keys.isEmpty else { throw CommandFailure(.failed, "\(path): nothing was acknowledged") }

        let workload = Workload(
            keys: promises.head.keys, keyCount: promises.head.keyCount, mix: .only(.get), valueBytes: .constant(0), seed: 1)
        var plan = LoadPlan(
            address: address, manner: manner, content: .workload(workload, .reading(keys)),
            connections: min(shape.connections, keys.count), depth: max(shape.pipeline, Self.bulkDepth),
            durationNanoseconds: Self.bulkNanoseconds)
        plan.durationIsLimit = true
        plan.reconnects = shape.reconnect
        let ledger = ThreadLedger(promises, slack: manner.dialect.lifetimeSlack)
        let outcome = try run(plan, [ledger], "check")
        let judged = outcome.faults?.judged ?? 0
        guard judged == keys.count else {
            throw CommandFailure(
                .failed, "\(location): only \(judged) of \(keys.count) keys could be read\(reason(outcome))")
        }
        var description = describe("check", path)
        description.append(("promised", "\(promises.acknowledgements) acknowledgements of \(keys.count) keys"))
        description.append(("unanswered", "\(promises.unanswered) writes, which are neither promised nor forbidden"))
        if !promises.isComplete { description.append(("file", "incomplete: the run that wrote it did not end in order")) }
        if promises.damagedRecords > 0 { description.append(("damaged", "\(promises.damagedRecords) records, passed over")) }
        return report(description, outcome)
    }

    // MARK: Running

    private func run(_ plan: LoadPlan, _ ledgers: [ThreadLedger], _ name: String) throws(CommandFailure) -> LoadOutcome {
        let run = LoadRun(plan, ledgers: ledgers, stop: stop)
        let progress = LoadProgress(isQuiet: isQuiet, name: name)
        do throws(LoadFailure) {
            let outcome = try run.run { progress.show(run.board, elapsed: $0, duration: plan.isTimed ? plan.durationNanoseconds : nil) }
            progress.clear()
            return outcome
        } catch {
            progress.clear()
            throw failure(error)
        }
    }

    private func probe(_ plan: LoadPlan) throws(CommandFailure) {
        do throws(LoadFailure) { try LoadRun.probe(plan) } catch { throw failure(error) }
    }

    private func failure(_ failure: LoadFailure) -> CommandFailure {
        CommandFailure(.failed, "\(location): \(failure.sentence(manner.dialect))")
    }

    // MARK: Judging

    private func recordFile(_ workload: Workload) throws(CommandFailure) -> AcknowledgementFile? {
        guard let path = judging.record else { return nil }
        let (directory, name) = try Self.open(path)
        let head = AcknowledgementHead(
            run: Self.freshRun, keyCount: workload.keyCount, keys: workload.keys, mayRemove: workload.mix.has(.delete),
            mayExpire: workload.lifetimes.maximum > 0)
        do throws(SystemError) { return try AcknowledgementFile(name, in: directory, head: head) } catch { throw failure(.record(error)) }
    }

    private func makeLedgers(_ workload: Workload, _ file: AcknowledgementFile?) -> [ThreadLedger] {
        let run = file?.head.run ?? Self.freshRun
        return (0..<shape.threads).map {
            ThreadLedger(
                run: run, keys: workload.keys, keyCount: workload.keyCount, thread: $0, threads: shape.threads,
                slack: manner.dialect.lifetimeSlack, record: file.map { AcknowledgementWriter($0) })
        }
    }

    /// Not of the seed: values of an earlier run with the same seed are not this one's.
    private static var freshRun: UInt32 { UInt32.random(in: 1...UInt32.max) }

    static func open(_ path: String) throws(CommandFailure) -> (directory: DirectoryFileSystem, name: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.dropLast().joined(separator: "/")
        let parent = parts.count == 1 ? "." : folder.isEmpty ? "/" : folder
        do throws(SystemError) {
            return (try DirectoryFileSystem(path: parent, creating: false), String(parts.last ?? ""))
        } catch { throw CommandFailure(.failed, "\(parent): \(error)") }
    }

    // MARK: Describing

    private func report(_ description: [(name: String, value: String)], _ outcome: LoadOutcome) -> LoadReport {
        let isOpen = shape.rate != nil || content.traceSpeed != nil
        return LoadReport(
            description: description, dialect: manner.dialect, isOpenLoop: isOpen, threads: shape.threads, outcome: outcome)
    }

    private func describe(_ workload: Workload) -> [(name: String, value: String)] {
        var lines = describe("mix", "\(workload.mix)")
        let lifetimes = workload.lifetimes.maximum > 0 ? ", lifetimes \(content.ttl)" : ""
        lines.append(("keys", "\(workload.keyCount) of \(workload.keys.length) bytes, \(workload.popularity); values \(content.values) bytes\(lifetimes)"))
        lines.append(("seed", "\(workload.seed)"))
        return lines
    }

    private func describe(_ name: String, _ value: String) -> [(name: String, value: String)] {
        let pace =
            shape.ramp ? "ramp" : shape.rate.map { "open loop, \(Figures.rate($0))/s" } ?? (content.traceSpeed == nil ? "closed loop" : "as recorded")
        let load = "\(pace); \(shape.connections) connections, \(shape.pipeline) in flight each, \(shape.threads) thread\(shape.threads == 1 ? "" : "s")"
        return [("server", "\(location), \(manner.dialect.rawValue)")] + (judging.check == nil ? [("load", load)] : []) + [(name, value)]
    }
}
