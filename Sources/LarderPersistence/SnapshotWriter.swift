// Writes a snapshot file from blocks of entries, start to end.
//
// Knows neither the store nor the log, and does not decide when to pause. What it has written is synced, and dropped from
// the page cache, every few MiB, so that the log's syncs never wait behind a mountain of dirty pages.

import LarderBytes
import LarderEngine
import LarderPlatform

/// A snapshot that is being written.
struct SnapshotWriter: ~Copyable {
    private let file: any File
    private let syncBytes: Int
    private let header: SnapshotHeader
    private var footer: SnapshotFooter
    private var output = ByteBuffer()
    private var index = ByteBuffer()
    private var offset: Int64 = 0
    private var synced: Int64 = 0

    init(file: any File, header: SnapshotHeader, syncBytes: Int) {
        self.file = file
        self.header = header
        self.syncBytes = syncBytes
        footer = SnapshotFooter(number: header.number)
        header.append(to: &output)
    }

    /// Writes a block that was compressed.
    ///
    /// - Returns: How many bytes were written.
    mutating func write(_ content: borrowing SnapshotBlock) throws(SystemError) -> Int {
        let start = offset + Int64(output.count)
        var block = SnapshotBlockHeader(content, number: footer.blockCount, snapshot: header.number)
        block.append(to: &output)
        output.append(content.stored)
        SnapshotIndexEntry(offset: UInt64(start), block: block).append(to: &index)
        footer.blockCount += 1
        if block.content == .entries { footer.entryCount += UInt64(block.entryCount) }
        footer.rawBytes += UInt64(block.rawBytes)
        footer.storedBytes += UInt64(block.storedBytes)
        let written = try flush()
        if offset - synced >= Int64(syncBytes) {
            try file.sync()
            file.dropCache()
            synced = offset
        }
        return written
    }

    /// Completes and syncs the file. The log must have been made durable through `end` before.
    mutating func finish(end: LSN, wall: Milliseconds) throws(SystemError) -> Manifest.Snapshot {
        _ = try flush()
        footer.indexOffset = UInt64(offset)
        footer.digest = Checksum.of(index.bytes)
        footer.end = end
        footer.wall = wall
        try file.writeAll(index.bytes, at: offset)
        offset += Int64(index.count)
        footer.append(to: &output)
        _ = try flush()
        try file.sync()
        file.dropCache()
        return Manifest.Snapshot(
            number: header.number, begin: header.begin, end: end, bytes: UInt64(offset), digest: footer.digest)
    }

    var entryCount: UInt64 { footer.entryCount }
    /// What the blocks hold, before compression.
    var rawBytes: UInt64 { footer.rawBytes }

    private mutating func flush() throws(SystemError) -> Int {
        let count = output.count
        try file.writeAll(output.bytes, at: offset)
        offset += Int64(count)
        output.removeAll()
        return count
    }
}
