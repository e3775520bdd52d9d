import Foundation
import Histogram
import LarderBytes
import Testing

@testable import LarderLoad

enum Power {
    static func of(_ base: Double, _ exponent: Double) -> Double { Foundation.pow(base, exponent) }
}

@Suite("Workload") struct WorkloadTests {
    private func draw(_ count: Int, _ stream: OperationStream) -> [LoadRequest] {
        var stream = stream
        return (0..<count).compactMap { _ in stream.next() }
    }

    private let places = (0..<2).flatMap { thread in
        (0..<3).map { ConnectionPlace(thread: thread, threads: 2, connection: $0, connections: 3) }
    }

    @Test(arguments: Seeds.some)
    func `a seed replays the same operations`(seed: UInt64) {
        let workload = Samples.workload(popularity: .zipf(exponent: 0.99), seed: seed)
        let first = draw(1_000, OperationStream(workload, .mixed(owned: false), places[1]))
        #expect(first == draw(1_000, OperationStream(workload, .mixed(owned: false), places[1])))
        #expect(first != draw(1_000, OperationStream(workload, .mixed(owned: false), places[2])), "connections differ")
        var other = workload
        other.seed += 1
        #expect(first != draw(1_000, OperationStream(other, .mixed(owned: false), places[1])), "seeds differ")
    }

    @Test func `the numbers of a seed do not change from one release to the next`() {
        var random = RandomStream(seed: 42, stream: 3)
        #expect([random.next(), random.next(), random.next()] == Self.known)
    }

    static let known: [UInt64] = [1_213_543_166_464_237_559, 5_170_070_833_282_894_691, 1_929_007_686_038_876_605]

