// What a power cut may leave of a disk: which unsynced writes and names reached the medium.
//
// Names a state instead of making it, so that states can be listed, counted and chosen by seed before any byte is copied.
// Source: T. Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014 (ALICE), for the kinds of states.

/// Which of a sequence of unsynced changes reached the medium.
package enum Survivors: Sendable, Hashable {
    case none
    case all
    /// The first so many.
    case prefix(Int)
    case without(Int)
    case only(Int)
    /// Everything before the change, and of the change itself its first sectors.
    case torn(Int, sectors: Int)
    /// Everything but these sectors from the change's start on: they were written last, and were not.
    case holed(Int, sectors: Int)
    /// Any subset, sector by sector.
    case random(UInt64)
}

/// One state that a power cut may leave.
package struct CrashState: Sendable, Hashable {
    package var data: Survivors
    package var names: Survivors

    package init(data: Survivors, names: Survivors) {
        self.data = data
        self.names = names
    }
}

extension SimulatedDisk {
    /// How many writes and changes of size are not on the medium.
    package var unsyncedCount: Int { files.values.reduce(0) { $0 + $1.unsynced.count } }

    /// The states that are worth trying in any case; the same ones may lead to equal contents. Those of the newest changes come first:
    /// the others were there after the calls before this one.
    package var crashStates: [CrashState] {
        let names = nameStates
        var states: [CrashState] = []
        for data in [Survivors.none, .all] { states += names.map { CrashState(data: data, names: $0) } }
        let changes = unsyncedOrders
        for index in changes.indices.reversed() {
            for name in names.prefix(2) {
                states.append(CrashState(data: .prefix(index), names: name))
                states.append(CrashState(data: .without(index), names: name))
                states.append(CrashState(data: .only(index), names: name))
            }
            for sectors in 1..<max(sectorCount(ofChange: changes[index]), 1) {
                states.append(CrashState(data: .torn(index, sectors: sectors), names: .all))
                states.append(CrashState(data: .holed(index, sectors: sectors), names: .all))
            }
        }
        return states
    }

    /// A state chosen by seed: mostly a random one, now and then a plain one.
    package func randomCrashState(seed: UInt64) -> CrashState {
        var random = SeededGenerator(seed: seed)
        let plain: [Survivors] = [.none, .all, .prefix(Int.random(in: 0...max(unsyncedCount, 1), using: &random))]
        let data = Int.random(in: 0..<5, using: &random) == 0 ? plain.randomElement(using: &random)! : .random(random.next())
        let names = Int.random(in: 0..<3, using: &random) == 0 ? plain.randomElement(using: &random)! : .random(random.next())
        return CrashState(data: data, names: names)
    }

    /// The disk after the power came back.
    package func afterPowerCut(_ state: CrashState) -> SimulatedDisk {
        var disk = self
        disk.settleNames(state.names)
        let orders = unsyncedOrders
        for file in disk.files.keys.sorted() { disk.files[file]?.cutPower(state.data, orders: orders) }
        let named = Set(disk.names.values)
        disk.files = disk.files.filter { named.contains($0.key) }
        return disk
    }

    private var unsyncedOrders: [Int] { files.values.flatMap { $0.unsynced.map(\.order) }.sorted() }

    private var nameStates: [Survivors] {
        guard !unsyncedNames.isEmpty else { return [.all] }
        var states: [Survivors] = [.all, .none]
        for index in unsyncedNames.indices {
            states += [.without(index), .only(index)]
            if index > 0 { states.append(.prefix(index)) }
        }
        return states
    }

    private func sectorCount(ofChange order: Int) -> Int {
        for file in files.values {
            for change in file.unsynced where change.order == order {
                guard case .write(let offset, let bytes) = change.effect else { return 1 }
                let sector = SimulatedFile.sectorBytes
                return (offset + bytes.count + sector - 1) / sector - offset / sector
            }
        }
        return 1
    }

    private mutating func settleNames(_ survivors: Survivors) {
        var random = SeededGenerator(seed: survivors.seed)
        for (index, step) in unsyncedNames.enumerated() where survivors.keeps(index, &random) {
            for (name, file) in step { durableNames[name] = file }
        }
        names = durableNames
        unsyncedNames = []
    }
}

extension Survivors {
    fileprivate var seed: UInt64 { if case .random(let seed) = self { seed } else { 0 } }

    /// Whether the change at `index` is on the medium as a whole.
    fileprivate func keeps(_ index: Int, _ random: inout SeededGenerator) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .prefix(let count): index < count
        case .without(let dropped): index != dropped
        case .only(let kept): index == kept
        case .torn(let torn, _): index < torn
        case .holed(let holed, _): index != holed
        case .random: Bool.random(using: &random)
        }
    }
}

extension SimulatedFile {
    /// - Parameter orders: Of all unsynced changes of the disk, ascending.
    fileprivate mutating func cutPower(_ survivors: Survivors, orders: [Int]) {
        guard !unsynced.isEmpty || cached.count != durable.count else {
            cached = durable
            return
        }
        // Each file its own subset: the order of files is not the order of numbers.
        var random = SeededGenerator(seed: survivors.seed &+ UInt64(unsynced.first?.order ?? 0) &* 0x9E37_79B9)
        for change in unsynced {
            let index = orders.firstIndex(of: change.order) ?? 0
            switch survivors {
            case .random: applySectors(of: change.effect) { _, _ in Bool.random(using: &random) }
            case .torn(index, let sectors): applySectors(of: change.effect) { sector, _ in sector < sectors }
            case .holed(index, let sectors): applySectors(of: change.effect) { sector, _ in sector >= sectors }
            default: if survivors.keeps(index, &random) { Self.apply(change.effect, to: &durable) }
            }
        }
        unsynced = []
        cached = durable
    }

    private mutating func applySectors(of effect: Effect, _ keeps: (Int, Int) -> Bool) {
        guard case .write(let offset, let bytes) = effect else {
            if keeps(0, 1) { Self.apply(effect, to: &durable) }
            return
        }
        var position = 0
        var sector = 0
        while position < bytes.count {
            let room = Self.sectorBytes - (offset + position) % Self.sectorBytes
            let end = min(position + room, bytes.count)
            if keeps(sector, bytes.count) {
                Self.apply(.write(offset: offset + position, bytes: Array(bytes[position..<end])), to: &durable)
            }
            position = end
            sector += 1
        }
    }
}
