// The commands that only RESP has.

/// What a command of RESP asks for that no other dialect does.
package enum RESPWord: UInt8, Sendable {
    case unknown

    package var needsNamespace: Bool { false }
    package var worksWhileLoading: Bool { true }
    package var isBarrier: Bool { true }
    package var mayPrecedeLogin: Bool { false }

    /// The one with this number, as `Command.word` has it.
    package static func of(_ word: UInt8) -> RESPWord { RESPWord(rawValue: word) ?? .unknown }
}
