// The commands of RESP that make a value of what was there, or show it in part.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func rewriteValue(
        _ request: RESPRequest, _ words: [ByteRange], _ arguments: RESPArguments, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        switch request.word {
        case .getdel: try getAndDelete(request, words[0], input, &session, &output, &scratch)
        case .setrange: try setRange(request, words, input, &session, &output, &scratch)
        case .incrbyfloat: try incrementFloat(request, words, input, &session, &output, &scratch)
        default: try set(request, words, arguments, input, &session, &output, &scratch)
        }
    }

    // MARK: Whole values

    /// SET with GET or IFEQ, and GETSET.
    private func set(
        _ request: RESPRequest, _ words: [ByteRange], _ arguments: RESPArguments, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var rest = arguments
        _ = rest.next(in: input)
        _ = rest.next(in: input)
        let options = try RESPSetOptions(&rest, in: input)
        let lifetime = try options.lifetime(in: input)
        let returnsOld = options.returnsOld || request.word == .getset
        let key = try key(words[0], request.namespace, input)
        let value = input.span(words[1])
        let hasEqual = options.equal != nil
        let equal = input.span(options.equal ?? .empty)
        var isThere = false
        let result = rewrite(
            request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now,
            readsValue: returnsOld || hasEqual, &scratch
        ) { present, scratch in
            isThere = present != nil
            guard options.condition.holds(for: present?.lsn.rawValue) else { return .leave }
            if hasEqual, !isThere || !scratch.present.bytes.hasSameBytes(as: equal) { return .leave }
            scratch.metadata.removeAll()
            scratch.rewritten.append(value)
            return .put(lifetime.change)
        }
        let isDone = result.outcome != .conditionFailed
        answer(result, request, &session, &output) { target in
            if returnsOld, isThere {
                RESPReply.bulk(scratch.present.bytes, into: &target)
            } else if !returnsOld, isDone {
                RESPReply.ok(into: &target)
            } else {
                RESPReply.null(request.isRESP3, into: &target)
            }
        }
        scratch.forgetEntry()
    }

    private func getAndDelete(
        _ request: RESPRequest, _ word: ByteRange, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let key = try key(word, request.namespace, input)
        var isThere = false
        let result = rewrite(
            request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now, &scratch
        ) { present, _ in
            isThere = present != nil
            return isThere ? .remove : .leave
        }
        answer(result, request, &session, &output) { target in
            if isThere {
                RESPReply.bulk(scratch.present.bytes, into: &target)
            } else {
                RESPReply.null(request.isRESP3, into: &target)
            }
        }
        scratch.forgetEntry()
    }

    /// GETEX with an option.
    func getAndTouch(
        _ request: RESPRequest, _ words: [ByteRange], _ arguments: RESPArguments, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var rest = arguments
        _ = rest.next(in: input)
        let options = try RESPSetOptions(getex: &rest, in: input)
        let key = try key(words[0], request.namespace, input)
        let lifetime: Lifetime
        do throws(Failure) {
            lifetime = try options.lifetime(in: input)
        } catch {
            // As in Redis: a time is judged when there is something to give it to.
            request.metrics.refusals.add(1)
            return look(key, request, input, &session, &output) { _, target in
                RESPReply.failure(error, to: request.command, into: &target)
            } missing: { RESPReply.null(request.isRESP3, into: &$0) }
        }
        if case .until(let time) = lifetime, time <= request.turn.now {
            return try getAndDelete(request, words[0], input, &session, &output, &scratch)
        }
        var command = request.command
        command.operation = .getAndTouch
        command.key = key.range
        command.lifetime = lifetime
        var prepared = PreparedCommand()
        prepared.namespace = request.namespace
        prepared.hash = key.hash
        getAndTouch(command, prepared, input, &session, &output, request.turn, request.metrics)
    }

    // MARK: Parts of values

    private func setRange(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let key = try key(words[0], request.namespace, input)
        let number = try integer(words[1], input)
        guard number >= 0 else { throw Failure(.malformed, "offset is out of range") }
        let part = input.span(words[2])
        // Cannot overflow: neither is larger than the largest value.
        guard number <= configuration.valueBytesMax, Int(number) + part.byteCount <= configuration.valueBytesMax else {
            throw .valueTooLarge
        }
        let offset = Int(number)
        var length = 0
        let result = rewrite(
            request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now, event: .overwritten, &scratch
        ) { _, scratch in
            let count = scratch.present.count
            length = part.byteCount == 0 ? count : max(count, offset + part.byteCount)
            if part.byteCount == 0 { return .leave }
            Self.overwrite(scratch.present, from: offset, with: part, into: &scratch.rewritten)
            return .put(.keep)
        }
        answer(result, request, &session, &output) { RESPReply.integer(Int64(length), into: &$0) }
        scratch.forgetEntry()
    }

    /// Appends `value` with `part` in the place of what stands from `offset` on; zeros fill a gap before it.
    private static func overwrite(
        _ value: borrowing ByteBuffer, from offset: Int, with part: RawSpan, into target: inout ByteBuffer
    ) {
        let kept = min(offset, value.count)
        let end = offset + part.byteCount
        target.reserve(max(value.count, end))
        target.append(value.bytes.slice(0, kept))
        target.append(zeros: offset - kept)
        target.append(part)
        if end < value.count { target.append(value.bytes.slice(end, value.count - end)) }
    }

    /// Which bytes of a value GETRANGE means: both ends included, negative ones counted from the end.
    static func range(_ first: Int64, _ last: Int64, of count: Int) -> ByteRange {
        func position(_ index: Int64) -> Int { index < 0 ? max(Int(clamping: index &+ Int64(count)), 0) : Int(clamping: index) }
        if first < 0, last < 0, first > last { return .empty }
        let (start, end) = (position(first), min(position(last), count - 1))
        return start <= end ? ByteRange(start: start, count: end - start + 1) : .empty
    }

    // MARK: Floating-point numbers

    private func incrementFloat(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let key = try key(words[0], request.namespace, input)
        let delta = String(utf8: input.span(words[1]))
        var failure: Failure?
        let result = rewrite(
            request.namespace, key: input.span(key.range), hash: key.hash, now: request.turn.now, event: .addedTo, &scratch
        ) { present, scratch in
            failure = nil
            switch RealText.sum(present == nil ? "0" : String(utf8: scratch.present.bytes), delta) {
            case .text(let sum):
                scratch.rewritten.append(utf8: sum)
                return .put(.keep)
            case .notANumber: failure = .notAFloat
            case .notFinite: failure = Failure(.malformed, "increment would produce NaN or Infinity")
            }
            return .leave
        }
        if let failure {
            let wait = readWait(result.lsn, request.namespace, request.turn)
            refuse(failure, request.command, &session, &output, request.turn, request.metrics, after: wait)
        } else {
            answer(result, request, &session, &output) { RESPReply.bulk(scratch.rewritten.bytes, into: &$0) }
        }
        scratch.forgetEntry()
    }
}

extension Failure {
    static let notAFloat = Failure(.malformed, "value is not a valid float")
}
