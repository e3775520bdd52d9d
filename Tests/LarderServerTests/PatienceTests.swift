import LarderPlatform
import Testing

@testable import LarderServer

@Suite("Patience") struct PatienceTests {
    static let start: Milliseconds = 1_800_000_000_000
    let configuration = ServerConfiguration()

    func verdict(
        _ patience: Patience, after seconds: Double, _ activity: Patience.Activity = .reading, unsent: Int = 0, isHTTP: Bool = false
    ) -> Patience.Verdict {
        patience.verdict(
            at: Self.start + Milliseconds((seconds * 1_000).rounded()), activity, unsent: unsent,
            idleSecondsMax: isHTTP ? configuration.httpIdleSeconds : 0, configuration)
    }

    /// A connection that has had its first request answered at once.
    static func served() -> Patience {
        var patience = Patience(now: start)
        patience.received(13, at: start)
        patience.worked(served: true, isWithinRequest: false, at: start)
        return patience
    }

    @Test func `a new connection that has to log in has ten seconds for its first request`() {
        let patience = Patience(now: Self.start)
        #expect(verdict(patience, after: 10) == .stay)
        #expect(verdict(patience, after: 10.001) == .giveUp)
    }

    @Test func `a new connection that need not log in was closed when it said nothing for ten seconds`() {
        var patience = Patience(now: Self.start, owesLogin: false)
        #expect(verdict(patience, after: 1_000_000) == .stay)
        patience.received(1, at: Self.start + 20_000)
        patience.worked(served: false, isWithinRequest: true, at: Self.start + 20_000)
        #expect(verdict(patience, after: 30) == .stay)
        #expect(verdict(patience, after: 30.001) == .giveUp)
    }

    @Test func `a connection that is one too many has a second`() {
        let patience = Patience(now: Self.start, isTurnedAway: true)
        #expect(verdict(patience, after: 1) == .stay)
        #expect(verdict(patience, after: 1.001) == .giveUp)
    }

    @Test func `a request has a minute from its first byte`() {
        var patience = Self.served()
        patience.received(1, at: Self.start + 5_000)
        patience.worked(served: false, isWithinRequest: true, at: Self.start + 5_000)
        #expect(verdict(patience, after: 65) == .stay)
        #expect(verdict(patience, after: 65.001) == .giveUp)
    }

    @Test func `every 4096 bytes of a request give it a second more`() {
        var patience = Self.served()
        patience.worked(served: false, isWithinRequest: true, at: Self.start)
        for second in 1...1_000 as ClosedRange<Milliseconds> {
            patience.received(4_096, at: Self.start + second * 1_000)
            patience.worked(served: false, isWithinRequest: true, at: Self.start + second * 1_000)
        }
        #expect(verdict(patience, after: 1_060) == .stay)
        #expect(verdict(patience, after: 1_060.001) == .giveUp)
    }

    @Test func `a request that was answered begins the time of the next one anew`() {
        var patience = Self.served()
        patience.worked(served: false, isWithinRequest: true, at: Self.start)
        patience.worked(served: true, isWithinRequest: true, at: Self.start + 50_000)
        #expect(verdict(patience, after: 110) == .stay)
        #expect(verdict(patience, after: 110.001) == .giveUp)
        patience.worked(served: true, isWithinRequest: false, at: Self.start + 110_000)
        #expect(verdict(patience, after: 9_999_999) == .stay)
    }

    @Test func `only HTTP may be idle for too long`() {
        #expect(verdict(Self.served(), after: 300, isHTTP: true) == .stay)
        #expect(verdict(Self.served(), after: 300.001, isHTTP: true) == .close)
        #expect(verdict(Self.served(), after: 1_000_000) == .stay)
        var patient = ServerConfiguration()
        patient.httpIdleSeconds = 0
        #expect(Self.served().verdict(at: Self.start + 1_000_000_000, .reading, unsent: 0, idleSecondsMax: patient.httpIdleSeconds, patient) == .stay)
    }

    @Test(arguments: [Patience.Activity.paused, .closing]) func `replies may wait for a client a minute`(_ activity: Patience.Activity) {
        var patience = Self.served()
        #expect(verdict(patience, after: 60, activity, unsent: 1) == .stay)
        #expect(verdict(patience, after: 60.001, activity, unsent: 1) == .close)
        patience.sent(at: Self.start + 60_000)
        #expect(verdict(patience, after: 120, activity, unsent: 1) == .stay)
    }

    @Test(arguments: [Patience.Activity.reading, .paused, .working, .closing])
    func `more replies than the limit may wait ten seconds`(_ activity: Patience.Activity) {
        let unsent = configuration.outputBytesMax + 1
        #expect(verdict(Self.served(), after: 10, activity, unsent: unsent) == .stay)
        #expect(verdict(Self.served(), after: 10.001, activity, unsent: unsent) == .close)
        #expect(verdict(Self.served(), after: 10.001, activity, unsent: unsent - 1) == .stay)
    }

    @Test func `a peer that was told of the end has two seconds to go`() {
        #expect(verdict(Self.served(), after: 2, .lingering) == .stay)
        #expect(verdict(Self.served(), after: 2.001, .lingering) == .close)
    }

    @Test func `what waits for another turn of ours is not hurried`() {
        var patience = Patience(now: Self.start)
        patience.received(1, at: Self.start)
        #expect(verdict(patience, after: 1_000, .working, isHTTP: true) == .stay)
        patience.worked(served: true, isWithinRequest: false, at: Self.start + 1_000_000)
    }
}
