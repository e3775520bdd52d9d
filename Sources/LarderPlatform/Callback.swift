// A function that one thread gives and any thread calls.
//
// In an object, which is what the lock guards. A function that lies in a generic place itself is wrapped anew each time that
// place is opened to be changed, as a lock opens it, and the next call goes through one wrapper more.

import Synchronization

/// What to call when something happened, or to learn something.
package final class Callback<Value: Sendable>: Sendable {
    private final class Box: Sendable {
        let function: @Sendable () -> Value
        init(_ function: @escaping @Sendable () -> Value) { self.function = function }
    }

    private let box = Mutex<Box?>(nil)

    package init() {}

    /// From now on `function` is called; nil: nothing is.
    package func set(_ function: (@Sendable () -> Value)?) {
        let box = function.map(Box.init)
        self.box.withLock { $0 = box }
    }

    /// Calls it, with no lock held.
    ///
    /// - Returns: nil when there is nothing to call.
    @discardableResult
    package func callAsFunction() -> Value? { box.withLock { $0 }?.function() }
}
