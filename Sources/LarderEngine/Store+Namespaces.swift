// Making, flushing and dropping namespaces, all of it logged.
//
// Such changes are made under the table's lock, one at a time. Those that take entries away publish it where they get their
// LSN, under the log's lock, so that no write can be decided before and logged after them without being told.

import LarderBytes
import LarderPlatform
import Synchronization

/// What became of a namespace to be made.
package enum NamespaceCreation: Equatable, Sendable {
    case created(Namespace, LSN)
    /// There is one of that name.
    case exists
    /// There are as many as there can be.
    case tooMany
    case backlog
    case refused
}

extension Store {
    /// Makes a namespace.
    ///
    /// - Parameter name: A legal one (`NamespaceTable.isLegalName`).
    /// - Parameter id: One that no other namespace has.
    package func createNamespace(
        name: RawSpan, id: NamespaceID, settings: NamespaceSettings, state: NamespaceState = .ready, now: Milliseconds
    ) -> NamespaceCreation {
        precondition(NamespaceTable.isLegalName(name) && state != .deleting, "not a namespace that could be")
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        guard namespaces.find(name: name) == nil, namespaces.find(id: id) == nil else { return .exists }
        guard let number = namespaces.giveNumber() else { return .tooMany }
        let record = NamespaceRecord(
            id: id, state: state, settings: settings, created: now, numbersGiven: namespaces.numbersGiven)
        let answer = append(.namespaceCreate, number, name, record, now) { _ in }
        switch answer.outcome {
        case .appended: break
        case .refused: return .refused
        case .backlog, .flushed, .namespaceGone, .released: return .backlog
        }
        guard let made = namespaces.insert(number: number, name: name, record: record, updatedLSN: answer.lsn) else {
            preconditionFailure("a number without a slot")
        }
        return .created(made, answer.lsn)
    }

    /// Takes all entries away that are there now. O(1); their memory comes back by and by.
    ///
    /// - Returns: `removed` and the LSN that a durable reply waits for; or `namespaceGone`, `backlog`, `refused`.
    package func flushNamespace(_ namespace: Namespace, now: Milliseconds) -> WriteResult {
        change(namespace, .namespaceFlush, now) { namespace.raiseFlushLSN(to: $0) }
    }

    /// Drops a namespace: it takes no keys from now on, and is forgotten when its entries are swept.
    ///
    /// - Parameter namespace: Not the default one.
    /// - Returns: As `flushNamespace`.
    package func dropNamespace(_ namespace: Namespace, now: Milliseconds) -> WriteResult {
        precondition(namespace != namespaces.default, "the default namespace stays")
        return change(namespace, .namespaceDrop, now) { self.publishDrop(namespace, $0) }
    }

    /// Lets a namespace take keys, or not yet.
    package func setNamespaceState(_ namespace: Namespace, _ state: NamespaceState, now: Milliseconds) -> WriteResult {
        precondition(state != .deleting, "that is what dropping is for")
        return change(namespace, .namespaceState, now, state: state) {
            namespace.set(state)
            namespace.set(updatedLSN: $0)
        }
    }

    /// Changes the settings of a namespace.
    package func setNamespaceSettings(
        _ namespace: Namespace, _ settings: NamespaceSettings, now: Milliseconds
    ) -> WriteResult {
        let result = change(namespace, .namespaceState, now, settings: settings) {
            namespace.set(settings)
            namespace.set(updatedLSN: $0)
            self.namespaces.note(settings)
        }
        // A limit counts what the shards kept back while there was none, or a wider one.
        if result.outcome == .updated {
            for index in 0..<shardCount { hold(index) { $0.namespaces.report(namespace.slot) } }
        }
        return result
    }

    /// Appends all namespaces to `buffer`, as snapshot entries; dropped ones are left out.
    ///
    /// - Returns: How many.
    package func appendNamespaces(to buffer: inout ByteBuffer) -> Int {
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        var count = 0
        var value = ByteBuffer()
        for namespace in namespaces.allLocked where namespace.state != .deleting {
            value.removeAll()
            namespace.record(numbersGiven: namespaces.numbersGiven).append(to: &value)
            LogRecord(
                .namespaceState, lsn: namespace.updatedLSN, namespace: namespace.number, key: namespace.name,
                metadata: RawSpan(), value: value.bytes
            ).appendSnapshotEntry(to: &buffer, access: 0)
            count += 1
        }
        return count
    }

    /// Forgets dropped namespaces that are swept, so that their slots can be used again.
    ///
    /// - Parameter swept: What `flushes` was when the oldest of the shards' last whole sweeps began.
    func forgetDropped(swept: UInt64) {
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        namespaces.removeDropped(swept: swept)
    }

    /// Makes a drop visible. Under the locks of the table and, while there are writers, of the log.
    func publishDrop(_ namespace: Namespace, _ lsn: LSN) {
        // The LSN first: who sees the state sees that the entries are gone as well.
        namespace.raiseFlushLSN(to: lsn)
        namespace.set(.deleting)
        namespace.set(updatedLSN: lsn)
    }

    /// Counts a flush or drop that was published, for the shards to sweep.
    ///
    /// - Returns: Which sweep it will be.
    func noteFlush() -> UInt64 { flushes.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue }

    private func change(
        _ namespace: Namespace, _ operation: LogOperation, _ now: Milliseconds, state: NamespaceState? = nil,
        settings: NamespaceSettings? = nil, publish: (LSN) -> Void
    ) -> WriteResult {
        namespaces.lock.lock()
        defer { namespaces.lock.unlock() }
        guard namespace.state != .deleting else { return WriteResult(.namespaceGone, lsn: .zero) }
        var record = namespace.record(numbersGiven: namespaces.numbersGiven)
        if let state { record.state = state }
        if let settings { record.settings = settings }
        let answer = append(operation, namespace.number, namespace.name, record, now, publish)
        switch answer.outcome {
        case .appended: break
        case .refused: return WriteResult(.refused, lsn: .zero)
        case .backlog, .flushed, .namespaceGone, .released: return WriteResult(.backlog, lsn: .zero)
        }
        if operation == .namespaceFlush || operation == .namespaceDrop {
            let sweep = noteFlush()
            events.tellFlushed(namespace)
            if operation == .namespaceDrop { namespaces.noteDropped(namespace, sweep: sweep) }
            return WriteResult(.removed, lsn: answer.lsn)
        }
        return WriteResult(.updated, lsn: answer.lsn)
    }

    private func append(
        _ operation: LogOperation, _ number: UInt32, _ name: RawSpan, _ record: NamespaceRecord, _ now: Milliseconds,
        _ publish: (LSN) -> Void
    ) -> LogAnswer {
        var value = ByteBuffer()
        record.append(to: &value)
        return log.append(
            LogRecord(operation, namespace: number, key: name, metadata: RawSpan(), value: value.bytes), now: now,
            publish: publish)
    }
}
