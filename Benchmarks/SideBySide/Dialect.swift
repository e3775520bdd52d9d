// What the servers speak: requests to bytes, and where replies end. Knows no sockets and no time.

import LarderBytes
import LarderWire

enum Dialect: Sendable {
    case larder, resp, memcached
    /// `path` comes before the key.
    case http(path: String)
}

/// How long an entry is to live.
enum EntryLifetime: Sendable {
    case unlimited
    case seconds(Int)
    /// Unix milliseconds.
    case until(Int64)
}

/// What is stored under a key.
struct EntryForm: Sendable {
    var valueBytes = 100
    /// Whether a value looks like a record of JSON, every one another, or is one repeated byte.
    var isJSON = false
    var lifetime = EntryLifetime.unlimited
}

extension Dialect {
    func appendHello(to output: inout ByteBuffer) -> Bool {
        guard case .larder = self else { return false }
        BinaryRequest.hello(id: 0, into: &output)
        return true
    }

    func appendGet(_ number: Int, to output: inout ByteBuffer) {
        let key = Self.key(number)
        let bytes = key.span.bytes
        switch self {
        case .larder: BinaryRequest.get(bytes, id: UInt32(truncatingIfNeeded: number), into: &output)
        case .resp:
            output.append("*2\r\n$3\r\nGET\r\n$16\r\n")
            output.append(bytes)
            output.append("\r\n")
        case .memcached:
            output.append("get ")
            output.append(bytes)
            output.append("\r\n")
        case .http(let path):
            output.append("GET ")
            output.append(utf8: path)
            output.append(bytes)
            output.append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        }
    }

    func appendSet(_ number: Int, _ buffer: borrowing ByteBuffer, _ lifetime: EntryLifetime, to output: inout ByteBuffer) {
        let key = Self.key(number)
        let bytes = key.span.bytes
        let value = buffer.bytes
        switch self {
        case .larder:
            let wire: Lifetime =
                switch lifetime {
                case .unlimited: .unlimited
                case .seconds(let seconds): .milliseconds(Int64(seconds) * 1_000)
                case .until(let time): .milliseconds(max(time - wallMilliseconds(), 1))
                }
            BinaryRequest.put(bytes, value: value, lifetime: wire, id: UInt32(truncatingIfNeeded: number), into: &output)
        case .resp:
            if case .unlimited = lifetime { output.append("*3\r\n$3\r\nSET\r\n$16\r\n") } else { output.append("*5\r\n$3\r\nSET\r\n$16\r\n") }
            output.append(bytes)
            output.append("\r\n$")
            output.append(decimal: Int64(value.byteCount))
            output.append("\r\n")
            output.append(value)
            output.append("\r\n")
            switch lifetime {
            case .unlimited: break
            case .seconds(let seconds): appendArguments("EX", Int64(seconds), to: &output)
            case .until(let time): appendArguments("PXAT", time, to: &output)
            }
        case .memcached:
            output.append("set ")
            output.append(bytes)
            output.append(" 0 ")
            switch lifetime {
            case .unlimited: output.append("0")
            case .seconds(let seconds): output.append(decimal: Int64(seconds))
            // A number beyond 30 days is a time.
            case .until(let time): output.append(decimal: time / 1_000)
            }
            output.append(" ")
            output.append(decimal: Int64(value.byteCount))
            output.append("\r\n")
            output.append(value)
            output.append("\r\n")
        case .http(let path):
            output.append("PUT ")
            output.append(utf8: path)
            output.append(bytes)
            output.append(" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ")
            output.append(decimal: Int64(value.byteCount))
            output.append("\r\n\r\n")
            output.append(value)
        }
    }

    private func appendArguments(_ name: String, _ number: Int64, to output: inout ByteBuffer) {
        let digits = String(number)
        output.append(utf8: "$\(name.utf8.count)\r\n\(name)\r\n$\(digits.utf8.count)\r\n\(digits)\r\n")
    }

    /// Sixteen digits.
    static func key(_ number: Int) -> InlineArray<16, UInt8> {
        var key = InlineArray<16, UInt8>(repeating: UInt8(ascii: "0"))
        var rest = number
        var position = 15
        while rest > 0, position >= 0 {
            key[position] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
            position -= 1
        }
        return key
    }

