// Does to a model what an operation does to the store, and says where the two differ.
//
// The rules are written anew from docs/architecture.md and the comments of `WriteResult`, not copied from the engine.

import LarderBytes
import LarderEngine
import LarderPersistence
import LarderPlatform

/// The model of one run, across all its lives.
package struct Reference: Sendable {
    package internal(set) var content = ModelContent()
    package internal(set) var history = ModelHistory()
    /// Writes that the log did not take.
    package private(set) var declined = 0
    package private(set) var performed = 0

    package init() {}

    /// Carries out `operation` on both.
    ///
    /// - Returns: What is wrong, or nil.
    package mutating func perform(_ operation: Operation, on life: StorageLife) -> String? {
        performed += 1
        let now = life.now
        switch operation {
        case .put(let space, let key, let value, let lifetime, let expectation, let metadata):
            return write(space, key, life, now) { model, call in
                let condition = call.condition(expectation)
                let metadata: [UInt8] = metadata ? [1, 2, 0, 0x61, 0x62] : []
                let result = life.store.put(
                    call.namespace, key: call.key.key.span.bytes, hash: call.hash, value: value.bytes.span.bytes,
                    metadata: metadata.span.bytes, lifetime: lifetime, condition: condition, now: now)
                guard Self.holds(condition, call.live) else { return model.unchanged(result, .conditionFailed, call) }
                let deadline = Self.deadline(lifetime, call.live, now)
                return model.stored(result, ModelEntry(value: value.bytes, metadata: metadata, deadline: deadline, version: .zero), call)
            }
        case .remove(let space, let key, let expectation):
            return write(space, key, life, now) { model, call in
                let condition = call.condition(expectation)
                let result = life.store.remove(
                    call.namespace, key: call.key.key.span.bytes, hash: call.hash, condition: condition, now: now)
                guard Self.holds(condition, call.live) else { return model.unchanged(result, .conditionFailed, call) }
                return model.removed(result, call)
            }
        case .touch(let space, let key, let lifetime, let expectation):
            return write(space, key, life, now) { model, call in
                let condition = call.condition(expectation)
                let result = life.store.setDeadline(
                    call.namespace, key: call.key.key.span.bytes, hash: call.hash, lifetime: lifetime, condition: condition,
                    now: now)
                guard Self.holds(condition, call.live) else { return model.unchanged(result, .conditionFailed, call) }
                guard var entry = call.live else { return model.unchanged(result, .notFound, call) }
                let deadline = Self.deadline(lifetime, entry, now)
                if deadline == entry.deadline { return model.unchanged(result, .updated, call) }
                entry.deadline = deadline
                return model.stored(result, entry, call)
            }
        case .increment(let space, let key, let delta, let lifetime):
            return write(space, key, life, now) { model, call in
                let result = life.store.increment(
                    call.namespace, key: call.key.key.span.bytes, hash: call.hash, delta: delta, lifetime: lifetime, now: now)
                guard let present = Self.integer(call.live) else { return model.unchanged(result, .notAnInteger, call) }
                let (sum, overflow) = present.addingReportingOverflow(delta)
                if overflow { return model.unchanged(result, .integerOverflow, call) }
                var entry = call.live ?? ModelEntry(value: [], deadline: Self.deadline(lifetime, nil, now), version: .zero)
                entry.value = Array(String(sum).utf8)
                if model.isDeclined(result) == false, result.integer != sum { return "counted to \(result.integer), not \(sum)" }
                return model.stored(result, entry, call)
            }
        case .append(let space, let key, let value, let lifetime):
            return write(space, key, life, now) { model, call in
                let result = life.store.append(
                    call.namespace, key: call.key.key.span.bytes, hash: call.hash, value: value.bytes.span.bytes,
                    lifetime: lifetime, now: now)
                var entry = call.live ?? ModelEntry(value: [], deadline: Self.deadline(lifetime, nil, now), version: .zero)
                entry.value += value.bytes
                if model.isDeclined(result) == false, result.integer != Int64(entry.value.count) {
                    return "appended to \(result.integer) bytes, not \(entry.value.count)"
                }
                return model.stored(result, entry, call)
            }
        case .create(let space): return create(space, life, now)
        case .flush(let space):
            return change(space, life, { life.store.flushNamespace($0, now: now) }) { .flush($0) }
        case .drop(let space):
            guard space > 0 else { return nil }
            return change(space, life, { life.store.dropNamespace($0, now: now) }) { .drop($0) }
        case .policy(let space, let durability):
            let settings = NamespaceSettings(durability: durability)
            return change(space, life, isRemoval: false, { life.store.setNamespaceSettings($0, settings, now: now) }) { .settings($0, settings) }
        }
    }

    // MARK: Writes

    /// What a write to a key starts from.
    private struct Call {
        let namespace: Namespace
        let key: ModelKey
        let hash: KeyHash
        let live: ModelEntry?
        let now: Milliseconds
        let problem: (WriteResult, _ isRemoval: Bool) -> String?

        func condition(_ expectation: Expectation) -> WriteCondition {
            let version = live?.version.rawValue ?? 5
            return switch expectation {
            case .none: .none
            case .absent: .absent
            case .present: .present
            case .current: .version(version)
            case .other: .version(version &+ 1)
            case .notCurrent: .notVersion(version)
            }
        }
    }

    private mutating func write(
        _ space: Int, _ key: Int, _ life: StorageLife, _ now: Milliseconds, _ body: (inout Reference, Call) -> String?
    ) -> String? {
        guard let (namespace, number) = find(space, life) else { return missing(space, life) }
        let bytes = Operation.key(key)
        let model = ModelKey(space: number, key: bytes)
        let call = Call(
            namespace: namespace, key: model, hash: life.store.hash(namespace, bytes.span.bytes),
            live: content.live(model, now), now: now,
            problem: { Self.excuse($0.outcome, life, isRemoval: $1) })
        if let problem = body(&self, call) { return "\(Operation.spaces[space])/\(key): \(problem)" }
        return checkRead(call, life).map { "\(Operation.spaces[space])/\(key): \($0)" }
    }

    private func isDeclined(_ result: WriteResult) -> Bool {
        switch result.outcome {
        case .backlog, .refused, .outOfMemory: true
        default: false
        }
    }

    /// Why the log need not have taken a write; or what is wrong when it has no reason.
    private static func excuse(_ outcome: WriteOutcome, _ life: StorageLife, isRemoval: Bool = false) -> String? {
        let (buffer, state) = (life.buffer, life.log.state)
        switch outcome {
        case .refused where isRemoval && state == .low: return "a removal was refused for want of room"
        case .refused: return state == .ok ? "refused by a log that is well" : nil
        // The reserve of LSNs is used up: the clock ran ahead of the last ceiling.
        case .backlog: return max(life.now, buffer.appliedLSN.milliseconds) >= buffer.ceiling.milliseconds ? nil : "backlog with room"
        default: return "\(outcome)"
        }
    }

    private mutating func stored(_ result: WriteResult, _ entry: ModelEntry, _ call: Call) -> String? {
        if entry.deadline.isDue(call.now) { return removed(result, call) }
        if isDeclined(result) { return decline(result, call) }
        let outcome: WriteOutcome = call.live == nil ? .created : .updated
        guard result.outcome == outcome else { return "\(result.outcome), not \(outcome)" }
        guard result.deadline == entry.deadline else { return "deadline \(result.deadline.rawValue), not \(entry.deadline.rawValue)" }
        guard result.version == result.lsn.rawValue else { return "version \(result.version) is not the LSN" }
        guard result.lsn > history.given else { return "LSN \(result.lsn.rawValue) was given before" }
        var entry = entry
        entry.version = result.lsn
        note(.entry(call.key, entry), at: result.lsn, durability: call.namespace.settings.durability)
        return nil
    }

    private mutating func removed(_ result: WriteResult, _ call: Call) -> String? {
        if call.live == nil { return unchanged(result, .notFound, call) }
        if isDeclined(result) { return decline(result, call, isRemoval: true) }
        guard result.outcome == .removed else { return "\(result.outcome), not removed" }
        guard result.lsn > history.given else { return "LSN \(result.lsn.rawValue) was given before" }
        note(.remove(call.key), at: result.lsn, durability: call.namespace.settings.durability)
        return nil
    }

    private mutating func decline(_ result: WriteResult, _ call: Call, isRemoval: Bool = false) -> String? {
        declined += 1
        return call.problem(result, isRemoval)
    }

    private func unchanged(_ result: WriteResult, _ outcome: WriteOutcome, _ call: Call) -> String? {
        guard result.outcome == outcome else { return "\(result.outcome), not \(outcome)" }
        let version = call.live?.version.rawValue ?? 0
        return result.version == version ? nil : "version \(result.version), not \(version)"
    }

    private func checkRead(_ call: Call, _ life: StorageLife) -> String? {
        let expected = content.live(call.key, call.now)
        let seen = life.store.entry(call.namespace, call.key.key, at: call.now)
        return seen == expected ? nil : "reads \(describe(seen)), not \(describe(expected))"
    }

    private mutating func note(_ change: ModelChange, at lsn: LSN, durability: Durability?) {
        content.apply(change, at: lsn)
        history.note(change, at: lsn, durability: durability)
    }

    // MARK: Namespaces

    private func find(_ space: Int, _ life: StorageLife) -> (Namespace, UInt32)? {
        let name = Operation.spaces[space]
        guard let number = content.number(ofSpace: name), let found = life.store.namespaces.find(number: number) else { return nil }
        return (found, number)
    }

    /// Whether the store lacks a namespace that the model lacks.
    private func missing(_ space: Int, _ life: StorageLife) -> String? {
        let name = Array(Operation.spaces[space].utf8)
        let isThere = life.store.namespaces.find(name: name.span.bytes) != nil
        let isExpected = content.number(ofSpace: Operation.spaces[space]) != nil
        return isThere == isExpected ? nil : "namespace \(Operation.spaces[space]) is \(isThere ? "there" : "missing")"
    }

    private mutating func create(_ space: Int, _ life: StorageLife, _ now: Milliseconds) -> String? {
        let name = Operation.spaces[space]
        let bytes = Array(name.utf8)
        let settings = NamespaceSettings(durability: Operation.durability(ofSpace: space), keyRule: .bytes)
        // An id must be new even if the namespace that had it was lost.
        let id = NamespaceID(high: history.given.rawValue, low: UInt64(performed))
        let isThere = content.number(ofSpace: name) != nil
        switch life.store.createNamespace(name: bytes.span.bytes, id: id, settings: settings, now: now) {
        case .created(let namespace, let lsn):
            if isThere { return "\(name) was made twice" }
            guard lsn > history.given else { return "LSN \(lsn.rawValue) was given before" }
            if content.namespaces[namespace.number] != nil { return "number \(namespace.number) was given twice" }
            note(.create(namespace.number, ModelNamespace(name: name, settings: settings)), at: lsn, durability: nil)
            return nil
        case .exists: return isThere ? nil : "\(name) is said to exist"
        case .refused:
            declined += 1
            return Self.excuse(.refused, life)
        case .backlog:
            declined += 1
            return Self.excuse(.backlog, life)
        case .tooMany: return "too many namespaces"
        }
    }

    private mutating func change(
        _ space: Int, _ life: StorageLife, isRemoval: Bool = true, _ body: (Namespace) -> WriteResult, _ change: (UInt32) -> ModelChange
    ) -> String? {
        guard let (namespace, number) = find(space, life) else { return missing(space, life) }
        let result = body(namespace)
        if isDeclined(result) {
            declined += 1
            return Self.excuse(result.outcome, life, isRemoval: isRemoval)
        }
        guard result.outcome == .removed || result.outcome == .updated else { return "\(result.outcome)" }
        guard result.lsn > history.given else { return "LSN \(result.lsn.rawValue) was given before" }
        note(change(number), at: result.lsn, durability: nil)
        return nil
    }

    // MARK: Rules

    private static func holds(_ condition: WriteCondition, _ entry: ModelEntry?) -> Bool {
        switch condition {
        case .none: true
        case .absent: entry == nil
        case .present: entry != nil
        case .version(let version): entry?.version.rawValue == version
        case .notVersion(let version): entry?.version.rawValue != version
        }
    }

    /// A deadline is at least 1 and at most what an entry can hold.
    private static func deadline(_ lifetime: LifetimeChange, _ entry: ModelEntry?, _ now: Milliseconds) -> Deadline {
        switch lifetime {
        case .unlimited: return .never
        case .keep: return entry?.deadline ?? .never
        case .milliseconds(let milliseconds):
            let latest: Int64 = 1 << 47 - 1
            let room = latest - now
            return Deadline(rawValue: milliseconds >= room ? latest : max(1, now + max(milliseconds, -now)))
        case .until(let time): return Deadline(rawValue: min(max(time, 1), 1 << 47 - 1))
        }
    }

    /// The counter under a key; nil when it is something else.
    private static func integer(_ entry: ModelEntry?) -> Int64? {
        guard let entry else { return 0 }
        // Swift takes a plus sign, the store does not.
        guard entry.value.first != UInt8(ascii: "+") else { return nil }
        return Int64(String(decoding: entry.value, as: UTF8.self))
    }
}

extension ModelContent {
    /// The entry that a client sees at `now`.
    func live(_ key: ModelKey, _ now: Milliseconds) -> ModelEntry? {
        entries[key].flatMap { $0.deadline.isDue(now) ? nil : $0 }
    }
}

extension Store {
    /// What a client sees under a key.
    package func entry(_ namespace: Namespace, _ key: [UInt8], at now: Milliseconds) -> ModelEntry? {
        var seen: ModelEntry?
        _ = read(namespace, key: key.span.bytes, hash: hash(namespace, key.span.bytes), now: now) { view in
            seen = ModelEntry(
                value: Array(view.value), metadata: Array(view.metadata), deadline: view.deadline, version: view.lsn)
        }
        return seen
    }
}

func describe(_ entry: ModelEntry?) -> String {
    guard let entry else { return "nothing" }
    return "\(entry.value.count) bytes at \(entry.version.rawValue)"
        + (entry.deadline.isNever ? "" : " until \(entry.deadline.rawValue)") + " of \(entry.value.prefix(12))"
}
