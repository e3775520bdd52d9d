import LarderBytes
import LarderEngine
import LarderPlatform
import Testing

@Suite("Namespace table") struct NamespaceTableTests {
    private func record(_ id: UInt64, state: NamespaceState = .ready) -> NamespaceRecord {
        NamespaceRecord(
            id: NamespaceID(high: id, low: ~id), state: state, settings: NamespaceSettings(), created: 5, numbersGiven: 0)
    }

    private func insert(_ table: NamespaceTable, _ number: UInt32, _ name: String) -> Namespace? {
        let bytes = Array(name.utf8)
        table.lock.lock()
        defer { table.lock.unlock() }
        return table.insert(number: number, name: bytes.span.bytes, record: record(UInt64(number)))
    }

    private func find(_ table: NamespaceTable, _ name: String) -> Namespace? {
        let bytes = Array(name.utf8)
        return table.find(name: bytes.span.bytes)
    }

    private func drop(_ table: NamespaceTable, _ namespace: Namespace) {
        table.lock.lock()
        defer { table.lock.unlock() }
        namespace.set(.deleting)
        table.remove(namespace)
    }

    @Test func `the default namespace always exists`() {
        let table = NamespaceTable(settings: NamespaceSettings(durability: .never, keyRule: .bytes))
        #expect(find(table, "default") == table.default)
        #expect(table.find(number: 0) == table.default)
        #expect(table.find(id: NamespaceTable.defaultID) == table.default)
        #expect(table.default.settings == NamespaceSettings(durability: .never, keyRule: .bytes))
        #expect(table.default.state == .ready)
        table.checkInvariants()
    }

    @Test func `a namespace is found by number, id and name, and by nothing else`() throws {
        let table = NamespaceTable()
        let made = try #require(insert(table, 3, "sessions"))
        #expect(find(table, "sessions") == made)
        #expect(table.find(number: 3) == made)
        #expect(table.find(id: NamespaceID(high: 3, low: ~3)) == made)
        #expect(find(table, "session") == nil)
        #expect(table.find(number: 4) == nil)
        #expect(table.find(id: NamespaceID(high: 3, low: 3)) == nil)
        #expect(String(utf8: made.name) == "sessions")
    }

    @Test func `namespaces are listed in the order of their creation`() {
        let table = NamespaceTable()
        for number: UInt32 in [5, 2, 9, 3] { _ = insert(table, number, "n\(number)") }
        #expect(table.all().map(\.number) == [0, 2, 3, 5, 9])
    }

    @Test func `the table grows, and finds everything it holds`() {
        let table = NamespaceTable()
        for number: UInt32 in 1...500 { _ = insert(table, number, "name-\(number)") }
        table.checkInvariants()
        for number: UInt32 in 1...500 { #expect(find(table, "name-\(number)")?.number == number) }
    }

    @Test func `no number is given twice, whatever records say`() {
        let table = NamespaceTable()
        _ = insert(table, 7, "seven")
        table.lock.lock()
        #expect(table.giveNumber() == 8)
        table.noteNumbersGiven(20)
        #expect(table.giveNumber() == 20)
        table.noteNumbersGiven(3)
        #expect(table.giveNumber() == 21)
        table.lock.unlock()
    }

    @Test func `a handle outlives its namespace, and a slot is used again`() throws {
        let table = NamespaceTable()
        let first = try #require(insert(table, 1, "a"))
        drop(table, first)
        #expect(first.isGone)
        #expect(String(utf8: first.name) == "a")
        #expect(find(table, "a") == nil)
        #expect(table.find(number: 1) == nil)
        let second = try #require(insert(table, 2, "a"))
        #expect(second != first)
        #expect(second.slot == first.slot)
        #expect(find(table, "a") == second)
        table.checkInvariants()
    }

    @Test func `a dropped namespace gives up its name at once, and its id when it is swept`() throws {
        let table = NamespaceTable()
        let first = try #require(insert(table, 1, "a"))
        first.set(.deleting)
        #expect(find(table, "a") == nil)
        let second = try #require(insert(table, 2, "a"))
        #expect(find(table, "a") == second)
        #expect(table.find(id: first.id) == first)
        #expect(first.slot != second.slot)
    }

    @Test func `there is an end to how many there can be`() throws {
        let table = NamespaceTable()
        for number in 1..<UInt32(NamespaceTable.countMax) { #expect(insert(table, number, "n\(number)") != nil) }
        #expect(insert(table, 5_000, "one-more") == nil)
        table.lock.lock()
        #expect(table.giveNumber() == nil)
        table.lock.unlock()
        drop(table, try #require(table.find(number: 77)))
        #expect(insert(table, 5_000, "one-more") != nil)
    }
}
