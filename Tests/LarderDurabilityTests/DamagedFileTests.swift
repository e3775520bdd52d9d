import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderSimulation
import TestFigures
import Testing

/// Every cut, every flipped bit, every lost, doubled and swapped sector: what comes back is a prefix of what was written, or a
/// refusal, never anything else; and nothing that an undamaged byte vouches for is taken for torn.
@Suite("Damaged files") struct DamagedFileTests {
    /// A directory at rest, and what is in it.
    private struct Directory: Sendable {
        var disk: SimulatedDisk
        var timeline: ModelTimeline
        var wall: Milliseconds
        var last: LSN { timeline.last }
        var content: [String: [UInt8]] { disk.content }
    }

    /// What recoveries came to.
    private final class Tally: Sendable {
        let recoveries = Counter()
        let refused = Counter()
        let torn = Counter()
        let findings = Findings()
    }

    /// A directory whose log in use holds about `logBytes`, with two snapshots of about `snapshotBytes` each behind it.
    private func directory(logBytes: Int, snapshotBytes: Int) throws -> Directory {
        let clock = ManualClock()
        let files = MemoryFileSystem()
        let options = StorageLife.options(segmentBytes: max(logBytes + 16_384, snapshotBytes + 16_384))
        let life = try StorageLife(files, clock: clock, options: options)
        var reference = Reference()
        var random = SeededGenerator(seed: 5)
        func put(_ key: Int, _ count: Int) throws {
            let value = SimulatedValue(stamp: UInt32.random(in: 1_000_000...UInt32.max, using: &random), count: count)
            try #require(reference.perform(.put(space: 0, key: key, value, .unlimited, .none, metadata: true), on: life) == nil)
        }
        try #require(reference.perform(.create(space: 1), on: life) == nil)
        for round in 0..<2 {
            // Eight bytes a value that do not shrink, and a header of 40.
            for key in 0..<(snapshotBytes / 70) { try put(key, 8 + round) }
            life.sync()
            try life.durable.snapshotNow()
        }
        var stamp: UInt32 = 0
        let before = life.log.bytesWritten
        while life.log.bytesWritten - before < logBytes {
            for _ in 0..<6 {
                stamp += 1
                let operation = Operation.random(&random, stamp: stamp, keys: 12)
                if case .put(_, _, let value, _, _, _) = operation, value.count > 300 { continue }
                try #require(reference.perform(operation, on: life) == nil)
            }
            life.sync()
            clock.advance(milliseconds: 7)
        }
        return Directory(disk: files.copy().disk, timeline: reference.history.timeline, wall: clock.wall())
    }

    /// Recovers the directory with one file replaced, and judges what comes of it.
    ///
    /// - Parameter promised: What the undamaged rest vouches for.
    private func recover(
        _ directory: Directory, _ name: String, _ bytes: [UInt8], promised: LSN, _ tally: Tally, _ label: @autoclosure () -> String
    ) -> StorageLife? {
        let files = MemoryFileSystem(directory.disk)
        files.setContent(name, bytes)
        tally.recoveries.add(1)
        guard let life = try? StorageLife(files, clock: ManualClock(wall: directory.wall), options: StorageLife.options(seed: 9)) else {
            tally.refused.add(1)
            return nil
        }
        var expected = Expected(directory.timeline, reached: life.report.reached, promised: promised, given: directory.timeline.given)
        expected.isSound = false
        if let breach = life.breach(of: expected) { tally.findings.add(breach, label()) }
        if life.report.reached < directory.last { tally.torn.add(1) }
        return life
    }

    private func log(_ directory: Directory) throws -> (name: String, bytes: [UInt8], frames: [SegmentFrames.Frame], promised: LSN) {
        let name = try #require(directory.content.keys.filter { $0.hasPrefix("wal-") }.sorted().last)
        let bytes = try #require(directory.content[name])
        let header = try SegmentHeader(parsing: bytes.span.bytes, file: name)
        let text = try #require(directory.content["MANIFEST"])
        let manifest = try Manifest(parsing: text.span.bytes, file: "MANIFEST")
        return (name, bytes, Array(SegmentFrames(bytes, header)), max(manifest.durable, header.previousLSN))
    }

