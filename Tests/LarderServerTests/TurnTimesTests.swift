import LarderServer
import Testing

@Suite("Turn times") struct TurnTimesTests {
    private let window = TurnTimes.windowNanoseconds

    private func note(_ metrics: WorkerMetrics, _ turns: Int, of nanoseconds: Int64) {
        for _ in 0..<turns { metrics.turns.note(nanoseconds) }
    }

    @Test func `one turn of a hundred may be slow, two may not`() {
        let metrics = WorkerMetrics()
        let times = TurnTimes()
        times.look(at: [metrics], now: 0)
        note(metrics, 99, of: 100_000)
        note(metrics, 1, of: 5_000_000)
        times.look(at: [metrics], now: window)
        #expect(times.p99 == 125_000)
        note(metrics, 98, of: 100_000)
        note(metrics, 2, of: 5_000_000)
        times.look(at: [metrics], now: 2 * window)
        #expect(times.p99 == 8_000_000)
    }

    @Test func `the turns of all workers count, and each once`() {
        let workers = [WorkerMetrics(), WorkerMetrics()]
        let times = TurnTimes()
        note(workers[0], 50, of: 1_000_000_000)
        times.look(at: workers, now: 7)
        #expect(times.p99 == 0, "what was before the first look is of no window")
        note(workers[0], 50, of: 10_000)
        note(workers[1], 50, of: 3_000_000)
        times.look(at: workers, now: 7 + window - 1)
        #expect(times.p99 == 0, "the window has not ended")
        times.look(at: workers, now: 7 + window)
        #expect(times.p99 == 4_000_000)
        times.look(at: workers, now: 7 + 2 * window)
        #expect(times.p99 == 0, "no turns, no lag")
    }

    @Test(arguments: [
        (-1, 62_500), (0, 62_500), (62_499, 62_500), (62_500, 125_000), (1_999_999, 2_000_000), (2_000_000, 4_000_000),
        (.max, 2_048_000_000),
    ] as [(Int64, Int64)])
    func `a length is rounded up to the end of its class`(nanoseconds: Int64, end: Int64) {
        let metrics = WorkerMetrics()
        let times = TurnTimes()
        times.look(at: [metrics], now: 0)
        metrics.turns.note(nanoseconds)
        times.look(at: [metrics], now: window)
        #expect(times.p99 == end)
    }
}
