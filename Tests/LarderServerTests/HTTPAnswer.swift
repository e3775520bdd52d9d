// Replies of the HTTP dialect in values.

import Testing

struct HTTPAnswer: Equatable {
    var status: Int
    var fields: [String: String]
    var body: [UInt8]

    var text: String { body.text }
    var tag: String? { fields["ETag"] }

    /// All replies in `bytes`, which hold nothing else.
    ///
    /// - Parameter head: Whether the requests were HEAD, so that no body follows.
    static func all(_ bytes: [UInt8], head: Bool = false) throws -> [HTTPAnswer] {
        var rest = bytes[...]
        var answers: [HTTPAnswer] = []
        while !rest.isEmpty {
            let end = try #require(rest.firstRange(of: Array("\r\n\r\n".utf8)))
            let lines = Array(rest[..<end.lowerBound]).text.split(separator: "\r\n").map(String.init)
            rest = rest[end.upperBound...]
            let words = try #require(lines.first).split(separator: " ")
            var answer = HTTPAnswer(status: try #require(Int(words[1])), fields: [:], body: [])
            for line in lines.dropFirst() {
                let colon = try #require(line.firstIndex(of: ":"))
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                answer.fields[String(line[..<colon])] = String(value)
            }
            let count = Int(answer.fields["Content-Length"] ?? "0") ?? 0
            if !head, answer.status != 304, answer.status >= 200 {
                #expect(rest.count >= count, "half a reply")
                answer.body = Array(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            answers.append(answer)
        }
        return answers
    }

    static func only(_ bytes: [UInt8], head: Bool = false) throws -> HTTPAnswer {
        let answers = try all(bytes, head: head)
        return try #require(answers.count == 1 ? answers[0] : nil, "\(answers.count) replies")
    }
}

/// Requests of the HTTP dialect.
enum Web {
    static func request(_ line: String, _ fields: String..., body: String? = nil) -> [UInt8] {
        var text = "\(line) HTTP/1.1\r\nHost: localhost\r\n"
        for field in fields { text += field + "\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        return Array((text + "\r\n" + (body ?? "")).utf8)
    }

    /// With a body in chunks of these sizes.
    static func chunked(_ line: String, _ chunks: [String]) -> [UInt8] {
        var text = "\(line) HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        for chunk in chunks { text += String(chunk.utf8.count, radix: 16) + "\r\n" + chunk + "\r\n" }
        return Array((text + "0\r\n\r\n").utf8)
    }
}
