import Foundation
import LarderBytes
import LarderPlatform
import Testing

@testable import LarderLoad

@Suite("Stamped values") struct StampedValueTests {
    private func value(_ byteCount: Int = 100, key: String = "k/1", sequence: UInt32 = 7) -> [UInt8] {
        var output = ByteBuffer("before")
        StampedValue.append(
            key: ByteBuffer(key), run: 9, sequence: sequence, byteCount: byteCount, filler: ByteBuffer([UInt8](repeating: 120, count: 200)),
            to: &output)
        return Array(output.bytes.slice(6, output.count - 6))
    }

    private func sequence(_ value: [UInt8], key: String = "k/1", run: UInt32 = 9) -> UInt32? {
        StampedValue.sequence(of: value.rawSpan, ByteRange(start: 0, count: value.count), key: ByteBuffer(key), run: run)
    }

    @Test func `a value tells its number`() {
        #expect(value().count == 100)
        #expect(sequence(value()) == 7)
        #expect(value(0).count == StampedValue.bytesMin(keyBytes: 3))
        #expect(sequence(value(0)) == 7)
    }

    @Test func `a value of another key, of another run, cut or longer is none`() {
        #expect(sequence(value(key: "k/2")) == nil)
        #expect(sequence(value(), run: 8) == nil)
        #expect(sequence(value() + [120]) == nil)
        for count in 0..<100 { #expect(sequence(Array(value()[..<count])) == nil) }
    }

    @Test func `no bit can change unseen`() {
        for index in 0..<100 {
            for bit in 0..<8 {
                var changed = value()
                changed[index] ^= 1 << bit
                #expect(sequence(changed) == nil, "byte \(index), bit \(bit)")
            }
        }
    }
}

@Suite("Key ledger") struct KeyLedgerTests {
    /// A key whose writes were sent and answered at once, at time 0.
    private func state(_ writes: (LoadOperation, lifetime: Int64)...) -> KeyState {
        var state = KeyState()
        for (operation, lifetime) in writes {
            let number = state.send(operation, lifetime: lifetime, now: 0)
            let due = lifetime > 0 ? lifetime : Int64.max
            state.acknowledge(number, operation, dueFrom: due, dueTo: due)
        }
        return state
    }

    private func judge(_ state: KeyState, _ found: KeyState.Found, known: KeyState? = nil, at time: Int64 = 0) -> Fault? {
        state.judge(found, known: known ?? state, asked: time, answered: time, slack: 10)
    }

    @Test func `what was acknowledged has to be there`() {
        let written = state((.set, 0), (.set, 0))
        #expect(judge(written, .write(2)) == nil)
        #expect(judge(written, .write(1)) == .lost, "an older value came back")
        #expect(judge(written, .nothing) == .lost)
        #expect(judge(written, .foreign) == .wrong)
        #expect(judge(written, .write(3)) == .wrong, "never sent")
    }

    @Test func `what was removed stays away`() {
        let removed = state((.set, 0), (.delete, 0))
        #expect(judge(removed, .nothing) == nil)
        #expect(judge(removed, .write(1)) == .resurrected)
        #expect(judge(removed, .foreign) == .wrong)
        #expect(judge(removed, .write(2)) == .wrong, "a removal left a value")
    }

    @Test func `a write in flight is neither promised nor forbidden`() {
        var pending = state((.set, 0))
        _ = pending.send(.set, lifetime: 0, now: 0)
        #expect(judge(pending, .write(1)) == nil)
        #expect(judge(pending, .write(2)) == nil)
        #expect(judge(pending, .nothing) == .lost, "neither write takes the value away")
        #expect(judge(pending, .write(3)) == .wrong)
    }

    @Test func `a removal in flight may have taken the value`() {
        var pending = state((.set, 0))
        _ = pending.send(.delete, lifetime: 0, now: 0)
        #expect(judge(pending, .write(1)) == nil)
        #expect(judge(pending, .nothing) == nil)
    }

    @Test func `a removal that was answered before the last write excuses nothing`() {
        #expect(judge(state((.set, 0), (.delete, 0), (.set, 0)), .nothing) == .lost)
    }

    @Test func `a refused removal before the last write excuses nothing`() {
        var written = state((.set, 0))
        let removal = written.send(.delete, lifetime: 0, now: 0)
        #expect(judge(written, .nothing) == nil)
        let number = written.send(.set, lifetime: 0, now: 0)
        written.acknowledge(number, .set, dueFrom: .max, dueTo: .max)
        #expect(removal < number)
        #expect(judge(written, .nothing) == .lost)
    }

