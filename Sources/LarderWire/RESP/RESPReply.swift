// Outcomes to bytes of RESP: the replies of operations that every dialect has, and refusals.
//
// Knows no store: it writes what it is given, in the form that the command's flags name.

import LarderBytes

/// Writes replies of RESP. The contract is docs/resp.md.
package enum RESPReply {
    /// An entry that was asked for. When `omitsValue`, whoever asks appends the value, and `entryEnd` after it.
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        let value = entry.value
        if entry.omitsValue { return header(UInt8(ascii: "$"), value.byteCount, into: &output) }
        bulk(value, into: &output)
    }

    /// What comes after a value that was appended in slices.
    package static func entryEnd(to command: borrowing Command, into output: inout ByteBuffer) {
        output.append(littleEndian: lineEnd)
    }

    /// A write, a delete, an exists, a ping: what became of it.
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let flags = command.respFlags
        let isDone = status == .ok || status == .created
        switch flags.form {
        // A lifetime in the past removes what is there, or nothing: that is what was asked for.
        case .status where isDone || status == .notFound: ok(into: &output)
        case .count: header(UInt8(ascii: ":"), isDone ? 1 : 0, into: &output)
        case .status, .value: null(flags.isRESP3, into: &output)
        case .type: output.append(isDone ? "+string\r\n" : "+none\r\n")
        case .seconds, .milliseconds: output.append(":-2\r\n")
        case .pong: output.append("+PONG\r\n")
        case .number: output.append(":0\r\n")
        }
    }

    /// A remaining lifetime in milliseconds; nil: unlimited.
    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        guard let remaining else { return output.append(":-1\r\n") }
        // Rounded as Redis does it: a key that has just been given 10 s has 10 s.
        integer(command.respFlags.form == .seconds ? (remaining &+ 500) / 1_000 : remaining, into: &output)
    }

    /// The value of a counter, or the length of a value after an append.
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        integer(value, into: &output)
    }

    /// Text for people: what other dialects call statistics.
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        bulk(text.bytes, into: &output)
    }

    // MARK: Refusals

    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {
        output.append(code(failure.status))
        output.append(words(failure.status) ?? failure.detail)
        output.append(littleEndian: lineEnd)
    }

    /// A refusal whose sentence is made at run time. It loses its line ends: it is a line itself.
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        output.append(code(status))
        line(text, into: &output)
    }

    /// The word that programs go by, with which every error begins.
    private static func code(_ status: Status) -> StaticString {
        switch status {
        case .helloRequired, .unauthorized: "-NOAUTH "
        case .loading: "-LOADING "
        case .outOfMemory: "-OOM "
        case .readOnly, .diskFull: "-MISCONF "
        default: "-ERR "
        }
    }

    /// The sentences that Redis has for them, where clients look at those.
    private static func words(_ status: Status) -> StaticString? {
        switch status {
        case .helloRequired, .unauthorized: "Authentication required."
        case .loading: "Larder is loading the dataset in memory"
        case .notAnInteger: "value is not an integer or out of range"
        case .integerOverflow: "increment or decrement would overflow"
        case .valueTooLarge: "string exceeds maximum allowed size (value-bytes-max)"
        case .tooManyConnections: "max number of clients reached"
        default: nil
        }
    }
}
