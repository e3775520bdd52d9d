// CLIENT: what connections may know of one another, and do to one another.

import LarderBytes
import LarderPlatform
import LarderWire

extension CommandExecutor {
    func client(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        let texts = words.dropFirst().map { String(utf8: input.span($0)) }
        let subcommand = lowercase(words[0], input)
        switch (subcommand, texts.count) {
        case ("id", 0):
            let id = Int64(clamping: session.client?.id ?? 0)
            reply(request, &session, &output) { RESPReply.integer(id, into: &$0) }
        case ("getname", 0):
            let name = session.client?.described.name ?? ""
            reply(request, &session, &output) { target in
                name.isEmpty ? RESPReply.null(request.isRESP3, into: &target) : RESPReply.bulk(name, into: &target)
            }
        case ("setname", 1):
            guard RESPClient.isLegalName(texts[0]) else { throw .clientName }
            session.client?.describe { $0.name = texts[0] }
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case ("setinfo", 2): try setInfo(request, texts, &session, &output)
        case ("info", 0):
            let line = session.client.map { $0.line(at: request.turn.now) + "\n" } ?? ""
            text(line, request, &session, &output)
        case ("list", _):
            let chosen = try Self.chosen(texts, from: resp.clients.all)
            text(chosen.map { $0.line(at: request.turn.now) + "\n" }.joined(), request, &session, &output)
        case ("kill", 1...): try kill(request, texts, &session, &output)
        case ("tracking", 1...): try track(request, words, input, &session, &output, &scratch)
        case ("caching", 1): try cache(request, texts[0], &session, &output, &scratch)
        case ("trackinginfo", 0): describeTracking(request, &session, &output, &scratch)
        case ("getredir", 0):
            let isTracking = scratch.watch.watcher(session.token)?.tracking != nil
            reply(request, &session, &output) { RESPReply.integer(isTracking ? 0 : -1, into: &$0) }
        case ("no-evict", 1), ("no-touch", 1):
            // Neither is there anything to spare them from: connections are not evicted, and reads leave no time behind.
            guard ["on", "off"].contains(texts[0].lowercased()) else { throw .syntaxError }
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        default:
            refuseSubcommand(request, words, input, &session, &output)
        }
    }

    private func setInfo(
        _ request: RESPRequest, _ texts: [String], _ session: inout Session, _ output: inout ByteBuffer
    ) throws(Failure) {
        let option = texts[0].lowercased()
        guard option == "lib-name" || option == "lib-ver" else {
            return refuse("ERR Unrecognized option '\(texts[0].prefix(64))'", request, &session, &output)
        }
        guard RESPClient.isLegalName(texts[1]) else {
            return refuse("ERR \(option) cannot contain spaces, newlines or special characters.", request, &session, &output)
        }
        session.client?.describe { description in
            if option == "lib-name" { description.libraryName = texts[1] } else { description.libraryVersion = texts[1] }
        }
        reply(request, &session, &output) { RESPReply.ok(into: &$0) }
    }

    /// The connections that CLIENT LIST is asked for.
    private static func chosen(_ texts: [String], from all: [RESPClient]) throws(Failure) -> [RESPClient] {
        switch texts.first?.lowercased() {
        case nil: return all
        case "type" where texts.count == 2: return try ofType(texts[1], all)
        case "id" where texts.count > 1:
            var wanted: Set<UInt64> = []
            for text in texts.dropFirst() {
                guard let id = UInt64(text), id > 0 else { throw Failure(.malformed, "Invalid client ID") }
                wanted.insert(id)
            }
            return all.filter { wanted.contains($0.id) }
        default: throw .syntaxError
        }
    }

    private static func ofType(_ type: String, _ all: [RESPClient]) throws(Failure) -> [RESPClient] {
        guard let isSubscribed = try RESPClient.isSubscribed(type: type) else { return [] }
        return all.filter { $0.described.isSubscribed == isSubscribed }
    }

    private func kill(
        _ request: RESPRequest, _ texts: [String], _ session: inout Session, _ output: inout ByteBuffer
    ) throws(Failure) {
        let all = resp.clients.all
        let isOldForm = texts.count == 1
        let filter = isOldForm ? ClientFilter(address: texts[0]) : try ClientFilter(texts)
        let ownID = session.client?.id
        let killed = all.filter { filter.matches($0, isOwn: $0.id == ownID, now: request.turn.now) }
        for client in killed where client.id != ownID {
            client.kill()
            // Its worker comes to it soon; nobody sees it any more.
            resp.clients.remove(client)
        }
        // Its own connection ends behind the reply.
        if killed.contains(where: { $0.id == ownID }) { session.mustClose = true }
        if isOldForm, killed.isEmpty { throw Failure(.malformed, "No such client") }
        reply(request, &session, &output) { target in
            isOldForm ? RESPReply.ok(into: &target) : RESPReply.integer(Int64(killed.count), into: &target)
        }
    }

    /// Replies with text for people, of which version 3 tells that it is.
    func text(_ text: String, _ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        var bytes = ByteBuffer()
        bytes.append(utf8: text)
        reply(request, &session, &output) { RESPReply.verbatim(bytes.bytes, request.isRESP3, into: &$0) }
    }
}

/// Which connections CLIENT KILL means.
private struct ClientFilter {
    private var id: UInt64?
    private var address: String?
    private var localAddress: String?
    private var ageMin: Milliseconds?
    private var isNone = false
    private var isSubscribed: Bool?
    private var skipsOwn = true

    init(address: String) {
        self.address = address
        skipsOwn = false
    }

    init(_ texts: [String]) throws(Failure) {
        guard texts.count % 2 == 0 else { throw .syntaxError }
        for index in stride(from: 0, to: texts.count, by: 2) {
            let value = texts[index + 1]
            switch texts[index].lowercased() {
            case "id":
                guard let number = UInt64(value), number > 0 else {
                    throw Failure(.malformed, "client-id should be greater than 0")
                }
                id = number
            case "addr": address = value
            case "laddr": localAddress = value
            case "type":
                isSubscribed = try RESPClient.isSubscribed(type: value)
                isNone = isSubscribed == nil
            case "user":
                guard value == "default" else { throw Failure(.malformed, "No such user") }
            case "maxage":
                guard let seconds = Int64(value), seconds > 0, seconds < 1 << 40 else {
                    throw Failure(.malformed, "maxage is not an integer or out of range")
                }
                ageMin = seconds * 1_000
            case "skipme":
                switch value.lowercased() {
                case "yes": skipsOwn = true
                case "no": skipsOwn = false
                default: throw .syntaxError
                }
            default: throw .syntaxError
            }
        }
    }

    func matches(_ client: RESPClient, isOwn: Bool, now: Milliseconds) -> Bool {
        if isNone || isOwn && skipsOwn { return false }
        if let isSubscribed, client.described.isSubscribed != isSubscribed { return false }
        if let id, client.id != id { return false }
        if let address, client.address != address { return false }
        if let localAddress, client.localAddress != localAddress { return false }
        if let ageMin, now - client.created < ageMin { return false }
        return true
    }
}

extension RESPClient {
    /// What tells connections of this type from others; nil when there are none.
    fileprivate static func isSubscribed(type: String) throws(Failure) -> Bool? {
        switch type.lowercased() {
        case "normal": return false
        case "pubsub": return true
        case "master", "replica", "slave": return nil
        default: throw Failure(.malformed, "Unknown client type")
        }
    }
}
