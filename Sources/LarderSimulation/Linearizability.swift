// Whether what several clients saw of one key can have come from one register that did everything in some order.
//
// Each operation takes effect at one moment between its call and its answer; one whose answer never came, at any later moment
// or never. Keys are judged one by one, which is exact: linearizability is local.
// Source: J. Wing, C. Gong, "Testing and Verifying Concurrent Objects", 1993, with the memo of G. Lowe, "Testing for
// linearizability", 2017.

/// What a client asked of a key, and what it was told; nil where it was told nothing.
package enum RegisterCall: Sendable, Equatable {
    /// The value that was there; nil: none.
    case get(Int?)
    case set(Int)
    case delete(wasThere: Bool?)
    /// - Parameter expected: nil: no value.
    case compareAndSet(expected: Int?, Int, succeeded: Bool?)
    /// - Parameter sum: What the counter was afterwards.
    case increment(Int, sum: Int?)

    /// What the register holds after the call, or nil when the client was told something else than it would have been.
    fileprivate func applied(to value: Int?) -> Int?? {
        switch self {
        case .get(let seen): return seen == value ? .some(value) : nil
        case .set(let new): return .some(new)
        case .delete(let wasThere): return wasThere == nil || wasThere == (value != nil) ? .some(nil) : nil
        case .compareAndSet(let expected, let new, let succeeded):
            let holds = value == expected
            guard succeeded == nil || succeeded == holds else { return nil }
            return .some(holds ? new : value)
        case .increment(let delta, let sum):
            let new = (value ?? 0) + delta
            return sum == nil || sum == new ? .some(new) : nil
        }
    }
}

/// A call with the moments of its beginning and its end, of a clock that all clients share.
package struct RegisterEvent: Sendable, Equatable {
    package var call: RegisterCall
    package var began: Int
    /// `Int.max`: the answer never came.
    package var ended: Int

    package init(_ call: RegisterCall, began: Int, ended: Int = .max) {
        self.call = call
        self.began = began
        self.ended = ended
    }
}

/// How many calls a history can have.
package let registerEventsMax = 128

/// Whether the history of one key, which began without a value, is linearizable.
///
/// - Complexity: Exponential in how many calls overlap, at worst; linear in the others.
package func isLinearizable(_ history: [RegisterEvent]) -> Bool {
    precondition(history.count <= registerEventsMax, "a history that long is not searched")
    var search = RegisterSearch(history.sorted { $0.began < $1.began })
    return search.run()
}

private struct RegisterSearch {
    private struct Position: Hashable {
        var done: UInt128 = 0
        var value: Int?
    }

    private let events: [RegisterEvent]
    private let answered: UInt128
    private var seen: Set<Position> = []

    init(_ events: [RegisterEvent]) {
        self.events = events
        answered = events.indices.reduce(0) { events[$1].ended == .max ? $0 : $0 | 1 << UInt128($1) }
    }

    mutating func run() -> Bool {
        var stack = [Position()]
        while let position = stack.popLast() {
            if position.done & answered == answered { return true }
            guard seen.insert(position).inserted else { continue }
            // Nothing that began after the first answer still to be given can come before it.
            let limit = events.indices.reduce(Int.max) { limit, index in
                position.done >> UInt128(index) & 1 == 0 ? min(limit, events[index].ended) : limit
            }
            for index in events.indices.reversed() where position.done >> UInt128(index) & 1 == 0 && events[index].began < limit {
                guard let value = events[index].call.applied(to: position.value) else { continue }
                stack.append(Position(done: position.done | 1 << UInt128(index), value: value))
            }
        }
        return false
    }
}

/// Histories made wrong on purpose, so that the search can be seen to notice; nil where there is no place for the error.
package enum PlantedHistory {
    /// A read that returns a value which was overwritten before the read began.
    package static func staleRead(_ history: [RegisterEvent]) -> [RegisterEvent]? {
        let sets = history.compactMap { event -> (value: Int, event: RegisterEvent)? in
            if case .set(let value) = event.call, event.ended != .max { (value, event) } else { nil }
        }
        for (index, event) in history.enumerated() {
            guard case .get(let seen) = event.call else { continue }
            for older in sets where older.value != seen {
                // Over before the newer one began, which was over before the read began.
                guard sets.contains(where: { older.event.ended < $0.event.began && $0.event.ended < event.began }) else { continue }
                var wrong = history
                wrong[index].call = .get(older.value)
                return wrong
            }
        }
        return nil
    }

    /// A compare-and-set that is said to have succeeded though another took the same value away before.
    package static func lostCompareAndSet(_ history: [RegisterEvent]) -> [RegisterEvent]? {
        for event in history {
            guard case .compareAndSet(let expected?, let value, succeeded: true) = event.call else { continue }
            let end = history.map { $0.ended == .max ? $0.began : $0.ended }.max() ?? 0
            let second = RegisterCall.compareAndSet(expected: expected, -value, succeeded: true)
            return history + [RegisterEvent(second, began: end + 1, ended: end + 2)]
        }
        return nil
    }
}
