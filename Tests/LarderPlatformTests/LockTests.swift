import LarderPlatform
import Testing

/// A counter that is wrong as soon as two threads are in at once.
private final class Counter: @unchecked Sendable {
    let lock = Lock()
    var value = 0
}

@Suite("Lock") struct LockTests {
    /// Runs `body` on several threads and waits for all of them.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let threads = (0..<count).map { number in try! Thread(name: "test \(number)") { body(number) } }
        for thread in threads { thread.join() }
    }

    @Test func `lets one thread in at a time`() {
        let counter = Counter()
        onThreads(4) { _ in
            for _ in 0..<100_000 {
                counter.lock.lock()
                counter.value += 1
                counter.lock.unlock()
            }
        }
        #expect(counter.value == 400_000)
    }

    @Test func `counts those who find it held`() {
        let counter = Counter()
        let before = Lock.waits
        counter.lock.lock()
        let waiter = try! Thread(name: "waiter") {
            counter.lock.lock()
            counter.lock.unlock()
        }
        while Lock.waits == before {}
        counter.lock.unlock()
        waiter.join()
        #expect(Lock.waits > before)
    }

    @Test func `the longest hold of a chore is its holder's processor time`() {
        let times = HoldTimes()
        #expect(Chore.allCases.allSatisfy { times.longest($0) == 0 })
        times.measure(.walk) {
            let end = Thread.nanoseconds() + 200_000
            while Thread.nanoseconds() < end {}
        }
        let longest = times.longest(.walk)
        #expect(longest >= 200_000)
        // Shorter ones do not count, nor does time in which the holder did nothing.
        times.measure(.walk) {}
        #expect(times.longest(.walk) == longest)
        times.measure(.upkeep) { Thread.sleep(milliseconds: 2) }
        #expect(times.longest(.upkeep) < 2_000_000)
    }

    @Test func `wakes threads that went to sleep`() {
        let counter = Counter()
        onThreads(4) { _ in
            for _ in 0..<2_000 {
                counter.lock.lock()
                // Long enough that the others stop spinning.
                for _ in 0..<2_000 { counter.value &+= 1 }
                counter.lock.unlock()
            }
        }
        #expect(counter.value == 4 * 2_000 * 2_000)
    }

    @Test func `is not taken twice`() {
        let counter = Counter()
        counter.lock.lock()
        let second = counter.lock.tryLock()
        counter.lock.unlock()
        let third = counter.lock.tryLock()
        #expect(!second)
        #expect(third)
    }

    @Test func `works in raw memory`() {
        let memory = UnsafeMutablePointer<Lock>.allocate(capacity: 1)
        memory.initialize(to: Lock())
        memory.pointee.lock()
        let taken = memory.pointee.tryLock()
        memory.pointee.unlock()
        #expect(!taken)
        #expect(MemoryLayout<Lock>.size == 4)
        memory.deinitialize(count: 1)
        memory.deallocate()
    }
}

@Suite("Pages") struct PagesTests {
    @Test func `read as zeros, and again after being discarded`() {
        guard let pages = Pages(reserving: 1 << 20) else {
            Issue.record("no addresses")
            return
        }
        let base = pages.base
        #expect(Int(bitPattern: base) % Pages.alignment == 0)
        #expect(base.load(fromByteOffset: 8_192, as: UInt64.self) == 0)
        base.storeBytes(of: 7, toByteOffset: 8_192, as: UInt64.self)
        base.storeBytes(of: 9, toByteOffset: 12_288, as: UInt64.self)
        pages.discard(offset: 8_192, byteCount: 4_096)
        #expect(base.load(fromByteOffset: 8_192, as: UInt64.self) == 0)
        #expect(base.load(fromByteOffset: 12_288, as: UInt64.self) == 9)
    }

    @Test func `cost nothing until they are touched`() {
        guard let pages = Pages(reserving: 32 << 30) else {
            Issue.record("no addresses")
            return
        }
        let last = pages.byteCount - 8
        pages.base.storeBytes(of: 1, toByteOffset: last, as: UInt64.self)
        #expect(pages.base.load(fromByteOffset: last, as: UInt64.self) == 1)
    }

    @Test func `a version is told unless something is being changed, and is another after each change`() throws {
        let lock = VersionedLock()
        func seen() -> UInt64? { lock.version }
        func isUnchanged(since version: UInt64) -> Bool { lock.isUnchanged(since: version) }
        let first = try #require(seen())
        #expect(isUnchanged(since: first))
        lock.lock()
        #expect(seen() == nil)
        #expect(!isUnchanged(since: first))
        lock.unlock()
        let second = try #require(seen())
        #expect(second != first)
        #expect(!isUnchanged(since: first))
        lock.lockUnchanged()
        #expect(seen() == second)
        lock.unlockUnchanged()
        #expect(isUnchanged(since: second))
    }
}
