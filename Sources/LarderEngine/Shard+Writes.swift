// What the commands make of a shard: decide, log, then change.
//
// The order is the promise: nothing is changed before the log has taken the record, and memory is found before the log is
// asked, so that what the log has is never refused. One key's writes stand in the log as they happened to it.

import LarderBytes
import LarderPlatform

/// What every write comes with.
@safe struct WriteContext {
    let namespace: Namespace
    let position: TablePosition
    let now: Milliseconds
    // Not counted: two atomic additions to one word for every write of every thread. Sound because the store holds the log, and
    // whoever calls the store holds the store for the length of the call.
    private let log: Unmanaged<LogBuffer>
    /// The namespace's, when the decision is made; the log compares.
    var flushLSN = LSN.zero
    let isLogged: Bool
    /// Whether the namespace's entries may go without being asked: then what is not here may be in the log.
    let isEvicting: Bool
    let isLimited: Bool

    init(_ namespace: Namespace, _ position: TablePosition, _ now: Milliseconds, _ log: LogBuffer) {
        self.namespace = namespace
        self.position = position
        self.now = now
        unsafe self.log = Unmanaged.passUnretained(log)
        let settings = namespace.settingsWord
        isLogged = UInt8(truncatingIfNeeded: settings) != Durability.off.rawValue
        isEvicting = settings & NamespaceSettings.evictionMask != 0
        isLimited = settings & NamespaceSettings.isLimitedBit != 0
    }

    /// How often a write decides anew because a flush came between.
    static let triesMax = 16

    /// - Parameter present: The deadline of the entry that the record changes, if it does not stand for itself.
    /// - Parameter detached: The value, for the log to keep.
    func append(
        _ record: borrowing LogRecord, _ body: Checksum, changing present: Deadline = .never, detached: DetachedValue? = nil
    ) -> LogAnswer {
        if !isLogged {
            return unsafe log._withUnsafeGuaranteedRef { $0.give(namespace: namespace, flushLSN: flushLSN, now: now) }
        }
        return unsafe log._withUnsafeGuaranteedRef {
            $0.append(
                record, body: body, namespace: namespace, flushLSN: flushLSN, now: now, changing: present, detached: detached)
        }
    }
}

extension LifetimeChange {
    /// The deadline after a write at `now` to an entry that has `present`, or to none.
    func deadline(keeping present: Deadline, now: Milliseconds) -> Deadline {
        switch self {
        case .unlimited: .never
        case .keep: present
        case .milliseconds(let milliseconds): .after(milliseconds, now: now)
        case .until(let time): .at(time)
        }
    }
}

extension WriteCondition {
    /// - Parameter version: Of the live entry, or nil when there is none.
    func holds(for version: UInt64?) -> Bool {
        switch self {
        case .none: true
        case .absent: version == nil
        case .present: version != nil
        case .version(let wanted): version == wanted
        case .notVersion(let unwanted): version != unwanted
        }
    }
}

extension Shard {
    // MARK: Deciding

    /// Notes the namespace's last flush, so that everything after it is judged by it.
    ///
    /// - Returns: false when the namespace takes no keys.
    @inline(__always) private mutating func begin(_ context: inout WriteContext) -> Bool {
        // The state first: a slot is given to another namespace only after every shard was swept, under this lock.
        guard context.namespace.state == .ready else { return false }
        context.flushLSN = context.namespace.flushLSN
        notice(context.namespace, flushLSN: context.flushLSN)
        return true
    }

    private mutating func findLive(_ key: RawSpan, _ context: WriteContext) -> Found? {
        findLive(context.position, key, context.namespace, flushLSN: context.flushLSN, now: context.now)
    }

    /// The answer when nothing is changed and `found`, or that there is nothing, is why.
    func unchanged(_ outcome: WriteOutcome, _ found: Found?, _ context: WriteContext) -> WriteResult {
        guard let found else { return WriteResult(outcome, lsn: missLSN(flushLSN: context.flushLSN)) }
        return Self.result(outcome, found.entry)
    }

