// What the server tells monitors and people about itself: counters and gauges, as Prometheus text or as plain lines.
//
// The text format is that of Prometheus, version 0.0.4. Names and meanings stand in docs/operations.md.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

package final class StatusReport: Sendable {
    package enum Form: Sendable { case plain, prometheus }

    private let store: Store
    private let log: any ReplyLog
    private let server = Mutex<Unowned?>(nil)

    /// The context owns the report; the report looks at it while it answers.
    private struct Unowned: Sendable { unowned let context: ServerContext }

    init(store: Store, log: any ReplyLog) {
        self.store = store
        self.log = log
    }

    /// What the report is about.
    var context: ServerContext? { server.withLock { $0?.context } }

    func attach(_ context: ServerContext) { server.withLock { $0 = Unowned(context: context) } }

    /// Appends the whole report.
    package func write(_ form: Form, now: Milliseconds, into output: inout ByteBuffer) {
        guard let context else { return }
        var page = Page(form: form)
        requests(context, &page)
        connections(context, &page)
        watching(context.resp.watching, &page)
        entries(&page)
        logged(&page)
        page.gauge("larder_uptime_seconds", "Seconds since the start.", Int64((now - context.startedMilliseconds) / 1_000))
        page.gauge("larder_cpu_nanoseconds", "Processor time of the process.", Thread.processNanoseconds())
        page.gauge("larder_ready", "1 when the data is loaded.", context.phase == .ready ? 1 : 0)
        output.append(page.text.bytes)
    }

    private func requests(_ context: ServerContext, _ page: inout Page) {
        let workers = context.metrics
        func sum(_ value: (WorkerMetrics) -> UInt64) -> Int64 { Int64(clamping: workers.reduce(0) { $0 &+ value($1) }) }
        page.counter("larder_requests_get_total", "Reads of one key.", sum { $0.gets.total })
        page.counter("larder_requests_put_total", "Writes of one key.", sum { $0.puts.total })
        page.counter("larder_requests_delete_total", "Deletes of one key.", sum { $0.deletes.total })
        page.counter("larder_requests_list_total", "Listings.", sum { $0.lists.total })
        page.counter("larder_requests_other_total", "All other requests.", sum { $0.others.total })
        page.counter("larder_hits_total", "Reads that found their key.", sum { $0.hits.total })
        page.counter("larder_misses_total", "Reads that did not.", sum { $0.misses.total })
        page.counter("larder_refusals_total", "Requests answered with an error.", sum { $0.refusals.total })
        page.counter("larder_received_bytes_total", "Bytes from clients.", sum { $0.receivedBytes.total })
        page.counter("larder_sent_bytes_total", "Bytes to clients.", sum { $0.sentBytes.total })
        page.counter("larder_turns_total", "Turns of the workers that found something to do.", sum { $0.turns.total })
        page.counter("larder_turns_slow_total", "Those that took 2 ms or longer.", sum { $0.turns.slow })
        page.gauge(
            "larder_turn_p99_microseconds", "What 99 of 100 turns did not exceed in the last quarter of a second.",
            context.turnTimes.p99 / 1_000)
        page.gauge("larder_clock_drift_milliseconds", "How far the wall clock is ahead of the time served.", context.time.wallDrift)
        page.counter("larder_timeouts_total", "Connections closed for being too slow.", sum { $0.timeouts.total })
    }

    private func connections(_ context: ServerContext, _ page: inout Page) {
        page.gauge("larder_connections", "Open connections.", Int64(context.connections.load(ordering: .relaxed)))
        page.counter(
            "larder_connections_accepted_total", "Connections taken in.",
            Int64(clamping: context.connectionsAccepted.load(ordering: .relaxed)))
        page.counter(
            "larder_connections_refused_total", "Connections closed because there were too many.",
            Int64(clamping: context.connectionsRefused.load(ordering: .relaxed)))
    }

    private func watching(_ watching: RESPWatching, _ page: inout Page) {
        func now(_ value: borrowing Atomic<Int>) -> Int64 { Int64(value.load(ordering: .relaxed)) }
        page.gauge("larder_tracking_connections", "Connections that are told when keys in their caches change.", now(watching.trackingClients))
        page.gauge("larder_tracked_keys", "Keys that they have read.", now(watching.trackedKeys))
        page.gauge("larder_tracked_bytes", "Bytes of memory that remember them, about.", now(watching.trackedBytes))
        page.counter(
            "larder_tracked_given_up_total", "Keys that were declared changed because too many are tracked.",
            Int64(clamping: watching.givenUp.load(ordering: .relaxed)))
        page.gauge("larder_subscribers", "Connections that have subscribed to events of keys.", now(watching.subscribers))
        page.counter(
            "larder_events_overrun_total", "Times that a worker came too late to see all events of keys.",
            Int64(clamping: watching.overruns.load(ordering: .relaxed)))
    }

    private func entries(_ page: inout Page) {
        let statistics = store.statistics()
        page.gauge("larder_keys", "Entries held, expired ones that are not freed yet included.", Int64(statistics.entries))
        page.gauge("larder_entry_bytes", "Bytes of keys and values.", Int64(statistics.entryBytes))
        page.gauge("larder_memory_used_bytes", "Bytes of memory taken for entries, tables and timers.", Int64(statistics.arenaBytes))
        page.gauge("larder_memory_max_bytes", "Bytes of memory that there are for them.", Int64(store.memoryBytesMax))
        page.counter("larder_expired_total", "Entries freed because their time was over.", Int64(statistics.expiredTotal))
        page.counter("larder_evicted_total", "Entries that made room for others.", Int64(statistics.evictedEntries))
        page.counter("larder_evicted_bytes_total", "Bytes of memory that they took.", Int64(statistics.evictedBytes))
        page.counter(
            "larder_evicted_returned_total", "Entries written anew soon after they were evicted.", Int64(statistics.ghostHits))
        page.gauge("larder_evicted_memory_bytes", "Bytes that remember evicted keys.", Int64(statistics.ghostBytes))
        // Processor time of the holder: how long a request may have to wait for a shard that a chore has.
        page.gauge("larder_longest_hold_upkeep_nanoseconds", "Longest hold of a shard by expiry and sweeping.", store.holdTimes.longest(.upkeep))
        page.gauge("larder_longest_hold_walk_nanoseconds", "Longest hold of a shard by a snapshot.", store.holdTimes.longest(.walk))
        page.gauge("larder_longest_hold_listing_nanoseconds", "Longest hold of a shard by ordering keys.", store.holdTimes.longest(.listing))
        page.counter("larder_lock_waits_total", "Times that a lock was found held.", Int64(Lock.waits))
        page.gauge("larder_namespaces", "Namespaces.", Int64(store.namespaces.count))
    }

    private func logged(_ page: inout Page) {
        let position = log.position
        page.gauge("larder_log_working", "1 while the log takes writes.", log.isWorking ? 1 : 0)
        page.gauge("larder_log_applied_lsn", "Position of the last write in memory.", Int64(clamping: store.log.appliedLSN.rawValue))
        page.gauge("larder_log_written_lsn", "Position that survives the process.", Int64(clamping: position.written.rawValue))
        page.gauge("larder_log_durable_lsn", "Position that survives a power cut.", Int64(clamping: position.durable.rawValue))
        page.gauge("larder_degraded", "How many reasons there are to look at the server; /readyz names them.", Int64(log.troubles.count))
        log.report { name, help, isCounter, value in
            if isCounter { page.counter(name, help, value) } else { page.gauge(name, help, value) }
        }
    }

    /// The text under construction.
    struct Page: ~Copyable {
        let form: Form
        var text = ByteBuffer()

        init(form: Form) { self.form = form }

        mutating func counter(_ name: StaticString, _ help: StaticString, _ value: Int64) { line("counter", name, help, value) }
        mutating func gauge(_ name: StaticString, _ help: StaticString, _ value: Int64) { line("gauge", name, help, value) }

        private mutating func line(_ kind: StaticString, _ name: StaticString, _ help: StaticString, _ value: Int64) {
            if form == .prometheus {
                text.append("# HELP ")
                text.append(name)
                text.append(" ")
                text.append(help)
                text.append("\n# TYPE ")
                text.append(name)
                text.append(" ")
                text.append(kind)
                text.append("\n")
            }
            text.append(name)
            text.append(" ")
            text.append(decimal: value)
            text.append("\n")
        }
    }
}
