// Replies that hold several entries: get many, and listings.

import LarderBytes

/// Where an unfinished get-many reply stands in the output.
package struct BinaryManyMark: Sendable {
    /// Position in the output's readable bytes where the reply begins.
    let start: Int
    /// How many answers are still owed.
    package fileprivate(set) var remaining: Int
}

extension BinaryReply {
    // MARK: Get many

    /// Begins the reply to a get-many of `count` keys. One answer a key follows, in the order of the keys, then `endMany`.
    package static func beginMany(
        _ count: Int, to command: borrowing Command, into output: inout ByteBuffer
    ) -> BinaryManyMark {
        precondition(count >= 0 && count <= Int(UInt16.max), "more keys than a request can name")
        let mark = BinaryManyMark(start: output.count, remaining: count)
        appendHeader(.ok, [], bodyBytes: 0, to: command, into: &output)
        output.append(littleEndian: UInt16(count))
        return mark
    }

    /// Answers the next key with its entry.
    ///
    /// - Returns: false when the reply would grow beyond `BinaryFrame.manyBytesMax` and `frameTooLarge` was answered
    ///   instead: the client is to ask for this key again. The first value always fits.
    @discardableResult
    package static func manyHit(
        _ entry: borrowing EntryReply, mark: inout BinaryManyMark, to command: borrowing Command,
        into output: inout ByteBuffer
    ) -> Bool {
        let fields = entry.fields(asked: command.binaryFlags)
        let bodyBytes = entry.bodyBytes(fields)
        let used = output.count - mark.start
        // A value beyond the limit is sent all the same when next to nothing stands before it: a client that asks again
        // for what was left out must come to an end.
        if used + bodyBytes > BinaryFrame.manyBytesMax, used > missesBytesMax {
            manyMiss(.frameTooLarge, mark: &mark, into: &output)
            return false
        }
        output.reserve(6 &+ bodyBytes)
        appendItemHeader(.ok, fields, bodyBytes, &mark, &output)
        entry.appendBody(fields, into: &output)
        return true
    }

    /// Answers the next key with a status and nothing else: a miss, or why the key could not be looked up.
    package static func manyMiss(
        _ status: Status = .notFound, mark: inout BinaryManyMark, into output: inout ByteBuffer
    ) {
        appendItemHeader(status, [], 0, &mark, &output)
    }

    package static func endMany(_ mark: BinaryManyMark, into output: inout ByteBuffer) {
        precondition(mark.remaining == 0, "every key of a get-many is owed an answer")
        closeFrame(from: mark.start, in: &output)
    }

    /// More bytes than any reply has before its first value.
    private static let missesBytesMax = BinaryFrame.headerBytes + 2 + 6 * BinaryFrame.keysMax

    private static func appendItemHeader(
        _ status: Status, _ fields: BinaryFields, _ bodyBytes: Int, _ mark: inout BinaryManyMark,
        _ output: inout ByteBuffer
    ) {
        precondition(mark.remaining > 0, "more answers than keys")
        mark.remaining -= 1
        output.append(littleEndian: UInt16(status.rawValue) | UInt16(fields.rawValue) << 8)
        output.append(littleEndian: UInt32(bodyBytes))
    }

    // MARK: Listing

    /// Begins a listing: its item count is filled in at the end.
    package static func beginList(to command: borrowing Command, into output: inout ByteBuffer) -> ListMark {
        let start = output.count
        appendHeader(.ok, [], bodyBytes: 0, to: command, into: &output)
        let bodyStart = output.count
        output.append(littleEndian: UInt32(0))
        return ListMark(start: start, bodyStart: bodyStart)
    }

    /// kind u8, key length u16, key, and for a key: version u64, updated u64, counter u32, remaining u64, value bytes
    /// u32; with values then content type length u16, content type, value.
    package static func listItem(
        _ item: borrowing ListItem, mark: inout ListMark, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        mark.items += 1
        output.append(byte: item.isPrefix ? 1 : 0)
        output.append(littleEndian: UInt16(item.key.byteCount))
        output.append(item.key)
        guard !item.isPrefix else { return }
        let withValues = command.binaryFlags.contains(.values)
        output.append(littleEndian: item.version)
        output.append(littleEndian: item.updatedMilliseconds)
        output.append(littleEndian: item.updatedCounter)
        output.append(littleEndian: lifetimeCode(item.remaining))
        output.append(littleEndian: UInt32(withValues ? item.value.byteCount : item.valueBytes))
        guard withValues else { return }
        let contentTypeBytes = min(item.contentType.byteCount, Int(UInt16.max))
        output.append(littleEndian: UInt16(contentTypeBytes))
        output.append(item.contentType.slice(0, contentTypeBytes))
        output.append(item.value)
    }

    /// Ends a listing with the cursor of the next page, empty when this is the last.
    package static func endList(
        cursor: [UInt8]?, mark: ListMark, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        if let cursor {
            output.append(littleEndian: UInt16(cursor.count + ListCursor.checksumBytes))
            ListCursor.append(cursor, to: &output)
        } else {
            output.append(littleEndian: 0 as UInt16)
        }
        output.overwrite(at: mark.bodyStart, littleEndian: UInt32(mark.items))
        closeFrame(from: mark.start, in: &output)
    }
}
