// Which of a worker's connections watch keys, and which: who comes, who goes, what is remembered.
//
// What is made of the events stands in the file beside this one.

import LarderBytes
import LarderEngine
import LarderWire
import Synchronization

struct WorkerWatch: ~Copyable {
    /// What all workers share.
    struct Shared {
        let events: KeyEvents
        let counts: RESPWatching
        /// nil for connections without a worker.
        let inbox: WorkerInbox?
    }

    struct Pattern {
        let text: [UInt8]
        let glob: GlobPattern
        let token: UInt64
    }

    private(set) var shared: Shared?
    private(set) var watchers: [UInt64: Watcher] = [:]
    /// The same by what they watch.
    private(set) var broadcast: [Watcher] = []
    private(set) var channels: [[UInt8]: Set<UInt64>] = [:]
    private(set) var patterns: [Pattern] = []
    var table = TrackingTable()
    private var reported = TrackingCounts()
    /// The namespaces whose keys connections of RESP have been able to read, by number; none is forgotten, since what was read of
    /// it may still be in a cache. nil: of one whose channels have not been needed yet.
    var databases: [UInt32: EventChannels?] = [:]
    /// Watchers that have something to send, and how often one had something more.
    private var touched: [Watcher] = []
    private(set) var pushes = 0

    // Events that were read, and how far they have been worked through.
    var cursor: UInt64 = 0
    var news = ByteBuffer()
    var newsRead = 0

    var isWatching: Bool { !watchers.isEmpty }

    func watcher(_ token: UInt64) -> Watcher? { watchers[token] }

    // MARK: Coming and going

    /// The watcher of a connection, made if there is none.
    mutating func open(_ token: UInt64, origin: UInt64, isRESP3: Bool, _ shared: Shared) -> Watcher {
        if let watcher = watchers[token] { return watcher }
        let position = shared.events.watch()
        if watchers.isEmpty {
            self.shared = shared
            cursor = position
            if let inbox = shared.inbox { shared.counts.add(inbox) }
        }
        let watcher = Watcher(token: token, origin: origin, isRESP3: isRESP3)
        watchers[token] = watcher
        return watcher
    }

    /// Forgets all that a connection watches.
    mutating func close(_ token: UInt64) {
        guard let watcher = watchers[token], let shared else { return }
        stopTracking(watcher)
        for name in watcher.channels { _ = unsubscribe(watcher, name, isPattern: false) }
        for name in watcher.patterns { _ = unsubscribe(watcher, name, isPattern: true) }
        watchers[token] = nil
        shared.events.unwatch()
        guard watchers.isEmpty else { return }
        if let inbox = shared.inbox { shared.counts.remove(inbox) }
        news.removeAll()
        news.shrink()
        newsRead = 0
        databases = [:]
    }

    /// Forgets a connection that watches nothing any more.
    ///
    /// - Returns: Whether it still watches.
    mutating func settle(_ watcher: Watcher) -> Bool {
        if !watcher.isIdle { return true }
        // What is left to be pushed is about what it no longer wants to know.
        close(watcher.token)
        return false
    }

    /// Lists a connection among those that have something to send.
    mutating func touch(_ watcher: Watcher) {
        pushes &+= 1
        if watcher.isTouched { return }
        watcher.isTouched = true
        touched.append(watcher)
    }

    var hasTouched: Bool { !touched.isEmpty }

    /// Some of those that have something to send, and are still there: a key in the caches of all is not told to all in one
    /// turn.
    mutating func takeTouched() -> [Watcher] {
        if touched.isEmpty { return [] }
        let taken = touched.prefix(Self.toldPerTurn)
        touched.removeFirst(taken.count)
        for watcher in taken { watcher.isTouched = false }
        return taken.filter { watchers[$0.token] === $0 }
    }

    // MARK: Tracking

