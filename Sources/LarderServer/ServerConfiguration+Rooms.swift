// The configuration in the words of each room.

import LarderEngine
import LarderPersistence
import LarderPlatform

extension ServerConfiguration {
    var store: StoreConfiguration {
        var store = StoreConfiguration()
        store.valueBytesMax = valueBytesMax
        return store
    }

    var persistence: PersistenceOptions {
        var options = PersistenceOptions()
        options.intervalMilliseconds = intervalMilliseconds
        options.snapshotLogBytes = snapshotLogBytes
        options.snapshotMilliseconds = Milliseconds(snapshotEverySeconds) * 1_000
        options.snapshotBytesPerSecond = snapshotBytesPerSecond
        return options
    }

    func namespaces(created: Milliseconds) -> NamespaceTable {
        NamespaceTable(
            settings: NamespaceSettings(durability: durability.engine, keyRule: keyRule.engine), created: created)
    }
}
