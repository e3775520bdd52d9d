// The program: its commands, and what its exit status means.

import ArgumentParser
import LarderPlatform

/// `larder`.
package struct LarderCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "larder",
        abstract: "An in-memory key-value cache server.",
        discussion: """
            Exit status: 0 done; 1 failed; 2 there is no such key or namespace; 64 the command line is wrong; 74 the log \
            of a server failed, which is to end then (on-log-failure); 78 a setting is wrong.
            """,
        version: larderVersion,
        subcommands: [ServeCommand.self, KVCommand.self, LoadCommand.self, CheckCommand.self, SettingsCommand.self])

    package init() {}
}

package let larderVersion = "0.1.0"

/// How a command ends that did not do what it was asked.
package enum ExitStatus: Int32, Sendable {
    case failed = 1
    case notFound = 2
    case usage = 64
    case configuration = 78
}

/// An end with a sentence for the person who typed the command.
package struct CommandFailure: Error, Equatable, Sendable {
    package let status: ExitStatus
    package let sentence: String

    init(_ status: ExitStatus, _ sentence: String) {
        self.status = status
        self.sentence = sentence
    }
}

/// Runs the command that the process was started with, and ends the process.
package func runLarder() -> Never {
    do {
        var command = try LarderCommand.parseAsRoot()
        try command.run()
        LarderCommand.exit()
    } catch let failure as CommandFailure {
        let lines = failure.sentence.split(separator: "\n").map { "larder: \($0)\n" }
        StandardStreams.writeError(lines.joined())
        LarderCommand.exit(withError: ExitCode(failure.status.rawValue))
    } catch {
        LarderCommand.exit(withError: error)
    }
}
