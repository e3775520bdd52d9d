// What `stats` tells: the figures of this server under the names that monitors of memcached look for.
//
// A figure that nobody counts here is left out, never made up.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

extension CommandExecutor {
    func memcachedStatistics(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer,
        _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        var words = MemcachedWords(command.line)
        let topic = words.next(in: input.bytes).map { String(utf8: input.span($0)) }
        var page = StatisticsPage()
        switch topic {
        case nil: report.write(to: &page, of: session.namespace, now: turn.now)
        case "settings": report.writeSettings(to: &page)
        // There are no slab classes to tell of, as in a memcached without an entry.
        case "items": break
        case "slabs":
            page.line("active_slabs", 0)
            page.line("total_malloced", Int64(store.statistics().arenaBytes))
        case "sizes": page.line("sizes_status", "disabled")
        case "reset": return refuse(.statisticsStay, command, &session, &output, turn, metrics)
        default: return refuse(.unknownOperation, command, &session, &output, turn, metrics)
        }
        page.end()
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.text(page.text, status: .ok, contentType: "text/plain", to: command, in: .memcached, into: &target)
        }
    }
}

/// Lines of `STAT name value`.
struct StatisticsPage: ~Copyable {
    private(set) var text = ByteBuffer()

    mutating func line(_ name: StaticString, _ value: Int64) {
        begin(name)
        text.append(decimal: value)
        text.append("\r\n")
    }

    mutating func line(_ name: StaticString, _ value: String) {
        begin(name)
        text.append(utf8: value)
        text.append("\r\n")
    }

    mutating func end() { text.append("END\r\n") }

    private mutating func begin(_ name: StaticString) {
        text.append("STAT ")
        text.append(name)
        text.append(" ")
    }
}

extension StatusReport {
    fileprivate func write(to page: inout StatisticsPage, of namespace: Namespace?, now: Milliseconds) {
        guard let context else { return }
        let configuration = context.configuration
        let statistics = context.store.statistics()
        let usage = namespace.map { context.store.usage(of: $0) }
        let workers = context.metrics
        func sum(_ value: (WorkerMetrics) -> UInt64) -> Int64 { Int64(clamping: workers.reduce(0) { $0 &+ value($1) }) }
        let times = Thread.processTimes()
        page.line("pid", Int64(ProcessIdentity.number))
        page.line("uptime", (now - context.startedMilliseconds) / 1_000)
        page.line("time", now / 1_000)
        page.line("version", CommandExecutor.memcachedVersion.description)
        page.line("pointer_size", 64)
        page.line("rusage_user", Self.seconds(times.userMicroseconds))
        page.line("rusage_system", Self.seconds(times.systemMicroseconds))
        page.line("max_connections", Int64(configuration.connectionsMax))
        page.line("curr_connections", Int64(context.connections.load(ordering: .relaxed)))
        page.line("total_connections", Int64(clamping: context.connectionsAccepted.load(ordering: .relaxed)))
        page.line("rejected_connections", Int64(clamping: context.connectionsRefused.load(ordering: .relaxed)))
        // Keys, and not requests: one may ask for many.
        let written = sum { $0.puts.total &+ $0.putsTogether.total }
        page.line("cmd_get", sum { $0.hits.total &+ $0.misses.total })
        page.line("cmd_set", written)
        page.line("get_hits", sum { $0.hits.total })
        page.line("get_misses", sum { $0.misses.total })
        page.line("bytes_read", sum { $0.receivedBytes.total })
        page.line("bytes_written", sum { $0.sentBytes.total })
        page.line("idle_kicks", sum { $0.timeouts.total })
        page.line("accepting_conns", context.phase == .stopping ? 0 : 1)
        page.line("threads", Int64(workers.count))
        page.line("limit_maxbytes", Self.bytesMax(of: namespace, context.store))
        page.line("hash_bytes", Int64(statistics.tableBytes))
        page.line("bytes", Int64(usage?.memoryBytes ?? 0))
        page.line("curr_items", Int64(usage?.keys ?? 0))
        page.line("total_items", written)
        page.line("reclaimed", Int64(statistics.expiredTotal))
        page.line("evictions", Int64(statistics.evictedEntries))
    }

    fileprivate func writeSettings(to page: inout StatisticsPage) {
        guard let context else { return }
        let configuration = context.configuration
        let namespace = context.store.namespaces.find(name: Array(configuration.memcachedNamespace.utf8).rawSpan)
        page.line("maxbytes", Self.bytesMax(of: namespace, context.store))
        page.line("maxconns", Int64(configuration.connectionsMax))
        page.line("tcpport", Int64(configuration.listen.first?.address.port ?? 0))
        page.line("udpport", 0)
        page.line("inter", configuration.listen.first.map { "\($0.address)" } ?? "")
        page.line("verbosity", 0)
        page.line("evictions", namespace?.eviction == .s3fifo ? "on" : "off")
        page.line("shutdown_command", "no")
        page.line("num_threads", Int64(context.metrics.count))
        page.line("cas_enabled", "yes")
        page.line("auth_enabled_ascii", configuration.apiKey == nil ? "no" : "yes")
        page.line("item_size_max", Int64(configuration.valueBytesMax))
        page.line("flush_enabled", "yes")
        page.line("dump_enabled", "no")
    }

    private static func bytesMax(of namespace: Namespace?, _ store: Store) -> Int64 {
        let limit = namespace?.settings.bytesMax ?? 0
        return Int64(limit == 0 ? store.memoryBytesMax : limit)
    }

    /// Seconds with six decimals, as memcached writes them.
    private static func seconds(_ microseconds: Int64) -> String {
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - rest.count))\(rest)"
    }
}

extension Failure {
    static let statisticsStay = Failure(
        .malformed, "the counters are those of all dialects and are not reset; look at differences")
}