    /// Replaces `value` by what belongs under a key.
    static func fill(_ value: inout ByteBuffer, _ number: Int, _ form: EntryForm) {
        guard form.isJSON || value.count != form.valueBytes else { return }
        value.removeAll()
        if form.isJSON {
            // About as compressible as real records are: field names repeat, what they say does not.
            let noise = (UInt64(number) &+ 1) &* 0x9E37_79B9_7F4A_7C15
            value.append("{\"id\":")
            value.append(decimal: Int64(number))
            value.append(",\"user\":\"u")
            value.append(decimal: Int64(noise >> 44))
            value.append("\",\"score\":0.")
            value.append(decimal: Int64(noise >> 20 & 0xFF_FFFF))
            value.append(",\"active\":")
            value.append(utf8: noise & 1 == 0 ? "true" : "false")
            value.append(",\"token\":\"")
            var bits = noise ^ noise << 7
            while value.count < form.valueBytes - 2 {
                bits = bits &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                value.append(byte: UInt8(ascii: "a") + UInt8(bits >> 59) % 16)
            }
            value.append("\"}")
        } else {
            for _ in 0..<form.valueBytes { value.append(byte: UInt8(ascii: "v")) }
        }
    }

    // MARK: Replies

    /// How long the reply at `start` is, or nil when it is not complete.
    ///
    /// - Throws: At a refusal or a miss, so that nobody is measured at refusing.
    func replyLength(_ bytes: RawSpan, _ start: Int) throws(BenchError) -> Int? {
        let left = bytes.byteCount - start
        switch self {
        case .larder:
            guard left >= 12 else { return nil }
            let status = bytes.byte(at: start + 1)
            guard status <= 1 else { throw BenchError("Larder answered with status \(status)") }
            return 12 + Int(bytes.littleEndian(at: start + 8, as: UInt32.self))
        case .resp:
            guard left >= 5, let line = bytes.firstPosition(of: 13, from: start) else { return nil }
            switch bytes.byte(at: start) {
            case UInt8(ascii: "+"): return line + 2 - start
            case UInt8(ascii: "$"):
                guard let length = Decimal.parse(bytes.slice(start + 1, line - start - 1)), length >= 0 else {
                    throw BenchError("a server of RESP answered a miss")
                }
                return line + 2 - start + Int(length) + 2
            default: throw BenchError("a server of RESP answered an error")
            }
        case .memcached:
            guard left >= 8, let line = bytes.firstPosition(of: 13, from: start) else { return nil }
            switch bytes.byte(at: start) {
            case UInt8(ascii: "S"): return line + 2 - start
            case UInt8(ascii: "V"):
                var digit = line
                while bytes.byte(at: digit - 1) != UInt8(ascii: " ") { digit -= 1 }
                guard let length = Decimal.parse(bytes.slice(digit, line - digit)) else { throw BenchError("memcached answered nonsense") }
                return line + 2 - start + Int(length) + 2 + 5
            default: throw BenchError("memcached answered a miss or an error")
            }
        case .http:
            guard let end = Self.headEnd(bytes, start) else { return nil }
            guard bytes.byte(at: start + 9) == UInt8(ascii: "2") else { throw BenchError("a server of HTTP answered an error") }
            return end - start + Self.contentLength(bytes.slice(start, end - start))
        }
    }

    /// The position behind the blank line that ends a head.
    private static func headEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
        var position = start
        while let line = bytes.firstPosition(of: 10, from: position) {
            if line + 2 < bytes.byteCount, bytes.byte(at: line + 1) == 13 { return line + 3 }
            position = line + 1
        }
        return nil
    }

    private static func contentLength(_ head: RawSpan) -> Int {
        var position = 0
        while let line = head.firstPosition(of: 10, from: position), line + 16 < head.byteCount {
            position = line + 1
            // "Content-Length:" in whatever case; its 8th byte is the dash.
            guard head.byte(at: position + 7) == UInt8(ascii: "-"), head.byte(at: position) | 0x20 == UInt8(ascii: "c"),
                head.byte(at: position + 8) | 0x20 == UInt8(ascii: "l"), head.byte(at: position + 14) == UInt8(ascii: ":")
            else { continue }
            var digit = position + 15
            if head.byte(at: digit) == UInt8(ascii: " ") { digit += 1 }
            guard let end = head.firstPosition(of: 13, from: digit) else { continue }
            return Int(Decimal.parse(head.slice(digit, end - digit)) ?? 0)
        }
        return 0
    }
}
