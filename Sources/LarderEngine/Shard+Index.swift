// The ordered indexes' side of a shard's writes. Namespaces that were never listed have none, and cost nothing here.

extension Shard {
    mutating func indexInsert(_ reference: Reference, _ entry: Entry) {}
    mutating func indexReplace(_ reference: Reference, with replacement: Reference, _ entry: Entry) {}
    mutating func indexRemove(_ reference: Reference, _ entry: Entry) {}
    mutating func indexDrop(namespaceSlot: UInt16) {}
}