    @Test func `a value lives until its time is over, and not longer`() {
        let mortal = state((.set, 1_000))
        #expect(judge(mortal, .write(1), at: 900) == nil)
        #expect(judge(mortal, .nothing, at: 900) == .lost)
        #expect(judge(mortal, .nothing, at: 991) == nil, "within the slack")
        #expect(judge(mortal, .write(1), at: 1_009) == nil, "within the slack")
        #expect(judge(mortal, .write(1), at: 1_011) == .expiredAlive)
        #expect(judge(mortal, .nothing, at: 5_000) == nil)
    }

    @Test func `an older value behind one whose time is over is a resurrection`() {
        #expect(judge(state((.set, 0), (.set, 1_000)), .write(1), at: 2_000) == .resurrected)
        #expect(judge(state((.set, 0), (.set, 1_000)), .write(1), at: 500) == .lost)
    }

    @Test func `a lifetime that a later write took away excuses nothing`() {
        #expect(judge(state((.set, 1_000), (.set, 0)), .nothing, at: 2_000) == .lost)
    }

    @Test func `a mortal write in flight may have replaced the value and gone`() {
        var pending = state((.set, 0))
        _ = pending.send(.set, lifetime: 1_000, now: 0)
        #expect(judge(pending, .nothing, at: 500) == .lost)
        #expect(judge(pending, .nothing, at: 1_000) == nil)
        #expect(judge(pending, .write(1), at: 5_000) == nil, "it may never have been applied")
    }

    @Test func `a reply is judged by what was known when it was asked for`() {
        let known = state((.set, 0))
        let now = state((.set, 0), (.set, 0))
        #expect(judge(now, .write(1), known: known) == nil)
        #expect(judge(now, .write(2), known: known) == nil)
        #expect(judge(now, .nothing, known: known) == .lost)
        let removed = state((.set, 0), (.delete, 0), (.set, 0))
        #expect(judge(removed, .nothing, known: known) == nil, "removed and written again while it was asked")
    }

    @Test func `an older value does not come back behind one that was read, though its write is not acknowledged`() {
        var state = state((.set, 0))
        _ = state.send(.set, lifetime: 0, now: 0)
        let before = state
        state.learn(.write(2), known: state)
        #expect(judge(state, .write(1)) == .lost)
        #expect(judge(state, .nothing) == .lost, "nothing was sent that takes it away")
        #expect(judge(state, .write(2)) == nil)
        #expect(judge(state, .write(1), known: before) == nil, "asked before the other was answered")

        _ = state.send(.delete, lifetime: 0, now: 0)
        #expect(judge(state, .nothing) == nil)
        #expect(judge(state, .write(1)) == .lost)
    }

    @Test func `the first write of a key is judged once it was read`() {
        var state = KeyState()
        _ = state.send(.set, lifetime: 0, now: 0)
        #expect(judge(state, .nothing) == nil)
        state.learn(.write(1), known: state)
        #expect(judge(state, .nothing) == .lost)
        #expect(judge(state, .foreign) == .wrong)
        #expect(judge(state, .write(1)) == nil)
    }

    @Test func `a value that was read as gone does not come back`() {
        var removed = state((.set, 0))
        _ = removed.send(.delete, lifetime: 0, now: 0)
        let before = removed
        removed.learn(.nothing, known: removed)
        #expect(judge(removed, .write(1)) == .resurrected)
        #expect(judge(removed, .write(1), known: before) == nil)
        #expect(judge(removed, .nothing) == nil)
        _ = removed.send(.set, lifetime: 0, now: 0)
        #expect(judge(removed, .write(3)) == nil)
    }

    @Test func `a set that was read behind an acknowledged removal has to stay`() {
        var state = state((.set, 0), (.delete, 0))
        _ = state.send(.set, lifetime: 0, now: 0)
        #expect(judge(state, .nothing) == nil)
        state.learn(.write(3), known: state)
        #expect(judge(state, .nothing) == .lost)
        #expect(judge(state, .write(1)) == .resurrected)
    }

    @Test func `nothing is judged of a key that was never acknowledged`() {
        var state = KeyState()
        #expect(judge(state, .foreign) == nil)
        #expect(judge(state, .nothing) == nil)
        _ = state.send(.set, lifetime: 0, now: 0)
        #expect(judge(state, .write(1)) == nil)
        #expect(judge(state, .nothing) == nil)
    }
}

@Suite("Thread ledger") struct ThreadLedgerTests {
    private let keys = KeyFormat(prefix: "k/", length: 12, count: 10)!
    private let ledger: ThreadLedger

