import CTestProbe
import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import Testing

/// What a batch of requests costs a worker, in figures that do not depend on how busy the machine is. Counted in the real
/// program, from outside.
@Suite("Cost of requests", .serialized) struct RequestCostTests {
    enum Dialect: String, CaseIterable {
        case binary, http, resp, memcached

        /// A client; a call sends a batch of 32 requests and receives the replies.
        fileprivate func connect(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
            switch self {
            case .binary: try RequestCostTests.binary(port, isWriting: isWriting)
            case .http: try RequestCostTests.http(port, isWriting: isWriting)
            case .resp: try RequestCostTests.resp(port, isWriting: isWriting)
            case .memcached: try RequestCostTests.memcached(port, isWriting: isWriting)
            }
        }

        /// Some more than there are now. A worker that is stepped through is so slow that chores change shards while it reads, and it has to
        /// read again with the lock: reads take a fifth more here than in a server.
        fileprivate func instructionsMax(_ isWriting: Bool) -> Int {
            switch self {
            case .binary: isWriting ? 2_450 : 1_500
            case .http: isWriting ? 8_700 : 7_500
            case .resp: isWriting ? 2_600 : 1_850
            case .memcached: isWriting ? 2_650 : 2_050
            }
        }
    }

    /// One to learn of it, one to receive, one to send.
    @Test(arguments: Dialect.allCases, [false, true])
    func `a batch of requests takes three system calls`(_ dialect: Dialect, _ isWriting: Bool) throws {
        let batches = 200
        let count = try Self.count(batches, { try dialect.connect($0, isWriting: isWriting) }, probe_system_calls)
        // It also wakes up once a second for nothing.
        #expect(count <= batches * 3 + 20, "\(count) system calls for \(batches) batches")
        #expect(count >= batches * 3 - 3, "\(count) system calls for \(batches) batches")
    }

    #if arch(x86_64)
    /// From the reading of the socket to the reply: the worker's own instructions, not the kernel's.
    @Test(arguments: Dialect.allCases, [false, true])
    func `a request takes so many instructions`(_ dialect: Dialect, _ isWriting: Bool) throws {
        let batches = 2
        let each = try Self.count(batches, { try dialect.connect($0, isWriting: isWriting) }, probe_instructions) / (batches * 32)
        #expect(each <= dialect.instructionsMax(isWriting) && each > 200, "\(each) instructions a request")
        if ProcessInfo.processInfo.environment["LARDER_MEASURE"] == "1" {
            print("\(dialect) \(isWriting ? "write" : "read"): \(each) instructions")
        }
    }
    #endif

    private typealias Probe = @convention(c) (pid_t, UnsafePointer<Int32>?, UnsafeMutablePointer<Int32>?) -> Int

    private static let keys = (0..<32).map { "key/of/so/long/\($0 % 10)" }
    private static let value = String(repeating: "v", count: 100)

