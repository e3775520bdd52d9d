// What is known of each key, and whether what a server answers agrees with it.
//
// One connection writes a key, so its writes are carried out in the order of their numbers. A write that was answered is
// promised. One that was sent and not answered is neither promised nor forbidden, now or later. Knows no socket and no
// clock: every time is an argument, in Unix milliseconds.

/// What is wrong with an answer.
package enum Fault: UInt8, Sendable, CaseIterable {
    /// An acknowledged write is not there: nothing, or an older value, was found.
    case lost
    /// Not a value that was ever written to this key, or a damaged one.
    case wrong
    /// A value whose time is over.
    case expiredAlive
    /// A value that an acknowledged removal, or the end of its lifetime, had taken away.
    case resurrected

    package var name: String {
        switch self {
        case .lost: "lost"
        case .wrong: "wrong"
        case .expiredAlive: "expired but alive"
        case .resurrected: "resurrected"
        }
    }
}

/// What is known of one key.
package struct KeyState: Equatable, Sendable {
    package enum Acknowledged: UInt8, Sendable {
        /// No write was answered: anything may be there.
        case nothing
        case set
        case removal
    }

    package private(set) var acknowledged = Acknowledged.nothing
    /// Whether any write of this key removed it or had a lifetime.
    private var vanishes = false
    /// The number of the last write that was answered.
    package private(set) var sequence: UInt32 = 0
    /// The number of the last write that was sent.
    package private(set) var sent: UInt32 = 0
    /// The number of the last removal that was sent; 0: none.
    package private(set) var removal: UInt32 = 0
    /// The number of the newest write that a read has found: none that is older may show any more.
    package private(set) var seen: UInt32 = 0
    /// The number of the newest write that a read has found gone, it and all before it.
    package private(set) var gone: UInt32 = 0
    /// When the last answered set, or one sent after it, may be gone at the earliest; `.max`: never.
    package private(set) var dueFrom = Int64.max
    /// When the last answered set must be gone; `.max`: never.
    package private(set) var dueTo = Int64.max

    /// How many keys may be judged in one load: some 40 bytes each.
    package static let keysMax: UInt64 = 100_000_000

    package init() {}

    /// The next write is sent at `now`.
    ///
    /// - Returns: Its number.
    package mutating func send(_ operation: LoadOperation, lifetime: Int64, now: Int64) -> UInt32 {
        // A key is written 2^32 times before a number comes again; runs are bounded far below that.
        sent &+= 1
        note(sent, operation, dueFrom: lifetime > 0 ? now + lifetime : .max)
        return sent
    }

    /// Write `number` was sent and may take effect, once, at any time until the next one is answered.
    mutating func note(_ number: UInt32, _ operation: LoadOperation, dueFrom: Int64) {
        sent = max(sent, number)
        guard number > sequence else { return }
        if operation == .delete { removal = max(removal, number) } else { self.dueFrom = min(self.dueFrom, dueFrom) }
        if operation == .delete || dueFrom != .max { vanishes = true }
    }

    /// Writes may have been sent that nobody knows of.
    mutating func leaveOpen() { sent = .max }

    /// Write `number` was answered.
    ///
    /// - Parameters:
    ///   - dueFrom: When it may be gone at the earliest: a lifetime after it was sent.
    ///   - dueTo: When it must be gone: a lifetime after it was answered.
    package mutating func acknowledge(_ number: UInt32, _ operation: LoadOperation, dueFrom: Int64, dueTo: Int64) {
        guard number > sequence else { return }
        note(number, operation, dueFrom: dueFrom)
        sequence = number
        acknowledged = operation == .delete ? .removal : .set
        self.dueTo = operation == .delete ? .max : dueTo
        // With nothing in flight behind it, only this write's own lifetime counts.
        if number == sent { self.dueFrom = operation == .delete ? .max : dueFrom }
    }

    /// What a read found.
    package enum Found: Equatable, Sendable {
        case nothing
        /// A whole value of this key and run, with its number.
        case write(UInt32)
        case foreign
    }

    /// Whether anything is known of what has to be there.
    package var isKnown: Bool { acknowledged != .nothing || seen > 0 }

    /// What a right answer says of the answers to come.
    ///
    /// - Parameter known: This state when the question was sent.
    package mutating func learn(_ found: Found, known: KeyState) {
        switch found {
        case .write(let number): if number <= sent { seen = max(seen, number) }
        // What had been answered by then was carried out before, and is not there.
        case .nothing: gone = max(gone, known.sequence)
        case .foreign: break
        }
    }

    /// What is wrong with an answer, if anything.
    ///
    /// - Parameters:
    ///   - known: This state when the question was sent. What was answered by then, and what was read, must show.
    ///   - asked: When the question was sent.
    ///   - answered: When the answer came.
    ///   - slack: How far the server's clock may be away.
    package func judge(_ found: Found, known: KeyState, asked: Int64, answered: Int64, slack: Int64) -> Fault? {
        guard known.isKnown else { return nil }
        let isOver = known.dueTo != .max && known.dueTo < asked - slack
        switch found {
        case .foreign: return .wrong
        case .nothing:
            if known.acknowledged == .removal, known.seen <= known.sequence { return nil }
            if removal > max(known.sequence, known.seen) { return nil }
            if min(dueFrom, known.dueFrom) <= answered + slack { return nil }
            // A write that came and went while the question was under way has left no trace here.
            return vanishes && sent != known.sent ? nil : .lost
        case .write(let number):
            if number > sent || number == 0 { return .wrong }
            if number < known.sequence { return known.acknowledged == .removal || isOver ? .resurrected : .lost }
            if number == known.sequence {
                if known.acknowledged == .removal { return .wrong }
                if isOver { return .expiredAlive }
            }
            if number <= known.gone { return .resurrected }
            return number < known.seen ? .lost : nil
        }
    }
}
