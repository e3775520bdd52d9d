// Real numbers in decimal, as INCRBYFLOAT reads and writes them: with the widest type of the machine, like Redis.
//
// Unsafe, and sound because the texts are the library's own C strings for the length of one call, and the function is told how many
// bytes there are for the sum.

import CLarderSystem

/// Sums of numbers that are texts.
package enum RealText {
    package enum Sum: Equatable, Sendable {
        /// Without an exponent, with at most 17 digits behind the point, and none that says nothing.
        case text(String)
        /// One of the two is no number, or so large or so small that there is none near it.
        case notANumber
        case notFinite
    }

    /// The largest number of the widest type has 4,933 digits before the point. A longer text is no number.
    private static let bytesMax = 5_120

    package static func sum(_ first: String, _ second: String) -> Sum {
        for text in [first, second] where text.utf8.count > bytesMax || text.utf8.contains(0) { return .notANumber }
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bytesMax) { buffer in
            let count = unsafe Int(larder_add_reals(first, second, buffer.baseAddress, buffer.count))
            if count < 0 { return .notANumber }
            return count == 0 ? .notFinite : .text(unsafe String(decoding: buffer[..<count], as: UTF8.self))
        }
    }
}
