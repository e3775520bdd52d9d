import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

@Suite("Log buffer") struct LogBufferTests {
    private let table = NamespaceTable()
    private let time: Milliseconds = 1_800_000_000_000

    private func append(
        _ log: LogBuffer, key: String = "k", value: [UInt8] = [], flushLSN: LSN? = nil, now: Milliseconds? = nil,
        namespace: Namespace? = nil
    ) -> LogAnswer {
        let keyBytes = Array(key.utf8)
        let record = LogRecord(
            .set, namespace: 0, key: keyBytes.span.bytes, metadata: RawSpan(), value: value.span.bytes)
        return log.append(
            record, body: record.bodyChecksum, namespace: namespace ?? table.default, flushLSN: flushLSN ?? table.default.flushLSN,
            now: now ?? time)
    }

    @Test func `an LSN tells its time`() {
        let answer = append(LogBuffer())
        #expect(answer.outcome == .appended)
        #expect(answer.lsn.milliseconds == time)
        #expect(answer.lsn.counter == 0)
    }

    @Test(arguments: Seeds.smoke) func `LSNs only rise, also when the clock goes back`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let log = LogBuffer()
        var last = LSN.zero
        var now = time
        for _ in 0..<5_000 {
            now += Int64.random(in: -50...50, using: &random)
            let answer =
                Bool.random(using: &random)
                ? append(log, now: now)
                : log.give(namespace: table.default, flushLSN: table.default.flushLSN, now: now)
            #expect(answer.outcome == .appended)
            #expect(answer.lsn > last)
            last = answer.lsn
        }
        #expect(log.appliedLSN == last)
    }

    @Test func `a clock before 2020 is no obstacle`() {
        let log = LogBuffer()
        #expect(append(log, now: -5).lsn == LSN(rawValue: 1))
        #expect(append(log, now: .min).lsn == LSN(rawValue: 2))
    }

    @Test func `LSNs begin above where the last life ended`() {
        let log = LogBuffer()
        let last = LSN(milliseconds: time + 60_000)
        log.start(after: last, ceiling: LSN(milliseconds: time + 120_000))
        #expect(append(log).lsn > last)
    }

    @Test func `no LSN is given beyond the ceiling, and more once it is raised`() {
        let log = LogBuffer()
        log.start(after: LSN(milliseconds: time), ceiling: LSN(rawValue: LSN(milliseconds: time).rawValue + 2))
        #expect(append(log).outcome == .appended)
        #expect(append(log).outcome == .appended)
        #expect(append(log) == LogAnswer(.backlog))
        let before = log.appliedLSN
        log.ceiling = LSN(milliseconds: time + 10_000)
        let answer = append(log)
        #expect(answer.outcome == .appended)
        #expect(answer.lsn.rawValue == before.rawValue + 1)
        #expect(append(log, now: time + 10_001).outcome == .backlog)
    }

    @Test func `the last LSN of all is not a trap`() {
        let log = LogBuffer()
        log.start(after: LSN(rawValue: .max), ceiling: LSN(rawValue: .max))
        #expect(append(log).outcome == .backlog)
    }

    @Test func `a batch holds the records in the order of their LSNs`() throws {
        let log = LogBuffer()
        #expect(log.isEmpty)
        let first = append(log, key: "a", now: time).lsn
        _ = append(log, key: "b", now: time - 7)
        let last = append(log, key: "c", now: time + 1).lsn
        #expect(!log.isEmpty)
        #expect(log.mark() == last)

        var taken = ByteBuffer()
        let batch = log.take(into: &taken)
        #expect(batch == LogBatch(recordCount: 3, firstLSN: first, lastLSN: last, oldestMilliseconds: time))
        #expect(log.isEmpty)

        var keys = ""
        var position = 0
        while position < taken.count {
            let record = try LogRecord(parsing: taken.bytes.extracting(position..<taken.count))
            keys += String(utf8: record.key)
            position += record.byteCount
        }
        #expect(keys == "abc")
        taken.removeAll()
        let nothing = log.take(into: &taken)
        #expect(nothing == nil)
    }

    @Test func `what is appended while a batch is written is in the next one`() {
        let log = LogBuffer()
        _ = append(log)
        var taken = ByteBuffer()
        _ = log.take(into: &taken)
        let second = append(log, now: time + 5).lsn
        taken.removeAll()
        let batch = log.take(into: &taken)
        #expect(batch == LogBatch(recordCount: 1, firstLSN: second, lastLSN: second, oldestMilliseconds: time + 5))
    }

    @Test func `a batch owes a sync unless every record in it is of a namespace with never`() {
        let careless = NamespaceTable(settings: NamespaceSettings(durability: .never), created: 0).default
        let log = LogBuffer()
        var taken = ByteBuffer()
        _ = append(log, namespace: careless)
        _ = append(log, namespace: careless)
        #expect(log.take(into: &taken)?.owesSync == false)
        taken.removeAll()
        _ = append(log, namespace: careless)
        _ = append(log)
        _ = append(log, namespace: careless)
        #expect(log.take(into: &taken)?.owesSync == true)
        taken.removeAll()
        _ = append(log, namespace: careless)
        #expect(log.take(into: &taken)?.owesSync == false)
    }

    @Test func `a change of an entry that was over when a batch was taken is to be logged whole`() {
        let log = LogBuffer()
        let namespace = NamespaceTable().default
        func change(_ present: Deadline) -> LogOutcome {
            let key = Array("k".utf8)
            let record = LogRecord(
                .deadline, namespace: 0, deadline: .never, key: key.span.bytes, metadata: RawSpan(), value: RawSpan())
            return log.append(
                record, body: record.bodyChecksum, namespace: namespace, flushLSN: .zero, now: time, changing: present
            ).outcome
        }
        #expect(change(Deadline(rawValue: time - 1)) == .appended)
        var taken = ByteBuffer()
        #expect(log.take(into: &taken, at: time)?.wall == time)
        #expect(change(Deadline(rawValue: time)) == .released)
        #expect(change(Deadline(rawValue: time + 1)) == .appended)
        #expect(change(.never) == .appended)
        // The time of the log does not go back with the clock.
        taken.removeAll()
        _ = log.take(into: &taken, at: time - 5_000)
        #expect(change(Deadline(rawValue: time)) == .released)
    }

    @Test func `a full buffer is a backlog until it is taken`() {
        let log = LogBuffer(bytesMax: 1_000)
        while log.byteCount < 1_000 { #expect(append(log, value: [1, 2, 3]).outcome == .appended) }
        let applied = log.appliedLSN
        #expect(append(log).outcome == .backlog)
        #expect(log.appliedLSN == applied)
        var taken = ByteBuffer()
        _ = log.take(into: &taken)
        #expect(append(log).outcome == .appended)
    }

    @Test func `a failed log refuses records but not LSNs`() {
        let log = LogBuffer()
        log.refuse()
        #expect(append(log) == LogAnswer(.refused))
        #expect(log.give(namespace: table.default, flushLSN: .zero, now: time).outcome == .appended)
        #expect(log.isEmpty)
        log.accept()
        #expect(append(log).outcome == .appended)
    }

    @Test func `what a log that has failed never took can be dropped, and LSNs go on behind it`() {
        let log = LogBuffer()
        let last = append(log).lsn
        log.refuse()
        #expect(log.abandon() == last)
        #expect(log.isEmpty)
        log.accept()
        let next = append(log).lsn
        #expect(next > last)
        var batch = ByteBuffer()
        #expect(log.take(into: &batch)?.firstLSN == next)
    }

    @Test func `the mark is a place that the log reaches`() {
        let log = LogBuffer()
        log.start(after: LSN(rawValue: 7), ceiling: LSN(rawValue: .max))
        #expect(log.mark() == LSN(rawValue: 7))
        let logged = append(log).lsn
        _ = log.give(namespace: table.default, flushLSN: .zero, now: time)
        #expect(log.mark() == logged)
        #expect(log.appliedLSN > logged)
    }
}
