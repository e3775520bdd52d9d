// The servers: how each is started, what it speaks, and what it costs.

import Glibc
import LarderBytes

/// A server under test.
final class Contender {
    enum Dialect { case larder, redis, memcached, http(path: String, hasKeys: Bool) }

    let name: String
    let dialect: Dialect
    private let command: [String]
    private let port: UInt16
    private let versionCommand: [String]
    private(set) var version = ""
    private var process: pid_t = 0

    init(_ name: String, _ dialect: Dialect, port: UInt16, version: [String], _ command: [String]) {
        self.name = name
        self.dialect = dialect
        self.port = port
        versionCommand = version
        self.command = command
    }

    static func all(larder: String) -> [Contender] {
        let directory = makeDirectory()
        let nginx = writeNginxConfiguration(in: directory, port: 7_493)
        func serve(_ port: Int) -> [String] {
            [larder, "serve", "--listen", "127.0.0.1:\(port)", "--data", "\(directory)/larder-\(port)", "--workers", "1",
                "--durability", "off"]
        }
        return [
            Contender("Larder, binary", .larder, port: 7_490, version: [larder, "--version"], serve(7_490)),
            Contender(
                "Redis", .redis, port: 7_491, version: ["redis-server", "--version"],
                ["redis-server", "--port", "7491", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]),
            Contender(
                "memcached", .memcached, port: 7_492, version: ["memcached", "-V"],
                ["memcached", "-u", "nobody", "-p", "7492", "-U", "0", "-l", "127.0.0.1", "-t", "1", "-m", "4096", "-c", "1024"]),
            Contender(
                "Larder, HTTP", .http(path: "/kv/default/", hasKeys: true), port: 7_494, version: [larder, "--version"],
                serve(7_494)),
            Contender(
                "nginx, constant reply", .http(path: "/", hasKeys: false), port: 7_493, version: ["nginx", "-v"],
                ["nginx", "-p", directory, "-c", nginx]),
        ]
    }

    var holdsKeys: Bool {
        if case .http(_, let hasKeys) = dialect { return hasKeys }
        return true
    }

    func runs(_ scenario: Scenario) -> Bool {
        if case .http = dialect { return scenario.overHTTP }
        return !scenario.overHTTP
    }

    // MARK: Life

    /// Starts the server on processor 0 and waits, at most ten seconds, until it accepts connections.
    func start() -> Bool {
        version = run(versionCommand)
        guard !version.isEmpty else { return false }
        process = spawn(["taskset", "-c", "0"] + command)
        guard process > 0 else { return false }
        for _ in 0..<200 {
            if let socket = connectSocket(port: port) {
                close(socket)
                usleep(200_000)
                // Another server on this port would answer in place of one that could not have it.
                var status: Int32 = 0
                if waitpid(process, &status, WNOHANG) == 0 { return true }
                process = 0
                return false
            }
            usleep(50_000)
        }
        stop()
        return false
    }

    func stop() {
        guard process > 0 else { return }
        kill(process, SIGTERM)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        process = 0
    }

    // MARK: Work

    /// Stores all keys.
    func fill(keys: Int) {
        let load = Load(dialect: dialect, port: port, connections: 4, depth: 64)
        let stored = load.fill(keys: keys)
        if stored != keys { print("# \(name): only \(stored) of \(keys) keys were stored") }
    }

    func measure(_ scenario: Scenario, seconds: Double, connections: Int, keys: Int, seed: UInt64) -> Sample {
        let load = Load(dialect: dialect, port: port, connections: connections, depth: scenario.depth)
        let before = usage()
        let start = monotonicSeconds()
        let requests = load.run(scenario.operation, seconds: seconds, keys: keys, seed: seed)
        let elapsed = monotonicSeconds() - start
        let after = usage()
        let ticks = Double(after.user - before.user + after.system - before.system)
        return Sample(
            requests: requests, seconds: elapsed, cpuNanoseconds: after.nanoseconds - before.nanoseconds,
            userShare: ticks > 0 ? Double(after.user - before.user) / ticks : 0)
    }

    private struct Usage {
        var nanoseconds: Int64
        var user: Int
        var system: Int
    }

    /// The process's own clock, and its user and system ticks; of all its children too where it has workers.
    private func usage() -> Usage {
        var result = Usage(nanoseconds: 0, user: 0, system: 0)
        for process in [process] + children(of: process) {
            var time = timespec()
            // The clock of another process: its id, inverted, above three bits that say "processor time, whole process".
            clock_gettime(clockid_t(bitPattern: ~UInt32(bitPattern: process) << 3 | 2), &time)
            result.nanoseconds += Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
            let fields = readText("/proc/\(process)/stat").split(separator: ")").last?.split(separator: " ") ?? []
            if fields.count > 12 {
                result.user += Int(fields[11]) ?? 0
                result.system += Int(fields[12]) ?? 0
            }
        }
        return result
    }

    private func children(of process: pid_t) -> [pid_t] {
        readText("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { pid_t($0) }
    }

    private static func makeDirectory() -> String {
        var template = Array("/tmp/larder-bench-XXXXXX".utf8CString)
        return template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    private static func writeNginxConfiguration(in directory: String, port: Int) -> String {
        let body = String(repeating: "x", count: 100)
        let text = """
            worker_processes 1; daemon off; pid \(directory)/nginx.pid; error_log /dev/null;
            events { worker_connections 1024; }
            http { access_log off; keepalive_requests 1000000000; keepalive_timeout 300;
              server { listen 127.0.0.1:\(port); location / { return 200 "\(body)"; } } }
            """
        let path = directory + "/nginx.conf"
        let file = fopen(path, "w")
        fputs(text, file)
        fclose(file)
        return path
    }
}
