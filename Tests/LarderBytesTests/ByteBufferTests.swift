import LarderBytes
import Testing

@Suite("Byte buffer") struct ByteBufferTests {
    @Test func `bytes come out in the order they went in, across growth and consumption`() {
        var buffer = ByteBuffer()
        var expected: [UInt8] = []
        for round in 0..<200 {
            let piece = (0..<round).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ round) }
            buffer.append(piece.span.bytes)
            expected += piece
            let eaten = min(buffer.count, round / 2)
            buffer.consume(eaten)
            expected.removeFirst(eaten)
            let held = Array(buffer.bytes)
            #expect(held == expected)
        }
    }

    @Test func `a range counts from the first byte that was not consumed`() {
        var buffer = ByteBuffer()
        buffer.append("abcdef")
        buffer.consume(2)
        let text = String(utf8: buffer.span(ByteRange(start: 1, count: 2)))
        #expect(text == "de")
    }

    @Test func `integers are little-endian and can be patched in place`() {
        var buffer = ByteBuffer()
        buffer.append(littleEndian: UInt32(0))
        buffer.append(littleEndian: UInt16(0x0102))
        buffer.overwrite(at: 0, littleEndian: UInt32(0xA1B2_C3D4))
        let held = Array(buffer.bytes)
        #expect(held == [0xD4, 0xC3, 0xB2, 0xA1, 0x02, 0x01])
    }

    @Test func `a move may overlap`() {
        var buffer = ByteBuffer()
        buffer.append("0123456789")
        buffer.move(from: 2, to: 0, count: 8)
        let text = String(utf8: buffer.bytes)
        #expect(text == "2345678989")
    }
}

@Suite("Decimal") struct DecimalTests {
    @Test(arguments: [Int64.min, -10, -1, 0, 1, 9, 10, 99, 100, 12_345, Int64.max])
    func `a number reads back as it was written`(_ value: Int64) {
        var buffer = ByteBuffer()
        buffer.append(decimal: value)
        let text = String(utf8: buffer.bytes)
        let parsed = Decimal.parse(buffer.bytes)
        #expect(text == String(value))
        #expect(parsed == value)
    }

    @Test(arguments: ["", "-", "+1", "1.5", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "0x1"])
    func `text that is not a 64-bit integer is refused`(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(Decimal.parse(bytes.span.bytes) == nil)
    }
}

@Suite("Checksum") struct ChecksumTests {
    @Test func `the published check value of CRC-32C`() {
        // "123456789" gives E3069283 (RFC 3720 polynomial, catalogue entry CRC-32/ISCSI).
        let input = Array("123456789".utf8)
        #expect(Checksum.of(input.span.bytes) == 0xE306_9283)
    }

    @Test func `with and without the instruction agree at every length`() {
        var bytes: [UInt8] = []
        for index in 0..<300 {
            #expect(Checksum.of(bytes.span.bytes) == Checksum.withoutInstruction(bytes.span.bytes))
            bytes.append(UInt8(truncatingIfNeeded: index &* 31))
        }
    }

    /// From 1,536 bytes on three runs are summed side by side.
    @Test func `long runs, and what is left behind them, agree as well`() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3 &+ $0) }
        for count in Array(1_500..<1_560) + Array(3_060..<3_090) + [4_607, 4_608, 4_609, 6_143, 9_999, 10_000] {
            let span = bytes.span.bytes.slice(0, count)
            #expect(Checksum.of(span) == Checksum.withoutInstruction(span), "\(count) bytes")
        }
    }

    @Test func `pieces give the same as the whole`() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        for cut in [0, 1, 333, 1_535, 1_536, 1_537, 4_099, 8_464, 9_999] {
            var checksum = Checksum()
            checksum.update(bytes.span.bytes.slice(0, cut))
            checksum.update(bytes.span.bytes.slice(cut, 10_000 - cut))
            #expect(checksum.value == Checksum.withoutInstruction(bytes.span.bytes), "cut at \(cut)")
        }
    }
}

@Suite("Byte order") struct ByteOrderTests {
    @Test func `order is that of unsigned bytes, a prefix first`() {
        let words: [[UInt8]] = [[], [0], [0, 0], [1], Array("abcdefgh".utf8), Array("abcdefghi".utf8), Array("abcdefgz".utf8), [0xFF]]
        for (leftIndex, left) in words.enumerated() {
            for (rightIndex, right) in words.enumerated() {
                let order = left.span.bytes.compare(to: right.span.bytes)
                #expect(order.signum() == (leftIndex - rightIndex).signum())
            }
        }
    }
}
