// What each outcome is called in HTTP: status line, code and title of the error envelope, and whether to try again.
//
// The table of docs/http-api.md, "Errors", and nothing else. Client libraries obey `x-should-retry` before they look at
// the status, and wait for `retry-after-ms`.

import LarderBytes

/// One row of the table.
struct HTTPOutcome {
    let line: StaticString
    /// `code` of the envelope: the general catalogue of the API whose wire format this is.
    let code: StaticString
    let title: StaticString
    /// What a person is told when the refusal says nothing more exact.
    let detail: StaticString
    var retry = Retry.unsaid

    enum Retry {
        /// The status says it all.
        case unsaid
        /// Trying again cannot help, or is not safe.
        case never
        /// Worth trying again after so many milliseconds.
        case soon(StaticString)
        /// After a second or more.
        case later
    }

    private static let badRequest: StaticString = "HTTP/1.1 400 Bad Request\r\n"
    private static let conflict: StaticString = "HTTP/1.1 409 Conflict\r\n"
    private static let tooLarge: StaticString = "HTTP/1.1 413 Content Too Large\r\n"
    private static let unprocessable: StaticString = "HTTP/1.1 422 Unprocessable Content\r\n"
    private static let internalError: StaticString = "HTTP/1.1 500 Internal Server Error\r\n"
    private static let unavailable: StaticString = "HTTP/1.1 503 Service Unavailable\r\n"
    private static let noStorage: StaticString = "HTTP/1.1 507 Insufficient Storage\r\n"

    private init(
        _ line: StaticString, _ code: StaticString, _ title: StaticString, _ detail: StaticString, retry: Retry = .unsaid
    ) {
        self.line = line
        self.code = code
        self.title = title
        self.detail = detail
        self.retry = retry
    }

    /// The catch-all for a request at fault.
    private init(
        _ line: StaticString, _ detail: StaticString, retry: Retry = .unsaid
    ) {
        self.init(line, "10015", "Bad Request", detail, retry: retry)
    }

    /// The catch-all for a server at fault.
    private init(server line: StaticString, _ detail: StaticString, retry: Retry = .unsaid) {
        self.init(line, "10007", "Unexpected error", detail, retry: retry)
    }

    init(_ status: Status) {
        switch status {
        case .ok, .created, .notModified, .notFound, .conditionFailed: self.init(answer: status)
        case .unauthorized, .forbidden, .namespaceNotFound, .namespaceExists, .namespaceNotReady, .namespaceDeleting,
            .endpointNotFound, .helloRequired:
            self.init(access: status)
        case .loading, .readOnly, .outcomeUnknown, .notDurableYet, .diskFull, .outOfMemory, .shuttingDown,
            .tooManyConnections, .snapshotFailed, .requestTimeout, .internalError:
            self.init(server: status)
        default: self.init(request: status)
        }
    }

    private init(answer status: Status) {
        switch status {
        case .created: self.init("HTTP/1.1 201 Created\r\n", "", "", "Created.")
        case .notModified: self.init("HTTP/1.1 304 Not Modified\r\n", "", "", "Not modified.")
        case .notFound:
            self.init("HTTP/1.1 404 Not Found\r\n", "10005", "Resource not found", "There is no such key.")
        case .conditionFailed:
            self.init("HTTP/1.1 412 Precondition Failed\r\n", "The condition of the request does not hold.")
        default: self.init("HTTP/1.1 200 OK\r\n", "", "", "Done.")
        }
    }

