// Memory from the kernel: a range of addresses reserved once, backed by pages as they are touched.
//
// Knows nothing of who uses which part.

import Glibc

/// A private anonymous mapping. Bytes that were never written, or were discarded since, read as zero and cost nothing.
@safe package struct Pages: ~Copyable, @unchecked Sendable {
    /// The first byte; aligned to `alignment`.
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int

    /// What the kernel hands out at a time.
    package static let pageBytes = 4_096
    /// The mapping starts at a multiple of the processor's large page.
    package static let alignment = 2 << 20

    /// Reserves addresses for `byteCount` bytes, which must be a multiple of `pageBytes`. No memory is committed.
    ///
    /// - Parameter largePages: Ask for 2 MiB pages where the kernel grants them.
    /// - Returns: nil when the kernel refuses.
    package init?(reserving byteCount: Int, largePages: Bool = false) {
        precondition(byteCount > 0 && byteCount % Self.pageBytes == 0, "not a whole number of pages")
        let (padded, overflow) = byteCount.addingReportingOverflow(Self.alignment)
        guard !overflow else { return nil }
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let mapping = unsafe mmap(nil, padded, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe mapping != MAP_FAILED
        else { return nil }
        let start = unsafe mapping.alignedUp(toMultipleOf: Self.alignment)
        let before = unsafe start - mapping
        // The kernel refuses to unmap only what was not mapped, or when it cannot split a mapping; both leave mere addresses.
        if before > 0 { unsafe munmap(mapping, before) }
        if padded - before > byteCount { unsafe munmap(start + byteCount, padded - before - byteCount) }
        unsafe base = start
        self.byteCount = byteCount
        // A wish: where the kernel has no large pages the call fails and nothing is lost.
        if largePages { unsafe madvise(start, byteCount, MADV_HUGEPAGE) }
    }

    deinit {
        unsafe munmap(base, byteCount)
    }

    /// Asks for the memory of a range now, all at once, and not page by page when each is first written. What was written
    /// stays. Where the kernel does not know how (before 5.14) nothing happens.
    ///
    /// - Complexity: O(bytes), some 0.1 ms for 2 MiB.
    package borrowing func populate(offset: Int, byteCount: Int) {
        precondition(offset >= 0 && byteCount >= 0 && byteCount <= self.byteCount - offset, "range leaves the mapping")
        unsafe madvise(base + offset, byteCount, MADV_POPULATE_WRITE)
    }

    /// Gives the memory of a range back to the kernel; the range reads as zeros afterwards.
    ///
    /// - Complexity: O(resident pages in the range), about 0.1 us each.
    package borrowing func discard(offset: Int, byteCount: Int) {
        precondition(offset >= 0 && byteCount >= 0 && byteCount <= self.byteCount - offset, "range leaves the mapping")
        precondition(offset % Self.pageBytes == 0 && byteCount % Self.pageBytes == 0, "not whole pages")
        unsafe madvise(base + offset, byteCount, MADV_DONTNEED)
    }
}
