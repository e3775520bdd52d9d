// What is asked of the server, and how often each.

/// An operation of a load.
package enum LoadOperation: UInt8, Sendable, CaseIterable {
    case get = 0
    case set = 1
    case delete = 2

    package var name: String {
        switch self {
        case .get: "get"
        case .set: "set"
        case .delete: "delete"
        }
    }
}

/// Shares of the operations.
package struct OperationMix: Equatable, Sendable, CustomStringConvertible {
    package let weights: [Double]
    // Of 2^32.
    private let getBelow: UInt64
    private let setBelow: UInt64

    package static func only(_ operation: LoadOperation) -> OperationMix {
        OperationMix(weights: LoadOperation.allCases.map { $0 == operation ? 1 : 0 })
    }

    private init(weights: [Double]) {
        self.weights = weights
        let total = weights.reduce(0, +)
        getBelow = UInt64((weights[0] / total * 0x1p32).rounded())
        setBelow = UInt64(((weights[0] + weights[1]) / total * 0x1p32).rounded())
    }

    /// `get:95,set:5`, or a single name for nothing but that. Weights need not add up to anything.
    package init?(_ text: String) {
        var weights = [0.0, 0.0, 0.0]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let fields = part.split(separator: ":", omittingEmptySubsequences: false)
            guard (1...2).contains(fields.count), let operation = LoadOperation.allCases.first(where: { $0.name == fields[0] })
            else { return nil }
            guard let weight = fields.count == 1 ? 1 : Double(fields[1]), weight >= 0, weight.isFinite else { return nil }
            guard weights[Int(operation.rawValue)] == 0 else { return nil }
            weights[Int(operation.rawValue)] = weight
        }
        let total = weights.reduce(0, +)
        guard total > 0, total.isFinite else { return nil }
        self.init(weights: weights)
    }

    package func has(_ operation: LoadOperation) -> Bool { weights[Int(operation.rawValue)] > 0 }

    package func next(_ random: inout RandomStream) -> LoadOperation {
        let choice = random.next() >> 32
        return choice < getBelow ? .get : choice < setBelow ? .set : .delete
    }

    package var description: String {
        LoadOperation.allCases.filter(has).map { operation in
            let weight = weights[Int(operation.rawValue)]
            return "\(operation.name):\(weight == weight.rounded() && weight < 1e15 ? "\(Int64(weight))" : "\(weight)")"
        }.joined(separator: ",")
    }
}
