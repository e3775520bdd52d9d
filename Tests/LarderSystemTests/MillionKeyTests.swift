import Foundation
import LarderBytes
import LarderPlatform
import LarderWire
import Testing

/// A million keys through the real program.
@Suite("A million keys", .serialized) struct MillionKeyTests {
    static let count = 1_000_000

    @Test func `are written, snapshotted, killed, recovered and listed in order`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try server.start()
        var clock = Stopwatch()
        let client = try BinaryClient(port: server.port)
        try Self.write(client, count: Self.count) { $0 % 2 == 0 ? .unlimited : .milliseconds(3_600_000) }
        clock.lap("written, half with a lifetime, durability always")

        let asked = try client.call { BinaryRequest.snapshot(id: $0, into: &$1) }
        #expect(asked.status == .ok)
        clock.lap("snapshotted")

        server.kill()
        clock.reset()
        try server.start()
        clock.lap("killed, recovered")

        let reader = try BinaryClient(port: server.port)
        var cursor: [UInt8] = []
        var seen = 0
        repeat {
            let answer = try reader.call { BinaryRequest.list(cursor: cursor.span.bytes, id: $0, into: &$1) }
            try #require(answer.status == .ok)
            let page = try ListPage(answer.value)
            for key in page.keys {
                if key != Self.key(seen) { try #require(Bool(false), "key \(seen) is \(String(decoding: key, as: UTF8.self))") }
                seen += 1
            }
            cursor = page.cursor
        } while !cursor.isEmpty
        #expect(seen == Self.count)
        clock.lap("listed in order, 1,000 keys a page")

        try Self.readAll(reader, count: Self.count)
        clock.lap("read back")
        print("a million keys of 16 bytes with 32-byte values:\n" + clock.report)
    }