    private static func result(_ outcome: WriteOutcome, _ entry: Entry, integer: Int64 = 0) -> WriteResult {
        WriteResult(outcome, lsn: entry.lsn, version: entry.lsn.rawValue, integer: integer, deadline: entry.deadline)
    }

    /// What a miss depends on.
    func missLSN(flushLSN: LSN) -> LSN { max(removedLSN, flushLSN) }

    /// The outcome of a refusal by the log; nil for `.flushed` and `.released`, which mean to decide again, and `.appended`.
    static func outcome(_ refusal: LogOutcome) -> WriteOutcome? {
        switch refusal {
        case .appended, .flushed, .released: nil
        case .namespaceGone: .namespaceGone
        case .backlog: .backlog
        case .refused: .refused
        }
    }

    // MARK: Commands

    mutating func put(
        _ context: WriteContext, _ key: RawSpan, _ value: RawSpan, _ metadata: RawSpan, _ body: Checksum,
        _ lifetime: LifetimeChange, _ condition: WriteCondition
    ) -> WriteResult {
        put(context, key, lifetime, condition) { shard, found, deadline, context in
            shard.store(found, key, value, metadata, body, deadline, context)
        }
    }

    /// Puts a draft into place, which is whole.
    mutating func put(
        _ context: WriteContext, _ key: RawSpan, _ draft: EntryDraft, _ lifetime: LifetimeChange, _ condition: WriteCondition
    ) -> WriteResult {
        put(context, key, lifetime, condition) { shard, found, deadline, context in
            shard.store(found, draft, deadline, context)
        }
    }

    /// - Parameter store: Returns nil when a flush came between.
    @inline(__always)
    private mutating func put(
        _ context: WriteContext, _ key: RawSpan, _ lifetime: LifetimeChange, _ condition: WriteCondition,
        _ store: (inout Shard, Found?, Deadline, WriteContext) -> WriteResult?
    ) -> WriteResult {
        var context = context
        for _ in 0..<WriteContext.triesMax {
            guard begin(&context) else { return WriteResult(.namespaceGone, lsn: .zero) }
            let found = findLive(key, context)
            guard condition.holds(for: found?.entry.lsn.rawValue) else { return unchanged(.conditionFailed, found, context) }
            let deadline = lifetime.deadline(keeping: found?.entry.deadline ?? .never, now: context.now)
            let result =
                deadline.isDue(context.now)
                ? removeFound(found, key, context)
                : store(&self, found, deadline, context)
            if let result { return result }
        }
        return WriteResult(.backlog, lsn: .zero)
    }

    mutating func remove(_ context: WriteContext, _ key: RawSpan, _ condition: WriteCondition) -> WriteResult {
        var context = context
        for _ in 0..<WriteContext.triesMax {
            guard begin(&context) else { return WriteResult(.namespaceGone, lsn: .zero) }
            let found = findLive(key, context)
            guard condition.holds(for: found?.entry.lsn.rawValue) else { return unchanged(.conditionFailed, found, context) }
            if let result = removeFound(found, key, context) { return result }
        }
        return WriteResult(.backlog, lsn: .zero)
    }

    mutating func setDeadline(
        _ context: WriteContext, _ key: RawSpan, _ lifetime: LifetimeChange, _ condition: WriteCondition
    ) -> WriteResult {
        var context = context
        for _ in 0..<WriteContext.triesMax {
            guard begin(&context) else { return WriteResult(.namespaceGone, lsn: .zero) }
            let found = findLive(key, context)
            guard condition.holds(for: found?.entry.lsn.rawValue) else { return unchanged(.conditionFailed, found, context) }
            let deadline = lifetime.deadline(keeping: found?.entry.deadline ?? .never, now: context.now)
            guard let found else {
                // A lifetime that has passed is a removal, also of what is only in the log.
                guard deadline.isDue(context.now) else { return unchanged(.notFound, nil, context) }
                if let result = removeFound(nil, key, context) { return result }
                continue
            }
            if deadline == found.entry.deadline { return unchanged(.updated, found, context) }
            let result =
                deadline.isDue(context.now) ? removeFound(found, key, context) : change(found, key, deadline, context)
            if let result { return result }
        }
        return WriteResult(.backlog, lsn: .zero)
    }

