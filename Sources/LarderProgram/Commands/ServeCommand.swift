// `larder serve` and `larder settings`.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPersistence
import LarderPlatform
import LarderServer

/// Starts a server with the settings of the command line, the environment and the settings file.
package struct ServeCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve keys until a signal asks to stop.",
        discussion: """
            Every option is also a setting of the file that --config names and an environment variable (--workers: \
            LARDER_WORKERS). The command line wins over the environment, the environment over the file. `larder settings` \
            prints them all with what they trade. Times: 100ms, 30s, 1h30m; sizes: 64MiB, 25MB.
            """)

    @Option(help: ArgumentHelp("A settings file (LARDER_CONFIG).", valueName: "FILE"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "For a data directory that a start refuses: truncate keeps everything before the damage, salvage every record that is whole. `larder check` says what each would keep. The old files are kept as aside-*.",
            valueName: "truncate|salvage"))
    var recover: RescueMode?

    @Flag(help: "For a data directory whose manifests are gone or damaged: make one from the other files.")
    var rebuildManifest = false

    @OptionGroup(title: "Settings")
    package var settings: SettingOptions

    package init() {}

    package func run() throws {
        do {
            let configuration = try configuration(environment: ProcessInfo.processInfo.environment)
            try runServer(configuration) { line in StandardStreams.writeError("larder: \(line)\n") }
        } catch let error as SettingsError {
            throw CommandFailure(.configuration, error.description)
        } catch let error as ServerError {
            throw CommandFailure(.failed, error.description)
        }
    }

    /// What the server is to be told.
    package func configuration(environment: [String: String]) throws(SettingsError) -> ServerConfiguration {
        var configuration = try SettingsReader.read(options: settings.given, file: config, environment: environment)
        configuration.rescue = RescueOrder(mode: recover, rebuildsManifest: rebuildManifest)
        return configuration
    }
}

extension RescueMode: ExpressibleByArgument {}

extension RescueOrder {
    /// As they are given to `larder serve`.
    var options: String {
        ((mode.map { ["--recover=\($0.rawValue)"] } ?? []) + (rebuildsManifest ? ["--rebuild-manifest"] : [])).joined(separator: " ")
    }
}

/// The table of settings as options. They are texts here: one reader judges them, wherever they come from. A test holds
/// the list against the table.
package struct SettingOptions: ParsableArguments {
    @Option(help: .setting("listen")) var listen: [String] = []
    @Option(help: .setting("data")) var data: String?
    @Option(help: .setting("api-key-file")) var apiKeyFile: String?
    @Flag(help: .setting("insecure-no-auth")) var insecureNoAuth = false
    @Option(help: .setting("durability")) var durability: String?
    @Option(help: .setting("interval")) var interval: String?
    @Option(help: .setting("keys")) var keys: String?
    @Option(help: .setting("eviction")) var eviction: String?
    @Option(help: .setting("bytes-max")) var bytesMax: String?
    @Option(help: .setting("memcached-namespace")) var memcachedNamespace: String?
    @Option(help: .setting("databases")) var databases: [String] = []
    @Flag(help: .setting("debug-commands")) var debugCommands = false
    @Option(help: .setting("value-bytes-max")) var valueBytesMax: String?
    @Option(help: .setting("memory-max")) var memoryMax: String?
    @Option(help: .setting("workers")) var workers: String?
    @Option(help: .setting("snapshot-every")) var snapshotEvery: String?
    @Option(help: .setting("snapshot-log-bytes")) var snapshotLogBytes: String?
    @Option(help: .setting("snapshot-bytes-per-second")) var snapshotBytesPerSecond: String?
    @Option(help: .setting("log-bytes-max")) var logBytesMax: String?
    @Option(help: .setting("scrub-every")) var scrubEvery: String?
    @Option(help: .setting("ballast")) var ballast: String?
    @Option(help: .setting("on-log-failure")) var onLogFailure: String?
    @Option(help: .setting("connections-max")) var connectionsMax: String?
    @Option(help: .setting("http-idle-timeout")) var httpIdleTimeout: String?
    @Option(help: .setting("first-request-timeout")) var firstRequestTimeout: String?
    @Option(help: .setting("request-timeout")) var requestTimeout: String?
    @Option(help: .setting("output-bytes-soft")) var outputBytesSoft: String?
    @Option(help: .setting("output-bytes-max")) var outputBytesMax: String?

    package init() {}

    /// The options that were used.
    package var given: GivenOptions {
        let single: [(String, String?)] = [
            ("data", data), ("api-key-file", apiKeyFile), ("insecure-no-auth", insecureNoAuth ? "true" : nil),
            ("durability", durability), ("interval", interval), ("keys", keys),
            ("eviction", eviction), ("bytes-max", bytesMax), ("memcached-namespace", memcachedNamespace),
            ("debug-commands", debugCommands ? "true" : nil),
            ("value-bytes-max", valueBytesMax),
            ("memory-max", memoryMax), ("workers", workers), ("snapshot-every", snapshotEvery),
            ("snapshot-log-bytes", snapshotLogBytes), ("snapshot-bytes-per-second", snapshotBytesPerSecond),
            ("log-bytes-max", logBytesMax), ("scrub-every", scrubEvery),
            ("ballast", ballast), ("on-log-failure", onLogFailure), ("connections-max", connectionsMax),
            ("http-idle-timeout", httpIdleTimeout), ("first-request-timeout", firstRequestTimeout),
            ("request-timeout", requestTimeout), ("output-bytes-soft", outputBytesSoft), ("output-bytes-max", outputBytesMax),
        ]
        return [("listen", listen), ("databases", databases)] + single.map { ($0.0, $0.1.map { [$0] } ?? []) }
    }
}

extension ArgumentHelp {
    /// The help of an option, from the table.
    fileprivate static func setting(_ name: String) -> ArgumentHelp {
        guard let setting = Setting.named(name) else { preconditionFailure("an option that is no setting") }
        let shown = setting.defaults.joined(separator: ", ")
        let standard = shown.isEmpty || shown == "false" ? "" : " (default: \(shown))"
        return ArgumentHelp("\(setting.meaning)\(standard)", valueName: setting.form.placeholder)
    }
}

/// Prints the table of settings.
struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Print a settings file with every setting, its default and its meaning.")

    func run() throws {
        try Output.write(Array(SettingsText.annotated.utf8))
    }
}
