// `larder kv create`, `list`, `get`, `flush`, `delete`: namespaces.

import ArgumentParser
import LarderWire

struct NamespaceCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Create a namespace.")

    @Option(help: ArgumentHelp("1 to 255 of a-z 0-9 -.", valueName: "NAME"))
    var name: String

    @Option(help: ArgumentHelp("When a write is answered (default: as the server is set).", valueName: "WHEN"))
    var durability: DurabilityChoice?

    @Option(help: ArgumentHelp("Which keys it takes (default: path).", valueName: "RULE"))
    var keys: KeyRule?

    @Option(help: ArgumentHelp("What happens when it is full (default: none).", valueName: "HOW"))
    var eviction: EvictionChoice?

    @Option(
        help: ArgumentHelp("How much memory its entries may take, such as 64MiB; 0 for no limit.", valueName: "SIZE"),
        transform: { text in
            if let bytes = SizeText.bytes(text) { return bytes }
            throw ValidationError("a size is written like 64MiB, 25MB or 1048576")
        })
    var bytesMax = 0

    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func validate() throws {
        if eviction == .s3fifo && bytesMax == 0 { throw ValidationError("--eviction s3-fifo needs a limit: --bytes-max 64MiB") }
    }

    func run() throws {
        var creation = NamespaceCreation()
        creation.durability = durability
        creation.keyRule = keys
        creation.eviction = eviction
        creation.bytesMax = UInt64(bytesMax)
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

struct NamespaceFlushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flush", abstract: "Delete all keys of a namespace, at once. The namespace stays.")

    @Argument(help: "A name or an id.") var namespace: String
    @OptionGroup var confirmation: Confirmation
    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func run() throws {
        let found = try options.withClient { client throws(ClientError) in
            try client.namespace(BinaryNamespace(argument: namespace))
        }
        try confirmation.confirm(NamespaceOutput(found).loss(withNamespace: false))
        let flushed = try options.withClient { client throws(ClientError) in
            try client.flushNamespace(found.reference)
            return try client.namespace(found.reference)
        }
        try format.write(NamespaceOutput(flushed, deed: "flushed"))
    }
}

struct NamespaceDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "Delete a namespace and all its keys.")

    @Argument(help: "A name or an id.") var namespace: String
    @OptionGroup var confirmation: Confirmation
    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func run() throws {
        let found = try options.withClient { client throws(ClientError) in
            try client.namespace(BinaryNamespace(argument: namespace))
        }
        try confirmation.confirm(NamespaceOutput(found).loss(withNamespace: true))
        let deleted = try options.withClient { client throws(ClientError) in try client.deleteNamespace(found.reference) }
        try format.write(NamespaceOutput(deleted, deed: "deleted"))
    }
}

extension NamespaceReply {
    /// By id: the name may have gone to another namespace while a question stood.
    fileprivate var reference: BinaryNamespace { .id(high: id.high, low: id.low) }
}

extension DurabilityChoice: ExpressibleByArgument {
    package init?(argument: String) { self.init(name: argument) }
    package static var allValueStrings: [String] { allCases.map(\.name) }
}

extension EvictionChoice: ExpressibleByArgument {
    package init?(argument: String) { self.init(name: argument) }
    package static var allValueStrings: [String] { allCases.map(\.name) }
}

extension KeyRule: ExpressibleByArgument {
    package init?(argument: String) {
        switch argument {
        case "path": self = .path
        case "bytes": self = .bytes
        default: return nil
        }
    }

    package static var allValueStrings: [String] { ["path", "bytes"] }
}
