// The table of settings against everything that is made of it: file, environment, command line.

import ArgumentParser
import Foundation
import LarderPersistence
import LarderPlatform
import LarderServer
import LarderWire
import Testing

import LarderProgram

/// The configuration that these three places give.
func configure(
    _ arguments: [String] = [], environment: [String: String] = [:], file: String? = nil
) throws -> ServerConfiguration {
    var arguments = arguments
    var scratch: ScratchFile?
    if let file {
        scratch = try ScratchFile(file)
        arguments += ["--config", scratch!.path]
    }
    defer { scratch?.remove() }
    return try ServeCommand.parse(arguments).configuration(environment: environment)
}

/// What is wrong with the settings that these three places give, with the file's name cut down to `file`.
func problems(
    _ arguments: [String] = [], environment: [String: String] = [:], file: String? = nil
) -> [String] {
    do {
        _ = try configure(arguments, environment: environment, file: file)
        return []
    } catch let error as SettingsError {
        return error.problems.map { $0.description.replacing(/\/[^ ]*larder-[-A-F0-9]+/, with: "file") }
    } catch {
        return ["\(error)"]
    }
}

/// A file that exists for one test.
struct ScratchFile {
    let path: String

    init(_ text: String, mode: Int = 0o600) throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("larder-\(UUID().uuidString)").path
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}

/// The root of the package.
let packageDirectory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

@Suite("Settings") struct SettingsTests {
    // MARK: The sample file

    @Test func `the sample file is what the table says`() throws {
        let text = try String(contentsOf: packageDirectory.appendingPathComponent("config/larder.yaml"), encoding: .utf8)
        #expect(text == SettingsText.annotated, "larder settings > config/larder.yaml")
    }

    @Test func `the sample file changes nothing`() throws {
        let path = packageDirectory.appendingPathComponent("config/larder.yaml").path
        #expect(try configure(["--config", path]) == ServerConfiguration())
    }

    @Test func `the sample file gives every setting`() throws {
        let path = packageDirectory.appendingPathComponent("config/larder.yaml").path
        #expect(try SettingsFile.read(path).given.map(\.name) == Setting.table.map(\.name))
    }

    // MARK: The table

    @Test func `names are unique and make unique variables`() {
        #expect(Set(Setting.table.map(\.name)).count == Setting.table.count)
        #expect(Set(Setting.table.map(\.variable)).count == Setting.table.count)
    }

    @Test(arguments: Setting.table.map(\.name)) func `a default is a value of its setting`(_ name: String) throws {
        let setting = try #require(Setting.named(name))
        var settings = ServeSettings()
        try setting.form.read(setting.defaults, &settings)
        #expect(settings == ServeSettings())
    }

    @Test func `every setting is an option`() throws {
        let command = try ServeCommand.parse([])
        #expect(command.settings.given.map(\.name) == Setting.table.map(\.name))
        for setting in Setting.table {
            let arguments = setting.form.placeholder == "true|false" ? [setting.option] : [setting.option, "probe"]
            let given = try ServeCommand.parse(arguments).settings.given.filter { !$0.texts.isEmpty }
            #expect(given.map(\.name) == [setting.name])
        }
    }

    // MARK: Reading

    @Test func `nothing given means the defaults`() throws {
        #expect(try configure() == ServerConfiguration())
        #expect(try configure(file: "# nothing here\n") == ServerConfiguration())
        #expect(try configure(file: "") == ServerConfiguration())
    }

    @Test func `every setting of the file arrives`() throws {
        let configuration = try configure(
            file: """
                listen: ["[::1]:7401", "resp://127.0.0.2:7402"]
                databases: [carts, sessions]
                debug-commands: true
                data: /var/lib/larder
                insecure-no-auth: true
                durability: off
                interval: 250ms
                keys: bytes
                value-bytes-max: 2MiB
                memory-max: 3GiB
                workers: 3
                snapshot-every: 1h30m
                snapshot-log-bytes: 1GiB
                snapshot-bytes-per-second: 0
                log-bytes-max: 1GiB
                scrub-every: 12h
                on-log-failure: read-only
                connections-max: 77
                http-idle-timeout: 0
                first-request-timeout: 5
                request-timeout: 2m
                output-bytes-soft: 128KiB
                output-bytes-max: 16MiB
                """)
        var expected = ServerConfiguration()
        expected.listen = [
            ListenAddress(SocketAddress(host: "::1", port: 7401)), ListenAddress(SocketAddress(host: "127.0.0.2", port: 7402), dialect: .resp),
        ]
        expected.databases = ["carts", "sessions"]
        expected.debugCommands = true
        expected.dataDirectory = "/var/lib/larder"
        expected.insecureNoAuthentication = true
        expected.durability = .off
        expected.intervalMilliseconds = 250
        expected.keyRule = LarderWire.KeyRule.bytes
        expected.valueBytesMax = 2_097_152
        expected.memoryBytesMax = 3_221_225_472
        expected.workers = 3
        expected.snapshotEverySeconds = 5_400
        expected.snapshotLogBytes = 1_073_741_824
        expected.snapshotBytesPerSecond = 0
        expected.logBytesMax = 1_073_741_824
        expected.scrubEverySeconds = 43_200
        expected.onLogFailure = .readOnly
        expected.connectionsMax = 77
        expected.httpIdleSeconds = 0
        expected.firstRequestSeconds = 5
        expected.requestSeconds = 120
        expected.outputBytesSoft = 131_072
        expected.outputBytesMax = 16_777_216
        #expect(configuration == expected)
    }

