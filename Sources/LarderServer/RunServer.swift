// The door through which the program starts a server.

/// Serves until a signal asks to stop.
///
/// - Throws: What kept the server from starting.
package func runServer(_ configuration: ServerConfiguration) throws {
    throw ServerStartError.notAvailable
}

/// Why a server did not start.
package enum ServerStartError: Error, Equatable, Sendable {
    /// This build has no server.
    case notAvailable
}
