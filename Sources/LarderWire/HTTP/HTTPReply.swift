// Replies of the HTTP dialect: values, writes, refusals and text. Lists and namespaces are in the files beside this one.
//
// Constants appended, digits formatted, no string: a reply's head has the fields that this API documents and no others.
// There is no `Date` field: it would cost a clock and 37 bytes a reply, and no cache may keep one anyway (docs/http-api.md).

import LarderBytes

package enum HTTPReply {
    /// The interim answer to `Expect: 100-continue`; the reply itself follows when the body has been judged.
    package static func `continue`(into output: inout ByteBuffer) {
        output.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// A value, as it was stored.
    package static func entry(_ entry: borrowing EntryReply, to command: borrowing Command, into output: inout ByteBuffer) {
        let flags = command.httpFlags
        output.reserve(headBytesMax + entry.contentType.byteCount + (entry.omitsValue ? 0 : entry.value.byteCount))
        output.append("HTTP/1.1 200 OK\r\nContent-Type: ")
        // Another dialect may have stored any bytes as the type; a line end among them would forge a field.
        if entry.contentType.byteCount == 0 || HTTPText.holdsControl(entry.contentType) {
            output.append("application/octet-stream")
        } else {
            output.append(entry.contentType)
        }
        output.append("\r\n")
        appendTag(entry.version, to: &output)
        if let remaining = entry.remaining {
            output.append("Larder-TTL-Ms: ")
            output.append(decimal: max(remaining, 0))
            output.append("\r\n")
        }
        endHead(bodyBytes: entry.value.byteCount, flags, &output)
        if !flags.contains(.head), !entry.omitsValue { output.append(entry.value) }
    }

    /// A write, a delete, a miss, or any other outcome without content.
    package static func done(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        switch status {
        case .ok, .created:
            appendDone(status == .ok ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 201 Created\r\n", version, command, &output)
        case .notFound where command.operation == .delete:
            // A delete asks that the key be gone, and gone it is.
            appendDone("HTTP/1.1 200 OK\r\n", 0, command, &output)
        case .notModified:
            // Says what a 200 would say of the value, its length excepted (RFC 9110, 15.4.5).
            output.append("HTTP/1.1 304 Not Modified\r\n")
            if version != 0 { appendTag(version, to: &output) }
            if command.httpFlags.contains(.close) { output.append("Connection: close\r\n") }
            output.append("\r\n")
        default:
            appendFailure(Failure(status, ""), version: version, command, &output)
        }
    }

    /// A remaining lifetime. No endpoint asks for one; it comes with the value, as a field.
    package static func lifetime(
        _ remaining: Int64?, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let mark = beginJSON(.ok, version: version, to: command, into: &output)
        output.append("{\"data\":{\"ttl_ms\":")
        if let remaining { output.append(decimal: remaining) } else { output.append("null") }
        output.append("}}")
        endJSON(mark, to: command, into: &output)
    }

    /// The result of an increment, or of an append. No endpoint asks for one yet.
    package static func integer(
        _ value: Int64, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        let mark = beginJSON(.ok, version: version, to: command, into: &output)
        output.append("{\"data\":{\"value\":")
        output.append(decimal: value)
        output.append("}}")
        endJSON(mark, to: command, into: &output)
    }

    /// A refusal, in the error envelope.
    package static func failure(_ failure: Failure, to command: borrowing Command, into output: inout ByteBuffer) {
        appendFailure(failure, version: 0, command, &output)
    }

    /// A refusal whose sentence is made at run time.
    package static func failure(
        _ status: Status, text: String, to command: borrowing Command, into output: inout ByteBuffer
    ) {
        appendFailure(Failure(status, ""), text: text, version: 0, command, &output)
    }

    /// Text for people and monitors. `status` decides the status line.
    package static func text(
        _ text: borrowing ByteBuffer, status: Status, contentType: StaticString, to command: borrowing Command,
        into output: inout ByteBuffer
    ) {
        let outcome = HTTPOutcome(status)
        output.append(outcome.line)
        output.append("Content-Type: ")
        output.append(contentType)
        output.append("\r\n")
        appendRetry(outcome.retry, command.httpFlags, &output)
        endHead(bodyBytes: text.count, command.httpFlags, &output)
        if !command.httpFlags.contains(.head) { output.append(text.bytes) }
    }

    // MARK: Heads

    /// More than any head without its variable fields.
    private static let headBytesMax = 256

    /// The version as an entity tag.
    private static func appendTag(_ version: UInt64, to output: inout ByteBuffer) {
        output.append("ETag: \"")
        output.append(decimal: version)
        output.append("\"\r\n")
    }

    private static func appendDone(
        _ line: StaticString, _ version: UInt64, _ command: borrowing Command, _ output: inout ByteBuffer
    ) {
        output.append(line)
        if version != 0 { appendTag(version, to: &output) }
        endHead(bodyBytes: 0, command.httpFlags, &output)
    }

    private static func endHead(bodyBytes: Int, _ flags: HTTPFlags, _ output: inout ByteBuffer) {
        if flags.contains(.close) { output.append("Connection: close\r\n") }
        output.append("Content-Length: ")
        output.append(decimal: UInt64(bodyBytes))
        output.append("\r\n\r\n")
    }

    private static func appendRetry(_ retry: HTTPOutcome.Retry, _ flags: HTTPFlags, _ output: inout ByteBuffer) {
        switch retry {
        case .unsaid:
            break
        case .soon, .later:
            // A body that came in chunks may be gone on the client's side: sent again it would arrive empty, and be stored.
            if flags.contains(.chunked) { return appendRetry(.never, flags, &output) }
            output.append("Retry-After: 1\r\n")
            if case .soon(let milliseconds) = retry {
                output.append("retry-after-ms: ")
                output.append(milliseconds)
                output.append("\r\n")
            }
        case .never:
            output.append("x-should-retry: false\r\n")
        }
    }

    // MARK: JSON bodies

    /// Begins a reply whose body's length is not known yet. `endJSON` fills it in.
    static func beginJSON(
        _ status: Status, version: UInt64, to command: borrowing Command, into output: inout ByteBuffer
    ) -> ListMark {
        let start = output.count
        output.append(HTTPOutcome(status).line)
        if version != 0 { appendTag(version, to: &output) }
        return beginJSONBody(start, command.httpFlags, &output)
    }

    private static func beginJSONBody(_ start: Int, _ flags: HTTPFlags, _ output: inout ByteBuffer) -> ListMark {
        output.append("Content-Type: application/json\r\n")
        if flags.contains(.close) { output.append("Connection: close\r\n") }
        // As wide as any length gets; leading spaces are no part of a field's value.
        output.append("Content-Length:           ")
        output.append("0\r\n\r\n")
        return ListMark(start: start, bodyStart: output.count)
    }

    static func endJSON(_ mark: ListMark, to command: borrowing Command, into output: inout ByteBuffer) {
        var rest = output.count - mark.bodyStart
        var position = mark.bodyStart - 5
        repeat {
            output[position] = UInt8(rest % 10) + UInt8(ascii: "0")
            rest /= 10
            position -= 1
        } while rest > 0
        if command.httpFlags.contains(.head) { output.truncate(to: mark.bodyStart) }
    }

    // MARK: Refusals

    private static func appendFailure(
        _ failure: Failure, text: String? = nil, version: UInt64, _ command: borrowing Command,
        _ output: inout ByteBuffer
    ) {
        let outcome = HTTPOutcome(failure.status)
        let start = output.count
        output.append(outcome.line)
        if version != 0 { appendTag(version, to: &output) }
        if failure.status == .methodNotAllowed { appendAllow(command.httpFlags.resource, &output) }
        if failure.status == .unauthorized { output.append("WWW-Authenticate: Bearer\r\n") }
        appendRetry(outcome.retry, command.httpFlags, &output)
        let mark = beginJSONBody(start, command.httpFlags, &output)
        output.append("{\"errors\":[{\"code\":\"")
        output.append(outcome.code)
        output.append("\",\"title\":\"")
        output.append(outcome.title)
        output.append("\",\"detail\":\"")
        if let text {
            output.append(json: text)
        } else {
            output.append(jsonText: failure.detail.utf8CodeUnitCount > 0 ? failure.detail : outcome.detail)
        }
        output.append("\"")
        if let parameter = failure.parameter { appendSource(parameter, &output) }
        output.append("}]}")
        endJSON(mark, to: command, into: &output)
    }

    /// A JSON pointer into the body begins with a slash; anything else is the name of a parameter.
    private static func appendSource(_ parameter: StaticString, _ output: inout ByteBuffer) {
        let start = output.count
        output.append(parameter)
        let isPointer = output.count > start && output[start] == UInt8(ascii: "/")
        output.truncate(to: start)
        output.append(isPointer ? ",\"source\":{\"pointer\":\"" : ",\"source\":{\"parameter\":\"")
        output.append(jsonText: parameter)
        output.append("\"}")
    }

    private static func appendAllow(_ resource: HTTPResource, _ output: inout ByteBuffer) {
        switch resource {
        case .namespaces: output.append("Allow: GET, HEAD, POST\r\n")
        case .namespace: output.append("Allow: GET, HEAD, DELETE\r\n")
        case .namedNamespace, .key: output.append("Allow: GET, HEAD, PUT, DELETE\r\n")
        case .keys, .page, .unknown: output.append("Allow: GET, HEAD\r\n")
        }
    }
}
