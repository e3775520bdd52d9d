// One request before the load: whether anybody is there, and speaks what the load will speak.

import LarderBytes
import LarderPlatform

enum Probe {
    /// - Throws: What is in the way of a load.
    static func check(_ plan: LoadPlan) throws(LoadFailure) {
        let milliseconds = plan.greetingNanoseconds / 1_000_000
        let connection: BlockingConnection
        do throws(ConnectionError) {
            connection = try BlockingConnection(
                host: plan.address.host, port: plan.address.port, timeoutMilliseconds: milliseconds)
        } catch { throw failure(error) }

        let writer = RequestWriter(plan.manner)
        let parser = ReplyParser(plan.manner.dialect)
        var output = ByteBuffer()
        var expected = writer.greet(into: &output) ? 2 : 1
        writer.probe(key: probeKey(plan), into: &output)
        var input = ByteBuffer()
        do throws(ConnectionError) { try connection.send(output.bytes) } catch { throw failure(error) }
        while expected > 0 {
            do throws(ConnectionError) { try connection.receive(into: &input) } catch { throw failure(error) }
            while expected > 0, let reply = try parse(parser, input) {
                if reply.outcome == .refused || isElsewhere(reply, input, plan.manner.dialect) {
                    throw refusal(reply, input, plan.manner.dialect)
                }
                input.consume(reply.end)
                expected -= 1
            }
        }
    }

    private static func probeKey(_ plan: LoadPlan) -> ByteBuffer {
        var key = ByteBuffer()
        if case .workload(let workload, _) = plan.content { workload.keys.append(0, to: &key) } else { key.append("0") }
        return key
    }

    private static func parse(_ parser: ReplyParser, _ input: borrowing ByteBuffer) throws(LoadFailure) -> LoadReply? {
        do throws(ReplyError) { return try parser.parseFirst(input) } catch {
            throw .foreign(error, said: Printable.text(input, ByteRange(start: 0, count: min(60, input.count))))
        }
    }

    /// Whether Larder says over HTTP that there is no such namespace or path, and not that there is no such key.
    private static func isElsewhere(_ reply: LoadReply, _ input: borrowing ByteBuffer, _ dialect: LoadDialect) -> Bool {
        guard dialect == .http, reply.outcome == .miss else { return false }
        let sentence = Printable.text(input, reply.content)
        return sentence.contains("no such namespace") || sentence.contains("Nothing is here")
    }

    private static func refusal(_ reply: LoadReply, _ input: borrowing ByteBuffer, _ dialect: LoadDialect) -> LoadFailure {
        let sentence = Printable.text(input, reply.content)
        guard dialect == .http else { return .refused(sentence) }
        return .refused("\(Printable.text(input, reply.kind)) \(sentence)")
    }

    private static func failure(_ error: ConnectionError) -> LoadFailure {
        switch error {
        case .refused(let error): .cannotConnect(error)
        case .timedOut: .silent
        case .closed: .closedAtOnce
        case .unknownHost(let sentence): .refused(sentence)
        }
    }
}
