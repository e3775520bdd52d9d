import LarderServer
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
