// `larder load`: requests in any dialect, latencies, and the test of what survives a restart.

import ArgumentParser
import Foundation
import LarderLoad
import LarderPlatform
import LarderServer

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Put a load on a server, measure its latencies, and test what it keeps over a restart.",
        discussion: """
            Without --rate each connection sends the next requests when the last are answered (closed loop). With --rate, requests \
            are sent when they are due, and latency counts from then, so that a stall of the server shows. docs/load.md says more.

            Exit status: 0 done; 1 the server could not be loaded, refused everything or was gone at the end, or --verify or \
            --check found something wrong, or --verify had nothing to judge.
            """)

    @OptionGroup var server: ServerOptions
    @OptionGroup(title: "How to load") var shape: LoadShapeOptions
    @OptionGroup(title: "What to ask for") var content: LoadContentOptions
    @OptionGroup(title: "What to judge") var judging: LoadJudgingOptions
    @OptionGroup(title: "What to write") var outputs: LoadOutputOptions
    @OptionGroup var format: OutputFormat

    func validate() throws {
        try judging.validate(shape, content)
        try idleOptions()
        try outputs.validate(judging, trace: content.trace)
    }

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        let location = try server.location(environment: environment)
        let address = try Self.address(location, allowRemote: shape.allowRemote)
        let manner = Manner(
            dialect: shape.dialect, host: location.description, credentials: try server.key(environment: environment)?.bytes,
            namespace: content.namespace, path: content.path)
        try shape.allowConnections()
        let stop = StopSwitch()
        try Self.watchSignals(stop)
        let conductor = LoadConductor(
            address: address, location: location, manner: manner, shape: shape, content: content, judging: judging,
            isQuiet: outputs.quiet, stop: stop)
        try outputs.prepare()
        let report = try conductor.conduct()
        try format.write(LoadOutput(report))
        try outputs.write(report)
        if let failure = Self.shortcoming(report, judging, location) ?? Self.warmedUpOnly(report, shape) { throw failure }
    }

    /// Whether the warm-up took every request that there was to be.
    static func warmedUpOnly(_ report: LoadReport, _ shape: LoadShapeOptions) -> CommandFailure? {
        guard let requests = shape.requests, shape.warmup > 0, report.outcome.tally.repliesTotal == 0 else { return nil }
        return CommandFailure(
            .failed, "nothing was measured: all \(requests) requests fell into the warm-up; ask for more with --requests, or for less --warmup")
    }

    /// Why a load that was carried out is no success.
    static func shortcoming(_ report: LoadReport, _ judging: LoadJudgingOptions, _ location: ServerLocation) -> CommandFailure? {
        let outcome = report.ended
        if let faults = outcome.faults, faults.total > 0 {
            return CommandFailure(.failed, "\(location): \(faults.total) answers were wrong")
        }
        // Of a ramp the best step: the last one may be refused.
        let tally = report.outcome.tally
        if tally.refused > 0, tally.refused == tally.repliesTotal {
            let first = tally.refusals.first(report.dialect) ?? ""
            return CommandFailure(.failed, "\(location): every request that was answered was refused: \(first)")
        }
        // Whoever records wants to see the server go.
        if outcome.serverIsGone, judging.record == nil {
            return CommandFailure(
                .failed,
                "\(location): the server was gone at the end: \(outcome.tally.unanswered) requests were never answered, "
                    + "\(outcome.tally.unsent) never sent")
        }
        if judging.verify, outcome.faults?.judged == 0 {
            return CommandFailure(.failed, "\(location): nothing was judged: no read of a key that this load had written was answered")
        }
        return nil
    }

    /// The address to load: on this machine, unless another was allowed. Of several, the first at which somebody answers.
    static func address(_ location: ServerLocation, allowRemote: Bool) throws(CommandFailure) -> SocketAddress {
        let addresses: [SocketAddress]
        do throws(ConnectionError) {
            addresses = try SocketAddress.resolve(host: location.host, port: location.port)
        } catch { throw CommandFailure(.failed, "\(location): \(error)") }
        let answering = addresses.count < 2 ? nil : addresses.first { (try? BlockingConnection(host: $0.host, port: $0.port, timeoutMilliseconds: 1_000)) != nil }
        guard let address = answering ?? addresses.first else { throw CommandFailure(.failed, "\(location): the host has no address") }
        guard allowRemote || address.isLoopback else {
            throw CommandFailure(
                .usage, "\(location) is not this machine: a load on other people's servers is an attack; say --allow-remote if it is yours")
        }
        return address
    }

    /// The first SIGINT or SIGTERM ends the load in order, the second at once.
    private static func watchSignals(_ stop: StopSwitch) throws(CommandFailure) {
        Signals.hold()
        do throws(SystemError) {
            _ = try LarderPlatform.Thread(name: "signals") {
                _ = Signals.wait()
                stop.turnOn()
                Signals.exitNow(128 + Signals.wait())
            }
        } catch { throw CommandFailure(.failed, "\(error)") }
    }
}

extension LoadDialect: ExpressibleByArgument {}
