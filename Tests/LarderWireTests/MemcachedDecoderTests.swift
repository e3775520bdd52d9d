import LarderBytes
import LarderWire
import Testing

/// What a decoder made of some bytes: each command in words, then why it stopped.
struct MemcachedDecoding: Equatable {
    var commands: [String] = []
    var last = DecodeStep.needMore
    var failure: String?

    init(_ text: String, valueBytesMax: Int = 100) { self.init([Array(text.utf8)], valueBytesMax: valueBytesMax) }

    /// - Parameter pieces: What comes one after the other.
    init(_ pieces: [[UInt8]], valueBytesMax: Int = 100) {
        var decoder = MemcachedDecoder(valueBytesMax: valueBytesMax)
        var input = ByteBuffer()
        var command = Command()
        for piece in pieces where last != .close {
            input.append(array: piece)
            var position = 0
            repeat {
                last = decoder.decode(&input, at: &position, into: &command)
                if last == .command { commands.append(Self.describe(command, input)) }
            } while last == .command
            input.consume(position)
        }
        if last == .close { failure = command.failure?.detail.description }
    }

    static func describe(_ command: Command, _ input: borrowing ByteBuffer) -> String {
        if let failure = command.failure {
            return "\(failure.detail)" + (command.memcachedFlags.contains(.quiet) ? " quiet" : "")
        }
        func text(_ range: ByteRange) -> String { String(utf8: input.span(range)) }
        var words = [command.operation == .memcached ? "\(command.memcachedWord)" : "\(command.operation)"]
        if !command.key.isEmpty { words.append(text(command.key)) }
        // Means nothing to a get, which leaves there what was there.
        if command.operation != .get {
            if !command.value.isEmpty { words.append("'\(text(command.value))'") }
            if command.clientFlags != 0 { words.append("flags=\(command.clientFlags)") }
            if command.lifetime != .unlimited { words.append("\(command.lifetime)") }
        }
        if command.condition != .none { words.append("\(command.condition)") }
        let flags = command.memcachedFlags
        for (flag, name) in [(MemcachedFlags.quiet, "quiet"), (.withVersion, "version"), (.more, "more"), (.later, "later")]
        where flags.contains(flag) { words.append(name) }
        if command.memcachedWord == .incr || command.memcachedWord == .decr { words.append("by=\(UInt64(bitPattern: command.delta))") }
        if command.memcachedWord.hasMetaFlags {
            words.append("[\(text(command.line).trimmingPrefix(" "))]")
        }
        return words.joined(separator: " ")
    }
}

