import Foundation
import Testing

/// `larder load` against `larder serve`, both as processes of their own.
@Suite("The load generator and the server", .serialized) struct LoadTests {
    private func load(_ server: ServerProcess, _ arguments: String...) -> (status: Int32, output: String, error: String) {
        ServerProcess.run(["load", "--server", "127.0.0.1:\(server.port)", "--quiet"] + arguments)
    }

    private func json(_ output: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }

    /// Runs a load that records, and as soon as something is promised the server goes away in the middle of it.
    private func killed(_ server: ServerProcess, under arguments: [String], recordedIn file: String)
        -> (status: Int32, output: String, error: String)
    {
        let end = Outcome()
        let port = server.port
        Thread { end.set(ServerProcess.run(["load", "--server", "127.0.0.1:\(port)", "--quiet"] + arguments)) }.start()
        RecordedLoad.wait(for: 6_240, in: file) { !end.isThere }
        server.kill()
        let result = end.wait()
        #expect(result.status == 0, "\(result.output)\(result.error)")
        return result
    }

    @Test(arguments: ["binary", "http"])
    func `every read is right`(dialect: String) throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        let result = load(
            server, "--dialect", dialect, "--fill", "--verify", "--requests", "20000", "--connections", "8", "--threads", "2", "--pipeline",
            "8", "--key-count", "500", "--keys", "zipf:0.99", "--mix", "get:50,set:40,delete:10", "--values", "uniform:0-2000", "--ttl",
            "0:80,uniform:1s-2s:20", "--json")
        #expect(result.status == 0, "\(result.output)\(result.error)")
        let report = try json(result.output)
        #expect(report["requests"] as? Int == 20_000)
        let judged = try #require(report["judged"] as? [String: Any])
        #expect(try #require(judged["reads"] as? Int) > 5_000)
        for fault in ["lost", "wrong", "expired_but_alive", "resurrected"] { #expect(judged[fault] as? Int == 0) }
    }

    @Test(arguments: ["binary", "http"])
    func `what was acknowledged is there after kill -9`(dialect: String) throws {
        let server = ServerProcess(arguments: ["--durability", "always", "--snapshot-log-bytes", "1MiB"])
        defer { server.removeDirectory() }
        try server.start()
        let file = server.directory + "/acks"
        let result = killed(
            server, under: [
                "--dialect", dialect, "--record", file, "--duration", "60s", "--connections", "8", "--threads", "2", "--pipeline", "4",
                "--key-count", "300", "--mix", "get:10,set:75,delete:15", "--ttl", "0:70,uniform:500ms-3s:30", "--values", "uniform:40-400",
            ], recordedIn: file)
        #expect(result.output.contains("8 connections lost"), "\(result.output)")

        try server.start()
        let check = load(server, "--dialect", dialect == "binary" ? "http" : "binary", "--check", file, "--json")
        #expect(check.status == 0, "\(check.output)\(check.error)")
        let judged = try #require(try json(check.output)["judged"] as? [String: Any])
        #expect(try #require(judged["reads"] as? Int) > 200)
        #expect(judged["unclear"] as? Int == 0)

        // A server that has lost everything is found out.
        server.kill()
        try FileManager.default.removeItem(atPath: server.directory + "/data")
        try server.start()
        let empty = load(server, "--check", file)
        #expect(empty.status == 1)
        #expect(empty.output.contains("lost: write"), "\(empty.output)")
        #expect(empty.error.contains("answers were wrong"))
    }

