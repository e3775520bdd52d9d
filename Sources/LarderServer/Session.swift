// A conversation as a value: bytes in, bytes out. No socket, no thread, no clock.
//
// The first byte tells the dialect. Requests are decoded in batches: while one batch is decoded, the memory that each
// command will touch is asked for, so that the misses of many commands overlap (see docs/architecture.md, "The turn").

import LarderBytes
import LarderEngine
import LarderPlatform
import LarderWire

/// What is the same for every command of one turn of a worker.
package struct Turn: Sendable {
    /// Unix milliseconds.
    package var now: Milliseconds
    package var position: LogPosition
    /// False while the log refuses writes; replies that wait for it are then answered with a failure.
    package var logWorks: Bool
    /// False until recovery is complete.
    package var isReady: Bool

    package init(now: Milliseconds, position: LogPosition, logWorks: Bool, isReady: Bool) {
        self.now = now
        self.position = position
        self.logWorks = logWorks
        self.isReady = isReady
    }
}

/// Requests that were decoded together, of one connection or of several; a worker has room for them, and sessions borrow it.
package struct CommandBatch: ~Copyable, Sendable {
    static let size = 32
    var commands = [Command](repeating: Command(), count: CommandBatch.size)
    var prepared = [PreparedCommand](repeating: PreparedCommand(), count: CommandBatch.size)
    var count = 0
    package init() {}

    package var isFull: Bool { count == Self.size }
    package mutating func removeAll() { count = 0 }

    /// Keeps the command behind the last, which is not executed, from those who decode into the batch before it is looked at.
    mutating func keepLast() {
        prepared[count].touchesKey = false
        count += 1
    }

    /// Asks for the memory of the entries, once that of their buckets has arrived.
    package func prefetch(_ server: ServerContext) {
        // One alone gains nothing: it would be waited for at once.
        if count > 1 { server.executor.prefetch(self) }
    }
}

/// The requests of one connection in a batch.
package struct DecodedRequests: Sendable {
    fileprivate var first: Int
    fileprivate var end: Int
    /// What came behind them. The command that goes with a head or an end has the place behind the last.
    fileprivate var last = DecodeStep.needMore
    fileprivate var isResumed = false
}

/// What the commands of a turn share.
package struct Scratch: ~Copyable {
    /// What is kept beside a value that is written.
    var metadata = ByteBuffer()
    /// The value that `rewrite` found, and the one that is made of it.
    var present = ByteBuffer()
    var rewritten = ByteBuffer()
    /// A reply to a get-many while it is made; empty between requests.
    var many = ByteBuffer()
    /// How many entries listings may still look at in this turn.
    var listingWork = 0
    /// How many bytes of large values may still be copied in this turn.
    var copyWork = 0
    /// How many bytes were copied to make values of what was there, ever.
    var rewrittenBytes: UInt64 = 0
    /// What the connections of the worker watch.
    var watch = WorkerWatch()
    package init() {}

    /// Empties what `rewrite` works with, and gives back what one large value has left.
    mutating func forgetEntry() {
        metadata.removeAll()
        present.removeAll()
        present.shrink(above: WorkerLoop.inputBytes)
        rewritten.removeAll()
        rewritten.shrink(above: WorkerLoop.inputBytes)
    }

    /// All listings of a turn together may look at so many entries, or a little more: up to a millisecond.
    /// The same for large values and bytes.
    package mutating func beginTurn(listingWork: Int = 8_192, copyWork: Int = 1 << 20) {
        self.listingWork = listingWork
        self.copyWork = copyWork
    }
}

/// How a session left its input.
package enum SessionProgress: Sendable {
    /// Every complete request was answered.
    case needMore
    /// Requests are left, but too many replies wait for the client or the log.
    case full
    /// A request is left that takes more than its share of a turn: go on in the next one.
    case unfinished
    /// Send what there is, then close.
    case close
}