@Suite("memcached decoder") struct MemcachedDecoderTests {
    static let requests: [(String, [String])] = [
        ("get k\r\n", ["get k"]),
        ("get key/of/some/length\n", ["get key/of/some/length"]),
        ("get a b c\r\n", ["get a more", "get b more later", "get c later"]),
        ("get  a   b  \r\n", ["get a more", "get b later"]),
        ("gets a b\r\n", ["get a version more", "get b version later"]),
        ("gat 10 a b\r\n", ["getAndTouch a milliseconds(10000) more", "getAndTouch b milliseconds(10000) later"]),
        ("gats 0 a\r\n", ["getAndTouch a version"]),
        ("get\r\n", ["unknown command, or wrong number of words"]),
        ("gat 10\r\n", ["invalid exptime argument"]),
        ("gat x a\r\nget b\r\n", ["invalid exptime argument", "get b"]),
        ("get a\tb c\r\nget d\r\n", ["bad command line format", "get d"]),
        ("set k 0 0 2\r\nhi\r\n", ["put k 'hi'"]),
        ("set k 4294967295 60 2\r\nhi\r\n", ["put k 'hi' flags=4294967295 milliseconds(60000)"]),
        ("set k 0 -1 2\r\nhi\r\n", ["put k 'hi' milliseconds(0)"]),
        ("set k 0 2592000 0\r\n\r\n", ["put k milliseconds(2592000000)"]),
        ("set k 0 2592001 0\r\n\r\n", ["put k until(2592001000)"]),
        ("set k 0 0 2 noreply\r\n\r\n\r\nget k\r\n", ["put k '\r\n' quiet", "get k"]),
        ("set  k  0  0  2 \r\nhi\r\n", ["put k 'hi'"]),
        ("add k 0 0 2\r\nhi\r\n", ["put k 'hi' absent"]),
        ("replace k 0 0 2\r\nhi\r\n", ["put k 'hi' present"]),
        ("cas k 0 0 2 18446744073709551615\r\nhi\r\n", ["put k 'hi' version(18446744073709551615)"]),
        ("append k 0 0 2\r\nhi\r\n", ["append k 'hi'"]),
        ("prepend k 9 9 2 noreply\r\nhi\r\n", ["prepend k 'hi' flags=9 milliseconds(9000) quiet"]),
        ("set k 4294967296 0 2\r\nhi\r\nget k\r\n", ["bad command line format", "get k"]),
        ("set k x 0 2\r\nhi\r\nget k\r\n", ["bad command line format", "get k"]),
        ("cas k 0 0 2\r\nhi\r\nget k\r\n", ["bad command line format", "get k"]),
        ("set k 0 0 101\r\n\(String(repeating: "x", count: 101))\r\nget k\r\n", ["object too large for cache", "get k"]),
        ("set k 0 0 101 noreply\r\n\(String(repeating: "x", count: 101))\r\nget k\r\n", ["object too large for cache quiet", "get k"]),
        ("delete k\r\ndelete k 0\r\ndelete k noreply\r\ndelete k 0 noreply\r\n", ["delete k", "delete k", "delete k quiet", "delete k quiet"]),
        ("delete k 5\r\n", ["bad command line format.  Usage: delete <key> [noreply]"]),
        ("incr k 18446744073709551615\r\ndecr k 1 noreply\r\n", ["incr k by=18446744073709551615", "decr k quiet by=1"]),
        ("incr k -1\r\nincr k\r\n", ["invalid numeric delta argument", "unknown command, or wrong number of words"]),
        ("touch k 5\r\ntouch k x\r\n", ["setLifetime k milliseconds(5000)", "invalid exptime argument"]),
        ("flush_all\r\nflush_all noreply\r\nflush_all 0\r\nflush_all -1 noreply\r\n", ["flushAll", "flushAll quiet", "flushAll", "flushAll milliseconds(0) quiet"]),
        ("flush_all 10 noreply\r\nflush_all 2592001\r\n", ["flushAll milliseconds(10000) quiet", "flushAll until(2592001000)"]),
        ("flush_all ten\r\nflush_all 1 2\r\n", ["invalid exptime argument", "unknown command, or wrong number of words"]),
        ("version\r\nquit\r\nmn\r\nverbosity 1\r\nstats settings\r\n", ["version", "quit", "metaNoOp", "verbosity", "stats"]),
        ("mg k\r\nmg k v t  q\r\n", ["metaGet k []", "metaGet k [v t  q]"]),
        ("ms k 2\r\nhi\r\nms k 2 T60 F5 MR C7\r\nhi\r\n",
            ["metaSet k 'hi' []", "metaSet k 'hi' flags=5 milliseconds(60000) version(7) [T60 F5 MR C7]"]),
        ("ms k 2 MX\r\nhi\r\nmn\r\n", ["invalid mode for ms M token", "metaNoOp"]),
        ("ms k 101 MX\r\n\(String(repeating: "x", count: 101))\r\nmn\r\n", ["object too large for cache", "metaNoOp"]),
        ("mg aSBr b\r\nmg aw== b\r\nmg aw b\r\nmg aw= b\r\n", ["metaGet i k [b]", "metaGet k [b]", "error decoding key", "error decoding key"]),
        ("mg k v v\r\nmg k w\r\nmg k 1\r\nmg k h\r\n", ["duplicate flag", "invalid flag", "invalid flag", "the flags h, l and E are not supported"]),
        ("mg k O\(String(repeating: "x", count: 32))\r\n", ["opaque token too long"]),
        ("md k I T5\r\nma k D5 MD\r\nme k\r\n", ["metaDelete k milliseconds(5000) [I T5]", "metaArithmetic k [D5 MD]", "metaDebug k []"]),
        ("\r\nGET k\r\nbogus\r\n", [String](repeating: "unknown command, or wrong number of words", count: 3)),
    ]

