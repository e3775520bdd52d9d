// The commands that only RESP has.

/// What a command of RESP asks for that no other dialect does.
package enum RESPWord: UInt8, Sendable {
    case unknown

    package var needsNamespace: Bool { false }
    package var worksWhileLoading: Bool { true }
    package var isBarrier: Bool { true }
    package var mayPrecedeLogin: Bool { false }
}

extension Command {
    package var respWord: RESPWord { RESPWord(rawValue: word) ?? .unknown }
}
