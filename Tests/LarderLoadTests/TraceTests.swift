import LarderBytes
import LarderPlatform
import Testing

@testable import LarderLoad

@Suite("Trace") struct TraceTests {
    static let text = """
        0,nz:u:eeW511W3dcH3de3d15ec,22,304,1,get,0
        0,_short,10,5,2,set,3600
        0,plain,5,0,2,delete,0
        2,plain,5,100,3,cas,60
        not a line
        2,plain,5,100,3,flush,60
        3,plain,5,100,3,incr,0
        2,late,4,7,3,gets,0\r

        """

    private func read(_ parts: [[UInt8]], recordsMax: Int = 100) -> Trace {
        var trace = Trace(recordsMax: recordsMax, valueLimit: 200)
        for part in parts { trace.read(part.rawSpan) }
        trace.finish()
        return trace
    }

    private func keys(_ trace: Trace) -> [String] { (0..<trace.count).map { String(decoding: trace.key($0), as: UTF8.self) } }

    @Test func `lines become requests`() {
        let trace = read([Array(Self.text.utf8)])
        #expect(keys(trace) == ["nz=u=eeW511W3dcH3de3d15ec", "=short0000", "plain", "plain", "plain", "late"])
        #expect(trace.records.map(\.operation) == [.get, .set, .delete, .set, .set, .get])
        #expect(trace.records.map(\.valueBytes) == [200, 5, 0, 100, 100, 7])
        #expect(trace.records.map(\.lifetime) == [0, 3_600_000, 0, 60_000, 0, 0])
        #expect(trace.linesSkipped == 2)
        #expect(trace.valuesCut == 1)
        #expect(trace.valueBytesMax == 200)
        #expect(!trace.isCut)
    }

    @Test func `the requests of a second are spread over it`() {
        let trace = read([Array(Self.text.utf8)])
        let seconds = trace.records.map { Double($0.time) / 1e9 }
        // The last line's clock went back; it belongs to the second that was being read.
        #expect(seconds == [0, 0.333333333, 0.666666666, 2, 3, 3.5])
    }

    @Test func `a trace is replayed to its end, however long it is`() {
        let trace = read([Array("0,a,1,1,1,get,0\n40,a,1,1,1,get,0\n".utf8)])
        var plan = LoadPlan(
            address: SocketAddress(host: "127.0.0.1", port: 1), manner: Manner(dialect: .resp, host: "test"), content: .trace(trace),
            pace: .recorded(speed: 2), connections: 1, durationNanoseconds: 10_000_000_000)
        #expect(plan.isTimed)
        plan.replayToTheEnd()
        #expect(plan.durationNanoseconds == 20_000_000_000 + LoadPlan.replayExtraNanoseconds)
        #expect(!plan.isTimed && plan.intervalNanoseconds == 500_000_000)
        plan.pace = .rate(0.01)
        plan.replayToTheEnd()
        #expect(plan.durationNanoseconds == 100_000_000_000 + LoadPlan.replayExtraNanoseconds)
        plan.pace = .recorded(speed: 1e-300)
        plan.replayToTheEnd()
        #expect(plan.durationNanoseconds == Schedule.nanosecondsMax + LoadPlan.replayExtraNanoseconds)
    }

    @Test func `times that are thousands of years apart are no trap`() {
        let trace = read([Array("0,a,1,1,1,get,0\n8589934591,a,1,1,1,get,0\n8589934592,a,1,1,1,get,0\n1099511627775,a,1,1,1,get,0\n".utf8)])
        #expect(trace.records.map(\.time) == [0, 8_589_934_591_000_000_000])
        #expect(trace.linesSkipped == 2)
    }

    @Test func `a file may be read in any parts`() {
        let bytes = Array(Self.text.utf8)
        let whole = read([bytes])
        for cut in 0...bytes.count {
            let trace = read([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(trace.records == whole.records && keys(trace) == keys(whole), "cut at \(cut)")
        }
        #expect(read(bytes.map { [$0] }).records == whole.records)
    }

    @Test func `no more is read than was wanted`() {
        let trace = read([Array(Self.text.utf8)], recordsMax: 2)
        #expect(trace.count == 2)
        #expect(trace.isCut)
        #expect(!read([Array("0,a,1,1,1,get,0\n".utf8)], recordsMax: 1).isCut)
    }

    @Test func `a key is on one connection, and every request on one`() {
        var text = ""
        for index in 0..<1_000 { text += "\(index / 100),key\(index % 37),5,10,1,get,0\n" }
        let trace = read([Array(text.utf8)], recordsMax: 1_000)
        let shares = trace.shares(threads: 2, connections: 4)
        #expect(shares.count == 8)
        #expect(shares.flatMap { $0 }.sorted() == (0..<1_000).map { UInt32($0) })
        var owner: [String: Int] = [:]
        for (index, share) in shares.enumerated() {
            #expect(share == share.sorted())
            for record in share {
                let key = String(decoding: trace.key(Int(record)), as: UTF8.self)
                #expect(owner.updateValue(index, forKey: key) ?? index == index)
            }
        }
    }

    @Test(arguments: Seeds.some) func `no bytes make the reader trap`(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let words = ["0", ",", "\n", "get", "set", "99999999999999999999", "-1", "\r", "k", "4611686018427387904", ",,,,,,", "\u{FF}"]
        for _ in 0..<2_000 {
            var text = ""
            for _ in 0..<30 { text += words[Int(random.next(below: UInt64(words.count)))] }
            let trace = read([Array(text.utf8)])
            #expect(trace.records.allSatisfy { $0.time >= 0 && $0.keyBytes > 0 })
        }
    }
}
