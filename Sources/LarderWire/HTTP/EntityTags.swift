// `If-Match` and `If-None-Match`: from entity tags to the condition under which a command is carried out.
//
// A tag of ours is the version of an entry in decimal, in quotes. Any other tag is legal and names nothing that is here.
// Source: RFC 9110 sections 8.8.3 and 13.1.

import LarderBytes

/// What the lines of one conditional field add up to.
struct EntityTags {
    /// The field was there.
    private(set) var isPresent = false
    private var isMalformed = false
    private var any = false
    /// Tags that can be no version of ours.
    private var foreign = false
    private var count = 0
    private var version: UInt64 = 0
    private var isWeak = false

    /// Takes the value of one field line: `*`, or tags with commas between them.
    mutating func add(_ list: RawSpan) {
        isPresent = true
        if list.equals("*") {
            any = true
            return
        }
        var position = 0
        var tags = 0
        while true {
            while position < list.byteCount, HTTPText.isWhitespace(list.byte(at: position)) { position &+= 1 }
            if position < list.byteCount, list.byte(at: position) != UInt8(ascii: ",") {
                guard let end = addTag(list, at: position) else {
                    isMalformed = true
                    return
                }
                tags &+= 1
                position = end
                while position < list.byteCount, HTTPText.isWhitespace(list.byte(at: position)) { position &+= 1 }
            }
            guard position < list.byteCount else { break }
            guard list.byte(at: position) == UInt8(ascii: ",") else {
                isMalformed = true
                return
            }
            position &+= 1
        }
        if tags == 0 { isMalformed = true }
    }

    /// Takes the tag at `start`. Returns where it ends, or nil when there is none.
    private mutating func addTag(_ list: RawSpan, at start: Int) -> Int? {
        var position = start
        let weak = list.byteCount &- position >= 2 && list.slice(position, 2).equals("W/")
        if weak { position &+= 2 }
        guard position < list.byteCount, list.byte(at: position) == UInt8(ascii: "\"") else { return nil }
        position &+= 1
        guard let end = list.firstPosition(of: UInt8(ascii: "\""), from: position) else { return nil }
        let opaque = list.slice(position, end &- position)
        for index in 0..<opaque.byteCount where opaque.byte(at: index) <= 0x20 { return nil }
        if let tag = Self.version(opaque) {
            // The same tag twice is one tag.
            if count == 0 || tag != version || weak != isWeak { count &+= 1 }
            version = tag
            isWeak = weak
        } else {
            foreign = true
        }
        return end &+ 1
    }

    /// The version that `text` is the only spelling of.
    private static func version(_ text: RawSpan) -> UInt64? {
        guard text.byteCount > 0, text.byte(at: 0) != UInt8(ascii: "0") else { return nil }
        var value: UInt64 = 0
        for position in 0..<text.byteCount {
            let digit = text.byte(at: position) &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (scaled, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (next, carried) = scaled.addingReportingOverflow(UInt64(digit))
            if overflowed || carried { return nil }
            value = next
        }
        return value
    }

    /// The condition that both fields together ask for.
    static func condition(match: EntityTags, noneMatch: EntityTags) throws(Failure) -> Condition {
        guard match.isPresent || noneMatch.isPresent else { return .none }
        guard !(match.isPresent && noneMatch.isPresent) else {
            throw Failure(.malformed, "If-Match and If-None-Match cannot be combined.")
        }
        let tags = match.isPresent ? match : noneMatch
        guard !tags.isMalformed, !(tags.any && (tags.foreign || tags.count > 0)) else {
            throw Failure(.malformed, "A condition is neither * nor an entity tag in double quotes.")
        }
        guard tags.count <= 1 else { throw Failure(.malformed, "A condition may name one version.") }
        if tags.any { return match.isPresent ? .present : .absent }
        if match.isPresent {
            // Compared strongly: a weak tag matches nothing, and no entry has version 0.
            return .version(tags.count == 1 && !tags.isWeak ? tags.version : 0)
        }
        // Compared weakly. A tag that is none of ours differs from whatever is there.
        return tags.count == 1 ? .notVersion(tags.version) : .none
    }
}
