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
            page.line("total_malloced", store.statistics().arenaBytes)
        case "sizes": page.line("sizes_status", "disabled")
        case "reset":
            report.context?.forgetCounters()
            return line("RESET", command, &session, &output, turn)
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

    mutating func line(_ name: StaticString, _ value: some BinaryInteger) {
        begin(name)
        text.append(decimal: Int64(clamping: value))
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
        let counters = context.counters
        let times = Thread.processTimes()
        page.line("pid", ProcessIdentity.number)
        page.line("uptime", (now - context.startedMilliseconds) / 1_000)
        page.line("time", now / 1_000)
        page.line("version", CommandExecutor.memcachedVersion.description)
        page.line("pointer_size", 64)
        page.line("rusage_user", Self.seconds(times.userMicroseconds))
        page.line("rusage_system", Self.seconds(times.systemMicroseconds))
        page.line("max_connections", configuration.connectionsMax)
        page.line("curr_connections", context.connections.load(ordering: .relaxed))
        page.line("total_connections", counters.connectionsReceived)
        page.line("rejected_connections", counters.connectionsRefused)
        // Keys, and not requests: one may ask for many.
        page.line("cmd_get", counters.hits &+ counters.misses)
        page.line("cmd_set", counters.puts)
        page.line("get_hits", counters.hits)
        page.line("get_misses", counters.misses)
        page.line("bytes_read", counters.receivedBytes)
        page.line("bytes_written", counters.sentBytes)
        page.line("idle_kicks", counters.timeouts)
        page.line("accepting_conns", context.phase == .stopping ? 0 : 1)
        page.line("threads", context.metrics.count)
        page.line("limit_maxbytes", Self.bytesMax(of: namespace, context.store))
        page.line("hash_bytes", statistics.tableBytes)
        page.line("bytes", usage?.memoryBytes ?? 0)
        page.line("curr_items", usage?.keys ?? 0)
        page.line("total_items", counters.puts)
        page.line("reclaimed", counters.expired)
        page.line("evictions", counters.evicted)
    }

    fileprivate func writeSettings(to page: inout StatisticsPage) {
        guard let context else { return }
        let configuration = context.configuration
        let namespace = context.store.namespaces.find(name: Array(configuration.memcachedNamespace.utf8).rawSpan)
        page.line("maxbytes", Self.bytesMax(of: namespace, context.store))
        page.line("maxconns", configuration.connectionsMax)
        page.line("tcpport", configuration.listen.first?.address.port ?? 0)
        page.line("udpport", 0)
        page.line("inter", configuration.listen.first.map { "\($0.address)" } ?? "")
        page.line("verbosity", 0)
        page.line("evictions", namespace?.eviction == .s3fifo ? "on" : "off")
        page.line("shutdown_command", "no")
        page.line("num_threads", context.metrics.count)
        page.line("cas_enabled", "yes")
        page.line("auth_enabled_ascii", configuration.apiKey == nil ? "no" : "yes")
        page.line("item_size_max", configuration.valueBytesMax)
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
