// From a target to a command: the endpoints under /v2, their short form under /kv, and the pages for monitors.
//
// Every string after `/keys/` is somebody's key: no slash is collapsed there and no dot segment resolved, and whether
// the key is legal is judged by its namespace's rule, not here. Source: docs/http-api.md.

import LarderBytes

/// Reads the path of one request. Rewrites percent-encoded words where they lie.
enum HTTPRoute {
    /// Fills in what `head` asks for; what cannot be carried out becomes `command.failure`.
    static func fill(_ command: inout Command, from head: borrowing HTTPHead, in input: inout ByteBuffer, limits: HTTPLimits) {
        command.httpFlags = head.flags
        command.host = head.host
        command.credential = head.credential
        do throws(Failure) {
            if let fault = head.fault { throw fault }
            let (path, query) = input.bytes.split(head.target, at: UInt8(ascii: "?"))
            try resolve(&command, head.method, path, &input)
            try HTTPQuery.read(query, &command, &input)
            try takeFields(&command, head, limits)
        } catch {
            command.failure = error
        }
    }

    /// The fields that matter to commands on one key.
    private static func takeFields(
        _ command: inout Command, _ head: borrowing HTTPHead, _ limits: HTTPLimits
    ) throws(Failure) {
        guard command.httpFlags.resource == .key else { return }
        command.condition = try EntityTags.condition(match: head.match, noneMatch: head.noneMatch)
        guard command.operation == .put else { return }
        guard head.contentType.count <= limits.contentTypeBytesMax else {
            throw Failure(.malformed, "The content type is too long to be stored.", parameter: "Content-Type")
        }
        command.contentType = head.contentType
        if head.contentLength == nil, !head.isChunked {
            throw Failure(.lengthRequired, "A value needs a Content-Length, also when it is empty, or chunks.")
        }
    }

    // MARK: Paths

    private static func resolve(
        _ command: inout Command, _ method: HTTPMethod, _ path: ByteRange, _ input: inout ByteBuffer
    ) throws(Failure) {
        if let rest = after("/v2/storage/kvs", path, input) { return try resolveAPI(&command, method, rest, &input) }
        if let rest = after("/kv", path, input) { return try resolveShort(&command, method, rest, &input) }
        let text = input.span(path)
        let operation: Operation = text.equals("/healthz") ? .health : text.equals("/readyz") ? .ready
            : text.equals("/metrics") ? .metrics : .none
        guard operation != .none else { throw noEndpoint }
        try choose(&command, .page, method, get: operation)
    }

    /// What follows `prefix` when the path begins with it and goes on with a slash, or ends.
    private static func after(_ prefix: StaticString, _ path: ByteRange, _ input: borrowing ByteBuffer) -> ByteRange? {
        let count = prefix.utf8CodeUnitCount
        guard path.count >= count, input.span(ByteRange(start: path.start, count: count)).equals(prefix),
            path.count == count || input[path.start + count] == UInt8(ascii: "/")
        else { return nil }
        return ByteRange(start: path.start + count, count: path.count - count)
    }

    /// `rest` is empty or begins with a slash, which the id follows.
    private static func resolveAPI(
        _ command: inout Command, _ method: HTTPMethod, _ rest: ByteRange, _ input: inout ByteBuffer
    ) throws(Failure) {
        guard !rest.isEmpty else {
            return try choose(&command, .namespaces, method, get: .namespaceList, post: .namespaceCreate)
        }
        let words = ByteRange(start: rest.start + 1, count: rest.count - 1)
        let (id, tail) = input.bytes.split(words, at: UInt8(ascii: "/"))
        guard !id.isEmpty else { throw noEndpoint }
        if let tail {
            guard let key = try keyPart(of: tail, input) else {
                try choose(&command, .keys, method, get: .list)
                command.namespace = try uuid(input.span(id))
                return
            }
            try choose(&command, .key, method, get: .get, put: .put, delete: .delete)
            command.namespace = try uuid(input.span(id))
            command.key = try decodeKey(key, &input)
        } else {
            try choose(&command, .namespace, method, get: .namespaceGet, delete: .namespaceDelete)
            command.namespace = try uuid(input.span(id))
        }
    }

