// The API key, from a file or from the environment. Never from an argument: those are public on the machine.

import LarderPlatform
import LarderServer

/// Why a key is refused. No case carries any of its bytes.
package enum APIKeyProblem: Error, Equatable, Sendable {
    case unreadable(SystemError)
    /// Others may read or change the file. The permission bits are in the low nine bits.
    case exposed(mode: UInt32)
    case tooLong(bytesMax: Int)
    case tooShort(count: Int, bytesMin: Int)
    case illegalByte
}

extension APIKeyProblem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreadable(let error): "cannot be read: \(error)"
        case .exposed(let mode):
            "can be read or changed by others (mode \(String(mode & 0o777, radix: 8))): chmod 600 makes it private"
        case .tooLong(let bytesMax): "has more than \(bytesMax) bytes"
        case .tooShort(let count, let bytesMin):
            "has \(count) bytes, at least \(bytesMin) are needed: `openssl rand -hex 32` makes a good one"
        case .illegalByte: "holds a byte other than the printable ASCII characters, or a space"
        }
    }
}

enum APIKeyReader {
    static let variable = "LARDER_API_KEY"
    static let fileVariable = "LARDER_API_KEY_FILE"
    static let bytesMin = 16
    static let bytesMax = 512

    /// The key, from wherever the stronger word stands: a file that the command line names, the environment, a file that
    /// the settings file names. nil: there is none.
    static func read(
        file: String, fileSource: SettingSource?, environment: [String: String]
    ) throws(SettingProblem) -> APIKey? {
        let text = environment[variable] ?? ""
        if !text.isEmpty, !file.isEmpty, fileSource == .environment { throw .keyTwice }
        if text.isEmpty || (fileSource == .commandLine && !file.isEmpty) {
            guard !file.isEmpty else { return nil }
            do throws(APIKeyProblem) { return try read(file: file) } catch { throw .keyFile(path: file, error) }
        }
        do throws(APIKeyProblem) { return try key(Array(text.utf8)) } catch { throw .keyVariable(error) }
    }

    /// The key that the file at `path` holds; one line end behind it does not count.
    static func read(file path: String) throws(APIKeyProblem) -> APIKey {
        let file: SmallFile
        do throws(SystemError) { file = try SmallFile(path: path, bytesMax: bytesMax + 2) } catch { throw .unreadable(error) }
        guard file.isPrivate else { throw .exposed(mode: file.mode) }
        guard !file.isTruncated else { throw .tooLong(bytesMax: bytesMax) }
        var bytes = file.bytes
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return try key(bytes)
    }

    private static func key(_ bytes: [UInt8]) throws(APIKeyProblem) -> APIKey {
        guard bytes.count >= bytesMin else { throw .tooShort(count: bytes.count, bytesMin: bytesMin) }
        guard bytes.count <= bytesMax else { throw .tooLong(bytesMax: bytesMax) }
        // It travels in an HTTP header, behind `Bearer` and a space.
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw .illegalByte }
        return APIKey(bytes: bytes)
    }
}
