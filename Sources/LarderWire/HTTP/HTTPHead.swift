// The request line and the fields of one request: what frames it, and what its dialect needs of it.
//
// Knows no endpoint. Whatever could let two readers disagree about where a request ends is refused, never repaired:
// such a refusal is thrown and ends the connection. Source: RFC 9112 sections 2 to 7 and 11.2, RFC 9110 section 5.

import LarderBytes

/// A method that some endpoint knows.
enum HTTPMethod: UInt8 {
    case get, head, put, post, delete, other
}

/// A parsed head. Ranges count from the first readable byte of the buffer.
struct HTTPHead {
    var method = HTTPMethod.other
    var target = ByteRange.empty
    var flags: HTTPFlags = []
    var contentLength: Int?
    var isChunked = false
    var host = ByteRange.empty
    var credential = ByteRange.empty
    var contentType = ByteRange.empty
    var match = EntityTags()
    var noneMatch = EntityTags()
    /// What is wrong with a field that frames nothing. The request can be read, so its credentials are judged first.
    var fault: Failure?

    private var seen: Set = []
    private var fields = 0

    /// Fields that may come once.
    private struct Set: OptionSet {
        var rawValue: UInt8
        static let host = Set(rawValue: 1)
        static let contentLength = Set(rawValue: 2)
        static let transferEncoding = Set(rawValue: 4)
        static let authorization = Set(rawValue: 8)
        static let contentType = Set(rawValue: 16)
    }

    /// Parses the head that `range` of `bytes` holds, its empty last line included.
    ///
    /// `HeadScan` has been over it: every line ends in CR LF, and no other control character but the tab is there.
    init(_ bytes: RawSpan, _ range: ByteRange, limits: HTTPLimits) throws(Failure) {
        let lineEnd = Self.lineEnd(bytes, from: range.start)
        try parseRequestLine(bytes, ByteRange(start: range.start, count: lineEnd &- range.start), limits)
        var position = lineEnd &+ 2
        while position < range.end &- 2 {
            let end = Self.lineEnd(bytes, from: position)
            try parseField(bytes, ByteRange(start: position, count: end &- position), limits)
            position = end &+ 2
        }
        try finish()
    }

    /// The position of the next CR. The scan has seen that there is one.
    private static func lineEnd(_ bytes: RawSpan, from start: Int) -> Int {
        var position = start
        while true {
            if position &+ 8 <= bytes.byteCount,
                !HTTPText.mayHoldControl(bytes.littleEndian(at: position, as: UInt64.self))
            {
                position &+= 8
            } else if bytes.byte(at: position) == HTTPText.carriageReturn {
                return position
            } else {
                position &+= 1
            }
        }
    }

    // MARK: Request line

    private mutating func parseRequestLine(_ bytes: RawSpan, _ line: ByteRange, _ limits: HTTPLimits) throws(Failure) {
        var position = line.start
        while position < line.end, HTTPText.isToken(bytes.byte(at: position)) { position &+= 1 }
        let methodRange = ByteRange(start: line.start, count: position &- line.start)
        guard !methodRange.isEmpty, position < line.end, bytes.byte(at: position) == HTTPText.space else {
            throw Failure(.malformed, "The request line does not begin with a method and one space.")
        }
        method = Self.method(bytes.slice(methodRange))
        if method == .head { flags.insert(.head) }

        let targetStart = position &+ 1
        position = targetStart
        while position < line.end, bytes.byte(at: position) != HTTPText.space {
            let byte = bytes.byte(at: position)
            guard byte < 0x80, byte != UInt8(ascii: "#"), byte != HTTPText.tab else {
                throw Failure(.malformed, "The request target holds a byte that has to be percent-encoded.")
            }
            position &+= 1
        }
        target = ByteRange(start: targetStart, count: position &- targetStart)
        guard target.count <= limits.targetBytesMax else {
            throw Failure(.headerTooLarge, "The request target is too long.")
        }
        try parseVersion(bytes.slice(position, line.end &- position))
        try separateAuthority(bytes)
    }

    private static func method(_ text: RawSpan) -> HTTPMethod {
        if text.equals("GET") { return .get }
        if text.equals("PUT") { return .put }
        if text.equals("DELETE") { return .delete }
        if text.equals("POST") { return .post }
        if text.equals("HEAD") { return .head }
        return .other
    }

