import LarderEngine
import LarderSimulation
import LarderWire
import Testing

@testable import LarderServer

/// Values that are read in slices, some in each turn.
@Suite("Large values") struct LargeValueTests {
    private static let slice = LargeRead.sliceBytes

    private static func text(_ seed: UInt64, _ count: Int = 3 * slice + 1_234) -> String {
        var random = SeededGenerator(seed: seed)
        return String(decoding: (0..<count).map { _ in UInt8(97 + random.next() % 26) }, as: UTF8.self)
    }

    /// A client that may read one slice in a turn, and one that writes.
    private static func clients() -> (rig: Rig, reader: Client, writer: Client) {
        var configuration = ServerConfiguration()
        // Nobody takes what would be staged for a log.
        configuration.durability = .off
        let rig = Rig(configuration)
        let (reader, writer) = (Client(rig), Client(rig))
        reader.copyWork = 1
        reader.send(Ask.hello())
        writer.send(Ask.hello())
        return (rig, reader, writer)
    }

    @Test(arguments: [false, true]) func `a large value comes whole, in slices, before what was asked behind it`(_ isHTTP: Bool) throws {
        let (rig, reader, writer) = Self.clients()
        let value = Self.text(1)
        writer.send(Ask.put("k", value) + Ask.put("small", "v"))
        let slow = isHTTP ? Client(rig) : reader
        slow.copyWork = 1
        let requests =
            isHTTP
            ? Web.request("GET /kv/default/k") + Web.request("HEAD /kv/default/k") + Web.request("GET /kv/default/small")
            : Ask.get("k", [.wantVersion], id: 1) + Ask.get("small", id: 2)
        let whole = Client(rig)
        if !isHTTP { whole.send(Ask.hello()) }
        let (hits, gets) = (rig.metrics.hits.total, rig.metrics.gets.total)
        whole.copyWork = 1 << 30
        let expected = whole.sendOnce(requests)
        let (hitsOfOne, getsOfOne) = (rig.metrics.hits.total - hits, rig.metrics.gets.total - gets)
        for turn in 0..<4 {
            let replies = turn == 0 ? slow.sendOnce(requests) : slow.proceedOnce()
            #expect(replies.isEmpty == (turn < 3), "turn \(turn)")
            #expect(slow.isUnfinished == (turn < 3), "turn \(turn)")
            if turn == 3 { #expect(replies == expected) }
        }
        #expect(rig.metrics.hits.total - hits == 2 * hitsOfOne)
        #expect(rig.metrics.gets.total - gets == 2 * getsOfOne)
        if !isHTTP { #expect(try Answer.all(expected)[0].text == value) }
    }

    @Test func `a large value that is overwritten while it is read is all of one version`() throws {
        let (_, reader, writer) = Self.clients()
        let (first, second) = (Self.text(1), Self.text(2))
        writer.send(Ask.put("k", first))
        #expect(reader.sendOnce(Ask.get("k", [.wantVersion])).isEmpty)
        #expect(reader.proceedOnce().isEmpty)
        let version = try Answer.only(writer.send(Ask.put("k", second, .unlimited, .none, [.wantVersion]))).version
        let answer = try Answer.only(reader.proceed())
        #expect(answer.text == second)
        #expect(answer.version == version)
    }

    @Test func `who writes a large value all the time does not keep its readers waiting for ever`() throws {
        let (_, reader, writer) = Self.clients()
        writer.send(Ask.put("k", Self.text(0)))
        var replies = reader.sendOnce(Ask.get("k"))
        var rounds: UInt64 = 0
        while replies.isEmpty, rounds < 100 {
            rounds += 1
            writer.send(Ask.put("k", Self.text(rounds)))
            replies = reader.proceedOnce()
        }
        #expect(try Answer.only(replies).text == Self.text(rounds))
        #expect(rounds == LargeRead.restartsMax + 1)
    }

    @Test func `a large value that is gone, or small, before it is read is answered as that`() throws {
        let (_, reader, writer) = Self.clients()
        writer.send(Ask.put("k", Self.text(1)))
        #expect(reader.sendOnce(Ask.get("k")).isEmpty)
        writer.send(Ask.put("k", "small"))
        #expect(try Answer.only(reader.proceed()).text == "small")
        writer.send(Ask.put("k", Self.text(1)))
        #expect(reader.sendOnce(Ask.get("k")).isEmpty)
        writer.send(Ask.delete("k"))
        #expect(try Answer.only(reader.proceed()).status == .notFound)
        // Nothing is left of either.
        writer.send(Ask.put("k", Self.text(3)))
        #expect(try Answer.only(reader.send(Ask.get("k"))).text == Self.text(3))
    }
}
