import LarderBytes
import LarderWire
import Testing

/// What a decoder made of some bytes: each command in words, then why it stopped.
struct BinaryDecoding: Equatable {
    var commands: [String] = []
    var last = DecodeStep.needMore
    var failure: Status?
    var position = 0

    init(_ bytes: [UInt8], frameBytesMax: Int = 1 << 20) {
        var input = ByteBuffer()
        input.append(array: bytes)
        var decoder = BinaryDecoder(frameBytesMax: frameBytesMax)
        self.init(&decoder, input)
    }

    init(_ decoder: inout BinaryDecoder, _ input: borrowing ByteBuffer) {
        var command = Command()
        while true {
            last = decoder.decode(input, at: &position, into: &command)
            guard last == .command else { break }
            commands.append(describe(command, in: input))
        }
        if last == .close { failure = command.failure?.status }
    }
}

/// A request header, and a body.
func frame(
    _ opcode: UInt8, flags: UInt16 = 0, id: UInt32 = 1, magic: UInt8 = 0xAD, body: [UInt8] = [], bodyBytes: Int? = nil
) -> [UInt8] {
    var output = ByteBuffer()
    output.append(byte: magic)
    output.append(byte: opcode)
    output.append(littleEndian: flags)
    output.append(littleEndian: id)
    output.append(littleEndian: UInt32(bodyBytes ?? body.count))
    output.append(array: body)
    return Array(output.bytes)
}

func bytes(of sample: BinaryRequestSample) -> [UInt8] {
    var output = ByteBuffer()
    sample.encode(&output)
    return Array(output.bytes)
}

@Suite("Binary decoder") struct BinaryDecoderTests {
    // MARK: Cost on the wire

    @Test func `a get of a 16-byte key has 28 bytes`() {
        let sample = BinaryRequestSample.all.first { $0.name == "get-request" }!
        #expect(bytes(of: sample).count == 28)
    }

    // MARK: Where packets begin and end does not matter

    @Test(arguments: BinaryRequestSample.all)
    func `a request split anywhere waits for the rest and is then the same`(_ sample: BinaryRequestSample) {
        let whole = bytes(of: sample)
        var input = ByteBuffer()
        var decoder = BinaryDecoder(frameBytesMax: 4_096)
        for count in 0..<whole.count {
            var command = Command()
            command.tag = 77
            var position = 0
            let step = decoder.decode(input, at: &position, into: &command)
            #expect(step == .needMore, "with \(count) bytes")
            #expect(position == 0)
            #expect(command.tag == 77, "the command was touched")
            #expect(decoder.frameBytesExpected == (count < 12 ? 12 : whole.count))
            input.append(byte: whole[count])
        }
        let decoded = BinaryDecoding(&decoder, input)
        #expect(decoded.commands == [sample.command])
    }

    @Test(arguments: BinaryRequestSample.all)
    func `two requests in one packet are two commands`(_ first: BinaryRequestSample) {
        for second in BinaryRequestSample.all {
            let both = bytes(of: first) + bytes(of: second)
            let decoded = BinaryDecoding(both)
            #expect(decoded.commands == [first.command, second.command])
            #expect(decoded.position == both.count)
        }
    }

    @Test func `nothing of one command shows in the next`() {
        let all = BinaryRequestSample.all + BinaryRequestSample.all.reversed()
        let decoded = BinaryDecoding(all.flatMap { bytes(of: $0) })
        #expect(decoded.commands == all.map(\.command))
    }

    @Test func `ranges count from the first readable byte, whatever was consumed`() {
        var input = ByteBuffer()
        input.append("consumed before")
        input.append(array: frame(0x10, body: Array("first".utf8)))
        input.append(array: frame(0x10, id: 2, body: Array("second".utf8)))
        input.consume(15)
        var decoder = BinaryDecoder(frameBytesMax: 4_096)
        #expect(BinaryDecoding(&decoder, input).commands == ["get id=1 key=first", "get id=2 key=second"])
    }

    // MARK: What closes

    @Test(arguments: [0x00, 0x16, 0x2A, 0x47, 0x80, 0x81, 0xAC, 0xAE, 0xFF] as [UInt8])
    func `a wrong first byte closes before the header is whole`(_ magic: UInt8) {
        let decoded = BinaryDecoding([magic])
        #expect(decoded.last == .close)
        #expect(decoded.failure == .malformed)
        #expect(BinaryDecoding(frame(0x10, magic: magic)) == decoded)
    }

