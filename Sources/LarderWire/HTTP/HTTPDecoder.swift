// From bytes to commands: HTTP/1.1, small and strict.
//
// Knows no socket, no store and no time. It keeps offsets into the caller's buffer, never bytes, and rewrites there
// what has to be decoded. Sources: RFC 9110, RFC 9112; the endpoints are those of docs/http-api.md.

import LarderBytes

/// Reads the requests of one connection, one after another.
///
/// A request whose body is still to come is announced by `.head`, so that whatever can fail is judged before the body is
/// read. The caller then answers with `proceed()`, or refuses: `refuse(_:)` first, then the reply. After `.close`, and
/// after a command whose flags say `.close`, nothing more is decoded.
///
/// Between two calls the caller may append to the buffer and consume what lies before `position`; the rest stays as it is.
package struct HTTPDecoder: Sendable {
    private enum Phase: UInt8, Sendable {
        /// Before or within a head.
        case head
        /// The head is known; the caller has not yet said whether the body may come.
        case gate
        case body
        /// Throwing away the rest of a refused request, of which `left` bytes are known.
        case discard
        case closed
    }

    private let limits: HTTPLimits
    private var phase = Phase.head
    private var skippedEmptyLine = false
    private var scan = HeadScan()

    // Of the request whose head is known. Ranges and offsets count from its first byte.
    private var pending = Command()
    private var bodyStart = 0
    private var bodyCount = 0
    private var chunks: HTTPChunks?
    private var left = 0

    package init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
    }

    /// Whether the end of the last request is still to come.
    package var isWithinRequest: Bool { phase == .gate || phase == .body || phase == .discard || scan.hasBegun }

    /// How many bytes the request that has begun has in all, head included; 0 when that is not known, or nobody wants its body.
    package var requestBytesExpected: Int { phase == .body && chunks == nil ? bodyStart + bodyCount : 0 }

    /// What is known of the request that begins in `input` and is not complete, for a reply that does not wait for it.
    ///
    /// - Returns: nil when nothing has arrived, or the request has its reply already.
    package func begun(_ input: borrowing ByteBuffer) -> Command? {
        var command: Command
        switch phase {
        case .head where input.count > 0: command = Command()
        case .gate, .body: command = pending
        default: return nil
        }
        command.httpFlags.insert(.close)
        return command
    }

    /// Reads on from `position`, which counts from the first readable byte and is moved behind what is finished.
    ///
    /// - Returns: `.command` when a whole request was there, also one with a `failure`, which then is its reply.
    ///   `.head` when a body is outstanding; again until `proceed` or `refuse` is called; and once more, with a failure,
    ///   when a body in chunks turns out too large or cannot be understood. With `.close`, a nil failure means that every reply has been given.
    ///   `.needMore` leaves `command` undefined. Cannot trap, whatever the bytes are.
    package mutating func decode(
        _ input: inout ByteBuffer, at position: inout Int, into command: inout Command
    ) -> DecodeStep {
        while true {
            switch phase {
            case .head:
                if let step = readHead(&input, &position, &command) { return step }
            case .gate, .body:
                return readBody(&input, &position, &command)
            case .discard:
                let count = min(left, input.count - position)
                position += count
                left -= count
                guard left == 0 else { return .needMore }
                phase = pending.httpFlags.contains(.close) ? .closed : .head
            case .closed:
                command = Command()
                command.httpFlags = .close
                return .close
            }
        }
    }

    /// Lets the body come. The session sends `HTTPReply.continue` first when the flags say `.expectsContinue`.
    package mutating func proceed() {
        precondition(phase == .gate && pending.failure == nil, "there is no body to wait for")
        phase = .body
    }

    /// Gives up the request that `.head` announced; its reply follows. What still comes of its body is thrown away, or
    /// nothing more is read.
    ///
    /// To be called before the reply is encoded: it sets `.close` in the flags when the connection cannot go on, which
    /// is so when the end of the body is unknown or far, or when the client may never send it (it expects 100).
    package mutating func refuse(_ command: inout Command) {
        precondition(phase == .gate || phase == .body, "there is no request to refuse")
        if chunks != nil || command.httpFlags.contains(.expectsContinue) || bodyCount > limits.discardBytesMax {
            command.httpFlags.insert(.close)
            phase = .closed
        } else {
            left = bodyStart + bodyCount
            phase = .discard
        }
        scan = HeadScan()
        chunks = nil
    }

    // MARK: Head

    /// nil: a head was read, and its body is next.
    private mutating func readHead(
        _ input: inout ByteBuffer, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep? {
        // Old clients send an empty line after a body (RFC 9112, 2.2).
        if !skippedEmptyLine, !scan.hasBegun, input.count - position >= 2,
            input[position] == HTTPText.carriageReturn, input[position + 1] == HTTPText.lineFeed
        {
            position += 2
            skippedEmptyLine = true
        }
        let rest = ByteRange(start: position, count: input.count - position)
        let headBytes: Int
        switch scan.resume(input.span(rest), bytesMax: limits.headBytesMax) {
        case .incomplete: return .needMore
        case .refused(let failure): return close(failure, &command)
        case .complete(let count): headBytes = count
        }
        do throws(Failure) {
            guard headBytes > 2 else { throw Failure(.malformed, "The request has no request line.") }
            let head = try HTTPHead(input.bytes, ByteRange(start: position, count: headBytes), limits: limits)
            command = Command()
            HTTPRoute.fill(&command, from: head, in: &input, limits: limits)
            return expectBody(of: head, headBytes, &input, &position, &command)
        } catch {
            return close(error, &command)
        }
    }

    /// Decides what follows the head. Nearly always nothing, and then the request is done here.
    private mutating func expectBody(
        of head: borrowing HTTPHead, _ headBytes: Int, _ input: inout ByteBuffer, _ position: inout Int,
        _ command: inout Command
    ) -> DecodeStep? {
        bodyStart = headBytes
        bodyCount = head.contentLength ?? 0
        let bytesMax = command.operation == .put ? limits.valueBytesMax : limits.otherBodyBytesMax
        if bodyCount > bytesMax, command.failure == nil { command.failure = tooLarge }
        if !head.isChunked, bodyCount <= input.count - position - headBytes {
            return finish(headBytes + bodyCount, bodyCount, &input, &position, &command)
        }
        chunks = head.isChunked ? HTTPChunks(bodyStart: headBytes, bytesMax: bytesMax) : nil
        pending = command.shifted(by: -position)
        phase = .gate
        return nil
    }

    private var tooLarge: Failure {
        Failure(.valueTooLarge, "The body is larger than what can be stored.")
    }

    private mutating func close(_ failure: Failure, _ command: inout Command) -> DecodeStep {
        command = Command()
        command.httpFlags = .close
        command.failure = failure
        phase = .closed
        return .close
    }

    // MARK: Body

    private mutating func readBody(
        _ input: inout ByteBuffer, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        if chunks == nil {
            guard bodyCount <= input.count - position - bodyStart else { return wait(position, &command) }
            command = pending.shifted(by: position)
            return finish(bodyStart + bodyCount, bodyCount, &input, &position, &command)
        }
        switch chunks!.resume(&input, at: position, limits: limits) {
        case .needMore:
            return wait(position, &command)
        case .complete(let requestBytes):
            command = pending.shifted(by: position)
            return finish(requestBytes, chunks!.joinedCount, &input, &position, &command)
        case .tooLarge:
            if pending.failure == nil { pending.failure = tooLarge }
            phase = .gate
            return wait(position, &command)
        case .refused(let failure):
            // Judged as what the head says is: nobody is told of it who may not be told anything.
            if pending.failure == nil { pending.failure = failure }
            phase = .gate
            return wait(position, &command)
        }
    }

    private func wait(_ position: Int, _ command: inout Command) -> DecodeStep {
        if phase == .body { return .needMore }
        command = pending.shifted(by: position)
        return .head
    }

    /// The whole request is there.
    private mutating func finish(
        _ requestBytes: Int, _ bodyBytes: Int, _ input: inout ByteBuffer, _ position: inout Int, _ command: inout Command
    ) -> DecodeStep {
        let body = ByteRange(start: position + bodyStart, count: bodyBytes)
        if command.operation == .put, command.failure == nil {
            command.value = body
        } else if command.operation == .namespaceCreate, command.failure == nil {
            do throws(Failure) { try HTTPCreation.read(body, &command, &input) } catch { command.failure = error }
        }
        position += requestBytes
        phase = command.httpFlags.contains(.close) ? .closed : .head
        skippedEmptyLine = false
        scan = HeadScan()
        chunks = nil
        return .command
    }
}

extension Command {
    /// The same command when the buffer it was decoded from begins `distance` bytes earlier.
    fileprivate func shifted(by distance: Int) -> Command {
        var copy = self
        copy.key.shift(by: distance)
        copy.value.shift(by: distance)
        copy.contentType.shift(by: distance)
        copy.credential.shift(by: distance)
        copy.host.shift(by: distance)
        copy.list.prefix.shift(by: distance)
        copy.list.cursor.shift(by: distance)
        if case .name(var name) = copy.namespace {
            name.shift(by: distance)
            copy.namespace = .name(name)
        }
        return copy
    }
}

extension ByteRange {
    /// An empty range stays where it is, which is within every buffer only at its start.
    fileprivate mutating func shift(by distance: Int) {
        if count > 0 { start += distance } else { start = 0 }
    }
}
