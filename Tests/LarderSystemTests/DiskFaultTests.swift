import Foundation
import LarderWire
import TestFigures
import Testing

/// System calls of the real server fail. Nothing acknowledged is lost, nothing wrong is told, and the server says what happened
/// (docs/reliability.md).
@Suite("Disk faults", .serialized) struct DiskFaultTests {
    static let rounds = scale("LARDER_FAULT_ROUNDS", 1)
    static let seed = UInt64(scale("LARDER_SEED", 1))

    /// What happens to a server that is at work, and what it has to say then; nil: nothing that a person needs to know.
    /// `heals`: the fault passes, so the log goes on without a restart.
    private static let atWork: [(fault: CallFault, says: String?, heals: Bool)] = [
        (CallFault("fdatasync", "EIO", "1"), "log is failed: fdatasync", true),
        (CallFault("fdatasync", "EIO", "7"), "log is failed: fdatasync", true),
        (CallFault("fdatasync", "ENOSPC", "3"), "log is failed: fdatasync", true),
        (CallFault("fdatasync", "EDQUOT", "3"), "log is failed: fdatasync", true),
        (CallFault("fdatasync", "EINTR", "2..6"), nil, false),
        (CallFault("fdatasync,fsync", "EIO", "40+"), "log is failed: fdatasync", false),
        (CallFault("pwritev", "EIO", "1"), "log is failed: pwritev", true),
        (CallFault("pwritev", "EIO", "20"), "log is failed: pwritev", true),
        (CallFault("pwritev", "EROFS", "5+"), "log is failed: pwritev", false),
        (CallFault("pwritev", "ENOSPC", "4"), nil, false),
        (CallFault("pwritev", "ENOSPC", "10..12"), nil, false),
        (CallFault("pwritev", "EDQUOT", "8"), nil, false),
        (CallFault("pwritev", "EINTR", "3..30"), nil, false),
        (CallFault("fallocate", "ENOSPC", "1"), nil, false),
        (CallFault("fallocate", "EIO", "1"), nil, false),
        (CallFault("openat", "EIO", "1", isAboutNames: true), nil, false),
        (CallFault("openat", "EIO", "2", isAboutNames: true), nil, false),
        (CallFault("openat", "ENOSPC", "3", isAboutNames: true), nil, false),
        (CallFault("openat", "EMFILE", "1..3", isAboutNames: true), nil, false),
        (CallFault("renameat", "EIO", "1", isAboutNames: true), nil, false),
        (CallFault("renameat", "EIO", "2", isAboutNames: true), nil, false),
        (CallFault("renameat", "ENOSPC", "3", isAboutNames: true), nil, false),
        (CallFault("linkat", "EIO", "1", isAboutNames: true), nil, false),
        (CallFault("unlinkat", "EIO", "1..3", isAboutNames: true), nil, false),
        (CallFault("fsync", "EIO", "1", isAboutNames: true), nil, false),
        (CallFault("fsync", "EIO", "2", isAboutNames: true), nil, false),
    ]

    /// What happens to a start.
    private static let atStart: [CallFault] = [
        CallFault("openat", "EIO", "1", isAboutNames: true), CallFault("openat", "EMFILE", "4", isAboutNames: true),
        CallFault("openat", "EIO", "7", isAboutNames: true), CallFault("openat", "ENOSPC", "12..14", isAboutNames: true),
        CallFault("fdatasync", "EIO", "1"), CallFault("fdatasync", "EIO", "2"), CallFault("fdatasync", "ENOSPC", "3"),
        CallFault("fdatasync", "EINTR", "1..9"), CallFault("pwritev", "EIO", "1"), CallFault("pwritev", "ENOSPC", "2"),
        CallFault("pwritev", "EINTR", "1..9"), CallFault("fallocate", "ENOSPC", "1"), CallFault("renameat", "EIO", "1", isAboutNames: true),
        CallFault("renameat", "EROFS", "2", isAboutNames: true), CallFault("linkat", "EIO", "1", isAboutNames: true),
        CallFault("unlinkat", "EIO", "1..9", isAboutNames: true), CallFault("fsync", "EIO", "1", isAboutNames: true),
        CallFault("fsync", "EIO", "2", isAboutNames: true),
    ]

