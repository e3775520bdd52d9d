// What a turn does about keys that changed: it looks at some of the events, and sends what they mean for its connections.
//
// At the turn's end, when every reply of the turn has been made: what is pushed never comes before a reply that shows what was
// there before.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension WorkerLoop {
    /// How many tracked keys are looked at in a second, and in a turn, for those of connections that are gone.
    static let sweptPerSecond = 65_536
    private static let sweptPerTurn = 1_024

    /// Before the worker falls asleep: whether there are events that it has not looked at, or told of. If not, whoever makes one
    /// wakes it.
    func hasEvents() -> Bool {
        guard scratch.watch.isWatching else { return false }
        inbox.sleep(afterEvents: scratch.watch.cursor)
        return !scratch.watch.isCaughtUp || scratch.watch.hasTouched
    }

    mutating func lookAtEvents(_ turn: Turn) {
        guard server.store.events.isWatched else { return }
        if scratch.watch.isWatching {
            if !scratch.watch.isCaughtUp { scratch.watch.look(server.executor.databases) }
            scratch.watch.tidy(work: Self.sweptPerTurn)
            for watcher in scratch.watch.takeTouched() { push(watcher, turn) }
        }
        // Those of this turn's requests; no shard is held here.
        server.resp.watching.wake(server.store.events)
    }

    private mutating func push(_ watcher: Watcher, _ turn: Turn) {
        let slot = Self.slot(watcher.token)
        guard slot < connections.count, let place = connections[slot], place.token == watcher.token else {
            return scratch.watch.close(watcher.token)
        }
        push(watcher, &place.connection, slot, turn)
    }

    private mutating func push(_ watcher: Watcher, _ connection: inout Connection, _ slot: Int, _ turn: Turn) {
        // Nobody reads it any more.
        if connection.isClosing || connection.isLingering { return scratch.watch.close(watcher.token) }
        if connection.output.isEmpty, connection.session.held.isEmpty { watcher.unsentBytes = 0 }
        let unsent = watcher.unsentBytes + watcher.pushes.count
        // It has asked for none of this, so that leaving its requests unread, as with replies, would not help.
        if watcher.hasMissed || unsent > server.configuration.outputBytesMax { return close(slot, connection) }
        guard connection.session.takePushes(of: watcher, &output, turn) else { return scratch.watch.touch(watcher) }
        watcher.unsentBytes = unsent
        guard sendOutput(&connection, slot) else { return }
        if !connection.session.held.isEmpty { awaitLog(&connection, slot) }
        settle(&connection, slot, turn)
    }
}
