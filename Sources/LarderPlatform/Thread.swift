// Plain system threads, for loops that live as long as the server.

import CLarderSystem
import Glibc

/// A thread that runs one function to its end.
package struct Thread: Sendable {
    // pthread_t is an opaque number on Linux; nothing is read through it.
    private let handle: pthread_t

    /// Starts a thread.
    ///
    /// - Parameter name: At most 15 bytes; shown by `top -H` and debuggers.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        final class Box: Sendable {
            let name: String
            let body: @Sendable () -> Void
            init(_ name: String, _ body: @escaping @Sendable () -> Void) {
                self.name = name
                self.body = body
            }
        }
        let box = unsafe Unmanaged.passRetained(Box(String(name.prefix(15)), body))
        var thread = pthread_t()
        let result = unsafe pthread_create(&thread, nil, { argument in
            let box = unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            unsafe larder_name_thread(box.name)
            box.body()
            return nil
        }, box.toOpaque())
        guard result == 0 else {
            unsafe box.release()
            throw SystemError(number: result, call: "pthread_create")
        }
        handle = thread
    }

    /// A number that no other running thread has.
    package static var current: UInt { UInt(pthread_self()) }

    /// Waits until the function has returned. Call it once.
    package func join() {
        _ = pthread_join(handle, nil)
    }

    /// Lowers the calling thread's priority by `amount` (1 to 19), for work that must not disturb requests.
    package static func lowerPriority(by amount: Int32) {
        _ = larder_nice_thread(amount)
    }

    /// Lets the calling thread's timed waits end when they are due; by default the kernel may add 50 microseconds.
    package static func waitPrecisely() {
        larder_precise_timers()
    }

    /// Processor time that the whole process has used, in nanoseconds.
    package static func processNanoseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Processor time that the whole process has used, its own and the kernel's for it.
    package static func processTimes() -> (userMicroseconds: Int64, systemMicroseconds: Int64) {
        var usage = rusage()
        _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func microseconds(_ time: timeval) -> Int64 { Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_usec) }
        return (microseconds(usage.ru_utime), microseconds(usage.ru_stime))
    }

    /// Processor time that the calling thread has used, in nanoseconds.
    package static func nanoseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// How many processors this process may use.
    package static var processorCount: Int {
        max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    /// Sleeps, for the loops of the machine's own threads only; a test moves a clock.
    package static func sleep(milliseconds: Int64) {
        var time = timespec(tv_sec: Int(milliseconds / 1_000), tv_nsec: Int(milliseconds % 1_000) * 1_000_000)
        var left = timespec()
        while unsafe nanosleep(&time, &left) != 0, errno == EINTR { time = left }
    }
}