    /// What everything but the frames in `range` says was durable.
    private static func promised(_ frames: [SegmentFrames.Frame], without range: Range<Int>, _ rest: LSN) -> LSN {
        frames.filter { !$0.range.overlaps(range) }.map(\.header.durableLSN).max().map { max($0, rest) } ?? rest
    }

    private func finish(_ place: String, _ name: String, _ tally: Tally, since began: ContinuousClock.Instant) {
        #expect(tally.findings.texts == [])
        Figure(
            "\(name); \(Figure.grouped(tally.refused.value)) starts refused", tally.recoveries.value, "recoveries",
            lost: tally.findings.lost, wrong: tally.findings.wrong
        ).record(place, since: began)
    }

    // MARK: The log

    @Test func `a log that is cut at any byte is refused, and with zeros there instead gives the frames before them, exactly`() throws {
        let began = ContinuousClock.now
        let directory = try directory(logBytes: Scale.damaged / 8, snapshotBytes: 2_000)
        let (name, bytes, frames, rest) = try log(directory)
        let tally = Tally()
        let end = try #require(frames.last).range.upperBound
        inParallel(end + 1) { cut in
            let kept = frames.prefix { $0.payloadEnd <= cut }
            let promised = max(rest, kept.map(\.header.durableLSN).max() ?? .zero)
            if recover(directory, name, Array(bytes[..<cut]), promised: promised, tally, "cut at \(cut)") != nil {
                tally.findings.add("cut at \(cut): not found out")
            }
            let zeros = [UInt8](repeating: 0, count: bytes.count - cut)
            let life = recover(directory, name, bytes[..<cut] + zeros, promised: promised, tally, "zeros from \(cut)")
            guard let life else {
                // Refused only where the zeros took what the manifest or the header vouches for.
                let reached = kept.last?.header.firstLSN ?? .zero
                if cut >= SegmentHeader.byteCount, reached >= rest, !kept.isEmpty { tally.findings.add("refused at \(cut)") }
                return
            }
            // A frame that ends in zeros has lost nothing.
            let whole = frames.prefix { bytes[..<$0.payloadEnd].suffix(max($0.payloadEnd - cut, 0)).allSatisfy { $0 == 0 } }
            let next = whole.endIndex < frames.endIndex ? frames[whole.endIndex].header.firstLSN : LSN(rawValue: .max)
            if life.report.reached >= next { tally.findings.add("zeros from \(cut): beyond them") }
        }
        finish("31-log-cut", "log cut, and zeroed, from every byte on", tally, since: began)
    }

    @Test func `a log with any one bit flipped gives a prefix or a refusal, and only the last group commit can pass for torn`() throws {
        let began = ContinuousClock.now
        let directory = try directory(logBytes: Scale.damaged / 16, snapshotBytes: 2_000)
        let (name, bytes, frames, rest) = try log(directory)
        let tally = Tally()
        let end = try #require(frames.last).range.upperBound + 64
        // Behind the first sector, which the checksum covers, a segment's header is padding.
        let bytesFlipped = Array(0..<512) + Array(SegmentHeader.byteCount..<min(end, bytes.count))
        inParallel(bytesFlipped.count) { place in
            let byte = bytesFlipped[place]
            let promised = Self.promised(frames, without: byte..<(byte + 1), rest)
            for bit in 0..<8 {
                var damaged = bytes
                damaged[byte] ^= 1 << UInt8(bit)
                _ = recover(directory, name, damaged, promised: promised, tally, "byte \(byte) bit \(bit)")
            }
        }
        #expect(tally.refused.value > bytesFlipped.count)
        // The last frame is vouched for by nothing; what padding holds changes nothing.
        let last = try #require(frames.last)
        #expect(tally.torn.value <= 2 * 8 * last.range.count)
        finish("32-log-flipped", "log with every bit flipped", tally, since: began)
    }

