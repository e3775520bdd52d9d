// `larder kv key list`, `get`, `put`, `delete`.

import ArgumentParser
import Foundation
import LarderBytes
import LarderPlatform
import LarderServer
import LarderWire

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Work with the keys of a namespace.",
        subcommands: [KeyListCommand.self, KeyGetCommand.self, KeyPutCommand.self, KeyDeleteCommand.self])
}

struct KeyListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List keys in byte order, a page at a time.")

    @Argument(help: "A name or an id.") var namespace: String

    @Option(help: ArgumentHelp("Only keys that begin so.", valueName: "TEXT"))
    var prefix = ""

    @Option(help: ArgumentHelp("Where the page before ended, as it was printed.", valueName: "CURSOR"))
    var cursor: String?

    @Option(help: ArgumentHelp("Keys on a page, 1 to 1000.", valueName: "N"))
    var limit = BinaryFrame.limitMax

    @OptionGroup var options: ServerOptions
    @OptionGroup var format: OutputFormat

    func validate() throws {
        guard (1...BinaryFrame.limitMax).contains(limit) else { throw ValidationError("--limit is 1 to 1000") }
        guard let bytes = Data(base64Encoded: cursor ?? ""), bytes.count <= KeyValueClient.cursorBytesMax else {
            throw ValidationError("--cursor is not a cursor that a listing has printed")
        }
    }

    func run() throws {
        let after = cursor.flatMap { Data(base64Encoded: $0) }.map { Array($0) } ?? []
        let page = try options.withClient(namespace: BinaryNamespace(argument: namespace)) { client throws(ClientError) in
            try client.list(prefix: Array(prefix.utf8), cursor: after, limit: limit)
        }
        try format.write(KeyListOutput(page.keys, cursor: page.cursor))
    }
}

struct KeyGetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Write the value of a key to standard output, byte for byte.")

    @Argument(help: "A name or an id.") var namespace: String
    @Argument var key: String
    @OptionGroup var options: ServerOptions

    func run() throws {
        let found = try options.withClient(namespace: BinaryNamespace(argument: namespace)) { client throws(ClientError) in
            try client.get(Array(key.utf8))
        }
        guard let value = found else { throw CommandFailure(.notFound, "there is no key \(key) in \(namespace)") }
        try Output.write(value)
    }
}

struct KeyPutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Store a value under a key, replacing what is there.",
        discussion: """
            Without --ttl the key lives until it is deleted, whatever lifetime it had before. A value that begins with - \
            stands behind --: larder kv key put NAMESPACE KEY -- -5
            """)

    @Argument(help: "A name or an id.") var namespace: String
    @Argument var key: String
    @Argument(help: "The value as text; or use --path.") var value: String?

    @Option(help: ArgumentHelp("A file that holds the value; /dev/stdin reads standard input.", valueName: "FILE"))
    var path: String?

    @Option(
        help: ArgumentHelp("How long the key lives: 30s, 5m, 1h30m, or a number of seconds.", valueName: "TIME"),
        transform: KeyPutCommand.seconds)
    var ttl: Int64?

    @OptionGroup var options: ServerOptions

    private static let secondsMax: Int64 = 9_223_372_036

    func validate() throws {
        if value == nil, path == nil {
            throw ValidationError("give a VALUE or --path FILE; a VALUE that begins with - stands behind --")
        }
        if value != nil, path != nil { throw ValidationError("give a VALUE or --path FILE, not both") }
    }

    static func seconds(_ text: String) throws -> Int64 {
        guard let nanoseconds = DurationText.nanoseconds(text), nanoseconds % 1_000_000_000 == 0,
            (1...secondsMax).contains(nanoseconds / 1_000_000_000)
        else { throw ValidationError("\"\(text)\" is not a time of whole seconds, at least 1s, such as 30s, 5m or 1h30m") }
        return nanoseconds / 1_000_000_000
    }

    func run() throws {
        let bytes = try content()
        // Cannot overflow: the seconds were checked against `secondsMax`.
        let lifetime = ttl.map { Lifetime.milliseconds($0 * 1_000) } ?? .unlimited
        let isNew = try options.withClient(namespace: BinaryNamespace(argument: namespace)) { client throws(ClientError) in
            try client.put(Array(key.utf8), value: bytes, lifetime: lifetime)
        }
        try Output.write(line: "\(isNew ? "created" : "updated") \(key)")
    }

    private func content() throws(CommandFailure) -> [UInt8] {
        guard let path else { return Array((value ?? "").utf8) }
        let file: SmallFile
        let limit = ServerConfiguration.valueBytesLimit
        do throws(SystemError) { file = try SmallFile(path: path, bytesMax: limit) } catch {
            throw CommandFailure(.failed, "\(path): \(error)")
        }
        guard !file.isTruncated else {
            throw CommandFailure(.failed, "\(path): has more than \(SizeText.text(bytes: limit)), which no server takes")
        }
        return file.bytes
    }
}

struct KeyDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a key. It is no error when there is none.")

    @Argument(help: "A name or an id.") var namespace: String
    @Argument var key: String
    @OptionGroup var confirmation: Confirmation
    @OptionGroup var options: ServerOptions

    func run() throws {
        try confirmation.confirm("the key \(key) of \(namespace)")
        let existed = try options.withClient(namespace: BinaryNamespace(argument: namespace)) { client throws(ClientError) in
            try client.delete(Array(key.utf8))
        }
        try Output.write(line: existed ? "deleted \(key)" : "there was no key \(key)")
    }
}