    @Test func `a frame beyond the limit is refused from its header, with its id`() {
        var input = ByteBuffer()
        input.append(array: frame(0x20, id: 9, bodyBytes: 4_096 - 12 + 1))
        var decoder = BinaryDecoder(frameBytesMax: 4_096)
        var (command, position) = (Command(), 0)
        let step = decoder.decode(input, at: &position, into: &command)
        #expect(step == .close)
        #expect(command.failure?.status == .frameTooLarge)
        #expect(command.tag == 9)
        #expect(position == 0)
    }

    @Test func `a frame of exactly the limit is taken, and the limit can be raised`() {
        let largest = frame(0x20, body: [1, 0] + Array(repeating: 65, count: 4_082))
        #expect(BinaryDecoding(largest, frameBytesMax: 4_096).commands.count == 1)
        var decoder = BinaryDecoder(frameBytesMax: 20)
        decoder.frameBytesMax = 21
        var input = ByteBuffer()
        input.append(array: frame(0x10, body: Array("ninebytes".utf8)))
        #expect(BinaryDecoding(&decoder, input).commands == ["get id=1 key=ninebytes"])
    }

    @Test func `the largest length that a header can hold is refused, not added up`() {
        let decoded = BinaryDecoding(frame(0x20, bodyBytes: Int(UInt32.max)), frameBytesMax: 1 << 24)
        #expect(decoded.failure == .frameTooLarge)
    }

    /// Opcode, flags, body: each a field short, a field long, or with a length that points outside.
    static let malformed: [(UInt8, UInt16, [UInt8])] = [
        (0x01, 0, []), (0x01, 0, [1]), (0x01, 0x2000, [1, 5, 97]), (0x01, 0, [1, 1, 97]),
        (0x01, 0x4000, [1, 15] + Array(repeating: 1, count: 15)),
        (0x02, 0, [0]), (0x50, 0, [0]), (0x51, 0, [0]),
        (0x10, 0x0100, [1, 2, 3, 4, 5, 6, 7]),
        (0x11, 0, []), (0x11, 0, [1]), (0x11, 0, [1, 0]), (0x11, 0, [1, 0, 2, 0, 97]), (0x11, 0, [1, 0, 0, 0, 97]),
        (0x11, 0, [0xFF, 0xFF, 0, 0]),
        (0x20, 0, []), (0x20, 0, [1]), (0x20, 0, [1, 0]), (0x20, 0, [2, 0, 97]), (0x20, 0, [0xFF, 0xFF, 97]),
        (0x20, 0x0008, [1, 0, 0, 0, 0, 0, 0]), (0x20, 0x0200, [1, 0]), (0x20, 0x0200, [2, 0, 1, 0, 97, 98]),
        (0x20, 0x0200, [0xFF, 0xFF, 0xFF, 0xFF]),
        (0x23, 0, [1, 2, 3, 4, 5, 6, 7]), (0x24, 0, [4, 0, 97]),
        (0x30, 0, [1, 0, 0, 0, 0]), (0x30, 0, [1, 0, 1, 0, 0, 0]), (0x30, 0, [1, 0, 0, 0, 0, 0, 97]),
        (0x30, 0, [1, 0, 0xFF, 0xFF, 0xFF, 0xFF]), (0x30, 0x0800, [1, 0, 0, 0, 0, 0]),
        (0x40, 0, [0]), (0x40, 0, [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]), (0x41, 0, [97]), (0x43, 0x4000, [97]), (0x44, 0x4000, Array(repeating: 1, count: 17)),
        (0x42, 0, [1, 0, 0, 0, 1]), (0x42, 0, [1, 0, 0, 0, 1, 0, 0]),
    ]

    @Test(arguments: malformed.indices) func `lengths that do not add up close`(_ index: Int) {
        let (opcode, flags, body) = Self.malformed[index]
        let decoded = BinaryDecoding(frame(opcode, flags: flags, body: body))
        #expect(decoded.last == .close)
        #expect(decoded.failure == .malformed)
        #expect(decoded.position == 0)
    }

    // MARK: What is refused and skipped

    /// Found by the mutation test: the key of a long request stayed in the command of a short one that was refused, and
    /// pointed behind its frame.
    @Test func `a refused request has no key of the request before it`() {
        let long = frame(0x10, body: Array("a key of the request before".utf8))
        let decoded = BinaryDecoding(long + frame(0x10, flags: 0x8000, id: 2))
        #expect(decoded.commands.last == "get id=2 flags=8000 failure=unknownFlag")
    }