    @Test(arguments: requests.indices) func `a request is decoded, whole, cut at every byte, and byte by byte`(_ index: Int) {
        let (text, expected) = Self.requests[index]
        let bytes = Array(text.utf8)
        let whole = MemcachedDecoding(text)
        #expect(whole.commands == expected)
        #expect(whole.last == .needMore)
        #expect(MemcachedDecoding(bytes.map { [$0] }) == whole, "byte by byte")
        for position in 1..<bytes.count {
            #expect(MemcachedDecoding([Array(bytes[..<position]), Array(bytes[position...])]) == whole, "cut at \(position)")
        }
    }

    @Test func `requests that follow each other are decoded alike`() {
        let all = Self.requests.map { $0.0 }.joined()
        #expect(MemcachedDecoding(all).commands == Self.requests.flatMap { $0.1 })
    }

    @Test(arguments: [
        ("set k 0 0 2\r\nhiya\r\n", "bad data chunk"), ("ms k 2\r\nhiya\r\n", "bad data chunk"),
        ("set k 0 0 x\r\nhi\r\n", "bad command line format"), ("set k 0 0 -1\r\nhi\r\n", "bad command line format"),
        ("ms k v\r\n", "bad command line format"), ("set k 0 0\r\nget k\r\n", "bad command line format"), ("ms\r\n", "bad command line format"),
        ("set a\tb 0 0 9\r\nflush_all\r\n", "bad command line format"), ("append a\u{1}b 0 0 9\r\nflush_all\r\n", "bad command line format"),
        ("cas a\rb 0 0 9 1\r\nflush_all\r\n", "bad command line format"), ("set a b c d 0 0 9\r\nflush_all\r\n", "bad command line format"),
        ("set a 5 0\u{1} 9\r\nflush_all\r\n", "bad command line format"), ("ms \u{1} 9\r\nflush_all\r\n", "bad command line format"),
        ("set k 0 0 2147483648\r\n", "bad command line format"),
        ("set k 0 0 2147483647\r\n", "object too large for cache"), (String(repeating: "x", count: 2_100), "line too long"),
        ("get " + String(repeating: "x", count: 2_100), "line too long"), ("set " + String(repeating: "x", count: 2_100), "line too long"),
        ("get a " + String(repeating: " ", count: 2_100), "line too long"), ("mg k " + String(repeating: "v ", count: 2_100), "line too long"),
    ])
    func `after what cannot be followed any more the connection is closed`(_ text: String, _ failure: String) {
        let decoding = MemcachedDecoding(text)
        #expect(decoding.last == .close)
        #expect(decoding.failure == failure)
    }

    @Test func `a line may name any number of keys`() {
        let line = "get " + (0..<10_000).map { "key\($0)" }.joined(separator: " ") + "\r\n"
        let bytes = Array(line.utf8)
        let pieces = stride(from: 0, to: bytes.count, by: 1_000).map { Array(bytes[$0..<min($0 + 1_000, bytes.count)]) }
        #expect(MemcachedDecoding(pieces).commands.count == 10_000)
    }

    @Test func `a value that is read needs no more than its request has`() {
        var decoder = MemcachedDecoder(valueBytesMax: 1_000)
        var input = ByteBuffer()
        input.append(array: Array("set k 0 0 1000\r\nxx".utf8))
        var (position, command) = (0, Command())
        let step = decoder.decode(&input, at: &position, into: &command)
        #expect(step == .needMore)
        #expect(decoder.requestBytesExpected == 16 + 1_000 + 2)
    }

    @Test func `before a login a set is one, and small`() {
        var decoder = MemcachedDecoder(valueBytesMax: MemcachedDecoder.loginBytesMax, needsLogin: true)
        var input = ByteBuffer()
        input.append(array: Array("set k 0 0 2\r\nhi\r\nset k 0 0 1025\r\n".utf8))
        var (position, command) = (0, Command())
        var step = decoder.decode(&input, at: &position, into: &command)
        #expect(step == .command)
        #expect(command.memcachedWord == .authenticate && command.isPlain)
        step = decoder.decode(&input, at: &position, into: &command)
        #expect(command.failure?.status == .valueTooLarge)
    }
}

extension Command {
    fileprivate var isPlain: Bool { operation == .memcached && failure == nil }
}
