// Requests of memcached with a line and a block of data behind it: set and its likes.

import LarderBytes

extension MemcachedDecoder {
    /// The words of a line that a data block follows.
    private struct StorageLine {
        var key: ByteRange
        var clientFlags: UInt32
        var seconds: Int64
        var byteCount: Int
        var version: UInt64 = 0
        var isQuiet = false
        /// Where the data begins.
        var end: Int
    }

    /// `set key flags exptime bytes`, the data, and a line end, all of it there and with nothing unusual.
    @inline(__always)
    mutating func decodeSet(_ bytes: RawSpan, _ position: inout Int, _ command: inout Command) -> DecodeStep {
        let start = position &+ 4
        var cursor = MemcachedText.wordEnd(bytes, from: start, limit: bytes.byteCount)
        let key = ByteRange(start: start, count: cursor &- start)
        guard key.count > 0, let flags = MemcachedText.commonNumber(bytes, at: &cursor),
            let seconds = MemcachedText.commonNumber(bytes, at: &cursor),
            let byteCount = MemcachedText.commonNumber(bytes, at: &cursor), cursor &+ byteCount &+ 4 <= bytes.byteCount,
            bytes.littleEndian(at: cursor, as: UInt16.self) == Self.dataEnd,
            bytes.littleEndian(at: cursor &+ 2 &+ byteCount, as: UInt16.self) == Self.dataEnd, byteCount <= valueBytesMax, !needsLogin
        else { return decodeStorage(.set, bytes, from: position &+ 3, &position, &command) }
        Self.begin(.put, .set, &command)
        command.key = key
        command.value = ByteRange(start: cursor &+ 2, count: byteCount)
        command.clientFlags = UInt32(truncatingIfNeeded: flags)
        if seconds != 0 { command.lifetime = MemcachedText.lifetime(seconds: Int64(seconds)) }
        position = cursor &+ byteCount &+ 4
        return .command
    }

    /// `set key flags exptime bytes [noreply]`, the data, and a line end; and the same for its likes.
    @inline(never)
    mutating func decodeStorage(
        _ word: MemcachedWord, _ bytes: RawSpan, from start: Int, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        guard let line = Self.storageLine(word, bytes, from: start) else {
            return refuseStorage(word, bytes, from: start, &position, &command)
        }
        let dataEnd = line.end &+ line.byteCount
        guard line.byteCount <= valueBytesMax else {
            Self.begin(.none, word, &command)
            return passData(line.byteCount, from: line.end, isQuiet: line.isQuiet, .tooLarge, &position, &command)
        }
        guard dataEnd &+ 2 <= bytes.byteCount else { return needBytes(dataEnd &+ 2 &- position) }
        Self.begin(.put, word, &command)
        command.flags = line.isQuiet ? MemcachedFlags.quiet.rawValue : 0
        guard bytes.littleEndian(at: dataEnd, as: UInt16.self) == Self.dataEnd else {
            command.failure = .badDataChunk
            return .close
        }
        command.key = line.key
        command.value = ByteRange(start: line.end, count: line.byteCount)
        command.clientFlags = line.clientFlags
        command.lifetime = MemcachedText.lifetime(seconds: line.seconds)
        position = dataEnd &+ 2
        qualify(word, line.version, &command)
        return .command
    }

    /// CR LF, as it lies.
    private static let dataEnd: UInt16 = 0x0A0D

    /// What tells the likes of `set` from it.
    private func qualify(_ word: MemcachedWord, _ version: UInt64, _ command: inout Command) {
        switch word {
        case .add: command.condition = .absent
        case .replace: command.condition = .present
        case .cas: command.condition = .version(version)
        case .append, .prepend: command.operation = .memcached
        case .set where needsLogin:
            command.operation = .memcached
            command.word = MemcachedWord.authenticate.rawValue
        default: break
        }
    }

