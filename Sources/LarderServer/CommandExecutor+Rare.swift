// The commands that do not come a million times a second: hello, namespaces, and questions about the server.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func executeRare(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn,
        _ metrics: WorkerMetrics
    ) {
        switch command.operation {
        case .hello:
            hello(command, input, &session, &output, turn, metrics)
        case .list:
            list(command, prepared, input, &session, &output, &scratch, turn, metrics)
        case .namespaceCreate:
            createNamespace(command, input, &session, &output, turn, metrics)
        case .namespaceList:
            listNamespaces(command, &session, &output, turn)
        case .namespaceGet:
            answer(prepared.namespace!, .ok, .nothing, command, &session, &output, turn)
        case .namespaceDelete:
            dropNamespace(command, prepared.namespace!, &session, &output, turn, metrics)
        case .namespaceFlush:
            let result = store.flushNamespace(prepared.namespace!, now: turn.now)
            answer(result, command, prepared.namespace!, &session, &output, turn, metrics)
        case .snapshot:
            // It cannot end without the log, so there is nothing to wait for.
            guard turn.logWorks else { return refuseWrite(command, &session, &output, turn, metrics) }
            done(.snapshot(log.requestSnapshot()), command, &session, &output, turn)
        case .ping:
            done(.nothing, command, &session, &output, turn)
        case .health:
            text("ok\n", .ok, "text/plain; charset=utf-8", command, &session, &output, turn)
        case .ready:
            ready(command, &session, &output, turn)
        case .stats, .metrics:
            var body = ByteBuffer()
            report.write(command.operation == .stats ? .plain : .prometheus, now: turn.now, into: &body)
            reply(body, .ok, "text/plain; version=0.0.4; charset=utf-8", command, &session, &output, turn)
        case .resp:
            executeRESP(command, input, &session, &output, &scratch, turn, metrics)
        case .memcached:
            executeMemcached(command, prepared, input, &session, &output, &scratch, turn, metrics)
        default:
            refuse(.unknownOperation, command, &session, &output, turn, metrics)
        }
    }

    // MARK: Hello

    private func hello(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        guard turn.isReady else { return refuse(.loading, command, &session, &output, turn, metrics) }
        let found: Namespace?
        switch command.namespace {
        case .connection: found = session.namespace ?? store.namespaces.default
        case .id(let high, let low): found = store.namespaces.find(id: NamespaceID(high: high, low: low))
        case .name(let range): found = store.namespaces.find(name: input.span(range))
        }
        guard let namespace = found else { return refuse(.namespaceNotFound, command, &session, &output, turn, metrics) }
        let overtake = command.binaryFlags.contains(.overtake)
        let frameBytesMax = configuration.valueBytesMax + BinaryFrame.overheadBytesMax
        let reply = HelloReply(
            overtake: overtake, keyRule: namespace.keyRule.wire, durability: namespace.durability.wire,
            frameBytesMax: UInt32(frameBytesMax), valueBytesMax: UInt32(configuration.valueBytesMax),
            namespace: (namespace.id.high, namespace.id.low))
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            BinaryReply.hello(reply, to: command, into: &target)
        }
        // After its own reply: the flag counts for the requests behind the hello.
        session.greet(namespace, frameBytesMax: frameBytesMax, overtake: overtake)
    }

    // MARK: Namespaces

    private func createNamespace(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let name = input.span(command.value)
        guard NamespaceTable.isLegalName(name) else { return refuse(.namespaceName, command, &session, &output, turn, metrics) }
        let eviction = command.creation.eviction?.engine ?? .none
        let bytesMax = Int(clamping: command.creation.bytesMax)
        guard bytesMax == 0 || NamespaceSettings.bytesMaxRange.contains(bytesMax) else {
            return refuse(.namespaceLimit, command, &session, &output, turn, metrics)
        }
        guard eviction == .none || bytesMax > 0 else {
            return refuse(.evictionWithoutLimit, command, &session, &output, turn, metrics)
        }
        let settings = NamespaceSettings(
            durability: command.creation.durability?.engine ?? configuration.durability.engine,
            keyRule: command.creation.keyRule?.engine ?? .path, eviction: eviction, bytesMax: bytesMax)
        var random = SystemRandomNumberGenerator()
        // Version 4, variant 1 (RFC 9562 section 5.4).
        let id = NamespaceID(high: random.next() & ~0xF000 | 0x4000, low: random.next() & ~(3 << 62) | 1 << 63)
        let result = store.createNamespace(name: name, id: id, settings: settings, now: turn.now)
        switch result {
        case .created(let namespace, let lsn):
            answer(namespace, .created, .durable(lsn), command, &session, &output, turn)
        case .exists: refuse(.namespaceExists, command, &session, &output, turn, metrics)
        case .tooMany: refuse(.namespacesTooMany, command, &session, &output, turn, metrics)
        case .backlog: waitForLog(command, &session, &output, turn, metrics)
        case .refused: refuseWrite(command, &session, &output, turn, metrics)
        }
    }

    private func dropNamespace(
        _ command: Command, _ namespace: Namespace, _ session: inout Session, _ output: inout ByteBuffer,
        _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        guard namespace.number != 0 else { return refuse(.namespaceIsDefault, command, &session, &output, turn, metrics) }
        let result = store.dropNamespace(namespace, now: turn.now)
        guard result.outcome == .removed else {
            return answer(result, command, namespace, &session, &output, turn, metrics)
        }
        flushes.set(namespace, due: nil)
        answer(namespace, .ok, .durable(result.lsn), command, &session, &output, turn)
    }

    private func listNamespaces(
        _ command: Command, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        let all = store.namespaces.all()
        let (first, overflow) = (command.list.page - 1).multipliedReportingOverflow(by: command.list.limit)
        let start = overflow ? all.count : min(first, all.count)
        let page = all[start..<min(start + command.list.limit, all.count)].map { $0.reply(store) }
        let dialect = session.dialect
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.namespaces(page, total: all.count, to: command, in: dialect, into: &target)
        }
    }

    private func answer(
        _ namespace: Namespace, _ status: Status, _ wait: Wait, _ command: Command, _ session: inout Session,
        _ output: inout ByteBuffer, _ turn: Turn
    ) {
        let dialect = session.dialect
        let reply = namespace.reply(store)
        session.held.reply(wait, at: turn.position, to: command, isWrite: true, output: &output) { target in
            Reply.namespace(reply, status: status, to: command, in: dialect, into: &target)
        }
    }

    // MARK: Questions about the server

    private func ready(
        _ command: Command, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        if turn.isReady {
            // Reads go on without the log, so whoever asks where to send requests is not sent away.
            let troubles = log.troubles
            let reasons = troubles.isEmpty ? "" : #","reasons":["\#(troubles.joined(separator: #"",""#))"]"#
            let status = !turn.logWorks ? "read-only" : troubles.isEmpty ? "ready" : "degraded"
            text(#"{"status":"\#(status)"\#(reasons)}"#, .ok, "application/json", command, &session, &output, turn)
        } else {
            let text = #"{"status":"loading","percent":\#(recovery.percent)}"#
            self.text(text, .loading, "application/json", command, &session, &output, turn)
        }
    }

    private func text(
        _ text: String, _ status: Status, _ contentType: StaticString, _ command: Command,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        var body = ByteBuffer()
        body.append(utf8: text)
        reply(body, status, contentType, command, &session, &output, turn)
    }

    private func reply(
        _ body: borrowing ByteBuffer, _ status: Status, _ contentType: StaticString, _ command: Command,
        _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        let dialect = session.dialect
        session.held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.text(body, status: status, contentType: contentType, to: command, in: dialect, into: &target)
        }
    }

    private func done(
        _ wait: Wait, _ command: Command, _ session: inout Session, _ output: inout ByteBuffer, _ turn: Turn
    ) {
        let dialect = session.dialect
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) { target in
            Reply.done(.ok, version: 0, to: command, in: dialect, into: &target)
        }
    }
}