    /// `text` is what follows the target: a space and the version.
    private mutating func parseVersion(_ text: RawSpan) throws(Failure) {
        if text.equals(" HTTP/1.1") { return }
        if text.equals(" HTTP/1.0") {
            flags.formUnion([.http10, .close])
            return
        }
        let isDigit = { (byte: UInt8) in byte &- UInt8(ascii: "0") <= 9 }
        guard text.byteCount == 9, text.slice(0, 6).equals(" HTTP/"), isDigit(text.byte(at: 6)),
            text.byte(at: 7) == UInt8(ascii: "."), isDigit(text.byte(at: 8))
        else { throw Failure(.malformed, "The request line does not end in one space and the version.") }
        throw Failure(.versionInvalid, "This server speaks HTTP/1.1.")
    }

    /// A target is a path, or an absolute URI whose authority then counts instead of the Host field (RFC 9112, 3.2.2).
    private mutating func separateAuthority(_ bytes: RawSpan) throws(Failure) {
        if !target.isEmpty, bytes.byte(at: target.start) == UInt8(ascii: "/") { return }
        let text = bytes.slice(target)
        let scheme = text.byteCount >= 7 && text.slice(0, 7).equalsIgnoringCase("http://") ? 7
            : text.byteCount >= 8 && text.slice(0, 8).equalsIgnoringCase("https://") ? 8 : 0
        let rest = ByteRange(start: target.start &+ scheme, count: target.count &- scheme)
        let (authority, path) = bytes.split(rest, at: UInt8(ascii: "/"))
        guard scheme > 0, !authority.isEmpty, let path else {
            throw Failure(.malformed, "The request target is neither a path nor an absolute URI with a path.")
        }
        try Self.checkHost(bytes.slice(authority))
        host = authority
        target = ByteRange(start: path.start &- 1, count: path.count &+ 1)
    }

    private static func checkHost(_ text: RawSpan) throws(Failure) {
        for position in 0..<text.byteCount where !HTTPText.isHost(text.byte(at: position)) {
            throw Failure(.malformed, "The host holds a byte that no host has.")
        }
    }

    // MARK: Fields

    private mutating func parseField(_ bytes: RawSpan, _ line: ByteRange, _ limits: HTTPLimits) throws(Failure) {
        fields &+= 1
        guard fields <= limits.fieldsMax else { throw Failure(.headerTooLarge, "There are too many header fields.") }
        let (name, value) = try Self.separateField(bytes, line)
        try take(bytes.slice(name), bytes, bytes.trimmed(value), limits)
    }

    /// A field line's name and value. Also judges trailer fields.
    static func separateField(_ bytes: RawSpan, _ line: ByteRange) throws(Failure) -> (name: ByteRange, value: ByteRange) {
        var position = line.start
        while position < line.end, HTTPText.isToken(bytes.byte(at: position)) { position &+= 1 }
        guard position > line.start, position < line.end, bytes.byte(at: position) == UInt8(ascii: ":") else {
            // Also a folded line, a space before the colon, and a line without a colon.
            throw Failure(.malformed, "A header line is not a field name, a colon and a value.")
        }
        return (
            ByteRange(start: line.start, count: position &- line.start),
            ByteRange(start: position &+ 1, count: line.end &- position &- 1)
        )
    }

    /// The length of the name tells most fields apart before a byte of it is compared.
    private mutating func take(
        _ name: RawSpan, _ bytes: RawSpan, _ value: ByteRange, _ limits: HTTPLimits
    ) throws(Failure) {
        switch name.byteCount {
        case 4 where name.equalsIgnoringCase("host"):
            try once(.host)
            try Self.checkHost(bytes.slice(value))
            // An absolute target has named the host already.
            if host.isEmpty { host = value }
        case 6 where name.equalsIgnoringCase("expect"):
            if bytes.slice(value).equalsIgnoringCase("100-continue") { flags.insert(.expectsContinue) }
        case 6 where name.equalsIgnoringCase("origin"):
            flags.insert(.hasOrigin)
        case 8 where name.equalsIgnoringCase("if-match"):
            match.add(bytes.slice(value))
        case 10 where name.equalsIgnoringCase("connection"):
            takeConnection(bytes, value)
        case 12 where name.equalsIgnoringCase("content-type"):
            if !seen.insert(.contentType).inserted { fault = Self.twice }
            contentType = value
        case 13 where name.equalsIgnoringCase("authorization"):
            try once(.authorization)
            takeAuthorization(bytes, value)
        case 13 where name.equalsIgnoringCase("if-none-match"):
            noneMatch.add(bytes.slice(value))
        case 14 where name.equalsIgnoringCase("content-length"):
            try once(.contentLength)
            contentLength = try Self.length(bytes.slice(value))
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            try once(.transferEncoding)
            guard bytes.slice(value).equalsIgnoringCase("chunked") else {
                throw Failure(.unknownOperation, "The only transfer coding known here is chunked.")
            }
            isChunked = true
            flags.insert(.chunked)
        default:
            break
        }
    }