    /// A client of a dialect of text; a call sends a batch of 32 requests and receives the replies.
    ///
    /// - Parameter texts: Of a key: the request that stores and its reply, the request that reads and its reply.
    private static func text(
        _ port: UInt16, isWriting: Bool, _ texts: (String) -> (set: String, stored: String, get: String, found: String)
    ) throws -> () throws -> Void {
        let connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 60_000)
        func exchange(_ requests: String, _ replies: String) throws {
            var input = ByteBuffer()
            let bytes = Array(requests.utf8)
            try connection.send(bytes.span.bytes)
            while input.count < replies.utf8.count { try connection.receive(into: &input) }
            let received = String(utf8: input.bytes)
            #expect(received == replies)
        }
        let all = keys.map(texts)
        let (sets, stored) = (all.map(\.set).joined(), all.map(\.stored).joined())
        let (gets, found) = (all.map(\.get).joined(), all.map(\.found).joined())
        try exchange(sets, stored)
        return { try isWriting ? exchange(sets, stored) : exchange(gets, found) }
    }

    private static func memcached(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        try text(port, isWriting: isWriting) {
            ("set \($0) 0 0 100\r\n\(value)\r\n", "STORED\r\n", "get \($0)\r\n", "VALUE \($0) 0 100\r\n\(value)\r\nEND\r\n")
        }
    }

    private static func resp(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        try text(port, isWriting: isWriting) {
            let key = "$\($0.utf8.count)\r\n\($0)\r\n"
            return (
                "*3\r\n$3\r\nSET\r\n\(key)$100\r\n\(value)\r\n", "+OK\r\n", "*2\r\n$3\r\nGET\r\n\(key)", "$100\r\n\(value)\r\n"
            )
        }
    }

    /// The same for HTTP, whose replies name versions.
    private static func http(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        let client = try HTTPClient(port: port)
        func exchange(isWriting: Bool) throws {
            let requests = keys.map { key in
                isWriting
                    ? "PUT /kv/default/\(key) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n\(value)"
                    : "GET /kv/default/\(key) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            }
            try client.send(raw: Array(requests.joined().utf8))
            for _ in keys {
                let answer = try client.receive()
                #expect(answer.status / 100 == 2 && (isWriting || answer.body.count == 100))
            }
        }
        try exchange(isWriting: true)
        return { try exchange(isWriting: isWriting) }
    }

    /// The same for the binary protocol.
    private static func binary(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        let client = try BinaryClient(port: port)
        let value = [UInt8](repeating: 7, count: 100)
        func exchange(isWriting: Bool) throws {
            for index in 0..<32 {
                let key = Array("key/of/so/long/\(index % 10)".utf8)
                client.queue {
                    if isWriting {
                        BinaryRequest.put(key.span.bytes, value: value.span.bytes, id: $0, into: &$1)
                    } else {
                        BinaryRequest.get(key.span.bytes, id: $0, into: &$1)
                    }
                }
            }
            try client.flush()
            for _ in 0..<32 {
                let status = try client.receive().answer.status
                #expect(status == .ok || isWriting && status == .created)
            }
        }
        try exchange(isWriting: true)
        return { try exchange(isWriting: isWriting) }
    }

    /// What `probe` counts in the worker of a server while it answers so many batches.
    private static func count(
        _ batches: Int, _ connect: (UInt16) throws -> () throws -> Void, _ probe: @escaping Probe
    ) throws -> Int {
        let server = ServerProcess(arguments: ["--workers", "1", "--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        defer { server.stop() }
        let batch = try connect(server.port)
        for _ in 0..<10 { try batch() }

        let thread = try #require(Self.worker(of: server.processID), "no thread is called larder-work-0")
        let counter = Counter()
        let done = DispatchSemaphore(value: 0)
        Thread {
            counter.count = probe(thread, counter.stop, counter.started)
            done.signal()
        }.start()
        while counter.started.pointee == 0, done.wait(timeout: .now() + .milliseconds(1)) == .timedOut {}
        if counter.started.pointee != 0 {
            for _ in 0..<batches { try batch() }
            counter.stop.pointee = 1
            try batch()
            done.wait()
        }
        try #require(counter.count >= 0, "the worker could not be traced")
        return counter.count
    }

    private static func worker(of process: Int32) -> Int32? {
        let folder = "/proc/\(process)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return threads.first { (try? String(contentsOfFile: "\(folder)/\($0)/comm", encoding: .utf8)) == "larder-work-0\n" }.flatMap { Int32($0) }
    }

    private final class Counter: @unchecked Sendable {
        // Unchecked: the words are read and written by two threads as C's are, the count after the other thread has ended.
        let stop: UnsafeMutablePointer<Int32> = .allocate(capacity: 1)
        let started: UnsafeMutablePointer<Int32> = .allocate(capacity: 1)
        var count = -1

        init() {
            stop.pointee = 0
            started.pointee = 0
        }

        deinit {
            stop.deallocate()
            started.deallocate()
        }
    }
}
