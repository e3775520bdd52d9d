// What is asked of the servers.

/// One row of questions: which operation, over which protocol, how many in flight.
struct Scenario {
    enum Operation { case get, set }
    var title: String
    var operation: Operation
    var overHTTP: Bool
    /// Requests in flight on each connection.
    var depth: Int

    static let all = [
        Scenario(title: "GET 100 B, 1 in flight", operation: .get, overHTTP: false, depth: 1),
        Scenario(title: "GET 100 B, 32 in flight", operation: .get, overHTTP: false, depth: 32),
        Scenario(title: "SET 100 B, 1 in flight, no log", operation: .set, overHTTP: false, depth: 1),
        Scenario(title: "SET 100 B, 32 in flight, no log", operation: .set, overHTTP: false, depth: 32),
        Scenario(title: "HTTP GET 100 B, 1 in flight", operation: .get, overHTTP: true, depth: 1),
        Scenario(title: "HTTP GET 100 B, 32 in flight", operation: .get, overHTTP: true, depth: 32),
    ]
}

/// One round's result.
struct Sample {
    var requests: Int
    var seconds: Double
    var cpuNanoseconds: Int64
    var userShare: Double

    var microseconds: Double { Double(cpuNanoseconds) / 1_000 / Double(max(requests, 1)) }
    var userMicroseconds: Double { microseconds * userShare }
    var rate: Double { Double(requests) / seconds }
}
