// `larder kv`: namespaces and keys of a running server, from a shell.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPlatform
import LarderServer
import LarderWire

struct KVCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kv",
        abstract: "Work with the namespaces and keys of a running server.",
        discussion: """
            A NAMESPACE is a name or an id; what looks like an id is one. The API key is read from the file that \
            --api-key-file names, else from LARDER_API_KEY or the file that LARDER_API_KEY_FILE names.
            """,
        subcommands: [
            NamespaceCreateCommand.self, NamespaceListCommand.self, NamespaceGetCommand.self, NamespaceFlushCommand.self,
            NamespaceDeleteCommand.self, KeyCommand.self,
        ])
}

/// Which server, and how to prove who asks.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server (LARDER_SERVER; default: \(ServerLocation.standard)).", valueName: "HOST:PORT"))
    var server: String?

    @Option(help: ArgumentHelp("A file that holds the API key, readable by its owner alone.", valueName: "FILE"))
    var apiKeyFile: String?

    func location(environment: [String: String]) throws(CommandFailure) -> ServerLocation {
        let variable = environment["LARDER_SERVER"].flatMap { $0.isEmpty ? nil : $0 }
        guard let text = server ?? variable else { return .standard }
        guard let location = ServerLocation(text) else {
            throw CommandFailure(
                .usage, "\(server == nil ? "LARDER_SERVER" : "--server"): \"\(text)\" is not HOST or HOST:PORT")
        }
        return location
    }

    /// The API key, if there is one.
    func key(environment: [String: String]) throws(CommandFailure) -> APIKey? {
        do throws(SettingProblem) {
            return try APIKeyReader.read(
                file: apiKeyFile ?? environment[APIKeyReader.fileVariable] ?? "",
                fileSource: apiKeyFile == nil ? .environment : .commandLine, environment: environment)
        } catch {
            throw CommandFailure(.configuration, error.description)
        }
    }

    /// Runs `body` with a connection, and turns what goes wrong into a sentence and a status.
    func withClient<Result>(
        namespace: BinaryNamespace = .connection,
        _ body: (inout KeyValueClient) throws(ClientError) -> Result
    ) throws(CommandFailure) -> Result {
        let environment = ProcessInfo.processInfo.environment
        let location = try location(environment: environment)
        let key = try key(environment: environment)
        do throws(ClientError) {
            var client = try KeyValueClient.connect(to: location, key: key, namespace: namespace)
            return try body(&client)
        } catch {
            switch error {
            case .connection, .garbled, .wrongReply: throw CommandFailure(.failed, "\(location): \(error)")
            case .tooLong, .valueTooLong: throw CommandFailure(.failed, error.description)
            case .refused(.namespaceNotFound, _): throw CommandFailure(.notFound, error.description)
            case .refused(.unauthorized, _) where key == nil:
                throw CommandFailure(
                    .failed, "\(location) asks for an API key: name its file with --api-key-file, or set \(APIKeyReader.variable)")
            case .refused(.unauthorized, _): throw CommandFailure(.failed, "\(location) has another API key: \(error)")
            case .refused: throw CommandFailure(.failed, error.description)
            }
        }
    }
}

extension BinaryNamespace {
    /// The namespace that an argument names.
    init(argument: String) {
        guard argument.utf8.count == 36, let uuid = UUID(uuidString: argument) else {
            self = .name(argument)
            return
        }
        let bytes = uuid.uuid
        func word(_ bytes: UInt8...) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self = .id(
            high: word(bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5, bytes.6, bytes.7),
            low: word(bytes.8, bytes.9, bytes.10, bytes.11, bytes.12, bytes.13, bytes.14, bytes.15))
    }
}

/// Asks before something is destroyed.
struct Confirmation: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Do it without asking.")
    var yes = false

    /// - Parameters:
    ///   - loss: What will be gone, as the end of "This deletes ".
    ///   - answer: The line that a person types.
    func confirm(
        _ loss: String, isInteractive: Bool = StandardStreams.isInteractive, answer: () -> String? = { readLine() }
    ) throws(CommandFailure) {
        if yes { return }
        guard isInteractive else {
            throw CommandFailure(.usage, "this deletes \(loss); there is no terminal to ask at, so say --yes if you mean it")
        }
        StandardStreams.writeError("This deletes \(loss). Type yes to go on: ")
        guard answer() == "yes" else { throw CommandFailure(.failed, "nothing was deleted") }
    }
}
