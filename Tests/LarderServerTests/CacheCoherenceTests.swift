// Writers of every dialect against clients that keep what they have read: whatever happens to events and to the table of tracked
// keys, when all is quiet no cache holds what is no longer so.
//
// LARDER_SEED=n replays one seed.

import Foundation
import LarderBytes
import LarderEngine
import LarderPlatform
import LarderSimulation
import LarderWire
import Testing

@testable import LarderServer

/// A client that keeps what it reads until it is told otherwise.
private final class CachingClient {
    let peer: Peer
    private(set) var cache: [String: RESPValue] = [:]
    /// The commands that have not been answered: the keys that each reads, or writes.
    private var asked: [(reads: Bool, keys: [String])] = []
    /// It is not told of its own writes, and forgets them by itself.
    private let skipsOwn: Bool
    private(set) var pushes = 0

    init(_ peer: Peer, skipsOwn: Bool = false) {
        self.peer = peer
        self.skipsOwn = skipsOwn
    }

    func read(_ keys: [String]) {
        asked.append((true, keys))
        send(Say.command((keys.count == 1 ? ["GET"] : ["MGET"]) + keys))
    }

    func write(_ line: String, _ keys: String...) {
        asked.append((false, keys))
        send(Say.words(line))
    }

    private func send(_ bytes: [UInt8]) {
        let sent = peer.send(bytes)
        #expect(sent == bytes.count)
    }

    /// Takes what has come back, in its order.
    func take() throws {
        for value in try RESPReader.all(peer.receive()) {
            if case .push(let items) = value {
                pushes += 1
                if items[1] == .null { cache = [:] }
                for key in items[1].items { cache[key.string ?? ""] = nil }
            } else {
                let (reads, keys) = asked.removeFirst()
                guard reads else {
                    if skipsOwn { for key in keys { cache[key] = nil } }
                    continue
                }
                let values = keys.count == 1 ? [value] : value.items
                for (key, value) in zip(keys, values) where !value.isError { cache[key] = value }
            }
        }
    }
}

@Suite("Caches of clients") struct CacheCoherenceTests {
    static let seeds: [UInt64] = ProcessInfo.processInfo.environment["LARDER_SEED"].flatMap { UInt64($0) }.map { [$0] } ?? Array(1...20)
    private static let keys = (0..<30).map { "k\($0)" }

