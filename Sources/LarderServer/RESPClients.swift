// The connections that speak RESP, as they see one another: who is there, under which name, and how to end one.
//
// A connection belongs to its worker; what stands here is what others may know of it, and a way to tell the worker.

import LarderPlatform
import LarderWire
import Synchronization

/// Where a connection lives: its worker, and which of the worker's connections it is.
struct WorkerPlace: Sendable {
    let inbox: WorkerInbox
    let token: UInt64
    let descriptor: Int32
}

/// One connection, for others and for the commands that ask about it.
final class RESPClient: Sendable {
    struct Description: Sendable {
        var name = ""
        var libraryName = ""
        var libraryVersion = ""
        var database = 0
        var isRESP3 = false
        /// What it has subscribed to, and whether and how it tracks keys.
        var channels = 0
        var patterns = 0
        var isTracking = false
        var isBroadcast = false

        var isSubscribed: Bool { channels + patterns > 0 }

        /// Its letters in CLIENT LIST.
        fileprivate var flags: String {
            let flags = (isSubscribed ? "P" : "") + (isTracking ? "t" : "") + (isBroadcast ? "B" : "")
            return flags.isEmpty ? "N" : flags
        }
    }

    let id: UInt64
    let address: String
    let localAddress: String
    let created: Milliseconds
    private let place: WorkerPlace?
    private let description = Mutex(Description())
    private let lastSeen: Atomic<Milliseconds>
    private let lastWord = Atomic<UInt8>(RESPWord.unknown.rawValue)

    fileprivate init(id: UInt64, _ place: WorkerPlace?, now: Milliseconds) {
        self.id = id
        self.place = place
        address = place.flatMap { Socket.peerAddress(of: $0.descriptor) }?.description ?? "?:0"
        localAddress = place.flatMap { Socket.localAddress(of: $0.descriptor) }?.description ?? "?:0"
        created = now
        lastSeen = Atomic(now)
    }

    var described: Description { description.withLock { $0 } }

    func describe(_ change: (inout Description) -> Void) { description.withLock { change(&$0) } }

    /// Its worker calls this with each batch of requests.
    func note(_ word: UInt8, at now: Milliseconds) {
        lastSeen.store(now, ordering: .relaxed)
        lastWord.store(word, ordering: .relaxed)
    }

    /// Ends the connection, soon.
    func kill() {
        guard let place else { return }
        place.inbox.kill(place.token)
    }

    /// A line of CLIENT LIST. What Larder does not keep has the value that means none.
    func line(at now: Milliseconds) -> String {
        let described = described
        let word = RESPWord(rawValue: lastWord.load(ordering: .relaxed)) ?? .unknown
        let idle = max(now - lastSeen.load(ordering: .relaxed), 0) / 1_000
        return "id=\(id) addr=\(address) laddr=\(localAddress) fd=\(place?.descriptor ?? -1) name=\(described.name)"
            + " age=\(max(now - created, 0) / 1_000) idle=\(idle) flags=\(described.flags) db=\(described.database)"
            + " sub=\(described.channels) psub=\(described.patterns) ssub=0"
            + " multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0"
            + " events=r cmd=\(word.name) user=default redir=\(described.isTracking ? 0 : -1) resp=\(described.isRESP3 ? 3 : 2)"
            + " lib-name=\(described.libraryName) lib-ver=\(described.libraryVersion)"
    }

    /// Whether `text` may be a name: printable ASCII without spaces, so that a line stays one.
    static func isLegalName(_ text: String) -> Bool { text.utf8.allSatisfy { (0x21...0x7E).contains($0) } }
}

/// All of them.
final class RESPClients: Sendable {
    private struct State {
        var nextID: UInt64 = 1
        var all: [UInt64: RESPClient] = [:]
    }

    private let state = Mutex(State())

    func add(_ place: WorkerPlace?, now: Milliseconds) -> RESPClient {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        let client = RESPClient(id: id, place, now: now)
        state.withLock { $0.all[id] = client }
        return client
    }

    func remove(_ client: RESPClient) { state.withLock { $0.all[client.id] = nil } }

    /// The oldest first.
    var all: [RESPClient] { state.withLock { Array($0.all.values) }.sorted { $0.id < $1.id } }
    var count: Int { state.withLock { $0.all.count } }
}
