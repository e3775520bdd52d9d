import CTestProbe
import Foundation
import LarderWire
import Testing

/// What a batch costs in system calls: one to learn of it, one to receive, one to send. Counted in the real program, from outside.
@Suite("System calls", .serialized) struct SystemCallTests {
    @Test(arguments: [false, true]) func `a batch of requests takes three system calls`(_ isWriting: Bool) throws {
        let server = ServerProcess(arguments: ["--workers", "1", "--durability", "off"])
        defer { server.removeDirectory() }
        try server.start()
        defer { server.stop() }
        let client = try BinaryClient(port: server.port)
        let value = [UInt8](repeating: 7, count: 100)
        func batch() throws {
            for index in 0..<32 {
                let key = Array("key/\(index)".utf8)
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
        for _ in 0..<10 { try batch() }

        let thread = try #require(Self.worker(of: server.processID), "no thread is called larder-work-0")
        let counter = Counter()
        let done = DispatchSemaphore(value: 0)
        Thread {
            counter.count = probe_system_calls(thread, counter.stop, counter.started)
            done.signal()
        }.start()
        while counter.started.pointee == 0, done.wait(timeout: .now() + .milliseconds(1)) == .timedOut {}
        let batches = 200
        if counter.started.pointee != 0 {
            for _ in 0..<batches { try batch() }
            counter.stop.pointee = 1
            try batch()
            done.wait()
        }
        try #require(counter.count >= 0, "the worker could not be traced")
        // It also wakes up once a second for nothing.
        #expect(counter.count <= batches * 3 + 20, "\(counter.count) system calls for \(batches) batches")
        #expect(counter.count >= batches * 3 - 3, "\(counter.count) system calls for \(batches) batches")
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
