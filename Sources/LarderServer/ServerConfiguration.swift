// Everything that a server is told before it starts: plain values, already checked.
//
// Knows nothing of where they came from: the table of settings (LarderProgram/Settings) reads the command line, the
// environment and the file, names units and ranges, and fills this in. The defaults here are the defaults.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderWire

/// What a server is to do. Every value lies within the range that the table of settings gives it.
package struct ServerConfiguration: Sendable, Equatable {
    // MARK: Where

    /// Where clients connect. At least one.
    package var listen = [ListenAddress(SocketAddress(host: "127.0.0.1", port: 7400))]
    /// The directory of log, snapshots and manifest; made if it is missing.
    package var dataDirectory = "./data"
    /// What a request must carry. nil: every request that reaches the server is served.
    package var apiKey: APIKey?
    /// Serves a public address although no key is set.
    package var insecureNoAuthentication = false

    // MARK: Namespaces

    /// Of the default namespace, and of new ones that do not say otherwise.
    package var durability = DurabilityChoice.always
    /// Of the default namespace. New ones that do not say otherwise have `path`.
    package var keyRule = LarderWire.KeyRule.path
    /// Of the default namespace.
    package var eviction = EvictionChoice.none
    /// How much memory the entries of the default namespace may take; 0: no limit, or if it evicts, three quarters of all.
    package var bytesMax = 0

    /// The name of the namespace that memcached's clients are in, unless they log in to another.
    package var memcachedNamespace = "default"
    /// The namespaces that RESP's SELECT knows by number, from 1 on; 0 is the default one.
    package var databases: [String] = []

    // MARK: Work

    /// How many threads serve connections; 0: one for each processor.
    package var workers = 0
    /// The largest value.
    package var valueBytesMax = 1_048_576
    /// No server takes larger values, whatever it is set to.
    package static let valueBytesLimit = 16_777_216
    /// How much memory entries and tables may take; 0: what the machine has, less some for everything else.
    package var memoryBytesMax = 0

    // MARK: Persistence

    /// How often the log is synced while only `interval` writes wait.
    package var intervalMilliseconds: Milliseconds = 100
    /// A snapshot is taken after so many seconds if anything changed; 0: not for the time alone.
    package var snapshotEverySeconds = 900
    /// A snapshot is taken when the log has grown by so many bytes (or by the last snapshot's size, if that is more).
    package var snapshotLogBytes = 67_108_864
    /// With so many bytes of log since the last snapshot, writes are refused; 0: without limit.
    package var logBytesMax = 0
    /// After so many seconds files at rest are read again; 0: never.
    package var scrubEverySeconds = 86_400
    /// How fast a snapshot is written; 0: as fast as the disk takes it.
    package var snapshotBytesPerSecond = 25_000_000

    /// How much room on the disk is kept for the day when it is full; 0: none.
    package var ballastBytes = 67_108_864

    /// What is done when the log cannot be written or synced.
    package var onLogFailure = LogFailurePolicy.heal

    /// What may be done about a data directory that a start refuses. Not a setting: said once, by a person who has looked.
    package var rescue = RescueOrder()

    // MARK: Bounds on clients

    package var connectionsMax = 10_000
    /// How long an HTTP connection may stand idle between requests; 0: for ever.
    package var httpIdleSeconds = 300
    /// How long a new connection may take to send its first request; see `Patience` for what extends it.
    package var firstRequestSeconds = 10
    /// How long a request that has begun may take to arrive.
    package var requestSeconds = 60
    /// When so many bytes of replies wait for a client, its requests are no longer read until it has taken some.
    package var outputBytesSoft = 262_144
    /// When so many bytes of replies wait for a client, its connection is closed.
    package var outputBytesMax = 33_554_432

    /// Whether RESP's DEBUG SLEEP is carried out.
    package var debugCommands = false

    package init() {}

    /// Whether `name` may be that of a database beyond the first.
    package static func isDatabaseName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return name != "default" && NamespaceTable.isLegalName(bytes.rawSpan)
    }
}

/// The key that clients must show. Its description hides it, so that it cannot reach a log by accident.
package struct APIKey: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    /// The key's bytes. Compare digests of them, never the bytes: a comparison that stops early tells how far it came.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    package var description: String { "(hidden)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