    private mutating func once(_ field: Set) throws(Failure) {
        guard seen.insert(field).inserted else { throw Self.twice }
    }

    private static var twice: Failure { Failure(.malformed, "A header field that may come once came twice.") }

    /// A length beyond all bounds is the largest there is, which no limit lets pass.
    private static func length(_ text: RawSpan) throws(Failure) -> Int {
        guard text.byteCount > 0 else { throw Failure(.malformed, "Content-Length is not a number.") }
        var value = 0
        var tooLarge = false
        for position in 0..<text.byteCount {
            let digit = text.byte(at: position) &- UInt8(ascii: "0")
            guard digit <= 9 else { throw Failure(.malformed, "Content-Length is not a number.") }
            let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (next, carried) = scaled.addingReportingOverflow(Int(digit))
            tooLarge = tooLarge || overflowed || carried
            value = tooLarge ? 0 : next
        }
        return tooLarge ? .max : value
    }

    private mutating func takeConnection(_ bytes: RawSpan, _ value: ByteRange) {
        var rest: ByteRange? = value
        while let list = rest {
            let (option, tail) = bytes.split(list, at: UInt8(ascii: ","))
            if bytes.slice(bytes.trimmed(option)).equalsIgnoringCase("close") { flags.insert(.close) }
            rest = tail
        }
    }

    private mutating func takeAuthorization(_ bytes: RawSpan, _ value: ByteRange) {
        let (scheme, rest) = bytes.split(value, at: HTTPText.space)
        if let rest, bytes.slice(scheme).equalsIgnoringCase("bearer") { credential = bytes.trimmed(rest) }
    }

    /// What can only be judged when all fields are known.
    private mutating func finish() throws(Failure) {
        if isChunked, contentLength != nil {
            throw Failure(.malformed, "The request has both Content-Length and Transfer-Encoding.")
        }
        if flags.contains(.http10) {
            if isChunked { throw Failure(.malformed, "HTTP/1.0 has no transfer codings.") }
            // HTTP/1.0 knows no interim answers (RFC 9110, 10.1.1).
            flags.remove(.expectsContinue)
        } else if !seen.contains(.host) {
            throw Failure(.malformed, "The request has no Host field.")
        }
    }
}

/// Finds the end of a head as it arrives, looking at every byte once.
struct HeadScan {
    enum Result: Equatable {
        case incomplete
        /// The head has so many bytes.
        case complete(Int)
        case refused(Failure)
    }

    /// How many bytes of the head have been looked at.
    private var scanned = 0
    private var lineStart = 0

    var hasBegun: Bool { scanned > 0 }

    /// Goes on where the last call stopped. `head` begins where the request does and may reach beyond its head.
    mutating func resume(_ head: RawSpan, bytesMax: Int) -> Result {
        let end = min(head.byteCount, bytesMax)
        while scanned < end {
            if scanned &+ 8 <= end, !HTTPText.mayHoldControl(head.littleEndian(at: scanned, as: UInt64.self)) {
                scanned &+= 8
                continue
            }
            let byte = head.byte(at: scanned)
            if byte == HTTPText.carriageReturn {
                guard scanned &+ 1 < end else { break }
                guard head.byte(at: scanned &+ 1) == HTTPText.lineFeed else {
                    return .refused(Failure(.malformed, "A carriage return stands without its line feed."))
                }
                let isEmptyLine = scanned == lineStart
                scanned &+= 2
                lineStart = scanned
                if isEmptyLine { return .complete(scanned) }
                continue
            }
            if (byte < 0x20 && byte != HTTPText.tab) || byte == 0x7F {
                return .refused(Failure(.malformed, "The head of the request holds a control character."))
            }
            scanned &+= 1
        }
        if end == bytesMax { return .refused(Failure(.headerTooLarge, "The head of the request is too long.")) }
        return .incomplete
    }
}
