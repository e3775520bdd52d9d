// What connections that watch keys share, on whichever worker they are: bounds, counts, which channels there are, whom to wake.

import LarderEngine
import Synchronization

final class RESPWatching: Sendable {
    /// How many pairs of a key and a connection that has it in its cache are remembered.
    let trackedMax = Atomic<Int>(RESPWatching.trackedMaxDefault)
    static let trackedMaxDefault = 1_000_000
    static let trackedMaxRange = 1...100_000_000
    /// How much memory they may take besides, about.
    static let trackedBytesMax = 128 << 20
    /// Which events are told of (CONFIG SET notify-keyspace-events).
    let notified = Atomic<UInt32>(NotifiedEvents.everything.rawValue)

    let trackingClients = Atomic<Int>(0)
    let subscribers = Atomic<Int>(0)
    let trackedKeys = Atomic<Int>(0)
    let trackedItems = Atomic<Int>(0)
    let trackedBytes = Atomic<Int>(0)
    let prefixes = Atomic<Int>(0)
    /// Tracked keys that were given up for want of room.
    let givenUp = Atomic<UInt64>(0)
    /// How often a worker came too late to see all events.
    let overruns = Atomic<UInt64>(0)

    private struct Names {
        /// How many connections have subscribed to each.
        var channels: [[UInt8]: Int] = [:]
        var patterns: [[UInt8]: Int] = [:]
    }

    private let names = Mutex(Names())
    /// Of the workers with connections that watch, and how many these are.
    private let inboxes = Mutex<[WorkerInbox]>([])
    private let workers = Atomic<Int>(0)

    /// Whether a worker that remembers so much has to give some of it up: more is remembered than may be, and it has more than
    /// its share.
    func isOverfull(_ own: TrackingCounts) -> Bool {
        let (itemsMax, workers) = (trackedMax.load(ordering: .relaxed), max(workers.load(ordering: .relaxed), 1))
        return trackedItems.load(ordering: .relaxed) > itemsMax && own.items > itemsMax / workers
            || trackedBytes.load(ordering: .relaxed) > Self.trackedBytesMax && own.bytes > Self.trackedBytesMax / workers
    }

    func note(_ change: TrackingCounts) {
        if change == TrackingCounts() { return }
        trackedKeys.wrappingAdd(change.keys, ordering: .relaxed)
        trackedItems.wrappingAdd(change.items, ordering: .relaxed)
        trackedBytes.wrappingAdd(change.bytes, ordering: .relaxed)
    }

    // MARK: Channels

    /// A connection has subscribed to a channel or a pattern, or has left it.
    func note(_ name: [UInt8], isPattern: Bool, _ change: Int) {
        names.withLock { names in
            let path = isPattern ? \Names.patterns : \Names.channels
            let count = names[keyPath: path][name, default: 0] + change
            names[keyPath: path][name] = count == 0 ? nil : count
        }
    }

    /// The channels that somebody has subscribed to, with how many have.
    var channels: [[UInt8]: Int] { names.withLock { $0.channels } }
    var patternCount: Int { names.withLock { $0.patterns.count } }

    // MARK: Waking

    func add(_ inbox: WorkerInbox) { change { $0.append(inbox) } }
    func remove(_ inbox: WorkerInbox) { change { $0.removeAll { $0 === inbox } } }

    private func change(_ change: (inout [WorkerInbox]) -> Void) {
        inboxes.withLock { inboxes in
            change(&inboxes)
            workers.store(inboxes.count, ordering: .relaxed)
        }
    }

    /// Wakes the workers that sleep and have not seen all events. Whoever may have made some calls this when it holds nothing.
    func wake(_ events: KeyEvents) {
        guard events.isWatched else { return }
        inboxes.withLock { inboxes in
            for inbox in inboxes { inbox.eventsMoved(to: events.end) }
        }
    }
}

/// Of which events subscribers are told, as Redis' letters say it.
struct NotifiedEvents: OptionSet, Sendable {
    let rawValue: UInt32

    static let keyspace = NotifiedEvents(rawValue: 1)
    static let keyevent = NotifiedEvents(rawValue: 2)
    static let generic = NotifiedEvents(rawValue: 4)
    static let string = NotifiedEvents(rawValue: 8)
    static let expired = NotifiedEvents(rawValue: 16)
    static let evicted = NotifiedEvents(rawValue: 32)
    /// Those of types that there are none of.
    static let others = NotifiedEvents(rawValue: 64)

    private static let all: NotifiedEvents = [.generic, .string, .expired, .evicted, .others]
    static let everything: NotifiedEvents = [.keyspace, .keyevent, .all]

    init(rawValue: UInt32) { self.rawValue = rawValue }

    /// - Returns: nil for a letter that means nothing here.
    init?(_ text: String) {
        self = []
        for letter in text {
            switch letter {
            case "K": insert(.keyspace)
            case "E": insert(.keyevent)
            case "g": insert(.generic)
            case "$": insert(.string)
            case "x": insert(.expired)
            case "e": insert(.evicted)
            case "A": formUnion(.all)
            case "l", "s", "h", "z", "t", "d": insert(.others)
            default: return nil
            }
        }
    }

    var text: String {
        var text = ""
        if isSuperset(of: .all) {
            text = "A"
        } else {
            if contains(.generic) { text += "g" }
            if contains(.string) { text += "$" }
            if contains(.others) { text += "lshzt" }
            if contains(.expired) { text += "x" }
            if contains(.evicted) { text += "e" }
            if contains(.others) { text += "d" }
        }
        return text + (contains(.keyspace) ? "K" : "") + (contains(.keyevent) ? "E" : "")
    }
}

/// The channels of one database, made once: an event comes with every write.
struct EventChannels: Equatable, Sendable {
    /// What those of keys begin with.
    let keyspace: [UInt8]
    /// Those of events, by kind.
    let keyevents: [[UInt8]]

    init(database index: Int) {
        keyspace = Array("__keyspace@\(index)__:".utf8)
        keyevents = Self.names.map { Array("__keyevent@\(index)__:".utf8) + $0 }
    }

    /// How Redis names the events, by kind.
    static let names: [[UInt8]] = KeyEventKind.allCases.map { Array($0.name.utf8) }
}

extension KeyEventKind {
    fileprivate var name: String {
        switch self {
        case .set: "set"
        case .removed: "del"
        case .lifetimeSet: "expire"
        case .lifetimeCleared: "persist"
        case .incremented: "incrby"
        case .appended: "append"
        case .addedTo: "incrbyfloat"
        case .overwritten: "setrange"
        case .copied: "copy_to"
        case .expired: "expired"
        case .evicted: "evicted"
        // Never told: it is of no key.
        case .flushed: "flushed"
        }
    }

    var notified: NotifiedEvents {
        switch self {
        case .set, .incremented, .appended, .addedTo, .overwritten: .string
        case .copied, .removed, .lifetimeSet, .lifetimeCleared: .generic
        case .expired: .expired
        case .evicted: .evicted
        case .flushed: []
        }
    }
}
