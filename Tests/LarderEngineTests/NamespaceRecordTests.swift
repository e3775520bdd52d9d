import LarderBytes
import LarderEngine
import Testing

@Suite("Namespace record") struct NamespaceRecordTests {
    private let record = NamespaceRecord(
        id: NamespaceID(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F), state: .deleting,
        settings: NamespaceSettings(durability: .off, keyRule: .bytes, eviction: .s3fifo, bytesMax: 0x77_8899), created: 0x1122_3344,
        flushLSN: LSN(rawValue: 0x55), numbersGiven: 9)

    private static let bytes: [UInt8] = [
        1, 2, 3, 1, 9, 0, 0, 0,
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F,
        0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0,
        0x55, 0, 0, 0, 0, 0, 0, 0,
        0x99, 0x88, 0x77, 0, 0, 0, 0, 1,
    ]

    private func parse(_ bytes: [UInt8]) -> NamespaceRecord? { NamespaceRecord(parsing: bytes.span.bytes) }

    @Test func `every byte is where the layout says`() {
        var buffer = ByteBuffer()
        record.append(to: &buffer)
        let held = Array(buffer.bytes)
        #expect(held == Self.bytes)
    }

    @Test func `what was written is read, whatever a later version adds`() {
        #expect(parse(Self.bytes + [1, 2, 3]) == record)
    }

    @Test(arguments: [0, 1, 2, 3, 47]) func `a layout, state or setting that is not known is refused`(_ position: Int) {
        var bytes = Self.bytes
        bytes[position] = 77
        #expect(parse(bytes) == nil)
    }

    @Test func `a record from before there were limits says that there is none`() {
        let record = parse(Array(Self.bytes[..<40]) + [UInt8](repeating: 0, count: 8))
        #expect(record?.settings == NamespaceSettings(durability: .off, keyRule: .bytes, eviction: .none, bytesMax: 0))
    }

    @Test func `the largest limit is written and read`() {
        var largest = record
        largest.settings.bytesMax = NamespaceSettings.bytesMaxMax
        var buffer = ByteBuffer()
        largest.append(to: &buffer)
        #expect(parse(Array(buffer.bytes)) == largest)
    }

    @Test func `a record that is cut short is refused`() {
        for count in 0..<Self.bytes.count { #expect(parse(Array(Self.bytes[..<count])) == nil) }
    }
}
