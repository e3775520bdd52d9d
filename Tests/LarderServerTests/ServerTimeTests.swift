import LarderPlatform
import LarderSimulation
import Testing

@Suite("Server time") struct ServerTimeTests {
    @Test func `time moves on with elapsed time`() {
        let clock = ManualClock(wall: 1_000_000)
        let time = ServerTime(clock: clock)
        #expect(time.now() == 1_000_000)
        clock.advance(milliseconds: 1_234)
        #expect(time.now() == 1_001_234)
        #expect(time.wallDrift == 0)
    }

    @Test(arguments: [-3_600_000, -1, 1, 3_600_000] as [Int64])
    func `a step of the wall clock moves nothing`(_ step: Int64) {
        let clock = ManualClock(wall: 10_000_000)
        let time = ServerTime(clock: clock)
        clock.setWall(clock.wall() + step)
        #expect(time.now() == 10_000_000)
        #expect(time.wallDrift == step)
        clock.advance(milliseconds: 5)
        #expect(time.now() == 10_000_005)
        #expect(time.wallDrift == step)
    }

    @Test(arguments: [-60_000, 60_000] as [Int64])
    func `time follows a wall clock that was set, a hundredth at a time and never back`(_ step: Int64) {
        let clock = ManualClock(wall: 10_000_000)
        let time = ServerTime(clock: clock)
        clock.advance(milliseconds: 10_000)
        #expect(time.compareClocks() == nil)
        clock.setWall(clock.wall() + step)
        clock.advance(milliseconds: 9_999)
        #expect(time.compareClocks() == nil, "it is not due")
        clock.advance(milliseconds: 1)
        #expect(time.compareClocks() == step)
        var last = time.now()
        var news: [Int64] = []
        for _ in 0..<70_000 {
            clock.advance(milliseconds: 100)
            let now = time.now()
            #expect(now - last >= 99 && now - last <= 101)
            last = now
            if let drift = time.compareClocks() {
                news.append(drift)
                break
            }
        }
        #expect(news == [0])
        #expect(time.wallDrift.magnitude <= 200)
        // A hundred times as long as the step.
        #expect(clock.elapsed() >= 5_900_000_000_000)
        clock.advance(milliseconds: 1_000)
        #expect(time.now() == last + 1_000)
    }

    @Test func `a clock beyond 2150 is not followed`() {
        let clock = ManualClock(wall: 10_000_000)
        let time = ServerTime(clock: clock)
        clock.setWall(ServerTime.wallEnd)
        clock.advance(milliseconds: 10_000)
        #expect(time.compareClocks() == nil)
        clock.advance(milliseconds: 1_000)
        #expect(time.now() == 10_011_000)
    }

    @Test func `clocks that are two seconds apart are left alone`() {
        let clock = ManualClock(wall: 10_000_000)
        let time = ServerTime(clock: clock)
        clock.setWall(clock.wall() - 2_000)
        for _ in 0..<10 {
            clock.advance(milliseconds: 10_000)
            #expect(time.compareClocks() == nil)
        }
        #expect(time.wallDrift == -2_000)
    }

    @Test func `time is advanced to what was seen before, and never back`() {
        let clock = ManualClock(wall: 1_000)
        let time = ServerTime(clock: clock)
        time.advance(toAtLeast: 5_000)
        #expect(time.now() == 5_000)
        time.advance(toAtLeast: 4_000)
        #expect(time.now() == 5_000)
        clock.advance(milliseconds: 10)
        #expect(time.now() == 5_010)
        time.advance(toAtLeast: 5_005)
        #expect(time.now() == 5_010)
        #expect(time.wallDrift == -4_000)
    }
}
