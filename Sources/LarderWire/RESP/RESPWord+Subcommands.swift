// The subcommands of the commands that have some: one row each.
//
// Arity is counted as in the table of commands: with both names, negative for "at least".

/// A subcommand.
package struct RESPSubcommand: Sendable {
    /// In lower case.
    package let name: String
    /// How many words it has, both names included; negative: at least so many.
    package let arity: Int
    /// How it is written, and what it does: for people.
    package let form: String
    package let summary: String

    /// Whether it may have so many words, both names included.
    package func allows(_ words: Int) -> Bool { arity >= 0 ? words == arity : words >= -arity }

    fileprivate init(_ form: String, _ arity: Int, _ summary: String) {
        name = form.prefix { $0 != " " }.lowercased()
        self.arity = arity
        self.form = form
        self.summary = summary
    }
}

extension RESPWord {
    /// None of a command that has no subcommands.
    package var subcommands: [RESPSubcommand] {
        switch self {
        case .client: Self.ofClient
        case .command: Self.ofCommand
        case .config: Self.ofConfig
        case .debug: Self.ofDebug
        case .latency: Self.ofLatency
        case .memory: Self.ofMemory
        case .object: Self.ofObject
        case .pubsub: Self.ofPubsub
        case .slowlog: Self.ofSlowlog
        default: []
        }
    }

    private static let help = RESPSubcommand("HELP", 2, "Prints this help.")

    private static let ofClient = [
        RESPSubcommand("CACHING (YES|NO)", 3, "Whether the next command counts for tracking, with OPTIN or OPTOUT."),
        RESPSubcommand("GETNAME", 2, "Returns the name of this connection."),
        RESPSubcommand("GETREDIR", 2, "Returns 0 when this connection tracks keys, else -1."),
        RESPSubcommand("ID", 2, "Returns the number of this connection."),
        RESPSubcommand("INFO", 2, "Tells about this connection."),
        RESPSubcommand("KILL (<address>|<option> <value> [...])", -3, "Ends connections: ADDR, LADDR, ID, TYPE, USER, MAXAGE, SKIPME."),
        RESPSubcommand("LIST [TYPE <type>|ID <id> [...]]", -2, "Tells about connections."),
        RESPSubcommand("NO-EVICT (ON|OFF)", 3, "Changes nothing: connections are not evicted."),
        RESPSubcommand("NO-TOUCH (ON|OFF)", 3, "Changes nothing: reads leave no time behind."),
        RESPSubcommand("SETINFO (LIB-NAME|LIB-VER) <text>", 4, "Names the client's library."),
        RESPSubcommand("SETNAME <name>", 3, "Names this connection."),
        RESPSubcommand("TRACKING (ON|OFF) [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]", -3, "Tells of changed keys."),
        RESPSubcommand("TRACKINGINFO", 2, "Tells how this connection tracks keys."),
        help,
    ]

    private static let ofCommand = [
        RESPSubcommand("COUNT", 2, "Counts the commands."),
        RESPSubcommand("DOCS [<name> ...]", -2, "Tells what commands do."),
        RESPSubcommand("GETKEYS <command> [<argument> ...]", -3, "Returns which words of a command are keys."),
        RESPSubcommand("INFO [<name> ...]", -2, "Tells what clients need to know of commands."),
        RESPSubcommand("LIST", -2, "Returns the names of the commands."),
        help,
    ]

    private static let ofConfig = [
        RESPSubcommand("GET <pattern> [<pattern> ...]", -3, "Shows the settings whose names match."),
        RESPSubcommand("RESETSTAT", 2, "Counts what INFO and memcached's stats show from 0 again."),
        RESPSubcommand("REWRITE", 2, "Refused."),
        RESPSubcommand("SET <name> <value> [<name> <value> ...]", -4, "Changes settings until the next start."),
        help,
    ]

    private static let ofDebug = [RESPSubcommand("SLEEP <seconds>", 3, "Lets a worker sleep."), help]

    private static let ofLatency = [
        RESPSubcommand("DOCTOR", 2, "Tells how long turns take."),
        RESPSubcommand("HISTOGRAM [<command> ...]", -2, "Returns nothing."),
        RESPSubcommand("HISTORY <event>", 3, "Returns nothing."),
        RESPSubcommand("LATEST", 2, "Returns nothing."),
        RESPSubcommand("RESET [<event> ...]", -2, "Returns 0."),
        help,
    ]

    private static let ofMemory = [
        RESPSubcommand("USAGE <key> [SAMPLES <count>]", -3, "Tells how many bytes a key takes with its value."), help,
    ]

    private static let ofObject = [
        RESPSubcommand("ENCODING <key>", 3, "Returns what Redis would keep the value as."),
        RESPSubcommand("FREQ <key>", 3, "Returns how often the key was used of late, 0 to 3, where keys are evicted."),
        RESPSubcommand("IDLETIME <key>", 3, "Returns the seconds since the last write."),
        RESPSubcommand("REFCOUNT <key>", 3, "Returns 1."),
        help,
    ]

    private static let ofPubsub = [
        RESPSubcommand("CHANNELS [<pattern>]", -2, "Returns the channels that somebody has subscribed to."),
        RESPSubcommand("NUMPAT", 2, "Counts the patterns."),
        RESPSubcommand("NUMSUB [<channel> ...]", -2, "Counts the subscribers of channels."),
        help,
    ]

    private static let ofSlowlog = [
        RESPSubcommand("GET [<count>]", -2, "Returns the commands that took long, the newest first: 10, or so many, or with -1 all."),
        RESPSubcommand("LEN", 2, "Counts them."),
        RESPSubcommand("RESET", 2, "Forgets them."),
        help,
    ]
}
