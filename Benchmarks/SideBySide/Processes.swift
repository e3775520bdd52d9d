// Processes, files and time, as plainly as the benchmark needs them.

import Glibc
import Synchronization

/// Why something could not be measured, in words.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What has to go when the benchmark does, also when it is interrupted: processes by their id, and one directory.
enum Leftovers {
    private static let processes = Mutex<Set<pid_t>>([])
    static let directory: String = {
        // Not in /tmp itself where that is memory: logs and snapshots are to meet a disk.
        var template = Array(((environment("TMPDIR") ?? "/var/tmp") + "/larder-bench-XXXXXX").utf8CString)
        return template.withUnsafeMutableBufferPointer { buffer in mkdtemp(buffer.baseAddress!).map { String(cString: $0) } ?? "" }
    }()

    static func add(_ process: pid_t) { processes.withLock { _ = $0.insert(process) } }
    static func remove(_ process: pid_t) { processes.withLock { _ = $0.remove(process) } }

    static func clear() {
        processes.withLock { processes in
            for process in processes {
                kill(process, SIGKILL)
                var status: Int32 = 0
                waitpid(process, &status, 0)
            }
            processes = []
        }
        removeTree(directory)
    }

    /// From now on an interruption clears up first. Call it before any thread is started.
    static func clearWhenInterrupted() {
        _ = directory
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var thread = pthread_t()
        pthread_create(&thread, nil, { _ in
            var signals = sigset_t()
            sigemptyset(&signals)
            for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
            var signal: Int32 = 0
            sigwait(&signals, &signal)
            Leftovers.clear()
            _exit(128 + signal)
        }, nil)
    }
}

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

func removeTree(_ path: String) {
    guard path.hasPrefix("/"), path.contains("/larder-bench-") else { return }
    let process = spawn(["rm", "-rf", path])
    var status: Int32 = 0
    if process > 0 { waitpid(process, &status, 0) }
}

/// Starts a program; its output goes nowhere. Returns its process id, or 0.
func spawn(_ command: [String]) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    // The signals that this process waits for are not to be deaf spots of its children.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var process: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    let result = posix_spawnp(&process, command[0], &actions, &attributes, &arguments, environ)
    for argument in arguments { free(argument) }
    return result == 0 ? process : 0
}

/// What a program prints first, on either output; empty when it cannot be run.
func firstLine(of command: [String]) -> String {
    guard let pipe = popen(command.map { "'\($0)'" }.joined(separator: " ") + " 2>&1", "r") else { return "" }
    var line = [CChar](repeating: 0, count: 256)
    let found = fgets(&line, 256, pipe) != nil
    let status = pclose(pipe)
    guard found, status == 0 else { return "" }
    return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func readText(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&block, 1, block.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += block[..<count]
    }
}

func writeText(_ path: String, _ text: String) throws {
    guard let file = fopen(path, "w") else { throw BenchError("cannot write \(path)") }
    fputs(text, file)
    fclose(file)
}

/// The first path that matches a shell pattern.
func firstMatch(_ pattern: String) -> String? {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0, found.gl_pathc > 0, let path = found.gl_pathv[0] else { return nil }
    return String(cString: path)
}

/// A port on loopback that nobody listens on.
func freePort() -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            _ = bind(descriptor, $0, length)
            _ = getsockname(descriptor, $0, &length)
        }
    }
    return UInt16(bigEndian: address.sin_port)
}

/// A connected socket that does not block, or nil.
func connectSocket(port: UInt16) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard result == 0 else {
        close(descriptor)
        return nil
    }
    var on: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    return descriptor
}

func monotonicNanoseconds() -> Int64 { clockNanoseconds(CLOCK_MONOTONIC) }
func monotonicSeconds() -> Double { Double(monotonicNanoseconds()) / 1e9 }
func wallMilliseconds() -> Int64 { clockNanoseconds(CLOCK_REALTIME) / 1_000_000 }

func clockNanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
