// Operations to bytes, in every dialect.
//
// Fixed texts are made once; a request appends them, the key and the value, and nothing is allocated.

import LarderBytes
import LarderPlatform
import LarderWire

/// Writes the requests of one thread.
package struct RequestWriter: ~Copyable {
    private let dialect: LoadDialect
    /// HTTP: what follows the method up to the key, and what follows the key.
    private let httpPath: [UInt8]
    private let httpFields: [UInt8]
    private let credentials: [UInt8]
    private let namespace: String
    private let clock: any Clock

    package init(_ manner: Manner, clock: any Clock = SystemClock()) {
        self.clock = clock
        dialect = manner.dialect
        namespace = manner.namespace
        credentials = manner.credentials ?? []
        httpPath = Array(" \(manner.path ?? "/kv/\(manner.namespace)/")".utf8)
        var fields = "Host: \(manner.host)\r\n"
        if let credentials = manner.credentials {
            fields += "Authorization: Bearer \(String(decoding: credentials, as: UTF8.self))\r\n"
        }
        httpFields = Array(fields.utf8)
    }

    /// What a connection says first; false when it says nothing and waits for nothing.
    package borrowing func greet(into output: inout ByteBuffer) -> Bool {
        switch dialect {
        case .binary:
            BinaryRequest.hello(credentials: credentials.rawSpan, namespace: .name(namespace), id: 0, into: &output)
            return true
        case .resp where !credentials.isEmpty:
            output.append("*2\r\n$4\r\nAUTH\r\n$")
            output.append(decimal: UInt64(credentials.count))
            output.append("\r\n")
            output.append(credentials.rawSpan)
            output.append("\r\n")
            return true
        case .memcached where !credentials.isEmpty:
            output.append("set login 0 0 ")
            output.append(decimal: UInt64(namespace.utf8.count + 1 + credentials.count))
            output.append("\r\n")
            output.append(utf8: namespace)
            output.append(" ")
            output.append(credentials.rawSpan)
            output.append("\r\n")
            return true
        case .resp, .memcached, .http: return false
        }
    }

    /// A request that every server of the dialect answers, for finding out whether this one speaks it.
    package borrowing func probe(key: borrowing ByteBuffer, into output: inout ByteBuffer) {
        switch dialect {
        case .binary: BinaryRequest.ping(id: 0, into: &output)
        case .resp: output.append("*1\r\n$4\r\nPING\r\n")
        case .memcached: output.append("version\r\n")
        case .http: get(key, id: 0, into: &output)
        }
    }

    package borrowing func get(_ key: borrowing ByteBuffer, id: UInt32, into output: inout ByteBuffer) {
        switch dialect {
        case .binary: BinaryRequest.get(key.bytes, id: id, into: &output)
        case .resp: command("*2\r\n$3\r\nGET\r\n$", key, &output)
        case .memcached: command("get ", key, &output)
        case .http: command("GET", key, &output)
        }
    }

    package borrowing func delete(_ key: borrowing ByteBuffer, id: UInt32, into output: inout ByteBuffer) {
        switch dialect {
        case .binary: BinaryRequest.delete(key.bytes, id: id, into: &output)
        case .resp: command("*2\r\n$3\r\nDEL\r\n$", key, &output)
        case .memcached: command("delete ", key, &output)
        case .http: command("DELETE", key, &output)
        }
    }

    /// A request of a dialect in text that consists of a word, as the dialect spells it, and a key.
    private borrowing func command(_ word: StaticString, _ key: borrowing ByteBuffer, _ output: inout ByteBuffer) {
        output.append(word)
        switch dialect {
        case .resp: Self.bulk(key.bytes, &output)
        case .http:
            target(key, &output)
            output.append(" HTTP/1.1\r\n")
            output.append(httpFields.rawSpan)
            output.append("\r\n")
        case .binary, .memcached:
            output.append(key.bytes)
            output.append("\r\n")
        }
    }

    /// - Parameters:
    ///   - value: Its first `valueBytes` are the value.
    ///   - lifetime: Milliseconds, 0 for none. Dialects that count in seconds get whole seconds, rounded up.
    package borrowing func set(
        _ key: borrowing ByteBuffer, _ value: borrowing ByteBuffer, valueBytes: Int, lifetime: Int64, id: UInt32,
        into output: inout ByteBuffer
    ) {
        let value = value.bytes.slice(0, valueBytes)
        switch dialect {
        case .binary:
            BinaryRequest.put(
                key.bytes, value: value, lifetime: lifetime > 0 ? .milliseconds(lifetime) : .unlimited, id: id, into: &output)
        case .resp:
            output.append(lifetime > 0 ? "*5\r\n$3\r\nSET\r\n$" : "*3\r\n$3\r\nSET\r\n$")
            Self.bulk(key.bytes, &output)
            output.append("$")
            Self.bulk(value, &output)
            if lifetime > 0 {
                output.append("$2\r\nPX\r\n$")
                output.append(decimal: UInt64(Self.digits(lifetime)))
                output.append("\r\n")
                output.append(decimal: lifetime)
                output.append("\r\n")
            }
        case .memcached:
            output.append("set ")
            output.append(key.bytes)
            output.append(" 0 ")
            output.append(decimal: memcachedTime(lifetime))
            output.append(" ")
            output.append(decimal: UInt64(value.byteCount))
            output.append("\r\n")
            output.append(value)
            output.append("\r\n")
        case .http:
            output.append("PUT")
            target(key, &output)
            if lifetime > 0 {
                output.append("?ttl_secs=")
                output.append(decimal: Self.seconds(lifetime))
            }
            output.append(" HTTP/1.1\r\n")
            output.append(httpFields.rawSpan)
            output.append("Content-Length: ")
            output.append(decimal: UInt64(value.byteCount))
            output.append("\r\n\r\n")
            output.append(value)
        }
    }

    /// memcached takes more than 30 days for a date in Unix seconds.
    private borrowing func memcachedTime(_ lifetime: Int64) -> Int64 {
        let seconds = Self.seconds(lifetime)
        return seconds > 30 * 86_400 ? Self.seconds(clock.wall()) + seconds : seconds
    }

    private borrowing func target(_ key: borrowing ByteBuffer, _ output: inout ByteBuffer) {
        output.append(httpPath.rawSpan)
        output.append(key.bytes)
    }

    /// What follows the dollar sign of a bulk string.
    private static func bulk(_ bytes: RawSpan, _ output: inout ByteBuffer) {
        output.append(decimal: UInt64(bytes.byteCount))
        output.append("\r\n")
        output.append(bytes)
        output.append("\r\n")
    }

    static func seconds(_ milliseconds: Int64) -> Int64 { milliseconds / 1_000 + (milliseconds % 1_000 > 0 ? 1 : 0) }

    private static func digits(_ number: Int64) -> Int {
        var count = 1
        var rest = number
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        return count
    }
}
