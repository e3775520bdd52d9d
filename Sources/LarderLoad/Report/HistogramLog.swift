// A histogram as a line of HdrHistogram's interval log, which its tools read, merge and plot.
//
//     "start","length","maximum","HISTFAAA..." : seconds since the start, seconds, milliseconds, the histogram
//
// The histogram is encoded as version 2, zlib and base64 around it. The zlib stream stores and does not compress: a line is some
// ten kilobytes, once a load. Knows no file and no clock.
// Source: github.com/HdrHistogram/HdrHistogram, HistogramLogWriter and AbstractHistogram.encodeIntoCompressedByteBuffer.

import Histogram
import LarderBytes
import LarderWire

enum HistogramLog {
    /// The log of one interval.
    ///
    /// - Parameters:
    ///   - began: When the interval did, in Unix milliseconds.
    ///   - seconds: How long it was.
    static func text(_ latencies: Latencies, began: Int64, seconds: Double) -> String {
        let start = Figures.fixed(Double(began) / 1_000, 3)
        var histogram = ByteBuffer()
        histogram.append(base64: compressed(latencies).rawSpan)
        return """
            #[Histogram log format version 1.3]
            #[StartTime: \(start) (seconds since epoch)]
            #[BaseTime: \(start) (seconds since epoch)]
            "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
            0.000,\(Figures.fixed(seconds, 3)),\(Figures.fixed(Double(latencies.max) / 1e6, 3)),\(String(utf8: histogram.bytes))

            """
    }

    private static let cookie: UInt32 = 0x1C84_9313
    private static let compressedCookie: UInt32 = 0x1C84_9314

    static func compressed(_ latencies: Latencies) -> [UInt8] {
        let stream = ZlibStream.stored(encoded(latencies))
        return bigEndian(compressedCookie) + bigEndian(UInt32(stream.count)) + stream
    }

    static func encoded(_ latencies: Latencies) -> [UInt8] {
        let counts = counts(latencies)
        var bytes = bigEndian(cookie) + bigEndian(UInt32(counts.count))
        // The index of the first count, and the digits.
        bytes += bigEndian(UInt32(0)) + bigEndian(UInt32(latencies.numberOfSignificantValueDigits.rawValue))
        bytes += bigEndian(latencies.lowestDiscernibleValue) + bigEndian(latencies.highestTrackableValue)
        // Of values as they are counted to values as they are meant.
        bytes += bigEndian(1.0.bitPattern)
        return bytes + counts
    }

    /// The counts in the order of their values up to the largest, in zig-zag LEB128; a run of zeros is its length, negative.
    private static func counts(_ latencies: Latencies) -> [UInt8] {
        var bytes: [UInt8] = []
        var next = 0
        for entry in latencies.recordedValues() {
            let index = Self.index(of: entry.value)
            if index > next { append(Int64(next - index), to: &bytes) }
            append(Int64(clamping: entry.count), to: &bytes)
            next = index + 1
        }
        return bytes
    }

    /// Where the count of `value` is, to three digits: 2,048 values one by one, then 1,024 places for each doubling.
    private static func index(of value: UInt64) -> Int {
        let doublings = max(0, 53 - value.leadingZeroBitCount)
        return doublings << 10 + Int(value >> UInt64(doublings))
    }

    /// In seven bits at a time, the lowest first; a ninth byte has eight.
    private static func append(_ number: Int64, to bytes: inout [UInt8]) {
        var rest = UInt64(bitPattern: (number << 1) ^ (number >> 63))
        for _ in 0..<8 {
            guard rest >= 0x80 else { return bytes.append(UInt8(rest)) }
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private static func bigEndian(_ value: some FixedWidthInteger & UnsignedInteger) -> [UInt8] {
        (0..<value.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
}

/// The container of zlib, without compression: RFC 1950 and 1951.
enum ZlibStream {
    static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        var position = 0
        repeat {
            let count = min(bytes.count - position, 65_535)
            let isLast = position + count == bytes.count
            let length = [UInt8(truncatingIfNeeded: count), UInt8(count >> 8)]
            stream += [isLast ? 1 : 0] + length + length.map { ~$0 } + bytes[position..<position + count]
            position += count
        } while position < bytes.count
        let sum = adler32(bytes)
        return stream + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
    }

    private static func adler32(_ bytes: [UInt8]) -> UInt32 {
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65_521
            high = (high + low) % 65_521
        }
        return high << 16 | low
    }
}
