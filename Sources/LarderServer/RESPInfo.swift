// INFO: what monitors read of a Redis, in its sections and under its names, as far as Larder has it.

import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

enum RESPInfo {
    /// The version of Redis whose commands these are. Clients go by it, and by the name: some keep caches only of a server that is
    /// called so, from 7.4 on.
    static let redisVersion = "7.4.0"
    static let helloName = "redis"

    /// - Parameter sections: Which are wanted; none, `all`, `default` or `everything`: all of them.
    static func text(_ sections: [String], _ executor: CommandExecutor, _ turn: Turn) -> String {
        let all: [(String, (CommandExecutor, Turn) -> [(String, String)])] = [
            ("Server", server), ("Clients", clients), ("Memory", memory), ("Persistence", persistence), ("Stats", stats),
            ("Replication", replication), ("CPU", processor), ("Cluster", cluster), ("Keyspace", keyspace),
        ]
        let wantsAll = sections.isEmpty || sections.contains { ["all", "default", "everything"].contains($0) }
        return all.filter { wantsAll || sections.contains($0.0.lowercased()) }.map { name, fields in
            "# \(name)\r\n" + fields(executor, turn).map { "\($0.0):\($0.1)\r\n" }.joined()
        }.joined(separator: "\r\n")
    }

    private static func server(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        let started = executor.report.context?.startedMilliseconds ?? turn.now
        let seconds = max(turn.now - started, 0) / 1_000
        return [
            ("redis_version", redisVersion), ("server_name", "larder"), ("redis_mode", "standalone"), ("os", "Linux"),
            ("arch_bits", "64"), ("process_id", "\(ProcessIdentity.number)"), ("run_id", executor.resp.runID),
            ("tcp_port", "\(executor.configuration.listen.first?.address.port ?? 0)"),
            ("server_time_usec", "\(turn.now * 1_000)"), ("uptime_in_seconds", "\(seconds)"),
            ("uptime_in_days", "\(seconds / 86_400)"),
        ]
    }

    private static func clients(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        [
            ("connected_clients", "\(executor.report.context?.connections.load(ordering: .relaxed) ?? 0)"),
            ("maxclients", "\(executor.configuration.connectionsMax)"), ("blocked_clients", "0"),
            ("tracking_clients", "\(executor.resp.watching.trackingClients.load(ordering: .relaxed))"),
            ("pubsub_clients", "\(executor.resp.watching.subscribers.load(ordering: .relaxed))"),
        ]
    }

    private static func memory(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        let statistics = executor.store.statistics()
        let namespace = executor.store.namespaces.default
        let used = statistics.arenaBytes
        let resident = MachineMemory.resident() ?? (0, 0)
        return [
            ("used_memory", "\(used)"), ("used_memory_human", human(used)),
            ("used_memory_rss", "\(resident.now)"), ("used_memory_rss_human", human(resident.now)),
            // The arena alone has no peak of its own.
            ("used_memory_peak", "\(resident.most)"), ("used_memory_peak_human", human(resident.most)),
            ("used_memory_dataset", "\(statistics.entryBytes)"),
            // What the store may take of it.
            ("total_system_memory", "\(executor.store.memoryBytesMax)"),
            ("total_system_memory_human", human(executor.store.memoryBytesMax)),
            ("maxmemory", "\(namespace.settings.bytesMax)"), ("maxmemory_human", human(namespace.settings.bytesMax)),
            ("maxmemory_policy", namespace.eviction == .none ? "noeviction" : "s3-fifo"),
            ("mem_fragmentation_ratio", hundredths(resident.now * 100 / max(used, 1))),
            ("mem_allocator", "larder"),
        ]
    }

    private static func persistence(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        [
            ("loading", turn.isReady ? "0" : "1"), ("rdb_bgsave_in_progress", "0"),
            ("rdb_last_save_time", "\(executor.lastSaveMilliseconds / 1_000)"),
            ("rdb_last_bgsave_status", turn.position.lastSnapshotFailed ? "err" : "ok"),
            ("aof_enabled", executor.store.namespaces.default.durability == .off ? "0" : "1"),
            ("aof_last_write_status", turn.logWorks ? "ok" : "err"),
        ]
    }

    private static func stats(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        guard let context = executor.report.context else { return [] }
        let counters = context.counters
        let watching = executor.resp.watching
        let rate = executor.resp.rate.perSecond(context.requests, since: context.startedMilliseconds, now: turn.now)
        return [
            ("total_connections_received", "\(counters.connectionsReceived)"),
            ("total_commands_processed", "\(counters.requests)"), ("instantaneous_ops_per_sec", "\(rate)"),
            ("total_net_input_bytes", "\(counters.receivedBytes)"), ("total_net_output_bytes", "\(counters.sentBytes)"),
            ("rejected_connections", "\(counters.connectionsRefused)"),
            ("expired_keys", "\(counters.expired)"), ("evicted_keys", "\(counters.evicted)"),
            ("keyspace_hits", "\(counters.hits)"), ("keyspace_misses", "\(counters.misses)"),
            ("pubsub_channels", "\(watching.channels.count)"), ("pubsub_patterns", "\(watching.patternCount)"),
            ("tracking_total_keys", "\(watching.trackedKeys.load(ordering: .relaxed))"),
            ("tracking_total_items", "\(watching.trackedItems.load(ordering: .relaxed))"),
            ("tracking_total_prefixes", "\(watching.prefixes.load(ordering: .relaxed))"),
            ("total_error_replies", "\(counters.refusals)"),
        ]
    }

    private static func replication(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        [("role", "master"), ("connected_slaves", "0"), ("master_repl_offset", "0")]
    }

    private static func processor(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        let times = Thread.processTimes()
        func seconds(_ microseconds: Int64) -> String {
            "\(microseconds / 1_000_000).\(String(microseconds % 1_000_000 + 1_000_000).dropFirst())"
        }
        return [("used_cpu_sys", seconds(times.systemMicroseconds)), ("used_cpu_user", seconds(times.userMicroseconds))]
    }

    private static func cluster(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] { [("cluster_enabled", "0")] }

    /// Larder does not count the keys with a lifetime by themselves, and monitors want a number.
    private static func keyspace(_ executor: CommandExecutor, _ turn: Turn) -> [(String, String)] {
        executor.databases.compactMap { index, namespace in
            let keys = executor.store.usage(of: namespace).keys
            return keys == 0 ? nil : ("db\(index)", "keys=\(keys),expires=0,avg_ttl=0")
        }
    }

    /// As Redis shows sizes: `1.50M`.
    private static func human(_ bytes: Int) -> String {
        let units = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)]
        guard let (unit, size) = units.first(where: { bytes >= $0.1 }) else { return "\(bytes)B" }
        return hundredths(bytes / (size / 100)) + unit
    }

    /// 150: `1.50`.
    private static func hundredths(_ count: Int) -> String { "\(count / 100).\(String(count % 100 + 100).dropFirst())" }
}
