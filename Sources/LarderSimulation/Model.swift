// What a store ought to hold, in the plainest of words: dictionaries, and the list of all changes by LSN.
//
// From the list the content at any LSN can be told, which is what a recovery is judged by. Knows no file and no log.

import LarderEngine
import LarderPlatform

/// A key in a namespace.
package struct ModelKey: Hashable, Sendable {
    package var space: UInt32
    package var key: [UInt8]

    package init(space: UInt32, key: [UInt8]) {
        self.space = space
        self.key = key
    }
}

/// An entry with everything that a client can see of it.
package struct ModelEntry: Equatable, Sendable {
    package var value: [UInt8]
    package var metadata: [UInt8]
    package var deadline: Deadline
    package var version: LSN

    package init(value: [UInt8], metadata: [UInt8] = [], deadline: Deadline = .never, version: LSN) {
        self.value = value
        self.metadata = metadata
        self.deadline = deadline
        self.version = version
    }
}

/// A namespace without its entries.
package struct ModelNamespace: Equatable, Sendable {
    package var name: String
    package var settings: NamespaceSettings
    package var flushed: LSN = .zero

    package init(name: String, settings: NamespaceSettings) {
        self.name = name
        self.settings = settings
    }
}

/// What one write changed.
package enum ModelChange: Sendable {
    case entry(ModelKey, ModelEntry)
    case remove(ModelKey)
    case create(UInt32, ModelNamespace)
    case settings(UInt32, NamespaceSettings)
    case flush(UInt32)
    case drop(UInt32)
}

/// Namespaces and entries at one moment.
package struct ModelContent: Equatable, Sendable {
    package var entries: [ModelKey: ModelEntry] = [:]
    package var namespaces: [UInt32: ModelNamespace] = [0: ModelNamespace(name: "default", settings: NamespaceSettings())]

    package init() {}

    mutating func apply(_ change: ModelChange, at lsn: LSN) {
        switch change {
        case .entry(let key, let entry): entries[key] = entry
        case .remove(let key): entries[key] = nil
        case .create(let number, let namespace): namespaces[number] = namespace
        case .settings(let number, let settings): namespaces[number]?.settings = settings
        case .flush(let number):
            entries = entries.filter { $0.key.space != number }
            namespaces[number]?.flushed = lsn
        case .drop(let number):
            entries = entries.filter { $0.key.space != number }
            namespaces[number] = nil
        }
    }

    func number(ofSpace name: String) -> UInt32? { namespaces.first { $0.value.name == name }?.key }
}

/// All changes of a run.
package struct ModelHistory: Sendable {
    /// What the log holds, in the order of LSNs.
    private var logged: [(lsn: LSN, change: ModelChange, owesSync: Bool)] = []
    /// Every state that an entry of an unlogged namespace was ever in, also before a crash.
    private(set) var unlogged: [LSN: (key: ModelKey, entry: ModelEntry)] = [:]
    /// The highest LSN that was ever given.
    package private(set) var given: LSN = .zero

    package init() {}

    /// - Parameter durability: Of the namespace; nil for a change of namespaces themselves.
    mutating func note(_ change: ModelChange, at lsn: LSN, durability: Durability?) {
        given = max(given, lsn)
        if durability != .off {
            logged.append((lsn, change, durability != .never))
        } else if case .entry(let key, let entry) = change {
            unlogged[lsn] = (key, entry)
        }
    }

    /// The logged content after all changes up to `lsn`.
    func content(through lsn: LSN) -> ModelContent {
        var content = ModelContent()
        for (at, change, _) in logged where at <= lsn { content.apply(change, at: at) }
        return content
    }

    /// The last change that the log holds.
    package var last: LSN { logged.last?.lsn ?? .zero }

    /// Whether anything after `first` up to `last` has to be on the medium within the interval.
    func owesSync(after first: LSN, through last: LSN) -> Bool {
        logged.reversed().prefix { $0.lsn > first }.contains { $0.lsn <= last && $0.owesSync }
    }

    /// Forgets what a crash has undone.
    mutating func forget(after lsn: LSN) { logged.removeAll { $0.lsn > lsn } }

    /// The contents at all LSNs at once, for judging many recoveries of one run.
    package var timeline: ModelTimeline {
        var content = ModelContent()
        var timeline = ModelTimeline(contents: [(.zero, content)], unlogged: unlogged, given: given)
        for (lsn, change, _) in logged {
            content.apply(change, at: lsn)
            timeline.contents.append((lsn, content))
        }
        return timeline
    }
}

/// The content at every LSN of a run that has ended.
package struct ModelTimeline: Sendable {
    fileprivate(set) var contents: [(lsn: LSN, content: ModelContent)]
    let unlogged: [LSN: (key: ModelKey, entry: ModelEntry)]
    package let given: LSN

    fileprivate init(
        contents: [(lsn: LSN, content: ModelContent)], unlogged: [LSN: (key: ModelKey, entry: ModelEntry)], given: LSN
    ) {
        self.contents = contents
        self.unlogged = unlogged
        self.given = given
    }

    /// The content after all changes up to `lsn`.
    package func content(through lsn: LSN) -> ModelContent {
        var low = 0
        var high = contents.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if contents[middle].lsn <= lsn { low = middle } else { high = middle }
        }
        return contents[low].content
    }

    /// The last change.
    package var last: LSN { contents.last?.lsn ?? .zero }
}
