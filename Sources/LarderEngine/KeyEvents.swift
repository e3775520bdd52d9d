// What happens to keys, for those who want to know: one bounded run of events for all who watch.
//
// A leaf: whoever holds its lock takes no other. An event is told by whoever holds the key's shard, so those of one key stand
// in the order of its changes, and whoever looked at a key before sees the event of every later change. Nobody waits for a reader:
// who comes too late learns that events are gone. While nobody watches there is no buffer, and a write looks at one flag.

import LarderBytes
import LarderPlatform
import Synchronization

/// What happened.
package enum KeyEventKind: UInt8, Sendable, CaseIterable {
    case set, removed, lifetimeSet, lifetimeCleared, incremented, appended
    /// A `set` of a value that was made of the one before, or of another key's.
    case addedTo, overwritten, copied
    /// The entry was freed because its time was over. Nobody has seen it since its deadline.
    case expired
    /// It made room for others.
    case evicted
    /// All keys of the namespace are gone.
    case flushed
}

/// An event, as it lies in the buffer that it was read into.
package struct KeyEvent: Sendable {
    package var kind: KeyEventKind
    /// The number of the namespace.
    package var namespace: UInt32
    /// Whose write it was, as `writing(as:)` says; 0 for nobody in particular.
    package var origin: UInt64
    package var key: ByteRange

    fileprivate static let headerBytes = 16
    /// No event takes more.
    package static let bytesMax = headerBytes + Entry.keyBytesMax

    fileprivate static func append(
        _ kind: KeyEventKind, _ namespace: UInt32, _ origin: UInt64, _ key: RawSpan, to buffer: inout ByteBuffer
    ) {
        let word = UInt64(kind.rawValue) | UInt64(UInt16(truncatingIfNeeded: key.byteCount)) << 16 | UInt64(namespace) << 32
        buffer.append(littleEndian: word)
        buffer.append(littleEndian: origin)
        buffer.append(key)
    }

    /// Takes the event at `position`.
    ///
    /// - Returns: nil when it is not all there.
    package static func next(in buffer: borrowing ByteBuffer, at position: inout Int) -> KeyEvent? {
        let bytes = buffer.bytes
        guard bytes.byteCount - position >= headerBytes else { return nil }
        let word = bytes.littleEndian(at: position, as: UInt64.self)
        let key = ByteRange(start: position + headerBytes, count: Int(UInt16(truncatingIfNeeded: word >> 16)))
        guard key.end <= bytes.byteCount, let kind = KeyEventKind(rawValue: UInt8(truncatingIfNeeded: word)) else { return nil }
        let origin = bytes.littleEndian(at: position + 8, as: UInt64.self)
        position = key.end
        return KeyEvent(kind: kind, namespace: UInt32(truncatingIfNeeded: word >> 32), origin: origin, key: key)
    }
}

