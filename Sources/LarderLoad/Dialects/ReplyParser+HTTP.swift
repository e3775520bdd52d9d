// HTTP/1.1 replies: a status line, fields, and a body whose length a field says.
//
// Bodies in chunks, and bodies that end with the connection, are not understood: no cache answers a small value so.

import LarderBytes

extension ReplyParser {
    func http(_ bytes: RawSpan, _ start: Int, _ operation: LoadOperation) throws(ReplyError) -> LoadReply? {
        // "HTTP/1.1 200". No 1xx: nothing was sent that asks for one.
        let available = bytes.byteCount - start
        let known = min(available, 7)
        for position in 0..<known where bytes.byte(at: start + position) != Self.protocolName[position] { throw .foreign }
        guard let head = try headEnd(bytes, start) else { return nil }
        guard head - start >= 16, let code = Decimal.parse(bytes.slice(start + 9, 3)), (200...599).contains(code)
        else { throw .foreign }

        var fields = Fields()
        var position = start
        while position < head, let feed = bytes.firstPosition(of: 10, from: position) {
            fields.read(bytes, from: feed + 1)
            position = feed + 1
        }
        let bodyless = code == 204 || code == 304
        guard !fields.isChunked, bodyless || fields.length >= 0 else { throw .unbounded }
        guard fields.length <= valueBytesMax else { throw .tooLarge }
        let body = ByteRange(start: head, count: bodyless ? 0 : fields.length)
        guard body.end <= bytes.byteCount else { return nil }
        return LoadReply(
            outcome: Self.outcome(Int(code), operation), content: body, kind: ByteRange(start: start + 9, count: 3),
            end: body.end, closes: fields.closes)
    }

    private static let protocolName: InlineArray<7, UInt8> = [0x48, 0x54, 0x54, 0x50, 0x2F, 0x31, 0x2E]

    private static func outcome(_ code: Int, _ operation: LoadOperation) -> LoadReply.Outcome {
        switch code {
        case 200..<300: operation == .get ? .hit : .done
        // A key that is not there. What a write does not find is where it was to go.
        case 404 where operation != .set: .miss
        default: .refused
        }
    }

    /// The position behind the empty line that ends the head.
    private func headEnd(_ bytes: RawSpan, _ start: Int) throws(ReplyError) -> Int? {
        var position = start
        while let feed = bytes.firstPosition(of: 10, from: position) {
            if feed + 2 < bytes.byteCount, bytes.byte(at: feed + 1) == 13, bytes.byte(at: feed + 2) == 10 { return feed + 3 }
            position = feed + 1
        }
        if bytes.byteCount - start > Self.lineBytesMax { throw .tooLarge }
        return nil
    }

    /// The fields that say where a reply ends.
    private struct Fields {
        var length = -1
        var isChunked = false
        var closes = false

        /// Reads the field that begins at `start`.
        mutating func read(_ bytes: RawSpan, from start: Int) {
            guard start < bytes.byteCount else { return }
            switch bytes.byte(at: start) | 0x20 {
            case UInt8(ascii: "c"):
                if Self.isNamed(Self.contentLength, bytes, start) {
                    let value = Self.value(bytes, start + 15)
                    length = Decimal.parse(bytes.slice(value)).flatMap { $0 >= 0 ? Int($0) : nil } ?? -1
                } else if Self.isNamed(Self.connection, bytes, start) {
                    let value = Self.value(bytes, start + 11)
                    closes = Self.isNamed(Self.close, bytes, value.start)
                }
            case UInt8(ascii: "t"):
                if Self.isNamed(Self.transferEncoding, bytes, start) { isChunked = true }
            default: break
            }
        }

        private static let contentLength = Array("content-length:".utf8)
        private static let connection = Array("connection:".utf8)
        private static let transferEncoding = Array("transfer-encoding:".utf8)
        private static let close = Array("close".utf8)

        /// Whether `name`, which is in lower case, stands at `start` in any case.
        private static func isNamed(_ name: [UInt8], _ bytes: RawSpan, _ start: Int) -> Bool {
            guard start + name.count <= bytes.byteCount else { return false }
            for position in 0..<name.count {
                let byte = bytes.byte(at: start + position)
                let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
                if lower != name[position] { return false }
            }
            return true
        }

        /// The value of a field that begins at `start`, without the spaces around it.
        private static func value(_ bytes: RawSpan, _ start: Int) -> ByteRange {
            var first = start
            while first < bytes.byteCount, bytes.byte(at: first) == UInt8(ascii: " ") { first += 1 }
            var end = bytes.firstPosition(of: 10, from: first) ?? bytes.byteCount
            while end > first, bytes.byte(at: end - 1) == 13 || bytes.byte(at: end - 1) == UInt8(ascii: " ") { end -= 1 }
            return ByteRange(start: first, count: end - first)
        }
    }
}
