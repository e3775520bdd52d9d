// What became of a command, in the one vocabulary that all dialects translate from.
//
// The raw values are the status bytes of the binary protocol (docs/protocol.md): set in stone.

/// The outcome of a command. Everything but `ok`, `created` and `notModified` leaves the store as it was,
/// except `outcomeUnknown`.
package enum Status: UInt8, Sendable, CaseIterable {
    /// Done; an entry that was asked for is in the reply.
    case ok = 0
    /// A write found no live entry and made one.
    case created = 1
    /// No such key, or its deadline has passed. For a delete: nothing was there.
    case notFound = 2
    /// The condition did not hold (absent, present, version).
    case conditionFailed = 3
    /// A conditional read found the version that the client already has.
    case notModified = 4

    // The request itself is at fault.
    case malformed = 16
    case unknownOperation = 17
    case unsupportedVersion = 18
    case unknownFlag = 19
    case frameTooLarge = 20
    case keyEmpty = 21
    case keyTooLong = 22
    case keyIllegal = 23
    case keyReserved = 24
    case valueTooLarge = 25
    case lifetimeInvalid = 26
    case cursorInvalid = 27
    case limitInvalid = 28
    case nameInvalid = 29
    case namespaceIdInvalid = 30
    /// An increment of a value that is not a decimal 64-bit integer.
    case notAnInteger = 31
    /// An increment beyond 64 bits.
    case integerOverflow = 32
    case methodNotAllowed = 33
    case lengthRequired = 34
    case headerTooLarge = 35
    case versionInvalid = 36

    // Access and existence.
    case unauthorized = 48
    case forbidden = 49
    case namespaceNotFound = 50
    case namespaceExists = 51
    case namespaceNotReady = 52
    case namespaceDeleting = 53
    case endpointNotFound = 54
    case helloRequired = 55

    // The server cannot, at the moment.
    case loading = 64
    /// The log failed; reads go on.
    case readOnly = 65
    /// The log failed before this write was on the medium: it may or may not survive.
    case outcomeUnknown = 66
    /// A read met a value that is not on the medium yet, while the log cannot write.
    case notDurableYet = 67
    /// No room on the disk.
    case diskFull = 68
    /// The log's buffer is full; worth retrying.
    case outOfMemory = 70
    case shuttingDown = 71
    case tooManyConnections = 72
    case snapshotFailed = 73
    case requestTimeout = 74
    case internalError = 79
}
