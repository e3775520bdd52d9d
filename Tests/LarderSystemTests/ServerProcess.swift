// The real program in a process of its own, on a port that the system chooses, in a directory that is its own.

import Foundation

/// A `larder serve` that a test can kill.
final class ServerProcess {
    let directory: String
    private(set) var port: UInt16 = 0
    private var process: Process?
    private var log = LogLines()
    private let arguments: [String]
    private let environment: [String: String]
    /// A program with arguments that runs the server in its own place.
    var wrapper: [String] = []

    struct DidNotStart: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter directory: nil makes a fresh one.
    init(directory: String? = nil, arguments: [String] = [], environment: [String: String] = [:]) {
        self.directory = directory ?? Self.freshDirectory()
        self.arguments = arguments
        self.environment = environment
    }

    deinit { kill() }

    var dataDirectory: String { directory + "/data" }

    static func freshDirectory() -> String {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("larder-test-\(UUID().uuidString)")
        try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url.path
    }

    /// The program that was built with these tests.
    static var binary: String {
        if let named = ProcessInfo.processInfo.environment["LARDER_BINARY"] { return named }
        return URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("larder").path
    }

    /// Starts the server and waits until it has recovered.
    func start() throws {
        let log = try startLoading()
        guard log.wait(for: "ready", seconds: 120) != nil else { throw DidNotStart(description: log.text) }
    }

    /// Starts the server and waits until it listens.
    ///
    /// - Returns: What it says.
    func startLoading() throws -> LogLines {
        let process = Process()
        let command = wrapper + [Self.binary, "serve", "--listen", "127.0.0.1:\(port)", "--data", dataDirectory] + arguments
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.environment = environment.merging(["PATH": "/usr/bin:/bin"]) { mine, _ in mine }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        log = LogLines(errorsOf: process)
        try process.run()
        self.process = process
        guard let line = log.wait(for: "listening on 127.0.0.1:", seconds: 30),
            let number = line.split(separator: ":").last.flatMap({ UInt16($0.prefix { $0.isNumber }) })
        else { throw DidNotStart(description: log.text) }
        port = number
        return log
    }

    /// What the server has written to its error output since it was started.
    var logText: String { log.text }

    var processID: Int32 { process?.processIdentifier ?? 0 }
    var isRunning: Bool { process?.isRunning ?? false }

    /// Waits for a line that contains `text`.
    func waitForLog(_ text: String, seconds: Double) -> Bool { log.wait(for: text, seconds: seconds) != nil }

    /// Sends a signal, and does not wait for what comes of it.
    func send(_ signal: Int32) {
        if let process { Foundation.kill(process.processIdentifier, signal) }
    }

    /// kill -9.
    func kill() {
        guard let process else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// Stops the process where it stands, for good: none of its threads does anything any more but what the kernel has begun for it.
    func freeze() {
        guard let process else { return }
        let folder = "/proc/\(process.processIdentifier)/task"
        Foundation.kill(process.processIdentifier, SIGSTOP)
        while true {
            let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            let states = threads.compactMap { thread -> Character? in
                guard let text = try? String(contentsOfFile: "\(folder)/\(thread)/stat", encoding: .utf8) else { return nil }
                return text[text.index(after: text.lastIndex(of: ")")!)...].first { $0 != " " }
            }
            // Stopped, or within a call that cannot be interrupted, behind which it stops.
            if states.allSatisfy({ $0 == "T" || $0 == "D" }) { return }
            // Nobody tells when a thread has stopped.
            usleep(100)
        }
    }

    /// Waits until the server has ended by itself; returns the exit status.
    func waitForEnd() -> Int32 {
        guard let process else { return -1 }
        process.waitUntilExit()
        self.process = nil
        return process.terminationStatus
    }

    /// SIGTERM; returns the exit status.
    @discardableResult
    func stop() -> Int32 {
        guard let process else { return -1 }
        Foundation.kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        self.process = nil
        return process.terminationStatus
    }

    func removeDirectory() { try? FileManager.default.removeItem(atPath: directory) }

    /// Runs the program to its end.
    static func run(_ arguments: [String], environment: [String: String] = [:], input: Data? = nil, program: String = binary)
        -> (status: Int32, output: String, error: String)
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = environment.merging(["PATH": "/usr/bin:/bin"]) { mine, _ in mine }
        let output = Pipe()
        let error = Pipe()
        let feed = Pipe()
        process.standardOutput = output
        process.standardError = error
        process.standardInput = feed
        do { try process.run() } catch { return (-1, "", "\(error)") }
        if let input { feed.fileHandleForWriting.write(input) }
        try? feed.fileHandleForWriting.close()
        let text = LogLines()
        let reader = DispatchGroup()
        DispatchQueue.global().async(group: reader) { text.append(error.fileHandleForReading.readDataToEndOfFile()) }
        let printed = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        reader.wait()
        return (process.terminationStatus, String(decoding: printed, as: UTF8.self), text.text)
    }
}

/// Text that arrives on another thread, and a way to wait for a line of it.
final class LogLines: @unchecked Sendable {
    private let condition = NSCondition()
    private var data = Data()
    private var hasEnded = false

    init() {}

    /// What a process that is about to run writes to its error output.
    init(errorsOf process: Process) {
        let pipe = Pipe()
        process.standardError = pipe
        pipe.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty { handle.readabilityHandler = nil }
            data.isEmpty ? self.end() : self.append(data)
        }
    }

    func append(_ more: Data) {
        condition.lock()
        data.append(more)
        condition.broadcast()
        condition.unlock()
    }

    /// No more text will come.
    private func end() {
        condition.lock()
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    var text: String {
        condition.lock()
        defer { condition.unlock() }
        return String(decoding: data, as: UTF8.self)
    }

    /// The first line that contains `wanted`, once it is complete; nil when the text ends or the time is over before.
    func wait(for wanted: String, seconds: Double) -> String? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        condition.lock()
        defer { condition.unlock() }
        while true {
            let complete = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = complete.first(where: { $0.contains(wanted) }) { return String(line) }
            if hasEnded || !condition.wait(until: deadline) { return nil }
        }
    }
}
