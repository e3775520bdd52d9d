import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Testing

@testable import LarderServer

/// What commands of RESP do, beyond what docs/resp.md shows.
@Suite("RESP") struct RESPTests {
    let rig: Rig
    let client: Client

    init() {
        var configuration = ServerConfiguration()
        configuration.keyRule = .bytes
        configuration.databases = ["carts", "missing"]
        rig = Rig(configuration)
        rig.createNamespace("carts", .always, .bytes)
        client = Client(rig)
    }

    // MARK: Values

    @Test func `SET with GET answers with what was there, whether or not it sets`() throws {
        #expect(try client.ask("SET k 1 GET") == .null)
        #expect(try client.ask("SET k 2 NX GET") == .text("1"))
        #expect(try client.ask("SET k 3 XX GET") == .text("1"))
        #expect(try client.ask("GETSET k 4") == .text("3"))
        #expect(try client.ask("GETDEL k") == .text("4"))
        #expect(try client.ask("GETDEL k") == .null)
        #expect(try client.ask("SET k 5 XX GET") == .null)
        #expect(try client.ask("EXISTS k") == .integer(0))
    }

    @Test func `SET forgets the lifetime unless told to keep it`() throws {
        _ = try client.ask("SET k 1 PX 1000")
        _ = try client.ask("SET k 2 KEEPTTL")
        #expect(try client.ask("PTTL k") == .integer(1_000))
        _ = try client.ask("SET k 3 GET KEEPTTL KEEPTTL")
        #expect(try client.ask("PTTL k") == .integer(1_000))
        _ = try client.ask("GETSET k 4")
        #expect(try client.ask("PTTL k") == .integer(-1))
    }

    @Test func `a lifetime that is over when it is set removes the key`() throws {
        _ = try client.ask("SET k 1")
        #expect(try client.ask("SET k 2 PXAT 1000") == .simple("OK"))
        #expect(try client.ask("GET k") == .null)
        #expect(try client.ask("SET k 2 PXAT 1000") == .simple("OK"))
        _ = try client.ask("SET k 1")
        #expect(try client.ask("GETEX k PXAT 1000") == .text("1"))
        #expect(try client.ask("EXISTS k") == .integer(0))
        #expect(try client.ask("EXPIREAT k 1") == .integer(0))
    }

    @Test func `GETEX sets and clears lifetimes`() throws {
        #expect(try client.ask("GETEX k EX 5") == .null)
        _ = try client.ask("SET k v")
        #expect(try client.ask("GETEX k EX 5") == .text("v"))
        #expect(try client.ask("TTL k") == .integer(5))
        #expect(try client.ask("GETEX k") == .text("v"))
        #expect(try client.ask("TTL k") == .integer(5))
        #expect(try client.ask("GETEX k PERSIST") == .text("v"))
        #expect(try client.ask("TTL k") == .integer(-1))
        #expect(try client.ask("GETEX k PERSIST EX 5") == .error("ERR syntax error"))
        #expect(try client.ask("GETEX k EX 0") == .error("ERR invalid expire time in 'getex' command"))
    }

    @Test func `parts of values are read and written`() throws {
        _ = try client.ask(["SET", "k", "Hello World"])
        #expect(try client.ask("GETRANGE k 0 4") == .text("Hello"))
        #expect(try client.ask("GETRANGE k -5 -1") == .text("World"))
        #expect(try client.ask("GETRANGE k 0 -1") == .text("Hello World"))
        #expect(try client.ask("GETRANGE k 5 3") == .text(""))
        #expect(try client.ask("GETRANGE k -3 -5") == .text(""))
        #expect(try client.ask("GETRANGE k 100 200") == .text(""))
        #expect(try client.ask("GETRANGE k -9223372036854775808 9223372036854775807") == .text("Hello World"))
        #expect(try client.ask("GETRANGE none 0 -1") == .text(""))
        #expect(try client.ask("SETRANGE k 6 Redis") == .integer(11))
        #expect(try client.ask("SETRANGE k 12 !") == .integer(13))
        #expect(try client.ask("GET k") == .text("Hello Redis\u{0}!"))
        #expect(try client.ask(["SETRANGE", "none", "3", ""]) == .integer(0))
        #expect(try client.ask("EXISTS none") == .integer(0))
        #expect(try client.ask("SETRANGE none 2 x") == .integer(3))
        #expect(try client.ask("GET none") == .text("\u{0}\u{0}x"))
        #expect(try client.ask("SETRANGE k -1 x") == .error("ERR offset is out of range"))
        #expect(try client.ask("SETRANGE k 9223372036854775807 x").isError)
        #expect(try client.ask("STRLEN k") == .integer(13))
        #expect(try client.ask("APPEND new ab") == .integer(2))
    }

