import LarderEngine
import LarderPersistence
import LarderWire
import Testing

@testable import LarderServer

@Suite("Start") struct StartTests {
    @Test func `the line about recovery says all that was found`() {
        var report = RecoveryReport()
        report.entriesLoaded = 900
        report.snapshot = 7
        report.recordsReplayed = 150
        report.bytesRead = 123_456
        report.elapsedMilliseconds = 2_045
        report.cutFile = "wal-0000000003"
        report.bytesCut = 64
        let line = report.summary(entries: 1_000, expired: 12)
        #expect(
            line == "recovered 1000 entries from 123456 bytes in 2.045 s, snapshot 7 with 900 entries, 150 records replayed, "
                + "64 bytes of a torn tail of wal-0000000003 cut and set aside, 12 expired entries dropped, no clean stop before "
                + "[event=recovered entries=1000 bytes=123456 ms=2045 records=150 cut=64 expired=12 clean=no damaged=0]")
        report = RecoveryReport()
        report.wasClean = true
        #expect(
            report.summary(entries: 0, expired: 0)
                == "recovered 0 entries from 0 bytes in 0.000 s, no snapshot, 0 records replayed, 0 bytes cut, 0 expired entries dropped, clean stop before "
                + "[event=recovered entries=0 bytes=0 ms=0 records=0 cut=0 expired=0 clean=yes damaged=0]")
        report.isNew = true
        #expect(report.summary(entries: 0, expired: 0) == "new data directory [event=recovered new=yes]")
    }

    @Test(arguments: [
        (128 << 20, 64 << 20), (512 << 20, 256 << 20), (1 << 30, 768 << 20), (8 << 30, 7 << 30), (1 << 40, 32 << 30), (1, 16 << 20),
    ])
    func `entries get what a machine has, less some for everything else`(machine: Int, entries: Int) {
        #expect(ServerConfiguration.memoryForEntries(of: machine) == entries)
    }

    @Test func `a setting for memory is taken as it is, and none means the machine`() {
        var configuration = ServerConfiguration()
        #expect(configuration.store.memoryBytesMax >= 16 << 20)
        configuration.memoryBytesMax = 100 << 20
        #expect(configuration.store.memoryBytesMax == 100 << 20)
    }

    @Test func `a default namespace that evicts has a limit, if none is set three quarters of all`() {
        var configuration = ServerConfiguration()
        configuration.memoryBytesMax = 100 << 20
        #expect(configuration.defaultNamespace == NamespaceSettings())
        configuration.bytesMax = 5 << 20
        #expect(configuration.defaultNamespace.bytesMax == 5 << 20)
        configuration.eviction = .s3fifo
        #expect(configuration.defaultNamespace == NamespaceSettings(eviction: .s3fifo, bytesMax: 5 << 20))
        configuration.bytesMax = 0
        #expect(configuration.defaultNamespace == NamespaceSettings(eviction: .s3fifo, bytesMax: 75 << 20))
    }

    @Test func `who does not fit is told which setting to raise`() {
        #expect(PersistenceError.outOfMemory(reading: "the log", bytesMax: 1 << 30).advice.contains("memory-max"))
        #expect(PersistenceError.willNotFit(file: "snap", entries: 1, bytesMin: 2, bytesMax: 1).advice.contains("memory-max"))
        #expect(PersistenceError.notOpen.advice.isEmpty)
    }
}
