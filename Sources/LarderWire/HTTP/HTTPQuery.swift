// The query of a target: the parameters that an endpoint documents, and nothing else.
//
// A parameter that an endpoint does not know is passed over, with one exception: `ttl` on a write, which would
// silently store for ever what was meant to expire.

import LarderBytes

enum HTTPQuery {
    /// Reads `query` into `command`, whose operation is known. Rewrites names and values where they lie.
    static func read(_ query: ByteRange?, _ command: inout Command, _ input: inout ByteBuffer) throws(Failure) {
        switch command.operation {
        case .put, .list: break
        case .namespaceList: command.list.limit = namespacesDefault
        default: return
        }
        var rest = query
        var seen: UInt16 = 0
        while let pairs = rest {
            let (pair, tail) = input.bytes.split(pairs, at: UInt8(ascii: "&"))
            let (name, value) = input.bytes.split(pair, at: UInt8(ascii: "="))
            try take(name, value ?? ByteRange(start: pair.end, count: 0), &command, &input, &seen)
            rest = tail
        }
    }

    private static let namespacesDefault = 20
    private static let namespacesMax = 250
    private static let keysMax = 1_000
    /// Far beyond the last page, and small enough to be multiplied by a page's size.
    private static let pageMax = 1_000_000_000
    /// floor((2^63 - 1) / 10^9): as many seconds as 64 bits of nanoseconds can hold.
    private static let lifetimeSecondsMax: Int64 = 9_223_372_036

    private enum Parameter: UInt16 {
        case unknown = 0
        case lifetime = 1
        case bareLifetime = 2
        case prefix = 4
        case cursor = 8
        case limit = 16
        case delimiter = 32
        case page = 64
        case pageSize = 128
    }

    private static func parameter(_ name: RawSpan, of operation: Operation) -> Parameter {
        switch operation {
        case .put:
            name.equals("ttl_secs") ? .lifetime : name.equals("ttl") ? .bareLifetime : .unknown
        case .list:
            name.equals("prefix") ? .prefix : name.equals("cursor") ? .cursor : name.equals("limit") ? .limit
                : name.equals("delimiter") ? .delimiter : .unknown
        case .namespaceList:
            name.equals("page[number]") ? .page : name.equals("page[size]") ? .pageSize : .unknown
        default:
            .unknown
        }
    }

    private static func take(
        _ name: ByteRange, _ value: ByteRange, _ command: inout Command, _ input: inout ByteBuffer, _ seen: inout UInt16
    ) throws(Failure) {
        guard let name = input.percentDecode(name, plusIsSpace: true) else { throw badEscape }
        let parameter = parameter(input.span(name), of: command.operation)
        guard parameter != .unknown else { return }
        guard let value = input.percentDecode(value, plusIsSpace: true) else { throw badEscape }
        guard seen & parameter.rawValue == 0 else {
            if parameter == .lifetime { throw badLifetime }
            throw Failure(.malformed, "A parameter of the query is given twice.")
        }
        seen |= parameter.rawValue

        switch parameter {
        case .unknown:
            break
        case .lifetime:
            guard let seconds = count(input.span(value)), seconds >= 1, seconds <= lifetimeSecondsMax else {
                throw badLifetime
            }
            command.lifetime = .milliseconds(seconds * 1_000)
        case .bareLifetime:
            throw Failure(.lifetimeInvalid, "There is no parameter ttl; it is called ttl_secs.", parameter: "ttl")
        case .prefix:
            command.list.prefix = value
        case .cursor:
            command.list.cursor = try HTTPCursor.decode(value, &input)
        case .limit:
            guard let limit = count(input.span(value)), limit >= 1 else {
                throw Failure(.limitInvalid, "The limit is not a positive integer.", parameter: "limit")
            }
            command.list.limit = Int(min(limit, Int64(keysMax)))
        case .delimiter:
            guard value.count == 1 else {
                throw Failure(.malformed, "A delimiter is one byte.", parameter: "delimiter")
            }
            command.list.delimiter = input[value.start]
        case .page:
            guard let page = count(input.span(value)), page >= 1 else {
                throw Failure(.limitInvalid, "The page number is not a positive integer.", parameter: "page[number]")
            }
            command.list.page = Int(min(page, Int64(pageMax)))
        case .pageSize:
            guard let size = count(input.span(value)), size >= 1 else {
                throw Failure(.limitInvalid, "The page size is not a positive integer.", parameter: "page[size]")
            }
            command.list.limit = Int(min(size, Int64(namespacesMax)))
        }
    }

    private static var badEscape: Failure {
        Failure(.malformed, "The query holds a % that no two hexadecimal digits follow.")
    }

    private static var badLifetime: Failure {
        Failure(.lifetimeInvalid, "ttl_secs is not an integer from 1 to 9223372036.", parameter: "ttl_secs")
    }

    /// The number that `text`, digits only, spells; nil for anything else. The largest stands for all beyond 64 bits:
    /// every parameter has a bound far below it.
    private static func count(_ text: RawSpan) -> Int64? {
        guard text.byteCount > 0 else { return nil }
        var value: Int64 = 0
        for position in 0..<text.byteCount {
            let digit = text.byte(at: position) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (next, carried) = scaled.addingReportingOverflow(Int64(digit))
            // Sticky: from the largest number no further digit leads back.
            value = overflowed || carried ? .max : next
        }
        return value
    }
}

/// A cursor in base64url.
enum HTTPCursor {
    /// Decodes in place. No text at all asks for the first page.
    ///
    /// - Returns: The key to go on after.
    static func decode(_ text: ByteRange, _ input: inout ByteBuffer) throws(Failure) -> ByteRange {
        guard !text.isEmpty else { return .empty }
        guard let whole = input.base64URLDecode(text), let key = ListCursor.key(of: whole, in: input.bytes) else {
            throw ListCursor.invalid
        }
        return key
    }

    static func append(_ key: [UInt8], to output: inout ByteBuffer) {
        var whole = ByteBuffer(capacity: key.count + ListCursor.checksumBytes)
        ListCursor.append(key, to: &whole)
        output.append(base64URL: whole.bytes)
    }
}
