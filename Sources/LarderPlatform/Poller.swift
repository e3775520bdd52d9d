// Which descriptors are ready, level-triggered, and a way to wake the thread that waits.
//
// Register once and never re-arm: four epoll_ctl calls a request would cost more than the request.

import CLarderSystem
import Glibc

/// Waits for readiness of many descriptors (epoll). One thread waits; any thread may register or wake.
package struct Poller: ~Copyable, Sendable {
    private let descriptor: Int32
    private let wakeDescriptor: Int32

    /// The token that `wait` reports for `wake()`.
    package static let wakeToken = UInt64.max

    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let read = Interest(rawValue: EPOLLIN.rawValue)
        package static let write = Interest(rawValue: EPOLLOUT.rawValue)
    }

    package struct Event: Sendable {
        package let token: UInt64
        package let readable: Bool
        package let writable: Bool
        /// The connection is gone in both directions; also reported when nothing was asked for.
        package let hangUp: Bool
    }

    package init() throws(SystemError) {
        let poller = try systemCall("epoll_create1") { larder_epoll_create() }
        let wake: Int32
        do throws(SystemError) {
            wake = try systemCall("eventfd") { larder_eventfd() }
            try Self.control(poller, EPOLL_CTL_ADD, wake, EPOLLIN.rawValue, Self.wakeToken)
        } catch {
            Glibc.close(poller)
            throw error
        }
        descriptor = poller
        wakeDescriptor = wake
    }

    deinit {
        Glibc.close(wakeDescriptor)
        Glibc.close(descriptor)
    }

    /// Reports `descriptor` with `token` whenever it is ready for `interest`.
    package func add(_ descriptor: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try Self.control(self.descriptor, EPOLL_CTL_ADD, descriptor, interest.rawValue, token)
    }

    package func change(_ descriptor: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try Self.control(self.descriptor, EPOLL_CTL_MOD, descriptor, interest.rawValue, token)
    }

    package func remove(_ descriptor: Int32) {
        try? Self.control(self.descriptor, EPOLL_CTL_DEL, descriptor, 0, 0)
    }

    /// Makes the next or current `wait` return. Callable from any thread.
    package func wake() {
        var one: UInt64 = 1
        _ = unsafe write(wakeDescriptor, &one, 8)
    }

    /// Forgets wake-ups so far; called by the waiting thread when it sees `wakeToken`.
    package func clearWake() {
        var count: UInt64 = 0
        _ = unsafe read(wakeDescriptor, &count, 8)
    }

    /// Waits at most `timeoutMilliseconds` (negative: for ever).
    ///
    /// - Returns: How many of `events` say which descriptors are ready.
    package func wait(_ events: borrowing EventList, timeoutMilliseconds: Int32) -> Int {
        let count = unsafe larder_epoll_wait(descriptor, events.storage.baseAddress, Int32(events.storage.count), timeoutMilliseconds)
        return max(Int(count), 0)
    }

    /// The same, and calls `handle` for each ready descriptor.
    package func wait(_ events: borrowing EventList, timeoutMilliseconds: Int32, _ handle: (Event) -> Void) {
        for index in 0..<wait(events, timeoutMilliseconds: timeoutMilliseconds) { handle(events[index]) }
    }

    /// The same with a finer limit, for loops that have to do something at a moment.
    package func wait(_ events: borrowing EventList, timeoutNanoseconds: Int64, _ handle: (Event) -> Void) {
        let count = unsafe larder_epoll_wait_nanoseconds(
            descriptor, events.storage.baseAddress, Int32(events.storage.count), timeoutNanoseconds)
        for index in 0..<max(Int(count), 0) { handle(events[index]) }
    }

    /// Room for the events of one wait.
    @safe
    package struct EventList: ~Copyable {
        fileprivate let storage: UnsafeMutableBufferPointer<larder_event>
        package init() { unsafe storage = .allocate(capacity: 256) }
        deinit { unsafe storage.deallocate() }

        /// One of those that the last wait reported.
        package subscript(index: Int) -> Event {
            let event = unsafe storage[index]
            let hangUp = event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
            return Event(
                token: event.token, readable: event.events & EPOLLIN.rawValue != 0,
                writable: event.events & EPOLLOUT.rawValue != 0, hangUp: hangUp)
        }
    }

    private static func control(
        _ poller: Int32, _ operation: Int32, _ descriptor: Int32, _ events: UInt32, _ token: UInt64
    ) throws(SystemError) {
        try systemCall("epoll_ctl") { larder_epoll_control(poller, operation, descriptor, events, token) }
    }
}
