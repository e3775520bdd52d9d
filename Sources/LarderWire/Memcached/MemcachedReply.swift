// Outcomes to bytes of memcached's text protocol.
//
// Knows no store: it writes what it is given, in the words of the command. Source: memcached's doc/protocol.txt.

import LarderBytes

/// Writes replies of memcached. The contract is docs/memcached.md.
package enum MemcachedReply {
    /// An entry that was asked for: `VALUE key flags bytes [version]`, the value, and `END` behind the last.
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        if case .memcached = command.operation { return metaEntry(entry, to: command, into: &output) }
        output.reserve(entry.key.byteCount &+ entry.value.byteCount &+ headBytesMax)
        // "VALUE "
        output.append(word: 0x2045_554C_4156, count: 6)
        output.append(entry.key)
        if entry.clientFlags == 0 {
            // " 0 "
            output.append(word: 0x20_3020, count: 3)
        } else {
            output.append(byte: MemcachedText.space)
            output.append(decimal: UInt64(entry.clientFlags))
            output.append(byte: MemcachedText.space)
        }
        output.append(decimal: UInt64(entry.value.byteCount))
        if command.memcachedFlags.contains(.withVersion) {
            output.append(byte: MemcachedText.space)
            output.append(decimal: entry.version)
        }
        output.append(littleEndian: lineEnd)
        if entry.omitsValue { return }
        output.append(entry.value)
        if command.memcachedFlags.contains(.more) { return output.append(littleEndian: lineEnd) }
        endBehindValue(into: &output)
    }

    /// A line end, "END" and a line end.
    @inline(__always)
    private static func endBehindValue(into output: inout ByteBuffer) { output.append(word: 0x0A_0D44_4E45_0A0D, count: 7) }

    /// What comes behind a value.
    package static func entryEnd(to command: borrowing Command, into output: inout ByteBuffer) {
        if case .memcached = command.operation { return output.append(littleEndian: lineEnd) }
        if command.memcachedFlags.contains(.more) { return output.append(littleEndian: lineEnd) }
        endBehindValue(into: &output)
    }

    /// More than any head of a reply has beside its key.
    private static let headBytesMax = 96
    /// CR LF, as it lies.
    static let lineEnd: UInt16 = 0x0A0D

    /// "END" and a line end.
    private static func end(into output: inout ByteBuffer) {
        output.append(word: 0x0A_0D44_4E45, count: 5)
    }

    /// A write or its refusal by a condition, a miss, a flush.
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let flags = command.memcachedFlags
        switch command.operation {
        case .get, .getAndTouch:
            if !flags.contains(.more) { end(into: &output) }
        case .put:
            if flags.contains(.quiet) { return }
            if case .conditionFailed = status { return output.append(notStored(version, command.condition)) }
            // "STORED" and a line end.
            output.append(littleEndian: 0x0A0D_4445_524F_5453 as UInt64)
        default:
            if !flags.contains(.quiet) { output.append(word(status, command.memcachedWord)) }
        }
    }

    private static func notStored(_ version: UInt64, _ condition: Condition) -> StaticString {
        guard case .version = condition else { return "NOT_STORED\r\n" }
        return version == 0 ? "NOT_FOUND\r\n" : "EXISTS\r\n"
    }

    private static func word(_ status: Status, _ word: MemcachedWord) -> StaticString {
        let isDone = status == .ok || status == .created
        switch word {
        case .delete: return isDone ? "DELETED\r\n" : "NOT_FOUND\r\n"
        case .touch: return isDone ? "TOUCHED\r\n" : "NOT_FOUND\r\n"
        case .append, .prepend: return isDone ? "STORED\r\n" : "NOT_STORED\r\n"
        default: return isDone ? "OK\r\n" : "NOT_FOUND\r\n"
        }
    }

    /// A number and a line end: the value of a counter.
    package static func number(_ number: UInt64, to command: borrowing Command, into output: inout ByteBuffer) {
        guard !command.memcachedFlags.contains(.quiet) else { return }
        output.append(decimal: number)
        output.append(littleEndian: lineEnd)
    }

    /// No command of memcached asks for these two in these words; they are answered all the same.
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        number(UInt64(bitPattern: value), to: command, into: &output)
    }

    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        output.append(decimal: remaining.map { seconds($0) } ?? -1)
        output.append(littleEndian: lineEnd)
    }

    /// Lines that are ready as they are.
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        if !command.memcachedFlags.contains(.quiet) { output.append(text.bytes) }
    }

    /// Seconds left to live: what is left of the last one counts.
    static func seconds(_ milliseconds: Int64) -> Int64 { milliseconds / 1_000 + (milliseconds % 1_000 > 0 ? 1 : 0) }

    // MARK: Refusals

    /// A refusal. Who said `noreply` does not wait for one.
    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {
        guard !command.memcachedFlags.contains(.quiet) else { return }
        if failure.status == .unknownOperation { return output.append("ERROR\r\n") }
        output.append(kind(failure.status))
        output.append(sentence(failure))
        output.append(littleEndian: lineEnd)
    }

    /// A refusal whose sentence is made at run time.
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        guard !command.memcachedFlags.contains(.quiet) else { return }
        output.append(kind(status))
        // It may name a file, whose name may hold anything.
        for byte in text.utf8 { output.append(byte: byte < MemcachedText.space ? MemcachedText.space : byte) }
        output.append(littleEndian: lineEnd)
    }

    /// Who is at fault.
    private static func kind(_ status: Status) -> StaticString {
        switch status {
        case .valueTooLarge, .namespaceNotFound, .namespaceNotReady, .namespaceDeleting: "SERVER_ERROR "
        default: status.rawValue < Status.loading.rawValue ? "CLIENT_ERROR " : "SERVER_ERROR "
        }
    }

    /// Clients look for these words of memcached's.
    private static func sentence(_ failure: Failure) -> StaticString {
        switch failure.status {
        case .valueTooLarge: "object too large for cache"
        case .outOfMemory: "out of memory storing object"
        case .notAnInteger: "cannot increment or decrement non-numeric value"
        default: failure.detail
        }
    }
}
