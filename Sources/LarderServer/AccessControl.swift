// Who may speak to the server: one key, or anybody on this machine.
//
// Knows no socket. Without a key the server listens on loopback only, and a web page that makes a browser talk to
// loopback (cross-site requests, DNS rebinding) is told apart by its Origin header or by a Host that is not ours.

import LarderBytes
import LarderPlatform
import LarderWire

package struct AccessControl: Sendable {
    private let key: [UInt8]?
    private let checksOrigin: Bool

    /// - Parameter checksOrigin: Whether requests that browsers make for foreign pages are refused; on when the server
    ///   has no key.
    package init(configuration: ServerConfiguration) {
        key = configuration.apiKey?.bytes
        checksOrigin = configuration.apiKey == nil && !configuration.insecureNoAuthentication
    }

    package var needsKey: Bool { key != nil }

    /// Why the server must not start so, nil when it may.
    package static func refusal(of configuration: ServerConfiguration) -> String? {
        guard configuration.apiKey == nil, !configuration.insecureNoAuthentication else { return nil }
        guard let open = configuration.listen.first(where: { !$0.address.isLoopback }) else { return nil }
        return """
            listen: other machines can reach \(open), and no key is set: set api-key-file or LARDER_API_KEY, \
            or insecure-no-auth if everybody on that network is trusted
            """
    }

    /// Whether `credential` is the key. Takes the same time for every credential of the key's length.
    package func accepts(_ credential: RawSpan) -> Bool {
        guard let key else { return true }
        var difference = credential.byteCount ^ key.count
        for position in 0..<min(credential.byteCount, key.count) {
            difference |= Int(credential.byte(at: position) ^ key[position])
        }
        return difference == 0
    }

    /// Why an HTTP request is refused whatever else it says; nil when it may pass.
    package func refusal(of command: Command, in input: borrowing ByteBuffer) -> Failure? {
        if key != nil {
            if !command.credential.isEmpty, accepts(input.span(command.credential)) { return nil }
            return Failure(
                .unauthorized, "The required authentication headers were either invalid or not included in the request.")
        }
        guard checksOrigin else { return nil }
        if command.httpFlags.contains(.hasOrigin) {
            return Failure(.forbidden, "Requests from web pages are refused while the server has no key (Origin header).")
        }
        if !command.host.isEmpty, !Self.isLocal(input.span(command.host)) {
            return Failure(.forbidden, "The Host header names another machine; use 127.0.0.1, [::1] or localhost.")
        }
        return nil
    }

    /// Whether a Host header (`name` or `name:port`) names this machine.
    static func isLocal(_ host: RawSpan) -> Bool {
        var name = host.byteCount
        if host.byteCount > 0, host.byte(at: 0) == UInt8(ascii: "[") {
            guard let bracket = host.firstPosition(of: UInt8(ascii: "]")) else { return false }
            name = bracket + 1
        } else if let colon = host.firstPosition(of: UInt8(ascii: ":")) {
            name = colon
        }
        if name < host.byteCount {
            guard host.byte(at: name) == UInt8(ascii: ":") else { return false }
            for position in (name + 1)..<host.byteCount where !(0x30...0x39).contains(host.byte(at: position)) { return false }
        }
        let bare = host.slice(0, name)
        if isLocalhost(bare) || bare.equals("[::1]") { return true }
        return isLoopbackAddress(bare)
    }

    /// Names of hosts have no case.
    private static func isLocalhost(_ text: RawSpan) -> Bool {
        guard text.byteCount == localhost.count else { return false }
        return localhost.indices.allSatisfy { text.byte(at: $0) | 0x20 == localhost[$0] }
    }

    private static let localhost = Array("localhost".utf8)

    /// `127.` and three more numbers up to 255: `127.example.org` is a name, not this machine.
    private static func isLoopbackAddress(_ text: RawSpan) -> Bool {
        guard text.byteCount <= 15, text.byteCount > 4, text.slice(0, 4).equals("127.") else { return false }
        var numbers = 0
        var number: Int?
        for position in 0..<text.byteCount {
            let byte = text.byte(at: position)
            if byte == UInt8(ascii: ".") {
                guard number != nil else { return false }
                numbers += 1
                number = nil
            } else {
                guard (0x30...0x39).contains(byte) else { return false }
                number = (number ?? 0) * 10 + Int(byte - 0x30)
                guard number ?? 0 <= 255 else { return false }
            }
        }
        return numbers == 3 && number != nil
    }
}