    mutating func track(_ watcher: Watcher, _ tracking: Tracking) {
        guard let shared else { return }
        let former = watcher.tracking
        if former == nil { shared.counts.trackingClients.wrappingAdd(1, ordering: .relaxed) }
        shared.counts.prefixes.wrappingAdd(tracking.prefixes.count - (former?.prefixes.count ?? 0), ordering: .relaxed)
        if tracking.isBroadcast, former?.isBroadcast != true { broadcast.append(watcher) }
        watcher.tracking = tracking
    }

    mutating func stopTracking(_ watcher: Watcher) {
        guard let tracking = watcher.tracking, let shared else { return }
        watcher.tracking = nil
        shared.counts.trackingClients.wrappingSubtract(1, ordering: .relaxed)
        shared.counts.prefixes.wrappingSubtract(tracking.prefixes.count, ordering: .relaxed)
        broadcast.removeAll { $0 === watcher }
        if watchers.values.allSatisfy({ $0.tracking == nil }) {
            table.removeAll()
        } else {
            table.noteGone()
            tidy(work: Self.sweptAtOnce)
        }
        report()
    }

    /// Notes that a connection is about to read a key, and will have it in its cache.
    mutating func remember(_ watcher: Watcher, _ namespace: Namespace, _ key: RawSpan) {
        guard let counts = shared?.counts else { return }
        if databases[namespace.number] == nil { databases[namespace.number] = .some(nil) }
        table.add(TrackedKey(namespace.number, key), watcher.token)
        report()
        giveUp(counts, atMost: .max)
    }

    /// Declares the keys changed that came first, while more are remembered than may be.
    private mutating func giveUp(_ counts: RESPWatching, atMost countMax: Int) {
        var left = countMax
        while left > 0, counts.isOverfull(table.counts), let (key, holders) = table.removeOldest() {
            left -= 1
            counts.givenUp.wrappingAdd(1, ordering: .relaxed)
            holders.forEach { token in
                guard let holder = watchers[token], holder.tracking != nil else { return }
                holder.invalidate(key.bytes.rawSpan)
                touch(holder)
            }
            report()
        }
    }

    /// Forgets some of what connections held that are gone.
    mutating func tidy(work: Int) {
        let watchers = watchers
        table.sweep(work: work) { watchers[$0]?.tracking != nil }
        report()
        // Others may need some of the room that was taken before they came.
        if let counts = shared?.counts { giveUp(counts, atMost: Self.givenUpAtOnce) }
    }

    mutating func report() {
        shared?.counts.note(table.counts - reported)
        reported = table.counts
    }

    private static let sweptAtOnce = 4_096
    private static let givenUpAtOnce = 256
    private static let toldPerTurn = 256

    // MARK: Subscriptions

    /// - Returns: Whether it is new.
    mutating func subscribe(_ watcher: Watcher, _ name: [UInt8], isPattern: Bool) -> Bool {
        guard let counts = shared?.counts else { return false }
        let isFirst = watcher.subscriptions == 0
        if isPattern {
            guard watcher.patterns.insert(name).inserted else { return false }
            patterns.append(Pattern(text: name, glob: GlobPattern(name.rawSpan), token: watcher.token))
        } else {
            guard watcher.channels.insert(name).inserted else { return false }
            channels[name, default: []].insert(watcher.token)
        }
        counts.note(name, isPattern: isPattern, 1)
        if isFirst { counts.subscribers.wrappingAdd(1, ordering: .relaxed) }
        return true
    }

    /// - Returns: Whether it was there.
    mutating func unsubscribe(_ watcher: Watcher, _ name: [UInt8], isPattern: Bool) -> Bool {
        guard let counts = shared?.counts else { return false }
        if isPattern {
            guard watcher.patterns.remove(name) != nil else { return false }
            patterns.removeAll { $0.token == watcher.token && $0.text == name }
        } else {
            guard watcher.channels.remove(name) != nil else { return false }
            channels[name]?.remove(watcher.token)
            if channels[name]?.isEmpty == true { channels[name] = nil }
        }
        counts.note(name, isPattern: isPattern, -1)
        if watcher.subscriptions == 0 { counts.subscribers.wrappingSubtract(1, ordering: .relaxed) }
        return true
    }
}
