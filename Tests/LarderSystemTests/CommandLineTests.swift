import Foundation
import Testing

/// The commands as a person or a script runs them, against a real server.
@Suite("The command line", .serialized) struct CommandLineTests {
    private func run(_ server: ServerProcess, _ arguments: String..., input: Data? = nil) -> (status: Int32, output: String, error: String) {
        ServerProcess.run(["kv"] + arguments, environment: ["LARDER_SERVER": "127.0.0.1:\(server.port)"], input: input)
    }

    private func started(_ arguments: [String] = []) throws -> ServerProcess {
        let server = ServerProcess(arguments: ["--durability", "never"] + arguments)
        try server.start()
        return server
    }

    @Test func `a flush empties a namespace and leaves it`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        #expect(run(server, "create", "--name", "carts", "--durability", "interval").status == 0)
        for namespace in ["default", "carts"] { #expect(run(server, "key", "put", namespace, "user/1", "x").output == "created user/1\n") }

        let asked = run(server, "flush", "carts")
        #expect(asked.status == 64)
        #expect(asked.error.contains("this deletes the 1 key of the namespace carts"), "\(asked.error)")
        #expect(run(server, "key", "get", "carts", "user/1").output == "x")

        let flushed = run(server, "flush", "carts", "--yes")
        #expect(flushed.status == 0)
        #expect(flushed.output.hasPrefix("flushed carts ("), "\(flushed.output)")
        #expect(run(server, "key", "get", "carts", "user/1").status == 2)
        #expect(run(server, "key", "get", "default", "user/1").output == "x")
        #expect(run(server, "get", "carts").output.contains("durability  interval"))

        // What a refusal to delete `default` says to do.
        let refused = run(server, "delete", "default", "--yes")
        #expect(refused.status == 1)
        #expect(refused.error.contains("larder kv flush default"), "\(refused.error)")
        let emptied = run(server, "flush", "default", "--yes", "--json")
        #expect(emptied.status == 0)
        #expect(emptied.output.contains(#""key_count" : 0"#) && emptied.output.contains(#""name" : "default""#), "\(emptied.output)")
        let http = try HTTPClient(port: server.port).call("DELETE", "/kv/default")
        #expect(http.status == 403 && http.text.contains("larder kv flush default"), "\(http.text)")

        #expect(run(server, "flush", "nowhere", "--yes").status == 2)
        let deleted = run(server, "delete", "carts", "--yes", "--json")
        #expect(deleted.output.contains(#""status" : "deleting""#), "\(deleted.output)")
    }

    @Test(arguments: ["--seed abc", "--seed -1", "--seed", "--count x", "--steps -5", "--from 18446744073709551615 --count 2"])
    func `a seed that is no number searched a thousand others`(_ words: String) {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("larder-simulate")
        let refused = ServerProcess.run(words.split(separator: " ").map(String.init), program: program.path)
        #expect(refused.status == 64)
        #expect(refused.output.hasPrefix("usage: larder-simulate"))
    }

