// The commands that only memcached has: counting without a sign, joining to what is there, the login, and questions.
//
// Meta commands and statistics have files of their own. Source: memcached's doc/protocol.txt; differences stand in
// docs/compatibility.md.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func executeMemcached(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        switch MemcachedWord.of(command.word) {
        case .metaGet: metaGet(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .metaSet: metaSet(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .metaDelete: metaDelete(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .metaArithmetic: metaArithmetic(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .metaDebug: metaDebug(command, prepared, input, &session, &output, turn, metrics)
        case .incr, .decr: count(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .append, .prepend: join(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .flushAll: flush(command, prepared.namespace!, &session, &output, turn, metrics)
        case .authenticate: authenticate(command, input, &session, &output, turn, metrics)
        case .stats: memcachedStatistics(command, input, &session, &output, turn, metrics)
        case .metaNoOp: line("MN", command, &session, &output, turn)
        case .version: line("VERSION ", and: Self.memcachedVersion, command, &session, &output, turn)
        case .verbosity: line("OK", command, &session, &output, turn)
        case .shutdown: line("ERROR: shutdown not enabled", command, &session, &output, turn)
        case .quit: session.mustClose = true
        default: refuse(.unknownOperation, command, &session, &output, turn, metrics)
        }
    }

    /// Whose protocol this is. Clients look for three numbers.
    static let memcachedVersion: StaticString = "1.6.0-larder"

    func line(
        _ text: StaticString, and more: StaticString = "", _ command: Command, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn
    ) {
        if MemcachedFlags(rawValue: command.flags).contains(.quiet) { return }
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) {
            $0.append(text)
            $0.append(more)
            $0.append("\r\n")
        }
    }

    // MARK: Flushing

    /// `flush_all`, at once or when its time has come. A later one replaces an earlier one.
    private func flush(
        _ command: Command, _ namespace: Namespace, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn,
        _ metrics: WorkerMetrics
    ) {
        let due = command.lifetime == .unlimited ? turn.now : command.lifetime.deadline(at: turn.now)
        if due > turn.now {
            flushes.set(namespace, due: due)
            return line("OK", command, &session, &output, turn)
        }
        let result = store.flushNamespace(namespace, now: turn.now)
        if result.isDone { flushes.set(namespace, due: nil) }
        answer(result, command, namespace, &session, &output, turn, metrics)
    }

    // MARK: Login

    /// A `set` whose value is a namespace and the server's key.
    private func authenticate(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer,
        _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let value = input.span(command.value)
        let space = value.firstPosition(of: UInt8(ascii: " ")) ?? value.byteCount
        let password = value.extracting(min(space + 1, value.byteCount)..<value.byteCount)
        guard access.accepts(password), let namespace = store.namespaces.find(name: value.slice(0, space)) else {
            session.mustClose = true
            return refuse(.authenticationFailed, command, &session, &output, turn, metrics)
        }
        session.logIn(namespace, configuration)
        line("STORED", command, &session, &output, turn)
    }

    // MARK: Counting and joining

    /// `incr` and `decr`: 64 bits without a sign. One runs over, the other stops at 0.
    private func count(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let delta = UInt64(bitPattern: command.delta)
        let goesDown = MemcachedWord.of(command.word) == .decr
        var number: UInt64? = 0
        let result = rewrite(
            namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, event: .incremented, &scratch
        ) { present, scratch in
            guard present != nil else { return .leave }
            number = Self.count(scratch.present.bytes, by: delta, goesDown: goesDown)
            guard let number else { return .leave }
            scratch.rewritten.append(decimal: number)
            return .put(.keep)
        }
        guard let number else {
            return refuse(
                .notAnInteger, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        }
        guard result.outcome == .updated else {
            return answer(result, command, namespace, &session, &output, turn, metrics)
        }
        session.held.reply(
            writeWait(result.lsn, namespace), at: turn.position, to: command, isWrite: true, output: &output
        ) { MemcachedReply.number(number, to: command, into: &$0) }
    }

    /// The number that `value` spells, with spaces around it or not, and what it becomes.
    static func count(_ value: RawSpan, by delta: UInt64, goesDown: Bool) -> UInt64? {
        var (start, end) = (0, value.byteCount)
        while start < end, value.byte(at: start) == UInt8(ascii: " ") { start += 1 }
        while end > start, value.byte(at: end - 1) == UInt8(ascii: " ") { end -= 1 }
        guard let number = Decimal.parseUnsigned(value.extracting(start..<end)) else { return nil }
        return goesDown ? (number > delta ? number - delta : 0) : number &+ delta
    }

    /// `append` and `prepend`: to what is there, whose flags and lifetime stay.
    private func join(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let isBehind = MemcachedWord.of(command.word) == .append
        var isTooLarge = false
        let result = rewrite(
            namespace, key: input.span(command.key), hash: prepared.hash, now: turn.now, event: .appended, &scratch
        ) { present, scratch in
            guard present != nil else { return .leave }
            isTooLarge = !Self.join(input.span(command.value), isBehind: isBehind, &scratch, configuration.valueBytesMax)
            return isTooLarge ? .leave : .put(.keep)
        }
        guard !isTooLarge else {
            return refuse(
                .valueTooLarge, command, &session, &output, turn, metrics, after: readWait(result.lsn, namespace, turn))
        }
        answer(result, command, namespace, &session, &output, turn, metrics)
    }

    /// Makes the new value of the one that is there and of `value`.
    ///
    /// - Returns: false when it would be too large.
    static func join(_ value: RawSpan, isBehind: Bool, _ scratch: inout Scratch, _ bytesMax: Int) -> Bool {
        guard scratch.present.count + value.byteCount <= bytesMax else { return false }
        if !isBehind { scratch.rewritten.append(value) }
        scratch.appendPresent()
        if isBehind { scratch.rewritten.append(value) }
        // It is another value, which nobody has marked.
        MetaMarks().keep(in: &scratch.metadata)
        return true
    }
}

extension Scratch {
    /// Appends the value that was found to the one that is made.
    mutating func appendPresent() {
        var found = ByteBuffer()
        swap(&found, &present)
        rewritten.append(found.bytes)
        swap(&found, &present)
    }
}

extension Failure {
    static let authenticationFailed = Failure(.unauthorized, "authentication failure")
}
