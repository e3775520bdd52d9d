// What clients are told about each command, and what its count of arguments is held against: one row each.
//
// `COMMAND` answers from it. Arity and keys are counted as Redis counts them: with the name, negative for "at least".

/// A row of the table of commands.
package struct RESPWordEntry: Sendable {
    package let word: RESPWord
    package let name: String
    /// How many words it has, its name included; negative: at least so many.
    package let arity: Int
    package let kind: Kind
    /// Where the first key is, counted from the name; 0: there is none.
    package let firstKey: Int
    /// Where the last key is; negative: counted from the end.
    package let lastKey: Int
    /// How far one key is from the next.
    package let keyStep: Int
    package let summary: String

    /// What a command does, as far as anybody goes by it.
    package enum Kind: Sendable { case read, write, connection, events, server, admin }

    /// How Redis names that.
    package var flags: [String] {
        let speed = isFast ? ["fast"] : []
        return switch kind {
        case .read: ["readonly"] + speed
        case .write: ["write"] + (growsMemory ? ["denyoom"] : []) + speed
        case .connection: ["noscript", "loading", "stale"] + speed
        case .events: ["pubsub", "noscript", "loading", "stale"]
        case .server: ["loading", "stale"]
        case .admin: ["admin", "noscript", "loading", "stale"]
        }
    }

    /// Whether Redis calls it fast.
    private var isFast: Bool {
        switch word {
        case .copy, .del, .flushdb, .getrange, .keys, .memory, .mset, .msetnx, .object, .psetex, .randomkey, .rename, .scan, .set,
            .setex, .setrange: false
        default: kind == .read || kind == .write || kind == .connection && word != .client
        }
    }

    private var growsMemory: Bool { group == "string" && word != .getdel && word != .getex || word == .copy }

    /// Its categories, as Redis' access lists name them.
    package var categories: [String] {
        var categories: [String] = []
        switch kind {
        case .read: categories.append("read")
        case .write: categories.append("write")
        case .admin: categories += ["admin", "dangerous"]
        case .connection, .events, .server: break
        }
        if group == "generic" { categories.append("keyspace") } else if group != "server" { categories.append(group) }
        if [.flushdb, .info, .keys].contains(word) { categories.append("dangerous") }
        return categories + [isFast ? "fast" : "slow"]
    }

    package var group: String {
        switch kind {
        case .read, .write: firstKey == 0 || Self.generic.contains(word) ? "generic" : "string"
        case .connection: "connection"
        case .events: "pubsub"
        case .server, .admin: "server"
        }
    }

    /// Those of keys, whatever their values are.
    private static let generic: Set<RESPWord> = [
        .copy, .del, .exists, .expire, .expireat, .expiretime, .object, .memory, .persist, .pexpire, .pexpireat, .pexpiretime, .pttl,
        .rename, .renamenx, .ttl, .type, .unlink,
    ]

    /// Whether a command may have so many words, its name included.
    package func allows(_ words: Int) -> Bool { arity >= 0 ? words == arity : words >= -arity }

    fileprivate init(
        _ word: RESPWord, _ arity: Int, _ kind: Kind, _ summary: String, keys: (Int, Int, Int) = (0, 0, 0)
    ) {
        self.word = word
        name = "\(word)"
        self.arity = arity
        self.kind = kind
        (firstKey, lastKey, keyStep) = keys
        self.summary = summary
    }
}

extension RESPWord {
    package var entry: RESPWordEntry { Self.entries[Int(rawValue)] }
    /// In lower case, as errors name it.
    package var name: String { entry.name }

    /// The commands that are carried out, without those that are refused with a sentence of their own.
    package static let supported = allCases.filter { $0 != .unknown && $0.refusal == nil }