    /// The key in `keys/{key}`; nil for `keys` alone. A key cannot be empty, so `keys/` names nothing.
    private static func keyPart(of tail: ByteRange, _ input: borrowing ByteBuffer) throws(Failure) -> ByteRange? {
        let text = input.span(tail)
        if text.equals("keys") { return nil }
        guard tail.count > 5, text.slice(0, 5).equals("keys/") else { throw noEndpoint }
        return ByteRange(start: tail.start + 5, count: tail.count - 5)
    }

    /// `rest` is empty or begins with a slash, which the name follows.
    private static func resolveShort(
        _ command: inout Command, _ method: HTTPMethod, _ rest: ByteRange, _ input: inout ByteBuffer
    ) throws(Failure) {
        guard rest.count > 1 else { return try choose(&command, .page, method, get: .namespaceList) }
        let words = ByteRange(start: rest.start + 1, count: rest.count - 1)
        let (name, key) = input.bytes.split(words, at: UInt8(ascii: "/"))
        guard !name.isEmpty else { throw noEndpoint }
        guard let decoded = input.percentDecode(name) else {
            throw Failure(.nameInvalid, "The name holds a % that no two hexadecimal digits follow.")
        }
        command.namespace = .name(decoded)
        guard let key else {
            try choose(
                &command, .namedNamespace, method, get: .namespaceGet, put: .namespaceCreate, delete: .namespaceDelete)
            if command.operation == .namespaceCreate { command.value = decoded }
            return
        }
        guard !key.isEmpty else { return try choose(&command, .keys, method, get: .list) }
        try choose(&command, .key, method, get: .get, put: .put, delete: .delete)
        command.key = try decodeKey(key, &input)
    }

    private static func decodeKey(_ range: ByteRange, _ input: inout ByteBuffer) throws(Failure) -> ByteRange {
        guard let key = input.percentDecode(range) else {
            throw Failure(.keyIllegal, "The key holds a % that no two hexadecimal digits follow.")
        }
        return key
    }

    private static func choose(
        _ command: inout Command, _ resource: HTTPResource, _ method: HTTPMethod,
        get: Operation, put: Operation = .none, post: Operation = .none, delete: Operation = .none
    ) throws(Failure) {
        command.httpFlags.resource = resource
        command.operation = switch method {
        case .get, .head: get
        case .put: put
        case .post: post
        case .delete: delete
        case .other: .none
        }
        guard command.operation != .none else {
            throw Failure(.methodNotAllowed, "This resource has no such method; the Allow field names those it has.")
        }
    }

    private static var noEndpoint: Failure {
        Failure(.endpointNotFound, "Nothing is here. Keys are under /v2/storage/kvs/{id}/keys/ and /kv/{namespace}/.")
    }

    // MARK: Identifiers

    /// 8-4-4-4-12 hexadecimal digits of either case.
    private static func uuid(_ text: RawSpan) throws(Failure) -> NamespaceReference {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var isValid = text.byteCount == 36
        var position = 0
        while isValid, position < 36 {
            let byte = text.byte(at: position)
            if position == 8 || position == 13 || position == 18 || position == 23 {
                isValid = byte == UInt8(ascii: "-")
            } else if let digit = HTTPText.hexadecimal(byte) {
                high = high << 4 | low >> 60
                low = low << 4 | UInt64(digit)
            } else {
                isValid = false
            }
            position &+= 1
        }
        guard isValid else { throw Failure(.namespaceIdInvalid, "The namespace id is not a UUID.", parameter: "id") }
        return .id(high: high, low: low)
    }
}