    @Test func `words too long for the protocol ended the program`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        let name = String(repeating: "a", count: 300)
        let key = String(repeating: "a", count: 70_000)
        for result in [
            run(server, "key", "list", name), run(server, "key", "put", "default", key, "v"), run(server, "key", "get", "default", key),
            run(server, "key", "delete", "default", key, "--yes"), run(server, "key", "list", "default", "--prefix", key),
        ] {
            #expect(result.status == 1)
            #expect(result.error.contains("which no server takes"), "\(result.error.prefix(200))")
        }
    }

    @Test func `a value that is too large was refused with advice to log in`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        let file = server.directory + "/value"
        try Data(count: 1_048_577).write(to: URL(fileURLWithPath: file))
        let refused = run(server, "key", "put", "default", "k", "--path", file)
        #expect(refused.status == 1)
        #expect(refused.error == "larder: the value has 1048577 bytes; this server takes at most 1048576 (its setting value-bytes-max)\n")
        try Data(count: 16_777_217).write(to: URL(fileURLWithPath: file))
        #expect(run(server, "key", "put", "default", "k", "--path", file).error.contains("more than 16MiB, which no server takes"))
    }

    @Test func `lines that are no data kept company with keys`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        for key in ["a", "b", "c"] { #expect(run(server, "key", "put", "default", key, "-").status == 0) }
        let first = run(server, "key", "list", "default", "--limit", "2")
        #expect(first.output == "a\nb\n")
        let cursor = try #require(first.error.split(whereSeparator: \.isWhitespace).last)
        let second = run(server, "key", "list", "default", "--cursor", String(cursor))
        #expect(second.output == "c\n" && second.error.isEmpty)
        let json = run(server, "key", "list", "default", "--limit", "2", "--json")
        #expect(json.error.isEmpty && json.output.contains(#""cursor" : "\#(cursor)""#), "\(json.output)")
    }

    @Test func `values pass through untouched, from standard input and to standard output`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        let value = Data((0..<60_000).map { UInt8(truncatingIfNeeded: $0 / 7) })
        #expect(run(server, "key", "put", "default", "bin", "--path", "/dev/stdin", input: value).status == 0)
        #expect(try BinaryClient(port: server.port).get("bin").value == Array(value))
        #expect(run(server, "key", "put", "default", "n", "--", "-5").status == 0)
        #expect(run(server, "key", "get", "default", "n").output == "-5")
        #expect(run(server, "key", "put", "default", "n", "-5").error.contains("--"))
    }

    @Test func `a command said that all was well although its output was lost`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        for arguments in [
            ["kv", "list"], ["kv", "key", "put", "default", "k", "v"], ["kv", "key", "get", "default", "k"],
            ["kv", "key", "delete", "default", "k", "--yes"], ["settings"],
        ] {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: ServerProcess.binary)
            process.arguments = arguments
            process.environment = ["LARDER_SERVER": "127.0.0.1:\(server.port)"]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
            let error = Pipe()
            process.standardError = error
            try process.run()
            let text = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 1, "\(arguments)")
            #expect(text.hasPrefix("larder: standard output: write: No space left"), "\(arguments): \(text)")
        }
    }

    @Test func `a client is told which key is missing, and takes it from where a server does`() throws {
        let file = ServerProcess.freshDirectory() + "/key"
        _ = FileManager.default.createFile(
            atPath: file, contents: Data("correct-horse-battery\n".utf8), attributes: [.posixPermissions: 0o600])
        let server = try started(["--api-key-file", file])
        defer { server.removeDirectory() }
        func list(_ arguments: [String] = [], _ environment: [String: String] = [:]) -> (status: Int32, output: String, error: String) {
            ServerProcess.run(["kv", "list", "--server", "127.0.0.1:\(server.port)"] + arguments, environment: environment)
        }
        let none = list()
        #expect(none.status == 1 && none.error.contains("asks for an API key: name its file with --api-key-file"), "\(none.error)")
        let wrong = list([], ["LARDER_API_KEY": "wrong-horse-battery-"])
        #expect(wrong.status == 1 && wrong.error.contains("has another API key"), "\(wrong.error)")
        #expect(list([], ["LARDER_API_KEY": "correct-horse-battery"]).status == 0)
        #expect(list([], ["LARDER_API_KEY_FILE": file]).status == 0)
        #expect(list(["--api-key-file", file], ["LARDER_API_KEY": "wrong-horse-battery-"]).status == 0)
        #expect(list([], ["LARDER_API_KEY_FILE": file, "LARDER_API_KEY": "wrong-horse-battery-"]).status == 78)
    }

    @Test func `exit statuses tell what happened`() throws {
        let server = try started()
        defer { server.removeDirectory() }
        #expect(run(server, "list").status == 0)
        #expect(run(server, "key", "get", "default", "none").status == 2)
        #expect(run(server, "get", "none").status == 2)
        #expect(run(server, "key", "get", "none", "none").status == 2)
        #expect(run(server, "key", "put", "default", "a:b", "v").status == 1)
        #expect(run(server, "key", "list", "default", "--limit", "0").status == 64)
        #expect(run(server, "list", "--server", "127.0.0.1:1").status == 1)
        #expect(run(server, "list", "--server", "127.0.0.1:+1").status == 64)
        #expect(run(server, "list", "--api-key-file", "/nowhere").status == 78)
        let url = run(server, "list", "--server", "http://127.0.0.1:\(server.port)")
        #expect(url.status == 64 && url.output.isEmpty)
    }

    @Test func `the rule for keys is that of the default namespace, and others say their own`() throws {
        let server = try started(["--keys", "bytes"])
        defer { server.removeDirectory() }
        #expect(run(server, "get", "default").output.contains("key rule    bytes"))
        #expect(run(server, "create", "--name", "a").output.contains("key rule    path"))
        #expect(run(server, "create", "--name", "b", "--keys", "bytes").output.contains("key rule    bytes"))
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/c", body: []).text.contains(#""keys":"path""#))
        server.kill()

        // The setting is held against what is stored, also when it is only the default.
        let data = server.directory + "/data"
        for arguments in [[], ["--keys", "path"]] {
            let result = ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--data", data] + arguments)
            #expect(result.status == 1)
            #expect(result.error.contains("was made with keys: bytes"), "\(result.error)")
        }
        try server.start()
        #expect(run(server, "get", "default").output.contains("key rule    bytes"))
    }
}
