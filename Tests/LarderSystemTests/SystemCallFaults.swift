// Makes system calls of the real server fail, by strace's `inject`. The server knows nothing of it.

import Foundation
import LarderPersistence
import Testing

/// Which calls fail, how, and at which of their occurrences. Each thread counts its own.
struct CallFault: Sendable, CustomTestStringConvertible {
    var calls: String
    var error: String
    /// As strace spells it: `3` the third, `2..4`, `5+` from the fifth on.
    var when: String
    /// Only calls that concern the data directory itself: its names.
    var isAboutNames = false

    init(_ calls: String, _ error: String, _ when: String, isAboutNames: Bool = false) {
        self.calls = calls
        self.error = error
        self.when = when
        self.isAboutNames = isAboutNames
    }

    var testDescription: String { "\(calls) \(error) \(when)" }

    /// What a person is told of the error.
    var words: String {
        switch error {
        case "EIO": "Input/output error"
        case "ENOSPC": "No space left on device"
        case "EDQUOT": "Disk quota exceeded"
        case "EROFS": "Read-only file system"
        case "EMFILE": "Too many open files"
        default: error
        }
    }

    fileprivate func arguments(_ dataDirectory: String, _ output: String) -> [String] {
        ["-f", "-o", output, "-e", "trace=\(calls)", "-e", "inject=\(calls):error=\(error):when=\(when)"]
            + (isAboutNames ? ["-P", dataDirectory] : [])
    }
}

/// A place in the server's work, by the system call that one of its threads is about to make there, or has just made.
struct KillPoint: Sendable, CustomTestStringConvertible {
    let name: String
    let call: String
    /// Behind the call: its thread is held there. Otherwise the server is killed before the call does anything.
    let isBehind: Bool
    /// Which of the calls, if not the first. Each thread counts its own.
    let when: Int
    /// Only calls that concern one of these: names as the server gives them, with `#` for any number; what is open, with a slash before it.
    let files: [String]

    init(_ name: String, before call: String, of files: String..., when: Int = 1) {
        (self.name, self.call, self.files, self.when, isBehind) = (name, call, files, when, false)
    }

    init(_ name: String, behind call: String, of files: String..., when: Int = 1) {
        (self.name, self.call, self.files, self.when, isBehind) = (name, call, files, when, true)
    }

    var testDescription: String { name }

    fileprivate func arguments(_ dataDirectory: String, _ output: String) -> [String] {
        // Longer than any test waits.
        let effect = isBehind ? "delay_exit=600000000" : "signal=KILL"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: dataDirectory)) ?? []
        let numbers = names.compactMap { name -> Int? in
            switch FileName(name) {
            case .segment(let number), .spare(let number), .snapshot(let number): Int(number)
            // What was set aside has a time in its name.
            default: nil
            }
        }
        let last = numbers.max() ?? 0
        let paths = files.flatMap { file -> [String] in
            let name = file.hasPrefix("/") ? dataDirectory + file : file
            guard name.contains("#") else { return [name] }
            // Some will come before strace has attached.
            return (1...(last + 16)).map { name.replacingOccurrences(of: "#", with: String(format: "%010d", $0)) }
        }
        return ["-f", "-o", output, "-e", "trace=\(call)", "-e", "inject=\(call):\(effect):when=\(when)"]
            + paths.flatMap { ["-P", $0] }
    }
}

/// The calls of one server, as strace saw them.
final class CallTrace {
    private static let strace = "/usr/bin/strace"
    private let process: Process?
    private let output: String

    /// Whether strace is there and may attach to processes; the reason is printed when not.
    static let isAvailable: Bool = {
        guard FileManager.default.isExecutableFile(atPath: strace) else {
            print("no system calls are made to fail: there is no \(strace)")
            return false
        }
        let traced = run(strace, "-o", "/dev/null", "true")
        // Yama lets nobody but root attach to what is not a child of its own, unless this is 0.
        let scope = try? String(contentsOfFile: "/proc/sys/kernel/yama/ptrace_scope", encoding: .utf8)
        let mayAttach = geteuid() == 0 || (scope ?? "0").hasPrefix("0")
        if traced.status != 0 || !mayAttach { print("no system calls are made to fail: \(traced.text), ptrace_scope \(scope ?? "-")") }
        return traced.status == 0 && mayAttach
    }()

    /// A program to start a server under, so that its first calls fail; the server is the process that is started.
    static func wrapper(_ fault: CallFault, _ server: ServerProcess, output: String) -> (wrapper: [String], trace: CallTrace) {
        ([strace, "-D", "-qq"] + fault.arguments(server.dataDirectory, output), CallTrace(nil, output))
    }

    /// A program to start a server under that holds it, or kills it, when it gets there.
    static func wrapper(_ point: KillPoint, _ server: ServerProcess, output: String) -> [String] {
        [strace, "-D", "-qq"] + point.arguments(server.dataDirectory, output)
    }

    /// A program to start a server under that writes down these calls, with all that goes through them; those that a machine lacks are
    /// left out.
    static func recorder(of calls: [String], output: String) -> [String] {
        [strace, "-D", "-f", "-q", "-xx", "-s", "\(16 << 20)", "-o", output, "-e", "trace=" + calls.map { "?" + $0 }.joined(separator: ",")]
    }

    /// What a recorder wrote of a server that has ended; it ends a moment later.
    static func recorded(of process: Int32, in output: String) throws -> String {
        for _ in 0..<60_000 {
            let text = try String(contentsOfFile: output, encoding: .utf8)
            if text.split(separator: "\n").last?.hasPrefix("\(process) ") == true, text.contains("+++ exited with") { return text }
            // Nobody tells when strace has written its last line.
            usleep(1_000)
        }
        throw ServerProcess.DidNotStart(description: "\(output): strace does not end")
    }

    /// Attaches to a server that runs.
    static func attach(_ fault: CallFault, to server: ServerProcess, output: String) throws -> CallTrace {
        try attach(fault.arguments(server.dataDirectory, output), to: server, output)
    }

    /// Attaches to a server that runs, and kills it or holds it when it gets there.
    static func attach(_ point: KillPoint, to server: ServerProcess, output: String) throws -> CallTrace {
        try attach(point.arguments(server.dataDirectory, output), to: server, output)
    }

    private static func attach(_ arguments: [String], to server: ServerProcess, _ output: String) throws -> CallTrace {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: strace)
        process.arguments = arguments + ["-p", "\(server.processID)"]
        let lines = LogLines(errorsOf: process)
        try process.run()
        guard lines.wait(for: "attached", seconds: 30) != nil else { throw ServerProcess.DidNotStart(description: lines.text) }
        return CallTrace(process, output)
    }

    private init(_ process: Process?, _ output: String) {
        self.process = process
        self.output = output
    }

    /// How many calls were made to fail so far.
    var injected: Int {
        guard let text = try? String(contentsOfFile: output, encoding: .utf8) else { return 0 }
        return text.components(separatedBy: "(INJECTED)").count - 1
    }

    /// Whether a thread of the server is held behind the call, or the server has been killed at it.
    var hasReachedPoint: Bool {
        guard let text = try? String(contentsOfFile: output, encoding: .utf8) else { return false }
        return text.contains("(DELAYED)") || text.contains("killed by SIGKILL")
    }

    /// Ends strace, and with it what it holds up.
    func end() {
        guard let process else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Waits for the end of strace, which comes with that of the server.
    func finish() { process?.waitUntilExit() }
}
