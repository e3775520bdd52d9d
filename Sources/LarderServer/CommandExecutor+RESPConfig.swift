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
            let names = stride(from: 0, to: texts.count, by: 2).map { texts[$0].lowercased() }
            if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }).map({ names[$0] }) {
                return refuse(Self.refusal(twice, "duplicate parameter"), request, &session, &output)
            }
            // First all are judged, then all are set.
            for isTrial in [true, false] {
                for index in stride(from: 0, to: texts.count, by: 2) {
                    guard let fault = set(texts[index].lowercased(), texts[index + 1], isTrial: isTrial) else { continue }
                    return refuse(fault, request, &session, &output)
                }
            }
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case ("resetstat", 1):
            report.context.map { resp.requestsForgotten.store($0.requests, ordering: .relaxed) }
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
            ("maxmemory", String(defaultBytesMax)),
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

    /// How much the namespace `default` may take.
    var defaultBytesMax: Int {
        let bytesMax = store.namespaces.default.settings.bytesMax
        return bytesMax > 0 ? bytesMax : store.memoryBytesMax
    }

    private static func sync(_ durability: LarderEngine.Durability) -> String {
        switch durability {
        case .always: "always"
        case .interval: "everysec"
        case .never, .off: "no"
        }
    }

    /// - Returns: What is wrong with it; nil when it is set, or could be.
    private func set(_ name: String, _ text: String, isTrial: Bool) -> String? {
        switch name {
        case "notify-keyspace-events":
            guard let events = NotifiedEvents(text) else {
                return Self.refusal(name, "argument must be letters of g$lshztxed, A, K and E")
            }
            if !isTrial { resp.watching.notified.store(events.rawValue, ordering: .relaxed) }
        case "tracking-table-max-keys":
            guard let value = Int(text), RESPWatching.trackedMaxRange.contains(value) else {
                return Self.refusal(name, "argument must be between 1 and \(RESPWatching.trackedMaxRange.upperBound)")
            }
            if !isTrial { resp.watching.trackedMax.store(value, ordering: .relaxed) }
        case "slowlog-log-slower-than":
            guard let value = Int64(text), value >= -1 else { return Self.refusal(name, "argument must be -1 or more") }
            if !isTrial { resp.slowLog.microsecondsMin.store(value, ordering: .relaxed) }
        case "slowlog-max-len":
            guard let value = Int(text), (0...SlowLog.entriesLimit).contains(value) else {
                return Self.refusal(name, "argument must be between 0 and \(SlowLog.entriesLimit)")
            }
            if !isTrial { resp.slowLog.entriesMax.store(value, ordering: .relaxed) }
        case "timeout":
            guard let value = Int(text), (0...2_147_483_647).contains(value) else {
                return Self.refusal(name, "argument must be between 0 and 2147483647")
            }
            if !isTrial { resp.settings.timeoutSeconds.store(value, ordering: .relaxed) }
        default:
            guard let shown = shownSettings.first(where: { $0.name == name }) else {
                return "ERR Unknown option or number of arguments for CONFIG SET - '\(name.prefix(64))'"
            }
            // Clients set what they found.
            guard shown.value == text else { return Self.refusal(name, "can't set immutable config") }
        }
        return nil
    }

    private static func refusal(_ name: String, _ reason: String) -> String {
        "ERR CONFIG SET failed (possibly related to argument '\(name)') - \(reason)"
    }
}
