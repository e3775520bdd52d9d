// What the reply to a RESP command looks like, kept in the command's flags.
//
// The same operation answers in different forms: SETNX, DEL and SET all end in `done`, and are answered with a number or with OK.

/// How the outcome of an operation is worded.
package enum RESPForm: UInt8, Sendable {
    /// The value, or null when there is none: GET, GETEX.
    case value
    /// `OK`, or null when the condition did not hold: SET.
    case status
    /// 1 when it was done, else 0: DEL, EXISTS, EXPIRE, SETNX.
    case count
    /// `string` or `none`: TYPE.
    case type
    /// Seconds left, -1 for ever, -2 for no such key: TTL.
    case seconds
    /// The same in milliseconds: PTTL.
    case milliseconds
    /// A number: INCR, APPEND.
    case number
    /// `PONG`.
    case pong
}

/// The flags of a command in RESP.
package struct RESPFlags: Sendable, Equatable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    @inline(__always)
    package init(_ form: RESPForm, isRESP3: Bool) { rawValue = UInt16(form.rawValue) << 8 | (isRESP3 ? 1 : 0) }

    /// Whether the connection speaks version 3 of the protocol.
    package var isRESP3: Bool { rawValue & 1 != 0 }
    package var form: RESPForm { RESPForm(rawValue: UInt8(rawValue >> 8)) ?? .value }
}

extension Command {
    package var respFlags: RESPFlags { RESPFlags(rawValue: flags) }
    package var respWord: RESPWord { RESPWord.of(word) }
}
