// A contender that runs: started on a port and in a directory of its own, watched from outside, ended by its id.

import Glibc
import LarderBytes
import LarderLoad
import LarderPlatform

final class Server {
    let contender: Contender
    let port: UInt16
    let directory: String
    private(set) var process: pid_t = 0

    private nonisolated(unsafe) static var count = 0

    /// Which processors a server may use.
    enum Place {
        /// Processor 0; the load has processor 1.
        case first
        case all
    }

    /// Starts it and waits, at most `secondsMax`, until it accepts connections.
    init(_ contender: Contender, on place: Place = .first, directory: String? = nil, secondsMax: Double = 10) throws {
        self.contender = contender
        port = freePort()
        Self.count += 1
        self.directory = directory ?? "\(Leftovers.directory)/\(Self.count)"
        mkdir(self.directory, 0o700)
        let command = contender.command(port: port, directory: self.directory)
        process = spawn(["taskset", "-c", place == .first ? "0" : "0-\(sysconf(Int32(_SC_NPROCESSORS_ONLN)) - 1)"] + command)
        guard process > 0 else { throw BenchError("\(contender.name) cannot be started") }
        Leftovers.add(process)
        let end = monotonicSeconds() + secondsMax
        while monotonicSeconds() < end {
            if let socket = connectSocket(port: port) {
                close(socket)
                if contender.isLarder { try waitUntilReady(until: end) }
                return
            }
            var status: Int32 = 0
            if waitpid(process, &status, WNOHANG) != 0 {
                Leftovers.remove(process)
                process = 0
                break
            }
            usleep(2_000)
        }
        stop()
        throw BenchError("\(contender.name) does not start")
    }

    deinit { stop() }

    /// SIGTERM, and SIGKILL when that does not help within a minute.
    func stop(removing: Bool = true) {
        if process > 0 {
            kill(process, SIGTERM)
            var status: Int32 = 0
            let end = monotonicSeconds() + 60
            while waitpid(process, &status, WNOHANG) == 0 {
                if monotonicSeconds() > end { kill(process, SIGKILL) }
                usleep(1_000)
            }
            Leftovers.remove(process)
            process = 0
        }
        if removing { removeTree(directory) }
    }

    // MARK: From outside

    struct Usage {
        var nanoseconds: Int64 = 0
        var userTicks = 0
        var systemTicks = 0

        static func - (left: Usage, right: Usage) -> Usage {
            Usage(
                nanoseconds: left.nanoseconds - right.nanoseconds, userTicks: left.userTicks - right.userTicks,
                systemTicks: left.systemTicks - right.systemTicks)
        }
    }

    /// The process's own clock, and its user and system ticks; of all its children too where it has workers.
    var usage: Usage {
        var result = Usage()
        for process in [process] + Self.children(of: process) {
            // The clock of another process: its id, inverted, above three bits that say "processor time, whole process".
            result.nanoseconds += clockNanoseconds(clockid_t(bitPattern: ~UInt32(bitPattern: process) << 3 | 2))
            let fields = readText("/proc/\(process)/stat").split(separator: ")").last?.split(separator: " ") ?? []
            if fields.count > 12 {
                result.userTicks += Int(fields[11]) ?? 0
                result.systemTicks += Int(fields[12]) ?? 0
            }
        }
        return result
    }

    static func children(of process: pid_t) -> [pid_t] {
        readText("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { pid_t($0) }
    }

    /// What processes do not share any more with those whom they were forked from.
    static func privateBytes(of processes: [pid_t]) -> Int {
        processes.reduce(0) { $0 + kibibytes("/proc/\($1)/smaps_rollup", "Private_Dirty:") * 1_024 }
    }

    /// Bytes of memory that it has now, page by page, not the kernel's estimate.
    var residentBytes: Int { Self.kibibytes("/proc/\(process)/smaps_rollup", "Rss:") * 1_024 }

    /// The most that it had since `forgetPeak`.
    var peakBytes: Int { Self.kibibytes("/proc/\(process)/status", "VmHWM:") * 1_024 }

    func forgetPeak() { try? writeText("/proc/\(process)/clear_refs", "5") }

    private static func kibibytes(_ path: String, _ name: String) -> Int {
        let line = readText(path).split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
    }

    // MARK: By asking

    /// Keys that it holds, those included that are gone for readers but not from memory.
    func keyCount() throws -> Int {
        switch contender.manner.dialect {
        case .binary, .http: return Int(try metrics()["larder_keys"] ?? 0)
        case .resp: return Int(try ask("DBSIZE\r\n", until: "\r\n").dropFirst()) ?? -1
        case .memcached:
            let line = try ask("stats\r\n", until: "END\r\n").split(separator: "\r\n").first { $0.hasPrefix("STAT curr_items ") }
            return Int(line?.split(separator: " ").last ?? "") ?? -1
        }
    }

    /// Larder's figures about itself.
    func metrics() throws -> [String: Double] {
        let answer = try ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", until: nil)
        var figures: [String: Double] = [:]
        for line in answer.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            if parts.count == 2, let value = Double(parts[1]) { figures[String(parts[0])] = value }
        }
        return figures
    }

    func ask(_ question: String, until end: String?, secondsMax: Double = 60) throws -> String {
        try side_by_side.ask(question, port: port, until: end, secondsMax: secondsMax)
    }

    /// Waits until Larder has read its data.
    private func waitUntilReady(until end: Double) throws {
        while monotonicSeconds() < end {
            if let answer = try? ask("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", until: nil),
                answer.hasPrefix("HTTP/1.1 200")
            {
                return
            }
            usleep(1_000)
        }
        throw BenchError("\(contender.name) is not ready in time")
    }
}

/// Sends some text and returns what comes back, until it ends in `end` or, without one, until the server closes.
func ask(_ question: String, port: UInt16, until end: String?, secondsMax: Double = 60) throws -> String {
    let connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: Int64(secondsMax * 1_000))
    try connection.send(Array(question.utf8).span.bytes)
    var answer = ByteBuffer()
    while true {
        do throws(ConnectionError) {
            try connection.receive(into: &answer)
        } catch {
            guard error == .closed, end == nil else { throw error }
            break
        }
        if let end, String(utf8: answer.bytes).hasSuffix(end) { break }
    }
    let text = String(utf8: answer.bytes)
    return end == "\r\n" ? String(text.dropLast(1)) : text
}
