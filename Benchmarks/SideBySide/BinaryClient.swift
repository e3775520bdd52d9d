// Larder over the binary protocol, one question after the other.

import LarderBytes
import LarderPlatform
import LarderWire

final class BinaryClient {
    private let connection: BlockingConnection
    /// Where the last answer lies.
    private(set) var input = ByteBuffer()

    init(port: UInt16) throws {
        connection = try BlockingConnection(host: "127.0.0.1", port: port, timeoutMilliseconds: 120_000)
        _ = try ask { BinaryRequest.hello(id: 1, into: &$0) }
    }

    func ask(_ write: (inout ByteBuffer) -> Void) throws -> BinaryReplyFrame {
        var request = ByteBuffer()
        write(&request)
        input.removeAll()
        try connection.send(request.bytes)
        var position = 0
        while true {
            try connection.receive(into: &input)
            guard let answer = try BinaryReplyDecoder().decode(input, at: &position) else { continue }
            guard answer.status == .ok else { throw BenchError("Larder answered with status \(answer.code)") }
            return answer
        }
    }

    /// Bytes of the last answer.
    func bytes(_ range: ByteRange) -> [UInt8] { (0..<range.count).map { input[range.start + $0] } }
}
