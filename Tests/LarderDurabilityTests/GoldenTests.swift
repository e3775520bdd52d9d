import Foundation
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import Testing

/// Data directories that earlier versions wrote, sound and damaged, loaded by this one: `Tests/Golden/FORMAT-KIND`, each with what is
/// expected of it in the file `expected`. `LARDER_GOLDEN=make` writes those of the present format; ones that are committed are never
/// made again.
@Suite("Golden directories") struct GoldenTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Golden")
    private static let format = "1.0"
    private static let expectedName = "expected"

    static let names: [String] = {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        return all.filter { $0.contains("-") }.sorted()
    }()

    @Test func `there are directories of the present format`() {
        #expect(Self.names.filter { $0.hasPrefix(Self.format + "-") }.count == Self.kinds.count)
    }

    @Test(arguments: names)
    func `every build loads what every version wrote`(name: String) throws {
        let directory = Self.root.appending(path: name)
        let files = MemoryFileSystem()
        for file in try FileManager.default.contentsOfDirectory(atPath: directory.path) where file != Self.expectedName {
            files.setContent(file, Array(try Data(contentsOf: directory.appending(path: file))))
        }
        let expected = try String(contentsOf: directory.appending(path: Self.expectedName), encoding: .utf8)
        #expect(try Self.verdict(on: files) == expected)
    }

    /// What is said of a directory: everything that a start finds, or why it is refused and what would help.
    private static func verdict(on files: MemoryFileSystem) throws -> String {
        var lines: [String] = []
        let check = DirectoryCheck(directory: files.copy())
        lines.append("sound: \(check.isSound)")
        do {
            // A later day, so that what was to expire has not decided anything by itself.
            let life = try StorageLife(files.copy(), clock: ManualClock())
            lines.append("snapshot: \(life.report.snapshot.map { "\($0)" } ?? "none")")
            lines.append("records: \(life.report.recordsReplayed)")
            lines.append("reached: \(life.report.reached.rawValue)")
            lines.append("cut: \(life.report.bytesCut)")
            lines.append("clean: \(life.report.wasClean)")
            let names = Dictionary(uniqueKeysWithValues: life.store.namespaces.all().map { ($0.number, String(utf8: $0.name)) })
            lines.append("namespaces: \(names.values.sorted().joined(separator: " "))")
            for (key, entry) in life.entries().sorted(by: { ($0.key.space, String(decoding: $0.key.key, as: UTF8.self)) < ($1.key.space, String(decoding: $1.key.key, as: UTF8.self)) }) {
                lines.append(
                    "entry: \(names[key.space] ?? "?")/\(String(decoding: key.key, as: UTF8.self)) version \(entry.version.rawValue) deadline \(entry.deadline.rawValue) metadata \(entry.metadata.count) value \(entry.value.count) \(hexadecimal(Checksum.of(entry.value.span.bytes)))")
            }
        } catch {
            lines.append("refused: \(error)")
        }
        for (order, report) in check.remedies {
            lines.append(
                "remedy: \(order.mode?.rawValue ?? "manifest") entries \(report.entriesLoaded) records \(report.recordsApplied) reached \(report.reached.rawValue) losses \(report.losses.count)")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func hexadecimal(_ word: UInt32) -> String {
        let text = String(word, radix: 16)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    // MARK: Making them

    private static let kinds = [
        "sound", "stopped-in-order", "torn-tail", "healed", "damaged-log", "damaged-newest-snapshot", "damaged-snapshots",
        "damaged-manifest", "lost-manifest", "lost-segment", "cut-segment",
    ]

    @Test(.enabled(if: ProcessInfo.processInfo.environment["LARDER_GOLDEN"] == "make"))
    func `make the directories of the present format`() throws {
        for kind in Self.kinds {
            let directory = Self.root.appending(path: "\(Self.format)-\(kind)")
            guard !FileManager.default.fileExists(atPath: directory.path) else { continue }
            let files = try Self.make(kind)
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            for name in try files.list() where name != FileName.lockName {
                guard let bytes = files.content(name) else { continue }
                try Data(bytes).write(to: directory.appending(path: name))
            }
            try Self.verdict(on: files).write(to: directory.appending(path: Self.expectedName), atomically: true, encoding: .utf8)
        }
    }

    /// Every kind of record, two snapshots and some log.
    private static func make(_ kind: String) throws -> MemoryFileSystem {
        var options = StorageLife.options(segmentBytes: 6_144)
        options.ballastBytes = 0
        let clock = ManualClock()
        let life = try StorageLife(MemoryFileSystem(), clock: clock, options: options)
        guard let files = life.files as? MemoryFileSystem else { preconditionFailure("made above") }
        var reference = Reference()
        var stamp: UInt32 = 0
        func perform(_ operations: [LarderSimulation.Operation]) {
            for operation in operations {
                clock.advance(milliseconds: 7)
                if let problem = reference.perform(operation, on: life) { Issue.record("\(problem)") }
            }
            life.sync()
        }
        func put(_ space: Int, _ key: Int, _ count: Int, _ lifetime: LifetimeChange = .unlimited, metadata: Bool = false) -> LarderSimulation.Operation {
            stamp += 1
            return .put(space: space, key: key, SimulatedValue(stamp: stamp, count: count), lifetime, .none, metadata: metadata)
        }
        perform((1..<Operation.spaces.count).map { .create(space: $0) })
        for round in 0..<3 {
            perform((0..<8).map { put($0 % 4, $0 + round, 40 * $0, metadata: $0 % 2 == 0) })
            perform([
                put(0, 20, 10, .milliseconds(3_600_000)), .touch(space: 0, key: 20, .milliseconds(7_200_000), .none),
                .increment(space: 0, key: 21, 5, .unlimited), .append(space: 1, key: 22, SimulatedValue(stamp: stamp, count: 30), .unlimited),
                .remove(space: 0, key: 4, .none), .policy(space: 2, .interval),
            ])
            if round == 0 { perform([.flush(space: 1), put(1, 1, 12), .drop(space: 4), .create(space: 4)]) }
            if round < 2 { try life.durable.snapshotNow() }
        }
        // Frames of their own, so that each says how far the medium is.
        for index in 0..<3 { perform([put(0, 40 + index, 20)]) }
        let name = try #require(try files.list().last { $0.hasPrefix("wal-") })
        switch kind {
        case "stopped-in-order": try life.durable.close()
        case "torn-tail":
            _ = reference.perform(put(0, 30, 200), on: life)
            life.endTurn()
            var bytes = try #require(files.content(name))
            let end = try #require(bytes.lastIndex { $0 != 0 })
            bytes.replaceSubrange((end - 60)...end, with: repeatElement(0, count: 61))
            files.setContent(name, bytes)
        case "healed":
            files.setFault { $0.call == .sync ? .lie(SystemError.inputOutput) : nil }
            _ = reference.perform(put(0, 31, 50), on: life)
            life.sync()
            files.setFault(nil)
            life.durable.poll()
            perform([put(0, 32, 60)])
        case "damaged-log": files.flip(bit: 8 * (SegmentHeader.byteCount + 100), of: name)
        case "damaged-newest-snapshot": try damage(files, ["snap-"], last: 1)
        case "damaged-snapshots": try damage(files, ["snap-"], last: 2)
        case "damaged-manifest": files.flip(bit: 333, of: FileName.manifestName)
        case "lost-manifest":
            try files.remove(FileName.manifestName)
            try files.remove(FileName.previousManifestName)
        case "lost-segment": try files.remove(name)
        case "cut-segment": files.setContent(name, try #require(files.content(name)).dropLast())
        default: break
        }
        return files.copy()
    }

    private static func damage(_ files: MemoryFileSystem, _ prefixes: [String], last count: Int) throws {
        for name in try files.list().filter({ name in prefixes.contains { name.hasPrefix($0) } }).suffix(count) {
            files.flip(bit: 8 * 200, of: name)
        }
    }
}
