import LarderBytes
import LarderWire
import Testing

/// A request in words, and what it means.
private struct Meaning: CustomTestStringConvertible {
    var words: [String]
    var operation: LarderWire.Operation
    var form = RESPForm.value
    var key = ""
    var value = ""
    var lifetime = Lifetime.unlimited
    var condition = Condition.none
    var delta: Int64 = 0
    var testDescription: String { words.joined(separator: " ") }

    init(
        _ line: String, _ operation: LarderWire.Operation, _ form: RESPForm = .value, key: String = "k", value: String = "",
        _ lifetime: Lifetime = .unlimited, _ condition: Condition = .none, delta: Int64 = 0
    ) {
        words = line.split(separator: " ").map(String.init)
        self.operation = operation
        self.form = form
        self.key = key
        self.value = value
        self.lifetime = lifetime
        self.condition = condition
        self.delta = delta
    }

    static let all: [Meaning] = [
        Meaning("GET k", .get), Meaning("get k", .get), Meaning("gEt a/long/key/of/some/length", .get, key: "a/long/key/of/some/length"),
        Meaning("SET k v", .put, .status, value: "v"),
        Meaning("SET k v EX 10", .put, .status, value: "v", .milliseconds(10_000)),
        Meaning("set k v px 10 nx", .put, .status, value: "v", .milliseconds(10), .absent),
        Meaning("SET k v XX KEEPTTL", .put, .status, value: "v", .keep, .present),
        Meaning("SET k v EXAT 10", .put, .status, value: "v", .until(10_000)),
        Meaning("SET k v PXAT 10", .put, .status, value: "v", .until(10)),
        Meaning("SETNX k v", .put, .count, value: "v", .unlimited, .absent),
        Meaning("SETEX k 2 v", .put, .status, value: "v", .milliseconds(2_000)),
        Meaning("PSETEX k 2 v", .put, .status, value: "v", .milliseconds(2)),
        Meaning("DEL k", .delete, .count), Meaning("UNLINK k", .delete, .count), Meaning("EXISTS k", .exists, .count),
        Meaning("TYPE k", .exists, .type), Meaning("TTL k", .lifetime, .seconds), Meaning("PTTL k", .lifetime, .milliseconds),
        Meaning("GETEX k", .get), Meaning("INCR k", .increment, .number, delta: 1), Meaning("DECR k", .increment, .number, delta: -1),
        Meaning("INCRBY k -7", .increment, .number, delta: -7), Meaning("DECRBY k 7", .increment, .number, delta: -7),
        Meaning("APPEND k v", .append, .number, value: "v"),
        Meaning("EXPIRE k 5", .setLifetime, .count, .milliseconds(5_000)),
        Meaning("PEXPIRE k -5", .setLifetime, .count, .milliseconds(-5)),
        Meaning("EXPIREAT k 5", .setLifetime, .count, .until(5_000)),
        Meaning("PEXPIREAT k 5", .setLifetime, .count, .until(5)),
        Meaning("PING", .ping, .pong, key: ""),
    ]
}

@Suite("RESP decoder") struct RESPDecoderTests {
    static let limits = RESPLimits.afterLogin(valueBytesMax: 1 << 20)

    @Test(arguments: Meaning.all) fileprivate func `a plain command is an operation of every dialect`(_ meaning: Meaning) {
        var input = ByteBuffer()
        // What follows must not change what a request is, nor must what it was decoded into before.
        input.append(array: bytes(meaning.words) + bytes(["SET", "other", "value"]))
        var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
        command.failure = Failure(.malformed, "of before")
        command.clientFlags = 7
        command.condition = .version(9)
        let step = decoder.decode(input, at: &position, into: &command)
        #expect(step == .command)
        #expect(position == bytes(meaning.words).count)
        #expect(command.operation == meaning.operation)
        #expect(command.respFlags == RESPFlags(meaning.form, isRESP3: false))
        let (key, value) = (String(utf8: input.span(command.key)), String(utf8: input.span(command.value)))
        #expect(key == meaning.key)
        #expect(value == meaning.value)
        #expect(command.lifetime == meaning.lifetime)
        #expect(command.condition == meaning.condition)
        #expect(command.delta == meaning.delta)
        #expect(command.failure == nil)
        #expect(command.clientFlags == 0)
    }

