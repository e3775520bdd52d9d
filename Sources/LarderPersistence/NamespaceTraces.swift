// Which namespaces the records of a damaged directory speak of, and what becomes of those whose creation is lost.
//
// The store passes over records of a namespace that it does not know. So such a one is made anew, under a name that says so.

import LarderBytes
import LarderEngine
import LarderPlatform

/// What the records that can be read say of namespaces.
struct NamespaceTraces {
    private struct Trace {
        var isMade = false
        var isDropped = false
        /// Of the last entry that was written to it; the largest there is when one stands in the snapshot.
        var written = LSN.zero
        var hasOnlyPaths = true
    }

    private var traces: [UInt32: Trace] = [:]
    private var names: Set<String> = []

    mutating func note(_ record: borrowing LogRecord, isInSnapshot: Bool) {
        // The default one needs no record.
        if record.namespace == 0 { return }
        var trace = traces[record.namespace] ?? Trace()
        switch record.operation {
        case .set:
            trace.written = isInSnapshot ? LSN(rawValue: .max) : max(trace.written, record.lsn)
            if KeyRule.path.checkKey(record.key) != nil { trace.hasOnlyPaths = false }
        case .namespaceCreate, .namespaceState:
            trace.isMade = true
            names.insert(String(utf8: record.key))
        case .namespaceDrop: trace.isDropped = true
        case .remove, .deadline, .namespaceFlush, .noop: break
        }
        traces[record.namespace] = trace
    }

    /// Those that something was written to after `begin`, and that nothing has made or dropped.
    func lost(after begin: LSN) -> [UInt32: LostNamespace] {
        var lost: [UInt32: LostNamespace] = [:]
        for (number, trace) in traces where !trace.isMade && !trace.isDropped && trace.written > begin {
            var name = "rescued-\(number)"
            while names.contains(name) { name += "-1" }
            lost[number] = LostNamespace(number: number, name: name, keyRule: trace.hasOnlyPaths ? .path : .bytes)
        }
        return lost
    }
}

/// A namespace of which nothing is left but what is in it.
struct LostNamespace {
    let number: UInt32
    let name: String
    let keyRule: KeyRule
    /// How many records and entries of it were read.
    var records = 0

    /// Makes it in `state`, before anything that is in it.
    func make(in state: any RestorableState, _ random: () -> UInt64) {
        let id = DirectoryID(random: random)
        let record = NamespaceRecord(
            id: NamespaceID(high: id.high, low: id.low), state: .ready, settings: NamespaceSettings(keyRule: keyRule),
            created: 0, numbersGiven: number)
        var key = ByteBuffer()
        key.append(utf8: name)
        var value = ByteBuffer()
        record.append(to: &value)
        // Older than whatever was written.
        state.apply(
            LogRecord(
                .namespaceCreate, lsn: LSN(rawValue: 1), namespace: number, key: key.bytes, metadata: RawSpan(),
                value: value.bytes))
    }

    /// What is told of it.
    var loss: String {
        "the creation of namespace number \(number), with its name and settings; \(records) records of it are kept in "
            + "namespace \(name)"
    }
}
