// A wish to end early, from any thread.

import Synchronization

package final class StopSwitch: Sendable {
    private let wanted = Atomic<Bool>(false)

    package init() {}

    package var isOn: Bool { wanted.load(ordering: .acquiring) }
    package func turnOn() { wanted.store(true, ordering: .releasing) }
}
