import Foundation
import LarderPersistence
import LarderPlatform
import LarderSimulation
import LarderWire
import TestFigures
import Testing

/// Every state that a power cut can leave between two system calls of the real server, as strace saw them (docs/testing.md).
@Suite("Power cuts between traced calls", .serialized) struct TracedDiskTests {
    /// What one client did, one thing after another, and what the keys held after each.
    private struct Work {
        var states: [[String: [UInt8]]] = [[:]]
        var traces: [String] = []

        /// No two states are equal: each write leaves a value that was never there.
        mutating func write(_ count: Int, _ http: HTTPClient) throws {
            for _ in 0..<count {
                let number = states.count
                var state = states[number - 1]
                let key = "key\((number % 4 == 3 ? number - 2 : number) % 5)"
                if number % 4 == 3, state[key] != nil {
                    state[key] = nil
                    #expect(try http.call("DELETE", "/kv/default/\(key)").status / 100 == 2)
                } else {
                    state[key] = Array("value \(number)".utf8) + [UInt8](repeating: UInt8(number), count: 37 * number)
                    #expect(try http.call("PUT", "/kv/default/\(key)", body: state[key]).status / 100 == 2)
                }
                states.append(state)
            }
        }
    }

    /// Two lives of a server: writes, snapshots until the log is cut, an orderly stop, and a start.
    private func work(in directory: String) throws -> (Work, dataDirectory: String) {
        var work = Work()
        let server = ServerProcess(directory: directory, arguments: ["--durability", "always", "--ballast", "0"])
        for life in 0..<2 {
            let trace = "\(directory)/trace-\(life)"
            server.wrapper = CallTrace.recorder(of: TracedDisk.calls, output: trace)
            try server.start()
            let http = try HTTPClient(port: server.port)
            let binary = try BinaryClient(port: server.port)
            for _ in 0..<2 {
                try work.write(7, http)
                #expect(try binary.call { BinaryRequest.snapshot(id: $0, into: &$1) }.status == .ok)
            }
            try work.write(4, http)
            let process = server.processID
            #expect(server.stop() == 0)
            work.traces.append(try CallTrace.recorded(of: process, in: trace))
        }
        return (work, server.dataDirectory)
    }

    /// What came back from one state of the disk.
    private enum Recovered {
        case state(Int)
        case nothingThatWas
        case refused(String)
    }

    private struct Judgement {
        var calls = 0
        var distinct: [UInt64: Recovered] = [:]
        var lost: [String] = []
        var wrong: [String] = []
    }

    private func recover(_ disk: SimulatedDisk, _ work: Work) -> Recovered {
        do {
            let life = try StorageLife(MemoryFileSystem(disk), clock: ManualClock(wall: Milliseconds(Date().timeIntervalSince1970 * 1_000)))
            let entries = life.entries().map { (String(decoding: $0.key.key, as: UTF8.self), $0.value.value) }
            let state = Dictionary(uniqueKeysWithValues: entries)
            return work.states.firstIndex(of: state).map(Recovered.state) ?? .nothingThatWas
        } catch { return .refused("\(error)") }
    }

    /// Cuts the power after each call.
    private func judge(
        _ work: Work, _ directory: String, forgetting forgotten: Set<String> = [],
        _ crashes: (SimulatedDisk) -> [CrashState] = { $0.crashStates }
    ) throws -> Judgement {
        var judgement = Judgement()
        let traced = TracedDisk(of: directory, forgetting: forgotten)
        for trace in work.traces {
            try traced.follow(trace) {
                judgement.calls += 1
                for crash in crashes(traced.disk) {
                    let disk = traced.disk.afterPowerCut(crash)
                    let recovered = judgement.distinct[disk.fingerprint] ?? recover(disk, work)
                    judgement.distinct[disk.fingerprint] = recovered
                    let place = "call \(judgement.calls), \(traced.replies) replies, \(crash)"
                    switch recovered {
                    // One write may be there of which nobody has been told yet.
                    case .state(traced.replies), .state(traced.replies + 1): break
                    case .state(let number) where number < traced.replies: judgement.lost.append("\(place): write \(number)")
                    case .state(let number): judgement.wrong.append("\(place): write \(number) was not sent yet")
                    case .nothingThatWas: judgement.wrong.append("\(place): a state that never was")
                    case .refused(let reason): judgement.wrong.append("\(place): refused: \(reason)")
                    }
                }
            }
        }
        #expect(traced.replies == work.states.count - 1)
        #expect(traced.notUnderstood == [])
        return judgement
    }

    @Test(.enabled(if: CallTrace.isAvailable))
    func `a power cut between any two calls that the server makes loses nothing that a client knows of`() throws {
        let began = ContinuousClock.now
        let directory = ServerProcess.freshDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (work, dataDirectory) = try work(in: directory)
        let judgement = try judge(work, dataDirectory)
        #expect(judgement.lost.prefix(10) == [])
        #expect(judgement.wrong.prefix(10) == [])
        #expect(judgement.calls > 150)
        Figure(
            "power cuts between \(Figure.grouped(judgement.calls)) calls of the real server, by strace", judgement.distinct.count, "crash states",
            lost: judgement.lost.count, wrong: judgement.wrong.count
        ).record("53-traced-calls", since: began)
        // A server that forgets to sync, files or names, is found out.
        for forgotten in ["fdatasync", "fsync"] {
            let judgement = try judge(work, dataDirectory, forgetting: [forgotten]) { _ in [CrashState(data: .none, names: .none)] }
            #expect(!judgement.lost.isEmpty || !judgement.wrong.isEmpty, "without \(forgotten)")
        }
    }
}
