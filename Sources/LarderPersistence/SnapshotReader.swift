// Reads a snapshot file, which it does not trust: every length is checked before it is used, every byte before it is believed.
//
// Knows blocks and their entries as bytes; what an entry does is its caller's. May be used by several threads at once.

import LarderBytes
import LarderEngine
import LarderPlatform

/// A snapshot whose header, footer and index are whole.
package final class SnapshotReader: Sendable {
    private let file: any File
    package let name: String
    package let header: SnapshotHeader
    package let footer: SnapshotFooter
    package let index: [SnapshotIndexEntry]
    package let byteCount: Int64

    /// Opens a snapshot.
    ///
    /// - Parameter dropsCache: So that it is read from the medium.
    package convenience init(files: any FileSystem, number: UInt32, dropsCache: Bool = false) throws(SnapshotDamage) {
        try self.init(files: files, name: FileName.snapshotName(number), number: number, dropsCache: dropsCache)
    }

    /// Opens the snapshot in file `name`.
    ///
    /// - Parameter number: nil for whichever it is.
    init(files: any FileSystem, name: String, number: UInt32?, dropsCache: Bool = false) throws(SnapshotDamage) {
        let file: any File
        do {
            file = try files.open(name, .read)
        } catch {
            throw SnapshotDamage(file: name, offset: 0, reason: error.isMissingFile ? .missing : .unreadable(error))
        }
        if dropsCache { file.dropCache() }
        let byteCount = try Self.at(0, name) { () throws(SystemError) in try file.size() }
        self.file = file
        self.name = name
        self.byteCount = byteCount
        header = try Self.readHeader(file, name, number)
        footer = try Self.readFooter(file, name, header.number, byteCount)
        index = try Self.readIndex(file, name, footer, byteCount)
    }

    /// Asks the kernel to forget what was read.
    func dropCache() { file.dropCache() }

    /// Whether this is the file that the manifest names.
    func check(against entry: Manifest.Snapshot, directory: DirectoryID) throws(SnapshotDamage) {
        guard header.directory == directory else { throw damage(0, .foreign) }
        guard header.begin == entry.begin, footer.end == entry.end, UInt64(byteCount) == entry.bytes, footer.digest == entry.digest
        else { throw damage(0, .notInManifest) }
    }

    /// What the keys, values and metadata of all entries have together, or a little less: the namespaces are not told apart
    /// from them here, and are taken for as many bytes as their block can have at most.
    var bodyBytesMin: Int {
        // Deflate makes no more than 1,032 bytes of one.
        let namespaceBytes = index.first.map { min(Int($0.storedBytes) * 1_100, SnapshotBlockHeader.rawBytesMax) } ?? 0
        let perEntry = UInt64(LogRecord.snapshotOverheadBytes)
        let (overhead, overflow) = footer.entryCount.multipliedReportingOverflow(by: perEntry)
        guard !overflow, footer.rawBytes > overhead else { return 0 }
        return max(0, Int(clamping: footer.rawBytes - overhead) - namespaceBytes)
    }

    // MARK: Blocks

    /// Reads a block as it is stored, and checks all of it.
    func readStored(_ block: Int, into stored: inout ByteBuffer) throws(SnapshotDamage) -> SnapshotBlockHeader {
        let entry = index[block]
        let offset = Int64(entry.offset)
        let count = SnapshotBlockHeader.byteCount + Int(entry.storedBytes)
        stored.removeAll()
        let read = try Self.at(Int(offset), name) { () throws(SystemError) in
            try file.read(at: offset, count: count, into: &stored)
        }
        guard read == count, let header = SnapshotBlockHeader(parsing: stored.bytes), header.checksum == entry.headerChecksum,
            header.number == UInt32(block), header.snapshot == self.header.number, header.entryCount == entry.entryCount,
            header.storedBytes == Int(entry.storedBytes), header.content == (block == 0 ? .namespaces : .entries)
        else { throw damage(Int(offset), .blockHeader) }
        stored.consume(SnapshotBlockHeader.byteCount)
        guard header.matches(stored: stored.bytes) else { throw damage(Int(offset), .blockChecksum) }
        return header
    }

    /// Reads a block and hands its entries to `body`. The buffers are what a thread brings to use again and again.
    func load(
        _ block: Int, stored: inout ByteBuffer, raw: inout ByteBuffer, inflater: inout Inflater,
        _ body: (borrowing LogRecord) -> Void
    ) throws(SnapshotDamage) {
        let header = try readStored(block, into: &stored)
        raw.removeAll()
        if let fault = header.decode(stored.bytes, with: &inflater, into: &raw) {
            throw damage(Int(index[block].offset), fault)
        }
        if let fault = Self.walk(raw.bytes, count: Int(header.entryCount), body) {
            throw damage(Int(index[block].offset), .entry(fault))
        }
    }

    /// Hands all entries to `body`, the namespaces first.
    func loadAll(_ body: (borrowing LogRecord) -> Void) throws(SnapshotDamage) {
        var stored = ByteBuffer()
        var raw = ByteBuffer()
        var inflater = Inflater()
        for block in index.indices { try load(block, stored: &stored, raw: &raw, inflater: &inflater, body) }
    }

    private static func walk(_ raw: RawSpan, count: Int, _ body: (borrowing LogRecord) -> Void) -> RecordFault? {
        var position = 0
        var seen = 0
        while position < raw.byteCount {
            do throws(LogRecordError) {
                var access: UInt8 = 0
                let record = try LogRecord(
                    parsingSnapshotEntry: raw.extracting(position..<raw.byteCount), access: &access)
                position += record.snapshotByteCount
                seen += 1
                body(record)
            } catch {
                return .record(error)
            }
        }
        return seen == count ? nil : .count
    }

    // MARK: The ends

    private func damage(_ offset: Int, _ reason: SnapshotFault) -> SnapshotDamage {
        SnapshotDamage(file: name, offset: offset, reason: reason)
    }

    private static func at<Value>(
        _ offset: Int, _ name: String, _ body: () throws(SystemError) -> Value
    ) throws(SnapshotDamage) -> Value {
        do {
            return try body()
        } catch {
            throw SnapshotDamage(file: name, offset: offset, reason: .unreadable(error))
        }
    }

    private static func readHeader(_ file: any File, _ name: String, _ number: UInt32?) throws(SnapshotDamage) -> SnapshotHeader {
        var bytes = ByteBuffer()
        _ = try at(0, name) { () throws(SystemError) in try file.read(at: 0, count: SnapshotHeader.byteCount, into: &bytes) }
        do throws(SnapshotFaultError) {
            let header = try SnapshotHeader(parsing: bytes.bytes)
            guard header.number == number ?? header.number else { throw SnapshotFaultError(.foreign) }
            return header
        } catch {
            throw SnapshotDamage(file: name, offset: 0, reason: error.fault)
        }
    }

    private static func readFooter(
        _ file: any File, _ name: String, _ number: UInt32, _ byteCount: Int64
    ) throws(SnapshotDamage) -> SnapshotFooter {
        let offset = byteCount - Int64(SnapshotFooter.byteCount)
        guard offset >= Int64(SnapshotHeader.byteCount) else {
            throw SnapshotDamage(file: name, offset: Int(byteCount), reason: .footer)
        }
        var bytes = ByteBuffer()
        _ = try at(Int(offset), name) { () throws(SystemError) in
            try file.read(at: offset, count: SnapshotFooter.byteCount, into: &bytes)
        }
        guard let footer = SnapshotFooter(parsing: bytes.bytes), footer.number == number else {
            throw SnapshotDamage(file: name, offset: Int(offset), reason: .footer)
        }
        return footer
    }

    /// The index has to tile the file: header, block after block, index, footer, with no byte between them.
    private static func readIndex(
        _ file: any File, _ name: String, _ footer: SnapshotFooter, _ byteCount: Int64
    ) throws(SnapshotDamage) -> [SnapshotIndexEntry] {
        let count = Int(footer.blockCount)
        let offset = byteCount - Int64(SnapshotFooter.byteCount) - Int64(count) * Int64(SnapshotIndexEntry.byteCount)
        let damage = SnapshotDamage(file: name, offset: Int(byteCount) - SnapshotFooter.byteCount, reason: .index)
        guard count > 0, offset >= Int64(SnapshotHeader.byteCount), UInt64(offset) == footer.indexOffset else { throw damage }
        var bytes = ByteBuffer()
        let read = try at(Int(offset), name) { () throws(SystemError) in
            try file.read(at: offset, count: count * SnapshotIndexEntry.byteCount, into: &bytes)
        }
        guard read == count * SnapshotIndexEntry.byteCount, Checksum.of(bytes.bytes) == footer.digest else { throw damage }
        var index: [SnapshotIndexEntry] = []
        index.reserveCapacity(count)
        var next = UInt64(SnapshotHeader.byteCount)
        for block in 0..<count {
            let entry = SnapshotIndexEntry(bytes.bytes, at: block * SnapshotIndexEntry.byteCount)
            guard entry.offset == next, Int(entry.storedBytes) <= SnapshotBlockHeader.rawBytesMax else { throw damage }
            // Cannot overflow: both summands are bounded, and `next` stays within the file or the last check fails.
            next += UInt64(SnapshotBlockHeader.byteCount) + UInt64(entry.storedBytes)
            guard next <= UInt64(offset) else { throw damage }
            index.append(entry)
        }
        guard next == UInt64(offset) else { throw damage }
        return index
    }
}