    @Test(arguments: [
        ("10.50", "0.1", "10.6"), ("10.6", "-5", "5.6"), ("5.0e3", "2.0e2", "5200"), ("3", "0", "3"), ("1e20", "0", "100000000000000000000"),
        ("1e-7", "0", "0.0000001"), ("-1.5e-3", "0", "-0.0015"), ("123456789012", "0.25", "123456789012.25"),
        ("9007199254740993", "0", "9007199254740993"), ("0.1", "0.2", "0.3"), ("0.1", "-0.1", "0"), ("-0.0", "0", "0"), ("1", "1e-20", "1"),
        ("0x10", "+.5", "16.5"),
    ])
    func `floating-point numbers are written without an exponent`(_ value: String, _ delta: String, _ sum: String) throws {
        _ = try client.ask("SET k \(value)")
        #expect(try client.ask("INCRBYFLOAT k \(delta)") == .text(sum))
        #expect(try client.ask("GET k") == .text(sum))
    }

    @Test func `a number that was written is read again, however long it is`() throws {
        _ = try client.ask("SET k 1e300")
        let long = try client.ask("INCRBYFLOAT k 1")
        #expect(try client.ask("GET k") == long)
        #expect(try client.ask("INCRBYFLOAT k 0") == long)
        #expect(try client.ask("INCRBYFLOAT n 0.\(String(repeating: "1", count: 300))") == .text("0.11111111111111111"))
    }