    @Test func `that fall due in the same second are gone at that second, and so is their memory 2 s later`() throws {
        let server = ServerProcess(arguments: ["--durability", "never"])
        defer { server.removeDirectory() }
        try server.start()
        let http = try HTTPClient(port: server.port)
        let client = try BinaryClient(port: server.port)
        for index in 0..<1_000 { #expect(try client.put("stay/\(index)", Array("here \(index)".utf8)).status == .created) }
        let before = try Self.metric("larder_memory_used_bytes", http)

        // All deadlines lie within one second that begins well after the last write. How long a million writes take depends on
        // the machine and on what else it does: a second that came too early is followed by a later one.
        var second: Milliseconds = 0
        for seconds in [12, 60, 300] as [Milliseconds] {
            second = (SystemClock().wall() / 1_000 + seconds) * 1_000
            let inTime = try Self.write(client, count: Self.count) { index in
                let lifetime = second + Int64(index % 1_000) - SystemClock().wall()
                return lifetime > 500 ? .milliseconds(lifetime) : nil
            }
            if inTime { break }
        }
        try #require(SystemClock().wall() < second, "the machine was too slow to write a million keys in five minutes")
        let full = try Self.metric("larder_memory_used_bytes", http)
        #expect(full > before + Double(Self.count * 48))

        // Reads of other keys go on all the while.
        let port = server.port
        let failures = LogLines()
        let stop = StopFlag()
        let done = DispatchSemaphore(value: 0)
        Thread {
            if let reader = try? BinaryClient(port: port) {
                var index = 0
                while !stop.isSet {
                    let answer = try? reader.get("stay/\(index % 1_000)")
                    if answer?.value != Array("here \(index % 1_000)".utf8) { failures.append(Data("stay/\(index % 1_000)\n".utf8)) }
                    index += 1
                }
            }
            done.signal()
        }.start()

        Self.wait(until: second + 1_000)
        for index in stride(from: 0, to: Self.count, by: 997) {
            let key = Self.key(index)
            let answer = try client.call { BinaryRequest.get(key.span.bytes, id: $0, into: &$1) }
            #expect(answer.status == .notFound, "key \(index) is alive after its second")
        }
        var used = full
        while SystemClock().wall() < second + 3_000 {
            used = try Self.metric("larder_memory_used_bytes", http)
            if used < before + (full - before) / 50 { break }
            usleep(20_000)
        }
        let back = SystemClock().wall() - second - 1_000
        stop.set()
        done.wait()
        #expect(used < before + (full - before) / 50, "\(Int(used)) bytes are still used, \(Int(full)) were, \(Int(before)) at first")
        #expect(failures.text.isEmpty, "reads of other keys failed")
        print("a million keys due in one second: memory from \(Int(full)) to \(Int(used)) bytes, \(back) ms after that second")
    }

    // MARK: Parts

    static func key(_ index: Int) -> [UInt8] {
        let digits = String(index)
        return Array("key/\(String(repeating: "0", count: 12 - digits.count))\(digits)".utf8)
    }

    static func value(_ index: Int) -> [UInt8] {
        let digits = String(index)
        return Array((digits + String(repeating: "v", count: 32 - digits.count)).utf8)
    }

    /// Writes with 512 requests in flight.
    ///
    /// - Returns: false when `lifetime` had none for a key; what was asked before that is written.
    @discardableResult
    static func write(_ client: BinaryClient, count: Int, lifetime: (Int) -> Lifetime?) throws -> Bool {
        var index = 0
        while index < count {
            let end = min(index + 512, count)
            let lifetimes = (index..<end).map(lifetime)
            if lifetimes.contains(where: { $0 == nil }) { return false }
            for (number, lifetime) in zip(index..<end, lifetimes) {
                let key = key(number)
                let value = value(number)
                client.queue {
                    BinaryRequest.put(key.span.bytes, value: value.span.bytes, lifetime: lifetime ?? .unlimited, id: $0, into: &$1)
                }
            }
            try client.flush()
            for _ in index..<end {
                let status = try client.receive().answer.status
                if status != .created && status != .ok { try #require(Bool(false), "a write was answered with \(status)") }
            }
            index = end
        }
        return true
    }

    static func readAll(_ client: BinaryClient, count: Int) throws {
        var index = 0
        while index < count {
            let end = min(index + 512, count)
            for number in index..<end {
                let key = key(number)
                client.queue { BinaryRequest.get(key.span.bytes, id: $0, into: &$1) }
            }
            try client.flush()
            for number in index..<end {
                let answer = try client.receive().answer
                if answer.value != value(number) { try #require(Bool(false), "key \(number) reads \(answer.status)") }
            }
            index = end
        }
    }

    static func metric(_ name: String, _ http: HTTPClient) throws -> Double {
        let text = try http.call("GET", "/metrics").text
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") }, "no metric \(name)")
        return Double(line.split(separator: " ")[1]) ?? -1
    }

    /// Waits for a moment of the wall clock: the server under test is another process with the machine's own clock.
    static func wait(until time: Int64) {
        while SystemClock().wall() < time { usleep(1_000) }
    }
}

/// The items of a listing reply.
struct ListPage {
    var keys: [[UInt8]] = []
    var cursor: [UInt8] = []

    init(_ payload: [UInt8]) throws {
        var buffer = ByteBuffer()
        buffer.append(payload.span.bytes)
        var frame = BinaryReplyFrame()
        frame.payload = ByteRange(start: 0, count: buffer.count)
        var reader = try BinaryListPage(frame, withValues: false, in: buffer)
        while let item = try reader.next(in: buffer) { keys.append(Array(buffer.span(item.key))) }
        cursor = Array(buffer.span(reader.cursor))
    }
}

final class StopFlag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    var isSet: Bool { lock.withLock { value } }
    func set() { lock.withLock { value = true } }
}

struct Stopwatch {
    private var last = SystemClock().elapsed()
    private(set) var report = ""
    mutating func reset() { last = SystemClock().elapsed() }
    mutating func lap(_ name: String) {
        let now = SystemClock().elapsed()
        report += "  \(name): \((now - last) / 1_000_000) ms\n"
        last = now
    }
}