    @Test(arguments: [
        "GET", "GET a b", "SET k", "SET k v NX XX", "SET k v EX 0", "SET k v EX x", "SET k v GET", "SET k v IFEQ w", "SET k v WHAT",
        "SETEX k 0 v", "INCRBY k x", "DECRBY k -9223372036854775808", "EXPIRE k 5 NX", "EXPIRE k 9223372036854775807", "DEL a b",
        "MGET a b c", "MSET a 1", "PING hello", "SCAN 0", "NOTHING a b", "averyveryverylongname a", "exactlyfifteenx",
    ])
    func `a command that is not plain keeps its words`(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        var input = ByteBuffer()
        input.append(array: bytes(words))
        var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
        let step = decoder.decode(input, at: &position, into: &command)
        #expect(step == .command)
        #expect(command.operation == .resp)
        let arguments = RESPArguments(command.value, in: input).all(in: input).map { String(utf8: input.span($0)) }
        #expect(arguments == Array(words.dropFirst()))
        #expect(command.respWord.name.uppercased() == words[0].uppercased() || command.respWord == .unknown)
    }

    @Test func `every command is recognised by its name, in either case`() {
        for word in RESPWord.allCases where word != .unknown {
            #expect(RESPWord.named(RESPName(word.name)) == word)
            #expect(RESPWord.named(RESPName(word.name.uppercased())) == word)
            #expect(word.entry.word == word)
        }
        #expect(RESPWord.named(RESPName("")) == .unknown)
        #expect(RESPWord.named(RESPName("getx")) == .unknown)
        #expect(RESPWord.named(RESPName("get ")) == .unknown)
        #expect(RESPWord.named(RESPName("del\u{0}")) == .unknown)
    }