    init() { ledger = ThreadLedger(run: 9, keys: keys, keyCount: 10, thread: 0, threads: 1, slack: 10, record: nil) }

    private func value(_ sequence: UInt32) -> [UInt8] {
        var key = ByteBuffer()
        var output = ByteBuffer()
        keys.append(3, to: &key)
        StampedValue.append(key: key, run: 9, sequence: sequence, byteCount: 0, filler: ByteBuffer("filler"), to: &output)
        return Array(output.bytes)
    }

    /// A read of key 3 that found write `number`, or nothing.
    private func read(_ number: UInt32?, known: KeyState? = nil) {
        let bytes = number.map(value) ?? []
        ledger.judge(
            3, number.map { _ in ByteRange(start: 0, count: bytes.count) }, in: bytes.rawSpan, known: known ?? ledger.state(3), asked: 0,
            answered: 0)
    }

    @Test func `an older answer behind a newer one is found while the write is still under way`() {
        let first = ledger.send(.set, 3, lifetime: 0, now: 0)
        ledger.acknowledge(.set, 3, first, lifetime: 0, sent: 0, now: 0)
        _ = ledger.send(.set, 3, lifetime: 0, now: 0)
        let before = ledger.state(3)
        read(1)
        read(2)
        read(1, known: before)
        #expect(ledger.faults.total == 0)
        read(1)
        read(2)
        read(nil)
        #expect(ledger.faults[.lost] == 2)
        #expect(ledger.faults.judged == 6)
        #expect(ledger.faults.named.first == "k/0000000003: lost: a read had found write 2, write 1 is there")
        #expect(ledger.faults.named.last == "k/0000000003: lost: a read had found write 2, nothing is there")
    }

    @Test func `a key that was read as gone is named when it comes back`() {
        let first = ledger.send(.set, 3, lifetime: 0, now: 0)
        ledger.acknowledge(.set, 3, first, lifetime: 0, sent: 0, now: 0)
        _ = ledger.send(.delete, 3, lifetime: 0, now: 0)
        read(1)
        read(nil)
        #expect(ledger.faults.total == 0)
        read(1)
        #expect(ledger.faults.named == ["k/0000000003: resurrected: a read had found it gone, write 1 is there"])
    }

    @Test func `a key that nobody has written is not judged`() {
        read(nil)
        read(1)
        #expect(ledger.faults.judged == 0)
        #expect(ledger.state(3) == KeyState())
    }
}

@Suite("File of acknowledgements") struct AcknowledgementFileTests {
    private let head = AcknowledgementHead(
        run: 77, keyCount: 100, keys: KeyFormat(prefix: "k/", length: 12, count: 100)!, mayRemove: true, mayExpire: false)

    private let records = [
        Acknowledgement(.set, key: 0, sequence: 1), Acknowledgement(.set, key: 99, sequence: 4, dueFrom: 1_000, dueTo: 1_010),
        Acknowledgement(.removal, key: 0, sequence: 2), Acknowledgement(.setUnanswered, key: 5, sequence: 9, dueFrom: 5_000),
        Acknowledgement(.removalUnanswered, key: 99, sequence: 5), Acknowledgement(.end, key: 0, sequence: 0),
    ]

    private func bytes() -> [UInt8] {
        var output = ByteBuffer()
        for record in records { record.append(run: head.run, to: &output) }
        return Array(output.bytes)
    }

    private func promises(_ bytes: [UInt8]) -> Promises {
        var promises = Promises(head: head)
        promises.read(bytes.rawSpan)
        promises.finish()
        return promises
    }