    /// - Returns: nil when the line is not complete, or not as it should be.
    private static func storageLine(_ word: MemcachedWord, _ bytes: RawSpan, from start: Int) -> StorageLine? {
        let limit = bytes.byteCount
        let keyStart = MemcachedText.skipSpaces(bytes, from: start, limit: limit)
        var cursor = MemcachedText.wordEnd(bytes, from: keyStart, limit: limit)
        let key = ByteRange(start: keyStart, count: cursor &- keyStart)
        guard key.count > 0, let flags = number(bytes, &cursor), flags <= Int64(UInt32.max),
            let seconds = signedNumber(bytes, &cursor), let byteCount = number(bytes, &cursor), byteCount <= Int64(Int32.max)
        else { return nil }
        var line = StorageLine(
            key: key, clientFlags: UInt32(truncatingIfNeeded: flags), seconds: seconds, byteCount: Int(byteCount), end: 0)
        if word == .cas {
            guard let version = storageVersion(bytes, &cursor) else { return nil }
            line.version = version
        }
        if let end = MemcachedText.lineEnd(bytes, at: cursor) {
            line.end = end
            return line
        }
        return storageEnd(line, bytes, cursor)
    }

    /// The next word as a number without a sign.
    private static func number(_ bytes: RawSpan, _ cursor: inout Int) -> Int64? {
        let start = MemcachedText.skipSpaces(bytes, from: cursor, limit: bytes.byteCount)
        guard start > cursor else { return nil }
        cursor = start
        return MemcachedText.number(bytes, at: &cursor)
    }

    /// The same for a number that may have a minus sign.
    private static func signedNumber(_ bytes: RawSpan, _ cursor: inout Int) -> Int64? {
        let start = MemcachedText.skipSpaces(bytes, from: cursor, limit: bytes.byteCount)
        guard start > cursor, start < bytes.byteCount else { return nil }
        let isNegative = bytes.byte(at: start) == UInt8(ascii: "-")
        cursor = isNegative ? start &+ 1 : start
        guard let magnitude = MemcachedText.number(bytes, at: &cursor) else { return nil }
        return isNegative ? -magnitude : magnitude
    }

    private static func storageVersion(_ bytes: RawSpan, _ cursor: inout Int) -> UInt64? {
        let start = MemcachedText.skipSpaces(bytes, from: cursor, limit: bytes.byteCount)
        guard start > cursor else { return nil }
        cursor = MemcachedText.wordEnd(bytes, from: start, limit: bytes.byteCount)
        return Decimal.parseUnsigned(bytes.slice(start, cursor &- start))
    }

    /// Spaces and `noreply` before the end of a line.
    private static func storageEnd(_ line: StorageLine, _ bytes: RawSpan, _ position: Int) -> StorageLine? {
        let limit = bytes.byteCount
        let start = MemcachedText.skipSpaces(bytes, from: position, limit: limit)
        let end = MemcachedText.wordEnd(bytes, from: start, limit: limit)
        var line = line
        if end > start {
            guard start > position, bytes.slice(start, end &- start).equals("noreply") else { return nil }
            line.isQuiet = true
        }
        let behind = MemcachedText.skipSpaces(bytes, from: end, limit: limit)
        guard let lineEnd = MemcachedText.lineEnd(bytes, at: behind) else { return nil }
        line.end = lineEnd
        return line
    }

    /// A line that is not complete, or not as it should be. Where it still tells how much data follows, that is thrown away; where
    /// it does not, the connection ends: what follows may be data, and somebody's idea of a command.
    private mutating func refuseStorage(
        _ word: MemcachedWord, _ bytes: RawSpan, from start: Int, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        guard let line = Self.line(bytes, from: start, lineStart: position) else { return needLine(bytes, position, &command) }
        Self.begin(.none, word, &command)
        var words = MemcachedWords(line.words)
        var count = 0
        var byteCount: Int64?
        while let range = words.next(in: bytes) {
            count += 1
            if count == 4 { byteCount = Decimal.parse(bytes.slice(range)) }
        }
        // With more words than there are, the fourth may be part of a key with a space in it.
        guard words.isAtEnd(in: bytes), count <= (word == .cas ? 6 : 5), let byteCount, byteCount >= 0,
            byteCount <= Int64(Int32.max)
        else {
            command.failure = .badLine
            return .close
        }
        return passData(Int(byteCount), from: line.end, isQuiet: false, .badLine, &position, &command)
    }
}
