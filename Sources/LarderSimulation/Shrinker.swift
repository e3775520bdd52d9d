// Makes a failing sequence short: leaves out what is not needed for the failure.
//
// Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002 (ddmin), without its complements.

/// The shortest sequence found that still fails; `fails` is asked at most `attemptsMax` times.
package func shrunk<Element>(_ steps: [Element], attemptsMax: Int = 2_000, _ fails: ([Element]) -> Bool) -> [Element] {
    var steps = steps
    var attempts = 0
    var size = max(steps.count / 2, 1)
    while true {
        var start = 0
        var isShorter = false
        while start < steps.count, attempts < attemptsMax {
            var candidate = steps
            candidate.removeSubrange(start..<min(start + size, candidate.count))
            attempts += 1
            if fails(candidate) {
                steps = candidate
                isShorter = true
            } else {
                start += size
            }
        }
        if attempts >= attemptsMax || (size == 1 && !isShorter) { return steps }
        size = max(size / 2, 1)
    }
}