    mutating func increment(
        _ context: WriteContext, _ key: RawSpan, by delta: Int64, _ lifetime: LifetimeChange
    ) -> WriteResult {
        var context = context
        for _ in 0..<WriteContext.triesMax {
            guard begin(&context) else { return WriteResult(.namespaceGone, lsn: .zero) }
            let found = findLive(key, context)
            guard let present = found.map({ Decimal.parse($0.entry.value) }) ?? 0 else {
                return unchanged(.notAnInteger, found, context)
            }
            let (sum, overflow) = present.addingReportingOverflow(delta)
            if overflow { return unchanged(.integerOverflow, found, context) }
            var result: WriteResult?
            if let found {
                result = storeInteger(sum, in: found, key, context)
            } else {
                result = createInteger(sum, key, lifetime, context)
            }
            if result != nil {
                result!.integer = sum
                return result!
            }
        }
        return WriteResult(.backlog, lsn: .zero)
    }

    mutating func append(
        _ context: WriteContext, _ key: RawSpan, _ value: RawSpan, _ lifetime: LifetimeChange, valueBytesMax: Int
    ) -> WriteResult {
        var context = context
        for _ in 0..<WriteContext.triesMax {
            guard begin(&context) else { return WriteResult(.namespaceGone, lsn: .zero) }
            let found = findLive(key, context)
            // Cannot overflow: both are at most `Entry.valueBytesMax`.
            let total = (found?.entry.valueBytes ?? 0) + value.byteCount
            guard total <= valueBytesMax else { return unchanged(.valueTooLarge, found, context) }
            var result: WriteResult?
            if let found {
                result = extend(found, with: value, key, context)
            } else {
                let deadline = lifetime.deadline(keeping: .never, now: context.now)
                let body = LogRecord(.set, namespace: 0, key: key, metadata: RawSpan(), value: value).bodyChecksum
                result =
                    deadline.isDue(context.now)
                    ? removeFound(nil, key, context) : store(nil, key, value, RawSpan(), body, deadline, context)
            }
            if result != nil {
                result!.integer = Int64(total)
                return result!
            }
        }
        return WriteResult(.backlog, lsn: .zero)
    }

    // MARK: Changing. All of these return nil when a flush came between, having changed nothing.

    @inline(__always)
    private mutating func store(
        _ found: Found?, _ key: RawSpan, _ value: RawSpan, _ metadata: RawSpan, _ body: Checksum, _ deadline: Deadline,
        _ context: WriteContext
    ) -> WriteResult? {
        let shape = EntryShape(
            keyBytes: key.byteCount, valueBytes: value.byteCount, metadataBytes: metadata.byteCount,
            hasDeadline: !deadline.isNever, hasLinks: context.isEvicting)
        guard isAllowed(shape, replacing: found, context) else { return unchanged(.namespaceFull, found, context) }
        guard let prepared = prepare(shape, replacing: found) else { return unchanged(.outOfMemory, found, context) }
        let record = LogRecord(
            .set, namespace: context.namespace.number, deadline: deadline, key: key, metadata: metadata, value: value)
        let answer = context.append(record, body)
        guard answer.outcome == .appended else {
            discard(prepared)
            return Self.outcome(answer.outcome).map { unchanged($0, found, context) }
        }
        place(
            prepared, replacing: found, context.position, namespaceSlot: context.namespace.slot, lsn: answer.lsn,
            deadline: deadline, metadata: metadata, key: key, value: value)
        return WriteResult(
            found == nil ? .created : .updated, lsn: answer.lsn, version: answer.lsn.rawValue, deadline: deadline)
    }

