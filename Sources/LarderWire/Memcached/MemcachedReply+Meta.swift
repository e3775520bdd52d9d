// Replies to meta commands of memcached: two letters, and what the flags of the request ask for in its order.

import LarderBytes

/// What became of a meta command.
package enum MetaCode: Sendable {
    case done, notStored, exists, notFound, miss

    var letters: StaticString {
        switch self {
        case .done: "HD"
        case .notStored: "NS"
        case .exists: "EX"
        case .notFound: "NF"
        case .miss: "EN"
        }
    }
}

/// What the flags of a request may ask of an entry.
package struct MetaEntry: Sendable {
    package var size = 0
    package var version: UInt64 = 0
    package var clientFlags: UInt32 = 0
    /// Milliseconds; nil for ever.
    package var remaining: Int64?

    package init() {}

    package init(size: Int, version: UInt64, clientFlags: UInt32, remaining: Int64?) {
        self.size = size
        self.version = version
        self.clientFlags = clientFlags
        self.remaining = remaining
    }
}

extension MemcachedReply {
    /// `mg`: `VA bytes flags`, and the value; or without `v` `HD flags`.
    static func metaEntry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        let hasValue = !command.memcachedFlags.contains(.withoutValue)
        output.reserve(entry.line.byteCount &+ 2 &* entry.key.byteCount &+ (hasValue ? entry.value.byteCount : 0) &+ 128)
        if hasValue {
            output.append("VA ")
            output.append(decimal: UInt64(entry.value.byteCount))
        } else {
            output.append("HD")
        }
        let told = MetaEntry(
            size: entry.value.byteCount, version: entry.version, clientFlags: entry.clientFlags, remaining: entry.remaining)
        appendAnswers(
            told, [.tellSize, .tellLifetime, .tellVersion, .tellClientFlags], entry.key, entry.line, to: command, into: &output)
        appendMarks(entry.marks, into: &output)
        output.append(littleEndian: lineEnd)
        guard hasValue, !entry.omitsValue else { return }
        output.append(entry.value)
        output.append(littleEndian: lineEnd)
    }

    /// `me`: what is known of an entry.
    package static func metaDebug(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        output.append("ME ")
        appendKey(entry.key, to: command, into: &output)
        output.append(" exp=")
        output.append(decimal: entry.remaining.map { seconds($0) } ?? -1)
        output.append(" cas=")
        output.append(decimal: entry.version)
        output.append(" size=")
        output.append(decimal: UInt64(entry.value.byteCount))
        output.append(littleEndian: lineEnd)
    }

    /// A reply without a value. With `q` nothing is said of what went as expected.
    ///
    /// - Parameter told: What the entry is now, if the command has made it so.
    package static func meta(
        _ code: MetaCode, _ told: MetaEntry?, key: RawSpan, line: RawSpan, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        if command.meta.flags.contains(.quiet), isExpected(code) { return }
        output.append(code.letters)
        appendAnswers(
            told ?? MetaEntry(), told == nil ? [] : [.tellVersion, .tellLifetime, .tellSize], key, line, to: command, into: &output)
        output.append(littleEndian: lineEnd)
    }

    /// The value of a counter, with `ma` and `v`.
    package static func metaNumber(
        _ number: UInt64, _ told: MetaEntry, key: RawSpan, line: RawSpan, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        if command.meta.flags.contains(.quiet) { return }
        output.append("VA ")
        output.append(decimal: UInt64(told.size))
        appendAnswers(told, [.tellVersion, .tellLifetime, .tellSize], key, line, to: command, into: &output)
        output.append(littleEndian: lineEnd)
        output.append(decimal: number)
        output.append(littleEndian: lineEnd)
    }

    /// `mn`.
    package static func metaNoOp(into output: inout ByteBuffer) { output.append("MN\r\n") }

    private static func isExpected(_ code: MetaCode) -> Bool {
        switch code {
        case .done, .miss: true
        case .notFound, .notStored, .exists: false
        }
    }

    /// What the flags of the line ask for, in their order. The key and the opaque token are always repeated, the rest only if
    /// `allowed`.
    private static func appendAnswers(
        _ entry: MetaEntry, _ allowed: MetaFlags, _ key: RawSpan, _ line: RawSpan, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        var words = MemcachedWords(ByteRange(start: 0, count: line.byteCount))
        while let word = words.next(in: line) {
            guard let flag = MetaFlags(line.byte(at: word.start)) else { continue }
            switch flag {
            case .opaque:
                output.append(byte: MemcachedText.space)
                output.append(line.slice(word))
            case .tellKey:
                output.append(" k")
                appendKey(key, to: command, into: &output)
                if command.meta.flags.contains(.base64) { output.append(" b") }
            case .tellSize where allowed.contains(.tellSize):
                output.append(" s")
                output.append(decimal: UInt64(entry.size))
            case .tellLifetime where allowed.contains(.tellLifetime):
                output.append(" t")
                output.append(decimal: entry.remaining.map { seconds($0) } ?? -1)
            case .tellVersion where allowed.contains(.tellVersion):
                output.append(" c")
                output.append(decimal: entry.version)
            case .tellClientFlags where allowed.contains(.tellClientFlags):
                output.append(" f")
                output.append(decimal: UInt64(entry.clientFlags))
            default: break
            }
        }
    }

    private static func appendKey(_ key: RawSpan, to command: borrowing Command, into output: inout ByteBuffer) {
        if command.meta.flags.contains(.base64) {
            output.append(base64: key)
        } else {
            output.append(key)
        }
    }

    private static func appendMarks(_ marks: MetaMarks, into output: inout ByteBuffer) {
        if marks.isEmpty { return }
        if marks.contains(.taken), !marks.contains(.won) { output.append(" Z") }
        if marks.contains(.stale) { output.append(" X") }
        if marks.contains(.won) { output.append(" W") }
    }
}
