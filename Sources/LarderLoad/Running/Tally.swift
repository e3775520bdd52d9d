// What a thread counts while it runs.

import Histogram
import LarderBytes
import LarderWire

/// Latencies in nanoseconds, to three digits, up to an hour; what is longer counts as an hour.
package typealias Latencies = Histogram<UInt64>

package enum LatencyLimits {
    package static let nanosecondsMax: UInt64 = 3_600_000_000_000
    static func bounded(_ nanoseconds: Int64) -> UInt64 { min(UInt64(max(nanoseconds, 0)), nanosecondsMax) }
    package static func empty() -> Latencies { Latencies(highestTrackableValue: nanosecondsMax, numberOfSignificantValueDigits: .three) }
    /// To two digits, for an interval: it is cleared and added so often that the size of the other kind would show as a latency.
    package static func coarse() -> Latencies { Latencies(highestTrackableValue: nanosecondsMax, numberOfSignificantValueDigits: .two) }
}

/// Counts of one thread, or of all.
package struct Tally: Sendable {
    /// Replies, by `LoadOperation.rawValue`, refusals included.
    package var replies = [0, 0, 0]
    package var hits = 0
    package var misses = 0
    package var refused = 0
    /// Requests that were sent, while warming up too.
    package var sent = 0
    /// Sent, and never answered: the connection was lost, or the wait for the last replies was over.
    package var unanswered = 0
    /// Due in an open loop, and never sent.
    package var unsent = 0
    package var connectionsLost = 0
    /// Attempts to connect that failed while the load ran.
    package var connectsFailed = 0
    package var sentBytes = 0
    package var receivedBytes = 0
    package var refusals = RefusalCount()

    package init() {}

    package var repliesTotal: Int { replies.reduce(0, +) }
    /// Requests that came due and have no answer.
    package var lost: Int { unanswered + unsent }
    /// What went wrong; what could not be sent in time is beside it.
    package var errors: Int { refused + unanswered + connectsFailed }

    package mutating func add(_ other: Tally) {
        for index in replies.indices { replies[index] += other.replies[index] }
        hits += other.hits
        misses += other.misses
        refused += other.refused
        sent += other.sent
        unanswered += other.unanswered
        unsent += other.unsent
        connectionsLost += other.connectionsLost
        connectsFailed += other.connectsFailed
        sentBytes += other.sentBytes
        receivedBytes += other.receivedBytes
        refusals.add(other.refusals)
    }
}

/// Refusals by kind. A kind that was seen before costs no allocation.
package struct RefusalCount: Sendable {
    package struct Entry: Equatable, Sendable {
        /// A status byte, or the first word of a line.
        var kind: [UInt8]
        package var count: Int
        /// What the server said the first time.
        package var sentence: String
    }

    package static let kindsMax = 32
    package private(set) var entries: [Entry] = []

    package init() {}

    mutating func count(_ input: RawSpan, kind: ByteRange, sentence: ByteRange) {
        let kind = input.slice(kind)
        for index in entries.indices where Self.isSame(entries[index].kind, kind) {
            entries[index].count += 1
            return
        }
        // A server that makes up kinds: the last one stands for the rest.
        guard entries.count < Self.kindsMax else {
            entries[Self.kindsMax - 1].count += 1
            return
        }
        let shown = ByteRange(start: sentence.start, count: min(sentence.count, 200))
        entries.append(Entry(kind: Array(kind), count: 1, sentence: Printable.text(Array(input.slice(shown)))))
    }

    private static func isSame(_ known: [UInt8], _ kind: RawSpan) -> Bool { known.rawSpan.hasSameBytes(as: kind) }

    mutating func add(_ other: RefusalCount) {
        for entry in other.entries {
            if let index = entries.firstIndex(where: { $0.kind == entry.kind }) {
                entries[index].count += entry.count
            } else {
                entries.append(entry)
            }
        }
    }

    /// Name and first sentence of the most frequent kind; the name once, where the sentence begins with it.
    package func first(_ dialect: LoadDialect) -> String? {
        named(dialect).first.map { $0.sentence.hasPrefix($0.name) ? $0.sentence : "\($0.name) \($0.sentence)" }
    }

    /// Name, count and first sentence of each kind, the most frequent first.
    package func named(_ dialect: LoadDialect) -> [(name: String, count: Int, sentence: String)] {
        entries.sorted { $0.count > $1.count }.map { entry in
            let name: String
            if dialect == .binary, let code = entry.kind.first {
                name = Status(rawValue: code).map { "\($0) (\(code))" } ?? "status \(code)"
            } else {
                name = Printable.text(entry.kind)
            }
            return (name, entry.count, entry.sentence)
        }
    }
}

/// Bytes of a server as text that can be shown.
enum Printable {
    static func text(_ input: borrowing ByteBuffer, _ range: ByteRange) -> String { text(Array(input.span(range))) }

    static func text(_ bytes: [UInt8]) -> String {
        String(
            String.UnicodeScalarView(
                String(decoding: bytes, as: UTF8.self).unicodeScalars.map { $0.properties.generalCategory == .control ? "." : $0 }))
    }
}
