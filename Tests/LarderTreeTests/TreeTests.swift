import Foundation
import Testing

/// The plan of the house, held against the sources: who may import what, and where unsafe code may stand.
@Suite("Source tree") struct TreeTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The doors between rooms, as docs/architecture.md draws them.
    static let doors: [String: Set<String>] = [
        "LarderBytes": ["CLarderIntrinsics"],
        "LarderPlatform": ["LarderBytes", "CLarderSystem", "CLarderIntrinsics", "Glibc", "Synchronization"],
        "LarderEngine": ["LarderBytes", "LarderPlatform", "CLarderIntrinsics", "Synchronization"],
        "LarderWire": ["LarderBytes"],
        "LarderPersistence": ["LarderBytes", "LarderPlatform", "LarderEngine", "CZlib", "Synchronization"],
        "LarderServer": ["LarderBytes", "LarderPlatform", "LarderEngine", "LarderWire", "LarderPersistence", "Synchronization"],
        "LarderSimulation": ["LarderBytes", "LarderPlatform", "LarderEngine", "LarderPersistence", "Synchronization"],
        "LarderLoad": ["LarderBytes", "LarderPlatform", "LarderWire", "Histogram", "Synchronization"],
        "larder-simulate": ["LarderSimulation", "LarderPlatform", "Glibc"],
        "LarderProgram": [
            "LarderBytes", "LarderPlatform", "LarderEngine", "LarderWire", "LarderPersistence", "LarderServer", "LarderLoad",
            "ArgumentParser", "Yams", "Foundation",
        ],
        "larder": ["LarderProgram"],
    ]

    /// Files that may speak of raw memory. Each opens with the invariant that makes it sound.
    static let audited: Set<String> = [
        "LarderBytes/ByteBuffer.swift",
        "LarderBytes/Checksum.swift",
        "LarderBytes/Decimal.swift",
        "LarderBytes/RawSpan+Bytes.swift",
        "LarderEngine/BucketArray.swift",
        "LarderEngine/Entry.swift",
        "LarderEngine/EvictionQueues.swift",
        "LarderEngine/GhostTable.swift",
        "LarderEngine/HashTable.swift",
        "LarderEngine/KeyRule.swift",
        "LarderEngine/LogBuffer.swift",
        "LarderEngine/Namespace.swift",
        "LarderEngine/NamespaceBudget.swift",
        "LarderEngine/NamespaceIndex.swift",
        "LarderEngine/NamespaceTable.swift",
        "LarderEngine/OrderedIndex.swift",
        "LarderEngine/PageArena.swift",
        "LarderEngine/Shard+Index.swift",
        "LarderEngine/Shard+Writes.swift",
        "LarderEngine/ShardNamespaces.swift",
        "LarderEngine/Slab.swift",
        "LarderEngine/SlabClasses.swift",
        "LarderEngine/Store+OptimisticReads.swift",
        "LarderEngine/Store.swift",
        "LarderEngine/TimingWheel.swift",
        "LarderEngine/WheelSlots.swift",
        "LarderPersistence/Deflate.swift",
        "LarderPlatform/BlockingConnection.swift",
        "LarderPlatform/Clock.swift",
        "LarderPlatform/DirectoryFileSystem.swift",
        "LarderPlatform/Lock.swift",
        "LarderPlatform/Outgoing.swift",
        "LarderPlatform/Pages.swift",
        "LarderPlatform/Parker.swift",
        "LarderPlatform/Poller.swift",
        "LarderPlatform/ProcessIdentity.swift",
        "LarderPlatform/RealText.swift",
        "LarderPlatform/Signals.swift",
        "LarderPlatform/SmallFile.swift",
        "LarderPlatform/Socket.swift",
        "LarderPlatform/StandardStreams.swift",
        "LarderPlatform/SystemError.swift",
        "LarderPlatform/Thread.swift",
        "LarderWire/HTTP/HTTPText.swift",
    ]

    /// Files that may promise thread safety themselves. Each says why at the place.
    static let uncheckedSendable: Set<String> = [
        "LarderBytes/ByteBuffer.swift",
        "LarderEngine/EntryDraft.swift",
        "LarderEngine/KeyEvents.swift",
        "LarderEngine/LogBuffer.swift",
        "LarderEngine/Namespace.swift",
        "LarderEngine/NamespaceTable.swift",
        "LarderEngine/PageArena.swift",
        "LarderEngine/SlabClasses.swift",
        "LarderEngine/Store.swift",
        "LarderLoad/Running/LoadWorker.swift",
        "LarderLoad/Verification/ThreadLedger.swift",
        "LarderPlatform/Pages.swift",
        "LarderPlatform/Parker.swift",
        "LarderServer/Acceptor.swift",
        "LarderServer/Server.swift",
        "LarderServer/Worker.swift",
        "LarderSimulation/Simulation.swift",
    ]

    struct Source {
        var room: String
        var name: String
        var lines: [String]
    }

    static let sources: [Source] = {
        let folder = root.appendingPathComponent("Sources")
        var sources: [Source] = []
        for case let file as URL in FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)! where file.pathExtension == "swift" {
            let path = file.path.dropFirst(folder.path.count + 1)
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            sources.append(Source(room: String(path.prefix { $0 != "/" }), name: String(path), lines: text.components(separatedBy: "\n")))
        }
        return sources
    }()

    /// The line without its comment.
    static func code(_ line: String) -> Substring {
        line.range(of: "//").map { line[..<$0.lowerBound] } ?? line[...]
    }

    @Test func `a room imports only rooms that it has a door to`() {
        #expect(Self.sources.count > 40)
        for source in Self.sources {
            guard let doors = Self.doors[source.room] else {
                Issue.record("\(source.name) stands in a room that the plan does not know")
                continue
            }
            for line in source.lines where line.hasPrefix("import ") || line.contains(" import ") && !line.hasPrefix("//") {
                let name = String(line.split(separator: " ").last ?? "")
                #expect(doors.contains(name), "\(source.name) imports \(name)")
            }
        }
    }

    @Test func `unsafe code stands only in the audited files`() {
        var found: Set<String> = []
        for source in Self.sources where source.lines.contains(where: { Self.speaksOfMemory(Self.code($0)) }) { found.insert(source.name) }
        #expect(found.subtracting(Self.audited).sorted() == [], "not on the list of audited files")
        #expect(Self.audited.subtracting(found).sorted() == [], "on the list without a need")
    }

    private static func speaksOfMemory(_ code: Substring) -> Bool {
        code.contains("Unsafe") || code.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "@" }.contains("unsafe")
    }

    @Test func `unchecked Sendable stands only where the list allows it`() {
        var found: Set<String> = []
        for source in Self.sources where source.lines.contains(where: { Self.code($0).contains("@unchecked Sendable") }) { found.insert(source.name) }
        #expect(found.subtracting(Self.uncheckedSendable).sorted() == [], "not on the list")
        #expect(Self.uncheckedSendable.subtracting(found).sorted() == [], "on the list without a need")
    }

    @Test func `no decoder can be made to trap by a forced unwrap or a forced try`() {
        for source in Self.sources where source.room == "LarderWire" {
            for (index, line) in source.lines.enumerated() {
                let code = Self.code(line)
                #expect(!code.contains("try!") && !code.contains("fatalError") && !code.contains("as!"), "\(source.name):\(index + 1)")
            }
        }
    }

    @Test func `every named regression has its test`() throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("docs/testing.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "\n## ").first { $0.hasPrefix("Named regressions") })
        // A row is: what went wrong, the test, its suite.
        let rows = section.components(separatedBy: "\n").filter { $0.hasPrefix("| ") && $0.contains("`") }
        #expect(rows.count > 24)
        for row in rows {
            let names = row.components(separatedBy: "`")
            try #require(names.count == 5, "\(row)")
            let file = try #require(Self.tests.first { $0.lastPathComponent == "\(names[3]).swift" }, "\(names[3]) is no suite")
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(text.contains("func `\(names[1])`("), "\(names[3]) has no such test: \(names[1])")
        }
    }

    static let tests: [URL] = {
        let all = FileManager.default.enumerator(at: root.appendingPathComponent("Tests"), includingPropertiesForKeys: nil)
        return (all?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
    }()

    @Test func `every file says first what it is for`() {
        for source in Self.sources where !source.name.hasSuffix("main.swift") {
            #expect(source.lines.first?.hasPrefix("// ") == true, "\(source.name)")
        }
    }

    @Test func `checks stay on in release builds`() throws {
        let manifest = try String(contentsOf: Self.root.appendingPathComponent("Package.swift"), encoding: .utf8)
        #expect(!manifest.contains("Ounchecked"))
        #expect(manifest.contains("strictMemorySafety"))
    }
}
