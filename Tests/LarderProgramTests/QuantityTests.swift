import LarderProgram
import Testing

@Suite("Durations and sizes") struct QuantityTests {
    @Test(arguments: [
        ("30s", 30_000_000_000), ("1h30m", 5_400_000_000_000), ("1.5s", 1_500_000_000), ("100ms", 100_000_000),
        ("45", 45_000_000_000), ("0", 0), (".5m", 30_000_000_000), ("1.s", 1_000_000_000), ("2us", 2_000), ("3ns", 3),
        ("1m1m", 120_000_000_000), ("0.1234567891s", 123_456_789), ("9223372036", 9_223_372_036_000_000_000),
        ("2562047h47m16.854775807s", Int64.max),
    ] as [(String, Int64)])
    func `a duration is read`(_ text: String, _ nanoseconds: Int64) {
        #expect(DurationText.nanoseconds(text) == nanoseconds)
    }

    @Test(arguments: [
        "", "s", ".", ".s", "-1s", "+1s", "1 s", " 1s", "1d", "1hm", "1s1", "9223372037", "2562047h47m16.854775808s",
        "1e3s", "٣s", String(repeating: "9", count: 39) + "h", String(repeating: "1h", count: 30),
    ])
    func `what is no duration is refused`(_ text: String) {
        #expect(DurationText.nanoseconds(text) == nil)
    }

    @Test(arguments: [
        (0, "0s"), (1, "1ms"), (1_000, "1s"), (90_000, "1m30s"), (900_000, "15m"), (5_400_000, "1h30m"), (1_500, "1s500ms"),
    ] as [(Int64, String)])
    func `a duration is shown and read back`(_ milliseconds: Int64, _ text: String) {
        #expect(DurationText.text(milliseconds: milliseconds) == text)
        #expect(DurationText.nanoseconds(text) == milliseconds * 1_000_000)
    }

    @Test(arguments: [
        ("64MiB", 67_108_864), ("64 MiB", 67_108_864), ("25MB", 25_000_000), ("1048576", 1_048_576), ("1B", 1), ("0", 0),
        ("2kB", 2_000), ("2KB", 2_000), ("1GiB", 1 << 30), ("1TiB", 1 << 40),
    ])
    func `a size is read`(_ text: String, _ bytes: Int) {
        #expect(SizeText.bytes(text) == bytes)
    }

    @Test(arguments: ["", "MiB", "-1", "1.5MiB", "64m", "64mib", "1 ", "1MiBx", "9999999999999999999", "9999999TiB0", "١MiB",
        "9223372036854775807KiB"])
    func `what is no size is refused`(_ text: String) {
        #expect(SizeText.bytes(text) == nil)
    }

    @Test(arguments: [(0, "0B"), (1, "1B"), (1_048_576, "1MiB"), (25_000_000, "25MB"), (1_536, "1536B"), (10_000, "10kB")])
    func `a size is shown and read back`(_ bytes: Int, _ text: String) {
        #expect(SizeText.text(bytes: bytes) == text)
        #expect(SizeText.bytes(text) == bytes)
    }
}
