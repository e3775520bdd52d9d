import LarderBytes
import LarderPlatform
import Testing

@Suite("Sockets and poller") struct SocketTests {
    @Test(arguments: ["127.0.0.1:0", "[::1]:7400", "0.0.0.0:65535"])
    func `a numeric address prints as it was written`(_ text: String) {
        #expect(SocketAddress(text)?.description == text)
    }

    @Test(arguments: [
        "", "7400", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "example.org:1", "::1:7400", "[127.0.0.1]:1", "1.2.3:4",
        "127.0.0.1:+7400", "127.0.0.1:-1", "127.0.0.1:007400", "127.0.0.1:00", "127.0.0.1: 1", "127.0.0.1:\u{0661}", ":7400", "*:7400",
    ])
    func `anything else is refused`(_ text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test func `localhost is this machine`() {
        #expect(SocketAddress("localhost:7400")?.description == "127.0.0.1:7400")
    }

    @Test func `only loopback addresses count as loopback`() {
        #expect(SocketAddress("127.0.0.9:1")?.isLoopback == true)
        #expect(SocketAddress("[::1]:1")?.isLoopback == true)
        #expect(SocketAddress("0.0.0.0:1")?.isLoopback == false)
        #expect(SocketAddress("[::]:1")?.isLoopback == false)
    }

    @Test func `a second listener on the same port is refused with the system's error`() throws {
        let first = try Listener(SocketAddress("127.0.0.1:0")!)
        let address = first.address
        #expect(address.port != 0)
        let second = #expect(throws: SystemError.self) { _ = try Listener(address) }
        #expect(second?.description.contains("bind") == true)
    }

    @Test func `a wake from another thread ends the wait`() throws {
        let poller = try Poller()
        let events = Poller.EventList()
        poller.wake()
        var tokens: [UInt64] = []
        poller.wait(events, timeoutMilliseconds: -1) { tokens.append($0.token) }
        #expect(tokens == [Poller.wakeToken])
        poller.clearWake()
        poller.wait(events, timeoutMilliseconds: 0) { tokens.append($0.token) }
        #expect(tokens.count == 1)
    }
}
