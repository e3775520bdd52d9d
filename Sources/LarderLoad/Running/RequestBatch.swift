// Requests of one connection on their way into one send, and the memory in which they are made.

import LarderBytes
import LarderPlatform

/// Requests that are written and not yet sent.
struct RequestBatch: ~Copyable {
    /// The bytes to send.
    var output = ByteBuffer(capacity: 65_536)
    private let writer: RequestWriter
    private let keys: KeyFormat?
    private let trace: Trace?
    // Scratch memory of the request being written.
    private var key = ByteBuffer(capacity: 256)
    private var value = ByteBuffer()
    /// What values are cut from.
    private var filler = ByteBuffer()

    init(_ plan: LoadPlan) {
        writer = RequestWriter(plan.manner)
        switch plan.content {
        case .workload(let workload, _): (keys, trace) = (workload.keys, nil)
        case .trace(let trace): (keys, self.trace) = (nil, trace)
        }
        var random = RandomStream(seed: 1)
        for _ in 0..<plan.valueBytesMax { filler.append(byte: UInt8(ascii: "a") + UInt8(random.next() >> 60)) }
    }

    /// What a connection says first; false when it says nothing and waits for nothing.
    mutating func greet() -> Bool { writer.greet(into: &output) }

    /// - Parameters:
    ///   - request: As it will be remembered: its lifetime is what the dialect can say.
    ///   - run: Of values that will be judged; nil when they will not be.
    mutating func add(_ operation: LoadRequest, _ request: InFlight, id: UInt32, run: UInt32?) {
        key.removeAll()
        if let keys { keys.append(UInt64(operation.key), to: &key) } else { trace?.append(keyOf: Int(operation.key), to: &key) }
        switch operation.kind {
        case .get: writer.get(key, id: id, into: &output)
        case .delete: writer.delete(key, id: id, into: &output)
        case .set:
            guard let run else {
                return writer.set(key, filler, valueBytes: operation.valueBytes, lifetime: request.lifetime, id: id, into: &output)
            }
            value.removeAll()
            StampedValue.append(
                key: key, run: run, sequence: request.sequence, byteCount: operation.valueBytes, filler: filler, to: &value)
            writer.set(key, value, valueBytes: value.count, lifetime: request.lifetime, id: id, into: &output)
        }
    }
}
