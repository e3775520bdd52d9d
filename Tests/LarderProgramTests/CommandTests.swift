// What is typed against what is understood.

import ArgumentParser
import LarderWire
import Testing

@testable import LarderProgram

@Suite("Commands") struct CommandTests {
    private func put(_ arguments: String...) throws -> KeyPutCommand {
        try #require(try LarderCommand.parseAsRoot(["kv", "key", "put"] + arguments) as? KeyPutCommand)
    }

    private func refusal(_ arguments: String...) -> String {
        do {
            _ = try LarderCommand.parseAsRoot(arguments)
            return ""
        } catch {
            #expect(LarderCommand.exitCode(for: error).rawValue == ExitStatus.usage.rawValue)
            return LarderCommand.message(for: error)
        }
    }

    @Test func `a put takes a value or a file, and a lifetime`() throws {
        let command = try put("sessions", "user/1", "hello", "--ttl", "1h30m")
        #expect(command.namespace == "sessions")
        #expect(command.key == "user/1")
        #expect(command.value == "hello")
        #expect(command.ttl == 5_400)
        #expect(try put("sessions", "user/1", "--path", "value.bin", "--ttl", "3600").ttl == 3_600)
        #expect(try put("a", "b", "").value == "")
        #expect(refusal("kv", "key", "put", "a", "b").contains("VALUE or --path"))
        #expect(refusal("kv", "key", "put", "a", "b", "c", "--path", "d").contains("not both"))
    }

    @Test(arguments: ["1500ms", "0", "0s", "-1s", "soon", "9223372037", "1.5s", ""])
    func `a lifetime that is not a whole number of seconds is refused`(_ text: String) {
        #expect(!refusal("kv", "key", "put", "a", "b", "c", "--ttl=\(text)").isEmpty)
    }

    @Test func `the longest lifetime is taken`() throws {
        #expect(try put("a", "b", "c", "--ttl", "9223372036").ttl == 9_223_372_036)
    }

    @Test func `limits and pages are checked`() {
        #expect(refusal("kv", "key", "list", "a", "--limit", "0").contains("--limit is 1 to 1000"))
        #expect(refusal("kv", "key", "list", "a", "--limit", "1001").contains("--limit is 1 to 1000"))
        #expect(refusal("kv", "key", "list", "a", "--cursor", "not base64!").contains("--cursor"))
        #expect(refusal("kv", "list", "--page", "0").contains("--page"))
        #expect(refusal("kv", "list", "--page-size", "251").contains("--page-size"))
        #expect(refusal("kv", "create").contains("--name"))
    }

    @Test func `words are taken and named, not their numbers`() throws {
        let words = ["always", "interval", "never", "off"]
        for word in words {
            let command = try LarderCommand.parseAsRoot(["kv", "create", "--name", "a", "--durability", word])
            #expect((command as? NamespaceCreateCommand)?.durability?.name == word)
        }
        for wrong in ["1", "mostly"] {
            let sentence = refusal("kv", "create", "--name", "a", "--durability", wrong)
            #expect(sentence.contains(wrong) && words.allSatisfy { sentence.contains("'\($0)'") }, "\(sentence)")
        }
        #expect(refusal("kv", "create", "--name", "a", "--keys", "0").contains("'path' and 'bytes'"))
        let help = LarderCommand.helpMessage(for: NamespaceCreateCommand.self, columns: 200)
        #expect(help.contains("(values: always, interval, never, off)") && help.contains("(values: path, bytes)"))
    }

    @Test func `a cache is made with a limit`() throws {
        let arguments = ["kv", "create", "--name", "a", "--eviction", "s3-fifo"]
        let command = try #require(try LarderCommand.parseAsRoot(arguments + ["--bytes-max", "64MiB"]) as? NamespaceCreateCommand)
        #expect(command.eviction == .s3fifo)
        #expect(command.bytesMax == 64 << 20)
        #expect(refusal("kv", "create", "--name", "a", "--eviction", "s3-fifo").contains("--bytes-max"))
        #expect(refusal("kv", "create", "--name", "a", "--eviction", "lru").contains("'none' and 's3-fifo'"))
        #expect(refusal("kv", "create", "--name", "a", "--bytes-max", "much").contains("64MiB"))
        let plain = try LarderCommand.parseAsRoot(["kv", "create", "--name", "a"]) as? NamespaceCreateCommand
        #expect(plain?.bytesMax == 0)
        #expect(plain?.eviction == nil)
    }

