import Foundation
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderServer
import LarderSimulation
import Testing

/// What monitors are told.
@Suite("Status report") struct StatusReportTests {
    private struct Series: Equatable {
        var kind: String
        var value: Int64
    }

    /// Reads Prometheus' text format, version 0.0.4, as far as it is used here: no labels, no timestamps.
    private func parse(_ text: String) throws -> [String: Series] {
        #expect(text.hasSuffix("\n"))
        var all: [String: Series] = [:]
        var help = ""
        var type: (name: String, kind: String) = ("", "")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            if line.hasPrefix("# HELP ") {
                help = words[2]
                #expect(words.count > 3, "\(line)")
                #expect(!line.contains("\\"), "\(line)")
            } else if line.hasPrefix("# TYPE ") {
                #expect(words.count == 4, "\(line)")
                #expect(words[2] == help, "\(line)")
                type = (words[2], words[3])
            } else {
                try #require(words.count == 2, "\(line)")
                #expect(words[0] == type.name, "no TYPE before \(line)")
                #expect(words[0].wholeMatch(of: /[a-z][a-z0-9_]*/) != nil, "\(line)")
                #expect(all[words[0]] == nil, "twice: \(line)")
                #expect(["counter", "gauge"].contains(type.kind), "\(line)")
                #expect((type.kind == "counter") == words[0].hasSuffix("_total"), "\(line)")
                all[words[0]] = Series(kind: type.kind, value: try #require(Int64(words[1]), "\(line)"))
            }
        }
        return all
    }

    private func text(_ rig: Rig, _ form: StatusReport.Form = .prometheus) -> String {
        var output = ByteBuffer()
        rig.server.report.write(form, now: rig.now, into: &output)
        return output.taken().text
    }

    /// A server with a log that is open.
    private func open() throws -> (Rig, MemoryLog, DurableStore) {
        let memory = MemoryLog()
        var opened: DurableStore?
        let rig = try Rig { store, buffer in
            let durable = try DurableStore(
                directory: MemoryFileSystem(), clock: ManualClock(wall: Rig.start), state: StoredState(store), buffer: buffer,
                log: memory)
            _ = try durable.recover()
            opened = durable
            let log = DurableLog(durable, buffer: buffer)
            log.open {}
            return log
        }
        return (rig, memory, try #require(opened))
    }

    @Test func `is Prometheus text, with every series described and none twice`() throws {
        let (rig, _, _) = try open()
        let all = try parse(text(rig))
        #expect(all.count > 25)
        #expect(all.keys.allSatisfy { $0.hasPrefix("larder_") })
        #expect(all["larder_ready"]?.value == 1)
        #expect(all["larder_log_working"]?.value == 1)
    }

    @Test func `every series stands in the manual`() throws {
        let (rig, _, _) = try open()
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let manual = try String(contentsOf: root.appending(path: "docs/operations.md"), encoding: .utf8)
        for name in try parse(text(rig)).keys {
            // In full, or by what tells it from the one before it in the same row.
            let words = name.split(separator: "_").map(String.init)
            let ends = (1..<words.count).flatMap { first in
                ["`_\(words[first...].joined(separator: "_"))`"] + (first..<words.count).map { "`_\(words[first...$0].joined(separator: "_"))_`" }
            }
            #expect(manual.contains("`\(name)`") || ends.contains { manual.contains($0) }, "\(name)")
        }
    }

    @Test func `says the same in plain lines`() throws {
        let (rig, _, _) = try open()
        let comments = text(rig).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ")[0] }
        let plain = text(rig, .plain).split(separator: "\n").map { $0.split(separator: " ")[0] }
        #expect(plain == comments)
    }

    @Test func `counts what was asked, and where the log stands`() throws {
        let (rig, memory, durable) = try open()
        let client = Client(rig)
        _ = client.send(Ask.hello())
        memory.hold(writes: false, syncs: true)
        let before = try parse(text(rig))
        _ = client.send(Ask.put("a", "1") + Ask.get("none"))
        rig.server.log.endTurn(wantsSync: false)
        let after = try parse(text(rig))
        func grown(_ name: String) -> Int64? { after[name].map { $0.value - (before[name]?.value ?? 0) } }
        #expect(grown("larder_requests_put_total") == 1)
        #expect(grown("larder_requests_get_total") == 1)
        #expect(grown("larder_misses_total") == 1)
        #expect(grown("larder_keys") == 1)
        #expect(after["larder_log_applied_lsn"]?.value == Int64(rig.buffer.appliedLSN.rawValue))
        #expect(after["larder_log_written_lsn"]?.value == Int64(memory.writtenLSN.rawValue))
        #expect(after["larder_log_durable_lsn"]?.value == Int64(memory.durableLSN.rawValue))
        #expect(memory.durableLSN < memory.writtenLSN)
        #expect((grown("larder_log_bytes_total") ?? 0) > 0)
        memory.hold(writes: false, syncs: false)
        try durable.snapshotNow()
        let last = try parse(text(rig))
        #expect(last["larder_snapshots_total"]?.value == 1)
        #expect(last["larder_snapshot_entries"]?.value == 1)
        #expect(last["larder_snapshot_bytes"].map { $0.value > 0 } == true)
    }

    @Test func `shows a log that failed`() throws {
        let (rig, memory, _) = try open()
        memory.refuse(.failed, because: SystemError(number: SystemError.inputOutput, call: "fdatasync"))
        #expect(try parse(text(rig))["larder_log_working"]?.value == 0)
    }
}
