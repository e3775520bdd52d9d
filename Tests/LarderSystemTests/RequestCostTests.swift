import CTestProbe
import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import Testing

/// What a batch of requests costs a worker, in figures that do not depend on how busy the machine is. Counted in the real
/// program, from outside.
@Suite("Cost of requests", .serialized) struct RequestCostTests {
    /// One to learn of it, one to receive, one to send.
    @Test(arguments: [false, true]) func `a batch of requests takes three system calls`(_ isWriting: Bool) throws {
        let batches = 200
        let count = try Self.count(batches, { try Self.binary($0, isWriting: isWriting) }, probe_system_calls)
        // It also wakes up once a second for nothing.
        #expect(count <= batches * 3 + 20, "\(count) system calls for \(batches) batches")
        #expect(count >= batches * 3 - 3, "\(count) system calls for \(batches) batches")
    }

    #if arch(x86_64)
    /// From the reading of the socket to the reply: the worker's own instructions, not the kernel's.
    @Test(arguments: [(false, 1_350), (true, 2_400)]) func `a request takes so many instructions`(_ isWriting: Bool, most: Int) throws {
        let batches = 2
        let count = try Self.count(batches, { try Self.binary($0, isWriting: isWriting) }, probe_instructions)
        let each = count / (batches * 32)
        #expect(each <= most && each > 200, "\(each) instructions a request")
        if ProcessInfo.processInfo.environment["LARDER_MEASURE"] == "1" { print("\(isWriting ? "put" : "get"): \(each) instructions") }
    }

    /// The same for memcached's dialect, whose gets find their keys.
    @Test(arguments: [(false, 1_750), (true, 2_800)])
    func `a request of memcached takes so many instructions`(_ isWriting: Bool, most: Int) throws {
        let batches = 2
        let count = try Self.count(batches, { try Self.memcached($0, isWriting: isWriting) }, probe_instructions)
        let each = count / (batches * 32)
        #expect(each <= most && each > 200, "\(each) instructions a request")
        if ProcessInfo.processInfo.environment["LARDER_MEASURE"] == "1" { print("memcached \(isWriting ? "set" : "get"): \(each) instructions") }
    }

    /// The same for RESP, whose gets find nothing either.
    @Test(arguments: [(false, 1_400), (true, 2_550)])
    func `a request of RESP takes so many instructions`(_ isWriting: Bool, most: Int) throws {
        let batches = 2
        let count = try Self.count(batches, { try Self.resp($0, isWriting: isWriting) }, probe_instructions)
        let each = count / (batches * 32)
        #expect(each <= most && each > 200, "\(each) instructions a request")
        if ProcessInfo.processInfo.environment["LARDER_MEASURE"] == "1" { print("RESP \(isWriting ? "SET" : "GET"): \(each) instructions") }
    }
    #endif

    private typealias Probe = @convention(c) (pid_t, UnsafePointer<Int32>?, UnsafeMutablePointer<Int32>?) -> Int

    /// A client of memcached's dialect; a call sends a batch of 32 requests and receives the replies.
    private static func memcached(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        var connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 60_000)
        let keys = (0..<32).map { "key/of/so/long/\($0 % 10)" }
        let value = String(repeating: "v", count: 100)
        let sets = Array(keys.map { "set \($0) 0 0 100\r\n\(value)\r\n" }.joined().utf8)
        let gets = Array(keys.map { "get \($0)\r\n" }.joined().utf8)
        func exchange(_ requests: [UInt8], _ replies: String) throws {
            var input = ByteBuffer()
            try connection.send(requests.span.bytes)
            while input.count < replies.utf8.count { try connection.receive(into: &input) }
            let received = String(utf8: input.bytes)
            #expect(received == replies)
        }
        let stored = String(repeating: "STORED\r\n", count: 32)
        let found = keys.map { "VALUE \($0) 0 100\r\n\(value)\r\nEND\r\n" }.joined()
        try exchange(sets, stored)
        return { try isWriting ? exchange(sets, stored) : exchange(gets, found) }
    }

    /// The same for RESP.
    private static func resp(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        var connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 60_000)
        let value = String(repeating: "v", count: 100)
        let requests = (0..<32).map { index in
            let key = "key/of/so/long/\(index % 10)"
            return isWriting
                ? "*3\r\n$3\r\nSET\r\n$\(key.utf8.count)\r\n\(key)\r\n$100\r\n\(value)\r\n"
                : "*2\r\n$3\r\nGET\r\n$\(key.utf8.count)\r\n\(key)\r\n"
        }
        let sent = Array(requests.joined().utf8)
        let replies = String(repeating: isWriting ? "+OK\r\n" : "$-1\r\n", count: 32)
        return {
            var input = ByteBuffer()
            try connection.send(sent.span.bytes)
            while input.count < replies.utf8.count { try connection.receive(into: &input) }
            let received = String(utf8: input.bytes)
            #expect(received == replies)
        }
    }

    /// The same for the binary protocol.
    private static func binary(_ port: UInt16, isWriting: Bool) throws -> () throws -> Void {
        let client = try BinaryClient(port: port)
        let value = [UInt8](repeating: 7, count: 100)
        return {
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
            for _ in 0..<32 { _ = try client.receive() }
        }
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
