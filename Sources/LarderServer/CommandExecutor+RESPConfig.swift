// CONFIG: Larder's settings under the names that Redis has for them, as far as it has any.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire
import Synchronization

extension CommandExecutor {
    func configure(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        switch (lowercase(words[0], input), words.count) {
        case ("get", 2...):
            let patterns = words.dropFirst().map { GlobPattern(lowercase($0, input)) }
            let shown = shownSettings.filter { setting in
                let name = Array(setting.name.utf8)
                return patterns.contains { $0.matches(name.rawSpan) }
            }
            reply(request, &session, &output) { target in
                RESPReply.map(shown.count, request.isRESP3, into: &target)
                for setting in shown {
                    RESPReply.bulk(setting.name, into: &target)
                    RESPReply.bulk(setting.value, into: &target)
                }
            }
        case ("set", 3...):
            guard words.count % 2 == 1 else { throw .syntaxError }
            let texts = words.dropFirst().map { String(utf8: input.span($0)) }
            let changes = stride(from: 0, to: texts.count, by: 2).map { (name: texts[$0].lowercased(), text: texts[$0 + 1]) }
            if let fault = set(changes, request.turn.now) { return refuse(fault, request, &session, &output) }
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case ("resetstat", 1):
            report.context?.forgetCounters()
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case ("rewrite", 1):
            refuse("ERR The server is running without a config file", request, &session, &output)
        default: refuseSubcommand(request, words, input, &session, &output)
        }
    }

    /// What CONFIG GET shows.
    private var shownSettings: [(name: String, value: String)] {
        let settings = resp.settings
        let first = configuration.listen.first?.address
        let namespace = store.namespaces.default
        return [
            ("appendfsync", Self.sync(namespace.durability)),
            ("appendonly", namespace.durability == .off ? "no" : "yes"),
            ("bind", first?.host ?? ""),
            ("databases", String(configuration.databases.count + 1)),
            ("dir", configuration.dataDirectory),
            ("maxclients", String(configuration.connectionsMax)),
            ("maxmemory", String(namespace.settings.bytesMax)),
            ("maxmemory-policy", namespace.eviction == .none ? "noeviction" : "s3-fifo"),
            ("notify-keyspace-events", NotifiedEvents(rawValue: resp.watching.notified.load(ordering: .relaxed)).text),
            ("port", String(first?.port ?? 0)),
            ("proto-max-bulk-len", String(configuration.valueBytesMax)),
            ("save", "\(configuration.snapshotEverySeconds) 1"),
            ("slowlog-log-slower-than", String(resp.slowLog.microsecondsMin.load(ordering: .relaxed))),
            ("slowlog-max-len", String(resp.slowLog.entriesMax.load(ordering: .relaxed))),
            ("timeout", String(settings.timeoutSeconds.load(ordering: .relaxed))),
            ("tracking-table-max-keys", String(resp.watching.trackedMax.load(ordering: .relaxed))),
        ]
    }

    private static func sync(_ durability: LarderEngine.Durability) -> String {
        switch durability {
        case .always: "always"
        case .interval: "everysec"
        case .never, .off: "no"
        }
    }

    /// Sets all, or none.
    ///
    /// - Returns: What is wrong with them; nil when they are set.
    private func set(_ changes: [(name: String, text: String)], _ now: Milliseconds) -> String? {
        for (index, change) in changes.enumerated() {
            if changes[..<index].contains(where: { $0.name == change.name }) { return Self.refusal(change.name, "duplicate parameter") }
            if let fault = set(change.name, change.text, now, isTrial: true) { return fault }
        }
        // First the one that the log may refuse.
        for isLogged in [true, false] {
            for change in changes where (change.name == Self.logged) == isLogged {
                if let fault = set(change.name, change.text, now, isTrial: false) { return fault }
            }
        }
        return nil
    }

    private static let logged = "maxmemory"