    private mutating func removeFound(_ found: Found?, _ key: RawSpan, _ context: WriteContext) -> WriteResult? {
        // What was evicted may still be in the log, and would be back after a restart: so its removal has to be logged as well.
        if found == nil && !(context.isEvicting && context.isLogged) { return unchanged(.notFound, nil, context) }
        let record = LogRecord(
            .remove, namespace: context.namespace.number, key: key, metadata: RawSpan(), value: RawSpan())
        let answer = context.append(record, record.bodyChecksum)
        guard answer.outcome == .appended else {
            return Self.outcome(answer.outcome).map { unchanged($0, found, context) }
        }
        noteMissing(answer.lsn)
        guard let found else { return WriteResult(.notFound, lsn: answer.lsn) }
        erase(found, context.position)
        return WriteResult(.removed, lsn: answer.lsn)
    }

    /// Whether the namespace's limit allows an entry of this shape in place of `found`. One that evicts makes room afterwards.
    @inline(__always)
    func isAllowed(_ shape: EntryShape, replacing found: Found?, _ context: WriteContext) -> Bool {
        !context.isLimited || isWithinLimit(shape, replacing: found, context)
    }

    @inline(never)
    private func isWithinLimit(_ shape: EntryShape, replacing found: Found?, _ context: WriteContext) -> Bool {
        let limit = context.namespace.budget.bytesMax
        let bytes = chargedBytes(shape.byteCount)
        if context.isEvicting { return bytes <= limit }
        let growth = bytes - (found.map { chargedBytes($0.entry) } ?? 0)
        if growth <= 0 { return true }
        let share = namespaces[context.namespace.slot]
        return context.namespace.budget.used(since: share.flushLSN) + share.unreported + growth <= limit
    }

    /// Gives an entry another deadline, and room for one if it has none.
    private mutating func change(
        _ found: Found, _ key: RawSpan, _ deadline: Deadline, _ context: WriteContext
    ) -> WriteResult? {
        let entry = found.entry
        var shape = entry.shape
        shape.hasDeadline = true
        var prepared: Prepared?
        if !entry.hasDeadline {
            guard isAllowed(shape, replacing: found, context) else { return unchanged(.namespaceFull, found, context) }
            prepared = prepareElsewhere(shape, replacing: found)
            if prepared == nil { return unchanged(.outOfMemory, found, context) }
        } else if !wheel.prepare(&slab) {
            return unchanged(.outOfMemory, found, context)
        }
        let record = LogRecord(
            .deadline, namespace: context.namespace.number, deadline: deadline, key: key, metadata: RawSpan(),
            value: RawSpan())
        var answer = context.append(record, record.bodyChecksum, changing: entry.deadline)
        if answer.outcome == .released {
            let whole = LogRecord(
                .set, namespace: context.namespace.number, deadline: deadline, key: key, metadata: entry.metadata,
                value: entry.value)
            answer = context.append(whole, whole.bodyChecksum)
        }
        guard answer.outcome == .appended else {
            if let prepared { discard(prepared) }
            return Self.outcome(answer.outcome).map { unchanged($0, found, context) }
        }
        setDeadline(found, prepared, key, context.position, deadline, answer.lsn)
        return WriteResult(.updated, lsn: answer.lsn, version: answer.lsn.rawValue, deadline: deadline)
    }

    /// Puts a deadline into place that the log has accepted.
    ///
    /// - Parameter prepared: Memory for the entry with room for a deadline, if it has none.
    mutating func setDeadline(
        _ found: Found, _ prepared: Prepared?, _ key: RawSpan, _ position: TablePosition, _ deadline: Deadline, _ lsn: LSN
    ) {
        let entry = found.entry
        if let prepared {
            place(
                prepared, replacing: found, position, namespaceSlot: entry.namespaceSlot, lsn: lsn, deadline: deadline,
                metadata: entry.metadata, key: key, value: entry.value)
        } else {
            entry.deadline = deadline
            entry.lsn = lsn
            entry.noteUse()
            wheel.arm(found.reference, &slab)
        }
    }

    // MARK: Counters and appending

    private mutating func createInteger(
        _ integer: Int64, _ key: RawSpan, _ lifetime: LifetimeChange, _ context: WriteContext
    ) -> WriteResult? {
        let deadline = lifetime.deadline(keeping: .never, now: context.now)
        if deadline.isDue(context.now) { return removeFound(nil, key, context) }
        let text = DecimalText(integer)
        let body = LogRecord(.set, namespace: 0, key: key, metadata: RawSpan(), value: text.bytes).bodyChecksum
        return store(nil, key, text.bytes, RawSpan(), body, deadline, context)
    }

