// What the C library does with memory that was freed. Entries do not lie there (`Pages`); buffers for large values do.
//
// Source: mallopt(3). Left to itself, glibc raises both bounds to the largest block that was ever freed, and then keeps that much in
// each thread's arena for good.

import CLarderSystem

package enum Heap {
    /// Blocks of so many bytes come from the kernel one by one, and go back to it when they are freed.
    private static let mappedBytesMin: Int32 = 1 << 20
    /// So many free bytes at the end of an arena stay there. Less, and a buffer that is used again and again is faulted in each time.
    private static let trimmedBytesMin: Int32 = 2 << 20

    /// Bounds what is kept of freed blocks. For the whole process; to be called before there are threads.
    package static func boundWhatIsKept() {
        larder_bound_heap(mappedBytesMin, trimmedBytesMin)
    }
}
