// Flushes that were put off (memcached's `flush_all` with a delay): which namespaces are to be flushed, and when.
//
// Kept in memory only: a restart forgets them. They are carried out by whoever looks first when the time has come, a worker at the
// beginning of its turn or the upkeep, so that no request of a later turn sees what was to be gone.

import LarderEngine
import LarderPlatform
import Synchronization

package final class DelayedFlushes: Sendable {
    private struct Flush {
        let namespace: Namespace
        var due: Milliseconds
    }

    private let waiting = Mutex<[Flush]>([])
    /// When to look next; nothing is due before. Asked in every turn, and most of the time it is never.
    private let nextLook = Atomic<Milliseconds>(.max)

    /// After so long a flush is tried again that the log could not take.
    static let retryMilliseconds: Milliseconds = 100

    package init() {}

    /// When there may be something to do.
    var next: Milliseconds { nextLook.load(ordering: .relaxed) }

    /// Has a namespace flushed at `due` and at no time that was said before; nil: not at all.
    func set(_ namespace: Namespace, due: Milliseconds?) {
        waiting.withLock { waiting in
            waiting.removeAll { $0.namespace == namespace }
            if let due { waiting.append(Flush(namespace: namespace, due: due)) }
            look(at: waiting)
        }
    }

    /// Carries out what is due.
    ///
    /// - Returns: Whether anything was flushed, so that there is something for the log to write.
    @inline(__always)
    func carryOut(in store: Store, now: Milliseconds) -> Bool {
        next <= now && carryOutDue(in: store, now)
    }

    @inline(never)
    private func carryOutDue(in store: Store, _ now: Milliseconds) -> Bool {
        waiting.withLock { waiting in
            var hasFlushed = false
            for index in waiting.indices.reversed() where waiting[index].due <= now {
                switch store.flushNamespace(waiting[index].namespace, now: now).outcome {
                case .backlog, .refused: waiting[index].due = now + Self.retryMilliseconds
                // Flushed; or dropped meanwhile, and gone with that.
                case let outcome:
                    waiting.remove(at: index)
                    if outcome == .removed { hasFlushed = true }
                }
            }
            look(at: waiting)
            return hasFlushed
        }
    }

    private func look(at waiting: [Flush]) { nextLook.store(waiting.map(\.due).min() ?? .max, ordering: .relaxed) }
}
