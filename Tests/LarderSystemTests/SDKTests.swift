import Foundation
import Testing

/// The official Python SDK of the KV product, unmodified, pointed at the server.
@Suite("Python SDK") struct SDKTests {
    static let version = "4.189.0"

    @Test func `every call of the SDK works, synchronous and asynchronous`() throws {
        let python = try Self.python()
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("sdk_check.py").path
        let result = try Self.run(python, [script, "http://127.0.0.1:\(server.port)/v2"])
        print(result.output, terminator: "")
        #expect(result.status == 0, "\(result.output)")
    }

    /// A Python with the SDK, in a virtual environment of its own that is made once.
    static func python() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let environment = root.appendingPathComponent(".venv-sdk").path
        let python = environment + "/bin/python"
        let mark = environment + "/telnyx-\(version)"
        if FileManager.default.fileExists(atPath: mark) { return python }
        var result = try run("/usr/bin/env", ["python3", "-m", "venv", "--clear", environment])
        try #require(result.status == 0, "python3 -m venv failed: \(result.output)")
        result = try run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "telnyx==\(version)"])
        try #require(result.status == 0, "pip install telnyx==\(version) failed: \(result.output)")
        _ = FileManager.default.createFile(atPath: mark, contents: nil)
        return python
    }

    static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