    @Test(arguments: [6, 7, 11, 100, 1_000] as [UInt64])
    func `an owned key is written by one connection and read by one thread`(count: UInt64) {
        let workload = Samples.workload(keys: count)
        var writers: [UInt32: Int] = [:]
        for place in places {
            for operation in draw(5_000, OperationStream(workload, .mixed(owned: true), place)) {
                #expect(operation.key < count)
                #expect(Int(operation.key) % 2 == place.thread)
                if operation.kind != .get { #expect(writers.updateValue(place.number, forKey: operation.key) ?? place.number == place.number) }
            }
        }
        #expect(writers.count == Int(count), "every key is written")
    }

    @Test(arguments: [1, 5, 6, 7, 100] as [UInt64])
    func `filling writes every key once, by the connection that writes it later`(count: UInt64) {
        let workload = Samples.workload(keys: count)
        var seen: [UInt32] = []
        for place in places {
            let operations = draw(1_000, OperationStream(workload, .filling, place))
            #expect(operations.allSatisfy { $0.kind == .set && Int($0.key) % place.total == place.number })
            seen += operations.map(\.key)
        }
        #expect(seen.sorted() == (0..<UInt32(count)).map { $0 })
    }

    @Test func `reading reads each key of the list once`() {
        let keys: [UInt32] = [3, 5, 8, 9, 12, 700, 701]
        let read = places.flatMap { draw(100, OperationStream(Samples.workload(), .reading(keys), $0)) }
        #expect(read.map(\.key).sorted() == keys)
        #expect(read.allSatisfy { $0.kind == .get })
    }

    @Test func `keys are the prefix and the number`() throws {
        let format = try #require(KeyFormat(prefix: "load/", length: 12, count: 1_000_000))
        #expect(format.text(0) == "load/0000000")
        #expect(format.text(123_456) == "load/0123456")
        var output = ByteBuffer("before ")
        format.append(7, to: &output)
        #expect(output.text == "before load/0000007")
    }

    @Test func `keys that cannot be are refused`() {
        #expect(KeyFormat(prefix: "load/", length: 10, count: 100_001) == nil, "six digits in five places")
        #expect(KeyFormat(prefix: "load/", length: 10, count: 100_000) != nil)
        #expect(KeyFormat(prefix: "a b", length: 10, count: 1) == nil)
        #expect(KeyFormat(prefix: "a\u{7F}", length: 10, count: 1) == nil)
        #expect(KeyFormat(prefix: "ä", length: 10, count: 1) == nil)
        #expect(KeyFormat(prefix: "a", length: 251, count: 1) == nil)
        #expect(KeyFormat(prefix: "a\r\nget b", length: 20, count: 1) == nil)
    }

    @Test func `keys as other servers have them can be asked for, where the dialect carries them`() throws {
        let format = try #require(KeyFormat(prefix: "user:{1}_%:", length: 20, count: 1_000))
        #expect(format.text(7) == "user:{1}_%:000000007")
        for dialect in [LoadDialect.binary, .resp, .memcached] { #expect(dialect.carries(format)) }
        #expect(!LoadDialect.http.carries(format))
        for (prefix, isCarried) in [("user:1:", true), ("~a/b=@", true), ("a?", false), ("a#", false), ("a%20", false), ("\"a", false)] {
            #expect(LoadDialect.http.carries(try #require(KeyFormat(prefix: prefix, length: 20, count: 10))) == isCarried, "\(prefix)")
        }
    }

    // MARK: Schedule

    @Test func `requests are due evenly, and the threads interleave`() {
        let one = Schedule(start: 1_000, rate: 4)
        #expect((0..<5).map { one.due($0) } == [1_000, 250_001_000, 500_001_000, 750_001_000, 1_000_001_000])
        let threads = (0..<3).map { Schedule(start: 1_000, rate: 4, threads: 3, thread: $0) }
        #expect((0..<9).map { threads[$0 % 3].due($0 / 3) } == (0..<9).map { one.due($0) })
    }

    @Test func `a day of a fast schedule does not drift`() {
        let schedule = Schedule(start: 0, rate: 333_333)
        #expect(schedule.due(333_333 * 86_400) == 86_400 * 1_000_000_000)
        #expect(schedule.due(333_333 * 86_400 + 1) - schedule.due(333_333 * 86_400) == 3_000)
    }

    @Test func `a rate that is nearly nothing is no trap`() {
        for rate in [Double.leastNonzeroMagnitude, 1e-300, 1e-9] {
            let schedule = Schedule(start: 7, rate: rate)
            #expect(schedule.due(0) == 7)
            #expect(schedule.due(1 << 40) == 7 + Schedule.nanosecondsMax)
        }
    }

    @Test func `a stall is counted for every request that came due in it`() {
        // A server that answers at once, but from second 1 to second 2 not at all. 1,000 requests a second.
        let schedule = Schedule(start: 0, rate: 1_000)
        var latencies = LatencyLimits.empty()
        for number in 0..<3_000 {
            let due = schedule.due(number)
            let answered = (1_000_000_000..<2_000_000_000).contains(due) ? 2_000_000_000 : due + 100_000
            latencies.record(UInt64(answered - due))
        }
        // A third of the requests waited, half a second on average. Counted from sending, it would be one request.
        #expect(latencies.valueAtPercentile(50) < 200_000)
        let p90 = Double(latencies.valueAtPercentile(90))
        #expect(abs(p90 - 700_000_000) < 2_000_000)
    }

    @Test(arguments: [(0.3, 1), (4, 3), (333_333, 2), (99_999_999.5, 1), (100_000_000, 7)])
    func `what is due is counted without going through it`(rate: Double, threads: Int) {
        for thread in 0..<threads {
            let schedule = Schedule(start: 1_000, rate: rate, threads: threads, thread: thread)
            for moment in [0, 999, 1_000, 1_001, 3_333_334_333, 86_400_000_001_000] as [Int64] {
                let count = schedule.count(until: moment)
                #expect(count == 0 || schedule.due(count - 1) <= moment)
                #expect(schedule.due(count) > moment)
            }
        }
    }

    // MARK: Ramp

    @Test func `a ramp ends before a rate that no schedule has`() {
        #expect(Ramp(from: 60_000_000, factor: 2, latencyLimit: 1).rate(1) == nil)
        #expect(Ramp(from: 1e300, factor: 100, latencyLimit: 1).rate(0) == nil)
        #expect(Ramp(from: 1, factor: 100, latencyLimit: 1, stepsMax: 1_000).rate(999) == nil)
    }

    @Test func `a ramp goes up until a step does not hold`() {
        let ramp = Ramp(from: 100, factor: 2, latencyLimit: 1_000, stepsMax: 4)
        #expect((0..<5).map { ramp.rate($0) } == [100, 200, 400, 800, nil])
        #expect(ramp.holds(offered: 100, answered: 99, p99: 1_000, errors: 0))
        #expect(!ramp.holds(offered: 100, answered: 97, p99: 1_000, errors: 0))
        #expect(!ramp.holds(offered: 100, answered: 100, p99: 1_001, errors: 0))
        #expect(!ramp.holds(offered: 100, answered: 100, p99: 1_000, errors: 1))
    }
}
