// The table of settings: the one place that knows their names, ranges and meanings.
//
// The command line, the environment, the settings file and `larder settings` are all read from or made of it. The
// defaults are those of `ServerConfiguration`.

import LarderPersistence
import LarderServer
import LarderWire

/// One thing that a server can be told.
package struct Setting: Sendable {
    /// `value-bytes-max`: the name in the file and, after two dashes, on the command line.
    package let name: String
    package let form: SettingForm
    /// What it is.
    package let meaning: String
    /// What one gets and what one pays for changing it.
    package let trade: String

    init(_ name: String, _ form: SettingForm, meaning: String, trade: String) {
        self.name = name
        self.form = form
        self.meaning = meaning
        self.trade = trade
    }

    package var option: String { "--" + name }
    /// `LARDER_VALUE_BYTES_MAX`.
    package var variable: String { Setting.variablePrefix + name.replacing("-", with: "_").uppercased() }
    package var defaults: [String] { form.show(ServeSettings()) }

    package static let variablePrefix = "LARDER_"

    package static func named(_ name: some StringProtocol) -> Setting? { table.first { $0.name == name } }

    package static let table: [Setting] = [
        Setting(
            "listen", .addresses(\.server.listen),
            meaning: "Where clients connect. Every dialect is spoken on every address, and the first byte of a connection tells which; "
                + "on an address such as resp://127.0.0.1:6379 that one only, and RESP with inline commands.",
            trade: "Other machines reach only what is listed here. An address that is not loopback asks for a key."),
        Setting(
            "databases", .namespaces(\.server.databases),
            meaning: "The namespaces that SELECT knows in RESP: the first is database 1, the second 2. Database 0 is `default`. "
                + "They are made as any namespace is.",
            trade: "FLUSHALL deletes the keys of all of them."),
        Setting(
            "data", .path(\.server.dataDirectory, placeholder: "DIR"),
            meaning: "The directory of log, snapshots and manifest. It is made if it is missing; one server uses it at a time.",
            trade: "Its disk decides how long a durable write takes."),
        Setting(
            "api-key-file", .path(\.apiKeyFile, placeholder: "FILE", empty: "no key from a file"),
            meaning: "A file that holds the key which clients must show, readable by its owner alone. "
                + "The variable LARDER_API_KEY can hold the key itself; it is never an argument.",
            trade: "Without a key, whoever reaches an address of `listen` can read and change everything."),
        Setting(
            "insecure-no-auth", .flag(\.server.insecureNoAuthentication),
            meaning: "Serve an address that is not loopback although no key is set.",
            trade: "Only for a network on which everybody is trusted."),
        Setting(
            "durability", .choice(\.server.durability, DurabilityChoice.allCases.map { ($0.name, $0) }),
            meaning: "When a write is answered, in the default namespace and in namespaces that do not say otherwise. "
                + "`always`: once it is on the medium. `interval`: once it is with the kernel, and the log is synced every "
                + "`interval`. `never`: once it is with the kernel, which syncs when it likes. `off`: once it is in memory; "
                + "only snapshots hold it.",
            trade: "A power cut loses nothing with `always`, up to a second with `interval`, about half a minute with "
                + "`never`. A killed process loses nothing with these three, and what came after the last snapshot with "
                + "`off`. Each step down makes writes faster."),
        Setting(
            "interval", .milliseconds(\.server.intervalMilliseconds, in: 1...1_000),
            meaning: "How often the log is synced for the sake of `interval` writes.",
            trade: "Shorter loses less in a power cut and keeps the disk busier."),
        Setting(
            "keys", .choice(\.server.keyRule, [("path", LarderWire.KeyRule.path), ("bytes", LarderWire.KeyRule.bytes)]),
            meaning: "Which keys the default namespace takes: settled when the data directory is made; another rule later is "
                + "an error. `path`: 1 to 256 of a-z A-Z 0-9 - _ / = ., not beginning with _. `bytes`: any 1 to 1024 bytes. "
                + "Other namespaces say their own when they are made, and take `path` if they do not.",
            trade: "`bytes` lets in keys with colons or spaces, which must be percent-encoded in a URL."),
        Setting(
            "eviction", .choice(\.server.eviction, EvictionChoice.allCases.map { ($0.name, $0) }),
            meaning: "What happens when the default namespace is full: settled when the data directory is made; another word "
                + "later is an error. `none`: writes that need memory are refused. `s3-fifo`: entries that are used little "
                + "make room. Other namespaces say their own when they are made, and take `none` if they do not.",
            trade: "A cache never refuses a write for lack of memory, and may lose any entry. An entry takes 8 bytes more."),
        Setting(
            "bytes-max",
            .bytes(
                \.server.bytesMax, in: 1_048_576...34_359_738_368, zero: "memory-max, or three quarters of it with `s3-fifo`"),
            meaning: "How much memory the entries of the default namespace may take.",
            trade: "The rest of `memory-max` is for other namespaces, and for pages that are not full."),
        Setting(
            "memcached-namespace", .namespaceName(\.server.memcachedNamespace),
            meaning: "The namespace that memcached's clients are in. With a key they name it themselves, as their user.",
            trade: "A namespace of their own can have the key rule `bytes`, and evict; it has to be made before they come."),
        Setting(
            "debug-commands", .flag(\.server.debugCommands),
            meaning: "Carry out DEBUG SLEEP in RESP.",
            trade: "Whoever sends it keeps others waiting: for tests."),
        Setting(
            "value-bytes-max", .bytes(\.server.valueBytesMax, in: 1...ServerConfiguration.valueBytesLimit),
            meaning: "The largest value that a write may bring.",
            trade: "Larger values let one client hold more memory and delay others on the same connection."),
        Setting(
            "memory-max", .bytes(\.server.memoryBytesMax, in: 67_108_864...34_359_738_368, zero: "what the machine has"),
            meaning: "How much memory keys, values and their tables may take. By default what the machine or its container "
                + "has, less an eighth and at least 256MiB for everything else, but no more than half.",
            trade: "At the limit, writes that need memory are refused and everything else goes on. Data that does not fit "
                + "is refused at the start, and stays as it is."),
        Setting(
            "workers", .count(\.server.workers, in: 1...256, zero: "one for each processor"),
            meaning: "How many threads serve connections.",
            trade: "More than there are processors gains nothing; fewer leaves processors to other programs."),
        Setting(
            "snapshot-every", .seconds(\.server.snapshotEverySeconds, in: 10...604_800, zero: "not for the time alone"),
            meaning: "A snapshot is taken when the last one is so old and something has changed.",
            trade: "Shorter starts faster and, with `off`, loses less; it costs processor time and disk writes."),
        Setting(
            "snapshot-log-bytes", .bytes(\.server.snapshotLogBytes, in: 1_048_576...1_099_511_627_776),
            meaning: "A snapshot is taken when the log has grown by so much, or by what the last snapshot holds before compression if that is more.",
            trade: "Larger takes snapshots less often, needs more disk and replays more at a start."),
        Setting(
            "snapshot-bytes-per-second",
            .bytes(\.server.snapshotBytesPerSecond, in: 1_000_000...100_000_000_000, zero: "as fast as the disk"),
            meaning:
                "How fast a snapshot is written. At a tenth of this while more than one turn of the workers in a hundred takes 2 ms or longer.",
            trade: "Faster ends sooner and delays the log's syncs, and so durable writes, on the same disk."),
        Setting(
            "log-bytes-max", .bytes(\.server.logBytesMax, in: 4_194_304...1_099_511_627_776, zero: "what the disk has room for"),
            meaning: "With so many bytes of log since the last snapshot, as when no snapshot succeeds, writes that need room are refused. A "
                + "snapshot is due at half of it at the latest.",
            trade: "Smaller bounds what a start has to replay; a burst of writes that is faster than a snapshot is refused earlier."),
        Setting(
            "scrub-every", .seconds(\.server.scrubEverySeconds, in: 60...2_592_000, zero: "never"),
            meaning: "How often snapshots and the closed parts of the log are read again, at 5MB a second, to find what the disk has lost "
                + "while memory still has it: a new snapshot then takes its place.",
            trade: "More often finds rot earlier and reads more."),
        Setting(
            "ballast", .bytes(\.server.ballastBytes, in: 1_048_576...1_099_511_627_776, zero: "none"),
            meaning: "How much room on the disk is kept for the day when it is full: deletes and a snapshot go on in it, while writes that "
                + "need room are refused.",
            trade: "As large as a snapshot, one can be taken on a full disk, which makes room where much was deleted. It is a file of that size."),
        Setting(
            "on-log-failure", .choice(\.server.onLogFailure, LogFailurePolicy.allCases.map { ($0.rawValue, $0) }),
            meaning: "What is done when the log cannot be written or synced, for another reason than a full disk. `heal`: all of memory is "
                + "saved to new files, in which the log goes on. `read-only`: writes are refused until a restart. `exit`: the process "
                + "ends, with status 74.",
            trade: "`exit` is for those who have the data elsewhere, or a supervisor that decides. Nothing acknowledged is lost with any."),
        Setting(
            "connections-max", .count(\.server.connectionsMax, in: 1...1_000_000),
            meaning: "How many connections may be open; further ones are told so (HTTP 503) and closed.",
            trade: "Every connection costs a little memory, more while its requests and replies are under way."),
        Setting(
            "http-idle-timeout", .seconds(\.server.httpIdleSeconds, in: 1...86_400, zero: "never"),
            meaning: "An HTTP connection that has been idle for so long is closed. Those of other dialects may stay idle.",
            trade: "Shorter frees connections of clients that went away; longer spares clients a new connection."),
        Setting(
            "first-request-timeout", .seconds(\.server.firstRequestSeconds, in: 1...3_600),
            meaning: "How long the first request of a connection may take, from its first byte or, with a key, from the start. Each 4 KiB give it a second more.",
            trade: "Shorter bounds what strangers can hold; longer suits slow networks."),
        Setting(
            "request-timeout", .seconds(\.server.requestSeconds, in: 1...3_600),
            meaning: "How long a request that has begun may take to arrive. Each 4 KiB of it give it a second more.",
            trade: "Shorter bounds what slow senders can hold; longer lets large values come over slow networks."),
        Setting(
            "output-bytes-soft", .bytes(\.server.outputBytesSoft, in: 16_384...67_108_864),
            meaning: "While so many bytes of replies wait for a client, its further requests are not read.",
            trade: "Larger lets deep pipelines flow; it is memory that every slow reader can hold."),
        Setting(
            "output-bytes-max", .bytes(\.server.outputBytesMax, in: 1_048_576...1_073_741_824),
            meaning: "A client for which more bytes of replies wait than this, and that takes none for 10 s, is disconnected. Must hold two of the largest values.",
            trade: "Larger forgives readers that stall; it bounds the memory that one of them can take."),
    ]
}