    @Test func `sectors of any file that are lost, doubled or swapped give a prefix, an older generation or a refusal`() throws {
        let began = ContinuousClock.now
        let directory = try directory(logBytes: 24_000, snapshotBytes: 16_000)
        let (log, _, frames, rest) = try log(directory)
        let tally = Tally()
        var cases: [(name: String, bytes: [UInt8], promised: LSN, label: String)] = []
        for (name, bytes) in directory.content where name != "LOCK" {
            let used = (bytes.lastIndex { $0 != 0 } ?? 0) + 1
            let sectors = (used + 511) / 512
            for index in 0..<sectors {
                let range = index * 512..<min((index + 1) * 512, bytes.count)
                let from = (index + 3) % sectors * 512
                let other = from..<min(from + 512, bytes.count)
                let count = min(range.count, other.count)
                var lost = bytes
                lost.replaceSubrange(range, with: repeatElement(0, count: range.count))
                var doubled = bytes
                doubled.replaceSubrange(range.prefix(count), with: bytes[other.prefix(count)])
                var swapped = doubled
                swapped.replaceSubrange(other.prefix(count), with: bytes[range.prefix(count)])
                for (kind, damaged) in [("lost", lost), ("doubled", doubled), ("swapped", swapped)] where damaged != bytes {
                    let without = frames.filter { !$0.range.overlaps(range) && !(kind == "swapped" && $0.range.overlaps(other)) }
                    let vouched = without.map(\.header.durableLSN).max() ?? .zero
                    let promised = name == log ? max(vouched, rest) : directory.last
                    cases.append((name, damaged, promised, "\(name) sector \(index) \(kind)"))
                }
            }
        }
        let all = cases
        inParallel(all.count) { index in
            _ = recover(directory, all[index].name, all[index].bytes, promised: all[index].promised, tally, all[index].label)
        }
        finish("33-sectors", "sectors of every file lost, doubled, swapped", tally, since: began)
    }

    // MARK: Snapshots and manifests

    @Test func `a newest snapshot that is cut or flipped anywhere is found out, and costs nothing but a longer replay`() throws {
        let began = ContinuousClock.now
        let cuts = try directory(logBytes: 2_000, snapshotBytes: Scale.damaged / 16)
        let flips = try directory(logBytes: 2_000, snapshotBytes: Scale.damaged / 50)
        let tally = Tally()
        let name = FileName.snapshotName(2)
        let whole = try #require(cuts.content[name])
        inParallel(whole.count) { cut in
            expectOlder(recover(cuts, name, Array(whole[..<cut]), promised: cuts.last, tally, "cut at \(cut)"), tally, "cut at \(cut)")
        }
        let bytes = try #require(flips.content[name])
        inParallel(bytes.count) { byte in
            for bit in 0..<8 {
                var damaged = bytes
                damaged[byte] ^= 1 << UInt8(bit)
                let life = recover(flips, name, damaged, promised: flips.last, tally, "byte \(byte) bit \(bit)")
                expectOlder(life, tally, "byte \(byte) bit \(bit)")
            }
        }
        finish("34-snapshot", "newest snapshot cut at every byte, every bit flipped", tally, since: began)
    }

    private func expectOlder(_ life: StorageLife?, _ tally: Tally, _ label: String) {
        if life?.report.snapshot != 1 || life?.report.damagedSnapshots.count != 1 { tally.findings.add("\(label): not found out") }
    }

    @Test(arguments: [FileName.manifestName, FileName.previousManifestName])
    func `a manifest that is cut or flipped anywhere costs nothing`(name: String) throws {
        let began = ContinuousClock.now
        let directory = try directory(logBytes: 2_000, snapshotBytes: 2_000)
        let tally = Tally()
        let bytes = try #require(directory.content[name])
        inParallel(bytes.count) { byte in
            var lives = [recover(directory, name, Array(bytes[..<byte]), promised: directory.last, tally, "cut at \(byte)")]
            for bit in 0..<8 {
                var damaged = bytes
                damaged[byte] ^= 1 << UInt8(bit)
                lives.append(recover(directory, name, damaged, promised: directory.last, tally, "byte \(byte) bit \(bit)"))
            }
            let isNewest = name == FileName.manifestName
            // A version that is not known may be a newer one's, so the older manifest must not stand in for it.
            let isVersion = isNewest && byte == "larder-manifest ".utf8.count
            for life in lives where life?.report.usedPreviousManifest != isNewest {
                if !(isVersion && life == nil) { tally.findings.add("byte \(byte): not found out") }
            }
        }
        finish("35-\(name)", "`\(name)` cut at every byte, every bit flipped", tally, since: began)
    }
}