    private init(request status: Status) {
        switch status {
        case .unknownOperation: self.init("HTTP/1.1 501 Not Implemented\r\n", "The server does not know this operation.")
        case .frameTooLarge: self.init(Self.tooLarge, "The request is too large.")
        case .valueTooLarge: self.init(Self.tooLarge, "The value is larger than what can be stored.")
        case .keyEmpty: self.init(Self.badRequest, "A key is not empty.")
        case .keyTooLong: self.init(Self.badRequest, "The key is too long.")
        case .keyIllegal: self.init(Self.badRequest, "The key holds a character that is not allowed.")
        case .keyReserved: self.init(Self.badRequest, "A key does not begin with an underscore.")
        case .lifetimeInvalid: self.init(Self.unprocessable, "The lifetime is not valid.")
        case .cursorInvalid: self.init(Self.badRequest, "The cursor is none that this server gave.")
        case .limitInvalid: self.init(Self.badRequest, "The limit is not a positive integer.")
        case .nameInvalid: self.init(Self.badRequest, "A name has 1 to 255 characters of a-z, 0-9 and -.")
        case .namespaceIdInvalid: self.init(Self.badRequest, "The namespace id is not a UUID.")
        case .notAnInteger: self.init(Self.unprocessable, "The value is not a decimal 64-bit integer.")
        case .integerOverflow: self.init(Self.unprocessable, "The result does not fit in 64 bits.")
        case .methodNotAllowed: self.init("HTTP/1.1 405 Method Not Allowed\r\n", "This resource has no such method.")
        case .lengthRequired: self.init("HTTP/1.1 411 Length Required\r\n", "The length of the body is missing.")
        case .headerTooLarge:
            self.init("HTTP/1.1 431 Request Header Fields Too Large\r\n", "The head of the request is too large.")
        case .versionInvalid:
            self.init("HTTP/1.1 505 HTTP Version Not Supported\r\n", "This server speaks HTTP/1.1.", retry: .never)
        default: self.init(Self.badRequest, "The request cannot be understood.")
        }
    }

    private init(access status: Status) {
        switch status {
        case .unauthorized:
            self.init(
                "HTTP/1.1 401 Unauthorized\r\n", "10009", "Authentication failed",
                "The required authentication headers were either invalid or not included in the request.")
        case .forbidden:
            self.init("HTTP/1.1 403 Forbidden\r\n", "10010", "Authorization failed", "This request is not allowed.")
        case .namespaceNotFound:
            self.init("HTTP/1.1 404 Not Found\r\n", "10005", "Resource not found", "There is no such namespace.")
        case .endpointNotFound:
            self.init("HTTP/1.1 404 Not Found\r\n", "10005", "Resource not found", "Nothing is here.")
        case .namespaceExists:
            self.init(Self.conflict, "10012", "Duplicate resource", "A namespace has this name already.", retry: .never)
        case .namespaceNotReady:
            self.init(Self.conflict, "Namespace is not ready (status: pending)", retry: .soon("250"))
        case .namespaceDeleting:
            self.init(Self.conflict, "The namespace is being deleted.", retry: .never)
        default: self.init(Self.badRequest, "The request comes too early.")
        }
    }

    private init(server status: Status) {
        switch status {
        case .loading: self.init(server: Self.unavailable, "The server is still reading its data.", retry: .later)
        case .readOnly: self.init(server: Self.unavailable, "The log cannot be written; reads go on.", retry: .later)
        case .outcomeUnknown:
            // A second attempt would hide this answer behind its own, and is not safe for every write.
            self.init(
                server: Self.internalError, "The log failed during this write: it may or may not survive.", retry: .never)
        case .notDurableYet:
            self.init(server: Self.unavailable, "The value is not on the medium yet.", retry: .soon("100"))
        case .diskFull: self.init(server: Self.noStorage, "There is no room on the disk.", retry: .later)
        case .outOfMemory: self.init(server: Self.noStorage, "There is no room in memory.", retry: .later)
        case .shuttingDown: self.init(server: Self.unavailable, "The server is shutting down.", retry: .later)
        case .tooManyConnections: self.init(server: Self.unavailable, "There are too many connections.", retry: .later)
        case .snapshotFailed: self.init(server: Self.internalError, "The snapshot failed.", retry: .never)
        case .requestTimeout:
            self.init(
                "HTTP/1.1 408 Request Timeout\r\n", "10008", "Request timeout", "The request did not arrive in time.",
                retry: .later)
        default: self.init(server: Self.internalError, "The server met an error of its own.", retry: .never)
        }
    }
}
