// Recorded requests to replay, in the open form of Twitter's cache traces.
//
//     timestamp,anonymized key,key size,value size,client id,operation,TTL
//
// Source: J. Yang, Y. Yue, K. V. Rashmi, "A large scale analysis of hundreds of in-memory cache clusters at Twitter",
// OSDI 2020, and github.com/twitter/cache-trace. Timestamps are whole seconds; the requests of one second are spread
// over it in order. Reads stay reads, deletes deletes, and every other operation writes the value.

import LarderBytes
import LarderPlatform

/// One request of a trace.
struct TraceRecord: Equatable, Sendable {
    var keyStart: Int
    var keyBytes: Int32
    var valueBytes: Int32
    /// Nanoseconds since the first request.
    var time: Int64
    /// Milliseconds; 0: none.
    var lifetime: Int64
    var operation: LoadOperation
}

/// A trace in memory.
package struct Trace: Sendable {
    /// Keys longer than this are cut: memcached takes no longer ones.
    package static let keyBytesMax = 250

    /// Timestamps from here on are none: nanoseconds would not fit.
    private static let secondsMax: Int64 = 1 << 33

    private(set) var records: [TraceRecord] = []
    private var keys: [UInt8] = []
    /// Lines that are no requests.
    package private(set) var linesSkipped = 0
    /// Values that were larger than the limit, and are sent as large as it.
    package private(set) var valuesCut = 0
    /// Whether there were more requests than were wanted.
    package private(set) var isCut = false
    package private(set) var valueBytesMax = 0

    private let recordsMax: Int
    private let valueLimit: Int
    // The second that is being read, and where its records begin.
    private var firstSecond: Int64?
    private var second: Int64 = 0
    private var secondStart = 0
    private var rest: [UInt8] = []

    package init(recordsMax: Int, valueLimit: Int) {
        self.recordsMax = recordsMax
        self.valueLimit = valueLimit
    }

    package var count: Int { records.count }

    func key(_ record: Int) -> ArraySlice<UInt8> {
        let entry = records[record]
        return keys[entry.keyStart..<entry.keyStart + Int(entry.keyBytes)]
    }

    func append(keyOf record: Int, to output: inout ByteBuffer) {
        let entry = records[record]
        output.append(keys.rawSpan.slice(entry.keyStart, Int(entry.keyBytes)))
    }

    /// Takes the next part of the file. Parts may end anywhere.
    package mutating func read(_ bytes: RawSpan) {
        var start = 0
        while start < bytes.byteCount, !isCut {
            guard let end = bytes.firstPosition(of: 10, from: start) else { break }
            if rest.isEmpty {
                line(bytes.slice(start, end - start))
            } else {
                let whole = rest + Array(bytes.slice(start, end - start))
                rest = []
                line(whole.rawSpan)
            }
            start = end + 1
        }
        // A line without an end is no trace.
        if rest.count < 65_536 { rest += Array(bytes.slice(start, bytes.byteCount - start)) }
    }

    /// The file is at its end.
    package mutating func finish() {
        let last = rest
        rest = []
        if !last.isEmpty { line(last.rawSpan) }
        spreadSecond()
    }

    private mutating func line(_ line: RawSpan) {
        guard !isCut else { return }
        guard records.count < recordsMax else {
            isCut = true
            return
        }
        var fields = InlineArray<7, ByteRange>(repeating: .empty)
        var count = 0
        var start = 0
        for position in 0...line.byteCount {
            let isEnd = position == line.byteCount
            guard isEnd || line.byte(at: position) == UInt8(ascii: ",") else { continue }
            if count < 7 { fields[count] = ByteRange(start: start, count: position - start) }
            count += 1
            start = position + 1
        }
        if count == 7, fields[6].count > 0, line.byte(at: fields[6].end - 1) == 13 { fields[6].count -= 1 }
        guard count == 7, let time = Decimal.parse(line.slice(fields[0])), let keyBytes = Decimal.parse(line.slice(fields[2])),
            let valueBytes = Decimal.parse(line.slice(fields[3])), let lifetime = Decimal.parse(line.slice(fields[6])),
            fields[1].count > 0, keyBytes >= 0, valueBytes >= 0, lifetime >= 0, lifetime < 1 << 40, time >= 0, time < Self.secondsMax,
            let operation = Self.operation(line.slice(fields[5]))
        else {
            linesSkipped += 1
            return
        }
        take(line.slice(fields[1]), keyBytes: keyBytes, valueBytes: valueBytes, lifetime: lifetime, time: time, operation)
    }

    private mutating func take(
        _ key: RawSpan, keyBytes: Int64, valueBytes: Int64, lifetime: Int64, time: Int64, _ operation: LoadOperation
    ) {
        if firstSecond == nil {
            firstSecond = time
            second = time
        }
        // A clock that went back: those requests belong to the second that is being read.
        if time > second {
            spreadSecond()
            second = time
        }
        let start = keys.count
        // The anonymised key, padded to the real one's length; in both forms a key has its own text.
        for position in 0..<min(key.byteCount, Self.keyBytesMax) {
            let byte = key.byte(at: position)
            let isLegal = KeyFormat.isLegal(byte) && !(position == 0 && byte == UInt8(ascii: "_"))
            keys.append(isLegal ? byte : UInt8(ascii: "="))
        }
        while keys.count - start < min(Int(clamping: keyBytes), Self.keyBytesMax) { keys.append(UInt8(ascii: "0")) }
        if valueBytes > valueLimit { valuesCut += 1 }
        let size = min(Int(clamping: valueBytes), valueLimit)
        valueBytesMax = max(valueBytesMax, size)
        records.append(
            TraceRecord(
                keyStart: start, keyBytes: Int32(keys.count - start), valueBytes: Int32(size), time: 0,
                lifetime: operation == .set ? lifetime * 1_000 : 0, operation: operation))
    }

    /// Gives the requests of the second that was read their times.
    private mutating func spreadSecond() {
        let count = records.count - secondStart
        guard count > 0, let firstSecond else { return }
        let base = (second - firstSecond) * 1_000_000_000
        for index in 0..<count { records[secondStart + index].time = base + Int64(index) * 1_000_000_000 / Int64(count) }
        secondStart = records.count
    }

    private static func operation(_ name: RawSpan) -> LoadOperation? {
        if name.equals("get") || name.equals("gets") { return .get }
        if name.equals("delete") { return .delete }
        for other: StaticString in ["set", "add", "replace", "cas", "append", "prepend", "incr", "decr"] where name.equals(other) {
            return .set
        }
        return nil
    }

    /// The requests of each connection, by index. A key's requests are all on one connection, in order.
    func shares(threads: Int, connections: Int) -> [[UInt32]] {
        var shares = [[UInt32]](repeating: [], count: threads * connections)
        for index in records.indices {
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in key(index) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            shares[Int(SplitMix.mixed(hash) % UInt64(shares.count))].append(UInt32(index))
        }
        return shares
    }
}

extension Trace {
    /// Reads the file at `path`, as far as it is wanted.
    package mutating func read(file path: String) throws(SystemError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = parts.dropLast().joined(separator: "/")
        let directory = try DirectoryFileSystem(path: parts.count == 1 ? "." : folder.isEmpty ? "/" : folder, creating: false)
        let file = try directory.open(String(parts.last ?? ""), .read)
        var chunk = ByteBuffer()
        var offset: Int64 = 0
        while !isCut {
            chunk.removeAll()
            let count = try file.read(at: offset, count: 1 << 20, into: &chunk)
            if count == 0 { break }
            read(chunk.bytes)
            offset += Int64(count)
        }
        finish()
    }
}
