// The door through which the program starts a server.

import LarderPlatform

/// Serves until SIGTERM or SIGINT.
///
/// - Parameter announce: Gets one line for each thing that an operator wants to know.
/// - Throws: `ServerError`: what kept the server from starting, and what to do about it.
package func runServer(
    _ configuration: ServerConfiguration, announce: @escaping @Sendable (String) -> Void
) throws(ServerError) {
    Signals.hold()
    Heap.boundWhatIsKept()
    try Server(configuration: configuration, announce: announce).run()
}
