// RENAME, RENAMENX and COPY: two writes of two keys, each by itself, and what becomes of them when others write in between.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// What RENAME, RENAMENX and COPY are about.
struct RESPMove {
    let source: RESPKey
    let from: Namespace
    let goal: RESPKey
    let to: Namespace
    /// Whether the target may be there.
    let replaces: Bool
    let deletesSource: Bool
    let isSame: Bool
}

/// What has become of it.
enum RESPMoved {
    /// The target is written, and the source gone if it was to be; with the last write.
    case done(LSN)
    case missing(LSN)
    /// The target is there.
    case taken(LSN)
    /// The last write was; of a backlog: go on in the next turn.
    case refused(WriteResult)
    /// The target was written, and the log does not take that the source is deleted.
    case half
}

extension CommandExecutor {
    /// RENAME, RENAMENX, COPY.
    func copy(
        _ request: RESPRequest, _ words: [ByteRange], _ arguments: RESPArguments, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let target = try copyTarget(request, words, input)
        let source = try key(words[0], request.namespace, input)
        let goal = try key(words[1], target.namespace, input)
        let isSame = target.namespace == request.namespace && input.span(source.range).hasSameBytes(as: input.span(goal.range))
        if isSame, request.word == .copy { throw Failure(.malformed, "source and destination objects are the same") }
        let move = RESPMove(
            source: source, from: request.namespace, goal: goal, to: target.namespace, replaces: target.replaces,
            deletesSource: request.word != .copy, isSame: isSame)
        var progress = session.many.take() ?? RESPManyInProgress(arguments)
        let moved = self.move(move, input, now: request.turn.now, written: &progress.written, &scratch)
        scratch.forgetEntry()
        switch moved {
        case .done(let lsn):
            finishCopy(request, isDone: true, writeWait(lsn, target.namespace), &session, &output)
        case .missing(let lsn) where request.word != .copy:
            let seen = readWait(lsn, request.namespace, request.turn)
            refuse(.noSuchKey, request.command, &session, &output, request.turn, request.metrics, after: seen)
        case .missing(let lsn):
            finishCopy(request, isDone: false, readWait(lsn, request.namespace, request.turn), &session, &output)
        case .taken(let lsn):
            finishCopy(request, isDone: false, readWait(lsn, target.namespace, request.turn), &session, &output)
        case .refused(let result):
            answer(result, request.command, target.namespace, &session, &output, request.turn, request.metrics)
            if session.needsAnotherTurn { session.many = consume progress }
        case .half: refuseHalf(request, &session, &output)
        }
    }

    /// Writes the target, and deletes the source if it is still what was copied, else begins again; each of it by itself. Of several that
    /// move one source, one is done.
    ///
    /// - Parameter written: The last write of the target, `zero` before the first: of a move that goes on.
    /// - Parameter wrote: Called between the two writes.
    func move(
        _ move: RESPMove, _ input: borrowing ByteBuffer, now: Milliseconds, written: inout LSN, _ scratch: inout Scratch,
        _ wrote: () -> Void = {}
    ) -> RESPMoved {
        let (source, goal) = (move.source, move.goal)
        for _ in 0..<Self.copiesMax {
            let (found, seen) = look(move.from, key: input.span(source.range), hash: source.hash, now: now, &scratch)
            guard let present = found else {
                // Somebody else took it away behind our copy, and was told so: it is theirs.
                return written > .zero ? takeBack(move, input, now: now, written: &written, seen) : .missing(seen)
            }
            if move.isSame { return move.replaces ? .done(seen) : .taken(seen) }
            let result = store.put(
                move.to, key: input.span(goal.range), hash: goal.hash, value: scratch.present.bytes,
                metadata: scratch.metadata.bytes,
                lifetime: present.deadline == .never ? .unlimited : .until(present.deadline.rawValue),
                condition: move.replaces ? .none : written > .zero ? .version(written.rawValue) : .absent, now: now,
                event: move.deletesSource ? .set : .copied)
            if result.outcome == .conditionFailed {
                // Ours was deleted meanwhile, or somebody else's stands there.
                let isFree = written > .zero && result.version == 0
                written = .zero
                if isFree { continue }
                return .taken(result.lsn)
            }
            guard result.isDone else { return .refused(result) }
            written = result.lsn
            if !move.deletesSource { return .done(written) }
            wrote()
            let removed = store.remove(
                move.from, key: input.span(source.range), hash: source.hash, condition: .version(present.lsn.rawValue), now: now)
            if removed.isDone { return .done(max(removed.lsn, written)) }
            switch removed.outcome {
            case .conditionFailed: continue
            case .backlog: return .refused(removed)
            default: return .half
            }
        }
        // Others write the source all the time: in the next turn again.
        return .refused(WriteResult(.backlog, lsn: .zero))
    }

    /// Removes the target again, unless somebody else has written it since.
    private func takeBack(
        _ move: RESPMove, _ input: borrowing ByteBuffer, now: Milliseconds, written: inout LSN, _ seen: LSN
    ) -> RESPMoved {
        let removed = store.remove(
            move.to, key: input.span(move.goal.range), hash: move.goal.hash, condition: .version(written.rawValue), now: now)
        switch removed.outcome {
        case .removed, .conditionFailed, .notFound:
            written = .zero
            return .missing(max(removed.lsn, seen))
        case .backlog: return .refused(removed)
        default: return .half
        }
    }

    /// How often a source that somebody else writes all the time is copied anew.
    private static let copiesMax = 16

    private func copyTarget(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer
    ) throws(Failure) -> (namespace: Namespace, replaces: Bool) {
        if request.word != .copy { return (request.namespace, request.word == .rename) }
        var (namespace, replaces, index) = (request.namespace, false, 2)
        while index < words.count {
            switch lowercase(words[index], input) {
            case "replace":
                replaces = true
                index += 1
            case "db" where index + 1 < words.count:
                let number = try integer(words[index + 1], input)
                guard let found = databases.first(where: { Int64($0.index) == number }) else {
                    throw Failure(.malformed, "DB index is out of range")
                }
                namespace = found.namespace
                index += 2
            default: throw .syntaxError
            }
        }
        return (namespace, replaces)
    }

    private func finishCopy(
        _ request: RESPRequest, isDone: Bool, _ wait: Wait, _ session: inout Session, _ output: inout ByteBuffer
    ) {
        reply(request, after: wait, isWrite: true, &session, &output) { target in
            if request.word == .rename { RESPReply.ok(into: &target) } else { RESPReply.integer(isDone ? 1 : 0, into: &target) }
        }
    }

    /// The log failed, or fell behind, between the two writes.
    private func refuseHalf(_ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        refuse(
            "MISCONF the new key was written, and what else belongs to it could not be: the log takes no writes at the moment",
            request, &session, &output)
    }
}

extension Failure {
    fileprivate static let noSuchKey = Failure(.malformed, "no such key")
}
