import Foundation
import LarderBytes

@testable import LarderLoad

/// Seeds of random tests; `LARDER_SEED=N` runs with that one.
enum Seeds {
    static var some: [UInt64] {
        ProcessInfo.processInfo.environment["LARDER_SEED"].flatMap { UInt64($0) }.map { [$0] } ?? [1, 7, 42]
    }
}

extension ByteBuffer {
    init(_ text: String) {
        self.init()
        append(utf8: text)
    }

    init(_ bytes: [UInt8]) {
        self.init()
        append(bytes.rawSpan)
    }

    var text: String { String(utf8: bytes) }
}

enum Samples {
    static func workload(
        mix: String = "get:50,set:40,delete:10", keys: UInt64 = 1_000, popularity: KeyPopularity = .uniform, values: String = "uniform:10-500",
        ttl: Int64 = 0, seed: UInt64 = 1
    ) -> Workload {
        Workload(
            keys: KeyFormat(prefix: "k/", length: 12, count: keys)!, keyCount: keys, popularity: popularity, mix: OperationMix(mix)!,
            valueBytes: Distribution(values, limit: 1 << 20) { Int64($0) }!, lifetimes: .constant(ttl), seed: seed)
    }
}
