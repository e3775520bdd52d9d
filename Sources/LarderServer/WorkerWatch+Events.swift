// What events mean for the connections that watch: caches that are no longer right, and messages to subscribers.

import LarderBytes
import LarderEngine
import LarderWire
import Synchronization

extension WorkerWatch {
    /// How much is made of events in one turn: some looks at an event, a prefix or a pattern, and pushes.
    private static let workPerTurn = 4_096
    private static let readAtOnce = 65_536

    /// Whether all events that there were have been worked through. What has come of them may still have to be sent.
    var isCaughtUp: Bool { newsRead == news.count && (shared.map { $0.events.end == cursor } ?? true) }

    /// Works through some of what has happened.
    ///
    /// - Parameter databases: The namespaces that SELECT knows.
    mutating func look(_ databases: [(index: Int, namespace: Namespace)]) {
        guard let shared, !watchers.isEmpty else { return }
        for (index, namespace) in databases where (self.databases[namespace.number] ?? nil) == nil {
            self.databases[namespace.number] = EventChannels(database: index)
        }
        let notified = NotifiedEvents(rawValue: shared.counts.notified.load(ordering: .relaxed))
        var work = Self.workPerTurn
        while work > 0 {
            if newsRead == news.count {
                news.removeAll()
                newsRead = 0
                let end = shared.events.end
                guard cursor < end else { break }
                guard shared.events.read(from: &cursor, into: &news, bytesMax: Self.readAtOnce) else {
                    forgetAll(shared)
                    break
                }
            }
            guard let event = KeyEvent.next(in: news, at: &newsRead) else { break }
            let before = pushes
            notice(event, notified)
            work -= 1 + broadcast.count + patterns.count + event.key.count / 64 + (pushes &- before)
        }
        report()
    }

    /// Events are gone that nobody looked at: every cache is worth nothing, and subscribers have to know.
    private mutating func forgetAll(_ shared: Shared) {
        shared.counts.overruns.wrappingAdd(1, ordering: .relaxed)
        invalidateAll()
        for watcher in watchers.values where watcher.subscriptions > 0 {
            watcher.hasMissed = true
            touch(watcher)
        }
    }

    private mutating func invalidateAll() {
        table.removeAll()
        for watcher in watchers.values where watcher.tracking != nil {
            watcher.invalidateAll()
            touch(watcher)
        }
    }

    private mutating func notice(_ event: KeyEvent, _ notified: NotifiedEvents) {
        // What no connection of RESP can read is none of its business.
        guard let names = databases[event.namespace] else { return }
        if event.kind == .flushed { return invalidateAll() }
        if !table.isEmpty { invalidate(event) }
        for watcher in broadcast where watcher.tracking?.wants(news.span(event.key)) == true && !Self.isOwn(event, watcher) {
            watcher.invalidate(news.span(event.key))
            touch(watcher)
        }
        guard !channels.isEmpty || !patterns.isEmpty, let names, notified.contains(event.kind.notified) else { return }
        tell(event, names, notified)
    }

    private static func isOwn(_ event: KeyEvent, _ watcher: Watcher) -> Bool {
        event.origin == watcher.origin && watcher.tracking?.skipsOwn == true
    }

    private mutating func invalidate(_ event: KeyEvent) {
        let key = TrackedKey(event.namespace, news.span(event.key))
        guard let holders = table.holders(of: key) else { return }
        let watchers = watchers
        var told: [Watcher] = []
        holders.forEach { token in
            // Who wrote it itself goes on being told of what others do to it.
            guard let watcher = watchers[token], watcher.tracking != nil, !Self.isOwn(event, watcher) else { return }
            watcher.invalidate(key.bytes.rawSpan)
            told.append(watcher)
        }
        table.remove(key) { token in watchers[token].map { Self.isOwn(event, $0) } ?? false }
        for watcher in told { touch(watcher) }
    }

    // MARK: Messages

    private mutating func tell(_ event: KeyEvent, _ names: EventChannels, _ notified: NotifiedEvents) {
        let (kind, key) = (Int(event.kind.rawValue), Array(news.span(event.key)))
        if notified.contains(.keyspace) { tell(names.keyspace + key, EventChannels.names[kind]) }
        if notified.contains(.keyevent) { tell(names.keyevents[kind], key) }
    }

    private mutating func tell(_ channel: [UInt8], _ payload: [UInt8]) {
        for token in channels[channel] ?? [] {
            guard let watcher = watchers[token] else { continue }
            watcher.message(channel, payload.rawSpan)
            touch(watcher)
        }
        for pattern in patterns where pattern.glob.matches(channel.rawSpan) {
            guard let watcher = watchers[pattern.token] else { continue }
            watcher.message(pattern.text, channel, payload.rawSpan)
            touch(watcher)
        }
    }
}