    /// Small limits, so that segments change and snapshots are taken all the time.
    private func server() -> ServerProcess {
        ServerProcess(arguments: ["--durability", "always", "--snapshot-log-bytes", "1MiB", "--snapshot-bytes-per-second", "0"])
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a call that fails while the server is at work loses nothing, and the server says so`() throws {
        let began = ContinuousClock.now
        var random = SeededRandom(Self.seed)
        let server = server()
        defer { server.removeDirectory() }
        var total = RecordedLoad.Judgement()
        var (injected, healed) = (0, 0)
        for round in 0..<Self.rounds {
            for (index, (fault, says, heals)) in Self.atWork.enumerated() {
                try server.start()
                let load = try RecordedLoad(server, in: server.directory, dialect: index % 2 == 0 ? "binary" : "http", seed: random.next())
                load.wait(for: 100)
                let trace = try CallTrace.attach(fault, to: server, output: "\(server.directory)/trace")
                load.wait(for: .max) { trace.injected > 0 }
                #expect(trace.injected > 0, "\(fault.testDescription) did not happen")
                if let says {
                    #expect(server.waitForLog(says, seconds: 20), "\(fault.testDescription): \(server.logText)")
                    #expect(server.logText.contains(fault.words), "\(fault.testDescription): \(server.logText)")
                    if heals {
                        #expect(server.waitForLog("log has healed", seconds: 60), "\(fault.testDescription): \(server.logText)")
                        let before = load.acknowledged
                        load.wait(for: before + 300)
                        #expect(load.acknowledged >= before + 300, "\(fault.testDescription): writes are not taken again")
                        healed += 1
                    }
                } else {
                    // It goes on, or has said why not.
                    load.wait(for: load.acknowledged + 2_000) { server.logText.contains(fault.words) }
                }
                injected += trace.injected
                server.kill()
                load.finish()
                trace.finish()
                try server.start()
                let judgement = try load.check(on: server)
                #expect(judgement.lost == 0 && judgement.wrong == 0, "\(fault.testDescription), round \(round): \(judgement.named)")
                total += judgement
                server.kill()
            }
        }
        Figure(
            "calls that fail at work: \(Figure.grouped(injected)) faults, \(healed) logs healed, \(Figure.grouped(total.reads)) keys read",
            Self.rounds * Self.atWork.count, "runs", lost: total.lost, wrong: total.wrong, seeds: Self.seed...Self.seed
        ).record("61-faults-at-work", since: began)
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a server that is to end when its log fails ends with a reason and a status of its own, and has lost nothing`() throws {
        let server = ServerProcess(arguments: ["--on-log-failure", "exit"])
        defer { server.removeDirectory() }
        try server.start()
        let load = try RecordedLoad(server, in: server.directory, seed: Self.seed)
        load.wait(for: 100)
        let trace = try CallTrace.attach(CallFault("fdatasync", "EIO", "2"), to: server, output: "\(server.directory)/trace")
        #expect(server.waitForEnd() == 74)
        let last = try #require(server.logText.split(separator: "\n").last)
        #expect(last.contains("log is failed: fdatasync: Input/output error") && last.contains("on-log-failure"), "\(last)")
        load.finish()
        trace.finish()
        try server.start()
        let judgement = try load.check(on: server)
        #expect(judgement.lost == 0 && judgement.wrong == 0, "\(judgement.named)")
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit")))
    func `a limit on the size of files ended the server without a word`() throws {
        let server = ServerProcess(arguments: ["--durability", "always"])
        defer { server.removeDirectory() }
        server.wrapper = ["/usr/bin/prlimit", "--fsize=30000000"]
        let log = try server.startLoading()
        #expect(log.wait(for: "spare-0000000001: fallocate: File too large (errno 27); the process may make no file", seconds: 60) != nil)
        #expect(server.waitForEnd() == 1)
        server.wrapper = []
        try server.start()
        run("prlimit", "--pid=\(server.processID)", "--fsize=20000:unlimited")
        let http = try HTTPClient(port: server.port)
        var taken = 0
        while taken < 100, try http.call("PUT", "/kv/default/v\(taken)", body: [UInt8](repeating: 1, count: 1_000)).status == 201 { taken += 1 }
        #expect(taken > 0 && taken < 20)
        #expect(server.waitForLog("log is failed: pwritev: File too large", seconds: 60), "\(server.logText)")
        #expect(try http.call("GET", "/kv/default/v0").status == 200)
        #expect(try http.call("PUT", "/kv/default/refused", body: [1]).status == 503)
        run("prlimit", "--pid=\(server.processID)", "--fsize=unlimited")
        #expect(server.waitForLog("log has healed", seconds: 60), "\(server.logText)")
        #expect(try http.call("PUT", "/kv/default/after", body: [2]).status == 201)
        server.kill()
        try server.start()
        let next = try HTTPClient(port: server.port)
        #expect(try next.call("GET", "/kv/default/after").body == [2])
        for key in 0..<taken { #expect(try next.call("GET", "/kv/default/v\(key)").status == 200) }
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a call that fails during a start either matters to nobody or ends the start with a reason, and the next one has everything`() throws {
        let began = ContinuousClock.now
        var random = SeededRandom(Self.seed)
        let server = server()
        defer { server.removeDirectory() }
        var total = RecordedLoad.Judgement()
        var (injected, ended) = (0, 0)
        for _ in 0..<Self.rounds {
            for fault in Self.atStart {
                try server.start()
                let load = try RecordedLoad(server, in: server.directory, seed: random.next())
                load.wait(for: 3_000)
                server.kill()
                load.finish()
                let (wrapper, trace) = CallTrace.wrapper(fault, server, output: "\(server.directory)/trace")
                server.wrapper = wrapper
                do {
                    try server.start()
                } catch let refusal as ServerProcess.DidNotStart {
                    ended += 1
                    #expect(refusal.description.contains(fault.words), "\(fault.testDescription): \(refusal)")
                }
                server.kill()
                injected += trace.injected
                #expect(trace.injected > 0, "\(fault.testDescription) did not happen")
                server.wrapper = []
                try server.start()
                let judgement = try load.check(on: server)
                #expect(judgement.lost == 0 && judgement.wrong == 0, "\(fault.testDescription): \(judgement.named)")
                total += judgement
                server.kill()
            }
        }
        #expect(ended > 0)
        Figure(
            "calls that fail during a start: \(Figure.grouped(injected)) faults, \(ended) starts ended, \(Figure.grouped(total.reads)) keys read",
            Self.rounds * Self.atStart.count, "runs", lost: total.lost, wrong: total.wrong, seeds: Self.seed...Self.seed
        ).record("62-faults-at-start", since: began)
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a start on a full disk was refused when a setting of the default namespace had changed`() throws {
        let before = ServerProcess(arguments: ["--durability", "always"])
        defer { before.removeDirectory() }
        try before.start()
        #expect(try BinaryClient(port: before.port).put("k", [1]).status == .created)
        #expect(before.stop() == 0)
        let server = ServerProcess(directory: before.directory, arguments: ["--durability", "interval"])
        // There is no room for a segment, but for a small one when the ballast is gone.
        let (wrapper, trace) = CallTrace.wrapper(CallFault("fallocate", "ENOSPC", "1+2"), server, output: "\(server.directory)/trace")
        server.wrapper = wrapper
        try server.start()
        #expect(trace.injected > 0)
        #expect(server.logText.contains("of the default namespace stay always and 0: log is low on room"), "\(server.logText)")
        #expect(try BinaryClient(port: server.port).get("k").value == [1])
        server.kill()
        server.wrapper = []
        try server.start()
        #expect(!server.logText.contains("stay always"), "\(server.logText)")
        #expect(server.stop() == 0)
    }

    @Test(.enabled(if: LoopDisk.available.contains(.ext4)))
    func `a disk that fills up refuses what needs room, serves what is there, and takes writes again when there is room`() throws {
        let began = ContinuousClock.now
        let disk = try LoopDisk(.ext4, megabytes: 1_024)
        let notes = ServerProcess.freshDirectory()
        defer { try? FileManager.default.removeItem(atPath: notes) }
        let server = ServerProcess(directory: disk.path, arguments: ["--durability", "always", "--snapshot-log-bytes", "4GiB"])
        try server.start()
        var http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/before", body: [1]).status == 201)
        let load = try RecordedLoad(server, in: notes, values: "uniform:10000-100000", seed: Self.seed)
        // What is acknowledged before the disk is full is what is asked for at the end.
        load.wait(for: 50)
        run("dd", "if=/dev/zero", "of=\(disk.path)/filler", "bs=64k")
        // The segment and the one made ahead are filled, or the manifest is written before they are: who finds no room first says so.
        #expect(server.waitForLog("log is low on room", seconds: 60), "\(server.logText)")
        #expect(server.logText.contains("No space left on device"))
        #expect(try http.call("PUT", "/kv/default/refused", body: [1]).status == 507)
        #expect(try http.call("GET", "/kv/default/before").body == [1])
        #expect(try http.call("DELETE", "/kv/default/before").status == 200)
        // A start finds the disk as full.
        server.kill()
        load.finish()
        try server.start()
        #expect(server.waitForLog("log is low on room", seconds: 60), "\(server.logText)")
        http = try HTTPClient(port: server.port)
        #expect(try http.call("GET", "/kv/default/before").status == 404)
        #expect(try http.call("PUT", "/kv/default/refused", body: [1]).status == 507)
        try FileManager.default.removeItem(atPath: disk.path + "/filler")
        #expect(server.waitForLog("log is ok", seconds: 60), "\(server.logText)")
        #expect(try http.call("PUT", "/kv/default/after", body: [2]).status == 201)
        server.kill()
        try server.start()
        let judgement = try load.check(on: server)
        #expect(try HTTPClient(port: server.port).call("GET", "/kv/default/after").body == [2])
        server.kill()
        #expect(judgement.named == [])
        #expect(judgement.lost == 0 && judgement.wrong == 0)
        Figure(
            "a disk that fills up and gets room again, \(Figure.grouped(judgement.reads)) keys read", 1, "run", lost: judgement.lost,
            wrong: judgement.wrong, seeds: Self.seed...Self.seed
        ).record("64-full-disk", since: began)
    }

    /// The page cache believes what the medium has refused, and a second sync says that all is well.
    @Test(.enabled(if: LoopDisk.available.contains(.ext4)))
    func `a medium that fills up under the file system is a failed sync, and what was acknowledged before is there`() throws {
        try failSync(hasJournal: true, "a medium that is full under ext4", "63-full-medium") { _, server, _, http in
            let status = try http.call("GET", "/kv/default/refused").status
            #expect(status == 404)
            // Nor is there room for new files, and the file system takes nothing more until it is mounted again.
            #expect(server.waitForLog("healing FAILED: ", seconds: 60), "\(server.logText)")
        }
    }

    @Test(.enabled(if: LoopDisk.available.contains(.ext4)))
    func `a log whose sync failed because the medium was full heals when there is room, without a restart`() throws {
        let name = "a medium that is full under ext4 and gets room again: the log heals"
        try failSync(hasJournal: false, name, "63-full-medium-heals") { medium, server, load, _ in
            medium.free()
            #expect(server.waitForLog("log has healed", seconds: 60), "\(server.logText)")
            let before = load.acknowledged
            load.wait(for: before + 1_000)
            #expect(load.acknowledged >= before + 1_000, "writes are not taken again")
        }
    }

    /// Fills the medium below the file system of a server at work, so that a sync fails, lets the test go on from there, and reads
    /// what was acknowledged from the medium when it has room again.
    private func failSync(
        hasJournal: Bool, _ name: String, _ place: String,
        _ proceed: (Medium, ServerProcess, RecordedLoad, HTTPClient) throws -> Void
    ) throws {
        let began = ContinuousClock.now
        let medium = try Medium(megabytes: 96)
        let disk = try LoopDisk(.ext4, on: medium.path, megabytes: 512, hasJournal: hasJournal)
        let notes = ServerProcess.freshDirectory()
        defer { try? FileManager.default.removeItem(atPath: notes) }
        let server = ServerProcess(directory: disk.path, arguments: ["--durability", "always"])
        try server.start()
        let load = try RecordedLoad(server, in: notes, seed: Self.seed)
        load.wait(for: 1_000)
        medium.fill()
        #expect(server.waitForLog("log is failed: fdatasync", seconds: 60), "\(server.logText)")
        let http = try HTTPClient(port: server.port)
        #expect(try http.call("PUT", "/kv/default/refused", body: [1]).status == 503)
        try proceed(medium, server, load, http)
        server.kill()
        load.finish()
        medium.free()
        // What the page cache believes goes with the mount.
        try disk.remount()
        try server.start()
        let judgement = try load.check(on: server)
        server.kill()
        #expect(judgement.named == [])
        #expect(judgement.lost == 0 && judgement.wrong == 0)
        #expect(judgement.reads > 100)
        Figure(
            "\(name), \(Figure.grouped(judgement.reads)) keys read", 1, "run", lost: judgement.lost, wrong: judgement.wrong,
            seeds: Self.seed...Self.seed
        ).record(place, since: began)
    }
}

/// A medium of so many megabytes, for the image of a disk.
private final class Medium {
    let path = ServerProcess.freshDirectory()

    init(megabytes: Int) throws {
        let mounted = run("mount", "-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path)
        guard mounted.status == 0 else { throw LoopDisk.CannotBeMade(description: mounted.text) }
    }

    deinit {
        if run("umount", path).status != 0 { run("umount", "--lazy", path) }
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Leaves no byte free.
    func fill() {
        run("dd", "if=/dev/zero", "of=\(path)/filler", "bs=64k")
        run("dd", "if=/dev/zero", "of=\(path)/rest", "bs=1")
    }

    func free() {
        for name in ["filler", "rest"] { try? FileManager.default.removeItem(atPath: "\(path)/\(name)") }
    }
}
