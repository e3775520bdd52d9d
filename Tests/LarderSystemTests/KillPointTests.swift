import Foundation
import LarderWire
import TestFigures
import Testing

/// The real server is killed at places in its work that have a name: before a system call, or behind it (docs/testing.md).
@Suite("Kills at named points", .serialized) struct KillPointTests {
    /// How often each point is come to with each durability, in thirds.
    static let rounds = scale("LARDER_KILL_POINT_ROUNDS", 1)
    static let seed = UInt64(scale("LARDER_SEED", 1))
    static let durabilities = ["always", "interval", "never"]

    /// In the order in which the server comes to them.
    static let points = [
        KillPoint("a frame is about to be written", before: "pwritev", of: "/wal-#", when: 3),
        KillPoint("a frame is written, and not synced", before: "fdatasync", of: "/wal-#"),
        KillPoint("a frame is synced, and nobody knows", behind: "fdatasync", of: "/wal-#"),
        KillPoint("a file for a segment is made, and has no room yet", before: "fallocate", of: "/spare-#"),
        KillPoint("a segment is complete, and not synced", before: "fdatasync", of: "/spare-#"),
        KillPoint("a segment is synced, and has no name", before: "renameat", of: "spare-#"),
        KillPoint("a segment has its name, which is not on the medium", behind: "renameat", of: "spare-#"),
        KillPoint("a snapshot is begun", behind: "pwritev", of: "/snap-#.tmp"),
        KillPoint("a snapshot is written, and not synced", before: "fdatasync", of: "/snap-#.tmp"),
        KillPoint("a snapshot is synced, and has no name", before: "renameat", of: "snap-#.tmp"),
        KillPoint("a snapshot has its name, which is not on the medium", behind: "renameat", of: "snap-#.tmp"),
        KillPoint("a manifest is written, and not synced", before: "fdatasync", of: "/MANIFEST.tmp"),
        KillPoint("the manifest before it has a second name", behind: "linkat", of: "MANIFEST"),
        KillPoint("the manifest before it has its name", behind: "renameat", of: "MANIFEST.prev.tmp"),
        KillPoint("a manifest is about to get its name", before: "renameat", of: "MANIFEST.tmp"),
        KillPoint("a manifest has its name, which is not on the medium", behind: "renameat", of: "MANIFEST.tmp"),
        KillPoint("a manifest is on the medium, and nothing of what it no longer names is gone", before: "unlinkat", of: "wal-#", "snap-#"),
        KillPoint("a snapshot is gone that no manifest names", behind: "unlinkat", of: "snap-#"),
        KillPoint("a segment is gone that no manifest names", behind: "unlinkat", of: "wal-#"),
    ]

    @Test(.enabled(if: CallTrace.isAvailable), arguments: durabilities)
    func `a server that is killed at a named point has lost nothing`(durability: String) throws {
        let began = ContinuousClock.now
        let place = try #require(Self.durabilities.firstIndex(of: durability))
        var random = SeededRandom(Self.seed)
        let server = ServerProcess(
            arguments: ["--durability", durability, "--snapshot-log-bytes", "1MiB", "--snapshot-bytes-per-second", "0"])
        defer { server.removeDirectory() }
        var total = RecordedLoad.Judgement()
        var kills = 0
        for round in 0..<Self.rounds {
            for (index, point) in Self.points.enumerated() where (index + round + place) % 3 == 0 {
                try server.start()
                let load = try RecordedLoad(server, in: server.directory, dialect: index % 2 == 0 ? "binary" : "http", seed: random.next())
                load.wait(for: 100)
                let trace = try CallTrace.attach(point, to: server, output: "\(server.directory)/trace")
                // Three, so that the log before them goes. The load alone may have brought the server to the point, and then there is
                // nobody to ask.
                let asker = try? BinaryClient(port: server.port)
                for _ in 0..<3 { asker?.queue { BinaryRequest.snapshot(id: $0, into: &$1) } }
                try? asker?.flush()
                load.wait(for: .max) { trace.hasReachedPoint }
                #expect(trace.hasReachedPoint, "\(point.name): it did not come there")
                server.send(SIGKILL)
                trace.end()
                server.kill()
                load.finish()
                kills += 1
                try server.start()
                let judgement = try load.check(on: server)
                #expect(judgement.lost == 0 && judgement.wrong == 0, "\(point.name), round \(round): \(judgement.named)")
                #expect(judgement.reads > 50)
                total += judgement
                server.kill()
            }
        }
        Figure(
            "kills at named points, `\(durability)`: \(Figure.grouped(total.reads)) keys read", kills, "kills", lost: total.lost,
            wrong: total.wrong, seeds: Self.seed...Self.seed
        ).record("50-kill-points-\(durability)", since: began)
    }

    /// A tail that was torn is kept under the time at which it was set aside.
    @Test func `a time in a file's name was taken for a file's number, of which there were a million million`() throws {
        let server = ServerProcess()
        defer { server.removeDirectory() }
        try FileManager.default.createDirectory(atPath: server.dataDirectory, withIntermediateDirectories: true)
        for name in ["aside-1795000000000-wal-0000000001", "wal-0000000002"] {
            #expect(FileManager.default.createFile(atPath: "\(server.dataDirectory)/\(name)", contents: nil))
        }
        let wrapper = CallTrace.wrapper(Self.points[1], server, output: "trace")
        #expect(wrapper.filter { $0.hasPrefix("\(server.dataDirectory)/wal-") }.count == 18)
        #expect(wrapper.last == "\(server.dataDirectory)/wal-0000000018")
    }
}
