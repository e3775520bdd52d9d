import LarderBytes
import Testing

@testable import LarderLoad

@Suite("Random choices") struct DistributionTests {
    /// Draws, and compares how often each rank came with how often it should. The statistic of a right distribution has
    /// mean `ranks - 1` and deviation sqrt(2 (ranks - 1)); six deviations are never exceeded by chance.
    private func chiSquare(_ ranks: Int, draws: Int, probability: (Int) -> Double, draw: () -> Int) -> Double {
        var counts = [Int](repeating: 0, count: ranks)
        for _ in 0..<draws { counts[draw()] += 1 }
        return counts.indices.reduce(0) { sum, rank in
            let expected = probability(rank) * Double(draws)
            let difference = Double(counts[rank]) - expected
            return sum + difference * difference / expected
        }
    }

    private func bound(_ ranks: Int) -> Double { Double(ranks - 1) + 6 * (2 * Double(ranks - 1)).squareRoot() }

    @Test(arguments: [0.5, 0.99, 1.0, 1.3, 2.0], [2, 10, 200])
    func `ranks come as often as Zipf's law says`(exponent: Double, ranks: Int) {
        let weights = (1...ranks).map { 1 / pow($0, exponent) }
        let total = weights.reduce(0, +)
        let zipf = ZipfDistribution(count: UInt64(ranks), exponent: exponent)
        var random = RandomStream(seed: 5)
        let statistic = chiSquare(ranks, draws: 200_000, probability: { weights[$0] / total }) { Int(zipf.sample(&random)) - 1 }
        #expect(statistic < bound(ranks))
    }

    @Test func `a key space of one has one key`() {
        var random = RandomStream(seed: 1)
        #expect((0..<100).allSatisfy { _ in ZipfDistribution(count: 1, exponent: 0.99).sample(&random) == 1 })
    }

    @Test func `the largest key space is drawn from whole`() {
        let zipf = ZipfDistribution(count: UInt64(UInt32.max), exponent: 0.5)
        var random = RandomStream(seed: 2)
        let draws = (0..<100_000).map { _ in zipf.sample(&random) }
        #expect(draws.allSatisfy { (1...UInt64(UInt32.max)).contains($0) })
        // At exponent one half, half of all draws are above a quarter of the ranks.
        let high = draws.filter { $0 > UInt64(UInt32.max) / 4 }.count
        #expect((48_500...51_500).contains(high))
    }

    @Test func `uniform keys come equally often`() {
        let choice = KeyChoice(.uniform, count: 500)
        var random = RandomStream(seed: 3)
        #expect(chiSquare(500, draws: 200_000, probability: { _ in 1 / 500 }) { Int(choice.next(&random)) } < bound(500))
    }

    @Test(arguments: [1, 2, 3, 10, 97, 100, 1_000, 65_536] as [UInt64])
    func `every key has one rank`(count: UInt64) {
        let choice = KeyChoice(.zipf(exponent: 1), count: count)
        #expect(Set((1...count).map { choice.index(rank: $0) }) == Set(0..<count))
    }

    @Test func `popular keys are not neighbours`() {
        let choice = KeyChoice(.zipf(exponent: 1), count: 100_000)
        let first = (1...10 as ClosedRange<UInt64>).map { choice.index(rank: $0) }.sorted()
        #expect(zip(first, first.dropFirst()).allSatisfy { $1 - $0 > 1_000 })
    }

    // MARK: Sizes

    private func sizes(_ text: String, limit: Int64 = 1_000_000) -> Distribution? { Distribution(text, limit: limit) { Int64($0) } }

    @Test func `a constant is that`() throws {
        let distribution = try #require(sizes("100"))
        var random = RandomStream(seed: 1)
        #expect((0..<10).allSatisfy { _ in distribution.sample(&random) == 100 })
        #expect(distribution.maximum == 100)
    }

    @Test func `an even spread has both its ends`() throws {
        let distribution = try #require(sizes("uniform:10-13"))
        var random = RandomStream(seed: 1)
        #expect(chiSquare(4, draws: 40_000, probability: { _ in 0.25 }) { Int(distribution.sample(&random)) - 10 } < bound(4))
    }

    @Test func `a mix has its weights`() throws {
        let distribution = try #require(sizes("100:90,10000:9.5,uniform:1-2:0.5"))
        var random = RandomStream(seed: 1)
        let expected = [0.9, 0.095, 0.005]
        let statistic = chiSquare(3, draws: 100_000, probability: { expected[$0] }) {
            let size = distribution.sample(&random)
            return size == 100 ? 0 : size == 10_000 ? 1 : 2
        }
        #expect(statistic < bound(3))
        #expect(distribution.maximum == 10_000)
    }

    @Test func `half of a lognormal distribution is below its median, and a sixth above one sigma`() throws {
        let distribution = try #require(sizes("lognormal:200/1.0"))
        var random = RandomStream(seed: 1)
        let draws = (0..<100_000).map { _ in distribution.sample(&random) }
        #expect((49_000...51_000).contains(draws.filter { $0 < 200 }.count))
        #expect((15_300...16_500).contains(draws.filter { $0 > 543 }.count))
    }

    @Test func `a limit is never passed`() throws {
        let distribution = try #require(sizes("lognormal:200/2/1000"))
        var random = RandomStream(seed: 1)
        #expect((0..<20_000).allSatisfy { _ in distribution.sample(&random) <= 1_000 })
        #expect(distribution.maximum == 1_000)
    }

    @Test(arguments: [
        "", "x", "-1", "1:", "1:0", "1:-1", "1:x", "1,", ",", "uniform:", "uniform:5", "uniform:5-4", "uniform:1-2-3", "lognormal:5",
        "lognormal:0/1", "lognormal:5/0", "lognormal:5/11", "lognormal:5/1/4", "2000000", "uniform:1-2000000", "1:2:3", "1:nan", "1:inf",
    ])
    func `what is no distribution is refused`(_ text: String) {
        #expect(sizes(text) == nil)
    }

    // MARK: Operations

    @Test func `operations come as the mix says`() throws {
        let mix = try #require(OperationMix("get:95,set:4,delete:1"))
        var random = RandomStream(seed: 1)
        let expected = [0.95, 0.04, 0.01]
        #expect(chiSquare(3, draws: 100_000, probability: { expected[$0] }) { Int(mix.next(&random).rawValue) } < bound(3))
        #expect("\(mix)" == "get:95,set:4,delete:1")
    }

    @Test func `a single name is a mix of nothing else`() throws {
        let mix = try #require(OperationMix("set"))
        var random = RandomStream(seed: 1)
        #expect((0..<1_000).allSatisfy { _ in mix.next(&random) == .set })
        #expect(!mix.has(.get))
    }

    @Test(arguments: ["", "get:", "get:0", "get:-1", "put:1", "get:1,get:1", "get:1,", "get:1:1", "get:inf"])
    func `what is no mix is refused`(_ text: String) { #expect(OperationMix(text) == nil) }

    @Test(arguments: ["", "zipf:", "zipf:0", "zipf:-1", "zipf:11", "zipf:x", "flat"])
    func `what is no popularity is refused`(_ text: String) { #expect(KeyPopularity(text) == nil) }

    private func pow(_ base: Int, _ exponent: Double) -> Double {
        exponent == 1 ? Double(base) : exponent == 2 ? Double(base * base) : Power.of(Double(base), exponent)
    }
}