    @Test func `a flush is confirmed like a delete`() throws {
        let flush = try #require(try LarderCommand.parseAsRoot(["kv", "flush", "carts", "--yes", "--json"]) as? NamespaceFlushCommand)
        #expect(flush.namespace == "carts" && flush.confirmation.yes && flush.format.json)
        let delete = try #require(try LarderCommand.parseAsRoot(["kv", "delete", "carts", "-y", "--json"]) as? NamespaceDeleteCommand)
        #expect(delete.confirmation.yes && delete.format.json)
    }

    @Test func `a cursor that no listing can have printed is refused`() {
        let long = String(repeating: "YWFh", count: 343)
        #expect(refusal("kv", "key", "list", "a", "--cursor", long).contains("--cursor"))
    }

    @Test func `what looks like an id is one`() {
        #expect(BinaryNamespace(argument: "sessions") == .name("sessions"))
        #expect(
            BinaryNamespace(argument: "0197a3c4-5b2e-7d10-8f3a-5c6e7b9d0e1f")
                == .id(high: 0x0197_A3C4_5B2E_7D10, low: 0x8F3A_5C6E_7B9D_0E1F))
        #expect(BinaryNamespace(argument: "0197a3c45b2e7d108f3a5c6e7b9d0e1f") == .name("0197a3c45b2e7d108f3a5c6e7b9d0e1f"))
    }

    @Test(arguments: [
        ("cache.internal", "cache.internal:7400"), ("cache.internal:80", "cache.internal:80"), ("[::1]:7401", "[::1]:7401"),
        ("[::1]", "[::1]:7400"), ("127.0.0.1:1", "127.0.0.1:1"),
    ])
    func `a server is a host and maybe a port`(_ text: String, _ expected: String) {
        #expect(ServerLocation(text)?.description == expected)
    }

    @Test(arguments: ["", ":7400", "host:", "host:0", "host:65536", "host:+1", "host:007400", "::1", "::1:7400", "[host]:1", "http://host", "a b"])
    func `what is no server is refused`(_ text: String) {
        #expect(ServerLocation(text) == nil)
    }

    @Test func `the option names the server before the environment does`() throws {
        let environment = ["LARDER_SERVER": "one:1"]
        #expect(try ServerOptions.parse([]).location(environment: [:]) == .standard)
        #expect(try ServerOptions.parse([]).location(environment: environment).description == "one:1")
        #expect(try ServerOptions.parse(["--server", "two:2"]).location(environment: environment).description == "two:2")
        #expect(throws: CommandFailure.self) { try ServerOptions.parse(["--server", "x:y"]).location(environment: [:]) }
    }

    @Test func `without a terminal nothing is destroyed unless yes was said`() throws {
        #expect(throws: CommandFailure(.usage, "this deletes the key a of b; there is no terminal to ask at, so say --yes if you mean it")) {
            try Confirmation.parse([]).confirm("the key a of b", isInteractive: false)
        }
        try Confirmation.parse(["--yes"]).confirm("the key a of b", isInteractive: false)
        try Confirmation.parse(["-y"]).confirm("the key a of b", isInteractive: false)
    }

    @Test func `only the whole word yes destroys`() throws {
        for answer in ["y", "YES", "no", "", "yes please"] {
            #expect(throws: CommandFailure(.failed, "nothing was deleted")) {
                try Confirmation.parse([]).confirm("all", isInteractive: true) { answer }
            }
        }
        #expect(throws: CommandFailure.self) { try Confirmation.parse([]).confirm("all", isInteractive: true) { nil } }
        try Confirmation.parse([]).confirm("all", isInteractive: true) { "yes" }
    }
}
