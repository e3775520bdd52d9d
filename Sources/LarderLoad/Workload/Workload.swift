// What a load is made of, and the stream of operations that one connection sends.
//
// Everything follows from the seed: a connection's operations are the same in every run, however fast replies come.

/// The make-up of a load. One for all connections.
package struct Workload: Sendable {
    package var keys: KeyFormat
    package var keyCount: UInt64
    package var popularity: KeyPopularity
    package var mix: OperationMix
    /// Bytes of a value.
    package var valueBytes: Distribution
    /// Milliseconds; 0 is a value that lives until it is deleted.
    package var lifetimes: Distribution
    package var seed: UInt64

    package init(
        keys: KeyFormat, keyCount: UInt64, popularity: KeyPopularity = .uniform, mix: OperationMix, valueBytes: Distribution,
        lifetimes: Distribution = .constant(0), seed: UInt64
    ) {
        self.keys = keys
        self.keyCount = keyCount
        self.popularity = popularity
        self.mix = mix
        self.valueBytes = valueBytes
        self.lifetimes = lifetimes
        self.seed = seed
    }
}

/// One operation.
package struct LoadRequest: Equatable, Sendable {
    package var kind: LoadOperation
    /// Index of the key.
    package var key: UInt32
    package var valueBytes: Int
    /// Milliseconds; 0: none.
    package var lifetime: Int64
}

/// Which connection of how many: `connection` of `connections` on thread `thread` of `threads`.
package struct ConnectionPlace: Equatable, Sendable {
    package var thread: Int
    package var threads: Int
    package var connection: Int
    package var connections: Int

    package init(thread: Int = 0, threads: Int = 1, connection: Int = 0, connections: Int = 1) {
        self.thread = thread
        self.threads = threads
        self.connection = connection
        self.connections = connections
    }

    /// Number among the connections of all threads.
    package var number: Int { connection * threads + thread }
    package var total: Int { connections * threads }

    /// The key nearest to `key` that this thread has: thread `t` has the keys `t`, `t + threads`, and so on. There are at
    /// least as many keys as connections.
    func threadKey(_ key: UInt64, of count: UInt64) -> UInt64 {
        let own = key - key % UInt64(threads) + UInt64(thread)
        return own < count ? own : own - UInt64(threads)
    }

    /// The key nearest to `key` that this connection alone writes: those with its number modulo all connections.
    func writtenKey(_ key: UInt64, of count: UInt64) -> UInt64 {
        let own = key - key % UInt64(total) + UInt64(number)
        return own < count ? own : own - UInt64(total)
    }
}

/// The operations of one connection.
package struct OperationStream: Sendable {
    package enum Order: Equatable, Sendable {
        /// By chance, as the workload says. `owned` gives each key one connection that writes it and one thread that
        /// reads it, which is what judging replies needs.
        case mixed(owned: Bool)
        /// A set of each key, in order.
        case filling
        /// A read of each of these keys, in order.
        case reading([UInt32])
    }

    private let workload: Workload
    private let choice: KeyChoice
    private let place: ConnectionPlace
    private let order: Order
    private var random: RandomStream
    /// Index of the next key, or of the next in the list.
    private var nextKey: UInt64

    package init(_ workload: Workload, _ order: Order, _ place: ConnectionPlace) {
        self.workload = workload
        self.order = order
        self.place = place
        choice = KeyChoice(workload.popularity, count: workload.keyCount)
        // Filling and running draw different numbers.
        let stream = UInt64(place.number) << 1 | (order == .filling ? 1 : 0)
        random = RandomStream(seed: workload.seed, stream: stream)
        nextKey = UInt64(place.number)
    }

    /// The next operation; nil when all keys have had their turn.
    package mutating func next() -> LoadRequest? {
        switch order {
        case .mixed(let owned):
            let kind = workload.mix.next(&random)
            var key = choice.next(&random)
            if owned {
                key = kind == .get ? place.threadKey(key, of: workload.keyCount) : place.writtenKey(key, of: workload.keyCount)
            }
            return operation(kind, key)
        case .filling:
            guard nextKey < workload.keyCount else { return nil }
            defer { nextKey += UInt64(place.total) }
            return operation(.set, nextKey)
        case .reading(let keys):
            guard nextKey < UInt64(keys.count) else { return nil }
            defer { nextKey += UInt64(place.total) }
            return operation(.get, UInt64(keys[Int(nextKey)]))
        }
    }

    private mutating func operation(_ kind: LoadOperation, _ key: UInt64) -> LoadRequest {
        guard kind == .set else { return LoadRequest(kind: kind, key: UInt32(key), valueBytes: 0, lifetime: 0) }
        return LoadRequest(
            kind: kind, key: UInt32(key), valueBytes: Int(workload.valueBytes.sample(&random)),
            lifetime: workload.lifetimes.sample(&random))
    }
}
