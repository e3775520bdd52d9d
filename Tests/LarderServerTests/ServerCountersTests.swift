import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization
import Testing

@testable import LarderServer

/// What INFO and `stats` count, and how it begins anew.
@Suite("Server counters") struct ServerCountersTests {
    let rig: Rig
    let resp: Client
    let memcached: Client

    init() throws {
        var configuration = ServerConfiguration()
        configuration.databases = ["cache"]
        rig = Rig(configuration)
        rig.createNamespace("cache", .off, eviction: .s3fifo, bytesMax: 1 << 20)
        (resp, memcached) = (Client(rig), Client(rig))
        rig.server.connectionsAccepted.add(3, ordering: .relaxed)
        rig.server.connectionsRefused.add(2, ordering: .relaxed)
        rig.metrics.receivedBytes.add(100)
        rig.metrics.sentBytes.add(200)
        rig.metrics.timeouts.add(1)
        for line in ["SET k v PX 10", "GET k", "GET none", "GET bad:key", "SELECT 1"] { _ = try resp.ask(line) }
        for number in 0..<300 { resp.send(Say.command(["SET", "k\(number)", String(repeating: "v", count: 10_000)])) }
        rig.now += 1_000
        while rig.store.maintain(now: rig.now, budget: 10_000).hasMore {}
    }

    private static let counted = [
        "total_connections_received", "rejected_connections", "total_commands_processed", "keyspace_hits", "keyspace_misses",
        "total_error_replies", "total_net_input_bytes", "total_net_output_bytes", "expired_keys", "evicted_keys",
    ]
    private static let told = [
        "total_connections", "rejected_connections", "cmd_get", "cmd_set", "get_hits", "get_misses", "bytes_read", "bytes_written",
        "idle_kicks", "total_items", "reclaimed", "evictions",
    ]

    /// INFO's counters, and those of `stats`.
    private func counters() throws -> (info: [String: Int], stats: [String: Int]) {
        let info = try #require(try resp.ask("INFO stats").string).split(separator: "\r\n").map { $0.split(separator: ":").map(String.init) }
        let stats = memcached.send("stats\r\n").text.split(separator: "\r\n").map { $0.split(separator: " ").dropFirst().map(String.init) }
        func numbers(_ lines: [[String]], _ names: [String]) -> [String: Int] {
            Dictionary(lines.filter { $0.count == 2 && names.contains($0[0]) }.map { ($0[0], Int($0[1]) ?? -1) }) { $1 }
        }
        return (numbers(info, Self.counted), numbers(stats, Self.told))
    }

    private func expectNothingCounted() throws {
        let (info, stats) = try counters()
        #expect(info.filter { $0.value != 0 } == ["total_commands_processed": 1], "this INFO")
        #expect(stats.allSatisfy { $0.value == 0 }, "\(stats)")
    }

    /// The page of the counters that only grow.
    private func page() -> [String] {
        var page = ByteBuffer()
        rig.server.report.write(.plain, now: rig.now, into: &page)
        return page.taken().text.split(separator: "\n").map(String.init).filter { line in
            ["hits", "misses", "refusals", "received_bytes", "sent_bytes", "timeouts", "connections_accepted", "connections_refused", "expired", "evicted"]
                .contains { line.hasPrefix("larder_\($0)_total ") }
        }
    }

    @Test func `the counters count`() throws {
        let (info, stats) = try counters()
        #expect(info.count == Self.counted.count && info.allSatisfy { $0.value > 0 }, "\(info)")
        #expect(stats.count == Self.told.count && stats.allSatisfy { $0.value > 0 }, "\(stats)")
        #expect(page().count == 10)
    }

    @Test func `CONFIG RESETSTAT had only commands counted from 0`() throws {
        #expect(try resp.ask("CONFIG RESETSTAT") == .simple("OK"))
        try expectNothingCounted()
        _ = try resp.ask("GET none")
        let (info, stats) = try counters()
        #expect(info["keyspace_misses"] == 1 && stats["get_misses"] == 1)
    }

    @Test func `stats reset does the same, and the figures for monitors go on`() throws {
        let before = page()
        #expect(memcached.send("stats reset\r\n").text == "RESET\r\n")
        try expectNothingCounted()
        #expect(page() == before)
        #expect(memcached.send("stats\r\n").text.contains("STAT curr_items 0\r\n"), "what is there is not counted but there")
    }
}
