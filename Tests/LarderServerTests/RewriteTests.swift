import LarderBytes
import LarderEngine
import Testing

@testable import LarderServer

/// Look, decide, and write if nobody did in between.
@Suite("Rewriting") struct RewriteTests {
    let rig = Rig()
    let key = Array("k".utf8)

    private func put(_ value: String, _ lifetime: LifetimeChange = .unlimited) {
        let value = Array(value.utf8)
        var metadata = ByteBuffer()
        Metadata.append(clientFlags: 9, to: &metadata)
        _ = rig.store.put(
            space, key: key.span.bytes, hash: hash, value: value.span.bytes, metadata: metadata.bytes, lifetime: lifetime,
            now: rig.now)
    }

    private var space: Namespace { rig.store.namespaces.default }
    private var hash: KeyHash { rig.store.hash(space, key.span.bytes) }

    private var value: String? {
        var found: String?
        _ = rig.store.read(space, key: key.span.bytes, hash: hash, now: rig.now) { entry in
            found = "\(String(utf8: entry.value)) \(Metadata.clientFlags(in: entry.metadata)) \(entry.deadline.rawValue)"
        }
        return found
    }

    private func rewrite(_ decide: (PresentEntry?, inout Scratch) -> Rewrite) -> WriteResult {
        var scratch = Scratch()
        return rig.server.executor.rewrite(space, key: key.span.bytes, hash: hash, now: rig.now, &scratch, decide)
    }

    private func exclaim(_ scratch: inout Scratch) -> Rewrite {
        let present = Array(scratch.present.bytes)
        scratch.rewritten.append(present.span.bytes)
        scratch.rewritten.append("!")
        return .put(.keep)
    }

    @Test func `makes a value of what was there, and keeps what is beside it`() {
        put("a", .milliseconds(5))
        #expect(rewrite { _, scratch in exclaim(&scratch) }.outcome == .updated)
        #expect(value == "a! 9 \(rig.now + 5)")
    }

    @Test func `decides again when somebody wrote in between`() {
        put("a")
        var seen: [String] = []
        let result = rewrite { _, scratch in
            seen.append(String(utf8: scratch.present.bytes))
            if seen.count == 1 { put("b") }
            return exclaim(&scratch)
        }
        #expect(result.outcome == .updated)
        #expect(seen == ["a", "b"])
        #expect(value == "b! 9 0")
    }

    @Test func `decides again when an entry came or went in between`() {
        var seen: [Bool] = []
        let result = rewrite { entry, scratch in
            seen.append(entry != nil)
            switch seen.count {
            case 1: put("a")
            case 2: _ = rig.store.remove(space, key: key.span.bytes, hash: hash, now: rig.now)
            default: break
            }
            return exclaim(&scratch)
        }
        #expect(result.outcome == .created)
        #expect(seen == [false, true, false])
        #expect(value == "! 0 0")
    }

    @Test func `removes, gives a lifetime, or leaves as it is`() {
        put("a")
        #expect(rewrite { _, _ in .setDeadline(.milliseconds(7)) }.outcome == .updated)
        #expect(value == "a 9 \(rig.now + 7)")
        let left = rewrite { _, _ in .leave }
        #expect(left.outcome == .conditionFailed)
        #expect(left.version != 0)
        #expect(rewrite { _, _ in .remove }.outcome == .removed)
        #expect(value == nil)
        #expect(rewrite { _, _ in .leave }.version == 0)
        #expect(rewrite { _, _ in .remove }.outcome == .notFound)
    }

    // MARK: Other names

    /// Moves `k` to `l`. `wrote` is called between the two writes.
    private func move(replaces: Bool, written: inout LSN, _ wrote: () -> Void = {}) -> String {
        var input = ByteBuffer()
        var scratch = Scratch()
        input.append("kl")
        let (source, goal) = (ByteRange(start: 0, count: 1), ByteRange(start: 1, count: 1))
        let move = RESPMove(
            source: RESPKey(range: source, hash: hash), from: space,
            goal: RESPKey(range: goal, hash: rig.store.hash(space, input.span(goal))), to: space, replaces: replaces, deletesSource: true,
            isSame: false)
        switch rig.server.executor.move(move, input, now: rig.now, written: &written, &scratch, wrote) {
        case .done: return "done"
        case .missing: return "missing"
        case .taken: return "taken"
        case .refused(let result): return "\(result.outcome)"
        case .half: return "half"
        }
    }

    private func ask(_ line: String) -> RESPValue? { try? Client(rig).ask(line) }

    @Test(arguments: [true, false])
    func `a RENAME whose source others write all the time is not done while the source is there`(_ replaces: Bool) {
        put("a")
        var (times, written) = (0, LSN.zero)
        let moved = move(replaces: replaces, written: &written) {
            times += 1
            put("b\(times)")
        }
        #expect(moved == "backlog", "in the next turn again")
        #expect(times == 16)
        #expect(ask("EXISTS k") == .integer(1))
        // The next turn.
        #expect(move(replaces: replaces, written: &written) == "done")
        #expect(ask("MGET k l") == .array([.null, .text("b16")]))
    }

    @Test func `a RENAMENX whose target is overwritten behind it leaves the source and says so`() {
        put("a")
        var written = LSN.zero
        let moved = move(replaces: false, written: &written) { for line in ["SET k new", "SET l other"] { _ = ask(line) } }
        #expect(moved == "taken")
        #expect(ask("MGET k l") == .list(["new", "other"]))
    }

    @Test func `a RENAMENX whose target is deleted behind it begins again`() {
        put("a")
        var (times, written) = (0, LSN.zero)
        let moved = move(replaces: false, written: &written) {
            times += 1
            if times == 1 { for line in ["SET k new", "DEL l"] { _ = ask(line) } }
        }
        #expect(moved == "done")
        #expect(ask("MGET k l") == .array([.null, .text("new")]))
    }

    @Test(arguments: [true, false])
    func `a RENAME whose source somebody else took behind it was done as well, and the value was there twice`(_ replaces: Bool) {
        for taking in ["RENAME k m", "GETDEL k", "DEL k"] {
            put("a")
            var written = LSN.zero
            #expect(move(replaces: replaces, written: &written) { _ = ask(taking) } == "missing")
            #expect(ask("MGET k l") == .array([.null, .null]), "after \(taking)")
            #expect(move(replaces: replaces, written: &written) == "missing")
        }
        #expect(ask("GET m") == .text("a"))
    }

    @Test func `a RENAME whose source was taken leaves what somebody else has written since`() {
        put("a")
        var written = LSN.zero
        #expect(move(replaces: true, written: &written) { for line in ["DEL k", "SET l new"] { _ = ask(line) } } == "missing")
        #expect(ask("MGET k l") == .array([.null, .text("new")]))
    }

    @Test func `gives up for this turn when others write all the time`() {
        put("a")
        var times = 0
        let result = rewrite { _, scratch in
            times += 1
            put("b")
            return exclaim(&scratch)
        }
        #expect(result.outcome == .backlog)
        #expect(times == 16)
        #expect(value == "b 9 0")
    }
}