    /// Replaces the value of a counter; everything else stays, so mostly in place.
    private mutating func storeInteger(
        _ integer: Int64, in found: Found, _ key: RawSpan, _ context: WriteContext
    ) -> WriteResult? {
        let entry = found.entry
        let text = DecimalText(integer)
        var shape = entry.shape
        shape.valueBytes = text.bytes.byteCount
        guard isAllowed(shape, replacing: found, context) else { return unchanged(.namespaceFull, found, context) }
        guard let prepared = prepare(shape, replacing: found) else { return unchanged(.outOfMemory, found, context) }
        let record = LogRecord(
            .set, namespace: context.namespace.number, deadline: entry.deadline, key: key, metadata: entry.metadata,
            value: text.bytes)
        let answer = context.append(record, record.bodyChecksum)
        guard answer.outcome == .appended else {
            discard(prepared)
            return Self.outcome(answer.outcome).map { unchanged($0, found, context) }
        }
        // Before the entry's memory is given back.
        let deadline = entry.deadline
        if prepared.isInPlace {
            replaceValue(entry, text.bytes, answer.lsn)
        } else {
            copy(found, to: prepared, key, context.position, value: text.bytes, answer.lsn)
        }
        return WriteResult(.updated, lsn: answer.lsn, version: answer.lsn.rawValue, deadline: deadline)
    }

    /// Writes an entry anew in other memory, with another value.
    private mutating func copy(
        _ found: Found, to prepared: Prepared, _ key: RawSpan, _ position: TablePosition, value: RawSpan, _ lsn: LSN
    ) {
        let target = table.entry(prepared.reference)
        target.write(
            lsn: .zero, namespaceSlot: found.entry.namespaceSlot, deadline: found.entry.deadline,
            hasDeadline: found.entry.hasDeadline, hasLinks: prepared.hasLinks, metadata: found.entry.metadata, key: key,
            value: value)
        place(prepared, replacing: found, position, lsn: lsn)
    }

    /// Writes the longer entry into memory of its own first: the log wants its value in one piece.
    private mutating func extend(
        _ found: Found, with suffix: RawSpan, _ key: RawSpan, _ context: WriteContext
    ) -> WriteResult? {
        let entry = found.entry
        var shape = entry.shape
        shape.valueBytes += suffix.byteCount
        guard isAllowed(shape, replacing: found, context) else { return unchanged(.namespaceFull, found, context) }
        guard let prepared = prepareElsewhere(shape, replacing: found) else {
            return unchanged(.outOfMemory, found, context)
        }
        let target = table.entry(prepared.reference)
        target.write(
            lsn: .zero, namespaceSlot: entry.namespaceSlot, deadline: entry.deadline, hasDeadline: entry.hasDeadline,
            hasLinks: prepared.hasLinks, metadata: entry.metadata, key: key, value: entry.value)
        target.extendValue(suffix)
        let record = LogRecord(
            .set, namespace: context.namespace.number, deadline: target.deadline, key: key, metadata: target.metadata,
            value: target.value)
        let answer = context.append(record, record.bodyChecksum)
        guard answer.outcome == .appended else {
            discard(prepared)
            return Self.outcome(answer.outcome).map { unchanged($0, found, context) }
        }
        place(prepared, replacing: found, context.position, lsn: answer.lsn)
        return Self.result(.updated, target)
    }
}

/// A decimal integer as text, without an allocation.
struct DecimalText: ~Copyable {
    /// The longest is "-9223372036854775808".
    private var digits = InlineArray<20, UInt8>(repeating: UInt8(ascii: "0"))
    private var first = 20

    init(_ integer: Int64) {
        var rest = integer.magnitude
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        if integer < 0 {
            first -= 1
            digits[first] = UInt8(ascii: "-")
        }
    }

    var bytes: RawSpan {
        @_lifetime(borrow self)
        get { unsafe digits.span.bytes.extracting(first..<20) }
    }
}
