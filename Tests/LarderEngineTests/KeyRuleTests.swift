import LarderBytes
import LarderEngine
import Testing

@Suite("Key rule") struct KeyRuleTests {
    private func fault(_ rule: KeyRule, _ key: String) -> KeyFault? { rule.checkKey(Array(key.utf8).span.bytes) }

    @Test func `a path key has 1 to 256 bytes`() {
        #expect(fault(.path, "") == .empty)
        #expect(fault(.path, "a") == nil)
        #expect(fault(.path, String(repeating: "k", count: 256)) == nil)
        #expect(fault(.path, String(repeating: "k", count: 257)) == .tooLong)
    }

    @Test func `a byte key has 1 to 1024 bytes of any kind`() {
        #expect(fault(.bytes, "") == .empty)
        #expect(fault(.bytes, "_user:1 \u{0}\u{7F}é") == nil)
        #expect(fault(.bytes, ".") == nil)
        #expect(fault(.bytes, String(repeating: "k", count: 1_024)) == nil)
        #expect(fault(.bytes, String(repeating: "k", count: 1_025)) == .tooLong)
    }

    @Test func `a path key that begins with an underscore is reserved`() {
        #expect(fault(.path, "_a") == .reserved)
        #expect(fault(.path, "a_") == nil)
    }

    @Test func `the names of directories are not keys`() {
        #expect(fault(.path, ".") == .illegal)
        #expect(fault(.path, "..") == .illegal)
        #expect(fault(.path, "...") == nil)
        #expect(fault(.path, "../a") == nil)
    }

    @Test(arguments: [1, 2, 7, 8, 9, 15, 16, 17, 40])
    func `every byte is judged alike wherever it stands`(_ count: Int) {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/=.".utf8)
        for position in 0..<count {
            for byte in UInt8.min...UInt8.max {
                var key = [UInt8](repeating: UInt8(ascii: "x"), count: count)
                key[position] = byte
                let fault = KeyRule.path.checkKey(key.span.bytes)
                let expected: KeyFault? =
                    if position == 0 && byte == UInt8(ascii: "_") { .reserved }
                    else if !allowed.contains(byte) || key == [UInt8(ascii: ".")] { .illegal }
                    else { nil }
                #expect(fault == expected, "byte \(byte) at \(position) of \(count)")
            }
        }
    }
}
