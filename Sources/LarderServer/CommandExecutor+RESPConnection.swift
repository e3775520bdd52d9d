// The commands of RESP that speak of the connection: who it is, which version and which namespace it speaks.

import LarderBytes
import LarderEngine
import LarderWire

extension CommandExecutor {
    func converse(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        switch request.word {
        case .hello: try hello(request, words, input, &session, &output, &scratch)
        case .auth:
            guard words.count <= 2 else { throw .syntaxError }
            if words.count == 1, !access.needsKey {
                return refuse(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                    request, &session, &output)
            }
            let user = words.count == 2 ? words[0] : nil
            guard isKnown(user, words[words.count - 1], input) else { return refuseLogin(request, &session, &output) }
            logIn(&session)
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
        case .ping where words.count > 1, .echo where words.count != 1:
            refuse("ERR wrong number of arguments for '\(request.word.name)' command", request, &session, &output)
        case .ping, .echo:
            reply(request, &session, &output) { target in
                if let word = words.first { RESPReply.bulk(input.span(word), into: &target) } else { RESPReply.simple("PONG", into: &target) }
            }
        case .select: try select(request, words[0], input, &session, &output)
        case .reset:
            let isLoggedOut = access.needsKey
            reply(request, &session, &output) { RESPReply.simple("RESET", into: &$0) }
            scratch.watch.close(session.token)
            session.forgetRESP()
            session.namespace = isLoggedOut ? nil : store.namespaces.default
            session.resp.limits = isLoggedOut ? .beforeLogin : .afterLogin(valueBytesMax: configuration.valueBytesMax)
        default:
            reply(request, &session, &output) { RESPReply.ok(into: &$0) }
            session.mustClose = true
        }
    }

    // MARK: Login

    /// Whether these are the credentials of the one user there is. A server without a key takes any.
    private func isKnown(_ user: ByteRange?, _ password: ByteRange, _ input: borrowing ByteBuffer) -> Bool {
        // Both are looked at, so that the time does not tell which was wrong.
        let isUser = user.map { input.span($0).equals("default") } ?? true
        return access.accepts(input.span(password)) && isUser
    }

    private func refuseLogin(_ request: RESPRequest, _ session: inout Session, _ output: inout ByteBuffer) {
        refuse("WRONGPASS invalid username-password pair or user is disabled.", request, &session, &output)
    }

    private func logIn(_ session: inout Session) {
        if session.namespace == nil { session.namespace = store.namespaces.default }
        session.resp.limits = .afterLogin(valueBytesMax: configuration.valueBytesMax)
    }

    private func hello(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer, _ scratch: inout Scratch
    ) throws(Failure) {
        var version: Int64?
        if let first = words.first {
            guard let number = Decimal.parse(input.span(first)) else {
                throw Failure(.malformed, "Protocol version is not an integer or out of range")
            }
            guard number == 2 || number == 3 else {
                return refuse("NOPROTO unsupported protocol version", request, &session, &output)
            }
            version = number
        }
        var index = 1
        var name: String?
        var isLoggedIn = session.namespace != nil
        while index < words.count {
            switch lowercase(words[index], input) {
            case "auth" where index + 2 < words.count:
                guard isKnown(words[index + 1], words[index + 2], input) else {
                    return refuseLogin(request, &session, &output)
                }
                isLoggedIn = true
                index += 3
            case "setname" where index + 1 < words.count:
                let text = String(utf8: input.span(words[index + 1]))
                guard RESPClient.isLegalName(text) else { throw .clientName }
                name = text
                index += 2
            default:
                let option = Self.shown(words[index], input)
                return refuse("ERR Syntax error in HELLO option '\(option)'", request, &session, &output)
            }
        }
        guard isLoggedIn else {
            return refuse(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
                request, &session, &output)
        }
        logIn(&session)
        if let version { session.resp.isRESP3 = version == 3 }
        let isRESP3 = session.resp.isRESP3
        if let watcher = session.isWatching ? scratch.watch.watcher(session.token) : nil {
            speak(isRESP3, watcher, &session, &output, &scratch, request.turn)
        }
        session.client?.describe { description in
            description.isRESP3 = isRESP3
            if let name { description.name = name }
        }
        let id = Int64(clamping: session.client?.id ?? 0)
        reply(request, &session, &output) { target in
            RESPReply.map(7, isRESP3, into: &target)
            RESPReply.bulk("server", into: &target)
            RESPReply.bulk(RESPInfo.helloName, into: &target)
            RESPReply.bulk("version", into: &target)
            RESPReply.bulk(RESPInfo.redisVersion, into: &target)
            RESPReply.bulk("proto", into: &target)
            RESPReply.integer(isRESP3 ? 3 : 2, into: &target)
            RESPReply.bulk("id", into: &target)
            RESPReply.integer(id, into: &target)
            RESPReply.bulk("mode", into: &target)
            RESPReply.bulk("standalone", into: &target)
            RESPReply.bulk("role", into: &target)
            RESPReply.bulk("master", into: &target)
            RESPReply.bulk("modules", into: &target)
            RESPReply.array(0, into: &target)
        }
    }

    // MARK: Namespaces

    /// Chooses a namespace by its number, or by its name if that is one of those with a number.
    private func select(
        _ request: RESPRequest, _ word: ByteRange, _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) throws(Failure) {
        let text = String(utf8: input.span(word))
        guard let index = (try? integer(word, input)).map({ Int($0) }) ?? databaseNames.firstIndex(of: text) else {
            throw .respNotAnInteger
        }
        guard databaseNames.indices.contains(index) else { throw Failure(.malformed, "DB index is out of range") }
        guard let namespace = database(index) else {
            return refuse(
                "ERR there is no namespace '\(databaseNames[index])', which the setting databases names: create it first",
                request, &session, &output)
        }
        session.namespace = namespace
        session.client?.describe { $0.database = index }
        reply(request, &session, &output) { RESPReply.ok(into: &$0) }
    }

    /// The namespaces that SELECT knows, by number.
    private var databaseNames: [String] { ["default"] + configuration.databases }

    private func database(_ index: Int) -> Namespace? {
        guard index > 0 else { return store.namespaces.default }
        let name = Array(configuration.databases[index - 1].utf8)
        return store.namespaces.find(name: name.rawSpan)
    }

    /// Those of them that exist, with their numbers.
    var databases: [(index: Int, namespace: Namespace)] {
        databaseNames.indices.compactMap { index in database(index).map { (index, $0) } }
    }
}

extension Failure {
    static let clientName = Failure(.malformed, "Client names cannot contain spaces, newlines or special characters.")
}
