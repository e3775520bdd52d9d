// The keys of a get-many, one after another, where they lie in the receive buffer.

import LarderBytes

/// Walks the counted keys of a get-many. A copy of it walks them again, so a server can hash all keys first and read
/// the entries afterwards.
package struct BinaryKeyList: Sendable {
    /// How many keys are left.
    package private(set) var count: Int
    private var body: BinaryBody

    /// - Parameter keys: `Command.value` of a get-many that was decoded from `input` without a failure.
    package init(_ keys: ByteRange, in input: borrowing ByteBuffer) {
        let bytes = input.bytes
        body = BinaryBody(keys, within: bytes)
        count = Int(body.take(UInt16.self, bytes) ?? 0)
    }

    /// Where the next key lies, or nil behind the last. O(1).
    package mutating func next(in input: borrowing ByteBuffer) -> ByteRange? {
        let bytes = input.bytes
        body.checkLies(within: bytes)
        guard count > 0, let key = body.takeText(UInt16.self, bytes) else { return nil }
        count &-= 1
        return key
    }
}