    @Test(arguments: [
        ("GET a\r\n", "Protocol error: expected '*'"), ("\r \n", "Protocol error: expected '*'"), ("\n", "Protocol error: expected '*'"), ("*x\r\n", "Protocol error: invalid multibulk length"),
        ("*-1\r\n", "Protocol error: invalid multibulk length"), ("*01\r\n", "Protocol error: invalid multibulk length"),
        ("*1\n", "Protocol error: invalid multibulk length"), ("*99999999999\r\n", "Protocol error: invalid multibulk length"),
        ("*1048577\r\n", "Protocol error: invalid multibulk length"), ("*1\r\n:1\r\n", "Protocol error: expected '$'"),
        ("*1\r\n$-1\r\n", "Protocol error: invalid bulk length"), ("*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
        ("*1\r\n$2000000\r\n", "Protocol error: invalid bulk length"),
        ("*1\r\n$3\r\nGETxx", "Protocol error: expected the end of the line behind an argument"),
    ])
    func `what cannot be read is refused as Redis does, and ends the connection`(_ text: String, _ detail: String) {
        for end in 1...text.utf8.count {
            // Whatever has arrived of it, it waits or refuses, and says the same.
            var input = ByteBuffer()
            input.append(array: Array(text.utf8.prefix(end)))
            var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
            let step = decoder.decode(input, at: &position, into: &command)
            #expect(step == .close || end < text.utf8.count && step == .needMore)
            if step == .close { #expect(command.failure?.detail.description == detail) }
        }
    }

    @Test func `before the login requests are small`() {
        func refusal(_ text: String) -> String? {
            var input = ByteBuffer()
            input.append(array: Array(text.utf8))
            var (decoder, position, command) = (RESPDecoder(), 0, Command())
            guard decoder.decode(input, at: &position, into: &command) == .close else { return nil }
            return command.failure?.detail.description
        }
        #expect(refusal("*10\r\n") == nil)
        #expect(refusal("*11\r\n") == "Protocol error: unauthenticated multibulk length")
        #expect(refusal("*1\r\n$16384\r\n") == nil)
        #expect(refusal("*1\r\n$16385\r\n") == "Protocol error: unauthenticated bulk length")
    }

    @Test func `requests of nothing are passed over`() {
        let text = Array("*0\r\n*0\r\n*1\r\n$4\r\nPING\r\n\r\n*0\r\n\r\n\r\n*1\r\n$4\r\nTIME\r\n\r\n".utf8)
        #expect(decode(text) == ["ping", "time"])
        #expect(decode(pieces: text.map { [$0] }) == ["ping", "time"])
    }

    @Test func `requests are read alike whole, cut at every byte, byte by byte, and merged`() {
        let all = Meaning.all.flatMap { bytes($0.words) } + bytes(["MGET"] + (0..<40).map { "key/\($0)" }) + bytes(["NOTHING", "x"])
        let expected = decode(all)
        #expect(expected.count == Meaning.all.count + 2)
        #expect(decode(pieces: all.map { [$0] }) == expected)
        for position in 1..<all.count {
            guard decode(pieces: [Array(all[..<position]), Array(all[position...])]) != expected else { continue }
            Issue.record("differs when cut at \(position)")
            return
        }
    }

    @Test func `it says how long a request is as soon as it can tell`() {
        var input = ByteBuffer()
        input.append(array: Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc".utf8))
        var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
        let step = decoder.decode(input, at: &position, into: &command)
        #expect(step == .needMore)
        #expect(decoder.requestBytesExpected == 29 + 100_000 + 2)
    }

    // MARK: Inline commands

    @Test func `lines are commands where they are taken`() {
        let text = "\r\n  GET   user/1 \r\nPING\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nnothing at all\n"
        #expect(decode(Array(text.utf8), takesInline: true) == ["get user/1", "ping", "get k", "unknown at all"])
        #expect(decode(pieces: text.utf8.map { [$0] }, takesInline: true) == ["get user/1", "ping", "get k", "unknown at all"])
    }

    @Test(arguments: [
        ("POST / HTTP/1.1\r\n", nil), ("host: example.org\r\n", nil),
        ("SET k \"v\"\r\n", "Protocol error: inline commands have no quotes; send the arguments as an array"),
        (String(repeating: "x", count: 65_537), "Protocol error: too big inline request"),
    ] as [(String, String?)])
    func `a line that is no command ends the connection`(_ text: String, _ detail: String?) {
        var input = ByteBuffer()
        input.append(array: Array(text.utf8))
        var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
        decoder.takesInline = true
        let step = decoder.decode(input, at: &position, into: &command)
        #expect(step == .close)
        #expect(command.failure?.detail.description == detail)
    }

    // MARK: Parts

    private func bytes(_ words: [String]) -> [UInt8] {
        Array(("*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()).utf8)
    }

    private func decode(_ bytes: [UInt8], takesInline: Bool = false) -> [String] { decode(pieces: [bytes], takesInline: takesInline) }

    /// The word and the arguments of each request.
    private func decode(pieces: [[UInt8]], takesInline: Bool = false) -> [String] {
        var (decoder, position, command) = (RESPDecoder(limits: Self.limits), 0, Command())
        var input = ByteBuffer()
        decoder.takesInline = takesInline
        var requests: [String] = []
        for piece in pieces {
            input.append(array: piece)
            while decoder.decode(input, at: &position, into: &command) == .command {
                var ranges = [command.key, command.value].filter { !$0.isEmpty }
                if command.operation == .resp { ranges = RESPArguments(command.value, in: input).all(in: input) }
                requests.append(([command.respWord.name] + ranges.map { String(utf8: input.span($0)) }).joined(separator: " "))
            }
            input.consume(position)
            position = 0
        }
        return requests
    }
}
