import LarderBytes
import LarderWire
import Testing

@Suite("RESP replies") struct RESPReplyTests {
    private func text(_ write: (inout ByteBuffer) -> Void) -> String {
        var output = ByteBuffer()
        // What is there already stays.
        output.append("before")
        write(&output)
        return String(String(utf8: output.bytes).dropFirst(6))
    }

    private func command(_ form: RESPForm, isRESP3: Bool = false) -> Command {
        var command = Command()
        command.flags = RESPFlags(form, isRESP3: isRESP3).rawValue
        return command
    }

    @Test(arguments: [0, 1, 9, 10, 11, 99, 100, 101, 123, 999, 1_000, 1_234, 65_536, 16_777_216, .max])
    func `numbers of every length are written in full`(_ number: Int64) {
        #expect(text { RESPReply.integer(number, into: &$0) } == ":\(number)\r\n")
        #expect(text { RESPReply.integer(-number, into: &$0) } == ":\(-number)\r\n")
        #expect(text { RESPReply.array(Int(number), into: &$0) } == "*\(number)\r\n")
    }

    @Test func `the smallest integer is written, too`() {
        #expect(text { RESPReply.integer(.min, into: &$0) } == ":-9223372036854775808\r\n")
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 999, 1_000, 70_000]) func `strings of every length have theirs before them`(_ count: Int) {
        let value = String(repeating: "x", count: count)
        #expect(text { RESPReply.bulk(value, into: &$0) } == "$\(count)\r\n\(value)\r\n")
        let bytes = Array(value.utf8)
        #expect(text { RESPReply.bulk(bytes.rawSpan, into: &$0) } == "$\(count)\r\n\(value)\r\n")
    }

    @Test func `what version 2 lacks is what Redis makes of it there`() {
        let verbatim = Array("hi".utf8)
        let replies: [(String, String, (Bool, inout ByteBuffer) -> Void)] = [
            ("$-1\r\n", "_\r\n", { RESPReply.null($0, into: &$1) }),
            (":1\r\n", "#t\r\n", { RESPReply.boolean(true, $0, into: &$1) }),
            (":0\r\n", "#f\r\n", { RESPReply.boolean(false, $0, into: &$1) }),
            ("$3\r\n1.5\r\n", ",1.5\r\n", { RESPReply.double("1.5", $0, into: &$1) }),
            ("*4\r\n", "%2\r\n", { RESPReply.map(2, $0, into: &$1) }),
            ("*2\r\n", "~2\r\n", { RESPReply.set(2, $0, into: &$1) }),
            ("*2\r\n", ">2\r\n", { RESPReply.push(2, $0, into: &$1) }),
            ("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n", { RESPReply.verbatim(verbatim.rawSpan, $0, into: &$1) }),
        ]
        for (old, new, write) in replies {
            #expect(text { write(false, &$0) } == old)
            #expect(text { write(true, &$0) } == new)
        }
    }

    @Test func `an outcome is worded as the form says`() {
        func done(_ status: Status, _ form: RESPForm, isRESP3: Bool = false) -> String {
            text { RESPReply.done(status, version: 7, to: command(form, isRESP3: isRESP3), into: &$0) }
        }
        #expect(done(.notFound, .value) == "$-1\r\n")
        #expect(done(.notFound, .value, isRESP3: true) == "_\r\n")
        #expect([done(.created, .status), done(.ok, .status), done(.notFound, .status)] == ["+OK\r\n", "+OK\r\n", "+OK\r\n"])
        #expect(done(.conditionFailed, .status) == "$-1\r\n")
        #expect([done(.ok, .count), done(.created, .count)] == [":1\r\n", ":1\r\n"])
        #expect([done(.notFound, .count), done(.conditionFailed, .count)] == [":0\r\n", ":0\r\n"])
        #expect([done(.ok, .type), done(.notFound, .type)] == ["+string\r\n", "+none\r\n"])
        #expect([done(.notFound, .seconds), done(.notFound, .milliseconds)] == [":-2\r\n", ":-2\r\n"])
        #expect(done(.ok, .pong) == "+PONG\r\n")
    }

    @Test func `a lifetime is rounded to seconds as in Redis`() {
        func left(_ milliseconds: Int64?, _ form: RESPForm) -> String {
            text { RESPReply.lifetime(milliseconds, version: 7, to: command(form), into: &$0) }
        }
        #expect([left(9_500, .seconds), left(9_499, .seconds), left(1, .seconds), left(nil, .seconds)] == [":10\r\n", ":9\r\n", ":0\r\n", ":-1\r\n"])
        #expect([left(9_499, .milliseconds), left(nil, .milliseconds)] == [":9499\r\n", ":-1\r\n"])
    }

    @Test func `a refusal begins with the word that clients go by`() {
        // The end of a line is one character to Swift.
        func refusal(_ status: Status) -> String {
            String(text { RESPReply.failure(Failure(status, "as it is"), to: Command(), into: &$0) }.dropLast())
        }
        #expect(refusal(.malformed) == "-ERR as it is")
        #expect(refusal(.unauthorized) == "-NOAUTH Authentication required.")
        #expect(refusal(.loading).hasPrefix("-LOADING "))
        #expect(refusal(.outOfMemory) == "-OOM as it is")
        #expect(refusal(.readOnly) == "-MISCONF as it is")
        #expect(refusal(.notAnInteger) == "-ERR value is not an integer or out of range")
        for status in Status.allCases { #expect(refusal(status).hasPrefix("-")) }
    }

    @Test func `text that came from elsewhere cannot make two replies of one`() {
        #expect(text { RESPReply.error("ERR a\r\n+OK", into: &$0) } == "-ERR a  +OK\r\n")
        #expect(text { RESPReply.failure(.readOnly, text: "a\nb", to: Command(), into: &$0) } == "-MISCONF a b\r\n")
    }
}