    @Test func `the command line wins over the environment and that over the file`() throws {
        let file = "workers: 1\nconnections-max: 10\ninterval: 10ms\n"
        let environment = ["LARDER_WORKERS": "2", "LARDER_CONNECTIONS_MAX": "20"]
        let configuration = try configure(["--workers", "3"], environment: environment, file: file)
        #expect(configuration.workers == 3)
        #expect(configuration.connectionsMax == 20)
        #expect(configuration.intervalMilliseconds == 10)
    }

    @Test func `addresses replace those of a weaker place`() throws {
        let configuration = try configure(
            ["--listen", "127.0.0.1:1", "--listen", "[::1]:2"], environment: ["LARDER_LISTEN": "127.0.0.1:3"])
        #expect(configuration.listen.map(\.description) == ["127.0.0.1:1", "[::1]:2"])
        #expect(try configure(environment: ["LARDER_LISTEN": "127.0.0.1:3,127.0.0.1:4"]).listen.map(\.address.port) == [3, 4])
    }

    @Test func `the environment can name the file and the command line wins over that too`() throws {
        let named = try ScratchFile("workers: 5")
        defer { named.remove() }
        #expect(try configure(environment: ["LARDER_CONFIG": named.path]).workers == 5)
        #expect(try configure(environment: ["LARDER_CONFIG": named.path], file: "workers: 6").workers == 6)
    }

    // MARK: Refusals

