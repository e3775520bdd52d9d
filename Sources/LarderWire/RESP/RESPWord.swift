// The commands of RESP that Larder knows, by one name each.
//
// What a client is told about them (arity, keys, flags) stands in the table beside this file.

/// A command of RESP. Those that are an operation of every dialect keep their word beside it, for the texts of errors.
package enum RESPWord: UInt8, Sendable, CaseIterable {
    /// One that Larder does not know.
    case unknown
    // The connection.
    case auth, client, echo, hello, ping, quit, reset, select
    // Events of keys.
    case psubscribe, publish, pubsub, punsubscribe, subscribe, unsubscribe
    // Values.
    case append, decr, decrby, get, getdel, getex, getrange, getset, incr, incrby, incrbyfloat, mget, mset, msetnx, psetex
    case set, setex, setnx, setrange, strlen
    // Keys.
    case copy, del, exists, expire, expireat, expiretime, keys, object, persist, pexpire, pexpireat, pexpiretime, pttl
    case randomkey, rename, renamenx, scan, ttl, type, unlink
    // The server.
    case bgsave, command, config, dbsize, debug, flushall, flushdb, info, lastsave, latency, memory, save, shutdown, slowlog
    case time, wait
    // Refused with a sentence of their own.
    case discard, exec, multi, unwatch, watch

    /// Whether commands behind it must not be decoded before it has taken effect: it changes what they are read as, who may
    /// send them, or which namespace their keys are of.
    package var isBarrier: Bool {
        switch self {
        case .auth, .client, .hello, .psubscribe, .punsubscribe, .quit, .reset, .select, .shutdown, .subscribe, .unsubscribe: true
        default: false
        }
    }

    /// Whether it is carried out for somebody who has not logged in.
    package var mayPrecedeLogin: Bool {
        switch self {
        case .auth, .hello, .quit, .reset: true
        default: false
        }
    }

    /// Whether it is carried out on a connection of version 2 that has subscribed to something.
    package var worksWhileSubscribed: Bool {
        switch self {
        case .ping, .psubscribe, .punsubscribe, .quit, .reset, .subscribe, .unsubscribe: true
        default: false
        }
    }

    /// Whether it speaks of keys.
    package var needsNamespace: Bool { entry.kind == .read || entry.kind == .write }

    /// Whether it is carried out while the data is being loaded.
    package var worksWhileLoading: Bool {
        switch self {
        case .auth, .client, .command, .config, .hello, .info, .latency, .psubscribe, .pubsub, .punsubscribe, .quit, .reset, .select,
            .shutdown, .slowlog, .subscribe, .time, .unsubscribe:
            true
        default: false
        }
    }

    /// The one with this number, as `Command.word` has it.
    package static func of(_ word: UInt8) -> RESPWord { RESPWord(rawValue: word) ?? .unknown }
}
