// Options of `larder load` that would do nothing beside others, and what the process needs for those that do.

import ArgumentParser
import LarderLoad
import LarderPlatform

extension LoadCommand {
    /// Refuses what was asked for and would be passed over. An option that says what holds anyway disturbs nobody.
    func idleOptions() throws {
        let (shape, content) = (self.shape, self.content)
        let (plain, usual) = (try LoadShapeOptions.parse([]), try LoadContentOptions.parse([]))
        let keySpace = [
            ("--mix", content.mix != usual.mix), ("--keys", content.keys != usual.keys), ("--key-count", content.keyCount != usual.keyCount),
            ("--key-length", content.keyLength != usual.keyLength), ("--key-prefix", content.keyPrefix != usual.keyPrefix),
            ("--values", content.values != usual.values), ("--ttl", content.ttl != usual.ttl), ("--seed", content.seed != nil),
        ]
        if judging.check != nil {
            let timing = [
                ("--duration", shape.duration != nil), ("--requests", shape.requests != nil), ("--warmup", shape.warmup != plain.warmup),
                ("--threads", shape.threads != plain.threads),
            ]
            try Self.refuse(timing + keySpace, "--check reads what its file says, each key once, in one thread")
        }
        if content.trace != nil { try Self.refuse(keySpace, "a trace has keys, values and lifetimes of its own") }
        if content.trace == nil {
            try Self.refuse([("--trace-requests", content.traceRequests != usual.traceRequests)], "there is no --trace")
        }
        if !shape.ramp {
            let ramp = [
                ("--ramp-from", shape.rampFrom != plain.rampFrom), ("--ramp-factor", shape.rampFactor != plain.rampFactor),
                ("--ramp-limit", shape.rampLimit != plain.rampLimit),
            ]
            try Self.refuse(ramp, "there is no --ramp")
        }
        let namespace = ("--namespace", content.namespace != usual.namespace)
        if shape.dialect == .resp { try Self.refuse([namespace], "no request of resp names a namespace") }
        if content.path != nil { try Self.refuse([namespace], "--path takes the place of /kv/NAMESPACE/") }
        if shape.dialect != .http { try Self.refuse([("--path", content.path != nil)], "only http has paths") }
    }

    private static func refuse(_ options: [(name: String, isGiven: Bool)], _ reason: String) throws {
        let given = options.filter(\.isGiven).map(\.name)
        if !given.isEmpty { throw ValidationError("\(given.joined(separator: ", ")) would do nothing: \(reason)") }
    }
}

extension LoadShapeOptions {
    /// Files of the program itself: standard streams, what is read and written, a poller for each thread.
    private static let ownFiles = 64

    /// Lets the process have as many connections as are wanted.
    func allowConnections() throws(CommandFailure) {
        let wanted = connections + 2 * threads + Self.ownFiles
        let there = Descriptors.allow(wanted)
        guard there >= wanted else {
            throw CommandFailure(
                .failed, "--connections \(connections) needs \(wanted) open files, and this process may have \(there) (ulimit -Hn)")
        }
    }
}
