// The words of the wire in the words of the engine, and the sentences that refusals are made of.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension Command {
    /// Speaks of a namespace.
    var needsNamespace: Bool {
        switch operation {
        case .resp: RESPWord.of(word).needsNamespace
        case .memcached: MemcachedWord.of(word).needsNamespace
        default: operation.needsNamespace
        }
    }

    var worksWhileLoading: Bool {
        switch operation {
        case .resp: RESPWord.of(word).worksWhileLoading
        case .memcached: MemcachedWord.of(word).worksWhileLoading
        default: operation.worksWhileLoading
        }
    }

    /// Whether it is looked at on a connection of RESP or memcached that has not logged in.
    var mayPrecedeLogin: Bool {
        switch operation {
        case .resp: RESPWord.of(word).mayPrecedeLogin
        case .memcached: MemcachedWord.of(word).mayPrecedeLogin
        default: false
        }
    }
}

extension LarderWire.Operation {
    fileprivate var needsNamespace: Bool {
        switch self {
        case .none, .hello, .namespaceCreate, .namespaceList, .stats, .snapshot, .ping, .health, .ready, .metrics: false
        default: true
        }
    }

    /// Speaks of one key.
    ///
    /// - Parameter word: `Command.word`.
    func needsKey(_ word: UInt8) -> Bool {
        switch self {
        case .get, .put, .delete, .exists, .lifetime, .setLifetime, .getAndTouch, .increment, .append: true
        case .memcached: MemcachedWord.of(word).needsKey
        default: false
        }
    }

    fileprivate var worksWhileLoading: Bool {
        switch self {
        case .hello, .ping, .health, .ready, .metrics, .stats: true
        default: false
        }
    }

    /// Answered without a key: whether the process lives is no secret.
    var isOpen: Bool { self == .health || self == .ready }

    /// Without a call of what compares values of any type, as `==` makes across rooms.
    @inline(__always)
    var isHello: Bool { if case .hello = self { true } else { false } }

    var worksOnDeletedNamespace: Bool { self == .namespaceGet }

    /// Whether commands behind this one must not be looked at before it has taken effect.
    ///
    /// - Parameter word: `Command.word`.
    func isBarrier(_ word: UInt8) -> Bool {
        switch self {
        case .hello, .namespaceCreate, .namespaceDelete, .namespaceFlush: true
        case .resp: RESPWord.of(word).isBarrier
        case .memcached: MemcachedWord.of(word).isBarrier
        default: false
        }
    }
}

extension LarderWire.Lifetime {
    var change: LifetimeChange {
        switch self {
        case .unlimited: .unlimited
        case .keep: .keep
        case .milliseconds(let count): .milliseconds(count)
        case .until(let time): .until(time)
        }
    }
}

extension LarderWire.Condition {
    var engine: WriteCondition {
        switch self {
        case .none: .none
        case .absent: .absent
        case .present: .present
        case .version(let version): .version(version)
        case .notVersion(let version): .notVersion(version)
        }
    }

    /// Whether an entry of `version` (nil: no live entry) is what the condition asks for.
    func holds(for version: UInt64?) -> Bool {
        switch self {
        case .none: true
        case .absent: version == nil
        case .present: version != nil
        case .version(let wanted): version == wanted
        case .notVersion(let unwanted): version != unwanted
        }
    }

    /// A read with this condition that finds it broken has found what the client knows already.
    var asksForNews: Bool {
        switch self {
        case .notVersion, .absent: true
        default: false
        }
    }
}

extension LarderWire.KeyRule {
    var engine: LarderEngine.KeyRule { self == .path ? .path : .bytes }
}

extension LarderEngine.KeyRule {
    var wire: LarderWire.KeyRule { self == .path ? .path : .bytes }
}

extension DurabilityChoice {
    package var engine: LarderEngine.Durability {
        switch self {
        case .always: .always
        case .interval: .interval
        case .never: .never
        case .off: .off
        }
    }
}

extension LarderEngine.Durability {
    var wire: DurabilityChoice {
        switch self {
        case .always: .always
        case .interval: .interval
        case .never: .never
        case .off: .off
        }
    }
}

extension EvictionChoice {
    var engine: LarderEngine.Eviction { self == .none ? .none : .s3fifo }
}

extension LarderEngine.Eviction {
    var wire: EvictionChoice { self == .none ? .none : .s3fifo }
}

extension Deadline {
    /// Milliseconds left, nil for ever.
    @inline(__always)
    func remaining(at now: Milliseconds) -> Int64? { self == .never ? nil : max(0, rawValue - now) }
}

extension EntryReply {
    /// - Parameter key: As the client wrote it.
    @inline(__always)
    @_lifetime(copy entry, copy key, copy line)
    init(
        _ entry: borrowing EntryView, _ key: RawSpan, _ dialect: Dialect, _ now: Milliseconds, line: RawSpan = RawSpan(),
        omitsValue: Bool = false
    ) {
        var clientFlags: UInt32 = 0
        var marks: MetaMarks = []
        if case .memcached = dialect, entry.metadata.byteCount > 0 {
            clientFlags = Metadata.clientFlags(in: entry.metadata)
            marks = MetaMarks(of: entry.metadata)
        }
        self.init(
            value: entry.value, contentType: entry.contentType, version: entry.lsn.rawValue,
            remaining: entry.deadline.remaining(at: now), key: key, clientFlags: clientFlags, line: line, marks: marks,
            omitsValue: omitsValue)
    }
}