    @Test func `the head comes back`() throws {
        var output = ByteBuffer()
        head.append(to: &output)
        #expect(output.count == AcknowledgementHead.byteCount)
        #expect(AcknowledgementHead(parsing: output.bytes) == head)
        for count in 0..<output.count { #expect(AcknowledgementHead(parsing: output.bytes.slice(0, count)) == nil) }
        for index in 0..<output.count {
            var changed = Array(output.bytes)
            changed[index] ^= 0x10
            #expect(AcknowledgementHead(parsing: changed.rawSpan) == nil, "byte \(index)")
        }
    }

    @Test func `records come back`() {
        let all = bytes()
        #expect(all.count == records.count * Acknowledgement.byteCount)
        for (index, record) in records.enumerated() {
            let part = Array(all[index * 32..<(index + 1) * 32])
            #expect(Acknowledgement(parsing: part.rawSpan, run: 77) == record)
            #expect(Acknowledgement(parsing: part.rawSpan, run: 78) == nil, "of another run")
        }
    }

    @Test func `a file says what is promised`() {
        let found = promises(bytes())
        #expect(found.isComplete && found.unclearMax == 0 && found.damagedRecords == 0)
        #expect(found.acknowledgements == 3)
        #expect(found.unanswered == 2)
        #expect(found.promisedKeys == [0, 99])
        #expect(found.states[0].acknowledged == .removal)
        #expect(found.states[99].sequence == 4)
        #expect(found.states[99].dueTo == 1_010)
        #expect(found.states[99].removal == 5)
        #expect(found.states[5].sent == 9)
    }

    @Test func `a file that was cut anywhere is read as far as it is whole`() {
        let all = bytes()
        for cut in 0..<all.count {
            let found = promises(Array(all[..<cut]))
            #expect(found.acknowledgements + found.unanswered == min(cut / 32, 5), "cut at \(cut)")
            #expect(found.damagedRecords == (cut % 32 == 0 ? 0 : 1), "cut at \(cut)")
            #expect(!found.isComplete)
            #expect(found.unclearMax == .max, "a removal may be missing")
        }
    }

    @Test func `a damaged record is passed over, and those behind it are not`() {
        for index in 0..<5 * 32 {
            var changed = bytes()
            changed[index] ^= 1
            let found = promises(changed)
            #expect(found.damagedRecords == 1, "byte \(index)")
            #expect(found.acknowledgements + found.unanswered == 4)
        }
    }

    @Test func `a server is not accused of what a damaged record may have said`() {
        var all = ByteBuffer()
        for key in 0..<3 as Range<UInt32> { Acknowledgement(.set, key: key, sequence: 1).append(run: head.run, to: &all) }
        Acknowledgement(.removal, key: 0, sequence: 2).append(run: head.run, to: &all)
        Acknowledgement(.end, key: 0, sequence: 0).append(run: head.run, to: &all)
        var changed = Array(all.bytes)
        changed[3 * 32 + 9] ^= 4
        let found = promises(changed)
        #expect(found.isComplete && found.damagedRecords == 1)
        let ledger = ThreadLedger(found, slack: 10)
        let input: [UInt8] = []
        func miss(_ key: UInt32) { ledger.judge(key, nil, in: input.rawSpan, known: ledger.state(key), asked: 0, answered: 0) }
        miss(0)
        #expect(ledger.faults.total == 0)
        #expect(ledger.faults.unclear == 1)
        // One record speaks of one key: what else is not there is lost.
        miss(1)
        #expect(ledger.faults[.lost] == 1)
        #expect(found.states[2].judge(.write(5), known: found.states[2], asked: 0, answered: 0, slack: 10) == nil, "its record may be the damaged one")
    }

    @Test func `records in any order say the same`() {
        let forward = promises(bytes())
        let all = bytes()
        let backward = promises((0..<6).reversed().flatMap { Array(all[$0 * 32..<($0 + 1) * 32]) })
        for key in [0, 5, 99] {
            #expect(forward.states[key].sequence == backward.states[key].sequence)
            #expect(forward.states[key].acknowledged == backward.states[key].acknowledged)
            #expect(forward.states[key].sent == backward.states[key].sent)
        }
    }

    @Test func `without an end, a value from beyond the last record is not wrong`() {
        let found = promises(Array(bytes()[..<64]))
        #expect(found.states[99].judge(.write(900), known: found.states[99], asked: 0, answered: 0, slack: 10) == nil)
        let whole = promises(bytes())
        #expect(whole.states[99].judge(.write(900), known: whole.states[99], asked: 0, answered: 0, slack: 10) == .wrong)
    }

    @Test func `several writers share a file`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("larder-load-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let directory = try DirectoryFileSystem(path: folder)
        let file = try AcknowledgementFile("acks", in: directory, head: head)
        let writers = [AcknowledgementWriter(file), AcknowledgementWriter(file)]
        for index in 0..<5_000 {
            writers[index % 2].append(Acknowledgement(.set, key: UInt32(index % 100), sequence: UInt32(index / 100 + 1)))
        }
        for writer in writers { writer.flush() }
        try file.finish()
        let found = try #require(try Promises.read("acks", in: directory))
        #expect(found.acknowledgements == 5_000)
        #expect(found.isComplete && found.damagedRecords == 0)
        #expect(found.states.allSatisfy { $0.sequence == 50 })
        #expect(throws: SystemError.self) { _ = try Promises.read("none", in: directory) }
    }

    @Test func `a file that is none is told apart`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("larder-load-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let directory = try DirectoryFileSystem(path: folder)
        _ = try directory.open("text", .create)
        #expect(try Promises.read("text", in: directory) == nil)
    }
}