    @Test func `the outputs are written`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        let (hdr, page) = (server.directory + "/latency.hdr", server.directory + "/report.html")
        let result = load(server, "--fill", "--rate", "2000", "--requests", "500", "--key-count", "100", "--hdr", hdr, "--report", page, "--seed", "9")
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.contains("seed         9"))
        #expect(result.output.contains("from sending"))
        let nowhere = load(server, "--duration", "1h", "--report", server.directory + "/absent/report.html")
        #expect(nowhere.status == 1)
        #expect(nowhere.error.contains("report.html: cannot be written"), "\(nowhere.error)")
        let folder = load(server, "--duration", "1h", "--report", server.directory)
        #expect(folder.status == 1)
        #expect(folder.error.contains("is a directory; say the name of a file"), "\(folder.error)")
        #expect(try String(contentsOfFile: hdr, encoding: .utf8).contains("#[Mean"))
        #expect(try String(contentsOfFile: page, encoding: .utf8).contains("<svg"))
    }

    @Test func `a namespace that is not there ends a load before it begins`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        for dialect in ["binary", "http"] {
            let result = load(server, "--dialect", dialect, "--namespace", "nosuch", "--mix", "set", "--requests", "10")
            #expect(result.status == 1)
            #expect(result.error.contains("no such namespace"), "\(result.error)")
        }
    }

    @Test func `a fill that is recorded tells what was promised when the server is killed in it`() throws {
        let server = ServerProcess(arguments: ["--durability", "always"])
        defer { server.removeDirectory() }
        try server.start()
        let file = server.directory + "/acks"
        let result = killed(
            server, under: ["--fill", "--record", file, "--connections", "8", "--key-count", "1000000"], recordedIn: file)
        #expect(result.output.contains("the keys were being stored"), "\(result.output)")
        try server.start()
        #expect(load(server, "--check", file).status == 0)
    }

    @Test func `a load raises its limit of open files, and says first when it may not`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        func limited(_ limit: String) throws -> (status: Int32, error: String) {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            let load = "'\(ServerProcess.binary)' load --server 127.0.0.1:\(server.port) --quiet --connections 100 --requests 1000"
            process.arguments = ["-c", "ulimit \(limit) 90 && exec \(load)"]
            let error = Pipe()
            process.standardOutput = FileHandle.nullDevice
            process.standardError = error
            try process.run()
            let text = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return (process.terminationStatus, text)
        }
        let raised = try limited("-Sn")
        #expect(raised.status == 0, "\(raised.error)")
        let refused = try limited("-n")
        #expect(refused.status == 1)
        #expect(refused.error.contains("needs 166 open files, and this process may have 90"), "\(refused.error)")
    }

    @Test func `a replay that its duration cuts off says so`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        let trace = server.directory + "/trace.csv"
        let lines = (0..<3_600).map { "\($0),key,3,5,1,get,0\n" }
        try lines.joined().write(toFile: trace, atomically: true, encoding: .utf8)
        let whole = load(server, "--trace", trace)
        #expect(whole.status == 0, "\(whole.error)")
        #expect(!whole.output.contains("replayed "), "\(whole.output)")
        let cut = load(server, "--trace", trace, "--trace-speed", "1", "--duration", "100ms")
        #expect(cut.status == 0, "\(cut.error)")
        #expect(cut.output.contains("replayed     1 of them, until the load ended"), "\(cut.output)")
    }

    @Test func `a ramp finds a rate that does not hold`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        // No server answers in a microsecond, so the first step fails.
        let result = load(server, "--ramp", "--ramp-from", "1000", "--ramp-limit", "1us", "--duration", "100ms")
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.contains("knee: no step held"))
    }

    @Test func `a signal ends a load with its table and a whole file`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        let file = server.directory + "/acks"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: ServerProcess.binary)
        process.arguments = ["load", "--server", "127.0.0.1:\(server.port)", "--quiet", "--duration", "1h", "--record", file, "--mix", "set"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        RecordedLoad.wait(for: 6_240, in: file) { process.isRunning }
        kill(process.processIdentifier, SIGINT)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(text.contains("ended        early, by a signal"), "\(text)")
        #expect(!text.contains("requests     0 in"), "\(text)")
        #expect(text.contains("0 unanswered"), "\(text)")
        #expect(load(server, "--check", file).status == 0)
    }

    @Test func `a key is asked for, and a target elsewhere is refused`() throws {
        let server = ServerProcess(arguments: ["--durability", "off"], environment: ["LARDER_API_KEY": "a-key-of-some-length"])
        defer { server.removeDirectory() }
        try server.start()
        for dialect in ["binary", "http"] {
            let refused = load(server, "--dialect", dialect, "--requests", "10")
            #expect(refused.status == 1)
            #expect(refused.error.contains("refused"), "\(refused.error)")
            let allowed = ServerProcess.run(
                ["load", "--server", "127.0.0.1:\(server.port)", "--quiet", "--dialect", dialect, "--requests", "10"],
                environment: ["LARDER_API_KEY": "a-key-of-some-length"])
            #expect(allowed.status == 0, "\(allowed.error)")
        }
        let elsewhere = ServerProcess.run(["load", "--server", "192.0.2.1:7400", "--requests", "1"])
        #expect(elsewhere.status == 64)
        #expect(elsewhere.error.contains("--allow-remote"))
    }
}

/// The result of a program that runs on another thread.
private final class Outcome: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: (status: Int32, output: String, error: String)?

    func set(_ value: (status: Int32, output: String, error: String)) {
        condition.withLock {
            self.value = value
            condition.broadcast()
        }
    }

    var isThere: Bool { condition.withLock { value != nil } }

    func wait() -> (status: Int32, output: String, error: String) {
        condition.withLock {
            while true {
                if let value { return value }
                condition.wait()
            }
        }
    }
}