package struct Session: ~Copyable, Sendable {
    package private(set) var dialect = Dialect.undetermined
    private let pinned: Dialect?
    private var binary: BinaryDecoder
    private var http: HTTPDecoder
    var resp = RESPDecoder()
    private var memcached: MemcachedDecoder
    package var held = HeldReplies()
    /// Set by a refusal after which the connection is of no more use.
    var mustClose = false
    /// What a binary hello chose, or another login; nil before it.
    var namespace: Namespace?
    /// A page that is being made, turn by turn, for the first of the postponed commands.
    var listing: ListingInProgress?
    /// The reply with a large value, in the same way.
    var largeRead = LargeRead()
    /// A large value on its way into the store, in the same way.
    var draft: EntryDraft?
    /// A command over many keys that is being carried out, in the same way.
    var many: RESPManyInProgress?
    /// What other connections may know of this one (RESP).
    private(set) var client: RESPClient?
    /// Where the connection lives; nil for one without a worker.
    var place: WorkerPlace?
    /// Whether it tracks keys, or has subscribed to events (RESP): then the worker has a `Watcher` for it.
    var isWatching = false
    /// Whether it has subscribed to anything.
    var isSubscribed = false
    /// Set by a command that has to be executed again in the next turn.
    var needsAnotherTurn = false
    private var servedSince = false
    /// Decoded, and not executed for want of room for the replies; ranges count from the first byte of the input.
    private var postponed: [Command] = []
    private var postponedCount = 0
    private var postponedLast = DecodeStep.needMore
    /// How many bytes of the input have been decoded and not consumed, because postponed commands lie there.
    private var decodedBytes = 0

    /// - Parameter dialect: The one that is spoken where the connection came in, if there is only one.
    package init(configuration: ServerConfiguration, dialect: Dialect? = nil) {
        pinned = dialect
        binary = BinaryDecoder(frameBytesMax: BinaryFrame.bytesMaxBeforeLogin)
        var limits = HTTPLimits()
        limits.valueBytesMax = configuration.valueBytesMax
        http = HTTPDecoder(limits: limits)
        memcached = MemcachedDecoder(valueBytesMax: configuration.valueBytesMax)
    }

    /// Decodes and executes the requests in `input`, appends the replies that may be sent to `output`, and consumes
    /// what it answered.
    ///
    /// - Parameter unsent: How many bytes of earlier replies the client has not taken yet.
    package mutating func process(
        _ input: inout ByteBuffer, output: inout ByteBuffer, unsent: Int, batch: inout CommandBatch,
        scratch: inout Scratch, server: ServerContext, turn: Turn, metrics: WorkerMetrics
    ) -> SessionProgress {
        let rewrittenBefore = scratch.rewrittenBytes
        while true {
            if scratch.rewrittenBytes &- rewrittenBefore >= Self.rewrittenBytesPerTurn { return end(&input, .unfinished) }
            batch.removeAll()
            guard let requests = decode(&input, unsent: unsent + output.count, into: &batch, server: server) else {
                return end(&input, decodedBytes < input.count || !postponed.isEmpty ? .full : .needMore)
            }
            batch.prefetch(server)
            let progress = execute(
                requests, of: &batch, &input, output: &output, unsent: unsent, scratch: &scratch, server: server, turn: turn,
                metrics: metrics)
            if let progress { return progress }
        }
    }

    /// Decodes as many of the requests in `input` as `batch` has room for, and asks for the memory of their buckets. `execute`
    /// is to follow before anything else is asked of the session.
    ///
    /// - Parameter unsent: How many bytes of replies the client has not taken yet.
    /// - Returns: nil when so many replies wait that nothing more is carried out.
    package mutating func decode(
        _ input: inout ByteBuffer, unsent: Int, into batch: inout CommandBatch, server: ServerContext
    ) -> DecodedRequests? {
        if isFull(unsent, server.configuration) { return nil }
        if !postponed.isEmpty { return resume(&batch, input, server) }
        var requests = DecodedRequests(first: batch.count, end: batch.count)
        if case .undetermined = dialect {
            guard !input.isEmpty else { return requests }
            guard let spoken = spoken(firstByte: input[0]) else { return refuse(&batch) }
            begin(spoken, server)
        }
        requests.last = .command
        while !batch.isFull {
            let index = batch.count
            requests.last = decode(&input, into: &batch.commands[index], &batch.prepared[index], server)
            guard case .command = requests.last else {
                if case .needMore = requests.last { break }
                batch.keepLast()
                break
            }
            batch.count += 1
            requests.end += 1
            // What follows may depend on this one's effect on the connection or on the namespaces.
            if batch.commands[index].operation.isBarrier(batch.commands[index].word) { break }
        }
        return requests
    }

    /// Executes requests that have been decoded, appends the replies that may be sent to `output`, and consumes what it
    /// answered.
    ///
    /// - Returns: nil when there may be more requests, for `process`.
    package mutating func execute(
        _ requests: DecodedRequests, of batch: inout CommandBatch, _ input: inout ByteBuffer, output: inout ByteBuffer,
        unsent: Int, scratch: inout Scratch, server: ServerContext, turn: Turn, metrics: WorkerMetrics
    ) -> SessionProgress? {
        let rewrittenBefore = scratch.rewrittenBytes
        let isObserved = if case .resp = dialect { isWatching || server.resp.slowLog.isOn } else { false }
        for index in requests.first..<requests.end {
            if index > requests.first, isFull(unsent + output.count, server.configuration) {
                postpone(batch, requests, from: index)
                return .full
            }
            if index > requests.first, scratch.rewrittenBytes &- rewrittenBefore >= Self.rewrittenBytesPerTurn {
                postpone(batch, requests, from: index)
                return .unfinished
            }
            servedSince = true
            if !isObserved, !requests.isResumed, server.executor.getAtOnce(
                &batch.commands[index], &batch.prepared[index], input, &self, &output, turn, metrics)
            {
                metrics.gets.add(1)
                continue
            }
            if isObserved {
                executeObserved(batch.commands[index], batch.prepared[index], input, &output, &scratch, server, turn, metrics)
            } else {
                server.executor.execute(
                    batch.commands[index], batch.prepared[index], input, &self, &output, &scratch, turn, metrics)
            }
            if needsAnotherTurn {
                needsAnotherTurn = false
                postpone(batch, requests, from: index)
                return .unfinished
            }
            // Once, however many turns it takes.
            metrics.count(batch.commands[index].operation, batch.commands[index].word)
            if mustClose { return end(&input, .close) }
            // Its command may have been refused since.
            if requests.isResumed {
                listing = nil
                largeRead = LargeRead()
                draft = nil
                many = nil
            }
        }
        if let client, requests.end > requests.first { client.note(batch.commands[requests.end - 1].word, at: turn.now) }
        if case .http = dialect, requests.end > requests.first, batch.commands[requests.end - 1].httpFlags.contains(.close) {
            return end(&input, .close)
        }
        switch requests.last {
        case .command: return nil
        case .needMore: return end(&input, .needMore)
        case .head:
            judgeHead(&batch.commands[requests.end], input, &output, server, turn)
            return nil
        case .close:
            answerClose(batch.commands[requests.end], input, &output, server, turn)
            return end(&input, .close)
        }
    }

    /// Consumes what was answered.
    private mutating func end(_ input: inout ByteBuffer, _ progress: SessionProgress) -> SessionProgress {
        // The words of postponed commands are still needed where they are.
        if postponed.isEmpty {
            input.consume(decodedBytes)
            decodedBytes = 0
        }
        return progress
    }

    /// Speaks `dialect` from now on. Without a key there is nothing to log in with, but for binary, whose hello tells more.
    private mutating func begin(_ dialect: Dialect, _ server: ServerContext) {
        self.dialect = dialect
        if case .resp = dialect {
            client = server.resp.clients.add(place, now: server.time.now())
            resp.takesInline = pinned == .resp
        }
        if server.access.needsKey {
            if dialect == .memcached { memcached = MemcachedDecoder(valueBytesMax: MemcachedDecoder.loginBytesMax, needsLogin: true) }
        } else if dialect == .memcached {
            let name = Array(server.configuration.memcachedNamespace.utf8)
            namespace = server.store.namespaces.find(name: name.rawSpan)
        } else if dialect == .resp {
            resp.limits = .afterLogin(valueBytesMax: server.configuration.valueBytesMax)
            namespace = server.store.namespaces.default
        }
    }

    /// A login of memcached was accepted.
    mutating func logIn(_ namespace: Namespace, _ configuration: ServerConfiguration) {
        self.namespace = namespace
        memcached = MemcachedDecoder(valueBytesMax: configuration.valueBytesMax)
    }

    // MARK: Replies in parts

    /// A reply in parts ends with a refusal.
    mutating func noteRefusal(_ command: Command) {
        if dialect == .memcached, MemcachedFlags(rawValue: command.flags).contains(.more) { held.skipsParts = true }
    }

    /// Whether `command` is a further part of what was refused.
    mutating func skips(_ command: Command) -> Bool {
        held.skipsParts = MemcachedFlags(rawValue: command.flags).contains(.later)
        return held.skipsParts
    }

    /// The first byte is of no dialect: closes without a word.
    private func refuse(_ batch: inout CommandBatch) -> DecodedRequests {
        batch.commands[batch.count] = Command()
        defer { batch.keepLast() }
        return DecodedRequests(first: batch.count, end: batch.count, last: .close)
    }

    /// Whether no further request is carried out until replies have left.
    private func isFull(_ outputBytes: Int, _ configuration: ServerConfiguration) -> Bool {
        outputBytes > configuration.outputBytesSoft || isSaturated(configuration)
    }

    /// Keeps the commands of a batch whose replies there is no room for. They cannot be decoded again: HTTP rewrites words
    /// where they lie.
    private mutating func postpone(_ batch: borrowing CommandBatch, _ requests: DecodedRequests, from first: Int) {
        // A head that is to be judged, and why the connection is closed, stand behind the commands.
        postponed.append(contentsOf: batch.commands[first..<min(requests.end + 1, CommandBatch.size)])
        postponedCount = requests.end - first
        postponedLast = requests.last
    }

    /// Answers the request that has begun and is not complete with `failure`. Afterwards the connection is of no more use.
    ///
    /// Nothing is said where nothing was asked, or where the request has its reply.
    package mutating func giveUp(
        _ failure: Failure, _ input: borrowing ByteBuffer, output: inout ByteBuffer, turn: Turn, metrics: WorkerMetrics
    ) {
        if dialect == .undetermined, !input.isEmpty { dialect = spoken(firstByte: input[0]) ?? .undetermined }
        let begun = switch dialect {
        case .undetermined: nil as Command?
        case .binary: binary.begun(input)
        case .http: http.begun(input)
        case .resp: resp.begun(input)
        case .memcached: memcached.begun(input)
        }
        guard postponed.isEmpty, let command = begun else { return }
        metrics.refusals.add(1)
        answer(command, failure, &output, turn)
    }

    /// Whether more is to come of a request that has begun.
    ///
    /// - Parameter input: What `process` has left.
    package func isWithinRequest(_ input: borrowing ByteBuffer) -> Bool { !input.isEmpty || http.isWithinRequest || memcached.isWithinRequest }

    /// How many bytes the request that has begun has in all, as far as is known; with so much room its buffer need not grow again.
    package var requestBytesExpected: Int {
        switch dialect {
        case .undetermined: 0
        case .binary: binary.frameBytesExpected
        case .http: http.requestBytesExpected
        case .resp: resp.requestBytesExpected
        case .memcached: memcached.requestBytesExpected
        }
    }

    /// Brings the postponed commands back into the batch, which is empty.
    private mutating func resume(
        _ batch: inout CommandBatch, _ input: borrowing ByteBuffer, _ server: ServerContext
    ) -> DecodedRequests {
        for (index, command) in postponed.enumerated() {
            batch.commands[index] = command
            if index < postponedCount {
                server.executor.prepare(&batch.prepared[index], &batch.commands[index], namespace, input)
            }
        }
        batch.count = postponedCount
        defer { postponed = [] }
        return DecodedRequests(first: 0, end: postponedCount, last: postponedLast, isResumed: true)
    }

    /// Whether so many replies wait for the log that no further requests are taken.
    package func isSaturated(_ configuration: ServerConfiguration) -> Bool {
        held.count >= Self.heldRepliesMax || held.byteCount >= Self.heldBytesMax
    }

    /// How much of large values the requests of one connection may make anew before others have their turn; what makes one value larger
    /// than that anew is alone in it.
    static let rewrittenBytesPerTurn: UInt64 = 1 << 20

    /// Requests of one connection that may wait for the log.
    static let heldRepliesMax = 1_024
    static let heldBytesMax = 4 << 20

    /// Whether a request was answered since the last call.
    package mutating func servedSinceLastLook() -> Bool {
        defer { servedSince = false }
        return servedSince
    }

    /// Which dialect this connection speaks whose first byte is `byte`; nil for one that is not spoken here.
    private func spoken(firstByte byte: UInt8) -> Dialect? {
        switch pinned {
        case nil: Self.dialect(firstByte: byte)
        // Inline commands; so that no other dialect is taken for one, they are ASCII.
        case .resp: byte < 0x80 ? .resp : nil
        case .memcached: byte < 0x80 ? .memcached : nil
        case let pinned: Self.dialect(firstByte: byte) == pinned ? pinned : nil
        }
    }

    /// Which dialect begins with `byte` (docs/architecture.md, "One port").
    static func dialect(firstByte byte: UInt8) -> Dialect? {
        if byte == BinaryFrame.requestMagic { return .binary }
        if byte == UInt8(ascii: "*") { return .resp }
        if (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) { return .http }
        // An empty line may stand before a request (RFC 9112 section 2.2); no other dialect begins with one.
        if byte == UInt8(ascii: "\r") { return .http }
        if (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) { return .memcached }
        return nil
    }

    /// Decodes the next request, and prepares it. Both are given where they lie: a command is 300 bytes, and passed on as a value it is
    /// copied.
    private mutating func decode(
        _ input: inout ByteBuffer, into command: inout Command, _ prepared: inout PreparedCommand, _ server: ServerContext
    ) -> DecodeStep {
        let step = decode(&input, into: &command)
        if case .command = step { server.executor.prepare(&prepared, &command, namespace, input) }
        return step
    }

    private mutating func decode(_ input: inout ByteBuffer, into command: inout Command) -> DecodeStep {
        switch dialect {
        case .binary, .undetermined: binary.decode(input, at: &decodedBytes, into: &command)
        case .resp: resp.decode(input, at: &decodedBytes, into: &command)
        case .memcached: memcached.decode(&input, at: &decodedBytes, into: &command)
        case .http: http.decode(&input, at: &decodedBytes, into: &command)
        }
    }

    /// A hello was accepted: larger frames may come, and replies may overtake if asked for.
    mutating func greet(_ namespace: Namespace, frameBytesMax: Int, overtake: Bool) {
        self.namespace = namespace
        binary.frameBytesMax = frameBytesMax
        held.overtaking = overtake
    }

    // MARK: Watching

    /// Names the connection to the worker and its watch.
    var token: UInt64 { place?.token ?? 0 }

    /// Whether a reply is being made that does not show yet: what is pushed waits for it, since it may hold what changed
    /// meanwhile.
    private var isWithinReply: Bool { many != nil || largeRead.isUnderWay }

    /// Appends what is to be pushed to the client, behind every reply that was made before it.
    ///
    /// - Returns: false when it has to wait for a reply that is being made.
    mutating func takePushes(of watcher: Watcher, _ output: inout ByteBuffer, _ turn: Turn) -> Bool {
        if watcher.pushes.isEmpty { return true }
        if isWithinReply { return false }
        var pushes = ByteBuffer()
        swap(&pushes, &watcher.pushes)
        held.reply(.nothing, at: turn.position, to: Command(), isWrite: false, output: &output) { $0.append(pushes.bytes) }
        pushes.removeAll()
        pushes.shrink(above: 16_384)
        swap(&pushes, &watcher.pushes)
        return true
    }

    /// Tells what others may know of what the connection watches.
    mutating func describe(_ watcher: Watcher?) {
        isWatching = watcher != nil
        isSubscribed = watcher.map { $0.subscriptions > 0 } ?? false
        client?.describe { description in
            description.channels = watcher?.channels.count ?? 0
            description.patterns = watcher?.patterns.count ?? 0
            description.isTracking = watcher?.tracking != nil
            description.isBroadcast = watcher?.tracking?.isBroadcast ?? false
        }
    }

    /// RESET: what RESP remembers of the connection is what a new one has.
    mutating func forgetRESP() {
        isWatching = false
        isSubscribed = false
        resp.isRESP3 = false
        client?.describe { $0 = RESPClient.Description() }
    }

    /// Executes a command of a connection that watches keys, or while slow commands are noted.
    @inline(never)
    private mutating func executeObserved(
        _ command: Command, _ prepared: PreparedCommand, _ input: borrowing ByteBuffer, _ output: inout ByteBuffer,
        _ scratch: inout Scratch, _ server: ServerContext, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        let isTimed = server.resp.slowLog.isOn
        let began = isTimed ? server.time.elapsed() : 0
        if let watcher = isWatching ? scratch.watch.watcher(token) : nil {
            server.executor.execute(command, prepared, of: watcher, input, &self, &output, &scratch, turn, metrics)
        } else {
            server.executor.execute(command, prepared, input, &self, &output, &scratch, turn, metrics)
        }
        guard isTimed else { return }
        server.resp.slowLog.note(command, input, nanoseconds: server.time.elapsed() - began, client, now: turn.now)
    }

    /// Decides whether the body that follows is wanted.
    private mutating func judgeHead(
        _ command: inout Command, _ input: borrowing ByteBuffer, _ output: inout ByteBuffer,
        _ server: ServerContext, _ turn: Turn
    ) {
        var prepared = PreparedCommand()
        server.executor.prepare(&prepared, &command, namespace, input)
        if let verdict = server.executor.judge(command, prepared, input, turn) {
            servedSince = true
            http.refuse(&command)
            held.reply(verdict.wait, at: turn.position, to: command, isWrite: false, output: &output) {
                switch verdict.reason {
                case .failure(let failure): Reply.failure(failure, to: command, in: .http, into: &$0)
                case .condition(let version): Reply.done(.conditionFailed, version: version, to: command, in: .http, into: &$0)
                }
            }
        } else {
            if command.httpFlags.contains(.expectsContinue) {
                held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) {
                    HTTPReply.continue(into: &$0)
                }
            }
            http.proceed()
        }
    }

    private mutating func answerClose(
        _ command: Command, _ input: borrowing ByteBuffer, _ output: inout ByteBuffer, _ server: ServerContext, _ turn: Turn
    ) {
        guard let failure = command.failure else { return }
        var refusal: Failure?
        if dialect == .binary, command.operation != .none {
            refusal = server.executor.accessRefusal(command, input, dialect, turn, isLoggedIn: namespace != nil)
        }
        answer(command, refusal ?? failure, &output, turn)
    }

    private mutating func answer(_ command: Command, _ failure: Failure, _ output: inout ByteBuffer, _ turn: Turn) {
        held.reply(.nothing, at: turn.position, to: command, isWrite: false, output: &output) { [dialect] in
            Reply.failure(failure, to: command, in: dialect, into: &$0)
        }
    }
}