/// The events of a store.
@safe package final class KeyEvents: @unchecked Sendable {
    // Safe to send: what follows `lock` is touched only by its holder, the atomics aside.

    // Nothing that is written while nobody watches shares a cache line with the flag.
    private let front = InlineArray<8, UInt64>(repeating: 0)
    private let watched = Atomic<Bool>(false)
    private let back = InlineArray<8, UInt64>(repeating: 0)

    private let lock = Lock()
    private var watchers = 0
    /// What was told last, and what before. When the former is full, the latter is forgotten.
    private var current = ByteBuffer()
    private var previous = ByteBuffer()
    /// Where `previous` begins, in bytes of all events that were ever told.
    private var start: UInt64 = 0
    private let endWord = Atomic<UInt64>(0)
    /// Who writes on which thread.
    private var writers: [UInt: UInt64] = [:]

    private let halfBytes: Int
    private let namespaces: NamespaceTable

    /// - Parameter bytesMax: How many bytes of events are kept, at least half of it.
    init(bytesMax: Int, _ namespaces: NamespaceTable) {
        precondition(bytesMax >= 2 * KeyEvent.bytesMax, "an event would not fit")
        halfBytes = bytesMax / 2
        self.namespaces = namespaces
    }

    // MARK: Watching

    /// Whether anybody watches. Asked by holders of a shard, it cannot be missed: who has looked at the shard's keys since it
    /// began to watch has held the shard before.
    @inline(__always) package var isWatched: Bool { watched.load(ordering: .relaxed) }

    /// Where the next event will stand.
    package var end: UInt64 { endWord.load(ordering: .sequentiallyConsistent) }

    /// Has events told from now on, until as many calls of `unwatch`.
    ///
    /// - Returns: Where to read from.
    package func watch() -> UInt64 {
        lock.lock()
        defer { lock.unlock() }
        watchers += 1
        if watchers == 1 {
            current.reserve(halfBytes)
            previous.reserve(halfBytes)
            watched.store(true, ordering: .sequentiallyConsistent)
        }
        return end
    }

    package func unwatch() {
        lock.lock()
        defer { lock.unlock() }
        precondition(watchers > 0, "nobody watches")
        watchers -= 1
        guard watchers == 0 else { return }
        watched.store(false, ordering: .sequentiallyConsistent)
        start = end
        current.removeAll()
        current.shrink()
        previous.removeAll()
        previous.shrink()
    }

    /// Appends whole events from `position` on to `buffer`, and moves `position` behind them.
    ///
    /// - Parameter bytesMax: About how much is read, at least one event.
    /// - Returns: false when events from there on are gone; then `position` is where the next will stand.
    package func read(from position: inout UInt64, into buffer: inout ByteBuffer, bytesMax: Int) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard position >= start else {
            position = end
            return false
        }
        var offset = Int(position - start)
        let isInPrevious = offset < previous.count
        if !isInPrevious { offset -= previous.count }
        let available = (isInPrevious ? previous.count : current.count) - offset
        let count = min(available, max(bytesMax, KeyEvent.bytesMax))
        let range = ByteRange(start: offset, count: count)
        let before = buffer.count
        if isInPrevious { buffer.append(previous.span(range)) } else { buffer.append(current.span(range)) }
        var read = before
        while KeyEvent.next(in: buffer, at: &read) != nil {}
        buffer.truncate(to: read)
        position += UInt64(read - before)
        return true
    }

    // MARK: Telling

    /// Names who writes on this thread, for those who do not want to be told of their own writes; nil: nobody in particular.
    package func writing(as origin: UInt64?) {
        lock.lock()
        defer { lock.unlock() }
        writers[Thread.current] = origin
    }

    /// Tells of what has become of a write. Hold the key's shard.
    @inline(never)
    func tell(
        _ kind: KeyEventKind, _ key: RawSpan, _ namespace: Namespace, _ outcome: WriteOutcome, _ lifetime: LifetimeChange
    ) {
        lock.lock()
        defer { lock.unlock() }
        let origin = writers.isEmpty ? 0 : writers[Thread.current] ?? 0
        switch outcome {
        case .updated where kind == .lifetimeSet:
            append(lifetime == .unlimited ? .lifetimeCleared : .lifetimeSet, namespace.number, origin, key)
        case .created, .updated:
            append(kind, namespace.number, origin, key)
            switch lifetime {
            case .milliseconds, .until: append(.lifetimeSet, namespace.number, origin, key)
            case .unlimited, .keep: break
            }
        case .removed: append(.removed, namespace.number, origin, key)
        default: break
        }
    }

    /// Tells that an entry goes without having been asked to. Hold its shard, before it is erased.
    func tellGone(_ kind: KeyEventKind, _ entry: Entry) {
        guard isWatched, let namespace = namespaces.find(slot: entry.namespaceSlot), namespace.state == .ready,
            entry.lsn > namespace.flushLSN
        else { return }
        lock.lock()
        defer { lock.unlock() }
        append(kind, namespace.number, 0, entry.key)
    }

    /// Tells that all keys of a namespace are gone. Whoever could still see one of them after that has begun to watch before.
    func tellFlushed(_ namespace: Namespace) {
        // Not the flag alone: no shard is held, so that nothing else puts a look at it and a look at the flush in order.
        lock.lock()
        defer { lock.unlock() }
        append(.flushed, namespace.number, 0, RawSpan())
    }

    private func append(_ kind: KeyEventKind, _ namespace: UInt32, _ origin: UInt64, _ key: RawSpan) {
        guard watchers > 0 else { return }
        if current.count + KeyEvent.bytesMax > halfBytes {
            start += UInt64(previous.count)
            swap(&previous, &current)
            current.removeAll()
        }
        let before = current.count
        KeyEvent.append(kind, namespace, origin, key, to: &current)
        endWord.store(end + UInt64(current.count - before), ordering: .sequentiallyConsistent)
    }
}