    @Test func `a bad value is named with its line and what is allowed`() {
        #expect(
            problems(file: "# a comment\nworkers: 2\n\nvalue-bytes-max: 17MiB\n")
                == ["file:4: value-bytes-max: \"17MiB\" is out of range; allowed: 1B to 16MiB"])
        #expect(
            problems(file: "interval: soon")
                == ["file:1: interval: \"soon\" is not a time of whole milliseconds such as 100ms or 1s; allowed: 1ms to 1s"])
        #expect(
            problems(file: "durability: yes")
                == ["file:1: durability: \"yes\" is not one of the words; allowed: always, interval, never, off"])
    }

    @Test func `a bad variable and a bad option are named as they were written`() {
        #expect(
            problems(environment: ["LARDER_WORKERS": "many"])
                == ["LARDER_WORKERS: \"many\" is not a whole number; allowed: 1 to 256, or 0 (one for each processor)"])
        #expect(
            problems(["--snapshot-every", "1s"])
                == ["--snapshot-every: \"1s\" is out of range; allowed: 10s to 168h, or 0 (not for the time alone)"])
    }

    @Test func `all problems are told at once`() {
        let found = problems(["--workers=-1"], environment: ["LARDER_KEYS": "any"], file: "a: 1\ndata:\n")
        #expect(found.count == 4)
    }

    @Test func `a bad value is refused although a stronger place overrides it`() {
        #expect(problems(["--workers", "2"], file: "workers: x").count == 1)
    }

    @Test func `an unknown setting is refused and the likely one named`() {
        #expect(problems(file: "\nworker: 2") == ["file:2: unknown setting worker, did you mean workers?"])
        #expect(problems(file: "colour: red") == ["file:1: unknown setting colour; `larder settings` lists them"])
        #expect(
            problems(environment: ["LARDER_LISTENS": "x"])
                == ["unknown setting LARDER_LISTENS, did you mean LARDER_LISTEN?"])
        #expect(problems(["--colour", "red"]).count == 1)
    }

    @Test func `the variables that Kubernetes sets for a service called larder are no settings`() {
        let variables = [
            "LARDER_PORT": "tcp://10.0.0.1:7400", "LARDER_PORT_7400_TCP_ADDR": "10.0.0.1", "LARDER_SERVICE_HOST": "10.0.0.1",
            "LARDER_SERVICE_PORT_HTTP": "7400",
        ]
        #expect(problems(environment: variables) == [])
    }

    @Test func `a file that is no list of settings is refused with its line`() {
        #expect(problems(file: "workers: 1\n\tdata: x\n").first?.hasPrefix("file:2: is not YAML") == true)
        #expect(problems(file: "- a\n- b\n") == ["file:1: is not a list of settings such as `workers: 2`"])
        #expect(problems(file: "workers:\n  max: 2\n").first?.hasPrefix("file:1: workers takes plain values") == true)
        #expect(problems(file: "workers:\n").first?.hasPrefix("file:1: workers has no value") == true)
        #expect(problems(["--config", "/nowhere/at.all"]).first?.contains("No such file") == true)
    }

    @Test func `a setting that a file gives twice is named with both lines`() {
        #expect(problems(file: "workers: 1\n\nworkers: 2\n") == ["file:3: gives workers again, after line 1"])
        #expect(
            problems(file: "# workers: 0\n\"workers\": 1\ndata: a\nworkers: 2\ndata : b\nworkers: 3\n")
                == ["file:5: gives data again, after line 3; line 6 gives workers again, after line 2, 4"])
        #expect(problems(file: "{workers: 1, workers: 2}") == ["file:1: gives a setting twice: workers"])
    }

    @Test func `a list where one value is due is refused`() {
        let allowed = "; allowed: 1 to 256, or 0 (one for each processor)"
        #expect(problems(file: "workers: [1]\n") == ["file:1: workers takes one value, not a list\(allowed)"])
        #expect(problems(file: "workers: [1, 2]\n") == ["file:1: workers takes one value, not a list\(allowed)"])
        #expect(problems(file: "workers: []\n") == ["file:1: workers takes one value, not a list\(allowed)"])
    }

    @Test func `a list of addresses says which one is wrong`() {
        let allowed = "; allowed: IPV4:PORT, [IPV6]:PORT or localhost:PORT, each also behind resp://, memcached://, http:// or binary://; at most 16 of them"
        #expect(problems(file: "listen: []") == ["file:1: listen: no value is given\(allowed)"])
        #expect(
            problems(file: "listen: [\"127.0.0.1:1\", \"cache:2\"]")
                == ["file:1: listen: \"cache:2\" is not a numeric address and a port\(allowed)"])
        #expect(problems(file: "listen: [\"ftp://127.0.0.1:1\"]").count == 1)
        let many = (1...17).map { "127.0.0.1:\($0)" }.joined(separator: ",")
        #expect(problems(environment: ["LARDER_LISTEN": many]) == ["LARDER_LISTEN: 17 values are too many\(allowed)"])
    }

    @Test func `a variable that is set to nothing counts as not set`() throws {
        #expect(try configure(environment: ["LARDER_WORKERS": "", "LARDER_LISTEN": "", "LARDER_CONFIG": ""]) == ServerConfiguration())
        #expect(try configure(environment: ["LARDER_WORKERS": ""], file: "workers: 3").workers == 3)
        #expect(SettingsText.annotated.contains("is set to nothing counts as not set"))
    }

    @Test func `values that do not go together are refused`() {
        #expect(problems(["--value-bytes-max", "16MiB", "--output-bytes-max", "31MiB"]).count == 1)
        #expect(problems(["--output-bytes-soft", "64MiB"]).count == 1)
        #expect(problems(["--value-bytes-max", "16MiB"]) == [])
        #expect(problems(["--value-bytes-max", "16777217"]).count == 1)
    }

    // MARK: Keys and public addresses

    @Test func `a public address asks for a key`() {
        #expect(problems(["--listen", "0.0.0.0:7400"]).first?.contains("other machines can reach 0.0.0.0:7400") == true)
        #expect(problems(["--listen", "[::]:7400"]).count == 1)
        #expect(problems(["--listen", "0.0.0.0:7400", "--insecure-no-auth"]) == [])
        #expect(problems(["--listen", "0.0.0.0:7400"], environment: ["LARDER_API_KEY": secret]) == [])
    }

    @Test func `the stronger place gives the key`() throws {
        let file = try ScratchFile("another-key-of-24-bytes!\n")
        defer { file.remove() }
        let variable = ["LARDER_API_KEY": secret]
        #expect(try configure(environment: variable).apiKey == APIKey(bytes: Array(secret.utf8)))
        #expect(
            try configure(["--api-key-file", file.path], environment: variable).apiKey
                == APIKey(bytes: Array("another-key-of-24-bytes!".utf8)))
        #expect(
            try configure(environment: variable, file: "api-key-file: \(file.path)").apiKey
                == APIKey(bytes: Array(secret.utf8)))
        #expect(problems(environment: ["LARDER_API_KEY": secret, "LARDER_API_KEY_FILE": file.path]).count == 1)
    }

    @Test(arguments: [0o644, 0o604, 0o620, 0o602]) func `a key file that others can touch is refused`(_ mode: Int) throws {
        let file = try ScratchFile(secret, mode: mode)
        defer { file.remove() }
        let found = problems(["--api-key-file", file.path])
        #expect(found.first?.contains("can be read or changed by others") == true)
    }

    @Test func `short, long and unprintable keys are refused and never shown`() throws {
        for text in ["short", "a key with spaces in it", String(repeating: "k", count: 513)] {
            let found = problems(environment: ["LARDER_API_KEY": text])
            #expect(found.count == 1)
            #expect(found.first?.contains(text) == false)
        }
        let configuration = try configure(environment: ["LARDER_API_KEY": secret])
        #expect(!"\(configuration)".contains(secret))
        #expect(!String(reflecting: configuration).contains(secret))
    }

    private let secret = "0123456789abcdef0123456789abcdef"
}
