// The constants of the binary protocol: magics, header, opcodes, flags, reply fields, limits.
//
// Set in stone once released: docs/protocol.md is the contract and a test compares both.

import LarderBytes

/// The shape of a frame: 12 bytes of header, then as many bytes of body as the header says.
///
///     request  magic u8, opcode u8, flags u16, id u32, body bytes u32
///     reply    magic u8, status u8, opcode u8, fields u8, id u32, body bytes u32
///
/// All integers are little-endian.
package enum BinaryFrame {
    /// The first byte of a request. No other dialect begins with it, and it is not UTF-8 either.
    package static let requestMagic: UInt8 = 0xAD
    /// The first byte of a reply.
    package static let replyMagic: UInt8 = 0xAE
    package static let headerBytes = 12
    /// The only version of the protocol so far.
    package static let protocolVersion: UInt8 = 1

    /// What a frame, header included, may have before the client has proved who it is.
    package static let bytesMaxBeforeLogin = 4_096
    /// The most bytes that a frame has beside the value it carries: header, fixed fields, and two texts of 64 KiB.
    package static let overheadBytesMax = 256 * 1_024
    /// How many keys one get-many may name.
    package static let keysMax = 1_024
    /// How many items one page of a listing may ask for.
    package static let limitMax = 1_000
    /// The bytes after which a get-many reply sends no further values.
    package static let manyBytesMax = 16 * 1_024 * 1_024
    /// How an absent lifetime is written in a reply.
    package static let unlimited = UInt64.max
    /// How "not said" is written when a namespace is created.
    package static let defaultCode: UInt8 = 0xFF
}

/// The operation byte of a request, echoed in its reply.
package enum BinaryOpcode: UInt8, Sendable, CaseIterable {
    case hello = 0x01
    case ping = 0x02
    case get = 0x10
    case getMany = 0x11
    case exists = 0x12
    case lifetime = 0x13
    case getAndTouch = 0x14
    case put = 0x20
    case delete = 0x21
    case setLifetime = 0x22
    case increment = 0x23
    case append = 0x24
    case list = 0x30
    case namespaceCreate = 0x40
    case namespaceGet = 0x41
    case namespaceList = 0x42
    case namespaceDelete = 0x43
    case namespaceFlush = 0x44
    case stats = 0x50
    case snapshot = 0x51

    /// The flags that this operation understands; any other bit is refused.
    package var flags: BinaryFlags {
        switch self {
        case .get: [.wantVersion, .wantContentType, .wantLifetime, .ifNotVersion]
        case .put: [.wantVersion, .lifetime, .keepLifetime, .ifAbsent, .ifPresent, .ifVersion, .contentType]
        case .getMany: [.wantVersion, .wantContentType, .wantLifetime]
        case .getAndTouch: [.wantVersion, .wantContentType, .wantLifetime, .lifetime]
        case .exists, .lifetime: .wantVersion
        case .delete: [.wantVersion, .ifVersion]
        case .setLifetime: [.wantVersion, .lifetime, .ifVersion]
        case .increment, .append: [.wantVersion, .lifetime]
        case .list: [.values, .delimiter]
        case .hello: [.overtake, .namespaceName, .namespaceID]
        case .namespaceGet, .namespaceDelete, .namespaceFlush: [.namespaceName, .namespaceID]
        case .ping, .namespaceCreate, .namespaceList, .stats, .snapshot: []
        }
    }
}

/// The flags of a request: what its body carries, what must hold, what the reply shall say. One bit means the same
/// in every operation that understands it. `Command.flags` holds them.
package struct BinaryFlags: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The reply shall carry the version.
    package static let wantVersion = BinaryFlags(rawValue: 0x0001)
    /// The reply shall carry the content type, if the entry has one.
    package static let wantContentType = BinaryFlags(rawValue: 0x0002)
    /// The reply shall carry the remaining lifetime.
    package static let wantLifetime = BinaryFlags(rawValue: 0x0004)
    /// The body carries a lifetime.
    package static let lifetime = BinaryFlags(rawValue: 0x0008)
    /// The entry keeps the lifetime that it has.
    package static let keepLifetime = BinaryFlags(rawValue: 0x0010)
    /// Only if there is no such key.
    package static let ifAbsent = BinaryFlags(rawValue: 0x0020)
    /// Only if there is such a key.
    package static let ifPresent = BinaryFlags(rawValue: 0x0040)
    /// Only if the entry has the version in the body.
    package static let ifVersion = BinaryFlags(rawValue: 0x0080)
    /// Only if the entry has another version than that in the body.
    package static let ifNotVersion = BinaryFlags(rawValue: 0x0100)
    /// The body carries a content type.
    package static let contentType = BinaryFlags(rawValue: 0x0200)
    /// A listing shall carry the values.
    package static let values = BinaryFlags(rawValue: 0x0400)
    /// The body carries a delimiter.
    package static let delimiter = BinaryFlags(rawValue: 0x0800)
    /// Hello: a reply may overtake the replies to earlier requests.
    package static let overtake = BinaryFlags(rawValue: 0x1000)
    /// The body names a namespace.
    package static let namespaceName = BinaryFlags(rawValue: 0x2000)
    /// The body carries the id of a namespace.
    package static let namespaceID = BinaryFlags(rawValue: 0x4000)
}

extension Command {
    /// `flags` of a binary request, by name.
    package var binaryFlags: BinaryFlags { BinaryFlags(rawValue: flags) }
}

/// Which optional fields begin the body of a reply, in the order of the bits.
package struct BinaryFields: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// u64
    package static let version = BinaryFields(rawValue: 0x01)
    /// u64, milliseconds left; all ones: unlimited
    package static let lifetime = BinaryFields(rawValue: 0x02)
    /// i64
    package static let integer = BinaryFields(rawValue: 0x04)
    /// u16 length and so many bytes
    package static let contentType = BinaryFields(rawValue: 0x08)

    static let known: BinaryFields = [.version, .lifetime, .integer, .contentType]
}