    @Test func `INFO and LASTSAVE tell the same time`() throws {
        guard case .integer(let saved) = try client.ask("LASTSAVE") else { return #expect(Bool(false), "no number") }
        #expect(try client.ask("INFO persistence").string?.contains("rdb_last_save_time:\(saved)\r\n") == true)
    }

    @Test func `what is no number is not added to`() throws {
        _ = try client.ask("SET k abc")
        #expect(try client.ask("INCRBYFLOAT k 1") == .error("ERR value is not a valid float"))
        #expect(try client.ask("INCRBYFLOAT n nan") == .error("ERR value is not a valid float"))
        for line in ["SET k 1.1e4932", "SET n inf"] { _ = try client.ask(line) }
        #expect(try client.ask("INCRBYFLOAT k 1.1e4932") == .error("ERR increment would produce NaN or Infinity"))
        #expect(try client.ask("INCRBYFLOAT n 1") == .error("ERR increment would produce NaN or Infinity"))
        for text in ["", " 1", "1 ", "1\u{0}", "1e5000", "1e-5000", "nan", String(repeating: "1", count: 5_121)] {
            #expect(try client.ask(["SET", "k", text]) == .simple("OK"))
            #expect(try client.ask("INCRBYFLOAT k 1") == .error("ERR value is not a valid float"), "\(text)")
            #expect(try client.ask(["INCRBYFLOAT", "none", text]) == .error("ERR value is not a valid float"), "\(text)")
        }
        _ = try client.ask("SET k 1.5")
        #expect(try client.ask("INCRBY k 1.5") == .error("ERR value is not an integer or out of range"))
        #expect(try client.ask("DECRBY k -9223372036854775808") == .error("ERR decrement would overflow"))
    }

    // MARK: Lifetimes

    @Test func `EXPIRE looks at the lifetime that is there`() throws {
        _ = try client.ask("SET k v")
        #expect(try client.ask("EXPIRE k 10 XX") == .integer(0))
        #expect(try client.ask("EXPIRE k 10 GT") == .integer(0), "no lifetime is longer than any")
        #expect(try client.ask("EXPIRE k 10 LT") == .integer(1))
        #expect(try client.ask("EXPIRE k 10 NX") == .integer(0))
        #expect(try client.ask("EXPIRE k 5 GT") == .integer(0))
        #expect(try client.ask("EXPIRE k 20 XX GT") == .integer(1))
        #expect(try client.ask("PEXPIRE k 15000 LT") == .integer(1))
        #expect(try client.ask("PTTL k") == .integer(15_000))
        #expect(try client.ask("EXPIRE none 5 NX") == .integer(0))
        #expect(try client.ask("EXPIRE k 5 NX XX").isError)
        #expect(try client.ask("EXPIRE k 5 GT LT").isError)
        #expect(try client.ask("EXPIRE k 5 WHAT") == .error("ERR Unsupported option WHAT"))
        #expect(try client.ask("EXPIRE k x") == .error("ERR value is not an integer or out of range"))
        #expect(try client.ask("EXPIRE k 9223372036854775807") == .error("ERR invalid expire time in 'expire' command"))
        #expect(try client.ask("PEXPIRETIME k") == .integer(Rig.start + 15_000))
        #expect(try client.ask("EXPIRETIME k") == .integer((Rig.start + 15_000) / 1_000))
        #expect(try client.ask("EXPIRETIME none") == .integer(-2))
        #expect(try client.ask("PERSIST k") == .integer(1))
        #expect(try client.ask("PERSIST k") == .integer(0))
        #expect(try client.ask("EXPIRETIME k") == .integer(-1))
    }

    // MARK: Other names

    @Test func `RENAME moves value, lifetime and what is kept beside`() throws {
        let web = Client(rig)
        web.send(Web.request("PUT /kv/default/old?ttl_secs=60", "Content-Type: text/plain", body: "hello"))
        #expect(try client.ask("RENAME old new") == .simple("OK"))
        #expect(try client.ask("EXISTS old") == .integer(0))
        #expect(try client.ask("PTTL new") == .integer(60_000))
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/default/new"))).fields["Content-Type"] == "text/plain")
        #expect(try client.ask("RENAME old new") == .error("ERR no such key"))
        #expect(try client.ask("RENAME new new") == .simple("OK"))
        #expect(try client.ask("RENAMENX new new") == .integer(0))
        _ = try client.ask("SET other 1")
        #expect(try client.ask("RENAMENX new other") == .integer(0))
        #expect(try client.ask("RENAMENX new free") == .integer(1))
        #expect(try client.ask("GET free") == .text("hello"))
    }

    @Test func `COPY leaves the source, and the target unless it may replace it`() throws {
        _ = try client.ask("SET k v EX 9")
        #expect(try client.ask("COPY k l") == .integer(1))
        #expect(try client.ask("COPY k l") == .integer(0))
        #expect(try client.ask("COPY k l REPLACE") == .integer(1))
        #expect(try client.ask("TTL l") == .integer(9))
        #expect(try client.ask("COPY none l REPLACE") == .integer(0))
        #expect(try client.ask("COPY k k").isError)
        #expect(try client.ask("COPY k k DB 1") == .integer(1))
        #expect(try client.ask("COPY k k DB 7") == .error("ERR DB index is out of range"))
        _ = try client.ask("SELECT 1")
        #expect(try client.ask("GET k") == .text("v"))
    }

    // MARK: Namespaces

    @Test func `SELECT goes by the setting`() throws {
        #expect(try client.ask("SELECT 1") == .simple("OK"))
        _ = try client.ask("SET k carts")
        #expect(try client.ask("SELECT 0") == .simple("OK"))
        #expect(try client.ask("GET k") == .null)
        #expect(try client.ask("SELECT carts") == .simple("OK"))
        #expect(try client.ask("GET k") == .text("carts"))
        #expect(try client.ask("SELECT 2").isError, "a namespace that does not exist")
        #expect(try client.ask("SELECT 3") == .error("ERR DB index is out of range"))
        for text in ["elsewhere", "00", "01"] {
            #expect(try client.ask("SELECT \(text)") == .error("ERR value is not an integer or out of range"))
        }
        #expect(try client.ask("GET k") == .text("carts"), "a refused SELECT changes nothing")
        #expect(try client.ask("CLIENT INFO").string?.contains(" db=1 ") == true)
    }

    @Test func `FLUSHDB takes one namespace, FLUSHALL those with a number, and neither another`() throws {
        rig.createNamespace("private", .always, .bytes)
        let web = Client(rig)
        for namespace in ["default", "carts", "private"] { web.send(Web.request("PUT /kv/\(namespace)/k", body: "v")) }
        #expect(try client.ask("DBSIZE") == .integer(1))
        #expect(try client.ask("FLUSHDB") == .simple("OK"))
        #expect(try client.ask("DBSIZE") == .integer(0))
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/carts/k"))).status == 200)
        #expect(try client.ask("FLUSHALL ASYNC") == .simple("OK"))
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/carts/k"))).status == 404)
        #expect(try HTTPAnswer.only(web.send(Web.request("GET /kv/private/k"))).status == 200)
    }

    // MARK: Many keys

    @Test func `commands over more keys than a turn has room for are carried out whole`() throws {
        let keys = (0..<5_000).map { "key/\($0)" }
        #expect(try client.ask(["MSET"] + keys.flatMap { [$0, "v" + $0] }) == .simple("OK"))
        #expect(try client.ask(["EXISTS"] + keys) == .integer(5_000))
        #expect(try client.ask(["MGET"] + keys).items == keys.map { .text("v" + $0) })
        #expect(try client.ask(["DEL"] + keys + ["none"]) == .integer(5_000))
        #expect(try client.ask("DBSIZE") == .integer(0))
    }

    @Test func `they give way to others between turns`() throws {
        let keys = (0..<5_000).map { "key/\($0)" }
        _ = try client.ask(["MSET"] + keys.flatMap { [$0, "v"] })
        #expect(client.sendOnce(Say.command(["MGET"] + keys)).isEmpty)
        #expect(client.isUnfinished)
        let other = Client(rig)
        #expect(try other.ask("GET key/1") == .text("v"))
        #expect(try RESPReader.all(client.proceed()).first?.items.count == 5_000)
    }

    @Test func `nothing is written when one of several keys is none`() throws {
        let strict = Client(Rig())
        #expect(try strict.ask("MSET a 1 b:c 2").isError)
        #expect(try strict.ask("EXISTS a") == .integer(0))
        _ = try strict.ask("SET a 1")
        #expect(try strict.ask("DEL a b:c").isError)
        #expect(try strict.ask("EXISTS a") == .integer(1))
        #expect(try strict.ask("MSET a 1 b") == .error("ERR wrong number of arguments for 'mset' command"))
    }

    // MARK: Scanning

    /// All keys that SCAN gives, with repetitions.
    private func scanned(_ options: String = "", between: (Int) throws -> Void = { _ in }) throws -> [String] {
        var (cursor, keys, round) = ("0", [String](), 0)
        repeat {
            let page = try client.ask("SCAN \(cursor) \(options)").items
            cursor = try #require(page.first?.string)
            keys += page[1].items.compactMap(\.string)
            try between(round)
            round += 1
        } while cursor != "0"
        return keys
    }

    @Test func `SCAN gives every key once`() throws {
        let keys = Set((0..<3_000).map { "key:\($0)" })
        _ = try client.ask(["MSET"] + keys.flatMap { [$0, "v"] })
        for options in ["", "COUNT 1", "COUNT 500", "COUNT 1000000"] {
            let found = try scanned(options)
            #expect(found.count == 3_000)
            #expect(Set(found) == keys)
        }
        #expect(Set(try scanned("MATCH key:1?? COUNT 100")).count == 100)
        #expect(try scanned("TYPE string").count == 3_000)
        #expect(try scanned("TYPE hash").isEmpty)
        _ = try client.ask("SELECT 1")
        #expect(try scanned().isEmpty, "the keys of another namespace")
    }

    @Test func `SCAN gives every key that is there from beginning to end, while the tables grow and shrink`() throws {
        let keys = (0..<2_000).map { "key:\($0)" }
        _ = try client.ask(["MSET"] + keys.flatMap { [$0, "v"] })
        let other = Client(rig)
        let grown = try scanned("COUNT 20") { round in
            // Not for ever, or there would be no end: more come than are scanned.
            guard round < 30 else { return }
            _ = try other.ask(["MSET"] + (0..<200).flatMap { ["new:\(round):\($0)", "v"] })
        }
        #expect(Set(grown).isSuperset(of: keys))
        #expect(grown.filter { $0.hasPrefix("key:") }.count == 2_000)
        let shrunk = try scanned("COUNT 300") { round in
            _ = try other.ask(["DEL"] + (0..<2_000).map { "new:\(round * 10 + $0 / 200):\($0 % 200)" })
            _ = rig.store.maintain(now: rig.now, budget: 10_000)
        }
        #expect(Set(shrunk).isSuperset(of: keys))
    }

    @Test func `keys that are gone are not scanned`() throws {
        _ = try client.ask("MSET a 1 b 2 c 3")
        _ = try client.ask("PEXPIRE b 10")
        _ = try client.ask("DEL c")
        rig.now += 10
        #expect(try scanned() == ["a"])
        #expect(try client.ask("KEYS *") == .list(["a"]))
        #expect(try client.ask("RANDOMKEY") == .text("a"))
        _ = try client.ask("FLUSHDB")
        #expect(try client.ask("RANDOMKEY") == .null)
        #expect(try client.ask("KEYS *") == .array([]))
    }

    @Test func `RANDOMKEY gives keys that are there, and not always the same`() throws {
        _ = try client.ask(["MSET"] + (0..<100).flatMap { ["k\($0)", "v"] })
        var found: Set<String> = []
        for _ in 0..<200 { found.insert(try #require(try client.ask("RANDOMKEY").string)) }
        #expect(found.count > 20)
        #expect(found.allSatisfy { $0.hasPrefix("k") })
    }

    @Test func `KEYS takes as many turns as it needs`() throws {
        let keys = (0..<3_000).map { "key:\($0)" }
        _ = try client.ask(["MSET"] + keys.flatMap { [$0, "v"] })
        client.listingWork = 500
        #expect(client.sendOnce(Say.words("KEYS key:*")).isEmpty)
        let found = try RESPReader.all(client.proceed())
        #expect(Set(found[0].items.compactMap(\.string)) == Set(keys))
        #expect(found[0].items.count == 3_000)
    }

    @Test(arguments: [
        ("SCAN x", "ERR invalid cursor"), ("SCAN -1", "ERR invalid cursor"), ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 COUNT x", "ERR value is not an integer or out of range"), ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 WHAT x", "ERR syntax error"),
    ])
    func `a SCAN that is at fault is told so`(_ line: String, _ error: String) throws {
        #expect(try client.ask(line) == .error(error))
    }

    // MARK: Patterns

    @Test(arguments: [
        ("*", "", true), ("*", "abc", true), ("h?llo", "hello", true), ("h?llo", "hllo", false), ("h*llo", "heeeello", true),
        ("h[ae]llo", "hallo", true), ("h[ae]llo", "hillo", false), ("h[^e]llo", "hallo", true), ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true), ("h[b-a]llo", "hallo", true), ("\\*", "*", true), ("\\*", "a", false), ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false), ("[", "a", false), ("[a", "a", true), ("", "", true), ("", "a", false), ("a[\\]]", "a]", true),
        ("*a*a*a*a*a*a*a*a*b", String(repeating: "a", count: 200), false),
    ])
    func `patterns match as in Redis`(_ pattern: String, _ text: String, _ matches: Bool) {
        let bytes = Array(text.utf8)
        #expect(GlobPattern(pattern).matches(bytes.rawSpan) == matches)
    }

