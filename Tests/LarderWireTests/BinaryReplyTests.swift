import LarderBytes
import LarderWire
import Testing

@Suite("Binary replies") struct BinaryReplyTests {
    private func get(_ flags: BinaryFlags = [], id: UInt32 = 1) -> Command {
        var command = Command()
        command.operation = .get
        command.flags = flags.rawValue
        command.tag = id
        return command
    }

    @Test(arguments: [0, 1, 16, 1_000, 1_048_576]) func `a hit adds 12 bytes to the value`(_ count: Int) {
        var output = ByteBuffer()
        reply(String(repeating: "v", count: count), to: get(), into: &output)
        let written = output.count
        #expect(written == count + 12)
    }

    @Test func `a miss has 12 bytes`() {
        var output = ByteBuffer()
        BinaryReply.done(.notFound, version: 9, to: get(), into: &output)
        let written = output.count
        #expect(written == 12)
    }

    @Test func `fields come only when they are asked for, in every combination`() throws {
        for bits in 0..<8 as Range<UInt16> {
            let flags = BinaryFlags(rawValue: bits)
            var output = ByteBuffer()
            reply("value", remaining: nil, to: get(flags), into: &output)
            var position = 0
            let decoded = try #require(try BinaryReplyDecoder().decode(output, at: &position))
            #expect((decoded.version == sampleVersion) == flags.contains(.wantVersion))
            #expect((decoded.lifetime == .unlimited) == flags.contains(.wantLifetime))
            #expect((decoded.contentType.count == 10) == flags.contains(.wantContentType))
            let value = String(utf8: output.span(decoded.payload))
            #expect(value == "value")
        }
    }

    @Test func `an entry without a content type has no such field`() throws {
        var output = ByteBuffer()
        reply("value", contentType: "", to: get(.wantContentType), into: &output)
        let written = output.count
        #expect(written == 17)
    }

    @Test func `a content type beyond 64 KiB loses its end and nothing else`() throws {
        var output = ByteBuffer()
        reply("value", contentType: String(repeating: "t", count: 70_000), to: get(.wantContentType), into: &output)
        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(output, at: &position))
        #expect(decoded.contentType.count == 65_535)
        let value = String(utf8: output.span(decoded.payload))
        #expect(value == "value")
    }

    @Test(arguments: Status.allCases) func `every status arrives`(_ status: Status) throws {
        var output = ByteBuffer()
        BinaryReply.done(status, version: 0, to: get(.wantVersion, id: .max), into: &output)
        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(output, at: &position))
        #expect(decoded.status == status)
        #expect(decoded.id == .max)
        #expect(decoded.version == nil)
    }

    @Test func `a lifetime that has run out is 0, not unlimited`() throws {
        var output = ByteBuffer()
        BinaryReply.lifetime(-5, version: 1, to: get(.wantVersion), into: &output)
        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(output, at: &position))
        #expect(decoded.lifetime == .milliseconds(0))
        #expect(decoded.version == 1)
    }

    @Test func `a get-many reply that is full asks the client to come again`() throws {
        let value = [UInt8](repeating: 7, count: 6 * 1_024 * 1_024)
        let entry = EntryReply(value: value.span.bytes, contentType: RawSpan(), version: 1, remaining: nil)
        var output = ByteBuffer()
        var mark = BinaryReply.beginMany(4, to: get(), into: &output)
        #expect(BinaryReply.manyHit(entry, mark: &mark, to: get(), into: &output))
        #expect(BinaryReply.manyHit(entry, mark: &mark, to: get(), into: &output))
        #expect(!BinaryReply.manyHit(entry, mark: &mark, to: get(), into: &output))
        BinaryReply.manyMiss(mark: &mark, into: &output)
        BinaryReply.endMany(mark, into: &output)

        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(output, at: &position))
        var answers = try BinaryManyAnswers(decoded, in: output)
        var statuses: [Status] = []
        while let answer = try answers.next(in: output) { statuses.append(answer.status) }
        #expect(statuses == [.ok, .ok, .frameTooLarge, .notFound])
    }

    @Test func `a value beyond the limit of a get-many reply is sent when it comes first`() {
        let value = [UInt8](repeating: 7, count: BinaryFrame.manyBytesMax + 1)
        let entry = EntryReply(value: value.span.bytes, contentType: RawSpan(), version: 1, remaining: nil)
        var output = ByteBuffer()
        var mark = BinaryReply.beginMany(BinaryFrame.keysMax, to: get(), into: &output)
        for _ in 1..<BinaryFrame.keysMax { BinaryReply.manyMiss(mark: &mark, into: &output) }
        #expect(BinaryReply.manyHit(entry, mark: &mark, to: get(), into: &output))
    }

    // MARK: The client's half

    @Test(arguments: BinaryReplySample.all)
    func `a reply split anywhere waits for the rest`(_ sample: BinaryReplySample) throws {
        var whole = ByteBuffer()
        sample.encode(&whole)
        var input = ByteBuffer()
        for count in 0..<whole.count {
            var position = 0
            let early = try BinaryReplyDecoder().decode(input, at: &position)
            #expect(early == nil, "with \(count) bytes")
            #expect(position == 0)
            let next = whole[count]
            input.append(byte: next)
        }
        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(input, at: &position))
        let words = try describe(decoded, in: input)
        #expect(words == sample.reply)
    }

    @Test func `a client refuses what is no reply`() {
        func error(_ bytes: [UInt8], limit: Int = 1_024) -> BinaryReplyError? {
            var input = ByteBuffer()
            input.append(array: bytes)
            var position = 0
            do throws(BinaryReplyError) {
                _ = try BinaryReplyDecoder(frameBytesMax: limit).decode(input, at: &position)
                return nil
            } catch { return error }
        }
        #expect(error([0xAD]) == .wrongMagic(0xAD))
        #expect(error([0xAE, 0, 0, 0, 0, 0, 0, 0, 0xF5, 3, 0, 0]) == .frameTooLarge(bytes: 1_025, limit: 1_024))
        #expect(error([0xAE, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0]) == .malformed)
        #expect(error([0xAE, 0, 0, 0x01, 0, 0, 0, 0, 1, 0, 0, 0, 7]) == .malformed)
        #expect(error([0xAE, 0, 0, 0x08, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 97]) == .malformed)
    }

    @Test func `a status that the client does not know is a failure`() throws {
        var input = ByteBuffer()
        input.append(array: ([0xAE, 0xFE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as [UInt8]))
        var position = 0
        let decoded = try #require(try BinaryReplyDecoder().decode(input, at: &position))
        #expect(decoded.status == .internalError)
        #expect(decoded.code == 0xFE)
    }
}
