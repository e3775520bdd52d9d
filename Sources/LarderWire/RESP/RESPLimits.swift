// How much a request of RESP may hold.
//
// Source of the limits before login: Redis, networking.c, `processMultibulkBuffer`.

/// Bounds on one request. All are checked from the lengths that a request announces, before anything of it is kept.
package struct RESPLimits: Sendable, Equatable {
    /// The longest argument.
    package var argumentBytesMax: Int
    package var argumentsMax: Int
    /// All of a request, with what frames it.
    package var requestBytesMax: Int
    /// Shown in the refusal: somebody who has not logged in is told that this is why.
    package var isBeforeLogin: Bool

    package static let beforeLogin = RESPLimits(
        argumentBytesMax: 16_384, argumentsMax: 10, requestBytesMax: 65_536, isBeforeLogin: true)

    /// Two of the largest values fit, and an MSET of a few thousand small ones.
    package static func afterLogin(valueBytesMax: Int) -> RESPLimits {
        RESPLimits(
            argumentBytesMax: valueBytesMax + 4_096, argumentsMax: 1_048_576, requestBytesMax: 2 * valueBytesMax + (8 << 20),
            isBeforeLogin: false)
    }

    /// The longest inline command.
    static let inlineBytesMax = 65_536
    /// The longest number that announces a count or a length.
    static let numberBytesMax = 20
}