    /// - Returns: What is wrong with it; nil when it is set, or could be.
    private func set(_ name: String, _ text: String, _ now: Milliseconds, isTrial: Bool) -> String? {
        switch name {
        case Self.logged:
            guard let bytesMax = RESPMemory.bytes(of: text), bytesMax <= NamespaceSettings.bytesMaxMax else {
                return Self.refusal(name, "argument must be a memory value")
            }
            let isEvicting = configuration.eviction != .none
            guard bytesMax == 0 || !isEvicting || NamespaceSettings.bytesMaxRange.contains(bytesMax) else {
                return Self.refusal(name, "argument must be 0, or 1048576 and more where entries are evicted")
            }
            return isTrial ? nil : limitDefault(to: configuration.limit(of: bytesMax), now)
        case "notify-keyspace-events":
            guard let events = NotifiedEvents(text) else {
                return Self.refusal(name, "argument must be letters of g$lshztxed, A, K and E")
            }
            if !isTrial { resp.watching.notified.store(events.rawValue, ordering: .relaxed) }
        case "tracking-table-max-keys":
            return set(name, text, RESPWatching.trackedMaxRange) { value in
                if !isTrial { resp.watching.trackedMax.store(value, ordering: .relaxed) }
            }
        case "slowlog-log-slower-than":
            return set(name, text, -1...Int.max) { value in
                if !isTrial { resp.slowLog.microsecondsMin.store(Int64(value), ordering: .relaxed) }
            }
        case "slowlog-max-len":
            return set(name, text, 0...SlowLog.entriesLimit) { value in
                if !isTrial { resp.slowLog.entriesMax.store(value, ordering: .relaxed) }
            }
        case "timeout":
            return set(name, text, 0...Int(Int32.max)) { value in
                if !isTrial { resp.settings.timeoutSeconds.store(value, ordering: .relaxed) }
            }
        default:
            guard let shown = shownSettings.first(where: { $0.name == name }) else {
                return "ERR Unknown option or number of arguments for CONFIG SET - '\(name.prefix(64))'"
            }
            // Clients set what they found.
            guard shown.value == text else { return Self.refusal(name, "can't set immutable config") }
        }
        return nil
    }

    /// Hands the number that `text` is to `store`.
    private func set(_ name: String, _ text: String, _ range: ClosedRange<Int>, _ store: (Int) -> Void) -> String? {
        guard let value = Int(text) else { return Self.refusal(name, "argument couldn't be parsed into an integer") }
        guard range.contains(value) else {
            return Self.refusal(name, "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive")
        }
        store(value)
        return nil
    }

    /// Limits the namespace `default`, until a start reads the setting again.
    private func limitDefault(to bytesMax: Int, _ now: Milliseconds) -> String? {
        let namespace = store.namespaces.default
        var settings = namespace.settings
        if settings.bytesMax == bytesMax { return nil }
        settings.bytesMax = bytesMax
        switch store.setNamespaceSettings(namespace, settings, now: now).outcome {
        case .updated: return nil
        case .refused: return Self.refusal(Self.logged, log.refusal.text)
        default: return Self.refusal(Self.logged, (log.reserveRefusal ?? .isBehind).text)
        }
    }

    private static func refusal(_ name: String, _ reason: String) -> String {
        "ERR CONFIG SET failed (possibly related to argument '\(name)') - \(reason)"
    }
}

/// Amounts of memory as Redis reads them.
enum RESPMemory {
    private static let units = ["": 1, "b": 1, "k": 1_000, "kb": 1 << 10, "m": 1_000_000, "mb": 1 << 20, "g": 1_000_000_000, "gb": 1 << 30]

    /// - Returns: nil for what is no amount, or more than 63 bits hold.
    static func bytes(of text: String) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let number = Int(digits), let unit = units[text.dropFirst(digits.count).lowercased()] else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : bytes
    }
}

extension LogRefusal {
    fileprivate static let isBehind = LogRefusal(isDiskFull: false, text: "The log is behind. Nothing was changed. Try again.")
}