    // MARK: The server

    @Test func `every command is told of, with its keys`() throws {
        let count = RESPWord.supported.count
        #expect(try client.ask("COMMAND COUNT") == .integer(Int64(count)))
        #expect(try client.ask("COMMAND").items.count == count)
        #expect(try client.ask("COMMAND DOCS").items.count == 2 * count)
        #expect(try client.ask("COMMAND INFO get nothing").items.map(\.items.first) == [.text("get"), nil])
        #expect(try client.ask("COMMAND GETKEYS MSET a 1 b 2") == .list(["a", "b"]))
        #expect(try client.ask("COMMAND GETKEYS RENAME a b") == .list(["a", "b"]))
        #expect(try client.ask("COMMAND GETKEYS PING").isError)
    }

    @Test func `what is told of a command for access lists is what Redis tells`() throws {
        let rows = try client.ask("COMMAND INFO set del expire getdel keys client config").items.map(\.items)
        #expect(rows.map { $0[2].items.compactMap(\.string) } == [
            ["write", "denyoom"], ["write"], ["write", "fast"], ["write", "fast"], ["readonly"], ["noscript", "loading", "stale"],
            ["admin", "noscript", "loading", "stale"],
        ])
        #expect(rows.map { $0[6].items.compactMap(\.string) } == [
            ["@write", "@string", "@slow"], ["@write", "@keyspace", "@slow"], ["@write", "@keyspace", "@fast"], ["@write", "@string", "@fast"],
            ["@read", "@keyspace", "@dangerous", "@slow"], ["@connection", "@slow"], ["@admin", "@dangerous", "@slow"],
        ])
    }

    @Test(arguments: [
        ("CLIENT WHAT", "ERR unknown subcommand 'WHAT'. Try CLIENT HELP."),
        ("CLIENT ID 3", "ERR wrong number of arguments for 'client|id' command"),
        ("config get", "ERR wrong number of arguments for 'config|get' command"),
        ("OBJECT FREQ", "ERR wrong number of arguments for 'object|freq' command"),
        ("PUBSUB CHANNELS a b", "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."),
        ("DEBUG WHAT", "ERR DEBUG command not allowed: the setting debug-commands is false"),
        ("MEMORY USAGE k 5", "ERR syntax error"), ("MEMORY USAGE k SAMPLES -1", "ERR syntax error"), ("COMMAND LIST x", "ERR syntax error"),
        ("SLOWLOG GET x", "ERR count should be greater than or equal to -1"),
        ("EXPIRE k abc NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE k abc zz GT", "ERR Unsupported option zz"), ("SET k v EX 1.5 zz", "ERR syntax error"), ("SET k v EX 0 zz", "ERR syntax error"),
        ("SET k v EX 1.5", "ERR value is not an integer or out of range"), ("GETEX k EX 1.5 zz", "ERR syntax error"),
        ("WAIT 1 -1", "ERR timeout is negative"), ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
        ("GETRANGE k -0 1", "ERR value is not an integer or out of range"), ("INCRBY k 007", "ERR value is not an integer or out of range"),
        ("EXPIRE k 010", "ERR value is not an integer or out of range"), ("DECRBY k -0", "ERR value is not an integer or out of range"),
        ("SET k v PX 5 PX -1", "ERR invalid expire time in 'set' command"), ("SET k v PX 5 EX 1", "ERR syntax error"),
        ("SET k v EX 5 KEEPTTL", "ERR syntax error"),
        ("CONFIG SET timeout 0 TIMEOUT 1", "ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter"),
    ])
    func `what is at fault is told in the words of Redis`(_ line: String, _ error: String) throws {
        #expect(try client.ask(line) == .error(error))
    }

    @Test func `HELP is served wherever an error recommends it`() throws {
        for word in RESPWord.supported where !word.subcommands.isEmpty && word != .debug {
            let lines = try client.ask([word.name, "HELP"]).items.compactMap(\.string)
            #expect(lines.count == 1 + 2 * word.subcommands.count)
            #expect(lines.first?.hasPrefix(word.name.uppercased() + " <subcommand>") == true)
            #expect(try client.ask([word.name, "HELP", "x"]) == .error("ERR wrong number of arguments for '\(word.name)|help' command"))
        }
    }

    @Test func `a time is judged where there is something to give it to`() throws {
        #expect(try client.ask("GETEX none EX -1") == .null)
        #expect(try client.ask("GETEX none EX x") == .null)
        _ = try client.ask("SET k v")
        #expect(try client.ask("GETEX k EX -1") == .error("ERR invalid expire time in 'getex' command"))
        #expect(try client.ask("GETEX k EX x") == .error("ERR value is not an integer or out of range"))
        #expect(try client.ask("EXPIREAT k 9223372036854775") == .integer(1))
        #expect(try client.ask("PEXPIRETIME k") == .integer(Deadline.latest.rawValue))
        #expect(try client.ask("EXPIREAT k 9223372036854776") == .error("ERR invalid expire time in 'expireat' command"))
    }

    @Test func `OBJECT FREQ counts uses where entries are evicted, and is not one itself`() throws {
        var configuration = ServerConfiguration()
        configuration.databases = ["cache"]
        let rig = Rig(configuration)
        rig.createNamespace("cache", .off, eviction: .s3fifo, bytesMax: 1 << 20)
        let client = Client(rig)
        #expect(try client.ask("OBJECT FREQ k") == .null)
        _ = try client.ask("SET k v")
        #expect(try client.ask("OBJECT FREQ k") == .error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."))
        _ = try client.ask("SELECT 1")
        #expect(try client.ask("OBJECT FREQ k") == .null)
        _ = try client.ask("SET k v")
        for uses in [0, 1, 2, 3, 3] as [Int64] {
            for _ in 0..<2 { #expect(try client.ask("OBJECT FREQ k") == .integer(uses)) }
            _ = try client.ask("GET k")
        }
    }

    @Test func `INFO tells what CONFIG tells, and shares of the processor`() throws {
        func field(_ name: String) throws -> String {
            let info = try #require(try client.ask("INFO").string)
            return try #require(info.split(separator: "\r\n").first { $0.hasPrefix(name + ":") }).split(separator: ":").last.map(String.init) ?? ""
        }
        #expect(try client.ask("CONFIG GET maxmemory").items.last == .text(try field("maxmemory")))
        #expect(try Double(field("used_cpu_user")).map { $0 > 0 } == true)
        #expect(try Double(field("used_cpu_sys")).map { $0 > 0 } == true)
        #expect(try Int(field("used_memory_rss")).map { $0 > 1 << 20 } == true)
        #expect(try Int(field("used_memory_peak")).map { $0 > 1 << 20 } == true)
        #expect(try Double(field("mem_fragmentation_ratio")) != nil)
        #expect(try field("run_id").utf8.count == 40)
        #expect(try Int(field("instantaneous_ops_per_sec")) != nil)
    }

    @Test func `the rate of requests is the mean since somebody asked, if that was a second ago`() {
        let rate = RequestRate()
        #expect(rate.perSecond(50, since: 1_000_000, now: 1_000_500) == 0)
        #expect(rate.perSecond(100, since: 1_000_000, now: 1_002_000) == 50)
        #expect(rate.perSecond(900, since: 1_000_000, now: 1_002_900) == 50)
        #expect(rate.perSecond(1_100, since: 1_000_000, now: 1_004_000) == 500)
    }

    @Test func `the slow log does not tell the key`() throws {
        var configuration = ServerConfiguration()
        configuration.apiKey = APIKey(bytes: Array("sesame".utf8))
        let client = Client(Rig(configuration))
        _ = try client.ask("AUTH sesame")
        _ = try client.ask("CONFIG SET slowlog-log-slower-than 0")
        for line in [
            "AUTH sesame", "AUTH default sesame", "AUTH x sesame y", "HELLO 2 AUTH default sesame SETNAME worker", "hello 2 setname auth auth default sesame",
            "HELLO 9 AUTH default sesame", "AUHT sesame",
        ] { _ = try client.ask(line) }
        let entries = try client.ask("SLOWLOG GET -1").items.map { $0.items[3].items.compactMap(\.string) }
        #expect(!entries.joined().contains("sesame"))
        #expect(entries.contains(["AUTH", "(redacted)"]))
        #expect(entries.contains(["HELLO", "2", "AUTH", "(redacted)", "(redacted)", "SETNAME", "worker"]))
    }

    @Test func `INFO and CONFIG say what monitors ask`() throws {
        _ = try client.ask("SET k v")
        let info = try #require(try client.ask("INFO").string)
        for field in ["redis_version:", "connected_clients:", "used_memory:", "role:master", "db0:keys=1", "keyspace_hits:"] {
            #expect(info.contains(field), "\(field)")
        }
        #expect(try client.ask("INFO keyspace").string == "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n")
        #expect(try client.ask("CONFIG GET max*").items.count == 6)
        #expect(try client.ask("CONFIG SET maxclients 1").isError)
        #expect(try client.ask("CONFIG SET nothing 1").isError)
        #expect(try client.ask("CONFIG SET slowlog-max-len 5 maxclients 1").isError)
        #expect(try client.ask("CONFIG GET slowlog-max-len").items.last == .text("128"), "nothing is set when one is refused")
        #expect(try client.ask("CONFIG SET slowlog-max-len 5 timeout 70") == .simple("OK"))
        #expect(try client.ask("CONFIG GET slowlog-max-len").items.last == .text("5"))
        #expect(try client.ask("CONFIG RESETSTAT") == .simple("OK"))
        #expect(try client.ask("INFO stats").string?.contains("total_commands_processed:1\r\n") == true)
    }

    @Test func `the slow log keeps what took long, once it is asked to`() throws {
        _ = try client.ask("GET before")
        #expect(try client.ask("SLOWLOG LEN") == .integer(0))
        _ = try client.ask("CONFIG SET slowlog-log-slower-than 0")
        _ = try client.ask("SET k v")
        _ = try client.ask("SLOWLOG LEN")
        let entries = try client.ask("SLOWLOG GET -1").items.map(\.items)
        #expect(entries.map { $0[3] }.prefix(2) == [.list(["SLOWLOG", "LEN"]), .list(["SET", "k", "v"])])
        _ = try client.ask("CONFIG SET slowlog-log-slower-than -1")
        #expect(try client.ask("SLOWLOG RESET") == .simple("OK"))
        #expect(try client.ask("SLOWLOG GET") == .array([]))
    }

    @Test func `saving asks for a snapshot, and SAVE waits for it`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        #expect(try client.ask("BGSAVE") == .simple("Background saving started"))
        #expect(client.send(Say.words("SAVE")).isEmpty)
        rig.fake.position.snapshots = 2
        #expect(client.logMoved().text == "+OK\r\n")
        rig.fake.isWorking = false
        #expect(try client.ask("SAVE").isError)
    }

    @Test func `what stops or delays the server is done only where it may`() throws {
        #expect(try client.ask("DEBUG SLEEP 0").isError)
        #expect(try client.ask("SHUTDOWN ABORT").isError)
        #expect(try client.ask("SHUTDOWN NOSAVE SAVE") == .error("ERR syntax error"))
        #expect(try client.ask("SHUTDOWN NOSAVE").isError, "nobody runs this server")
        var configuration = ServerConfiguration()
        configuration.debugCommands = true
        let other = Client(Rig(configuration))
        #expect(try other.ask("DEBUG SLEEP 0") == .simple("OK"))
        #expect(try other.ask("DEBUG SLEEP 1000").isError)
        #expect(try other.ask("DEBUG SEGFAULT").isError)
    }

    @Test(arguments: ["MULTI", "EXEC", "DISCARD", "WATCH k", "UNWATCH", "MSETNX a 1"])
    func `what needs transactions is refused by name`(_ line: String) throws {
        guard case .error(let text) = try client.ask(line) else {
            Issue.record("\(line) was carried out")
            return
        }
        #expect(text.contains(line.prefix { $0 != " " }) && text.contains("not supported"))
    }

    @Test func `an unknown command is told with what came with it, and nothing that would forge a reply`() throws {
        #expect(
            try client.ask(["lpush", "list", "a\r\n+OK"])
                == .error("ERR unknown command 'lpush', with args beginning with: 'list' 'a  +OK' "))
        #expect(try client.ask([String(repeating: "x", count: 1_000)]).isError)
    }

    // MARK: Connections

    @Test func `connections have numbers, names and a line each`() throws {
        let other = Client(rig)
        #expect(try client.ask("CLIENT ID") == .integer(1))
        #expect(try other.ask("CLIENT ID") == .integer(2))
        #expect(try client.ask("CLIENT GETNAME") == .null)
        #expect(try client.ask("CLIENT SETNAME worker") == .simple("OK"))
        #expect(try client.ask(["CLIENT", "SETNAME", "two words"]).isError)
        #expect(try client.ask("CLIENT SETINFO LIB-NAME redis-py") == .simple("OK"))
        #expect(try client.ask("CLIENT SETINFO WHAT x").isError)
        let lines = try #require(try other.ask("CLIENT LIST").string).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].contains("id=1 ") && lines[0].contains(" name=worker ") && lines[0].contains(" lib-name=redis-py "))
        #expect(try other.ask("CLIENT LIST ID 2").string?.hasPrefix("id=2 ") == true)
        #expect(try other.ask("CLIENT LIST TYPE pubsub").string == "")
        #expect(try other.ask("CLIENT LIST TYPE what").isError)
        #expect(try client.ask("RESET") == .simple("RESET"))
        #expect(try client.ask("CLIENT GETNAME") == .null)
    }

    @Test func `QUIT answers and closes`() throws {
        #expect(try client.ask("QUIT") == .simple("OK"))
        #expect(client.isClosed)
    }

    @Test func `a connection can end another one, and itself behind the reply`() throws {
        let bench = try WorkerRig()
        let (first, second) = (bench.connect(), bench.connect())
        #expect(first.ask(Say.words("CLIENT ID")).text == ":1\r\n")
        #expect(second.ask(Say.words("CLIENT ID")).text == ":2\r\n")
        #expect(first.ask(Say.words("CLIENT KILL ID 1")).text == ":0\r\n", "not itself unless asked to")
        #expect(first.ask(Say.words("CLIENT KILL ID 2") + Say.words("CLIENT LIST")).text.contains("id=2 ") == false)
        #expect(first.ask(Say.words("CLIENT KILL ID 2")).text == ":0\r\n", "it is ended already")
        bench.turn()
        _ = second.receive()
        #expect(second.sawEnd)
        #expect(bench.connections == 1)
        #expect(first.ask(Say.words("CLIENT LIST")).text.contains("id=2 ") == false)
        #expect(first.ask(Say.words("CLIENT KILL ID 1 SKIPME no")).text == ":1\r\n")
        bench.turn()
        _ = first.receive()
        #expect(first.sawEnd)
    }

    // MARK: Durability

    @Test func `with always a write and a read of it wait for the medium`() throws {
        let rig = Rig(waits: true)
        let (writer, reader) = (Client(rig), Client(rig))
        for line in ["SET k 1 GET", "SETRANGE k 0 2", "MSET a 1 b 2", "RENAME a c", "EXPIRE k 9 NX", "INCRBYFLOAT k 1", "GETDEL k", "DEL b c"] {
            #expect(writer.send(Say.words(line)).isEmpty, "\(line)")
        }
        for line in ["MGET k", "EXISTS a b", "STRLEN b", "SCAN 0"] { #expect(reader.send(Say.words(line)).isEmpty, "\(line)") }
        rig.sync()
        #expect(try RESPReader.all(writer.logMoved()).count == 8)
        #expect(try RESPReader.all(reader.logMoved()).count == 4)
    }

    @Test func `a write whose log fails is not acknowledged`() throws {
        let rig = Rig(waits: true)
        let client = Client(rig)
        #expect(client.send(Say.words("SET k 1") + Say.words("MSET a 1 b 2")).isEmpty)
        rig.fake.isWorking = false
        #expect(try RESPReader.all(client.logMoved()).allSatisfy(\.isError))
    }

    // MARK: Other dialects

    @Test func `what one dialect writes the others read`() throws {
        let binary = ConversationTests.client(rig)
        let web = Client(rig)
        _ = try client.ask("SET user/1 hello PX 5000")
        let read = try Answer.only(binary.send(Ask.get("user/1", [.wantLifetime, .wantVersion])))
        #expect(read.text == "hello")
        #expect(read.lifetime == .milliseconds(5_000))
        binary.send(Ask.put("user/2", "there", contentType: "text/plain"))
        web.send(Web.request("PUT /kv/default/user/3?ttl_secs=7", body: "web"))
        #expect(try client.ask("MGET user/1 user/2 user/3") == .list(["hello", "there", "web"]))
        #expect(try client.ask("TTL user/3") == .integer(7))
        binary.send(Ask.increment("n", by: 41))
        #expect(try client.ask("INCR n") == .integer(42))
    }

    @Test func `a large value is read in slices, and ends with its line`() throws {
        let value = String(repeating: "x", count: 900_000)
        _ = try client.ask(["SET", "k", value])
        client.copyWork = 300_000
        #expect(client.sendOnce(Say.words("GET k")).isEmpty)
        #expect(try RESPReader.all(client.proceed()) == [.text(value)])
        #expect(try client.ask(["SET", "k", value + String(repeating: "y", count: 200_000)]).isError)
    }
}

extension RESPValue {
    var isError: Bool { if case .error = self { true } else { false } }
}
