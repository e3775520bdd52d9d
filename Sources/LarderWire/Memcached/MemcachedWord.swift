// The names of memcached's commands, and what is known of each before it is carried out.
//
// Source: memcached's doc/protocol.txt.

import LarderBytes

/// A command of memcached, by its name.
package enum MemcachedWord: UInt8, Sendable, CaseIterable {
    case unknown
    case get, gets, gat, gats
    case set, add, replace, append, prepend, cas
    case delete, incr, decr, touch
    case flushAll, stats, version, verbosity, quit, shutdown
    case metaGet, metaSet, metaDelete, metaArithmetic, metaDebug, metaNoOp
    /// A `set` on a connection that has to log in: its value is a user and a password.
    case authenticate

    /// The command that a client calls `name`.
    init(_ name: RawSpan) {
        guard name.byteCount >= 2 else {
            self = .unknown
            return
        }
        // The first letter leaves few names to compare.
        switch name.byte(at: 0) {
        case UInt8(ascii: "m"): self = name.byteCount == 2 ? Self.meta(name.byte(at: 1)) : .unknown
        case UInt8(ascii: "g"): self = Self.named(name, .get, .gets) ?? Self.named(name, .gat, .gats) ?? .unknown
        case UInt8(ascii: "s"): self = Self.named(name, .set, .stats) ?? Self.named(name, .shutdown) ?? .unknown
        case UInt8(ascii: "d"): self = Self.named(name, .delete, .decr) ?? .unknown
        case UInt8(ascii: "i"): self = Self.named(name, .incr) ?? .unknown
        case UInt8(ascii: "a"): self = Self.named(name, .add, .append) ?? .unknown
        case UInt8(ascii: "c"): self = Self.named(name, .cas) ?? .unknown
        case UInt8(ascii: "t"): self = Self.named(name, .touch) ?? .unknown
        case UInt8(ascii: "r"): self = Self.named(name, .replace) ?? .unknown
        case UInt8(ascii: "p"): self = Self.named(name, .prepend) ?? .unknown
        case UInt8(ascii: "v"): self = Self.named(name, .version, .verbosity) ?? .unknown
        case UInt8(ascii: "f"): self = Self.named(name, .flushAll) ?? .unknown
        case UInt8(ascii: "q"): self = Self.named(name, .quit) ?? .unknown
        default: self = .unknown
        }
    }

    private static func meta(_ letter: UInt8) -> MemcachedWord {
        switch letter {
        case UInt8(ascii: "g"): .metaGet
        case UInt8(ascii: "s"): .metaSet
        case UInt8(ascii: "d"): .metaDelete
        case UInt8(ascii: "a"): .metaArithmetic
        case UInt8(ascii: "e"): .metaDebug
        case UInt8(ascii: "n"): .metaNoOp
        default: .unknown
        }
    }

    private static func named(_ name: RawSpan, _ first: MemcachedWord, _ second: MemcachedWord? = nil) -> MemcachedWord? {
        if name.equals(first.name) { return first }
        return second.flatMap { name.equals($0.name) ? $0 : nil }
    }

    /// As it is written.
    package var name: StaticString {
        switch self {
        case .unknown, .authenticate: ""
        case .get: "get"
        case .gets: "gets"
        case .gat: "gat"
        case .gats: "gats"
        case .set: "set"
        case .add: "add"
        case .replace: "replace"
        case .append: "append"
        case .prepend: "prepend"
        case .cas: "cas"
        case .delete: "delete"
        case .incr: "incr"
        case .decr: "decr"
        case .touch: "touch"
        case .flushAll: "flush_all"
        case .stats: "stats"
        case .version: "version"
        case .verbosity: "verbosity"
        case .quit: "quit"
        case .shutdown: "shutdown"
        case .metaGet: "mg"
        case .metaSet: "ms"
        case .metaDelete: "md"
        case .metaArithmetic: "ma"
        case .metaDebug: "me"
        case .metaNoOp: "mn"
        }
    }

    /// The one with this number, as `Command.word` has it.
    package static func of(_ word: UInt8) -> MemcachedWord { MemcachedWord(rawValue: word) ?? .unknown }

    // What the server asks of a command that only memcached has.

    /// Speaks of one key.
    package var needsKey: Bool {
        switch self {
        case .append, .prepend, .incr, .decr, .metaGet, .metaSet, .metaDelete, .metaArithmetic, .metaDebug: true
        default: false
        }
    }

    /// Has flags behind its key.
    package var hasMetaFlags: Bool {
        switch self {
        case .metaGet, .metaSet, .metaDelete, .metaArithmetic, .metaDebug: true
        default: false
        }
    }

    package var needsNamespace: Bool { needsKey || self == .flushAll }
    /// Namespaces are not known before all is loaded, so nobody can log in to one.
    package var worksWhileLoading: Bool { !needsNamespace && self != .authenticate }
    /// What follows a login is judged by it.
    package var isBarrier: Bool { self == .authenticate }
    package var mayPrecedeLogin: Bool { self == .authenticate || self == .quit }
}

/// What the reply to a command of memcached must say. Kept with replies that wait, so that a later refusal is worded alike.
package struct MemcachedFlags: OptionSet, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `noreply`: nothing is answered, whatever happens.
    package static let quiet = MemcachedFlags(rawValue: 1)
    /// `gets`, `gats`: the version is told.
    package static let withVersion = MemcachedFlags(rawValue: 2)
    /// One of several keys that a line names, and not the last: no `END`.
    package static let more = MemcachedFlags(rawValue: 4)
    /// One of several keys that a line names, and not the first.
    package static let later = MemcachedFlags(rawValue: 8)
    /// `mg` without `v`: the value is not sent.
    package static let withoutValue = MemcachedFlags(rawValue: 16)
}

extension Command {
    // On the request path for use in this room only: from others a command is copied for it.
    package var memcachedWord: MemcachedWord { .of(word) }
    package var memcachedFlags: MemcachedFlags { MemcachedFlags(rawValue: flags) }
}
