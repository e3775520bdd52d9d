// `larder kv create`, `list`, `get`, `delete`: namespaces.

import ArgumentParser
import LarderWire

struct NamespaceCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Create a namespace.")

    @Option(help: ArgumentHelp("1 to 255 of a-z 0-9 -.", valueName: "NAME"))
    var name: String

    @Option(help: ArgumentHelp("When a write is answered (default: as the server).", valueName: "always|interval|never|off"))
    var durability: DurabilityChoice?

    @Option(help: ArgumentHelp("Which keys it takes (default: as the server).", valueName: "path|bytes"))
    var keys: KeyRule?

    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func run() throws {
        var creation = NamespaceCreation()
        creation.durability = durability
        creation.keyRule = keys
        let created = try options.withClient { client throws(ClientError) in
            try client.createNamespace(name, creation: creation)
        }
        try format.write(NamespaceOutput(created))
    }
}

struct NamespaceListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the namespaces, oldest first.")

    @Option(help: ArgumentHelp("Which page, from 1.", valueName: "N"))
    var page = 1

    @Option(help: ArgumentHelp("Namespaces on a page, 1 to 250.", valueName: "N"))
    var pageSize = 20

    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func validate() throws {
        guard (1...Int(UInt32.max)).contains(page) else { throw ValidationError("--page is 1 or more") }
        guard (1...250).contains(pageSize) else { throw ValidationError("--page-size is 1 to 250") }
    }

    func run() throws {
        let found = try options.withClient { client throws(ClientError) in
            try client.namespaces(page: page, limit: pageSize)
        }
        try format.write(NamespaceListOutput(found.namespaces, page: page, pageSize: pageSize, total: found.total))
    }
}

struct NamespaceGetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Show a namespace.")

    @Argument(help: "A name or an id.") var namespace: String
    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func run() throws {
        let found = try options.withClient { client throws(ClientError) in
            try client.namespace(BinaryNamespace(argument: namespace))
        }
        try format.write(NamespaceOutput(found))
    }
}

struct NamespaceDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "Delete a namespace and all its keys.")

    @Argument(help: "A name or an id.") var namespace: String
    @OptionGroup var confirmation: Confirmation
    @OptionGroup var options: ServerOptions

    func run() throws {
        let reference = BinaryNamespace(argument: namespace)
        let found = try options.withClient { client throws(ClientError) in try client.namespace(reference) }
        let shown = NamespaceOutput(found)
        try confirmation.confirm("the namespace \(shown.name) (\(shown.id)) and its \(shown.keys) keys")
        // By id: the name may have gone to another namespace while the question stood.
        try options.withClient { client throws(ClientError) in
            try client.deleteNamespace(.id(high: found.id.high, low: found.id.low))
        }
        print("deleted \(shown.name) (\(shown.id))")
    }
}

extension DurabilityChoice: ExpressibleByArgument {
    package init?(argument: String) { self.init(name: argument) }
}

extension KeyRule: ExpressibleByArgument {
    package init?(argument: String) {
        switch argument {
        case "path": self = .path
        case "bytes": self = .bytes
        default: return nil
        }
    }
}
