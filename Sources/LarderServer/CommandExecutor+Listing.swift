// Listings: a page is made in as many turns as it takes, so that no other connection waits for it.
//
// A turn lets all its listings look at so many entries together. A page that is not done by then is kept beside the session,
// with the key to go on behind, and its command is executed again in the next turn.

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// A page that has begun.
struct ListingInProgress: ~Copyable, Sendable {
    var page = ByteBuffer()
    var mark: ListMark
    /// The key to go on behind; empty for the beginning.
    var cursor = ByteBuffer()
    var count = 0
    var valueBytes = 0
    /// The last write that the page shows or leaves out.
    var lsn = LSN.zero
}

extension CommandExecutor {
    func list(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer, _ scratch: inout Scratch, _ turn: Turn,
        _ metrics: WorkerMetrics
    ) {
        let namespace = prepared.namespace!
        let dialect = session.dialect
        // A page ends with a key or a common prefix, and both begin with the prefix that was asked for.
        let cursor = input.span(command.list.cursor)
        guard cursor.byteCount == 0 || cursor.hasPrefix(input.span(command.list.prefix)),
            cursor.byteCount <= LarderEngine.KeyRule.bytes.bytesMax
        else { return refuse(.cursorInvalid, command, &session, &output, turn, metrics) }
        var listing: ListingInProgress
        if let begun = session.listing.take() {
            listing = begun
        } else {
            listing = Self.beginListing(command, cursor, dialect)
        }
        let listed = add(to: &listing, namespace, command, input, dialect, workMax: scratch.listingWork, turn)
        scratch.listingWork -= listed.work
        switch listed.outcome {
        case .listed: break
        case .unfinished:
            session.listing = consume listing
            session.needsAnotherTurn = true
            return
        case .namespaceGone: return refuse(.namespaceDeleting, command, &session, &output, turn, metrics)
        case .outOfMemory: return refuse(.noMemoryToList, command, &session, &output, turn, metrics)
        }
        Reply.endList(cursor: listed.cursor, mark: listing.mark, to: command, in: dialect, into: &listing.page)
        let wait = readWait(listing.lsn, namespace, turn)
        session.held.reply(wait, at: turn.position, to: command, isWrite: false, output: &output) {
            $0.append(listing.page.bytes)
        }
    }

    private static func beginListing(_ command: Command, _ cursor: RawSpan, _ dialect: Dialect) -> ListingInProgress {
        var page = ByteBuffer()
        let mark = Reply.beginList(to: command, in: dialect, into: &page)
        var listing = ListingInProgress(page: page, mark: mark)
        listing.cursor.append(cursor)
        return listing
    }

    /// Adds to the page what this turn allows.
    private func add(
        to listing: inout ListingInProgress, _ namespace: Namespace, _ command: Command, _ input: borrowing ByteBuffer,
        _ dialect: Dialect, workMax: Int, _ turn: Turn
    ) -> ListingResult {
        guard workMax > 0 else { return ListingResult(outcome: .unfinished) }
        var page = ByteBuffer()
        swap(&page, &listing.page)
        var (mark, valueBytes) = (listing.mark, listing.valueBytes)
        let listed = store.list(
            namespace, prefix: input.span(command.list.prefix), after: listing.cursor.bytes,
            delimiter: command.list.delimiter, limit: command.list.limit - listing.count,
            withValues: command.list.withValues, bytesMax: Self.listBytesMax - listing.valueBytes, workMax: workMax,
            now: turn.now
        ) { item in
            let lsn = item.lsn
            valueBytes += item.value.byteCount
            Reply.listItem(
                ListItem(
                    key: item.key, isPrefix: item.isPrefix, valueBytes: item.valueBytes, version: lsn.rawValue,
                    updatedMilliseconds: lsn.milliseconds, updatedCounter: lsn.counter,
                    remaining: item.deadline.remaining(at: turn.now), value: item.value, contentType: item.contentType),
                mark: &mark, to: command, in: dialect, into: &page)
        }
        swap(&page, &listing.page)
        listing.mark = mark
        listing.valueBytes = valueBytes
        listing.count += listed.count
        listing.lsn = max(listing.lsn, listed.lsn)
        if listed.outcome == .unfinished, let cursor = listed.cursor {
            listing.cursor.removeAll()
            for byte in cursor { listing.cursor.append(byte: byte) }
        }
        return listed
    }

    /// A page with values ends early when it has grown to so many bytes.
    static let listBytesMax = 4 << 20
}
