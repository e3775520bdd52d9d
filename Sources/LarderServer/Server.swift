// The server as a whole: what is started in which order, and how it stops.
//
// Listeners open first and answer "loading" while the data is read; workers serve; the log, the snapshots and the
// chores have threads of their own.

import LarderEngine
import LarderPersistence
import LarderPlatform
import LarderWire
import Synchronization

/// Why a server did not start, or stopped by itself. The text is for the person who started it.
package struct ServerError: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package final class Server: @unchecked Sendable {
    // Unchecked: threads are started and joined by one caller; everything else is constant or synchronised.
    private let context: ServerContext
    private let files: DirectoryFileSystem
    private let durable: DurableStore
    private let log: DurableLog
    private let workers: [Worker]
    private let acceptor: Acceptor
    private let maintenance: Maintenance
    private let announce: @Sendable (String) -> Void
    private var threads: [Thread] = []
    private var acceptorThread: Thread?
    private let isAskedToStop = Atomic<Bool>(false)
    private let stopParker = Parker()

    /// Opens the listeners and the data directory; serves nothing yet.
    ///
    /// - Parameter announce: Gets one line for each thing that an operator wants to know.
    /// - Throws: `ServerError`, with what to do about it.
    package init(
        configuration: ServerConfiguration, clock: any Clock = SystemClock(),
        announce: @escaping @Sendable (String) -> Void
    ) throws(ServerError) {
        if let refusal = AccessControl.refusal(of: configuration) { throw ServerError(refusal) }
        if let limit = MachineMemory.addresses(), limit < ServerConfiguration.addressesMin {
            throw ServerError(
                "this process may have \(limit) bytes of addresses (ulimit -v, LimitAS), and needs \(ServerConfiguration.addressesMin) at least: raise the limit, or bound the memory by memory-max or a control group instead")
        }
        self.announce = announce
        let configuration = Self.withinDescriptors(configuration, announce)
        // Before anything is made on the disk: a port that is taken must leave no trace there.
        let listeners: [Acceptor.ListenerBox]
        do throws(ListenError) {
            listeners = try Acceptor.listen(on: configuration.listen)
        } catch {
            throw ServerError("\(error)")
        }
        let time = ServerTime(clock: clock)
        do throws(PersistenceError) {
            try DurableStore.refuse(time)
        } catch {
            throw ServerError("\(error)")
        }
        let buffer = LogBuffer()
        let store = Store(
            configuration: configuration.store, log: buffer, namespaces: configuration.namespaces(created: time.now()))
        do throws(SystemError) {
            files = try DirectoryFileSystem(path: configuration.dataDirectory)
        } catch {
            throw ServerError("cannot use the data directory \(configuration.dataDirectory): \(error)")
        }
        try Self.rescue(files, configuration, time, announce)
        var options = configuration.persistence
        options.giveUp = { [events = options.events] condition in
            for event in events.take() { announce(event.description) }
            announce("\(condition): ending, as on-log-failure says; the next start has everything that was acknowledged with durability always, and the last that was with interval or never may be missing [event=exit status=\(Self.logFailedStatus)]")
            Signals.exitNow(Self.logFailedStatus)
        }
        do throws(PersistenceError) {
            durable = try DurableStore(
                directory: files, clock: time, state: StoredState(store), buffer: buffer, options: options)
        } catch {
            throw ServerError("\(configuration.dataDirectory): \(error)\(error.advice)")
        }
        log = DurableLog(durable, buffer: buffer)
        context = ServerContext(configuration: configuration, store: store, time: time, log: log)
        var workers: [Worker] = []
        do throws(SystemError) {
            let count = configuration.workers > 0 ? configuration.workers : Thread.processorCount
            for _ in 0..<count {
                let worker = try Worker(server: context)
                context.register(worker.metrics)
                workers.append(worker)
            }
        } catch {
            throw ServerError("cannot make a worker: \(error)")
        }
        self.workers = workers
        do throws(SystemError) {
            acceptor = try Acceptor(server: context, listeners: listeners, workers: workers)
        } catch {
            throw ServerError("cannot wait for connections: \(error)")
        }
        maintenance = Maintenance(server: context, announce: announce)
    }

    /// Lets clients have no descriptor that the log, a snapshot or the manifest may need.
    private static func withinDescriptors(
        _ configuration: ServerConfiguration, _ announce: (String) -> Void
    ) -> ServerConfiguration {
        let workers = configuration.workers > 0 ? configuration.workers : Thread.processorCount
        // Two for each poller; those that are turned away; listeners, files of the log and of a snapshot, and some to spare.
        let own = 2 * (workers + 1) + Acceptor.turnedAwayMax + configuration.listen.count + 32
        let there = Descriptors.allow(configuration.connectionsMax + own)
        var configuration = configuration
        if there < configuration.connectionsMax + own {
            configuration.connectionsMax = max(there - own, 1)
            announce(
                "only \(configuration.connectionsMax) connections may be open: the system allows this process \(there) open files (ulimit -n, LimitNOFILE)")
        }
        return configuration
    }

    /// Does about a damaged directory what the operator has said.
    private static func rescue(
        _ files: DirectoryFileSystem, _ configuration: ServerConfiguration, _ time: ServerTime, _ announce: (String) -> Void
    ) throws(ServerError) {
        guard !configuration.rescue.isEmpty else { return }
        do throws(PersistenceError) {
            let report = try Rescue.run(
                configuration.rescue, directory: files, clock: time, options: configuration.persistence
            ) {
                // Of no use afterwards: the start reads what the rescue has saved.
                StoredState(Store(
                    configuration: configuration.store, log: LogBuffer(bytesMax: 1),
                    namespaces: configuration.namespaces(created: time.now())))
            }
            for line in report?.lines ?? ["nothing had to be rescued: the data directory is as it should be"] { announce(line) }
        } catch {
            throw ServerError("\(configuration.dataDirectory): \(error)\(error.advice)")
        }
    }

    /// Where the server listens.
    package var addresses: [ListenAddress] { acceptor.addresses }

    /// Starts to answer, recovers the data, and begins to serve.
    ///
    /// - Throws: `ServerError` when the data cannot be trusted. The server has stopped then.
    package func start() throws(ServerError) {
        do throws(SystemError) {
            for (index, worker) in workers.enumerated() {
                threads.append(try Thread(name: "larder-work-\(index)") { worker.run() })
            }
            let acceptor = acceptor
            acceptorThread = try Thread(name: "larder-accept") { acceptor.run() }
        } catch {
            throw ServerError("cannot start a thread: \(error)")
        }
        for address in addresses { announce("listening on \(address)") }
        do {
            let report = try durable.recover(progress: context.recovery)
            context.time.advance(toAtLeast: report.newestWall)
            durable.setLag { [turnTimes = context.turnTimes] in turnTimes.p99 }
            try durable.start()
            let workers = workers
            log.open { for worker in workers { worker.logMoved() } }
            try settle(report)
            let expired = dropExpired()
            context.phase = .ready
            announce("ready: " + report.summary(entries: context.store.statistics().entries, expired: expired))
        } catch {
            stopThreads()
            try? durable.close()
            if let error = error as? ServerError { throw error }
            let advice = (error as? PersistenceError)?.advice ?? ""
            throw ServerError("\(context.configuration.dataDirectory): \(error)\(advice)")
        }
        do throws(SystemError) {
            let maintenance = maintenance
            threads.append(try Thread(name: "larder-chores") { maintenance.run() })
        } catch {
            throw ServerError("cannot start a thread: \(error)")
        }
    }

    /// Takes no more connections, answers what was received, makes everything durable, and leaves.
    ///
    /// - Throws: When the log could not be completed. What was acknowledged is as safe as it was.
    package func stop() throws(ServerError) {
        context.phase = .stopping
        stopThreads()
        do throws(PersistenceError) {
            try durable.close()
            announce("stopped")
        } catch {
            throw ServerError("stopped, but the log could not be completed: \(error)")
        }
    }

    /// Runs until SIGTERM or SIGINT; a second one ends the process at once, and so does the first while data is loaded.
    /// `Signals.hold()` was called before.
    package func run() throws(ServerError) {
        context.resp.onShutdown { Signals.requestStop() }
        let server = self
        do throws(SystemError) {
            _ = try Thread(name: "larder-stop") { server.waitForSignals() }
        } catch {
            throw ServerError("cannot start a thread: \(error)")
        }
        try start()
        while !isAskedToStop.load(ordering: .acquiring) { stopParker.park(nanoseconds: -1) }
        announce("stopping")
        try stop()
    }

    private func waitForSignals() {
        _ = Signals.wait()
        if context.phase == .loading {
            // A start may be cut off at any point, and nothing has been promised yet.
            announce("stopped while loading; the data is as it was")
            Signals.exitNow(0)
        }
        isAskedToStop.store(true, ordering: .releasing)
        stopParker.wake()
        // Some supervisors send the first one twice: to the process, and to its group.
        let first = context.time.now()
        repeat { _ = Signals.wait() } while context.time.now() - first < Self.repeatMilliseconds
        announce("stopped at once, on a second signal")
        Signals.exitNow(130)
    }

    /// Holds the settings against what is stored: key rule and eviction must agree, durability and limit are changed.
    private func settle(_ report: RecoveryReport) throws(ServerError) {
        let namespace = context.store.namespaces.default
        let stored = namespace.settings
        let settings = context.configuration.defaultNamespace
        if !report.isNew && stored.keyRule != settings.keyRule {
            throw disagreement("keys", "\(stored.keyRule)", "\(settings.keyRule)")
        }
        // Entries are laid out for it, and what was evicted could come back without it.
        if !report.isNew && stored.eviction != settings.eviction {
            throw disagreement("eviction", stored.eviction.wire.name, settings.eviction.wire.name)
        }
        guard settings != stored || report.isNew else { return }
        let result = context.store.setNamespaceSettings(namespace, settings, now: context.time.now())
        guard result.outcome != .updated else { return }
        let reason = context.log.refusal.text
        if report.isNew { throw ServerError("cannot store the settings of the default namespace: \(reason)") }
        // Not worth a refused start: it serves what is stored, and the next start asks again.
        announce(
            "durability and bytes-max of the default namespace stay \(stored.durability) and \(stored.bytesMax): \(reason) [event=settings-not-stored]")
    }

    private func disagreement(_ setting: String, _ stored: String, _ wanted: String) -> ServerError {
        ServerError(
            """
            the default namespace in \(context.configuration.dataDirectory) was made with \(setting): \(stored), \
            but the setting \(setting) says \(wanted). Set it to \(stored), or use another data directory.
            """)
    }

    /// Frees what fell due while nobody served.
    ///
    /// - Returns: How many entries.
    private func dropExpired() -> Int {
        let now = context.time.now()
        let before = context.store.statistics().expiredTotal
        while context.store.maintain(now: now, budget: Maintenance.workPerSlice).hasMore {}
        return context.store.statistics().expiredTotal - before
    }

    private func stopThreads() {
        acceptor.stop()
        acceptorThread?.join()
        acceptorThread = nil
        maintenance.stop()
        context.drainDeadline = context.time.now() + Self.drainMilliseconds
        for worker in workers { worker.stop() }
        for thread in threads { thread.join() }
        threads = []
    }

    /// How the process ends when the log has failed and the operator wants it to end then: "input/output error" of sysexits.h.
    package static let logFailedStatus: Int32 = 74
    /// A signal so soon after the first is the first one again.
    private static let repeatMilliseconds: Milliseconds = 250
    /// How long slow clients are waited for when the server stops.
    static let drainMilliseconds: Milliseconds = 5_000
}
