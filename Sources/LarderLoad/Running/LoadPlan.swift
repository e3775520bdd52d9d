// What a run is to do. Made by the command, read by the threads.

import LarderPlatform

/// When requests are sent.
package enum Pace: Equatable, Sendable {
    /// Each connection sends the next batch when the last is answered.
    case closed
    /// So many requests a second, whatever the server does.
    case rate(Double)
    /// As the trace says, so many times faster.
    case recorded(speed: Double)
}

extension Pace {
    /// When request `record` of a trace is due, in nanoseconds from the start: at its place in the trace or at its time.
    func time(ofRecord record: Int, in trace: Trace) -> Int64 {
        switch self {
        case .closed: 0
        case .rate(let rate): Schedule(start: 0, rate: rate).due(record)
        case .recorded(let speed): Int64(min(Double(trace.records[record].time) / speed, Double(Schedule.nanosecondsMax)))
        }
    }
}

/// What the operations are.
package enum LoadContent: Sendable {
    case workload(Workload, OperationStream.Order)
    case trace(Trace)
}

/// One run against one server.
package struct LoadPlan: Sendable {
    package var address: SocketAddress
    package var manner: Manner
    package var content: LoadContent
    package var pace: Pace
    /// Connections of all threads together, the same number on each.
    package var connections: Int
    package var threads: Int
    /// Requests in flight on a connection at most.
    package var depth: Int
    package var warmupNanoseconds: Int64 = 0
    package var durationNanoseconds: Int64
    /// Whether the duration only bounds a run that ends by itself.
    package var durationIsLimit = false
    /// Requests of all connections together; nil: only the duration ends the run.
    package var requests: Int?
    /// Whether a connection that is lost is made anew. Not where replies are judged: what was under way on the old one
    /// could overtake what the new one sends.
    package var reconnects = true
    /// How long to wait for replies when nothing more is sent.
    package var drainNanoseconds: Int64 = 5_000_000_000
    /// How long a server may keep silent before the first reply.
    package var greetingNanoseconds: Int64 = 5_000_000_000

    /// How long a run that no clock ends goes on without any connection.
    package var patienceNanoseconds: Int64 = 10_000_000_000

    package static let reconnectNanoseconds: Int64 = 100_000_000
    /// How much longer than its recorded time, or its rate, a replay to the end may take; in a closed loop, how long.
    package static let replayExtraNanoseconds: Int64 = 60_000_000_000
    package static let closedReplayNanoseconds: Int64 = 86_400_000_000_000

    package init(
        address: SocketAddress, manner: Manner, content: LoadContent, pace: Pace = .closed, connections: Int, threads: Int = 1,
        depth: Int = 1, durationNanoseconds: Int64, requests: Int? = nil
    ) {
        precondition(threads >= 1 && connections >= threads && connections % threads == 0, "connections do not divide")
        precondition(depth >= 1 && durationNanoseconds > 0)
        self.address = address
        self.manner = manner
        self.content = content
        self.pace = pace
        self.connections = connections
        self.threads = threads
        self.depth = depth
        self.durationNanoseconds = durationNanoseconds
        self.requests = requests
    }

    /// Whether the run ends when the duration is over, rather than when its requests are answered.
    package var isTimed: Bool { requests == nil && !durationIsLimit }

    /// How long an interval of the time series is: a hundred of them, or half a second where nobody knows how long it takes.
    package var intervalNanoseconds: Int64 { isTimed ? max(durationNanoseconds / 100, 100_000_000) : 500_000_000 }

    /// Lets a trace run to its end, unless the server does not keep up with it at all.
    package mutating func replayToTheEnd() {
        guard case .trace(let trace) = content, trace.count > 0 else { return }
        durationIsLimit = true
        durationNanoseconds =
            pace == .closed
            ? Self.closedReplayNanoseconds : pace.time(ofRecord: trace.count - 1, in: trace) + Self.replayExtraNanoseconds
    }

    /// The largest value that is sent.
    var valueBytesMax: Int {
        switch content {
        case .workload(let workload, _): Int(workload.valueBytes.maximum)
        case .trace(let trace): trace.valueBytesMax
        }
    }
}

/// Why a load could not be carried out.
package enum LoadFailure: Error, Equatable, Sendable {
    /// Nobody is there.
    case cannotConnect(SystemError)
    /// The server closed a connection before it had answered anything.
    case closedAtOnce
    /// Nothing came for as long as the limit says.
    case silent
    /// The server refused the greeting, in its words.
    case refused(String)
    /// The server speaks something else; what it said first.
    case foreign(ReplyError, said: String)
    /// The file of acknowledgements.
    case record(SystemError)
    /// The machine has no more of something.
    case system(SystemError)
}

extension LoadFailure {
    /// A sentence for the person who typed the command.
    package func sentence(_ dialect: LoadDialect) -> String {
        switch self {
        case .cannotConnect(let error): return "cannot connect: \(error)"
        case .closedAtOnce: return "closed the connection without an answer; does it speak \(dialect.rawValue) (--dialect)?"
        case .silent: return "did not answer; does it speak \(dialect.rawValue) (--dialect)?"
        case .refused(let sentence): return "refused: \(sentence)"
        case .foreign(.tooLarge, _): return "answered with more bytes than a reply may have"
        case .foreign(.unbounded, _): return "answered with an HTTP reply that has no Content-Length, which is not understood here"
        case .foreign(.outOfOrder, _): return "answered another request than the one that was next"
        case .foreign(.foreign, let said):
            return "does not speak \(dialect.rawValue) (--dialect): it answered \"\(said)\""
        case .record(let error): return "the file of acknowledgements: \(error)"
        case .system(let error): return "\(error)"
        }
    }
}