    @Test(arguments: seeds) func `hold nothing stale when all is quiet`(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let waits = seed % 3 == 0
        // Every other seed loses events, and most have more to remember than they may.
        let bench = try WorkerRig(waits: waits, workers: 2, eventBytesMax: seed % 2 == 0 ? 1 << 12 : 1 << 20)
        let modes = ["", "BCAST", "BCAST PREFIX k1", "NOLOOP", ""]
        let clients = modes.enumerated().map { index, mode in
            let client = CachingClient(bench.connect(to: index % 2), skipsOwn: mode == "NOLOOP")
            client.write("HELLO 3")
            client.write("CLIENT TRACKING ON \(mode)")
            return client
        }
        if seed % 4 != 0 { clients[0].write("CONFIG SET tracking-table-max-keys \(Int.random(in: 1...60, using: &random))") }
        let (binary, web, memcached) = (bench.connect(to: 0), bench.connect(to: 1), bench.connect(to: 0))
        binary.send(Ask.hello())
        func settle() {
            // Replies that wait set others free, and events are looked at by and by.
            for _ in 0..<40 {
                if waits { bench.rig.sync() }
                for worker in bench.workers {
                    worker.logMoved()
                    _ = worker.step(waitMilliseconds: 0)
                }
            }
        }
        settle()
        for _ in 0..<600 {
            let key = Self.keys.randomElement(using: &random)!
            let value = "\(Int.random(in: 0...99, using: &random))"
            switch Int.random(in: 0..<20, using: &random) {
            case 0: binary.send(Ask.put(key, value))
            case 1: binary.send(Ask.increment(key, by: 1))
            case 2: binary.send(Ask.delete(key))
            case 3: web.send(Web.request("PUT /kv/default/\(key)", body: value))
            case 4: web.send(Web.request("DELETE /kv/default/\(key)"))
            case 5: memcached.send("set \(key) 0 0 \(value.utf8.count)\r\n\(value)\r\n")
            case 6: memcached.send("append \(key) 0 0 1\r\n7\r\n")
            case 7: memcached.send("delete \(key)\r\n")
            case 8: clients.randomElement(using: &random)?.write("SET \(key) \(value) PX \(Int.random(in: 1...50, using: &random))", key)
            case 9:
                let goal = Self.keys.randomElement(using: &random)!
                clients.randomElement(using: &random)?.write("RENAME \(key) \(goal)", key, goal)
            case 10: if Int.random(in: 0..<10, using: &random) == 0 { clients.randomElement(using: &random)?.write("FLUSHDB") }
            case 11: bench.rig.clock.advance(milliseconds: Int64.random(in: 1...20, using: &random))
            case 12: _ = bench.rig.store.maintain(now: bench.rig.server.time.now(), budget: 16)
            case 13: if waits { bench.rig.sync() }
            case 14...16: clients.randomElement(using: &random)?.read([key])
            case 17: clients.randomElement(using: &random)?.read((0..<4).map { _ in Self.keys.randomElement(using: &random)! })
            default: bench.workers.forEach { if Bool.random(using: &random) { $0.logMoved(); _ = $0.step(waitMilliseconds: 0) } }
            }
            if Int.random(in: 0..<8, using: &random) == 0 { try clients.forEach { try $0.take() } }
            if Int.random(in: 0..<30, using: &random) == 0 {
                for peer in [binary, web, memcached] { _ = peer.receive() }
            }
        }
        settle()
        // What is over is told of when it is freed.
        while bench.rig.store.maintain(now: bench.rig.server.time.now(), budget: 10_000).hasMore {}
        settle()
        for (index, client) in clients.enumerated() {
            try client.take()
            #expect(client.pushes > 0, "LARDER_SEED=\(seed): nobody was told anything in mode '\(modes[index])'")
            for (key, held) in client.cache where index != 2 || key.hasPrefix("k1") {
                #expect(held == Self.value(of: key, in: bench.rig), "LARDER_SEED=\(seed): \(key) of mode '\(modes[index])'")
            }
        }
    }

    private static func value(of key: String, in rig: Rig) -> RESPValue {
        let (namespace, key) = (rig.store.namespaces.default, Array(key.utf8))
        var value = RESPValue.null
        _ = rig.store.read(namespace, key: key.rawSpan, hash: rig.store.hash(namespace, key.rawSpan), now: rig.server.time.now()) {
            value = .bulk(Array($0.value))
        }
        return value
    }

    // MARK: The table

    @Test(arguments: seeds) func `the table agrees with a dictionary`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var table = TrackingTable()
        var model: [String: Set<UInt64>] = [:]
        var order: [String] = []
        for _ in 0..<3_000 {
            let name = Self.keys.randomElement(using: &random)!
            let bytes = Array(name.utf8)
            let (key, token) = (TrackedKey(3, bytes.rawSpan), UInt64.random(in: 1...5, using: &random))
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                table.remove(key)
                model[name] = nil
            case 1:
                table.remove(key) { $0 == token }
                model[name] = model[name]?.contains(token) == true ? [token] : nil
            case 2:
                let removed = table.removeOldest()
                #expect(removed.map { $0.key.bytes.text } == order.first)
                if let first = order.first { model[first] = nil }
            case 3:
                table.noteGone()
                table.sweep(work: 1_000) { $0 != token }
                model = model.mapValues { $0.subtracting([token]) }.filter { !$0.value.isEmpty }
            default:
                table.add(key, token)
                if model[name] == nil { order.append(name) }
                model[name, default: []].insert(token)
            }
            order.removeAll { model[$0] == nil }
            #expect(table.counts.keys == model.count && table.counts.items == model.values.reduce(0) { $0 + $1.count })
            var held: Set<UInt64> = []
            table.holders(of: key)?.forEach { held.insert($0) }
            #expect(held == model[name] ?? [])
        }
        while table.removeOldest() != nil {}
        #expect(table.counts == TrackingCounts())
    }
}
