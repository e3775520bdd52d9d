import Foundation
import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import Testing

/// The whole of it on a real disk: the engine's store, threads, and a directory.
@Suite("Durable engine", .serialized) struct EngineTests {
    private final class Life: Sendable {
        let buffer = LogBuffer()
        let engine: Store
        let store: DurableStore

        init(_ path: String) throws {
            engine = Store(configuration: StoreConfiguration(), log: buffer)
            var options = PersistenceOptions()
            options.snapshotBytesPerSecond = 0
            // Only when they are asked for.
            options.snapshotLogBytes = 0
            options.snapshotMilliseconds = 0
            options.snapshotThreads = 1
            store = try DurableStore(
                directory: DirectoryFileSystem(path: path), clock: SystemClock(), state: StoredState(engine), buffer: buffer,
                options: options)
        }

        func fill(_ count: Int, valueBytes: Int = 32) {
            let namespace = engine.namespaces.default
            let value = [UInt8](repeating: 0x61, count: valueBytes)
            let now = SystemClock().wall()
            for index in 0..<count {
                let key = Array("key/\(index)".utf8)
                let hash = engine.hash(namespace, key.span.bytes)
                while true {
                    let result = engine.put(
                        namespace, key: key.span.bytes, hash: hash, value: value.span.bytes, now: now)
                    if result.outcome != .backlog { break }
                    store.log.writeIfIdle()
                }
                if index % 256 == 255 { store.log.writeIfIdle() }
            }
        }

        func waitUntilDurable() {
            let last = buffer.mark()
            while store.log.durableLSN < last, store.log.state == .ok {
                store.log.kick()
                LarderPlatform.Thread.sleep(milliseconds: 1)
            }
        }

        func keyCount() -> Int {
            var cursor = WalkCursor()
            var buffer = ByteBuffer()
            var count = 0
            while !cursor.isAtEnd {
                buffer.removeAll()
                count += engine.walk(&cursor, into: &buffer)
            }
            return count
        }
    }

    private func inDirectory(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "larder-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func `threads, snapshots and restarts on a real directory keep every key`() throws {
        try inDirectory { path in
            do {
                let life = try Life(path)
                #expect(try life.store.recover().isNew)
                try life.store.start()
                life.fill(20_000)
                try life.store.snapshotNow()
                life.fill(30_000)
                life.waitUntilDurable()
                #expect(life.store.log.state == .ok)
                try life.store.close()
            }
            #expect(try DirectoryCheck(directory: DirectoryFileSystem(path: path)).isSound)
            let life = try Life(path)
            let report = try life.store.recover()
            #expect(report.wasClean)
            #expect(report.snapshot == 1)
            #expect(report.recordsReplayed == 30_000)
            #expect(life.keyCount() == 30_000)
            try life.store.close()
        }
    }

    /// How fast is a start? Run with LARDER_MEASURE set; prints keys and bytes a second.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["LARDER_MEASURE"] != nil), arguments: [(2_000_000, 32), (200_000, 1_000)])
    func `measures recovery`(count: Int, valueBytes: Int) throws {
        try inDirectory { path in
            for phase in ["log", "snapshot", "done"] {
                let life = try Life(path)
                let began = SystemClock().elapsed()
                let processorBegan = LarderPlatform.Thread.processNanoseconds()
                let report = try life.store.recover()
                let seconds = Double(SystemClock().elapsed() - began) / 1e9
                let processor = Double(LarderPlatform.Thread.processNanoseconds() - processorBegan) / 1e9
                let found = report.entriesLoaded + report.recordsReplayed
                print("\(valueBytes) B: \(found) in \(seconds) s (processor \(processor) s), \(Double(found) / seconds / 1e6) M/s,",
                    "\(Double(report.bytesRead) / seconds / 1e6) MB/s, snapshot \(report.snapshot ?? 0)")
                try life.store.start()
                let filling = SystemClock().elapsed()
                if phase == "log" { life.fill(count, valueBytes: valueBytes) }
                life.waitUntilDurable()
                print("fill", Double(SystemClock().elapsed() - filling) / 1e9)
                let saving = SystemClock().elapsed()
                if phase == "snapshot" { try life.store.snapshotNow() }
                print("snapshot", Double(SystemClock().elapsed() - saving) / 1e9, life.store.snapshotStatistics.lastBytes)
                try life.store.close()
            }
        }
    }
}