    /// Why a command that clients may expect is not carried out.
    package var refusal: String? {
        switch self {
        case .multi, .exec, .discard, .watch, .unwatch:
            "\(name.uppercased()) is not supported: there are no transactions, each command is carried out by itself"
        case .publish: "PUBLISH is not supported: the channels are those of keyspace notifications, and the server alone sends to them"
        case .msetnx: "MSETNX is not supported: several keys cannot be written all or none; use SET with NX for each"
        default: nil
        }
    }

    private static let one = (1, 1, 1)
    private static let all = (1, -1, 1)
    private static let two = (1, 2, 1)
    private static let pairs = (1, -1, 2)

    /// In the order of the raw values; a test holds it to that.
    private static let entries: [RESPWordEntry] = [
        RESPWordEntry(.unknown, -1, .server, "None."),
        RESPWordEntry(.auth, -2, .connection, "Logs the connection in."),
        RESPWordEntry(.client, -2, .connection, "Asks about connections, or names them."),
        RESPWordEntry(.echo, 2, .connection, "Returns its argument."),
        RESPWordEntry(.hello, -1, .connection, "Chooses the version of the protocol, logs in, names the connection."),
        RESPWordEntry(.ping, -1, .connection, "Returns PONG or its argument."),
        RESPWordEntry(.quit, -1, .connection, "Closes the connection."),
        RESPWordEntry(.reset, 1, .connection, "Makes the connection what a new one is."),
        RESPWordEntry(.select, 2, .connection, "Chooses the namespace of the connection."),
        RESPWordEntry(.psubscribe, -2, .events, "Asks for the events of keys, by patterns."),
        RESPWordEntry(.publish, 3, .events, "Refused."),
        RESPWordEntry(.pubsub, -2, .events, "Asks who has subscribed to what."),
        RESPWordEntry(.punsubscribe, -1, .events, "Leaves patterns."),
        RESPWordEntry(.subscribe, -2, .events, "Asks for the events of keys."),
        RESPWordEntry(.unsubscribe, -1, .events, "Leaves channels."),
        RESPWordEntry(.append, 3, .write, "Appends to a value.", keys: one),
        RESPWordEntry(.decr, 2, .write, "Subtracts one from an integer.", keys: one),
        RESPWordEntry(.decrby, 3, .write, "Subtracts from an integer.", keys: one),
        RESPWordEntry(.get, 2, .read, "Returns a value.", keys: one),
        RESPWordEntry(.getdel, 2, .write, "Returns a value and deletes its key.", keys: one),
        RESPWordEntry(.getex, -2, .write, "Returns a value and sets its key's lifetime.", keys: one),
        RESPWordEntry(.getrange, 4, .read, "Returns part of a value.", keys: one),
        RESPWordEntry(.getset, 3, .write, "Sets a value and returns the one before.", keys: one),
        RESPWordEntry(.incr, 2, .write, "Adds one to an integer.", keys: one),
        RESPWordEntry(.incrby, 3, .write, "Adds to an integer.", keys: one),
        RESPWordEntry(.incrbyfloat, 3, .write, "Adds to a floating-point number.", keys: one),
        RESPWordEntry(.mget, -2, .read, "Returns the values of several keys.", keys: all),
        RESPWordEntry(.mset, -3, .write, "Sets the values of several keys, each by itself.", keys: pairs),
        RESPWordEntry(.msetnx, -3, .write, "Refused.", keys: pairs),
        RESPWordEntry(.psetex, 4, .write, "Sets a value with a lifetime in milliseconds.", keys: one),
        RESPWordEntry(.set, -3, .write, "Sets a value.", keys: one),
        RESPWordEntry(.setex, 4, .write, "Sets a value with a lifetime in seconds.", keys: one),
        RESPWordEntry(.setnx, 3, .write, "Sets a value if there is none.", keys: one),
        RESPWordEntry(.setrange, 4, .write, "Overwrites part of a value.", keys: one),
        RESPWordEntry(.strlen, 2, .read, "Returns the length of a value.", keys: one),
        RESPWordEntry(.copy, -3, .write, "Copies a value to another key.", keys: two),
        RESPWordEntry(.del, -2, .write, "Deletes keys, each by itself.", keys: all),
        RESPWordEntry(.exists, -2, .read, "Counts the keys that exist.", keys: all),
        RESPWordEntry(.expire, -3, .write, "Sets a lifetime in seconds.", keys: one),
        RESPWordEntry(.expireat, -3, .write, "Sets a deadline in seconds since 1970.", keys: one),
        RESPWordEntry(.expiretime, 2, .read, "Returns the deadline in seconds since 1970.", keys: one),
        RESPWordEntry(.keys, 2, .read, "Returns the keys that match a pattern."),
        RESPWordEntry(.object, -2, .read, "Asks how a value is kept.", keys: (2, 2, 1)),
        RESPWordEntry(.persist, 2, .write, "Lets a key live for ever.", keys: one),
        RESPWordEntry(.pexpire, -3, .write, "Sets a lifetime in milliseconds.", keys: one),
        RESPWordEntry(.pexpireat, -3, .write, "Sets a deadline in milliseconds since 1970.", keys: one),
        RESPWordEntry(.pexpiretime, 2, .read, "Returns the deadline in milliseconds since 1970.", keys: one),
        RESPWordEntry(.pttl, 2, .read, "Returns the milliseconds that a key has left.", keys: one),
        RESPWordEntry(.randomkey, 1, .read, "Returns one of the keys."),
        RESPWordEntry(.rename, 3, .write, "Gives a key another name.", keys: two),
        RESPWordEntry(.renamenx, 3, .write, "Gives a key another name if that is free.", keys: two),
        RESPWordEntry(.scan, -2, .read, "Returns some keys, and where to go on."),
        RESPWordEntry(.ttl, 2, .read, "Returns the seconds that a key has left.", keys: one),
        RESPWordEntry(.type, 2, .read, "Returns `string`, or `none` for no such key.", keys: one),
        RESPWordEntry(.unlink, -2, .write, "Deletes keys, each by itself.", keys: all),
        RESPWordEntry(.bgsave, -1, .admin, "Asks for a snapshot."),
        RESPWordEntry(.command, -1, .server, "Tells what commands there are."),
        RESPWordEntry(.config, -2, .admin, "Shows settings, and changes a few."),
        RESPWordEntry(.dbsize, 1, .read, "Counts the keys of the namespace."),
        RESPWordEntry(.debug, -2, .admin, "Lets the server sleep, if that is enabled."),
        RESPWordEntry(.flushall, -1, .admin, "Deletes all keys of all namespaces that SELECT knows."),
        RESPWordEntry(.flushdb, -1, .write, "Deletes all keys of the namespace."),
        RESPWordEntry(.info, -1, .server, "Tells about the server."),
        RESPWordEntry(.lastsave, 1, .server, "Tells when the last snapshot was taken."),
        RESPWordEntry(.latency, -2, .admin, "Tells how long turns take."),
        RESPWordEntry(.memory, -2, .read, "Tells how much memory a key takes.", keys: (2, 2, 1)),
        RESPWordEntry(.save, 1, .admin, "Takes a snapshot and waits for it."),
        RESPWordEntry(.shutdown, -1, .admin, "Stops the server."),
        RESPWordEntry(.slowlog, -2, .admin, "Tells which commands took long."),
        RESPWordEntry(.time, 1, .server, "Tells the server's time."),
        RESPWordEntry(.wait, 3, .server, "Returns 0: there are no replicas."),
        RESPWordEntry(.discard, -1, .connection, "Refused."),
        RESPWordEntry(.exec, -1, .connection, "Refused."),
        RESPWordEntry(.multi, -1, .connection, "Refused."),
        RESPWordEntry(.unwatch, -1, .connection, "Refused."),
        RESPWordEntry(.watch, -1, .connection, "Refused."),
    ]
}