    /// Opcode, flags, body, and what the refusal says.
    static let refused: [(UInt8, UInt16, [UInt8], Status)] = [
        (0x00, 0, [], .unknownOperation), (0x7F, 0xFFFF, [1, 2, 3], .unknownOperation),
        (0x10, 0x8000, [97], .unknownFlag), (0x10, 0x0008, [97], .unknownFlag), (0x20, 0x0100, [], .unknownFlag),
        (0x02, 0x0001, [], .unknownFlag), (0x01, 0x0001, [1, 0], .unknownFlag),
        (0x20, 0x0060, [1, 0, 97], .unknownFlag), (0x20, 0x00A0, one64 + [1, 0, 97], .unknownFlag),
        (0x20, 0x0018, one64 + [1, 0, 97], .unknownFlag), (0x41, 0x6000, [97], .unknownFlag),
        (0x01, 0, [0], .unsupportedVersion), (0x01, 0, [2, 200, 3], .unsupportedVersion),
        (0x20, 0x0080, zero64 + [1, 0, 97], .versionInvalid), (0x10, 0x0100, zero64 + [97], .versionInvalid),
        (0x20, 0x0008, zero64 + [1, 0, 97], .lifetimeInvalid),
        (0x22, 0x0008, [0, 0, 0, 0, 0, 0, 0, 0x80, 97], .lifetimeInvalid),
        (0x11, 0, [0, 0], .limitInvalid), (0x11, 0, [1, 4] + Array(repeating: 0, count: 2_050), .limitInvalid),
        (0x30, 0, [0, 0, 0, 0, 0, 0], .limitInvalid), (0x30, 0, [0xE9, 3, 0, 0, 0, 0], .limitInvalid),
        (0x42, 0, [0, 0, 0, 0, 1, 0], .limitInvalid), (0x42, 0, [1, 0, 0, 0, 0, 0], .limitInvalid),
        (0x40, 0, [4, 0, 0] + zero64 + [97], .unknownFlag), (0x40, 0, [0, 2, 0] + zero64 + [97], .unknownFlag),
        (0x40, 0, [0, 0, 2] + zero64 + [97], .unknownFlag),
    ]
    private static let zero64: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
    private static let one64: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0]

    @Test(arguments: refused.indices) func `what is not understood is refused, and the next frame is not`(_ index: Int) {
        let (opcode, flags, body, status) = Self.refused[index]
        let decoded = BinaryDecoding(frame(opcode, flags: flags, id: 5, body: body) + frame(0x02, id: 6))
        #expect(decoded.commands.count == 2)
        #expect(decoded.commands.first?.contains(" id=5 ") == true)
        #expect(decoded.commands.first?.hasSuffix("failure=\(status)") == true)
        #expect(decoded.commands.last == "ping id=6")
        #expect(decoded.last == .needMore)
    }

    @Test func `every flag that an operation does not know is refused`() {
        for opcode in BinaryOpcode.allCases {
            for bit in 0..<16 where opcode.flags.rawValue & (1 << bit) == 0 {
                let decoded = BinaryDecoding(frame(opcode.rawValue, flags: 1 << bit))
                #expect(decoded.commands.count == 1)
                #expect(decoded.commands.first?.hasPrefix("\(opcode) id=1 flags=\(hex(1 << bit))") == true)
                #expect(decoded.commands.first?.hasSuffix("failure=unknownFlag") == true)
            }
        }
    }

    @Test func `every other opcode is refused`() {
        for code in UInt8.min...UInt8.max where BinaryOpcode(rawValue: code) == nil {
            #expect(BinaryDecoding(frame(code)).commands == ["none id=1 failure=unknownOperation"])
        }
    }

    @Test func `the longest lifetime and the smallest delta are taken`() {
        let lifetime: [UInt8] = Array(repeating: 0xFF, count: 7) + [0x7F]
        let delta: [UInt8] = Array(repeating: 0, count: 7) + [0x80]
        let decoded = BinaryDecoding(frame(0x23, flags: 0x0008, body: lifetime + delta + [97]))
        let fields = "lifetime=milliseconds(\(Int64.max)) delta=\(Int64.min)"
        #expect(decoded.commands == ["increment id=1 flags=0008 key=a \(fields)"])
    }

    @Test func `empty keys and values pass; the server judges them`() {
        #expect(BinaryDecoding(frame(0x10)).commands == ["get id=1"])
        #expect(BinaryDecoding(frame(0x20, body: [0, 0])).commands == ["put id=1"])
        #expect(BinaryDecoding(frame(0x11, body: [1, 0, 0, 0])).commands == ["getMany id=1 keys="])
    }

    private func hex(_ bits: UInt16) -> String {
        let digits = String(bits, radix: 16)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
