// What is made of what was there, without a function of the engine's own: look, decide with nothing locked, and write on
// condition that nobody wrote in between.
//
// As in a load-linked and store-conditional pair: M. Herlihy, "A Methodology for Implementing Highly Concurrent Data Objects",
// TOPLAS 1993. A version is never used twice, so that what is found unchanged is unchanged.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// A live entry that was looked at. Its value lies in `Scratch.present`, what is kept beside it in `Scratch.metadata`.
struct PresentEntry: Sendable {
    let lsn: LSN
    let deadline: Deadline
}

/// What is to become of it.
enum Rewrite: Sendable {
    /// What lies in `Scratch.rewritten` becomes the value, and what lies in `Scratch.metadata` is kept beside it.
    case put(LifetimeChange)
    case setDeadline(LifetimeChange)
    case remove
    /// It stays as it is.
    case leave
}

extension CommandExecutor {
    /// Decides what becomes of an entry from what it is.
    ///
    /// - Parameter readsValue: Whether the value is copied to `scratch.present` for `decide`.
    /// - Parameter event: As what those who watch are told of a value that is put.
    /// - Parameter decide: Called with the entry or nil, and again whenever somebody else wrote the key in between.
    /// - Returns: What became of the write; of one that was left out `conditionFailed`, with the LSN to wait for.
    /// - Complexity: O(value), besides what `decide` does.
    func rewrite(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, now: Milliseconds, readsValue: Bool = true,
        event: KeyEventKind = .set, _ scratch: inout Scratch, _ decide: (PresentEntry?, inout Scratch) -> Rewrite
    ) -> WriteResult {
        for _ in 0..<Self.rewritesMax {
            let (present, seen) = look(namespace, key: key, hash: hash, now: now, readsValue: readsValue, &scratch)
            let version = present?.lsn.rawValue
            let condition = version.map { WriteCondition.version($0) } ?? .absent
            let result: WriteResult
            switch decide(present, &scratch) {
            case .leave: return WriteResult(.conditionFailed, lsn: seen, version: version ?? 0)
            case .put(let lifetime):
                scratch.rewrittenBytes &+= UInt64(scratch.rewritten.count)
                result = store.put(
                    namespace, key: key, hash: hash, value: scratch.rewritten.bytes, metadata: scratch.metadata.bytes,
                    lifetime: lifetime, condition: condition, now: now, event: event)
            case .setDeadline(let lifetime):
                result = store.setDeadline(
                    namespace, key: key, hash: hash, lifetime: lifetime, condition: condition, now: now)
            case .remove:
                result = store.remove(namespace, key: key, hash: hash, condition: condition, now: now)
            }
            if result.outcome != .conditionFailed { return result }
        }
        // Others write the key all the time: in the next turn again.
        return WriteResult(.backlog, lsn: .zero)
    }

    private static let rewritesMax = 16

    /// Looks at an entry, and copies what lies beside its value, and the value if asked to, to `scratch`.
    ///
    /// - Returns: The entry or nil, and the write that an answer depends on.
    /// - Complexity: O(value).
    func look(
        _ namespace: Namespace, key: RawSpan, hash: KeyHash, now: Milliseconds, readsValue: Bool = true,
        _ scratch: inout Scratch
    ) -> (entry: PresentEntry?, lsn: LSN) {
        scratch.forgetEntry()
        var present: PresentEntry?
        let read = store.read(namespace, key: key, hash: hash, now: now) { entry in
            present = PresentEntry(lsn: entry.lsn, deadline: entry.deadline)
            scratch.metadata.append(entry.metadata)
            if readsValue { scratch.present.append(entry.value) }
        }
        scratch.rewrittenBytes &+= UInt64(scratch.present.count)
        return (present, read.lsn)
    }
}