extension Namespace {
    func reply(_ store: Store) -> NamespaceReply {
        let usage = store.usage(of: self)
        let settings = settings
        return NamespaceReply(
            id: (id.high, id.low), name: String(utf8: name), state: state == .pending ? "pending" : state == .ready ? "provision_ok" : "deleting",
            createdMilliseconds: created, updatedMilliseconds: updated,
            durability: settings.durability.wire.name, keyRule: settings.keyRule.wire, keys: UInt64(usage.keys),
            bytes: UInt64(usage.bytes), memoryBytes: UInt64(usage.memoryBytes), bytesMax: UInt64(settings.bytesMax),
            eviction: settings.eviction.wire)
    }
}

extension Failure {
    static let wrongKey = Failure(.unauthorized, "the credentials are not the server's key")
    static let requestTimeout = Failure(.requestTimeout, "The request did not arrive in time. Send it again, faster.")
    static let tooManyConnections = Failure(
        .tooManyConnections, "The server has as many connections as it takes. Try again later, or close some.")
    static let shuttingDown = Failure(.shuttingDown, "The server is going down. The request was not carried out.")
    static let notLoggedIn = Failure(.unauthorized, "Authentication required.")
    static let helloRequired = Failure(.helloRequired, "the first request of a connection is hello")
    static let loading = Failure(.loading, "The server is still loading its data. Try again shortly; /readyz tells how far it is.")
    static let namespaceNotFound = Failure(.namespaceNotFound, "There is no such namespace. Create it first, or check its name or id.")
    static let namespacePending = Failure(.namespaceNotReady, "Namespace is not ready (status: pending)")
    static let namespaceDeleting = Failure(.namespaceDeleting, "Namespace is being deleted (status: deleting)")
    static let namespaceExists = Failure(.namespaceExists, "A namespace with this name exists already.", parameter: "/name")
    static let namespacesTooMany = Failure(.outOfMemory, "There are as many namespaces as the server can hold. Delete one first.")
    static let namespaceName = Failure(
        .nameInvalid, "A namespace name is 1 to 255 characters of a-z, 0-9 and -.", parameter: "/name")
    static let namespaceIsDefault = Failure(.forbidden, "The default namespace cannot be deleted. Delete its keys instead, all at once with: larder kv flush default")
    static let contentTypeTooLong = Failure(.malformed, "The content type is longer than 255 bytes. Nothing was changed.")
    static let cursorInvalid = Failure(
        .cursorInvalid, "The cursor is not one that a listing with this prefix ends with. Begin without one.", parameter: "cursor")
    static let notAnInteger = Failure(.notAnInteger, "The value is not a decimal 64-bit integer. Nothing was changed.")
    static let integerOverflow = Failure(.integerOverflow, "The result would leave 64 bits. Nothing was changed.")
    static let valueTooLarge = Failure(.valueTooLarge, "The value is larger than the server accepts. Nothing was changed.")
    static let outOfMemory = Failure(.outOfMemory, "There is no memory for the value. Nothing was changed; delete something first.")
    static let noMemoryToList = Failure(
        .outOfMemory,
        "There is no memory to put the keys in order, which a first listing does. Delete something or raise memory-max; reads go on.")
    static let namespaceFull = Failure(
        .outOfMemory, "The namespace takes as much memory as it may (bytes_max). Nothing was changed; delete something first.")
    static let largerThanNamespace = Failure(
        .valueTooLarge, "The value takes more memory than the whole namespace may (bytes_max). Nothing was changed.")
    static let namespaceLimit = Failure(
        .limitInvalid, "The limit of a namespace is 0 for none, or 1048576 bytes and more.", parameter: "/bytes_max")
    static let evictionWithoutLimit = Failure(
        .limitInvalid, "A namespace that evicts needs a limit (bytes_max) of 1048576 bytes or more.", parameter: "/bytes_max")
    static let unknownOperation = Failure(.unknownOperation, "The server does not know this operation.")

    init(_ fault: KeyFault, rule: LarderEngine.KeyRule) {
        switch fault {
        case .empty: self.init(.keyEmpty, "The key is empty.", parameter: "key")
        case .tooLong where rule == .path: self.init(.keyTooLong, "The key is longer than 256 bytes.", parameter: "key")
        case .tooLong: self.init(.keyTooLong, "The key is longer than 1024 bytes.", parameter: "key")
        case .illegal:
            self.init(
                .keyIllegal, "Keys consist of a-z, A-Z, 0-9, -, _, /, = and ., and are not . or .. alone.",
                parameter: "key")
        case .reserved: self.init(.keyReserved, "Keys that begin with _ are reserved.", parameter: "key")
        }
    }
}
